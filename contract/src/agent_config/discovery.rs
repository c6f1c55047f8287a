//! Applications that the agent finds by itself, and the API server that tells it of its node's pods.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::problems::address;
use super::{AgentConfig, MOST_SERIES, MOST_TEAM_SERIES, Problem, Relabel};

/// Where Kubernetes mounts a pod's account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// `kubernetes:` of the agent's configuration. A change needs a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Kubernetes {
    /// Name of the agent's node; the environment variable `NODE_NAME` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Address of the API server; that of `KUBERNETES_SERVICE_HOST` and `…_PORT` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Read anew for each request, because tokens are rotated.
    pub token_file: PathBuf,
    pub ca_file: PathBuf,
    /// Namespaces whose pods are watched; of all when empty, which needs a ClusterRole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Pods that are remembered at most; others are counted.
    pub max_pods: u32,
    /// Seconds that a deleted pod is remembered, so that its last lines know whose they are.
    pub keep_deleted_seconds: u64,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            node: None,
            api: None,
            token_file: Path::new(ACCOUNT).join("token"),
            ca_file: Path::new(ACCOUNT).join("ca.crt"),
            namespaces: Vec::new(),
            // Twice what the largest nodes of the large vendors have.
            max_pods: 512,
            keep_deleted_seconds: 300,
        }
    }
}

/// `discovery:` of the agent's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Discovery {
    /// Globs of files in the format of Prometheus' `file_sd_configs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Pods of the node that ask for it by annotations; needs `kubernetes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<DiscoverPods>,
    /// Applications at most; those that are there keep their places.
    pub max_applications: u32,
    /// Milliseconds to wait for a whole page.
    pub timeout_ms: u64,
    /// Series that each hands on at most; [`super::SERIES_LIMIT`] when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_limit: Option<u64>,
    /// Series that all applications of one service hand on together; no limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_series: Option<u64>,
    /// Most values kept of a label, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub label_limits: BTreeMap<String, u64>,
    /// Rules as in Prometheus' `metric_relabel_configs`, for every page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relabel: Vec<Relabel>,
    /// `host:port` whose addresses are those of all agents: `/sd/applications/all` asks each of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<String>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            pods: None,
            max_applications: 200,
            timeout_ms: 4_000,
            series_limit: None,
            service_series: None,
            label_limits: BTreeMap::new(),
            relabel: Vec::new(),
            peers: None,
        }
    }
}

/// `discovery.pods`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DiscoverPods {
    /// Whose budget the pods of a namespace count against. It holds against the pods' own word.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub teams: BTreeMap<String, String>,
}

pub(super) fn check(config: &AgentConfig, found: &mut Vec<Problem>) {
    if let Some(kubernetes) = &config.kubernetes {
        cluster(kubernetes, found);
    }
    let Some(discovery) = &config.discovery else {
        return;
    };
    let mut wrong = |key: &str, message: String| {
        found.push(Problem::new(format!("discovery.{key}"), message));
    };
    if discovery.files.is_empty() && discovery.pods.is_none() {
        wrong(
            "files",
            "nothing is looked through; give globs of target files, or pods: {}".to_owned(),
        );
    }
    for (index, glob) in discovery.files.iter().enumerate() {
        if let Some(message) = bad_target_files(glob) {
            wrong(&format!("files.{index}"), message);
        }
    }
    if discovery.pods.is_some() && config.kubernetes.is_none() {
        wrong(
            "pods",
            "pods are known from the API server, and there is no such section; add kubernetes: {}"
                .to_owned(),
        );
    }
    for (namespace, team) in discovery.pods.iter().flat_map(|pods| &pods.teams) {
        if !is_dns_label(namespace) {
            wrong(
                &format!("pods.teams.{namespace}"),
                format!("\"{namespace}\" cannot be a namespace; write one like booking"),
            );
        }
        if team.is_empty() {
            wrong(
                &format!("pods.teams.{namespace}"),
                "the team has an empty name".to_owned(),
            );
        }
    }
    for (key, value, least, most, what) in [
        (
            "maxApplications",
            Some(u64::from(discovery.max_applications)),
            1,
            10_000,
            "applications",
        ),
        (
            "timeoutMs",
            Some(discovery.timeout_ms),
            1,
            600_000,
            "milliseconds",
        ),
        (
            "seriesLimit",
            discovery.series_limit,
            1,
            MOST_SERIES,
            "series",
        ),
        (
            "serviceSeries",
            discovery.service_series,
            1,
            MOST_TEAM_SERIES,
            "series",
        ),
    ] {
        if let Some(value) = value
            && !(least..=most).contains(&value)
        {
            wrong(
                key,
                format!("{value} is out of range; give {what} from {least} to {most}"),
            );
        }
    }
    if let Some(peers) = &discovery.peers
        && !is_host_and_port(peers)
    {
        wrong(
            "peers",
            format!(
                "\"{peers}\" is not a host with a port; write one like \
                 kai-agent.kai-observe-agent.svc:9180"
            ),
        );
    }
    super::scrape::check_rules(
        "discovery",
        &discovery.relabel,
        &discovery.label_limits,
        found,
    );
}

fn cluster(kubernetes: &Kubernetes, found: &mut Vec<Problem>) {
    let mut wrong = |key: &str, message: String| {
        found.push(Problem::new(format!("kubernetes.{key}"), message));
    };
    if let Some(node) = &kubernetes.node
        && !is_dns_name(node)
    {
        wrong(
            "node",
            format!(
                "\"{node}\" cannot be a node's name; write one like node-1 or node-1.kai.internal"
            ),
        );
    }
    if let Some(api) = &kubernetes.api
        && let Some(message) = address(
            api,
            "https://10.96.0.1:443",
            "the token is read from tokenFile",
        )
    {
        wrong("api", message);
    }
    for (key, path) in [
        ("tokenFile", &kubernetes.token_file),
        ("caFile", &kubernetes.ca_file),
    ] {
        if !path.is_absolute() {
            wrong(
                key,
                format!(
                    "\"{}\" is not an absolute path; begin it with /",
                    path.display()
                ),
            );
        }
    }
    for (index, namespace) in kubernetes.namespaces.iter().enumerate() {
        if !is_dns_label(namespace) {
            wrong(
                &format!("namespaces.{index}"),
                format!("\"{namespace}\" cannot be a namespace; write one like booking"),
            );
        } else if kubernetes.namespaces[..index].contains(namespace) {
            wrong(
                &format!("namespaces.{index}"),
                format!("\"{namespace}\" is there twice; keep one"),
            );
        }
    }
    if kubernetes.namespaces.len() > MOST_NAMESPACES {
        wrong(
            "namespaces",
            format!(
                "each namespace is a connection of its own, and {} are more than the \
                 {MOST_NAMESPACES} that are supported; leave the key out to watch all by one",
                kubernetes.namespaces.len()
            ),
        );
    }
    if !(1..=10_000).contains(&kubernetes.max_pods) {
        wrong(
            "maxPods",
            format!(
                "{} is out of range; give pods from 1 to 10000",
                kubernetes.max_pods
            ),
        );
    }
    if kubernetes.keep_deleted_seconds > 86_400 {
        wrong(
            "keepDeletedSeconds",
            format!(
                "{} is out of range; give seconds from 0 to 86400",
                kubernetes.keep_deleted_seconds
            ),
        );
    }
}

const MOST_NAMESPACES: usize = 32;

/// Prometheus takes only files whose names say what is in them, with stars in the last part.
pub fn bad_target_files(glob: &str) -> Option<String> {
    let (folder, name) = glob.rsplit_once('/').unwrap_or(("", glob));
    if !glob.starts_with('/') {
        return Some(format!(
            "\"{glob}\" is not an absolute path; begin it with /"
        ));
    }
    let extension = name.rsplit_once('.').map(|(_, after)| after.to_lowercase());
    let known = matches!(extension.as_deref(), Some("json" | "yml" | "yaml"));
    (!known || folder.contains(['*', '?', '['])).then(|| {
        format!(
            "\"{glob}\" is not one of Prometheus' target files: its name ends in .json, .yml or \
             .yaml, and its folders have no patterns, as in /etc/kai/targets/*.yaml"
        )
    })
}

/// RFC 1123, as namespaces are named.
fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

fn is_host_and_port(text: &str) -> bool {
    if text.parse::<SocketAddr>().is_ok() {
        return true;
    }
    text.rsplit_once(':').is_some_and(|(host, port)| {
        is_dns_name(host) && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths_of(text: &str) -> Vec<String> {
        let text = format!("version: 1\nlisten: 127.0.0.1:1\n{text}");
        let config: AgentConfig = serde_yaml::from_str(&text).unwrap();
        config.problems().into_iter().map(|p| p.path).collect()
    }

    #[test]
    fn what_is_usual_is_sound() {
        assert_eq!(
            paths_of(
                "kubernetes: {node: node-1}\ndiscovery: {files: [/etc/kai/*.yaml, /x/a.JSON], pods: \
                 {teams: {kai: booking}}, peers: 'kai-agent.kai-agent.svc:9180'}\n"
            ),
            Vec::<String>::new()
        );
    }

    #[test]
    fn everything_wrong_is_named() {
        assert_eq!(
            paths_of(
                "kubernetes: {node: 'A b', api: 'ftp://x', tokenFile: token, namespaces: [X, a, a], \
                 maxPods: 0, keepDeletedSeconds: 100000}\n\
                 discovery: {files: [targets.yaml, /a/*/b.yaml, /a/b.txt], pods: {teams: {K: ''}}, \
                 maxApplications: 0, timeoutMs: 0, seriesLimit: 0, serviceSeries: 0, peers: x,\n  \
                 relabel: [{action: hashmod}], labelLimits: {le: 5}}\n"
            ),
            [
                "kubernetes.node",
                "kubernetes.api",
                "kubernetes.tokenFile",
                "kubernetes.namespaces.0",
                "kubernetes.namespaces.2",
                "kubernetes.maxPods",
                "kubernetes.keepDeletedSeconds",
                "discovery.files.0",
                "discovery.files.1",
                "discovery.files.2",
                "discovery.pods.teams.K",
                "discovery.pods.teams.K",
                "discovery.maxApplications",
                "discovery.timeoutMs",
                "discovery.seriesLimit",
                "discovery.serviceSeries",
                "discovery.peers",
                "discovery.relabel.0.target_label",
                "discovery.relabel.0.modulus",
                "discovery.labelLimits.le",
            ]
        );
        assert_eq!(paths_of("discovery: {}\n"), ["discovery.files"]);
        assert_eq!(paths_of("discovery: {pods: {}}\n"), ["discovery.pods"]);
    }
}
