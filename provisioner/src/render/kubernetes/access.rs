//! What Prometheus may ask the API: pods of the two namespaces of the stack, and the pods behind
//! the services that it observes, in their namespaces. No role is cluster-wide, none can write.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::discovery;
use super::names::Names;
use crate::model::Stack;

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
        let rbac = "rbac.authorization.k8s.io";
        let api = format!("{rbac}/v1");
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
                "roleRef": { "apiGroup": rbac, "kind": "Role", "name": name },
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
