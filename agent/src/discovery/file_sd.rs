//! Target files in the format of Prometheus' `file_sd_configs`: a list of groups, each with targets
//! and the labels that they share. Pure. What Prometheus refuses is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::yaml::{self, Node};

/// How a file is written, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Yaml,
}

/// One group of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    #[serde(default, deserialize_with = "or_nothing")]
    pub targets: Vec<String>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub labels: BTreeMap<String, String>,
}

/// Go leaves a field alone whose value is null.
fn or_nothing<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a whole file.
pub fn read(form: Form, bytes: &[u8]) -> Result<Vec<Group>, String> {
    let groups = match form {
        Form::Json => {
            let groups: Option<Vec<Option<Group>>> = serde_json::from_slice(bytes)
                .map_err(|error| format!("not target groups: {error}"))?;
            let groups = groups.unwrap_or_default().into_iter().enumerate();
            groups
                .map(|(index, group)| group.ok_or_else(|| nil(index)))
                .collect::<Result<Vec<_>, _>>()?
        }
        Form::Yaml => {
            let text = std::str::from_utf8(bytes)
                .map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to()))?;
            match yaml::read(text)? {
                Node::Null => Vec::new(),
                Node::List(list) => list
                    .into_iter()
                    .enumerate()
                    .map(|(index, node)| group(index, node))
                    .collect::<Result<_, _>>()?,
                _ => return Err("not a list of target groups; begin each with `- targets:`".into()),
            }
        }
    };
    for (index, group) in groups.iter().enumerate() {
        if let Some(name) = group.labels.keys().find(|name| !is_label(name)) {
            return Err(format!(
                "group {index}: \"{name}\" cannot be a label's name"
            ));
        }
    }
    Ok(groups)
}

fn nil(index: usize) -> String {
    format!("group {index} is empty")
}

fn group(index: usize, node: Node) -> Result<Group, String> {
    let at = |message: &str| format!("group {index}: {message}");
    let map = match node {
        Node::Map(map) => map,
        Node::Null => return Err(nil(index)),
        _ => return Err(at("it is no map with `targets` and `labels`")),
    };
    let mut out = Group::default();
    for (name, value) in map {
        match (name.as_str(), value) {
            ("targets" | "labels", Node::Null) => {}
            ("targets", Node::List(list)) => {
                for target in list {
                    out.targets.push(match target {
                        Node::Text(text) => text,
                        Node::Null => String::new(),
                        _ => return Err(at("a target is no text; write one like host:8080")),
                    });
                }
            }
            ("labels", Node::Map(labels)) => {
                for (label, value) in labels {
                    let value = match value {
                        Node::Text(text) => text,
                        Node::Null => String::new(),
                        _ => return Err(at(&format!("the label \"{label}\" is no text"))),
                    };
                    out.labels.insert(label, value);
                }
            }
            ("targets", _) => return Err(at("`targets` is no list")),
            ("labels", _) => return Err(at("`labels` is no map")),
            (other, _) => {
                return Err(at(&format!(
                    "there is no key \"{other}\"; the keys are targets and labels"
                )));
            }
        }
    }
    Ok(out)
}

/// Prometheus 3 takes any text, as long as it is one.
fn is_label(name: &str) -> bool {
    !name.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(json: &str, yaml: &str) -> Vec<Group> {
        let json = read(Form::Json, json.as_bytes()).unwrap();
        assert_eq!(json, read(Form::Yaml, yaml.as_bytes()).unwrap());
        json
    }

    #[test]
    fn both_forms_say_the_same() {
        let groups = both(
            r#"[{"targets":["h:1","h:2"],"labels":{"job":"a","version":"1.10"}},{"targets":null}]"#,
            "- targets: [h:1, 'h:2']\n  labels:\n    job: a\n    version: 1.10\n- targets:\n",
        );
        assert_eq!(groups[0].targets, ["h:1", "h:2"]);
        assert_eq!(groups[0].labels["version"], "1.10");
        assert_eq!(both("[]", ""), []);
        assert_eq!(both("null", "~"), []);
        // JSON is YAML, too.
        let json = r#"[{"targets": ["h:1"], "labels": {"a": "b"}}]"#;
        both(json, json);
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        for json in [
            "",
            "{}",
            "[null]",
            "[{\"target\":[]}]",
            "[{\"targets\":[1]}]",
            "[{\"labels\":{\"a\":1}}]",
            "[{\"labels\":{\"\":\"x\"}}]",
            "[{\"targets\":[]}",
        ] {
            assert!(read(Form::Json, json.as_bytes()).is_err(), "{json}");
        }
        for yaml in [
            "a: b",
            "- ",
            "- target: [a]",
            "- targets: a",
            "- labels: [a]",
            "- labels: {a: [b]}",
            "- targets: [a]\n  targets: [b]",
            "- targets: [",
            "x",
        ] {
            assert!(read(Form::Yaml, yaml.as_bytes()).is_err(), "{yaml}");
        }
        assert!(read(Form::Yaml, b"- targets: [\xff]").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = (read(Form::Json, &bytes), read(Form::Yaml, &bytes));
        }

        #[test]
        fn what_is_written_is_read(
            groups in prop::collection::vec(
                (prop::collection::vec("[ -~]{0,9}", 0..3),
                 prop::collection::btree_map("[a-z_]{1,5}", "[ -~é\n]{0,6}", 0..3)), 0..3)
        ) {
            let wanted: Vec<Group> = groups
                .into_iter()
                .map(|(targets, labels)| Group { targets, labels })
                .collect();
            let value: Vec<_> = wanted
                .iter()
                .map(|g| serde_json::json!({ "targets": g.targets, "labels": g.labels }))
                .collect();
            let json = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(&read(Form::Json, &json).unwrap(), &wanted);
            let yaml = serde_yaml::to_string(&value).unwrap();
            prop_assert_eq!(&read(Form::Yaml, yaml.as_bytes()).unwrap(), &wanted);
        }
    }
}
