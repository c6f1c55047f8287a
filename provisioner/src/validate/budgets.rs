//! Checks on `budgets`.

use super::{Subject, reported};
use crate::model::OverBudget;
use crate::spec::Findings;

/// What the agent takes at least.
const LEAST_HERE: u64 = 1_000;

pub(super) fn lines_have_one(subject: &Subject<'_>, findings: &mut Findings) {
    if reported(findings, &["budgets"]) {
        return;
    }
    let given = |key: &'static str| {
        let path = ["budgets", key];
        subject.tree.find(&path).map(|_| path)
    };
    let Some(budget) = &subject.stack.log_budget else {
        if subject.tree.find(&["budgets", "perTeam", "logs"]).is_some() {
            return; // what it says cannot be read
        }
        for path in ["over", "keepOneIn", "nodes"].into_iter().filter_map(given) {
            let message = format!("`{}` is about lines, and they have no budget", path[1]);
            findings
                .error("budget", subject.key(&path), message)
                .help("add perTeam: { logs: 40GB/d }, or take it out");
        }
        return;
    };
    if !budget.over.contains(&OverBudget::SampleInfo)
        && let Some(path) = given("keepOneIn")
    {
        let message = "`keepOneIn` is for `sample-info`, which `over` does not have";
        findings
            .error("budget", subject.key(&path), message)
            .help("write over: [warn, sample-info], or take it out");
    }
    if budget.bytes_here() < LEAST_HERE
        && let Some(path) = given("nodes")
    {
        let message = format!(
            "each of {} agents would have less than a kilobyte of {} bytes in a day",
            budget.nodes, budget.bytes_per_day
        );
        findings
            .error("budget", subject.at(&path), message)
            .help("give a larger budget, or fewer nodes");
    }
}
