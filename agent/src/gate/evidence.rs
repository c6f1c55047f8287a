//! The evidence file: what was asked, what came back, under which limits. Whatever the verdict
//! needs is in it, so that it can be recomputed offline; no secret is. Numbers that are not whole
//! are written as text (as Prometheus writes its values), so that the file survives a pass through
//! any JSON tool with its digest intact.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::judge::{self, Judgement};

/// Grows with every change that an older reader could not judge rightly.
pub const FORMAT: u32 = 1;

/// A larger file is no evidence of ours.
pub const LARGEST: u64 = 64 << 20;

/// The file as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    pub evidence: Evidence,
    /// For readers; `replay` judges anew.
    pub judgement: Judgement,
    /// Over the two above. It notices an edit; it is no signature.
    pub sha256: String,
}

/// One round of questions about one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    pub format: u32,
    /// Program and version that asked.
    pub tool: String,
    pub service: String,
    /// The release that is judged, if its name was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Unix milliseconds by this machine's clock.
    pub started_at: i64,
    pub ended_at: i64,
    pub checks: Checks,
    pub answers: Vec<Asked>,
}

/// What has to be there for a pass, and the limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checks {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_ratio: Option<RatioCheck>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_logs: Option<LogsCheck>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_alerts: Option<AlertsCheck>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// How many answers there must be.
    pub probes: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RatioCheck {
    /// Unix milliseconds by Prometheus' clock: the end of the window.
    pub evaluated_at: i64,
    pub window_seconds: u64,
    pub min_requests: u64,
    pub max_error_ratio: Decimal,
    pub scrape_interval_seconds: u64,
    /// Whether the targets' `up` was asked.
    pub up: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogsCheck {
    /// Unix milliseconds: the end of the window.
    pub until: i64,
    pub window_seconds: u64,
    pub max_per_minute: Decimal,
    /// Whether a window without any document is no evidence.
    pub require_documents: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlertsCheck {
    /// The alert that must be there for the absence of others to mean something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<String>,
}

/// A finite number, written as text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(f64);

/// Never NaN, hence equal to itself.
impl Eq for Decimal {}

impl Decimal {
    pub fn new(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }
    /// The strictest limit.
    pub fn zero() -> Self {
        Self(0.0)
    }
    pub fn get(self) -> f64 {
        self.0
    }
}

impl From<Decimal> for String {
    fn from(number: Decimal) -> Self {
        number.0.to_string()
    }
}

impl TryFrom<String> for Decimal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| format!("{text:?} is no number"))
    }
}

/// What a question is about; each is asked once, but `health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Question {
    /// The service's health page.
    Health,
    /// Prometheus' own clock, by which the window ends.
    Clock,
    Errors,
    Total,
    /// Unix time of the newest sample of the counted series.
    Newest,
    /// How often that time moved on within the window, in steps of the scrape interval.
    Coverage,
    /// The lowest `up` of the service's targets.
    Up,
    ErrorLogs,
    CriticalAlerts,
    Watchdog,
}

impl Question {
    pub fn words(self) -> &'static str {
        match self {
            Self::Health => "the health page",
            Self::Clock => "Prometheus' clock",
            Self::Errors => "failed requests",
            Self::Total => "all requests",
            Self::Newest => "the newest sample",
            Self::Coverage => "the samples in the window",
            Self::Up => "the targets' up",
            Self::ErrorLogs => "the error documents",
            Self::CriticalAlerts => "the open alerts",
            Self::Watchdog => "the watchdog alert",
        }
    }
}

/// A question and what came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asked {
    pub question: Question,
    /// Method and address, without what could be a secret.
    pub request: String,
    /// The query or the body of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Unix milliseconds by this machine's clock.
    pub at: i64,
    pub took_ms: u64,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Answer {
    Reply {
        status: u16,
        /// Where a redirect leads.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
        /// As it was sent; of a health page only the beginning, and only when it is not well.
        body: String,
    },
    Failed {
        kind: Failure,
        reason: String,
    },
}

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Failure {
    /// The question could not be put: no such host, an unusable address, an unreadable secret.
    NotAsked,
    /// Refused, reset, closed.
    Connection,
    Timeout,
    Tls,
    /// Not HTTP, not UTF-8, too large.
    Unusable,
}

/// Why a file is not judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("it is no evidence file of this version: {0}")]
    Parse(String),
    #[error(
        "it has format {0}, this kai-agent reads format {FORMAT}; use the version that wrote it"
    )]
    Format(u32),
    #[error(
        "it was changed after it was written: its content has the digest {found}, it says {said}; \
         take the original, or ask again with `kai-agent gate`"
    )]
    Changed { said: String, found: String },
}

impl File {
    /// Judged and sealed.
    pub fn new(evidence: Evidence) -> Self {
        let judgement = judge::judge(&evidence);
        let sha256 = digest(&evidence, &judgement);
        Self {
            evidence,
            judgement,
            sha256,
        }
    }

    pub fn to_text(&self) -> String {
        // Maps with text keys, numbers and text: nothing in it that JSON could not hold.
        serde_json::to_string_pretty(self).map_or_else(|_| String::new(), |text| text + "\n")
    }

    /// Reads a file and checks its digest.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        #[derive(Deserialize)]
        struct Any {
            evidence: AnyEvidence,
        }
        #[derive(Deserialize)]
        struct AnyEvidence {
            format: u32,
        }
        // A newer file is told from a damaged one.
        if let Ok(any) = serde_json::from_slice::<Any>(bytes)
            && any.evidence.format != FORMAT
        {
            return Err(FileError::Format(any.evidence.format));
        }
        let file: Self =
            serde_json::from_slice(bytes).map_err(|error| FileError::Parse(error.to_string()))?;
        let found = digest(&file.evidence, &file.judgement);
        if found == file.sha256 {
            Ok(file)
        } else {
            Err(FileError::Changed {
                said: file.sha256,
                found,
            })
        }
    }
}

/// SHA-256 over the compact JSON of both, in hexadecimal.
fn digest(evidence: &Evidence, judgement: &Judgement) -> String {
    let bytes = serde_json::to_vec(&(evidence, judgement)).unwrap_or_default();
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}"); // writing to a String does not fail
    }
    text
}
