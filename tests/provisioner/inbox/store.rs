//! What arrived stays: restarts, half-written tails, limits; and tokens do not.

use super::*;
use std::io::Write as _;

fn hook() -> String {
    format!("/services/T0000LOCAL/BPAYMENT/{TOKEN}")
}

#[tokio::test]
async fn ok_is_said_only_for_what_is_on_the_disk() {
    let inbox = Inbox::open().await;
    let response = inbox
        .post(&hook(), &json!({"text": "written before the answer"}))
        .await;
    assert_eq!(response.status(), 200);
    let found = everything(inbox.dir.path());
    let written =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("written before the answer");
    assert!(found.iter().any(|(_, bytes)| written(bytes)));
}

#[tokio::test]
async fn ids_go_on_after_a_restart_and_a_torn_tail_is_cut() {
    let inbox = Inbox::open().await;
    for text in ["one", "two"] {
        inbox.post(&hook(), &json!({ "text": text })).await;
    }
    let dir = inbox.stop().await;
    let segment = everything(dir.path())
        .into_iter()
        .map(|(path, _)| path)
        .find(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .unwrap();
    // As a kill -9 in the middle of a write leaves it.
    let mut file = std::fs::File::options().append(true).open(segment).unwrap();
    let torn = "{\"id\":3,\"received\":\"2026-11-23T09:1";
    file.write_all(torn.as_bytes()).unwrap();
    drop(file);
    let inbox = Inbox::start(dir, |_| {}).await;
    assert!(
        inbox
            .text("/metrics")
            .await
            .contains(&format!("kai_inbox_torn_bytes {}\n", torn.len()))
    );
    inbox.post(&hook(), &json!({"text": "three"})).await;
    let inbox = inbox.again().await;
    let all = inbox.all().await;
    let found: Vec<_> = all
        .iter()
        .map(|m| (m.id, m.facts.summary.as_deref().unwrap()))
        .collect();
    assert_eq!(found, [(1, "one"), (2, "two"), (3, "three")]);
    assert_eq!(inbox.whole(3).await.raw, json!({"text": "three"}));
}

#[tokio::test]
async fn the_oldest_are_evicted_and_counted() {
    let inbox = Inbox::with(|options| options.retention.max_bytes = 10_000).await;
    for number in 0..100 {
        inbox
            .post(&hook(), &json!({ "text": format!("number {number}") }))
            .await;
    }
    let all = inbox.all().await;
    let metrics = inbox.text("/metrics").await;
    let value = |name: &str| -> u64 {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(value("kai_inbox_evicted_total") + all.len() as u64, 100);
    assert_eq!(value("kai_inbox_store_messages"), all.len() as u64);
    assert!(value("kai_inbox_store_bytes") <= 10_000);
    assert!(value("kai_inbox_evicted_total") > 0 && all.len() > 10);
    assert_eq!(all.last().unwrap().id, 100);
    let (status, answer) = inbox.get("/api/messages/1").await;
    assert_eq!((status.as_u16(), answer["error"].is_string()), (404, true));
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_push_the_messages_out() {
    let inbox = Inbox::open().await;
    inbox.post(&hook(), &json!({"text": "the real one"})).await;
    for _ in 0..700 {
        inbox.post(&hook(), &json!({})).await;
    }
    let refused = Filter {
        accepted: Some(false),
        ..Filter::default()
    };
    let kept = inbox::list(&inbox.url(), &refused).await.unwrap().len();
    assert!((500..700).contains(&kept), "{kept}");
    let metrics = inbox.text("/metrics").await;
    let total = "kai_inbox_messages_total{channel=\"slack\",verdict=\"refused\"} 700\n";
    assert!(metrics.contains(total), "{metrics}");
    assert!(metrics.contains(&format!(
        "kai_inbox_refused_not_kept_total {}\n",
        700 - kept
    )));
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_at_once_get_one_record_each() {
    let inbox = Inbox::open().await;
    let mut senders = tokio::task::JoinSet::new();
    for number in 0..200 {
        let url = format!("{}{}", inbox.url(), hook());
        let body = json!({ "text": format!("number {number}") });
        senders.spawn(inbox.http.post(url).json(&body).send());
    }
    while let Some(sent) = senders.join_next().await {
        assert_eq!(sent.unwrap().unwrap().status(), 200);
    }
    let all = inbox.all().await;
    assert_eq!(
        all.iter().map(|m| m.id).collect::<Vec<_>>(),
        (1..=200).collect::<Vec<_>>()
    );
    let mut texts: Vec<_> = all
        .iter()
        .map(|m| m.facts.summary.clone().unwrap())
        .collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 200);
}

#[tokio::test]
async fn one_folder_has_one_inbox_and_a_taken_port_is_named() {
    let inbox = Inbox::open().await;
    let dir = inbox.dir.path().to_owned();
    let second = inbox::start(ServeOptions::new(free(), free(), dir.clone())).await;
    let error = second.unwrap_err().to_string();
    assert!(
        error.contains("another inbox") && error.contains(dir.to_str().unwrap()),
        "{error}"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let options = ServeOptions::new(inbox.running.http, free(), elsewhere.path().to_owned());
    let error = inbox::start(options).await.unwrap_err().to_string();
    assert!(
        error.contains("listening for HTTP") && error.contains(&inbox.running.http.to_string())
    );
}

#[tokio::test]
async fn no_token_reaches_the_disk_the_api_or_the_metrics() {
    let inbox = Inbox::open().await;
    let leaky = with(
        trigger(),
        "/payload/summary",
        json!(format!("sent with {KEY}")),
    );
    inbox.post("/v2/enqueue", &leaky).await;
    inbox
        .post(
            "/v2/enqueue",
            &with(leaky.clone(), "/event_action", json!("x")),
        )
        .await;
    let broken = format!("{{\"routing_key\": \"{KEY}\"");
    inbox
        .post_text("/v2/enqueue", "application/json", broken)
        .await;
    inbox
        .post(&hook(), &json!({"text": format!("to {TOKEN}")}))
        .await;
    inbox
        .post(&format!("/services/T1/{TOKEN}"), &json!({"text": "x"}))
        .await;
    inbox
        .post(&format!("{}/extra", hook()), &json!({"text": "x"}))
        .await;
    inbox
        .post(&format!("/heartbeat/{TOKEN}%20"), &json!({}))
        .await;
    let seen = format!(
        "{}{}",
        inbox.text("/api/messages?raw=true").await,
        inbox.text("/metrics").await
    );
    assert_eq!(inbox.all().await.len(), 7);
    let dir = inbox.stop().await;
    let files = everything(dir.path());
    let disk: Vec<u8> = files.into_iter().flat_map(|(_, bytes)| bytes).collect();
    for text in [seen, String::from_utf8_lossy(&disk).into_owned()] {
        assert!(!text.contains(KEY) && !text.contains(TOKEN), "{text}");
        assert!(text.contains("…d1a6") && text.contains("…abcd"));
    }
}
