//! Names, labels and namespaces: what tells the objects of one stack from all others.

use serde_json::{Map, Value, json};

use crate::model::{Kubernetes, Stack};

/// Says whose an object is; the value is the stack's id, which outlives its name.
const OWNER: &str = "observe.kai/owner";
const ENVIRONMENT: &str = "observe.kai/environment";

pub struct Names {
    pub namespace: String,
    pub agent_namespace: String,
    stack: String,
    owner: String,
    environment: String,
}

impl Names {
    pub fn new(stack: &Stack, cluster: &Kubernetes) -> Self {
        Self {
            namespace: cluster.namespace.clone(),
            agent_namespace: cluster.agent_namespace(),
            stack: stack.name.clone(),
            owner: stack.owner.id.clone(),
            environment: stack.environment.clone(),
        }
    }

    /// What every object of the part carries.
    pub fn labels(&self, part: &str) -> Value {
        json!({
            "app.kubernetes.io/name": part,
            "app.kubernetes.io/instance": self.stack,
            "app.kubernetes.io/part-of": "kai-observe",
            "app.kubernetes.io/managed-by": "kai-observe",
            OWNER: self.owner,
            ENVIRONMENT: self.environment,
        })
    }

    /// What finds the pods of the part. A selector can never change, so nothing is in it that a
    /// spec may change: a renamed stack stays itself.
    pub fn selector(&self, part: &str) -> Value {
        json!({ "app.kubernetes.io/name": part, OWNER: self.owner })
    }

    /// The selector as Kubernetes' APIs take it in a query.
    pub fn selector_text(&self, part: &str) -> String {
        format!("app.kubernetes.io/name={part},{OWNER}={}", self.owner)
    }

    pub fn meta(&self, part: &str, namespace: &str, name: &str) -> Value {
        json!({ "name": name, "namespace": namespace, "labels": self.labels(part) })
    }

    pub fn object(
        &self,
        api: &str,
        kind: &str,
        part: &str,
        namespace: &str,
        name: &str,
        rest: Value,
    ) -> Value {
        let mut out = Map::new();
        out.insert("apiVersion".into(), json!(api));
        out.insert("kind".into(), json!(kind));
        out.insert("metadata".into(), self.meta(part, namespace, name));
        if let Value::Object(rest) = rest {
            out.extend(rest);
        }
        Value::Object(out)
    }

    /// Prometheus and Alertmanager pass the strictest level of Pod Security; the agent's volumes
    /// are forbidden by all but `privileged`, so it is alone in its namespace.
    pub fn namespaces(&self) -> Vec<Value> {
        let namespace = |name: &str, part: &str, level: &str| {
            let mut labels = self.labels(part);
            for mode in ["enforce", "audit", "warn"] {
                labels[format!("pod-security.kubernetes.io/{mode}")] = json!(level);
            }
            json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": { "name": name, "labels": labels },
            })
        };
        vec![
            namespace(&self.namespace, "kai-observe", "restricted"),
            namespace(&self.agent_namespace, "kai-agent", "privileged"),
        ]
    }
}
