//! Access logs in the common and the combined format, as Apache, nginx, Traefik and many others
//! write them, and what is often behind it: the time a request took, who it was forwarded for, the
//! virtual host before it.

use super::Object;

/// Appends the line as an object; false, and nothing appended, if it is no access log.
pub fn object(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut object = Object::begin(out);
    if read(text, &mut object).is_some() {
        object.end();
        true
    } else {
        object.cancel();
        false
    }
}

fn read(text: &[u8], object: &mut Object<'_>) -> Option<()> {
    let mut rest = text;
    let mut client = word(&mut rest)?;
    let ident = word(&mut rest)?; // nobody has run identd for thirty years
    // `vhost:port client - user […]`: one word more before the time.
    let mut user = word(&mut rest)?;
    let mut host = None;
    if user == b"-" && ident != b"-" && rest.first() != Some(&b'[') {
        let more = word(&mut rest)?;
        (host, client, user) = (Some(client), ident, more);
    }
    // Users may have spaces in them; times begin with a bracket and a digit.
    let mut user_end = user.len();
    while !(rest.first() == Some(&b'[') && rest.get(1).is_some_and(u8::is_ascii_digit)) {
        let more = word(&mut rest)?;
        user_end += 1 + more.len();
        let start = user.as_ptr() as usize - text.as_ptr() as usize;
        user = text.get(start..start + user_end)?;
    }
    let close = memchr::memchr(b']', rest)?;
    let time = &rest[1..close];
    crate::time::read(time, None, 0)?;
    rest = rest[close + 1..].strip_prefix(b" ")?;
    let request = quoted(&mut rest)?;
    let status = word(&mut rest)?;
    if status.len() != 3 || !status.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let bytes = word(&mut rest)?;
    object.text("message", text);
    object.text("timestamp", time);
    object.text("source.address", client);
    if is_given(user) {
        object.text("user.name", user);
    }
    if let Some(host) = host {
        object.text("url.domain", host);
    }
    request_line(request, object);
    object.number("http.response.status_code", status);
    object.number("http.response.body.bytes", bytes);
    if let Some(referrer) = quoted(&mut rest)
        && let Some(agent) = quoted(&mut rest)
    {
        if is_given(referrer) {
            object.text("http.request.referrer", referrer);
        }
        if is_given(agent) {
            object.text("user_agent.original", agent);
        }
    }
    match rest.first() {
        None => {}
        // nginx's request time in seconds, where it is put last.
        Some(byte) if byte.is_ascii_digit() => {
            let seconds = word(&mut rest)?;
            if let Some(nanoseconds) = nanoseconds(seconds) {
                object.number("event.duration", nanoseconds.to_string().as_bytes());
            }
        }
        Some(_) => {
            if let Some(forwarded) = quoted(&mut rest).filter(|text| is_given(text)) {
                object.text("http.request.forwarded_for", forwarded);
            }
        }
    }
    Some(())
}

/// `GET /book?a=1 HTTP/1.1`; what does not look so is a request that nobody understood, and stays in
/// `url.original` for who looks for scanners.
fn request_line(request: &[u8], object: &mut Object<'_>) {
    let mut parts = request.splitn(2, |byte| *byte == b' ');
    let method = parts.next().unwrap_or_default();
    let rest = parts.next().unwrap_or_default();
    let version = rest
        .iter()
        .rposition(|byte| *byte == b' ')
        .filter(|at| rest[at + 1..].starts_with(b"HTTP/"));
    let named = !method.is_empty() && method.iter().all(u8::is_ascii_uppercase);
    match (named, version) {
        (true, Some(at)) => {
            object.text("http.request.method", method);
            object.text("url.original", &rest[..at]);
            object.text("http.version", &rest[at + 6..]);
        }
        (true, None) if rest.starts_with(b"/") => {
            object.text("http.request.method", method);
            object.text("url.original", rest);
        }
        _ if is_given(request) => object.text("url.original", request),
        _ => {}
    }
}

fn is_given(text: &[u8]) -> bool {
    !text.is_empty() && text != b"-"
}

fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let word = &rest[..end];
    *rest = rest.get(end + 1..).unwrap_or_default();
    (!word.is_empty()).then_some(word)
}

/// What stands between quotes, and the space behind them taken. Escapes stay as they are.
fn quoted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match *rest.get(at)? {
            b'\\' => at += 2,
            b'"' => break,
            _ => at += 1,
        }
    }
    let text = &rest[1..at];
    let after = &rest[at + 1..];
    *rest = after.strip_prefix(b" ").unwrap_or(after);
    Some(text)
}

/// Seconds with a fraction; whole numbers are Apache's `%D`, microseconds.
fn nanoseconds(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some((whole, fraction)) = text.split_once('.') {
        if fraction.is_empty() || fraction.len() > 9 {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let part: u64 = fraction.parse().ok()?;
        let scale = 10_u64.pow(9 - u32::try_from(fraction.len()).ok()?);
        return whole.checked_mul(1_000_000_000)?.checked_add(part * scale);
    }
    text.parse::<u64>().ok()?.checked_mul(1000)
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
        let mut value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["message"], text);
        value.as_object_mut().unwrap().remove("message");
        Some(value)
    }

    #[test]
    fn the_combined_format_is_read() {
        assert_eq!(
            read(
                r#"203.0.113.7 - siti [24/Nov/2026:09:06:29 +0700] "GET /book?a=1 HTTP/1.1" 200 2326 "https://kai.example/" "Mozilla/5.0 (X11)" 0.012"#
            ),
            Some(json!({
                "timestamp": "24/Nov/2026:09:06:29 +0700", "source.address": "203.0.113.7",
                "user.name": "siti", "http.request.method": "GET", "url.original": "/book?a=1",
                "http.version": "1.1", "http.response.status_code": 200,
                "http.response.body.bytes": 2326, "http.request.referrer": "https://kai.example/",
                "user_agent.original": "Mozilla/5.0 (X11)", "event.duration": 12_000_000
            }))
        );
    }

    #[test]
    fn its_variants_are_read() {
        let common =
            read(r#"::1 - - [24/Nov/2026:09:06:29 +0700] "GET / HTTP/2.0" 304 -"#).unwrap();
        assert_eq!(common["http.response.status_code"], 304);
        assert!(
            common.get("http.response.body.bytes").is_none() && common.get("user.name").is_none()
        );
        let host = read(
            r#"kai.example:443 ::1 - - [24/Nov/2026:09:06:29 +0700] "POST /x HTTP/1.1" 500 1"#,
        )
        .unwrap();
        assert_eq!(
            (&host["url.domain"], &host["source.address"]),
            (&json!("kai.example:443"), &json!("::1"))
        );
        let spaced =
            read(r#"::1 - a b c [24/Nov/2026:09:06:29 +0700] "GET / HTTP/1.1" 200 1"#).unwrap();
        assert_eq!(spaced["user.name"], "a b c");
        let scan =
            read(r#"::1 - - [24/Nov/2026:09:06:29 +0700] "\x16\x03\"" 400 0 "-" "-""#).unwrap();
        assert_eq!(scan["url.original"], r#"\x16\x03\""#);
        let none = read(r#"::1 - - [24/Nov/2026:09:06:29 +0700] "-" 408 0"#).unwrap();
        assert!(none.get("url.original").is_none());
        let forwarded = read(
            r#"::1 - - [24/Nov/2026:09:06:29 +0700] "GET / HTTP/1.1" 200 1 "-" "x" "198.51.100.1""#,
        )
        .unwrap();
        assert_eq!(forwarded["http.request.forwarded_for"], "198.51.100.1");
        let micro =
            read(r#"::1 - - [24/Nov/2026:09:06:29 +0700] "GET / HTTP/1.1" 200 1 "-" "x" 1500"#)
                .unwrap();
        assert_eq!(micro["event.duration"], 1_500_000);
    }

    #[test]
    fn other_lines_are_none() {
        for text in [
            "",
            "-",
            "GET / HTTP/1.1",
            "a b c [x] \"y\" 200 1",
            r#"::1 - - [24/Nov/2026:09:06:29 +0700] "GET / HTTP/1.1" 2000 1"#,
            r#"::1 - - [24/Nov/2026:09:06:29 +0700] "GET / HTTP/1.1"#,
            r#"::1 - - [24/Foo/2026:09:06:29 +0700] "GET / HTTP/1.1" 200 1"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(
            text in any::<String>(),
            near in r#"[a-c\- ]{1,12}\[24/Nov/2026:09:06:29 \+0700\] "[A-Z /\\"]{0,12}"? [0-9]{3} [0-9\-. "\\]{0,20}"#
        ) {
            let _ = (read(&text), read(&near));
        }
    }
}
