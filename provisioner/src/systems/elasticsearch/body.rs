//! Bodies of templates and policies: fitted to what a server can do, marked, and read back without
//! what a server adds by itself. All pure.

use serde_json::{Map, Value, json};

use super::dialect::{
    AUTO_CREATE, BEYOND_LIMIT, DISABLE_OBJECTS, ILM, ISM, LOGSDB, STREAM_LIFECYCLE, SUBOBJECTS,
};
use super::{
    API_KEY, COMPONENT_TEMPLATE, INDEX, INDEX_TEMPLATE, LIFECYCLE, ROLE, SNAPSHOTS, access,
    lifecycle, snapshots,
};
use crate::object::{Mark, Object, Server};

const MANAGED_BY: &str = "kai-observe";

/// `render` writes all that some server can have; this takes out what this one cannot.
pub fn fit(object: &Object, server: &Server) -> Result<Value, String> {
    let mut body = object.body.clone();
    match object.kind {
        COMPONENT_TEMPLATE => component(&mut body, server),
        INDEX_TEMPLATE => index(&mut body, server),
        LIFECYCLE => return lifecycle::policy(&body, server),
        SNAPSHOTS => return snapshots::fit(&object.id, &body, server),
        ROLE => return access::fit_role(&body, server),
        API_KEY => return access::fit_key(&body, server),
        _ => {}
    }
    Ok(body)
}

fn component(body: &mut Value, server: &Server) {
    if server.has(LOGSDB) {
        // The mode has its own, which packs better.
        remove(body, "/template/settings/index", "codec");
    } else {
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
        let alias = body
            .pointer("/template/settings/index/lifecycle/rollover_alias")
            .cloned();
        remove(body, "/template/settings/index", "lifecycle");
        if let (Some(alias), true) = (alias, server.has(ISM)) {
            body["template"]["settings"]["index"]["plugins"] =
                json!({ "index_state_management": { "rollover_alias": alias } });
        }
    }
    if !server.has(BEYOND_LIMIT) {
        let limits = "/template/settings/index/mapping/total_fields";
        remove(body, limits, "ignore_dynamic_beyond_limit");
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

/// Whether objects of a kind have a place for a mark.
pub fn carries_mark(kind: &str) -> bool {
    kind != INDEX
}

pub fn marked(kind: &str, body: &Value, mark: &Mark) -> Value {
    let mut body = body.clone();
    if !carries_mark(kind) {
        return body;
    }
    let meta = json!({
        "managed_by": MANAGED_BY,
        "owner": mark.owner,
        "address": mark.address,
        "applied": mark.applied,
    });
    if kind == ROLE || kind == API_KEY {
        body["metadata"] = meta;
    } else if body.get("config").is_some() {
        body["config"]["metadata"] = meta;
    } else if body.pointer("/policy/states").is_some() || body.get("creation").is_some() {
        // Neither ISM nor snapshot management has `_meta`.
        let applied = mark.applied.as_deref().unwrap_or_default();
        let Mark { owner, address, .. } = mark;
        let text = Value::from(format!(
            "managed by {MANAGED_BY} owner={owner} address={address} applied={applied}"
        ));
        match body.get_mut("policy") {
            Some(policy) => policy["description"] = text,
            None => body["description"] = text,
        }
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
        .or_else(|| actual.get("creation").and(actual.get("description")))
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
        .or_else(|| actual.get("_meta"))
        .or_else(|| actual.get("metadata"))
        .or_else(|| actual.pointer("/config/metadata"))?;
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
];

#[derive(Clone, Copy, PartialEq)]
enum Added {
    Whatever,
    Empty,
    False,
    Null,
}

impl Added {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Whatever => true,
            Self::False => *value == Value::Bool(false),
            Self::Null => value.is_null(),
            Self::Empty => {
                value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(Map::is_empty)
            }
        }
    }
}

/// The template with the patterns that it has now and would lose, named in its mark so that they
/// are not taken for somebody's change. A server refuses to leave a data stream without template.
pub fn keeping(desired: &Value, actual: &Value) -> Option<Value> {
    let wanted = desired["index_patterns"].as_array()?;
    let kept: Vec<Value> = actual["index_patterns"]
        .as_array()?
        .iter()
        .filter(|pattern| !wanted.contains(pattern))
        .cloned()
        .collect();
    let mut out = desired.clone();
    out["index_patterns"] = Value::Array([wanted.clone(), kept.clone()].concat());
    out["_meta"][KEPT] = Value::Array(kept);
    Some(out)
}

/// In `_meta` of a template: patterns of data streams that nothing asks for any more.
const KEPT: &str = "kept";

pub fn project(kind: &str, desired: &Value, actual: &Value) -> Value {
    let mut out = actual.clone();
    match kind {
        ROLE | API_KEY => {
            access::project(desired, &mut out);
            return out;
        }
        SNAPSHOTS => return snapshots::project(desired, actual),
        _ => {}
    }
    if let Some(Value::Array(kept)) = actual.pointer("/_meta/kept")
        && let Some(Value::Array(patterns)) = out.get_mut("index_patterns")
    {
        let wanted = desired["index_patterns"].as_array();
        patterns.retain(|pattern| {
            !kept.contains(pattern) || wanted.is_some_and(|wanted| wanted.contains(pattern))
        });
        remove(&mut out, "/_meta", KEPT);
    }
    for (place, key, added) in ADDED {
        if desired.pointer(&format!("{place}/{key}")).is_none()
            && out
                .pointer(&format!("{place}/{key}"))
                .is_some_and(|value| added.fits(value))
        {
            remove(&mut out, place, key);
        }
    }
    lifecycle::project(desired, &mut out);
    out
}
