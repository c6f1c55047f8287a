//! DNS messages (RFC 1035), as far as a probe needs them: one question out, records as text in.
//! The text is the master file's, as dig and blackbox_exporter's library write it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use kai_contract::agent_config::{DNS_CLASSES, DNS_TYPES};

/// Bytes of a name at most, and labels that pointers may lead through.
const LONGEST_NAME: usize = 255;
const MOST_LABELS: usize = 128;

/// An answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::probes) struct Message {
    pub rcode: u16,
    pub truncated: bool,
    pub answer: Vec<Record>,
    pub authority: Vec<Record>,
    pub additional: Vec<Record>,
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::probes) struct Record {
    /// `name⇥ttl⇥class⇥type⇥data`
    pub text: String,
    /// Of an SOA record.
    pub serial: Option<u32>,
}

/// A question as a message.
pub(in crate::probes) fn query(
    id: u16,
    name: &str,
    kind: u16,
    class: u16,
    recursion: bool,
) -> Result<Vec<u8>, String> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend_from_slice(&[u8::from(recursion), 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let start = out.len();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        if label.len() > 63 {
            return Err(format!("\"{label}\" is longer than 63 bytes"));
        }
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    if out.len() - start > LONGEST_NAME {
        return Err(format!("\"{name}\" is longer than {LONGEST_NAME} bytes"));
    }
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&class.to_be_bytes());
    Ok(out)
}

/// Reads an answer.
pub(in crate::probes) fn parse(message: &[u8]) -> Result<Message, String> {
    let mut reader = Reader { message, at: 2 };
    let flags = reader.u16()?;
    let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    for _ in 0..counts[0] {
        reader.name()?;
        reader.take(4)?;
    }
    let mut out = Message {
        rcode: flags & 0x0f,
        truncated: flags & 0x0200 != 0,
        ..Message::default()
    };
    let sections = [&mut out.answer, &mut out.authority, &mut out.additional];
    for (count, section) in counts[1..].iter().zip(sections) {
        for _ in 0..*count {
            // Servers count what did not fit into the answer, too.
            if reader.at == message.len() {
                break;
            }
            section.push(reader.record()?);
        }
    }
    Ok(out)
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(length);
        let found = end.and_then(|end| self.message.get(self.at..end));
        let found = found.ok_or_else(|| format!("it ends at byte {}", self.message.len()))?;
        self.at += length;
        Ok(found)
    }

    fn u8(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, String> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    /// A name with the dot at its end; pointers are followed backwards only, so they end.
    fn name(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut at = self.at;
        let mut after = None;
        let mut bytes = 0;
        for _ in 0..MOST_LABELS {
            let length = usize::from(*self.message.get(at).ok_or("a name has no end")?);
            match length {
                0 => {
                    self.at = after.unwrap_or(at + 1);
                    if text.is_empty() {
                        text.push('.');
                    }
                    return Ok(text);
                }
                1..=63 => {
                    let label = self
                        .message
                        .get(at + 1..at + 1 + length)
                        .ok_or("a name has no end")?;
                    bytes += length + 1;
                    if bytes >= LONGEST_NAME {
                        return Err(format!("a name is longer than {LONGEST_NAME} bytes"));
                    }
                    for byte in label {
                        push_label_byte(&mut text, *byte);
                    }
                    text.push('.');
                    at += 1 + length;
                }
                0xc0.. => {
                    let low = *self.message.get(at + 1).ok_or("a name has no end")?;
                    let to = (length & 0x3f) << 8 | usize::from(low);
                    if to >= at {
                        return Err("a name points forwards".to_owned());
                    }
                    after.get_or_insert(at + 2);
                    at = to;
                }
                _ => return Err(format!("a label's length begins with {length:#x}")),
            }
        }
        Err(format!("a name has more than {MOST_LABELS} labels"))
    }

    fn record(&mut self) -> Result<Record, String> {
        let name = self.name()?;
        let (kind, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let length = usize::from(self.u16()?);
        let start = self.at;
        let data = self.take(length)?;
        // Names inside the data may point out of it, so they are read in the whole message.
        let mut inner = Reader {
            message: &self.message[..self.at],
            at: start,
        };
        let mut serial = None;
        // Of a record without data (RFC 2136) there is only the head.
        let told = match length {
            0 => Some(String::new()),
            _ => inner.data(kind, &mut serial)?,
        };
        let (told, generic) = match told {
            Some(told) if inner.at == self.at => (told, false),
            Some(_) => return Err(format!("a record of type {kind} has a wrong length")),
            None => {
                let mut text = format!("\\# {length}");
                if !data.is_empty() {
                    text.push(' ');
                    text.push_str(&hex(data));
                }
                (text, true)
            }
        };
        Ok(Record {
            text: format!(
                "{name}\t{ttl}\t{}\t{}\t{told}",
                named(class, &DNS_CLASSES, "CLASS", generic),
                named(kind, &DNS_TYPES, "TYPE", generic),
            ),
            serial,
        })
    }

    /// A record's data as text; `None` for a type that is not read.
    fn data(&mut self, kind: u16, serial: &mut Option<u32>) -> Result<Option<String>, String> {
        let end = self.message.len();
        Ok(Some(match kind {
            1 => {
                let b = self.take(4)?;
                Ipv4Addr::new(b[0], b[1], b[2], b[3]).to_string()
            }
            28 => {
                let mut octets = [0; 16];
                octets.copy_from_slice(self.take(16)?);
                Ipv6Addr::from(octets).to_string()
            }
            2 | 5 | 12 | 39 => self.name()?,
            6 => {
                let (server, mailbox) = (self.name()?, self.name()?);
                let number = self.u32()?;
                *serial = Some(number);
                let rest = [self.u32()?, self.u32()?, self.u32()?, self.u32()?];
                let rest = rest.map(|n| n.to_string()).join(" ");
                format!("{server} {mailbox} {number} {rest}")
            }
            15 => format!("{} {}", self.u16()?, self.name()?),
            33 => {
                let (priority, weight, port) = (self.u16()?, self.u16()?, self.u16()?);
                format!("{priority} {weight} {port} {}", self.name()?)
            }
            13 | 16 => {
                let mut parts = Vec::new();
                while self.at < end {
                    let length = self.u8()?.into();
                    parts.push(quoted(self.take(length)?));
                }
                parts.join(" ")
            }
            257 => {
                let flags = self.u8()?;
                let length = self.u8()?.into();
                let tag = String::from_utf8_lossy(self.take(length)?).into_owned();
                format!("{flags} {tag} {}", quoted(self.take(end - self.at)?))
            }
            43 => {
                let (tag, algorithm, digest) = (self.u16()?, self.u8()?, self.u8()?);
                format!(
                    "{tag} {algorithm} {digest} {}",
                    hex(self.take(end - self.at)?)
                )
            }
            48 => {
                let (flags, protocol, algorithm) = (self.u16()?, self.u8()?, self.u8()?);
                let key =
                    base64::engine::general_purpose::STANDARD.encode(self.take(end - self.at)?);
                format!("{flags} {protocol} {algorithm} {key}")
            }
            _ => return Ok(None),
        }))
    }
}

/// A number's name; RFC 3597's form where there is none, and everywhere in a record that is not
/// read.
fn named(number: u16, known: &[(&str, u16)], generic: &str, always_generic: bool) -> String {
    let found = known.iter().find(|(_, known)| *known == number);
    match found {
        Some((name, _)) if !always_generic => (*name).to_owned(),
        _ => format!("{generic}{number}"),
    }
}

fn push_label_byte(text: &mut String, byte: u8) {
    match byte {
        b'.' | b' ' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\' => {
            text.push('\\');
            text.push(char::from(byte));
        }
        b'!'..=b'~' => text.push(char::from(byte)),
        _ => {
            let _ = write!(text, "\\{byte:03}"); // writing to a String does not fail
        }
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(*byte));
            }
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\{byte:03}");
            }
        }
    }
    text.push('"');
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

#[cfg(test)]
mod tests;
