//! Checks on rule files and `alerts.overrides`.

use std::collections::BTreeMap;

use super::{Subject, reported, suggestion};
use crate::model::Severity;
use crate::spec::rules::{LocatedRule, ReadFile, inside};
use crate::spec::source::Place;
use crate::spec::tree::Node;
use crate::spec::{Findings, check_promql, check_template, is_template, keeps_label, quoted};

/// An alert with this severity is recorded and wakes nobody, as the Watchdog does.
const NO_SEVERITY: &str = "none";

fn all<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = (&'a ReadFile, LocatedRule<'a>)> {
    subject
        .rules
        .files
        .iter()
        .flat_map(|file| file.rules().map(move |rule| (file, rule)))
}

fn is_severity(word: &str) -> bool {
    word == NO_SEVERITY || Severity::ALL.iter().any(|s| s.word() == word)
}

pub(super) fn file_names_differ(subject: &Subject<'_>, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, &ReadFile> = BTreeMap::new();
    for file in &subject.rules.files {
        if let Some(first) = seen.insert(&file.model.name, file) {
            let other = subject.sources.shown(first.file).display();
            let message = format!("{other} has the same file name");
            findings
                .error("same-file-name", Place::whole(file.file), message)
                .help("rename one; rule files end up in one folder");
        }
    }
}

pub(super) fn severities_are_known(subject: &Subject<'_>, findings: &mut Findings) {
    for (_, rule) in all(subject).filter(|(_, rule)| rule.is_alert()) {
        match rule.label("severity") {
            Some((word, _)) if is_severity(word) || is_template(word) => {}
            Some((word, place)) => severity_is_wrong(word, place, findings),
            None => {
                let message = format!("alert {} has no label `severity`", quoted(rule.name()));
                findings
                    .error("no-severity", rule.place(), message)
                    .help("add `labels: { severity: critical }` (or warning, info, none)");
            }
        }
    }
}

fn severity_is_wrong(word: &str, place: Place, findings: &mut Findings) {
    let known = Severity::ALL.iter().map(|s| s.word()).chain([NO_SEVERITY]);
    let help = match word.to_ascii_lowercase().as_str() {
        "page" | "emergency" | "fatal" | "error" | "high" => "did you mean `critical`?".to_owned(),
        "warn" | "medium" | "ticket" => "did you mean `warning`?".to_owned(),
        "notice" | "low" => "did you mean `info`?".to_owned(),
        _ => suggestion(word, known),
    };
    let message = format!("{} is not a severity", quoted(word));
    findings
        .error("unknown-severity", place, message)
        .help(help);
}

pub(super) fn teams_exist(subject: &Subject<'_>, findings: &mut Findings) {
    let teams = &subject.stack.teams;
    if reported(findings, &["teams"]) {
        return;
    }
    for (_, rule) in all(subject).filter(|(_, rule)| rule.is_alert()) {
        match rule.label("team") {
            Some((team, _)) if teams.contains_key(team) || is_template(team) => {}
            Some((team, place)) => {
                let message = format!("there is no team {}", quoted(team));
                let help = suggestion(team, teams.keys().map(String::as_str));
                findings.error("unknown-team", place, message).help(help);
            }
            // routed nowhere, so nobody needs to own it
            None if rule
                .label("severity")
                .is_some_and(|(word, _)| word == NO_SEVERITY) => {}
            // usually the series carry the team of their target
            None if keeps_label(&rule.rule.expr, "team") != Some(false) => {}
            None if overridden(subject, rule.name()) => {}
            None => {
                let fallback = &subject.stack.routing.fallback_team;
                let name = quoted(rule.name());
                let message = format!("alert {name} loses the label `team` of its series");
                let help = format!(
                    "keep it, as in `sum by (team, …)`, or add `team:` to the labels of the rule; \
                     as it is, `{fallback}` gets the alert"
                );
                findings
                    .warning("no-team-label", rule.place(), message)
                    .help(help);
            }
        }
    }
}

/// Does an override give the alert a team?
fn overridden(subject: &Subject<'_>, alert: &str) -> bool {
    let change = subject.stack.alerts.overrides.get(alert);
    change.is_some_and(|change| change.disabled || change.labels.contains_key("team"))
}

pub(super) fn expressions_parse(subject: &Subject<'_>, findings: &mut Findings) {
    for (_, rule) in all(subject) {
        let Some(node) = rule.node.get("expr").filter(|node| node.scalar().is_some()) else {
            continue;
        };
        let Some(issue) = check_promql(&rule.rule.expr) else {
            continue;
        };
        let place = inside(subject.sources, node, issue.offset, issue.length);
        let found = if issue.certain {
            findings.error("bad-promql", place, issue.message)
        } else {
            findings.warning("unjudged-promql", place, issue.message)
        };
        found.maybe(issue.help);
    }
}

pub(super) fn templates_are_whole(subject: &Subject<'_>, findings: &mut Findings) {
    for (_, rule) in all(subject).filter(|(_, rule)| rule.is_alert()) {
        for part in ["labels", "annotations"] {
            for entry in rule.node.get(part).map(Node::entries).unwrap_or_default() {
                let Some(text) = entry.value.text() else {
                    continue;
                };
                if let Err(error) = check_template(text) {
                    let place = inside(subject.sources, &entry.value, error.offset, 2);
                    findings
                        .error("bad-template", place, error.message)
                        .maybe(error.help);
                }
            }
        }
    }
}

pub(super) fn none_is_written_twice(subject: &Subject<'_>, findings: &mut Findings) {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    for (_, rule) in all(subject) {
        let mut labels = rule.group.labels.clone();
        labels.extend(rule.rule.labels.clone());
        let expr: Vec<&str> = rule.rule.expr.split_whitespace().collect();
        let same = format!("{:?} {labels:?} {}", rule.rule.kind, expr.join(" "));
        let place = rule.place();
        if let Some(first) = seen.insert(same, place) {
            let message = format!(
                "rule {} is written twice: same labels, same expression",
                quoted(rule.name())
            );
            let help = format!(
                "the first is at {}; keep one of them",
                subject.sources.locate(first)
            );
            findings.error("duplicate-rule", place, message).help(help);
        }
    }
}

pub(super) fn overrides_fit(subject: &Subject<'_>, findings: &mut Findings) {
    let alerts: Vec<&str> = subject
        .stack
        .alerts
        .files
        .iter()
        .flat_map(|file| &file.groups)
        .flat_map(|group| &group.rules)
        .filter_map(|rule| match &rule.kind {
            crate::model::RuleKind::Alert(name) => Some(name.as_str()),
            crate::model::RuleKind::Record(_) => None,
        })
        .collect();
    for (name, change) in &subject.stack.alerts.overrides {
        let path = ["alerts", "overrides", name.as_str()];
        if !alerts.contains(&name.as_str())
            && subject.rules.complete
            && !reported(findings, &path)
            && !reported(findings, &["alerts", "rules"])
        {
            let message = format!("no rule file has an alert {}", quoted(name));
            let help = suggestion(name, alerts.iter().copied());
            findings
                .error("unknown-alert", subject.key(&path), message)
                .help(help);
        }
        for (label, value) in &change.labels {
            let place = subject.at(&["alerts", "overrides", name, "labels", label]);
            match label.as_str() {
                "severity" if !is_severity(value) && !is_template(value) => {
                    severity_is_wrong(value, place, findings);
                }
                "team"
                    if !subject.stack.teams.contains_key(value)
                        && !is_template(value)
                        && !reported(findings, &["teams"]) =>
                {
                    let message = format!("there is no team {}", quoted(value));
                    let known = subject.stack.teams.keys().map(String::as_str);
                    findings
                        .error("unknown-team", place, message)
                        .help(suggestion(value, known));
                }
                "alertname" => {
                    findings
                        .error("bad-name", place, "an override cannot rename an alert")
                        .help("rename it in its rule file");
                }
                _ => {}
            }
        }
    }
}
