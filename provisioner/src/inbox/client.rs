//! Asking an inbox, for `drill`, `verify` and `inbox --follow`.

use std::time::{Duration, Instant};

use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::InboxError;
use super::filter::Filter;
use super::heartbeat::Heartbeat;
use super::message::Message;
use crate::http;

/// Longest time that one long poll is held by the inbox.
const POLL: Duration = Duration::from_secs(10);
/// What a healthy inbox needs at most, beyond the time it is asked to wait.
const ANSWER: Duration = Duration::from_secs(10);
/// Between tries while an inbox does not answer.
const RETRY: Duration = Duration::from_millis(500);
/// The page size of `list`.
const PAGE: usize = 1000;

/// One answer of `/api/messages`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Page {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// Where to go on.
    pub last_id: u64,
    /// There are more already.
    pub more: bool,
}

impl Page {
    /// What to ask after next. An inbox whose ids began anew has nothing that was seen before.
    pub fn next(&self, after: u64) -> u64 {
        if self.last_id < after {
            0
        } else {
            self.last_id
        }
    }
}

/// A connection to one inbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    base: Url,
    http: reqwest::Client,
}

impl Client {
    /// `url` is the address of its page, `http://127.0.0.1:7071`.
    pub fn new(url: &str) -> Result<Self, InboxError> {
        let bad = || InboxError::Address(url.to_owned());
        let mut base = Url::parse(url).map_err(|_| bad())?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(bad());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self {
            base,
            http: http::client(POLL + ANSWER),
        })
    }

    /// The id of the newest message: what arrives later has a higher one.
    pub async fn last_id(&self) -> Result<u64, InboxError> {
        let page: Page = self
            .get("api/messages", &[("limit", "1".to_owned())])
            .await?;
        Ok(page.last_id)
    }

    /// The messages after `after` that match, oldest first; waits for the first of them for `wait`.
    pub async fn after(
        &self,
        filter: &Filter,
        after: u64,
        wait: Duration,
    ) -> Result<Page, InboxError> {
        let mut query = filter.pairs();
        query.push(("after", after.to_string()));
        query.push(("limit", PAGE.to_string()));
        query.push(("wait", wait.min(POLL).as_secs().to_string()));
        self.get("api/messages", &query).await
    }

    /// One whole message, with what was sent.
    pub async fn message(&self, id: u64) -> Result<Message, InboxError> {
        self.get(&format!("api/messages/{id}"), &[]).await
    }

    pub async fn heartbeats(&self) -> Result<Vec<Heartbeat>, InboxError> {
        #[derive(Deserialize)]
        struct Answer {
            heartbeats: Vec<Heartbeat>,
        }
        let answer: Answer = self.get("api/heartbeats", &[]).await?;
        Ok(answer.heartbeats)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, InboxError> {
        let mut url = self
            .base
            .join(path)
            .map_err(|_| InboxError::Address(path.to_owned()))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let failed = |source: reqwest::Error| InboxError::Unreachable {
            url: self.base.to_string(),
            reason: cause(&source),
        };
        let response = self.http.get(url).send().await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            let text = response.text().await.unwrap_or_default();
            let reason = text.chars().filter(|c| !c.is_control()).take(300).collect();
            return Err(InboxError::Answered {
                url: self.base.to_string(),
                status,
                reason,
            });
        }
        let body = response.bytes().await.map_err(failed)?;
        serde_json::from_slice(&body).map_err(|error| InboxError::NotAnInbox {
            url: self.base.to_string(),
            reason: error.to_string(),
        })
    }
}

/// The innermost words: `connection refused` rather than `error sending request`.
pub(super) fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

/// Every message that matches, oldest first, without the raw content.
pub async fn list(url: &str, filter: &Filter) -> Result<Vec<Message>, InboxError> {
    let client = Client::new(url)?;
    let mut messages = Vec::new();
    let mut after = 0;
    loop {
        let page = client.after(filter, after, Duration::ZERO).await?;
        messages.extend(page.messages);
        if !page.more {
            return Ok(messages);
        }
        after = page.last_id;
    }
}

/// The first message after `after_id` that matches, or `None` when `deadline` passes. An inbox that
/// does not answer for a while (a restart) is asked again until then; only what asking again cannot
/// mend is an error, and so is an inbox that never answered.
pub async fn wait_for(
    url: &str,
    filter: &Filter,
    after_id: u64,
    deadline: Instant,
) -> Result<Option<Message>, InboxError> {
    let client = Client::new(url)?;
    let mut after = after_id;
    let mut answered = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Whole seconds are waited at the inbox, the rest here.
        match client.after(filter, after, left).await {
            Ok(page) => {
                answered = true;
                let next = page.next(after);
                if let Some(first) = page.messages.into_iter().next() {
                    return Ok(Some(first));
                }
                after = next;
                if left.is_zero() {
                    return Ok(None);
                }
                if left < Duration::from_secs(1) {
                    tokio::time::sleep(left.min(RETRY / 2)).await;
                }
            }
            Err(InboxError::Unreachable { .. }) if !left.is_zero() => {
                tokio::time::sleep(RETRY.min(left)).await;
            }
            Err(InboxError::Unreachable { .. }) if answered => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}
