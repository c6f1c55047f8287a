//! What an object of Kibana looks like: with our mark, and without what Kibana adds. Pure.
//!
//! A saved object's only free text is its description, which is where the mark stands; a data view
//! has none.

use serde_json::{Map, Value, json};

use super::{DATA_VIEW, INDEX_PATTERN, VISUALIZATION};
use crate::object::{Mark, Object, Server, shape_of};

/// The texts inside JSON, by the names that they have here and there.
const FOLDED: [(&str, &str); 4] = [
    ("panels", "panelsJSON"),
    ("options", "optionsJSON"),
    ("visState", "visState"),
    ("fieldFormatMap", "fieldFormatMap"),
];
const META: &str = "kibanaSavedObjectMeta";
const MARK: &str = "[managed by kai-observe";
const OLDEST: (u64, u64) = (8, 10);
pub(super) const OPENSEARCH: &str = "opensearch-dashboards";

/// OpenSearch Dashboards began anew with 1 when Kibana was at 7, and has the same `/api/status`.
pub(super) fn product(version: &str) -> &'static str {
    let major = version
        .split('.')
        .next()
        .and_then(|n| n.parse::<u64>().ok());
    match major {
        Some(1..=6) => OPENSEARCH,
        _ => "kibana",
    }
}

/// Left out, with the reason, where Kibana is too old to take them, or something else.
pub fn fit(object: &Object, server: &Server) -> Result<Value, String> {
    let for_opensearch = [INDEX_PATTERN, VISUALIZATION].contains(&object.kind)
        || object.body["attributes"]["version"].is_u64();
    let is_opensearch = server.product == OPENSEARCH;
    if for_opensearch != is_opensearch {
        let (is, write) = if is_opensearch {
            ("OpenSearch Dashboards", "opensearch")
        } else {
            ("Kibana", "kibana")
        };
        return Err(format!(
            "{} answers as {is} {}; write `distribution: {write}` in systems.kibana",
            object.access.url, server.version
        ));
    }
    if is_opensearch {
        return Ok(object.body.clone());
    }
    let mut numbers = server.version.split('.').map(str::parse::<u64>);
    if let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next())
        && (major, minor) < OLDEST
    {
        return Err(format!(
            "{} answers as version {}; Kibana {}.{} or later is needed",
            object.access.url, server.version, OLDEST.0, OLDEST.1
        ));
    }
    Ok(object.body.clone())
}

pub fn carries_mark(kind: &str) -> bool {
    ![DATA_VIEW, INDEX_PATTERN].contains(&kind)
}

pub fn marked(kind: &str, body: &Value, mark: &Mark) -> Value {
    let mut body = body.clone();
    if !carries_mark(kind) {
        return body;
    }
    let about = body["attributes"]["description"].as_str().unwrap_or("");
    let text = format!(
        "{about} {MARK} owner={} address={} applied={}]",
        mark.owner,
        mark.address,
        mark.applied.as_deref().unwrap_or_default()
    );
    body["attributes"]["description"] = json!(text.trim_start());
    body
}

pub fn mark_of(kind: &str, actual: &Value) -> Option<Mark> {
    if !carries_mark(kind) {
        return None;
    }
    let text = actual["attributes"]["description"].as_str()?;
    let inside = text.rsplit_once(MARK)?.1.split(']').next()?;
    let word = |name: &str| {
        inside
            .split(' ')
            .find_map(|word| Some(word.strip_prefix(name)?.to_owned()))
    };
    Some(Mark {
        owner: word("owner=")?,
        address: word("address=")?,
        applied: word("applied="),
    })
}

pub fn project(kind: &str, desired: &Value, actual: &Value) -> Value {
    if kind != DATA_VIEW {
        return shape_of(desired, actual);
    }
    let mut out = shape_of(desired, actual);
    // Not said is `false`.
    if actual.get("allowNoIndex").is_none() && desired.get("allowNoIndex").is_some() {
        out["allowNoIndex"] = json!(false);
    }
    out
}

/// As it is imported.
pub(super) fn fold(object: &Object, body: &Value) -> Value {
    let mut attributes = body["attributes"].as_object().cloned().unwrap_or_default();
    for (here, there) in FOLDED {
        if let Some(value) = attributes.remove(here) {
            attributes.insert(there.to_owned(), json!(value.to_string()));
        }
    }
    if let Some(search) = attributes.remove("searchSource") {
        let meta = json!({ "searchSourceJSON": search.to_string() });
        attributes.insert(META.to_owned(), meta);
    }
    json!({
        "type": object.kind,
        "id": object.id,
        "attributes": attributes,
        "references": body["references"],
    })
}

/// As it is compared.
pub(super) fn unfold(object: &Value) -> Value {
    let mut attributes: Map<String, Value> = object["attributes"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    for (here, there) in FOLDED {
        if let Some(value) = attributes.remove(there).as_ref().and_then(parsed) {
            attributes.insert(here.to_owned(), value);
        }
    }
    if let Some(meta) = attributes.remove(META)
        && let Some(search) = parsed(&meta["searchSourceJSON"])
    {
        attributes.insert("searchSource".to_owned(), search);
    }
    json!({ "attributes": attributes, "references": object["references"] })
}

fn parsed(text: &Value) -> Option<Value> {
    serde_json::from_str(text.as_str()?).ok()
}

/// The first line of an export; an object that could not be exported is none.
pub(super) fn first_object(reply: &[u8]) -> Result<Option<Value>, String> {
    let text = String::from_utf8_lossy(reply);
    let Some(line) = text.lines().find(|line| !line.trim().is_empty()) else {
        return Ok(None);
    };
    let object: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    Ok(object.get("attributes").is_some().then_some(object))
}

/// An export of something that is not there is a bad request that says so inside.
pub(super) fn says_not_found(reply: &[u8]) -> bool {
    let Ok(reply) = serde_json::from_slice::<Value>(reply) else {
        return false;
    };
    let objects = reply["attributes"]["objects"].as_array();
    objects.is_some_and(|objects| {
        !objects.is_empty()
            && objects
                .iter()
                .all(|object| object["error"]["statusCode"] == 404)
    })
}

/// Each in a few words.
pub(super) fn import_errors(reply: &Value) -> Vec<String> {
    let errors = reply["errors"].as_array().into_iter().flatten();
    errors
        .map(|error| {
            let what = error["error"]["type"].as_str().unwrap_or("unknown error");
            let more = match what {
                "missing_references" => error["error"]["references"].to_string(),
                _ => error["error"]["message"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            };
            format!(
                "{} {}: {what} {more}",
                error["type"].as_str().unwrap_or_default(),
                error["id"].as_str().unwrap_or_default()
            )
            .trim_end()
            .to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests;
