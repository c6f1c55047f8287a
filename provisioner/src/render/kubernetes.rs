//! The stack as Kubernetes objects. Pure: nothing is asked of a cluster, no secret is read; where a
//! secret is needed, its place in a `Secret` is named. Two namespaces: only the agent's may hold
//! pods that see the node. docs/decisions/0012-kubernetes.md says why.

mod access;
mod agent;
mod alertmanager;
mod discovery;
mod kube_state;
mod lanes;
mod names;
mod parts;
mod prometheus;

use serde_json::Value;

use super::{rules, yaml};
use crate::model::{Kubernetes, SecretRef, Stack};
use names::Names;

/// One object, and the name of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Begins with a number, so that the order of names is an order of creation.
    pub file: String,
    pub value: Value,
}

impl Object {
    /// `DaemonSet kai-observe-agent/kai-agent`, for people.
    pub fn title(&self) -> String {
        let meta = &self.value["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&self.value["kind"]), text(&meta["name"]));
        match meta["namespace"].as_str() {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        }
    }

    pub fn text(&self) -> String {
        yaml::to_text(&self.value)
    }
}

/// A key of a `Secret` that must be there before its pod can start.
#[derive(Debug, Clone, PartialEq)]
pub struct Needed {
    pub namespace: String,
    pub secret: String,
    pub key: String,
    /// Where the spec has it.
    pub reference: SecretRef,
}

/// Everything that is applied, and what must be there besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifests {
    pub objects: Vec<Object>,
    pub secrets: Vec<Needed>,
}

/// The kinds in the order in which they can be created.
const ORDER: [&str; 14] = [
    "Namespace",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "Service",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "StatefulSet",
    "Deployment",
    "DaemonSet",
];

/// All objects of the stack.
pub fn render(stack: &Stack, cluster: &Kubernetes) -> Manifests {
    let names = Names::new(stack, cluster);
    let mut values = names.namespaces();
    let mut secrets = Vec::new();
    let (objects, needed) = agent::render(stack, cluster, &names);
    values.extend(objects);
    secrets.extend(needed);
    if let Some(settings) = &stack.systems.alertmanager {
        let (objects, needed) = alertmanager::render(stack, cluster, settings, &names);
        values.extend(objects);
        secrets.extend(needed);
    }
    values.extend(kube_state::render(stack, cluster, &names));
    if let Some(settings) = &stack.systems.prometheus {
        values.extend(prometheus::render(stack, cluster, settings, &names));
    }
    let rank = |value: &Value| {
        let kind = value["kind"].as_str().unwrap_or_default();
        ORDER.iter().position(|k| *k == kind).unwrap_or(ORDER.len())
    };
    values.sort_by_key(rank);
    let objects = values.into_iter().map(|value| {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
        let (kind, meta) = (word(&value["kind"]), &value["metadata"]);
        let namespace = match meta["namespace"].as_str() {
            Some(namespace) => format!("{namespace}."),
            None => String::new(),
        };
        let file = format!(
            "{:02}-{kind}-{namespace}{}.yaml",
            rank(&value) + 1,
            word(&meta["name"])
        );
        Object { file, value }
    });
    Manifests {
        objects: objects.collect(),
        secrets,
    }
}

/// Whether a file of this name can be a key of a ConfigMap.
pub fn is_config_key(name: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=253).contains(&name.len())
        && name.bytes().all(inside)
        && name != "."
        && !name.starts_with("..")
}

/// What the rules take of a ConfigMap.
pub fn rules_bytes(stack: &Stack) -> usize {
    let sizes = stack.alerts.files.iter();
    sizes
        .map(|file| file.name.len() + rules::body(stack, file).len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_config_maps() {
        for good in ["node.yaml", "a", "A_b-c.yml"] {
            assert!(is_config_key(good), "{good}");
        }
        for bad in ["", ".", "..", "..a", "a b", "é", "a/b", &"a".repeat(254)] {
            assert!(!is_config_key(bad), "{bad}");
        }
    }
}
