//! The main job: payments are declined, the alert that belongs to it arrives, only that, and it
//! resolves.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Stack, request, wait_for};

#[test]
fn declined_payments_reach_the_payment_team_and_resolve() {
    let stack = Stack::new();
    stack.run(&["provision"]).expect(0);
    let faults = format!("http://127.0.0.1:{}/faults", stack.service_port());
    let fault = json!({ "payment_decline": 0.8, "for": "10m" });
    let (status, body) = request(Method::POST, &faults, Some(fault));
    assert!((200..300).contains(&status), "{status} {body}");

    let of_alert = || {
        let all = stack.inbox("/api/messages?verdict=accepted&limit=1000");
        let all = all["messages"].as_array().cloned().unwrap();
        // Probes of `verify` carry a drill id.
        all.into_iter()
            .filter(|message| message["drill_id"].is_null())
            .collect::<Vec<_>>()
    };
    let received = wait_for(
        "the page for declined payments",
        Duration::from_mins(3),
        || {
            of_alert()
                .into_iter()
                .find(|message| message["channel"] == "pagerduty")
        },
    );
    assert_eq!(
        received["alertname"], "PaymentFailureRateHigh",
        "{received:#}"
    );
    assert_eq!(received["team"], "payment", "{received:#}");
    assert_eq!(received["severity"], "critical", "{received:#}");

    let (status, _) = request(Method::DELETE, &faults, None);
    assert!((200..300).contains(&status));
    let resolved = wait_for("the resolved notice", Duration::from_mins(8), || {
        of_alert()
            .into_iter()
            .find(|message| message["channel"] == "pagerduty" && message["kind"] == "resolve")
    });
    assert_eq!(resolved["dedup_key"], received["dedup_key"]);
    for message in of_alert() {
        assert_eq!(
            message["alertname"], "PaymentFailureRateHigh",
            "{message:#}"
        );
    }
}
