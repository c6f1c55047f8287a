//! What a receiver's answer means for the samples of a request. Pure.
//!
//! <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#required-written-response-headers>

use std::time::{Duration, SystemTime};

use hyper::HeaderMap;

/// A receiver that asks for more quiet than this is not waited for so long.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It wrote this many samples (histograms among them) and will not write the rest.
    Taken { samples: u64 },
    /// It does not know 2.0; the same again in 1.0.
    OnlyOne,
    /// It may take them later.
    Later { after: Option<Duration> },
    /// It will never take these. So many of them were written all the same.
    Refused { written: u64 },
}

/// Judges an answer to a request of `version` with so many samples and exemplars.
pub fn judge(
    version: u8,
    status: u16,
    headers: &HeaderMap,
    samples: u64,
    exemplars: u64,
) -> Verdict {
    let written = Written::of(headers);
    match status {
        200..=299 if version == 1 => Verdict::Taken { samples },
        // A receiver of 1.0 that does not look at the content type finds an empty request and is
        // content; one of 2.0 says what it wrote.
        200..=299 if !written.said && samples + exemplars > 0 => Verdict::OnlyOne,
        200..=299 => Verdict::Taken {
            samples: written.samples.min(samples),
        },
        415 if version == 2 => Verdict::OnlyOne,
        429 | 500..=599 => Verdict::Later {
            after: retry_after(headers),
        },
        _ => Verdict::Refused {
            written: written.samples.min(samples),
        },
    }
}

struct Written {
    said: bool,
    samples: u64,
}

impl Written {
    fn of(headers: &HeaderMap) -> Self {
        let number = |what: &str| {
            let value = headers.get(format!("x-prometheus-remote-write-{what}-written"))?;
            Some(value.to_str().ok()?.trim().parse::<u64>().unwrap_or(0))
        };
        let (floats, histograms) = (number("samples"), number("histograms"));
        Self {
            said: floats.is_some() || histograms.is_some() || number("exemplars").is_some(),
            samples: floats.unwrap_or(0).saturating_add(histograms.unwrap_or(0)),
        }
    }
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(hyper::header::RETRY_AFTER)?.to_str().ok()?;
    let text = text.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::DateTimeParser::new()
                .parse_timestamp(text)
                .ok()?;
            SystemTime::from(date)
                .duration_since(SystemTime::now())
                .unwrap_or_default()
        }
    };
    Some(asked.min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn each_answer_has_its_meaning() {
        let none = headers(&[]);
        let wrote = headers(&[
            ("x-prometheus-remote-write-samples-written", "7"),
            ("x-prometheus-remote-write-histograms-written", "1"),
        ]);
        let all = Verdict::Taken { samples: 10 };
        assert_eq!(judge(1, 204, &none, 10, 0), all);
        assert_eq!(judge(2, 204, &none, 10, 0), Verdict::OnlyOne);
        assert_eq!(judge(2, 200, &wrote, 10, 0), Verdict::Taken { samples: 8 });
        assert_eq!(judge(2, 200, &wrote, 5, 0), Verdict::Taken { samples: 5 });
        assert_eq!(judge(2, 415, &none, 10, 0), Verdict::OnlyOne);
        assert_eq!(judge(1, 415, &none, 10, 0), Verdict::Refused { written: 0 });
        assert_eq!(
            judge(2, 400, &wrote, 10, 0),
            Verdict::Refused { written: 8 }
        );
        assert_eq!(judge(1, 302, &none, 10, 0), Verdict::Refused { written: 0 });
        for status in [429, 500, 503, 599] {
            assert_eq!(
                judge(2, status, &none, 1, 0),
                Verdict::Later { after: None }
            );
        }
        let later = |text: &str| match judge(1, 429, &headers(&[("retry-after", text)]), 1, 0) {
            Verdict::Later { after } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(later("3"), Some(Duration::from_secs(3)));
        assert_eq!(later("99999"), Some(LONGEST_ASKED));
        assert_eq!(later("soon"), None);
        let past = later("Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(past, Some(Duration::ZERO));
    }
}
