//! One thing that arrived: the record as it stands on disk, in the API and in the page.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model;

/// The vendor that the sender meant to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Pagerduty,
    Slack,
    Email,
    /// Only refused heartbeats are records; accepted ones are counted, see `/api/heartbeats`.
    Heartbeat,
}

impl Channel {
    pub const ALL: [Self; 4] = [Self::Pagerduty, Self::Slack, Self::Email, Self::Heartbeat];

    pub fn word(self) -> &'static str {
        match self {
            Self::Pagerduty => "pagerduty",
            Self::Slack => "slack",
            Self::Email => "email",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Pagerduty => "PagerDuty Events v2",
            Self::Slack => "Slack webhook",
            Self::Email => "e-mail",
            Self::Heartbeat => "heartbeat",
        }
    }
}

impl From<model::Channel> for Channel {
    fn from(channel: model::Channel) -> Self {
        match channel {
            model::Channel::Pagerduty => Self::Pagerduty,
            model::Channel::Slack => Self::Slack,
            model::Channel::Email => Self::Email,
        }
    }
}

/// PagerDuty's event actions, its change events, and everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Trigger,
    Acknowledge,
    Resolve,
    Message,
    Change,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
            Self::Message => "message",
            Self::Change => "change",
        }
    }
}

/// Alertmanager's word for a notification as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Firing,
    Resolved,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }

    /// Reads `firing`, `resolved` in any case, also with Alertmanager's count (`firing:2`).
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.trim().split(':').next().unwrap_or_default();
        if word.eq_ignore_ascii_case("firing") {
            Some(Self::Firing)
        } else if word.eq_ignore_ascii_case("resolved") {
            Some(Self::Resolved)
        } else {
            None
        }
    }
}

/// What was answered: the HTTP status, or the SMTP reply code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Verdict {
    Accepted { status: u16 },
    Refused { status: u16, reasons: Vec<String> },
}

impl Verdict {
    pub fn accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    pub fn word(&self) -> &'static str {
        if self.accepted() {
            "accepted"
        } else {
            "refused"
        }
    }

    pub fn status(&self) -> u16 {
        match self {
            Self::Accepted { status } | Self::Refused { status, .. } => *status,
        }
    }

    pub fn reasons(&self) -> &[String] {
        match self {
            Self::Accepted { .. } => &[],
            Self::Refused { reasons, .. } => reasons,
        }
    }
}

/// What could be read out of the content. All of it is the sender's word.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alertname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedup_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// Longest fact kept beside the raw content, in characters; the summary may be longer.
const FACT_CHARS: usize = 256;
const SUMMARY_CHARS: usize = 2048;

impl Facts {
    /// Takes one machine-readable pair, as the alert templates write them. Unknown names and empty
    /// values change nothing.
    pub fn take(&mut self, name: &str, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let name = name.trim().to_ascii_lowercase().replace([' ', '-'], "_");
        let slot = match name.as_str() {
            "alertname" => &mut self.alertname,
            "severity" => &mut self.severity,
            "team" => &mut self.team,
            "service" => &mut self.service,
            "environment" => &mut self.environment,
            "drill_id" | "drill" => &mut self.drill_id,
            "starts_at" => &mut self.starts_at,
            "runbook" | "runbook_url" => &mut self.runbook,
            "summary" => &mut self.summary,
            "status" => {
                self.status = Status::parse(value).or(self.status);
                return;
            }
            _ => return,
        };
        *slot = Some(value.to_owned());
    }

    /// Reads Alertmanager's own subject and title: `[FIRING:2] HighLoad (…)`.
    pub fn take_title(&mut self, title: &str) {
        let Some((bracket, rest)) = title
            .trim()
            .strip_prefix('[')
            .and_then(|t| t.split_once(']'))
        else {
            return;
        };
        let Some(status) = Status::parse(bracket) else {
            return;
        };
        self.status = self.status.or(Some(status));
        if self.alertname.is_none() {
            let name = rest.split_whitespace().next().unwrap_or_default();
            let name = name.trim_end_matches(':');
            if !name.is_empty() {
                self.alertname = Some(name.to_owned());
            }
        }
    }

    /// Cuts every fact to a length that an index in memory can afford.
    pub fn bound(&mut self) {
        for slot in [
            &mut self.alertname,
            &mut self.severity,
            &mut self.team,
            &mut self.service,
            &mut self.environment,
            &mut self.drill_id,
            &mut self.starts_at,
            &mut self.dedup_key,
            &mut self.runbook,
        ] {
            cut(slot, FACT_CHARS);
        }
        cut(&mut self.summary, SUMMARY_CHARS);
    }
}

fn cut(slot: &mut Option<String>, chars: usize) {
    if let Some(text) = slot
        && let Some((at, _)) = text.char_indices().nth(chars)
    {
        text.truncate(at);
        text.push('…');
    }
}

/// An e-mail as a person reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The envelope: what MAIL FROM and RCPT TO said.
    pub mail_from: String,
    pub rcpt_to: Vec<String>,
    /// The header fields, decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The parts, decoded. Left out of listings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// `name (type, bytes)` of what else was in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
}

/// One thing that arrived, before it has a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub channel: Channel,
    /// Where it was sent, tokens cut to `…` and their last four characters.
    pub endpoint: String,
    pub kind: Kind,
    pub verdict: Verdict,
    pub facts: Facts,
    pub mail: Option<Mail>,
    /// The request body: JSON where it was JSON, text otherwise. Tokens cut.
    pub raw: Value,
    /// `raw` is not all that arrived.
    pub truncated: bool,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Grows by one with every record, across restarts.
    pub id: u64,
    /// RFC 3339, UTC, milliseconds.
    pub received: String,
    pub channel: Channel,
    pub endpoint: String,
    pub kind: Kind,
    pub verdict: Verdict,
    #[serde(flatten)]
    pub facts: Facts,
    /// The record that opened what this one repeats, acknowledges or resolves; its own id when it
    /// opened something itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// Left out of listings unless asked for.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub raw: Value,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl Message {
    /// This record says that something began or goes on.
    pub fn opens(&self) -> bool {
        self.verdict.accepted()
            && match self.kind {
                Kind::Trigger => true,
                Kind::Message => self.facts.status == Some(Status::Firing),
                Kind::Acknowledge | Kind::Resolve | Kind::Change => false,
            }
    }

    /// This record says that something ended.
    pub fn closes(&self) -> bool {
        self.verdict.accepted()
            && match self.kind {
                Kind::Resolve => true,
                Kind::Message => self.facts.status == Some(Status::Resolved),
                Kind::Trigger | Kind::Acknowledge | Kind::Change => false,
            }
    }

    /// What says that two records are about the same thing: PagerDuty's dedup key within one
    /// integration; for the other vendors, which have none, where it went and what the alert is.
    pub fn pair_key(&self) -> Option<String> {
        let facts = &self.facts;
        if let Some(key) = &facts.dedup_key {
            return Some(format!("{}\0{}\0{key}", self.channel.word(), self.endpoint));
        }
        let name = facts.alertname.as_deref()?;
        let part = |value: &Option<String>| value.clone().unwrap_or_default();
        Some(
            [
                self.channel.word().to_owned(),
                self.endpoint.clone(),
                name.to_owned(),
                part(&facts.team),
                part(&facts.service),
                part(&facts.severity),
                part(&facts.environment),
                part(&facts.drill_id),
            ]
            .join("\0"),
        )
    }

    /// The record without what makes it large: for listings and for the index in memory.
    #[must_use]
    pub fn brief(&self) -> Self {
        let mail = self.mail.as_ref().map(|mail| Mail {
            text: None,
            html: None,
            attachments: Vec::new(),
            rcpt_to: mail.rcpt_to.iter().take(5).cloned().collect(),
            ..mail.clone()
        });
        Self {
            mail,
            raw: Value::Null,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_take_the_templates_words() {
        let mut facts = Facts::default();
        for (name, value) in [
            ("Alertname", "PaymentFailureRateHigh"),
            ("severity", "critical"),
            ("Drill ID", "d-1"),
            ("status", "FIRING:3"),
            ("team", "  "),
            ("num_firing", "3"),
            ("runbook_url", "docs/runbooks/a.md"),
        ] {
            facts.take(name, value);
        }
        assert_eq!(facts.alertname.as_deref(), Some("PaymentFailureRateHigh"));
        assert_eq!(facts.drill_id.as_deref(), Some("d-1"));
        assert_eq!(facts.status, Some(Status::Firing));
        assert_eq!(facts.team, None);
        assert_eq!(facts.runbook.as_deref(), Some("docs/runbooks/a.md"));
    }

    #[test]
    fn the_default_title_of_alertmanager_is_read() {
        let mut facts = Facts::default();
        facts.take_title("[RESOLVED] HighLoad (node critical)");
        assert_eq!(facts.status, Some(Status::Resolved));
        assert_eq!(facts.alertname.as_deref(), Some("HighLoad"));
        let mut other = Facts::default();
        other.take_title("[ticket 12] hello");
        assert_eq!(other, Facts::default());
    }

    #[test]
    fn long_facts_are_cut_on_a_character() {
        let mut facts = Facts {
            team: Some("ä".repeat(5000)),
            ..Facts::default()
        };
        facts.bound();
        assert_eq!(
            facts.team.map(|team| team.chars().count()),
            Some(FACT_CHARS + 1)
        );
    }
}
