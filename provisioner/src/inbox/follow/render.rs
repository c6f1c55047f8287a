//! The lines of the stream. Text fits 80 columns; colour only says again what a word says. What a
//! sender wrote is printed without control characters: a message must not move the cursor.

pub mod json;

use std::fmt::Write as _;

use super::prometheus::Labels;
use super::timeline::{Event, Happened};
use crate::inbox::message::{Channel, Message};
use crate::inbox::time::duration_words;

const COLUMNS: usize = 80;
/// `  09:14:45  RECEIVED  `
const INDENT: usize = 22;

#[derive(Debug, Clone, Copy)]
enum Tone {
    Plain,
    Dim,
    Red,
    Yellow,
    Green,
    Cyan,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Red => "\x1b[1;31m",
            Self::Yellow => "\x1b[33m",
            Self::Green => "\x1b[1;32m",
            Self::Cyan => "\x1b[36m",
        }
    }
}

/// One event as one or more lines.
pub fn text(event: &Event, color: bool) -> String {
    let mut lines = Lines {
        out: String::new(),
        at: event.at.hms(),
        color,
    };
    match &event.what {
        Happened::Waiting {
            url,
            after,
            prometheus,
        } => {
            let from = match after {
                0 => "from the first message".to_owned(),
                after => format!("after message {after}"),
            };
            let alerts = if *prometheus {
                ""
            } else {
                "; without --prometheus no alert states"
            };
            lines.plain(&format!("waiting at {url}, {from}; times are UTC{alerts}"));
        }
        Happened::Lost { reason } => lines.line(Tone::Yellow, "inbox", &format!("lost: {reason}")),
        Happened::Back => lines.line(Tone::Dim, "inbox", "answers again; nothing was missed"),
        Happened::PrometheusLost { reason } => {
            let words = format!("Prometheus does not answer: {reason}");
            lines.line(Tone::Yellow, "alerts", &words);
        }
        Happened::PrometheusBack => lines.line(Tone::Dim, "alerts", "Prometheus answers again"),
        Happened::Fault { labels } => {
            lines.line(
                Tone::Cyan,
                "fault",
                &format!("{} switched on", fault(labels)),
            );
        }
        Happened::FaultOff { labels } => {
            lines.line(Tone::Dim, "fault", &format!("{} is over", fault(labels)));
        }
        Happened::Pending {
            labels,
            value,
            hold_seconds,
        } => {
            let mut words = alert(labels);
            let _ = write!(words, "  value {}", number(value));
            if let Some(hold) = hold_seconds {
                let hold = format!("held for {}", duration_words((hold * 1000.0) as i64));
                let _ = write!(words, ", {}", together(&hold));
            }
            lines.line(Tone::Yellow, "pending", &words);
        }
        Happened::Firing {
            labels,
            active_at,
            already,
            ..
        } => {
            let since = if *already {
                format!("  already, active since {} UTC", active_at.hms())
            } else {
                format!("  {}", together("Prometheus → Alertmanager"))
            };
            lines.line(Tone::Red, "firing", &format!("{}{since}", alert(labels)));
        }
        Happened::Inactive { labels } => {
            let words = format!("{}  condition over", alert(labels));
            lines.line(Tone::Dim, "inactive", &words);
        }
        Happened::Received {
            message,
            since_fault_ms,
            since_active_ms,
        } => {
            let mut words = arrival(message);
            let since: Vec<String> = [
                since_fault_ms.map(|ms| format!("{} after the fault", duration_words(ms))),
                since_active_ms.map(|ms| format!("{} after active", duration_words(ms))),
            ]
            .into_iter()
            .flatten()
            .collect();
            if !since.is_empty() {
                let _ = write!(words, "  {}", together(&format!("({})", since.join(", "))));
            }
            lines.line(tone(message), "RECEIVED", &words);
            details(&mut lines, message);
        }
        Happened::Repeated { message, open_ms } => {
            let open = open_ms.map(|ms| together(&format!("; open for {}", duration_words(ms))));
            let words = format!("{}{}", arrival(message), open.unwrap_or_default());
            lines.line(Tone::Dim, "repeated", &words);
        }
        Happened::Resolved { message, open_ms } => {
            let key = match (&message.facts.dedup_key, message.incident) {
                (Some(_), Some(_)) => ", same dedup_key",
                _ => "",
            };
            let open = match open_ms {
                Some(ms) => format!("open for {}", duration_words(*ms)),
                None => "opened before this stream".to_owned(),
            };
            let words = format!("{}{key}; {}", message.channel.title(), together(&open));
            lines.line(Tone::Green, "RESOLVED", &words);
            let facts = &message.facts;
            let parts = [&facts.alertname, &facts.team, &facts.drill_id];
            let parts: Vec<String> = parts
                .into_iter()
                .flatten()
                .map(|part| clean(part))
                .collect();
            if !parts.is_empty() {
                lines.detail(&parts.join(" · "));
            }
        }
        Happened::Refused { message } => {
            let words = format!("{}  {}", message.channel.title(), message.verdict.status());
            lines.line(Tone::Red, "REFUSED", &words);
            for reason in message.verdict.reasons() {
                lines.detail(&clean(reason));
            }
        }
    }
    lines.out
}

fn details(lines: &mut Lines, message: &Message) {
    let facts = &message.facts;
    let summary = facts.summary.as_deref().unwrap_or_default();
    // Alertmanager's own summary begins with the name.
    let name = facts
        .alertname
        .clone()
        .filter(|name| !summary.contains(name.as_str()));
    let parts: Vec<String> = [
        &facts.severity,
        &facts.team,
        &facts.environment,
        &name,
        &facts.summary,
    ]
    .into_iter()
    .flatten()
    .map(|part| clean(part))
    .collect();
    if !parts.is_empty() {
        lines.detail(&parts.join(" · "));
    }
    if let Some(runbook) = &facts.runbook {
        lines.detail(&format!("runbook   {}", clean(runbook)));
    }
    if let Some(drill) = &facts.drill_id {
        lines.detail(&format!("drill     {}", clean(drill)));
    }
}

struct Lines {
    out: String,
    at: String,
    color: bool,
}

impl Lines {
    fn plain(&mut self, words: &str) {
        for line in wrap(words, COLUMNS - 2) {
            let _ = writeln!(self.out, "  {}", self.paint(Tone::Dim, &line));
        }
    }

    fn line(&mut self, tone: Tone, word: &str, rest: &str) {
        let mut wrapped = wrap(rest, COLUMNS - INDENT).into_iter();
        let first = wrapped.next().unwrap_or_default();
        let word = self.paint(tone, &format!("{word:<8}"));
        let _ = writeln!(self.out, "  {}  {word}  {first}", self.at);
        for line in wrapped {
            let _ = writeln!(self.out, "{:INDENT$}{line}", "");
        }
    }

    fn detail(&mut self, words: &str) {
        for line in wrap(words, COLUMNS - 12) {
            let _ = writeln!(self.out, "{:12}{line}", "");
        }
    }

    fn paint(&self, tone: Tone, words: &str) -> String {
        match tone.code() {
            "" => words.to_owned(),
            code if self.color => format!("{code}{words}\x1b[0m"),
            _ => words.to_owned(),
        }
    }
}

/// `PagerDuty Events v2  202  dedup_key=9f1c…`
fn arrival(message: &Message) -> String {
    let mut words = format!("{}  {}", message.channel.title(), message.verdict.status());
    let place = match message.channel {
        Channel::Pagerduty => {
            let key = message.facts.dedup_key.as_deref().map(clean);
            key.map(|key| format!("dedup_key={}", short(&key, 8)))
        }
        Channel::Slack => message.endpoint.strip_prefix("/services/").map(clean),
        Channel::Email => Some(format!("to {}", short(&clean(&message.endpoint), 40))),
        Channel::Heartbeat => Some(clean(&message.endpoint)),
    };
    if let Some(place) = place {
        let _ = write!(words, "  {place}");
    }
    words
}

fn tone(message: &Message) -> Tone {
    match message.facts.severity.as_deref() {
        Some("critical" | "error") => Tone::Red,
        Some("warning") => Tone::Yellow,
        Some("info") => Tone::Cyan,
        _ => Tone::Plain,
    }
}

/// `PaymentFailureRateHigh  service=payment team=payment severity=critical`
fn alert(labels: &Labels) -> String {
    let mut words = clean(labels.get("alertname").map_or("(no name)", String::as_str));
    let shown: Vec<String> = ["service", "team", "severity", "instance"]
        .iter()
        .filter_map(|name| Some(format!("{name}={}", clean(labels.get(*name)?))))
        .take(3)
        .collect();
    if !shown.is_empty() {
        let _ = write!(words, "  {}", shown.join(" "));
    }
    words
}

fn fault(labels: &Labels) -> String {
    let name = labels.get("fault").map_or("a fault", String::as_str);
    match labels.get("service").or_else(|| labels.get("job")) {
        Some(service) => format!("{} in {}", clean(name), clean(service)),
        None => clean(name),
    }
}

/// Prometheus writes `6.1e-01`; people read `0.61`.
fn number(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && (value == 0.0 || (1e-4..1e15).contains(&value.abs())) => {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => clean(text),
    }
}

/// Without control characters, line ends as spaces, and without the marks that reorder text.
fn clean(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|char| if char.is_whitespace() { ' ' } else { char })
        .filter(|char| !char.is_control())
        .filter(|char| !matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'))
        .collect();
    text.trim().to_owned()
}

fn short(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Breaks between words; a word longer than a line (an address) stays whole, to be copied.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let chars = word.trim_end().chars().count();
        if used > 0 && used + chars > columns {
            lines.push(line.trim_end().to_owned());
            line.clear();
            used = 0;
        }
        line.push_str(word);
        used += word.chars().count();
    }
    lines.push(line.trim_end().to_owned());
    lines
        .iter()
        .map(|line| line.replace(NO_BREAK, " "))
        .collect()
}

/// `wrap` does not break here. What a sender wrote has none: `clean` makes them spaces.
const NO_BREAK: char = '\u{a0}';

fn together(words: &str) -> String {
    words.replace(' ', "\u{a0}")
}

#[cfg(test)]
mod tests;
