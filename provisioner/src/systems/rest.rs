//! A server with a JSON API, on this machine or elsewhere, that may want to know who asks.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Url, header};
use serde_json::Value;

use super::secret::{self, SecretError};
use crate::http;
use crate::model::{Auth, Connection};

#[derive(Debug, thiserror::Error)]
pub enum RestError {
    #[error("{base} does not answer: {reason}")]
    NoAnswer { base: String, reason: String },
    #[error("{base}{path} answered {status}: {body}{}", advice(*status))]
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
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{0}")]
    Other(String),
    /// Left alone, because it holds something that is not ours.
    #[error("{0}")]
    Kept(String),
}

impl RestError {
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// What whoever reads the answer can do about it.
fn advice(status: u16) -> &'static str {
    match status {
        401 => {
            "; it does not take who asks: look at `auth` of this system in the spec and at the secret that it names"
        }
        403 => {
            "; whoever asks may not do that: give the user or key of `auth` the right, or name another"
        }
        _ => "",
    }
}

/// Why no answer came, in words for people. The error's own text may hold an address with a
/// password; what it wraps does not.
fn reason(error: &reqwest::Error) -> String {
    use std::error::Error as _;
    let mut inner = error.source();
    while let Some(cause) = inner {
        let text = cause.to_string();
        if text.contains("certificate") {
            return format!(
                "{text}; if its certificate is self-signed or of your own authority, name the file of that authority's certificate in SSL_CERT_FILE"
            );
        }
        inner = cause.source();
    }
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "nothing listens there".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}

/// The server, and who asks it.
#[derive(Clone)]
pub struct Rest {
    client: Client,
    base: String,
    who: Option<Who>,
    headers: header::HeaderMap,
}

impl Rest {
    /// Reads the secrets of the connection.
    pub fn new(access: &Connection) -> Result<Self, RestError> {
        let who = match &access.auth {
            None => None,
            Some(auth) => Some(Who::read(auth)?),
        };
        Ok(Self {
            client: http::client(Duration::from_secs(30)),
            base: access.url.clone(),
            who,
            headers: header::HeaderMap::new(),
        })
    }

    /// Sends this header with every request.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(
            header::HeaderName::from_static(name),
            header::HeaderValue::from_static(value),
        );
        self
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request that may be changed before it is sent.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, RestError> {
        let url =
            Url::parse(&format!("{}{path}", self.base)).map_err(|error| RestError::Unexpected {
                base: self.base.clone(),
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        let request = self
            .client
            .request(method, url)
            .headers(self.headers.clone());
        Ok(match &self.who {
            Some(Who::Header(value)) => request.header(header::AUTHORIZATION, value.clone()),
            Some(Who::Basic { username, password }) => {
                request.basic_auth(username, Some(password.expose()))
            }
            None => request,
        })
    }

    /// Status and body, whatever the status.
    pub async fn send(&self, request: RequestBuilder) -> Result<(u16, Vec<u8>), RestError> {
        let no_answer = |error: &reqwest::Error| RestError::NoAnswer {
            base: self.base.clone(),
            reason: reason(error),
        };
        let reply = request.send().await.map_err(|error| no_answer(&error))?;
        let status = reply.status().as_u16();
        let body = reply.bytes().await.map_err(|error| no_answer(&error))?;
        Ok((status, body.to_vec()))
    }

    /// Sends JSON (or nothing), wants success and JSON (or nothing, which is `null`).
    pub async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, RestError> {
        let mut request = self.request(method, path)?;
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, body) = self.send(request).await?;
        if !(200..300).contains(&status) {
            return Err(self.refused(path, status, &body));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| RestError::Unexpected {
            base: self.base.clone(),
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// `GET`; nothing on 404.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, RestError> {
        match self.json(Method::GET, path, None).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn refused(&self, path: &str, status: u16, body: &[u8]) -> RestError {
        RestError::Refused {
            base: self.base.clone(),
            path: path.to_owned(),
            status,
            body: String::from_utf8_lossy(body).chars().take(400).collect(),
        }
    }
}

/// Who asks, with the secret read.
#[derive(Clone)]
enum Who {
    /// Marked as sensitive, so that no `Debug` shows it.
    Header(header::HeaderValue),
    Basic {
        username: String,
        password: secret::Value,
    },
}

impl Who {
    fn read(auth: &Auth) -> Result<Self, RestError> {
        let text = match auth {
            Auth::ApiKey(key) => format!("ApiKey {}", secret::resolve(key)?.expose()),
            Auth::Token(token) => format!("Bearer {}", secret::resolve(token)?.expose()),
            Auth::Basic { username, password } => {
                return Ok(Self::Basic {
                    username: username.clone(),
                    password: secret::resolve(password)?,
                });
            }
        };
        let mut value = header::HeaderValue::from_str(&text).map_err(|_| {
            RestError::Other("the secret has characters that no HTTP header can hold".to_owned())
        })?;
        value.set_sensitive(true);
        Ok(Self::Header(value))
    }
}
