//! Slack's refusals one by one, and what is read out of a message.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const TOKEN: &str = "XXXXXXXXXXXXXXXXXXXXabcd";

fn hook() -> Hook {
    Hook::parse(&format!("T0000LOCAL/BPAYMENT/{TOKEN}")).unwrap()
}

fn answer(message: &Value) -> Option<SlackError> {
    judge(
        &hook(),
        Some("application/json"),
        message.to_string().as_bytes(),
    )
    .refusal
}

#[test]
fn a_hook_has_three_parts_and_shows_no_token() {
    assert_eq!(
        hook().endpoint_text(),
        "/services/T0000LOCAL/BPAYMENT/…abcd"
    );
    assert_eq!(Hook::parse("T1/B1"), Err(SlackError::NoService));
    assert_eq!(Hook::parse("T1/B1/x/y"), Err(SlackError::NoService));
    assert_eq!(Hook::parse("X1/B1/tok"), Err(SlackError::InvalidToken));
    assert_eq!(Hook::parse("T1/B1/t k"), Err(SlackError::InvalidToken));
    assert!(Hook::parse("T0000LOCAL/Bseat-map/abc").is_ok());
}

#[test]
fn slacks_refusals() {
    let attachment = json!({"text": "x"});
    for (message, expected) in [
        (json!({"text": "hello"}), None),
        (json!({"text": ""}), Some(SlackError::NoText)),
        (json!({}), Some(SlackError::NoText)),
        (json!({"attachments": []}), Some(SlackError::NoText)),
        (
            json!({"attachments": [{"color": "good"}]}),
            Some(SlackError::NoText),
        ),
        (json!({"attachments": [{"fallback": "x"}]}), None),
        (json!({"attachments": vec![attachment.clone(); 100]}), None),
        (
            json!({"attachments": vec![attachment; 101]}),
            Some(SlackError::TooManyAttachments),
        ),
        (
            json!({"attachments": "x"}),
            Some(SlackError::InvalidAttachments),
        ),
        (
            json!({"attachments": ["x"]}),
            Some(SlackError::InvalidAttachments),
        ),
        (json!({"blocks": [{"type": "divider"}]}), None),
        (json!({"blocks": [{}]}), Some(SlackError::InvalidBlocks)),
        (json!({"blocks": {}}), Some(SlackError::InvalidBlocksFormat)),
        (
            json!({"blocks": vec![json!({"type": "divider"}); 51]}),
            Some(SlackError::InvalidBlocks),
        ),
        (json!({"text": 1}), Some(SlackError::InvalidPayload)),
        (json!(["text"]), Some(SlackError::InvalidPayload)),
    ] {
        assert_eq!(answer(&message), expected, "{message}");
    }
}

#[test]
fn forms_carry_the_message_in_payload() {
    let form = Some("application/x-www-form-urlencoded; charset=utf-8");
    let judged = judge(&hook(), form, b"payload=%7B%22text%22%3A%22a+b%22%7D");
    assert_eq!(judged.refusal, None);
    assert_eq!(judged.facts.summary.as_deref(), Some("a b"));
    // What `curl -d '{"text":…}'` sends without a content type: Slack does not guess either.
    let judged = judge(&hook(), form, br#"{"text":"hello"}"#);
    assert_eq!(judged.refusal, Some(SlackError::InvalidPayload));
}

#[test]
fn fields_are_facts_and_the_token_is_gone() {
    let message = json!({"channel": "#ops", "attachments": [{
        "title": "[FIRING:1] SeatHoldExpiryHigh", "color": "warning", "fallback": "x",
        "text": format!("sent by {TOKEN}"),
        "fields": [
            {"title": "alertname", "value": "SeatHoldExpiryHigh", "short": true},
            {"title": "team", "value": "booking"},
            {"title": "drill_id", "value": "d-7"},
        ],
    }]});
    let judged = judge(
        &hook(),
        Some("application/json"),
        message.to_string().as_bytes(),
    );
    assert_eq!(judged.refusal, None);
    let facts = judged.facts;
    assert_eq!(facts.alertname.as_deref(), Some("SeatHoldExpiryHigh"));
    assert_eq!(facts.team.as_deref(), Some("booking"));
    assert_eq!(facts.severity.as_deref(), Some("warning"));
    assert_eq!(facts.drill_id.as_deref(), Some("d-7"));
    assert_eq!(facts.status, Some(Status::Firing));
    assert!(!judged.raw.to_string().contains(TOKEN));
}

#[test]
fn without_fields_the_team_comes_from_the_local_hook() {
    let judged = judge(&hook(), None, br#"{"text":"hello"}"#);
    assert_eq!(judged.facts.team.as_deref(), Some("payment"));
}

proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200), path in "\\PC{0,60}") {
        let _ = judge(&hook(), None, &body);
        let _ = judge(&hook(), Some("application/x-www-form-urlencoded"), &body);
        let _ = Hook::parse(&path);
    }
}
