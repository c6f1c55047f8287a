//! A JSON object value by value: strings are searched as text, fields that are named are replaced,
//! and what is not touched stays the bytes that it was.

use std::ops::Range;

use kai_contract::agent_config::Redact;

use super::{Counts, Redactor, mark, tokens};
use crate::json::{self, Kind};

/// What is written in a value's place.
struct Edit {
    at: Range<usize>,
    with: Vec<u8>,
}

struct Walk<'a> {
    redactor: &'a Redactor,
    text: &'a [u8],
    edits: Vec<Edit>,
    counts: &'a mut Counts,
    /// Dotted name of the object that is walked.
    path: String,
}

pub fn redact(
    redactor: &Redactor,
    text: &[u8],
    out: &mut Vec<u8>,
    counts: &mut Counts,
) -> Option<bool> {
    // Checked first, so that nothing is counted of a line that is no JSON.
    let end = json::object(text, 0, |_| {})?;
    if json::space(text, end) != text.len() {
        return None;
    }
    let mut walk = Walk {
        redactor,
        text,
        edits: Vec::new(),
        counts,
        path: String::new(),
    };
    walk.object(json::space(text, 0));
    if walk.edits.is_empty() {
        return Some(false);
    }
    walk.edits.sort_by_key(|edit| edit.at.start);
    let mut copied = 0;
    for edit in &walk.edits {
        out.extend_from_slice(&text[copied..edit.at.start]);
        out.extend_from_slice(&edit.with);
        copied = edit.at.end;
    }
    out.extend_from_slice(&text[copied..]);
    Some(true)
}

impl Walk<'_> {
    fn object(&mut self, at: usize) {
        let mut members = Vec::new();
        json::object(self.text, at, |member| members.push(member));
        for member in members {
            let key = self.decoded(&member.key, member.escaped);
            let length = self.path.len();
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            self.key(&member.key, &key);
            self.value(&member.value, member.kind, key.as_bytes());
            self.path.truncate(length);
        }
    }

    /// A name can hold what must not be seen, too.
    fn key(&mut self, at: &Range<usize>, key: &str) {
        let mut clean = Vec::new();
        if self.redactor.plain(key.as_bytes(), &mut clean, self.counts) {
            let mut with = Vec::new();
            json::escape_into(&mut with, &clean);
            self.edits.push(Edit {
                at: at.clone(),
                with,
            });
        }
    }

    fn value(&mut self, at: &Range<usize>, kind: Kind, name: &[u8]) {
        match kind {
            Kind::Null => {}
            _ if self.is_pseudonymised() => self.pseudonymise(at, kind),
            Kind::String | Kind::Number
                if self.redactor.redact.has(Redact::Token) && tokens::is_credential(name) =>
            {
                self.credential(at, kind);
            }
            Kind::String => self.string(at),
            Kind::Number => self.number(at),
            Kind::Object => self.object(at.start),
            Kind::Array => self.array(at, name),
            Kind::Bool => {}
        }
    }

    /// Elements have their array's name.
    fn array(&mut self, at: &Range<usize>, name: &[u8]) {
        for (element, kind) in json::elements_of(self.text, at.start) {
            self.value(&element, kind, name);
        }
    }

    fn is_pseudonymised(&self) -> bool {
        self.redactor.key.is_some() && self.redactor.fields.contains(&self.path)
    }

    /// A value of any kind, by the text that it is; an object as its bytes.
    fn pseudonymise(&mut self, at: &Range<usize>, kind: Kind) {
        if kind == Kind::Array {
            for (element, kind) in json::elements_of(self.text, at.start) {
                if kind != Kind::Null {
                    self.pseudonymise(&element, kind);
                }
            }
            return;
        }
        let Some(key) = &self.redactor.key else {
            return;
        };
        let value = match kind {
            Kind::String => self.decoded(&(at.start + 1..at.end - 1), true),
            _ => String::from_utf8_lossy(&self.text[at.clone()]).into_owned(),
        };
        if value.is_empty() {
            return;
        }
        let with = format!("\"{}\"", key.pseudonym(&self.path, value.as_bytes()));
        self.counts.pseudonym += 1;
        self.edits.push(Edit {
            at: at.clone(),
            with: with.into_bytes(),
        });
    }

    fn credential(&mut self, at: &Range<usize>, kind: Kind) {
        let shown = &self.text[at.clone()];
        if kind == Kind::String && (shown.len() == 2 || shown.starts_with(b"\"[redacted")) {
            return;
        }
        self.counts.token += 1;
        let with = match kind {
            Kind::String => format!("\"{}\"", mark(Redact::Token)).into_bytes(),
            _ => b"null".to_vec(),
        };
        self.edits.push(Edit {
            at: at.clone(),
            with,
        });
    }

    fn string(&mut self, at: &Range<usize>) {
        let inner = at.start + 1..at.end - 1;
        let escaped = memchr::memchr(b'\\', &self.text[inner.clone()]).is_some();
        let mut clean = Vec::new();
        if !escaped {
            if self
                .redactor
                .plain(&self.text[inner.clone()], &mut clean, self.counts)
            {
                self.edits.push(Edit {
                    at: inner,
                    with: clean,
                });
            }
            return;
        }
        let decoded = self.decoded(&inner, true);
        if self
            .redactor
            .plain(decoded.as_bytes(), &mut clean, self.counts)
        {
            let mut with = Vec::new();
            json::escape_into(&mut with, &clean);
            self.edits.push(Edit { at: inner, with });
        }
    }

    fn number(&mut self, at: &Range<usize>) {
        let mut clean = Vec::new();
        if self
            .redactor
            .plain(&self.text[at.clone()], &mut clean, self.counts)
        {
            self.edits.push(Edit {
                at: at.clone(),
                with: b"null".to_vec(),
            });
        }
    }

    /// The text of a string, of which `at` is what stands between the quotes.
    fn decoded(&self, at: &Range<usize>, escaped: bool) -> String {
        let raw = &self.text[at.clone()];
        if escaped && let Ok(text) = serde_json::from_slice(&self.text[at.start - 1..=at.end]) {
            return text;
        }
        if escaped {
            unescaped(raw)
        } else {
            String::from_utf8_lossy(raw).into_owned()
        }
    }
}

/// A string with half of a surrogate pair alone, which JSON allows and Unicode does not: what it can
/// hide, ASCII behind numbers, is read; the rest stays as it is spelt.
fn unescaped(raw: &[u8]) -> String {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let hex = raw
            .get(at + 2..at + 6)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let code = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (raw[at], raw.get(at + 1), code) {
            (b'\\', Some(b'u'), Some(code @ 0..0x80)) => {
                out.push(code);
                at += 6;
            }
            (b'\\', Some(b'"' | b'\\' | b'/'), _) => {
                out.push(raw[at + 1]);
                at += 2;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
