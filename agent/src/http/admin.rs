//! The admin socket: drills, reload and status as JSON. Who may open the socket may do all of it;
//! its mode 0600 is the access control.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::{Reply, json};
use crate::config::Located;
use crate::drills;
use crate::reload::{Reloader, Trigger};
use crate::state::State;
use crate::tap::{self, TapError};

/// A request's body is a few short fields.
const LARGEST_BODY: usize = 64 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers one request.
pub async fn handle(
    state: Arc<State>,
    reloader: Arc<Reloader>,
    request: Request<Incoming>,
) -> Reply {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    match path.as_str() {
        "/drill" => match method {
            Method::GET | Method::HEAD => json(
                StatusCode::OK,
                &json!({ "drills": state.drills().active(Instant::now()) }),
            ),
            Method::POST => raise(&state, request).await,
            _ => not_allowed("GET, HEAD, POST"),
        },
        "/reload" => match method {
            Method::POST => reload(reloader).await,
            _ => not_allowed("POST"),
        },
        "/tap" => match method {
            Method::POST => tap(&state, request).await,
            _ => not_allowed("POST"),
        },
        "/status" => match method {
            Method::GET | Method::HEAD => json(StatusCode::OK, &status(&state)),
            _ => not_allowed("GET, HEAD"),
        },
        _ => match path.strip_prefix("/drill/") {
            Some(id) if method == Method::DELETE => clear(&state, id),
            Some(_) => not_allowed("DELETE"),
            None => failed(
                StatusCode::NOT_FOUND,
                &format!(
                    "there is no {path}; there are /drill, /drill/<id>, /reload, /status, /tap"
                ),
            ),
        },
    }
}

/// The body, or what to answer where there is none.
async fn body(request: Request<Incoming>) -> Result<Bytes, Box<Reply>> {
    let body = Limited::new(request.into_body(), LARGEST_BODY).collect();
    match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(Box::new(failed(
            StatusCode::BAD_REQUEST,
            &format!("cannot read the body: {error}"),
        ))),
        Err(_) => Err(Box::new(failed(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        ))),
    }
}

/// What somebody who looks has not seen yet.
async fn tap(state: &State, request: Request<Incoming>) -> Reply {
    let body = match body(request).await {
        Ok(body) => body,
        Err(reply) => return *reply,
    };
    let request: tap::Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let message =
                format!("the body is no tap: {error}; send {{\"id\": …, \"filter\": {{}}}}");
            return failed(StatusCode::BAD_REQUEST, &message);
        }
    };
    match state.logs.taps.next(request).await {
        Ok(events) => json(StatusCode::OK, &events),
        Err(error @ TapError::TooMany) => failed(StatusCode::TOO_MANY_REQUESTS, &error.to_string()),
        Err(error @ TapError::Bad(_)) => failed(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn raise(state: &State, request: Request<Incoming>) -> Reply {
    let body = match body(request).await {
        Ok(body) => body,
        Err(reply) => return *reply,
    };
    let request: drills::Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let message = format!(
                "the body is not a drill: {error}; send {{\"id\": …, \"severity\": \
                 \"critical\"|\"warning\"|\"info\", \"team\": …, \"ttlSeconds\": …}}"
            );
            return failed(StatusCode::BAD_REQUEST, &message);
        }
    };
    match state.drills().raise(request, Instant::now()) {
        Ok(active) => {
            tracing::info!(
                drill = %active.id,
                severity = active.severity.as_str(),
                team = active.team.as_deref().unwrap_or(""),
                seconds = active.remaining_seconds,
                "drill raised"
            );
            json(StatusCode::OK, &json!({ "ok": true, "drill": active }))
        }
        Err(error @ drills::DrillError::TooMany) => {
            failed(StatusCode::TOO_MANY_REQUESTS, &error.to_string())
        }
        Err(error) => failed(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn clear(state: &State, id: &str) -> Reply {
    if state.drills().clear(id, Instant::now()) {
        tracing::info!(drill = id, "drill cleared");
        json(StatusCode::OK, &json!({ "ok": true }))
    } else {
        failed(
            StatusCode::NOT_FOUND,
            &format!(
                "there is no drill \"{id}\"; it may have ended by itself, GET /drill lists them"
            ),
        )
    }
}

async fn reload(reloader: Arc<Reloader>) -> Reply {
    match reloader.reload(Trigger::Admin).await {
        Ok(changed) => json(StatusCode::OK, &json!({ "ok": true, "changed": changed })),
        Err(error) => {
            let problems: Vec<Located> = error.problems();
            json(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({ "ok": false, "error": error.to_string(), "problems": problems }),
            )
        }
    }
}

fn status(state: &State) -> Value {
    let in_force = state.in_force.load();
    let last_scrape = state.last_scrape.load();
    let collectors: Vec<Value> = last_scrape
        .iter()
        .flat_map(|outcomes| outcomes.iter())
        .map(|outcome| {
            json!({
                "collector": outcome.collector,
                "ok": outcome.error.is_none(),
                "seconds": outcome.took.as_secs_f64(),
                "noData": outcome.no_data,
                "error": outcome.error,
            })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptimeSeconds": state.started.elapsed().as_secs(),
        "node": state.facts,
        "listen": in_force.config.listen,
        "config": {
            "file": state.file,
            "hash": in_force.hash,
            "lastReload": state.last_reload.load().as_deref(),
        },
        "ready": last_scrape.is_some(),
        "collectors": collectors,
        "applications": in_force.config.applications.keys().collect::<Vec<_>>(),
        "drills": state.drills().active(Instant::now()),
    })
}

fn failed(status: StatusCode, error: &str) -> Reply {
    json(status, &json!({ "ok": false, "error": error }))
}

fn not_allowed(allowed: &'static str) -> Reply {
    let mut reply = failed(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("possible here: {allowed}"),
    );
    reply
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}
