//! A fire drill: a harmless condition is raised at the agent and followed to the receiver and back,
//! with the time at each hop. A hop that does not happen by its deadline is named, with the likely
//! cause.

mod hops;

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde_json::json;

use crate::clock;
use crate::http;
use crate::model::Severity;
use crate::verify::Subject;

/// Where the alert has to pass, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    Raise,
    Metric,
    Rule,
    Alertmanager,
    Receiver,
    Clear,
    Resolved,
}

impl Hop {
    pub fn word(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Metric => "metric",
            Self::Rule => "rule",
            Self::Alertmanager => "alertmanager",
            Self::Receiver => "receiver",
            Self::Clear => "clear",
            Self::Resolved => "resolved",
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Passed {
    pub hop: Hop,
    /// Wall clock, RFC 3339.
    pub at: String,
    /// Milliseconds since the drill was raised.
    pub millis: u64,
    pub detail: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Missed {
    pub hop: Hop,
    pub within: u64,
    /// What was seen instead and what is likely to be wrong.
    pub cause: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Drill {
    pub severity: &'static str,
    #[serde(rename = "drillId")]
    pub drill_id: String,
    pub team: String,
    pub hops: Vec<Passed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
}

impl Drill {
    pub fn passed(&self) -> bool {
        self.missed.is_none()
    }
}

/// One drill's journey. `tell` hears each hop as it is passed.
pub async fn run(
    subject: &Subject<'_>,
    severity: Severity,
    team: &str,
    hop_within: Duration,
    tell: &(dyn Fn(Severity, &Passed) + Sync),
) -> Drill {
    let drill_id = format!("drill-{:08x}", rand::random::<u32>());
    let mut drill = Drill {
        severity: severity.word(),
        drill_id: drill_id.clone(),
        team: team.to_owned(),
        hops: Vec::new(),
        missed: None,
    };
    let started = Instant::now();
    let mut raised = false;
    let way = hops::Way {
        subject,
        severity,
        team,
        drill_id: &drill_id,
    };
    let before = way.handed_over().await;
    for hop in [
        Hop::Raise,
        Hop::Metric,
        Hop::Rule,
        Hop::Alertmanager,
        Hop::Receiver,
        Hop::Clear,
        Hop::Resolved,
    ] {
        match hops::pass(&way, hop, hop_within, before).await {
            Ok(detail) => {
                raised |= hop == Hop::Raise;
                raised &= hop != Hop::Clear;
                let passed = Passed {
                    hop,
                    at: clock::rfc3339(SystemTime::now()),
                    millis: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    detail,
                };
                tell(severity, &passed);
                drill.hops.push(passed);
            }
            Err(cause) => {
                drill.missed = Some(Missed {
                    hop,
                    within: hop_within.as_secs(),
                    cause,
                });
                break;
            }
        }
    }
    if raised {
        // The agent ends it by itself in the end; nobody should have to wait for that.
        let _ = clear(subject, &drill_id).await;
    }
    drill
}

async fn raise(
    subject: &Subject<'_>,
    severity: Severity,
    team: &str,
    drill_id: &str,
) -> Result<(), String> {
    let body =
        json!({ "id": drill_id, "severity": severity.word(), "team": team, "ttlSeconds": 600 });
    ask(subject, reqwest::Method::POST, "/drill", Some(body)).await
}

async fn clear(subject: &Subject<'_>, drill_id: &str) -> Result<(), String> {
    ask(
        subject,
        reqwest::Method::DELETE,
        &format!("/drill/{drill_id}"),
        None,
    )
    .await
}

/// Over the agent's admin socket.
async fn ask(
    subject: &Subject<'_>,
    method: reqwest::Method,
    path: &str,
    body: Option<serde_json::Value>,
) -> Result<(), String> {
    let socket = subject.layout.agent_socket();
    let client = http::unix_client(&socket, Duration::from_secs(5))
        .map_err(|error| format!("{}: {error}", socket.display()))?;
    let mut request = client.request(method, format!("http://agent{path}"));
    if let Some(body) = body {
        request = request.json(&body);
    }
    match request.send().await {
        Ok(reply) if reply.status().is_success() => Ok(()),
        Ok(reply) => {
            let status = reply.status();
            let text = reply.text().await.unwrap_or_default();
            Err(format!("kai-agent answered {status}: {}", text.trim()))
        }
        Err(_) => Err(format!(
            "kai-agent does not answer on {}; is it running? see `kai-observe status`",
            socket.display()
        )),
    }
}
