//! The client and the stream against a real inbox and a Prometheus that says what it is told.

use super::*;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use kai_observe::inbox::{Ended, FollowOptions, InboxError, Output, follow_to, wait_for};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[tokio::test]
async fn wait_for_finds_what_comes_and_gives_up_in_time() {
    let inbox = Inbox::open().await;
    let url = inbox.url();
    let filter = Filter {
        team: Some("payment".to_owned()),
        ..Filter::default()
    };
    let none = wait_for(&url, &filter, 0, Instant::now()).await.unwrap();
    assert_eq!(none, None);
    let waiting = tokio::spawn({
        let (url, filter) = (url.clone(), filter.clone());
        async move { wait_for(&url, &filter, 0, soon()).await }
    });
    inbox.post("/v2/enqueue", &trigger()).await;
    let found = waiting.await.unwrap().unwrap().unwrap();
    assert_eq!(found.id, 1);
    let past = wait_for(
        &url,
        &filter,
        found.id,
        Instant::now() + Duration::from_millis(200),
    )
    .await;
    assert_eq!(past.unwrap(), None);
}

#[tokio::test]
async fn an_inbox_that_is_not_there_is_an_error_with_its_address() {
    let inbox = Inbox::open().await;
    let url = inbox.url();
    inbox.stop().await;
    let error = inbox::list(&url, &Filter::default()).await.unwrap_err();
    assert!(matches!(error, InboxError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&url), "{error}");
    let deadline = Instant::now() + Duration::from_millis(50);
    assert!(
        wait_for(&url, &Filter::default(), 0, deadline)
            .await
            .is_err()
    );
    assert!(matches!(
        inbox::list("ftp://x", &Filter::default()).await,
        Err(InboxError::Address(_))
    ));
}

/// Answers the three questions of the stream with what the test puts in.
#[derive(Clone, Default)]
struct Prometheus(Arc<Mutex<(Value, Value)>>);

impl Prometheus {
    async fn start(&self) -> String {
        let alerts = |State(told): State<Self>| async move {
            json!({"status": "success", "data": {"alerts": told.0.lock().unwrap().0}}).to_string()
        };
        let query = |State(told): State<Self>| async move {
            json!({"status": "success", "data": {"resultType": "vector", "result": told.0.lock().unwrap().1}})
                .to_string()
        };
        let rules = || async {
            json!({"data": {"groups": [{"name": "g", "rules": [
                {"name": "PaymentFailureRateHigh", "duration": 30}]}]}})
            .to_string()
        };
        let router = Router::new()
            .route("/api/v1/alerts", get(alerts))
            .route("/api/v1/query", get(query))
            .route("/api/v1/rules", get(rules))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind(free()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn tell(&self, state: &str, active: &str, fault: f64) {
        let alert = json!([{
            "labels": {"alertname": "PaymentFailureRateHigh", "team": "payment"},
            "annotations": {}, "state": state, "activeAt": active, "value": "6.1e-01",
        }]);
        let fault =
            json!([{"metric": {"fault": "payment_decline"}, "value": [0.0, fault.to_string()]}]);
        *self.0.lock().unwrap() = (alert, fault);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_tells_the_way_from_fault_to_resolve() {
    let inbox = Inbox::open().await;
    inbox
        .post(
            "/v2/enqueue",
            &with(trigger(), "/dedup_key", json!("before")),
        )
        .await;
    let prometheus = Prometheus::default();
    prometheus.tell("pending", "2026-01-01T00:00:10Z", 1_767_225_602.0);
    let options = FollowOptions {
        prometheus: Some(prometheus.start().await),
        until_resolved: true,
        timeout: Some(Duration::from_mins(1)),
        ..FollowOptions::default()
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    let url = inbox.url();
    let stream = tokio::spawn(async move {
        let mut out = Pipe(sender);
        follow_to(&url, options, &mut out).await
    });
    let mut text = String::new();
    // Each step is awaited in the stream before the next: no clock decides.
    let mut until = |word: &str| {
        while !text.contains(word) {
            text.push_str(&receiver.recv_timeout(Duration::from_secs(30)).unwrap());
        }
    };
    tokio::task::block_in_place(|| until("pending"));
    prometheus.tell("firing", "2026-01-01T00:00:10Z", 1_767_225_602.0);
    tokio::task::block_in_place(|| until("firing"));
    inbox.post("/v2/enqueue", &trigger()).await;
    tokio::task::block_in_place(|| until("RECEIVED"));
    inbox
        .post(
            "/v2/enqueue",
            &with(trigger(), "/event_action", json!("resolve")),
        )
        .await;
    let followed = stream.await.unwrap().unwrap();
    text.extend(receiver.try_iter());
    assert_eq!(
        (followed.ended, followed.messages, followed.open),
        (Ended::Resolved, 2, 0)
    );
    let expected = [
        "after message 1",
        "00:00:02  fault     payment_decline switched on",
        "00:00:10  pending   PaymentFailureRateHigh  team=payment  value 0.61,",
        "held for 30s",
        "firing    PaymentFailureRateHigh  team=payment",
        "Prometheus → Alertmanager",
        "RECEIVED  PagerDuty Events v2  202  dedup_key=9f1c",
        "after the fault",
        "after active)",
        "RESOLVED  PagerDuty Events v2, same dedup_key; open for ",
        "PaymentFailureRateHigh · payment",
    ];
    let mut rest = text.as_str();
    for part in expected {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("{part} in order in\n{text}"));
        rest = &rest[at..];
    }
    assert!(
        !text.contains("before") && text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

struct Pipe(std::sync::mpsc::Sender<String>);

impl std::io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.0
            .send(text)
            .map_err(|_| std::io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn scripts_get_json_a_count_and_a_timeout() {
    let inbox = Inbox::open().await;
    inbox.post("/v2/enqueue", &trigger()).await;
    inbox.post("/v2/enqueue", &json!({})).await;
    let mut out = Vec::new();
    let options = FollowOptions {
        output: Output::Json,
        after: Some(0),
        count: Some(2),
        timeout: Some(Duration::from_secs(30)),
        ..FollowOptions::default()
    };
    let followed = follow_to(&inbox.url(), options, &mut out).await.unwrap();
    assert_eq!(
        (followed.ended, followed.messages, followed.open),
        (Ended::Counted, 2, 1)
    );
    let events: Vec<Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let words: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["waiting", "received", "refused"]);
    assert_eq!(events[1]["message"]["dedup_key"], "9f1c");

    let options = FollowOptions {
        timeout: Some(Duration::from_millis(50)),
        ..FollowOptions::default()
    };
    let followed = follow_to(&inbox.url(), options, &mut Vec::new())
        .await
        .unwrap();
    assert_eq!((followed.ended, followed.messages), (Ended::TimedOut, 0));
}

#[tokio::test]
async fn a_closed_pipe_and_a_missing_inbox_end_the_stream() {
    let inbox = Inbox::open().await;
    let (sender, receiver) = std::sync::mpsc::channel();
    drop(receiver);
    let followed = follow_to(&inbox.url(), FollowOptions::default(), &mut Pipe(sender)).await;
    assert_eq!(followed.unwrap().ended, Ended::Stopped);
    let url = inbox.url();
    inbox.stop().await;
    let error = follow_to(&url, FollowOptions::default(), &mut Vec::new())
        .await
        .unwrap_err();
    assert!(matches!(error, InboxError::Unreachable { .. }));
}
