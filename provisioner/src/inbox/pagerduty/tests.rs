//! PagerDuty's rules one by one, and that no key stays behind.

use super::*;
use proptest::prelude::*;

const KEY: &str = "e93facc04764012d7bfb002500d5d1a6";

fn trigger() -> Value {
    json!({
        "routing_key": KEY, "event_action": "trigger", "dedup_key": "9f1c",
        "client": "Alertmanager", "client_url": "http://127.0.0.1:7074",
        "payload": {
            "summary": "61% of payments declined", "source": "booking", "severity": "critical",
            "component": "payment", "group": "local", "class": "business",
            "custom_details": {
                "alertname": "PaymentFailureRateHigh", "team": "payment", "severity": "critical",
                "drill_id": "", "num_firing": "1", "status": "firing"
            },
        },
        "links": [{"href": "http://runbooks.example/x", "text": "Runbook"}],
    })
}

fn errors(endpoint: Endpoint, event: &Value) -> Vec<String> {
    let judged = judge(endpoint, event.to_string().as_bytes());
    judged
        .refusal
        .map(|refusal| refusal.errors)
        .unwrap_or_default()
}

#[test]
fn what_alertmanager_sends_is_accepted_and_read() {
    let judged = judge(Endpoint::Alert, trigger().to_string().as_bytes());
    assert_eq!(judged.refusal, None);
    assert_eq!(judged.kind, Kind::Trigger);
    assert_eq!(
        judged.facts.alertname.as_deref(),
        Some("PaymentFailureRateHigh")
    );
    assert_eq!(judged.facts.team.as_deref(), Some("payment"));
    assert_eq!(judged.facts.service.as_deref(), Some("payment"));
    assert_eq!(judged.facts.drill_id, None);
    assert_eq!(judged.facts.dedup_key.as_deref(), Some("9f1c"));
    assert_eq!(
        judged.facts.runbook.as_deref(),
        Some("http://runbooks.example/x")
    );
    assert_eq!(
        judged.facts.summary.as_deref(),
        Some("61% of payments declined")
    );
    assert!(!judged.raw.to_string().contains(KEY));
}

#[test]
fn each_rule_is_named_in_the_vendors_words() {
    let cases: &[(&str, Value, &str)] = &[
        ("/routing_key", Value::Null, "'routing_key' cannot be blank"),
        (
            "/routing_key",
            json!("e93facc"),
            "Length of 'routing_key' is incorrect (should be 32 characters)",
        ),
        (
            "/routing_key",
            json!("e93facc0-764012d7bfb002500d5d1a6"),
            "'routing_key' cannot contain non-alphanumeric characters.",
        ),
        (
            "/event_action",
            json!(""),
            "'event_action' is missing or blank",
        ),
        (
            "/event_action",
            json!("open"),
            "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')",
        ),
        (
            "/dedup_key",
            json!("k".repeat(256)),
            "'dedup_key' is too long (maximum is 255 characters)",
        ),
        (
            "/payload/summary",
            json!(" "),
            "'payload.summary' is missing or blank",
        ),
        (
            "/payload/summary",
            json!("s".repeat(1025)),
            "'payload.summary' is too long (maximum is 1024 characters)",
        ),
        (
            "/payload/source",
            json!(""),
            "'payload.source' is missing or blank",
        ),
        (
            "/payload/source",
            json!(1),
            "'payload.source' is invalid (must be a string)",
        ),
        (
            "/payload/severity",
            json!(""),
            "'payload.severity' is missing or blank",
        ),
        (
            "/payload/severity",
            json!("page"),
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
        ),
        (
            "/payload/custom_details",
            json!("text"),
            "'payload.custom_details' is invalid (must be an object)",
        ),
        ("/links", json!({}), "'links' is invalid (must be an array)"),
        (
            "/links/0",
            json!("x"),
            "'links[0]' is invalid (must be an object)",
        ),
        (
            "/links/0/href",
            json!("/relative"),
            "'links[0].href' is invalid (must be a URL)",
        ),
        (
            "/client_url",
            json!(7),
            "'client_url' is invalid (must be a string)",
        ),
    ];
    for (pointer, value, expected) in cases {
        let mut event = trigger();
        *event.pointer_mut(pointer).unwrap() = value.clone();
        assert_eq!(errors(Endpoint::Alert, &event), [*expected], "{pointer}");
    }
}

#[test]
fn timestamps_and_images_are_checked() {
    for (stamp, good) in [
        (json!("2015-07-17T08:42:58.315+0000"), true),
        (json!("2015-07-17T08:42:58Z"), true),
        (json!("yesterday"), false),
        (json!(1_437_122_578), false),
    ] {
        let mut event = trigger();
        event["payload"]["timestamp"] = stamp.clone();
        assert_eq!(errors(Endpoint::Alert, &event).is_empty(), good, "{stamp}");
    }
    for (image, good) in [
        (
            json!({"src": "https://example.org/a.png", "href": "", "alt": ""}),
            true,
        ),
        (json!({"src": "http://example.org/a.png"}), false),
        (json!({"href": "https://example.org"}), false),
    ] {
        let mut event = trigger();
        event["images"] = json!([image]);
        assert_eq!(errors(Endpoint::Alert, &event).is_empty(), good, "{image}");
    }
}

#[test]
fn acknowledge_and_resolve_need_a_dedup_key_and_no_payload() {
    for word in ["acknowledge", "resolve"] {
        let event = json!({"routing_key": KEY, "event_action": word, "dedup_key": "a"});
        assert!(errors(Endpoint::Alert, &event).is_empty());
        let event = json!({"routing_key": KEY, "event_action": word});
        assert_eq!(
            errors(Endpoint::Alert, &event),
            ["'dedup_key' is missing or blank"]
        );
    }
    let mut event = trigger();
    event.as_object_mut().unwrap().remove("dedup_key");
    assert!(errors(Endpoint::Alert, &event).is_empty());
    event.as_object_mut().unwrap().remove("payload");
    assert_eq!(
        errors(Endpoint::Alert, &event),
        ["'payload' is missing or blank"]
    );
}

#[test]
fn all_errors_come_at_once() {
    assert_eq!(
        errors(Endpoint::Alert, &json!({})),
        [
            "'routing_key' cannot be blank",
            "'event_action' is missing or blank",
            "'payload' is missing or blank"
        ]
    );
}

#[test]
fn change_events_need_a_summary_only() {
    let event = json!({"routing_key": KEY, "payload": {"summary": "deployed"}});
    assert!(errors(Endpoint::Change, &event).is_empty());
    let event = json!({"routing_key": KEY, "payload": {"source": "ci"}});
    assert_eq!(
        errors(Endpoint::Change, &event),
        ["'payload.summary' is missing or blank"]
    );
}

#[test]
fn what_is_not_json_is_unrecognized_and_masked() {
    let body = format!("{{\"routing_key\": \"{KEY}\",");
    let judged = judge(Endpoint::Alert, body.as_bytes());
    assert_eq!(judged.refusal.unwrap().errors, ["JSON parse error"]);
    assert!(!judged.raw.to_string().contains(KEY));
    let judged = judge(Endpoint::Alert, b"[1]");
    assert_eq!(
        judged.refusal.unwrap().message,
        "Event object format is unrecognized"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic_and_the_key_never_stays(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = judge(Endpoint::Alert, &body);
        let mut event = trigger();
        event["payload"]["summary"] = json!(String::from_utf8_lossy(&body));
        event["payload"]["custom_details"]["note"] = json!(format!("x{KEY}y"));
        let judged = judge(Endpoint::Alert, event.to_string().as_bytes());
        prop_assert!(!judged.raw.to_string().contains(KEY));
    }
}
