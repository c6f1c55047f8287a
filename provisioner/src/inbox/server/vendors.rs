//! The paths that stand in for the vendors: read the body, let the vendor's judge decide, make the
//! record durable, answer in the vendor's words.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::LengthLimitError;
use rand::Rng as _;
use serde_json::{Value, json};

use super::state::{App, lock};
use crate::inbox::facts::Facts;
use crate::inbox::heartbeat;
use crate::inbox::message::{Channel, Draft, Kind, Verdict};
use crate::inbox::pagerduty::{self, Endpoint};
use crate::inbox::redact::Token;
use crate::inbox::slack::{self, Hook, SlackError};
use crate::inbox::time;

/// Read to the end up to here, so that a sender of too much gets its answer and not a reset.
const READ_AT_MOST: usize = 8 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// What is kept of a body that was refused.
const KEEP_OF_REFUSED: usize = 64 * 1024;

enum Read {
    Whole(Bytes),
    TooLarge,
    /// The sender stopped in the middle.
    Broken,
}

async fn read(body: Body, max: usize) -> Read {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, READ_AT_MOST)).await {
        Ok(Ok(bytes)) if bytes.len() > max => Read::TooLarge,
        Ok(Ok(bytes)) => Read::Whole(bytes),
        Ok(Err(error)) => {
            let large = error.into_inner().is::<LengthLimitError>();
            if large { Read::TooLarge } else { Read::Broken }
        }
        Err(_) => Read::Broken,
    }
}

fn broken() -> Response {
    (
        StatusCode::REQUEST_TIMEOUT,
        "the request body did not arrive\n",
    )
        .into_response()
}

pub async fn pagerduty_alert(State(app): State<Arc<App>>, body: Body) -> Response {
    pagerduty(&app, Endpoint::Alert, body).await
}

pub async fn pagerduty_change(State(app): State<Arc<App>>, body: Body) -> Response {
    pagerduty(&app, Endpoint::Change, body).await
}

async fn pagerduty(app: &App, endpoint: Endpoint, body: Body) -> Response {
    let body = match read(body, pagerduty::MAX_BODY).await {
        Read::Whole(body) => body,
        Read::Broken => return broken(),
        Read::TooLarge => {
            let reason = format!("larger than {} bytes", pagerduty::MAX_BODY);
            let kind = if endpoint == Endpoint::Alert {
                Kind::Trigger
            } else {
                Kind::Change
            };
            let draft = refused(Channel::Pagerduty, endpoint.path(), kind, 413, vec![reason]);
            return json_answer(app, draft, pagerduty::too_large()).await;
        }
    };
    let mut judged = pagerduty::judge(endpoint, &body);
    let place = pagerduty::endpoint_text(endpoint, judged.routing_key.as_ref());
    let mut draft = Draft {
        channel: Channel::Pagerduty,
        endpoint: place,
        kind: judged.kind,
        verdict: Verdict::Accepted { status: 202 },
        facts: std::mem::take(&mut judged.facts),
        mail: None,
        raw: judged.raw,
        truncated: false,
    };
    if let Some(refusal) = judged.refusal {
        let reply = refusal.body();
        draft.verdict = Verdict::Refused {
            status: 400,
            reasons: refusal.errors,
        };
        return json_answer(app, draft, reply).await;
    }
    let key = judged
        .routing_key
        .as_ref()
        .map(Token::expose)
        .unwrap_or_default();
    let taken = lock(&app.pagerduty_rate).take(key, Instant::now());
    if taken.is_err() {
        let reasons = vec!["more events a minute than this integration key may send".to_owned()];
        draft.verdict = Verdict::Refused {
            status: 429,
            reasons,
        };
        return json_answer(app, draft, pagerduty::throttled()).await;
    }
    if draft.kind == Kind::Trigger && draft.facts.dedup_key.is_none() {
        draft.facts.dedup_key = Some(generated_key());
    }
    let reply = pagerduty::success(endpoint, draft.facts.dedup_key.as_deref());
    json_answer(app, draft, reply).await
}

/// PagerDuty gives an event without a key one of its own: 32 hexadecimal digits.
fn generated_key() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

async fn json_answer(app: &App, draft: Draft, reply: Value) -> Response {
    let status = status(&draft.verdict);
    match app.keep(draft).await {
        Ok(_) => (status, Json(reply)).into_response(),
        // A sender retries a 5xx; nothing is lost by a full disk.
        Err(error) => {
            let reply = json!({
                "status": "internal error",
                "message": "The event could not be kept; try again later",
                "errors": [error.to_string()],
            });
            (StatusCode::INTERNAL_SERVER_ERROR, Json(reply)).into_response()
        }
    }
}

pub async fn slack(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let hook = match Hook::parse(&path) {
        Ok(hook) => hook,
        // The path may hold a token where none is expected: nothing of it is kept.
        Err(error) => return slack_refusal(&app, "/services/…", error).await,
    };
    let place = hook.endpoint_text();
    if let Some(fault) = app.options.vendors.slack_faults.get(&hook.service) {
        return slack_refusal(&app, &place, *fault).await;
    }
    let body = match read(body, slack::MAX_BODY).await {
        Read::Whole(body) => body,
        Read::Broken => return broken(),
        Read::TooLarge => return slack_refusal(&app, &place, SlackError::TooLarge).await,
    };
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let judged = slack::judge(&hook, content_type, &body);
    let limited = lock(&app.slack_rate)
        .take(&hook.key(), Instant::now())
        .err();
    let refusal = judged.refusal.or(limited.map(|_| SlackError::RateLimited));
    let mut draft = Draft {
        channel: Channel::Slack,
        endpoint: place,
        kind: Kind::Message,
        verdict: Verdict::Accepted { status: 200 },
        facts: judged.facts,
        mail: None,
        raw: judged.raw,
        truncated: false,
    };
    if let Some(error) = refusal {
        let reasons = vec![error.word().to_owned()];
        draft.verdict = Verdict::Refused {
            status: error.status(),
            reasons,
        };
    }
    let mut response = slack_answer(&app, draft, refusal).await;
    if let Some(wait) = limited.filter(|_| refusal == Some(SlackError::RateLimited)) {
        let seconds = wait.as_secs().saturating_add(1);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

async fn slack_refusal(app: &App, place: &str, error: SlackError) -> Response {
    let reasons = vec![error.word().to_owned()];
    let draft = refused(
        Channel::Slack,
        place,
        Kind::Message,
        error.status(),
        reasons,
    );
    slack_answer(app, draft, Some(error)).await
}

async fn slack_answer(app: &App, draft: Draft, refusal: Option<SlackError>) -> Response {
    let status = status(&draft.verdict);
    match app.keep(draft).await {
        Ok(_) => (status, refusal.map_or("ok", SlackError::word)).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error").into_response(),
    }
}

pub async fn heartbeat(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Body,
) -> Response {
    let judged = if heartbeat::valid_name(&name) {
        match read(body, heartbeat::MAX_BODY).await {
            Read::Whole(body) => heartbeat::judge(&body).map_err(|reasons| (400, reasons, body)),
            Read::Broken => return broken(),
            Read::TooLarge => {
                let reason = format!("larger than {} bytes", heartbeat::MAX_BODY);
                Err((413, vec![reason], Bytes::new()))
            }
        }
    } else {
        let reason = "the name may have 64 letters, digits, dots, dashes and underscores";
        Err((404, vec![reason.to_owned()], Bytes::new()))
    };
    let (status, reasons, body) = match judged {
        Ok(beat) => {
            let now = time::Instant::now();
            if app.change_heartbeats(|beats| beats.beat(&name, beat, now)) {
                return Json(json!({ "status": "ok" })).into_response();
            }
            (
                507,
                vec!["too many heartbeats have been named".to_owned()],
                Bytes::new(),
            )
        }
        Err(refusal) => refusal,
    };
    let place = if heartbeat::valid_name(&name) {
        name.as_str()
    } else {
        "…"
    };
    let place = format!("/heartbeat/{place}");
    let reply = json!({ "status": "refused", "errors": reasons });
    let mut draft = refused(Channel::Heartbeat, &place, Kind::Message, status, reasons);
    draft.facts = heartbeat::facts_of(&body);
    (draft.raw, draft.truncated) = body_text(&body);
    json_answer(&app, draft, reply).await
}

fn refused(
    channel: Channel,
    endpoint: &str,
    kind: Kind,
    status: u16,
    reasons: Vec<String>,
) -> Draft {
    Draft {
        channel,
        endpoint: endpoint.to_owned(),
        kind,
        verdict: Verdict::Refused { status, reasons },
        facts: Facts::default(),
        mail: None,
        raw: Value::Null,
        truncated: false,
    }
}

/// A refused body for people to look at.
fn body_text(body: &[u8]) -> (Value, bool) {
    if body.is_empty() {
        return (Value::Null, false);
    }
    let kept = &body[..body.len().min(KEEP_OF_REFUSED)];
    let value = serde_json::from_slice(kept)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(kept).into_owned()));
    (value, kept.len() < body.len())
}

fn status(verdict: &Verdict) -> StatusCode {
    StatusCode::from_u16(verdict.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
