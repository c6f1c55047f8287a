//! Alertmanager: replicas that tell each other what was silenced and told already. It does not
//! watch its files, so the digest of its configuration is an annotation of its pods: a change
//! replaces them one by one. Keys of receivers come from one `Secret`, which is only named here;
//! they are read at each notice, so a new value needs no restart.

use std::path::Path;

use serde_json::{Value, json};

use super::names::Names;
use super::{Needed, parts};
use crate::model::{Alertmanager, Kubernetes, Stack};
use crate::render::alertmanager::document;
use crate::render::secrets::Secrets;
use crate::render::{notices, yaml};
use crate::resource::digest;

const PART: &str = "alertmanager";
/// Gives each pod an address of its own.
const PEERS: &str = "alertmanager-peers";
const PORT: u16 = 9093;
const GOSSIP: u16 = 9094;
const FOLDER: &str = "/etc/alertmanager";
/// The Secret that must be there: one key per receiver.
const SECRET: &str = "alertmanager-receivers";
const MAIN: &str = "alertmanager.yml";
const TEMPLATE: &str = "kai.tmpl";

/// Each replica: Prometheus tells all of them, they agree who speaks.
pub fn addresses(names: &Names, replicas: u32) -> Vec<String> {
    hosts(names, replicas)
        .map(|host| format!("{host}:{PORT}"))
        .collect()
}

fn hosts(names: &Names, replicas: u32) -> impl Iterator<Item = String> {
    (0..replicas).map(|index| format!("{PART}-{index}.{PEERS}.{}.svc", names.namespace))
}

pub fn render(
    stack: &Stack,
    cluster: &Kubernetes,
    settings: &Alertmanager,
    names: &Names,
) -> (Vec<Value>, Vec<Needed>) {
    let mut secrets = Secrets::below(Path::new(FOLDER), false);
    let main = yaml::to_text(&document(stack, &mut secrets));
    let needed: Vec<Needed> = secrets
        .found
        .into_iter()
        .map(|(address, secret)| Needed {
            namespace: names.namespace.clone(),
            secret: SECRET.into(),
            key: address.name().to_owned(),
            reference: secret.reference,
        })
        .collect();
    let applied = digest(format!("{main}\n{}", notices::TEMPLATE));
    let object = |api: &str, kind: &str, name: &str, rest: Value| {
        names.object(api, kind, PART, &names.namespace, name, rest)
    };
    let web = json!({ "name": "web", "port": PORT, "targetPort": "web", "protocol": "TCP" });
    let mut out = vec![
        parts::account(names, PART, &names.namespace),
        object(
            "v1",
            "ConfigMap",
            PART,
            json!({ "data": { MAIN: main, TEMPLATE: notices::TEMPLATE } }),
        ),
        object(
            "v1",
            "Service",
            PART,
            json!({ "spec": { "selector": names.selector(PART), "ports": [web] } }),
        ),
        object(
            "v1",
            "Service",
            PEERS,
            json!({ "spec": {
                "clusterIP": "None",
                // They look for each other before they are ready.
                "publishNotReadyAddresses": true,
                "selector": names.selector(PART),
                "ports": [
                    web,
                    { "name": "gossip-tcp", "port": GOSSIP, "targetPort": "gossip-tcp", "protocol": "TCP" },
                    { "name": "gossip-udp", "port": GOSSIP, "targetPort": "gossip-udp", "protocol": "UDP" },
                ],
            } }),
        ),
        parts::ingress(names, PART, &names.namespace, ingress(names)),
    ];
    out.extend(parts::budget(names, PART, settings.replicas));
    out.push(object(
        "apps/v1",
        "StatefulSet",
        PART,
        json!({ "spec": {
            "serviceName": PEERS,
            "replicas": settings.replicas,
            "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": names.selector(PART) },
            "template": {
                "metadata": {
                    "labels": names.labels(PART),
                    "annotations": { "observe.kai/config": format!("sha256:{applied}") },
                },
                "spec": pod(cluster, settings, names, &needed),
            },
            "volumeClaimTemplates": [
                parts::claim(cluster, &names.selector(PART), &settings.storage),
            ],
        } }),
    ));
    (out, needed)
}

fn ingress(names: &Names) -> Value {
    let own = parts::peer(names, PART, &names.namespace);
    json!([
        { "from": [{ "podSelector": {} }], "ports": [{ "protocol": "TCP", "port": PORT }] },
        { "from": [own], "ports": [
            { "protocol": "TCP", "port": GOSSIP },
            { "protocol": "UDP", "port": GOSSIP },
        ] },
    ])
}

fn pod(cluster: &Kubernetes, settings: &Alertmanager, names: &Names, needed: &[Needed]) -> Value {
    let mut sources = vec![json!({ "configMap": { "name": PART } })];
    if !needed.is_empty() {
        let items: Vec<Value> = needed
            .iter()
            .map(|n| json!({ "key": n.key, "path": format!("secrets/{}", n.key) }))
            .collect();
        // A missing key keeps the pod from starting: a receiver without its key is silence.
        sources.push(json!({ "secret": { "name": SECRET, "items": items } }));
    }
    let image = parts::vendor_image(
        cluster.alertmanager_image.as_ref(),
        PART,
        settings.version.as_ref(),
    );
    let mut out = json!({
        "serviceAccountName": PART,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 120,
        "securityContext": parts::pod_security(),
        "topologySpreadConstraints": parts::spread(names, PART),
        "containers": [{
            "name": PART,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": arguments(settings, names),
            "env": [
                { "name": "POD_IP", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "status.podIP" } } },
            ],
            "ports": [
                { "name": "web", "containerPort": PORT, "protocol": "TCP" },
                { "name": "gossip-tcp", "containerPort": GOSSIP, "protocol": "TCP" },
                { "name": "gossip-udp", "containerPort": GOSSIP, "protocol": "UDP" },
            ],
            "livenessProbe": parts::probe("/-/healthy", "web", 10, 6),
            "readinessProbe": parts::probe("/-/ready", "web", 5, 3),
            "resources": parts::resources(&settings.resources),
            "securityContext": parts::container_security(),
            "volumeMounts": [
                { "name": "config", "mountPath": FOLDER, "readOnly": true },
                { "name": "data", "mountPath": "/alertmanager" },
            ],
        }],
        "volumes": [{
            "name": "config",
            "projected": { "defaultMode": 0o440, "sources": sources },
        }],
    });
    let pull = parts::pull_secrets(cluster);
    if !pull.is_empty() {
        out["imagePullSecrets"] = json!(pull);
    }
    out
}

fn arguments(settings: &Alertmanager, names: &Names) -> Vec<String> {
    let mut out = vec![
        format!("--config.file={FOLDER}/{MAIN}"),
        "--storage.path=/alertmanager".into(),
        format!("--web.listen-address=:{PORT}"),
        format!(
            "--web.external-url=http://{PART}.{}.svc:{PORT}/",
            names.namespace
        ),
    ];
    if settings.replicas > 1 {
        out.push(format!("--cluster.listen-address=[$(POD_IP)]:{GOSSIP}"));
        out.extend(
            hosts(names, settings.replicas).map(|host| format!("--cluster.peer={host}:{GOSSIP}")),
        );
        out.push("--cluster.reconnect-timeout=5m".into());
    } else {
        // One instance has nobody to talk to.
        out.push("--cluster.listen-address=".into());
    }
    out
}
