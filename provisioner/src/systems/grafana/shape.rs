//! What an object of Grafana looks like: with our mark, and without what Grafana adds. Pure.
//!
//! The mark lies where Grafana keeps what it does not know, also when a person saves the object in
//! the browser: in a data source's `jsonData`, and in a hidden constant variable of a dashboard.
//! (A key of its own in a dashboard is lost as soon as somebody saves it.) A folder has no place.

use serde_json::{Map, Value, json};

use super::{DASHBOARD, DATA_SOURCE, FOLDER};
use crate::object::{Mark, Object, Server, shape_of};

const JSON_DATA_KEY: &str = "kaiObserve";
const VARIABLE: &str = "kai_observe";

/// Keys of a data source that a person can change; the others are Grafana's own.
const DATA_SOURCE_KEYS: [&str; 12] = [
    "access",
    "basicAuth",
    "basicAuthUser",
    "database",
    "isDefault",
    "jsonData",
    "name",
    "secureJsonFields",
    "type",
    "url",
    "user",
    "withCredentials",
];

/// Every server since the oldest that is run takes every object.
pub fn fit(object: &Object, _server: &Server) -> Result<Value, String> {
    Ok(object.body.clone())
}

pub fn carries_mark(kind: &str) -> bool {
    kind != FOLDER
}

pub fn marked(kind: &str, body: &Value, mark: &Mark) -> Value {
    let mut body = body.clone();
    match kind {
        DATA_SOURCE => {
            body["jsonData"][JSON_DATA_KEY] = json!({
                "owner": mark.owner,
                "address": mark.address,
                "applied": mark.applied,
            });
        }
        DASHBOARD => {
            let text = format!(
                "owner={} address={} applied={}",
                mark.owner,
                mark.address,
                mark.applied.as_deref().unwrap_or_default()
            );
            let variable = json!({
                "name": VARIABLE,
                "type": "constant",
                "label": "managed by kai-observe",
                "description": "edits are undone by `kai-observe provision`; change the source instead",
                "hide": 2,
                "skipUrlSync": true,
                "query": text,
            });
            if let Some(Value::Array(list)) = body.pointer_mut("/dashboard/templating/list") {
                list.push(variable);
            }
        }
        _ => {}
    }
    body
}

pub fn mark_of(kind: &str, actual: &Value) -> Option<Mark> {
    match kind {
        DATA_SOURCE => {
            let mark = actual.get("jsonData")?.get(JSON_DATA_KEY)?;
            Some(Mark {
                owner: mark["owner"].as_str()?.to_owned(),
                address: mark["address"].as_str()?.to_owned(),
                applied: mark["applied"].as_str().map(ToOwned::to_owned),
            })
        }
        DASHBOARD => {
            let list = actual.pointer("/dashboard/templating/list")?.as_array()?;
            let variable = list.iter().find(|v| v["name"] == VARIABLE)?;
            let mut words = variable["query"].as_str()?.split(' ');
            let mut word = |name: &str| words.next()?.strip_prefix(name).map(ToOwned::to_owned);
            Some(Mark {
                owner: word("owner=")?,
                address: word("address=")?,
                applied: word("applied="),
            })
        }
        _ => None,
    }
}

pub fn project(kind: &str, desired: &Value, actual: &Value) -> Value {
    match kind {
        DATA_SOURCE => data_source(desired, actual),
        DASHBOARD => dashboard(desired, actual),
        _ => shape_of(desired, actual),
    }
}

/// Every key that a person can change, unless it says nothing: a header or a certificate check
/// that somebody added is as much drift as one that somebody took away.
fn data_source(desired: &Value, actual: &Value) -> Value {
    let mut out = Map::new();
    for key in DATA_SOURCE_KEYS {
        let Some(found) = actual.get(key) else {
            continue;
        };
        let wanted = desired.get(key);
        // Which one is the default is the users' choice where Grafana is not ours.
        if wanted.is_none() && (says_nothing(found) || key == "isDefault") {
            continue;
        }
        out.insert(key.to_owned(), found.clone());
    }
    Value::Object(out)
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(says_nothing),
        Value::Number(_) => false,
    }
}

fn dashboard(desired: &Value, actual: &Value) -> Value {
    let mut out = shape_of(desired, actual);
    if let Value::Object(map) = &mut out
        && let (Some(wanted), Some(found)) = (desired.get("folderUid"), actual.get("folderUid"))
    {
        // Moved out of every folder, Grafana says an empty name or none.
        let found = if found.is_null() { &json!("") } else { found };
        map.insert(
            "folderUid".to_owned(),
            if found == wanted { wanted } else { found }.clone(),
        );
    }
    // A newer Grafana migrates what it stores to its own schema and says so.
    let version = |of: &Value| {
        of.pointer("/dashboard/schemaVersion")
            .and_then(Value::as_u64)
    };
    if let (Some(wanted), Some(found)) = (version(desired), version(actual))
        && found > wanted
    {
        out["dashboard"]["schemaVersion"] = json!(wanted);
    }
    out
}

/// Puts a secret at a JSON pointer, making the objects on the way. What follows a `#` in the pointer
/// is put before it: the scheme of an `Authorization` header.
pub(super) fn put(body: &mut Value, pointer: &str, text: &str) {
    let (pointer, prefix) = pointer.split_once('#').unwrap_or((pointer, ""));
    let mut place = body;
    for step in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[step];
    }
    *place = json!(format!("{prefix}{text}"));
}

#[cfg(test)]
mod tests;
