//! kai-agent: one pod on every node, with as little of the node as its lanes need. Metrics need
//! `/proc`, `/sys` and `/` read-only, and neither root nor any capability; the node's network,
//! process and host namespaces are not joined.

use std::path::Path;

use kai_contract::agent_config::{
    Admin, AgentConfig, Collectors, Kubernetes as AgentKubernetes, Roots, VERSION,
};
use serde_json::{Value, json};

use super::names::Names;
use super::parts::{self, NOBODY};
use super::{Needed, access, lanes};
use crate::model::{Kubernetes, Resources, Stack};
use crate::render::secrets::Secrets;
use crate::render::yaml;

const PART: &str = "kai-agent";
const FOLDER: &str = "/etc/kai-agent";
const PORT: u16 = 9180;
/// What the agent keeps outlives its pod here.
const STATE: &str = "/var/lib/kai-agent";
/// node_exporter's defaults, and what a container runtime and the kubelet mount for each pod.
const MOUNT_POINTS: &str = "^/(dev|proc|sys|run/credentials/.+|run/containerd/.+|run/k3s/.+|\
    run/netns/.+|var/lib/docker/.+|var/lib/containers/.+|var/lib/containerd/.+|\
    var/lib/kubelet/.+)($|/)";
/// One end of each pod's link: its name changes with every pod.
const DEVICES: &str = "^(veth|cali|lxc|azv|gke|eni[0-9a-f]{5}).*$";

pub fn render(stack: &Stack, cluster: &Kubernetes, names: &Names) -> (Vec<Value>, Vec<Needed>) {
    let mut secrets = Secrets::below(Path::new(FOLDER), false);
    let config = config(stack, names, &mut secrets);
    let needed = lanes::needed(&secrets, &names.agent_namespace, PART);
    let text = yaml::to_text(&config);
    let namespace = &names.agent_namespace;
    let object =
        |api: &str, kind: &str, rest: Value| names.object(api, kind, PART, namespace, PART, rest);
    let mut out = vec![
        object("v1", "ResourceQuota", quota()),
        parts::account(names, PART, namespace),
        object("v1", "ConfigMap", json!({ "data": { "agent.yaml": text } })),
        object(
            "v1",
            "Service",
            json!({ "spec": {
                // No address of its own: an agent is asked for its own node, never for any node.
                "clusterIP": "None",
                "selector": names.selector(PART),
                "ports": [{ "name": "metrics", "port": PORT, "targetPort": "metrics", "protocol": "TCP" }],
            } }),
        ),
        network(&config, names),
        daemon_set(stack, cluster, names, &config, &needed),
    ];
    if config.traces.is_some() {
        out.push(lanes::service(names, PART));
    }
    if let Some(kubernetes) = &config.kubernetes {
        out.extend(access::pods(names, PART, &kubernetes.namespaces));
    }
    (out, needed)
}

/// Where all agents are, by the headless Service.
pub(super) fn everybody(names: &Names) -> String {
    format!("{PART}.{}.svc:{PORT}", names.agent_namespace)
}

fn config(stack: &Stack, names: &Names, secrets: &mut Secrets) -> AgentConfig {
    let pods = stack.agent.discovery.as_ref().and_then(|d| d.pods.as_ref());
    let logs = lanes::logs(stack, names, secrets);
    // One right for both: `validate` sees that they ask for the same.
    let of_logs = stack.log_intake().and_then(|intake| intake.pods.as_ref());
    let of_logs = of_logs
        .filter(|_| logs.is_some())
        .map(|pods| &pods.namespaces);
    let namespaces = pods.map(|pods| &pods.namespaces).or(of_logs);
    AgentConfig {
        state: logs.is_some().then(|| STATE.into()),
        logs,
        traces: lanes::traces(stack),
        kubernetes: namespaces.map(|namespaces| AgentKubernetes {
            namespaces: namespaces.clone(),
            ..AgentKubernetes::default()
        }),
        discovery: pods
            .and_then(|_| crate::render::agent::discovery(stack, Some(everybody(names)))),
        budgets: crate::render::agent::budgets(stack),
        ..node(&stack.agent.collectors)
    }
}

/// What every node's agent does.
fn node(collectors: &Collectors) -> AgentConfig {
    AgentConfig {
        version: VERSION,
        listen: format!("0.0.0.0:{PORT}"),
        admin: Admin {
            socket: Some("/run/kai-agent/agent.sock".into()),
        },
        roots: Roots {
            proc: "/host/proc".into(),
            sys: "/host/sys".into(),
            root: "/host/root".into(),
            udev_data: None,
        },
        collectors: of_a_node(collectors),
        // Prometheus asks pods itself.
        applications: std::collections::BTreeMap::new(),
        kubernetes: None,
        discovery: None,
        budgets: None,
        // The kubelet keeps containers' output small.
        rotate: Vec::new(),
        state: None,
        logs: None,
        traces: None,
        business: None,
        gate: None,
        security: None,
        otlp_metrics: None,
        probes: std::collections::BTreeMap::new(),
        databases: std::collections::BTreeMap::new(),
        round_interval_ms: None,
        remote_write: None,
    }
}

/// What is not said by the spec is as it should be where pods come and go.
fn of_a_node(given: &Collectors) -> Collectors {
    let mut out = given.clone();
    let usual = |chosen: &mut Option<String>, included: bool, pattern: &str| {
        if chosen.is_none() && !included {
            *chosen = Some(pattern.to_owned());
        }
    };
    usual(
        &mut out.filesystem_mount_points_exclude,
        given.filesystem_mount_points_include.is_some(),
        MOUNT_POINTS,
    );
    usual(
        &mut out.netdev_device_exclude,
        given.netdev_device_include.is_some(),
        DEVICES,
    );
    // Netlink would show the pod's own network.
    out.netdev_netlink = Some(given.netdev_netlink.unwrap_or(false));
    out
}

/// Some clusters admit `system-node-critical` outside `kube-system` only where a quota allows it.
fn quota() -> Value {
    json!({ "spec": {
        "hard": { "pods": "10k" },
        "scopeSelector": { "matchExpressions": [{
            "scopeName": "PriorityClass",
            "operator": "In",
            "values": ["system-node-critical"],
        }] },
    } })
}

/// Prometheus may ask. The metrics lane asks nobody; discovery asks the API server, pods and the other
/// agents, and the other lanes send.
fn network(config: &AgentConfig, names: &Names) -> Value {
    let mut from = vec![parts::peer(names, "prometheus", &names.namespace)];
    if config.discovery.is_some() {
        from.push(parts::peer(names, PART, &names.agent_namespace));
    }
    let mut rules = json!([{ "from": from, "ports": [{ "protocol": "TCP", "port": PORT }] }]);
    if let (Some(rules), Some(_)) = (rules.as_array_mut(), &config.traces) {
        rules.push(lanes::ingress());
    }
    let mut out = parts::ingress(names, PART, &names.agent_namespace, rules);
    if config.logs.is_none() && config.traces.is_none() && config.kubernetes.is_none() {
        // No rule allows any. (An empty list would say the same, and differ from what the server
        // keeps, so that each apply would be a change.)
        out["spec"]["policyTypes"] = json!(["Ingress", "Egress"]);
    }
    out
}

fn daemon_set(
    stack: &Stack,
    cluster: &Kubernetes,
    names: &Names,
    config: &AgentConfig,
    needed: &[Needed],
) -> Value {
    names.object(
        "apps/v1",
        "DaemonSet",
        PART,
        &names.agent_namespace,
        PART,
        json!({ "spec": {
            "selector": { "matchLabels": names.selector(PART) },
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": { "maxUnavailable": "10%" },
            },
            "revisionHistoryLimit": 5,
            "template": {
                "metadata": { "labels": names.labels(PART) },
                "spec": pod(&stack.agent.resources, cluster, config, needed),
            },
        } }),
    )
}

fn pod(
    resources: &Resources,
    cluster: &Kubernetes,
    config: &AgentConfig,
    needed: &[Needed],
) -> Value {
    let logs = config.logs.is_some();
    let host = |path: &str, kind: &str| json!({ "path": path, "type": kind });
    let seen = |name: &str, path: &str| {
        // Mounts that come later are seen too; none of ours reaches the node.
        json!({ "name": name, "mountPath": path, "readOnly": true,
                "mountPropagation": "HostToContainer" })
    };
    let mut mounts = vec![
        json!({ "name": "config", "mountPath": FOLDER, "readOnly": true }),
        json!({ "name": "run", "mountPath": "/run/kai-agent" }),
        seen("proc", "/host/proc"),
        seen("sys", "/host/sys"),
        seen("root", "/host/root"),
    ];
    let mut volumes = vec![
        lanes::config_volume(PART, needed),
        json!({ "name": "run", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } }),
        json!({ "name": "proc", "hostPath": host("/proc", "Directory") }),
        json!({ "name": "sys", "hostPath": host("/sys", "Directory") }),
        json!({ "name": "root", "hostPath": host("/", "Directory") }),
    ];
    if logs {
        mounts.push(seen("logs", "/var/log"));
        volumes.push(json!({ "name": "logs", "hostPath": host("/var/log", "Directory") }));
    }
    if let Some(state) = &config.state {
        mounts.push(json!({ "name": "state", "mountPath": state }));
        volumes.push(json!({ "name": "state", "hostPath": host(STATE, "DirectoryOrCreate") }));
    }
    let pull = parts::pull_secrets(cluster);
    let mut out = json!({
        "serviceAccountName": PART,
        "automountServiceAccountToken": config.kubernetes.is_some(),
        "enableServiceLinks": false,
        // On every node, whatever it is kept free for, and the last to be evicted: a full node is
        // the one to be seen.
        "priorityClassName": "system-node-critical",
        "tolerations": [{ "operator": "Exists" }],
        "nodeSelector": { "kubernetes.io/os": "linux" },
        "terminationGracePeriodSeconds": 30,
        "securityContext": security(logs),
        "containers": [{
            "name": PART,
            "image": cluster.agent_image,
            "imagePullPolicy": "IfNotPresent",
            "args": ["run", "--config=/etc/kai-agent/agent.yaml", "--log-format=json"],
            "ports": [{ "name": "metrics", "containerPort": PORT, "protocol": "TCP" }],
            "livenessProbe": parts::probe("/live", "metrics", 10, 3),
            "readinessProbe": parts::probe("/ready", "metrics", 10, 3),
            "resources": parts::resources(resources),
            "securityContext": container(logs),
            "volumeMounts": mounts,
        }],
        "volumes": volumes,
    });
    if config.kubernetes.is_some() {
        let field = json!({ "apiVersion": "v1", "fieldPath": "spec.nodeName" });
        out["containers"][0]["env"] =
            json!([{ "name": "NODE_NAME", "valueFrom": { "fieldRef": field } }]);
    }
    if let (Some(_), Some(ports)) = (&config.traces, out["containers"][0]["ports"].as_array_mut()) {
        ports.extend(lanes::ports());
    }
    if !pull.is_empty() {
        out["imagePullSecrets"] = json!(pull);
    }
    out
}

/// Files of a pod's output belong to root. Root without capabilities is the owner of those files
/// and of the folder of its state, and nothing more; `DAC_READ_SEARCH` lets it read, never write,
/// what belongs to others.
fn security(logs: bool) -> Value {
    let mut out = json!({ "seccompProfile": { "type": "RuntimeDefault" } });
    if logs {
        out["runAsUser"] = json!(0);
        out["runAsGroup"] = json!(0);
    } else {
        out["runAsNonRoot"] = json!(true);
        out["runAsUser"] = json!(NOBODY);
        out["runAsGroup"] = json!(NOBODY);
        // The admin socket's folder.
        out["fsGroup"] = json!(NOBODY);
    }
    out
}

fn container(logs: bool) -> Value {
    let mut out = parts::container_security();
    if logs {
        out["capabilities"]["add"] = json!(["DAC_READ_SEARCH"]);
    }
    out
}

#[cfg(test)]
mod tests {
    use kai_contract::agent_config::{Elasticsearch, Logs};

    use super::*;

    fn cluster() -> Kubernetes {
        Kubernetes {
            namespace: "n".into(),
            agent_image: "kai-agent:1".into(),
            prometheus_image: None,
            alertmanager_image: None,
            kube_state_image: None,
            pull_secrets: Vec::new(),
            storage_class: None,
        }
    }

    fn rendered(config: &AgentConfig) -> Value {
        let resources = Resources {
            cpu: "50m".into(),
            memory: "128Mi".into(),
        };
        pod(&resources, &cluster(), config, &[])
    }

    #[test]
    fn each_lane_adds_what_it_needs_and_no_more() {
        let mut config = node(&Collectors::default());
        let metrics = rendered(&config);
        assert_eq!(metrics["securityContext"]["runAsUser"], NOBODY);
        assert!(metrics["containers"][0]["securityContext"]["capabilities"]["add"].is_null());
        assert!(!metrics.to_string().contains("/var/l"));

        config.state = Some(STATE.into());
        config.logs = Some(Logs {
            sources: std::collections::BTreeMap::new(),
            elasticsearch: Some(Elasticsearch {
                endpoints: vec!["http://h".into()],
                auth: None,
                ca_file: None,
            }),
            privacy: None,
            memory_bytes: 1,
            dead_letter_bytes: 1,
            max_line_bytes: 1,
            max_fields: 10,
            gzip: false,
            compress: None,
            spool: None,
        });
        let logs = rendered(&config);
        assert_eq!(logs["securityContext"]["runAsUser"], 0);
        let security = &logs["containers"][0]["securityContext"];
        assert_eq!(
            security["capabilities"],
            json!({ "drop": ["ALL"], "add": ["DAC_READ_SEARCH"] })
        );
        let mounts = logs["containers"][0]["volumeMounts"]
            .as_array()
            .expect("mounts");
        let writable: Vec<&Value> = mounts
            .iter()
            .filter(|m| m["readOnly"].is_null())
            .map(|m| &m["mountPath"])
            .collect();
        assert_eq!(writable, ["/run/kai-agent", STATE]);
    }
}
