//! Checks on `metrics`.

use kai_contract::agent_config::RuleSource;
use kai_contract::business::{judge_label, judge_name};
use kai_contract::expression;

use super::{Subject, reported, suggestion};
use crate::spec::Findings;

pub(super) fn names_are_counters(subject: &Subject<'_>, findings: &mut Findings) {
    for (name, figure) in &subject.stack.metrics {
        if let Err(why) = judge_name(name) {
            let place = subject.key(&["metrics", name]);
            findings
                .error("metric-name", place, format!("`{name}` {why}"))
                .help("write one like kai_bookings_total");
        }
        let stem = name.trim_end_matches("_total");
        if !figure.unit.is_empty() && !stem.ends_with(&format!("_{}", figure.unit)) {
            let place = subject.at(&["metrics", name, "unit"]);
            let message = format!(
                "with the unit `{0}` the name ends in `_{0}_total`",
                figure.unit
            );
            findings
                .error("metric-name", place, message)
                .help("change the name or the unit");
        }
        for label in figure.labels.keys() {
            if let Err(why) = judge_label(label) {
                let place = subject.key(&["metrics", name, "labels", label]);
                findings
                    .error("metric-label", place, format!("`{label}` {why}"))
                    .help("give the label another name");
            }
        }
    }
}

pub(super) fn sources_are_one(subject: &Subject<'_>, findings: &mut Findings) {
    for (name, figure) in &subject.stack.metrics {
        let path = ["metrics", name.as_str(), "from"];
        if figure.from.len() != 1 && !reported(findings, &path) {
            findings
                .error(
                    "metric-source",
                    subject.at(&path),
                    "`from` needs exactly one of `metric`, `log` and `span`",
                )
                .help("for example from: { metric: booking_created_total }");
        }
        for rule in &figure.from {
            let source = rule.source.word();
            let keys: Vec<&str> = match rule.source {
                RuleSource::Metric => path.to_vec(),
                RuleSource::Log | RuleSource::Span => [&path[..], &[source]].concat(),
            };
            if let Some(condition) = &rule.condition
                && let Err(error) = expression::parse(condition)
            {
                let place = subject.at(&[&keys[..], &["where"]].concat());
                let mut message = format!(
                    "the condition is wrong in column {}: {}",
                    error.column(condition),
                    error.message
                );
                if message.ends_with('.') {
                    message.pop();
                }
                let finding = findings.error("metric-condition", place, message);
                let usual = "write one like event == \"hold.expired\" && route != \"test\"";
                finding.help(error.help.clone().unwrap_or_else(|| usual.to_owned()));
            }
            named_service(
                subject,
                rule.source,
                rule.service.as_deref(),
                &keys,
                findings,
            );
            for label in rule.labels.keys() {
                if !figure.labels.contains_key(label) {
                    let place = subject.key(&[&keys[..], &["labels", label]].concat());
                    findings
                        .error(
                            "metric-label",
                            place,
                            format!("`{label}` is no label of `{name}`"),
                        )
                        .help(format!("add it: labels: {{ {label}: 20 }}"));
                }
            }
        }
    }
}

fn named_service(
    subject: &Subject<'_>,
    source: RuleSource,
    service: Option<&str>,
    keys: &[&str],
    findings: &mut Findings,
) {
    let services = &subject.stack.services;
    let place = subject.at(&[keys, &["service"]].concat());
    match service {
        None if source == RuleSource::Log => {
            findings
                .error("metric-source", place, "`log` needs a `service`")
                .help("say whose lines are counted, for example service: booking");
        }
        None => {}
        Some(name) => match services.get(name) {
            None => {
                let help = suggestion(name, services.keys().map(String::as_str));
                findings
                    .error(
                        "metric-source",
                        place,
                        format!("there is no service `{name}`"),
                    )
                    .help(help);
            }
            Some(service) if source == RuleSource::Log && service.logs.is_none() => {
                findings
                    .error("metric-source", place, format!("`{name}` has no `logs`"))
                    .help(format!(
                        "say where they are: services.{name}.logs: {{ paths: [/var/log/{name}/*.log] }}"
                    ));
            }
            Some(_) => {}
        },
    }
}
