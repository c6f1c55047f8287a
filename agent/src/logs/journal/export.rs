//! The journal's export format (systemd.io/JOURNAL_EXPORT_FORMATS): `NAME=value` lines; for values that
//! are no plain text the name alone, their size as 64 bits, little endian, the bytes and a line end; an
//! empty line after each entry. Read in pieces as they come, with bounded memory: of a value that is
//! too long its beginning is kept.

use std::ops::Range;

/// journald's own limit of a value.
const LARGEST_VALUE: u64 = 768 << 20;
const LONGEST_NAME: usize = 64;
/// Of one entry; journald allows 1024.
const MOST_FIELDS: usize = 1024;

/// One entry. Names and values lie in one buffer.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry {
    bytes: Vec<u8>,
    fields: Vec<(Range<usize>, Range<usize>)>,
    /// Something of it was too long, and its beginning was kept.
    pub cut: bool,
}

impl Entry {
    /// In the order in which they came.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let bytes = &self.bytes;
        self.fields
            .iter()
            .map(move |(name, value)| (&bytes[name.clone()], &bytes[value.clone()]))
    }

    /// The first field of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields()
            .find(|(found, _)| *found == name.as_bytes())
            .map(|(_, value)| value)
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.cut = false;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Name,
    Value,
    Size(u8, u64),
    Data(u64),
    DataEnd,
}

/// Reads entries from pieces.
#[derive(Debug)]
pub struct Export {
    entry: Entry,
    state: State,
    /// Where the field at hand begins in the entry's buffer, and its value, once known.
    name: usize,
    value: usize,
    /// Bytes of a value, and of an entry, that are kept.
    largest: usize,
}

impl Export {
    pub fn new(largest: usize) -> Self {
        Self {
            entry: Entry::default(),
            state: State::Name,
            name: 0,
            value: 0,
            largest,
        }
    }

    /// Takes bytes until `each` returns false after an entry, or all are taken; how many were. An
    /// error says that this is not the format, after which nothing more can be read.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&Entry) -> bool,
    ) -> Result<usize, &'static str> {
        let mut at = 0;
        while at < bytes.len() {
            match self.state {
                State::Name => {
                    let rest = &bytes[at..];
                    let end = rest.iter().position(|byte| matches!(byte, b'=' | b'\n'));
                    let part = &rest[..end.unwrap_or(rest.len())];
                    if self.entry.bytes.len() - self.name + part.len() > LONGEST_NAME {
                        return Err("a field's name is too long");
                    }
                    let known = |byte: &u8| {
                        byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_'
                    };
                    if !part.iter().all(known) {
                        return Err("a field's name has a character that none has");
                    }
                    self.entry.bytes.extend_from_slice(part);
                    let Some(end) = end else {
                        return Ok(bytes.len());
                    };
                    at += end + 1;
                    self.value = self.entry.bytes.len();
                    let empty = self.value == self.name;
                    if rest[end] == b'=' {
                        if empty {
                            return Err("a field has no name");
                        }
                        self.state = State::Value;
                    } else if !empty {
                        self.state = State::Size(0, 0);
                    } else if !self.entry.is_empty() {
                        let more = each(&self.entry);
                        self.entry.clear();
                        // One with huge values must not keep its memory for ever.
                        self.entry.bytes.shrink_to(64 << 10);
                        self.name = 0;
                        if !more {
                            return Ok(at);
                        }
                    }
                }
                State::Value => {
                    let rest = &bytes[at..];
                    let end = memchr::memchr(b'\n', rest);
                    let part = &rest[..end.unwrap_or(rest.len())];
                    self.keep(part);
                    at += part.len();
                    if end.is_some() {
                        at += 1;
                        self.end();
                    }
                }
                State::Size(count, size) => {
                    let size = size | u64::from(bytes[at]) << (8 * count);
                    at += 1;
                    self.state = State::Size(count + 1, size);
                    if count == 7 {
                        if size > LARGEST_VALUE {
                            return Err("a value is larger than any can be");
                        }
                        self.state = if size == 0 {
                            State::DataEnd
                        } else {
                            State::Data(size)
                        };
                    }
                }
                State::Data(left) => {
                    let rest = &bytes[at..];
                    let part = &rest[..rest.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
                    self.keep(part);
                    at += part.len();
                    let left = left - part.len() as u64;
                    self.state = if left == 0 {
                        State::DataEnd
                    } else {
                        State::Data(left)
                    };
                }
                State::DataEnd => {
                    if bytes[at] != b'\n' {
                        return Err("a value does not end where it should");
                    }
                    at += 1;
                    self.end();
                }
            }
        }
        Ok(at)
    }

    fn keep(&mut self, part: &[u8]) {
        let kept = self.entry.bytes.len() - self.value;
        let room = (self.largest.saturating_sub(kept))
            .min((2 * self.largest).saturating_sub(self.entry.bytes.len()));
        self.entry.cut |= part.len() > room;
        self.entry
            .bytes
            .extend_from_slice(&part[..part.len().min(room)]);
    }

    fn end(&mut self) {
        let entry = &mut self.entry;
        if entry.fields.len() < MOST_FIELDS {
            let field = (self.name..self.value, self.value..entry.bytes.len());
            entry.fields.push(field);
        } else {
            entry.bytes.truncate(self.name);
            entry.cut = true;
        }
        self.name = entry.bytes.len();
        self.state = State::Name;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], step: usize, largest: usize) -> Result<Vec<Entry>, &'static str> {
        let mut export = Export::new(largest);
        let mut entries = Vec::new();
        for piece in bytes.chunks(step) {
            let mut at = 0;
            while at < piece.len() {
                at += export.push(&piece[at..], |entry| {
                    entries.push(entry.clone());
                    false
                })?;
            }
        }
        Ok(entries)
    }

    fn written(fields: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in fields {
            out.extend_from_slice(name.as_bytes());
            if value.contains(&b'\n') || value.iter().any(|byte| *byte < b' ') {
                out.push(b'\n');
                out.extend_from_slice(&(value.len() as u64).to_le_bytes());
            } else {
                out.push(b'=');
            }
            out.extend_from_slice(value);
            out.push(b'\n');
        }
        out.push(b'\n');
        out
    }

    #[test]
    fn an_entry_is_read_whichever_way_its_values_are_written() {
        let mut text = b"__CURSOR=s=1;i=2\nMESSAGE\n".to_vec();
        text.extend_from_slice(&5_u64.to_le_bytes());
        text.extend_from_slice(b"a\n\xff=b\nPRIORITY=3\nEMPTY=\n\n\n_PID=7\n\n");
        for step in [1, 2, 3, 7, 1000] {
            let entries = read(&text, step, 100).unwrap();
            assert_eq!(entries.len(), 2, "{step}");
            assert_eq!(entries[0].get("__CURSOR"), Some(&b"s=1;i=2"[..]));
            assert_eq!(entries[0].get("MESSAGE"), Some(&b"a\n\xff=b"[..]));
            assert_eq!(entries[0].get("EMPTY"), Some(&b""[..]));
            assert_eq!(entries[1].get("_PID"), Some(&b"7"[..]));
            assert!(!entries[0].cut && entries[1].get("MESSAGE").is_none());
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_is_no_journal_refused() {
        let mut text = b"MESSAGE\n".to_vec();
        text.extend_from_slice(&1_000_000_u64.to_le_bytes());
        text.extend_from_slice(&vec![b'x'; 1_000_000]);
        text.extend_from_slice(b"\nPRIORITY=3\n\nMESSAGE=next\n\n");
        let entries = read(&text, 4096, 1000).unwrap();
        assert!(entries[0].cut && !entries[1].cut);
        assert_eq!(entries[0].get("MESSAGE").unwrap().len(), 1000);
        assert_eq!(entries[0].get("PRIORITY"), Some(&b"3"[..]));
        for bad in [
            &b"-- No entries --\n"[..],
            b"=x\n",
            b"NAME\n\xff\xff\xff\xff\xff\xff\xff\xff",
            b"NAME\n\x01\0\0\0\0\0\0\0xy",
        ] {
            assert!(read(bad, 100, 100).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in proptest::collection::vec(proptest::collection::vec(("[A-Z_][A-Z0-9_]{0,9}", any::<Vec<u8>>()), 1..6), 0..6), step in 1usize..50) {
            let text: Vec<u8> = entries.iter().flat_map(|fields| written(fields)).collect();
            let read = read(&text, step, 10_000).unwrap();
            prop_assert_eq!(read.len(), entries.len());
            for (read, fields) in read.iter().zip(&entries) {
                let found: Vec<_> = read.fields().map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.to_vec())).collect();
                prop_assert_eq!(&found, fields);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>(), step in 1usize..20) {
            let _ = read(&bytes, step, 10);
        }
    }
}
