//! Fetches one application's page. Each application is a target of its own, so its `up` says whether
//! *it* answered: whatever goes wrong becomes an error with a reason.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{HeaderMap, StatusCode};
use kai_contract::agent_config::Application;
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, ClientBuilder};

/// Largest page of one application.
pub const LARGEST_PAGE: usize = 64 << 20;

/// All pages that are held at one moment; the agent's memory is bounded whatever the applications
/// send.
pub const LARGEST_IN_ALL: usize = 128 << 20;

/// Prometheus tells by this header how long it waits, in seconds.
pub const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

const MOST_REDIRECTS: usize = 3;

/// An application's page.
#[derive(Debug)]
pub struct Fetched {
    pub body: Bytes,
    /// `content-type` and `content-encoding`, as the application sent them.
    pub headers: HeaderMap,
    /// The memory that the page takes, to be kept while anything of it is held.
    pub held: Held,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{url} did not answer: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{url} did not answer completely within {} ms", limit.as_millis())]
    Timeout { url: String, limit: Duration },
    #[error("{url} answered with status {status} instead of 200")]
    Status { url: String, status: StatusCode },
    #[error("the page of {url} is larger than {} MiB", LARGEST_PAGE >> 20)]
    TooLarge { url: String },
    #[error("applications' pages of more than {} MiB are being fetched at once; try again", LARGEST_IN_ALL >> 20)]
    Busy,
    #[error("cannot prepare to fetch {url}: {reason}")]
    Client { url: String, reason: String },
}

impl FetchError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable { .. } | Self::Status { .. } | Self::TooLarge { .. } => {
                StatusCode::BAD_GATEWAY
            }
            Self::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Client { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Who said that an application is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Who wrote the configuration.
    Configured,
    /// The application itself, or a file: it must not lead the agent to another host.
    Found,
}

/// HTTP clients, made when first needed: the one for https loads the machine's certificates,
/// which costs memory and fails where there are none.
#[derive(Debug, Default)]
pub struct Clients {
    plain: OnceLock<Result<Client, String>>,
    tls: OnceLock<Result<Client, String>>,
    found_plain: OnceLock<Result<Client, String>>,
    found_tls: OnceLock<Result<Client, String>>,
    held: Arc<AtomicUsize>,
}

impl Clients {
    /// Fetches a page. `headers` are the request's that came in: what it accepts and how long it
    /// waits. Only `gzip` is asked for, because the page has to be read.
    pub async fn fetch(
        &self,
        application: &Application,
        trust: Trust,
        headers: &HeaderMap,
        gzip: bool,
    ) -> Result<Fetched, FetchError> {
        let url = &application.url;
        let limit = limit(application, headers);
        let fetched = self.fetch_unlimited(url, trust, headers, gzip, limit);
        match tokio::time::timeout(limit, fetched).await {
            Ok(result) => result,
            Err(_) => Err(FetchError::Timeout {
                url: url.clone(),
                limit,
            }),
        }
    }

    async fn fetch_unlimited(
        &self,
        url: &str,
        trust: Trust,
        headers: &HeaderMap,
        gzip: bool,
        limit: Duration,
    ) -> Result<Fetched, FetchError> {
        let client = self
            .client(url, trust)
            .map_err(|reason| FetchError::Client {
                url: url.to_owned(),
                reason,
            })?;
        let unreachable = |error: reqwest::Error| FetchError::Unreachable {
            url: url.to_owned(),
            reason: reason(&error.without_url()),
        };
        let mut request = client.get(url);
        for value in headers.get_all(ACCEPT) {
            request = request.header(ACCEPT, value);
        }
        request = request.header(ACCEPT_ENCODING, if gzip { "gzip" } else { "identity" });
        request = request.header(TIMEOUT_HEADER, limit.as_secs_f64().to_string());
        let mut response = request.send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status {
                url: url.to_owned(),
                status: response.status(),
            });
        }
        let too_large = || FetchError::TooLarge {
            url: url.to_owned(),
        };
        if response
            .content_length()
            .is_some_and(|length| length > LARGEST_PAGE as u64)
        {
            return Err(too_large());
        }
        let mut held = Held {
            held: Arc::clone(&self.held),
            mine: 0,
        };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_PAGE {
                return Err(too_large());
            }
            held.add(chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        let mut kept = HeaderMap::new();
        for name in [CONTENT_TYPE, CONTENT_ENCODING] {
            if let Some(value) = response.headers().get(&name) {
                kept.insert(name, value.clone());
            }
        }
        Ok(Fetched {
            body: body.into(),
            headers: kept,
            held,
        })
    }

    fn client(&self, url: &str, trust: Trust) -> Result<&Client, String> {
        let redirects = || match trust {
            Trust::Configured => Policy::limited(MOST_REDIRECTS),
            Trust::Found => Policy::custom(same_host),
        };
        let build = |builder: ClientBuilder| {
            builder
                // A proxy from the environment would see the applications' metrics.
                .no_proxy()
                .redirect(redirects())
                .pool_max_idle_per_host(1)
                .user_agent(concat!("kai-agent/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| reason(&error))
        };
        let (plain, tls) = match trust {
            Trust::Configured => (&self.plain, &self.tls),
            Trust::Found => (&self.found_plain, &self.found_tls),
        };
        if url.starts_with("https://") {
            tls.get_or_init(|| build(Client::builder()))
        } else {
            plain.get_or_init(|| build(Client::builder().tls_certs_only([])))
        }
        .as_ref()
        .map_err(Clone::clone)
    }
}

/// Follows to another path of the same host and port. Elsewhere it is not followed, and the page's
/// status says so.
fn same_host(attempt: Attempt<'_>) -> Action {
    let origin = attempt.previous().first();
    let place = |url: &reqwest::Url| {
        (
            url.host_str().map(str::to_owned),
            url.port_or_known_default(),
        )
    };
    let same = origin.is_some_and(|origin| place(origin) == place(attempt.url()));
    if same && attempt.previous().len() <= MOST_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Bytes held by one scrape, given back when it ends. The answer's body lives a little longer, until
/// the asking client has taken it; the connection limit bounds that.
#[derive(Debug)]
pub struct Held {
    held: Arc<AtomicUsize>,
    mine: usize,
}

impl Held {
    pub fn add(&mut self, bytes: usize) -> Result<(), FetchError> {
        self.mine += bytes;
        if self.held.fetch_add(bytes, Ordering::Relaxed) + bytes > LARGEST_IN_ALL {
            return Err(FetchError::Busy);
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.fetch_sub(self.mine, Ordering::Relaxed);
    }
}

/// How long to wait: the configured time, or less if the asking Prometheus gives up sooner.
fn limit(application: &Application, headers: &HeaderMap) -> Duration {
    let configured = Duration::from_millis(application.timeout_ms);
    scrape_timeout(headers).map_or(configured, |asked| asked.min(configured))
}

/// What the asking Prometheus said about its patience.
pub fn scrape_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers
        .get(TIMEOUT_HEADER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    if seconds > 0.0 {
        Duration::try_from_secs_f64(seconds).ok()
    } else {
        None
    }
}

/// An error with what caused it, because the outermost one says only "error sending request".
pub fn reason(error: &dyn std::error::Error) -> String {
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
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_shorter_patience_counts() {
        let application = Application::new("http://h/".to_owned(), 4000);
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT_HEADER, HeaderValue::from_static(value));
            limit(&application, &headers).as_millis()
        };
        assert_eq!(with("2.5"), 2500);
        assert_eq!(with("10"), 4000);
        assert_eq!(with("0"), 4000);
        assert_eq!(with("-1"), 4000);
        assert_eq!(with("soon"), 4000);
        assert_eq!(with("inf"), 4000);
        assert_eq!(with("1e300"), 4000);
        assert_eq!(limit(&application, &HeaderMap::new()).as_millis(), 4000);
    }

    #[test]
    fn memory_is_given_back() {
        let clients = Clients::default();
        {
            let mut held = Held {
                held: Arc::clone(&clients.held),
                mine: 0,
            };
            held.add(LARGEST_IN_ALL).unwrap();
            let mut other = Held {
                held: Arc::clone(&clients.held),
                mine: 0,
            };
            assert!(matches!(other.add(1), Err(FetchError::Busy)));
        }
        assert_eq!(clients.held.load(Ordering::Relaxed), 0);
    }
}
