//! What the inbox says has arrived, as far as proofs and drills ask it.

use std::time::Duration;

use serde_json::Value;

use crate::http;
use crate::render::local;

/// One notice that reached a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub id: u64,
    /// RFC 3339, as the inbox wrote it.
    pub received: String,
    pub channel: String,
    pub team: String,
    pub resolved: bool,
}

#[derive(Debug, Clone)]
pub struct Inbox {
    client: reqwest::Client,
    port: u16,
}

impl Inbox {
    pub fn new(port: u16) -> Self {
        Self { client: http::client(Duration::from_secs(10)), port }
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let url = local(self.port, path);
        let reply = self
            .client
            .get(&url)
            .send()
            .await
            .map_err(|_| format!("the inbox does not answer on {}", local(self.port, "/")))?;
        if !reply.status().is_success() {
            return Err(format!("{url} answered {}", reply.status()));
        }
        reply.json().await.map_err(|error| format!("{url} answered something else: {error}"))
    }

    /// Accepted notices that carry this drill id, oldest first.
    pub async fn of_drill(&self, drill_id: &str) -> Result<Vec<Receipt>, String> {
        let path = format!("/api/messages?verdict=accepted&limit=1000&drill_id={drill_id}");
        let body = self.get(&path).await?;
        let messages = body["messages"].as_array().cloned().unwrap_or_default();
        Ok(messages.iter().filter_map(receipt).collect())
    }

    /// When the heartbeat was last heard, and how often.
    pub async fn heartbeat(&self, name: &str) -> Result<Option<(String, u64)>, String> {
        let body = self.get("/api/heartbeats").await?;
        let list = body["heartbeats"].as_array().cloned().unwrap_or_default();
        Ok(list.iter().find(|one| one["name"] == name).and_then(|one| {
            Some((one["last_seen"].as_str()?.to_owned(), one["count"].as_u64().unwrap_or(0)))
        }))
    }
}

fn receipt(message: &Value) -> Option<Receipt> {
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    Some(Receipt {
        id: message["id"].as_u64()?,
        received: text("received"),
        channel: text("channel"),
        team: text("team"),
        resolved: text("status") == "resolved" || text("kind") == "resolve",
    })
}
