//! One thing that arrived: the record as it stands on disk, in the API and in the page.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::Facts;
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
