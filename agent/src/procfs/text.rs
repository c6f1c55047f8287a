//! What all the text parsers share: numbered lines, fields, numbers, and the error that names a
//! line.

use std::fmt;

/// Longest piece of a file that an error quotes.
const QUOTED: usize = 80;

/// What is wrong and in which line (from 1; 0 when it is about the file as a whole).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    pub line: usize,
    pub message: String,
}

impl ParseError {
    pub fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

/// The lines of a file with their numbers, from 1. The piece after the last newline counts only
/// if it is not empty.
pub fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let empty = text.is_empty();
    text.split(|byte| *byte == b'\n')
        .filter(move |_| !empty)
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

/// What Go takes for a blank, among ASCII.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// The fields of a line, separated by blanks.
pub fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| is_blank(*byte))
        .filter(|field| !field.is_empty())
}

/// A whole number of decimal digits that fits 64 bits.
pub fn number(field: &[u8]) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A whole number of decimal digits with or without a sign, that fits 64 bits.
pub fn signed(field: &[u8]) -> Option<i64> {
    if let Some(digits) = field.strip_prefix(b"-") {
        return 0_i64.checked_sub_unsigned(number(digits)?);
    }
    i64::try_from(number(field.strip_prefix(b"+").unwrap_or(field))?).ok()
}

/// A whole number as Go reads it in base 0: `0x` begins hexadecimal digits, `0` octal ones.
pub fn any_base(field: &[u8]) -> Option<i64> {
    let (negative, digits) = match field {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let magnitude = any_base_unsigned(digits)?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// The same without a sign, up to 64 bits.
pub fn any_base_unsigned(field: &[u8]) -> Option<u64> {
    if field.contains(&b'_') {
        return any_base_unsigned(&without_underscores(field)?);
    }
    match field {
        [b'0', b'x' | b'X', rest @ ..] => in_base(rest, 16),
        [b'0', b'b' | b'B', rest @ ..] => in_base(rest, 2),
        [b'0', b'o' | b'O', rest @ ..] | [b'0', rest @ ..] if !rest.is_empty() => in_base(rest, 8),
        digits => number(digits),
    }
}

/// Where Go takes underscores (whole numbers in base 0, and floats), it takes one between two
/// digits, or between the base's sign and a digit. The field is without `+` and `-`.
fn without_underscores(field: &[u8]) -> Option<Vec<u8>> {
    let signs = match field {
        [b'0', b'x' | b'X' | b'b' | b'B' | b'o' | b'O', ..] => 2,
        _ => 0,
    };
    let hex = matches!(field, [b'0', b'x' | b'X', ..]);
    let digit = |at: usize| {
        let byte = field.get(at).copied().unwrap_or_default();
        byte.is_ascii_digit() || (hex && byte.is_ascii_hexdigit())
    };
    let good = |at: usize| (at.checked_sub(1).is_some_and(digit) || at == signs) && digit(at + 1);
    let all = (0..field.len()).filter(|at| field[*at] == b'_');
    (signs < field.len() && all.into_iter().all(|at| at > 0 && good(at)))
        .then(|| field.iter().copied().filter(|byte| *byte != b'_').collect())
}

/// Like [`number`], but what does not fit counts as the most that does: Go's `ParseUint` returns that
/// beside its error, and not all who call it look at the error.
pub fn number_or_most(field: &[u8]) -> Option<u64> {
    match number(field) {
        None if !field.is_empty() && field.iter().all(u8::is_ascii_digit) => Some(u64::MAX),
        number => number,
    }
}

/// A number of hexadecimal digits, without `0x`, that fits 64 bits.
pub fn hex(field: &[u8]) -> Option<u64> {
    in_base(field, 16)
}

fn in_base(field: &[u8], base: u32) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(base)?;
        number
            .checked_mul(u64::from(base))?
            .checked_add(u64::from(digit))
    })
}

/// A number with or without a fraction, as Go's `ParseFloat` reads it: also infinite, none
/// (`NaN`, without a sign), with underscores, or hexadecimal with a power of two. One that is too
/// large is none.
pub fn float(field: &[u8]) -> Option<f64> {
    if let Some(number) = number(field) {
        return Some(number as f64);
    }
    let (sign, digits) = match field {
        [b'-', digits @ ..] => (-1.0, digits),
        [b'+', digits @ ..] => (1.0, digits),
        digits => (1.0, digits),
    };
    let is = |word: &[u8]| digits.eq_ignore_ascii_case(word);
    if is(b"inf") || is(b"infinity") {
        return Some(sign * f64::INFINITY);
    }
    if is(b"nan") {
        return (digits.len() == field.len()).then_some(f64::NAN);
    }
    if digits.contains(&b'_') {
        return Some(sign * unsigned_float(&without_underscores(digits)?)?);
    }
    Some(sign * unsigned_float(digits)?)
}

fn unsigned_float(digits: &[u8]) -> Option<f64> {
    let value = match digits {
        [b'0', b'x' | b'X', rest @ ..] => hex_float(rest)?,
        [b'0'..=b'9' | b'.', ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    };
    value.is_finite().then_some(value)
}

/// `1.8p-3`: hexadecimal digits, and the power of two that they are times of.
fn hex_float(digits: &[u8]) -> Option<f64> {
    let p = digits.iter().position(|byte| matches!(byte, b'p' | b'P'))?;
    let (mantissa, power) = (&digits[..p], signed(&digits[p + 1..])?);
    let point = mantissa.iter().position(|byte| *byte == b'.');
    let after = point.map_or(0, |at| mantissa.len() - at - 1);
    let mut value = 0.0;
    let mut is_number = false;
    for (at, byte) in mantissa.iter().enumerate() {
        if Some(at) != point {
            value = value * 16.0 + f64::from(char::from(*byte).to_digit(16)?);
            is_number = true;
        }
    }
    let power = power.checked_sub(4 * i64::try_from(after).ok()?)?;
    let power = i32::try_from(power.clamp(-5000, 5000)).ok()?;
    is_number.then(|| value * 2_f64.powi(power))
}

/// A float as the whole number that Go makes of it on the machines that node_exporter is built for
/// most: of one below 0 the same bits, of one that does not fit the highest bit.
pub fn whole(value: f64) -> u64 {
    const HIGHEST: u64 = 1 << 63;
    if (-(HIGHEST as f64)..HIGHEST as f64).contains(&value) {
        (value as i64).cast_unsigned()
    } else if (HIGHEST as f64..2.0 * HIGHEST as f64).contains(&value) {
        value as u64
    } else {
        HIGHEST
    }
}

/// Like [`number`], for a named field of a line.
pub fn expect_number(line: usize, name: &str, field: Option<&[u8]>) -> Result<u64, ParseError> {
    let Some(field) = field else {
        return Err(ParseError::new(line, format!("{name} is missing")));
    };
    number(field).ok_or_else(|| {
        ParseError::new(
            line,
            format!("{name} is {}, not a 64-bit number", quote(field)),
        )
    })
}

/// A decimal number with or without a fraction.
pub fn expect_float(line: usize, name: &str, field: Option<&[u8]>) -> Result<f64, ParseError> {
    let Some(field) = field else {
        return Err(ParseError::new(line, format!("{name} is missing")));
    };
    float(field)
        .ok_or_else(|| ParseError::new(line, format!("{name} is {}, not a number", quote(field))))
}

/// Text for an error message: printable, in quotes, and not longer than a line should be.
pub fn quote(text: &[u8]) -> String {
    let shown = text[..text.len().min(QUOTED)].escape_ascii();
    let more = if text.len() > QUOTED { "…" } else { "" };
    format!("\"{shown}{more}\"")
}

/// The text with each run of bytes that are not UTF-8 replaced by one U+FFFD, as node_exporter's
/// labels of texts that a device's maker wrote.
pub fn valid(text: &[u8]) -> String {
    let mut valid = String::with_capacity(text.len());
    let mut bad = false;
    for chunk in text.utf8_chunks() {
        if !chunk.valid().is_empty() {
            valid.push_str(chunk.valid());
            bad = false;
        }
        if !chunk.invalid().is_empty() && !bad {
            valid.push('\u{fffd}');
            bad = true;
        }
    }
    valid
}

/// The text without blanks at its ends, as sysfs attributes are read.
pub fn trim(text: &[u8]) -> &[u8] {
    let Some(first) = text.iter().position(|byte| !is_blank(*byte)) else {
        return &[];
    };
    let last = text.iter().rposition(|byte| !is_blank(*byte));
    &text[first..=last.unwrap_or(first)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_numbered_from_one() {
        let collect = |text: &'static str| {
            lines(text.as_bytes())
                .map(|(n, l)| (n, l.to_vec()))
                .collect::<Vec<_>>()
        };
        assert_eq!(collect(""), []);
        assert_eq!(collect("\n"), []);
        assert_eq!(
            collect("a\n\nb"),
            [(1, b"a".to_vec()), (2, vec![]), (3, b"b".to_vec())]
        );
        assert_eq!(collect("a\n"), [(1, b"a".to_vec())]);
    }

    #[test]
    fn numbers_fit_or_are_refused() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), None);
        for bad in ["", "-1", "+1", "1.5", "1 ", "0x1"] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn numbers_in_any_base() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("+7", Some(7)),
            ("0x1003", Some(0x1003)),
            ("010", Some(8)),
            ("0o10", Some(8)),
            ("0b11", Some(3)),
            ("08", None),
            ("", None),
            ("-", None),
            ("0x", None),
            ("1_000", Some(1000)),
            ("0x_1_f", Some(31)),
            ("0_7", Some(7)),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
        ] {
            assert_eq!(any_base(text.as_bytes()), value, "{text}");
        }
        assert_eq!(signed(b"-5"), Some(-5));
        assert_eq!(signed(b"0x5"), None);
        assert_eq!(hex(b"ffffffff"), Some(0xffff_ffff));
        assert_eq!(hex(b"0x1"), None);
    }

    /// What Go 1.26 prints for each.
    #[test]
    fn floats_as_go_reads_them() {
        for (text, value) in [
            ("1_000", Some(1000.0)),
            ("1_0.5_0", Some(10.5)),
            ("1e1_0", Some(1e10)),
            ("0x1p4", Some(16.0)),
            ("0x.8p1", Some(1.0)),
            ("-0x1_0p2", Some(-64.0)),
            ("+inf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("1.", Some(1.0)),
            ("1e-400", Some(0.0)),
            ("1e400", None),
            ("0x10", None),
            ("0b11", None),
            ("infin", None),
            ("-nan", None),
            ("+nan", None),
            ("--1", None),
            ("_1", None),
            ("1__0", None),
            ("0xp1", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(float(text.as_bytes()), value, "{text}");
        }
        assert!(float(b"NaN").is_some_and(f64::is_nan));
        for (value, made) in [
            (-1.0, u64::MAX),
            (-0.5, 0),
            (9.3e18, 9_300_000_000_000_000_000),
            (1.9e19, 1 << 63),
            (-1e30, 1 << 63),
            (f64::NAN, 1 << 63),
        ] {
            assert_eq!(whole(value), made, "{value}");
        }
        assert_eq!(number_or_most(b"18446744073709551616"), Some(u64::MAX));
        assert_eq!(number_or_most(b"-1"), None);
        assert_eq!(trim(b"\x0b a b\r\n"), b"a b");
        assert_eq!(trim(b" \n"), b"");
    }

    #[test]
    fn a_run_of_bad_bytes_becomes_one_sign() {
        assert_eq!(valid(b"\xff\xfea\xffb\xc3\xa4"), "\u{fffd}a\u{fffd}b\u{e4}");
        assert_eq!(valid(b""), "");
    }

    #[test]
    fn a_quoted_piece_is_short_and_printable() {
        assert_eq!(quote(b"a\x00\xff"), "\"a\\x00\\xff\"");
        assert!(quote(&[b'x'; 5000]).len() < 100);
    }

    proptest! {
        #[test]
        fn every_i64_reads_back(value in any::<i64>()) {
            prop_assert_eq!(signed(value.to_string().as_bytes()), Some(value));
            prop_assert_eq!(any_base(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn any_bytes_are_a_number_or_none(text in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = (signed(&text), any_base(&text), hex(&text), float(&text));
        }

        #[test]
        fn every_u64_reads_back(value in any::<u64>()) {
            prop_assert_eq!(number(value.to_string().as_bytes()), Some(value));
        }
    }
}
