//! Fire drills: conditions that an operator raises through the admin socket so that an alert
//! travels all the way to its receiver. Pure bookkeeping; the time is handed in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Longest time that a drill stays raised if nobody clears it.
pub const LONGEST: Duration = Duration::from_hours(1);

/// More at once would be a mistake in a script, and each is a series.
const MOST: usize = 64;

const LONGEST_LABEL: usize = 128;

/// How loud a drill is; the label `severity` that routes the alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Critical,
    Warning,
    Info,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// A request to raise a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    pub id: String,
    pub severity: Severity,
    #[serde(default)]
    pub team: Option<String>,
    /// Seconds after which it clears itself.
    pub ttl_seconds: u64,
}

/// A raised drill, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Active {
    pub id: String,
    pub severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Seconds until it clears itself, rounded up.
    pub remaining_seconds: u64,
}

/// Why a drill was not raised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrillError {
    #[error(
        "\"{name}\" cannot be a label: use 1 to {LONGEST_LABEL} letters, digits, '-', '_', '.' and ':'"
    )]
    Label { name: &'static str },
    #[error("ttlSeconds is {0}; give 1 to {max}", max = LONGEST.as_secs())]
    Ttl(u64),
    #[error("{MOST} drills are raised already; clear some by DELETE /drill/<id>")]
    TooMany,
}

/// The raised drills by id.
#[derive(Debug, Default)]
pub struct Drills {
    raised: BTreeMap<String, Raised>,
}

#[derive(Debug)]
struct Raised {
    severity: Severity,
    team: Option<String>,
    until: Instant,
}

impl Drills {
    /// Raises a drill; one with the same id is replaced, so that a request can be repeated.
    pub fn raise(&mut self, request: Request, now: Instant) -> Result<Active, DrillError> {
        if !is_label(&request.id) {
            return Err(DrillError::Label { name: "id" });
        }
        if request.team.as_deref().is_some_and(|team| !is_label(team)) {
            return Err(DrillError::Label { name: "team" });
        }
        if request.ttl_seconds == 0 || request.ttl_seconds > LONGEST.as_secs() {
            return Err(DrillError::Ttl(request.ttl_seconds));
        }
        self.expire(now);
        if self.raised.len() >= MOST && !self.raised.contains_key(&request.id) {
            return Err(DrillError::TooMany);
        }
        let until = now + Duration::from_secs(request.ttl_seconds);
        let raised = Raised {
            severity: request.severity,
            team: request.team,
            until,
        };
        let active = show(&request.id, &raised, now);
        self.raised.insert(request.id, raised);
        Ok(active)
    }

    /// Whether there was one to clear.
    pub fn clear(&mut self, id: &str, now: Instant) -> bool {
        self.expire(now);
        self.raised.remove(id).is_some()
    }

    /// What is raised now.
    pub fn active(&mut self, now: Instant) -> Vec<Active> {
        self.expire(now);
        self.raised
            .iter()
            .map(|(id, raised)| show(id, raised, now))
            .collect()
    }

    fn expire(&mut self, now: Instant) {
        self.raised.retain(|_, raised| raised.until > now);
    }
}

fn show(id: &str, raised: &Raised, now: Instant) -> Active {
    let left = raised.until.saturating_duration_since(now);
    Active {
        id: id.to_owned(),
        severity: raised.severity,
        team: raised.team.clone(),
        remaining_seconds: left.as_secs() + u64::from(left.subsec_nanos() > 0),
    }
}

fn is_label(text: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str, ttl_seconds: u64) -> Request {
        Request {
            id: id.to_owned(),
            severity: Severity::Critical,
            team: None,
            ttl_seconds,
        }
    }

    #[test]
    fn a_drill_clears_itself() {
        let mut drills = Drills::default();
        let start = Instant::now();
        drills.raise(request("a", 60), start).unwrap();
        assert_eq!(
            drills.active(start + Duration::from_secs(59))[0].remaining_seconds,
            1
        );
        assert_eq!(drills.active(start + Duration::from_mins(1)), []);
    }

    #[test]
    fn the_same_id_replaces_and_can_be_cleared_once() {
        let mut drills = Drills::default();
        let start = Instant::now();
        drills.raise(request("a", 60), start).unwrap();
        drills.raise(request("a", 120), start).unwrap();
        assert_eq!(drills.active(start)[0].remaining_seconds, 120);
        assert!(drills.clear("a", start));
        assert!(!drills.clear("a", start));
    }

    #[test]
    fn bad_requests_are_refused() {
        let mut drills = Drills::default();
        let start = Instant::now();
        let mut raise = |request| drills.raise(request, start).unwrap_err();
        assert_eq!(raise(request("", 60)), DrillError::Label { name: "id" });
        assert_eq!(raise(request("a b", 60)), DrillError::Label { name: "id" });
        assert_eq!(raise(request("a", 0)), DrillError::Ttl(0));
        assert_eq!(raise(request("a", 3601)), DrillError::Ttl(3601));
        let team = Request {
            team: Some("a\"b".to_owned()),
            ..request("a", 1)
        };
        assert_eq!(raise(team), DrillError::Label { name: "team" });
        for index in 0..MOST {
            drills
                .raise(request(&index.to_string(), 60), start)
                .unwrap();
        }
        assert_eq!(
            drills.raise(request("more", 60), start),
            Err(DrillError::TooMany)
        );
        assert!(drills.raise(request("1", 60), start).is_ok());
        assert!(
            drills
                .raise(request("more", 60), start + Duration::from_secs(61))
                .is_ok()
        );
    }
}
