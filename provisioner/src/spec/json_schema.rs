//! The table as a JSON Schema (draft 2020-12), for editors: `yaml-language-server` completes keys
//! and shows their documentation.

use serde_json::{Map, Value, json};

use super::parse;
use super::schema::{Field, Kind, Object, table};
use super::source::Sources;
use super::tree::{self, Node, Sort};

/// A duration in Prometheus' syntax; the lookahead wants at least one part.
const DURATION: &str =
    "^(?=.)(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$";

/// The JSON Schema of the whole spec.
pub fn json_schema() -> Value {
    let mut writer = Writer {
        definitions: Map::new(),
    };
    let mut root = writer.object(&table::STACK, false);
    if let Value::Object(root) = &mut root {
        let head = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://observe.kai/v1/stack.schema.json",
            "title": "kai-observe spec, observe.kai/v1",
        });
        if let Value::Object(mut head) = head {
            head.append(root);
            *root = head;
        }
        root.insert("$defs".to_owned(), Value::Object(writer.definitions));
    }
    root
}

struct Writer {
    definitions: Map<String, Value>,
}

impl Writer {
    /// `part`: inside an overlay, where nothing is required and null removes.
    fn object(&mut self, object: &'static Object, part: bool) -> Value {
        let mut properties = Map::new();
        let fixed = |f: &&Field| part && object.name == "stack" && table::FIXED.contains(&f.name);
        let id = |f: &&Field| part && object.name == "metadata" && f.name == "id";
        for field in object.fields.iter().filter(|f| !fixed(f) && !id(f)) {
            properties.insert(field.name.to_owned(), self.field(field, part));
        }
        let required: Vec<&str> = object
            .fields
            .iter()
            .filter(|f| f.required && !part)
            .map(|f| f.name)
            .collect();
        let mut schema = json!({
            "description": object.doc,
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    fn field(&mut self, field: &'static Field, part: bool) -> Value {
        let mut schema = self.kind(&field.kind, part);
        let empty_is_fine = matches!(
            field.kind,
            Kind::Object(_) | Kind::Map { .. } | Kind::List { min: 0, .. }
        );
        if part || (empty_is_fine && !field.required) {
            schema = json!({ "anyOf": [schema, { "type": "null" }] });
        }
        schema["description"] = json!(field.doc);
        if let Some(default) = field.default.and_then(value_of) {
            schema["default"] = default;
        }
        if let Some(example) = value_of(field.example) {
            schema["examples"] = json!([example]);
        }
        schema
    }

    fn kind(&mut self, kind: &'static Kind, part: bool) -> Value {
        match kind {
            Kind::Object(object) => self.refer(object, part),
            Kind::Overlay(object) => {
                json!({ "anyOf": [self.refer(object, true), { "type": "null" }] })
            }
            Kind::Map { key, value } => {
                let mut inner = self.kind(value, part);
                let empty_is_fine = match value {
                    Kind::Object(object) => object.fields.iter().all(|f| !f.required),
                    _ => false,
                };
                if part || empty_is_fine {
                    inner = json!({ "anyOf": [inner, { "type": "null" }] });
                }
                let mut schema = json!({ "type": "object", "additionalProperties": inner });
                if let Some(pattern) = key.pattern() {
                    schema["propertyNames"] = json!({ "pattern": pattern });
                }
                schema
            }
            Kind::List { item, unique, min } => {
                let mut schema = json!({ "type": "array", "items": self.kind(item, part) });
                if *unique {
                    schema["uniqueItems"] = json!(true);
                }
                if *min > 0 {
                    schema["minItems"] = json!(min);
                }
                schema
            }
            Kind::Text(format) => match format.pattern() {
                Some(pattern) => json!({ "type": "string", "pattern": pattern }),
                None => json!({ "type": "string" }),
            },
            Kind::Scalar => json!({ "type": ["string", "number", "boolean"] }),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Integer { min, max } => {
                json!({ "type": "integer", "minimum": min, "maximum": max })
            }
            Kind::Number { min, max } => {
                json!({ "type": "number", "minimum": min, "maximum": max })
            }
            Kind::Duration { .. } => json!({ "type": "string", "pattern": DURATION }),
            Kind::Enum { values, .. } => json!({ "enum": values }),
            Kind::Secret => self.secret(part),
        }
    }

    fn refer(&mut self, object: &'static Object, part: bool) -> Value {
        let name = if part {
            format!("{}Part", object.name)
        } else {
            object.name.to_owned()
        };
        if !self.definitions.contains_key(&name) {
            self.definitions.insert(name.clone(), Value::Null);
            let schema = self.object(object, part);
            self.definitions.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    fn secret(&mut self, part: bool) -> Value {
        let name = if part { "secretPart" } else { "secret" };
        let mut schema = json!({
            "description": "Where a secret is. Never the secret itself.",
            "type": "object",
            "properties": {
                "env": {
                    "type": "string",
                    "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
                    "description": "Name of an environment variable that holds it.",
                },
                "file": { "type": "string", "pattern": "\\S", "description": "File that holds it." },
                "rotation": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": u32::MAX,
                    "description": "Raise it when the value behind the same reference has changed.",
                },
            },
            "additionalProperties": false,
        });
        if !part {
            schema["oneOf"] = json!([{ "required": ["env"] }, { "required": ["file"] }]);
        }
        self.definitions.insert(name.to_owned(), schema);
        json!({ "$ref": format!("#/$defs/{name}") })
    }
}

/// A default or example of the table as JSON.
fn value_of(yaml: &str) -> Option<Value> {
    let file = Sources::default().add(std::path::Path::new("table"), yaml);
    let node = parse::parse(file, "table", yaml, &mut super::Findings::default())?;
    Some(to_json(&node))
}

/// A tree as JSON, by the core schema.
pub(super) fn to_json(node: &Node) -> Value {
    match &node.value {
        tree::Value::List(items) => items.iter().map(to_json).collect(),
        tree::Value::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|e| (e.key.clone(), to_json(&e.value)))
                .collect(),
        ),
        tree::Value::Scalar(scalar) => match scalar.sort {
            Sort::Null => Value::Null,
            Sort::Bool => json!(scalar.text.eq_ignore_ascii_case("true")),
            Sort::Int => scalar
                .text
                .parse::<i64>()
                .map_or_else(|_| json!(scalar.text), |n| json!(n)),
            Sort::Float => scalar.text.parse::<f64>().map_or(Value::Null, |n| json!(n)),
            Sort::Text => json!(scalar.text),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_a_valid_schema() {
        let schema = json_schema();
        assert!(jsonschema::meta::is_valid(&schema));
        assert!(
            !schema.to_string().contains(":null,\"secret"),
            "no definition is left open"
        );
    }
}
