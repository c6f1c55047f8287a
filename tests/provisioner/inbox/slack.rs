//! Slack incoming webhooks over HTTP: `ok`, or the word that Slack would say.

use super::*;
use kai_observe::inbox::slack::SlackError;

fn hook() -> String {
    format!("/services/T0000LOCAL/BPAYMENT/{TOKEN}")
}

async fn said(response: Response) -> (u16, String) {
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_message_of_alertmanager_is_ok() {
    let inbox = Inbox::open().await;
    let message = json!({
        "channel": "#payment", "username": "Alertmanager",
        "attachments": [{
            "title": "[FIRING:1] SeatHoldExpiryHigh", "title_link": "http://127.0.0.1:7074",
            "text": "holds expire", "fallback": "holds expire", "callback_id": "", "footer": "",
            "color": "warning", "mrkdwn_in": ["fallback", "pretext", "text"],
            "fields": [
                {"title": "alertname", "value": "SeatHoldExpiryHigh", "short": true},
                {"title": "team", "value": "booking", "short": true},
                {"title": "severity", "value": "warning", "short": true},
                {"title": "drill_id", "value": "", "short": true},
            ],
        }],
    });
    let response = inbox.post(&hook(), &message).await;
    assert_eq!(said(response).await, (200, "ok".to_owned()));
    let [kept] = inbox.all().await.try_into().unwrap();
    assert_eq!(kept.endpoint, "/services/T0000LOCAL/BPAYMENT/…abcd");
    assert_eq!(kept.facts.alertname.as_deref(), Some("SeatHoldExpiryHigh"));
    assert_eq!(kept.facts.team.as_deref(), Some("booking"));
    assert_eq!(kept.incident, Some(kept.id));
    let resolved = with(
        message,
        "/attachments/0/title",
        json!("[RESOLVED] SeatHoldExpiryHigh"),
    );
    inbox.post(&hook(), &resolved).await;
    let all = inbox.all().await;
    assert_eq!((all[1].incident, all[1].closes()), (Some(kept.id), true));
}

#[tokio::test]
async fn refusals_have_slacks_status_and_word() {
    let inbox = Inbox::with(|options| {
        let faults = &mut options.vendors.slack_faults;
        faults.insert("BGONE".to_owned(), SlackError::NoService);
        faults.insert("BARCHIVED".to_owned(), SlackError::ChannelIsArchived);
        faults.insert("BMISSING".to_owned(), SlackError::ChannelNotFound);
        faults.insert("BDENIED".to_owned(), SlackError::ActionProhibited);
    })
    .await;
    let good = json!({"text": "x"});
    let many = json!({"attachments": vec![json!({"text": "x"}); 101]});
    for (path, body, status, word) in [
        (hook(), json!({}), 400, "no_text"),
        (hook(), json!({"text": " "}), 400, "no_text"),
        (hook(), json!("text"), 400, "invalid_payload"),
        (hook(), json!({"text": {}}), 400, "invalid_payload"),
        (hook(), many, 400, "too_many_attachments"),
        (hook(), json!({"blocks": [1]}), 400, "invalid_blocks"),
        (
            "/services/T1/B1".to_owned(),
            good.clone(),
            404,
            "no_service",
        ),
        (
            "/services/x/y/z".to_owned(),
            good.clone(),
            403,
            "invalid_token",
        ),
        (
            format!("/services/T1/BGONE/{TOKEN}"),
            good.clone(),
            404,
            "no_service",
        ),
        (
            format!("/services/T1/BARCHIVED/{TOKEN}"),
            good.clone(),
            410,
            "channel_is_archived",
        ),
        (
            format!("/services/T1/BMISSING/{TOKEN}"),
            good.clone(),
            404,
            "channel_not_found",
        ),
        (
            format!("/services/T1/BDENIED/{TOKEN}"),
            good.clone(),
            403,
            "action_prohibited",
        ),
    ] {
        let response = inbox.post(&path, &body).await;
        assert_eq!(said(response).await, (status, word.to_owned()), "{path}");
    }
    let broken = inbox
        .post_text(&hook(), "application/json", "{\"text\":")
        .await;
    assert_eq!(said(broken).await, (400, "invalid_payload".to_owned()));
    let large = inbox
        .post(&hook(), &json!({"text": "x".repeat(2 << 20)}))
        .await;
    assert_eq!(large.status(), 413);
    assert!(
        inbox
            .all()
            .await
            .iter()
            .all(|message| !message.verdict.accepted())
    );
    let get = inbox
        .http
        .get(format!("{}{}", inbox.url(), hook()))
        .send()
        .await
        .unwrap();
    assert_eq!(get.status(), 405);
}

#[tokio::test]
async fn forms_are_taken_as_slack_takes_them() {
    let inbox = Inbox::open().await;
    let kind = "application/x-www-form-urlencoded";
    let form = "payload=%7B%22text%22%3A%22hello%22%7D";
    assert_eq!(
        said(inbox.post_text(&hook(), kind, form).await).await,
        (200, "ok".to_owned())
    );
    let bare = inbox.post_text(&hook(), kind, "{\"text\":\"hello\"}").await;
    assert_eq!(said(bare).await, (400, "invalid_payload".to_owned()));
}

#[tokio::test]
async fn too_many_are_told_when_to_come_back() {
    let inbox = Inbox::with(|options| options.vendors.slack_per_minute = Some(1)).await;
    let body = json!({"text": "x"});
    assert_eq!(inbox.post(&hook(), &body).await.status(), 200);
    let response = inbox.post(&hook(), &body).await;
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(said(response).await, (429, "rate_limited".to_owned()));
}
