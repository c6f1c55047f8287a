//! Pieces that several objects share.

use serde_json::{Value, json};

use super::names::Names;
use crate::components::catalogue::Catalogue;
use crate::model::{Kubernetes, Resources};

/// `nobody` of the vendors' images, and of ours.
pub const NOBODY: u32 = 65_534;

/// A pod that passes the level `restricted` of Pod Security.
pub fn pod_security() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": NOBODY,
        "runAsGroup": NOBODY,
        "fsGroup": NOBODY,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

pub fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    })
}

/// Memory is request and limit, so that a node is not promised twice; the processor has no limit,
/// because one slows a program down while the processor idles.
pub fn resources(of: &Resources) -> Value {
    json!({
        "requests": { "cpu": of.cpu, "memory": of.memory },
        "limits": { "memory": of.memory },
    })
}

pub fn probe(path: &str, port: &str, period: u32, failures: u32) -> Value {
    json!({
        "httpGet": { "path": path, "port": port },
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    })
}

/// The vendor's image at the version of the spec, else at the one that the catalogue has.
pub fn vendor_image(given: Option<&String>, name: &str, version: Option<&String>) -> String {
    let version = version.cloned().or_else(|| {
        let component = Catalogue::embedded().ok()?.get(name).ok()?;
        Some(component.version.default.clone())
    });
    match (given, version) {
        (Some(image), _) => image.clone(),
        (None, version) => format!("quay.io/prometheus/{name}:v{}", version.unwrap_or_default()),
    }
}

pub fn pull_secrets(cluster: &Kubernetes) -> Vec<Value> {
    let names = cluster.pull_secrets.iter();
    names.map(|name| json!({ "name": name })).collect()
}

/// A StatefulSet's volume.
pub fn claim(cluster: &Kubernetes, labels: &Value, size: &str) -> Value {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": size } },
    });
    if let Some(class) = &cluster.storage_class {
        spec["storageClassName"] = json!(class);
    }
    json!({ "metadata": { "name": "data", "labels": labels }, "spec": spec })
}

/// Replicas on nodes of their own where there are enough.
pub fn spread(names: &Names, part: &str) -> Value {
    json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": { "matchLabels": names.selector(part) },
    }])
}

/// A node may be drained while the others do the work; one replica alone would block every drain,
/// so it has no budget.
pub fn budget(names: &Names, part: &str, replicas: u32) -> Option<Value> {
    (replicas > 1).then(|| {
        names.object(
            "policy/v1",
            "PodDisruptionBudget",
            part,
            &names.namespace,
            part,
            json!({ "spec": {
                "maxUnavailable": 1,
                "selector": { "matchLabels": names.selector(part) },
            } }),
        )
    })
}

pub fn account(names: &Names, part: &str, namespace: &str) -> Value {
    names.object(
        "v1",
        "ServiceAccount",
        part,
        namespace,
        part,
        // The one pod that asks the API says so itself.
        json!({ "automountServiceAccountToken": false }),
    )
}

/// Pods of the part are reached at these ports by those, and by nobody else.
pub fn ingress(names: &Names, part: &str, namespace: &str, rules: Value) -> Value {
    names.object(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        part,
        namespace,
        part,
        json!({ "spec": {
            "podSelector": { "matchLabels": names.selector(part) },
            "policyTypes": ["Ingress"],
            "ingress": rules,
        } }),
    )
}

/// Pods of a part of this stack, whatever their namespace, as a peer of a NetworkPolicy.
pub fn peer(names: &Names, part: &str, namespace: &str) -> Value {
    json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
        "podSelector": { "matchLabels": names.selector(part) },
    })
}
