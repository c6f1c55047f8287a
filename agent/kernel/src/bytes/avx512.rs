//! 64 bytes by one instruction, each looked up whole in a table of 128 (`vpermi2b`), the answers
//! collected as bits at once: less than half of what AVX2 takes. Intel since Ice Lake, AMD since Zen 4.

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask,
    _mm512_mask_loadu_epi8, _mm512_movepi8_mask, _mm512_or_si512, _mm512_permutex2var_epi8,
    _mm512_set1_epi8, _mm512_test_epi8_mask,
};

use super::{Any, Block, Ready, WORDS};

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub fn look(text: &[u8], tables: &Ready, out: &mut Vec<Block>) -> Any {
    let [classes, prints @ .., end, second_end, third_end] = &tables.whole;
    let tables = Loaded {
        classes: table(classes),
        prints: [table(&prints[0]), table(&prints[1]), table(&prints[2])],
        ends: [table(end), table(second_end), table(third_end)],
    };
    let mut seen = Seen::default();
    out.clear();
    out.reserve(text.len().div_ceil(64));
    let mut rest = text;
    while !rest.is_empty() {
        out.push(tables.block(rest, &mut seen));
        rest = rest.get(64..).unwrap_or_default();
    }
    Any {
        control: seen.control != 0,
        backslash: seen.backslash != 0,
        beyond_ascii: seen.high != 0,
    }
}

#[derive(Default)]
struct Seen {
    control: u64,
    backslash: u64,
    high: u64,
}

/// A table's two halves.
type Table = (__m512i, __m512i);

struct Loaded {
    classes: Table,
    prints: [Table; 3],
    ends: [Table; 3],
}

impl Loaded {
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    #[inline]
    fn block(&self, rest: &[u8], seen: &mut Seen) -> Block {
        let bytes = load(rest);
        let next = load(rest.get(1..).unwrap_or_default());
        let after = load(rest.get(2..).unwrap_or_default());
        let high = _mm512_movepi8_mask(bytes);
        seen.control |= _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20));
        seen.backslash |= _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'\\' as i8));
        seen.high |= high;
        // Bytes above 127 are none of the table's, and find the ones that are 128 less.
        let within = first(rest.len());
        let ascii = within & !high;
        let classes = look_up(bytes, self.classes);
        let any = |bits: u8| _mm512_test_epi8_mask(classes, _mm512_set1_epi8(bits as i8));
        let of = |bits: u8| ascii & any(bits);
        let all_ascii =
            within & !_mm512_movepi8_mask(_mm512_or_si512(_mm512_or_si512(bytes, next), after));
        let common = |tables: &[Table; 3]| {
            let first_two = _mm512_and_si512(look_up(bytes, tables[0]), look_up(next, tables[1]));
            all_ascii & _mm512_test_epi8_mask(first_two, look_up(after, tables[2]))
        };
        Block {
            of: [of(1), of(2), of(4), of(8), of(16)],
            last: of(0x80),
            other: !any(WORDS) | high,
            prints: common(&self.prints),
            ends: common(&self.ends),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn look_up(bytes: __m512i, (low, high): Table) -> __m512i {
    _mm512_permutex2var_epi8(low, bytes, high)
}

/// Bits of the first `count` bytes of a block.
#[inline]
fn first(count: usize) -> u64 {
    if count < 64 {
        (1 << count) - 1
    } else {
        u64::MAX
    }
}

/// The first 64 bytes. Where there are fewer, spaces follow: they are of no interest, and no control
/// characters, and end a word as the text does.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn load(bytes: &[u8]) -> __m512i {
    let spaces = _mm512_set1_epi8(b' ' as i8);
    // SAFETY: of the bytes beyond the slice none is read: the instruction leaves out those whose bit
    // is not set, and it asks for no alignment.
    #[expect(unsafe_code, reason = "there is no load of a slice")]
    unsafe {
        _mm512_mask_loadu_epi8(spaces, first(bytes.len()), bytes.as_ptr().cast())
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn table(whole: &[u8; 128]) -> Table {
    (load(whole), load(&whole[64..]))
}
