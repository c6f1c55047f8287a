//! Whose a container's log file is. Path and pod are known before the first line of a file is read,
//! so that no line goes without what can be known: a file whose pod was not told of yet waits, for a
//! bounded time, and nothing else waits with it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kai_contract::agent_config::LogPods;
use kai_lines::about::{About, NAMES};

use super::json;
use crate::discovery::annotations;
use crate::kubernetes::Cluster;
use crate::kubernetes::pod::Pod;

/// `"false"`: the pod's lines are not read.
const LOGS: &str = "kai.observe/logs";

/// What the path of a container's log file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPath<'a> {
    pub namespace: &'a str,
    pub pod: &'a str,
    /// The pod's, or what the kubelet has instead for a static pod; links by which a runtime names
    /// files do not have it.
    pub uid: Option<&'a str>,
    pub container: &'a str,
}

/// Reads `…/pods/<namespace>_<pod>_<uid>/<container>/<n>.log` (rotated ones, too) and
/// `…/containers/<pod>_<namespace>_<container>-<id>.log`. Pure.
pub fn log_path(path: &str) -> Option<LogPath<'_>> {
    let mut parts = path.rsplit('/');
    let (file, container, pod) = (parts.next()?, parts.next()?, parts.next());
    let named = |text: &str| {
        !text.is_empty()
            && text.len() <= 253
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
    };
    if let Some(folder) = pod {
        // None of the three can have an underscore.
        let words: Vec<&str> = folder.split('_').collect();
        if let [namespace, pod, uid] = words[..]
            && [namespace, pod, container].into_iter().all(named)
            && !uid.is_empty()
            && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && file.contains(".log")
        {
            return Some(LogPath {
                namespace,
                pod,
                uid: Some(uid),
                container,
            });
        }
    }
    let words: Vec<&str> = file.strip_suffix(".log")?.split('_').collect();
    let [pod, namespace, rest] = words[..] else {
        return None;
    };
    let (container, id) = rest.rsplit_once('-')?;
    let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (is_id && [namespace, pod, container].into_iter().all(named)).then_some(LogPath {
        namespace,
        pod,
        uid: None,
        container,
    })
}

/// What is known of a file's pod.
#[derive(Debug, Clone, Default)]
pub enum Owner {
    /// It was not asked for yet.
    #[default]
    Unasked,
    /// Nobody told of it yet; since then.
    Waiting(Instant),
    Known(Arc<About>),
    /// Its lines are not wanted.
    Excluded,
}

impl Owner {
    /// What its lines get.
    pub fn about(&self) -> Option<&About> {
        match self {
            Self::Known(about) => Some(about),
            _ => None,
        }
    }
}

/// How one source finds its files' pods.
#[derive(Debug, Clone)]
pub struct Pods {
    cluster: Arc<Cluster>,
    wait: Duration,
    labels: Vec<String>,
    /// The source says itself what its service is.
    service_is_known: bool,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    Known(Arc<About>),
    Excluded,
    Wait,
    /// It is not known, and is not waited for any longer; what the path says.
    Missing(Arc<About>),
}

impl Pods {
    pub fn new(cluster: Arc<Cluster>, config: &LogPods, service_is_known: bool) -> Self {
        Self {
            cluster,
            wait: Duration::from_millis(config.wait_ms),
            labels: config.labels.clone(),
            service_is_known,
        }
    }

    /// `paths`: of the file, the one behind all links first. It was first asked for at `since`.
    /// Not `patient`: there is no time to wait.
    pub fn look(&self, paths: &[&Path], since: Instant, now: Instant, patient: bool) -> Look {
        let texts: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        let Some(path) = texts.iter().find_map(|text| log_path(text)) else {
            return Look::Missing(Arc::new(mark("no_pod_in_path")));
        };
        let found = match path.uid {
            Some(uid) => self.cluster.store.find(uid),
            None => self.cluster.store.find_named(path.namespace, path.pod),
        };
        match found {
            Some(pod) if pod.annotation(LOGS).map(str::trim) == Some("false") => Look::Excluded,
            Some(pod) => Look::Known(Arc::new(self.about(&path, Some(&pod)))),
            None if patient && now.saturating_duration_since(since) < self.wait => Look::Wait,
            None => {
                let mut about = self.about(&path, None);
                about.members[4] = member("kai.metadata", "missing");
                Look::Missing(Arc::new(about))
            }
        }
    }

    fn about(&self, path: &LogPath<'_>, pod: Option<&Pod>) -> About {
        let container = pod.and_then(|pod| pod.container(path.container));
        let mut kubernetes = Object::new("kubernetes");
        let mut orchestrator = Object::new("orchestrator");
        kubernetes.open("container");
        kubernetes.text("name", path.container);
        kubernetes.close();
        if let Some(pod) = pod {
            let labels = self.labels.iter().filter_map(|name| {
                let value = pod.label(name)?;
                // A dot would make an object of what another pod has as a value.
                Some((name.replace('.', "_"), value))
            });
            kubernetes.open("labels");
            for (name, value) in labels {
                kubernetes.text(&name, value);
            }
            kubernetes.close();
            for (kind, name) in [
                pod.workload(),
                pod.owner.as_ref().map(|owner| (&*owner.kind, &*owner.name)),
            ]
            .into_iter()
            .flatten()
            .collect::<std::collections::BTreeMap<_, _>>()
            {
                let known = [
                    "CronJob",
                    "DaemonSet",
                    "Deployment",
                    "Job",
                    "ReplicaSet",
                    "StatefulSet",
                ];
                if known.contains(&kind) {
                    kubernetes.open(&kind.to_lowercase());
                    kubernetes.text("name", name);
                    kubernetes.close();
                }
            }
        }
        kubernetes.text("namespace", path.namespace);
        let node = pod.map_or(self.cluster.node(), |pod| &pod.node);
        kubernetes.open("node");
        kubernetes.text("name", node);
        kubernetes.close();
        kubernetes.open("pod");
        kubernetes.text("name", path.pod);
        let uid = pod.map(|pod| &*pod.uid).or(path.uid);
        if let Some(uid) = uid {
            kubernetes.text("uid", uid);
        }
        if let Some(ip) = pod.and_then(|pod| pod.ip) {
            kubernetes.text("ip", &ip.to_string());
        }
        kubernetes.close();
        orchestrator.text("type", "kubernetes");
        orchestrator.text("namespace", path.namespace);
        orchestrator.open("resource");
        orchestrator.text("type", "pod");
        orchestrator.text("name", path.pod);
        if let Some(uid) = uid {
            orchestrator.text("id", uid);
        }
        if let Some((kind, _)) = pod.and_then(Pod::workload) {
            orchestrator.open("parent");
            orchestrator.text("type", &kind.to_lowercase());
            orchestrator.close();
        }
        orchestrator.close();
        let mut members: [Vec<u8>; NAMES.len()] = Default::default();
        members[0] = kubernetes.end();
        members[1] = orchestrator.end();
        if let Some(container) = container.filter(|container| !container.image.is_empty()) {
            let mut object = Object::new("container");
            object.open("image");
            object.text("name", &container.image);
            object.close();
            members[2] = object.end();
        }
        if let Some(pod) = pod.filter(|_| !self.service_is_known) {
            members[3] = member("service.name", annotations::service(pod));
        }
        About { members }
    }
}

/// `,"name":"value"`
fn member(name: &str, value: &str) -> Vec<u8> {
    let mut out = b",\"".to_vec();
    json::escape_into(&mut out, name.as_bytes());
    out.extend_from_slice(b"\":\"");
    json::escape_into(&mut out, value.as_bytes());
    out.push(b'"');
    out
}

fn mark(why: &str) -> About {
    let mut about = About::default();
    about.members[4] = member("kai.metadata", why);
    about
}

/// A member that is an object, being written.
struct Object {
    out: Vec<u8>,
    /// Where the open ones begin, so that an empty one is taken back.
    begun: Vec<usize>,
}

impl Object {
    fn new(name: &str) -> Self {
        let mut object = Self {
            out: Vec::new(),
            begun: Vec::new(),
        };
        object.open(name);
        object
    }

    fn open(&mut self, name: &str) {
        self.begun.push(self.out.len());
        self.comma();
        self.out.push(b'"');
        json::escape_into(&mut self.out, name.as_bytes());
        self.out.extend_from_slice(b"\":{");
    }

    fn comma(&mut self) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        let member = member(name, value);
        let comma = usize::from(self.out.last() == Some(&b'{'));
        self.out.extend_from_slice(&member[comma..]);
    }

    fn close(&mut self) {
        let begun = self.begun.pop().unwrap_or_default();
        if self.out.last() == Some(&b'{') {
            self.out.truncate(begun);
        } else {
            self.out.push(b'}');
        }
    }

    fn end(mut self) -> Vec<u8> {
        while !self.begun.is_empty() {
            self.close();
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use kai_contract::agent_config::Kubernetes;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::kubernetes::pod::{Container, Owner as PodOwner};

    const POD: &str = "/var/log/pods/kai_booking-7f-x_2c1f7e1e-0000-4000-8000-1/app/0.log";

    fn pods(wait_ms: u64) -> Pods {
        let kubernetes = Kubernetes {
            node: Some("node-1".into()),
            api: Some("http://127.0.0.1:1".into()),
            ..Kubernetes::default()
        };
        let cluster = Arc::new(Cluster::new(&kubernetes, |_| None).unwrap());
        let config = LogPods {
            wait_ms,
            ..LogPods::default()
        };
        Pods::new(cluster, &config, false)
    }

    fn pod() -> Pod {
        Pod {
            uid: "2c1f7e1e-0000-4000-8000-1".into(),
            namespace: "kai".into(),
            name: "booking-7f-x".into(),
            node: "node-1".into(),
            ip: Some("10.1.0.4".parse().unwrap()),
            labels: [
                ("app.kubernetes.io/name".into(), "booking".into()),
                ("pod-template-hash".into(), "7f".into()),
                ("secret".into(), "x".into()),
            ]
            .into(),
            owner: Some(PodOwner {
                kind: "ReplicaSet".into(),
                name: "booking-7f".into(),
            }),
            containers: vec![Container {
                name: "app".into(),
                image: "booking:\"1\"".into(),
                ports: Vec::new(),
            }],
            ..Pod::default()
        }
    }

    fn document(about: &About) -> Value {
        let all = about.members.concat();
        let text = format!("{{{}}}", String::from_utf8(all[1..].to_vec()).unwrap());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn paths_say_whose_a_file_is() {
        let path = log_path(POD).unwrap();
        assert_eq!(
            (path.namespace, path.pod, path.container),
            ("kai", "booking-7f-x", "app")
        );
        assert_eq!(path.uid, Some("2c1f7e1e-0000-4000-8000-1"));
        let rotated = "/var/log/pods/a_b_c0ffee/app/3.log.20261130-101010";
        assert_eq!(log_path(rotated).unwrap().uid, Some("c0ffee"));
        let id = "0123456789abcdef".repeat(4);
        let link = format!("/var/log/containers/booking-7f-x_kai_side-car-{id}.log");
        let path = log_path(&link).unwrap();
        assert_eq!(
            (path.pod, path.container, path.uid),
            ("booking-7f-x", "side-car", None)
        );
        for other in [
            "",
            "/var/log/syslog",
            "/var/log/pods/a_b/app/0.log",
            "/var/log/pods/a_b_c_d/app/0.log",
            "/var/log/pods/A_b_c/app/0.log",
            "/var/log/pods/a__c/app/0.log",
            "/var/log/containers/a_b_c-12.log",
        ] {
            assert_eq!(log_path(other), None, "{other}");
        }
    }

    #[test]
    fn a_file_waits_for_its_pod_and_not_for_ever() {
        let (pods, begun) = (pods(5_000), Instant::now());
        let paths = [Path::new(POD)];
        assert_eq!(pods.look(&paths, begun, begun, true), Look::Wait);
        let later = begun + Duration::from_secs(5);
        let Look::Missing(about) = pods.look(&paths, begun, later, true) else {
            panic!("it goes on");
        };
        let document = document(&about);
        assert_eq!(document["kai.metadata"], "missing");
        assert_eq!(document["kubernetes"]["pod"]["name"], "booking-7f-x");
        assert_eq!(document["service.name"], Value::Null);
        // One that is about to be closed goes on at once.
        assert!(matches!(
            pods.look(&paths, begun, begun, false),
            Look::Missing(_)
        ));
    }

    #[test]
    fn a_known_pod_is_told_under_the_usual_names() {
        let (pods, now) = (pods(0), Instant::now());
        pods.cluster.store.put(pod(), now);
        let paths = [Path::new("/elsewhere"), Path::new(POD)];
        let Look::Known(about) = pods.look(&paths, now, now, true) else {
            panic!("it is known");
        };
        assert_eq!(
            document(&about),
            json!({
                "kubernetes": {
                    "container": { "name": "app" },
                    "labels": { "app_kubernetes_io/name": "booking" },
                    "deployment": { "name": "booking" },
                    "replicaset": { "name": "booking-7f" },
                    "namespace": "kai",
                    "node": { "name": "node-1" },
                    "pod": { "name": "booking-7f-x", "uid": "2c1f7e1e-0000-4000-8000-1", "ip": "10.1.0.4" },
                },
                "orchestrator": {
                    "type": "kubernetes", "namespace": "kai",
                    "resource": { "type": "pod", "name": "booking-7f-x",
                        "id": "2c1f7e1e-0000-4000-8000-1", "parent": { "type": "deployment" } },
                },
                "container": { "image": { "name": "booking:\"1\"" } },
                "service.name": "booking",
            })
        );
        // One that was deleted is still known.
        pods.cluster.store.delete(pod(), now);
        assert!(matches!(pods.look(&paths, now, now, true), Look::Known(_)));
    }

    #[test]
    fn a_pod_may_keep_its_lines() {
        let (pods, now) = (pods(0), Instant::now());
        let mut quiet = pod();
        quiet.annotations.insert(LOGS.into(), "false".into());
        pods.cluster.store.put(quiet, now);
        assert_eq!(pods.look(&[Path::new(POD)], now, now, true), Look::Excluded);
        let other = [Path::new("/var/log/syslog")];
        assert!(matches!(
            pods.look(&other, now, now, true),
            Look::Missing(_)
        ));
    }

    proptest! {
        #[test]
        fn any_path_is_understood_or_not(path in "[a-z0-9_./-]{0,60}") {
            let _ = log_path(&path);
        }

        #[test]
        fn a_path_of_the_kubelet_is_understood(
            namespace in "[a-z0-9]{1,9}", pod in "[a-z0-9][a-z0-9.-]{0,9}", uid in "[0-9a-f]{1,32}",
            container in "[a-z0-9]{1,9}", number in 0_u32..99
        ) {
            let path = format!("/x/{namespace}_{pod}_{uid}/{container}/{number}.log");
            let found = log_path(&path).unwrap();
            prop_assert_eq!(
                (found.namespace, found.pod, found.uid, found.container),
                (namespace.as_str(), pod.as_str(), Some(uid.as_str()), container.as_str())
            );
        }

        #[test]
        fn whatever_a_pod_says_is_json(value in "[ -~é\n]{0,12}") {
            let (pods, now) = (pods(0), Instant::now());
            let mut odd = pod();
            odd.labels.insert("app.kubernetes.io/name".into(), value.as_str().into());
            odd.containers[0].image = value.as_str().into();
            pods.cluster.store.put(odd, now);
            let Look::Known(about) = pods.look(&[Path::new(POD)], now, now, true) else {
                panic!("it is known");
            };
            document(&about);
        }
    }
}
