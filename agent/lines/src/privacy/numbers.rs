//! Numbers of cards, persons and telephones in a text: runs of digits that single separators may
//! divide.

use kai_contract::agent_config::{Redact, Redacted};

use super::Finding;
use crate::marks::Marks;

/// Fewest digits of anything that is looked for: `+62 21 123456`.
const FEWEST: usize = 9;
/// Fewest digits of a card or a person.
const FEWEST_OF_CARDS: usize = 13;
/// Digits of a run beyond which it is no number of anybody; the rest of the run is looked at anew.
const MOST: usize = 64;

/// Whether one of these is in a text. Asked of every line, so that it is first looked, 64 bytes at a
/// time and without a branch, for nine bytes in a row that are digits or what may divide them: most
/// of a line is letters, and those of hexadecimal identifiers end each run before it is long enough.
pub fn suspects(text: &[u8], redact: Redacted) -> bool {
    let mut at = 0;
    while at < text.len() {
        let block = &text[at..(at + 64).min(text.len())];
        let runs = nine_in_a_row(of_numbers(block));
        if runs == 0 {
            // A run may begin in the last eight bytes.
            at += if block.len() < 64 { 64 } else { 56 };
            continue;
        }
        let from = at + runs.trailing_zeros() as usize;
        match suspect_run(text, begin_of_run(text, from), from + FEWEST, redact) {
            Some(next) => at = next,
            None => return true,
        }
    }
    false
}

/// The same, with what was seen of the text already.
pub fn suspects_by(marks: &Marks, text: &[u8], redact: Redacted) -> bool {
    let mut at = 0;
    while at < marks.limit() {
        let (digits, runs) = marks.digits(at);
        let begins = nine_in_a_row(runs);
        if begins == 0 {
            at += 56;
            continue;
        }
        let begin = begins.trailing_zeros();
        // As long as it is in sight.
        let run = runs >> begin;
        let length = (!run).trailing_zeros();
        let whole = begin + length < 64;
        let start = at + begin as usize;
        let (digits, gaps) = (digits >> begin, run & !(digits >> begin));
        let digits = digits & !(u64::MAX << (length % 64));
        let gaps = gaps & !(u64::MAX << (length % 64));
        if whole
            && (!possible(text, start, digits, redact)
                || is_identifier(marks, text, start, digits, gaps))
        {
            at = start + length as usize;
            continue;
        }
        if !whole && begin > 0 {
            at = start;
            continue;
        }
        match suspect_run(text, begin_of_run(text, start), start + FEWEST, redact) {
            // Not past the run: what is after two separators in it was not looked at.
            Some(next) => at = next,
            None => return true,
        }
    }
    false
}

/// Whether a run of digits and separators is one [`Run`] in the middle of a hexadecimal word, in
/// which nothing is found ([`stands_alone`]).
fn is_identifier(marks: &Marks, text: &[u8], start: usize, digits: u64, gaps: u64) -> bool {
    let first = start + digits.trailing_zeros() as usize;
    let end = start + 64 - digits.leading_zeros() as usize;
    let inner = gaps & !(u64::MAX << (digits.ilog2()));
    let inner = inner & (u64::MAX << digits.trailing_zeros());
    // Two separators end a run, unless they are what they seldom are.
    if inner & inner << 1 != 0 {
        return false;
    }
    let Some((left, right)) = marks.hexadecimal_around(first, end) else {
        return false;
    };
    // A word goes on over an underscore, and is no hexadecimal one then.
    let joined = |byte: Option<&u8>| byte == Some(&b'_');
    let before = (first - left).checked_sub(1);
    !joined(text.get(end + right)) && !joined(before.and_then(|before| text.get(before)))
}

/// Whether a run of digits and separators at `start` could be a number of somebody, by how many
/// digits it has (bits of `digits`) and which of them begin a group.
fn possible(text: &[u8], start: usize, digits: u64, redact: Redacted) -> bool {
    let count = digits.count_ones() as usize;
    if count < FEWEST {
        return false;
    }
    if count >= FEWEST_OF_CARDS && (redact.has(Redact::Pan) || redact.has(Redact::Nik)) {
        return true;
    }
    if !redact.has(Redact::Phone) {
        return false;
    }
    // A plus is no separator, so it stands before the run if anywhere.
    if start > 0 && text[start - 1] == b'+' {
        return true;
    }
    let mut groups = digits & !(digits << 1);
    while groups != 0 {
        let place = groups.trailing_zeros();
        if ((digits >> place).count_ones() as usize) < FEWEST {
            return false;
        }
        if matches!(text[start + place as usize], b'0' | b'6') {
            return true;
        }
        groups &= groups - 1;
    }
    false
}

/// Bits that begin nine set ones.
fn nine_in_a_row(bits: u64) -> u64 {
    let two = bits & bits >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    eight & bits >> 8
}

/// A bit for each byte, the first one lowest: whether it is of `0x20..=0x39`, which are the digits and
/// all that [`separates`] them.
fn of_numbers(block: &[u8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x80 * ONES;
    let mut out = 0;
    let mut chunks = block.chunks_exact(8);
    for (index, chunk) in chunks.by_ref().enumerate() {
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        let low = word & !HIGHS;
        let within = (low + (0x80 - 0x20) * ONES) & !(low + (0x80 - 0x3a) * ONES) & !word & HIGHS;
        // Each byte's high bit, brought together in the highest byte.
        let bits = (within >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        out |= bits << (8 * index);
    }
    let rest = block.len() - chunks.remainder().len();
    for (index, byte) in chunks.remainder().iter().enumerate() {
        out |= u64::from(matches!(byte, 0x20..=0x39)) << (rest + index);
    }
    out
}

/// Looks from `start` until it is past `enough` and outside a run; there it says to go on, or
/// nothing where it found something.
fn suspect_run(text: &[u8], start: usize, enough: usize, redact: Redacted) -> Option<usize> {
    // Digits so far, where they begin, and what stands after the last one.
    let (mut count, mut first, mut gap) = (0, start, 0);
    let mut at = start;
    while let Some(&byte) = text.get(at) {
        if byte.is_ascii_digit() {
            if count == 0 {
                first = at;
            }
            count += 1;
            gap = 0;
            if count == FEWEST {
                if at + 1 - first == FEWEST
                    && let Some(end) = hexadecimal_word(text, first, at)
                {
                    (count, at) = (0, end);
                    continue;
                }
                let mut next = first;
                while next <= at {
                    if !text[next].is_ascii_digit() {
                        next += 1;
                        continue;
                    }
                    let run = Run::at(text, next);
                    if run.count >= FEWEST && run.any(text, redact) {
                        return None;
                    }
                    next = run.end;
                }
                at = next;
                count = 0;
                continue;
            }
        } else if count > 0 {
            gap += 1;
            if gap > 2 || !separates(byte) {
                count = 0;
            }
        }
        at += 1;
        if count == 0 && at >= enough {
            break;
        }
    }
    Some(at)
}

fn separates(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')')
}

/// Where the run around `at` begins; a long one is cut.
fn begin_of_run(text: &[u8], at: usize) -> usize {
    let mut from = at;
    let least = at.saturating_sub(2 * MOST);
    while from > least && (text[from - 1].is_ascii_digit() || separates(text[from - 1])) {
        from -= 1;
    }
    from
}

/// All numbers in a text.
pub fn find(text: &[u8], redact: Redacted, found: &mut Vec<Finding>) {
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let run = Run::at(text, at);
        run.find(text, redact, found);
        at = run.end.max(at + 1);
    }
}

/// Where the word ends that has these digits and, beside digits, letters of hexadecimal numbers only:
/// an identifier, in which nothing is found ([`stands_alone`]).
fn hexadecimal_word(text: &[u8], first: usize, last: usize) -> Option<usize> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let (mut start, mut end, mut letters) = (first, last + 1, false);
    while start > 0 && word(text[start - 1]) && first - start < 64 {
        start -= 1;
        letters |= text[start] > b'9';
        if !text[start].is_ascii_hexdigit() {
            return None;
        }
    }
    while end < text.len() && word(text[end]) && end - last <= 64 {
        letters |= text[end] > b'9';
        if !text[end].is_ascii_hexdigit() {
            return None;
        }
        end += 1;
    }
    letters.then_some(end)
}

/// Digits with at most one separator (two where one is a parenthesis) between neighbours.
struct Run {
    /// The value of each digit and where it stands.
    digits: [(u8, u32); MOST],
    count: usize,
    start: usize,
    /// After the last digit.
    end: usize,
}

impl Run {
    fn at(text: &[u8], start: usize) -> Self {
        let mut run = Self {
            digits: [(0, 0); MOST],
            count: 0,
            start,
            end: start,
        };
        let mut at = start;
        while at < text.len() && run.count < MOST {
            let byte = text[at];
            if byte.is_ascii_digit() {
                run.digits[run.count] = (byte - b'0', (at - start) as u32);
                run.count += 1;
                at += 1;
                run.end = at;
                continue;
            }
            let gap = at - run.end;
            let parenthesis = text[run.end..=at]
                .iter()
                .any(|byte| matches!(byte, b'(' | b')'));
            if !separates(byte) || gap > usize::from(parenthesis) {
                break;
            }
            at += 1;
        }
        run
    }

    fn place(&self, index: usize) -> usize {
        self.start + self.digits[index].1 as usize
    }

    fn any(&self, text: &[u8], redact: Redacted) -> bool {
        let mut found = Vec::new();
        self.find(text, redact, &mut found);
        !found.is_empty()
    }

    fn find(&self, text: &[u8], redact: Redacted, found: &mut Vec<Finding>) {
        if self.count < FEWEST || !stands_alone(text, self.start, self.end) {
            return;
        }
        // Groups are what stands without a separator; each finding is made of whole groups.
        let mut groups = [(0usize, 0usize); MOST];
        let mut count = 0;
        for index in 0..self.count {
            if index == 0 || self.place(index) > self.place(index - 1) + 1 {
                groups[count] = (index, index + 1);
                count += 1;
            } else {
                groups[count - 1].1 = index + 1;
            }
        }
        let groups = &groups[..count];
        let mut first = 0;
        while first < groups.len() {
            let taken = (first..groups.len()).rev().find_map(|last| {
                let kind = self.judge(text, &groups[first..=last], redact)?;
                Some((last, kind))
            });
            let Some((last, kind)) = taken else {
                first += 1;
                continue;
            };
            let mut start = self.place(groups[first].0);
            let end = self.place(groups[last].1 - 1) + 1;
            if kind == Redact::Phone {
                start = before(text, start);
            }
            found.push(Finding {
                at: start..end,
                kind,
            });
            first = last + 1;
        }
    }

    fn judge(&self, text: &[u8], groups: &[(usize, usize)], redact: Redacted) -> Option<Redact> {
        let digits = &self.digits[groups.first()?.0..groups.last()?.1];
        if redact.has(Redact::Pan) && card_groups(groups) && is_card(digits) {
            return Some(Redact::Pan);
        }
        if redact.has(Redact::Nik) && nik_groups(groups) && is_nik(digits) {
            return Some(Redact::Nik);
        }
        let start = self.place(groups.first()?.0);
        let plus = start > 0 && text[start - 1] == b'+'
            || start > 1 && text[start - 1] == b'(' && text[start - 2] == b'+';
        (redact.has(Redact::Phone) && is_phone(digits, groups, plus)).then_some(Redact::Phone)
    }
}

/// A run in the middle of a longer word is part of an identifier, unless the word cannot be a
/// hexadecimal one (`card4111…`).
fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let before = text[..start]
        .iter()
        .rev()
        .take(64)
        .take_while(|byte| word(byte));
    let after = text[end..].iter().take(64).take_while(|byte| word(byte));
    let mut glued = false;
    let mut plain = false;
    for byte in before.chain(after) {
        glued = true;
        plain |= !byte.is_ascii_hexdigit();
    }
    !glued || plain
}

/// With the `+`, the country's parenthesis or the zeroes that belong to a telephone number.
fn before(text: &[u8], mut start: usize) -> usize {
    while start > 0 && matches!(text[start - 1], b'+' | b'(') {
        start -= 1;
    }
    start
}

fn value(digits: &[(u8, u32)], range: std::ops::Range<usize>) -> u32 {
    digits[range]
        .iter()
        .fold(0, |sum, (digit, _)| sum * 10 + u32::from(*digit))
}

/// One group, fours with a shorter end, or American Express's 4-6-5 and Diners' 4-6-4.
fn card_groups(groups: &[(usize, usize)]) -> bool {
    let sizes = groups.iter().map(|(from, to)| to - from);
    match groups.len() {
        0 => false,
        1 => true,
        3 if sizes.clone().eq([4, 6, 5]) || sizes.clone().eq([4, 6, 4]) => true,
        count => sizes
            .enumerate()
            .all(|(index, size)| size == 4 || (index + 1 == count && size < 4)),
    }
}

/// A number of one of the schemes, by its beginning and length, with the right check digit.
fn is_card(digits: &[(u8, u32)]) -> bool {
    let count = digits.len();
    if !(13..=19).contains(&count) {
        return false;
    }
    let (one, two, three, four) = (
        value(digits, 0..1),
        value(digits, 0..2),
        value(digits, 0..3),
        value(digits, 0..4),
    );
    let scheme = match count {
        _ if one == 4 => matches!(count, 13 | 16 | 19),
        15 => matches!(two, 34 | 37),
        14 => matches!(two, 36 | 38 | 39) || (300..=305).contains(&three),
        16..=19 => {
            // Mastercard, Discover, JCB, UnionPay, Maestro, Indonesia's own GPN, RuPay, Mir.
            (count == 16 && ((51..=55).contains(&two) || (2221..=2720).contains(&four)))
                || four == 6011
                || two == 65
                || (644..=649).contains(&three)
                || (3528..=3589).contains(&four)
                || matches!(two, 62 | 81)
                || matches!(
                    four,
                    1946 | 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763
                )
                || matches!(two, 36 | 60)
                || (2200..=2204).contains(&four)
        }
        _ => false,
    };
    scheme && luhn(digits)
}

fn luhn(digits: &[(u8, u32)]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, (digit, _))| {
            let digit = u32::from(*digit);
            match (index % 2, digit * 2) {
                (0, _) => digit,
                (_, double @ 0..=9) => double,
                (_, double) => double - 9,
            }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|(digit, _)| *digit != digits[0].0)
}

/// One group, or the parts that people write: 6-6-4, 2-2-2-6-4, fours.
fn nik_groups(groups: &[(usize, usize)]) -> bool {
    let sizes = || groups.iter().map(|(from, to)| to - from);
    groups.len() == 1
        || sizes().eq([6, 6, 4])
        || sizes().eq([2, 2, 2, 6, 4])
        || sizes().eq([4, 4, 4, 4])
        || sizes().eq([6, 10])
}

/// Province, regency and district, the day (40 more for women), month and year of birth, a serial.
fn is_nik(digits: &[(u8, u32)]) -> bool {
    if digits.len() != 16 {
        return false;
    }
    let province = value(digits, 0..2);
    let provinces = matches!(province,
        11..=21 | 31..=36 | 51..=53 | 61..=65 | 71..=76 | 81..=82 | 91..=97);
    let day = value(digits, 6..8);
    let day = if day > 40 { day - 40 } else { day };
    let month = value(digits, 8..10);
    let longest = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    provinces
        && value(digits, 2..4) > 0
        && value(digits, 4..6) > 0
        && (1..=12).contains(&month)
        && (1..=longest).contains(&day)
        && value(digits, 12..16) > 0
}

/// With a plus any country's; without one Indonesia's: mobile `08…` or `628…`, and a fixed line
/// (`021-…`) only where it is divided, since plain digits that begin with 0 are many things.
fn is_phone(digits: &[(u8, u32)], groups: &[(usize, usize)], plus: bool) -> bool {
    let count = digits.len();
    let start: Vec<u8> = digits.iter().take(3).map(|(digit, _)| *digit).collect();
    let longest_group = groups.iter().map(|(from, to)| to - from).max().unwrap_or(0);
    match start.as_slice() {
        [first, ..] if plus => *first != 0 && (FEWEST..=15).contains(&count),
        [0, 8, third] if *third != 0 => (10..=13).contains(&count),
        [6, 2, 8] => (11..=14).contains(&count),
        [0, 2..=7 | 9, _] => {
            groups.len() > 1 && (FEWEST..=12).contains(&count) && longest_group >= 3
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{nine_in_a_row, of_numbers};

    #[test]
    fn bits_are_of_their_bytes() {
        for byte in 0..=255_u8 {
            for place in 0..64 {
                let mut block = [b'x'; 64];
                block[place] = byte;
                let wanted = u64::from((0x20..=0x39).contains(&byte)) << place;
                assert_eq!(of_numbers(&block), wanted, "{byte} at {place}");
                assert_eq!(
                    of_numbers(&block[..=place]),
                    wanted,
                    "{byte} last at {place}"
                );
            }
        }
    }

    #[test]
    fn nine_and_no_fewer() {
        assert_eq!(nine_in_a_row(0xff), 0);
        assert_eq!(nine_in_a_row(0x1ff), 1);
        assert_eq!(nine_in_a_row(0x1ff << 55), 1 << 55);
        assert_eq!(nine_in_a_row(0x3ff << 8), 0b11 << 8);
        assert_eq!(nine_in_a_row(0xff << 56), 0);
    }
}
