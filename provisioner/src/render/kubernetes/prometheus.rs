//! Prometheus: replicas that all read and evaluate the same, each with a volume of its own. It
//! takes a changed ConfigMap by itself (`auto-reload-config`), so that a new rule restarts nothing;
//! `/-/reload` and `/-/quit` stay closed, because in a cluster anybody could call them.

use serde_json::{Value, json};

use super::names::Names;
use super::{access, alertmanager, discovery, parts};
use crate::model::{Kubernetes, Prometheus, Stack};
use crate::render::{duration, prometheus, rules, yaml};
use crate::spec::quantity;

const PART: &str = "prometheus";
const PORT: u16 = 9090;
const RULES: &str = "prometheus-rules";
/// Differs between replicas, and is taken off every alert, so that Alertmanager sees one.
const REPLICA: &str = "prometheus_replica";
/// Of the volume, in hundredths: the rest is for the write-ahead log and blocks being compacted.
const FILLED: u64 = 80;

pub fn render(
    stack: &Stack,
    cluster: &Kubernetes,
    settings: &Prometheus,
    names: &Names,
) -> Vec<Value> {
    let object = |api: &str, kind: &str, name: &str, rest: Value| {
        names.object(api, kind, PART, &names.namespace, name, rest)
    };
    let files: serde_json::Map<String, Value> = stack
        .alerts
        .files
        .iter()
        .map(|file| (file.name.clone(), json!(rules::body(stack, file))))
        .collect();
    let mut out = vec![
        parts::account(names, PART, &names.namespace),
        object(
            "v1",
            "ConfigMap",
            PART,
            json!({ "data": { "prometheus.yml": yaml::to_text(&config(stack, settings, names)) } }),
        ),
        object("v1", "ConfigMap", RULES, json!({ "data": files })),
        object(
            "v1",
            "Service",
            PART,
            json!({ "spec": {
                "selector": names.selector(PART),
                // Two replicas differ by a scrape; a reader stays with one.
                "sessionAffinity": "ClientIP",
                "ports": [{ "name": "web", "port": PORT, "targetPort": "web", "protocol": "TCP" }],
            } }),
        ),
        parts::ingress(
            names,
            PART,
            &names.namespace,
            // Whoever may read metrics: pods of this namespace. People use `kubectl port-forward`.
            json!([{ "from": [{ "podSelector": {} }], "ports": [{ "protocol": "TCP", "port": PORT }] }]),
        ),
    ];
    out.extend(access::render(stack, names));
    out.extend(parts::budget(names, PART, settings.replicas));
    out.push(object(
        "apps/v1",
        "StatefulSet",
        PART,
        json!({ "spec": {
            "serviceName": PART,
            "replicas": settings.replicas,
            // Replicas do not know each other.
            "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": names.selector(PART) },
            "template": {
                "metadata": { "labels": names.labels(PART) },
                "spec": pod(stack, cluster, settings, names),
            },
            "volumeClaimTemplates": [
                parts::claim(cluster, &names.selector(PART), &settings.storage),
            ],
        } }),
    ));
    out
}

fn config(stack: &Stack, settings: &Prometheus, names: &Names) -> Value {
    let alertmanagers = match &stack.systems.alertmanager {
        Some(settings) => alertmanager::addresses(names, settings.replicas),
        None => Vec::new(),
    };
    let jobs = discovery::jobs(stack, names);
    let mut out = prometheus::configuration(stack, jobs, alertmanagers);
    if settings.replicas > 1 {
        out["global"]["external_labels"][REPLICA] = json!("${POD_NAME}");
        if stack.systems.alertmanager.is_some() {
            out["alerting"]["alert_relabel_configs"] =
                json!([{ "regex": REPLICA, "action": "labeldrop" }]);
        }
    }
    out
}

fn pod(stack: &Stack, cluster: &Kubernetes, settings: &Prometheus, names: &Names) -> Value {
    let items: Vec<Value> = stack
        .alerts
        .files
        .iter()
        .map(|file| json!({ "key": file.name, "path": format!("rules/{}", file.name) }))
        .collect();
    let mut sources = vec![json!({ "configMap": { "name": PART } })];
    if !items.is_empty() {
        sources.push(json!({ "configMap": { "name": RULES, "items": items } }));
    }
    let image = parts::vendor_image(
        cluster.prometheus_image.as_ref(),
        PART,
        settings.version.as_ref(),
    );
    let mut out = json!({
        "serviceAccountName": PART,
        // It finds its targets by the API.
        "automountServiceAccountToken": true,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 120,
        "securityContext": parts::pod_security(),
        "topologySpreadConstraints": parts::spread(names, PART),
        "containers": [{
            "name": PART,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": arguments(stack, settings, names),
            "env": [
                { "name": "POD_NAME", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.name" } } },
            ],
            "ports": [{ "name": "web", "containerPort": PORT, "protocol": "TCP" }],
            // Reading the write-ahead log of a busy server takes minutes.
            "startupProbe": parts::probe("/-/ready", "web", 10, 180),
            "livenessProbe": parts::probe("/-/healthy", "web", 10, 6),
            "readinessProbe": parts::probe("/-/ready", "web", 5, 3),
            "resources": parts::resources(&settings.resources),
            "securityContext": parts::container_security(),
            "volumeMounts": [
                { "name": "config", "mountPath": "/etc/prometheus", "readOnly": true },
                { "name": "data", "mountPath": "/prometheus" },
            ],
        }],
        "volumes": [{ "name": "config", "projected": { "sources": sources } }],
    });
    let pull = parts::pull_secrets(cluster);
    if !pull.is_empty() {
        out["imagePullSecrets"] = json!(pull);
    }
    out
}

fn arguments(stack: &Stack, settings: &Prometheus, names: &Names) -> Vec<String> {
    let mut out = vec![
        "--config.file=/etc/prometheus/prometheus.yml".into(),
        "--storage.tsdb.path=/prometheus".into(),
        format!(
            "--storage.tsdb.retention.time={}",
            duration(settings.retention)
        ),
    ];
    if let Ok(bytes) = quantity(&settings.storage) {
        // Prometheus' MB is a mebibyte.
        let filled = (bytes >> 20) * FILLED / 100;
        out.push(format!("--storage.tsdb.retention.size={filled}MB"));
    }
    out.extend([
        format!("--web.listen-address=:{PORT}"),
        format!(
            "--web.external-url=http://{PART}.{}.svc:{PORT}/",
            names.namespace
        ),
        format!(
            "--rules.alert.resend-delay={}",
            duration(prometheus::resend(stack))
        ),
        "--enable-feature=exemplar-storage,auto-reload-config".into(),
    ]);
    out
}
