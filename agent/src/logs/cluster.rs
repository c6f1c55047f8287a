//! Elasticsearch over HTTP: several nodes of one cluster, one asked at a time, the next one when it
//! does not answer. Whether a failed request may have been carried out is part of the error,
//! because that decides what must be asked before it is repeated.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::AUTHORIZATION;
use kai_contract::agent_config::{Elasticsearch, HttpAuth};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};

pub mod abilities;
pub mod endpoints;
mod learn;
mod secret;

use abilities::Packing;
use endpoints::Endpoints;
pub use learn::{TASKS, pack};
pub(crate) use secret::{authorities, authorization};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than Elasticsearch itself waits for a shard (a minute), so that the answer is its own.
const BULK_TIMEOUT: Duration = Duration::from_secs(90);
const CONTROL_TIMEOUT: Duration = Duration::from_secs(20);
/// A node that could answer a question and is silent for so long is left for another one.
const SILENCE: Duration = Duration::from_secs(5);
/// Idle connections are given up before most load balancers do, whose reset would look like an
/// unanswered request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const LARGEST_ANSWER: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was not carried out.
    #[error("{0}")]
    NotSent(String),
    /// It may have been.
    #[error("{0}")]
    Unknown(String),
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
    /// It says that it is Elasticsearch's.
    pub product: bool,
    /// Whose it is.
    pub endpoint: usize,
}

impl Answer {
    /// The answer's beginning, as part of a message.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// A body of JSON lines.
pub struct Bulk {
    pub body: Bytes,
    /// `X-Opaque-Id`: Elasticsearch lists it with the tasks that it is executing.
    pub name: String,
    pub packing: Packing,
}

#[derive(Debug, Clone)]
pub struct Cluster {
    endpoints: Arc<Endpoints>,
    client: Client,
    auth: Option<HttpAuth>,
}

impl Cluster {
    pub fn new(config: &Elasticsearch) -> Result<Self, String> {
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("kai-agent/", env!("CARGO_PKG_VERSION")));
        let tls = config
            .endpoints
            .iter()
            .any(|url| url.starts_with("https://"));
        if let Some(file) = &config.ca_file {
            builder = builder.tls_certs_only(authorities(file)?);
        } else if !tls {
            // The machine's certificates cost memory.
            builder = builder.tls_certs_only([]);
        }
        let client = builder
            .build()
            .map_err(|error| format!("cannot prepare requests: {}", reason(&error)))?;
        Ok(Self {
            endpoints: Arc::new(Endpoints::new(
                &config.endpoints,
                rand::random::<u16>().into(),
            )),
            client,
            auth: config.auth.clone(),
        })
    }

    pub fn endpoints(&self) -> &Arc<Endpoints> {
        &self.endpoints
    }

    /// Asks something that changes nothing.
    pub async fn ask(&self, path: &str, body: Option<String>) -> Result<Answer, CallError> {
        let method = if body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let request = |at: usize| {
            let url = self.endpoints.url(at);
            let mut request = self.client.request(method.clone(), format!("{url}{path}"));
            if let Some(body) = &body {
                request = request
                    .header("content-type", "application/json")
                    .body(body.clone());
            }
            let patience = if self.endpoints.others(at) {
                SILENCE
            } else {
                CONTROL_TIMEOUT
            };
            request.timeout(patience)
        };
        self.call(request).await
    }

    pub async fn bulk(&self, path: &str, bulk: Bulk) -> Result<Answer, CallError> {
        let request = |at: usize| {
            let mut request = self
                .client
                .post(format!("{}{path}", self.endpoints.url(at)))
                .header("content-type", "application/x-ndjson")
                .header("x-opaque-id", &bulk.name)
                .body(bulk.body.clone());
            if bulk.packing != Packing::None {
                request = request.header("content-encoding", bulk.packing.name());
            }
            request.timeout(BULK_TIMEOUT)
        };
        self.call(request).await
    }

    async fn call(
        &self,
        request: impl Fn(usize) -> reqwest::RequestBuilder,
    ) -> Result<Answer, CallError> {
        let auth = authorization(self.auth.as_ref()).map_err(CallError::NotSent)?;
        let mut refused = String::new();
        let mut unauthorized = None;
        // A node that refuses the connection has done nothing: the next one may be asked at once.
        for at in self.endpoints.order() {
            let mut request = request(at);
            if let Some(auth) = &auth {
                request = request.header(AUTHORIZATION, auth.clone());
            }
            let answer = tokio::select! {
                answer = request.send() => answer,
                reason = self.silent(at) => {
                    self.leave(at, &reason);
                    return Err(CallError::Unknown(format!("{}: {reason}", self.endpoints.url(at))));
                }
            };
            match answer {
                Ok(response) => {
                    let answer = self.receive(response, at).await?;
                    match answer.status {
                        // Nor has one that does not know us; another one may.
                        401 => {
                            self.leave(at, &format!("status 401: {}", answer.excerpt()));
                            unauthorized = Some(answer);
                            continue;
                        }
                        502..=504 => {
                            let reason = format!("status {}: {}", answer.status, answer.excerpt());
                            self.leave(at, &reason);
                        }
                        _ => self.endpoints.back(at),
                    }
                    return Ok(answer);
                }
                Err(error) if error.is_connect() => {
                    let reason = why(error);
                    self.leave(at, &reason);
                    let url = self.endpoints.url(at);
                    let _ = write!(refused, "{}{url}: {reason}", separator(&refused));
                }
                Err(error) => {
                    let reason = why(error);
                    self.leave(at, &reason);
                    let url = self.endpoints.url(at);
                    return Err(CallError::Unknown(format!("{url}: {reason}")));
                }
            }
        }
        match unauthorized {
            Some(answer) => Ok(answer),
            None if refused.is_empty() => {
                Err(CallError::NotSent("no endpoint is configured".to_owned()))
            }
            None => Err(CallError::NotSent(refused)),
        }
    }

    async fn receive(
        &self,
        mut response: reqwest::Response,
        at: usize,
    ) -> Result<Answer, CallError> {
        let status = response.status().as_u16();
        let product = response.headers().contains_key("x-elastic-product");
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() <= LARGEST_ANSWER => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    return Err(CallError::Unknown(format!(
                        "the answer is larger than {LARGEST_ANSWER} bytes"
                    )));
                }
                Err(error) => {
                    let reason = format!("the answer broke off: {}", why(error));
                    self.leave(at, &reason);
                    return Err(CallError::Unknown(reason));
                }
            }
        }
        Ok(Answer {
            status,
            body: body.into(),
            product,
            endpoint: at,
        })
    }

    /// Ends when a node that was asked something long ago does not answer the simplest question
    /// either, while another one could be asked. A slow index is waited for; a node that hangs is not.
    async fn silent(&self, at: usize) -> String {
        loop {
            tokio::time::sleep(SILENCE).await;
            if self.endpoints.others(at)
                && let Err(reason) = self.is_well(at).await
            {
                return format!("no answer, nor to a plain question: {reason}");
            }
        }
    }

    /// The simplest question. Any answer of a server is one, but "I do not know you" and a
    /// gateway's that nobody is there.
    async fn is_well(&self, at: usize) -> Result<(), String> {
        let mut request = self
            .client
            .get(format!("{}/", self.endpoints.url(at)))
            .timeout(SILENCE);
        if let Some(auth) = authorization(self.auth.as_ref())? {
            request = request.header(AUTHORIZATION, auth);
        }
        let status = request.send().await.map_err(why)?.status().as_u16();
        match status {
            401 | 502..=504 => Err(format!("status {status}")),
            _ => Ok(()),
        }
    }

    /// Uses another endpoint from now on, and asks this one from time to time.
    pub fn leave(&self, at: usize, reason: &str) {
        if !self.endpoints.set_aside(at, reason) {
            return; // it is being asked
        }
        let cluster = self.clone();
        // Ends with the lane's runtime.
        tokio::spawn(async move {
            let mut patience = endpoints::patience();
            while cluster.endpoints.is_aside(at) {
                tokio::time::sleep(patience.pause()).await;
                if cluster.is_well(at).await.is_ok() {
                    cluster.endpoints.back(at);
                }
            }
        });
    }
}

fn separator(text: &str) -> &'static str {
    if text.is_empty() { "" } else { "; " }
}

pub(crate) fn why(error: reqwest::Error) -> String {
    reason(&error.without_url())
}

/// An error with what caused it, because the outermost one says only "error sending request".
pub(crate) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            let _ = write!(text, ": {inner_text}"); // writing to a String does not fail
        }
        cause = inner.source();
    }
    text
}
