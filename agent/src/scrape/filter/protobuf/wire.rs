//! Protobuf's wire format, as far as copying and writing fields needs it. The page was read in full
//! before: what does not parse here cannot be.

use std::ops::Range;

/// One field of a message.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub number: u64,
    /// With its tag.
    pub whole: Range<usize>,
    /// Without tag and length.
    pub content: Range<usize>,
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// The field that begins the bytes.
pub(super) fn field(bytes: &[u8]) -> Option<Found> {
    field_at(bytes, 0)
}

fn field_at(bytes: &[u8], start: usize) -> Option<Found> {
    let mut at = start;
    let tag = varint(bytes, &mut at)?;
    let (from, length) = match tag & 7 {
        0 => {
            let from = at;
            varint(bytes, &mut at)?;
            (from, at - from)
        }
        1 => (at, 8),
        2 => {
            let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
            (at, length)
        }
        5 => (at, 4),
        _ => return None,
    };
    let end = from.checked_add(length)?;
    (end <= bytes.len()).then_some(Found {
        number: tag >> 3,
        whole: start..end,
        content: from..end,
    })
}

/// The fields of a message in order.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Found> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let found = field_at(message, at)?;
        at = found.whole.end;
        Some(found)
    })
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(super) fn put_text(out: &mut Vec<u8>, number: u64, text: &str) {
    put_bytes(out, number, text.as_bytes());
}

pub(super) fn put_double(out: &mut Vec<u8>, number: u64, value: f64) {
    put_varint(out, number << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3);
    put_varint(out, value);
}
