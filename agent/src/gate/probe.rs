//! Puts questions over HTTP and writes down what came back, good or bad. Judges nothing. Redirects
//! are not followed and no proxy is used: the answer must be the asked server's own.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use kai_contract::agent_config::HttpAuth;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, Url};
use serde_json::Value;

use super::evidence::{Answer, Asked, Failure, Question};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// For a whole answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A larger answer is none to one of our questions.
const LARGEST: usize = 4 << 20;

/// What is kept of a health page that is not well.
const EXCERPT: usize = 300;

/// A question, ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    pub question: Question,
    pub method: Method,
    /// Without the query.
    pub url: String,
    pub parameters: Vec<(&'static str, String)>,
    pub body: Option<Value>,
    pub auth: Option<HttpAuth>,
    /// What the evidence shows as the query.
    pub shown: Option<String>,
}

/// The two clients; the one for https loads the machine's certificates, which fails where there
/// are none.
pub struct Prober {
    plain: Result<Client, String>,
    tls: Result<Client, String>,
}

impl Prober {
    pub fn new(needs_tls: bool) -> Self {
        let build = |builder: ClientBuilder| {
            builder
                .no_proxy()
                .redirect(Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(TIMEOUT)
                .user_agent(concat!("kai-agent/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| chain(&error))
        };
        Self {
            plain: build(Client::builder().tls_certs_only([])),
            tls: if needs_tls {
                build(Client::builder())
            } else {
                Err("no certificates were loaded".to_owned())
            },
        }
    }

    /// Sends it; whatever happens becomes an answer.
    pub async fn ask(&self, request: &Request) -> Asked {
        let at = now();
        let begun = Instant::now();
        let answer = match self.send(request).await {
            Ok(answer) => answer,
            Err((kind, reason)) => Answer::Failed { kind, reason },
        };
        Asked {
            question: request.question,
            request: format!("{} {}", request.method, presentable(&request.url)),
            query: request.shown.clone(),
            at,
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            answer,
        }
    }

    async fn send(&self, request: &Request) -> Result<Answer, (Failure, String)> {
        let cannot = |reason: String| (Failure::NotAsked, reason);
        let mut url =
            Url::parse(&request.url).map_err(|error| cannot(format!("not an address: {error}")))?;
        if !request.parameters.is_empty() {
            url.query_pairs_mut()
                .extend_pairs(request.parameters.iter().map(|(k, v)| (*k, v.as_str())));
        }
        let client = if url.scheme() == "https" {
            &self.tls
        } else {
            &self.plain
        };
        let client = client
            .as_ref()
            .map_err(|reason| cannot(format!("cannot prepare to ask: {reason}")))?;
        let mut sent = client.request(request.method.clone(), url);
        if let Some(body) = &request.body {
            sent = sent
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        if request.question != Question::Health {
            sent = sent.header(ACCEPT, "application/json");
        }
        if let Some(auth) = &request.auth {
            sent = sent.header(AUTHORIZATION, authorization(auth).map_err(cannot)?);
        }
        let mut reply = sent.send().await.map_err(|error| why(&error))?;
        let status = reply.status();
        let location = status
            .is_redirection()
            .then(|| reply.headers().get(LOCATION))
            .flatten()
            .and_then(|value| value.to_str().ok())
            .map(presentable);
        let mut body = Vec::new();
        while let Some(chunk) = reply.chunk().await.map_err(|error| why(&error))? {
            let room = LARGEST.saturating_sub(body.len());
            if chunk.len() > room {
                // Whoever asks for a health page reads the status only.
                if request.question == Question::Health {
                    break;
                }
                let reason = format!("the answer is larger than {} MiB", LARGEST >> 20);
                return Err((Failure::Unusable, reason));
            }
            body.extend_from_slice(&chunk);
        }
        let body = if request.question == Question::Health {
            if status.is_success() {
                String::new()
            } else {
                String::from_utf8_lossy(&body)
                    .chars()
                    .take(EXCERPT)
                    .collect()
            }
        } else {
            String::from_utf8(body)
                .map_err(|_| (Failure::Unusable, "the answer is not UTF-8".to_owned()))?
        };
        Ok(Answer::Reply {
            status: status.as_u16(),
            location,
            body,
        })
    }
}

/// Unix milliseconds.
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// The address without what could be a secret: user, password, query.
fn presentable(url: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, _)) => (address, "?…"),
        None => (url, ""),
    };
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}{path}{query}")
        }
        None => format!("{address}{query}"),
    }
}

/// The header by which a server knows who asks; marked so that no log shows it.
fn authorization(auth: &HttpAuth) -> Result<HeaderValue, String> {
    let read = |file: &Path| {
        std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read the secret in {}: {error}", file.display()))
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let (text, file) = match auth {
        HttpAuth::ApiKeyFile(file) => (format!("ApiKey {}", read(file)?), file),
        HttpAuth::TokenFile(file) => (format!("Bearer {}", read(file)?), file),
        HttpAuth::Basic {
            username,
            password_file,
        } => {
            let pair = format!("{username}:{}", read(password_file)?);
            (format!("Basic {}", base64(pair.as_bytes())), password_file)
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| format!("the secret in {} cannot be a header", file.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut word = 0_u32;
        for index in 0..3 {
            word = word << 8 | u32::from(group.get(index).copied().unwrap_or(0));
        }
        for index in 0..4 {
            if index > group.len() {
                out.push('=');
            } else {
                let digit = word >> (18 - 6 * index) & 63;
                out.push(char::from(DIGITS[digit as usize]));
            }
        }
    }
    out
}

/// The kind of a failure and its reason in words.
fn why(error: &reqwest::Error) -> (Failure, String) {
    let text = chain(error);
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if error.is_timeout() {
        let reason = if error.is_connect() {
            format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())
        } else {
            format!("no answer within {} s", TIMEOUT.as_secs())
        };
        (Failure::Timeout, reason)
    } else if error.is_builder() {
        (Failure::NotAsked, text)
    } else if has(&["dns error", "failed to lookup"]) {
        (
            Failure::NotAsked,
            format!("the host cannot be found: {text}"),
        )
    } else if has(&[
        "certificate",
        "fatal alert",
        "corrupt message",
        "HandshakeFailure",
    ]) {
        let hint = if has(&["corrupt message", "InvalidContentType"]) {
            " (does it speak plain http?)"
        } else {
            ""
        };
        (Failure::Tls, format!("TLS failed: {text}{hint}"))
    } else if has(&["Connection refused"]) {
        (Failure::Connection, "nothing listens there".to_owned())
    } else if has(&["invalid HTTP"]) {
        (Failure::Unusable, format!("the answer is not HTTP: {text}"))
    } else {
        (Failure::Connection, format!("the connection broke: {text}"))
    }
}

/// The innermost causes: the outermost one only says "error sending request".
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !said.is_empty() && !text.contains(&said) && said != "client error (Connect)" {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        cause = inner.source();
    }
    if text.is_empty() {
        // Without the address, which may hold a secret in its query.
        "no reason is known".clone_into(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn an_address_is_shown_without_secrets() {
        for (url, shown) in [
            ("http://h:1/a", "http://h:1/a"),
            ("http://u:p@h/a?token=x", "http://h/a?…"),
            ("http://u:p@h", "http://h"),
            ("/login?next=/", "/login?…"),
        ] {
            assert_eq!(presentable(url), shown);
        }
    }
}
