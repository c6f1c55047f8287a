//! Applications' metrics pages on their way through the agent: fetched, relabelled, held to their
//! budgets, handed on in the format they came in.

use std::hash::RandomState;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use kai_contract::agent_config::{Application, Problem};

pub mod budget;
pub mod fetch;
pub mod filter;
pub mod gzip;
pub mod relabel;
pub mod round;

use crate::samples::{Format, Page};
use budget::{Budgets, Limits};
use fetch::{Clients, FetchError, Fetched, Trust};
use filter::{Filter, FilterError};
use gzip::GzipError;
use relabel::Rules;

/// What the agent's own scrapes accept: protobuf first, because only it has native histograms.
pub const ACCEPTED: &str = "application/vnd.google.protobuf;\
    proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.9,\
    application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.7,*/*;q=0.1";

/// A page up to this size is filtered where it is; a larger one on a thread of its own, so that no
/// other answer waits for it.
const SMALL_PAGE: usize = 16 << 10;

/// An application, ready to be scraped.
#[derive(Debug)]
pub struct Prepared {
    pub name: String,
    pub application: Application,
    rules: Arc<Rules>,
    limits: Limits,
    trust: Trust,
}

impl Prepared {
    /// `team_series` is what the application's team may have.
    pub fn new(
        name: &str,
        application: Application,
        team_series: u64,
    ) -> Result<Self, Vec<Problem>> {
        let rules = Rules::new(&application.relabel).map_err(|wrong| {
            let problem = |(index, key, message)| {
                Problem::new(
                    format!("applications.{name}.relabel.{index}.{key}"),
                    message,
                )
            };
            wrong.into_iter().map(problem).collect::<Vec<_>>()
        })?;
        Ok(Self {
            name: name.to_owned(),
            limits: Limits::of(&application, team_series),
            application,
            rules: Arc::new(rules),
            trust: Trust::Configured,
        })
    }

    /// One that nobody named: what is in its page may be anybody's.
    pub fn found(name: &str, application: Application, limits: Limits, rules: Arc<Rules>) -> Self {
        Self {
            name: name.to_owned(),
            application,
            rules,
            limits,
            trust: Trust::Found,
        }
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the page of {url} cannot be read: {reason}")]
    Page { url: String, reason: PageError },
    #[error("the page of {url} could not be filtered; the agent's log says more")]
    Failed { url: String },
}

/// What is wrong with a page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error(
        "its content type \"{0}\" is none of text/plain, application/openmetrics-text and \
         application/vnd.google.protobuf"
    )]
    Type(String),
    #[error("its encoding \"{0}\" was not asked for; gzip and identity are read")]
    Encoding(String),
    #[error(transparent)]
    Gzip(#[from] GzipError),
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl ScrapeError {
    /// The status that tells Prometheus.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Fetch(error)
            | Self::Page {
                reason: PageError::Gzip(GzipError::Busy(error)),
                ..
            } => error.status(),
            Self::Page { .. } => StatusCode::BAD_GATEWAY,
            Self::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A page to be handed on.
#[derive(Debug)]
pub struct Answer {
    pub body: Bytes,
    /// The application's own.
    pub content_type: Option<HeaderValue>,
    pub format: Format,
    /// Whether the body is compressed.
    pub gzip: bool,
}

/// Scrapes applications.
#[derive(Debug, Default)]
pub struct Engine {
    clients: Clients,
    pub budgets: Budgets,
    hasher: RandomState,
}

impl Engine {
    /// An application's page for who asks with these headers; compressed only if `gzip`.
    pub async fn answer(
        self: &Arc<Self>,
        application: &Arc<Prepared>,
        headers: &HeaderMap,
        gzip: bool,
    ) -> Result<Answer, ScrapeError> {
        let fetched = self
            .clients
            .fetch(&application.application, application.trust, headers, gzip)
            .await?;
        let url = || application.application.url.clone();
        let compressed = fetched.headers.contains_key(CONTENT_ENCODING);
        let answer = if fetched.body.len() <= SMALL_PAGE && !compressed {
            self.filter(application, fetched, gzip)
        } else {
            let (engine, task) = (Arc::clone(self), Arc::clone(application));
            tokio::task::spawn_blocking(move || engine.filter(&task, fetched, gzip))
                .await
                .map_err(|_| ScrapeError::Failed { url: url() })?
        };
        answer.map_err(|reason| ScrapeError::Page { url: url(), reason })
    }

    /// An application's page for the agent's own use: relabelled, within budgets, not compressed.
    pub async fn page(self: &Arc<Self>, application: &Arc<Prepared>) -> Result<Page, String> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let answer = self
            .answer(application, &headers, false)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Page {
            format: answer.format,
            body: answer.body,
        })
    }

    fn filter(
        &self,
        application: &Prepared,
        fetched: Fetched,
        gzip: bool,
    ) -> Result<Answer, PageError> {
        let Fetched {
            body,
            mut headers,
            mut held,
        } = fetched;
        let content_type = headers.remove(CONTENT_TYPE);
        let shown = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let given = content_type.as_ref().map(shown).unwrap_or_default();
        let format = Format::of(&given).ok_or(PageError::Type(given))?;
        let encoding = headers.get(CONTENT_ENCODING).map(shown).unwrap_or_default();
        let plain = match encoding.to_ascii_lowercase().as_str() {
            "" | "identity" => None,
            "gzip" | "x-gzip" => Some(Bytes::from(gzip::decompress(&body, &mut held)?)),
            _ => return Err(PageError::Encoding(encoding)),
        };
        let page = plain.as_ref().unwrap_or(&body);
        let filter = Filter {
            app: &application.name,
            rules: &application.rules,
            limits: &application.limits,
            budgets: &self.budgets,
            hasher: &self.hasher,
        };
        let (body, gzip) = match filter.apply(format, page)? {
            None => match plain {
                // As it came.
                Some(_) if gzip => (body, true),
                Some(plain) => (plain, false),
                None => (body, false),
            },
            Some(page) if gzip => match gzip::compress(&page) {
                Some(zipped) => (zipped.into(), true),
                None => (page.into(), false),
            },
            Some(page) => (page.into(), false),
        };
        Ok(Answer {
            body,
            content_type,
            format,
            gzip,
        })
    }
}
