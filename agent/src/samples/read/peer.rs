//! Ours against Prometheus's own parsers, on pages that were spoiled at random: what they accept has
//! to be accepted with the same series, and what they refuse has to be refused.
//!
//! `peer.jsonl` holds what Prometheus 3.7.3 (`model/textparse`) made of each page; it is written by
//! `bench/readers`. `KAI_READERS_RECORD` may name a longer record.

use std::fmt::Write as _;

use base64::Engine as _;
use serde::Deserialize;

use super::*;
use crate::samples::{NativeHistogram, Span};

#[derive(Deserialize)]
struct Record {
    format: String,
    #[serde(default)]
    page: String,
    #[serde(default)]
    bytes: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    series: Vec<String>,
}

/// Where ours refuses what Prometheus takes: it does not look at every comment and help text, takes
/// some NUL bytes for the end of the page and a metric without a value for 0, skips the groups that
/// protobuf gave up long ago and half a number at a list's end, and wraps times around.
const STRICTER: [&str; 6] = [
    "not UTF-8",
    "a NUL byte",
    "without a value",
    "the message ends within a number",
    "a field of the unknown wire type",
    "a time that no calendar has",
];

fn number(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value.is_nan() {
        "NaN".to_owned()
    } else {
        format!("{:x}", value.to_bits())
    }
}

fn pairs(labels: &[Label<'_>], name: Option<&str>) -> String {
    let mut all: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
    if let Some(name) = name {
        all.insert(0, ("__name__", name));
    }
    all.sort_by_key(|(name, _)| *name);
    all.iter().fold(String::new(), |mut out, (name, value)| {
        write!(out, "{name}\u{1}{value}\u{2}").unwrap();
        out
    })
}

fn buckets(spans: &[Span], counts: &[f64]) -> String {
    let mut out = String::new();
    let (mut at, mut index) = (0, 0);
    for span in spans {
        index += span.offset;
        for _ in 0..span.length {
            if counts[at] != 0.0 {
                write!(out, "{index}:{} ", number(counts[at])).unwrap();
            }
            at += 1;
            index += 1;
        }
    }
    out
}

fn native(histogram: &NativeHistogram) -> String {
    format!(
        "{} {} {} {} {} {} {} | {}| {}",
        if histogram.float { "float" } else { "integer" },
        histogram.gauge,
        histogram.schema,
        number(histogram.zero_threshold),
        number(histogram.zero_count),
        number(histogram.count),
        number(histogram.sum),
        buckets(&histogram.negative_spans, &histogram.negative_counts),
        buckets(&histogram.positive_spans, &histogram.positive_counts),
    )
}

fn told(format: Format, page: &[u8]) -> Result<Vec<String>, String> {
    let mut told = Vec::new();
    read(format, page, &mut |series| {
        let mut line = pairs(series.labels, Some(&series.name));
        line.push(' ');
        match &series.value {
            Value::Number(value) => line.push_str(&number(*value)),
            Value::Native(histogram) => line.push_str(&native(histogram)),
        }
        if let Some(at) = series.timestamp {
            write!(line, " @{at}").unwrap();
        }
        for exemplar in series.exemplars {
            write!(
                line,
                " # {} {}",
                pairs(&exemplar.labels, None),
                number(exemplar.value)
            )
            .unwrap();
            if let Some(at) = exemplar.timestamp {
                write!(line, " @{at}").unwrap();
            }
        }
        told.push(line);
    })
    .map_err(|error| error.to_string())?;
    Ok(told)
}

#[test]
fn pages_are_read_as_prometheus_reads_them() {
    let path = std::env::var("KAI_READERS_RECORD").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/src/samples/read/peer.jsonl").to_owned()
    });
    let record = std::fs::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    for line in record.lines() {
        let record: Record = serde_json::from_str(line).unwrap();
        let format = match record.format.as_str() {
            "text" => Format::Text,
            "openmetrics" => Format::OpenMetrics,
            _ => Format::Protobuf,
        };
        let page = if record.bytes.is_empty() {
            record.page.into_bytes()
        } else {
            base64::engine::general_purpose::STANDARD
                .decode(record.bytes)
                .unwrap()
        };
        let theirs = if record.error.is_empty() {
            Ok(record.series)
        } else {
            Err(record.error)
        };
        let ours = told(format, &page);
        let same = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => {
                // The parts of a histogram come in another order.
                let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
                ours.sort();
                theirs.sort();
                ours == theirs
            }
            (Err(_), Err(_)) => true,
            (Err(error), Ok(_)) => STRICTER.iter().any(|message| error.contains(message)),
            (Ok(_), Err(_)) => false,
        };
        if !same {
            wrong.push(format!(
                "{format:?} {:?}\n  ours   {ours:?}\n  theirs {theirs:?}",
                String::from_utf8_lossy(&page)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} pages are read otherwise:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(400)].join("\n")
    );
}
