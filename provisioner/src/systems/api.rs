//! Asking a server's HTTP API: one way to build an address, one way to read an answer, errors that
//! say who was asked and what came back.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url};
use serde::de::DeserializeOwned;

use crate::http;

/// A question to a server that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{base} does not answer: {reason}")]
    NoAnswer { base: String, reason: String },
    #[error("{base}{path} answered {status}: {body}")]
    Refused {
        base: String,
        path: String,
        status: u16,
        body: String,
    },
    #[error("{base}{path} answered something else than expected: {reason}")]
    Unexpected {
        base: String,
        path: String,
        reason: String,
    },
}

/// A server of this machine.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
}

impl Api {
    pub fn local(port: u16) -> Self {
        Self {
            client: http::client(Duration::from_secs(10)),
            base: format!("http://127.0.0.1:{port}"),
        }
    }

    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<RequestBuilder, ApiError> {
        let mut url = Url::parse(&format!("{}{path}", self.base))
            .map_err(|error| self.unexpected(path, error.to_string()))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.client.get(url))
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base))
    }

    /// Sends it; the body when the answer is a success.
    pub async fn body(&self, path: &str, request: RequestBuilder) -> Result<Vec<u8>, ApiError> {
        let reply = request
            .send()
            .await
            .map_err(|error| self.no_answer(&error))?;
        let status = reply.status();
        let body = reply
            .bytes()
            .await
            .map_err(|error| self.no_answer(&error))?;
        if status.is_success() {
            return Ok(body.to_vec());
        }
        Err(ApiError::Refused {
            base: self.base.clone(),
            path: path.to_owned(),
            status: status.as_u16(),
            body: String::from_utf8_lossy(&body).chars().take(300).collect(),
        })
    }

    /// Sends it and reads the answer as JSON; an empty one is `null`.
    pub async fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        request: RequestBuilder,
    ) -> Result<T, ApiError> {
        let body = self.body(path, request).await?;
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|error| self.unexpected(path, error.to_string()))
    }

    fn unexpected(&self, path: &str, reason: String) -> ApiError {
        ApiError::Unexpected {
            base: self.base.clone(),
            path: path.to_owned(),
            reason,
        }
    }

    fn no_answer(&self, error: &reqwest::Error) -> ApiError {
        let reason = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "nothing listens there"
        } else {
            "the connection broke"
        };
        ApiError::NoAnswer {
            base: self.base.clone(),
            reason: reason.to_owned(),
        }
    }
}
