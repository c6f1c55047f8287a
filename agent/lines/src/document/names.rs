//! Which of some names a line has, and what it has them for. The members of one line have mostly the
//! names that the line before had, so what a name is was found out before.

use std::ops::Range;
use std::sync::Arc;

use crate::field_budget::{Asker, FieldBudget};
use crate::json::{self, Kind};

/// As many names as bits.
pub const MOST: usize = 64;

/// Names of members that are remembered, and how long they may be.
const SLOTS: usize = 256;
const LONGEST: usize = 40;

/// Members of a line of which it is remembered in which slot they were.
const PLACES: usize = 32;

#[derive(Debug, Clone)]
pub struct Value {
    pub at: Range<usize>,
    pub kind: Kind,
}

/// What a member's name is among the names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Meaning {
    /// The bit of the name that it is; [`MOST`] if it is none.
    is: u8,
    /// Bits of the names that begin with it and a dot.
    below: u64,
}

/// A member's name that was met, and is within the budget; zeros follow it.
#[derive(Debug, Clone, Copy)]
struct Met {
    length: u8,
    key: [u8; LONGEST],
    meaning: Meaning,
}

impl Met {
    /// Whether it is the key at `at`, compared eight bytes at a time: keys are too short for a call.
    #[inline]
    fn is(&self, text: &[u8], at: &Range<usize>) -> bool {
        let length = at.len();
        if usize::from(self.length) != length {
            return false;
        }
        let Some(window) = text
            .get(at.start..)
            .and_then(<[u8]>::first_chunk::<LONGEST>)
        else {
            return self.key.get(..length) == text.get(at.clone());
        };
        let (key, _) = self.key.as_chunks::<8>();
        let (window, _) = window.as_chunks::<8>();
        let mut left = length;
        for (key, window) in key.iter().zip(window) {
            let differ = u64::from_le_bytes(*key) ^ u64::from_le_bytes(*window);
            if left <= 8 {
                return left == 0 || differ << (64 - 8 * left) == 0;
            }
            if differ != 0 {
                return false;
            }
            left -= 8;
        }
        false
    }
}

#[derive(Debug)]
pub struct Names {
    known: Vec<Box<[u8]>>,
    /// Of the names that begin with a byte, their bits.
    by_first: Box<[u64; 256]>,
    met: Box<[Met; SLOTS]>,
    /// The slots of the members of the line before, in its order: mostly the next line's, too, and
    /// known before its key is.
    order: [u8; PLACES],
    pub asker: Asker,
}

impl Names {
    pub fn new(names: Vec<Box<[u8]>>) -> Self {
        let mut by_first = Box::new([0; 256]);
        for (bit, name) in names.iter().enumerate() {
            if let Some(first) = name.first() {
                by_first[usize::from(*first)] |= 1 << bit;
            }
        }
        let none = Met {
            length: u8::MAX,
            key: [0; LONGEST],
            meaning: Meaning::default(),
        };
        Self {
            asker: Asker::new(None),
            known: names,
            by_first,
            met: Box::new([none; SLOTS]),
            order: [0; PLACES],
        }
    }

    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// The bit of a name, from now on; [`MOST`] if there is none left. Not between lines: what is
    /// remembered of members is forgotten.
    pub fn add(&mut self, name: &[u8]) -> usize {
        if let Some(bit) = self.known.iter().position(|known| **known == *name) {
            return bit;
        }
        if self.known.len() >= MOST {
            return MOST;
        }
        let mut known = std::mem::take(&mut self.known);
        known.push(name.into());
        let asker = std::mem::replace(&mut self.asker, Asker::new(None));
        *self = Self::new(known);
        self.asker = asker;
        self.known.len() - 1
    }

    /// Empty for a bit without one.
    pub fn name(&self, bit: usize) -> &[u8] {
        self.known.get(bit).map(|name| &**name).unwrap_or_default()
    }

    /// Members are asked for from now on.
    pub fn ask(&mut self, budget: Arc<FieldBudget>) {
        self.asker = Asker::new(Some(budget));
    }

    /// Looks for the names in one line.
    pub fn search<'a>(&'a mut self, found: &'a mut [Value]) -> Search<'a> {
        if self.asker.begin() {
            for met in &mut *self.met {
                met.length = u8::MAX;
            }
        }
        Search {
            names: self,
            found,
            members: 0,
            present: 0,
            blocked: 0,
        }
    }

    /// What a key is, of an object that stands below the first `before` bytes of the names `wanted`.
    fn meaning(&self, key: &[u8], before: usize, wanted: u64) -> Meaning {
        let mut meaning = Meaning {
            is: MOST as u8,
            below: 0,
        };
        let mut rest = wanted;
        while rest != 0 {
            let bit = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let Some(name) = self.known.get(bit).and_then(|name| name.get(before..)) else {
                continue;
            };
            // The length first: it tells most names from most keys.
            if name.len() == key.len() {
                if name == key {
                    meaning.is = bit as u8;
                }
            } else if name.get(key.len()) == Some(&b'.') && name.starts_with(key) {
                meaning.below |= 1 << bit;
            }
        }
        meaning
    }

    /// The same for the key at `at` of the line itself, which is its member number `place`; it is asked
    /// for, if it was not yet.
    #[inline]
    fn meaning_of(&mut self, text: &[u8], at: &Range<usize>, place: usize) -> Meaning {
        let place = place % PLACES;
        let met = &self.met[usize::from(self.order[place]) % SLOTS];
        if met.is(text, at) {
            return met.meaning;
        }
        self.meaning_by_key(text, at, place)
    }

    fn meaning_by_key(&mut self, text: &[u8], at: &Range<usize>, place: usize) -> Meaning {
        let key = &text[at.clone()];
        let (Some(first), Some(last)) = (key.first(), key.last()) else {
            self.asker.member(key);
            return self.meaning(key, 0, u64::MAX);
        };
        // First, middle and last letter and the length tell most keys of a line from each other.
        let parts = [*first, key[key.len() / 2], *last, key.len() as u8];
        let slot = u32::from_le_bytes(parts).wrapping_mul(0x9e37_79b1) as usize >> 24;
        // Of two that have one place the later one has the place beside it.
        for slot in [slot % SLOTS, (slot ^ 1) % SLOTS] {
            let met = &self.met[slot];
            if met.is(text, at) {
                self.order[place] = slot as u8;
                return met.meaning;
            }
        }
        let slot = if self.met[slot % SLOTS].length == u8::MAX {
            slot
        } else {
            slot ^ 1
        };
        self.order[place] = (slot % SLOTS) as u8;
        self.meet(key, slot % SLOTS)
    }

    fn meet(&mut self, key: &[u8], slot: usize) -> Meaning {
        let first = key.first().copied().unwrap_or_default();
        let meaning = self.meaning(key, 0, self.by_first[usize::from(first)]);
        let within = self.asker.member(key);
        let met = &mut self.met[slot];
        if within && key.len() <= LONGEST {
            met.key = [0; LONGEST];
            met.key[..key.len()].copy_from_slice(key);
            (met.length, met.meaning) = (key.len() as u8, meaning);
        }
        meaning
    }
}

/// The search in one line.
pub struct Search<'a> {
    names: &'a mut Names,
    found: &'a mut [Value],
    /// Members that were told so far.
    members: usize,
    present: u64,
    blocked: u64,
}

impl Search<'_> {
    /// Bits of the names that the line has, and of those below a plain value.
    pub fn ended(&self) -> (u64, u64) {
        (self.present, self.blocked)
    }

    /// A member of the line.
    #[inline]
    pub fn member(&mut self, text: &[u8], member: &json::Member) {
        if member.escaped {
            let quoted = &text[member.key.start - 1..=member.key.end];
            let key = serde_json::from_slice::<String>(quoted).unwrap_or_default();
            self.names.asker.member(key.as_bytes());
            self.names
                .asker
                .inside(text, key.as_bytes(), &member.value, member.kind);
            return self.escaped(text, member, 0, u64::MAX);
        }
        let meaning = self.names.meaning_of(text, &member.key, self.members);
        self.members += 1;
        if usize::from(meaning.is) < MOST || meaning.below != 0 {
            self.note(text, member, meaning, member.key.len() + 1);
        }
        if matches!(member.kind, Kind::Object | Kind::Array) && self.names.asker.has_budget() {
            let asker = &mut self.names.asker;
            let key = &text[member.key.clone()];
            asker.inside(text, key, &member.value, member.kind);
        }
    }

    fn escaped(&mut self, text: &[u8], member: &json::Member, before: usize, wanted: u64) {
        let quoted = &text[member.key.start - 1..=member.key.end];
        let key = serde_json::from_slice::<String>(quoted).unwrap_or_default();
        let meaning = self.names.meaning(key.as_bytes(), before, wanted);
        self.note(text, member, meaning, before + key.len() + 1);
    }

    /// Notes a member, of which the names below begin with `before` bytes.
    fn note(&mut self, text: &[u8], member: &json::Member, meaning: Meaning, before: usize) {
        if let Some(value) = self.found.get_mut(usize::from(meaning.is)) {
            self.present |= 1 << meaning.is;
            *value = Value {
                at: member.value.clone(),
                kind: member.kind,
            };
        }
        if meaning.below == 0 {
            return;
        }
        match member.kind {
            Kind::Object => {
                // Checked already, and no deeper than the longest name has dots.
                json::object(text, member.value.start, |inner| {
                    self.inner(text, &inner, before, meaning.below);
                });
            }
            Kind::String | Kind::Number | Kind::Bool => self.blocked |= meaning.below,
            // An array may hold objects, null is no value: both go with a field below.
            Kind::Array | Kind::Null => {}
        }
    }

    /// A member of an object that stands below the first `before` bytes of the names `wanted`.
    fn inner(&mut self, text: &[u8], member: &json::Member, before: usize, wanted: u64) {
        if member.escaped {
            return self.escaped(text, member, before, wanted);
        }
        let key = &text[member.key.clone()];
        let meaning = self.names.meaning(key, before, wanted);
        self.note(text, member, meaning, before + key.len() + 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_remembered_is_what_is_found_out(
            keys in proptest::collection::vec(
                r"(a|b|log|log\.level|log\.levex|service|service\.name|time|ts|[a-c.]{0,4}|[a-z]{30,50})", 1..60
            ),
            lines in 1_usize..8, end in "[a-z]{0,50}"
        ) {
            let names = ["log.level", "service.name", "service.node.name", "time", "ts", "a.b"];
            let mut names = Names::new(names.iter().map(|name| name.as_bytes().into()).collect());
            for (place, key) in keys.iter().enumerate() {
                let line = format!("{{\"{key}\":1{end}");
                let (text, at) = (line.as_bytes(), 2..key.len() + 2);
                let wanted = names.meaning(key.as_bytes(), 0, u64::MAX);
                prop_assert_eq!(names.meaning_of(text, &at, place % lines), wanted);
            }
        }
    }
}
