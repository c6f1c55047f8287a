//! What a message says about its alert, read out of whatever form the vendor gives it.

use serde::{Deserialize, Serialize};

use super::message::Status;

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
