//! Fields and settings of the indices. Names are those of the Elastic Common Schema.
//!
//! Lines of any service must find a place, whatever they call their fields: unknown texts are
//! keywords, unknown fields above a limit stay in the document unindexed, a value of the wrong type
//! is kept and not indexed, and `error` may be a text in one line and have fields in the next
//! (`subobjects: false`). The document itself is stored as it came.

use kai_contract::log_fields;
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
    let mut out = keywords(&log_fields::KEYWORDS);
    for (name, kind) in log_fields::TYPED {
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
