//! What lines of level error and above have in common: `kai.pattern`, the message with everything
//! taken out that differs from one occurrence to the next, and `kai.fingerprint`, a digest of it by
//! which equal errors are counted and told from new ones.
//!
//! The names are ours because the usual ones are often taken: `error` and `event` are plain texts in
//! the lines of many loggers, and nothing can be added below a text. A line that has the fields
//! itself keeps them.
//!
//! Ordinary lines do not come here; an error is read a second time, after all else was done.

use sha2::{Digest, Sha256};

use super::json::{self, Kind};

mod mask;

pub use mask::mask;

/// Of a message; what follows tells no more.
const LONGEST_TEXT: usize = 512;
/// Of a pattern, in bytes; below what a keyword field takes.
const LONGEST_PATTERN: usize = 256;

/// What is looked for in a document, dotted or nested; the first that is there counts.
const TYPES: [&str; 4] = ["error.type", "exception.type", "error.code", "error.kind"];
const MESSAGES: [&str; 3] = ["message", "msg", "event"];
const DETAILS: [&str; 5] = [
    "error.message",
    "exception.message",
    "error",
    "err",
    "exception",
];
const OURS: [&str; 2] = ["kai.fingerprint", "kai.pattern"];
const NAMES: usize = TYPES.len() + MESSAGES.len() + DETAILS.len() + OURS.len();

/// Adds both fields to the document that begins at `start` and ends `out`. Nothing is added when
/// there is no message, or the fields are there.
pub fn append(out: &mut Vec<u8>, start: usize) {
    let Some(pattern) = pattern(&out[start..]) else {
        return;
    };
    if out.last() != Some(&b'}') {
        return;
    }
    out.pop();
    let digest = Sha256::digest(pattern.as_bytes());
    let digest = digest[..8]
        .iter()
        .fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
    let lead: &[u8] = if out[start..] == *b"{" { b"" } else { b"," };
    out.extend_from_slice(lead);
    out.extend_from_slice(b"\"kai.fingerprint\":\"");
    out.extend_from_slice(format!("{digest:016x}").as_bytes());
    out.extend_from_slice(b"\",\"kai.pattern\":\"");
    json::escape_into(out, pattern.as_bytes());
    out.extend_from_slice(b"\"}");
}

/// The pattern of a document, which is a JSON object.
pub fn pattern(document: &[u8]) -> Option<String> {
    let mut found: [Option<String>; NAMES] = Default::default();
    find(document, 0, "", &mut found)?;
    let mut found = found.into_iter();
    let mut first = |count: usize| {
        let all: Vec<Option<String>> = found.by_ref().take(count).collect();
        all.into_iter().flatten().next()
    };
    let kind = first(TYPES.len());
    let message = first(MESSAGES.len());
    let detail = first(DETAILS.len());
    if first(OURS.len()).is_some() {
        return None;
    }
    let message = message.as_deref().map(|text| mask(&lines(text)));
    let detail = detail.as_deref().map(|text| mask(&lines(text)));
    let mut parts: Vec<String> = Vec::new();
    for part in [kind.as_deref().map(mask), message, detail]
        .into_iter()
        .flatten()
    {
        // Loggers like to say a thing twice.
        if !part.is_empty() && !parts.iter().any(|known| known.contains(&part)) {
            parts.push(part);
        }
    }
    let mut pattern = parts.join(": ");
    if pattern.len() > LONGEST_PATTERN {
        pattern.truncate(pattern.floor_char_boundary(LONGEST_PATTERN));
    }
    (!pattern.is_empty()).then_some(pattern)
}

/// Texts of the fields that are looked for, by their place among the names.
fn find(text: &[u8], at: usize, before: &str, found: &mut [Option<String>; NAMES]) -> Option<()> {
    let names = || {
        TYPES
            .iter()
            .chain(&MESSAGES)
            .chain(&DETAILS)
            .chain(&OURS)
            .enumerate()
    };
    json::object(text, at, |member| {
        let Ok(key) = std::str::from_utf8(&text[member.key.clone()]) else {
            return;
        };
        if member.escaped || key.len() > 24 {
            return; // no name of ours
        }
        let path = if before.is_empty() {
            key.to_owned()
        } else {
            format!("{before}.{key}")
        };
        match member.kind {
            Kind::Object if before.is_empty() && names().any(|(_, n)| n.starts_with(&path)) => {
                let _ = find(text, member.value.start, &path, found);
            }
            Kind::String | Kind::Number => {
                let Some((index, _)) = names().find(|(_, name)| **name == path) else {
                    return;
                };
                let value = &text[member.value.clone()];
                let value = match member.kind {
                    Kind::String => plain(value),
                    _ => Some(String::from_utf8_lossy(value).into_owned()),
                };
                found[index] = value.filter(|value| !value.trim().is_empty());
            }
            _ => {}
        }
    })?;
    Some(())
}

/// A quoted text without quotes and escapes, its beginning at least.
fn plain(quoted: &[u8]) -> Option<String> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if memchr::memchr(b'\\', inner).is_none() {
        let text = &inner[..inner.len().min(LONGEST_TEXT)];
        return Some(String::from_utf8_lossy(text).into_owned());
    }
    serde_json::from_slice(quoted).ok()
}

/// Of an event of several lines what names the error: its first line, and of a stack trace the line
/// with the exception, which stands last in Python and first elsewhere.
fn lines(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(16 << 10)];
    let mut all = text.lines().filter(|line| !line.trim().is_empty());
    let first = all.next().unwrap_or_default();
    let flush = |line: &&str| !line.starts_with([' ', '\t']);
    let rest: Vec<&str> = all.collect();
    let named = if rest
        .iter()
        .chain([&first])
        .any(|line| line.starts_with("Traceback (most recent"))
    {
        rest.iter().rev().find(|line| flush(line)).copied()
    } else {
        rest.first().filter(|line| flush(line)).copied()
    };
    let cut = |line: &str| {
        line[..line.floor_char_boundary(LONGEST_TEXT)]
            .trim()
            .to_owned()
    };
    match named.filter(|named| *named != first) {
        Some(named) => format!("{} {}", cut(first), cut(named)),
        None => cut(first),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn of(document: &Value) -> Option<String> {
        pattern(document.to_string().as_bytes())
    }

    #[test]
    fn equal_errors_have_one_pattern() {
        let one = json!({"log.level": "error", "message": "booking 4711 of bob@kai.example failed", "error": "dial tcp 10.0.0.7:5432: refused"});
        let other = json!({"message": "booking 98 of eva@x.example failed", "error": "dial tcp 10.1.22.7:5432: refused"});
        assert_eq!(of(&one), of(&other));
        assert_eq!(
            of(&one).unwrap(),
            "booking <n> of <email> failed: dial tcp <ip>: refused"
        );
    }

    #[test]
    fn type_and_detail_are_found_nested_and_dotted_and_said_once() {
        for document in [
            json!({"message": "cannot pay", "error": {"type": "Timeout", "message": "cannot pay"}}),
            json!({"message": "cannot pay", "error.type": "Timeout"}),
            json!({"msg": "cannot pay", "error": {"type": "Timeout"}}),
        ] {
            assert_eq!(of(&document).unwrap(), "Timeout: cannot pay", "{document}");
        }
        assert_eq!(of(&json!({"a": 1})), None);
        assert_eq!(
            of(&json!({"message": "x", "kai": {"fingerprint": "1"}})),
            None
        );
        assert_eq!(of(&json!({"message": " "})), None);
    }

    #[test]
    fn a_stack_trace_is_named_by_its_exception() {
        let java =
            "ERROR order failed\njava.lang.IllegalStateException: no seat 12\n\tat a.B.c(B.java:1)";
        assert_eq!(
            of(&json!({ "message": java })).unwrap(),
            "ERROR order failed java.lang.IllegalStateException: no seat <n>"
        );
        let python = "ERROR order failed\nTraceback (most recent call last):\n  File \"a.py\", line 1\nValueError: bad 7";
        assert_eq!(
            of(&json!({ "message": python })).unwrap(),
            "ERROR order failed ValueError: bad <n>"
        );
    }

    #[test]
    fn both_fields_are_added_once() {
        let mut out = b"before\n{\"message\":\"a \\\"b\\\" 1\"}".to_vec();
        append(&mut out, 7);
        let value: Value = serde_json::from_slice(&out[7..]).unwrap();
        assert_eq!(value["kai.pattern"], "a <text> <n>");
        assert_eq!(value["kai.fingerprint"].as_str().unwrap().len(), 16);
        let once = out.clone();
        append(&mut out, 7);
        assert_eq!(out, once);
    }

    proptest! {
        #[test]
        fn any_document_stays_one(message in any::<String>(), detail in ".{0,400}", bytes in any::<Vec<u8>>()) {
            let document = json!({"message": message, "error": {"message": detail}});
            let mut out = document.to_string().into_bytes();
            append(&mut out, 0);
            let value: Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(&value["message"], &document["message"]);
            if let Some(pattern) = value.get("kai.pattern") {
                prop_assert!(pattern.as_str().unwrap().len() <= LONGEST_PATTERN);
            }
            let mut other = bytes.clone();
            append(&mut other, 0);
            let begins = bytes.strip_suffix(b"}".as_slice()).unwrap_or(&bytes);
            prop_assert!(other.starts_with(begins), "{:?}", other);
        }

        #[test]
        fn numbers_make_no_difference(words in proptest::collection::vec("[a-zA-Z:=,]{1,8}", 1..6), a in any::<u64>(), b in any::<u64>()) {
            let text = |n: u64| words.join(&format!(" {n} "));
            prop_assert_eq!(of(&json!({"message": text(a)})), of(&json!({"message": text(b)})));
        }
    }
}
