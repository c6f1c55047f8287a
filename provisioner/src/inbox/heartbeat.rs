//! The dead man's switch: Alertmanager's webhook (version 4) sent at every repeat of the Watchdog.
//! A beat is counted, not kept: the disk must not grow with a signal that never ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::facts::Facts;
use super::message::Status;
use super::time::Instant;

/// Alertmanager's webhook bodies grow with the number of alerts in the group.
pub const MAX_BODY: usize = 1 << 20;
/// More names than any stack has receivers; beyond it a new name is refused.
const MAX_NAMES: usize = 1000;

/// What is known of one heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub name: String,
    /// RFC 3339. Absent until the first firing beat: a *resolved* Watchdog is no sign of life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Firing beats since the first start of this inbox.
    pub count: u64,
    /// Milliseconds between the last two firing beats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// The latest notification said so.
    pub status: Status,
    pub receiver: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
}

/// One webhook call that has the right shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    pub status: Status,
    pub receiver: String,
    pub alertname: Option<String>,
    pub external_url: Option<String>,
}

/// All heartbeats by name. Written to one small file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Heartbeats(BTreeMap<String, Heartbeat>);

impl Heartbeats {
    /// Counts one beat. False when there are too many names already.
    pub fn beat(&mut self, name: &str, beat: Beat, now: Instant) -> bool {
        if !self.0.contains_key(name) && self.0.len() >= MAX_NAMES {
            return false;
        }
        let entry = self.0.entry(name.to_owned()).or_insert_with(|| Heartbeat {
            name: name.to_owned(),
            last_seen: None,
            count: 0,
            interval_ms: None,
            status: beat.status,
            receiver: String::new(),
            alertname: None,
            external_url: None,
        });
        entry.status = beat.status;
        entry.receiver = beat.receiver;
        entry.alertname = beat.alertname;
        entry.external_url = beat.external_url;
        if beat.status == Status::Firing {
            let before = entry.last_seen.as_deref().and_then(Instant::parse);
            entry.interval_ms = before.map(|before| now.0 - before.0);
            entry.last_seen = Some(now.rfc3339());
            entry.count += 1;
        }
        true
    }

    pub fn list(&self) -> Vec<Heartbeat> {
        self.0.values().cloned().collect()
    }
}

/// A name in the path: what fits a label and a file listing.
pub fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char))
}

/// Judges one webhook body.
///
/// # Errors
/// All of what differs from Alertmanager's webhook version 4, in words.
pub fn judge(body: &[u8]) -> Result<Beat, Vec<String>> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| vec![format!("not JSON: {error}")])?;
    let Value::Object(hook) = &value else {
        return Err(vec!["not a JSON object".to_owned()]);
    };
    let mut errors = Vec::new();
    match hook.get("version") {
        Some(Value::String(version)) if version == "4" => {}
        Some(_) => errors.push("version: only \"4\" is understood".to_owned()),
        None => errors.push("version: missing; is this Alertmanager's webhook?".to_owned()),
    }
    let status = status(hook, "status", &mut errors);
    for key in ["groupKey", "receiver"] {
        if !hook.get(key).is_some_and(Value::is_string) {
            errors.push(format!("{key}: must be a string"));
        }
    }
    for key in ["groupLabels", "commonLabels", "commonAnnotations"] {
        labels(hook, key, key, &mut errors);
    }
    if hook.get("externalURL").is_some_and(|url| !url.is_string()) {
        errors.push("externalURL: must be a string".to_owned());
    }
    if hook
        .get("truncatedAlerts")
        .is_some_and(|count| !count.is_u64())
    {
        errors.push("truncatedAlerts: must be a count".to_owned());
    }
    match hook.get("alerts") {
        Some(Value::Array(alerts)) if !alerts.is_empty() => {
            for (at, alert) in alerts.iter().enumerate().take(100) {
                check_alert(at, alert, &mut errors);
            }
        }
        Some(Value::Array(_)) => errors.push("alerts: is empty".to_owned()),
        _ => errors.push("alerts: must be an array".to_owned()),
    }
    let (true, Some(status)) = (errors.is_empty(), status) else {
        return Err(errors);
    };
    let mut facts = facts(hook, status);
    let text = |key: &str| hook.get(key).and_then(Value::as_str).unwrap_or_default();
    Ok(Beat {
        status,
        receiver: short(text("receiver")),
        alertname: facts.alertname.take(),
        external_url: Some(short(text("externalURL"))).filter(|url| !url.is_empty()),
    })
}

/// What a refused beat says about itself, as far as it can be read.
pub fn facts_of(body: &[u8]) -> Facts {
    match serde_json::from_slice(body) {
        Ok(Value::Object(hook)) => facts(&hook, Status::Firing),
        _ => Facts::default(),
    }
}

fn facts(hook: &Map<String, Value>, status: Status) -> Facts {
    let mut facts = Facts {
        status: Some(status),
        ..Facts::default()
    };
    let sets = ["groupLabels", "commonLabels"]
        .iter()
        .filter_map(|key| hook.get(*key)?.as_object());
    for (name, value) in sets.flatten() {
        if let Value::String(value) = value {
            facts.take(name, value);
        }
    }
    facts.bound();
    facts
}

fn check_alert(at: usize, alert: &Value, errors: &mut Vec<String>) {
    let Value::Object(alert) = alert else {
        errors.push(format!("alerts[{at}]: must be an object"));
        return;
    };
    status(alert, "status", errors);
    labels(alert, "labels", &format!("alerts[{at}].labels"), errors);
    labels(
        alert,
        "annotations",
        &format!("alerts[{at}].annotations"),
        errors,
    );
    for key in ["startsAt", "endsAt"] {
        let stamp = alert.get(key).and_then(Value::as_str);
        if stamp.and_then(Instant::parse).is_none() {
            errors.push(format!("alerts[{at}].{key}: must be an RFC 3339 time"));
        }
    }
}

fn status(map: &Map<String, Value>, key: &str, errors: &mut Vec<String>) -> Option<Status> {
    match map.get(key).and_then(Value::as_str) {
        Some("firing") => Some(Status::Firing),
        Some("resolved") => Some(Status::Resolved),
        _ => {
            errors.push(format!("{key}: must be \"firing\" or \"resolved\""));
            None
        }
    }
}

fn labels(map: &Map<String, Value>, key: &str, name: &str, errors: &mut Vec<String>) {
    match map.get(key) {
        Some(Value::Object(labels)) if labels.values().all(Value::is_string) => {}
        _ => errors.push(format!("{name}: must be an object of strings")),
    }
}

fn short(text: &str) -> String {
    text.chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn webhook(status: &str) -> Value {
        json!({
            "version": "4", "groupKey": "{}:{alertname=\"Watchdog\"}", "truncatedAlerts": 0,
            "status": status, "receiver": "heartbeat",
            "groupLabels": {"alertname": "Watchdog"},
            "commonLabels": {"alertname": "Watchdog", "severity": "none"},
            "commonAnnotations": {}, "externalURL": "http://127.0.0.1:7074",
            "alerts": [{
                "status": status, "labels": {"alertname": "Watchdog"}, "annotations": {},
                "startsAt": "2026-11-23T09:14:10.123456789Z", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://127.0.0.1:7073/graph", "fingerprint": "abc",
            }],
        })
    }

    fn beat(status: &str) -> Beat {
        judge(webhook(status).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn alertmanagers_webhook_is_a_beat() {
        let beat = beat("firing");
        assert_eq!(beat.status, Status::Firing);
        assert_eq!(beat.alertname.as_deref(), Some("Watchdog"));
    }

    #[test]
    fn other_shapes_are_refused_with_all_reasons() {
        for (pointer, value, word) in [
            ("/version", json!("3"), "version"),
            ("/status", json!("ok"), "status"),
            ("/alerts", json!([]), "alerts"),
            ("/alerts/0", json!(1), "alerts[0]"),
            ("/alerts/0/startsAt", json!("now"), "startsAt"),
            ("/groupLabels", json!({"a": 1}), "groupLabels"),
            ("/receiver", json!(null), "receiver"),
        ] {
            let mut body = webhook("firing");
            *body.pointer_mut(pointer).unwrap() = value;
            let errors = judge(body.to_string().as_bytes()).unwrap_err();
            assert!(
                errors.iter().any(|error| error.contains(word)),
                "{pointer}: {errors:?}"
            );
        }
        assert_eq!(judge(b"{}").unwrap_err().len(), 8);
        assert!(judge(b"beat").is_err());
    }

    #[test]
    fn a_resolved_watchdog_is_no_sign_of_life() {
        let mut beats = Heartbeats::default();
        assert!(beats.beat("watchdog", beat("firing"), Instant(1_000)));
        assert!(beats.beat("watchdog", beat("firing"), Instant(6_000)));
        assert!(beats.beat("watchdog", beat("resolved"), Instant(9_000)));
        let [only] = beats.list().try_into().unwrap();
        assert_eq!((only.count, only.interval_ms), (2, Some(5_000)));
        assert_eq!(only.last_seen.as_deref(), Some("1970-01-01T00:00:06.000Z"));
        assert_eq!(only.status, Status::Resolved);
    }

    #[test]
    fn names_are_bounded() {
        let mut beats = Heartbeats::default();
        for name in 0..MAX_NAMES {
            assert!(beats.beat(&name.to_string(), beat("firing"), Instant(0)));
        }
        assert!(!beats.beat("one-more", beat("firing"), Instant(0)));
        assert!(beats.beat("1", beat("firing"), Instant(0)));
        assert!(valid_name("kai.watch-dog_1"));
        assert!(!valid_name("") && !valid_name("a/b") && !valid_name("ü"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = judge(&body);
            let _ = facts_of(&body);
        }
    }
}
