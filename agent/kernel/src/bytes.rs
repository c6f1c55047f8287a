//! What the bytes of a text are, looked up in tables, 32 bytes by one instruction: which are quotes
//! or digits, and where something begins that could be one of some words. A byte is looked up by its
//! two halves (`pshufb`); three neighbours that are each of one class are a word's fingerprint.
//!
//! AVX2 has this and every x86-64 server has AVX2; who asks elsewhere is told that it is not to be
//! had and looks in another way.

/// Classes that make words, as a byte's bits.
pub const WORDS: u8 = 0b0110_0100;

/// Classes of bytes, a bit each: a byte is of those that both its halves are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Halves {
    pub low: [u8; 16],
    pub high: [u8; 16],
}

impl Halves {
    /// Makes a byte one of class `bit`. Others that share a half with it each may become it, too.
    pub fn add(&mut self, byte: u8, bit: u8) {
        self.low[usize::from(byte & 15)] |= 1 << bit;
        self.high[usize::from(byte >> 4)] |= 1 << bit;
    }

    /// A byte's classes. Of bytes above 127 there are none.
    #[must_use]
    pub fn of(&self, byte: u8) -> u8 {
        if byte >= 0x80 {
            return 0;
        }
        self.low[usize::from(byte & 15)] & self.high[usize::from(byte >> 4)]
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tables {
    pub classes: Halves,
    /// Classes of three neighbours: what all three have in common has been found.
    pub prints: [Halves; 3],
    pub ends: [Halves; 3],
}

/// What 64 bytes are, the first one's bit lowest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Block {
    /// Of the first five classes.
    pub of: [u64; 5],
    /// Of the last class.
    pub last: u64,
    /// Of none of the classes in [`WORDS`], and what is beyond the text.
    pub other: u64,
    /// Where three neighbours begin that [`Tables::prints`] have in common.
    pub prints: u64,
    /// The same for [`Tables::ends`].
    pub ends: u64,
}

/// What a text has anywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Any {
    /// Bytes below 0x20.
    pub control: bool,
    pub backslash: bool,
    /// Bytes above 0x7f.
    pub beyond_ascii: bool,
}

/// Looks at every byte of `text`, one block for each 64 that it begins, in place of what `out` had.
/// `None`, and nothing done, where the processor cannot.
pub fn look(text: &[u8], tables: &Tables, out: &mut Vec<Block>) -> Option<Any> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function is compiled for.
        #[expect(unsafe_code, reason = "no safe call asks the processor first")]
        return Some(unsafe { avx2::look(text, tables, out) });
    }
    let _ = (text, tables, out);
    None
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_set_epi64x, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8,
        _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set_epi64x,
        _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16,
        _mm256_srli_epi16, _mm256_testz_si256,
    };

    use super::{Any, Block, Halves, Tables, WORDS};

    /// 64 bytes and the two after them.
    const WINDOW: usize = 66;

    #[target_feature(enable = "avx2")]
    pub fn look(text: &[u8], tables: &Tables, out: &mut Vec<Block>) -> Any {
        let tables = Loaded::new(tables);
        let mut seen = Seen {
            control: _mm256_setzero_si256(),
            backslash: _mm256_setzero_si256(),
            high: _mm256_setzero_si256(),
        };
        out.clear();
        out.reserve(text.len().div_ceil(64));
        let mut at = 0;
        while let Some(window) = text.get(at..at + WINDOW) {
            out.push(tables.block(window, &mut seen));
            at += 64;
        }
        while at < text.len() {
            // Spaces are of no interest, and no control characters. They end a word as the text does.
            let mut window = [b' '; WINDOW];
            let rest = &text[at..];
            let count = rest.len().min(WINDOW);
            window[..count].copy_from_slice(&rest[..count]);
            let mut block = tables.block(&window, &mut seen);
            if let Some(beyond) = 64_usize.checked_sub(count)
                && beyond > 0
            {
                let within = u64::MAX >> beyond;
                block.of.iter_mut().for_each(|bits| *bits &= within);
                block.last &= within;
                block.prints &= within;
                block.ends &= within;
            }
            out.push(block);
            at += 64;
        }
        let all = _mm256_set1_epi8(-1);
        Any {
            control: _mm256_testz_si256(seen.control, all) == 0,
            backslash: _mm256_testz_si256(seen.backslash, all) == 0,
            beyond_ascii: _mm256_movemask_epi8(seen.high) != 0,
        }
    }

    struct Seen {
        control: __m256i,
        backslash: __m256i,
        high: __m256i,
    }

    struct Loaded {
        classes: (__m256i, __m256i),
        prints: [(__m256i, __m256i); 3],
        ends: [(__m256i, __m256i); 3],
    }

    impl Loaded {
        #[target_feature(enable = "avx2")]
        fn new(tables: &Tables) -> Self {
            let [first, second, third] = &tables.prints;
            let [fourth, fifth, sixth] = &tables.ends;
            Self {
                classes: halves(&tables.classes),
                prints: [halves(first), halves(second), halves(third)],
                ends: [halves(fourth), halves(fifth), halves(sixth)],
            }
        }

        #[target_feature(enable = "avx2")]
        #[inline]
        fn block(&self, window: &[u8], seen: &mut Seen) -> Block {
            let (first, second) = (self.half(window, 0, seen), self.half(window, 32, seen));
            let both = |first: u32, second: u32| u64::from(first) | u64::from(second) << 32;
            let mut of = [0; 5];
            for (bits, (first, second)) in of.iter_mut().zip(first.of.iter().zip(second.of)) {
                *bits = both(*first, second);
            }
            Block {
                of,
                last: both(first.last, second.last),
                other: both(first.other, second.other),
                prints: both(first.prints, second.prints),
                ends: both(first.ends, second.ends),
            }
        }

        /// Of 32 bytes.
        #[target_feature(enable = "avx2")]
        #[inline]
        fn half(&self, window: &[u8], at: usize, seen: &mut Seen) -> Half {
            let bytes = load(window, at);
            let lowest = _mm256_set1_epi8(0x1f);
            let is_control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, lowest), bytes);
            let is_backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\' as i8));
            seen.control = _mm256_or_si256(seen.control, is_control);
            seen.backslash = _mm256_or_si256(seen.backslash, is_backslash);
            seen.high = _mm256_or_si256(seen.high, bytes);
            let classes = look_up(bytes, self.classes);
            // A class' bit at the top of its byte, where it is collected.
            let of = [
                collect(_mm256_slli_epi16::<7>(classes)),
                collect(_mm256_slli_epi16::<6>(classes)),
                collect(_mm256_slli_epi16::<5>(classes)),
                collect(_mm256_slli_epi16::<4>(classes)),
                collect(_mm256_slli_epi16::<3>(classes)),
            ];
            let zero = _mm256_setzero_si256();
            let known = _mm256_set1_epi8(WORDS as i8);
            let other = collect(_mm256_cmpeq_epi8(_mm256_and_si256(classes, known), zero));
            let (next, after) = (load(window, at + 1), load(window, at + 2));
            let common = |tables: &[(__m256i, __m256i); 3]| {
                let found = _mm256_and_si256(
                    _mm256_and_si256(look_up(bytes, tables[0]), look_up(next, tables[1])),
                    look_up(after, tables[2]),
                );
                !collect(_mm256_cmpeq_epi8(found, zero))
            };
            Half {
                of,
                last: collect(classes),
                other,
                prints: common(&self.prints),
                ends: common(&self.ends),
            }
        }
    }

    struct Half {
        of: [u32; 5],
        last: u32,
        other: u32,
        prints: u32,
        ends: u32,
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn collect(bytes: __m256i) -> u32 {
        _mm256_movemask_epi8(bytes) as u32
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn look_up(bytes: __m256i, (low, high): (__m256i, __m256i)) -> __m256i {
        let half = _mm256_set1_epi8(15);
        let highs = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), half);
        // A byte above 127 finds nothing by its low half.
        let low = _mm256_shuffle_epi8(low, bytes);
        _mm256_and_si256(low, _mm256_shuffle_epi8(high, highs))
    }

    /// One unaligned load, made of safe parts.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(bytes: &[u8], at: usize) -> __m256i {
        let word = |index: usize| {
            let at = at + 8 * index;
            bytes[at..at + 8].try_into().map_or(0, i64::from_le_bytes)
        };
        _mm256_set_epi64x(word(3), word(2), word(1), word(0))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn halves(halves: &Halves) -> (__m256i, __m256i) {
        // A shuffle stays within 16 bytes, so each half has the table.
        let twice = |table: &[u8; 16]| {
            let all = u128::from_le_bytes(*table);
            let halves = _mm_set_epi64x((all >> 64) as i64, all as i64);
            _mm256_broadcastsi128_si256(halves)
        };
        (twice(&halves.low), twice(&halves.high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same without vectors.
    fn plainly(text: &[u8], tables: &Tables) -> (Any, Vec<Block>) {
        let at = |index: usize| text.get(index).copied().unwrap_or(b' ');
        let blocks = (0..text.len().div_ceil(64)).map(|number| {
            let mut block = Block::default();
            let bytes = text.iter().enumerate().skip(number * 64).take(64);
            for (index, byte) in bytes {
                let bit = 1_u64 << (index % 64);
                let classes = tables.classes.of(*byte);
                for (class, bits) in block.of.iter_mut().enumerate() {
                    *bits |= if classes & 1 << class == 0 { 0 } else { bit };
                }
                block.last |= if classes & 0x80 == 0 { 0 } else { bit };
                block.other |= if classes & WORDS == 0 { bit } else { 0 };
                let common = |tables: &[Halves; 3]| {
                    let [first, second, third] = tables;
                    first.of(at(index)) & second.of(at(index + 1)) & third.of(at(index + 2)) != 0
                };
                block.prints |= if common(&tables.prints) { bit } else { 0 };
                block.ends |= if common(&tables.ends) { bit } else { 0 };
            }
            // Beyond the text it is as if there were spaces.
            if tables.classes.of(b' ') & WORDS == 0 {
                for index in text.len()..number * 64 + 64 {
                    block.other |= 1 << (index % 64);
                }
            }
            block
        });
        let any = Any {
            control: text.iter().any(|byte| *byte < 0x20),
            backslash: text.contains(&b'\\'),
            beyond_ascii: !text.is_ascii(),
        };
        (any, blocks.collect())
    }

    #[test]
    fn vectors_see_what_single_bytes_are() {
        // Numbers that look random and are the same in every run.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..4000 {
            let mut tables = Tables::default();
            let all = std::iter::once(&mut tables.classes);
            let all = all.chain(&mut tables.prints).chain(&mut tables.ends);
            for halves in all {
                for _ in 0..12 {
                    halves.add((next() % 128) as u8, (next() % 8) as u8);
                }
            }
            // Mostly ASCII, of all lengths around the windows'.
            let limit = if round % 2 == 0 { 128 } else { 256 };
            let text: Vec<u8> = (0..round % 300).map(|_| (next() % limit) as u8).collect();
            let mut out = vec![Block::default(); 3];
            if let Some(any) = look(&text, &tables, &mut out) {
                assert_eq!((any, out), plainly(&text, &tables), "{text:?}");
            } else {
                eprintln!("not run: the processor has no AVX2");
                return;
            }
        }
    }
}
