//! Sends to the agent as any sender of OTLP would.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Subject, eventually};
use crate::http;
use crate::render::local;

/// Posts a body to the agent's receiver at `path` until it is taken, and says when that was.
pub async fn post(subject: &Subject<'_>, path: &str, body: &Value) -> Result<Instant, String> {
    let url = local(subject.stack.ports.otlp_http(), path);
    let client = http::client(Duration::from_secs(10));
    let sent = eventually(subject.patience, || async {
        let reply = client
            .post(&url)
            .json(body)
            .send()
            .await
            .map_err(|_| format!("{url} does not answer"))?;
        let status = reply.status();
        if status.is_success() {
            return Ok(Instant::now());
        }
        let why = reply.text().await.unwrap_or_default();
        Err(format!("{url} answered {status}: {why}"))
    });
    sent.await
}
