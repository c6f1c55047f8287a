//! 32 bytes by one instruction, each looked up by its two halves (`pshufb`).

use std::arch::x86_64::{
    __m256i, _mm_set_epi64x, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_srli_epi16,
    _mm256_testz_si256,
};

use super::{Any, Block, Halves, Tables, WINDOW, WORDS, rest};

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
        let (window, count) = rest(text, at);
        let mut block = tables.block(&window, &mut seen);
        block.end(count);
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

#[target_feature(enable = "avx2")]
#[inline]
fn load(bytes: &[u8], at: usize) -> __m256i {
    let Some(bytes) = bytes[at..].first_chunk::<32>() else {
        return _mm256_setzero_si256(); // a window is longer
    };
    // SAFETY: all 32 bytes are of the array, and the instruction asks for no alignment.
    #[expect(unsafe_code, reason = "there is no load of an array")]
    unsafe {
        _mm256_loadu_si256(bytes.as_ptr().cast())
    }
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
