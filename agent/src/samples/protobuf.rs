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
    let mut unknown = None;
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
                    // Wrong only if there are metrics.
                    _ => {
                        unknown = Some((field.start, *kind));
                        Kind::Unknown
                    }
                }
            }
            (4, Field::Bytes(at)) => found.push((field.start, at.clone())),
            (1..=5, _) => return wire.misfit(&field),
            _ => {}
        }
    }
    if family.name.is_empty() && !found.is_empty() {
        return wire.wrong(start, "a family without a name".into());
    }
    if let Some((at, kind)) = unknown.filter(|_| !found.is_empty()) {
        return wire.wrong(at, format!("{kind} is not a type"));
    }
    if !found.is_empty() && !family.unit.is_empty() {
        let counter = family.kind == Kind::Counter;
        let base = match family.name.strip_suffix("_total") {
            Some(base) if counter => base,
            _ => family.name,
        };
        let before = base.strip_suffix(family.unit);
        if !before.is_some_and(|before| before.ends_with('_')) {
            return wire.wrong(
                start,
                format!(
                    "the unit {:?} is not the end of the name {:?}",
                    family.unit, family.name
                ),
            );
        }
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
                let value = number(body, at.clone(), field.number == 3)?;
                let fits = match kind {
                    Kind::Counter => field.number == 3,
                    Kind::Gauge => field.number == 2,
                    Kind::Unknown => field.number == 5,
                    _ => false,
                };
                if fits {
                    metric.value = value;
                    has_value = true;
                }
            }
            (4, Field::Bytes(at)) => {
                let value = summary(body, at.clone())?;
                if kind == Kind::Summary {
                    metric.value = value;
                    has_value = true;
                }
            }
            (7, Field::Bytes(at)) => {
                let gauge = kind == Kind::GaugeHistogram;
                let value = histogram(body, at.clone(), gauge)?;
                if gauge || kind == Kind::Histogram {
                    metric.value = Value::Histogram(Box::new(value));
                    has_value = true;
                }
            }
            (1..=7, _) => return wire.misfit(&field),
            _ => {}
        }
    }
    if !has_value {
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
            (1 | 2, _) => return wire.misfit(&field),
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
            (1, _) => return wire.misfit(&field),
            (2 | 3, _) if counter => return wire.misfit(&field),
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
            (1..=4, _) => return wire.misfit(&field),
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
            (1 | 2, _) => return wire.misfit(&field),
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
    let (mut is_native, mut float_count, mut zero_float) = (false, 0.0, 0.0);
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
            (8, Field::Double(count)) => zero_float = *count,
            (9, Field::Bytes(at)) => native.negative_spans.push(span(body, at.clone())?),
            (12, Field::Bytes(at)) => native.positive_spans.push(span(body, at.clone())?),
            (10, value) => wire.deltas(value, field.start, &mut negative)?,
            (13, value) => wire.deltas(value, field.start, &mut positive)?,
            (11, value) => wire.doubles(value, field.start, &mut native.negative_counts)?,
            (14, value) => wire.doubles(value, field.start, &mut native.positive_counts)?,
            (1..=16, _) => return wire.misfit(&field),
            _ => {}
        }
    }
    if float_count > 0.0 {
        histogram.count = float_count;
        native.float = true;
    }
    native.float |= zero_float > 0.0;
    is_native |= !native.negative_spans.is_empty() || !native.positive_spans.is_empty();
    if is_native {
        let integers = !negative.is_empty() || !positive.is_empty();
        let floats = !native.negative_counts.is_empty() || !native.positive_counts.is_empty();
        native.float |= floats && !integers;
        for (deltas, counts) in [
            (negative, &mut native.negative_counts),
            (positive, &mut native.positive_counts),
        ] {
            if native.float {
                continue;
            }
            counts.clear();
            let mut absolute = 0_i64;
            for delta in deltas {
                absolute = absolute.wrapping_add(delta);
                counts.push(absolute as f64);
            }
        }
        (native.count, native.sum) = (histogram.count, histogram.sum);
        if native.float {
            (native.count, native.zero_count) = (float_count, zero_float);
        }
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
            (1 | 2, _) => return wire.misfit(&field),
            _ => {}
        }
    }
    Ok(span)
}

fn bucket(body: &[u8], at: Range<usize>) -> Result<Bucket<'_>, ReadError> {
    let mut bucket = Bucket::default();
    let mut integer = 0.0;
    let mut wire = Wire {
        body,
        at: at.start,
        end: at.end,
    };
    while let Some(field) = wire.field()? {
        match (field.number, &field.value) {
            (1, Field::Varint(count)) => integer = *count as f64,
            (4, Field::Double(count)) => bucket.cumulative = *count,
            (2, Field::Double(bound)) => bucket.upper_bound = *bound,
            (3, Field::Bytes(at)) => bucket.exemplar = Some(exemplar(body, at.clone())?),
            (1..=4, _) => return wire.misfit(&field),
            _ => {}
        }
    }
    if bucket.cumulative == 0.0 {
        bucket.cumulative = integer;
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
            (1..=3, _) => return wire.misfit(&field),
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
            (2, Field::Varint(given)) => nanos = i64::from(*given as i32),
            (1 | 2, _) => return wire.misfit(&field),
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

    /// A field that is known, in another shape.
    fn misfit<T>(&self, field: &Tagged) -> Result<T, ReadError> {
        self.wrong(
            field.start,
            format!("field {} is not of the type that it has here", field.number),
        )
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
        if tag >> 3 == 0 {
            return self.wrong(start, "a field without a number".into());
        }
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
