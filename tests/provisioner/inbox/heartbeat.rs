//! The dead man's switch over HTTP.

use super::*;

fn beat(status: &str) -> Value {
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status,
        "receiver": "heartbeat", "groupLabels": {}, "commonLabels": {"alertname": "Watchdog"},
        "commonAnnotations": {}, "externalURL": "http://127.0.0.1:7074",
        "alerts": [{
            "status": status, "labels": {"alertname": "Watchdog"}, "annotations": {},
            "startsAt": "2026-11-23T09:14:10.1Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "", "fingerprint": "a",
        }],
    })
}

#[tokio::test]
async fn beats_are_counted_not_kept_and_survive_a_restart() {
    let inbox = Inbox::open().await;
    for _ in 0..20 {
        assert_eq!(
            inbox
                .post("/heartbeat/watchdog", &beat("firing"))
                .await
                .status(),
            200
        );
    }
    assert!(inbox.all().await.is_empty());
    let inbox = inbox.again().await;
    assert_eq!(
        inbox
            .post("/heartbeat/watchdog", &beat("resolved"))
            .await
            .status(),
        200
    );
    let client = inbox::Client::new(&inbox.url()).unwrap();
    let [only] = client.heartbeats().await.unwrap().try_into().unwrap();
    assert_eq!((only.name.as_str(), only.count), ("watchdog", 20));
    assert_eq!(only.alertname.as_deref(), Some("Watchdog"));
    assert_eq!(only.status, inbox::Status::Resolved);
    assert!(only.last_seen.is_some() && only.interval_ms.is_some());
    let metrics = inbox.text("/metrics").await;
    assert!(
        metrics.contains("kai_inbox_heartbeats_total{name=\"watchdog\"} 20\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("kai_inbox_heartbeat_firing{name=\"watchdog\"} 0\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn other_shapes_are_refused_and_kept_with_the_reason() {
    let inbox = Inbox::open().await;
    for (path, body, status) in [
        ("/heartbeat/watchdog", json!({"ping": true}), 400),
        (
            "/heartbeat/watchdog",
            with(beat("firing"), "/version", json!("5")),
            400,
        ),
        (
            "/heartbeat/watchdog",
            with(beat("firing"), "/alerts", json!([])),
            400,
        ),
        ("/heartbeat/a%20b", beat("firing"), 404),
    ] {
        assert_eq!(inbox.post(path, &body).await.status(), status, "{path}");
    }
    assert_eq!(inbox.all().await.len(), 4);
    let (_, answer) = inbox.get("/api/heartbeats").await;
    assert_eq!(answer["heartbeats"], json!([]));
}
