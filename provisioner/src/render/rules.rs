//! Rule files: as written by their authors, with the spec's overrides applied.

use serde_json::{Map, Value, json};

use crate::model::{Rule, RuleFile, RuleGroup, RuleKind, Stack};

/// The groups of one file as this stack runs them.
pub fn effective_groups(stack: &Stack, file: &RuleFile) -> Vec<RuleGroup> {
    let mut groups = file.groups.clone();
    for group in &mut groups {
        group.rules.retain_mut(|rule| {
            let RuleKind::Alert(name) = &rule.kind else {
                return true;
            };
            let Some(change) = stack.alerts.overrides.get(name) else {
                return true;
            };
            if let Some(hold) = &change.hold {
                rule.hold = Some(hold.clone());
            }
            rule.labels.extend(change.labels.clone());
            !change.disabled
        });
    }
    groups.retain(|group| !group.rules.is_empty());
    groups
}

/// A native rule file.
pub fn body(stack: &Stack, file: &RuleFile) -> String {
    let groups: Vec<Value> = effective_groups(stack, file).iter().map(group).collect();
    super::yaml::to_text(&json!({ "groups": groups }))
}

fn group(group: &RuleGroup) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), json!(group.name));
    if let Some(interval) = &group.interval {
        out.insert("interval".into(), json!(interval));
    }
    if let Some(offset) = &group.query_offset {
        out.insert("query_offset".into(), json!(offset));
    }
    if let Some(limit) = group.limit {
        out.insert("limit".into(), json!(limit));
    }
    if !group.labels.is_empty() {
        out.insert("labels".into(), json!(group.labels));
    }
    out.insert("rules".into(), group.rules.iter().map(rule).collect());
    Value::Object(out)
}

fn rule(rule: &Rule) -> Value {
    let mut out = Map::new();
    match &rule.kind {
        RuleKind::Alert(name) => out.insert("alert".into(), json!(name)),
        RuleKind::Record(name) => out.insert("record".into(), json!(name)),
    };
    out.insert("expr".into(), json!(rule.expr));
    if let Some(hold) = &rule.hold {
        out.insert("for".into(), json!(hold));
    }
    if let Some(keep) = &rule.keep_firing_for {
        out.insert("keep_firing_for".into(), json!(keep));
    }
    if !rule.labels.is_empty() {
        out.insert("labels".into(), json!(rule.labels));
    }
    if !rule.annotations.is_empty() {
        out.insert("annotations".into(), json!(rule.annotations));
    }
    Value::Object(out)
}
