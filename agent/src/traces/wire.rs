//! The protobuf wire format, as much of it as a relay needs: fields in, fields out. Pure.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

/// Bytes that are no OTLP trace request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("byte {at}: {what}")]
    Wire { at: usize, what: &'static str },
    #[error("byte {at}: {message}.{field} {what}")]
    Field {
        at: usize,
        message: &'static str,
        field: &'static str,
        what: String,
    },
    #[error("{0}")]
    Json(String),
    #[error("{0}")]
    Packing(String),
}

/// One field's value as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Of the time before proto3; skipped.
    Group,
    Fixed32(u32),
}

/// Reads the fields of one message.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Where `bytes` ends in the whole request, for messages.
    end: usize,
}

/// Deepest nesting that is followed; prost's own limit.
pub const MAX_DEPTH: u32 = 100;

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            end: bytes.len(),
        }
    }

    /// A reader of a message inside, just read from this one.
    pub fn inner(&self, bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            end: self.at(),
        }
    }

    /// Offset in the whole request.
    pub fn at(&self) -> usize {
        self.end - self.bytes.len()
    }

    fn wrong(&self, what: &'static str) -> Malformed {
        Malformed::Wire {
            at: self.at(),
            what,
        }
    }

    /// The next field's number and value; `None` at the end.
    pub fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let (number, kind) = self.key()?;
        let value = match kind {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length)
                    .ok()
                    .filter(|length| *length <= self.bytes.len())
                    .ok_or_else(|| self.wrong("a field is longer than what holds it"))?;
                let (value, rest) = self.bytes.split_at(length);
                self.bytes = rest;
                Value::Bytes(value)
            }
            3 => {
                self.skip_group(number, MAX_DEPTH)?;
                Value::Group
            }
            4 => return Err(self.wrong("a group ends that did not begin")),
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(self.wrong("there is no such wire type")),
        };
        Ok(Some((number, value)))
    }

    /// The next number of a packed field; `None` at the end.
    pub fn packed(&mut self) -> Result<Option<u64>, Malformed> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        self.varint().map(Some)
    }

    fn key(&mut self) -> Result<(u32, u32), Malformed> {
        let key = self.varint()?;
        let key = u32::try_from(key).map_err(|_| self.wrong("a field's number is too great"))?;
        if key >> 3 == 0 {
            return Err(self.wrong("a field has the number 0"));
        }
        Ok((key >> 3, key & 7))
    }

    fn skip_group(&mut self, group: u32, depth: u32) -> Result<(), Malformed> {
        if depth == 0 {
            return Err(self.wrong("groups are nested too deeply"));
        }
        loop {
            if self.bytes.is_empty() {
                return Err(self.wrong("a group does not end"));
            }
            let mut ahead = self.clone();
            match ahead.key()? {
                (number, 4) if number == group => {
                    *self = ahead;
                    return Ok(());
                }
                (number, 3) => {
                    *self = ahead;
                    self.skip_group(number, depth - 1)?;
                }
                _ => {
                    self.field()?;
                }
            }
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (index, byte) in self.bytes.iter().take(10).enumerate() {
            // The tenth byte has room for one bit.
            if index == 9 && *byte > 1 {
                return Err(self.wrong("a number has more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[index + 1..];
                return Ok(value);
            }
        }
        Err(self.wrong("a number does not end"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (value, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or_else(|| self.wrong("a number is cut off"))?;
        self.bytes = rest;
        Ok(*value)
    }
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field's number and wire type.
pub fn put_key(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    put_varint(out, u64::from(number << 3 | wire_type));
}

/// Appends a field of bytes, text or a message.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_key(out, number, 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        put_key(&mut bytes, 1, 0);
        put_varint(&mut bytes, u64::MAX);
        put_bytes(&mut bytes, 500, b"text");
        put_key(&mut bytes, 3, 5);
        bytes.extend_from_slice(&7u32.to_le_bytes());
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.field(), Ok(Some((1, Value::Varint(u64::MAX)))));
        assert_eq!(reader.field(), Ok(Some((500, Value::Bytes(b"text")))));
        assert_eq!(reader.field(), Ok(Some((3, Value::Fixed32(7)))));
        assert_eq!(reader.field(), Ok(None));
    }

    #[test]
    fn what_is_cut_off_or_overlong_is_refused() {
        for bad in [
            &b"\x0a\x05ab"[..],
            b"\x0a",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x08\xff",
            b"\x00\x00",
            b"\x0d\x00",
            b"\x0f",
            b"\x0c",
            b"\x0b\x08\x01",
        ] {
            assert!(Reader::new(bad).field().is_err(), "{bad:?}");
        }
        let group = b"\x0b\x10\x01\x13\x14\x0c";
        assert_eq!(Reader::new(group).field(), Ok(Some((1, Value::Group))));
    }
}
