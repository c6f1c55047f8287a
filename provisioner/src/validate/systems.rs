//! Checks on `systems`, `ports` and `defaults`.

use std::collections::BTreeMap;
use std::time::Duration;

use kai_contract::agent_config::judge_otlp_endpoint;

use super::{Subject, reported};
use crate::model::{Ports, RuleKind};
use crate::spec::Findings;
use crate::spec::address::Address;
use crate::spec::rules::ReadFile;

/// The TCP ports at which parts of the stack listen.
pub(super) fn own_ports(ports: Ports) -> BTreeMap<u16, &'static str> {
    [
        (ports.inbox_http(), "the inbox page"),
        (ports.inbox_smtp(), "the inbox SMTP server"),
        (ports.prometheus(), "Prometheus"),
        (ports.alertmanager(), "Alertmanager"),
        (ports.agent(), "the agent"),
        (ports.otlp_grpc(), "the agent's OTLP/gRPC receiver"),
        (ports.otlp_http(), "the agent's OTLP/HTTP receiver"),
        (ports.elasticsearch(), "Elasticsearch"),
        (ports.elasticsearch_transport(), "Elasticsearch"),
        (ports.jaeger(), "Jaeger"),
        (ports.jaeger_grpc(), "Jaeger"),
        (ports.jaeger_otlp(), "Jaeger"),
        (ports.jaeger_otlp_http(), "Jaeger"),
        (ports.jaeger_health(), "Jaeger"),
        (ports.jaeger_metrics(), "Jaeger"),
        (ports.grafana(), "Grafana"),
        (ports.kibana(), "Kibana"),
    ]
    .into()
}

pub(super) fn ports_do_not_overlap(subject: &Subject<'_>, findings: &mut Findings) {
    if reported(findings, &["ports", "base"]) {
        return;
    }
    let ports = subject.stack.ports;
    let own = own_ports(ports);
    let last = ports.base.saturating_add(Ports::SPAN - 1);
    let mut running: BTreeMap<u16, &str> = BTreeMap::new();
    for service in subject.stack.services.values() {
        let name = service.name.as_str();
        let mut mine = None;
        for (key, page) in [("metrics", &service.metrics), ("health", &service.health)] {
            let Some(address) = page.as_deref().and_then(|page| Address::parse(page).ok()) else {
                continue;
            };
            if !address.is_loopback() {
                continue;
            }
            let port = address.port;
            mine.get_or_insert((port, key));
            let place = subject.at(&["services", name, key]);
            if let Some(part) = own.get(&port) {
                let message = format!("port {port} belongs to {part} of this stack");
                let help = format!(
                    "let the service listen elsewhere, or move `ports.base` (now {}) away",
                    ports.base
                );
                findings.error("port-taken", place, message).help(help);
            } else if (ports.base..=last).contains(&port) {
                let message = format!("port {port} is among the thirty that the stack keeps");
                let help = format!(
                    "the stack keeps {} to {last}; later parts will use it",
                    ports.base
                );
                findings.warning("port-taken", place, message).help(help);
            }
        }
        if let (Some((port, key)), Some(_)) = (mine, &service.run)
            && let Some(other) = running.insert(port, name)
        {
            let place = subject.at(&["services", name, key]);
            let message = format!("service `{other}` listens on port {port} as well");
            let help = "both are started by the stack; give each its own port";
            findings.error("port-taken", place, message).help(help);
        }
    }
}

pub(super) fn fit_together(subject: &Subject<'_>, findings: &mut Findings) {
    let systems = &subject.stack.systems;
    let (metrics, alerts) = (systems.prometheus.is_some(), systems.alertmanager.is_some());
    if ["prometheus", "alertmanager"]
        .iter()
        .any(|s| reported(findings, &["systems", s, "mode"]))
    {
        return;
    }
    let at = |system| subject.at(&["systems", system, "mode"]);
    if alerts && !metrics {
        findings
            .error(
                "systems",
                at("prometheus"),
                "Prometheus is off, so nothing raises alerts for Alertmanager",
            )
            .help("switch both off, or Prometheus on");
    }
    let rules = || subject.rules.files.iter().flat_map(ReadFile::rules);
    if !metrics && rules().next().is_some() {
        findings
            .warning(
                "systems",
                at("prometheus"),
                "Prometheus is off, so no rule is evaluated",
            )
            .help("switch Prometheus on, or take `alerts.rules` out");
    }
    if systems.elasticsearch.is_none() && !reported(findings, &["systems", "elasticsearch"]) {
        if systems.kibana.is_some() {
            findings
                .warning(
                    "systems",
                    at("elasticsearch"),
                    "Elasticsearch is off, so Kibana has nothing to show",
                )
                .help("switch both off, or Elasticsearch on");
        }
        for name in subject
            .stack
            .services
            .values()
            .filter(|s| s.logs.is_some())
            .map(|s| &s.name)
            .filter(|name| !subject.stack.counts_lines_of(name))
        {
            findings
                .warning(
                    "systems",
                    subject.key(&["services", name, "logs"]),
                    "Elasticsearch is off, so these lines go nowhere",
                )
                .help("switch Elasticsearch on, or take `logs` out");
        }
    }
    let raises = rules().any(|rule| matches!(rule.rule.kind, RuleKind::Alert(_)));
    if metrics && !alerts && raises {
        findings
            .warning(
                "systems",
                at("alertmanager"),
                "Alertmanager is off, so alerts reach nobody",
            )
            .help("switch Alertmanager on");
    }
}

/// OpenSearch Dashboards is not run by this build, and has tenants where Kibana has spaces.
pub(super) fn dashboards_can_be_had(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(kibana) = &subject.stack.systems.kibana else {
        return;
    };
    if !kibana.opensearch {
        return;
    }
    let path = |key: &'static str| ["systems", "kibana", key];
    if kibana.placement.is_managed() {
        findings
            .error(
                "dashboards",
                subject.key(&path("distribution")),
                "this build does not run OpenSearch Dashboards",
            )
            .help("say where one is: `mode: external, url: https://…`; or take Kibana");
    }
    if kibana.space.is_some() {
        findings
            .error(
                "dashboards",
                subject.key(&path("space")),
                "OpenSearch Dashboards has no spaces",
            )
            .help("take `space` out");
    }
}

/// `url` and `auth` belong to what is external, `version` and `required` to what is managed.
pub(super) fn placements_are_whole(subject: &Subject<'_>, findings: &mut Findings) {
    for system in ["elasticsearch", "jaeger", "grafana", "kibana"] {
        let path = |key: &'static str| ["systems", system, key];
        if reported(findings, &path("mode")) {
            continue;
        }
        let given = |key: &'static str| {
            let node = subject.tree.find(&path(key))?;
            (!node.is_null()).then_some(node)
        };
        let mode = given("mode")
            .and_then(|node| node.text())
            .unwrap_or("managed");
        if mode == "external" {
            if given("url").is_none() && !reported(findings, &path("url")) {
                findings
                    .error(
                        "placement",
                        subject.at(&path("mode")),
                        format!("`systems.{system}` is external and has no `url`"),
                    )
                    .help("say where it is: `url: https://…`");
            }
            for key in ["version", "required"] {
                if given(key).is_some() {
                    findings
                        .warning(
                            "placement",
                            subject.key(&path(key)),
                            format!("`{key}` does nothing where the system is external"),
                        )
                        .help("take it out, or let the stack run the system: `mode: managed`");
                }
            }
        } else {
            for key in ["url", "auth"] {
                if given(key).is_some() {
                    findings
                        .error(
                            "placement",
                            subject.key(&path(key)),
                            format!("`{key}` is for an external system, and this one is {mode}"),
                        )
                        .help("say `mode: external`, or take it out");
                }
            }
        }
        auth_is_one_way(subject, system, findings);
    }
}

/// `systems.jaeger.otlp` is an external one's, and an address that the agent can send to.
pub(super) fn spans_have_a_way(subject: &Subject<'_>, findings: &mut Findings) {
    let path = ["systems", "jaeger", "otlp"];
    let node = subject.tree.find(&path).filter(|node| !node.is_null());
    if reported(findings, &path) || reported(findings, &["systems", "jaeger", "mode"]) {
        return;
    }
    let external = subject
        .stack
        .systems
        .jaeger
        .as_ref()
        .is_some_and(|jaeger| !jaeger.placement.is_managed());
    let Some(text) = node.and_then(|node| node.text()) else {
        if external {
            findings
                .warning(
                    "spans",
                    subject.at(&["systems", "jaeger"]),
                    "`systems.jaeger` is external and has no `otlp`, so no spans are taken",
                )
                .help("say where it takes spans: `otlp: http://host:4317`");
        }
        return;
    };
    if !external {
        findings
            .error(
                "placement",
                subject.key(&path),
                "`otlp` is for an external system, and this one is not",
            )
            .help("say `mode: external`, or take it out");
    } else if let Err(why) = judge_otlp_endpoint(text) {
        findings.error("spans", subject.at(&path), why);
    }
}

fn auth_is_one_way(subject: &Subject<'_>, system: &str, findings: &mut Findings) {
    let path = ["systems", system, "auth"];
    let Some(node) = subject.tree.find(&path).filter(|node| !node.is_null()) else {
        return;
    };
    if reported(findings, &path) {
        return;
    }
    let has = |key: &str| node.get(key).is_some_and(|node| !node.is_null());
    let basic = has("username") || has("password");
    let ways = usize::from(has("apiKey")) + usize::from(has("token")) + usize::from(basic);
    let whole = has("username") == has("password");
    if ways == 1 && whole {
        return;
    }
    let message = if whole {
        "`auth` is one way to say who asks, and here are none or several"
    } else {
        "`username` and `password` belong together"
    };
    findings
        .error("auth", subject.at(&path), message)
        .help("give `apiKey`, or `token`, or `username` with `password`");
}

/// Prometheus takes a series for gone after five minutes without a sample
/// (`--query.lookback-delta`).
const LOOKBACK: Duration = Duration::from_mins(5);

pub(super) fn series_stay_fresh(subject: &Subject<'_>, findings: &mut Findings) {
    let stack = subject.stack;
    let mut warn = |path: &[&str], interval: Duration| {
        if interval * 2 > LOOKBACK && !reported(findings, path) {
            findings
                .warning(
                    "slow-scrape",
                    subject.at(path),
                    "one missed scrape makes the series look gone",
                )
                .help("Prometheus looks back five minutes; scrape at least every 2m");
        }
    };
    warn(
        &["defaults", "scrapeInterval"],
        stack.defaults.scrape_interval,
    );
    for service in stack.services.values() {
        let path = ["services", service.name.as_str(), "scrapeInterval"];
        if subject.tree.find(&path).is_some() {
            warn(&path, service.scrape_interval);
        }
    }
}

/// Labels that the stack sets itself, or that decide where an alert goes.
const OWN_LABELS: [&str; 10] = [
    "stack",
    "environment",
    "service",
    "team",
    "severity",
    "instance",
    "job",
    "alertname",
    "drill_id",
    "le",
];

/// `metadata.labels` become labels of Prometheus, whose names have no `-`, `.` and `/`.
pub(super) fn labels_stay_apart(subject: &Subject<'_>, findings: &mut Findings) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for key in subject.stack.labels.keys() {
        let path = ["metadata", "labels", key.as_str()];
        if reported(findings, &path) {
            continue;
        }
        let name = key.replace(['-', '.', '/'], "_");
        let place = subject.key(&path);
        if OWN_LABELS.contains(&name.as_str()) {
            findings
                .error(
                    "name-taken",
                    place,
                    format!("the label `{name}` is set by the stack itself"),
                )
                .help(format!("give it another name, for example `my-{key}`"));
        } else if let Some(other) = seen.insert(name.clone(), key) {
            let message = format!("`{other}` becomes the label `{name}` as well");
            findings
                .error("name-taken", place, message)
                .help("give one of them another name");
        }
    }
}
