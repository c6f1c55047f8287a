//! Elasticsearch or OpenSearch: the managed node, and in a managed or external cluster the
//! templates and the lifecycle of this stack's data streams.
//!
//! ```text
//! logs-kai.<service>-<environment>          lines of a service
//! logs-kai.canary.<id>-<environment>        lines that `verify` writes
//! events-kai.<service>-<environment>        deployments
//! ```
//! A template names each of its streams: two stacks on one cluster do not overlap unless they have
//! the same service in the same environment.

mod fields;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{component, duration, local, yaml};
use crate::layout::Layout;
use crate::model::{Connection, Distribution, Elasticsearch, Placement, Stack};
use crate::object::{Object, System, id};
use crate::resource::{
    Address, Comment, Document, File, JavaServer, Loaded, Process, Reload, Resource, digest,
};
use crate::systems::elasticsearch::{COMPONENT_TEMPLATE, INDEX_TEMPLATE, LIFECYCLE};

/// A cold start with the disk busy.
const READY_WITHIN: Duration = Duration::from_mins(3);
/// Above the built-in template for `logs-*-*`, which has 100.
const PRIORITY: u32 = 500;

/// The data stream of a service's lines.
pub fn log_stream(stack: &Stack, service: &str) -> String {
    format!("logs-kai.{service}-{}", stack.environment)
}

/// The data stream of a service's deployments.
pub fn event_stream(environment: &str, service: &str) -> String {
    format!("events-kai.{service}-{environment}")
}

/// The data stream of what `verify` writes.
pub fn canary_stream(stack: &Stack) -> String {
    format!("logs-kai.canary.{}-{}", stack.owner.id, stack.environment)
}

/// All data streams of logs, then all of events.
pub fn streams(stack: &Stack) -> (Vec<String>, Vec<String>) {
    let mut logs = vec![canary_stream(stack)];
    logs.extend(
        stack
            .services
            .values()
            .filter(|service| service.logs.is_some())
            .map(|service| log_stream(stack, &service.name)),
    );
    let events = stack.services.keys();
    let events = events.map(|name| event_stream(&stack.environment, name));
    (logs, events.collect())
}

pub fn render(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let Some(settings) = &stack.systems.elasticsearch else {
        return Vec::new();
    };
    let mut out = Vec::new();
    if let Placement::Managed { version, required } = &settings.placement {
        out.push(component(
            settings.distribution.word(),
            version.clone(),
            *required,
        ));
        out.extend(node(stack, settings, layout));
    }
    if let Some(access) = super::elasticsearch_access(stack) {
        out.extend(objects(stack, settings, &access));
    }
    out
}

/// Files and process of the managed node.
fn node(stack: &Stack, settings: &Elasticsearch, layout: &Layout) -> Vec<Resource> {
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
        out["action.auto_create_index"] = json!("-logs-kai.*,-events-kai.*,+*");
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

fn objects(stack: &Stack, settings: &Elasticsearch, access: &Connection) -> Vec<Resource> {
    let owner = stack.owner.to_string();
    let (logs, events) = streams(stack);
    let retention = duration(settings.retention);
    let named = |slug: &str| id(&owner, slug);
    let object = |kind: &'static str, slug: &str, body: Value, needs: Vec<Address>| {
        let mut needs = needs;
        if settings.placement.is_managed() {
            needs.push(System::Elasticsearch.process());
        }
        Resource {
            address: Address::object(System::Elasticsearch, kind, slug),
            needs,
            document: Document::Object(Box::new(Object {
                system: System::Elasticsearch,
                managed: settings.placement.is_managed(),
                access: access.clone(),
                kind,
                id: named(slug),
                body,
                secrets: std::collections::BTreeMap::new(),
            })),
        }
    };
    let at = |kind: &str, slug: &str| Address::object(System::Elasticsearch, kind, slug);
    let lifecycle = object(
        LIFECYCLE,
        "logs",
        json!({
            "retention": retention,
            "rollover": duration(rollover(settings.retention)),
            "patterns": logs,
        }),
        Vec::new(),
    );
    let index = |slug: &str, patterns: &[String], template: Option<Value>| {
        let mut body = json!({
            "index_patterns": patterns,
            "data_stream": {},
            "priority": PRIORITY,
            "allow_auto_create": true,
            "composed_of": [named("settings"), named(&format!("{slug}-fields"))],
        });
        if let Some(template) = template {
            body["template"] = template;
        }
        let mut needs = vec![
            at(COMPONENT_TEMPLATE, "settings"),
            at(COMPONENT_TEMPLATE, &format!("{slug}-fields")),
        ];
        if body.get("template").is_some() {
            needs.push(at(LIFECYCLE, "logs"));
        }
        object(INDEX_TEMPLATE, slug, body, needs)
    };
    let fields = |slug: &str, properties: Value| {
        object(
            COMPONENT_TEMPLATE,
            &format!("{slug}-fields"),
            json!({ "template": { "mappings": fields::mappings(&owner, &properties) } }),
            Vec::new(),
        )
    };
    let kept = json!({
        "lifecycle": { "enabled": true, "data_retention": retention },
        "settings": { "index": { "lifecycle": { "name": named("logs") } } },
    });
    let mut out = vec![
        lifecycle,
        object(
            COMPONENT_TEMPLATE,
            "settings",
            json!({ "template": { "settings": fields::settings() } }),
            Vec::new(),
        ),
        fields("logs", fields::logs()),
        index("logs", &logs, Some(kept)),
    ];
    if !events.is_empty() {
        out.push(fields("events", fields::events()));
        // Deployments are few and are asked for years later: no lifecycle.
        out.push(index("events", &events, None));
    }
    out
}

/// A stream is deleted index by index: how long one is written to.
fn rollover(retention: Duration) -> Duration {
    let day = Duration::from_hours(24);
    if retention >= day * 7 {
        day
    } else {
        Duration::from_hours((retention.as_secs() / 3_600 / 7).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_written_to_for_a_small_part_of_the_retention() {
        let hours = |hours| Duration::from_hours(hours);
        assert_eq!(rollover(hours(30 * 24)), hours(24));
        assert_eq!(rollover(hours(48)), hours(6));
        assert_eq!(rollover(Duration::from_mins(10)), hours(1));
    }
}
