//! A line becomes a document. A line that is a JSON object stays the bytes that it is: what it
//! lacks is spliced in before its closing brace, and of what it has only a level or a timestamp
//! that Elasticsearch would not understand is written anew, in place. Any other line becomes the
//! `message` of a new object.
//!
//! A field is never added twice, whether the line has it under its dotted name (`service.name`) or
//! nested (`service: {name}`): Elasticsearch refuses an object with the same key twice. Nor is it
//! added below a name that the line gives to a plain value (`service: "booking"`), which would be
//! refused as well.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;
use kai_contract::agent_config::LogFormat;
use kai_contract::expression::Scalar;
use regex::bytes::Regex;

use super::about::{self, About};
use super::json::{self, Kind};
use super::{fingerprint, level, parse, time};
use crate::field_budget::FieldBudget;
use crate::marks::Marks;
use crate::privacy::{Counts, Redactor};

mod names;
mod plain;

use names::{MOST, Names, Value};

/// What is looked for in a line; the position in this list is the position of its bit.
pub(crate) const KNOWN: [&str; 16] = [
    "@timestamp",
    "log.level",
    "trace.id",
    "span.id",
    "log.file.path",
    "log.offset",
    "timestamp",
    "ts",
    "time",
    "level",
    "severity",
    "trace_id",
    "traceId",
    "span_id",
    "spanId",
    "log.iostream",
];
const TIMESTAMP: usize = 0;
const LEVEL: usize = 1;
const TRACE_ID: usize = 2;
const SPAN_ID: usize = 3;
const FILE_PATH: usize = 4;
const OFFSET: usize = 5;
const OTHER_TIMESTAMPS: Range<usize> = 6..9;
const OTHER_LEVELS: Range<usize> = 9..11;
const OTHER_TRACE_IDS: Range<usize> = 11..13;
const OTHER_SPAN_IDS: Range<usize> = 13..15;
const STREAM: usize = 15;

/// Bytes of memory that are kept from line to line.
const KEPT: usize = 64 << 10;

/// How a line was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// It looked like JSON, or should have been, and was not.
    pub invalid_json: bool,
    /// It is not of its source's format, and plain text for that.
    pub unparsed: bool,
    /// Bytes that are no UTF-8 were replaced by U+FFFD.
    pub repaired: bool,
    /// A timestamp was there and could not be understood; the time of reading stands for it.
    pub bad_timestamp: bool,
    /// Members that are no fields, because there are as many as there may be or no index takes them.
    pub beyond: u32,
    /// What was taken out of it.
    pub redacted: Counts,
    /// Whoever was told of it did not want it; nothing was written.
    pub dropped: bool,
}

/// Of a message that is in no file.
pub const NO_OFFSET: u64 = u64::MAX;

/// One line and where it is from.
pub struct Line<'a> {
    /// Without its end.
    pub text: &'a [u8],
    /// It was longer than allowed, and this is its beginning.
    pub cut: bool,
    /// It is a part of an event that was too large, and the next one goes on with it.
    pub split: bool,
    /// Milliseconds since 1970 at which it was read, or the runtime says that it was written.
    pub read_at: i64,
    /// `stdout` or `stderr`, of a container's line.
    pub stream: Option<&'a [u8]>,
    pub offset: u64,
    /// Of its file: `,"log.file.path":"…"`; of a message its sender's members.
    pub path: &'a [u8],
    /// Of its file's pod, where it has one.
    pub about: Option<&'a About>,
}

/// How the lines of a source are read.
#[derive(Debug, Clone)]
pub struct Form {
    pub format: LogFormat,
    /// With [`LogFormat::Pattern`].
    pub pattern: Option<Regex>,
    /// Of times that name none.
    pub zone: Option<TimeZone>,
    pub redactor: Option<Arc<Redactor>>,
    /// With [`LogFormat::Auth`]: whoever knows what authentication logs say.
    pub auth: Option<Parser>,
}

/// Appends a line as an object, given the zone of times that name none and the time of reading; false,
/// and nothing appended, if it is none.
pub type Parser = fn(&[u8], Option<&TimeZone>, i64, &mut Vec<u8>) -> bool;

impl Form {
    pub fn new(format: LogFormat) -> Self {
        Self {
            format,
            pattern: None,
            zone: None,
            redactor: None,
            auth: None,
        }
    }
}

/// Makes the documents of one source. Reused from line to line, so that it allocates nothing.
#[derive(Debug)]
pub struct Shaper {
    form: Form,
    /// A line as an object, or without what must not be in it.
    parsed: Vec<u8>,
    clean: Vec<u8>,
    marks: Marks,
    /// Of the line at hand.
    read_at: i64,
    /// [`KNOWN`] and then the source's own fields.
    names: Names,
    /// `,"name":"value"` of each of the source's fields.
    added: Vec<Box<[u8]>>,
    /// All of `added`.
    added_all: Vec<u8>,
    /// Bits of the names in `added`.
    added_bits: u64,
    /// Bits of the fields that somebody else looks at, in his order.
    watched: Vec<usize>,
    /// Of values of watched fields that have escapes in them, the bit and where in `plain` they
    /// stand without.
    escaped: Vec<(usize, Range<usize>)>,
    plain: Vec<u8>,
    found: Vec<Value>,
    /// Bits of the names that the line has, each with its place in `found`.
    present: u64,
    /// Bits of the names below a plain value.
    blocked: u64,
    edits: Vec<(Range<usize>, Vec<u8>)>,
    /// Of the last time that was taken as it stands.
    day: time::Day,
    /// The line at hand is of level error or above.
    severe: bool,
    /// Bits of what a file's pod adds.
    about: [usize; about::NAMES.len()],
}

impl Shaper {
    /// `watched`: fields that are looked for in each line for somebody else.
    pub fn new(form: Form, fields: &BTreeMap<String, String>, watched: &[String]) -> Self {
        let mut names: Vec<Box<[u8]>> = KNOWN
            .iter()
            .copied()
            .chain(fields.keys().map(String::as_str))
            .take(MOST)
            .map(|name| name.as_bytes().into())
            .collect();
        let added_bits = (KNOWN.len()..names.len()).fold(0, |bits, bit| bits | 1 << bit);
        let watched = watched
            .iter()
            .map(|name| {
                let known = names.iter().position(|known| **known == *name.as_bytes());
                known.unwrap_or_else(|| {
                    // Beyond the last bit it is never found; the configuration is judged for that.
                    if names.len() < MOST {
                        names.push(name.as_bytes().into());
                        return names.len() - 1;
                    }
                    MOST
                })
            })
            .collect();
        let added: Vec<Box<[u8]>> = fields
            .iter()
            .take(MOST - KNOWN.len())
            .map(|(name, value)| {
                let mut out = b",\"".to_vec();
                json::escape_into(&mut out, name.as_bytes());
                out.extend_from_slice(b"\":\"");
                json::escape_into(&mut out, value.as_bytes());
                out.push(b'"');
                out.into()
            })
            .collect();
        Self {
            form,
            parsed: Vec::new(),
            clean: Vec::new(),
            marks: Marks::default(),
            read_at: 0,
            found: vec![
                Value {
                    at: 0..0,
                    kind: Kind::Null
                };
                names.len()
            ],
            names: Names::new(names),
            added_all: added.concat(),
            added,
            added_bits,
            watched,
            escaped: Vec::new(),
            plain: Vec::new(),
            present: 0,
            blocked: 0,
            edits: Vec::new(),
            day: time::Day::default(),
            severe: false,
            about: [MOST; about::NAMES.len()],
        }
    }

    /// From now on, what a file's pod adds is added where a line does not have it.
    pub fn look_for_about(&mut self) {
        for (name, bit) in about::NAMES.iter().zip(&mut self.about) {
            *bit = self.names.add(name.as_bytes());
        }
        let none = Value {
            at: 0..0,
            kind: Kind::Null,
        };
        self.found.resize(self.names.count(), none);
    }

    /// From now on lines may have no fields beyond this.
    pub fn keep_to(&mut self, budget: Arc<FieldBudget>) {
        self.names.ask(budget);
    }

    /// Appends the line's document, without an end of line.
    pub fn shape(&mut self, out: &mut Vec<u8>, line: &Line<'_>) -> Taken {
        self.shape_and_tell(out, line, |_| true)
    }

    /// The same, and shows the line's watched fields; `tell` says whether the document is wanted.
    pub fn shape_and_tell(
        &mut self,
        out: &mut Vec<u8>,
        line: &Line<'_>,
        tell: impl FnOnce(&Fields<'_>) -> bool,
    ) -> Taken {
        let mut taken = Taken::default();
        let begun = out.len();
        self.severe = false;
        let mut marks = std::mem::take(&mut self.marks);
        let seen = marks.look(line.text);
        let ascii = seen.is_some_and(Marks::is_ascii);
        let read = if ascii {
            Ok("")
        } else {
            std::str::from_utf8(line.text)
        };
        let repaired = match read {
            Ok(_) => None,
            // A character cut in half by us is no fault of the line's.
            Err(error) if line.cut && error.error_len().is_none() => {
                Some(String::from_utf8_lossy(&line.text[..error.valid_up_to()]).into_owned())
            }
            Err(_) => {
                taken.repaired = true;
                Some(String::from_utf8_lossy(line.text).into_owned())
            }
        };
        let text = repaired.as_deref().map_or(line.text, str::as_bytes);
        let seen = seen.filter(|_| repaired.is_none());
        self.read_at = line.read_at;
        let redactor = self.form.redactor.take();
        let mut parsed = std::mem::take(&mut self.parsed);
        let mut clean = std::mem::take(&mut self.clean);
        parsed.clear();
        clean.clear();
        let mut tell = Some(tell);
        let mut once = |fields: &Fields<'_>| tell.take().is_none_or(|tell| tell(fields));
        self.shape_text(
            out,
            line,
            text,
            seen,
            redactor.as_deref(),
            &mut parsed,
            &mut clean,
            &mut taken,
            &mut once,
        );
        // A huge line must not keep its memory for ever.
        for kept in [&mut parsed, &mut clean] {
            if kept.capacity() > KEPT {
                kept.shrink_to(KEPT);
            }
        }
        (self.parsed, self.clean, self.marks) = (parsed, clean, marks);
        self.form.redactor = redactor;
        if self.severe && !taken.dropped {
            fingerprint::append(out, begun);
        }
        taken
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of `shape`, split for its borrows"
    )]
    fn shape_text(
        &mut self,
        out: &mut Vec<u8>,
        line: &Line<'_>,
        text: &[u8],
        seen: Option<&Marks>,
        redactor: Option<&Redactor>,
        parsed: &mut Vec<u8>,
        clean: &mut Vec<u8>,
        taken: &mut Taken,
        tell: &mut dyn FnMut(&Fields<'_>) -> bool,
    ) {
        let zone = self.form.zone.as_ref();
        let is_object = match (line.cut, self.form.format) {
            (true, _) | (_, LogFormat::Plain) => false,
            (_, LogFormat::Json | LogFormat::Auto) => {
                self.form.format == LogFormat::Json || text.get(json::space(text, 0)) == Some(&b'{')
            }
            (_, LogFormat::Logfmt) => parse::logfmt::object(text, parsed),
            (_, LogFormat::Access) => parse::access::object(text, parsed),
            (_, LogFormat::Syslog) => parse::syslog::object(text, zone, line.read_at, parsed),
            (_, LogFormat::Auth) => self
                .form
                .auth
                .is_some_and(|read| read(text, zone, line.read_at, parsed)),
            (_, LogFormat::Pattern) => self
                .form
                .pattern
                .as_ref()
                .is_some_and(|pattern| parse::by_expression(pattern, text, parsed)),
        };
        let own_json = matches!(self.form.format, LogFormat::Json | LogFormat::Auto);
        taken.unparsed =
            !is_object && !line.cut && !own_json && self.form.format != LogFormat::Plain;
        let mut object = if parsed.is_empty() { text } else { &*parsed };
        let mut seen = seen.filter(|_| parsed.is_empty());
        let redactor = redactor.filter(|redactor| match seen {
            Some(marks) => redactor.suspects_by(marks, object),
            None => redactor.suspects(object),
        });
        if is_object {
            if let Some(redactor) = redactor
                && redactor.json(object, clean, &mut taken.redacted) == Some(true)
            {
                object = clean;
                seen = None;
            }
            if let Some(place) = self.find(seen, object) {
                if !self.watched.is_empty() {
                    self.unescape(object);
                    taken.dropped = !tell(&Fields {
                        shaper: self,
                        text: object,
                        object: true,
                    });
                    if taken.dropped {
                        return;
                    }
                }
                if self.names.asker.is_beyond() {
                    let mut within = Vec::with_capacity(object.len() + 64);
                    taken.beyond = self.names.asker.cut(object, &mut within);
                    match self.find(None, &within) {
                        Some(place) => {
                            taken.bad_timestamp = self.splice(out, &within, place, line);
                        }
                        // What is valid stays so; were it not, the line would go as a text.
                        None => self.wrap(out, object, None, line),
                    }
                    return;
                }
                taken.bad_timestamp = self.splice(out, object, place, line);
                return;
            }
            taken.invalid_json = true;
        }
        let mut text = text;
        if let Some(redactor) = redactor
            && redactor.plain(text, clean, &mut taken.redacted)
        {
            text = clean;
            seen = None;
        }
        if !self.watched.is_empty() {
            taken.dropped = !tell(&Fields {
                shaper: self,
                text,
                object: false,
            });
            if taken.dropped {
                return;
            }
        }
        self.wrap(out, text, seen, line);
    }

    /// Texts of watched fields without their escapes, as far as they have any.
    fn unescape(&mut self, text: &[u8]) {
        self.escaped.clear();
        self.plain.clear();
        for bit in &self.watched {
            if *bit >= MOST || self.present & (1 << bit) == 0 {
                continue;
            }
            let value = &self.found[*bit];
            if value.kind != Kind::String {
                continue;
            }
            let quoted = &text[value.at.clone()];
            if memchr::memchr(b'\\', quoted).is_some()
                && let Ok(plain) = serde_json::from_slice::<String>(quoted)
            {
                let start = self.plain.len();
                self.plain.extend_from_slice(plain.as_bytes());
                self.escaped.push((*bit, start..self.plain.len()));
            }
        }
    }

    /// Checks the line and finds the names in it; the object's place.
    fn find(&mut self, seen: Option<&Marks>, text: &[u8]) -> Option<Range<usize>> {
        self.present = 0;
        self.blocked = 0;
        let start = json::space(text, 0);
        let mut search = self.names.search(&mut self.found);
        let end = json::object_with(seen, text, start, |member| search.member(text, &member))?;
        if json::space(text, end) != text.len() {
            return None;
        }
        (self.present, self.blocked) = search.ended();
        Some(start..end)
    }

    fn has(&self, name: usize) -> Option<&Value> {
        (self.present & (1 << name) != 0).then(|| &self.found[name])
    }

    /// Whether a field may be added.
    fn lacks(&self, name: usize) -> bool {
        (self.present | self.blocked) & (1 << name) == 0
    }

    /// The first of some names that the line has as a string, without quotes.
    fn string<'a>(&self, text: &'a [u8], names: Range<usize>) -> Option<&'a [u8]> {
        names.filter_map(|name| self.has(name)).find_map(|value| {
            (value.kind == Kind::String).then(|| &text[value.at.start + 1..value.at.end - 1])
        })
    }

    /// Whether the line's timestamp could not be understood.
    fn splice(
        &mut self,
        out: &mut Vec<u8>,
        text: &[u8],
        object: Range<usize>,
        line: &Line<'_>,
    ) -> bool {
        let mut bad_timestamp = false;
        self.edits.clear();
        let given = self.string(text, TIMESTAMP..TIMESTAMP + 1);
        let of_the_day = given.is_some_and(|given| self.day.has(given));
        let own_time = self
            .has(TIMESTAMP)
            .filter(|_| !of_the_day)
            .map(|value| self.parse_time(text, value));
        let add_time = match own_time {
            None if of_the_day => None,
            None => Some(self.other_time(text).unwrap_or(line.read_at)),
            Some(Some(time)) if time.strict => {
                self.day.set(given.unwrap_or_default());
                None
            }
            Some(time) => {
                bad_timestamp = time.is_none();
                let millis = time
                    .map(|time| time.millis)
                    .or_else(|| self.other_time(text))
                    .unwrap_or(line.read_at);
                let mut written = vec![b'"'];
                time::write(&mut written, millis);
                written.push(b'"');
                self.edits.push((self.found[TIMESTAMP].at.clone(), written));
                None
            }
        };
        let add_level = self.level(text);
        self.edits.sort_by_key(|(at, _)| at.start);
        let mut copied = object.start;
        for (at, written) in &self.edits {
            out.extend_from_slice(&text[copied..at.start]);
            out.extend_from_slice(written);
            copied = at.end;
        }
        out.extend_from_slice(&text[copied..object.end - 1]);
        // Every addition begins with a comma; after nothing but a brace there may be none.
        let empty = json::space(text, object.start + 1) == object.end - 1;
        let comma = out.len();
        if let Some(millis) = add_time {
            out.extend_from_slice(b",\"@timestamp\":\"");
            time::write(out, millis);
            out.push(b'"');
        }
        if let Some(level) = add_level {
            out.extend_from_slice(b",\"log.level\":\"");
            out.extend_from_slice(level.as_bytes());
            out.push(b'"');
        }
        for (name, others) in [(TRACE_ID, OTHER_TRACE_IDS), (SPAN_ID, OTHER_SPAN_IDS)] {
            if self.lacks(name)
                && let Some(id) = self.string(text, others)
            {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(self.names.name(name));
                out.extend_from_slice(b"\":\"");
                out.extend_from_slice(id);
                out.push(b'"');
            }
        }
        if (self.present | self.blocked) & self.added_bits == 0 {
            out.extend_from_slice(&self.added_all);
        } else {
            for (index, added) in self.added.iter().enumerate() {
                if self.lacks(KNOWN.len() + index) {
                    out.extend_from_slice(added);
                }
            }
        }
        if self.lacks(STREAM) {
            write_stream(out, line);
        }
        if self.lacks(FILE_PATH) {
            out.extend_from_slice(line.path);
        }
        if let Some(about) = line.about {
            for (bit, member) in self.about.into_iter().zip(&about.members) {
                if bit < MOST && self.lacks(bit) {
                    out.extend_from_slice(member);
                }
            }
        }
        if self.lacks(OFFSET) {
            write_offset(out, line.offset);
        }
        if empty && out.len() > comma {
            out[comma] = b' ';
        }
        out.push(b'}');
        bad_timestamp
    }

    fn parse_time(&self, text: &[u8], value: &Value) -> Option<time::Time> {
        match value.kind {
            Kind::String => {
                let given = &text[value.at.start + 1..value.at.end - 1];
                time::read(given, self.form.zone.as_ref(), self.read_at)
            }
            Kind::Number => time::number(&text[value.at.clone()]),
            _ => None,
        }
    }

    fn other_time(&self, text: &[u8]) -> Option<i64> {
        OTHER_TIMESTAMPS
            .filter_map(|name| self.has(name))
            .find_map(|value| self.parse_time(text, value))
            .map(|time| time.millis)
    }

    /// The level to add; one that is there in another spelling becomes an edit.
    fn level(&mut self, text: &[u8]) -> Option<&'static str> {
        if let Some(value) = self.has(LEVEL) {
            if value.kind == Kind::String {
                let given = &text[value.at.start + 1..value.at.end - 1];
                // As most are, and spelt so.
                if let b"info" | b"debug" | b"warn" | b"error" = given {
                    self.severe = given == b"error";
                    return None;
                }
                let at = value.at.start + 1..value.at.end - 1;
                let name = level::text(given);
                self.severe = name.is_some_and(level::is_error);
                match name {
                    Some(name) if name.as_bytes() == given => {}
                    Some(name) => self.edits.push((at, name.as_bytes().to_vec())),
                    // Letters of an escape sequence must not be changed.
                    None if given.iter().any(u8::is_ascii_uppercase) && !given.contains(&b'\\') => {
                        self.edits.push((at, given.to_ascii_lowercase()));
                    }
                    None => {}
                }
            }
            return None;
        }
        if !self.lacks(LEVEL) {
            return None;
        }
        let name = self.other_level(text);
        self.severe = name.is_some_and(level::is_error);
        name
    }

    fn other_level(&self, text: &[u8]) -> Option<&'static str> {
        OTHER_LEVELS
            .filter_map(|name| self.has(name))
            .find_map(|value| match value.kind {
                Kind::String => level::text(&text[value.at.start + 1..value.at.end - 1]),
                Kind::Number => level::number(&text[value.at.clone()]),
                _ => None,
            })
    }

    /// A line that is no object: its text, and of it the time and level that it begins with.
    fn wrap(&mut self, out: &mut Vec<u8>, text: &[u8], seen: Option<&Marks>, line: &Line<'_>) {
        let head = plain::head(text, self.form.zone.as_ref(), line.read_at);
        out.extend_from_slice(b"{\"@timestamp\":\"");
        time::write(out, head.millis.unwrap_or(line.read_at));
        out.extend_from_slice(b"\",\"message\":\"");
        json::escape_with(seen, out, text);
        out.push(b'"');
        if let Some(level) = head.level {
            self.severe = level::is_error(level);
            out.extend_from_slice(b",\"log.level\":\"");
            out.extend_from_slice(level.as_bytes());
            out.push(b'"');
        }
        match (line.cut, line.split) {
            (true, _) => out.extend_from_slice(b",\"log.flags\":[\"truncated\"]"),
            (_, true) => out.extend_from_slice(b",\"log.flags\":[\"split\"]"),
            _ => {}
        }
        write_stream(out, line);
        out.extend_from_slice(&self.added_all);
        out.extend_from_slice(line.path);
        for member in line.about.iter().flat_map(|about| &about.members) {
            out.extend_from_slice(member);
        }
        write_offset(out, line.offset);
        out.push(b'}');
    }
}

/// The watched fields of one line. Of a line that is no JSON object there is `message`.
pub struct Fields<'a> {
    shaper: &'a Shaper,
    text: &'a [u8],
    object: bool,
}

impl<'a> Fields<'a> {
    /// The level as the document will have it.
    pub fn level(&self) -> Option<&'a [u8]> {
        let shaper = self.shaper;
        if !self.object {
            let zone = shaper.form.zone.as_ref();
            let head = plain::head(self.text, zone, shaper.read_at);
            return head.level.map(str::as_bytes);
        }
        if let Some(value) = shaper.has(LEVEL) {
            let given = (value.kind == Kind::String)
                .then(|| &self.text[value.at.start + 1..value.at.end - 1])?;
            return Some(level::text(given).map_or(given, str::as_bytes));
        }
        shaper.other_level(self.text).map(str::as_bytes)
    }

    /// What a field holds, by its place among the watched ones.
    pub fn get(&self, index: usize) -> Option<Scalar<'a>> {
        let shaper = self.shaper;
        let bit = *shaper.watched.get(index)?;
        if bit == LEVEL
            && let Some(level) = self.level()
        {
            return Some(Scalar::Text(level));
        }
        if !self.object {
            let is_message = shaper.names.name(bit) == b"message";
            return is_message.then_some(Scalar::Text(self.text));
        }
        if bit >= MOST {
            return None;
        }
        let value = shaper.has(bit)?;
        match value.kind {
            Kind::String => {
                let escaped = shaper.escaped.iter().find(|(of, _)| *of == bit);
                Some(Scalar::Text(escaped.map_or(
                    &self.text[value.at.start + 1..value.at.end - 1],
                    |(_, range)| &shaper.plain[range.clone()],
                )))
            }
            Kind::Number => Some(Scalar::Number(&self.text[value.at.clone()])),
            Kind::Bool => Some(Scalar::Bool(self.text[value.at.start] == b't')),
            Kind::Object | Kind::Array => Some(Scalar::Other),
            Kind::Null => None,
        }
    }
}

/// OpenTelemetry's name; ECS has none.
fn write_stream(out: &mut Vec<u8>, line: &Line<'_>) {
    if let Some(stream) = line.stream {
        out.extend_from_slice(b",\"log.iostream\":\"");
        out.extend_from_slice(stream);
        out.push(b'"');
    }
}

fn write_offset(out: &mut Vec<u8>, offset: u64) {
    if offset == NO_OFFSET {
        return;
    }
    out.extend_from_slice(b",\"log.offset\":");
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = offset;
    while rest >= 10 {
        // Two at a time: each waits for the one before.
        let two = (rest % 100) as u8;
        rest /= 100;
        at -= 2;
        digits[at] = b'0' + two / 10;
        digits[at + 1] = b'0' + two % 10;
    }
    if rest > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + rest as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// `,"log.file.path":"…"` for a path; bytes that are no UTF-8 become U+FFFD.
pub fn path_member(path: &std::path::Path) -> Vec<u8> {
    let mut out = b",\"log.file.path\":\"".to_vec();
    json::escape_into(&mut out, path.to_string_lossy().as_bytes());
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests;
