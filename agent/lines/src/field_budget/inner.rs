//! Names inside a line's members that are known to be within the budget, by the keys on the way to
//! them: an object whose names are all known is gone through once, and no name is put together.

use std::hash::{BuildHasher, RandomState};

use crate::json;

#[derive(Debug)]
pub struct Inner {
    /// Nobody outside can tell which keys share a slot, or have one hash.
    keys: [u64; 3],
    known: Recent,
}

/// Hashes that were met; the older of those that are in one another's way are forgotten. 0 is none.
#[derive(Debug)]
pub struct Recent {
    sets: Box<[[u64; 4]]>,
    next: usize,
}

impl Recent {
    pub fn new(sets: usize) -> Self {
        Self {
            sets: vec![[0; 4]; sets].into(),
            next: 0,
        }
    }

    pub fn forget(&mut self) {
        self.sets.fill([0; 4]);
    }

    #[inline]
    pub fn has(&self, hash: u64) -> bool {
        let set = (hash as usize).checked_rem(self.sets.len());
        hash != 0 && set.is_some_and(|set| self.sets[set].contains(&hash))
    }

    pub fn add(&mut self, hash: u64) {
        if self.has(hash) {
            return;
        }
        let Some(set) = (hash as usize).checked_rem(self.sets.len()) else {
            return;
        };
        self.next = (self.next + 1) % 4;
        let set = &mut self.sets[set];
        let free = set.iter().position(|known| *known == 0);
        set[free.unwrap_or(self.next)] = hash;
    }
}

impl Inner {
    pub fn new(sets: usize) -> Self {
        let random = RandomState::new();
        Self {
            keys: [0, 1, 2].map(|number| random.hash_one(number) | 1),
            known: Recent::new(sets),
        }
    }

    pub fn forget(&mut self) {
        self.known.forget();
    }

    /// From the keys so far to the next one. No keys are 0.
    #[inline]
    pub fn step(&self, way: u64, key: &[u8]) -> u64 {
        let [first, each, last] = self.keys;
        let (words, rest) = key.as_chunks::<8>();
        let mut hash = way ^ first;
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word), each);
        }
        let rest = rest
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        fold(fold(hash ^ rest, each) ^ key.len() as u64, last)
    }

    pub fn add(&mut self, way: u64) {
        self.known.add(way);
    }

    /// Where the value at `at` ends, of JSON that is valid, if all names in it are known.
    pub fn has_all(&self, text: &[u8], at: usize, way: u64) -> Option<usize> {
        self.has_all_below(text, at, way, json::DEEPEST)
    }

    fn has_all_below(&self, text: &[u8], at: usize, way: u64, depth: usize) -> Option<usize> {
        let open = *text.get(at)?;
        match open {
            b'"' => return string(text, at + 1),
            b'{' | b'[' => {}
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || *byte <= b' ';
                return Some(at + text[at..].iter().position(ends)?);
            }
        }
        let depth = depth.checked_sub(1)?;
        let mut at = json::space(text, at + 1);
        if *text.get(at)? == open + 2 {
            return Some(at + 1);
        }
        loop {
            let mut inside = way;
            if open == b'{' {
                let key = text.get(at + 1..)?;
                let end = key.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
                inside = self.step(way, &key[..end]);
                if key[end] == b'\\' || !self.known.has(inside) {
                    return None;
                }
                let colon = json::space(text, at + 1 + end + 1);
                at = json::space(text, colon + 1);
            }
            at = json::space(text, self.has_all_below(text, at, inside, depth)?);
            match *text.get(at)? {
                b',' => at = json::space(text, at + 1),
                close if close == open + 2 => return Some(at + 1),
                _ => return None,
            }
        }
    }
}

/// Where a string ends whose content begins at `at`.
fn string(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Both halves of a product: each bit of it depends on all bits before.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn ways(inner: &Inner, value: &Value, way: u64, out: &mut Vec<u64>) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let way = inner.step(way, key.as_bytes());
                    out.push(way);
                    ways(inner, value, way, out);
                }
            }
            Value::Array(elements) => {
                for value in elements {
                    ways(inner, value, way, out);
                }
            }
            _ => {}
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            r#"[a-z"\\{}\[\],: ]{0,12}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::hash_map("[a-c]{1,2}|[a-z]{7,18}", inner, 0..5)
                    .prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_are_known_when_each_one_is(value in json_value(), pretty in any::<bool>(), gone in 0_usize..50) {
            let mut inner = Inner::new(1 << 12);
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            // Something follows, as in a line.
            let text = text.unwrap() + ",";
            let mut all = Vec::new();
            ways(&inner, &value, 0, &mut all);
            for way in &all {
                    inner.add(*way);
                }
            prop_assume!(all.iter().all(|way| inner.known.has(*way)));
            prop_assert_eq!(inner.has_all(text.as_bytes(), 0, 0), Some(text.len() - 1));
            if let Some(way) = all.get(gone % all.len().max(1)) {
                let all: Vec<u64> = all.iter().copied().filter(|other| other != way).collect();
                inner.forget();
                for way in &all {
                    inner.add(*way);
                }
                prop_assert_eq!(inner.has_all(text.as_bytes(), 0, 0), None);
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in r#"[{}\[\]",:\\a 1]{0,40}"#, bytes in any::<Vec<u8>>()) {
            let inner = Inner::new(16);
            let _ = (inner.has_all(text.as_bytes(), 0, 0), inner.has_all(&bytes, 0, 0));
            prop_assert_eq!(inner.has_all("[".repeat(100_000).as_bytes(), 0, 0), None);
        }
    }
}
