//! Jaeger 2: its configuration and its process. One collector-style file; traces are kept in memory,
//! the newest `maxTraces` of them, so a restart forgets them, or in Elasticsearch, in indices that
//! this stack makes ([`super::elasticsearch`]).

use std::path::PathBuf;

use serde_json::{Value, json};

use super::secrets::Secrets;
use super::{READY_WITHIN, component, local, yaml};
use crate::layout::Layout;
use crate::model::{Auth, Connection, Distribution, Jaeger, Placement, SecretRef, Stack};
use crate::resource::{Address, Comment, Document, File, Loaded, Process, Reload, Resource};

/// Bytes of a request that Jaeger takes: what the agent takes at most. gRPC's own limit of 4 MiB
/// would refuse batches that the agent has taken over.
const REQUEST_MIB: u64 = 64;
/// Of the Elasticsearch that the catalogue gives where the spec names no version.
const USUAL_MAJOR: u64 = 9;

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
    let mut secrets = Secrets::below(&layout.root, true);
    let body = yaml::to_text(&document(stack, settings, &mut secrets));
    let read: Vec<Address> = secrets.addresses().collect();
    let mut needs = vec![Address::component("jaeger"), file.clone()];
    if stack.spans_are_in_elasticsearch() {
        // Without its aliases it would write to an index with guessed fields.
        needs.extend(super::elasticsearch::traces_need());
    }
    let mut out = vec![component("jaeger", version.clone(), *required)];
    out.extend(secrets.into_resources());
    out.extend([
        Resource {
            address: file,
            document: Document::File(File {
                path,
                body,
                comment: Comment::Hash,
            }),
            needs: read,
        },
        Resource {
            address: Address::process("jaeger"),
            needs,
            document: Document::Process(Box::new(process)),
        },
    ]);
    out
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

/// Where spans are kept, and what Jaeger calls it.
fn storage(stack: &Stack, settings: &Jaeger, secrets: &mut Secrets) -> (&'static str, Value) {
    let access = super::elasticsearch_access(stack).filter(|_| stack.spans_are_in_elasticsearch());
    let Some(access) = access else {
        let memory = json!({ "memory": { "max_traces": settings.max_traces } });
        return ("memory", memory);
    };
    let mut cluster = json!({
        "server_urls": [access.url],
        "sniffing": { "enabled": false },
        "disable_health_check": true,
        // Templates, first indices and rollover are this stack's: see `render/elasticsearch/jaeger`.
        "use_aliases": true,
        "create_mappings": false,
        // How far back a trace is looked for when nobody says. Go has no unit for days.
        "max_span_age": format!("{}s", super::elasticsearch::trace_retention(stack).as_secs()),
        "bulk_processing": { "flush_interval": "200ms" },
    });
    if let Some(major) = managed_major(stack) {
        // It would ask `/`, which not every build answers.
        cluster["version"] = json!(major);
    }
    let mut file = |secret: &SecretRef| secrets.file("jaeger-elasticsearch", secret);
    match &access.auth {
        None => {}
        Some(Auth::ApiKey(key)) => {
            cluster["auth"] = json!({ "api_key": { "file_path": file(key) } });
        }
        Some(Auth::Token(token)) => {
            cluster["auth"] = json!({ "bearer_token": { "file_path": file(token) } });
        }
        Some(Auth::Basic { username, password }) => {
            cluster["auth"] = json!({ "basic": {
                "username": username, "password_file": file(password)
            } });
        }
    }
    ("elasticsearch", json!({ "elasticsearch": cluster }))
}

/// Of a node that this stack runs; Jaeger's word for OpenSearch is 7.
fn managed_major(stack: &Stack) -> Option<u64> {
    let settings = stack.systems.elasticsearch.as_ref()?;
    let Placement::Managed { version, .. } = &settings.placement else {
        return None;
    };
    match settings.distribution {
        Distribution::OpenSearch => Some(7),
        Distribution::Elasticsearch => {
            let said = version.as_deref().and_then(|text| text.split('.').next());
            said.map_or(Some(USUAL_MAJOR), |major| major.parse().ok())
        }
    }
}

/// There is no `batch` processor: the agent has made batches already. With spans in memory, Jaeger
/// answers when a batch is stored, so that what the agent counts as acked is there; with spans in
/// Elasticsearch it answers before.
fn document(stack: &Stack, settings: &Jaeger, secrets: &mut Secrets) -> Value {
    let ports = stack.ports;
    let (name, backend) = storage(stack, settings, secrets);
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
                "storage": { "traces": name },
                "http": { "endpoint": at(ports.jaeger()) },
                "grpc": { "endpoint": at(ports.jaeger_grpc()) },
            },
            "jaeger_storage": {
                "backends": { name: backend },
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
        "exporters": { "jaeger_storage_exporter": { "trace_storage": name } },
    })
}
