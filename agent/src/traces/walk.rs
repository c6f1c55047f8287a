//! Checks the bytes of a trace request and counts its spans without taking it apart. Pure.
//!
//! Requests of several senders travel on in one message. What the receiver behind us would refuse
//! as a whole must therefore be found here, while its sender can still be told: lengths, wire
//! types, the lengths of ids. Whether text is UTF-8 is not looked at, because the common receivers
//! take it as it is and a span is worth more than a clean attribute.

use super::schema::{Kind, Message, REQUEST, SPAN};
use super::wire::{MAX_DEPTH, Malformed, Reader, Value};

/// The number of spans in an `ExportTraceServiceRequest`.
pub fn spans(request: &[u8]) -> Result<u64, Malformed> {
    let mut spans = 0;
    message(Reader::new(request), &REQUEST, MAX_DEPTH, &mut spans)?;
    Ok(spans)
}

/// Whether a request is what its table says.
pub fn check(request: &[u8], what: &'static Message) -> Result<(), Malformed> {
    message(Reader::new(request), what, MAX_DEPTH, &mut 0)
}

fn message(
    mut reader: Reader<'_>,
    what: &'static Message,
    depth: u32,
    spans: &mut u64,
) -> Result<(), Malformed> {
    if depth == 0 {
        return Err(Malformed::Wire {
            at: reader.at(),
            what: "values are nested more than 100 deep",
        });
    }
    if std::ptr::eq(what, &raw const SPAN) {
        *spans += 1;
    }
    while let Some((number, value)) = reader.field()? {
        // A field of a later version of OTLP; it travels on.
        let Some(field) = what.numbered(number) else {
            continue;
        };
        let wrong = |text: String| Malformed::Field {
            at: reader.at(),
            message: what.name,
            field: field.name,
            what: text,
        };
        match (field.kind, value) {
            (Kind::Message(inner), Value::Bytes(bytes)) => {
                message(reader.inner(bytes), inner, depth - 1, spans)?;
            }
            (Kind::Id(length), Value::Bytes(bytes)) => {
                if !bytes.is_empty() && bytes.len() != length {
                    let found = bytes.len();
                    return Err(wrong(format!(
                        "has {found} bytes; an id of this kind has {length}"
                    )));
                }
            }
            (Kind::Text | Kind::Bytes, Value::Bytes(_))
            | (
                Kind::Bool
                | Kind::Uint32
                | Kind::Int32
                | Kind::Enum
                | Kind::Int64
                | Kind::Uint64
                | Kind::Sint32,
                Value::Varint(_),
            )
            | (Kind::Double | Kind::Fixed64 | Kind::Sfixed64, Value::Fixed64(_))
            | (Kind::Fixed32, Value::Fixed32(_)) => {}
            _ => return Err(wrong("is of another wire type than OTLP's".to_owned())),
        }
    }
    Ok(())
}
