//! The stream as people see it, whole lines at a time.

use super::*;
use crate::inbox::time::Instant;
use proptest::prelude::*;
use serde_json::{Value, json};

fn message(change: &Value) -> Box<Message> {
    let mut base = json!({
        "id": 7, "received": "2026-11-23T09:14:45.000Z", "channel": "pagerduty", "incident": 7,
        "endpoint": "/v2/enqueue …d1a6", "kind": "trigger",
        "verdict": {"result": "accepted", "status": 202},
        "alertname": "PaymentFailureRateHigh", "team": "payment", "severity": "critical",
        "environment": "local", "dedup_key": "9f1c3f7a55d2e1b0",
        "summary": "61% of payments declined (limit 5%, floor 100)",
        "runbook": "docs/runbooks/PaymentFailureRateHigh.md",
    });
    for (name, value) in change.as_object().unwrap() {
        base[name] = value.clone();
    }
    serde_json::from_value(base).unwrap()
}

fn event(what: Happened) -> Event {
    Event {
        at: Instant::parse("2026-11-23T09:14:45Z").unwrap(),
        what,
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn the_timeline_reads_like_the_promised_one() {
    let names = labels(&[
        ("alertname", "PaymentFailureRateHigh"),
        ("service", "payment"),
        ("team", "payment"),
        ("severity", "critical"),
    ]);
    let active_at = Instant::parse("2026-11-23T09:14:10Z").unwrap();
    let all = [
        Happened::Waiting {
            url: "http://127.0.0.1:7071".to_owned(),
            after: 6,
            prometheus: true,
        },
        Happened::Fault {
            labels: labels(&[("fault", "payment_decline"), ("job", "booking")]),
        },
        Happened::Pending {
            labels: names.clone(),
            value: "6.1e-01".to_owned(),
            hold_seconds: Some(30.0),
        },
        Happened::Firing {
            labels: names.clone(),
            value: "6.1e-01".to_owned(),
            active_at,
            already: false,
        },
        Happened::Received {
            message: message(&json!({})),
            since_fault_ms: Some(43_000),
            since_active_ms: Some(35_000),
        },
        Happened::Repeated {
            message: message(&json!({})),
            open_ms: Some(60_000),
        },
        Happened::Inactive { labels: names },
        Happened::Resolved {
            message: message(&json!({"kind": "resolve"})),
            open_ms: Some(310_000),
        },
        Happened::Refused {
            message: message(&json!({"verdict": {
                "result": "refused", "status": 400,
                "reasons": ["'payload.severity' is missing or blank"],
            }})),
        },
        Happened::Received {
            message: message(&json!({
                "channel": "email", "endpoint": "ops@example.org", "dedup_key": null,
                "kind": "message", "verdict": {"result": "accepted", "status": 250},
                "drill_id": "d-1", "runbook": null,
            })),
            since_fault_ms: None,
            since_active_ms: None,
        },
    ];
    let text: String = all
        .into_iter()
        .map(|what| text(&event(what), false))
        .collect();
    let expected = "
  waiting at http://127.0.0.1:7071, after message 6; times are UTC
  09:14:45  fault     payment_decline in booking switched on
  09:14:45  pending   PaymentFailureRateHigh  service=payment team=payment
                      severity=critical  value 0.61, held for 30s
  09:14:45  firing    PaymentFailureRateHigh  service=payment team=payment
                      severity=critical  Prometheus → Alertmanager
  09:14:45  RECEIVED  PagerDuty Events v2  202  dedup_key=9f1c3f7a…
                      (43s after the fault, 35s after active)
            critical · payment · local · PaymentFailureRateHigh · 61% of
            payments declined (limit 5%, floor 100)
            runbook   docs/runbooks/PaymentFailureRateHigh.md
  09:14:45  repeated  PagerDuty Events v2  202
                      dedup_key=9f1c3f7a…; open for 1m00s
  09:14:45  inactive  PaymentFailureRateHigh  service=payment team=payment
                      severity=critical  condition over
  09:14:45  RESOLVED  PagerDuty Events v2, same dedup_key; open for 5m10s
            PaymentFailureRateHigh · payment
  09:14:45  REFUSED   PagerDuty Events v2  400
            'payload.severity' is missing or blank
  09:14:45  RECEIVED  e-mail  250  to ops@example.org
            critical · payment · local · PaymentFailureRateHigh · 61% of
            payments declined (limit 5%, floor 100)
            drill     d-1
";
    assert_eq!(format!("\n{text}"), expected);
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS));
}

#[test]
fn colour_only_when_asked_for_and_never_the_senders() {
    let nasty = message(&json!({"summary": "\u{1b}[2J\u{202e}gone\nnext", "team": "\u{7}a"}));
    let what = Happened::Received {
        message: nasty,
        since_fault_ms: None,
        since_active_ms: None,
    };
    let plain = text(&event(what.clone()), false);
    assert!(!plain.contains('\u{1b}') && !plain.contains('\u{202e}') && !plain.contains('\u{7}'));
    assert!(plain.contains("[2Jgone next"));
    assert!(text(&event(what), true).contains("\u{1b}[1;31mRECEIVED"));
}

#[test]
fn json_is_one_object_a_line() {
    let what = Happened::Received {
        message: message(&json!({})),
        since_fault_ms: Some(43_000),
        since_active_ms: None,
    };
    let line = json::line(&event(what));
    assert_eq!(line.matches('\n').count(), 1);
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["event"], "received");
    assert_eq!(value["since_fault_ms"], 43_000);
    assert_eq!(value["message"]["alertname"], "PaymentFailureRateHigh");
    assert!(value.get("since_active_ms").is_none());
}

#[test]
fn numbers_of_prometheus_are_readable() {
    for (raw, read) in [
        ("6.1e-01", "0.61"),
        ("1e+00", "1"),
        ("0e+00", "0"),
        ("1.23456789e+02", "123.4568"),
        ("NaN", "NaN"),
        ("1e-09", "1e-09"),
    ] {
        assert_eq!(number(raw), read);
    }
}

proptest! {
    #[test]
    fn any_message_stays_within_its_lines(summary in any::<String>(), name in any::<String>()) {
        let message = message(&json!({"summary": summary, "alertname": name, "runbook": null}));
        let what = Happened::Received { message, since_fault_ms: None, since_active_ms: None };
        let text = text(&event(what), false);
        prop_assert!(text.chars().all(|char| char == '\n' || !char.is_control()));
    }

    #[test]
    fn wrapping_loses_no_word(text in "[a-z]{1,12}( {1,2}[a-z]{1,30}){0,20}") {
        let lines = wrap(&text, 20);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(words(&lines.join(" ")), words(&text));
        prop_assert!(lines.iter().all(|line| line.chars().count() <= 30));
    }
}
