//! The beginning of a plain line: the time and the level that most loggers put there.

use jiff::tz::TimeZone;

use crate::{level, time};

/// Words after the time among which a level is looked for: `[main] ERROR`, `host app[1]: WARN`.
const WORDS: usize = 4;
/// Longest text that is tried as a time.
const LONGEST_TIME: usize = 40;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    pub millis: Option<i64>,
    pub level: Option<&'static str>,
}

/// What a line begins with; nothing where it does not begin so.
pub fn head(text: &[u8], zone: Option<&TimeZone>, now: i64) -> Head {
    let (millis, rest) = match leading_time(text, zone, now) {
        Some((millis, length)) => (Some(millis), &text[length..]),
        None => (None, text),
    };
    let first_line = memchr::memchr(b'\n', rest).map_or(rest, |at| &rest[..at]);
    let words = first_line
        .split(|byte| matches!(byte, b' ' | b'\t' | b'|'))
        .filter(|word| !word.is_empty())
        .take(WORDS);
    let level = words
        .enumerate()
        .find_map(|(index, word)| level_of(word, index == 0));
    // klog's letter stands before the time.
    let level = level.or_else(|| match text.first() {
        Some(b'I') if millis.is_some() => Some("info"),
        Some(b'W') if millis.is_some() => Some("warn"),
        Some(b'E') if millis.is_some() => Some("error"),
        Some(b'F') if millis.is_some() => Some("fatal"),
        _ => None,
    });
    Head { millis, level }
}

/// `ERROR`, `[error]`, `ERROR:`, `level=error`, `<warn>`; a word in small letters only where it is
/// marked as a level, because sentences have words like `error`.
fn level_of(word: &[u8], first: bool) -> Option<&'static str> {
    if let Some(value) = word.strip_prefix(b"level=") {
        return level::text(value);
    }
    let inner = word
        .strip_prefix(b"[")
        .and_then(|word| word.split(|byte| *byte == b']').next())
        .or_else(|| {
            word.strip_prefix(b"<")
                .and_then(|word| word.strip_suffix(b">"))
        });
    let marked = inner.is_some();
    let name = inner.unwrap_or(word);
    let colon = name.split(|byte| *byte == b':').next().unwrap_or(name);
    let marked = marked || (first && colon.len() < name.len());
    let capitals = !colon.is_empty() && colon.iter().all(u8::is_ascii_uppercase);
    // nginx's `[error]`, Apache's `[core:error]`.
    let last = name.rsplit(|byte| *byte == b':').next().unwrap_or(name);
    if capitals || marked {
        level::text(colon).or_else(|| marked.then(|| level::text(last)).flatten())
    } else {
        None
    }
}

/// The longest beginning that is a time, whole words only, perhaps in brackets.
fn leading_time(text: &[u8], zone: Option<&TimeZone>, now: i64) -> Option<(i64, usize)> {
    let first = *text.first()?;
    if !first.is_ascii_alphanumeric() && first != b'[' {
        return None;
    }
    // Every form has a digit soon, and a colon or eight digits in a row.
    let head = &text[..text.len().min(LONGEST_TIME)];
    if !head.iter().take(10).any(u8::is_ascii_digit) {
        return None;
    }
    if let Some(found) = rfc3339(text, zone, now) {
        return Some(found);
    }
    let mut found = None;
    for (at, byte) in head.iter().chain([&b' ']).enumerate() {
        let ends = match byte {
            b' ' | b'\t' | b'|' | b']' | b';' => true,
            b'[' => at > 0,
            _ => false,
        };
        if !ends || at < 8 || (at == head.len() && at < text.len()) {
            continue;
        }
        let end = at + usize::from(*byte == b']');
        let given = &head[..end.min(head.len())];
        let given = given.strip_suffix(b":").unwrap_or(given);
        let bare = given
            .strip_prefix(b"[")
            .and_then(|given| given.strip_suffix(b"]"))
            .unwrap_or(given);
        // A number alone is an id as often as a time.
        if bare
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.')
        {
            continue;
        }
        if let Some(time) = time::read(bare, zone, now) {
            found = Some((time.millis, end.min(text.len())));
        }
    }
    found
}

/// The form of most lines, without a search: ten bytes of a date, a `T` or a space, a clock, and what
/// belongs to it up to the next blank; then perhaps a zone of its own.
fn rfc3339(text: &[u8], zone: Option<&TimeZone>, now: i64) -> Option<(i64, usize)> {
    if text.get(4) != Some(&b'-') || text.get(7) != Some(&b'-') || text.get(13) != Some(&b':') {
        return None;
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'|' | b']' | b';');
    let rest = text.get(19..text.len().min(LONGEST_TIME))?;
    let end = 19 + rest.iter().position(blank).unwrap_or(rest.len());
    // ` +0700` is a part of it.
    let with_zone = text
        .get(end + 1)
        .is_some_and(|byte| matches!(byte, b'+' | b'-'));
    let end = if with_zone {
        let more = text.get(end + 1..text.len().min(end + 8))?;
        end + 1 + more.iter().position(blank).unwrap_or(more.len())
    } else {
        end
    };
    let time = time::read(&text[..end], zone, now)?;
    Some((time.millis, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_795_485_989_123; // 2026-11-24T02:06:29.123Z

    #[test]
    fn times_and_levels_are_found() {
        let at = Some(1_795_485_989_000);
        for (text, millis, level) in [
            (
                "2026-11-24 02:06:29,000 [main] ERROR k.Booking - no",
                at,
                Some("error"),
            ),
            ("2026-11-24T02:06:29Z WARN x", at, Some("warn")),
            ("2026/11/24 02:06:29 [error] 12#0: x", at, Some("error")),
            (
                "[Tue Nov 24 02:06:29.000 2026] [core:error] [pid 1] x",
                at,
                Some("error"),
            ),
            ("[2026-11-24 02:06:29] production.ERROR: x", at, None),
            ("Nov 24 02:06:29 kai-1 app[1]: x", at, None),
            (
                "I1124 02:06:29.000123       1 main.go:1] x",
                at,
                Some("info"),
            ),
            ("ERROR: x", None, Some("error")),
            ("error: x", None, Some("error")),
            ("[WARN] x", None, Some("warn")),
            ("level=info msg=x", None, Some("info")),
            ("an error occurred", None, None),
            ("1795485989 booked", None, None),
            ("12 bookings", None, None),
            ("", None, None),
        ] {
            assert_eq!(
                head(text.as_bytes(), None, NOW),
                Head { millis, level },
                "{text}"
            );
        }
        let zone = TimeZone::get("Asia/Jakarta").unwrap();
        assert_eq!(head(b"2026-11-24 09:06:29 x", Some(&zone), NOW).millis, at);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in any::<Vec<u8>>(), near in "\\[?[0-9A-Za-z/:., +-]{0,44}\\]? .{0,9}") {
            let _ = (head(&bytes, None, NOW), head(near.as_bytes(), None, NOW));
        }
    }
}
