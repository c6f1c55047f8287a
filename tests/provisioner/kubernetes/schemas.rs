//! Strict schemas for kubeconform out of a server's own OpenAPI document, so that what is judged is
//! the version that was asked, and nothing is fetched.

use std::path::Path;

use serde_json::{Map, Value, json};

/// One file a kind, and one with all definitions.
pub fn write(openapi: &Value, folder: &Path) {
    let mut definitions = openapi["definitions"]
        .as_object()
        .expect("definitions")
        .clone();
    let mut kinds = Vec::new();
    for (name, definition) in &mut definitions {
        let groups = definition["x-kubernetes-group-version-kind"].clone();
        for group in groups.as_array().into_iter().flatten() {
            kinds.push((name.clone(), file_of(group)));
        }
        *definition = if name.ends_with("intstr.IntOrString") {
            json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] })
        } else if name.ends_with("api.resource.Quantity") {
            json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] })
        } else {
            strict(definition)
        };
    }
    let save = |file: &str, value: Value| {
        std::fs::write(folder.join(file), value.to_string()).expect("written");
    };
    save("_definitions.json", json!({ "definitions": definitions }));
    for (name, file) in kinds {
        save(
            &file,
            json!({ "$ref": format!("_definitions.json#/definitions/{name}") }),
        );
    }
}

/// kubeconform's `{{.ResourceKind}}{{.KindSuffix}}.json`.
fn file_of(group: &Value) -> String {
    let text = |key: &str| group[key].as_str().unwrap_or_default().to_lowercase();
    let first = text("group")
        .split('.')
        .next()
        .unwrap_or_default()
        .to_owned();
    let parts = [text("kind"), first, text("version")];
    let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    format!("{}.json", parts.join("-"))
}

/// An object with known properties has no others.
fn strict(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut out: Map<String, Value> =
                map.iter().map(|(k, v)| (k.clone(), strict(v))).collect();
            // `properties` may be a property's name; only a schema's has a description or a type.
            let is_schema = map.get("type").is_none_or(Value::is_string);
            if is_schema && map.get("properties").is_some_and(Value::is_object) {
                out.entry("additionalProperties").or_insert(json!(false));
            }
            Value::Object(out)
        }
        Value::Array(list) => list.iter().map(strict).collect(),
        other => other.clone(),
    }
}
