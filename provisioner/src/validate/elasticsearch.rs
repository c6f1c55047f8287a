//! Checks on what is asked of Elasticsearch: what may be touched, and how long documents are kept.

use super::{Subject, reported};
use crate::model::{Auth, LogKind, Placement, TraceStorage};
use crate::render::elasticsearch::{patterns, retention};
use crate::spec::Findings;
use crate::spec::glob;

/// Nothing is written, changed or deleted outside of `owns`: every pattern of every template, policy
/// and right that would be made is looked at.
pub(super) fn all_is_owned(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(settings) = &subject.stack.systems.elasticsearch else {
        return;
    };
    let path = ["systems", "elasticsearch", "owns"];
    if reported(findings, &path) {
        return;
    }
    let outside: Vec<String> = patterns(subject.stack)
        .into_iter()
        .filter(|pattern| !settings.owns.iter().any(|own| glob::matches(own, pattern)))
        .collect();
    let Some(first) = outside.first() else {
        return;
    };
    let usual = if first.starts_with("jaeger-") {
        "add `jaeger-*`, or keep spans elsewhere: `systems.jaeger.storage: memory`"
    } else {
        "add `logs-kai.*-*` and `events-kai.*-*`, or what is narrower and still matches"
    };
    findings
        .error(
            "owns",
            subject.at(&path),
            format!(
                "{} of this stack's data streams and indices lie outside, the first is {first}",
                outside.len()
            ),
        )
        .help(usual);
}

/// The phases of a lifecycle follow each other, and one place says how long lines are kept.
pub(super) fn lifecycle_is_in_order(subject: &Subject<'_>, findings: &mut Findings) {
    let stack = subject.stack;
    let said = |path: &[&str]| subject.tree.find(path).is_some_and(|node| !node.is_null());
    let Some(settings) = &stack.systems.elasticsearch else {
        let path = ["privacy", "retention"];
        if said(&path) && !reported(findings, &["systems", "elasticsearch"]) {
            findings
                .warning(
                    "retention",
                    subject.key(&path),
                    "Elasticsearch is off, so there is nothing whose retention this could be",
                )
                .help("switch Elasticsearch on, or take it out");
        }
        return;
    };
    let app = ["privacy", "retention", "app"];
    let whole = ["systems", "elasticsearch", "retention"];
    if said(&app) && said(&whole) && stack.privacy.retention.app != Some(settings.retention) {
        findings
            .warning(
                "retention",
                subject.at(&app),
                "`systems.elasticsearch.retention` says something else; this one holds",
            )
            .help("say it in one place");
    }
    let shortest = LogKind::ALL
        .into_iter()
        .map(|kind| (retention(stack, settings, kind), kind))
        .min();
    let Some((shortest, kind)) = shortest else {
        return;
    };
    let age = ["systems", "elasticsearch", "lifecycle", "rollover", "age"];
    let after = ["systems", "elasticsearch", "lifecycle", "warm", "after"];
    let late = |what| format!("{what}, when {} lines are deleted already", kind.word());
    if settings
        .lifecycle
        .rollover_age
        .is_some_and(|age| age > shortest)
        && !reported(findings, &age)
    {
        findings
            .error(
                "lifecycle",
                subject.at(&age),
                late("an index is written to for this long"),
            )
            .help("an index is deleted as a whole: let it be a small part of the retention");
    }
    let warm = settings.lifecycle.warm.as_ref();
    if warm.is_some_and(|warm| warm.after >= shortest) && !reported(findings, &after) {
        findings
            .error(
                "lifecycle",
                subject.at(&after),
                late("an index becomes warm after this time"),
            )
            .help("let it be shorter than every retention");
    }
}

/// Spans in Elasticsearch need one; a retention of spans needs them there.
pub(super) fn spans_have_a_place(subject: &Subject<'_>, findings: &mut Findings) {
    let stack = subject.stack;
    let storage = ["systems", "jaeger", "storage"];
    let jaeger = stack.systems.jaeger.as_ref();
    let wanted = jaeger.is_some_and(|jaeger| jaeger.storage == TraceStorage::Elasticsearch);
    let off = stack.systems.elasticsearch.is_none();
    if wanted
        && off
        && !reported(findings, &["systems", "elasticsearch"])
        && !reported(findings, &storage)
    {
        findings
            .error(
                "spans",
                subject.at(&storage),
                "spans are to be kept in Elasticsearch, which is off",
            )
            .help("switch `systems.elasticsearch` on, or write `storage: memory`");
    }
    let traces = ["privacy", "retention", "traces"];
    if stack.privacy.retention.traces.is_some() && !wanted && !reported(findings, &traces) {
        findings
            .warning(
                "retention",
                subject.at(&traces),
                "Jaeger keeps spans in memory, where `systems.jaeger.maxTraces` is what bounds them",
            )
            .help("write `systems.jaeger.storage: elasticsearch`, or take it out");
    }
}

/// A key for the agent is made by a user or token: one that is made by another key has no rights.
pub(super) fn access_can_be_granted(subject: &Subject<'_>, findings: &mut Findings) {
    let path = ["systems", "elasticsearch", "agentAccess"];
    let settings = subject.stack.systems.elasticsearch.as_ref();
    let Some(settings) = settings.filter(|settings| settings.agent_access.is_some()) else {
        return;
    };
    if reported(findings, &path) {
        return;
    }
    match &settings.placement {
        Placement::Managed { .. } => {
            findings
                .error(
                    "agent-access",
                    subject.key(&path),
                    "a node that this stack runs has no users, so there are no rights to grant",
                )
                .help("take it out; the node listens on this machine only");
        }
        Placement::External(connection) => {
            let makes_keys = settings
                .agent_access
                .as_ref()
                .is_some_and(|access| access.key);
            let help =
                "give `auth` a `username` with `password`, or a `token`, that may make API keys";
            match &connection.auth {
                None => {
                    findings
                        .error(
                            "agent-access",
                            subject.key(&path),
                            "`systems.elasticsearch` has no `auth`, so nobody may grant anything",
                        )
                        .help(help);
                }
                Some(Auth::ApiKey(_)) if makes_keys => {
                    findings
                        .error(
                            "agent-access",
                            subject.key(&path),
                            "`auth` is an API key, and a key that a key makes has no rights",
                        )
                        .help(help);
                }
                Some(_) => {}
            }
        }
    }
}
