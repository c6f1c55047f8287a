//! Every rule is loaded, was evaluated without error, and reads series that exist.

use std::collections::{BTreeMap, BTreeSet};

use super::selectors::{Selector, selectors};
use super::{Proof, Subject, eventually, prove as timed};
use crate::model::{RuleGroup, RuleKind, Stack};
use crate::render::{effective_groups, jaeger};
use crate::systems::prometheus::Prometheus;

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    if !subject.has_prometheus() {
        return Vec::new();
    }
    let prometheus = subject.prometheus();
    let mut out = Vec::new();
    for file in &subject.stack.alerts.files {
        let groups = effective_groups(subject.stack, file);
        let loaded = timed(
            "rules",
            file.name.clone(),
            eventually(subject.patience, || {
                healthy(&prometheus, &file.name, &groups)
            }),
        );
        let series = timed(
            "series",
            file.name.clone(),
            eventually(subject.patience, || {
                series_exist(&prometheus, &groups, subject.stack)
            }),
        );
        let (loaded, series) = tokio::join!(loaded, series);
        out.extend([loaded, series]);
    }
    out
}

fn name_of(kind: &RuleKind) -> &str {
    match kind {
        RuleKind::Alert(name) | RuleKind::Record(name) => name,
    }
}

async fn healthy(
    prometheus: &Prometheus,
    file: &str,
    groups: &[RuleGroup],
) -> Result<String, String> {
    let loaded = prometheus
        .rules()
        .await
        .map_err(|error| error.to_string())?;
    let mut rules = 0;
    for group in groups {
        let found = loaded
            .iter()
            .find(|found| found.name == group.name && found.file.ends_with(file))
            .ok_or_else(|| format!("Prometheus has not loaded the group {}", group.name))?;
        if found.rules.len() != group.rules.len() {
            return Err(format!(
                "the group {} has {} rules in Prometheus, {} in the spec",
                group.name,
                found.rules.len(),
                group.rules.len()
            ));
        }
        for (rule, found) in group.rules.iter().zip(&found.rules) {
            let name = name_of(&rule.kind);
            if found.name != name {
                return Err(format!(
                    "Prometheus has {} where the spec has {name}",
                    found.name
                ));
            }
            if found.health != "ok" {
                let why = match found.last_error.as_deref() {
                    Some(error) if !error.is_empty() => error,
                    _ => "not evaluated yet",
                };
                return Err(format!("{name} is {}: {why}", found.health));
            }
            rules += 1;
        }
    }
    if rules == 0 {
        return Err("no rule in this file is in force".to_owned());
    }
    Ok(format!("{rules} loaded, evaluated, healthy"))
}

/// Families that are there only when a part of the stack is: how they begin, and the part. Rules on
/// them sleep without it, as the spec wants it.
fn asleep(stack: &Stack) -> Vec<(&'static str, &'static str)> {
    let jaeger = stack.systems.jaeger.as_ref();
    let mut out = Vec::new();
    if !jaeger.is_some_and(|jaeger| jaeger.placement.is_managed()) {
        out.push(("otelcol_", "this stack runs no Jaeger"));
    }
    // These come when there is something to tell of.
    out.extend([
        (
            "kai_security_certificate_",
            "no certificate was found in files",
        ),
        ("kai_security_findings", "no baseline is accepted"),
        (
            "pg_replication_slot_",
            "no database server has a replication slot",
        ),
        ("kai_security_sudo_by_user", "nobody has used sudo"),
        (
            "kai_security_updates_",
            "the package manager's lists cannot be read",
        ),
    ]);
    if jaeger::otlp(stack).is_none() {
        let why = "this stack takes no spans";
        out.extend([("kai_agent_spans", why), ("kai_agent_trace_", why)]);
    }
    if stack.log_budget.is_none() {
        let why = "no team has a budget of log lines";
        out.extend([
            ("kai_agent_log_budget_", why),
            ("team:kai_agent_log_budget_", why),
        ]);
    }
    out
}

/// What selectors read, each once.
fn families<T>(wanted: &BTreeMap<Selector, T>) -> BTreeSet<&str> {
    wanted
        .keys()
        .map(|selector| selector.metric.as_str())
        .collect()
}

async fn series_exist(
    prometheus: &Prometheus,
    groups: &[RuleGroup],
    stack: &Stack,
) -> Result<String, String> {
    let mut wanted: BTreeMap<Selector, Vec<&str>> = BTreeMap::new();
    let mut unread = Vec::new();
    for rule in groups.iter().flat_map(|group| &group.rules) {
        match selectors(&rule.expr) {
            Ok(found) => {
                for selector in found {
                    wanted
                        .entry(selector)
                        .or_default()
                        .push(name_of(&rule.kind));
                }
            }
            // promql-parser knows less than Prometheus; Prometheus has evaluated the rule.
            Err(_) => unread.push(name_of(&rule.kind)),
        }
    }
    let present = present(prometheus, &families(&wanted)).await?;
    let asleep = asleep(stack);
    let mut sleeping = BTreeSet::new();
    wanted.retain(|selector, _| {
        if present.contains(&selector.metric) {
            return true;
        }
        let why = asleep
            .iter()
            .find(|(begin, _)| selector.metric.starts_with(begin))
            .map(|(_, why)| *why);
        sleeping.extend(why);
        why.is_none()
    });
    let mut missing = Vec::new();
    for (selector, rules) in &wanted {
        if !present.contains(&selector.metric) {
            missing.push(format!(
                "{} reads {}, which no target exports",
                rules[0], selector.metric
            ));
            continue;
        }
        for label in &selector.labels {
            let expr = format!("count({}{{{label}!=\"\"}})", selector.metric);
            let found = prometheus
                .query(&expr)
                .await
                .map_err(|error| error.to_string())?;
            if found.is_empty() {
                missing.push(format!(
                    "{} selects {} by {label}, a label that no series of it has",
                    rules[0], selector.metric
                ));
            }
        }
    }
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    let mut text = format!("{} families read, all present", families(&wanted).len());
    if !sleeping.is_empty() {
        let why: Vec<&str> = sleeping.into_iter().collect();
        text.push_str(&format!("; others not looked for: {}", why.join(", ")));
    }
    if !unread.is_empty() {
        text.push_str(&format!("; not looked into: {}", unread.join(", ")));
    }
    Ok(text)
}

/// The metric names that have series now.
async fn present(
    prometheus: &Prometheus,
    names: &BTreeSet<&str>,
) -> Result<BTreeSet<String>, String> {
    let mut out = BTreeSet::new();
    let all: Vec<&str> = names.iter().copied().collect();
    for some in all.chunks(40) {
        // Metric names hold no character that a regular expression would read differently.
        let expr = format!("group by (__name__) ({{__name__=~\"{}\"}})", some.join("|"));
        let found = prometheus
            .query(&expr)
            .await
            .map_err(|error| error.to_string())?;
        out.extend(
            found
                .into_iter()
                .filter_map(|sample| sample.metric.get("__name__").cloned()),
        );
    }
    Ok(out)
}
