//! The vendors' schemas, made as strict as the vendors mean them: Swagger 2.0 has no word for "no
//! other fields", so every object that lists its fields gets it here.

use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::{Value, json};

/// A published contract; `None` where it does not lie. The caller then says "not run".
pub fn contract(file: &str) -> Option<Value> {
    let folder = std::env::var_os("KAI_CONTRACTS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/contracts"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(folder.join(file)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Says by name that a test did not run, and why.
pub fn not_run(test: &str, file: &str) {
    eprintln!("not run: {test}: the contract {file} is not there (KAI_CONTRACTS names its folder)");
}

/// For one schema, its references resolved in the whole document.
pub fn validator(document: &Value, schema: &Value) -> Validator {
    let mut schema = schema.clone();
    for place in ["definitions", "components"] {
        if let Some(shared) = document.get(place) {
            schema[place] = shared.clone();
        }
    }
    strict(&mut schema);
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft4)
        .should_validate_formats(false)
        .build(&schema)
        .unwrap()
}

fn strict(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let lists = map.get("properties").is_some_and(Value::is_object);
            if lists && !map.contains_key("additionalProperties") && !map.contains_key("allOf") {
                map.insert("additionalProperties".into(), json!(false));
            }
            for value in map.values_mut() {
                strict(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

/// What is wrong, without the values: a judge that repeats a secret would leak it.
pub fn faults(validator: &Validator, body: &Value) -> Option<String> {
    let all: Vec<String> = validator
        .iter_errors(body)
        .map(|error| {
            let at = error.instance_path().to_string();
            let text = error.masked().to_string();
            format!("{}: {text}", if at.is_empty() { "/" } else { &at })
        })
        .collect();
    (!all.is_empty()).then(|| all.join("; "))
}
