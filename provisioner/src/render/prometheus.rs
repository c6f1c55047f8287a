//! Prometheus: prometheus.yml, the rule files and the process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{READY_WITHIN, component, duration, local, rules, scrape_timeout, yaml};
use crate::layout::Layout;
use crate::model::Stack;
use crate::resource::{Address, Comment, Document, File, Loaded, Process, Reload, Resource};

/// The agent's own page: node metrics and drills.
pub(super) const AGENT_JOB: &str = "kai-agent";

/// The platform's own figures, which the agent counts.
const BUSINESS_JOB: &str = "kai-business";

/// Applications that agents found; each brings a `job` of its own.
const FOUND_JOB: &str = "applications";

/// One endpoint that Prometheus scrapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub job: String,
    /// `host:port` that is asked.
    pub address: String,
    pub path: String,
    /// `instance` label: the application itself, not the agent that passes its page through.
    pub instance: String,
    pub service: String,
    pub team: String,
    pub interval: Duration,
}

/// Every target of the stack; `verify` wants each of them up.
pub fn targets(stack: &Stack) -> Vec<Target> {
    let own = |job: &str, port: u16| Target {
        job: job.to_owned(),
        address: format!("127.0.0.1:{port}"),
        path: "/metrics".into(),
        instance: format!("127.0.0.1:{port}"),
        service: job.to_owned(),
        team: stack.routing.fallback_team.clone(),
        interval: stack.defaults.scrape_interval,
    };
    let mut out = vec![own(AGENT_JOB, stack.ports.agent())];
    if !stack.metrics.is_empty() {
        out.push(Target {
            path: "/metrics/business".into(),
            ..own(BUSINESS_JOB, stack.ports.agent())
        });
    }
    if stack.systems.alertmanager.is_some() {
        out.push(own("alertmanager", stack.ports.alertmanager()));
    }
    if stack.systems.inbox.is_some() {
        out.push(own("kai-inbox", stack.ports.inbox_http()));
    }
    if let Some(jaeger) = &stack.systems.jaeger
        && jaeger.placement.is_managed()
    {
        out.push(own("jaeger", stack.ports.jaeger_metrics()));
    }
    out.push(own("prometheus", stack.ports.prometheus()));
    for service in stack.services.values() {
        let Some(url) = &service.metrics else {
            continue;
        };
        out.push(Target {
            job: service.name.clone(),
            address: format!("127.0.0.1:{}", stack.ports.agent()),
            path: format!("/metrics/app/{}", service.name),
            instance: instance_of(url),
            service: service.name.clone(),
            team: service.team.clone(),
            interval: service.scrape_interval,
        });
    }
    for (name, probe) in &stack.probes {
        out.push(Target {
            job: format!("probe-{name}"),
            address: format!("127.0.0.1:{}", stack.ports.agent()),
            path: format!("/probe/{name}"),
            instance: probe.target(),
            service: probe.service.clone(),
            team: probe.team.clone(),
            interval: probe.interval,
        });
    }
    for (name, database) in &stack.databases {
        out.push(Target {
            job: format!("database-{name}"),
            address: format!("127.0.0.1:{}", stack.ports.agent()),
            path: format!("/metrics/database/{name}"),
            // Where it is stands in a secret.
            instance: name.clone(),
            service: database.service.clone(),
            team: database.team.clone(),
            interval: database.interval,
        });
    }
    out
}

fn instance_of(url: &str) -> String {
    let Ok(parsed) = reqwest::Url::parse(url) else {
        return url.to_owned();
    };
    match (parsed.host_str(), parsed.port_or_known_default()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        _ => url.to_owned(),
    }
}

pub fn render(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let Some(settings) = &stack.systems.prometheus else {
        return Vec::new();
    };
    let mut out = vec![component(
        "prometheus",
        settings.version.clone(),
        settings.required,
    )];
    let mut config = vec![Address::file("prometheus/prometheus.yml")];
    for file in &stack.alerts.files {
        let address = Address::file(&format!("prometheus/rules/{}", file.name));
        config.push(address.clone());
        out.push(Resource {
            address,
            document: Document::File(File {
                path: rule_path(&file.name),
                body: rules::body(stack, file),
                comment: Comment::Hash,
            }),
            needs: Vec::new(),
        });
    }
    let main = PathBuf::from("config/prometheus/prometheus.yml");
    out.push(Resource {
        // Last of the files: what it names is there before it.
        needs: config.iter().skip(1).cloned().collect(),
        address: Address::file("prometheus/prometheus.yml"),
        document: Document::File(File {
            path: main.clone(),
            body: yaml::to_text(&document(stack)),
            comment: Comment::Hash,
        }),
    });
    let port = stack.ports.prometheus();
    let mut needs = vec![Address::component("prometheus")];
    needs.extend(config.iter().cloned());
    out.push(Resource {
        address: Address::process("prometheus"),
        needs,
        document: Document::Process(Box::new(Process {
            name: "prometheus".into(),
            component: "prometheus".into(),
            program: "prometheus".into(),
            args: vec![
                format!("--config.file={}", layout.root.join(main).display()),
                format!(
                    "--storage.tsdb.path={}",
                    layout.root.join("data/prometheus").display()
                ),
                format!(
                    "--storage.tsdb.retention.time={}",
                    duration(settings.retention)
                ),
                format!("--web.listen-address=127.0.0.1:{port}"),
                format!("--web.external-url={}", local(port, "/")),
                format!("--rules.alert.resend-delay={}", duration(resend(stack))),
                "--web.enable-lifecycle".into(),
                "--enable-feature=exemplar-storage".into(),
                // Our own detection is the lease; a lock file left by `kill -9` only adds noise.
                "--storage.tsdb.no-lockfile".into(),
            ],
            env: BTreeMap::new(),
            data: vec![PathBuf::from("data/prometheus")],
            ready: local(port, "/-/ready"),
            ready_within: READY_WITHIN,
            ports: vec![port],
            config,
            loaded: Loaded::Timestamp {
                url: local(port, "/metrics"),
                metric: "prometheus_config_last_reload_success_timestamp_seconds",
            },
            reload: Reload::Http(local(port, "/-/reload")),
            java: None,
        })),
    });
    out
}

/// An alert that fires before Alertmanager is discovered (Prometheus takes up to 5 s) is sent again
/// only after this delay; its default of a minute would make every start look broken. Alertmanager
/// takes an alert for ended after four times this or the evaluation interval, so it is not tiny.
pub(super) fn resend(stack: &Stack) -> Duration {
    (stack.defaults.evaluation_interval * 2).max(Duration::from_secs(10))
}

fn rule_path(name: &str) -> PathBuf {
    PathBuf::from("config/prometheus/rules").join(name)
}

fn document(stack: &Stack) -> Value {
    let mut scrape: Vec<Value> = targets(stack)
        .iter()
        .map(|target| job(stack, target))
        .collect();
    if stack.agent.otlp_series.is_some() {
        scrape.push(pushed(stack));
    }
    if stack.agent.discovery.is_some() {
        scrape.push(found(
            stack,
            &local(stack.ports.agent(), "/sd/applications"),
        ));
    }
    let alertmanagers = vec![format!("127.0.0.1:{}", stack.ports.alertmanager())];
    configuration(stack, scrape, alertmanagers)
}

/// What tells this stack's series from another's, wherever both end up.
pub(super) fn external_labels(stack: &Stack) -> BTreeMap<String, String> {
    let labels = stack.labels.iter();
    let mut out: BTreeMap<String, String> = labels
        .map(|(name, value)| (name.replace(['-', '.', '/'], "_"), value.clone()))
        .collect();
    out.insert("stack".to_owned(), stack.name.clone());
    out
}

/// prometheus.yml, wherever it runs.
pub(super) fn configuration(
    stack: &Stack,
    scrape: Vec<Value>,
    alertmanagers: Vec<String>,
) -> Value {
    let rules: Vec<String> = stack
        .alerts
        .files
        .iter()
        .map(|file| format!("rules/{}", file.name))
        .collect();
    let mut out = json!({
        "global": {
            "scrape_interval": duration(stack.defaults.scrape_interval),
            "scrape_timeout": duration(scrape_timeout(stack.defaults.scrape_interval)),
            "evaluation_interval": duration(stack.defaults.evaluation_interval),
            "external_labels": external_labels(stack),
        },
        "rule_files": rules,
        "scrape_configs": scrape,
    });
    if stack.systems.alertmanager.is_some() {
        out["alerting"] = json!({ "alertmanagers": [{ "static_configs": [
            { "targets": alertmanagers } ] }] });
    }
    out
}

/// What services push to the agent by OTLP: each is a target that the agent names.
fn pushed(stack: &Stack) -> Value {
    let interval = stack.defaults.scrape_interval;
    json!({
        "job_name": "otlp",
        "scrape_interval": duration(interval),
        "scrape_timeout": duration(scrape_timeout(interval)),
        // Its pages say themselves of which service and instance a series is.
        "honor_labels": true,
        "http_sd_configs": [{
            "url": local(stack.ports.agent(), "/sd/otlp"),
            "refresh_interval": duration(interval),
        }],
        "relabel_configs": [
            { "source_labels": ["job"], "regex": "(?:.*/)?(.+)", "target_label": "service" },
            { "target_label": "environment", "replacement": stack.environment },
        ],
    })
}

/// What agents found: each is a target that they name. A page says nothing of whose it is, so that
/// job, service and team are the target's.
pub(super) fn found(stack: &Stack, url: &str) -> Value {
    let interval = stack.defaults.scrape_interval;
    json!({
        "job_name": FOUND_JOB,
        "scrape_interval": duration(interval),
        "scrape_timeout": duration(scrape_timeout(interval)),
        "http_sd_configs": [{ "url": url, "refresh_interval": duration(interval) }],
        "relabel_configs": [
            // An application without a team is somebody's all the same.
            { "source_labels": ["team"], "regex": "", "target_label": "team",
              "replacement": stack.routing.fallback_team },
            { "target_label": "environment", "replacement": stack.environment },
        ],
    })
}

fn job(stack: &Stack, target: &Target) -> Value {
    let mut out = json!({
        "job_name": target.job,
        "scrape_interval": duration(target.interval),
        "scrape_timeout": duration(scrape_timeout(target.interval)),
        "metrics_path": target.path,
        "static_configs": [{
            "targets": [target.address],
            "labels": {
                "instance": target.instance,
                "service": target.service,
                "team": target.team,
                "environment": stack.environment,
            },
        }],
    });
    if ["/probe/", "/metrics/database/"]
        .iter()
        .any(|own| target.path.starts_with(own))
    {
        // It may take longer than a page; the agent answers before this.
        out["scrape_timeout"] = json!(duration(target.interval));
    }
    if [AGENT_JOB, BUSINESS_JOB].contains(&target.job.as_str()) {
        // A drill names its own team, a figure the service and team that it is of; without this
        // they would become `exported_team`.
        out["honor_labels"] = json!(true);
    }
    out
}
