//! Checks on `services`.

use std::collections::BTreeMap;

use super::{Subject, reported, suggestion};
use crate::spec::{Findings, names_a_secret, quoted};

/// Names of the stack's own scrape jobs and processes.
const TAKEN: [&str; 10] = [
    "prometheus",
    "alertmanager",
    "inbox",
    "kai-inbox",
    "agent",
    "kai-agent",
    "elasticsearch",
    "jaeger",
    "grafana",
    "kibana",
];

pub(super) fn team_exists(subject: &Subject<'_>, findings: &mut Findings) {
    let teams = &subject.stack.teams;
    for service in subject.stack.services.values() {
        let path = ["services", service.name.as_str(), "team"];
        if teams.contains_key(&service.team)
            || reported(findings, &path)
            || reported(findings, &["teams"])
        {
            continue;
        }
        let message = format!("there is no team {}", quoted(&service.team));
        let help = if teams.is_empty() {
            format!("add it: `teams: {{ {}: {{ email: … }} }}`", service.team)
        } else {
            suggestion(&service.team, teams.keys().map(String::as_str))
        };
        findings
            .error("unknown-team", subject.at(&path), message)
            .help(help);
    }
}

pub(super) fn name_is_free(subject: &Subject<'_>, findings: &mut Findings) {
    for name in subject
        .stack
        .services
        .keys()
        .filter(|n| TAKEN.contains(&n.as_str()))
    {
        let place = subject.key(&["services", name]);
        findings
            .error(
                "name-taken",
                place,
                format!("the stack itself has a part named `{name}`"),
            )
            .help(format!(
                "give the service another name, for example `{name}-service`"
            ));
    }
}

pub(super) fn component_exists(subject: &Subject<'_>, findings: &mut Findings) {
    let known = subject.known_components;
    for service in subject.stack.services.values() {
        let Some(run) = &service.run else { continue };
        let path = ["services", service.name.as_str(), "run", "component"];
        if known.contains(&run.component.as_str()) || reported(findings, &path) {
            continue;
        }
        let message = format!("there is no component {}", quoted(&run.component));
        let help = suggestion(&run.component, known.iter().copied());
        findings
            .error("unknown-component", subject.at(&path), message)
            .help(help);
    }
}

pub(super) fn pages_differ(subject: &Subject<'_>, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for service in subject.stack.services.values() {
        let name = service.name.as_str();
        let Some(page) = service.metrics.as_deref() else {
            let path = ["services", name, "metrics"];
            let watched = service.health.is_some() || service.logs.is_some();
            if !watched && !reported(findings, &path) {
                findings
                    .warning(
                        "nothing-to-observe",
                        subject.key(&["services", name]),
                        format!("service `{name}` has neither `metrics` nor `health` nor `logs`"),
                    )
                    .help("add `metrics: http://…`; nothing is known about it yet");
            }
            continue;
        };
        if let Some(other) = seen.insert(page, name) {
            let place = subject.at(&["services", name, "metrics"]);
            let message = format!("service `{other}` has the same metrics page");
            let help = "every series would be there twice; give each service its own page";
            findings.error("same-page", place, message).help(help);
        }
    }
}

pub(super) fn env_is_public(subject: &Subject<'_>, findings: &mut Findings) {
    for service in subject.stack.services.values() {
        let variables = service.run.iter().flat_map(|run| run.env.keys());
        for variable in variables.filter(|name| names_a_secret(name)) {
            let place = subject.key(&["services", &service.name, "run", "env", variable]);
            let message =
                format!("`{variable}` sounds like a secret, and this file is not the place");
            let help = "set it in the environment of kai-observe, which its processes inherit";
            findings.warning("secret-in-env", place, message).help(help);
        }
    }
}
