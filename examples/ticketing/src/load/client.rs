//! The customers' HTTP client: JSON in and out, a client span per request, the trace handed on.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::HeaderMap;
use reqwest::Method;
use serde_json::Value;
use tracing::{Instrument, field::Empty, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::telemetry;

/// Longer than the longest latency that can be switched on.
const TIMEOUT: Duration = Duration::from_secs(35);

#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// The service could not be reached, or did not answer in time.
#[derive(Debug)]
pub struct Unreachable;

impl Client {
    pub fn new(address: SocketAddr) -> reqwest::Result<Self> {
        // Never through a proxy: it is this very process.
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self {
            http,
            base: format!("http://{address}"),
        })
    }

    pub async fn get(&self, path: &str) -> Result<(u16, Value), Unreachable> {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), Unreachable> {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), Unreachable> {
        let template = path.split('?').next().unwrap_or(path);
        let span = info_span!(
            "call",
            otel.name = format!("{method} {template}"),
            otel.kind = "client",
            http.request.method = method.as_str(),
            url.path = template,
            http.response.status_code = Empty,
        );
        let mut headers = HeaderMap::new();
        telemetry::inject(&span.context(), &mut headers);
        async {
            let mut request = self
                .http
                .request(method, format!("{}{path}", self.base))
                .headers(headers);
            if let Some(body) = body {
                request = request.json(body);
            }
            let reply = request.send().await.map_err(|_| Unreachable)?;
            let code = reply.status().as_u16();
            span.record("http.response.status_code", code);
            let body = reply.bytes().await.map_err(|_| Unreachable)?;
            Ok((code, serde_json::from_slice(&body).unwrap_or_default()))
        }
        .instrument(span.clone())
        .await
    }
}
