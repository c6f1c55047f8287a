//! OTLP's JSON into protobuf, along the schema's table. Pure.
//!
//! proto3's JSON mapping with OTLP's three deviations: ids are hexadecimal, enum values are numbers
//! only, unknown names are passed over. Numbers of any size may be text; text that stands for
//! bytes is base64 in either alphabet, padded or not.
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::base64;
use super::schema::{Field, Kind, Message};
use super::wire::{Malformed, put_bytes, put_key, put_varint};

/// The protobuf of a request in JSON: an `ExportTraceServiceRequest` or another message.
pub fn to_protobuf(json: &[u8], message: &'static Message) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(json.len() / 2);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let whole = Whole {
        message,
        out: &mut out,
    };
    whole
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| Malformed::Json(error.to_string()))?;
    Ok(out)
}

/// Writes the fields of a JSON object.
struct Whole<'a> {
    message: &'static Message,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "an object, {}", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match self.message.named(&name) {
                Some(field) => map.next_value_seed(OneField {
                    field,
                    inside_list: false,
                    out: self.out,
                })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Writes one field, or each element of a repeated one.
struct OneField<'a> {
    field: &'static Field,
    inside_list: bool,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for OneField<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl OneField<'_> {
    fn wrong<E: Error>(&self, value: impl fmt::Display) -> E {
        E::custom(format!(
            "{}: {value} is not {}",
            self.field.name,
            self.wanted()
        ))
    }

    fn wanted(&self) -> String {
        if self.field.repeated && !self.inside_list {
            return "a list".to_owned();
        }
        match self.field.kind {
            Kind::Text => "text".to_owned(),
            Kind::Bytes => "base64 text".to_owned(),
            Kind::Id(length) => format!("{} hexadecimal digits", 2 * length),
            Kind::Bool => "true or false".to_owned(),
            Kind::Enum => "a number (OTLP's JSON has no enum names)".to_owned(),
            Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => {
                "a whole number that is not negative and fits".to_owned()
            }
            Kind::Int32 | Kind::Sint32 | Kind::Int64 | Kind::Sfixed64 => {
                "a whole number that fits".to_owned()
            }
            Kind::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"".to_owned(),
            Kind::Message(message) => format!("an object, {}", message.name),
        }
    }

    fn in_place(&self) -> bool {
        self.inside_list || !self.field.repeated
    }

    fn integer<E: Error>(self, value: i128) -> Result<(), E> {
        let number = self.field.number;
        let fits = self.in_place()
            && match self.field.kind {
                Kind::Uint32 | Kind::Fixed32 => u32::try_from(value).is_ok(),
                Kind::Int32 | Kind::Sint32 | Kind::Enum => i32::try_from(value).is_ok(),
                Kind::Int64 | Kind::Sfixed64 => i64::try_from(value).is_ok(),
                Kind::Uint64 | Kind::Fixed64 => u64::try_from(value).is_ok(),
                Kind::Double => true,
                _ => false,
            };
        if !fits {
            return Err(self.wrong(value));
        }
        match self.field.kind {
            Kind::Double => return self.double(value as f64),
            Kind::Fixed32 => {
                put_key(self.out, number, 5);
                self.out.extend_from_slice(&(value as u32).to_le_bytes());
            }
            Kind::Fixed64 => {
                put_key(self.out, number, 1);
                self.out.extend_from_slice(&(value as u64).to_le_bytes());
            }
            Kind::Sfixed64 => {
                put_key(self.out, number, 1);
                self.out.extend_from_slice(&(value as i64).to_le_bytes());
            }
            Kind::Sint32 => {
                let value = value as i32;
                put_key(self.out, number, 0);
                put_varint(self.out, ((value << 1) ^ (value >> 31)) as u32 as u64);
            }
            Kind::Uint64 => {
                put_key(self.out, number, 0);
                put_varint(self.out, value as u64);
            }
            // A negative number has all its 64 bits on the wire.
            _ => {
                put_key(self.out, number, 0);
                put_varint(self.out, value as i64 as u64);
            }
        }
        Ok(())
    }

    fn double<E: Error>(self, value: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double if self.in_place() => {
                put_key(self.out, self.field.number, 1);
                self.out.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            Kind::Double => Err(self.wrong(value)),
            // 1e3 is a whole number too.
            _ if value.fract() == 0.0 && value.abs() < 1e20 => self.integer(value as i128),
            _ => Err(self.wrong(value)),
        }
    }
}

impl<'de> Visitor<'de> for OneField<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} as {}", self.wanted(), self.field.name)
    }

    /// null is absence.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.inside_list {
            return Err(self.wrong("null"));
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        if !matches!(self.field.kind, Kind::Bool) {
            return Err(self.wrong(value));
        }
        put_key(self.out, self.field.number, 0);
        self.out.push(u8::from(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.double(value)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let number = self.field.number;
        let quoted = || format!("{:?}", text.chars().take(64).collect::<String>());
        if !self.in_place() {
            return Err(self.wrong(quoted()));
        }
        match self.field.kind {
            Kind::Text => put_bytes(self.out, number, text.as_bytes()),
            Kind::Bytes => match base64::decode(text.as_bytes()) {
                Some(bytes) => put_bytes(self.out, number, &bytes),
                None => return Err(self.wrong(quoted())),
            },
            Kind::Id(length) => match hexadecimal(text) {
                Some(id) if id.is_empty() || id.len() == length => put_bytes(self.out, number, &id),
                _ => return Err(self.wrong(quoted())),
            },
            Kind::Double => match text {
                "NaN" => return self.double(f64::NAN),
                "Infinity" => return self.double(f64::INFINITY),
                "-Infinity" => return self.double(f64::NEG_INFINITY),
                _ => match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => return self.double(value),
                    _ => return Err(self.wrong(quoted())),
                },
            },
            Kind::Uint32
            | Kind::Uint64
            | Kind::Int32
            | Kind::Sint32
            | Kind::Int64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed64 => match text.parse::<i128>() {
                Ok(value) => return self.integer(value),
                Err(_) => return Err(self.wrong(quoted())),
            },
            Kind::Bool | Kind::Enum | Kind::Message(_) => return Err(self.wrong(quoted())),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.in_place() {
            return Err(self.wrong("a list"));
        }
        while list
            .next_element_seed(OneField {
                field: self.field,
                inside_list: true,
                out: self.out,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Kind::Message(message) = self.field.kind else {
            return Err(self.wrong("an object"));
        };
        if !self.in_place() {
            return Err(self.wrong("an object"));
        }
        let mut inner = Vec::new();
        Whole {
            message,
            out: &mut inner,
        }
        .visit_map(map)?;
        put_bytes(self.out, self.field.number, &inner);
        Ok(())
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
            _ => None,
        })
        .collect()
}
