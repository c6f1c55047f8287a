//! Takes out of a message what is another one each time: numbers, times, addresses, identifiers,
//! quoted texts. What a word is replaced by depends on which of its characters are digits and not
//! on their values.

/// A word with digits in it that is so long is an identifier.
const LONG_WORD: usize = 16;
/// Hexadecimal digits of the shortest identifier.
const LONG_HEX: usize = 8;

/// The text with placeholders, blanks in one.
pub fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() || first.is_control() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
            rest = &rest[first.len_utf8()..];
        } else if let Some(after) = quoted(rest, out.chars().next_back()) {
            out.push_str("<text>");
            rest = after;
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (whole, after) = rest.split_at(end);
            // What ends a sentence is no part of its last word.
            let word = whole.trim_end_matches(['.', ':', '-', '+', '/']);
            out.push_str(&masked(word));
            out.push_str(&whole[word.len()..]);
            rest = after;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '@' | '+' | '%')
}

/// What follows a quoted text that begins here. An apostrophe inside a word is no quote.
fn quoted(text: &str, before: Option<char>) -> Option<&str> {
    let quote = text
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\'' | '`'))?;
    if quote == '\'' && before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let inner = &text[1..];
    let mut from = 0;
    loop {
        let at = from + inner[from..].find(quote)?;
        let after = &inner[at + 1..];
        let ends = quote != '\'' || !after.chars().next().is_some_and(char::is_alphanumeric);
        if ends && !inner[..at].ends_with('\\') {
            return Some(after);
        }
        from = at + 1;
    }
}

fn masked(word: &str) -> String {
    if word.contains('@') && word.split('@').count() == 2 && !word.starts_with('@') {
        return "<email>".to_owned();
    }
    if is_time(word) {
        return "<time>".to_owned();
    }
    if is_address(word) {
        return "<ip>".to_owned();
    }
    // Paths and the like, part by part.
    for separator in ['/', ':'] {
        if word.contains(separator) {
            let parts: Vec<String> = word.split(separator).map(masked).collect();
            return parts.join(&separator.to_string());
        }
    }
    if is_identifier(word) {
        return "<id>".to_owned();
    }
    let mut out = String::with_capacity(word.len());
    let mut in_number = false;
    let mut chars = word.char_indices().peekable();
    while let Some((_, c)) = chars.next() {
        let next_is_digit = chars.peek().is_some_and(|(_, next)| next.is_numeric());
        let sign = matches!(c, '-' | '+') && out.is_empty() && next_is_digit;
        if c.is_numeric() || sign || (in_number && c == '.' && next_is_digit) {
            if !in_number {
                out.push_str("<n>");
            }
            in_number = true;
        } else {
            in_number = false;
            out.push(c);
        }
    }
    out
}

/// `2026-11-24T02:06:29Z`, `2026-11-24`, `02:06:29.123`: digits in the groups that times have.
fn is_time(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let date = |text: &str| {
        let parts: Vec<&str> = text.split(['-', '/']).collect();
        parts.len() == 3
            && parts.iter().all(|part| digits(part))
            && parts[0].len() == 4
            && parts[1].len() == 2
            && parts[2].len() == 2
    };
    let clock = |text: &str| {
        let text = text.trim_end_matches('Z');
        let text = text.split(['+', '-', '.']).next().unwrap_or_default();
        let parts: Vec<&str> = text.split(':').collect();
        (2..=3).contains(&parts.len()) && parts.iter().all(|p| p.len() == 2 && digits(p))
    };
    match word.split_once('T') {
        Some((day, time)) => date(day) && clock(time),
        None => date(word) || clock(word),
    }
}

/// Four numbers with dots, or many groups of hexadecimal digits with colons; perhaps a port.
fn is_address(word: &str) -> bool {
    let four = |text: &str| {
        let parts: Vec<&str> = text.split('.').collect();
        parts.len() == 4
            && parts
                .iter()
                .all(|p| (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))
    };
    let host = word.rsplit_once(':').map_or(word, |(host, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) {
            host
        } else {
            word
        }
    });
    let groups = word.split(':').count();
    four(host)
        || (groups >= 3
            && word.contains("::")
            && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'))
        || (groups == 8
            && word
                .split(':')
                .all(|g| (1..=4).contains(&g.len()) && g.bytes().all(|b| b.is_ascii_hexdigit())))
}

/// A UUID, a hash, an id with letters and digits.
fn is_identifier(word: &str) -> bool {
    let has_digit = word.bytes().any(|b| b.is_ascii_digit());
    let letters = word.bytes().any(|b| b.is_ascii_alphabetic());
    if !has_digit || !letters {
        return false;
    }
    let hex = word.strip_prefix("0x").unwrap_or(word);
    let hex = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let bare = word
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    (hex && (word.len() >= LONG_HEX || word.starts_with("0x"))) || (bare && word.len() >= LONG_WORD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_each_time_is_taken_out() {
        for (text, expected) in [
            (
                "GET /bookings/4711/seats 500",
                "GET /bookings/<n>/seats <n>",
            ),
            (
                "order 3f2a91c0-1b2c-4d5e-8f90-a1b2c3d4e5f6 lost",
                "order <id> lost",
            ),
            ("took 1.5s, limit 300ms", "took <n>s, limit <n>ms"),
            ("user 'bob' can't pay", "user <text> can't pay"),
            ("key \"a \\\" b\" is `x`", "key <text> is <text>"),
            (
                "at 2026-11-24T02:06:29.123Z by a@b.example.",
                "at <time> by <email>.",
            ),
            ("dial 10.0.0.1:5432: refused", "dial <ip>: refused"),
            ("from [2001:db8::1]:22 and ::1", "from [<ip>]:<n> and <ip>"),
            ("-5 below 02:06:29", "<n> below <time>"),
            ("x=17 y=-3", "x=<n> y=<n>"),
            ("a   b\t c\n", "a b c"),
            ("thread main/12 sha 0xdeadbeef", "thread main/<n> sha <id>"),
            ("0x1f and deadbee1", "<id> and <id>"),
            ("it's 'unclosed", "it's 'unclosed"),
            ("", ""),
        ] {
            assert_eq!(mask(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_value_of_a_digit_makes_no_difference(text in ".{0,120}", shift in 1_u8..9) {
            let shifted: String = text.chars().map(|c| match c.to_digit(10) {
                Some(digit) => char::from(b'0' + (digit as u8 + shift) % 10),
                None => c,
            }).collect();
            // `0x` is a sign and no number.
            if !text.contains('x') {
                prop_assert_eq!(mask(&text), mask(&shifted));
            }
        }

        #[test]
        fn nothing_is_left_of_numbers(text in "[a-z0-9 .,:/-]{0,80}") {
            prop_assert!(!mask(&text).contains(|c: char| c.is_ascii_digit()));
        }
    }
}
