//! What is kept of a pod: who it is, where it answers, what it says of itself. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

/// Of each of labels, annotations, containers and ports of a container, at most.
const MOST: usize = 64;

/// Annotations that somebody reads begin with one of these.
const ANNOTATIONS: [&str; 2] = ["prometheus.io/", "kai.observe/"];

/// A static pod's folder of logs is named by this, not by the uid of its mirror.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    pub uid: Box<str>,
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub node: Box<str>,
    /// `metadata.resourceVersion`
    pub version: Box<str>,
    /// What its folder of logs is named by if it is not the uid.
    pub alias: Option<Box<str>>,
    pub ip: Option<IpAddr>,
    /// It has the node's own network and address.
    pub host_network: bool,
    pub running: bool,
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Those that somebody reads.
    pub annotations: BTreeMap<Box<str>, Box<str>>,
    pub owner: Option<Owner>,
    pub containers: Vec<Container>,
}

/// What made the pod, and the workload that a person would name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// `ReplicaSet`, `DaemonSet`, `StatefulSet`, `Job`, …
    pub kind: Box<str>,
    pub name: Box<str>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    pub name: Box<str>,
    pub image: Box<str>,
    pub ports: Vec<Port>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Port {
    pub name: Box<str>,
    pub number: u16,
}

impl Pod {
    /// Reads a pod as the API writes it; what is not one is refused.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let raw: Raw = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        raw.resolve()
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(|value| &**value)
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(|value| &**value)
    }

    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers
            .iter()
            .find(|container| &*container.name == name)
    }

    /// The Deployment behind a ReplicaSet and the CronJob behind a Job, by the rules that the
    /// controllers name theirs by; any other owner is the workload itself.
    pub fn workload(&self) -> Option<(&str, &str)> {
        let owner = self.owner.as_ref()?;
        let above = match &*owner.kind {
            "ReplicaSet" => self
                .label("pod-template-hash")
                .and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'))
                .map(|name| ("Deployment", name)),
            "Job" => owner
                .name
                .rsplit_once('-')
                // The minute, since 1970, at which it was due.
                .filter(|(_, minute)| {
                    (8..=10).contains(&minute.len()) && minute.bytes().all(|b| b.is_ascii_digit())
                })
                .map(|(name, _)| ("CronJob", name)),
            _ => None,
        };
        above
            .or(Some((&owner.kind, &owner.name)))
            .filter(|(_, name)| !name.is_empty())
    }
}

/// As it is written; every field may be missing.
#[derive(Deserialize)]
pub(super) struct Raw {
    metadata: Option<Metadata>,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    uid: Option<Box<str>>,
    name: Option<Box<str>>,
    namespace: Option<Box<str>>,
    resource_version: Option<Box<str>>,
    labels: Option<BTreeMap<Box<str>, Option<Box<str>>>>,
    annotations: Option<BTreeMap<Box<str>, Option<Box<str>>>>,
    owner_references: Option<Vec<RawOwner>>,
}

#[derive(Deserialize)]
struct RawOwner {
    kind: Option<Box<str>>,
    name: Option<Box<str>>,
    controller: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<Box<str>>,
    host_network: Option<bool>,
    containers: Option<Vec<RawContainer>>,
    init_containers: Option<Vec<RawContainer>>,
    ephemeral_containers: Option<Vec<RawContainer>>,
}

#[derive(Deserialize)]
struct RawContainer {
    name: Option<Box<str>>,
    image: Option<Box<str>>,
    ports: Option<Vec<RawPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPort {
    name: Option<Box<str>>,
    container_port: Option<i64>,
    protocol: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<Box<str>>,
    #[serde(rename = "podIP")]
    pod_ip: Option<Box<str>>,
}

impl Raw {
    pub(super) fn resolve(self) -> Result<Pod, String> {
        self.pod()
            .ok_or_else(|| "it has no metadata.uid, metadata.name or metadata.namespace".to_owned())
    }

    fn pod(self) -> Option<Pod> {
        let metadata = self.metadata?;
        let mut out = Pod {
            uid: metadata.uid.filter(|uid| !uid.is_empty())?,
            name: metadata.name.filter(|name| !name.is_empty())?,
            namespace: metadata.namespace.filter(|name| !name.is_empty())?,
            version: metadata.resource_version.unwrap_or_default(),
            ..Pod::default()
        };
        let pair = |(name, value): (Box<str>, Option<Box<str>>)| (name, value.unwrap_or_default());
        let labels = metadata.labels.unwrap_or_default().into_iter();
        out.labels = labels.take(MOST).map(pair).collect();
        let mut annotations = metadata.annotations.unwrap_or_default();
        out.alias = annotations.remove(CONFIG_HASH).flatten();
        out.annotations = annotations
            .into_iter()
            .filter(|(name, _)| ANNOTATIONS.iter().any(|prefix| name.starts_with(prefix)))
            .take(MOST)
            .map(pair)
            .collect();
        let owners = metadata.owner_references.unwrap_or_default().into_iter();
        out.owner = owners
            .filter(|owner| owner.controller == Some(true))
            .find_map(|owner| {
                Some(Owner {
                    kind: owner.kind?,
                    name: owner.name?,
                })
            });
        if let Some(spec) = self.spec {
            out.node = spec.node_name.unwrap_or_default();
            out.host_network = spec.host_network.unwrap_or(false);
            out.containers = [
                spec.containers,
                spec.init_containers,
                spec.ephemeral_containers,
            ]
            .into_iter()
            .flatten()
            .flatten()
            .take(MOST)
            .map(container)
            .collect();
        }
        if let Some(status) = self.status {
            out.running = status.phase.as_deref() == Some("Running");
            out.ip = status.pod_ip.and_then(|ip| ip.parse().ok());
        }
        Some(out)
    }
}

fn container(raw: RawContainer) -> Container {
    let ports = raw.ports.unwrap_or_default().into_iter();
    Container {
        name: raw.name.unwrap_or_default(),
        image: raw.image.unwrap_or_default(),
        ports: ports
            .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
            .filter_map(|port| {
                let number = u16::try_from(port.container_port?).ok();
                Some(Port {
                    name: port.name.unwrap_or_default(),
                    number: number.filter(|number| *number > 0)?,
                })
            })
            .take(MOST)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_read() {
        let json = json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {
                "name": "booking-7d9f8b6c5d-x2x4q", "namespace": "kai", "uid": "u-1",
                "resourceVersion": "812",
                "labels": { "app.kubernetes.io/name": "booking", "pod-template-hash": "7d9f8b6c5d" },
                "annotations": { "prometheus.io/scrape": "true", "other.io/x": "y", "kai.observe/team": "b" },
                "ownerReferences": [
                    { "kind": "Thing", "name": "t" },
                    { "kind": "ReplicaSet", "name": "booking-7d9f8b6c5d", "controller": true },
                ],
                "managedFields": [{ "fieldsV1": { "f:metadata": {} } }],
            },
            "spec": {
                "nodeName": "node-1",
                "containers": [{ "name": "app", "image": "booking:1", "ports": [
                    { "name": "http-metrics", "containerPort": 8080 },
                    { "containerPort": 53, "protocol": "UDP" },
                    { "containerPort": 70000 },
                ] }],
                "initContainers": [{ "name": "wait", "image": "busybox:1" }],
            },
            "status": { "phase": "Running", "podIP": "10.1.0.4", "hostIP": "10.0.0.1" },
        });
        let pod = Pod::read(json.to_string().as_bytes()).unwrap();
        assert_eq!(pod.workload(), Some(("Deployment", "booking")));
        assert_eq!((&*pod.node, pod.running), ("node-1", true));
        assert_eq!(pod.ip, Some("10.1.0.4".parse().unwrap()));
        assert_eq!(pod.annotations.len(), 2);
        assert_eq!(pod.container("wait").unwrap().image, "busybox:1".into());
        let ports: Vec<u16> = pod.containers[0].ports.iter().map(|p| p.number).collect();
        assert_eq!(ports, [8080]);
    }

    #[test]
    fn workloads_are_named_as_their_controllers_name_them() {
        let of = |kind: &str, name: &str, hash: &str| {
            let pod = Pod {
                owner: Some(Owner {
                    kind: kind.into(),
                    name: name.into(),
                }),
                labels: [("pod-template-hash".into(), hash.into())].into(),
                ..Pod::default()
            };
            pod.workload().map(|(kind, name)| format!("{kind}/{name}"))
        };
        assert_eq!(of("ReplicaSet", "a-b-5f", "5f").unwrap(), "Deployment/a-b");
        // Made by hand, not by a Deployment.
        assert_eq!(of("ReplicaSet", "a-b", "5f").unwrap(), "ReplicaSet/a-b");
        assert_eq!(of("Job", "tidy-28912345", "").unwrap(), "CronJob/tidy");
        assert_eq!(of("Job", "import-2", "").unwrap(), "Job/import-2");
        assert_eq!(
            of("DaemonSet", "kai-agent", "").unwrap(),
            "DaemonSet/kai-agent"
        );
        assert_eq!(Pod::default().workload(), None);
    }

    #[test]
    fn what_is_no_pod_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            "{\"metadata\":{\"uid\":\"a\",\"name\":\"b\"}}",
            "{\"metadata\":null}",
            "{\"metadata\":{\"uid\":7}}",
        ] {
            assert!(Pod::read(text.as_bytes()).is_err(), "{text}");
        }
        let nulls = br#"{"metadata":{"uid":"a","name":"b","namespace":"c","labels":{"x":null},
            "annotations":null},"spec":null,"status":{"phase":null,"podIP":"nonsense"}}"#;
        let pod = Pod::read(nulls).unwrap();
        assert_eq!((pod.label("x"), pod.ip), (Some(""), None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pod::read(&text);
        }

        #[test]
        fn a_pod_is_bounded(count in 0_usize..300) {
            let map: BTreeMap<String, String> =
                (0..count).map(|i| (format!("kai.observe/{i}"), String::new())).collect();
            let containers: Vec<_> = (0..count).map(|i| json!({ "name": i.to_string() })).collect();
            let json = json!({
                "metadata": { "uid": "u", "name": "n", "namespace": "s", "labels": map, "annotations": map },
                "spec": { "containers": containers },
            });
            let pod = Pod::read(json.to_string().as_bytes()).unwrap();
            let most = count.min(MOST);
            prop_assert_eq!(
                (pod.labels.len(), pod.annotations.len(), pod.containers.len()),
                (most, most, most)
            );
        }
    }
}
