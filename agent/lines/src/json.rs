//! Checks that bytes are a JSON object and tells its members as they pass, building nothing: a
//! line is sent on as the bytes that it came in, so all that is asked is whether they are valid and
//! where some values stand.
//!
//! Valid means what RFC 8259 says (and `serde_json` accepts), with at most [`DEEPEST`] levels. That
//! the bytes are UTF-8 is the caller's to know.

use std::ops::Range;

use crate::marks::{Marks, Quotes};

/// Elasticsearch refuses mappings deeper than 20 levels; a line of hundreds would only be a way to
/// exhaust a stack.
pub const DEEPEST: usize = 64;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// One member of an object, by where it stands in the line.
#[derive(Debug, Clone)]
pub struct Member {
    /// Between the quotes.
    pub key: Range<usize>,
    /// The key has escapes in it.
    pub escaped: bool,
    /// A string with its quotes.
    pub value: Range<usize>,
    pub kind: Kind,
}

/// Reads the object that begins at `at` (white space may come before it), calls `each` for every
/// member of it, in order, and returns where it ends; `None` if it is not valid. Members of inner
/// objects are checked and not told.
pub fn object(text: &[u8], at: usize, each: impl FnMut(Member)) -> Option<usize> {
    object_by(&mut Bytes, text, at, each)
}

/// The same, with what was seen of the text already, if that is enough.
pub fn object_with(
    marks: Option<&Marks>,
    text: &[u8],
    at: usize,
    each: impl FnMut(Member),
) -> Option<usize> {
    match marks.filter(|marks| marks.is_simple()) {
        Some(marks) => object_by(&mut marks.quotes(at), text, at, each),
        None => object_by(&mut Bytes, text, at, each),
    }
}

#[inline]
fn object_by(
    strings: &mut impl Strings,
    text: &[u8],
    at: usize,
    mut each: impl FnMut(Member),
) -> Option<usize> {
    let mut at = space(text, at);
    if *text.get(at)? != b'{' {
        return None;
    }
    at = space(text, at + 1);
    if *text.get(at)? == b'}' {
        return Some(at + 1);
    }
    loop {
        let (key, escaped, start) = key(strings, text, at)?;
        let (end, kind) = value(strings, text, start, DEEPEST)?;
        each(Member {
            key,
            escaped,
            value: start..end,
            kind,
        });
        at = space(text, end);
        match *text.get(at)? {
            b',' => at = space(text, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The elements of the array that begins at `at`, each by where it stands; none if it is not valid.
pub fn elements_of(text: &[u8], at: usize) -> Vec<(Range<usize>, Kind)> {
    let mut found = Vec::new();
    each_element(text, at, |element, kind| found.push((element, kind)));
    found
}

/// The same, told as they pass.
pub fn each_element(text: &[u8], at: usize, mut each: impl FnMut(Range<usize>, Kind)) {
    let mut at = space(text, at + 1);
    while let Some((end, kind)) = value(&mut Bytes, text, at, DEEPEST) {
        each(at..end, kind);
        let next = space(text, end);
        if text.get(next) != Some(&b',') {
            break;
        }
        at = space(text, next + 1);
    }
}

/// Where white space that begins at `at` ends.
#[inline]
pub fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(byte) = text.get(at)
        && *byte <= b' '
        && matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
    {
        at += 1;
    }
    at
}

/// A member's name, whether it has escapes, and where its value begins.
#[inline]
fn key(strings: &mut impl Strings, text: &[u8], at: usize) -> Option<(Range<usize>, bool, usize)> {
    if *text.get(at)? != b'"' {
        return None;
    }
    let (close, escaped) = strings.close(text, at + 1)?;
    let colon = space(text, close + 1);
    if *text.get(colon)? != b':' {
        return None;
    }
    Some((at + 1..close, escaped, space(text, colon + 1)))
}

/// Where the value that begins at `at` ends, and what it is.
#[inline]
fn value(
    strings: &mut impl Strings,
    text: &[u8],
    at: usize,
    depth: usize,
) -> Option<(usize, Kind)> {
    if *text.get(at)? == b'"' {
        return Some((strings.close(text, at + 1)?.0 + 1, Kind::String));
    }
    other_value(strings, text, at, depth)
}

fn other_value(
    strings: &mut impl Strings,
    text: &[u8],
    at: usize,
    depth: usize,
) -> Option<(usize, Kind)> {
    match *text.get(at)? {
        b'{' => {
            let end = members(strings, text, at + 1, depth.checked_sub(1)?)?;
            Some((end, Kind::Object))
        }
        b'[' => {
            let end = elements(strings, text, at + 1, depth.checked_sub(1)?)?;
            Some((end, Kind::Array))
        }
        b't' => Some((word(text, at, b"true")?, Kind::Bool)),
        b'f' => Some((word(text, at, b"false")?, Kind::Bool)),
        b'n' => Some((word(text, at, b"null")?, Kind::Null)),
        _ => Some((number(text, at)?, Kind::Number)),
    }
}

fn members(strings: &mut impl Strings, text: &[u8], at: usize, depth: usize) -> Option<usize> {
    let mut at = space(text, at);
    if *text.get(at)? == b'}' {
        return Some(at + 1);
    }
    loop {
        let (_, _, start) = key(strings, text, at)?;
        let (end, _) = value(strings, text, start, depth)?;
        at = space(text, end);
        match *text.get(at)? {
            b',' => at = space(text, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn elements(strings: &mut impl Strings, text: &[u8], at: usize, depth: usize) -> Option<usize> {
    let mut at = space(text, at);
    if *text.get(at)? == b']' {
        return Some(at + 1);
    }
    loop {
        let (end, _) = value(strings, text, at, depth)?;
        at = space(text, end);
        match *text.get(at)? {
            b',' => at = space(text, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Tells where strings end, asked for one after the other.
trait Strings {
    /// Where the closing quote of a string is whose content begins at `at`, and whether it has
    /// escapes.
    fn close(&mut self, text: &[u8], at: usize) -> Option<(usize, bool)>;
}

/// By looking at its bytes.
struct Bytes;

impl Strings for Bytes {
    fn close(&mut self, text: &[u8], at: usize) -> Option<(usize, bool)> {
        string(text, at)
    }
}

/// Of a text without control characters and backslashes: every second quote closes a string.
impl Strings for Quotes<'_> {
    #[inline]
    fn close(&mut self, _: &[u8], at: usize) -> Option<(usize, bool)> {
        let open = self.next()?;
        debug_assert_eq!(open + 1, at, "each string is asked for");
        Some((self.next()?, false))
    }
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text[at..].starts_with(word).then_some(at + word.len())
}

/// Whether a text is a number as JSON writes it.
pub fn is_number(text: &[u8]) -> bool {
    number(text, 0) == Some(text.len())
}

fn number(text: &[u8], mut at: usize) -> Option<usize> {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    match *text.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at = digits(text, at)?,
        _ => return None,
    }
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(text, at)?;
    }
    Some(at)
}

/// One digit or more.
fn digits(text: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    while text.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    (end > at).then_some(end)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The high bit of the lowest byte of `word` that is a quote, a backslash or a control character is
/// the lowest bit that is set; bits above it may be set for nothing (a borrow goes upwards).
fn special(word: u64) -> u64 {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGHS
}

/// Where the closing quote of a string is whose content begins at `at`, and whether it has escapes.
fn string(text: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    loop {
        while let Some(chunk) = text.get(at..at + 8) {
            let word = u64::from_le_bytes(chunk.try_into().ok()?);
            let found = special(word);
            if found != 0 {
                at += (found.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match *text.get(at)? {
            b'"' => return Some((at, escaped)),
            b'\\' => {
                escaped = true;
                at = escape(text, at + 1)?;
            }
            0..=0x1f => return None,
            _ => at += 1,
        }
    }
}

fn escape(text: &[u8], at: usize) -> Option<usize> {
    match *text.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => {
            let digits = text.get(at + 1..at + 5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
        }
        _ => None,
    }
}

/// Appends `text` as the content of a JSON string, with what was seen of it already, if that is enough.
pub fn escape_with(marks: Option<&Marks>, out: &mut Vec<u8>, text: &[u8]) {
    let Some(marks) = marks.filter(|marks| marks.is_simple()) else {
        return escape_into(out, text);
    };
    let mut copied = 0;
    for quote in marks.quotes(0) {
        out.extend_from_slice(&text[copied..quote]);
        out.push(b'\\');
        copied = quote;
    }
    out.extend_from_slice(&text[copied..]);
}

/// Appends `text` as the content of a JSON string, without quotes.
pub fn escape_into(out: &mut Vec<u8>, text: &[u8]) {
    let mut copied = 0;
    let mut at = 0;
    while at < text.len() {
        if let Some(chunk) = text.get(at..at + 8) {
            let word = chunk.try_into().map_or(0, u64::from_le_bytes);
            let found = special(word);
            if found == 0 {
                at += 8;
                continue;
            }
            at += (found.trailing_zeros() / 8) as usize;
        }
        let byte = text[at];
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            at += 1;
            continue;
        }
        out.extend_from_slice(&text[copied..at]);
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
        at += 1;
        copied = at;
    }
    out.extend_from_slice(&text[copied..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn accepts(text: &str) -> bool {
        let mut marks = Marks::default();
        let end = |marks| {
            let mut seen = Vec::new();
            let end = object_with(marks, text.as_bytes(), 0, |member| {
                seen.push(format!("{member:?}"));
            });
            (end, seen)
        };
        if let Some(marks) = marks.look(text.as_bytes()) {
            assert_eq!(end(Some(marks)), end(None), "{text:?}");
        }
        object(text.as_bytes(), 0, |_| {})
            .is_some_and(|end| space(text.as_bytes(), end) == text.len())
    }

    fn judged_alike(text: &str) -> bool {
        // `IgnoredAny` checks without building, as we do; only objects are wanted here.
        let valid = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        accepts(text) == (valid && text.trim_start().starts_with('{'))
    }

    #[test]
    fn members_are_told_in_order() {
        let text = br#" { "a" : 1.5e-3 , "b\u0041":"x\"y" ,"c":{"d":[null,true]},"e":[] } "#;
        let mut seen = Vec::new();
        let end = object(text, 0, |member| {
            let part = |range: Range<usize>| String::from_utf8(text[range].to_vec()).unwrap();
            seen.push((
                part(member.key),
                member.escaped,
                part(member.value),
                member.kind,
            ));
        });
        assert_eq!(end, Some(text.len() - 1));
        let s = str::to_owned;
        assert_eq!(
            seen,
            [
                (s("a"), false, s("1.5e-3"), Kind::Number),
                (s("b\\u0041"), true, s("\"x\\\"y\""), Kind::String),
                (s("c"), false, s("{\"d\":[null,true]}"), Kind::Object),
                (s("e"), false, s("[]"), Kind::Array),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for text in [
            "",
            "{",
            "{}x",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":+1}",
            "{\"a\":1e}",
            "{\"a\":tru}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12g4\"}",
            "{a:1}",
            "{'a':1}",
            "[1]",
            "{\"a\":[1,]}",
            "{\"a\":NaN}",
            "{\"a\":\"12345678\u{1}\"}",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
        ] {
            assert!(!accepts(text), "{text:?}");
            assert!(judged_alike(text), "{text:?}");
        }
        let deep = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(accepts(&deep(DEEPEST)));
        assert!(!accepts(&deep(DEEPEST + 1)));
        assert!(!accepts(&deep(1_000_000)));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_accepted(value in json()) {
            let text = serde_json::json!({ "k": value }).to_string();
            prop_assert!(accepts(&text));
        }

        #[test]
        fn a_changed_byte_is_judged_as_serde_json_judges(
            value in json(), at in any::<prop::sample::Index>(), byte in "[\\x00-\\x7f]"
        ) {
            let mut text = serde_json::json!({ "k": value, "l": 1 }).to_string();
            let at = at.index(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                text.replace_range(at..=at, &byte);
                prop_assert!(judged_alike(&text), "{text:?}");
            }
        }

        #[test]
        fn noise_is_judged_as_serde_json_judges(text in r#"\{[{}\[\]",:\\truefalsn0-9.eE+\- ]{0,24}"#) {
            prop_assert!(judged_alike(&text), "{text:?}");
        }

        #[test]
        fn escaped_text_is_read_again(text in any::<String>()) {
            let mut out = vec![b'"'];
            escape_into(&mut out, text.as_bytes());
            out.push(b'"');
            let (mut marks, mut by_marks) = (Marks::default(), vec![b'"']);
            escape_with(marks.look(text.as_bytes()), &mut by_marks, text.as_bytes());
            by_marks.push(b'"');
            prop_assert_eq!(&by_marks, &out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
