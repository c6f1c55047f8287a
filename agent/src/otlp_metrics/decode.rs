//! From the bytes of an `ExportMetricsServiceRequest` to points, one after the other: nothing of a
//! request is built up as a whole. Pure.

use serde_json::Value as Json;

use super::point::{Classic, Exemplar, Exponential, Point};
use crate::traces::wire::{MAX_DEPTH, Malformed, Reader, Value};

/// Longest labels of an exemplar, in characters, as OpenMetrics limits them.
const EXEMPLAR_LENGTH: usize = 128;

pub type Attributes = Vec<(String, String)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Sum { monotonic: bool },
    Histogram,
    Exponential,
    Summary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    Unspecified,
    Delta,
    Cumulative,
    /// Gauges and summaries have none.
    None,
}

/// What a metric says of itself.
#[derive(Debug)]
pub struct Metric<'a> {
    pub name: &'a str,
    pub description: &'a str,
    pub unit: &'a str,
    pub kind: Kind,
    pub temporality: Temporality,
}

/// A data point.
#[derive(Debug)]
pub struct Found {
    pub attributes: Attributes,
    /// Nanoseconds since 1970.
    pub start: u64,
    pub time: u64,
    /// `None`: the series has ended, or the point has no value.
    pub point: Option<Point>,
    pub ended: bool,
    pub exemplars: Vec<Exemplar>,
}

/// What takes a request's parts over.
pub trait Visitor {
    fn resource(&mut self, attributes: &Attributes);
    fn point(&mut self, metric: &Metric<'_>, found: Found);
    /// A metric without points or of a type that nobody knows.
    fn empty(&mut self, name: &str);
}

/// Visits every point; all of a request is checked before, so that none is taken of a bad one.
pub fn request(bytes: &[u8], visitor: &mut dyn Visitor) -> Result<(), Malformed> {
    each(Reader::new(bytes), 1, &mut |resource_metrics| {
        let mut attributes = Vec::new();
        each(resource_metrics.clone(), 1, &mut |resource| {
            each(resource, 1, &mut |pair| {
                attributes.extend(key_value(pair)?);
                Ok(())
            })
        })?;
        visitor.resource(&attributes);
        each(resource_metrics, 2, &mut |scope_metrics| {
            each(scope_metrics, 2, &mut |reader| metric(reader, visitor))
        })
    })
}

/// Calls `work` for every message of this number.
fn each<'a>(
    mut reader: Reader<'a>,
    wanted: u32,
    work: &mut dyn FnMut(Reader<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while let Some((number, value)) = reader.field()? {
        match value {
            Value::Bytes(bytes) if number == wanted => work(reader.inner(bytes))?,
            _ if number == wanted => return Err(wrong(&reader, "is no message")),
            _ => {}
        }
    }
    Ok(())
}

fn wrong(reader: &Reader<'_>, what: &'static str) -> Malformed {
    Malformed::Wire {
        at: reader.at(),
        what,
    }
}

fn text<'a>(reader: &Reader<'_>, bytes: &'a [u8]) -> Result<&'a str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| wrong(reader, "a name is not UTF-8"))
}

fn metric(mut reader: Reader<'_>, visitor: &mut dyn Visitor) -> Result<(), Malformed> {
    let (mut name, mut description, mut unit) = ("", "", "");
    let mut data = None;
    while let Some((number, value)) = reader.field()? {
        let Value::Bytes(bytes) = value else { continue };
        match number {
            1 => name = text(&reader, bytes)?,
            2 => description = text(&reader, bytes)?,
            3 => unit = text(&reader, bytes)?,
            5 | 7 | 9 | 10 | 11 => data = Some((number, reader.inner(bytes))),
            _ => {}
        }
    }
    let Some((number, data)) = data else {
        visitor.empty(name);
        return Ok(());
    };
    let (mut temporality, mut monotonic) = (Temporality::Unspecified, false);
    let mut ahead = data.clone();
    while let Some((number, value)) = ahead.field()? {
        match (number, value) {
            (2, Value::Varint(1)) => temporality = Temporality::Delta,
            (2, Value::Varint(2)) => temporality = Temporality::Cumulative,
            (3, Value::Varint(set)) => monotonic = set != 0,
            _ => {}
        }
    }
    let kind = match number {
        5 => Kind::Gauge,
        7 => Kind::Sum { monotonic },
        9 => Kind::Histogram,
        10 => Kind::Exponential,
        _ => Kind::Summary,
    };
    if matches!(kind, Kind::Gauge | Kind::Summary) {
        temporality = Temporality::None;
    }
    let metric = Metric {
        name,
        description,
        unit,
        kind,
        temporality,
    };
    let mut points = 0;
    each(data, 1, &mut |reader| {
        points += 1;
        visitor.point(&metric, point(kind, reader)?);
        Ok(())
    })?;
    if points == 0 {
        visitor.empty(name);
    }
    Ok(())
}

fn point(kind: Kind, reader: Reader<'_>) -> Result<Found, Malformed> {
    match kind {
        Kind::Gauge | Kind::Sum { .. } => number(reader),
        Kind::Histogram => histogram(reader),
        Kind::Exponential => exponential(reader),
        Kind::Summary => summary(reader),
    }
}

impl Found {
    fn new() -> Self {
        Self {
            attributes: Vec::new(),
            start: 0,
            time: 0,
            point: None,
            ended: false,
            exemplars: Vec::new(),
        }
    }

    /// What all kinds have under the same numbers, and what differs.
    fn common(
        &mut self,
        reader: &Reader<'_>,
        field: (u32, Value<'_>),
        attributes: u32,
        flags: u32,
        exemplars: u32,
    ) -> Result<bool, Malformed> {
        match field {
            (2, Value::Fixed64(at)) => self.start = at,
            (3, Value::Fixed64(at)) => self.time = at,
            (number, Value::Bytes(bytes)) if number == attributes => {
                self.attributes.extend(key_value(reader.inner(bytes))?);
            }
            (number, Value::Varint(set)) if number == flags => self.ended = set & 1 == 1,
            (number, Value::Bytes(bytes)) if number == exemplars => {
                self.exemplars.extend(exemplar(reader.inner(bytes))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn number(mut reader: Reader<'_>) -> Result<Found, Malformed> {
    let mut found = Found::new();
    while let Some(field) = reader.field()? {
        if found.common(&reader, field, 7, 8, 5)? {
            continue;
        }
        match field {
            (4, Value::Fixed64(bits)) => found.point = Some(Point::Number(f64::from_bits(bits))),
            (6, Value::Fixed64(bits)) => found.point = Some(Point::Number(bits as i64 as f64)),
            _ => {}
        }
    }
    // A point without a value is 0 to Prometheus, too.
    found.point.get_or_insert(Point::Number(0.0));
    Ok(found)
}

fn histogram(mut reader: Reader<'_>) -> Result<Found, Malformed> {
    let mut found = Found::new();
    let mut classic = Classic::default();
    while let Some(field) = reader.field()? {
        if found.common(&reader, field, 9, 10, 8)? {
            continue;
        }
        match field {
            (4, Value::Fixed64(count)) => classic.count = count,
            (5, Value::Fixed64(bits)) => classic.sum = Some(f64::from_bits(bits)),
            (6, value) => fixed(&reader, value, &mut classic.counts)?,
            (7, value) => {
                let mut bits = Vec::new();
                fixed(&reader, value, &mut bits)?;
                classic.bounds.extend(bits.into_iter().map(f64::from_bits));
            }
            _ => {}
        }
    }
    // The last bucket has no bound; without counts there are no buckets.
    let bounds = classic.bounds.len().min(classic.counts.len());
    classic.bounds.truncate(bounds);
    found.point = Some(Point::Histogram(classic));
    Ok(found)
}

fn exponential(mut reader: Reader<'_>) -> Result<Found, Malformed> {
    let mut found = Found::new();
    let mut read = Exponential::default();
    while let Some(field) = reader.field()? {
        if found.common(&reader, field, 1, 10, 11)? {
            continue;
        }
        match field {
            (4, Value::Fixed64(count)) => read.count = count,
            (5, Value::Fixed64(bits)) => read.sum = f64::from_bits(bits),
            (6, Value::Varint(scale)) => read.scale = signed(scale),
            (7, Value::Fixed64(count)) => read.zero_count = count,
            (8, Value::Bytes(bytes)) => read.positive = buckets(reader.inner(bytes))?,
            (9, Value::Bytes(bytes)) => read.negative = buckets(reader.inner(bytes))?,
            _ => {}
        }
    }
    found.point = read.native().map(|native| Point::Native(Box::new(native)));
    Ok(found)
}

fn buckets(mut reader: Reader<'_>) -> Result<(i32, Vec<u64>), Malformed> {
    let (mut offset, mut counts) = (0, Vec::new());
    while let Some((number, value)) = reader.field()? {
        match (number, value) {
            (1, Value::Varint(value)) => offset = signed(value),
            (2, Value::Varint(count)) => counts.push(count),
            (2, Value::Bytes(packed)) => {
                let mut packed = reader.inner(packed);
                while let Some(count) = packed.packed()? {
                    counts.push(count);
                }
            }
            _ => {}
        }
    }
    Ok((offset, counts))
}

fn summary(mut reader: Reader<'_>) -> Result<Found, Malformed> {
    let mut found = Found::new();
    let (mut count, mut sum, mut quantiles) = (0, 0.0, Vec::new());
    while let Some(field) = reader.field()? {
        if found.common(&reader, field, 7, 8, u32::MAX)? {
            continue;
        }
        match field {
            (4, Value::Fixed64(value)) => count = value,
            (5, Value::Fixed64(bits)) => sum = f64::from_bits(bits),
            (6, Value::Bytes(bytes)) => {
                let (mut quantile, mut value) = (0.0, 0.0);
                let mut inner = reader.inner(bytes);
                while let Some(field) = inner.field()? {
                    match field {
                        (1, Value::Fixed64(bits)) => quantile = f64::from_bits(bits),
                        (2, Value::Fixed64(bits)) => value = f64::from_bits(bits),
                        _ => {}
                    }
                }
                quantiles.push((quantile, value));
            }
            _ => {}
        }
    }
    found.point = Some(Point::Summary {
        count: count as f64,
        sum,
        quantiles,
    });
    Ok(found)
}

/// A repeated fixed64, packed or not.
fn fixed(reader: &Reader<'_>, value: Value<'_>, into: &mut Vec<u64>) -> Result<(), Malformed> {
    match value {
        Value::Fixed64(one) => into.push(one),
        Value::Bytes(packed) => {
            let (eights, rest) = packed.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(wrong(reader, "a list of numbers is cut off"));
            }
            into.extend(eights.iter().map(|bytes| u64::from_le_bytes(*bytes)));
        }
        _ => return Err(wrong(reader, "a list of numbers is of another wire type")),
    }
    Ok(())
}

fn signed(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

fn exemplar(mut reader: Reader<'_>) -> Result<Option<Exemplar>, Malformed> {
    let (mut labels, mut attributes) = (Vec::new(), Vec::new());
    let (mut value, mut time) = (None, 0);
    while let Some(field) = reader.field()? {
        match field {
            (2, Value::Fixed64(at)) => time = at,
            (3, Value::Fixed64(bits)) => value = Some(f64::from_bits(bits)),
            (6, Value::Fixed64(bits)) => value = Some(bits as i64 as f64),
            (4, Value::Bytes(id)) if id.iter().any(|b| *b != 0) => {
                labels.push(("span_id".to_owned(), hexadecimal(id)));
            }
            (5, Value::Bytes(id)) if id.iter().any(|b| *b != 0) => {
                labels.push(("trace_id".to_owned(), hexadecimal(id)));
            }
            (7, Value::Bytes(pair)) => attributes.extend(key_value(reader.inner(pair))?),
            _ => {}
        }
    }
    let length = |pairs: &Attributes| -> usize {
        let letters = |text: &str| text.chars().count();
        pairs.iter().map(|(n, v)| letters(n) + letters(v)).sum()
    };
    if length(&labels) + length(&attributes) <= EXEMPLAR_LENGTH {
        labels.extend(attributes);
    }
    labels.sort();
    Ok(value.map(|value| Exemplar {
        labels,
        value,
        timestamp: (time / 1_000_000) as i64,
    }))
}

fn hexadecimal(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An attribute with its value as text; `None` for one without a key.
fn key_value(mut reader: Reader<'_>) -> Result<Option<(String, String)>, Malformed> {
    let (mut key, mut value) = ("", String::new());
    while let Some((number, field)) = reader.field()? {
        match (number, field) {
            (1, Value::Bytes(bytes)) => key = text(&reader, bytes)?,
            (2, Value::Bytes(bytes)) => {
                value = match any(reader.inner(bytes), MAX_DEPTH)? {
                    Json::String(text) => text,
                    Json::Null => String::new(),
                    Json::Number(number) => shown(&number),
                    other => other.to_string(),
                }
            }
            _ => {}
        }
    }
    Ok((!key.is_empty()).then(|| (key.to_owned(), value)))
}

/// As OpenTelemetry's own text of a value: whole doubles without a point.
fn shown(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < 1e21 => {
            format!("{value:.0}")
        }
        _ => number.to_string(),
    }
}

fn any(mut reader: Reader<'_>, depth: u32) -> Result<Json, Malformed> {
    if depth == 0 {
        return Err(wrong(&reader, "values are nested more than 100 deep"));
    }
    let mut out = Json::Null;
    while let Some((number, field)) = reader.field()? {
        out = match (number, field) {
            (1, Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into(),
            (2, Value::Varint(set)) => (set != 0).into(),
            (3, Value::Varint(value)) => (value as i64).into(),
            (4, Value::Fixed64(bits)) => match serde_json::Number::from_f64(f64::from_bits(bits)) {
                Some(number) => number.into(),
                None => match f64::from_bits(bits) {
                    value if value.is_nan() => "NaN".into(),
                    value if value > 0.0 => "+Inf".into(),
                    _ => "-Inf".into(),
                },
            },
            (5, Value::Bytes(bytes)) => {
                let mut list = Vec::new();
                each(reader.inner(bytes), 1, &mut |inner| {
                    list.push(any(inner, depth - 1)?);
                    Ok(())
                })?;
                list.into()
            }
            (6, Value::Bytes(bytes)) => {
                let mut map = serde_json::Map::new();
                each(reader.inner(bytes), 1, &mut |mut pair| {
                    let (mut key, mut value) = (String::new(), Json::Null);
                    while let Some(field) = pair.field()? {
                        match field {
                            (1, Value::Bytes(text)) => {
                                key = String::from_utf8_lossy(text).into_owned();
                            }
                            (2, Value::Bytes(bytes)) => {
                                value = any(pair.inner(bytes), depth - 1)?;
                            }
                            _ => {}
                        }
                    }
                    map.insert(key, value);
                    Ok(())
                })?;
                map.into()
            }
            (7, Value::Bytes(bytes)) => {
                use base64::Engine as _;
                base64::engine::general_purpose::STANDARD
                    .encode(bytes)
                    .into()
            }
            _ => continue,
        };
    }
    Ok(out)
}
