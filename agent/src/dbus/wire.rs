//! D-Bus messages: bytes in, values out, and the other way round. As much of the protocol as it
//! takes to ask a service for its properties: no file descriptors, and dictionaries are skipped.
//!
//! <https://dbus.freedesktop.org/doc/dbus-specification.html>

use std::fmt;

/// No message is larger, says the specification.
pub const LARGEST: usize = 128 << 20;

/// The fixed part of a message, up to the length of the array of its header's fields.
pub const FIXED: usize = 16;

/// How deep containers may be nested; the specification allows 32 of arrays and 32 of structures.
const DEPTH: usize = 64;

pub const CALL: u8 = 1;
pub const RETURN: u8 = 2;
pub const ERROR: u8 = 3;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SENDER: u8 = 7;
const SIGNATURE: u8 = 8;

/// Why bytes are no message, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    pub at: usize,
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "byte {} of a D-Bus message: {}", self.at, self.what)
    }
}

impl std::error::Error for Malformed {}

/// A message, taken apart.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: u8,
    pub serial: u32,
    pub reply_to: Option<u32>,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub sender: &'a str,
    pub error: &'a str,
    pub signature: &'a str,
    pub body: Body<'a>,
}

/// The values of a message, as the signature says.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Body<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

/// What a variant or a field holds, if anybody here asks for its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Bool(bool),
    Text(&'a str),
    Other,
}

impl<'a> Value<'a> {
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }
}

/// How long the message is that begins with these bytes; needs [`FIXED`] of them.
pub fn length(start: &[u8]) -> Result<usize, Malformed> {
    let mut cursor = Cursor::new(start, 0);
    cursor.big_endian = big_endian(start)?;
    cursor.at = 4;
    let body = cursor.number(4)? as usize;
    cursor.at = 12;
    let fields = cursor.number(4)? as usize;
    let length = FIXED
        .saturating_add(fields)
        .next_multiple_of(8)
        .saturating_add(body);
    if length > LARGEST {
        return Err(cursor.wrong("more than 128 MiB"));
    }
    Ok(length)
}

fn big_endian(start: &[u8]) -> Result<bool, Malformed> {
    let what = match start.first() {
        Some(b'l') => return Ok(false),
        Some(b'B') => return Ok(true),
        Some(_) => "neither little nor big endian",
        None => "it ends too early",
    };
    Err(Malformed { at: 0, what })
}

/// Takes a whole message apart.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    if length(bytes)? != bytes.len() {
        return Err(Malformed {
            at: bytes.len(),
            what: "its length is not the announced one",
        });
    }
    let mut cursor = Cursor::new(bytes, 1);
    cursor.big_endian = big_endian(bytes)?;
    let mut message = Message {
        kind: cursor.byte()?,
        ..Message::default()
    };
    cursor.at = 3;
    if cursor.byte()? != 1 {
        return Err(cursor.wrong("not version 1 of the protocol"));
    }
    cursor.at = 8;
    message.serial = cursor.number(4)? as u32;
    let end = FIXED + cursor.number(4)? as usize;
    while cursor.at < end {
        cursor.align(8)?;
        let code = cursor.byte()?;
        let value = cursor.variant(0)?;
        match (code, value) {
            (PATH, Value::Text(text)) => message.path = text,
            (INTERFACE, Value::Text(text)) => message.interface = text,
            (MEMBER, Value::Text(text)) => message.member = text,
            (SENDER, Value::Text(text)) => message.sender = text,
            (ERROR_NAME, Value::Text(text)) => message.error = text,
            (SIGNATURE, Value::Text(text)) => message.signature = text,
            (REPLY_SERIAL, Value::Number(serial)) => message.reply_to = Some(serial as u32),
            _ => {}
        }
    }
    if cursor.at != end {
        return Err(cursor.wrong("the header's fields are longer than announced"));
    }
    cursor.align(8)?;
    message.body = Body {
        bytes: bytes.get(cursor.at..).unwrap_or_default(),
        big_endian: cursor.big_endian,
    };
    Ok(message)
}

impl<'a> Message<'a> {
    /// The one value of a reply whose signature is `v`.
    pub fn variant(&self) -> Result<Value<'a>, Malformed> {
        let mut cursor = self.cursor();
        if self.signature != "v" {
            return Err(cursor.wrong("a variant was asked for"));
        }
        cursor.variant(0)
    }

    /// The two strings of a call whose signature is `ss`.
    pub fn texts(&self) -> Result<[&'a str; 2], Malformed> {
        let mut cursor = self.cursor();
        match (self.signature, cursor.basic(b's')?, cursor.basic(b's')?) {
            ("ss", Value::Text(first), Value::Text(second)) => Ok([first, second]),
            _ => Err(cursor.wrong("two strings were expected")),
        }
    }

    /// Hands over the fields of each structure of a reply that is an array of structures of
    /// strings, object paths and numbers.
    pub fn rows(
        &self,
        signature: &str,
        mut row: impl FnMut(&[Value<'a>]),
    ) -> Result<(), Malformed> {
        let mut cursor = self.cursor();
        let columns = signature
            .strip_prefix("a(")
            .and_then(|rest| rest.strip_suffix(')'));
        let Some(columns) = columns.filter(|_| self.signature == signature) else {
            return Err(cursor.wrong("the reply has another type"));
        };
        let length = cursor.number(4)? as usize;
        cursor.align(8)?;
        let end = cursor.at.saturating_add(length);
        if end > cursor.bytes.len() {
            return Err(cursor.wrong("an array is longer than its message"));
        }
        let mut values = Vec::with_capacity(columns.len());
        while cursor.at < end {
            cursor.align(8)?;
            values.clear();
            for column in columns.bytes() {
                values.push(cursor.basic(column)?);
            }
            row(&values);
        }
        Ok(())
    }

    fn cursor(&self) -> Cursor<'a> {
        Cursor {
            bytes: self.body.bytes,
            at: 0,
            big_endian: self.body.big_endian,
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            big_endian: false,
        }
    }

    fn wrong(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at, what }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.wrong("it ends too early"))?;
        self.at += length;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn align(&mut self, to: usize) -> Result<(), Malformed> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    /// A number without a sign of so many bytes.
    fn number(&mut self, size: usize) -> Result<u64, Malformed> {
        self.align(size)?;
        let (big, bytes) = (self.big_endian, self.take(size)?);
        let join = |number, byte: &u8| number << 8 | u64::from(*byte);
        Ok(if big {
            bytes.iter().fold(0, join)
        } else {
            bytes.iter().rev().fold(0, join)
        })
    }

    fn text(&mut self, length: usize) -> Result<&'a str, Malformed> {
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| self.wrong("a string is not UTF-8"))?;
        if self.byte()? != 0 {
            return Err(self.wrong("a string does not end"));
        }
        Ok(text)
    }

    fn basic(&mut self, kind: u8) -> Result<Value<'a>, Malformed> {
        Ok(match kind {
            b'y' => Value::Number(self.number(1)?),
            b'q' => Value::Number(self.number(2)?),
            b'u' => Value::Number(self.number(4)?),
            b't' => Value::Number(self.number(8)?),
            b'b' => Value::Bool(self.number(4)? != 0),
            b's' | b'o' => {
                let length = self.number(4)? as usize;
                Value::Text(self.text(length)?)
            }
            b'g' => {
                let length = self.number(1)? as usize;
                Value::Text(self.text(length)?)
            }
            b'n' => self.number(2).map(|_| Value::Other)?,
            b'i' | b'h' => self.number(4).map(|_| Value::Other)?,
            b'x' | b'd' => self.number(8).map(|_| Value::Other)?,
            _ => return Err(self.wrong("a type that does not exist")),
        })
    }

    fn variant(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        let length = usize::from(self.byte()?);
        let signature = self.text(length)?.as_bytes();
        match signature {
            [kind @ (b'a' | b'(' | b'{' | b'v'), ..] => {
                let rest = self.skip(signature, depth)?;
                if !rest.is_empty() {
                    return Err(self.wrong("a variant of more than one value"));
                }
                let _ = kind;
                Ok(Value::Other)
            }
            [kind] => self.basic(*kind),
            _ => Err(self.wrong("a variant of no or of several values")),
        }
    }

    /// Passes over one value; what follows its type in the signature is given back.
    fn skip<'s>(&mut self, signature: &'s [u8], depth: usize) -> Result<&'s [u8], Malformed> {
        if depth > DEPTH {
            return Err(self.wrong("nested too deep"));
        }
        let (kind, mut rest) = signature
            .split_first()
            .ok_or_else(|| self.wrong("a type is missing"))?;
        match kind {
            b'v' => {
                self.variant(depth + 1)?;
            }
            b'(' | b'{' => {
                let close = if *kind == b'(' { b')' } else { b'}' };
                self.align(8)?;
                while rest.first().is_some_and(|next| *next != close) {
                    rest = self.skip(rest, depth + 1)?;
                }
                rest = rest
                    .get(1..)
                    .ok_or_else(|| self.wrong("a structure does not end"))?;
            }
            b'a' => {
                let length = self.number(4)? as usize;
                if matches!(rest.first(), Some(b'(' | b'{' | b'x' | b't' | b'd')) {
                    self.align(8)?;
                }
                self.take(length)?;
                rest = after_type(rest, 0).ok_or_else(|| self.wrong("an array of no type"))?;
            }
            basic => {
                self.basic(*basic)?;
            }
        }
        Ok(rest)
    }
}

/// What follows the first complete type of a signature.
fn after_type(signature: &[u8], depth: usize) -> Option<&[u8]> {
    let (kind, mut rest) = signature.split_first()?;
    match kind {
        _ if depth > DEPTH => None,
        b'a' => after_type(rest, depth + 1),
        b'(' | b'{' => {
            let close = if *kind == b'(' { b')' } else { b'}' };
            while *rest.first()? != close {
                rest = after_type(rest, depth + 1)?;
            }
            rest.get(1..)
        }
        _ => Some(rest),
    }
}

/// A message under construction, little endian.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.align(8);
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.bytes.extend(text.bytes());
        self.bytes.push(0);
    }

    pub fn signature(&mut self, signature: &str) {
        self.bytes.push(signature.len() as u8);
        self.bytes.extend(signature.bytes());
        self.bytes.push(0);
    }

    /// An array of structures; `fill` writes them, each begun by `align(8)`.
    pub fn array(&mut self, fill: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.bytes.len() - 4;
        self.align(8);
        let start = self.bytes.len();
        fill(self);
        let length = (self.bytes.len() - start) as u32;
        if let Some(place) = self.bytes.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// What a message is about; an empty string is left out.
#[derive(Debug, Default, Clone, Copy)]
pub struct Header<'a> {
    pub kind: u8,
    pub serial: u32,
    pub reply_to: u32,
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub error: &'a str,
}

/// A whole message.
pub fn message(header: &Header<'_>, signature: &str, body: Writer) -> Vec<u8> {
    let body = body.into_bytes();
    let mut out = Writer {
        bytes: vec![b'l', header.kind, 0, 1],
    };
    out.u32(body.len() as u32);
    out.u32(header.serial);
    out.array(|out| {
        let texts = [
            (PATH, "o", header.path),
            (INTERFACE, "s", header.interface),
            (MEMBER, "s", header.member),
            (ERROR_NAME, "s", header.error),
            (DESTINATION, "s", header.destination),
        ];
        for (code, kind, text) in texts {
            if !text.is_empty() {
                out.align(8);
                out.bytes.push(code);
                out.signature(kind);
                out.text(text);
            }
        }
        if header.reply_to != 0 {
            out.align(8);
            out.bytes.push(REPLY_SERIAL);
            out.signature("u");
            out.u32(header.reply_to);
        }
        if !signature.is_empty() {
            out.align(8);
            out.bytes.push(SIGNATURE);
            out.signature("g");
            out.signature(signature);
        }
    });
    out.align(8);
    out.bytes.extend(body);
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(body: Writer, signature: &str) -> Vec<u8> {
        let header = Header {
            kind: CALL,
            serial: 7,
            destination: "org.example",
            path: "/org/example",
            interface: "org.example.I",
            member: "M",
            ..Header::default()
        };
        message(&header, signature, body)
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let mut body = Writer::default();
        body.signature("t");
        body.u64(u64::MAX);
        let bytes = call(body, "v");
        assert_eq!(length(&bytes).unwrap(), bytes.len());
        let message = parse(&bytes).unwrap();
        assert_eq!(
            (
                message.kind,
                message.serial,
                message.path,
                message.interface,
                message.member
            ),
            (CALL, 7, "/org/example", "org.example.I", "M")
        );
        assert_eq!(message.variant().unwrap(), Value::Number(u64::MAX));
    }

    #[test]
    fn rows_are_read() {
        let mut body = Writer::default();
        body.array(|out| {
            for (name, number) in [("a", 1), ("bcd", 2)] {
                out.align(8);
                out.text(name);
                out.u32(number);
            }
        });
        let bytes = call(body, "a(su)");
        let mut rows = Vec::new();
        let message = parse(&bytes).unwrap();
        message
            .rows("a(su)", |row| rows.push(format!("{row:?}")))
            .unwrap();
        assert_eq!(
            rows,
            ["[Text(\"a\"), Number(1)]", "[Text(\"bcd\"), Number(2)]"]
        );
        let error = message.rows("a(so)", |_| ()).unwrap_err();
        assert!(error.to_string().contains("another type"), "{error}");
    }

    #[test]
    fn a_variant_of_containers_is_passed_over() {
        let mut body = Writer::default();
        body.signature("a(sa{sv})");
        body.array(|_| ());
        assert_eq!(
            parse(&call(body, "v")).unwrap().variant().unwrap(),
            Value::Other
        );
    }

    #[test]
    fn an_enormous_announcement_is_refused() {
        let error = length(b"l\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\0\0\0\0").unwrap_err();
        assert!(error.to_string().contains("128 MiB"), "{error}");
    }

    fn all(bytes: &[u8]) {
        if let Ok(message) = parse(bytes) {
            let _ = message.variant();
            let _ = message.rows(message.signature, |_| ());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            all(&bytes);
        }

        #[test]
        fn texts_come_back(texts in proptest::collection::vec("\\PC*", 0..5)) {
            let mut body = Writer::default();
            body.array(|out| {
                for text in &texts {
                    out.align(8);
                    out.text(text);
                }
            });
            let bytes = call(body, "a(s)");
            let mut found = Vec::new();
            parse(&bytes).unwrap().rows("a(s)", |row| found.push(row[0].text().unwrap().to_owned())).unwrap();
            prop_assert_eq!(found, texts);
        }

        #[test]
        fn spoiled_messages_are_read_or_refused(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            signature in "[a(){}vstuob]{0,8}",
        ) {
            let mut body = Writer::default();
            body.signature(&signature);
            body.array(|out| out.text("x"));
            let mut bytes = call(body, "v");
            all(&bytes);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            all(&bytes);
        }
    }
}
