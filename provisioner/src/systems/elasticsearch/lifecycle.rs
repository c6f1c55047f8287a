//! From a neutral lifecycle to ILM of Elasticsearch or ISM of OpenSearch, and how long a policy that
//! was read keeps documents. All pure.
//!
//! ```text
//! { retention, rollover, size, patterns, warm: { after, forceMerge, shrink, replicas, allocate } }
//! ```
//! and `streams: false` where the patterns are those of plain indices behind an alias.

use serde_json::{Map, Value, json};

use super::dialect::{ILM, ISM, OPENSEARCH, STREAM_LIFECYCLE};
use crate::object::Server;

/// In the server's own form; otherwise why there is none.
pub fn policy(body: &Value, server: &Server) -> Result<Value, String> {
    if server.has(ILM) {
        return Ok(ilm(body));
    }
    if server.has(ISM) {
        return Ok(ism(body));
    }
    let what = format!("{} {}", server.product, server.version);
    Err(if body["streams"] == false {
        format!(
            "{what} has neither ILM nor ISM here, so nothing begins new indices and deletes old ones"
        )
    } else if server.has(STREAM_LIFECYCLE) {
        let warm = match body.get("warm") {
            Some(_) => ", without its warm phase",
            None => "",
        };
        format!("{what} has no ILM; the retention stands in the index template instead{warm}")
    } else if server.product == OPENSEARCH {
        format!("{what} has no ISM here, so nothing deletes old documents")
    } else {
        format!("{what} has no ILM here, so nothing deletes old documents")
    })
}

fn ilm(body: &Value) -> Value {
    let mut phases = json!({
        "hot": { "min_age": "0ms", "actions": { "rollover": {
            "max_age": body["rollover"], "max_primary_shard_size": body["size"]
        } } },
        "delete": { "min_age": body["retention"], "actions": { "delete": {} } }
    });
    if let Some(warm) = body.get("warm") {
        let mut actions = Map::new();
        actions.insert("readonly".to_owned(), json!({}));
        let mut allocate = Map::new();
        if let Some(replicas) = warm.get("replicas") {
            allocate.insert("number_of_replicas".to_owned(), replicas.clone());
        }
        if let Some(attributes) = warm.get("allocate") {
            allocate.insert("require".to_owned(), attributes.clone());
            // Otherwise it is moved to a data tier as well.
            actions.insert("migrate".to_owned(), json!({ "enabled": false }));
        }
        if !allocate.is_empty() {
            actions.insert("allocate".to_owned(), Value::Object(allocate));
        }
        if let Some(shards) = warm.get("shrink") {
            actions.insert("shrink".to_owned(), json!({ "number_of_shards": shards }));
        }
        if warm["forceMerge"] == true {
            actions.insert("forcemerge".to_owned(), json!({ "max_num_segments": 1 }));
        }
        phases["warm"] = json!({ "min_age": warm["after"], "actions": actions });
    }
    json!({ "policy": { "phases": phases } })
}

fn ism(body: &Value) -> Value {
    let go = |state: &str, after: &Value| json!([{ "state_name": state, "conditions": { "min_rollover_age": after } }]);
    let hot = json!([{ "rollover": {
        "min_index_age": body["rollover"], "min_primary_shard_size": body["size"]
    } }]);
    let mut states = Vec::new();
    match body.get("warm") {
        None => states.push(json!({
            "name": "hot", "actions": hot, "transitions": go("delete", &body["retention"]),
        })),
        Some(warm) => {
            let mut actions = vec![json!({ "read_only": {} })];
            if let Some(replicas) = warm.get("replicas") {
                actions.push(json!({ "replica_count": { "number_of_replicas": replicas } }));
            }
            if let Some(attributes) = warm.get("allocate") {
                actions.push(json!({ "allocation": { "require": attributes, "wait_for": false } }));
            }
            if let Some(shards) = warm.get("shrink") {
                actions.push(json!({ "shrink": { "num_new_shards": shards } }));
            }
            if warm["forceMerge"] == true {
                actions.push(json!({ "force_merge": { "max_num_segments": 1 } }));
            }
            states.push(json!({
                "name": "hot", "actions": hot, "transitions": go("warm", &warm["after"]),
            }));
            states.push(json!({
                "name": "warm", "actions": actions, "transitions": go("delete", &body["retention"]),
            }));
        }
    }
    states.push(json!({ "name": "delete", "actions": [{ "delete": {} }], "transitions": [] }));
    json!({ "policy": {
        "default_state": "hot",
        "states": states,
        "ism_template": [{ "index_patterns": body["patterns"], "priority": 500 }]
    } })
}

/// Takes out of a policy what a server says of its actions where nothing was said.
pub fn project(desired: &Value, out: &mut Value) {
    if let Some(Value::Object(phases)) = out.pointer_mut("/policy/phases") {
        for (name, phase) in phases {
            let Some(Value::Object(actions)) = phase.get_mut("actions") else {
                continue;
            };
            for (kind, action) in actions {
                let wanted = &desired["policy"]["phases"][name]["actions"][kind];
                without_defaults(wanted, action);
            }
        }
    }
    if let Some(Value::Array(states)) = out.pointer_mut("/policy/states") {
        for (index, state) in states.iter_mut().enumerate() {
            let Some(Value::Array(actions)) = state.get_mut("actions") else {
                continue;
            };
            for (place, action) in actions.iter_mut().enumerate() {
                let wanted = &desired["policy"]["states"][index]["actions"][place];
                let Value::Object(action) = action else {
                    continue;
                };
                // ISM's own for every action.
                action.remove("retry");
                for (kind, action) in action {
                    without_defaults(&wanted[kind], action);
                }
            }
        }
    }
    if let Some(Value::Array(templates)) = out.pointer_mut("/policy/ism_template") {
        for template in templates.iter_mut().filter_map(Value::as_object_mut) {
            template.remove("last_updated_time");
        }
    }
}

/// What changes nothing when it is said: nothing, no, and that a deleted index takes its searchable
/// snapshot along.
fn without_defaults(wanted: &Value, action: &mut Value) {
    let Value::Object(action) = action else {
        return;
    };
    action.retain(|key, value| {
        let says_nothing = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Bool(true) => key == "delete_searchable_snapshot",
            Value::Object(map) => map.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        wanted.get(key).is_some() || !says_nothing
    });
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

/// Milliseconds after which a policy deletes; nothing where it does not.
fn retention(policy: &Value) -> Option<u64> {
    let ilm = policy.pointer("/policy/phases/delete/min_age");
    let ism = || {
        let states = policy.pointer("/policy/states")?.as_array()?.iter();
        states
            .filter_map(|state| state["transitions"].as_array())
            .flatten()
            .find(|transition| transition["state_name"] == "delete")?
            .pointer("/conditions/min_rollover_age")
    };
    let text = ilm.or_else(ism)?.as_str()?;
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..split].parse().ok()?;
    let unit = match &text[split..] {
        "d" => 86_400_000,
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1_000,
        "ms" => 1,
        _ => return None,
    };
    number.checked_mul(unit)
}
