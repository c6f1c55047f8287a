//! A real Prometheus with the rendered configuration and the rights of its own account, asking the
//! API server about pods that stand there: it finds whom it should, under the right names.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::api_server::{ApiServer, path_of};
use super::{component, find, objects};
use crate::harness::{free_ports, request, wait_for};

const JSON: &str = "application/json";

/// The objects of `cluster` are applied.
pub fn by_prometheus(server: &ApiServer) {
    let objects = objects("cluster");
    rights(server);
    let named = |kind: &str, name: &str| find(&objects, kind, name);
    let agents = named("DaemonSet", "kai-agent");
    pod(server, agents, "kai-agent-a", "node-1", "10.1.0.1");
    pod(server, agents, "kai-agent-b", "node-2", "10.1.0.2");
    let mut other = agents.clone();
    other["spec"]["template"]["metadata"]["labels"]["observe.kai/owner"] = json!("somebody");
    pod(server, &other, "foreign", "node-1", "10.1.0.9");
    let prometheus = named("StatefulSet", "prometheus");
    pod(server, prometheus, "prometheus-0", "node-1", "10.1.0.3");
    let alertmanager = named("StatefulSet", "alertmanager");
    pod(server, alertmanager, "alertmanager-0", "node-2", "10.1.0.4");
    service(server, "booking", &["10.1.0.11", "10.1.0.12"]);
    service(server, "unobserved", &["10.1.0.13"]);

    let found = run(server, &objects, 7);
    let own = |service: &str, pod: &str, node: &str, instance: &str, url: &str| {
        let namespace = match service {
            "kai-agent" => "kai-observe-agent",
            "booking" => "kai",
            _ => "kai-observe",
        };
        let team = if service == "booking" {
            service
        } else {
            "platform"
        };
        format!("{service} {team} {namespace} {pod} {node} {instance} {url}")
    };
    let wanted: BTreeSet<String> = [
        own(
            "kai-agent",
            "kai-agent-a",
            "node-1",
            "node-1",
            "http://10.1.0.1:9180/metrics",
        ),
        own(
            "kai-agent",
            "kai-agent-b",
            "node-2",
            "node-2",
            "http://10.1.0.2:9180/metrics",
        ),
        own(
            "prometheus",
            "prometheus-0",
            "node-1",
            "10.1.0.3:9090",
            "http://10.1.0.3:9090/metrics",
        ),
        own(
            "alertmanager",
            "alertmanager-0",
            "node-2",
            "10.1.0.4:9093",
            "http://10.1.0.4:9093/metrics",
        ),
        own(
            "booking",
            "booking-0",
            "node-1",
            "10.1.0.11:8080",
            "http://10.1.0.11:8080/metrics?module=a+b",
        ),
        own(
            "booking",
            "booking-1",
            "node-1",
            "10.1.0.12:8080",
            "http://10.1.0.12:8080/metrics?module=a+b",
        ),
        "kube-state-metrics platform - - - kube-state-metrics.kai-observe.svc:8080 \
         http://kube-state-metrics.kai-observe.svc:8080/metrics"
            .into(),
        "payment platform - - - payment.example.org:443 https://payment.example.org:443/metrics"
            .into(),
    ]
    .into();
    assert_eq!(found, wanted);
}

/// What the roles add up to.
fn rights(server: &ApiServer) {
    let may = |verb: &str, group: &str, resource: &str, namespace: &str| {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": "system:serviceaccount:kai-observe:prometheus",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "resourceAttributes": {
                    "verb": verb, "group": group, "resource": resource, "namespace": namespace,
                },
            },
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer = server.ask(Method::POST, path, Some((JSON, &review)));
        answer.body["status"]["allowed"] == true
    };
    let slices = "discovery.k8s.io";
    assert!(may("watch", "", "pods", "kai-observe-agent"));
    assert!(may("list", slices, "endpointslices", "kai"));
    // For kubelets and cAdvisor, with `systems.kubeState` only.
    assert!(may("list", "", "nodes", ""));
    assert!(may("get", "", "nodes/metrics", ""));
    for (verb, group, resource, namespace) in [
        ("get", "", "secrets", "kai-observe"),
        ("list", "", "pods", "kube-system"),
        ("list", "", "pods", ""),
        ("list", slices, "endpointslices", "kai-observe"),
        ("delete", "", "pods", "kai-observe"),
        ("create", "", "pods/exec", "kai-observe-agent"),
        ("list", "", "configmaps", ""),
        ("delete", "", "nodes", ""),
        ("create", "", "nodes/proxy", ""),
    ] {
        assert!(
            !may(verb, group, resource, namespace),
            "{verb} {resource} {namespace}"
        );
    }
}

/// A pod of the controller, with an address as the kubelet would report it.
fn pod(server: &ApiServer, controller: &Value, name: &str, node: &str, address: &str) {
    let template = &controller["spec"]["template"];
    let mut spec = template["spec"].clone();
    spec["nodeName"] = json!(node);
    if controller["kind"] == "StatefulSet"
        && let Some(volumes) = spec["volumes"].as_array_mut()
    {
        let claim = json!({ "claimName": "data" });
        volumes.push(json!({ "name": "data", "persistentVolumeClaim": claim }));
    }
    let namespace = controller["metadata"]["namespace"].as_str().unwrap();
    let labels = template["metadata"]["labels"].clone();
    create_pod(server, namespace, name, labels, spec, address);
}

fn create_pod(
    server: &ApiServer,
    namespace: &str,
    name: &str,
    labels: Value,
    spec: Value,
    address: &str,
) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "labels": labels },
        "spec": spec,
    });
    create(
        server,
        &format!("/api/v1/namespaces/{namespace}/pods"),
        &pod,
    );
    let status = json!({ "status": {
        "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }],
    } });
    let path = format!("{}/status", path_of(&pod));
    let kind = "application/merge-patch+json";
    let answer = server.ask(Method::PATCH, &path, Some((kind, &status)));
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[track_caller]
fn create(server: &ApiServer, path: &str, object: &Value) -> Value {
    let answer = server.ask(Method::POST, path, Some((JSON, object)));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

/// A Service with pods behind it, each with the metrics port and one that is none.
fn service(server: &ApiServer, name: &str, addresses: &[&str]) {
    let spec = json!({ "selector": { "app": name }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] });
    let object = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": spec });
    create(server, "/api/v1/namespaces/kai/services", &object);
    let mut endpoints = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let pod = format!("{name}-{index}");
        let ports = json!([{ "name": "http", "containerPort": 8080 }, { "name": "grpc", "containerPort": 9000 }]);
        let spec = json!({ "nodeName": "node-1", "containers": [{ "name": "c", "image": "x:1", "ports": ports }] });
        create_pod(server, "kai", &pod, json!({ "app": name }), spec, address);
        endpoints.push(json!({
            "addresses": [address],
            "conditions": { "ready": true },
            "nodeName": "node-1",
            "targetRef": { "kind": "Pod", "name": pod, "namespace": "kai" },
        }));
    }
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": name } },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{ "name": "http", "port": 8080 }, { "name": "grpc", "port": 9000 }],
    });
    create(
        server,
        "/apis/discovery.k8s.io/v1/namespaces/kai/endpointslices",
        &slice,
    );
}

/// Starts Prometheus with the account's own token, and says whom it found.
fn run(server: &ApiServer, objects: &[Value], wanted: usize) -> BTreeSet<String> {
    let request_for_token =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let account = find(objects, "ServiceAccount", "prometheus");
    let token = create(
        server,
        &format!("{}/token", path_of(account)),
        &request_for_token,
    );
    let kubeconfig = server.kubeconfig(token["status"]["token"].as_str());

    let folder = tempfile::tempdir().unwrap();
    let text = find(objects, "ConfigMap", "prometheus")["data"]["prometheus.yml"].clone();
    let mut config: Value = serde_yaml::from_str(text.as_str().unwrap()).unwrap();
    for job in config["scrape_configs"].as_array_mut().unwrap() {
        // In a pod both are found by themselves.
        for discovery in job["kubernetes_sd_configs"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            discovery["kubeconfig_file"] = json!(kubeconfig);
        }
    }
    std::fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
    let port = free_ports();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let args = find(objects, "StatefulSet", "prometheus")["spec"]["template"]["spec"]["containers"]
        [0]["args"]
        .clone();
    let kept = args
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .filter(|arg| {
            !["--config", "--storage.tsdb.path", "--web.listen"]
                .iter()
                .any(|own| arg.starts_with(own))
        });
    let mut running = Command::new(&component("prometheus").programs["prometheus"])
        .args(kept)
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .current_dir(folder.path())
        .env("POD_NAME", "prometheus-0")
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let url = format!("http://127.0.0.1:{port}/api/v1/targets?state=active");
    let found = std::panic::catch_unwind(|| {
        wait_for(
            "Prometheus finds everything",
            Duration::from_secs(40),
            || {
                let reply = request(Method::GET, &url, None).1;
                let reply: Value = serde_json::from_str(&reply).ok()?;
                let found: BTreeSet<String> = reply["data"]["activeTargets"]
                    .as_array()?
                    .iter()
                    .map(line)
                    .collect();
                (found.len() >= wanted).then_some(found)
            },
        )
    });
    running.kill().unwrap();
    running.wait().unwrap();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(!log.contains("forbidden"), "{log}");
    found.unwrap_or_else(|_| panic!("{log}"))
}

fn line(target: &Value) -> String {
    let labels = &target["labels"];
    let keys = ["service", "team", "namespace", "pod", "node", "instance"];
    let mut words: Vec<&str> = keys
        .iter()
        .map(|k| labels[k].as_str().unwrap_or("-"))
        .collect();
    words.push(target["scrapeUrl"].as_str().unwrap_or_default());
    words.join(" ")
}
