//! Checks on `services.<name>.gate`: what the agent would refuse is refused here, in the spec's
//! words.

use kai_contract::agent_config::{fill_in_query, unknown_in_query};

use super::{Subject, reported};
use crate::render;
use crate::spec::{Findings, promql};

/// The agent's names of settings and the spec's.
const NAMES: [(&str, &str); 6] = [
    ("windowSeconds", "window"),
    ("minRequests", "minRequests"),
    ("maxErrorRatio", "maxErrorRatio"),
    ("errors", "errors"),
    ("total", "total"),
    ("maxErrorLogsPerMinute", "maxErrorLogsPerMinute"),
];

pub(super) fn gates_can_be_asked(subject: &Subject<'_>, findings: &mut Findings) {
    for service in subject.stack.services.values() {
        let path = |key| ["services", service.name.as_str(), "gate", key];
        let gate = &service.gate;
        for (key, other, query) in [
            ("errors", "total", (&gate.errors, &gate.total)),
            ("total", "errors", (&gate.total, &gate.errors)),
        ] {
            let (Some(query), missing) = (query.0, query.1.is_none()) else {
                continue;
            };
            if reported(findings, &path(key)) {
                continue;
            }
            if missing {
                findings
                    .error(
                        "gate",
                        subject.at(&path(key)),
                        format!("`{key}` without `{other}` gives no ratio"),
                    )
                    .help(format!("add `{other}`, or take both out"));
            }
            if unknown_in_query(query).is_some() {
                continue; // said below, in better words
            }
            let asked = fill_in_query(query, &service.name, gate.window.as_secs());
            if let Some(issue) = promql::check(&asked).filter(|issue| issue.certain) {
                findings
                    .error("gate", subject.at(&path(key)), issue.message)
                    .maybe(issue.help);
                findings.mark_broken(&path(key).join("."));
            }
        }
    }
    if reported(findings, &["ports", "base"]) {
        return; // no address could be told
    }
    let rendered = render::gate::config(subject.stack, &mut |_| "/secret".to_owned());
    for problem in rendered.problems() {
        let Some(rest) = problem.path.strip_prefix("gate.services.") else {
            continue;
        };
        let Some((service, setting)) = rest.rsplit_once('.') else {
            continue;
        };
        // Its address and interval are checked as the service's own.
        let Some((_, key)) = NAMES.iter().find(|(agent, _)| *agent == setting) else {
            continue;
        };
        let path = ["services", service, "gate", key];
        if !reported(findings, &path) {
            findings.error("gate", subject.at(&path), problem.message);
        }
    }
}
