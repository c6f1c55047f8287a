//! `event deploy`: one event, told to everybody concerned. The id follows from what is said, so
//! that a step that is repeated is the same event: whoever can be asked is asked whether it is
//! there; whoever cannot (PagerDuty, Slack, mail) is remembered in a ledger beside the stack's data.
//!
//! ```text
//! deploy ─▶ letters (pure: document, annotation, notices) ─▶ send, each on its own ─▶ ledger
//! ```

mod ledger;
mod letters;
mod recipients;
pub mod send;

use serde::Serialize;

use crate::inbox::time::Instant;
use crate::resource::digest;

pub use ledger::Ledger;
pub use letters::preview;
pub use recipients::{Recipient, Way, recipients};
pub use send::tell;

/// How a deploy went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Started,
    Succeeded,
    Failed,
    RolledBack,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
        }
    }
}

/// A deploy of one service in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deploy {
    pub id: String,
    pub service: String,
    pub team: String,
    pub environment: String,
    pub stack: String,
    pub version: String,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// RFC 3339.
    pub at: String,
    #[serde(skip)]
    pub at_millis: i64,
}

/// What the command line said.
#[derive(Debug, Clone)]
pub struct Said {
    pub service: String,
    pub version: String,
    pub outcome: Outcome,
    pub commit: Option<String>,
    pub by: Option<String>,
    pub url: Option<String>,
    /// `None`: now, which is then no part of the id.
    pub at: Option<Instant>,
}

impl Deploy {
    /// Of a service that the stack has; `None` of another.
    pub fn new(stack: &crate::model::Stack, said: Said, now: Instant) -> Option<Self> {
        let service = stack.services.get(&said.service)?;
        let id = id(&stack.owner.to_string(), &said);
        let at = said.at.unwrap_or(now);
        Some(Self {
            id,
            service: said.service,
            team: service.team.clone(),
            environment: stack.environment.clone(),
            stack: stack.name.clone(),
            version: said.version,
            outcome: said.outcome,
            commit: said.commit,
            by: said.by,
            url: said.url,
            at: at.rfc3339(),
            at_millis: at.0,
        })
    }

    /// `booking 1.4.2 deployed to prod`
    pub fn title(&self) -> String {
        let Self {
            service,
            version,
            environment,
            ..
        } = self;
        match self.outcome {
            Outcome::Started => format!("Deploy of {service} {version} to {environment} started"),
            Outcome::Succeeded => format!("{service} {version} deployed to {environment}"),
            Outcome::Failed => format!("Deploy of {service} {version} to {environment} failed"),
            Outcome::RolledBack => {
                format!("{service} {version} rolled back in {environment}")
            }
        }
    }
}

/// 32 hexadecimal digits over what was said, with lengths, so that no two readings meet.
fn id(owner: &str, said: &Said) -> String {
    let at = said.at.map(Instant::rfc3339);
    let mut text = String::from("deploy/1");
    for part in [
        Some(owner),
        Some(&said.service),
        Some(&said.version),
        Some(said.outcome.word()),
        said.commit.as_deref(),
        said.by.as_deref(),
        said.url.as_deref(),
        at.as_deref(),
    ] {
        match part {
            Some(part) => text.push_str(&format!("\n{}:{part}", part.len())),
            None => text.push_str("\n-"),
        }
    }
    digest(text)[..32].to_owned()
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result", content = "reason")]
pub enum Told {
    Told,
    /// An earlier run told it.
    Already,
    /// The spec does not want it.
    NotAsked(String),
    /// It is wanted, and not on this machine.
    NotInstalled(String),
    Failed(String),
}

impl Told {
    pub fn words(&self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Already => "told before",
            Self::NotAsked(_) => "not asked",
            Self::NotInstalled(_) => "not installed",
            Self::Failed(_) => "failed",
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Told | Self::Already => None,
            Self::NotAsked(reason) | Self::NotInstalled(reason) | Self::Failed(reason) => {
                Some(reason)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        Said {
            service: "booking".into(),
            version: "1.4.2".into(),
            outcome: Outcome::Succeeded,
            commit: None,
            by: None,
            url: None,
            at: None,
        }
    }

    #[test]
    fn the_id_follows_from_what_is_said() {
        let ids: Vec<String> = [
            said(),
            Said {
                version: "1.4.3".into(),
                ..said()
            },
            Said {
                outcome: Outcome::Started,
                ..said()
            },
            Said {
                commit: Some("x".into()),
                ..said()
            },
            Said {
                by: Some("x".into()),
                ..said()
            },
            Said {
                url: Some("x".into()),
                ..said()
            },
            Said {
                at: Some(Instant(0)),
                ..said()
            },
            // The same letters, divided otherwise.
            Said {
                commit: Some("1:a".into()),
                by: Some("b".into()),
                ..said()
            },
            Said {
                commit: Some("1".into()),
                by: Some("a\n1:b".into()),
                ..said()
            },
        ]
        .iter()
        .map(|said| id("owner", said))
        .collect();
        let mut distinct = ids.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(id("owner", &said()), ids[0]);
        assert_ne!(id("another", &said()), ids[0]);
        assert_eq!(ids[0].len(), 32);
    }
}
