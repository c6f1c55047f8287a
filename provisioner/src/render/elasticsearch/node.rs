//! The managed node: its files and its process.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::{local, yaml};
use crate::layout::Layout;
use crate::model::{Distribution, Elasticsearch, Stack};
use crate::object::System;
use crate::resource::{
    Address, Comment, Document, File, JavaServer, Loaded, Process, Reload, Resource, digest,
};

/// A cold start with the disk busy.
const READY_WITHIN: Duration = Duration::from_mins(3);

/// Files and process of the managed node.
pub(super) fn node(stack: &Stack, settings: &Elasticsearch, layout: &Layout) -> Vec<Resource> {
    let word = settings.distribution.word();
    let place = layout.open.join("data/elasticsearch");
    let port = stack.ports.elasticsearch();
    let files = [
        (
            format!("{word}.yml"),
            yaml::to_text(&node_settings(stack, settings, &place)),
        ),
        ("log4j2.properties".to_owned(), LOGGING.to_owned()),
        ("kai.options".to_owned(), java_options(settings.heap_mib)),
    ];
    let read: String = files.iter().map(|(_, body)| body.as_str()).collect();
    let mut out = Vec::new();
    let mut config = Vec::new();
    for (name, body) in files {
        let address = Address::file(&format!("elasticsearch/{name}"));
        config.push(address.clone());
        out.push(Resource {
            address,
            document: Document::File(File {
                path: PathBuf::from("config/elasticsearch").join(name),
                body,
                comment: Comment::Hash,
            }),
            needs: Vec::new(),
        });
    }
    let overlay = ["log4j2.properties", "jvm.options.d/kai.options"]
        .into_iter()
        .chain([settings.distribution.settings_file()])
        .map(|name| {
            let file = name.rsplit('/').next().unwrap_or(name);
            (PathBuf::from("config/elasticsearch").join(file), name)
        })
        .collect();
    let process = Process {
        name: "elasticsearch".into(),
        component: word.into(),
        program: word.into(),
        args: Vec::new(),
        // It reads its files only when it starts; this makes a change of theirs one of its own.
        env: [("KAI_CONFIG".to_owned(), digest(read)[..16].to_owned())].into(),
        data: Vec::new(),
        ready: local(port, "/_cluster/health?timeout=1s&master_timeout=1s"),
        ready_within: READY_WITHIN,
        ports: vec![port, stack.ports.elasticsearch_transport()],
        config: config.clone(),
        loaded: Loaded::AtStart,
        reload: Reload::Restart,
        java: Some(JavaServer {
            prefix: settings.distribution.variables(),
            place,
            overlay,
            heap_mib: settings.heap_mib,
        }),
    };
    let mut needs = vec![Address::component(word)];
    needs.extend(config);
    out.push(Resource {
        address: System::Elasticsearch.process(),
        needs,
        document: Document::Process(Box::new(process)),
    });
    out
}

fn node_settings(stack: &Stack, settings: &Elasticsearch, place: &std::path::Path) -> Value {
    let mut out = json!({
        "cluster.name": format!("kai-{}", stack.owner),
        "node.name": "kai",
        "discovery.type": "single-node",
        // Nobody but this machine reaches it, hence no user and no certificate.
        "network.host": "127.0.0.1",
        "http.port": stack.ports.elasticsearch(),
        "transport.port": stack.ports.elasticsearch_transport(),
        "path.data": place.join("data"),
        "path.logs": place.join("logs"),
        // By default a node stops writing at 95% of a disk, which on a laptop is often reached with
        // tens of gigabytes free.
        "cluster.routing.allocation.disk.watermark.low": "2gb",
        "cluster.routing.allocation.disk.watermark.high": "1500mb",
        "cluster.routing.allocation.disk.watermark.flood_stage": "1gb",
    });
    if settings.distribution == Distribution::Elasticsearch {
        out["xpack.security.enabled"] = json!(false);
        out["xpack.ml.enabled"] = json!(false);
        // Without its template a stream would become a plain index with guessed fields, and stay
        // one; the templates themselves say that they may be created.
        out["action.auto_create_index"] = json!("-logs-kai.*,-events-kai.*,-jaeger-*,+*");
    }
    out
}

/// To standard output only, whose file the agent keeps small.
const LOGGING: &str = "\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";

fn java_options(heap_mib: u32) -> String {
    // No files beside its data: neither gc.log nor a dump of the heap.
    format!(
        "-Xms{heap_mib}m\n-Xmx{heap_mib}m\n-Xlog:disable\n-Xlog:all=error:stderr\n-XX:-HeapDumpOnOutOfMemoryError\n"
    )
}
