//! PagerDuty Events v2 over HTTP: what it answers to what it accepts and to what it refuses.

use super::*;

const ENQUEUE: &str = "/v2/enqueue";

#[tokio::test]
async fn an_event_is_accepted_kept_and_its_key_is_not() {
    let inbox = Inbox::open().await;
    let response = inbox.post(ENQUEUE, &trigger()).await;
    assert_eq!(response.status(), 202);
    let answer: Value = response.json().await.unwrap();
    let expected = json!({"status": "success", "message": "Event processed", "dedup_key": "9f1c"});
    assert_eq!(answer, expected);
    let [message] = inbox.all().await.try_into().unwrap();
    assert_eq!(message.endpoint, "/v2/enqueue …d1a6");
    assert_eq!(
        message.facts.alertname.as_deref(),
        Some("PaymentFailureRateHigh")
    );
    assert_eq!(message.facts.team.as_deref(), Some("payment"));
    assert_eq!(message.raw, Value::Null, "listings are small");
    let whole = inbox.whole(message.id).await;
    assert_eq!(whole.raw["payload"], trigger()["payload"]);
    assert_eq!(whole.raw["routing_key"], "…d1a6");
}

#[tokio::test]
async fn every_rule_is_enforced_over_http() {
    let inbox = Inbox::open().await;
    let without = |key: &str| {
        let mut event = trigger();
        event.as_object_mut().unwrap().remove(key);
        event
    };
    let resolve = json!({"routing_key": KEY, "event_action": "resolve"});
    let cases = [
        (without("routing_key"), "'routing_key' cannot be blank"),
        (
            with(trigger(), "/routing_key", json!("short")),
            "Length of 'routing_key' is incorrect (should be 32 characters)",
        ),
        (
            without("event_action"),
            "'event_action' is missing or blank",
        ),
        (without("payload"), "'payload' is missing or blank"),
        (
            with(trigger(), "/event_action", json!("page")),
            "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or \
             'resolve')",
        ),
        (
            with(trigger(), "/payload/severity", json!("high")),
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', \
             'error' or 'info')",
        ),
        (
            with(trigger(), "/payload/source", json!("")),
            "'payload.source' is missing or blank",
        ),
        (
            with(trigger(), "/payload/summary", json!("x".repeat(1025))),
            "'payload.summary' is too long (maximum is 1024 characters)",
        ),
        (
            with(trigger(), "/dedup_key", json!("x".repeat(256))),
            "'dedup_key' is too long (maximum is 255 characters)",
        ),
        (resolve, "'dedup_key' is missing or blank"),
        (
            with(trigger(), "/links", json!([{}])),
            "'links[0].href' is missing or blank",
        ),
        (
            with(trigger(), "/images", json!([{}])),
            "'images[0].src' is missing or blank",
        ),
    ];
    for (event, error) in &cases {
        let response = inbox.post(ENQUEUE, event).await;
        assert_eq!(response.status(), 400, "{error}");
        let answer: Value = response.json().await.unwrap();
        let expected = json!({
            "status": "invalid event", "message": "Event object is invalid", "errors": [error],
        });
        assert_eq!(answer, expected);
    }
    let response = inbox.post_text(ENQUEUE, "application/json", "{oops").await;
    assert_eq!(response.status(), 400);
    assert_eq!(
        response.json::<Value>().await.unwrap()["errors"],
        json!(["JSON parse error"])
    );
    let kept = inbox.all().await;
    assert_eq!(kept.len(), cases.len() + 1, "what is refused is kept too");
    assert!(kept.iter().all(|message| !message.verdict.accepted()));
    assert_eq!(kept[0].verdict.reasons(), [cases[0].1]);
    let get = inbox
        .http
        .get(format!("{}{ENQUEUE}", inbox.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(get.status(), 405);
}

#[tokio::test]
async fn the_size_limit_is_the_vendors() {
    let inbox = Inbox::open().await;
    let filled = |bytes: usize| {
        let event = with(trigger(), "/payload/custom_details", json!({"fill": ""}));
        let missing = bytes - event.to_string().len();
        with(
            event,
            "/payload/custom_details/fill",
            json!("x".repeat(missing)),
        )
    };
    assert_eq!(inbox.post(ENQUEUE, &filled(512_000)).await.status(), 202);
    assert_eq!(inbox.post(ENQUEUE, &filled(512_001)).await.status(), 413);
    let huge = vec![b'x'; 3 << 20];
    assert_eq!(
        inbox
            .post_text(ENQUEUE, "application/json", huge)
            .await
            .status(),
        413
    );
}

#[tokio::test]
async fn one_incident_from_trigger_to_resolve() {
    let inbox = Inbox::open().await;
    for action in ["trigger", "trigger", "acknowledge", "resolve", "trigger"] {
        let event = with(trigger(), "/event_action", json!(action));
        assert_eq!(inbox.post(ENQUEUE, &event).await.status(), 202);
    }
    let other = with(trigger(), "/routing_key", json!("a".repeat(32)));
    assert_eq!(inbox.post(ENQUEUE, &other).await.status(), 202);
    let incidents: Vec<_> = inbox
        .all()
        .await
        .iter()
        .map(|message| message.incident)
        .collect();
    let expected = [Some(1), Some(1), Some(1), Some(1), Some(5), Some(6)];
    assert_eq!(
        incidents, expected,
        "another integration has its own incidents"
    );
}

#[tokio::test]
async fn a_trigger_without_a_key_gets_one() {
    let inbox = Inbox::open().await;
    let mut event = trigger();
    event.as_object_mut().unwrap().remove("dedup_key");
    let answer: Value = inbox.post(ENQUEUE, &event).await.json().await.unwrap();
    let key = answer["dedup_key"].as_str().unwrap().to_owned();
    assert_eq!(key.len(), 32);
    let resolve = json!({"routing_key": KEY, "event_action": "resolve", "dedup_key": key});
    assert_eq!(inbox.post(ENQUEUE, &resolve).await.status(), 202);
    let all = inbox.all().await;
    assert_eq!(all[1].incident, Some(all[0].id));
}

#[tokio::test]
async fn change_events_have_their_own_path_and_answer() {
    let inbox = Inbox::open().await;
    let change = json!({"routing_key": KEY, "payload": {"summary": "deployed 1.2"}});
    let response = inbox.post("/v2/change/enqueue", &change).await;
    assert_eq!(response.status(), 202);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(
        answer,
        json!({"status": "success", "message": "Change event processed"})
    );
    assert_eq!(
        inbox
            .post("/v2/change/enqueue", &json!({"routing_key": KEY}))
            .await
            .status(),
        400
    );
    let all = inbox.all().await;
    assert_eq!(all[0].kind, inbox::Kind::Change);
    assert_eq!(all[0].incident, None);
}

#[tokio::test]
async fn too_many_a_minute_are_throttled_per_integration() {
    let inbox = Inbox::with(|options| options.vendors.pagerduty_per_minute = Some(2)).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(inbox.post(ENQUEUE, &trigger()).await.status().as_u16());
    }
    assert_eq!(codes, [202, 202, 429]);
    let other = with(trigger(), "/routing_key", json!("a".repeat(32)));
    assert_eq!(inbox.post(ENQUEUE, &other).await.status(), 202);
}
