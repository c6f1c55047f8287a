//! A payment decline from the fault to its end, and what goes wrong on the way.

use super::*;
use serde_json::json;

const T0: i64 = 1_763_889_240_000;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn alert(firing: bool, active: i64) -> Alert {
    Alert {
        labels: labels(&[("alertname", "PaymentFailureRateHigh"), ("team", "payment")]),
        firing,
        active_at: Instant(T0 + active),
        value: "6.1e-01".to_owned(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as Prometheus answers it")]
fn look(alerts: &[Alert], fault: Option<i64>) -> Result<Look, String> {
    let faults = fault.map(|at| Fault {
        labels: labels(&[("fault", "payment_decline")]),
        started: Instant(T0 + at),
    });
    let holds = BTreeMap::from([(("PaymentFailureRateHigh".to_owned(), String::new()), 30.0)]);
    Ok(Look {
        alerts: alerts.to_vec(),
        faults: faults.into_iter().collect(),
        holds,
    })
}

fn message(id: u64, at: i64, kind: &str, incident: u64) -> Message {
    serde_json::from_value(json!({
        "id": id, "received": Instant(T0 + at).rfc3339(), "channel": "pagerduty",
        "endpoint": "/v2/enqueue …d1a6", "kind": kind, "incident": incident,
        "verdict": {"result": "accepted", "status": 202},
        "alertname": "PaymentFailureRateHigh", "team": "payment", "dedup_key": "9f1c",
    }))
    .unwrap()
}

fn now(at: i64) -> Instant {
    Instant(T0 + at)
}

fn words(events: &[Event]) -> Vec<(i64, &'static str)> {
    let word = |what: &Happened| match what {
        Happened::Fault { .. } => "fault",
        Happened::FaultOff { .. } => "fault off",
        Happened::Pending { .. } => "pending",
        Happened::Firing { .. } => "firing",
        Happened::Inactive { .. } => "inactive",
        Happened::Received { .. } => "received",
        Happened::Repeated { .. } => "repeated",
        Happened::Resolved { .. } => "resolved",
        Happened::Refused { .. } => "refused",
        Happened::PrometheusLost { .. } => "prometheus lost",
        Happened::PrometheusBack => "prometheus back",
        _ => "other",
    };
    events
        .iter()
        .map(|event| (event.at.0 - T0, word(&event.what)))
        .collect()
}

#[test]
fn the_whole_way_of_an_alert() {
    let mut timeline = Timeline::default();
    assert!(timeline.prometheus(look(&[], None), now(0)).is_empty());
    let events = timeline.prometheus(look(&[], Some(2_000)), now(3_000));
    assert_eq!(words(&events), [(2_000, "fault")]);
    let events = timeline.prometheus(look(&[alert(false, 10_000)], Some(2_000)), now(11_000));
    assert_eq!(words(&events), [(10_000, "pending")]);
    assert!(
        timeline
            .prometheus(look(&[alert(false, 10_000)], Some(2_000)), now(12_000))
            .is_empty()
    );
    let events = timeline.prometheus(look(&[alert(true, 10_000)], Some(2_000)), now(41_000));
    assert_eq!(words(&events), [(41_000, "firing")]);
    let events = timeline.message(&message(7, 45_000, "trigger", 7));
    let Happened::Received {
        since_fault_ms,
        since_active_ms,
        ..
    } = events[0].what
    else {
        panic!("{events:?}")
    };
    assert_eq!(
        (since_fault_ms, since_active_ms),
        (Some(43_000), Some(35_000))
    );
    assert!(!timeline.all_resolved());
    let events = timeline.message(&message(8, 60_000, "trigger", 7));
    assert_eq!(words(&events), [(60_000, "repeated")]);
    let events = timeline.prometheus(look(&[], None), now(300_000));
    assert_eq!(
        words(&events),
        [(300_000, "fault off"), (300_000, "inactive")]
    );
    let events = timeline.message(&message(9, 355_000, "resolve", 7));
    let Happened::Resolved { open_ms, .. } = events[0].what else {
        panic!("{events:?}")
    };
    assert_eq!(open_ms, Some(310_000));
    assert!(timeline.all_resolved());
    assert_eq!(
        timeline.ended(Ended::Resolved),
        Followed {
            ended: Ended::Resolved,
            messages: 3,
            open: 0
        }
    );
}

#[test]
fn what_fires_already_is_said_once_and_as_such() {
    let mut timeline = Timeline::default();
    let events = timeline.prometheus(look(&[alert(true, 0)], None), now(5_000));
    assert_eq!(words(&events), [(5_000, "firing")]);
    assert!(matches!(
        events[0].what,
        Happened::Firing { already: true, .. }
    ));
    assert!(
        timeline
            .prometheus(look(&[alert(true, 0)], None), now(6_000))
            .is_empty()
    );
    // Pending and firing passed between two looks: both are told, in order.
    let events = timeline.prometheus(look(&[alert(true, 8_000)], None), now(9_000));
    assert_eq!(words(&events), [(8_000, "pending"), (9_000, "firing")]);
}

#[test]
fn prometheus_away_is_said_once_and_invents_nothing() {
    let mut timeline = Timeline::default();
    timeline.prometheus(look(&[alert(true, 0)], None), now(0));
    let lost = || Err("connection refused".to_owned());
    assert_eq!(
        words(&timeline.prometheus(lost(), now(1))),
        [(1, "prometheus lost")]
    );
    assert!(timeline.prometheus(lost(), now(2)).is_empty());
    let events = timeline.prometheus(look(&[alert(true, 0)], None), now(3));
    assert_eq!(words(&events), [(3, "prometheus back")]);
}

#[test]
fn refused_messages_open_nothing() {
    let mut timeline = Timeline::default();
    let mut refused = message(1, 0, "trigger", 1);
    refused.verdict = crate::inbox::Verdict::Refused {
        status: 400,
        reasons: vec!["no".to_owned()],
    };
    assert_eq!(words(&timeline.message(&refused)), [(0, "refused")]);
    assert!(!timeline.all_resolved());
    assert_eq!(timeline.messages(), 1);
}

#[test]
fn a_resolve_of_something_older_counts_as_resolved() {
    let mut timeline = Timeline::default();
    let events = timeline.message(&message(9, 0, "resolve", 3));
    assert!(matches!(
        events[0].what,
        Happened::Resolved { open_ms: None, .. }
    ));
    assert!(timeline.all_resolved());
}

#[test]
fn the_fault_is_the_latest_before_of_that_service_and_drills_have_none() {
    let mut timeline = Timeline::default();
    let fault = |service: &str, at: i64| Fault {
        labels: labels(&[("fault", "errors"), ("service", service)]),
        started: Instant(T0 + at),
    };
    let faults = vec![
        fault("payment", 1_000),
        fault("search", 5_000),
        fault("hold", 99_000),
    ];
    timeline.prometheus(
        Ok(Look {
            faults,
            ..Look::default()
        }),
        now(6_000),
    );
    let mut received = message(1, 10_000, "trigger", 1);
    received.facts.service = Some("payment".to_owned());
    let since =
        |timeline: &mut Timeline, message: &Message| match &timeline.message(message)[0].what {
            Happened::Received { since_fault_ms, .. } => *since_fault_ms,
            other => panic!("{other:?}"),
        };
    assert_eq!(since(&mut timeline, &received), Some(9_000));
    received.facts.service = Some("booking".to_owned());
    assert_eq!(since(&mut timeline, &received), Some(5_000));
    received.facts.drill_id = Some("d-1".to_owned());
    assert_eq!(since(&mut timeline, &received), None);
}
