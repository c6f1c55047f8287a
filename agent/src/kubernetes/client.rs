//! Requests to the API server with the pod's own account. Token and authority are files that
//! Kubernetes changes: the token is read for each request, the authority whenever a connection is
//! begun anew.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::scrape::fetch::reason;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until the head of an answer is there.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection whose other end is gone without a word is noticed by this.
const KEEPALIVE: Duration = Duration::from_secs(30);
const LONGEST_TOKEN: u64 = 64 << 10;
const LONGEST_AUTHORITY: u64 = 1 << 20;
/// Of an error's body, which is shown.
const EXCERPT: usize = 300;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("cannot read {}: {reason}", file.display())]
    File { file: PathBuf, reason: String },
    #[error("cannot reach the API server at {url}: {reason}")]
    Connect { url: String, reason: String },
    #[error("the API server answered with status {code}: {message}")]
    Status { code: u16, message: String },
    #[error("the answer of the API server broke off: {0}")]
    Broken(String),
    #[error("the answer of the API server cannot be read: {0}")]
    Form(String),
}

impl ApiError {
    /// As the label `reason` says it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::File { .. } => "account",
            Self::Connect { .. } => "connect",
            Self::Status { code: 401, .. } => "unauthorized",
            Self::Status { code: 403, .. } => "forbidden",
            Self::Status { code: 410, .. } => "expired",
            Self::Status { code: 429, .. } => "throttled",
            Self::Status { .. } => "status",
            Self::Broken(_) => "broken",
            Self::Form(_) => "form",
        }
    }
}

#[derive(Debug)]
pub struct Api {
    base: String,
    token_file: PathBuf,
    ca_file: PathBuf,
    /// With the digest of the authority that it trusts.
    client: Mutex<Option<(Vec<u8>, Client)>>,
}

impl Api {
    pub fn new(base: &str, token_file: &Path, ca_file: &Path) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            token_file: token_file.to_owned(),
            ca_file: ca_file.to_owned(),
            client: Mutex::default(),
        }
    }

    pub fn url(&self) -> &str {
        &self.base
    }

    /// Asks, and returns the answer whose body is still to come.
    pub async fn get(&self, path: &str) -> Result<Response, ApiError> {
        let client = self.client().await?;
        let token = read(&self.token_file, LONGEST_TOKEN).await?;
        let request = client
            .get(format!("{}{path}", self.base))
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, self.bearer(&token)?);
        let sent = tokio::time::timeout(HEAD_TIMEOUT, request.send()).await;
        let connect = |reason: String| ApiError::Connect {
            url: self.base.clone(),
            reason,
        };
        let response = sent
            .map_err(|_| connect(format!("no answer within {} s", HEAD_TIMEOUT.as_secs())))?
            .map_err(|error| connect(reason(&error.without_url())))?;
        let code = response.status().as_u16();
        if code == 200 {
            return Ok(response);
        }
        Err(ApiError::Status {
            code,
            message: excerpt(response).await,
        })
    }

    fn bearer(&self, token: &[u8]) -> Result<HeaderValue, ApiError> {
        let wrong = |reason: &str| ApiError::File {
            file: self.token_file.clone(),
            reason: reason.to_owned(),
        };
        let text = std::str::from_utf8(token)
            .map(str::trim)
            .unwrap_or_default();
        if text.is_empty() {
            return Err(wrong("it holds no token"));
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {text}"))
            .map_err(|_| wrong("it holds what cannot be a token"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn client(&self) -> Result<Client, ApiError> {
        let tls = self.base.starts_with("https://");
        let authority = if tls {
            read(&self.ca_file, LONGEST_AUTHORITY).await?
        } else {
            Vec::new()
        };
        let digest = Sha256::digest(&authority).to_vec();
        let mut held = self.client.lock().await;
        if let Some((of, client)) = &*held
            && *of == digest
        {
            return Ok(client.clone());
        }
        let wrong = |reason: String| ApiError::File {
            file: self.ca_file.clone(),
            reason,
        };
        let roots = if tls {
            let roots =
                Certificate::from_pem_bundle(&authority).map_err(|error| wrong(reason(&error)))?;
            if roots.is_empty() {
                return Err(wrong("it holds no certificate in PEM".to_owned()));
            }
            roots
        } else {
            Vec::new()
        };
        let client = Client::builder()
            // The server is the cluster's own, whatever the environment says.
            .no_proxy()
            .redirect(Policy::none())
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .pool_max_idle_per_host(1)
            .tls_certs_only(roots)
            .user_agent(concat!("kai-agent/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| wrong(reason(&error)))?;
        *held = Some((digest, client.clone()));
        Ok(client)
    }
}

async fn read(file: &Path, longest: u64) -> Result<Vec<u8>, ApiError> {
    use tokio::io::AsyncReadExt as _;
    let wrong = |reason: String| ApiError::File {
        file: file.to_owned(),
        reason,
    };
    let read = async {
        let opened = tokio::fs::File::open(file).await?;
        let mut bytes = Vec::new();
        opened.take(longest + 1).read_to_end(&mut bytes).await?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read.await.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > longest {
        return Err(wrong(format!("it is larger than {longest} bytes")));
    }
    Ok(bytes)
}

/// What an error's body says: the message of a Status, or its beginning.
async fn excerpt(mut response: Response) -> String {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > 16 << 10 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await; // what came is shown
    let status: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let message = status
        .as_ref()
        .and_then(|status| status["message"].as_str());
    let text = message.map_or_else(
        || String::from_utf8_lossy(&body).into_owned(),
        str::to_owned,
    );
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(EXCERPT).collect()
}
