//! Checks on `services.<name>.logs` and `privacy`.

use std::time::Duration;

use kai_contract::agent_config::LEVELS;
use kai_contract::expression;

use super::{Subject, reported};
use crate::model::{LogFormat, Multiline};
use crate::spec::Findings;

/// As long as the agent waits for the rest of an event.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

pub(super) fn patterns_fit(subject: &Subject<'_>, findings: &mut Findings) {
    for service in subject.stack.services.values() {
        let Some(logs) = &service.logs else {
            continue;
        };
        let path = ["services", service.name.as_str(), "logs", "pattern"];
        let by_pattern = logs.format == LogFormat::Pattern;
        if reported(findings, &path) {
            continue;
        }
        let (place, message, help) = match &logs.pattern {
            None if by_pattern => (
                subject.at(&path[..3]),
                "`format: pattern` needs a `pattern`",
                "give a regular expression whose named groups become fields, for example \
                 pattern: '^(?<log.level>[A-Z]+) (?<route>\\S+)'",
            ),
            Some(_) if !by_pattern => (
                subject.at(&path),
                "a pattern is used only with `format: pattern`",
                "write `format: pattern`, or take the pattern out",
            ),
            Some(pattern) if !names_a_group(pattern) => (
                subject.at(&path),
                "the pattern has no named group, so no line would get a field",
                "name what becomes a field, for example (?<route>\\S+)",
            ),
            _ => continue,
        };
        findings.error("log-pattern", place, message).help(help);
    }
}

fn names_a_group(pattern: &str) -> bool {
    let built = regex::bytes::Regex::new(pattern);
    built.is_ok_and(|expression| expression.capture_names().flatten().next().is_some())
}

pub(super) fn one_rule_joins(subject: &Subject<'_>, findings: &mut Findings) {
    for service in subject.stack.services.values() {
        let Some(lines) = service
            .logs
            .as_ref()
            .and_then(|logs| logs.multiline.as_ref())
        else {
            continue;
        };
        let path = ["services", service.name.as_str(), "logs", "multiline"];
        if reported(findings, &path) {
            continue;
        }
        if rules(lines) != 1 {
            let message = "`multiline` needs exactly one of `begins`, `continues` and `traces`";
            findings
                .error("multiline-rule", subject.at(&path), message)
                .help("for stack traces of Java write `multiline: { traces: java }`");
        }
        if u128::from(lines.pause_ms) > LONGEST_PAUSE.as_millis() {
            let place = subject.at(&[&path[..], &["pause"]].concat());
            findings
                .error("multiline-pause", place, "`pause` is longer than a minute")
                .help("an event waits so long when nothing follows it; 1s is usual");
        }
    }
}

/// What is dropped and sampled: conditions that can be read, and levels.
pub(super) fn filters_are_conditions(subject: &Subject<'_>, findings: &mut Findings) {
    for service in subject.stack.services.values() {
        let Some(logs) = &service.logs else {
            continue;
        };
        let path = ["services", service.name.as_str(), "logs"];
        for (index, rule) in logs.drop.iter().enumerate() {
            let index = index.to_string();
            let place = [&path[..], &["drop", index.as_str()]].concat();
            condition(subject, rule, &place, findings);
        }
        for rule in logs.sample.keys() {
            if !LEVELS.contains(&rule.as_str()) {
                let place = [&path[..], &["sample", rule.as_str()]].concat();
                condition(subject, rule, &place, findings);
            }
        }
    }
}

fn condition(subject: &Subject<'_>, rule: &str, path: &[&str], findings: &mut Findings) {
    let Err(error) = expression::parse(rule) else {
        return;
    };
    let message = format!(
        "the condition is wrong in column {}: {}",
        error.column(rule),
        error.message.trim_end_matches('.')
    );
    let usual =
        "write a condition like url.path == \"/healthz\"; in `sample` a level like debug, too";
    findings
        .error("log-filter", subject.at(path), message)
        .help(error.help.clone().unwrap_or_else(|| usual.to_owned()));
}

fn rules(lines: &Multiline) -> usize {
    [
        lines.begins.is_some(),
        lines.continues.is_some(),
        lines.traces.is_some(),
    ]
    .into_iter()
    .filter(|given| *given)
    .count()
}

pub(super) fn pseudonyms_name_fields(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(pseudonymise) = &subject.stack.privacy.pseudonymise else {
        return;
    };
    for (index, field) in pseudonymise.fields.iter().enumerate() {
        if field.split('.').any(str::is_empty) {
            let index = index.to_string();
            let path = ["privacy", "pseudonymise", "fields", index.as_str()];
            findings
                .error(
                    "privacy-field",
                    subject.at(&path),
                    format!("`{field}` is not the name of a field"),
                )
                .help("write it with dots, for example passenger.nik");
        }
    }
}
