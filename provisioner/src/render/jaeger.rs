//! Jaeger 2: its configuration and its process. One collector-style file; traces are kept in memory,
//! the newest `maxTraces` of them, so a restart forgets them.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{READY_WITHIN, component, local, yaml};
use crate::layout::Layout;
use crate::model::{Connection, Jaeger, Placement, Stack};
use crate::resource::{Address, Comment, Document, File, Loaded, Process, Reload, Resource};

/// Bytes of a request that Jaeger takes: what the agent takes at most. gRPC's own limit of 4 MiB
/// would refuse batches that the agent has taken over.
const REQUEST_MIB: u64 = 64;

pub fn render(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let Some(settings) = &stack.systems.jaeger else {
        return Vec::new();
    };
    let Placement::Managed { version, required } = &settings.placement else {
        return Vec::new();
    };
    let ports = stack.ports;
    let file = Address::file("jaeger/jaeger.yaml");
    let path = PathBuf::from("config/jaeger/jaeger.yaml");
    let process = Process {
        name: "jaeger".into(),
        component: "jaeger".into(),
        program: "jaeger".into(),
        args: vec![format!("--config={}", layout.root.join(&path).display())],
        // It would trace itself, and each of its traces would make another.
        env: [("OTEL_TRACES_SAMPLER".to_owned(), "always_off".to_owned())].into(),
        data: Vec::new(),
        ready: local(ports.jaeger_health(), "/status"),
        ready_within: READY_WITHIN,
        ports: vec![
            ports.jaeger(),
            ports.jaeger_grpc(),
            ports.jaeger_otlp(),
            ports.jaeger_otlp_http(),
            ports.jaeger_health(),
            ports.jaeger_metrics(),
        ],
        config: vec![file.clone()],
        loaded: Loaded::AtStart,
        reload: Reload::Restart,
        java: None,
    };
    vec![
        component("jaeger", version.clone(), *required),
        Resource {
            address: file.clone(),
            document: Document::File(File {
                path,
                body: yaml::to_text(&document(stack, settings)),
                comment: Comment::Hash,
            }),
            needs: Vec::new(),
        },
        Resource {
            address: Address::process("jaeger"),
            needs: vec![Address::component("jaeger"), file],
            document: Document::Process(Box::new(process)),
        },
    ]
}

/// Where spans go, OTLP over gRPC; `None` when nobody keeps them.
pub fn otlp(stack: &Stack) -> Option<String> {
    let jaeger = stack.systems.jaeger.as_ref()?;
    match &jaeger.placement {
        Placement::Managed { .. } => Some(local(stack.ports.jaeger_otlp(), "")),
        Placement::External(_) => jaeger.otlp.clone(),
    }
}

/// Where traces are asked for, Jaeger's HTTP API.
pub fn access(stack: &Stack) -> Option<Connection> {
    let jaeger = stack.systems.jaeger.as_ref()?;
    Some(match &jaeger.placement {
        Placement::Managed { .. } => Connection {
            url: local(stack.ports.jaeger(), ""),
            auth: None,
        },
        Placement::External(connection) => connection.clone(),
    })
}

/// There is no `batch` processor: the agent has made batches already, and Jaeger answers only when
/// a batch is stored, so that what the agent counts as acked is there.
fn document(stack: &Stack, settings: &Jaeger) -> Value {
    let ports = stack.ports;
    let at = |port: u16| json!(format!("127.0.0.1:{port}"));
    json!({
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
            "pipelines": {
                "traces": { "receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"] },
            },
            "telemetry": {
                "resource": { "service.name": "jaeger" },
                "metrics": {
                    "level": "detailed",
                    "readers": [{ "pull": { "exporter": { "prometheus": {
                        "host": "127.0.0.1", "port": ports.jaeger_metrics() } } } }],
                },
                "logs": { "level": "info" },
            },
        },
        "extensions": {
            "healthcheckv2": {
                "use_v2": true,
                "http": { "endpoint": at(ports.jaeger_health()) },
            },
            "jaeger_query": {
                "storage": { "traces": "memory" },
                "http": { "endpoint": at(ports.jaeger()) },
                "grpc": { "endpoint": at(ports.jaeger_grpc()) },
            },
            "jaeger_storage": {
                "backends": { "memory": { "memory": { "max_traces": settings.max_traces } } },
            },
        },
        "receivers": {
            "otlp": { "protocols": {
                "grpc": {
                    "endpoint": at(ports.jaeger_otlp()),
                    "max_recv_msg_size_mib": REQUEST_MIB,
                },
                "http": {
                    "endpoint": at(ports.jaeger_otlp_http()),
                    "max_request_body_size": REQUEST_MIB << 20,
                },
            } },
        },
        "exporters": { "jaeger_storage_exporter": { "trace_storage": "memory" } },
    })
}
