//! The records of an `ExportLogsServiceRequest`, one after the other, as plain values. Of requests
//! that were checked against the schema; what does not read ends a message's fields. Pure.

use base64::Engine as _;
use serde_json::{Map, Value as Json};

use crate::traces::wire::{Malformed, Reader, Value};

pub type Attributes = Map<String, Json>;

/// Deepest value that becomes one; what is below is told as text.
const DEEPEST: u32 = 16;

/// What a record is within.
#[derive(Debug, Default)]
pub struct Scope {
    pub resource: Attributes,
    pub attributes: Attributes,
    pub name: String,
    pub version: String,
}

#[derive(Debug, Default, PartialEq)]
pub struct Record {
    /// Nanoseconds since 1970; 0: not said.
    pub time: u64,
    pub observed: u64,
    pub severity: u64,
    pub severity_text: String,
    pub body: Json,
    pub attributes: Attributes,
    pub dropped_attributes: u64,
    /// Hexadecimal; empty: none.
    pub trace: String,
    pub span: String,
    pub event: String,
}

/// Calls `tell` with each record and what it is within.
pub fn each(request: &[u8], tell: &mut dyn FnMut(&Scope, Record)) -> Result<(), Malformed> {
    messages(request, 1, &mut |of_resource| {
        let mut scope = Scope::default();
        messages(of_resource, 1, &mut |resource| {
            attributes(resource, 1, &mut scope.resource)
        })?;
        messages(of_resource, 2, &mut |of_scope| {
            scope.attributes.clear();
            scope.name.clear();
            scope.version.clear();
            messages(of_scope, 1, &mut |given| {
                attributes(given, 3, &mut scope.attributes)?;
                let mut reader = Reader::new(given);
                while let Some((number, value)) = reader.field()? {
                    match (number, value) {
                        (1, Value::Bytes(bytes)) => scope.name = text(bytes),
                        (2, Value::Bytes(bytes)) => scope.version = text(bytes),
                        _ => {}
                    }
                }
                Ok(())
            })?;
            messages(of_scope, 2, &mut |bytes| {
                tell(&scope, record(bytes)?);
                Ok(())
            })
        })
    })
}

fn messages<'a>(
    message: &'a [u8],
    wanted: u32,
    work: &mut dyn FnMut(&'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        if let Value::Bytes(bytes) = value
            && number == wanted
        {
            work(bytes)?;
        }
    }
    Ok(())
}

fn record(bytes: &[u8]) -> Result<Record, Malformed> {
    let mut record = Record::default();
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        match (number, value) {
            (1, Value::Fixed64(nanos)) => record.time = nanos,
            (11, Value::Fixed64(nanos)) => record.observed = nanos,
            (2, Value::Varint(number)) => record.severity = number,
            (3, Value::Bytes(bytes)) => record.severity_text = text(bytes),
            (5, Value::Bytes(bytes)) => record.body = any(bytes, DEEPEST)?,
            (7, Value::Varint(count)) => record.dropped_attributes = count,
            (9, Value::Bytes(id)) => record.trace = hexadecimal(id),
            (10, Value::Bytes(id)) => record.span = hexadecimal(id),
            (12, Value::Bytes(bytes)) => record.event = text(bytes),
            _ => {}
        }
    }
    attributes(bytes, 6, &mut record.attributes)?;
    Ok(record)
}

/// An id of zeros is none.
fn hexadecimal(id: &[u8]) -> String {
    if id.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    crate::durable::hex(id)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn attributes(message: &[u8], number: u32, into: &mut Attributes) -> Result<(), Malformed> {
    pairs(message, number, DEEPEST, into)
}

fn pairs(message: &[u8], number: u32, depth: u32, into: &mut Attributes) -> Result<(), Malformed> {
    messages(message, number, &mut |pair| {
        let (mut key, mut held) = (String::new(), Json::Null);
        let mut reader = Reader::new(pair);
        while let Some((number, value)) = reader.field()? {
            match (number, value) {
                (1, Value::Bytes(bytes)) => key = text(bytes),
                (2, Value::Bytes(bytes)) => held = any(bytes, depth)?,
                _ => {}
            }
        }
        into.insert(key, held);
        Ok(())
    })
}

/// An `AnyValue`; an empty one is null.
fn any(bytes: &[u8], depth: u32) -> Result<Json, Malformed> {
    let mut held = Json::Null;
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        held = match (number, value) {
            (1, Value::Bytes(bytes)) => text(bytes).into(),
            (2, Value::Varint(value)) => (value != 0).into(),
            (3, Value::Varint(value)) => (value as i64).into(),
            (4, Value::Fixed64(bits)) => {
                let value = f64::from_bits(bits);
                // JSON has no word for what is no number.
                serde_json::Number::from_f64(value)
                    .map_or_else(|| value.to_string().into(), Json::Number)
            }
            (5 | 6, Value::Bytes(_)) if depth == 0 => "…".into(),
            (5, Value::Bytes(bytes)) => {
                let mut values = Vec::new();
                messages(bytes, 1, &mut |one| {
                    values.push(any(one, depth - 1)?);
                    Ok(())
                })?;
                values.into()
            }
            (6, Value::Bytes(bytes)) => {
                let mut members = Map::new();
                pairs(bytes, 1, depth - 1, &mut members)?;
                members.into()
            }
            (7, Value::Bytes(bytes)) => base64::engine::general_purpose::STANDARD
                .encode(bytes)
                .into(),
            _ => held,
        };
    }
    Ok(held)
}
