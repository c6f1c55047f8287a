//! What Prometheus and the agents may ask the API. Prometheus: pods of the two namespaces of the stack, and the pods behind
//! the services that it observes, in their namespaces. No role is cluster-wide, none can write.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::discovery;
use super::names::Names;
use crate::model::Stack;

const RBAC: &str = "rbac.authorization.k8s.io";

pub fn render(stack: &Stack, names: &Names) -> Vec<Value> {
    let mut wanted: BTreeMap<&str, bool> = BTreeMap::new();
    wanted.insert(&names.namespace, false);
    wanted.insert(&names.agent_namespace, false);
    let pages: Vec<discovery::Page> = discovery::pages(stack).collect();
    for page in &pages {
        if let discovery::Where::Service { namespace, .. } = &page.place {
            wanted.insert(namespace, true);
        }
    }
    // In a namespace that is not ours another stack may have its own role.
    let name = format!("{}-prometheus", names.namespace);
    let mut out = Vec::new();
    for (namespace, services) in wanted {
        let read = ["get", "list", "watch"];
        let mut rules = vec![json!({ "apiGroups": [""], "resources": ["pods"], "verbs": read })];
        if services {
            rules[0]["resources"] = json!(["pods", "services"]);
            rules.push(json!({
                "apiGroups": ["discovery.k8s.io"],
                "resources": ["endpointslices"],
                "verbs": read,
            }));
        }
        let api = format!("{RBAC}/v1");
        out.push(names.object(
            &api,
            "Role",
            "prometheus",
            namespace,
            &name,
            json!({ "rules": rules }),
        ));
        out.push(names.object(
            &api,
            "RoleBinding",
            "prometheus",
            namespace,
            &name,
            json!({
                "roleRef": { "apiGroup": RBAC, "kind": "Role", "name": name },
                "subjects": [{
                    "kind": "ServiceAccount",
                    "name": "prometheus",
                    "namespace": names.namespace,
                }],
            }),
        ));
    }
    out
}

/// For the account of the agents: pods, read in these namespaces, or in all where none is named.
pub fn pods(names: &Names, part: &str, namespaces: &[String]) -> Vec<Value> {
    let api = format!("{RBAC}/v1");
    let name = format!("{}-{part}", names.namespace);
    let rules = json!({ "rules": [
        { "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"] },
    ] });
    let binding = |kind: &str| {
        json!({
            "roleRef": { "apiGroup": RBAC, "kind": kind, "name": name },
            "subjects": [{
                "kind": "ServiceAccount",
                "name": part,
                "namespace": names.agent_namespace,
            }],
        })
    };
    if namespaces.is_empty() {
        let wide = |kind: &str, rest: Value| {
            let mut out = names.object(&api, kind, part, "", &name, rest);
            if let Some(meta) = out["metadata"].as_object_mut() {
                meta.remove("namespace");
            }
            out
        };
        return vec![
            wide("ClusterRole", rules),
            wide("ClusterRoleBinding", binding("ClusterRole")),
        ];
    }
    let mut out = Vec::new();
    for namespace in namespaces {
        let object =
            |kind: &str, rest: Value| names.object(&api, kind, part, namespace, &name, rest);
        out.push(object("Role", rules.clone()));
        out.push(object("RoleBinding", binding("Role")));
    }
    out
}
