//! What the bytes of a text are, looked up in tables, many by one instruction: which are quotes or
//! digits, and where something begins that could be one of some words. Three neighbours that are
//! each of one class are a word's fingerprint.
//!
//! AVX2 has this and every x86-64 server has AVX2; newer ones do twice as many bytes at a time. Who
//! asks elsewhere is told that it is not to be had and looks in another way.

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

/// The same, as each kind of processor wants to have it.
#[derive(Debug, Clone)]
pub struct Ready {
    tables: Tables,
    /// Each of the tables by the byte itself: the classes, the three prints and the three ends.
    whole: [[u8; 128]; 7],
}

impl Ready {
    #[must_use]
    pub fn classes(&self) -> &Halves {
        &self.tables.classes
    }
}

impl From<Tables> for Ready {
    fn from(tables: Tables) -> Self {
        let [print, second_print, third_print] = &tables.prints;
        let [end, second_end, third_end] = &tables.ends;
        let all = [
            &tables.classes,
            print,
            second_print,
            third_print,
            end,
            second_end,
            third_end,
        ];
        let whole = all.map(|halves| std::array::from_fn(|byte| halves.of(byte as u8)));
        Self { tables, whole }
    }
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
pub fn look(text: &[u8], tables: &Ready, out: &mut Vec<Block>) -> Option<Any> {
    Way::best()?.look(text, tables, out)
}

/// How to look, as the processor has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Way {
    const ALL: &[Self] = &[
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
    ];

    fn best() -> Option<Self> {
        Self::ALL.iter().copied().find(|way| way.is_there())
    }

    #[inline]
    fn is_there(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => std::arch::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512vbmi")
            }
        }
    }

    fn look(self, text: &[u8], tables: &Ready, out: &mut Vec<Block>) -> Option<Any> {
        if !self.is_there() {
            return None;
        }
        match self {
            // SAFETY: the processor has what the function is compiled for, asked above.
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "no safe call asks the processor first")]
            Self::Avx2 => Some(unsafe { avx2::look(text, &tables.tables, out) }),
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "no safe call asks the processor first")]
            Self::Avx512 => Some(unsafe { avx512::look(text, tables, out) }),
        }
    }
}

/// The text from `at` on with two bytes more than a block has, made up with spaces: they are of no
/// interest, and no control characters, and end a word as the text does.
#[cfg(target_arch = "x86_64")]
fn rest(text: &[u8], at: usize) -> ([u8; WINDOW], usize) {
    let mut window = [b' '; WINDOW];
    let rest = &text[at..];
    let count = rest.len().min(WINDOW);
    window[..count].copy_from_slice(&rest[..count]);
    (window, count)
}

/// 64 bytes and the two after them.
#[cfg(target_arch = "x86_64")]
const WINDOW: usize = 66;

#[cfg(target_arch = "x86_64")]
impl Block {
    /// Forgets what is beyond the `count` bytes that there are.
    fn end(&mut self, count: usize) {
        if let Some(beyond) = 64_usize.checked_sub(count)
            && beyond > 0
        {
            let within = u64::MAX >> beyond;
            self.of.iter_mut().for_each(|bits| *bits &= within);
            self.last &= within;
            self.prints &= within;
            self.ends &= within;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

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
            let ready = Ready::from(tables);
            let wanted = plainly(&text, &tables);
            for way in Way::ALL {
                let mut out = vec![Block::default(); 3];
                match way.look(&text, &ready, &mut out) {
                    Some(any) => assert_eq!((any, out), wanted, "{way:?} {text:?}"),
                    None if round == 0 => eprintln!("not run: the processor has no {way:?}"),
                    None => {}
                }
            }
        }
    }
}
