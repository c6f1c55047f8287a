//! What a pod asks for by its annotations. `prometheus.io/…` mean what Prometheus' own example
//! configuration gives them to mean; `kai.observe/…` say whose the page is and how much of it is
//! wanted. Pure.
//!
//! A pod's word goes for the pod alone: it is asked at its own address, it can lower its budget and
//! not raise it, and a team that the configuration gives its namespace stands.

use std::collections::BTreeMap;

use kai_contract::agent_config::DiscoverPods;

use super::wanted::{Wanted, encoded, millis, shown, url};
use crate::kubernetes::pod::{Container, Pod, Port};

const SCRAPE: &str = "prometheus.io/scrape";
const PORT: &str = "prometheus.io/port";
const PATH: &str = "prometheus.io/path";
const SCHEME: &str = "prometheus.io/scheme";
const PARAM: &str = "prometheus.io/param_";
const SERVICE: &str = "kai.observe/service";
const TEAM: &str = "kai.observe/team";
const SERIES: &str = "kai.observe/series";
const TIMEOUT: &str = "kai.observe/timeout";

/// Pages of one pod at most.
const MOST_PAGES: usize = 16;

/// What the pod asks for, nothing if it does not; or what is wrong with how it asks.
pub fn of_pod(pod: &Pod, config: &DiscoverPods) -> Result<Vec<Wanted>, String> {
    match pod.annotation(SCRAPE).map(str::trim) {
        Some("true") => {}
        None | Some("false" | "") => return Ok(Vec::new()),
        Some(other) => {
            return Err(format!(
                "{SCRAPE} is \"{}\"; it is \"true\" or \"false\", in quotes",
                shown(other)
            ));
        }
    }
    // One that has ended keeps its address for a while; one that starts has none yet.
    let Some(ip) = pod.ip.filter(|_| pod.running) else {
        return Ok(Vec::new());
    };
    let given = |name: &str| {
        pod.annotation(name)
            .map(str::trim)
            .filter(|v| !v.is_empty())
    };
    let scheme = given(SCHEME).unwrap_or("http").to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(format!(
            "{SCHEME} is \"{}\"; it is http or https",
            shown(&scheme)
        ));
    }
    let series = given(SERIES)
        .map(|text| {
            let number = text.parse().ok().filter(|number: &u64| *number > 0);
            number.ok_or_else(|| format!("{SERIES} is \"{}\"; give a number", shown(text)))
        })
        .transpose()?;
    let timeout_ms = given(TIMEOUT)
        .map(|text| millis(text).map_err(|reason| format!("{TIMEOUT}: {reason}")))
        .transpose()?;
    let params: Vec<String> = pod
        .annotations
        .iter()
        .filter_map(|(name, value)| {
            let name = name.strip_prefix(PARAM).filter(|name| !name.is_empty())?;
            Some(format!("{}={}", encoded(name, ""), encoded(value, "")))
        })
        .collect();
    let host = match ip {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let mut out = Vec::new();
    for (container, port) in ports(pod, given(PORT))? {
        let page = url(
            &scheme,
            &host,
            port,
            given(PATH).unwrap_or("/metrics"),
            &params.join("&"),
        )
        .map_err(|reason| format!("{PATH}: {reason}"))?;
        out.push(Wanted {
            // A namespace has no dot in its name and a port is a number: no two are the same.
            name: format!("{}.{}.{port}", pod.namespace, pod.name),
            url: page,
            labels: labels(pod, config, container, &format!("{host}:{port}")),
            timeout_ms,
            series,
            interval: None,
        });
    }
    Ok(out)
}

/// The annotation's port; without it those ports whose names say that they are for metrics; without
/// such names every one that is declared, as Prometheus does.
fn ports<'a>(
    pod: &'a Pod,
    given: Option<&str>,
) -> Result<Vec<(Option<&'a Container>, u16)>, String> {
    let declared = || {
        pod.containers
            .iter()
            .flat_map(|container| container.ports.iter().map(move |port| (container, port)))
    };
    let by = |number: u16| {
        let found = declared().find(|(_, port)| port.number == number);
        found.map(|(container, _)| container)
    };
    if let Some(text) = given {
        let number = text.parse::<u16>().ok().filter(|number| *number > 0);
        // A name is nothing that Prometheus would take, but what is meant is plain.
        let named = || declared().find(|(_, port)| !port.name.is_empty() && &*port.name == text);
        return match (number, number.is_none().then(named).flatten()) {
            (Some(number), _) => Ok(vec![(by(number), number)]),
            (None, Some((container, port))) => Ok(vec![(Some(container), port.number)]),
            (None, None) => Err(format!(
                "{PORT} is \"{}\"; give the number of a port, in quotes",
                shown(text)
            )),
        };
    }
    let for_metrics = |port: &Port| &*port.name == "metrics" || port.name.ends_with("-metrics");
    let named = declared().any(|(_, port)| for_metrics(port));
    let mut out: Vec<(Option<&Container>, u16)> = Vec::new();
    for (container, port) in declared() {
        let fits = !named || for_metrics(port);
        if fits && out.len() < MOST_PAGES && !out.iter().any(|(_, known)| *known == port.number) {
            out.push((Some(container), port.number));
        }
    }
    if out.is_empty() {
        return Err(format!(
            "it declares no port; say which one has the page by {PORT}"
        ));
    }
    Ok(out)
}

fn labels(
    pod: &Pod,
    config: &DiscoverPods,
    container: Option<&Container>,
    instance: &str,
) -> BTreeMap<String, String> {
    let service = service(pod);
    let team = config
        .teams
        .get(&*pod.namespace)
        .map(String::as_str)
        .or_else(|| pod.annotation(TEAM).map(str::trim));
    let all = [
        ("container", container.map(|container| &*container.name)),
        ("instance", Some(instance)),
        ("job", Some(service)),
        ("namespace", Some(&*pod.namespace)),
        ("node", Some(&*pod.node)),
        ("pod", Some(&*pod.name)),
        ("service", Some(service)),
        ("team", team),
    ];
    all.into_iter()
        .filter_map(|(name, value)| {
            let value = value.filter(|value| !value.is_empty())?;
            Some((name.to_owned(), value.chars().take(253).collect()))
        })
        .collect()
}

/// Of which service a pod is: its own word, the label that Kubernetes recommends, the one that was
/// usual before, the workload, the pod.
pub fn service(pod: &Pod) -> &str {
    let own = pod.annotation(SERVICE).map(str::trim);
    own.filter(|name| !name.is_empty())
        .or_else(|| pod.label("app.kubernetes.io/name"))
        .or_else(|| pod.label("app"))
        .filter(|name| !name.is_empty())
        .or_else(|| pod.workload().map(|(_, name)| name))
        .unwrap_or(&pod.name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pod(annotations: &[(&str, &str)], ports: &[(&str, u16)]) -> Pod {
        Pod {
            uid: "u".into(),
            namespace: "kai".into(),
            name: "booking-0".into(),
            node: "node-1".into(),
            ip: Some("10.1.0.4".parse().unwrap()),
            running: true,
            labels: [("app.kubernetes.io/name".into(), "booking".into())].into(),
            annotations: annotations
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            containers: vec![Container {
                name: "app".into(),
                image: "i".into(),
                ports: ports
                    .iter()
                    .map(|(name, number)| Port {
                        name: (*name).into(),
                        number: *number,
                    })
                    .collect(),
            }],
            ..Pod::default()
        }
    }

    fn urls(annotations: &[(&str, &str)], ports: &[(&str, u16)]) -> Result<Vec<String>, String> {
        let mut all = vec![(SCRAPE, "true")];
        all.extend(annotations);
        let found = of_pod(&pod(&all, ports), &DiscoverPods::default())?;
        Ok(found.into_iter().map(|wanted| wanted.url).collect())
    }

    #[test]
    fn the_usual_annotations() {
        let ports = &[("http", 80), ("metrics", 9000)];
        assert_eq!(urls(&[], ports).unwrap(), ["http://10.1.0.4:9000/metrics"]);
        assert_eq!(
            urls(&[], &[("http", 80), ("grpc", 81)]).unwrap(),
            ["http://10.1.0.4:80/metrics", "http://10.1.0.4:81/metrics"]
        );
        assert_eq!(
            urls(
                &[
                    (PORT, "9102"),
                    (PATH, "admin/prom?x=1"),
                    (SCHEME, "HTTPS"),
                    ("prometheus.io/param_module", "a b")
                ],
                ports
            )
            .unwrap(),
            ["https://10.1.0.4:9102/admin/prom?x=1&module=a%20b"]
        );
        assert_eq!(
            urls(&[(PORT, "http")], ports).unwrap(),
            ["http://10.1.0.4:80/metrics"]
        );
    }

    #[test]
    fn who_does_not_ask_is_left_alone() {
        let config = DiscoverPods::default();
        let none = |pod: &Pod| of_pod(pod, &config).unwrap().is_empty();
        assert!(none(&pod(&[], &[("metrics", 1)])));
        assert!(none(&pod(&[(SCRAPE, "false")], &[("metrics", 1)])));
        let asks = pod(&[(SCRAPE, "true")], &[("metrics", 1)]);
        assert!(!none(&asks));
        assert!(none(&Pod {
            running: false,
            ..asks.clone()
        }));
        assert!(none(&Pod { ip: None, ..asks }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (annotations, word) in [
            (&[(PORT, "none")][..], PORT),
            (&[(PORT, "70000")], PORT),
            (&[(SCHEME, "ftp")], SCHEME),
            (&[(PORT, "1"), (SERIES, "many")], SERIES),
            (&[(PORT, "1"), (TIMEOUT, "soon")], TIMEOUT),
            (&[(PORT, "1"), (PATH, "/a\nb")], PATH),
            (&[], PORT),
        ] {
            let reason = urls(annotations, &[]).unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
        let reason = of_pod(&pod(&[(SCRAPE, "yes")], &[]), &DiscoverPods::default());
        assert!(reason.unwrap_err().contains("\"true\""));
    }

    #[test]
    fn a_namespace_has_a_team_whatever_its_pods_say() {
        let asks = pod(
            &[(SCRAPE, "true"), (TEAM, "payment"), (SERIES, "50")],
            &[("metrics", 1)],
        );
        let found = of_pod(&asks, &DiscoverPods::default()).unwrap();
        assert_eq!(found[0].team(), Some("payment"));
        assert_eq!(found[0].series, Some(50));
        assert_eq!(found[0].name, "kai.booking-0.1");
        let config = DiscoverPods {
            teams: [("kai".to_owned(), "booking".to_owned())].into(),
        };
        let found = of_pod(&asks, &config).unwrap();
        let labels: Vec<String> = found[0]
            .labels
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        assert_eq!(
            labels,
            [
                "container=app",
                "instance=10.1.0.4:1",
                "job=booking",
                "namespace=kai",
                "node=node-1",
                "pod=booking-0",
                "service=booking",
                "team=booking",
            ]
        );
    }

    proptest! {
        #[test]
        fn any_annotations_are_understood_or_refused(
            port in "[0-9a-z]{0,6}", path in "[ -~é]{0,12}", scheme in "https?|[ -~]{0,4}",
            param in "[ -~é]{0,9}", series in "[0-9x]{0,22}", timeout in "[0-9ms]{0,22}",
        ) {
            let annotations = [
                (PORT, port.as_str()), (PATH, &path), (SCHEME, &scheme), (SERIES, &series),
                (TIMEOUT, &timeout), ("prometheus.io/param_a", &param),
            ];
            for url in urls(&annotations, &[("a", 1), ("b-metrics", 2)]).unwrap_or_default() {
                let parsed = reqwest::Url::parse(&url).unwrap();
                // A pod is asked at its own address only.
                prop_assert_eq!(parsed.host_str(), Some("10.1.0.4"));
            }
        }
    }
}
