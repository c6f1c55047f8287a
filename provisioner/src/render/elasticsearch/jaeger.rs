//! Jaeger's indices: templates with its fields, the lifecycle of spans, and the first index of each
//! kind with the two aliases that Jaeger writes to and reads from (`use_aliases`). Jaeger makes none
//! of them itself (`create_mappings: false`), so nothing in the cluster is made without this plan.

use serde_json::{Map, Value, json};

use super::{Maker, PRIORITY, TEMPLATE_VERSION, at, fields, lifecycle};
use crate::model::{Elasticsearch, Stack};
use crate::resource::{Address, Resource};
use crate::systems::elasticsearch::{INDEX, INDEX_TEMPLATE, LIFECYCLE};

/// Jaeger's names; `dependencies` is read by its page also where nothing computes them.
const KINDS: [&str; 3] = ["span", "service", "dependencies"];
const POLICY: &str = "traces";

pub(super) fn patterns() -> Vec<String> {
    KINDS
        .iter()
        .map(|kind| format!("jaeger-{kind}-*"))
        .collect()
}

/// What Jaeger itself needs before it starts.
pub(in crate::render) fn needed() -> impl Iterator<Item = Address> {
    KINDS
        .iter()
        .map(|kind| at(INDEX, &format!("jaeger-{kind}")))
}

pub(super) fn objects(stack: &Stack, settings: &Elasticsearch, maker: &Maker) -> Vec<Resource> {
    let kept = lifecycle::of_traces(stack, settings);
    let policy = maker.named(POLICY);
    let mut body = kept.policy(&patterns());
    body["streams"] = json!(false);
    let mut out = vec![maker.object(LIFECYCLE, POLICY, body, Vec::new())];
    for (kind, pattern) in KINDS.iter().zip(patterns()) {
        let slug = format!("jaeger-{kind}");
        let (read, write) = (format!("{slug}-read"), format!("{slug}-write"));
        let mut template = json!({
            "index_patterns": [pattern],
            "priority": PRIORITY,
            "version": TEMPLATE_VERSION,
            "template": {
                "aliases": { read.clone(): {} },
                "settings": { "index": {
                    "number_of_shards": "1",
                    "lifecycle": { "name": policy, "rollover_alias": write },
                    "mapping": {
                        "nested_fields": { "limit": "50" },
                        "total_fields": { "limit": "1000", "ignore_dynamic_beyond_limit": "true" },
                    },
                } },
                "mappings": mappings(&maker.owner, kind),
            },
        });
        if let Some(index) = template.pointer_mut("/template/settings") {
            fields::copies(&settings.lifecycle, index);
        }
        out.push(maker.object(INDEX_TEMPLATE, &slug, template, vec![at(LIFECYCLE, POLICY)]));
        // Where a rollover begins to count; the server names those that follow.
        let first = json!({ "aliases": { read: {}, write: { "is_write_index": true } } });
        out.push(maker.named_object(
            INDEX,
            &slug,
            (format!("{slug}-000001"), None),
            first,
            vec![at(INDEX_TEMPLATE, &slug)],
        ));
    }
    out
}

fn mappings(owner: &str, kind: &str) -> Value {
    let word = || json!({ "type": "keyword", "ignore_above": 256 });
    let words = |names: &[&str]| -> Map<String, Value> {
        let fields = names.iter().map(|name| ((*name).to_owned(), word()));
        fields.collect()
    };
    let list = |fields: Map<String, Value>| json!({ "type": "nested", "dynamic": "false", "properties": fields });
    let tags = || list(words(&["key", "type", "value"]));
    let properties = match kind {
        "span" => {
            let mut fields = words(&["traceID", "spanID", "parentSpanID", "operationName"]);
            for (name, number) in [
                ("startTime", "long"),
                ("duration", "long"),
                ("flags", "integer"),
            ] {
                fields.insert(name.to_owned(), json!({ "type": number }));
            }
            let time = json!({ "type": "date", "format": "epoch_millis" });
            fields.insert("startTimeMillis".to_owned(), time);
            let mut logs = Map::new();
            logs.insert("timestamp".to_owned(), json!({ "type": "long" }));
            logs.insert("fields".to_owned(), tags());
            fields.insert("logs".to_owned(), list(logs));
            fields.insert("tags".to_owned(), tags());
            fields.insert("tag".to_owned(), json!({ "type": "object" }));
            let references = words(&["refType", "traceID", "spanID"]);
            fields.insert("references".to_owned(), list(references));
            let process = json!({ "properties": {
                "serviceName": word(), "tag": { "type": "object" }, "tags": tags(),
            } });
            fields.insert("process".to_owned(), process);
            fields
        }
        "service" => words(&["serviceName", "operationName"]),
        // Read whole, never searched by its parts.
        _ => {
            let mut fields = Map::new();
            fields.insert("timestamp".to_owned(), json!({ "type": "date" }));
            fields.insert(
                "dependencies".to_owned(),
                json!({ "type": "object", "enabled": false }),
            );
            fields
        }
    };
    json!({
        "_meta": { "managed_by": "kai-observe", "owner": owner },
        "date_detection": false,
        "dynamic_templates": [
            { "tags_of_spans": { "path_match": "tag.*", "mapping": word() } },
            { "tags_of_processes": { "path_match": "process.tag.*", "mapping": word() } },
        ],
        "properties": properties,
    })
}
