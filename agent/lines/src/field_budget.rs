//! How many distinct names the fields of a data stream may have. Elasticsearch keeps every name that
//! it ever met in the mapping of its index, for all nodes, so names that are made of data (an id, an
//! address) are what brings a cluster down. A name beyond the budget does not become a field: it goes,
//! with its value and as text, into [`OVERFLOW`], and so does what no index would take: empty names,
//! names without end, objects in objects without end.
//!
//! Names are counted in each form in which an index would count them: dotted, and each object on the
//! way to a value. What the index template maps anyway, and what is looked for in a line, is not
//! counted. What is remembered of a name is a hash, and only of as many as there may be. They are
//! forgotten when a day (UTC) begins, as a data stream's index does not stay the same one for long.
//!
//! A line that alone would bring more new names than half of the budget brings none: one such line must
//! not take from all others what they need.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kai_contract::log_fields;

use crate::document;
use crate::json::{self, Kind, Member};

mod inner;

use inner::{Inner, Recent};

/// Where names beyond the budget go, with what they hold: the text of a JSON object.
pub const OVERFLOW: &str = "kai.overflow";

/// Longest name of a field, and parts that it may have: an index has 20 levels.
const LONGEST: usize = 512;
const MOST_PARTS: usize = 20;

/// What an index knows of a document itself; it refuses a document that has such a field.
const RESERVED: [&str; 16] = [
    "_data_stream_timestamp",
    "_feature",
    "_field_names",
    "_id",
    "_ignored",
    "_ignored_source",
    "_index",
    "_nested_path",
    "_routing",
    "_seq_no",
    "_source",
    "_tier",
    "_ts_routing_hash",
    "_tsid",
    "_type",
    "_version",
];

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Of one data stream; shared by all who make documents for it.
#[derive(Debug)]
pub struct FieldBudget {
    most: usize,
    hasher: RandomState,
    /// Names that are not counted.
    free: HashSet<u64>,
    /// Since 1970.
    day: AtomicI64,
    generation: AtomicU64,
    names: Mutex<HashSet<u64>>,
}

impl FieldBudget {
    pub fn new(most: usize) -> Self {
        let hasher = RandomState::new();
        let mut free = HashSet::new();
        for name in log_fields::mapped().chain(document::KNOWN) {
            for (at, _) in name.match_indices('.').chain([(name.len(), "")]) {
                free.insert(hasher.hash_one(&name.as_bytes()[..at]));
            }
        }
        Self {
            most,
            hasher,
            free,
            day: AtomicI64::new(0),
            generation: AtomicU64::new(0),
            names: Mutex::default(),
        }
    }

    /// Tells the time, milliseconds since 1970: with a new day all names are new.
    pub fn tick(&self, now: i64) {
        let day = now.div_euclid(DAY);
        if self.day.load(Ordering::Relaxed) != day && self.day.swap(day, Ordering::Relaxed) != day {
            self.lock().clear();
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Names that are counted now, and how many may be.
    pub fn used(&self) -> (usize, usize) {
        (self.lock().len(), self.most)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names that are known to be within the budget, in sets of four.
const KNOWN: usize = 256;

/// Asks a budget for the names of one line after the other.
#[derive(Debug)]
pub struct Asker {
    budget: Option<Arc<FieldBudget>>,
    generation: u64,
    /// Names that are known to be within the budget, by their hash.
    known: Recent,
    /// The same for names inside members, by the keys on the way to them.
    inner: Inner,
    /// The line's names that are not among them.
    open: Vec<u64>,
    /// The line has a name that may not be a field at all, or more than any budget has.
    wrong: bool,
    /// Of the member at hand.
    path: Vec<u8>,
}

impl Asker {
    pub fn new(budget: Option<Arc<FieldBudget>>) -> Self {
        let sets = if budget.is_some() { KNOWN } else { 0 };
        Self {
            budget,
            generation: 0,
            known: Recent::new(sets),
            inner: Inner::new(sets),
            open: Vec::new(),
            wrong: false,
            path: Vec::new(),
        }
    }

    /// See [`FieldBudget::tick`].
    pub fn tick(&self, now: i64) {
        if let Some(budget) = &self.budget {
            budget.tick(now);
        }
    }

    pub fn has_budget(&self) -> bool {
        self.budget.is_some()
    }

    /// Begins a line; whether what was known of names is so no longer.
    #[inline]
    pub fn begin(&mut self) -> bool {
        let Some(budget) = &self.budget else {
            return false;
        };
        self.open.clear();
        self.wrong = false;
        let generation = budget.generation.load(Ordering::Relaxed);
        let forget = std::mem::replace(&mut self.generation, generation) != generation;
        if forget {
            self.known.forget();
            self.inner.forget();
        }
        forget
    }

    /// A member of the line by its name, without escapes; whether it is known to be within the budget.
    pub fn member(&mut self, name: &[u8]) -> bool {
        self.path.clear();
        self.path.extend_from_slice(name);
        self.ask()
    }

    /// All names inside a member's value, whatever that member's name is.
    pub fn inside(&mut self, text: &[u8], name: &[u8], value: &std::ops::Range<usize>, kind: Kind) {
        // Most arrays hold no objects.
        if kind == Kind::Array && memchr::memchr(b'{', &text[value.clone()]).is_none() {
            return;
        }
        let way = self.inner.step(0, name);
        if self.inner.has_all(text, value.start, way).is_some() {
            return;
        }
        self.path.clear();
        self.path.extend_from_slice(name);
        self.value(text, value.start, kind, way);
    }

    /// All names of a line.
    pub fn all(&mut self, text: &[u8]) {
        let start = json::space(text, 0);
        if self.inner.has_all(text, start, 0).is_some() {
            return;
        }
        self.path.clear();
        self.object(text, start, 0);
    }

    fn object(&mut self, text: &[u8], at: usize, way: u64) {
        json::object(text, at, |member| {
            let before = self.path.len();
            descend(&mut self.path, text, &member);
            let way = self.inner.step(way, &text[member.key.clone()]);
            if self.ask() && !member.escaped {
                self.inner.add(way);
            }
            // What is deeper is cut as a whole.
            if parts(&self.path) <= MOST_PARTS {
                self.value(text, member.value.start, member.kind, way);
            }
            self.path.truncate(before);
        });
    }

    fn value(&mut self, text: &[u8], at: usize, kind: Kind, way: u64) {
        match kind {
            Kind::Object => self.object(text, at, way),
            Kind::Array => json::each_element(text, at, |element, kind| {
                self.value(text, element.start, kind, way);
            }),
            _ => {}
        }
    }

    /// Whether the name in `path` is known to be within the budget; it is an open question if not.
    fn ask(&mut self) -> bool {
        let Some(budget) = &self.budget else {
            return true;
        };
        if !is_name(&self.path) {
            self.wrong = true;
            return false;
        }
        let hash = budget.hasher.hash_one(&self.path[..]);
        if self.known.has(hash) {
            return true;
        }
        if budget.free.contains(&hash) {
            self.known.add(hash);
            return true;
        }
        if self.open.len() <= 2 * budget.most {
            self.open.push(hash);
        } else {
            self.wrong = true;
        }
        false
    }

    /// The line is one that is sent: whether something must be taken out of it, by [`Self::cut`].
    #[inline]
    pub fn is_beyond(&mut self) -> bool {
        (self.wrong || !self.open.is_empty()) && self.settle()
    }

    #[cold]
    fn settle(&mut self) -> bool {
        let Some(budget) = &self.budget else {
            return false;
        };
        let mut names = budget.lock();
        // In the order in which they stand in the line.
        let mut new = HashSet::new();
        self.open.retain(|hash| {
            let there = names.contains(hash);
            if there {
                self.known.add(*hash);
            }
            !there && new.insert(*hash)
        });
        let one_too_many = self.open.len() > budget.most.div_ceil(2);
        let room = if one_too_many {
            0
        } else {
            budget.most.saturating_sub(names.len())
        };
        for hash in self.open.drain(..self.open.len().min(room)) {
            names.insert(hash);
            self.known.add(hash);
        }
        self.wrong || !self.open.is_empty()
    }

    /// Appends the line without what is not within the budget, which is added to it as a text; how many
    /// members that is.
    pub fn cut(&mut self, text: &[u8], out: &mut Vec<u8>) -> u32 {
        let Some(budget) = self.budget.clone() else {
            out.extend_from_slice(text);
            return 0;
        };
        let mut cutter = Cutter {
            text,
            out,
            path: Vec::new(),
            beyond: Vec::new(),
            count: 0,
            names: &budget.lock(),
            budget: &budget,
        };
        cutter.object(json::space(text, 0));
        let (beyond, count) = (cutter.beyond, cutter.count);
        if count == 0 || out.pop_if(|byte| *byte == b'}').is_none() {
            return 0;
        }
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        out.extend_from_slice(b"\"kai.overflow\":\"{");
        json::escape_into(out, &beyond);
        out.extend_from_slice(b"}\"}");
        count
    }

    /// The same for a document that nobody looked at yet.
    pub fn fit(&mut self, document: &mut Vec<u8>) -> u32 {
        if !self.has_budget() {
            return 0;
        }
        self.begin();
        self.all(document);
        if !self.is_beyond() {
            return 0;
        }
        let mut out = Vec::with_capacity(document.len() + 64);
        let count = self.cut(document, &mut out);
        *document = out;
        count
    }
}

struct Cutter<'a> {
    text: &'a [u8],
    out: &'a mut Vec<u8>,
    path: Vec<u8>,
    /// `"name":value,"name":value`.
    beyond: Vec<u8>,
    count: u32,
    names: &'a HashSet<u64>,
    budget: &'a FieldBudget,
}

impl Cutter<'_> {
    fn object(&mut self, at: usize) {
        self.out.push(b'{');
        let mut first = true;
        let text = self.text;
        json::object(text, at, |member| {
            let before = self.path.len();
            descend(&mut self.path, text, &member);
            if self.is_within(&member) {
                if !std::mem::take(&mut first) {
                    self.out.push(b',');
                }
                self.out
                    .extend_from_slice(&text[member.key.start - 1..=member.key.end]);
                self.out.push(b':');
                self.value(member.value, member.kind);
            } else {
                self.count += 1;
                if !self.beyond.is_empty() {
                    self.beyond.push(b',');
                }
                self.beyond.push(b'"');
                json::escape_into(&mut self.beyond, &self.path);
                self.beyond.extend_from_slice(b"\":");
                self.beyond.extend_from_slice(&text[member.value]);
            }
            self.path.truncate(before);
        });
        self.out.push(b'}');
    }

    fn value(&mut self, value: std::ops::Range<usize>, kind: Kind) {
        let text = self.text;
        match kind {
            Kind::Object => self.object(value.start),
            Kind::Array if memchr::memchr(b'{', &text[value.clone()]).is_some() => {
                self.out.push(b'[');
                let mut first = true;
                json::each_element(text, value.start, |element, kind| {
                    if !std::mem::take(&mut first) {
                        self.out.push(b',');
                    }
                    self.value(element, kind);
                });
                self.out.push(b']');
            }
            _ => self.out.extend_from_slice(&text[value]),
        }
    }

    fn is_within(&self, member: &Member) -> bool {
        // It is going to be ours, and there must be no other.
        let ours = self.path == OVERFLOW.as_bytes()
            || (self.path == b"kai" && member.kind != Kind::Object);
        if ours || !is_name(&self.path) {
            return false;
        }
        let hash = self.budget.hasher.hash_one(&self.path[..]);
        self.names.contains(&hash) || self.budget.free.contains(&hash)
    }
}

/// Goes from an object's path to its member's.
fn descend(path: &mut Vec<u8>, text: &[u8], member: &Member) {
    if !path.is_empty() {
        path.push(b'.');
    }
    if member.escaped {
        let quoted = &text[member.key.start - 1..=member.key.end];
        match serde_json::from_slice::<String>(quoted) {
            Ok(name) => path.extend_from_slice(name.as_bytes()),
            // Half of a character, which is none: no name either.
            Err(_) => path.push(b'.'),
        }
    } else {
        path.extend_from_slice(&text[member.key.clone()]);
    }
}

fn parts(path: &[u8]) -> usize {
    memchr::memchr_iter(b'.', path).count() + 1
}

/// Whether an index takes a name: no part of it may be blank.
fn is_name(path: &[u8]) -> bool {
    if path.first() == Some(&b'_') && RESERVED.iter().any(|name| name.as_bytes() == path) {
        return false;
    }
    let blank = |part: &[u8]| part.iter().all(|byte| *byte <= b' ');
    path.len() <= LONGEST
        && parts(path) <= MOST_PARTS
        && !path.split(|byte| *byte == b'.').any(blank)
}

#[cfg(test)]
mod tests;
