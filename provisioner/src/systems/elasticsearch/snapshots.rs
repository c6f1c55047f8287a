//! Daily snapshots: SLM of Elasticsearch and snapshot management of OpenSearch, from
//! `{ repository, hour, minute, keep, patterns }`.

use serde_json::{Value, json};

use super::dialect::{SLM, SM};
use crate::object::Server;
use crate::systems::rest::{Rest, RestError};

/// OpenSearch gives twenty unless it is asked for more; nobody has a thousand.
const PAGE: &str = "?size=1000";

pub fn can(server: &Server) -> bool {
    server.has(SLM) || server.has(SM)
}

pub fn place(server: &Server) -> &'static str {
    if server.has(SM) {
        "/_plugins/_sm/policies"
    } else {
        "/_slm/policy"
    }
}

/// In the server's own form; otherwise why there is none. Pure.
pub fn fit(id: &str, body: &Value, server: &Server) -> Result<Value, String> {
    let number = |key: &str| body[key].as_u64().unwrap_or_default();
    let (hour, minute, keep) = (number("hour"), number("minute"), number("keep"));
    if server.has(SLM) {
        return Ok(json!({
            "schedule": format!("0 {minute} {hour} * * ?"),
            "name": format!("<{id}-{{now/d}}>"),
            "repository": body["repository"],
            "config": {
                "indices": body["patterns"],
                // A stream is there from its first document on.
                "ignore_unavailable": true,
                "include_global_state": false,
                "metadata": {},
            },
            "retention": { "min_count": 1, "max_count": keep },
        }));
    }
    if server.has(SM) {
        let indices: Vec<&str> = body["patterns"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        return Ok(json!({
            "description": "",
            "creation": { "schedule": { "cron": {
                "expression": format!("{minute} {hour} * * *"), "timezone": "UTC"
            } } },
            "deletion": { "condition": { "min_count": 1, "max_count": keep } },
            "snapshot_config": {
                "repository": body["repository"],
                "indices": indices.join(","),
                "ignore_unavailable": true,
                "include_global_state": false,
                "partial": false,
            },
        }));
    }
    Err(format!(
        "{} {} has no snapshot policies here, so nothing takes snapshots",
        server.product, server.version
    ))
}

/// The policy in a reply, with what a change of it needs. Pure.
pub fn read(id: &str, reply: &Value) -> Option<Value> {
    if let Some(found) = reply.get(id) {
        return found.get("policy").cloned();
    }
    let mut policy = reply.get("sm_policy")?.clone();
    for number in ["_seq_no", "_primary_term"] {
        policy[number] = reply[number].clone();
    }
    Some(policy)
}

/// Without what a server adds. Pure.
pub fn project(desired: &Value, actual: &Value) -> Value {
    if desired.get("config").is_some() {
        return actual.clone();
    }
    // Snapshot management says a schedule for deletion, times, a name and an owner by itself.
    let mut out = crate::object::shape_of(desired, actual);
    if let Some(true) = actual.get("enabled").map(|enabled| *enabled == false) {
        out["enabled"] = json!(false);
    }
    out
}

/// Every policy, by name.
pub async fn all(rest: &Rest, server: &Server) -> Result<Vec<(String, Value)>, RestError> {
    if !can(server) {
        return Ok(Vec::new());
    }
    let path = format!(
        "{}{}",
        place(server),
        if server.has(SM) { PAGE } else { "" }
    );
    let reply = match rest.get(&path).await {
        // Who may not look at them has made none.
        Err(error) if error.status() == Some(403) => return Ok(Vec::new()),
        other => other?.unwrap_or_default(),
    };
    if server.has(SM) {
        let found = reply["policies"].as_array().into_iter().flatten();
        return Ok(found
            .map(|one| {
                let policy = one["sm_policy"].clone();
                (
                    policy["name"].as_str().unwrap_or_default().to_owned(),
                    policy,
                )
            })
            .collect());
    }
    let found = reply.as_object().into_iter().flatten();
    Ok(found
        .map(|(id, one)| (id.clone(), one["policy"].clone()))
        .collect())
}
