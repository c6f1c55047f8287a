//! The inbox as its senders and its readers meet it: over real sockets on free ports.

// Always true here; it tells clippy that helpers are test code too.
#![cfg(test)]

mod agreement;
mod follow;
mod heartbeat;
mod pagerduty;
mod reading;
mod slack;
mod smtp;
mod store;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kai_observe::inbox::{self, Filter, Message, Running, ServeOptions};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An integration key of the right form.
const KEY: &str = "e93facc04764012d7bfb002500d5d1a6";
/// The secret part of a Slack webhook.
const TOKEN: &str = "XXXXXXXXXXXXXXXXXXXXabcd";

fn free() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A running inbox and the folder that it keeps.
struct Inbox {
    dir: TempDir,
    running: Running,
    http: Client,
}

impl Inbox {
    async fn open() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ServeOptions)) -> Self {
        Self::start(tempfile::tempdir().unwrap(), change).await
    }

    async fn start(dir: TempDir, change: impl FnOnce(&mut ServeOptions)) -> Self {
        let mut options = ServeOptions::new(free(), free(), dir.path().to_owned());
        change(&mut options);
        let running = inbox::start(options).await.unwrap();
        let http = kai_observe::http::client(std::time::Duration::from_secs(20));
        Self { dir, running, http }
    }

    /// Stops and starts again on the same folder.
    async fn again(self) -> Self {
        let dir = self.stop().await;
        Self::start(dir, |_| {}).await
    }

    async fn stop(self) -> TempDir {
        self.running.stop().await.unwrap();
        self.dir
    }

    fn url(&self) -> String {
        self.running.url()
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        self.http
            .post(format!("{}{path}", self.url()))
            .json(body)
            .send()
            .await
            .unwrap()
    }

    async fn post_text(&self, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Response {
        let url = format!("{}{path}", self.url());
        self.http
            .post(url)
            .header("content-type", kind)
            .body(body)
            .send()
            .await
            .unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self
            .http
            .get(format!("{}{path}", self.url()))
            .send()
            .await
            .unwrap();
        let status = response.status();
        (status, response.json().await.unwrap())
    }

    async fn text(&self, path: &str) -> String {
        self.http
            .get(format!("{}{path}", self.url()))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    async fn all(&self) -> Vec<Message> {
        inbox::list(&self.url(), &Filter::default()).await.unwrap()
    }

    async fn whole(&self, id: u64) -> Message {
        inbox::Client::new(&self.url())
            .unwrap()
            .message(id)
            .await
            .unwrap()
    }
}

/// Every byte below a folder.
fn everything(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
        } else {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

fn trigger() -> Value {
    json!({
        "routing_key": KEY, "event_action": "trigger", "dedup_key": "9f1c",
        "client": "Alertmanager", "client_url": "http://127.0.0.1:7074",
        "payload": {
            "summary": "61% of payments declined", "source": "booking", "severity": "critical",
            "component": "payment", "group": "local", "class": "business",
            "custom_details": {
                "alertname": "PaymentFailureRateHigh", "team": "payment", "severity": "critical",
                "environment": "local", "num_firing": "1", "status": "firing",
            },
        },
        "links": [], "images": [],
    })
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    *body.pointer_mut(pointer).unwrap() = value;
    body
}
