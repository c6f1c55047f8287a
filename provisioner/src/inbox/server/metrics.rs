//! The inbox's own counters in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::state::{App, lock};
use crate::inbox::message::{Channel, Status};
use crate::inbox::time::Instant;

pub async fn page(State(app): State<Arc<App>>) -> Response {
    let headers = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (headers, render(&app)).into_response()
}

fn render(app: &App) -> String {
    let mut out = String::new();
    let counts = lock(&app.counters.messages).clone();
    family(
        &mut out,
        "kai_inbox_messages_total",
        "counter",
        "Messages judged since the start.",
    );
    for channel in Channel::ALL {
        for verdict in ["accepted", "refused"] {
            // Accepted beats have a counter of their own.
            if channel == Channel::Heartbeat && verdict == "accepted" {
                continue;
            }
            let count = counts.get(&(channel, verdict)).copied().unwrap_or(0);
            let labels = [("channel", channel.word()), ("verdict", verdict)];
            sample(&mut out, "kai_inbox_messages_total", &labels, count as f64);
        }
    }
    let stats = app.journal.stats();
    let (messages, newest) = app
        .journal
        .with_index(|index| (index.len(), index.newest()));
    for (name, kind, help, value) in [
        (
            "kai_inbox_evicted_total",
            "counter",
            "Messages deleted to stay within the limit on disk.",
            stats.evicted.load(Ordering::Relaxed) as f64,
        ),
        (
            "kai_inbox_refused_not_kept_total",
            "counter",
            "Refused messages that were counted only, because there were too many.",
            app.counters.refused_unkept.load(Ordering::Relaxed) as f64,
        ),
        (
            "kai_inbox_store_errors_total",
            "counter",
            "Writes that failed; the senders were told to try again.",
            stats.errors.load(Ordering::Relaxed) as f64,
        ),
        (
            "kai_inbox_torn_bytes",
            "gauge",
            "Bytes of a half-written record found at the start.",
            app.recovery.torn_bytes as f64,
        ),
        (
            "kai_inbox_damaged_records",
            "gauge",
            "Records found unreadable at the start.",
            app.recovery.damaged as f64,
        ),
        (
            "kai_inbox_store_messages",
            "gauge",
            "Messages kept.",
            messages as f64,
        ),
        (
            "kai_inbox_store_bytes",
            "gauge",
            "Bytes of messages on disk.",
            stats.bytes.load(Ordering::Relaxed) as f64,
        ),
        (
            "kai_inbox_last_id",
            "gauge",
            "Id of the newest message.",
            newest as f64,
        ),
        (
            "kai_inbox_smtp_connections_total",
            "counter",
            "SMTP connections accepted.",
            app.counters.smtp_connections.load(Ordering::Relaxed) as f64,
        ),
    ] {
        family(&mut out, name, kind, help);
        sample(&mut out, name, &[], value);
    }
    let beats = app.with_heartbeats(crate::inbox::heartbeat::Heartbeats::list);
    let name = "kai_inbox_heartbeats_total";
    family(
        &mut out,
        name,
        "counter",
        "Firing heartbeats received, kept across restarts.",
    );
    for beat in &beats {
        sample(&mut out, name, &[("name", &beat.name)], beat.count as f64);
    }
    let name = "kai_inbox_heartbeat_last_seen_timestamp_seconds";
    family(
        &mut out,
        name,
        "gauge",
        "When the latest firing heartbeat arrived.",
    );
    for beat in &beats {
        let seen = beat.last_seen.as_deref().and_then(Instant::parse);
        if let Some(seen) = seen {
            sample(
                &mut out,
                name,
                &[("name", &beat.name)],
                seen.0 as f64 / 1000.0,
            );
        }
    }
    let name = "kai_inbox_heartbeat_firing";
    family(
        &mut out,
        name,
        "gauge",
        "1 when the latest notification said firing.",
    );
    for beat in &beats {
        let firing = f64::from(u8::from(beat.status == Status::Firing));
        sample(&mut out, name, &[("name", &beat.name)], firing);
    }
    out
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    out.push_str(name);
    for (at, (label, value)) in labels.iter().enumerate() {
        let _ = write!(
            out,
            "{}{label}=\"{}\"",
            if at == 0 { "{" } else { "," },
            escape(value)
        );
    }
    let _ = writeln!(out, "{} {value}", if labels.is_empty() { "" } else { "}" });
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut out = String::new();
        sample(&mut out, "a", &[("b", "x\"y\\z\n"), ("c", "d")], 1.5);
        sample(&mut out, "a", &[], 1_764_000_000.25);
        assert_eq!(
            out,
            "a{b=\"x\\\"y\\\\z\\n\",c=\"d\"} 1.5\na 1764000000.25\n"
        );
    }
}
