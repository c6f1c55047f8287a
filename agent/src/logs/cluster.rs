//! Elasticsearch over HTTP: several nodes of one cluster, one asked at a time, the next one when it
//! does not answer. Whether a failed request may have been carried out is part of the error,
//! because that decides what must be asked before it is repeated.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderValue};
use kai_contract::agent_config::{Elasticsearch, HttpAuth};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than Elasticsearch itself waits for a shard (a minute), so that the answer is its own.
const BULK_TIMEOUT: Duration = Duration::from_secs(90);
const CONTROL_TIMEOUT: Duration = Duration::from_secs(20);
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
    pub gzip: bool,
}

#[derive(Debug)]
pub struct Cluster {
    endpoints: Vec<String>,
    current: AtomicUsize,
    client: Client,
    auth: Option<HttpAuth>,
}

impl Cluster {
    pub fn new(config: &Elasticsearch) -> Result<Self, String> {
        let endpoints: Vec<String> = config
            .endpoints
            .iter()
            .map(|url| url.trim_end_matches('/').to_owned())
            .collect();
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("kai-agent/", env!("CARGO_PKG_VERSION")));
        let tls = endpoints.iter().any(|url| url.starts_with("https://"));
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
            endpoints,
            current: AtomicUsize::new(0),
            client,
            auth: config.auth.clone(),
        })
    }

    /// Asks something that changes nothing.
    pub async fn ask(&self, path: &str, body: Option<String>) -> Result<Answer, CallError> {
        let method = if body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let request = |url: &str| {
            let mut request = self.client.request(method.clone(), format!("{url}{path}"));
            if let Some(body) = &body {
                request = request
                    .header("content-type", "application/json")
                    .body(body.clone());
            }
            request.timeout(CONTROL_TIMEOUT)
        };
        self.call(request).await
    }

    pub async fn bulk(&self, path: &str, bulk: Bulk) -> Result<Answer, CallError> {
        let request = |url: &str| {
            let mut request = self
                .client
                .post(format!("{url}{path}"))
                .header("content-type", "application/x-ndjson")
                .header("x-opaque-id", &bulk.name)
                .body(bulk.body.clone());
            if bulk.gzip {
                request = request.header("content-encoding", "gzip");
            }
            request.timeout(BULK_TIMEOUT)
        };
        self.call(request).await
    }

    async fn call(
        &self,
        request: impl Fn(&str) -> reqwest::RequestBuilder,
    ) -> Result<Answer, CallError> {
        let auth = self.authorization().map_err(CallError::NotSent)?;
        let mut refused = String::new();
        // A node that refuses the connection has done nothing: the next one may be asked at once.
        for _ in 0..self.endpoints.len().max(1) {
            let at = self.current.load(Ordering::Relaxed) % self.endpoints.len().max(1);
            let Some(url) = self.endpoints.get(at) else {
                return Err(CallError::NotSent("no endpoint is configured".to_owned()));
            };
            let mut request = request(url);
            if let Some(auth) = &auth {
                request = request.header(AUTHORIZATION, auth.clone());
            }
            match request.send().await {
                Ok(response) => return self.receive(response, at).await,
                Err(error) if error.is_connect() => {
                    self.leave(at);
                    let _ = write!(refused, "{}{url}: {}", separator(&refused), why(error));
                }
                Err(error) => {
                    self.leave(at);
                    return Err(CallError::Unknown(format!("{url}: {}", why(error))));
                }
            }
        }
        Err(CallError::NotSent(refused))
    }

    async fn receive(
        &self,
        mut response: reqwest::Response,
        at: usize,
    ) -> Result<Answer, CallError> {
        let status = response.status().as_u16();
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
                    self.leave(at);
                    return Err(CallError::Unknown(format!(
                        "the answer broke off: {}",
                        why(error)
                    )));
                }
            }
        }
        if matches!(status, 502..=504) {
            self.leave(at);
        }
        Ok(Answer {
            status,
            body: body.into(),
        })
    }

    /// The next endpoint's turn, if it is this one's now.
    fn leave(&self, at: usize) {
        let next = (at + 1) % self.endpoints.len().max(1);
        let _ = self
            .current
            .compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        authorization(self.auth.as_ref())
    }
}

/// Read anew for every request, so that a changed secret needs no restart.
pub(crate) fn authorization(auth: Option<&HttpAuth>) -> Result<Option<HeaderValue>, String> {
    let Some(auth) = auth else {
        return Ok(None);
    };
    let text = match auth {
        HttpAuth::ApiKeyFile(file) => format!("ApiKey {}", secret(file)?),
        HttpAuth::TokenFile(file) => format!("Bearer {}", secret(file)?),
        HttpAuth::Basic {
            username,
            password_file,
        } => {
            let pair = format!("{username}:{}", secret(password_file)?);
            format!("Basic {}", base64(pair.as_bytes()))
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "the secret has a character that a header cannot hold".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn separator(text: &str) -> &'static str {
    if text.is_empty() { "" } else { "; " }
}

pub(crate) fn authorities(file: &Path) -> Result<Vec<Certificate>, String> {
    let pem = fs::read(file)
        .map_err(|error| format!("cannot read the authorities in {}: {error}", file.display()))?;
    let certificates = Certificate::from_pem_bundle(&pem)
        .map_err(|error| format!("{} is no PEM file: {}", file.display(), reason(&error)))?;
    if certificates.is_empty() {
        return Err(format!("{} has no certificate in it", file.display()));
    }
    Ok(certificates)
}

fn secret(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read the secret in {}: {error}", file.display()))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(format!(
            "{} is empty; write the secret into it",
            file.display()
        ));
    }
    Ok(text.to_owned())
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                out.push(ALPHABET[(bits >> (18 - 6 * digit)) as usize & 63] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_from_files_and_not_shown() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "open sesame\n").unwrap();
        let cluster = Cluster {
            endpoints: vec![],
            current: AtomicUsize::new(0),
            client: Client::builder().tls_certs_only([]).build().unwrap(),
            auth: Some(HttpAuth::Basic {
                username: "Aladdin".into(),
                password_file: file.clone(),
            }),
        };
        let header = cluster.authorization().unwrap().unwrap();
        assert_eq!(header.as_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{header:?} {cluster:?}").contains("QWxh"));
        fs::write(&file, " \n").unwrap();
        assert!(cluster.authorization().unwrap_err().contains("is empty"));
    }

    #[test]
    fn base64_pads() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
