//! The spans of a request, looked at where they lie: their name, kind, status and attributes, for
//! business rules. Only of requests that [`super::walk`] has checked; what does not read ends a
//! span's fields, and nothing more.

use std::borrow::Cow;

use kai_contract::expression::Scalar;

use super::wire::{Reader, Value};

/// One span.
pub struct View<'a> {
    span: &'a [u8],
    /// Of the `Resource` around it.
    resource: &'a [u8],
    service: Cow<'a, str>,
}

/// A field's value, kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    Text(Vec<u8>),
    Number(Vec<u8>),
    Bool(bool),
    Other,
}

impl Held {
    pub fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Text(bytes) => Scalar::Text(bytes),
            Self::Number(bytes) => Scalar::Number(bytes),
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Other => Scalar::Other,
        }
    }
}

const KINDS: [&str; 6] = [
    "unspecified",
    "internal",
    "server",
    "client",
    "producer",
    "consumer",
];
const STATUSES: [&str; 3] = ["unset", "ok", "error"];

/// Fields of one number within a message.
fn fields(message: &[u8], number: u32) -> impl Iterator<Item = Value<'_>> {
    let mut reader = Reader::new(message);
    std::iter::from_fn(move || {
        loop {
            let (found, value) = reader.field().ok()??;
            if found == number {
                return Some(value);
            }
        }
    })
}

fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    fields(message, number).filter_map(|value| match value {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    })
}

/// Calls `tell` for each span of an `ExportTraceServiceRequest`.
pub fn each(request: &[u8], mut tell: impl FnMut(&View<'_>)) {
    for of_resource in messages(request, 1) {
        let resource = messages(of_resource, 1).last().unwrap_or_default();
        let service = match attribute(resource, 1, "service.name") {
            Some(Held::Text(bytes)) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            _ => Cow::Borrowed(""),
        };
        for of_scope in messages(of_resource, 2) {
            for span in messages(of_scope, 2) {
                tell(&View {
                    span,
                    resource,
                    service: service.clone(),
                });
            }
        }
    }
}

impl View<'_> {
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Tells it from other spans, as well as 64 bits can.
    pub fn id(&self) -> u64 {
        let part = |number| {
            let bytes = messages(self.span, number).last().unwrap_or_default();
            bytes
                .iter()
                .rev()
                .take(8)
                .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte))
        };
        part(2) ^ part(1).rotate_left(32)
    }

    /// A field by its name in rules: `span.name`, `span.kind`, `span.status`, `span.duration_ms`,
    /// `resource.…`, or an attribute.
    pub fn get(&self, name: &str) -> Option<Held> {
        let varint = |value: Option<Value<'_>>| match value {
            Some(Value::Varint(number)) => number as usize,
            _ => 0,
        };
        let word = |words: &[&str], number: usize| {
            words
                .get(number)
                .map(|word| Held::Text(word.as_bytes().to_vec()))
        };
        match name {
            "span.name" => messages(self.span, 5)
                .last()
                .map(|bytes| Held::Text(bytes.to_vec())),
            "span.kind" => word(&KINDS, varint(fields(self.span, 6).last())),
            "span.status" => {
                let status = messages(self.span, 15).last().unwrap_or_default();
                word(&STATUSES, varint(fields(status, 3).last()))
            }
            "span.duration_ms" => {
                let nanos = |number| match fields(self.span, number).last() {
                    Some(Value::Fixed64(nanos)) => Some(nanos),
                    _ => None,
                };
                let nanos = nanos(8)?.checked_sub(nanos(7)?)?;
                let text = format!("{}", nanos as f64 / 1e6);
                Some(Held::Number(text.into_bytes()))
            }
            name => match name.strip_prefix("resource.") {
                Some(name) => attribute(self.resource, 1, name),
                None => attribute(self.span, 9, name),
            },
        }
    }
}

/// The attribute of a message whose attributes have the number `number`.
fn attribute(message: &[u8], number: u32, name: &str) -> Option<Held> {
    let pair = messages(message, number)
        .find(|pair| messages(pair, 1).last().unwrap_or_default() == name.as_bytes())?;
    let value = messages(pair, 2).last()?;
    let mut reader = Reader::new(value);
    let mut held = None;
    while let Ok(Some((number, value))) = reader.field() {
        held = match (number, value) {
            (1, Value::Bytes(bytes)) => Some(Held::Text(bytes.to_vec())),
            (2, Value::Varint(value)) => Some(Held::Bool(value != 0)),
            (3, Value::Varint(value)) => Some(Held::Number((value as i64).to_string().into())),
            (4, Value::Fixed64(bits)) => {
                let value = f64::from_bits(bits);
                Some(if value.is_finite() {
                    Held::Number(value.to_string().into())
                } else {
                    Held::Text(value.to_string().into())
                })
            }
            _ => Some(Held::Other),
        };
    }
    held
}
