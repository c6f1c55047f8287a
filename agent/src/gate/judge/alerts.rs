//! Open critical alerts of the service, by Alertmanager's API v2: neither silenced nor inhibited.

use std::collections::BTreeMap;

use kai_contract::signals::LABEL_SEVERITY;
use serde::Deserialize;

use super::{Check, Evidence, Finding, Verdict, body};
use crate::gate::evidence::{AlertsCheck, Question};

#[derive(Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    state: String,
}

impl Alert {
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

pub(super) fn judge(check: &AlertsCheck, evidence: &Evidence) -> Finding {
    let mut reasons = Vec::new();
    let mut verdict = Verdict::Pass;
    let mut seen = "none open".to_owned();
    match read(evidence, Question::CriticalAlerts) {
        Ok(alerts) => {
            // The server was asked for these alone; that it did so is not taken for granted.
            let mut open: Vec<&str> = alerts
                .iter()
                .filter(|alert| {
                    alert.label("service") == evidence.service
                        && alert.label(LABEL_SEVERITY) == "critical"
                        && alert.status.state != "suppressed"
                })
                .map(|alert| alert.label("alertname"))
                .collect();
            open.sort_unstable();
            open.dedup();
            if !open.is_empty() {
                verdict = Verdict::Fail;
                seen = format!("{} open", open.len());
                reasons.push(format!("open: {}", open.join(", ")));
            }
        }
        Err(reason) => {
            verdict = Verdict::NoData;
            "nothing to judge by".clone_into(&mut seen);
            reasons.push(reason);
        }
    }
    if let Some(name) = &check.watchdog {
        let missing = match read(evidence, Question::Watchdog) {
            Ok(alerts) if alerts.iter().any(|alert| alert.label("alertname") == name) => None,
            Ok(_) => Some(format!(
                "the alert {name}, which always fires, is not there: nobody feeds this \
                 Alertmanager, so that no alert says nothing"
            )),
            Err(reason) => Some(reason),
        };
        if let Some(reason) = missing {
            verdict = verdict.max(Verdict::NoData);
            reasons.push(reason);
        }
    }
    Finding {
        check: Check::CriticalAlerts,
        verdict,
        seen,
        limit: "none".to_owned(),
        reasons,
    }
}

fn read(evidence: &Evidence, question: Question) -> Result<Vec<Alert>, String> {
    let body = body(evidence, question)?;
    serde_json::from_str(body)
        .map_err(|error| format!("{}: no list of alerts: {error}", question.words()))
}
