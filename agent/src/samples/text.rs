//! The text formats line by line: Prometheus's 0.0.4 and 1.0, and OpenMetrics 1.0. What Prometheus's
//! own parser accepts is accepted, and what it refuses is refused with the place and the reason.

use std::borrow::Cow;
use std::ops::Range;

use super::{Exemplar, Format, Kind, Label, ReadError};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    Type {
        /// The whole line with its end, as in every item.
        range: Range<usize>,
        family: Cow<'a, str>,
        kind: Kind,
    },
    Help {
        range: Range<usize>,
        family: Cow<'a, str>,
        text: Cow<'a, str>,
    },
    Unit {
        range: Range<usize>,
        family: Cow<'a, str>,
        unit: Cow<'a, str>,
    },
    /// Another comment, or an empty line.
    Other { range: Range<usize> },
    /// `# EOF` of OpenMetrics.
    End { range: Range<usize> },
    Sample {
        range: Range<usize>,
        name: Cow<'a, str>,
        labels: &'a [Label<'a>],
        /// Name and labels as they are written.
        series: Range<usize>,
        value: f64,
        /// Milliseconds since 1970.
        timestamp: Option<i64>,
        exemplar: Option<Exemplar<'a>>,
    },
}

/// Tells every line of a page in order. `format` is one of the two text formats.
pub fn items(format: Format, body: &[u8], each: &mut dyn FnMut(Item<'_>)) -> Result<(), ReadError> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            return Err(error_at(
                body,
                error.valid_up_to(),
                "this is not UTF-8".into(),
            ));
        }
    };
    let open = format == Format::OpenMetrics;
    let mut labels = Vec::new();
    let mut start = 0;
    let mut ended = false;
    while start < text.len() {
        let newline = memchr::memchr(b'\n', &body[start..]);
        let end = newline.map_or(text.len(), |at| start + at);
        let range = start..(end + 1).min(text.len());
        if ended {
            return Err(error_at(body, start, "there is more after # EOF".into()));
        }
        if open && newline.is_none() && &text[start..end] != "# EOF" {
            let message = "the page ends within this line; it has to end with # EOF";
            return Err(error_at(body, start, message.into()));
        }
        let mut line = Line {
            text: &text[..end],
            at: start,
            open,
        };
        labels.clear();
        let item = line
            .item(range.clone(), &mut labels)
            .map_err(|wrong| error_at(body, wrong.at, wrong.message))?;
        // Only here are the labels whole.
        let item = match item {
            Found::Item(item) => item,
            Found::Sample(sample) => Item::Sample {
                range: range.clone(),
                name: sample.name,
                labels: &labels,
                series: sample.series,
                value: sample.value,
                timestamp: sample.timestamp,
                exemplar: sample.exemplar,
            },
        };
        ended = matches!(item, Item::End { .. });
        each(item);
        start = range.end;
    }
    if open && !ended {
        return Err(error_at(
            body,
            body.len(),
            "the page does not end with # EOF".into(),
        ));
    }
    Ok(())
}

fn error_at(body: &[u8], at: usize, message: String) -> ReadError {
    let before = &body[..at.min(body.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    ReadError::Text {
        line: memchr::memchr_iter(b'\n', before).count() + 1,
        column: at.min(body.len()) - line_start + 1,
        message,
    }
}

struct Wrong {
    at: usize,
    message: String,
}

enum Found<'a> {
    Item(Item<'a>),
    Sample(Sample<'a>),
}

struct Sample<'a> {
    name: Cow<'a, str>,
    series: Range<usize>,
    value: f64,
    timestamp: Option<i64>,
    exemplar: Option<Exemplar<'a>>,
}

/// A cursor in one line; `text` ends with the line, so that places are places of the page.
struct Line<'a> {
    text: &'a str,
    at: usize,
    open: bool,
}

impl<'a> Line<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn wrong<T>(&self, message: impl Into<String>) -> Result<T, Wrong> {
        Err(Wrong {
            at: self.at,
            message: message.into(),
        })
    }

    /// What stands here, for a message.
    fn seen(&self) -> String {
        match self.rest().chars().next() {
            None => "the end of the line".to_owned(),
            Some(sign) => format!("{sign:?}"),
        }
    }

    /// Blanks; OpenMetrics has none but those that it asks for.
    fn blanks(&mut self) {
        if !self.open {
            while matches!(self.byte(), Some(b' ' | b'\t')) {
                self.at += 1;
            }
        }
    }

    fn item(
        &mut self,
        range: Range<usize>,
        labels: &mut Vec<Label<'a>>,
    ) -> Result<Found<'a>, Wrong> {
        self.blanks();
        match self.byte() {
            Some(b'#') => self.comment(range).map(Found::Item),
            None if self.open => self.wrong("an empty line; OpenMetrics has none"),
            None => Ok(Found::Item(Item::Other { range })),
            Some(_) => self.sample(labels).map(Found::Sample),
        }
    }

    fn comment(&mut self, range: Range<usize>) -> Result<Item<'a>, Wrong> {
        if self.open {
            return self.open_comment(range);
        }
        self.at += 1;
        let word = self.rest().trim_start_matches([' ', '\t']);
        if word.len() == self.rest().len() {
            return Ok(Item::Other { range });
        }
        self.at = self.text.len() - word.len();
        let keyword = word.split([' ', '\t']).next().unwrap_or_default();
        if !matches!(keyword, "HELP" | "TYPE") || keyword.len() == word.len() {
            return Ok(Item::Other { range });
        }
        self.at += keyword.len();
        self.blanks();
        let family = self.name()?;
        self.blanks();
        self.metadata(range, keyword, family)
    }

    fn open_comment(&mut self, range: Range<usize>) -> Result<Item<'a>, Wrong> {
        if self.rest() == "# EOF" {
            return Ok(Item::End { range });
        }
        let rest = self.rest().strip_prefix("# ");
        let keyword = rest
            .and_then(|rest| rest.split_once(' '))
            .map(|(keyword, _)| keyword)
            .filter(|keyword| matches!(*keyword, "HELP" | "TYPE" | "UNIT"));
        let Some(keyword) = keyword else {
            return self.wrong("no HELP, TYPE, UNIT or EOF; OpenMetrics has no other comments");
        };
        self.at += 2 + keyword.len() + 1;
        let family = self.name()?;
        if self.byte() != Some(b' ') {
            return self.wrong(format!(
                "a space expected after the name, not {}",
                self.seen()
            ));
        }
        self.at += 1;
        self.metadata(range, keyword, family)
    }

    fn metadata(
        &mut self,
        range: Range<usize>,
        keyword: &str,
        family: Cow<'a, str>,
    ) -> Result<Item<'a>, Wrong> {
        let text = self.rest();
        match keyword {
            "HELP" => Ok(Item::Help {
                range,
                family,
                text: unescaped(text, self.open),
            }),
            "UNIT" => {
                let fits = text.is_empty()
                    || family
                        .strip_suffix(text)
                        .is_some_and(|name| name.ends_with('_'));
                if !fits {
                    return self.wrong(format!(
                        "the unit {text:?} is not the end of the name {family:?}"
                    ));
                }
                Ok(Item::Unit {
                    range,
                    family,
                    unit: Cow::Borrowed(text),
                })
            }
            _ => {
                let kind = match (text.trim_end_matches([' ', '\t', '\r']), self.open) {
                    ("counter", _) => Kind::Counter,
                    ("gauge", _) => Kind::Gauge,
                    ("histogram", _) => Kind::Histogram,
                    ("summary", _) => Kind::Summary,
                    ("untyped", false) | ("unknown", true) => Kind::Unknown,
                    ("gaugehistogram", true) => Kind::GaugeHistogram,
                    ("info", true) => Kind::Info,
                    ("stateset", true) => Kind::StateSet,
                    _ => return self.wrong(format!("{text:?} is not a type")),
                };
                Ok(Item::Type {
                    range,
                    family,
                    kind,
                })
            }
        }
    }

    /// A metric's name, perhaps between quotes.
    fn name(&mut self) -> Result<Cow<'a, str>, Wrong> {
        if self.byte() == Some(b'"') {
            return self.quoted();
        }
        let rest = self.rest();
        let length = rest
            .bytes()
            .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')))
            .unwrap_or(rest.len());
        if length == 0 || rest.as_bytes()[0].is_ascii_digit() {
            return self.wrong(format!("a metric's name expected, not {}", self.seen()));
        }
        self.at += length;
        Ok(Cow::Borrowed(&rest[..length]))
    }

    /// A label's name without quotes.
    fn label_name(&mut self) -> Result<Cow<'a, str>, Wrong> {
        let rest = self.rest();
        let length = rest
            .bytes()
            .position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_'))
            .unwrap_or(rest.len());
        if length == 0 || rest.as_bytes()[0].is_ascii_digit() {
            return self.wrong(format!("a label's name expected, not {}", self.seen()));
        }
        self.at += length;
        Ok(Cow::Borrowed(&rest[..length]))
    }

    /// What stands between the quotes that begin here.
    fn quoted(&mut self) -> Result<Cow<'a, str>, Wrong> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        let mut escaped = false;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                return self.wrong("this quote does not close");
            };
            at += found;
            if bytes[at] == b'"' {
                break;
            }
            escaped = true;
            at += 2;
        }
        let inner = &self.text[start..at];
        self.at = at + 1;
        Ok(if escaped {
            unescaped(inner, true)
        } else {
            Cow::Borrowed(inner)
        })
    }

    fn sample(&mut self, labels: &mut Vec<Label<'a>>) -> Result<Sample<'a>, Wrong> {
        let start = self.at;
        let mut name = None;
        if self.byte() != Some(b'{') {
            name = Some(self.name()?);
            self.blanks();
        }
        if self.byte() == Some(b'{') {
            self.labels(labels, &mut name, false)?;
        }
        let series = start..self.text[..self.at].trim_end_matches([' ', '\t']).len();
        let Some(name) = name else {
            return self.wrong("the sample has no name");
        };
        let value = self.number("a value")?;
        let value = if value.is_nan() { f64::NAN } else { value };
        let mut timestamp = None;
        let mut exemplar = None;
        self.blanks();
        if self.open {
            if self.rest().starts_with(' ') && !self.rest().starts_with(" # {") {
                timestamp = Some(self.seconds()?);
            }
            if let Some(rest) = self.rest().strip_prefix(" # ") {
                self.at = self.text.len() - rest.len();
                exemplar = Some(self.exemplar()?);
            }
        } else if self.byte().is_some() {
            let word = self.word();
            let Ok(millis) = word.parse() else {
                return self.wrong(format!("{word:?} is not a time in milliseconds"));
            };
            self.at += word.len();
            timestamp = Some(millis);
            self.blanks();
        }
        if self.byte().is_some() && self.rest() != "\r" {
            return self.wrong(format!(
                "the line should end here, not go on with {}",
                self.seen()
            ));
        }
        Ok(Sample {
            name,
            series,
            value,
            timestamp,
            exemplar,
        })
    }

    /// `{a="b",…}`; a quoted text alone is the metric's name.
    fn labels(
        &mut self,
        labels: &mut Vec<Label<'a>>,
        name: &mut Option<Cow<'a, str>>,
        exemplar: bool,
    ) -> Result<(), Wrong> {
        self.at += 1;
        loop {
            self.blanks();
            if self.byte() == Some(b'}') {
                self.at += 1;
                return Ok(());
            }
            let begun = self.at;
            let is_quoted = self.byte() == Some(b'"');
            let key = if is_quoted {
                self.quoted()?
            } else {
                self.label_name()?
            };
            self.blanks();
            if is_quoted && !exemplar && matches!(self.byte(), Some(b',' | b'}')) {
                if name.is_some() {
                    self.at = begun;
                    return self.wrong("the sample has a name already");
                }
                *name = Some(key);
            } else {
                if self.byte() != Some(b'=') {
                    return self.wrong(format!("= expected, not {}", self.seen()));
                }
                self.at += 1;
                self.blanks();
                if self.byte() != Some(b'"') {
                    return self.wrong(format!(
                        "a value between quotes expected, not {}",
                        self.seen()
                    ));
                }
                let value = self.quoted()?;
                labels.push((key, value));
                self.blanks();
            }
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                // As Prometheus's own parser of the text format does, which may be by accident.
                Some(b'"' | b'a'..=b'z' | b'A'..=b'Z' | b'_') if !self.open => {}
                _ => return self.wrong(format!("a comma or }} expected, not {}", self.seen())),
            }
        }
    }

    /// `{…} value [time]` behind ` # `.
    fn exemplar(&mut self) -> Result<Exemplar<'a>, Wrong> {
        let mut labels = Vec::new();
        self.labels(&mut labels, &mut None, true)?;
        let value = self.number("an exemplar's value")?;
        let timestamp = if self.byte() == Some(b' ') {
            Some(self.seconds()?)
        } else {
            None
        };
        Ok(Exemplar {
            labels,
            value,
            timestamp,
        })
    }

    fn word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find([' ', '\t', '\r']).unwrap_or(rest.len());
        &rest[..end]
    }

    /// A number behind blanks, or one space in OpenMetrics.
    fn number(&mut self, what: &str) -> Result<f64, Wrong> {
        if self.open {
            if self.byte() != Some(b' ') {
                return self.wrong(format!("a space and {what} expected, not {}", self.seen()));
            }
            self.at += 1;
        } else {
            self.blanks();
        }
        let word = self.word();
        match float(word) {
            Some(value) => {
                self.at += word.len();
                Ok(value)
            }
            None if word.is_empty() => self.wrong(format!("{what} expected, not {}", self.seen())),
            None => self.wrong(format!("{word:?} is not a number")),
        }
    }

    /// A time in seconds, with the space before it.
    fn seconds(&mut self) -> Result<i64, Wrong> {
        let begun = self.at;
        let seconds = self.number("a time")?;
        if !seconds.is_finite() {
            self.at = begun + 1;
            return self.wrong("a time has to be finite");
        }
        Ok((seconds * 1000.0) as i64)
    }
}

/// A number as Go reads it without `p` and `_`.
fn float(word: &str) -> Option<f64> {
    let value: f64 = word.parse().ok()?;
    // Too large is an error to Go, infinity to Rust.
    let named = word.bytes().any(|byte| matches!(byte, b'i' | b'I'));
    (value.is_finite() || value.is_nan() || named).then_some(value)
}

/// `\n`, `\\` and, in labels and OpenMetrics, `\"`; any other backslash stands for itself.
fn unescaped(text: &str, quotes: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (sign, read) = match rest.as_bytes().get(at + 1) {
            Some(b'n') => ('\n', 2),
            Some(b'\\') => ('\\', 2),
            Some(b'"') if quotes => ('"', 2),
            _ => ('\\', 1),
        };
        out.push(sign);
        rest = &rest[at + read..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
