//! logfmt: `level=info msg="hold expired" route=GMR-BD took=12ms`.
//!
//! Values stay texts, because the same name is a number in one line and a word in the next, and
//! Elasticsearch reads a text as a number where the field is one. A name without a value is `true`.
//! A name that is there twice has its values in a list.

use super::Object;
use crate::json;

/// Most names of a line; what has more is no logfmt.
const MOST: usize = 512;

/// Appends the line as an object; false, and nothing appended, if it is not logfmt: some words
/// without any `name=value`, or a text that only begins so.
pub fn object(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut pairs: Vec<(&[u8], Value<'_>)> = Vec::new();
    let mut at = 0;
    let mut valued = 0;
    while let Some((name, value, next)) = pair(text, at) {
        if name.is_empty() || pairs.len() == MOST {
            return false;
        }
        valued += usize::from(value != Value::None);
        pairs.push((name, value));
        at = next;
    }
    if text[at..].iter().any(|byte| !byte.is_ascii_whitespace()) {
        return false; // a quote that does not close
    }
    // A sentence with an equals sign in it is a sentence.
    if valued == 0 || valued * 2 < pairs.len() {
        return false;
    }
    let mut object = Object::begin(out);
    for (index, (name, value)) in pairs.iter().enumerate() {
        let same = |other: &&(&[u8], Value<'_>)| other.0 == *name;
        if pairs[..index].iter().any(|other| same(&other)) {
            continue; // with the first
        }
        let more: Vec<_> = pairs[index + 1..].iter().filter(same).collect();
        object.name(called(name));
        let out = object.out();
        if more.is_empty() {
            value.write(out);
            continue;
        }
        out.push(b'[');
        value.write(out);
        for (_, value) in more {
            out.push(b',');
            value.write(out);
        }
        out.push(b']');
    }
    object.end();
    true
}

/// The names that everybody's logfmt has, in the words of ECS.
fn called(name: &[u8]) -> &[u8] {
    match name {
        b"msg" => b"message",
        b"err" | b"error" => b"error.message",
        b"caller" => b"log.origin.file.name",
        b"logger" => b"log.logger",
        other => other,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    None,
    Bare(&'a [u8]),
    /// Between quotes, with its escapes.
    Quoted(&'a [u8]),
}

impl Value<'_> {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.extend_from_slice(b"true"),
            Self::Bare(text) => {
                out.push(b'"');
                json::escape_into(out, text);
                out.push(b'"');
            }
            Self::Quoted(text) => {
                out.push(b'"');
                unescape(text, out);
                out.push(b'"');
            }
        }
    }
}

/// The next name, its value and where the one after it begins; `None` at the end, or at a quote
/// that does not close.
fn pair(text: &[u8], at: usize) -> Option<(&[u8], Value<'_>, usize)> {
    let start = at + text[at..].iter().position(|byte| *byte > b' ')?;
    let length = text[start..]
        .iter()
        .position(|byte| *byte <= b' ' || *byte == b'=' || *byte == b'"')
        .unwrap_or(text.len() - start);
    let name = &text[start..start + length];
    let after = start + length;
    if text.get(after) != Some(&b'=') {
        // A quote within a name: no pair at all.
        return (text.get(after) != Some(&b'"')).then_some((name, Value::None, after));
    }
    if text.get(after + 1) != Some(&b'"') {
        let length = text[after + 1..]
            .iter()
            .position(|byte| *byte <= b' ')
            .unwrap_or(text.len() - after - 1);
        let end = after + 1 + length;
        return Some((name, Value::Bare(&text[after + 1..end]), end));
    }
    let mut end = after + 2;
    loop {
        match *text.get(end)? {
            b'"' => return Some((name, Value::Quoted(&text[after + 2..end]), end + 1)),
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
}

/// Go's escapes as JSON's: those that both have stay, `\x41` and the like are read, and a backslash
/// that escapes nothing stands for itself.
fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        json::escape_into(out, &rest[..at]);
        let (read, plain) = match rest.get(at + 1) {
            Some(b'n') => (2, Some(b'\n')),
            Some(b't') => (2, Some(b'\t')),
            Some(b'r') => (2, Some(b'\r')),
            Some(byte @ (b'"' | b'\\' | b'\'' | b'/')) => (2, Some(*byte)),
            Some(b'x') => match hex(rest.get(at + 2..at + 4)) {
                // Half a character is none: it stays as it is spelt.
                Some(code @ 0..0x80) => (4, u8::try_from(code).ok()),
                _ => (1, Some(b'\\')),
            },
            Some(b'u') => match hex(rest.get(at + 2..at + 6)) {
                Some(0xd800..0xe000) | None => (1, Some(b'\\')),
                Some(_) => {
                    out.extend_from_slice(&rest[at..at + 6]);
                    (6, None)
                }
            },
            _ => (1, Some(b'\\')),
        };
        if let Some(byte) = plain {
            json::escape_into(out, &[byte]);
        }
        rest = &rest[at + read..];
    }
    json::escape_into(out, rest);
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Option<Value> {
        let mut out = Vec::new();
        if !object(text.as_bytes(), &mut out) {
            assert!(out.is_empty());
            return None;
        }
        Some(serde_json::from_slice(&out).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&out));
        }))
    }

    #[test]
    fn pairs_become_members() {
        assert_eq!(
            read(
                r#"time=2026-11-24T02:06:29Z level=info msg="hold \"x\" expired\n" route=GMR-BD retry took=12ms empty= q="""#
            ),
            Some(json!({
                "time": "2026-11-24T02:06:29Z", "level": "info", "message": "hold \"x\" expired\n",
                "route": "GMR-BD", "retry": true, "took": "12ms", "empty": "", "q": ""
            }))
        );
        assert_eq!(
            read("a=1 b=2 a=3"),
            Some(json!({"a": ["1", "3"], "b": "2"}))
        );
        assert_eq!(
            read(r#"a="\x41\u00e9\q\xff""#),
            Some(json!({"a": "Aé\\q\\xff"}))
        );
        assert_eq!(
            read("url=http://h/?a=b&c=d"),
            Some(json!({"url": "http://h/?a=b&c=d"}))
        );
        assert_eq!(read("  a=1  "), Some(json!({"a": "1"})));
    }

    #[test]
    fn a_sentence_is_none() {
        for text in [
            "",
            "   ",
            "no pairs here",
            "the sum x=3 is what we found today",
            "=1",
            "a=1 =2",
            "a=\"open",
            "say \"a=b\"",
            "{\"a\":1}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in any::<String>(), near in r#"[a-c= "\\nxu0-9]{0,40}"#) {
            let _ = (read(&text), read(&near));
        }

        #[test]
        fn what_is_quoted_is_read_again(value in any::<String>()) {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let read = read(&format!("k=\"{quoted}\"")).unwrap();
            prop_assert_eq!(read["k"].as_str(), Some(value.as_str()));
        }
    }
}
