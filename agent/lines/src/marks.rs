//! One look at all bytes of a line, of which each later question takes its part: where strings end,
//! whether it is all ASCII, and whether anything that is to be redacted could be in it.

use std::sync::LazyLock;

pub use kai_kernel::bytes::Block;
use kai_kernel::bytes::{Any, Halves, Ready, Tables, WORDS};

/// Classes of bytes by their numbers.
const QUOTE: usize = 0;
const SIGN: usize = 1;
const DIGIT: usize = 2;
const SEPARATOR: usize = 3;
const ASSIGNMENT: usize = 4;
/// The letters up to `o`, and the others.
const FIRST_LETTERS: usize = 5;
const LAST_LETTERS: usize = 6;
/// Letters of hexadecimal numbers.
const HEXADECIMAL: usize = 7;

const _: () = assert!(WORDS == 1 << DIGIT | 1 << FIRST_LETTERS | 1 << LAST_LETTERS);

/// Three neighbours in whatever the forms of [`crate::privacy`] know as a credential by itself, in
/// all spellings. Each line is one class, whose first, second and third bytes go together in all
/// ways, as do their halves: what shares a line is chosen so that few words of logs come of that.
const PRINTS: [&[&str]; 8] = [
    &["uth", "UTH"],        // authorization
    &["bea", "Bea", "BEA"], // bearer
    &["eyJ", "E K"],        // a JSON web token; PRIVATE KEY
    &["KIA", "SIA"],        // AWS
    &["hp_", "hu_", "hs_", "hr_"],
    &["xox", "ho_"],
    &["b_p", "k_l"], // github_pat_, sk_live_
    &[],
];

/// The last three letters of names whose values are credentials.
const ENDS: [&[&str]; 8] = [
    &["ord"],
    &["swd", "pwd"],
    &["ase"],
    &["ret"],
    &["ken", "key"],
    &["cvv", "vv2", "vc2"],
    &["kie", "als"],
    &["otp"],
];

static TABLES: LazyLock<Ready> = LazyLock::new(|| {
    let mut tables = Tables::default();
    let mut class = |bytes: &[u8], bit: usize| {
        for byte in bytes {
            tables.classes.add(*byte, bit as u8);
        }
    };
    class(b"\"", QUOTE);
    class(b"@", SIGN);
    class(b"0123456789", DIGIT);
    class(b" -./()", SEPARATOR);
    class(b"=:", ASSIGNMENT);
    class(b"abcdefghijklmnoABCDEFGHIJKLMNO", FIRST_LETTERS);
    class(b"pqrstuvwxyzPQRSTUVWXYZ", LAST_LETTERS);
    class(b"abcdefABCDEF", HEXADECIMAL);
    let add = |halves: &mut [Halves; 3], word: &str, bit: usize| {
        for (halves, byte) in halves.iter_mut().zip(word.bytes()) {
            halves.add(byte, bit as u8);
        }
    };
    for (bit, words) in PRINTS.iter().enumerate() {
        words
            .iter()
            .for_each(|word| add(&mut tables.prints, word, bit));
    }
    for (bit, words) in ENDS.iter().enumerate() {
        for word in *words {
            add(&mut tables.ends, word, bit);
            add(&mut tables.ends, &word.to_ascii_uppercase(), bit);
        }
    }
    tables.into()
});

/// What was seen of one text. Kept from text to text for its memory.
#[derive(Debug, Default)]
pub struct Marks {
    any: Any,
    blocks: Vec<Block>,
}

/// Blocks whose memory is kept from line to line.
const KEPT: usize = 1024;

impl Marks {
    /// Looks at a text; `None` on a processor that has no fast way to do so.
    pub fn look(&mut self, text: &[u8]) -> Option<&Self> {
        if self.blocks.capacity() > KEPT {
            self.blocks.shrink_to(KEPT);
        }
        self.any = kai_kernel::bytes::look(text, &TABLES, &mut self.blocks)?;
        Some(self)
    }

    pub fn is_ascii(&self) -> bool {
        !self.any.beyond_ascii
    }

    pub fn has_backslash(&self) -> bool {
        self.any.backslash
    }

    /// Quotes are where strings begin and end, nothing else, and no string is wrong.
    pub fn is_simple(&self) -> bool {
        !self.any.backslash && !self.any.control
    }

    /// The quotes at `at` and later, one after the other.
    pub fn quotes(&self, at: usize) -> Quotes<'_> {
        let mut blocks = self.blocks.get(at / 64..).unwrap_or_default().iter();
        let first = blocks.next().map_or(0, |block| block.of[QUOTE]);
        Quotes {
            blocks,
            bits: first & (u64::MAX << (at % 64)),
            base: at / 64 * 64,
        }
    }

    /// Where an `@` stands.
    pub fn signs(&self) -> impl Iterator<Item = usize> {
        self.blocks.iter().enumerate().flat_map(|(index, block)| {
            let mut bits = block.of[SIGN];
            std::iter::from_fn(move || {
                let place = bits.trailing_zeros() as usize;
                bits &= bits.wrapping_sub(1);
                (place < 64).then_some(index * 64 + place)
            })
        })
    }

    /// Of the 64 bytes from `at` on, which are digits, and which are digits or may divide them.
    pub fn digits(&self, at: usize) -> (u64, u64) {
        let (index, shift) = (at / 64, at % 64);
        let of = |index: usize| {
            self.blocks.get(index).map_or((0, 0), |block| {
                let digits = block.of[DIGIT];
                (digits, digits | block.of[SEPARATOR])
            })
        };
        let (digits, runs) = of(index);
        if shift == 0 {
            return (digits, runs);
        }
        let (more_digits, more_runs) = of(index + 1);
        (
            digits >> shift | more_digits << (64 - shift),
            runs >> shift | more_runs << (64 - shift),
        )
    }

    /// How far letters and digits go on before `start` and behind `end`, if there are any and all are
    /// of hexadecimal numbers; `None` also where 64 bytes on each side do not tell.
    pub fn hexadecimal_around(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let window = |at: usize| {
            let of = |index: usize| {
                self.blocks.get(index).map_or((u64::MAX, 0), |block| {
                    let hexadecimal = block.of[DIGIT] | block.last;
                    (block.other, !block.other & !hexadecimal)
                })
            };
            let (index, shift) = (at / 64, at % 64);
            let (this, next) = (of(index), of(index + 1));
            let join = |this: u64, next: u64| match shift {
                0 => this,
                _ => this >> shift | next << (64 - shift),
            };
            (join(this.0, next.0), join(this.1, next.1))
        };
        let (before, odd_before) = match start.checked_sub(64) {
            Some(at) => window(at),
            // As if something else stood before the text.
            None if start == 0 => (u64::MAX, 0),
            None => {
                let (other, odd) = window(0);
                let shift = 64 - start;
                (other << shift | u64::MAX >> start, odd << shift)
            }
        };
        let (after, odd_after) = window(end);
        let (left, right) = (before.leading_zeros(), after.trailing_zeros());
        if left == 64 || right == 64 || left + right == 0 {
            return None;
        }
        let odd_left = odd_before.checked_shr(64 - left).unwrap_or(0);
        let plain = odd_left == 0 && odd_after & !(u64::MAX << right) == 0;
        plain.then_some((left as usize, right as usize))
    }

    /// How many bytes there are, rounded up.
    pub fn limit(&self) -> usize {
        self.blocks.len() * 64
    }

    /// Whether a credential could be in the text: something that begins like one, or a name of one
    /// before a sign that gives it a value. Names have letters and digits up to the sign or its
    /// quote; where something else stands there, no more is asked.
    pub fn hints_at_credential(&self) -> bool {
        let wide = |this: u64, next: u64| u128::from(this) | u128::from(next) << 64;
        let mut blocks = self.blocks.iter().peekable();
        let mut found = 0;
        while let Some(block) = blocks.next() {
            let next = blocks.peek().copied().copied().unwrap_or_default();
            let signs = wide(block.of[ASSIGNMENT], next.of[ASSIGNMENT]);
            let quotes = wide(block.of[QUOTE], next.of[QUOTE]);
            let other = block.other;
            let named = (signs >> 3) | (quotes >> 3) & (signs >> 4);
            let before_sign = other & !block.of[QUOTE] & !block.of[ASSIGNMENT];
            let odd =
                before_sign & (signs >> 1) as u64 | other & ((quotes >> 1) & (signs >> 2)) as u64;
            found |= block.prints | block.ends & named as u64 | odd;
        }
        found != 0
    }
}

/// Quotes of a text.
#[derive(Debug, Clone)]
pub struct Quotes<'a> {
    blocks: std::slice::Iter<'a, Block>,
    bits: u64,
    base: usize,
}

impl Iterator for Quotes<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            self.bits = self.blocks.next()?.of[QUOTE];
            self.base += 64;
        }
        let place = self.base + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classes_have_their_bytes_and_no_others() {
        for byte in 0..=255_u8 {
            let bits = TABLES.classes().of(byte);
            let is = |class: usize| bits & 1 << class != 0;
            assert_eq!(is(QUOTE), byte == b'"', "{byte}");
            assert_eq!(is(SIGN), byte == b'@', "{byte}");
            assert_eq!(is(DIGIT), byte.is_ascii_digit(), "{byte}");
            assert_eq!(is(SEPARATOR), b" -./()".contains(&byte), "{byte}");
            assert_eq!(is(ASSIGNMENT), matches!(byte, b'=' | b':'), "{byte}");
            let letter = is(FIRST_LETTERS) || is(LAST_LETTERS);
            assert_eq!(letter, byte.is_ascii_alphabetic(), "{byte}");
            let hexadecimal = byte.is_ascii_hexdigit() && !byte.is_ascii_digit();
            assert_eq!(is(HEXADECIMAL), hexadecimal, "{byte}");
        }
    }

    proptest! {
        #[test]
        fn questions_are_answered_as_by_looking_at_each_byte(
            text in r#"[0-9 "@:=a-z\-é]{0,300}"#, at in 0_usize..300
        ) {
            let text = text.as_bytes();
            let mut marks = Marks::default();
            let Some(marks) = marks.look(text) else {
                return Ok(());
            };
            let quotes = text.iter().enumerate().filter(|(place, byte)| *place >= at && **byte == b'"');
            prop_assert!(marks.quotes(at).eq(quotes.map(|(place, _)| place)));
            let signs = text.iter().enumerate().filter(|(_, byte)| **byte == b'@');
            prop_assert!(marks.signs().eq(signs.map(|(place, _)| place)));
            let (digits, runs) = marks.digits(at);
            for place in 0..64 {
                let byte = text.get(at + place).copied().unwrap_or(b'x');
                prop_assert_eq!(digits >> place & 1 == 1, byte.is_ascii_digit());
                let within = byte.is_ascii_digit() || b" -./()".contains(&byte);
                prop_assert_eq!(runs >> place & 1 == 1, within);
            }
            prop_assert_eq!(marks.is_ascii(), text.is_ascii());
        }

        #[test]
        fn words_around_are_read_as_by_bytes(
            text in r"[0-9a-fA-F]{0,90}[g_ ]{0,1}[0-9a-f]{0,60}[xyz.]{0,2}[0-9a-f]{0,30}",
            start in 0_usize..200, length in 0_usize..30
        ) {
            let text = text.as_bytes();
            let start = start.min(text.len());
            let end = (start + length).min(text.len());
            let mut marks = Marks::default();
            let Some(marks) = marks.look(text) else {
                return Ok(());
            };
            let word = |byte: &&u8| byte.is_ascii_alphanumeric();
            let before: Vec<u8> = text[..start].iter().rev().take_while(word).copied().collect();
            let after: Vec<u8> = text[end..].iter().take_while(word).copied().collect();
            let around = [before.as_slice(), &after].concat();
            let told = !around.is_empty() && before.len() < 64 && after.len() < 64;
            let expected = (told && around.iter().all(u8::is_ascii_hexdigit))
                .then_some((before.len(), after.len()));
            prop_assert_eq!(marks.hexadecimal_around(start, end), expected);
        }
    }
}
