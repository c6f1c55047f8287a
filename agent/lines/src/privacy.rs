//! What must not leave the node in the clear: card numbers, national identity numbers, e-mail
//! addresses, telephone numbers and credentials are taken out of lines, and named fields are
//! replaced by keyed pseudonyms, by which support can still search. It is done before a line reaches
//! a batch, a dead letter or a spool.
//!
//! Nearly every line holds nothing of the kind, so a line is first looked at as a whole for what any
//! finding must contain ([`Redactor::suspects`]); only a suspect is read value by value ([`json`]).

use kai_contract::agent_config::{Redact, Redacted};

use crate::marks::Marks;

mod email;
mod json;
mod numbers;
mod pseudonym;
mod tokens;
mod words;

pub use pseudonym::{Key, SHORTEST};
use words::Words;

/// How often something was taken out, by what it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub pan: u32,
    pub nik: u32,
    pub email: u32,
    pub phone: u32,
    pub token: u32,
    pub pseudonym: u32,
}

impl Counts {
    /// With the name that `kind` has in metrics.
    pub fn by_kind(&self) -> [(&'static str, u32); 6] {
        [
            ("pan", self.pan),
            ("nik", self.nik),
            ("email", self.email),
            ("phone", self.phone),
            ("token", self.token),
            ("pseudonym", self.pseudonym),
        ]
    }

    pub fn merge(&mut self, other: Self) {
        self.pan += other.pan;
        self.nik += other.nik;
        self.email += other.email;
        self.phone += other.phone;
        self.token += other.token;
        self.pseudonym += other.pseudonym;
    }

    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    fn add(&mut self, kind: Redact) {
        match kind {
            Redact::Pan => self.pan += 1,
            Redact::Nik => self.nik += 1,
            Redact::Email => self.email += 1,
            Redact::Phone => self.phone += 1,
            Redact::Token => self.token += 1,
        }
    }
}

/// What stands in a finding's place.
fn mark(kind: Redact) -> &'static str {
    match kind {
        Redact::Pan => "[redacted:pan]",
        Redact::Nik => "[redacted:nik]",
        Redact::Email => "[redacted:email]",
        Redact::Phone => "[redacted:phone]",
        Redact::Token => "[redacted:token]",
    }
}

/// Something to take out: where it stands, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    at: std::ops::Range<usize>,
    kind: Redact,
}

/// Whether JSON's spelling can hide something: any character by its number, or a slash between digits.
fn hides(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"\\u00").is_some()
        || memchr::memmem::find_iter(text, b"\\/").any(|at| {
            let digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
            at > 0 && digit(at - 1) && digit(at + 2)
        })
}

/// Whether there is an `@` that something stands before, as in an address or behind a password.
fn has_address_sign(text: &[u8]) -> bool {
    memchr::memchr_iter(b'@', text).any(|at| is_address_sign(text, at))
}

/// The one of `"@timestamp"` is on nearly every line.
fn is_address_sign(text: &[u8], at: usize) -> bool {
    const NAMES: [&[u8]; 2] = [b"timestamp\"", b"version\""];
    let Some(before) = at.checked_sub(1).map(|before| text[before]) else {
        return false;
    };
    let named = || {
        let after = &text[at + 1..];
        before == b'"' && NAMES.iter().any(|name| after.starts_with(name))
    };
    before > b' ' && !named()
}

/// Takes out what it is told to. Shared by all lines of a lane; it holds no state between them.
#[derive(Debug)]
pub struct Redactor {
    redact: Redacted,
    /// Pseudonymised fields by their dotted names, with the key.
    fields: Vec<String>,
    key: Option<Key>,
    /// Words of which a suspect contains one: those of credentials, the last parts of `fields`, and
    /// all of them.
    credentials: Option<Words>,
    names: Option<Words>,
    words: Option<Words>,
}

impl Redactor {
    /// `None` if there is nothing to look for.
    pub fn new(redact: Redacted, fields: &[String], key: Option<Key>) -> Option<Self> {
        if redact.is_empty() && fields.is_empty() {
            return None;
        }
        let mut credentials: Vec<String> = Vec::new();
        if redact.has(Redact::Token) {
            credentials.extend(tokens::words());
        }
        let last_part = |name: &String| name.rsplit('.').next().map(str::to_owned);
        let names: Vec<String> = fields.iter().filter_map(last_part).collect();
        let words = [credentials.as_slice(), &names].concat();
        Some(Self {
            redact,
            fields: fields.to_vec(),
            key,
            credentials: Words::new(&credentials),
            names: Words::new(&names),
            words: Words::new(&words),
        })
    }

    /// Whether a line must be looked at closely: it may hold something to take out. What is not
    /// suspected holds nothing.
    pub fn suspects(&self, text: &[u8]) -> bool {
        // An address may have a user and a password in it.
        let sign = self.redact.has(Redact::Email) || self.redact.has(Redact::Token);
        (sign && has_address_sign(text))
            || (self.redact.numbers() && numbers::suspects(text, self.redact))
            || self.words.as_ref().is_some_and(|words| words.any(text))
            || memchr::memchr(b'\\', text).is_some_and(|at| hides(&text[at.saturating_sub(1)..]))
    }

    /// The same, with what was seen of the text already; asked of nearly every line.
    pub fn suspects_by(&self, marks: &Marks, text: &[u8]) -> bool {
        if marks.has_backslash() {
            // What is escaped can stand between a name and its value, or in place of any letter.
            return self.suspects(text);
        }
        let any = |words: &Option<Words>| words.as_ref().is_some_and(|words| words.any(text));
        let sign = self.redact.has(Redact::Email) || self.redact.has(Redact::Token);
        (sign && marks.signs().any(|at| is_address_sign(text, at)))
            || (self.redact.numbers() && numbers::suspects_by(marks, text, self.redact))
            || (self.credentials.is_some() && marks.hints_at_credential() && any(&self.credentials))
            || any(&self.names)
    }

    /// Appends `text`, which is not JSON, without what must not be in it; false, and nothing
    /// appended, if there is nothing.
    pub fn plain(&self, text: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> bool {
        let found = self.findings(text);
        if found.is_empty() {
            return false;
        }
        let mut copied = 0;
        for finding in found {
            out.extend_from_slice(&text[copied..finding.at.start]);
            out.extend_from_slice(mark(finding.kind).as_bytes());
            counts.add(finding.kind);
            copied = finding.at.end;
        }
        out.extend_from_slice(&text[copied..]);
        true
    }

    /// The same for a JSON object, which stays one. A number that must not be there becomes `null`,
    /// which every mapping takes. `None` if it is no JSON.
    pub fn json(&self, text: &[u8], out: &mut Vec<u8>, counts: &mut Counts) -> Option<bool> {
        json::redact(self, text, out, counts)
    }

    /// All findings in a text, in order and apart from each other; where two overlap, the one that
    /// begins first takes the other's bytes too, so that no half of anything stays.
    fn findings(&self, text: &[u8]) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.redact.has(Redact::Token) {
            tokens::find(text, &mut found);
        }
        if self.redact.has(Redact::Email) {
            email::find(text, &mut found);
        }
        if self.redact.numbers() {
            numbers::find(text, self.redact, &mut found);
        }
        found.sort_by_key(|finding| (finding.at.start, usize::MAX - finding.at.end));
        found.dedup_by(|next, kept| {
            let overlaps = next.at.start < kept.at.end;
            if overlaps {
                kept.at.end = kept.at.end.max(next.at.end);
            }
            overlaps
        });
        found
    }
}

#[cfg(test)]
mod tests;
