//! kube-state-metrics, and what goes with it: the jobs for it, for every node's kubelet and for
//! cAdvisor, and the only roles of a stack that are cluster-wide. They are rendered only where
//! `systems.kubeState` asks for them; none can write.

use serde_json::{Value, json};

use super::discovery::{head, keep, labels};
use super::names::Names;
use super::parts;
use crate::model::{KubeState, KubeStatePlacement, Kubernetes, Resources, Stack};

const PART: &str = "kube-state-metrics";
const PORT: u16 = 8080;
/// Its own health and runtime.
const OWN_PORT: u16 = 8081;
/// Of `registry.k8s.io/kube-state-metrics/kube-state-metrics`.
const VERSION: &str = "2.17.0";

/// What is watched: what the Kube* alerts read, and no secrets and no config maps.
const RESOURCES: [(&str, &[&str]); 6] = [
    (
        "",
        &[
            "namespaces",
            "nodes",
            "persistentvolumeclaims",
            "persistentvolumes",
            "pods",
            "resourcequotas",
            "services",
        ],
    ),
    (
        "apps",
        &["daemonsets", "deployments", "replicasets", "statefulsets"],
    ),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("policy", &["poddisruptionbudgets"]),
    ("storage.k8s.io", &["storageclasses"]),
];

pub fn render(stack: &Stack, cluster: &Kubernetes, names: &Names) -> Vec<Value> {
    let Some(settings) = &stack.systems.kube_state else {
        return Vec::new();
    };
    let mut out = Vec::new();
    if let KubeStatePlacement::Managed { version, resources } = &settings.placement {
        out.extend(managed(cluster, names, version.as_deref(), resources));
    }
    if stack.systems.prometheus.is_some() {
        out.extend(role(names, "prometheus", kubelet_rules()));
    }
    out
}

fn managed(
    cluster: &Kubernetes,
    names: &Names,
    version: Option<&str>,
    resources: &Resources,
) -> Vec<Value> {
    let object = |api: &str, kind: &str, rest: Value| {
        names.object(api, kind, PART, &names.namespace, PART, rest)
    };
    let image = cluster.kube_state_image.clone().unwrap_or_else(|| {
        let version = version.unwrap_or(VERSION);
        format!("registry.k8s.io/kube-state-metrics/kube-state-metrics:v{version}")
    });
    let watched: Vec<&str> = RESOURCES
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    let mut pod = json!({
        "serviceAccountName": PART,
        // It watches the API.
        "automountServiceAccountToken": true,
        "enableServiceLinks": false,
        "securityContext": parts::pod_security(),
        "containers": [{
            "name": PART,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": [
                format!("--port={PORT}"),
                format!("--telemetry-port={OWN_PORT}"),
                format!("--resources={}", watched.join(",")),
            ],
            "ports": [
                { "name": "metrics", "containerPort": PORT, "protocol": "TCP" },
                { "name": "own", "containerPort": OWN_PORT, "protocol": "TCP" },
            ],
            "livenessProbe": parts::probe("/livez", "metrics", 10, 6),
            "readinessProbe": parts::probe("/readyz", "own", 5, 3),
            "resources": parts::resources(resources),
            "securityContext": parts::container_security(),
        }],
    });
    let pull = parts::pull_secrets(cluster);
    if !pull.is_empty() {
        pod["imagePullSecrets"] = json!(pull);
    }
    let rules: Vec<Value> = RESOURCES
        .iter()
        .map(|(group, resources)| {
            json!({ "apiGroups": [group], "resources": resources, "verbs": ["list", "watch"] })
        })
        .collect();
    let mut out = vec![
        parts::account(names, PART, &names.namespace),
        object(
            "v1",
            "Service",
            json!({ "spec": {
                "selector": names.selector(PART),
                "ports": [
                    { "name": "metrics", "port": PORT, "targetPort": "metrics", "protocol": "TCP" },
                ],
            } }),
        ),
        parts::ingress(
            names,
            PART,
            &names.namespace,
            json!([{
                "from": [parts::peer(names, "prometheus", &names.namespace)],
                "ports": [
                    { "protocol": "TCP", "port": PORT },
                    { "protocol": "TCP", "port": OWN_PORT },
                ],
            }]),
        ),
        object(
            "apps/v1",
            "Deployment",
            json!({ "spec": {
                // Two would count everything twice.
                "replicas": 1,
                "strategy": { "type": "Recreate" },
                "selector": { "matchLabels": names.selector(PART) },
                "template": { "metadata": { "labels": names.labels(PART) }, "spec": pod },
            } }),
        ),
    ];
    out.extend(role(names, PART, json!(rules)));
    out
}

/// A node's kubelet lets in who may read `nodes/metrics`, on its own port.
fn kubelet_rules() -> Value {
    json!([
        { "apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"] },
        { "apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"] },
    ])
}

/// A cluster-wide role for the account of a part, its name made with the namespace's.
fn role(names: &Names, part: &str, rules: Value) -> Vec<Value> {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let name = format!("{}-{part}", names.namespace);
    let object = |kind: &str, rest: Value| {
        let mut out = names.object(&format!("{RBAC}/v1"), kind, part, "", &name, rest);
        if let Some(meta) = out["metadata"].as_object_mut() {
            meta.remove("namespace");
        }
        out
    };
    vec![
        object("ClusterRole", json!({ "rules": rules })),
        object(
            "ClusterRoleBinding",
            json!({
                "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": name },
                "subjects": [{
                    "kind": "ServiceAccount",
                    "name": part,
                    "namespace": names.namespace,
                }],
            }),
        ),
    ]
}

/// The jobs: kube-state-metrics, kubelets, cAdvisor.
pub fn jobs(stack: &Stack, names: &Names) -> Vec<Value> {
    let Some(settings) = &stack.systems.kube_state else {
        return Vec::new();
    };
    vec![
        state_job(stack, names, settings),
        node_job(stack, "kubelet", "/metrics", &[]),
        node_job(stack, "cadvisor", "/metrics/cadvisor", &CADVISOR_DROPPED),
        // How containers' liveness, readiness and startup probes end.
        node_job(stack, "kubelet-probes", "/metrics/probes", &[]),
    ]
}

fn state_job(stack: &Stack, names: &Names, settings: &KubeState) -> Value {
    let own = format!("http://{PART}.{}.svc:{PORT}/metrics", names.namespace);
    let url = match &settings.placement {
        KubeStatePlacement::External(url) => url,
        KubeStatePlacement::Managed { .. } => &own,
    };
    let parsed = reqwest::Url::parse(url).ok();
    let path = parsed.as_ref().map_or("/metrics", |url| url.path());
    let mut out = head(&settings.job, path, stack.defaults.scrape_interval);
    let mut address = None;
    if let Some(url) = &parsed
        && let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default())
    {
        address = Some(format!("{host}:{port}"));
        if url.scheme() == "https" {
            out["scheme"] = json!("https");
        }
    }
    // It speaks of other pods, nodes and namespaces, not of itself.
    out["honor_labels"] = json!(true);
    out["static_configs"] = json!([{
        "targets": [address.unwrap_or_default()],
        "labels": {
            "service": PART,
            "team": stack.routing.fallback_team,
            "environment": stack.environment,
        },
    }]);
    out
}

/// Families that are large and that no alert reads, as kube-prometheus drops them.
const CADVISOR_DROPPED: [&str; 3] = [
    "container_(memory_failures_total|blkio_device_usage_total|tasks_state|file_descriptors|sockets|threads_max|ulimits_soft)",
    "container_network_(tcp|udp|tcp6|udp6|advance_tcp)_.*",
    "container_spec_.*",
];

/// Every node's kubelet at this path, by the node's own address.
fn node_job(stack: &Stack, job: &str, path: &str, dropped: &[&str]) -> Value {
    const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mut out = head(job, path, stack.defaults.scrape_interval);
    out["scheme"] = json!("https");
    out["authorization"] = json!({ "credentials_file": format!("{ACCOUNT}/token") });
    out["tls_config"] = json!({
        "ca_file": format!("{ACCOUNT}/ca.crt"),
        // Most clusters let a kubelet sign its certificate itself, which no authority vouches for.
        "insecure_skip_verify": true,
    });
    out["kubernetes_sd_configs"] = json!([{ "role": "node" }]);
    // Series of cAdvisor name the pods that they are of.
    out["honor_labels"] = json!(true);
    let mut relabel = vec![
        keep("__meta_kubernetes_node_name", ".+"),
        json!({ "source_labels": ["__meta_kubernetes_node_name"], "target_label": "instance" }),
        json!({ "source_labels": ["__meta_kubernetes_node_name"], "target_label": "node" }),
        json!({ "target_label": "metrics_path", "replacement": path }),
    ];
    relabel.extend(labels(stack, "kubelet", &stack.routing.fallback_team));
    out["relabel_configs"] = json!(relabel);
    if !dropped.is_empty() {
        out["metric_relabel_configs"] = json!([{
            "source_labels": ["__name__"],
            "regex": dropped.join("|"),
            "action": "drop",
        }]);
    }
    out
}
