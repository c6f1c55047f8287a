//! The stream for scripts: one object a line, every instant in RFC 3339.

use serde_json::{Map, Value, json};

use crate::inbox::follow::timeline::{Event, Happened};

/// One event as one line of JSON.
pub fn line(event: &Event) -> String {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            map.insert(name.to_owned(), value);
        }
    };
    put("at", json!(event.at.rfc3339()));
    let word = match &event.what {
        Happened::Waiting {
            url,
            after,
            prometheus,
        } => {
            put("url", json!(url));
            put("after", json!(after));
            put("prometheus", json!(prometheus));
            "waiting"
        }
        Happened::Lost { reason } => {
            put("reason", json!(reason));
            "inbox_lost"
        }
        Happened::Back => "inbox_back",
        Happened::PrometheusLost { reason } => {
            put("reason", json!(reason));
            "prometheus_lost"
        }
        Happened::PrometheusBack => "prometheus_back",
        Happened::Fault { labels } => {
            put("labels", json!(labels));
            "fault"
        }
        Happened::FaultOff { labels } => {
            put("labels", json!(labels));
            "fault_off"
        }
        Happened::Pending {
            labels,
            value,
            hold_seconds,
        } => {
            put("labels", json!(labels));
            put("value", json!(value));
            put("hold_seconds", json!(hold_seconds));
            "pending"
        }
        Happened::Firing {
            labels,
            value,
            active_at,
            already,
        } => {
            put("labels", json!(labels));
            put("value", json!(value));
            put("active_at", json!(active_at.rfc3339()));
            put("already", json!(already));
            "firing"
        }
        Happened::Inactive { labels } => {
            put("labels", json!(labels));
            "inactive"
        }
        Happened::Received {
            message,
            since_fault_ms,
            since_active_ms,
        } => {
            put("since_fault_ms", json!(since_fault_ms));
            put("since_active_ms", json!(since_active_ms));
            put("message", json!(message));
            "received"
        }
        Happened::Repeated { message, open_ms } => {
            put("open_ms", json!(open_ms));
            put("message", json!(message));
            "repeated"
        }
        Happened::Resolved { message, open_ms } => {
            put("open_ms", json!(open_ms));
            put("message", json!(message));
            "resolved"
        }
        Happened::Refused { message } => {
            put("message", json!(message));
            "refused"
        }
    };
    map.insert("event".to_owned(), json!(word));
    format!("{}\n", Value::Object(map))
}
