//! How much of log lines each team may send in a day, and what happens beyond it.

use serde::{Deserialize, Serialize};

use super::{AgentConfig, Problem, Share};

/// What a team's lines may be in a day, at most: a petabyte.
const MOST_BYTES: u64 = 1_000_000_000_000_000;

/// What it may be at least on each agent: less would be spent by a start.
const LEAST_BYTES: u64 = 1_000;

const MOST_NODES: u32 = 100_000;

/// Least of all lines that can be kept of a budget that is spent.
const MOST_ONE_IN: u32 = 1_000_000;

/// `budgets.perTeam.logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogBudget {
    /// Bytes of documents that each team may send in a day (UTC), over all agents together.
    pub bytes_per_day: u64,
    /// Agents among which it is divided evenly; 1 when absent.
    #[serde(default = "one")]
    pub nodes: u32,
    /// What happens when it is spent.
    #[serde(default = "warn")]
    pub over: Vec<OverBudget>,
    /// With `sample-info`: of how many lines one is kept; 10 when absent.
    #[serde(default = "ten")]
    pub keep_one_in: u32,
}

/// What happens to a team's lines when its budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverBudget {
    /// Its people are told.
    Warn,
    /// Of its lines of level info and below only some are kept.
    SampleInfo,
}

impl OverBudget {
    pub fn word(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::SampleInfo => "sample-info",
        }
    }
}

fn one() -> u32 {
    1
}

fn ten() -> u32 {
    10
}

fn warn() -> Vec<OverBudget> {
    vec![OverBudget::Warn]
}

impl LogBudget {
    /// This agent's part.
    pub fn bytes_here(&self) -> u64 {
        self.bytes_per_day / u64::from(self.nodes.max(1))
    }

    /// What is kept of lines of level info and below when it is spent.
    pub fn share(&self) -> Option<Share> {
        self.over
            .contains(&OverBudget::SampleInfo)
            .then(|| Share::one_in(self.keep_one_in))
    }
}

impl AgentConfig {
    /// The budget of each team's log lines, if there is one.
    pub fn log_budget(&self) -> Option<&LogBudget> {
        self.budgets.as_ref()?.per_team.logs.as_ref()
    }
}

pub(super) fn check(budget: &LogBudget, found: &mut Vec<Problem>) {
    let at = |key: &str| format!("budgets.perTeam.logs.{key}");
    if !(1..=MOST_NODES).contains(&budget.nodes) {
        found.push(Problem::new(
            at("nodes"),
            format!(
                "{} is out of range; give the number of agents, from 1 to {MOST_NODES}",
                budget.nodes
            ),
        ));
    } else if budget.bytes_per_day > MOST_BYTES || budget.bytes_here() < LEAST_BYTES {
        found.push(Problem::new(
            at("bytesPerDay"),
            format!(
                "{} is out of range; give bytes from {LEAST_BYTES} for each agent to {MOST_BYTES}",
                budget.bytes_per_day
            ),
        ));
    }
    if budget.over.is_empty() {
        found.push(Problem::new(
            at("over"),
            "nothing would happen when the budget is spent; give warn, sample-info or both",
        ));
    }
    if !(2..=MOST_ONE_IN).contains(&budget.keep_one_in) {
        found.push(Problem::new(
            at("keepOneIn"),
            format!(
                "{} is out of range; give of how many lines one is kept, from 2 to {MOST_ONE_IN}",
                budget.keep_one_in
            ),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_warns_one_agent() {
        let budget: LogBudget = serde_yaml::from_str("bytesPerDay: 40000000000").unwrap();
        assert_eq!(
            (budget.bytes_here(), budget.share()),
            (40_000_000_000, None)
        );
        let text = "{bytesPerDay: 9000, nodes: 3, over: [sample-info], keepOneIn: 4}";
        let budget: LogBudget = serde_yaml::from_str(text).unwrap();
        assert_eq!(budget.bytes_here(), 3_000);
        assert_eq!(budget.share().map(Share::value), Some(0.25));
    }

    #[test]
    fn all_that_is_wrong_is_said() {
        let wrong = |text: &str| {
            let mut found = Vec::new();
            check(&serde_yaml::from_str(text).unwrap(), &mut found);
            let path = |problem: Problem| problem.path["budgets.perTeam.logs.".len()..].to_owned();
            found.into_iter().map(path).collect::<Vec<_>>()
        };
        assert_eq!(wrong("{bytesPerDay: 1000}"), [""; 0]);
        assert_eq!(wrong("{bytesPerDay: 5000, nodes: 6}"), ["bytesPerDay"]);
        assert_eq!(wrong("{bytesPerDay: 2000000000000000}"), ["bytesPerDay"]);
        let all = wrong("{bytesPerDay: 1, nodes: 0, over: [], keepOneIn: 1}");
        assert_eq!(all, ["nodes", "over", "keepOneIn"]);
        assert!(serde_yaml::from_str::<LogBudget>("{bytesPerDay: 1, over: [panic]}").is_err());
    }
}
