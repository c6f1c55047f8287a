//! Bodies of templates and policies: fitted to what a server can do, marked, and read back without
//! what a server adds by itself. All pure.

use serde_json::{Map, Value, json};

use super::dialect::{
    AUTO_CREATE, BEYOND_LIMIT, DISABLE_OBJECTS, ILM, ISM, LOGSDB, OPENSEARCH, STREAM_LIFECYCLE,
    SUBOBJECTS,
};
use super::{COMPONENT_TEMPLATE, INDEX_TEMPLATE};
use crate::object::{Mark, Object, Server};

const MANAGED_BY: &str = "kai-observe";

/// `render` writes all that some server can have; this takes out what this one cannot.
pub fn fit(object: &Object, server: &Server) -> Result<Value, String> {
    let mut body = object.body.clone();
    match object.kind {
        COMPONENT_TEMPLATE => component(&mut body, server),
        INDEX_TEMPLATE => index(&mut body, server),
        _ => return policy(&body, server),
    }
    Ok(body)
}

fn component(body: &mut Value, server: &Server) {
    if !server.has(LOGSDB) {
        remove(body, "/template/settings/index", "mode");
        remove(body, "/template/settings/index/mapping", "source");
    }
    if !server.has(BEYOND_LIMIT) {
        let limits = "/template/settings/index/mapping/total_fields";
        remove(body, limits, "ignore_dynamic_beyond_limit");
    }
    if server.has(SUBOBJECTS) {
        return;
    }
    if let Some(Value::Object(mappings)) = body.pointer_mut("/template/mappings")
        && mappings.remove("subobjects").is_some()
        && server.has(DISABLE_OBJECTS)
    {
        mappings.insert("disable_objects".to_owned(), json!(true));
    }
}

fn index(body: &mut Value, server: &Server) {
    // A policy wins over a lifecycle in the template; one of the two says it.
    if server.has(ILM) || !server.has(STREAM_LIFECYCLE) {
        remove(body, "/template", "lifecycle");
    }
    if !server.has(ILM) {
        remove(body, "/template/settings/index", "lifecycle");
    }
    if !server.has(AUTO_CREATE) {
        remove(body, "", "allow_auto_create");
    }
    for (above, key) in [
        ("/template/settings", "index"),
        ("/template", "settings"),
        ("", "template"),
    ] {
        let empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
        if body.pointer(&format!("{above}/{key}")).is_some_and(empty) {
            remove(body, above, key);
        }
    }
}

fn remove(body: &mut Value, pointer: &str, key: &str) {
    if let Some(Value::Object(map)) = body.pointer_mut(pointer) {
        map.remove(key);
    }
}

/// From `{"retention", "rollover", "patterns"}` to the server's own form.
fn policy(body: &Value, server: &Server) -> Result<Value, String> {
    let (retention, rollover) = (&body["retention"], &body["rollover"]);
    if server.has(ILM) {
        return Ok(json!({ "policy": { "phases": {
            "hot": { "min_age": "0ms", "actions": { "rollover": {
                "max_age": rollover, "max_primary_shard_size": "10gb"
            } } },
            "delete": { "min_age": retention, "actions": { "delete": {} } }
        } } }));
    }
    if server.has(ISM) {
        return Ok(json!({ "policy": {
            "default_state": "hot",
            "states": [
                {
                    "name": "hot",
                    "actions": [{ "rollover": {
                        "min_index_age": rollover, "min_primary_shard_size": "10gb"
                    } }],
                    "transitions": [{
                        "state_name": "delete",
                        "conditions": { "min_rollover_age": retention }
                    }]
                },
                { "name": "delete", "actions": [{ "delete": {} }], "transitions": [] }
            ],
            "ism_template": [{ "index_patterns": body["patterns"], "priority": 500 }]
        } }));
    }
    let what = format!("{} {}", server.product, server.version);
    Err(if server.has(STREAM_LIFECYCLE) {
        format!("{what} has no ILM; the retention stands in the index template instead")
    } else if server.product == OPENSEARCH {
        format!("{what} has no ISM here, so nothing deletes old documents")
    } else {
        format!("{what} has no ILM here, so nothing deletes old documents")
    })
}

pub fn marked(_kind: &str, body: &Value, mark: &Mark) -> Value {
    let mut body = body.clone();
    let meta = json!({
        "managed_by": MANAGED_BY,
        "owner": mark.owner,
        "address": mark.address,
        "applied": mark.applied,
    });
    if body.pointer("/policy/states").is_some() {
        // ISM has no `_meta`.
        let applied = mark.applied.as_deref().unwrap_or_default();
        let Mark { owner, address, .. } = mark;
        body["policy"]["description"] = Value::from(format!(
            "managed by {MANAGED_BY} owner={owner} address={address} applied={applied}"
        ));
    } else if body.pointer("/policy").is_some() {
        body["policy"]["_meta"] = meta;
    } else {
        body["_meta"] = meta;
    }
    body
}

pub fn mark_of(_kind: &str, actual: &Value) -> Option<Mark> {
    if let Some(text) = actual
        .pointer("/policy/description")
        .and_then(Value::as_str)
    {
        let mut words = text
            .strip_prefix("managed by kai-observe ")?
            .split_ascii_whitespace();
        let mut word = |key| words.next()?.strip_prefix(key);
        return Some(Mark {
            owner: word("owner=")?.to_owned(),
            address: word("address=")?.to_owned(),
            applied: word("applied=").map(str::to_owned),
        });
    }
    let meta = actual
        .pointer("/policy/_meta")
        .or_else(|| actual.get("_meta"))?;
    if meta["managed_by"] != MANAGED_BY {
        return None;
    }
    Some(Mark {
        owner: meta["owner"].as_str()?.to_owned(),
        address: meta["address"].as_str()?.to_owned(),
        applied: meta["applied"].as_str().map(str::to_owned),
    })
}

/// What a server adds where nothing was said, by place. What is not listed was put there by
/// somebody, and is drift.
const ADDED: &[(&str, &str, Added)] = &[
    ("", "created_date", Added::Whatever),
    ("", "created_date_millis", Added::Whatever),
    ("", "modified_date", Added::Whatever),
    ("", "modified_date_millis", Added::Whatever),
    ("", "composed_of", Added::Empty),
    ("", "ignore_missing_component_templates", Added::Empty),
    ("", "deprecated", Added::False),
    ("/data_stream", "hidden", Added::False),
    ("/data_stream", "allow_custom_routing", Added::False),
    ("/data_stream", "timestamp_field", Added::Whatever),
    ("/template", "aliases", Added::Empty),
    (
        "/template/lifecycle",
        "effective_retention",
        Added::Whatever,
    ),
    (
        "/template/lifecycle",
        "retention_determined_by",
        Added::Whatever,
    ),
    // ILM and ISM.
    ("", "version", Added::Whatever),
    ("", "in_use_by", Added::Whatever),
    ("", "_id", Added::Whatever),
    ("", "_version", Added::Whatever),
    ("", "_seq_no", Added::Whatever),
    ("", "_primary_term", Added::Whatever),
    ("/policy", "policy_id", Added::Whatever),
    ("/policy", "last_updated_time", Added::Whatever),
    ("/policy", "schema_version", Added::Whatever),
    ("/policy", "error_notification", Added::Null),
    ("/policy", "user", Added::Whatever),
    (
        "/policy/phases/delete/actions/delete",
        "delete_searchable_snapshot",
        Added::True,
    ),
];

#[derive(Clone, Copy, PartialEq)]
enum Added {
    Whatever,
    Empty,
    False,
    True,
    Null,
}

impl Added {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Whatever => true,
            Self::False => *value == Value::Bool(false),
            Self::True => *value == Value::Bool(true),
            Self::Null => value.is_null(),
            Self::Empty => {
                value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(Map::is_empty)
            }
        }
    }
}

pub fn project(_kind: &str, desired: &Value, actual: &Value) -> Value {
    let mut out = actual.clone();
    for (place, key, added) in ADDED {
        if desired.pointer(&format!("{place}/{key}")).is_none()
            && out
                .pointer(&format!("{place}/{key}"))
                .is_some_and(|value| added.fits(value))
        {
            remove(&mut out, place, key);
        }
    }
    if let Some(Value::Array(states)) = out.pointer_mut("/policy/states") {
        for action in states
            .iter_mut()
            .filter_map(|state| state["actions"].as_array_mut())
            .flatten()
        {
            // ISM's own default for every action.
            remove(action, "", "retry");
        }
    }
    if let Some(Value::Array(templates)) = out.pointer_mut("/policy/ism_template") {
        for template in templates {
            remove(template, "", "last_updated_time");
        }
    }
    out
}

/// Whether writing `desired` over `actual` makes documents go sooner.
pub fn is_shortened(desired: &Value, actual: &Value) -> bool {
    match (retention(desired), retention(actual)) {
        (Some(desired), Some(actual)) => desired < actual,
        // Kept for ever until now.
        (Some(_), None) => actual.get("policy").is_some(),
        _ => false,
    }
}

/// Seconds after which a policy deletes.
fn retention(policy: &Value) -> Option<u64> {
    let text = policy
        .pointer("/policy/phases/delete/min_age")
        .or_else(|| policy.pointer("/policy/states/0/transitions/0/conditions/min_rollover_age"))?
        .as_str()?;
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..split].parse().ok()?;
    let unit = match &text[split..] {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    number.checked_mul(unit)
}
