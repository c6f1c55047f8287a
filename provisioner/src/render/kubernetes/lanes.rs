//! What the agents of a cluster send: their nodes' pods' lines and OTLP records to Elasticsearch, spans
//! to Jaeger. Both are somebody else's, and reached by their addresses.

use std::collections::BTreeMap;

use kai_contract::agent_config::{LogContainer, LogPods, LogSource, Logs, Traces};
use serde_json::{Value, json};

use super::names::Names;
use crate::model::{Connection, Placement, Stack};
use crate::render::secrets::Secrets;
use crate::render::{elasticsearch, jaeger, logs};

pub const GRPC: u16 = 4317;
pub const HTTP: u16 = 4318;
/// Name of the Service, and of the source of pods' lines; no service of the spec has a dot.
const OTLP: &str = "kai-otlp";
const PODS: &str = "kai.pods";

/// Nothing when there is nothing to send or nobody to send it to.
pub fn logs(stack: &Stack, names: &Names, secrets: &mut Secrets) -> Option<Logs> {
    let intake = stack.log_intake()?;
    let connection = connection(stack)?;
    let mut sources = BTreeMap::new();
    if let Some(pods) = &intake.pods {
        let usual = LogPods::default();
        let folders: Vec<String> = match &pods.namespaces[..] {
            [] => vec!["*".to_owned()],
            some => some.iter().map(|name| format!("{name}_*")).collect(),
        };
        let files = |folder: &String| format!("/var/log/pods/{folder}/*/*.log");
        let source = LogSource {
            paths: folders.iter().map(files).collect(),
            // What it says of lines would be lines.
            exclude: vec![files(&format!("{}_*", names.agent_namespace))],
            container: Some(LogContainer::Auto),
            data_stream: elasticsearch::intake_stream(stack, "pods"),
            fields: BTreeMap::from([("service.environment".to_owned(), stack.environment.clone())]),
            pods: Some(LogPods {
                wait_ms: pods.wait_ms,
                labels: pods.labels.clone().unwrap_or(usual.labels),
            }),
            ..LogSource::default()
        };
        sources.insert(PODS.to_owned(), source);
    }
    if takes_records(stack) {
        sources.insert(logs::intake::OTLP.to_owned(), logs::intake::otlp(stack));
    }
    if sources.is_empty() {
        return None;
    }
    let elasticsearch = crate::render::gate::endpoint(connection, &mut |reference| {
        secrets.file("agent-elasticsearch", reference)
    });
    let spool = logs::intake::spool(stack).filter(|_| takes_records(stack));
    Some(logs::lane(
        stack,
        secrets,
        sources,
        Some(elasticsearch),
        spool,
    ))
}

/// Those of the spec: a key that the stack would make for the agent is made by `provision`, which does
/// not speak to a cluster.
fn connection(stack: &Stack) -> Option<Connection> {
    match &stack.systems.elasticsearch.as_ref()?.placement {
        Placement::Managed { .. } => None,
        Placement::External(connection) => Some(connection.clone()),
    }
}

fn takes_records(stack: &Stack) -> bool {
    stack.log_intake().is_some_and(|intake| intake.otlp) && spans_go_to(stack).is_some()
}

fn spans_go_to(stack: &Stack) -> Option<String> {
    let placement = &stack.systems.jaeger.as_ref()?.placement;
    (!placement.is_managed()).then(|| jaeger::otlp(stack))?
}

pub fn traces(stack: &Stack) -> Option<Traces> {
    Some(Traces {
        grpc: Some(format!("0.0.0.0:{GRPC}")),
        http: Some(format!("0.0.0.0:{HTTP}")),
        ..Traces::to(spans_go_to(stack)?)
    })
}

/// The address for all pods that send: each reaches the agent of its own node, whose spans and records
/// are the node's, and no other.
pub fn service(names: &Names, part: &str) -> Value {
    let port = |name: &str, port: u16| json!({ "name": name, "port": port, "targetPort": name, "protocol": "TCP" });
    names.object(
        "v1",
        "Service",
        part,
        &names.agent_namespace,
        OTLP,
        json!({ "spec": {
            "selector": names.selector(part),
            "internalTrafficPolicy": "Local",
            "ports": [port("otlp-grpc", GRPC), port("otlp-http", HTTP)],
        } }),
    )
}

/// Any pod of the cluster may send.
pub fn ingress() -> Value {
    json!({ "ports": [
        { "protocol": "TCP", "port": GRPC },
        { "protocol": "TCP", "port": HTTP },
    ] })
}

/// The configuration, and beside it the files of the Secret that must be there.
pub fn config_volume(part: &str, needed: &[super::Needed]) -> Value {
    if needed.is_empty() {
        return json!({ "name": "config", "configMap": { "name": part } });
    }
    let items: Vec<Value> = needed
        .iter()
        .map(|n| json!({ "key": n.key, "path": format!("secrets/{}", n.key) }))
        .collect();
    json!({ "name": "config", "projected": { "defaultMode": 0o440, "sources": [
        { "configMap": { "name": part } },
        // A missing key keeps the pod from starting: lines that nobody takes are not noticed.
        { "secret": { "name": part, "items": items } },
    ] } })
}

pub fn ports() -> Vec<Value> {
    [("otlp-grpc", GRPC), ("otlp-http", HTTP)]
        .into_iter()
        .map(|(name, port)| json!({ "name": name, "containerPort": port, "protocol": "TCP" }))
        .collect()
}

/// What must be there before the pod can start.
pub fn needed(secrets: &Secrets, namespace: &str, part: &str) -> Vec<super::Needed> {
    let found = secrets.found.iter();
    found
        .map(|(address, secret)| super::Needed {
            namespace: namespace.to_owned(),
            secret: part.to_owned(),
            key: address.name().to_owned(),
            reference: secret.reference.clone(),
        })
        .collect()
}
