//! Whom Prometheus asks in a cluster. Behind a Service's one address stand several pods, of which
//! each scrape would meet another; so pods are found by the API and asked one by one.

use serde_json::{Value, json};

use super::kube_state;
use super::names::Names;
use crate::model::{Service, Stack};
use crate::render::prometheus::{self, AGENT_JOB};
use crate::render::{duration, scrape_timeout};
use crate::spec::address::Address;

/// A service's metrics page.
pub struct Page<'a> {
    pub service: &'a Service,
    address: Address,
    pub place: Where,
}

pub enum Where {
    /// `http://<name>.<namespace>.svc:<port>/…`: each pod behind it, at that port.
    Service { name: String, namespace: String },
    /// Any other address is asked as it is.
    Elsewhere,
}

pub fn pages(stack: &Stack) -> impl Iterator<Item = Page<'_>> {
    stack.services.values().filter_map(|service| {
        let address = Address::parse(service.metrics.as_deref()?).ok()?;
        let place = place(&address.host);
        Some(Page {
            service,
            address,
            place,
        })
    })
}

fn place(host: &str) -> Where {
    let parts: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    match parts[..] {
        [name, namespace, "svc"] | [name, namespace, "svc", "cluster", "local"] => Where::Service {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        },
        _ => Where::Elsewhere,
    }
}

/// Every job of prometheus.yml.
pub fn jobs(stack: &Stack, names: &Names) -> Vec<Value> {
    let own = |job: &str, part: &str, namespace: &str, port: &str| {
        let mut relabel = vec![
            keep("__meta_kubernetes_pod_container_port_name", port),
            // A pod that ended keeps its address for a while.
            json!({ "source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed",
                    "action": "drop" }),
        ];
        relabel.extend(common());
        relabel.extend(labels(stack, part, &stack.routing.fallback_team));
        let mut out = head(job, "/metrics", stack.defaults.scrape_interval);
        out["kubernetes_sd_configs"] = json!([{
            "role": "pod",
            "namespaces": { "names": [namespace] },
            "selectors": [{ "role": "pod", "label": names.selector_text(part) }],
        }]);
        out["relabel_configs"] = json!(relabel);
        out
    };
    let mut out = vec![agent(own(
        AGENT_JOB,
        "kai-agent",
        &names.agent_namespace,
        "metrics",
    ))];
    if stack.systems.alertmanager.is_some() {
        out.push(own("alertmanager", "alertmanager", &names.namespace, "web"));
    }
    out.push(own("prometheus", "prometheus", &names.namespace, "web"));
    out.extend(kube_state::jobs(stack, names));
    out.extend(pages(stack).map(|page| service(stack, &page)));
    if stack
        .agent
        .discovery
        .as_ref()
        .is_some_and(|d| d.pods.is_some())
    {
        let url = format!(
            "http://{}/sd/applications/all",
            super::agent::everybody(names)
        );
        out.push(prometheus::found(stack, &url));
    }
    out
}

/// The agent speaks for its node, under the node's name.
fn agent(mut job: Value) -> Value {
    let node = "__meta_kubernetes_pod_node_name";
    if let Some(relabel) = job["relabel_configs"].as_array_mut() {
        relabel.push(json!({ "source_labels": [node], "target_label": "instance" }));
    }
    // A drill names its own team; without this it would become `exported_team`.
    job["honor_labels"] = json!(true);
    // uname(2) knows the pod's name only.
    job["metric_relabel_configs"] = json!([{
        "source_labels": ["__name__", "node"],
        "regex": "node_uname_info;(.+)",
        "target_label": "nodename",
        "replacement": "$1",
    }]);
    job
}

fn service(stack: &Stack, page: &Page<'_>) -> Value {
    let Page {
        service, address, ..
    } = page;
    let (path, query) = address.path.split_once('?').unwrap_or((&address.path, ""));
    let path = decoded(if path.is_empty() { "/" } else { path });
    let mut out = head(&service.name, &path, service.scrape_interval);
    if address.https {
        out["scheme"] = json!("https");
    }
    if !query.is_empty() {
        out["params"] = parameters(query);
    }
    match &page.place {
        Where::Elsewhere => {
            let host = if address.host.contains(':') {
                format!("[{}]", address.host)
            } else {
                address.host.clone()
            };
            out["static_configs"] = json!([{
                "targets": [format!("{host}:{}", address.port)],
                "labels": {
                    "service": service.name,
                    "team": service.team,
                    "environment": stack.environment,
                },
            }]);
        }
        Where::Service { name, namespace } => {
            if address.https {
                // The pod is asked by its address, its certificate is the Service's.
                out["tls_config"] = json!({ "server_name": address.host });
            }
            out["kubernetes_sd_configs"] = json!([{
                "role": "endpointslice",
                "namespaces": { "names": [namespace] },
            }]);
            let mut relabel = vec![
                keep("__meta_kubernetes_service_name", name),
                keep("__address__", &format!(".+:{}", address.port)),
            ];
            relabel.extend(common());
            relabel.extend(labels(stack, &service.name, &service.team));
            out["relabel_configs"] = json!(relabel);
        }
    }
    out
}

pub(super) fn head(job: &str, path: &str, interval: std::time::Duration) -> Value {
    json!({
        "job_name": job,
        "scrape_interval": duration(interval),
        "scrape_timeout": duration(scrape_timeout(interval)),
        "metrics_path": path,
    })
}

pub(super) fn keep(label: &str, regex: &str) -> Value {
    json!({ "source_labels": [label], "regex": regex, "action": "keep" })
}

/// Where a pod is.
fn common() -> Vec<Value> {
    [
        ("__meta_kubernetes_namespace", "namespace"),
        ("__meta_kubernetes_pod_name", "pod"),
        ("__meta_kubernetes_pod_node_name", "node"),
    ]
    .map(|(from, to)| json!({ "source_labels": [from], "target_label": to }))
    .into()
}

/// What every target has, wherever it runs: rules and routes go by it.
pub(super) fn labels(stack: &Stack, service: &str, team: &str) -> Vec<Value> {
    [
        ("service", service),
        ("team", team),
        ("environment", &stack.environment),
    ]
    .map(|(to, value)| json!({ "target_label": to, "replacement": value }))
    .into()
}

/// Prometheus takes the path as it is meant and encodes it itself; what would not survive that is
/// left as it was written.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    let lossless = !path.to_ascii_lowercase().contains("%2f");
    match String::from_utf8(bytes) {
        Ok(text) if lossless && !text.chars().any(char::is_control) => text,
        _ => path.to_owned(),
    }
}

/// `a=1&a=2&b=3` as Prometheus writes it: a list per name.
fn parameters(query: &str) -> Value {
    let mut out = serde_json::Map::new();
    // Decoded here, because Prometheus encodes them again.
    if let Ok(url) = reqwest::Url::parse(&format!("http://h/?{query}")) {
        for (name, value) in url.query_pairs() {
            let list = out.entry(name.into_owned()).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(json!(value));
            }
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_services_own_name_is_one() {
        let is_service = |host| matches!(place(host), Where::Service { .. });
        assert!(is_service("booking.kai.svc"));
        assert!(is_service("booking.kai.svc.cluster.local."));
        for other in [
            "booking",
            "booking.kai",
            "db-0.db.kai.svc",
            "payment.example.org",
            "10.0.0.1",
            "::1",
        ] {
            assert!(!is_service(other), "{other}");
        }
    }

    #[test]
    fn a_path_is_written_as_it_is_meant() {
        for (written, meant) in [
            ("/metrics", "/metrics"),
            ("/a%20b/%C3%A9", "/a b/é"),
            ("/a%2Fb", "/a%2Fb"),
            ("/%", "/%"),
            ("/%zz%4", "/%zz%4"),
            ("/%ff%0a", "/%ff%0a"),
        ] {
            assert_eq!(decoded(written), meant);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_path_and_query_is_survived(text in "[ -~é]{0,40}") {
            let _ = decoded(&text);
            let _ = parameters(&text);
        }
    }

    #[test]
    fn a_query_becomes_parameters() {
        assert_eq!(
            parameters("a=1&b=x%20y&a=2"),
            json!({ "a": ["1", "2"], "b": ["x y"] })
        );
    }
}
