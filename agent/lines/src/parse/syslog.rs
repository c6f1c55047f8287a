//! syslog messages: RFC 5424, and what RFC 3164 found in use, read as generously as it must be.

use jiff::tz::TimeZone;

use super::Object;
use crate::time;

const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];
/// By severity, in the spelling of `log.level`.
pub const LEVELS: [&str; 8] = [
    "emergency",
    "alert",
    "critical",
    "error",
    "warn",
    "notice",
    "info",
    "debug",
];

/// Longest name of structured data's parameters that becomes a field.
const LONGEST_NAME: usize = 64;

/// Appends the message as an object; false, and nothing appended, if it is none. Without a priority
/// (files that syslogd writes) it must have a time.
pub fn object(text: &[u8], zone: Option<&TimeZone>, now: i64, out: &mut Vec<u8>) -> bool {
    let mut object = Object::begin(out);
    let read = members(text, zone, now, &mut object).is_some();
    if read {
        object.end();
    } else {
        object.cancel();
    }
    read
}

/// The message's members alone; `None` if it is none, and then what was written must go.
pub fn members(
    text: &[u8],
    zone: Option<&TimeZone>,
    now: i64,
    object: &mut Object<'_>,
) -> Option<()> {
    let (priority, rest) = match priority(text) {
        Some((priority, rest)) => (Some(priority), rest),
        None if text.first() == Some(&b'<') => (None, &b""[..]),
        None => (None, text),
    };
    if let Some(priority) = priority {
        object.text("log.level", LEVELS[usize::from(priority % 8)].as_bytes());
        object.raw("log.syslog.priority", priority.to_string().as_bytes());
        let facility = priority / 8;
        object.raw("log.syslog.facility.code", facility.to_string().as_bytes());
        object.text(
            "log.syslog.facility.name",
            FACILITIES[usize::from(facility)].as_bytes(),
        );
        object.raw(
            "log.syslog.severity.code",
            (priority % 8).to_string().as_bytes(),
        );
    }
    let read = match rest.strip_prefix(b"1 ") {
        Some(rest) if priority.is_some() => rfc5424(rest, object),
        _ => None,
    };
    read.or_else(|| rfc3164(rest, priority.is_some(), zone, now, object))
}

/// `<13>`: up to 191, without leading zeroes.
fn priority(text: &[u8]) -> Option<(u8, &[u8])> {
    let rest = text.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>')?;
    let digits = &rest[..end];
    let fits = !digits.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
        && (digits.len() == 1 || digits[0] != b'0');
    let value: u8 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (fits && value <= 191).then_some((value, &rest[end + 1..]))
}

fn rfc5424(text: &[u8], object: &mut Object<'_>) -> Option<()> {
    let mut rest = text;
    let time = word(&mut rest)?;
    // Checked before anything is written, so that the other form can be tried.
    if time != b"-" {
        time::text(time)?;
    }
    let (host, program) = (word(&mut rest)?, word(&mut rest)?);
    let (process, id) = (word(&mut rest)?, word(&mut rest)?);
    let mut parameters = Vec::new();
    let after = structured(rest, &mut parameters)?;
    if time != b"-" {
        object.text("timestamp", time);
    }
    for (name, value) in [
        ("host.hostname", host),
        ("process.name", program),
        ("log.syslog.procid", process),
        ("log.syslog.msgid", id),
    ] {
        if value != b"-" {
            object.text(name, value);
        }
    }
    if process.iter().all(u8::is_ascii_digit) && process.len() < 10 {
        object.number("process.pid", process);
    }
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &parameters {
        if seen.contains(&name.as_str()) {
            continue; // the first counts
        }
        seen.push(name);
        object.text(&format!("log.syslog.structured_data.{name}"), value);
    }
    let message = after.strip_prefix(b" ").unwrap_or(after);
    object.text(
        "message",
        message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message),
    );
    Some(())
}

/// Reads `-` or `[id name="value"…]…`; what follows.
fn structured<'a>(text: &'a [u8], into: &mut Vec<(String, Vec<u8>)>) -> Option<&'a [u8]> {
    if let Some(rest) = text.strip_prefix(b"-") {
        return Some(rest);
    }
    let mut rest = text;
    while let Some(inner) = rest.strip_prefix(b"[") {
        let end = inner.iter().position(|byte| matches!(byte, b' ' | b']'))?;
        let id = std::str::from_utf8(&inner[..end]).ok()?;
        // `@` and the enterprise's number are part of the id; dots would nest it.
        let id = id.replace(['.', '"'], "_");
        rest = &inner[end..];
        loop {
            if let Some(after) = rest.strip_prefix(b"]") {
                rest = after;
                break;
            }
            rest = rest.strip_prefix(b" ")?;
            let equals = memchr::memchr(b'=', rest)?;
            let name = std::str::from_utf8(&rest[..equals]).ok()?;
            let mut value = Vec::new();
            let mut at = equals + 2;
            if rest.get(equals + 1) != Some(&b'"') || name.is_empty() || name.len() > LONGEST_NAME {
                return None;
            }
            loop {
                match *rest.get(at)? {
                    b'"' => break,
                    b'\\' if matches!(rest.get(at + 1), Some(b'"' | b'\\' | b']')) => {
                        value.push(rest[at + 1]);
                        at += 2;
                    }
                    byte => {
                        value.push(byte);
                        at += 1;
                    }
                }
            }
            into.push((format!("{id}.{}", name.replace('.', "_")), value));
            rest = &rest[at + 1..];
        }
    }
    (rest.len() < text.len()).then_some(rest)
}

/// `Nov 24 02:06:29 host program[pid]: text`, of which anything may be missing when a priority says
/// that it is syslog.
fn rfc3164(
    text: &[u8],
    sure: bool,
    zone: Option<&TimeZone>,
    now: i64,
    object: &mut Object<'_>,
) -> Option<()> {
    let mut rest = text;
    let timed = leading_time(text, zone, now);
    match timed {
        Some((millis, length)) => {
            let mut written = Vec::new();
            time::write(&mut written, millis);
            object.text("timestamp", &written);
            rest = text[length..].strip_prefix(b" ")?;
            // A host, unless what stands there is the tag already.
            let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
            let is_tag = rest[..end].last() == Some(&b':') || rest[..end].contains(&b'[');
            if !is_tag && end > 0 && end < rest.len() {
                object.text("host.hostname", &rest[..end]);
                rest = &rest[end + 1..];
            }
        }
        None if sure => {}
        None => return None,
    }
    if let Some(tag) = tag(rest) {
        object.text("process.name", tag.program);
        if let Some(process) = tag.process {
            object.number("process.pid", process);
        }
        rest = tag.rest;
    }
    object.text("message", rest);
    Some(())
}

/// A time at the beginning and its length: the classic fifteen bytes, perhaps with a fraction or a
/// year, or an RFC 3339 one.
fn leading_time(text: &[u8], zone: Option<&TimeZone>, now: i64) -> Option<(i64, usize)> {
    let spaces = memchr::memchr_iter(b' ', text).chain([text.len()]);
    spaces
        .take(6)
        .filter(|end| *end > 0)
        .filter_map(|end| {
            let given = text[..end].strip_suffix(b":").unwrap_or(&text[..end]);
            let time = time::read(given, zone, now)?;
            Some((time.millis, end))
        })
        .last()
        .filter(|(_, end)| *end >= 14)
}

struct Tag<'a> {
    program: &'a [u8],
    process: Option<&'a [u8]>,
    /// What follows it.
    rest: &'a [u8],
}

/// `program[123]: ` or `program: `.
fn tag(text: &[u8]) -> Option<Tag<'_>> {
    let end = text
        .iter()
        .take(64)
        .position(|byte| matches!(byte, b':' | b'[' | b' '))?;
    let program = &text[..end];
    if program.is_empty() {
        return None;
    }
    let after = |rest: &'_ [u8]| rest.len() - rest.strip_prefix(b" ").unwrap_or(rest).len();
    let (process, rest) = if text[end] == b':' {
        (None, &text[end + 1..])
    } else {
        let inner = text[end..].strip_prefix(b"[")?;
        let close = inner.iter().take(32).position(|byte| *byte == b']')?;
        (
            Some(&inner[..close]),
            inner[close + 1..].strip_prefix(b":")?,
        )
    };
    Some(Tag {
        program,
        process,
        rest: &rest[after(rest)..],
    })
}

fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(b' ', rest)?;
    let word = &rest[..end];
    *rest = &rest[end + 1..];
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_795_485_989_123; // 2026-11-24T02:06:29.123Z

    fn read(text: &str) -> Option<Value> {
        let mut out = Vec::new();
        if !object(text.as_bytes(), None, NOW, &mut out) {
            assert!(out.is_empty());
            return None;
        }
        Some(serde_json::from_slice(&out).unwrap())
    }

    #[test]
    fn the_newer_form_is_read() {
        assert_eq!(
            read(
                r#"<165>1 2026-11-24T02:06:29.003Z kai-1 booking 812 ID47 [ex@32473 iut="3" note="a \"b\" \]"][x y="1"] BOOKED"#
            ),
            Some(json!({
                "log.level": "notice", "log.syslog.priority": 165, "log.syslog.facility.code": 20,
                "log.syslog.facility.name": "local4", "log.syslog.severity.code": 5,
                "timestamp": "2026-11-24T02:06:29.003Z", "host.hostname": "kai-1",
                "process.name": "booking", "log.syslog.procid": "812", "log.syslog.msgid": "ID47",
                "process.pid": 812, "log.syslog.structured_data.ex@32473.iut": "3",
                "log.syslog.structured_data.ex@32473.note": "a \"b\" ]",
                "log.syslog.structured_data.x.y": "1", "message": "BOOKED"
            }))
        );
        let bare = read("<0>1 - - - - - -").unwrap();
        assert_eq!(
            (&bare["message"], &bare["log.level"]),
            (&json!(""), &json!("emergency"))
        );
        assert_eq!(
            read("<34>1 - - - - - - \u{feff}text").unwrap()["message"],
            "text"
        );
    }

    #[test]
    fn the_older_form_is_read() {
        let message = read("<34>Nov 24 02:06:29 kai-1 su[12]: 'su root' failed").unwrap();
        assert_eq!(message["timestamp"], "2026-11-24T02:06:29.000Z");
        assert_eq!(
            (
                &message["host.hostname"],
                &message["process.name"],
                &message["process.pid"],
                &message["message"]
            ),
            (
                &json!("kai-1"),
                &json!("su"),
                &json!(12),
                &json!("'su root' failed")
            )
        );
        let file = read("Nov  4 02:06:29 kai-1 CRON: x: y").unwrap();
        assert_eq!(
            (&file["process.name"], &file["message"]),
            (&json!("CRON"), &json!("x: y"))
        );
        let modern =
            read("2026-11-24T09:06:29.123456+07:00 kai-1 sshd-session[9]: Accepted").unwrap();
        assert_eq!(modern["timestamp"], "2026-11-24T02:06:29.123Z");
        assert_eq!(read("<13>just text").unwrap()["message"], "just text");
        let hostless = read("<13>Nov 24 02:06:29 su: text").unwrap();
        assert_eq!(
            (&hostless["process.name"], hostless.get("host.hostname")),
            (&json!("su"), None)
        );
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            "just text",
            "<192>x",
            "<013>x",
            "<>x",
            "<x>y",
            "{\"a\":1}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in any::<String>(), near in r#"<[0-9]{0,3}>(1 )?(-|Nov 24 02:06:29) [a-c:\[\]="\\ 0-9-]{0,40}"#) {
            let _ = (read(&text), read(&near));
        }
    }
}
