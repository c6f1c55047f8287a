//! An event as a line for people. Pure.

use serde_json::Value;

use super::filter::field;

const SOURCE: usize = 12;

/// `09:14:45.123  booking      error  POST /bookings 500`; what follows a first line is indented, and
/// control characters are shown as what they are.
pub fn line(source: &str, document: &Value, color: bool) -> String {
    let text = |name: &str| field(document, name).and_then(Value::as_str);
    let time = text("@timestamp").unwrap_or_default();
    let clock = time.get(11..).unwrap_or(time).trim_end_matches('Z');
    let level = text("log.level").unwrap_or("-");
    let message = text("message").or_else(|| text("msg"));
    let message = message.map_or_else(|| document.to_string(), str::to_owned);
    let lines: Vec<String> = message.trim_end().lines().map(clean).collect();
    format!(
        "{}  {:<SOURCE$} {}  {}",
        paint("2", &clean(clock), color),
        clean(source),
        paint(color_of(level), &format!("{:<5}", clean(level)), color),
        lines.join("\n    ")
    )
}

pub(super) fn paint(code: &str, text: &str, color: bool) -> String {
    if color && !code.is_empty() {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

fn color_of(level: &str) -> &'static str {
    match level {
        "error" | "critical" | "fatal" | "alert" | "emergency" => "31",
        "warn" => "33",
        "debug" | "trace" => "2",
        _ => "",
    }
}

/// Without what a terminal would take for a command.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("  "),
            // The last turn the direction of what follows.
            c if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                out.extend(c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_when_where_how_bad_and_what() {
        let document = json!({ "@timestamp": "2026-11-24T02:06:29.123Z", "log": { "level": "error" },
            "message": "cannot book\n\tat a.b \u{1b}[2J" });
        assert_eq!(
            line("booking", &document, false),
            "02:06:29.123  booking      error  cannot book\n      at a.b \\u{1b}[2J"
        );
        assert!(line("booking", &document, true).contains("\u{1b}[31merror\u{1b}[0m"));
        assert_eq!(
            line("x", &json!({ "a": 1 }), false),
            "  x            -      {\"a\":1}"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_line_speaks_to_the_terminal(text in ".{0,60}", time in ".{0,30}") {
            let line = line(&text, &json!({ "@timestamp": time, "message": text, "log.level": text }), false);
            proptest::prop_assert!(!line.replace('\n', "").contains(char::is_control), "{:?}", line);
        }
    }
}
