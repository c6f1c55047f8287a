//! Parts of the spec that have the agent's own keys, read as they are.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::spec::tree::{self, Node, Sort};

/// What the checker has refused reads as absent; the spec is refused in any case.
pub(super) fn read<T: DeserializeOwned>(node: Option<&Node>) -> Option<T> {
    let mut value = value(node?);
    if let Value::Object(keys) = &mut value {
        // It names secrets, which the agent reads from files.
        keys.remove("auth");
    }
    serde_json::from_value(value).ok()
}

fn value(node: &Node) -> Value {
    match &node.value {
        tree::Value::List(items) => items.iter().map(value).collect(),
        tree::Value::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), value(&entry.value)))
                .collect::<Map<_, _>>(),
        ),
        tree::Value::Scalar(scalar) => match scalar.sort {
            Sort::Null => Value::Null,
            Sort::Bool => json!(scalar.text.eq_ignore_ascii_case("true")),
            Sort::Int => scalar
                .text
                .parse::<i64>()
                .map_or_else(|_| json!(scalar.text), |number| json!(number)),
            Sort::Float | Sort::Text => json!(scalar.text),
        },
    }
}
