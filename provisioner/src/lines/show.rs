//! A line as people read it, and as scripts do: one JSON object a line.
//!
//! ```text
//! 09:14:45.123  booking      error  POST /bookings 500
//! ```
//! Times are UTC. A new day says so. What follows a line's first one is indented; control characters,
//! with which a log line could speak to the terminal, are shown as what they are.

use std::io::Write;

use serde_json::json;

use super::query::Hit;
use crate::inbox::time::Instant;

const DIM: &str = "2";
const RED: &str = "31";
const YELLOW: &str = "33";
const SERVICE: usize = 12;

pub struct Screen<W> {
    out: W,
    color: bool,
    json: bool,
    day: Option<String>,
}

impl<W: Write> Screen<W> {
    pub fn new(out: W, color: bool, json: bool) -> Self {
        Self {
            out,
            color,
            json,
            day: None,
        }
    }

    /// Whether somebody still reads.
    pub fn show(&mut self, hit: &Hit) -> bool {
        let text = if self.json {
            json!({ "id": hit.id, "index": hit.index, "document": hit.source }).to_string()
        } else {
            self.line(hit)
        };
        writeln!(self.out, "{text}")
            .and_then(|()| self.out.flush())
            .is_ok()
    }

    /// A word of our own, beside the lines.
    pub fn note(&mut self, text: &str) {
        eprintln!("{}", self.paint(DIM, &format!("-- {text}")));
    }

    fn line(&mut self, hit: &Hit) -> String {
        let time = Instant(hit.at).rfc3339();
        let (day, clock) = time.split_at(10);
        let mut out = String::new();
        if self.day.as_deref().is_some_and(|before| before != day)
            || self.day.is_none() && !Instant::now().rfc3339().starts_with(day)
        {
            out.push_str(&self.paint(DIM, &format!("-- {day}")));
            out.push('\n');
        }
        self.day = Some(day.to_owned());
        let clock = clock.trim_matches(['T', 'Z']);
        let level = hit.text("log.level").unwrap_or("-");
        let service = hit.text("service.name").unwrap_or("-");
        let level_text = self.paint(color_of(level), &format!("{:<5}", clean(level)));
        out.push_str(&format!(
            "{}  {:<SERVICE$} {level_text}  ",
            self.paint(DIM, clock),
            clean(service),
        ));
        out.push_str(&indented(&message(hit)));
        out
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color && !code.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

fn color_of(level: &str) -> &'static str {
    match level {
        "error" | "critical" | "fatal" | "alert" | "emergency" => RED,
        "warn" => YELLOW,
        "debug" | "trace" => DIM,
        _ => "",
    }
}

/// What is said: the message, and the error where the message does not say it.
fn message(hit: &Hit) -> String {
    let said = hit.text("message").or_else(|| hit.text("msg"));
    let error = hit.text("error.message").or_else(|| hit.text("error"));
    match (said, error) {
        (Some(said), Some(error)) if !said.contains(error) => format!("{said}: {error}"),
        (Some(said), _) => said.to_owned(),
        (None, Some(error)) => error.to_owned(),
        (None, None) => hit.source.to_string(),
    }
}

/// Without what a terminal would take for a command.
fn clean(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let shown: Vec<char> = match c {
                '\t' => vec![' ', ' '],
                c if c.is_control() => c.escape_default().collect(),
                // They turn the direction of what follows.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => c.escape_default().collect(),
                c => vec![c],
            };
            shown
        })
        .collect()
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(clean).collect();
    lines.join("\n    ")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn shown(source: Value, at: i64, color: bool, json: bool) -> String {
        let mut out = Vec::new();
        let hit = Hit {
            id: "a".into(),
            index: "i".into(),
            at,
            source,
        };
        let mut screen = Screen::new(&mut out, color, json);
        screen.day = Some("2026-11-24".to_owned());
        assert!(screen.show(&hit));
        String::from_utf8(out).unwrap()
    }

    const AT: i64 = 1_795_485_989_123; // 2026-11-24T02:06:29.123Z

    #[test]
    fn a_line_says_when_who_how_bad_and_what() {
        let source = json!({ "service": { "name": "booking" }, "log.level": "error",
            "message": "cannot book\n\tat a.b", "error": { "message": "no seat" } });
        assert_eq!(
            shown(source.clone(), AT, false, false),
            "02:06:29.123  booking      error  cannot book\n      at a.b: no seat\n"
        );
        assert!(shown(source, AT, true, false).contains("\u{1b}[31merror\u{1b}[0m"));
        let next_day = shown(json!({ "msg": "x" }), AT + 86_400_000, false, false);
        assert_eq!(
            next_day,
            "-- 2026-11-25\n02:06:29.123  -            -      x\n"
        );
        assert_eq!(
            shown(json!({ "a": 1 }), AT, false, true),
            "{\"id\":\"a\",\"index\":\"i\",\"document\":{\"a\":1}}\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_line_speaks_to_the_terminal(text in ".{0,60}", level in ".{0,9}") {
            let out = shown(json!({ "message": text, "log.level": level }), AT, false, false);
            proptest::prop_assert!(!out.trim_end_matches('\n').replace('\n', "").contains(char::is_control), "{:?}", out);
        }
    }
}
