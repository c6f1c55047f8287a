//! Grafana and Kibana as far as their APIs go: every request is judged by the schema that the vendor
//! publishes, and refused where the vendor refuses. What passes here is called "not run against the
//! real one".

// Always true here; it tells clippy that helpers are test code too.
#![cfg(test)]

pub mod elasticsearch;
pub mod grafana;
pub mod judge;
pub mod kibana;
pub mod program;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};

/// One request, taken apart.
pub struct Asked<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

impl Asked<'_> {
    pub fn json(&self) -> Result<Value, Answer> {
        serde_json::from_slice(self.body).map_err(|_| Answer::error(400, "bad request data"))
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    }
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            body: body.to_string().into_bytes(),
        }
    }
    pub fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }
    pub fn error(status: u16, message: &str) -> Self {
        Self::json(status, &json!({ "message": message }))
    }
}

pub trait StandIn: Send + 'static {
    fn answer(&mut self, asked: &Asked<'_>) -> Answer;
}

/// Ends with the value.
pub struct Running<S> {
    pub address: SocketAddr,
    pub state: Arc<Mutex<S>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl<S: StandIn> Running<S> {
    pub fn start(state: S) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), state)
    }

    pub fn at(address: SocketAddr, state: S) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let state = Arc::new(Mutex::new(state));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(address))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let app = axum::Router::new()
            .fallback(handle::<S>)
            .with_state(Arc::clone(&state));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            state,
            runtime: Some(runtime),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at or changes what the server holds.
    pub fn with<T>(&self, work: impl FnOnce(&mut S) -> T) -> T {
        work(&mut self.state.lock().unwrap())
    }
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn handle<S: StandIn>(
    State(state): State<Arc<Mutex<S>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let asked = Asked {
        method: method.as_str(),
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        headers: &headers,
        body: &body,
    };
    let mut state = state
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let answer = state.answer(&asked);
    drop(state);
    Response::builder()
        .status(answer.status)
        .header("content-type", "application/json")
        .body(Body::from(answer.body))
        .unwrap()
}
