//! Prometheus's protobuf format: `io.prometheus.client.MetricFamily` messages, each behind its length.
//! Read straight from the wire, so that a page of any size needs no tree of it.

use std::ops::Range;

use super::{Kind, NativeHistogram, ReadError, Span};

/// A family without its metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family<'a> {
    /// The whole message with its length before it.
    pub range: Range<usize>,
    /// The message alone.
    pub message: Range<usize>,
    pub name: &'a str,
    pub kind: Kind,
    pub help: &'a str,
    pub unit: &'a str,
}

/// One metric of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric<'a> {
    /// Its field with tag and length, as it stands in the family.
    pub range: Range<usize>,
    pub labels: Vec<(&'a str, &'a str)>,
    pub timestamp: Option<i64>,
    pub value: Value<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Number {
        value: f64,
        created: Option<i64>,
        exemplar: Option<Exemplar<'a>>,
    },
    Summary {
        count: u64,
        sum: f64,
        /// Quantile and value.
        quantiles: Vec<(f64, f64)>,
        created: Option<i64>,
    },
    Histogram(Box<Histogram<'a>>),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram<'a> {
    pub count: f64,
    pub sum: f64,
    pub buckets: Vec<Bucket<'a>>,
    pub created: Option<i64>,
    pub native: Option<NativeHistogram>,
    /// Of the native histogram.
    pub exemplars: Vec<Exemplar<'a>>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bucket<'a> {
    pub upper_bound: f64,
    pub cumulative: f64,
    pub exemplar: Option<Exemplar<'a>>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exemplar<'a> {
    pub labels: Vec<(&'a str, &'a str)>,
    pub value: f64,
    pub timestamp: Option<i64>,
}

impl Metric<'_> {
    /// How many series Prometheus makes of it.
    pub fn series(&self) -> usize {
        match &self.value {
            Value::Number { .. } => 1,
            Value::Summary { quantiles, .. } => quantiles.len() + 2,
            Value::Histogram(histogram) => {
                let bounds = &histogram.buckets;
                let infinite = bounds
                    .last()
                    .is_some_and(|last| last.upper_bound.is_infinite());
                let classic = !bounds.is_empty() || histogram.native.is_none();
                let classic = if classic {
                    bounds.len() + 2 + usize::from(!infinite)
                } else {
                    0
                };
                classic + usize::from(histogram.native.is_some())
            }
        }
    }
}

/// Tells every family of a page with its metrics, in order.
pub fn families(
    body: &[u8],
    each: &mut dyn FnMut(&Family<'_>, &[Metric<'_>]),
) -> Result<(), ReadError> {
    let mut wire = Wire {
        body,
        at: 0,
        end: body.len(),
    };
    let mut metrics = Vec::new();
    while wire.at < wire.end {
        let start = wire.at;
        let message = wire.length()?;
        metrics.clear();
        let family = family(body, start, message.clone(), &mut metrics)?;
        each(&family, &metrics);
        wire.at = message.end;
    }
    Ok(())
}

fn family<'a>(
    body: &'a [u8],
    start: usize,
    message: Range<usize>,
    metrics: &mut Vec<Metric<'a>>,
) -> Result<Family<'a>, ReadError> {
    let mut family = Family {
        range: start..message.end,
        message: message.clone(),
        name: "",
        // The first value of the enumeration, which writers may leave out.
        kind: Kind::Counter,
        help: "",
        unit: "",
    };
    let mut found = Vec::new();
    let mut wire = Wire {
        body,
        at: message.start,
        end: message.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Bytes(at)) => family.name = wire.text(at)?,
            (2, Field::Bytes(at)) => family.help = wire.text(at)?,
            (5, Field::Bytes(at)) => family.unit = wire.text(at)?,
            (3, Field::Varint(kind)) => {
                family.kind = match kind {
                    0 => Kind::Counter,
                    1 => Kind::Gauge,
                    2 => Kind::Summary,
                    3 => Kind::Unknown,
                    4 => Kind::Histogram,
                    5 => Kind::GaugeHistogram,
                    _ => return wire.wrong(field.start, format!("{kind} is not a type")),
                }
            }
            (4, Field::Bytes(at)) => found.push((field.start, at.clone())),
            _ => {}
        }
    }
    if family.name.is_empty() {
        return wire.wrong(start, "a family without a name".into());
    }
    for (start, at) in found {
        metrics.push(metric(body, start, at, family.kind)?);
    }
    Ok(family)
}

fn metric(
    body: &[u8],
    start: usize,
    at: Range<usize>,
    kind: Kind,
) -> Result<Metric<'_>, ReadError> {
    let mut metric = Metric {
        range: start..at.end,
        labels: Vec::new(),
        timestamp: None,
        value: Value::Number {
            value: 0.0,
            created: None,
            exemplar: None,
        },
    };
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    let mut has_value = false;
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Bytes(at)) => metric.labels.push(pair(body, at.clone())?),
            (6, Field::Varint(millis)) => metric.timestamp = Some(*millis as i64),
            (2 | 3 | 5, Field::Bytes(at)) => {
                metric.value = number(body, at.clone(), field.number == 3)?;
                has_value = true;
            }
            (4, Field::Bytes(at)) => {
                metric.value = summary(body, at.clone())?;
                has_value = true;
            }
            (7, Field::Bytes(at)) => {
                let gauge = kind == Kind::GaugeHistogram;
                metric.value = Value::Histogram(Box::new(histogram(body, at.clone(), gauge)?));
                has_value = true;
            }
            _ => {}
        }
    }
    let fits = match kind {
        Kind::Summary => matches!(metric.value, Value::Summary { .. }),
        Kind::Histogram | Kind::GaugeHistogram => matches!(metric.value, Value::Histogram(_)),
        _ => matches!(metric.value, Value::Number { .. }),
    };
    if !has_value || !fits {
        return wire.wrong(
            start,
            "a metric without a value of its family's type".into(),
        );
    }
    Ok(metric)
}

fn pair(body: &[u8], at: Range<usize>) -> Result<(&str, &str), ReadError> {
    let (mut name, mut value) = ("", "");
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Bytes(at)) => name = wire.text(at)?,
            (2, Field::Bytes(at)) => value = wire.text(at)?,
            _ => {}
        }
    }
    Ok((name, value))
}

fn number(body: &[u8], at: Range<usize>, counter: bool) -> Result<Value<'_>, ReadError> {
    let (mut value, mut created, mut exemplar) = (0.0, None, None);
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Double(given)) => value = *given,
            (2, Field::Bytes(at)) if counter => exemplar = Some(self::exemplar(body, at.clone())?),
            (3, Field::Bytes(at)) if counter => created = Some(time(body, at.clone())?),
            _ => {}
        }
    }
    Ok(Value::Number {
        value,
        created,
        exemplar,
    })
}

fn summary(body: &[u8], at: Range<usize>) -> Result<Value<'_>, ReadError> {
    let (mut count, mut sum, mut created) = (0, 0.0, None);
    let mut quantiles = Vec::new();
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Varint(given)) => count = *given,
            (2, Field::Double(given)) => sum = *given,
            (3, Field::Bytes(at)) => quantiles.push(two_doubles(body, at.clone())?),
            (4, Field::Bytes(at)) => created = Some(time(body, at.clone())?),
            _ => {}
        }
    }
    Ok(Value::Summary {
        count,
        sum,
        quantiles,
        created,
    })
}

fn two_doubles(body: &[u8], at: Range<usize>) -> Result<(f64, f64), ReadError> {
    let (mut first, mut second) = (0.0, 0.0);
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Double(given)) => first = *given,
            (2, Field::Double(given)) => second = *given,
            _ => {}
        }
    }
    Ok((first, second))
}

fn histogram(body: &[u8], at: Range<usize>, gauge: bool) -> Result<Histogram<'_>, ReadError> {
    let mut histogram = Histogram::default();
    let mut native = NativeHistogram {
        gauge,
        ..NativeHistogram::default()
    };
    let (mut is_native, mut float_count) = (false, 0.0);
    let (mut negative, mut positive) = (Vec::new(), Vec::new());
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Varint(count)) => histogram.count = *count as f64,
            (4, Field::Double(count)) => float_count = *count,
            (2, Field::Double(sum)) => histogram.sum = *sum,
            (3, Field::Bytes(at)) => histogram.buckets.push(bucket(body, at.clone())?),
            (15, Field::Bytes(at)) => histogram.created = Some(time(body, at.clone())?),
            (16, Field::Bytes(at)) => histogram.exemplars.push(exemplar(body, at.clone())?),
            (5, Field::Varint(schema)) => native.schema = zigzag(*schema) as i32,
            (6, Field::Double(width)) => {
                native.zero_threshold = *width;
                is_native |= *width > 0.0;
            }
            (7, Field::Varint(count)) => {
                native.zero_count = *count as f64;
                is_native |= *count > 0;
            }
            (8, Field::Double(count)) if *count > 0.0 => {
                native.zero_count = *count;
                native.float = true;
                is_native = true;
            }
            (9, Field::Bytes(at)) => native.negative_spans.push(span(body, at.clone())?),
            (12, Field::Bytes(at)) => native.positive_spans.push(span(body, at.clone())?),
            (10, value) => wire.deltas(value, field.start, &mut negative)?,
            (13, value) => wire.deltas(value, field.start, &mut positive)?,
            (11, value) => wire.doubles(value, field.start, &mut native.negative_counts)?,
            (14, value) => wire.doubles(value, field.start, &mut native.positive_counts)?,
            _ => {}
        }
    }
    if float_count > 0.0 {
        histogram.count = float_count;
        native.float = true;
    }
    is_native |= !native.negative_spans.is_empty() || !native.positive_spans.is_empty();
    if is_native {
        for (deltas, counts) in [
            (negative, &mut native.negative_counts),
            (positive, &mut native.positive_counts),
        ] {
            native.float |= deltas.is_empty() && !counts.is_empty();
            if !deltas.is_empty() {
                counts.clear();
            }
            let mut absolute = 0_i64;
            for delta in deltas {
                absolute = absolute.wrapping_add(delta);
                counts.push(absolute as f64);
            }
        }
        (native.count, native.sum) = (histogram.count, histogram.sum);
        check_spans(&native).map_err(|message| ReadError::Protobuf {
            byte: at.start,
            message,
        })?;
        histogram.native = Some(native);
    }
    Ok(histogram)
}

/// As many buckets as the spans have room for.
fn check_spans(native: &NativeHistogram) -> Result<(), String> {
    for (name, spans, counts) in [
        ("negative", &native.negative_spans, &native.negative_counts),
        ("positive", &native.positive_spans, &native.positive_counts),
    ] {
        let room: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        if room != counts.len() as u64 {
            return Err(format!(
                "the {name} spans of a native histogram have room for {room} buckets, not for {}",
                counts.len()
            ));
        }
    }
    Ok(())
}

fn span(body: &[u8], at: Range<usize>) -> Result<Span, ReadError> {
    let mut span = Span::default();
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Varint(offset)) => span.offset = zigzag(*offset) as i32,
            (2, Field::Varint(length)) => span.length = *length as u32,
            _ => {}
        }
    }
    Ok(span)
}

fn bucket(body: &[u8], at: Range<usize>) -> Result<Bucket<'_>, ReadError> {
    let mut bucket = Bucket::default();
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Varint(count)) if bucket.cumulative == 0.0 => {
                bucket.cumulative = *count as f64;
            }
            (4, Field::Double(count)) if *count > 0.0 => bucket.cumulative = *count,
            (2, Field::Double(bound)) => bucket.upper_bound = *bound,
            (3, Field::Bytes(at)) => bucket.exemplar = Some(exemplar(body, at.clone())?),
            _ => {}
        }
    }
    Ok(bucket)
}

fn exemplar(body: &[u8], at: Range<usize>) -> Result<Exemplar<'_>, ReadError> {
    let mut exemplar = Exemplar::default();
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Bytes(at)) => exemplar.labels.push(pair(body, at.clone())?),
            (2, Field::Double(value)) => exemplar.value = *value,
            (3, Field::Bytes(at)) => exemplar.timestamp = Some(time(body, at.clone())?),
            _ => {}
        }
    }
    Ok(exemplar)
}

/// `google.protobuf.Timestamp` in milliseconds.
fn time(body: &[u8], at: Range<usize>) -> Result<i64, ReadError> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Varint(given)) => seconds = *given as i64,
            (2, Field::Varint(given)) => nanos = *given as i64,
            _ => {}
        }
    }
    Ok(seconds
        .saturating_mul(1000)
        .saturating_add(nanos / 1_000_000))
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

enum Field {
    Varint(u64),
    Double(f64),
    Bytes(Range<usize>),
    /// Four bytes, which no field here has.
    Other,
}

struct Tagged {
    number: u64,
    /// Where its tag stands.
    start: usize,
    value: Field,
}

/// A cursor in a message.
struct Wire<'a> {
    body: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Wire<'a> {
    #[expect(clippy::unused_self, reason = "reads as the parsers of text do")]
    fn wrong<T>(&self, byte: usize, message: String) -> Result<T, ReadError> {
        Err(ReadError::Protobuf { byte, message })
    }

    fn varint(&mut self) -> Result<u64, ReadError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some(byte) = self.body[..self.end].get(self.at) else {
                return self.wrong(self.at, "the message ends within a number".into());
            };
            self.at += 1;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        self.wrong(self.at, "a number of more than ten bytes".into())
    }

    /// A length and what has it.
    fn length(&mut self) -> Result<Range<usize>, ReadError> {
        let start = self.at;
        let length = self.varint()?;
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length))
            .filter(|end| *end <= self.end);
        match end {
            Some(end) => Ok(self.at..end),
            None => self.wrong(
                start,
                format!(
                    "{length} bytes are announced, and {} are there",
                    self.end - self.at
                ),
            ),
        }
    }

    fn field(&mut self) -> Result<Option<Tagged>, ReadError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let start = self.at;
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Double(f64::from_le_bytes(self.fixed()?)),
            2 => {
                let at = self.length()?;
                self.at = at.end;
                Field::Bytes(at)
            }
            5 => {
                self.fixed::<4>()?;
                Field::Other
            }
            kind => {
                return self.wrong(start, format!("a field of the unknown wire type {kind}"));
            }
        };
        Ok(Some(Tagged {
            number: tag >> 3,
            start,
            value,
        }))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let bytes = self.body[..self.end].get(self.at..self.at + N);
        match bytes.and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => {
                self.at += N;
                Ok(bytes)
            }
            None => self.wrong(self.at, "the message ends within a number".into()),
        }
    }

    fn text(&self, at: &Range<usize>) -> Result<&'a str, ReadError> {
        match std::str::from_utf8(&self.body[at.clone()]) {
            Ok(text) => Ok(text),
            Err(error) => self.wrong(at.start + error.valid_up_to(), "this is not UTF-8".into()),
        }
    }

    /// Signed numbers, packed or one by one.
    fn deltas(&self, value: &Field, at: usize, into: &mut Vec<i64>) -> Result<(), ReadError> {
        match value {
            Field::Varint(value) => into.push(zigzag(*value)),
            Field::Bytes(range) => {
                let mut wire = Wire {
                    body: self.body,
                    at: range.start,
                    end: range.end,
                };
                while wire.at < wire.end {
                    into.push(zigzag(wire.varint()?));
                }
            }
            _ => return self.wrong(at, "buckets of another type".into()),
        }
        Ok(())
    }

    fn doubles(&self, value: &Field, at: usize, into: &mut Vec<f64>) -> Result<(), ReadError> {
        match value {
            Field::Double(value) => into.push(*value),
            Field::Bytes(range) => {
                let mut wire = Wire {
                    body: self.body,
                    at: range.start,
                    end: range.end,
                };
                while wire.at < wire.end {
                    into.push(f64::from_le_bytes(wire.fixed()?));
                }
            }
            _ => return self.wrong(at, "buckets of another type".into()),
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
