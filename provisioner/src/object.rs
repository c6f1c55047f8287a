//! Objects behind an HTTP API: templates of Elasticsearch, data sources and dashboards of Grafana,
//! data views of Kibana. Everything here is pure; [`crate::systems::objects`] asks and writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use crate::model::{Connection, SecretRef};
use crate::resource::{Address, digest};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum System {
    Elasticsearch,
    Grafana,
    Kibana,
}

impl System {
    pub const ALL: [Self; 3] = [Self::Elasticsearch, Self::Grafana, Self::Kibana];

    /// The first part of its objects' addresses, and the name of its process.
    pub fn word(self) -> &'static str {
        match self {
            Self::Elasticsearch => "elasticsearch",
            Self::Grafana => "grafana",
            Self::Kibana => "kibana",
        }
    }

    pub fn process(self) -> Address {
        Address::process(self.word())
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What should be behind an API.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub system: System,
    /// The process is ours: while it does not run, nothing can be said of its objects.
    pub managed: bool,
    pub access: Connection,
    /// The system's own word, for example `index-template`.
    pub kind: &'static str,
    /// The name in the system: see [`id`].
    pub id: String,
    /// Without mark, without secrets.
    pub body: Value,
    /// What cannot be read back, by the place where it goes (a JSON pointer).
    pub secrets: BTreeMap<String, SecretRef>,
    /// A secret that the server says once, when the object is made, is kept in this file (relative
    /// to the stack's folder); without the file the object is as good as not there.
    pub keeps: Option<PathBuf>,
}

/// What a server said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Server {
    /// For example `elasticsearch` or `opensearch`.
    pub product: String,
    pub version: String,
    /// What it can do, in words of its system's file.
    pub features: BTreeSet<String>,
}

impl Server {
    pub fn has(&self, feature: &str) -> bool {
        self.features.contains(feature)
    }
}

/// Who made an object, as the object itself says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub owner: String,
    pub address: String,
    /// Digest of the body that was last applied; `None` where the mark cannot hold it.
    pub applied: Option<String>,
}

/// Longest name that every system takes (Grafana's uid).
const LONGEST: usize = 40;

/// `kai-<owner>-<slug>`; what would be longer ends in a digest instead.
pub fn id(owner: &str, slug: &str) -> String {
    let prefix = id_prefix(owner);
    let whole = format!("{prefix}{slug}");
    if whole.len() <= LONGEST {
        return whole;
    }
    let digest = digest(&whole);
    let room = LONGEST.saturating_sub(prefix.len() + 9);
    let short: String = slug.chars().take(room).collect();
    format!("{prefix}{short}-{}", &digest[..8])
}

/// What the names of all objects of an owner begin with.
pub fn id_prefix(owner: &str) -> String {
    // Two dozen characters leave room for a slug and a digest.
    if owner.len() <= 24 {
        return format!("kai-{owner}-");
    }
    format!("kai-{}-", &digest(owner)[..16])
}

/// Digest of a body, whatever the order of its keys.
pub fn fingerprint(body: &Value) -> String {
    digest(sorted(body).to_string())
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<&String, Value> =
                map.iter().map(|(k, v)| (k, sorted(v))).collect();
            Value::Object(ordered.into_iter().map(|(k, v)| (k.clone(), v)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// The part of `actual` that `desired` speaks of: keys that a server adds are no drift.
pub fn shape_of(desired: &Value, actual: &Value) -> Value {
    match (desired, actual) {
        (Value::Object(desired), Value::Object(actual)) => Value::Object(
            desired
                .iter()
                .filter_map(|(key, wanted)| Some((key.clone(), shape_of(wanted, actual.get(key)?))))
                .collect(),
        ),
        (Value::Array(desired), Value::Array(actual)) => Value::Array(
            actual
                .iter()
                .enumerate()
                .map(|(index, item)| match desired.get(index) {
                    Some(wanted) => shape_of(wanted, item),
                    None => item.clone(),
                })
                .collect(),
        ),
        (_, actual) => actual.clone(),
    }
}

/// Equal whatever the order of keys.
pub fn same(a: &Value, b: &Value) -> bool {
    sorted(a) == sorted(b)
}

/// For people: one value per line, keys in order.
pub fn text(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(&sorted(value)).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_fit_every_system_and_begin_with_their_owners_prefix() {
        for owner in ["k7m2x4qd9t-local", &"o".repeat(60)] {
            for slug in ["logs", "a-very-long-name-of-a-dashboard-about-everything"] {
                let id = id(owner, slug);
                assert!(id.len() <= LONGEST, "{id}");
                assert!(id.starts_with(&id_prefix(owner)), "{id}");
            }
        }
        assert_eq!(id("k7m2x4qd9t-local", "logs"), "kai-k7m2x4qd9t-local-logs");
        assert_ne!(
            id("k7m2x4qd9t-local", "a-very-long-name-of-one-dashboard"),
            id("k7m2x4qd9t-local", "a-very-long-name-of-one-dashboarx")
        );
    }

    #[test]
    fn what_a_server_adds_is_no_drift_and_what_it_changes_is() {
        let desired = json!({ "a": 1, "b": { "c": [ { "d": 1 } ] } });
        let actual = json!({ "b": { "c": [ { "d": 1, "x": 0 } ], "y": 0 }, "a": 1, "z": 0 });
        assert!(same(&desired, &shape_of(&desired, &actual)));
        let longer = json!({ "a": 1, "b": { "c": [ { "d": 1 }, { "d": 2 } ] } });
        assert!(!same(&desired, &shape_of(&desired, &longer)));
        assert!(!same(&desired, &shape_of(&desired, &json!({ "a": 1 }))));
    }

    #[test]
    fn a_fingerprint_does_not_see_the_order_of_keys() {
        assert_eq!(
            fingerprint(&json!({ "a": 1, "b": 2 })),
            fingerprint(&json!({ "b": 2, "a": 1 }))
        );
    }
}
