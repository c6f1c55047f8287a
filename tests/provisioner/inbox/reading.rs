//! The API, its long poll, and who may read.

use super::*;

async fn fill(inbox: &Inbox) {
    for (team, severity) in [
        ("payment", "critical"),
        ("booking", "warning"),
        ("payment", "info"),
    ] {
        let event = with(trigger(), "/payload/custom_details/team", json!(team));
        let event = with(event, "/payload/custom_details/severity", json!(severity));
        let event = with(event, "/dedup_key", json!(format!("{team}-{severity}")));
        assert_eq!(inbox.post("/v2/enqueue", &event).await.status(), 202);
    }
}

fn ids(answer: &Value) -> Vec<u64> {
    let messages = answer["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["id"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn questions_are_answered_exactly() {
    let inbox = Inbox::open().await;
    fill(&inbox).await;
    for (query, expected, last, more) in [
        ("", &[1, 2, 3][..], 3, false),
        ("?limit=2", &[2, 3], 3, true),
        ("?before=2", &[1], 3, false),
        ("?before=3&limit=1", &[2], 3, true),
        ("?after=0&limit=2", &[1, 2], 2, true),
        ("?after=2", &[3], 3, false),
        ("?after=3", &[], 3, false),
        ("?after=99&wait=30", &[], 3, false),
        ("?team=payment", &[1, 3], 3, false),
        (
            "?team=payment&severity=critical&channel=pagerduty&verdict=accepted",
            &[1],
            3,
            false,
        ),
        ("?after=0&team=payment&limit=1", &[1], 1, true),
        ("?alertname=Nothing", &[], 3, false),
        ("?dedup_key=booking-warning", &[2], 3, false),
    ] {
        let (status, answer) = inbox.get(&format!("/api/messages{query}")).await;
        assert_eq!(status, 200, "{query}");
        assert_eq!(ids(&answer), expected, "{query}");
        assert_eq!(
            (&answer["last_id"], &answer["more"]),
            (&json!(last), &json!(more)),
            "{query}"
        );
    }
    for query in [
        "?limit=x",
        "?colour=red",
        "?channel=fax",
        "?wait=3",
        "?after=1&before=2",
    ] {
        let (status, answer) = inbox.get(&format!("/api/messages{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(answer["error"].as_str().unwrap().len() > 10);
    }
    assert_eq!(inbox.get("/api/messages/x").await.0, 400);
    assert_eq!(inbox.get("/nothing").await.0, 404);
    let (_, answer) = inbox.get("/api/messages?raw=true&limit=1").await;
    assert_eq!(answer["messages"][0]["raw"]["client"], "Alertmanager");
}

#[tokio::test]
async fn a_long_poll_ends_with_the_message_that_it_waits_for() {
    let inbox = Inbox::open().await;
    let url = format!("{}/api/messages?after=0&team=booking&wait=60", inbox.url());
    let waiting = tokio::spawn(
        inbox
            .http
            .get(url)
            .timeout(std::time::Duration::from_secs(50))
            .send(),
    );
    // The others pass by; only what matches wakes the waiting one.
    fill(&inbox).await;
    let answer: Value = waiting.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(ids(&answer), [2]);
    let (_, nothing) = inbox.get("/api/messages?after=3&wait=1").await;
    assert_eq!((ids(&nothing), &nothing["last_id"]), (vec![], &json!(3)));
}

#[tokio::test]
async fn the_page_is_whole_and_asks_nobody_else() {
    let inbox = Inbox::open().await;
    let response = inbox
        .http
        .get(format!("{}/", inbox.url()))
        .send()
        .await
        .unwrap();
    let headers = response.headers().clone();
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let page = response.text().await.unwrap();
    for asset in ["style.css", "app.js"] {
        assert!(page.contains(asset));
        assert!(inbox.text(&format!("/{asset}")).await.len() > 1000);
    }
    for text in [
        page,
        inbox.text("/app.js").await,
        inbox.text("/style.css").await,
    ] {
        let outside = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("src=\"http") && !outside.contains("url(http"));
        assert!(
            !outside.contains("innerHTML"),
            "what a sender wrote is never markup"
        );
    }
    assert_eq!(inbox.text("/healthz").await, "ok\n");
    assert_eq!(inbox.text("/-/ready").await, "ok\n");
}

#[tokio::test]
async fn only_names_of_this_machine_may_read() {
    let inbox = Inbox::with(|options| options.allowed_hosts = vec!["inbox.lab".to_owned()]).await;
    let ask = async |path: &str, host: &str| {
        let url = format!("{}{path}", inbox.url());
        inbox
            .http
            .get(url)
            .header("host", host)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    for path in ["/", "/api/messages", "/metrics", "/app.js"] {
        assert_eq!(ask(path, "evil.example").await, 421, "{path}");
        for host in ["localhost:7071", "127.0.0.1", "inbox.lab"] {
            assert_eq!(ask(path, host).await, 200, "{path} {host}");
        }
    }
    // Alertmanager may reach it by whatever name it has.
    let url = format!("{}/v2/enqueue", inbox.url());
    let sent = inbox
        .http
        .post(url)
        .header("host", "inbox:7071")
        .json(&trigger())
        .send()
        .await;
    assert_eq!(sent.unwrap().status(), 202);
}

#[tokio::test]
async fn metrics_count_by_channel_and_verdict() {
    let inbox = Inbox::open().await;
    fill(&inbox).await;
    inbox.post("/v2/enqueue", &json!({})).await;
    let metrics = inbox.text("/metrics").await;
    for line in [
        "kai_inbox_messages_total{channel=\"pagerduty\",verdict=\"accepted\"} 3",
        "kai_inbox_messages_total{channel=\"pagerduty\",verdict=\"refused\"} 1",
        "kai_inbox_messages_total{channel=\"email\",verdict=\"accepted\"} 0",
        "kai_inbox_last_id 4",
        "kai_inbox_store_messages 4",
        "kai_inbox_evicted_total 0",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name}");
    }
}
