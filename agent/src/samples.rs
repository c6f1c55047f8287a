//! Samples as the agent's parts hand them to each other: one reader for every exposition format, so
//! that budgets, remote write and business figures agree on what a page says.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::body::Bytes;

pub mod protobuf;
mod read;
pub mod text;

pub use read::read;

/// Why a page cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("line {line}, column {column}: {message}")]
    Text {
        line: usize,
        column: usize,
        message: String,
    },
    #[error("byte {byte}: {message}")]
    Protobuf { byte: usize, message: String },
}

/// How a metrics page is written, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Text,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
    /// `application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily;
    /// encoding=delimited`
    Protobuf,
}

impl Format {
    /// By the content type of a page; `None` if it is none of these. A page without one is the text
    /// format.
    pub fn of(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameter = |name: &str| {
            content_type.split(';').skip(1).find_map(|part| {
                let (key, value) = part.split_once('=')?;
                key.trim()
                    .eq_ignore_ascii_case(name)
                    .then(|| value.trim().trim_matches('"').to_owned())
            })
        };
        match media.as_str() {
            "" | "text/plain" => Some(Self::Text),
            "application/openmetrics-text" => Some(Self::OpenMetrics),
            "application/vnd.google.protobuf" => {
                let fits = |name, wanted: &str| {
                    parameter(name).is_none_or(|value| value.eq_ignore_ascii_case(wanted))
                };
                (fits("proto", "io.prometheus.client.MetricFamily")
                    && fits("encoding", "delimited"))
                .then_some(Self::Protobuf)
            }
            _ => None,
        }
    }
}

/// Type of a family, in the words of OpenMetrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Unknown,
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
}

/// What stands above a family's series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family<'a> {
    pub name: Cow<'a, str>,
    pub kind: Kind,
    pub help: Cow<'a, str>,
    pub unit: Cow<'a, str>,
}

pub type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// One series of a page with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Series<'a> {
    pub family: &'a Family<'a>,
    /// With `_bucket`, `_sum`, `_count`, `_total`, … where the format has them.
    pub name: Cow<'a, str>,
    /// In the order of the page, without the name.
    pub labels: &'a [Label<'a>],
    pub value: Value,
    /// Milliseconds since 1970, where the page gives a time of its own.
    pub timestamp: Option<i64>,
    /// When the series began, milliseconds since 1970 (`_created`, `created_timestamp`).
    pub created: Option<i64>,
    pub exemplars: &'a [Exemplar<'a>],
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Native(Box<NativeHistogram>),
}

/// A native histogram, its bucket counts absolute, as remote write 2.0 and the protobuf format have
/// it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NativeHistogram {
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    pub negative_spans: Vec<Span>,
    pub negative_counts: Vec<f64>,
    pub positive_spans: Vec<Span>,
    pub positive_counts: Vec<f64>,
    /// Upper bounds of custom buckets (schema -53).
    pub custom_values: Vec<f64>,
    /// Counts are floats, not integers.
    pub float: bool,
    pub gauge: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    pub offset: i32,
    pub length: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar<'a> {
    pub labels: Vec<Label<'a>>,
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
}

/// What is scraped: an application, or the agent itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name in `/metrics/app/<name>`.
    pub name: String,
    /// Labels of the target (`job`, `instance`, `service`, `team`, …), sorted by name.
    pub labels: Vec<(String, String)>,
}

/// What one of the agent's own scrapes gave. A failed one is told, too: what follows a target has
/// to mark its series stale.
#[derive(Debug, Clone)]
pub struct Scraped {
    pub target: Arc<Target>,
    /// Milliseconds since 1970 at which it began.
    pub at: i64,
    pub seconds: f64,
    pub page: Result<Page, String>,
}

/// A page as it was after relabelling and budgets, not compressed.
#[derive(Debug, Clone)]
pub struct Page {
    pub format: Format,
    pub body: Bytes,
}

/// Who is told of the agent's own scrapes (remote write, business figures). It must not block.
pub trait Follower: Send + Sync {
    fn scraped(&self, scraped: &Scraped);
}
