//! Fields and settings of the indices. Names are those of the Elastic Common Schema.
//!
//! Lines of any service must find a place, whatever they call their fields: unknown texts are
//! keywords, unknown fields above a limit stay in the document unindexed, a value of the wrong type
//! is kept and not indexed, and `error` may be a text in one line and have fields in the next
//! (`subobjects: false`). The document itself is stored as it came.

use serde_json::{Value, json};

use crate::model::Lifecycle;

/// In the form in which a server gives them back: numbers and booleans as texts.
pub fn settings(lifecycle: &Lifecycle) -> Value {
    let mut out = json!({ "index": {
        "mode": "logsdb",
        "codec": "best_compression",
        "number_of_shards": "1",
        "mapping": {
            "total_fields": { "limit": "1000", "ignore_dynamic_beyond_limit": "true" },
            // Each is what a server has anyway today; a cluster's own template may say more.
            "depth": { "limit": "20" },
            "nested_fields": { "limit": "10" },
            "nested_objects": { "limit": "1000" },
            "ignore_malformed": "true",
            "source": { "mode": "stored" },
        },
    } });
    copies(lifecycle, &mut out);
    out
}

/// A copy where there is a second node, and a green cluster where there is none. Where a warm index
/// is to have another number, that one would not hold, so it is one copy in any case.
pub fn copies(lifecycle: &Lifecycle, settings: &mut Value) {
    let fixed = lifecycle.warm.as_ref().and_then(|warm| warm.replicas);
    let (key, value) = match fixed {
        Some(_) => ("number_of_replicas", "1"),
        None => ("auto_expand_replicas", "0-1"),
    };
    settings["index"][key] = json!(value);
}

/// `_meta` goes with them into every index, and says which templates won.
pub fn mappings(owner: &str, properties: &Value) -> Value {
    json!({
        "_meta": { "managed_by": "kai-observe", "owner": owner },
        "subobjects": false,
        "date_detection": false,
        "dynamic_templates": [
            { "texts": {
                "match_mapping_type": "string",
                "mapping": { "type": "keyword", "ignore_above": 1024 },
            } },
        ],
        "properties": properties,
    })
}

fn keywords(names: &[&str]) -> serde_json::Map<String, Value> {
    names
        .iter()
        .map(|name| {
            let field = json!({ "type": "keyword", "ignore_above": 1024 });
            ((*name).to_owned(), field)
        })
        .collect()
}

pub fn logs() -> Value {
    let mut out = keywords(&[
        "client.ip",
        "container.id",
        "container.name",
        "db.collection.name",
        "db.operation.name",
        "db.query.summary",
        "db.system.name",
        "data_stream.dataset",
        "data_stream.namespace",
        "data_stream.type",
        "ecs.version",
        "error.code",
        "error.type",
        "event.action",
        "event.category",
        "event.dataset",
        "event.id",
        "event.kind",
        "event.outcome",
        "host.hostname",
        "event.reason",
        "event.type",
        "file.path",
        "group.name",
        "host.name",
        "http.request.id",
        "http.request.method",
        "http.request.referrer",
        "http.route",
        "http.version",
        "kai.fingerprint",
        "kai.pattern",
        "kai.team",
        "kubernetes.container.name",
        "kubernetes.namespace",
        "kubernetes.node.name",
        "kubernetes.pod.name",
        "kubernetes.pod.uid",
        "log.file.path",
        "log.flags",
        "log.iostream",
        "log.level",
        "log.logger",
        "process.name",
        "service.environment",
        "service.name",
        "service.node.name",
        "service.version",
        "source.address",
        "source.ip",
        "span.id",
        "tags",
        "trace.id",
        "transaction.id",
        "url.domain",
        "url.original",
        "url.path",
        "user.effective.name",
        "user.id",
        "user.name",
        "user_agent.original",
    ]);
    for (name, kind) in [
        ("@timestamp", "date"),
        ("event.ingested", "date"),
        ("event.duration", "long"),
        // A service's own number of its events, which shows what is missing.
        ("event.sequence", "long"),
        ("http.response.body.bytes", "long"),
        ("http.response.status_code", "long"),
        // Of how many lines this one is: 1 divided by it.
        ("kai.sampled", "float"),
        ("log.offset", "long"),
        ("process.pid", "long"),
        // A statement is read, not counted; `db.query.summary` is.
        ("db.query.text", "text"),
        ("source.ip", "ip"),
        ("message", "text"),
        ("error.message", "text"),
        ("error.stack_trace", "text"),
    ] {
        out.insert(name.to_owned(), json!({ "type": kind }));
    }
    Value::Object(out)
}

pub fn events() -> Value {
    let mut out = keywords(&[
        "event.action",
        "event.id",
        "event.kind",
        "event.outcome",
        "event.provider",
        "event.type",
        "kai.team",
        "service.environment",
        "service.name",
        "service.version",
        "tags",
        "user.name",
    ]);
    for (name, kind) in [
        ("@timestamp", "date"),
        ("event.start", "date"),
        ("event.end", "date"),
        ("message", "text"),
    ] {
        out.insert(name.to_owned(), json!({ "type": kind }));
    }
    Value::Object(out)
}
