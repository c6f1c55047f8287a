//! Evidence to verdict, pure: no clock, no network. Missing evidence is never a pass.
//!
//! ```text
//! of a check     no data: an answer is missing, malformed, partial, stale or not a number
//!                fail: the limit is clearly broken
//!                inconclusive: too few requests, only part of the window, contradictory
//!                pass: everything is there and within the limit
//! of all checks  fail beats no data beats inconclusive beats pass; no checks at all: no data
//! ```

use kai_contract::exit;
use serde::{Deserialize, Serialize};

use super::evidence::{Answer, Evidence, Question};

mod alerts;
mod health;
mod logs;
mod prometheus;
mod ratio;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

/// In the order in which one beats the other, the strongest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Pass,
    Inconclusive,
    NoData,
    Fail,
}

impl Verdict {
    pub fn words(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::NoData => "no data",
            Self::Fail => "fail",
        }
    }

    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => exit::OK,
            Self::Fail => exit::CHANGES,
            Self::Inconclusive => exit::INCONCLUSIVE,
            Self::NoData => exit::NO_DATA,
        }
    }
}

/// The verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Judgement {
    pub verdict: Verdict,
    pub checks: Vec<Finding>,
}

/// One check's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finding {
    pub check: Check,
    pub verdict: Verdict,
    /// What was seen, in a few words.
    pub seen: String,
    pub limit: String,
    /// Why it is no pass; for a pass, what else there is to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    Health,
    ErrorRatio,
    ErrorLogs,
    CriticalAlerts,
}

impl Check {
    pub fn words(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::ErrorRatio => "error ratio",
            Self::ErrorLogs => "error logs",
            Self::CriticalAlerts => "critical alerts",
        }
    }
}

/// The verdict on a round of questions.
pub fn judge(evidence: &Evidence) -> Judgement {
    let checks = &evidence.checks;
    let findings: Vec<Finding> = [
        checks
            .health
            .as_ref()
            .map(|check| health::judge(check, evidence)),
        checks
            .error_ratio
            .as_ref()
            .map(|check| ratio::judge(check, evidence)),
        checks
            .error_logs
            .as_ref()
            .map(|check| logs::judge(check, evidence)),
        checks
            .critical_alerts
            .as_ref()
            .map(|check| alerts::judge(check, evidence)),
    ]
    .into_iter()
    .flatten()
    .collect();
    Judgement {
        verdict: overall(findings.iter().map(|finding| finding.verdict)),
        checks: findings,
    }
}

/// Unix milliseconds by Prometheus' clock, from its answer to `time()`.
pub fn sample_time(body: &str) -> Option<i64> {
    prometheus::sample(body).ok().map(|(at, _)| at)
}

/// The strongest; of nothing, no data.
fn overall(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.max().unwrap_or(Verdict::NoData)
}

/// The body of the one good answer to a question, or why there is none.
fn body(evidence: &Evidence, question: Question) -> Result<&str, String> {
    let mut answers = evidence
        .answers
        .iter()
        .filter(|asked| asked.question == question);
    let what = question.words();
    let Some(asked) = answers.next() else {
        return Err(format!("{what}: not asked"));
    };
    if answers.next().is_some() {
        return Err(format!("{what}: there is more than one answer"));
    }
    match &asked.answer {
        Answer::Failed { reason, .. } => Err(format!("{what}: {reason}")),
        Answer::Reply {
            status: 200, body, ..
        } => Ok(body),
        Answer::Reply {
            status,
            location,
            body,
        } => Err(match location {
            Some(location) => format!(
                "{what}: answered {status}, a redirect to {location}; configure that address"
            ),
            None => format!("{what}: answered {status}{}", said(body)),
        }),
    }
}

/// `: what a server said of an error`, short.
fn said(body: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let told = [
        &value["error"]["reason"], // Elasticsearch
        &value["error"]["root_cause"][0]["reason"],
        &value["error"], // Prometheus
        &value["message"],
    ]
    .into_iter()
    .find_map(|text| text.as_str());
    let text: String = told
        .unwrap_or(body)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect();
    let text = text.trim();
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// `1.25`, `0.4`, `684`: at most two places.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
