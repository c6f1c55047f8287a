//! An OTLP log record becomes a document by ECS names. What ECS and OpenTelemetry name alike stays
//! as it is; what only OpenTelemetry names keeps that name. A name that is taken already, or that
//! Elasticsearch knows as an object, goes below `labels`. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::decode::{Attributes, Record, Scope};
use crate::logs::{level, time};

/// Attributes of a resource by what ECS calls them, as Elasticsearch's own templates for
/// OpenTelemetry have it (`semconv-resource-to-ecs`).
const RESOURCE: [(&str, &str); 24] = [
    ("deployment.environment.name", "service.environment"),
    ("deployment.environment", "service.environment"),
    ("service.instance.id", "service.node.name"),
    ("cloud.platform", "cloud.service.name"),
    ("container.image.tags", "container.image.tag"),
    ("container.runtime", "container.runtime"),
    ("host.arch", "host.architecture"),
    ("process.executable.path", "process.executable"),
    ("process.runtime.name", "service.runtime.name"),
    ("process.runtime.version", "service.runtime.version"),
    ("os.name", "host.os.name"),
    ("os.type", "host.os.platform"),
    ("os.description", "host.os.full"),
    ("os.version", "host.os.version"),
    ("k8s.cluster.name", "orchestrator.cluster.name"),
    ("k8s.deployment.name", "kubernetes.deployment.name"),
    ("k8s.namespace.name", "kubernetes.namespace"),
    ("k8s.node.name", "kubernetes.node.name"),
    ("k8s.pod.name", "kubernetes.pod.name"),
    ("k8s.pod.uid", "kubernetes.pod.uid"),
    ("k8s.container.name", "kubernetes.container.name"),
    ("k8s.statefulset.name", "kubernetes.statefulset.name"),
    ("k8s.daemonset.name", "kubernetes.daemonset.name"),
    ("telemetry.sdk.language", "service.language.name"),
];

const RECORD: [(&str, &str); 12] = [
    ("exception.type", "error.type"),
    ("exception.message", "error.message"),
    ("exception.stacktrace", "error.stack_trace"),
    ("code.filepath", "log.origin.file.name"),
    ("code.file.path", "log.origin.file.name"),
    ("code.lineno", "log.origin.file.line"),
    ("code.line.number", "log.origin.file.line"),
    ("code.function", "log.origin.function"),
    ("code.function.name", "log.origin.function"),
    ("thread.name", "process.thread.name"),
    ("thread.id", "process.thread.id"),
    ("enduser.id", "user.id"),
];

/// Names that are objects to ECS: a plain value there would make Elasticsearch refuse the document.
const OBJECTS: [&str; 42] = [
    "agent",
    "client",
    "cloud",
    "container",
    "data_stream",
    "destination",
    "device",
    "dll",
    "dns",
    "ecs",
    "email",
    "error",
    "event",
    "faas",
    "file",
    "group",
    "host",
    "http",
    "kai",
    "kubernetes",
    "labels",
    "log",
    "network",
    "observer",
    "orchestrator",
    "organization",
    "otel",
    "package",
    "process",
    "registry",
    "related",
    "rule",
    "server",
    "service",
    "source",
    "span",
    "threat",
    "tls",
    "trace",
    "transaction",
    "url",
    "user",
];

/// The longest name of a field.
const LONGEST_NAME: usize = 256;

/// A document and where it belongs.
#[derive(Debug)]
pub struct Shaped {
    pub members: Map<String, Json>,
    pub service: String,
    pub environment: String,
    /// Its body was longer than allowed.
    pub cut: bool,
}

/// `now` in milliseconds; `added` are the source's own fields, which come last.
pub fn shape(
    scope: &Scope,
    record: Record,
    now: i64,
    longest: usize,
    added: &BTreeMap<String, String>,
) -> Shaped {
    let mut members = Map::new();
    let millis = |nanos: u64| (nanos > 0).then_some((nanos / 1_000_000) as i64);
    let at = millis(record.time)
        .or(millis(record.observed))
        .unwrap_or(now);
    members.insert("@timestamp".into(), moment(at));
    let (message, structure, cut) = body(record.body, longest);
    if let Some(message) = message {
        members.insert("message".into(), message.into());
    }
    if let Some(structure) = structure {
        members.insert("body.structured".into(), structure);
    }
    if let Some(level) = level_of(record.severity, &record.severity_text) {
        members.insert("log.level".into(), level.into());
    }
    if record.severity > 0 {
        members.insert("event.severity".into(), record.severity.into());
    }
    for (name, value) in [
        ("trace.id", record.trace),
        ("span.id", record.span),
        ("event.action", record.event),
        ("log.logger", scope.name.clone()),
        ("otel.scope.version", scope.version.clone()),
    ] {
        if !value.is_empty() {
            members.insert(name.into(), value.into());
        }
    }
    if let Some(observed) = millis(record.observed) {
        members.insert("event.created".into(), moment(observed));
    }
    if record.dropped_attributes > 0 {
        let name = "otel.dropped_attributes_count";
        members.insert(name.into(), record.dropped_attributes.into());
    }
    if cut {
        members.insert("log.flags".into(), Json::from(vec!["truncated"]));
    }
    let own: Vec<String> = members.keys().cloned().collect();
    for (name, value) in record.attributes {
        let name = named(&name, &RECORD, &value);
        if own.contains(&name) {
            members.entry(format!("labels.{name}")).or_insert(value);
        } else {
            members.insert(name, value);
        }
    }
    lower(&mut members, &scope.attributes, &[]);
    lower(&mut members, &scope.resource, &RESOURCE);
    for (name, value) in added {
        members
            .entry(name.clone())
            .or_insert_with(|| value.clone().into());
    }
    apart(&mut members);
    let of = |name: &str| {
        let text = members.get(name).and_then(Json::as_str);
        text.unwrap_or_default().to_owned()
    };
    Shaped {
        service: of("service.name"),
        environment: of("service.environment"),
        members,
        cut,
    }
}

fn moment(millis: i64) -> Json {
    let mut out = Vec::new();
    time::write(&mut out, millis);
    String::from_utf8_lossy(&out).into_owned().into()
}

/// What is there already stays.
fn lower(members: &mut Map<String, Json>, attributes: &Attributes, names: &[(&str, &str)]) {
    for (name, value) in attributes {
        members
            .entry(named(name, names, value))
            .or_insert_with(|| value.clone());
    }
}

/// The text of a body, and a body that is more than a text.
fn body(body: Json, longest: usize) -> (Option<String>, Option<Json>, bool) {
    let (text, structure) = match body {
        Json::Null => return (None, None, false),
        Json::String(text) => (text, None),
        Json::Object(members) => {
            let said = ["message", "msg", "body"]
                .iter()
                .find_map(|name| members.get(*name)?.as_str().map(str::to_owned));
            let whole = Json::Object(members);
            let text = said.unwrap_or_else(|| whole.to_string());
            (text, Some(whole))
        }
        other => (other.to_string(), None),
    };
    if text.len() <= longest {
        return (Some(text), structure, false);
    }
    let end = (0..=longest).rev().find(|at| text.is_char_boundary(*at));
    let mut text = text;
    text.truncate(end.unwrap_or_default());
    (Some(text), structure, true)
}

/// The names that the agent gives to levels, from the number where the text says nothing known.
fn level_of(number: u64, text: &str) -> Option<String> {
    if let Some(known) = level::text(text.as_bytes()) {
        return Some(known.to_owned());
    }
    let by_number = match number {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ if text.is_empty() => return None,
        _ => return Some(text.to_lowercase()),
    };
    Some(by_number.to_owned())
}

/// The field that an attribute becomes.
fn named(name: &str, names: &[(&str, &str)], value: &Json) -> String {
    if let Some((_, ecs)) = names.iter().find(|(known, _)| *known == name) {
        return (*ecs).to_owned();
    }
    // Elasticsearch takes no empty part of a name.
    let parts: Vec<&str> = name
        .split('.')
        .filter(|part| !part.trim().is_empty())
        .collect();
    let mut name = parts.join(".");
    if name.is_empty() {
        "_".clone_into(&mut name);
    }
    if name.len() > LONGEST_NAME {
        let end = (0..=LONGEST_NAME)
            .rev()
            .find(|at| name.is_char_boundary(*at));
        name.truncate(end.unwrap_or_default());
    }
    if OBJECTS.contains(&name.as_str()) && !value.is_object() {
        return format!("labels.{name}");
    }
    name
}

/// A plain value whose name others go on from gets a name of its own.
fn apart(members: &mut Map<String, Json>) {
    let mut sorted: Vec<&str> = members.keys().map(String::as_str).collect();
    sorted.sort_unstable();
    let is_above = |name: &&str| {
        let below = format!("{name}.");
        let at = sorted.partition_point(|other| *other < below.as_str());
        sorted
            .get(at)
            .is_some_and(|other| other.starts_with(&below))
    };
    let taken: Vec<String> = sorted
        .iter()
        .filter(|name| !members[**name].is_object() && is_above(name))
        .map(|name| (*name).to_owned())
        .collect();
    for name in taken {
        if let Some(value) = members.remove(&name) {
            members.entry(format!("labels.{name}")).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests;
