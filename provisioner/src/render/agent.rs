//! kai-agent: its configuration and its process.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kai_contract::agent_config::{
    Admin, AgentConfig, Application, Budgets, Business, Database, DiscoverPods, Discovery,
    HttpAuth, OtlpMetrics, Probe, RemoteEndpoint, RemoteWrite, Roots, Rotate, RuleSource,
    TeamBudget, Traces, VERSION,
};
use kai_contract::signals;

use super::secrets::Secrets;
use super::{READY_WITHIN, component, gate, jaeger, local, logs, scrape_timeout, yaml};
use crate::layout::Layout;
use crate::model::{Auth, SecretRef, Service, Stack};
use crate::resource::{Address, Comment, Document, File, Loaded, Process, Reload, Resource};

const MAX_LOG_BYTES: u64 = 10 * 1024 * 1024;
const KEEP_LOGS: u32 = 3;
/// Below the stack's folder: places in files, dead letters.
const STATE: &str = "data/agent";

pub fn render(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let file = Address::file("agent/agent.yaml");
    let path = PathBuf::from("config/agent/agent.yaml");
    let port = stack.ports.agent();
    let process = Process {
        name: "agent".into(),
        component: "kai-agent".into(),
        program: "kai-agent".into(),
        args: [
            "run".to_owned(),
            format!("--config={}", layout.root.join(&path).display()),
        ]
        .into_iter()
        // What the checks find is read from it.
        .chain(stack.ships_security().then(|| "--log-format=json".into()))
        .collect(),
        env: BTreeMap::new(),
        data: vec![PathBuf::from("run"), PathBuf::from(STATE)],
        ready: local(port, "/ready"),
        ready_within: READY_WITHIN,
        ports: std::iter::once(port)
            .chain(logs::intake::ports(stack))
            .collect(),
        config: vec![file.clone()],
        loaded: Loaded::Digest {
            url: local(port, "/metrics"),
            metric: signals::AGENT_CONFIG_INFO,
            label: "hash",
        },
        reload: Reload::Socket(layout.agent_socket()),
        java: None,
    };
    let mut secrets = Secrets::below(&layout.root, true);
    let body = yaml::to_text(&config(stack, layout, &mut secrets));
    let needs = secrets.addresses().collect();
    let mut out = vec![component("kai-agent", None, true)];
    out.extend(secrets.into_resources());
    out.extend([
        Resource {
            address: file.clone(),
            document: Document::File(File {
                path,
                body,
                comment: Comment::Hash,
            }),
            needs,
        },
        Resource {
            address: Address::process("agent"),
            needs: vec![Address::component("kai-agent"), file],
            document: Document::Process(Box::new(process)),
        },
    ]);
    out
}

fn config(stack: &Stack, layout: &Layout, secrets: &mut Secrets) -> AgentConfig {
    let gate = gate::config(stack, &mut |secret| {
        secrets.file("agent-elasticsearch", secret)
    });
    let logs = logs::config(stack, layout, secrets);
    let remote_write = remote_write(stack, secrets);
    let probes = probes(stack, secrets);
    let databases = databases(stack, secrets);
    let business = business(stack);
    let counts_series = business
        .as_ref()
        .is_some_and(|business| business.rules(RuleSource::Metric).next().is_some());
    let mut rotate: Vec<PathBuf> = super::process_names(stack)
        .iter()
        .map(|name| layout.log(name))
        .collect();
    rotate.extend(logs.iter().map(|_| logs::canary_file(layout)));
    AgentConfig {
        version: VERSION,
        listen: format!("127.0.0.1:{}", stack.ports.agent()),
        admin: Admin {
            socket: Some(layout.agent_socket()),
        },
        roots: Roots::default(),
        collectors: stack.agent.collectors.clone(),
        applications: stack.services.values().filter_map(application).collect(),
        kubernetes: None,
        discovery: discovery(stack, None),
        budgets: budgets(stack),
        rotate: rotate
            .into_iter()
            .map(|path| Rotate {
                path,
                max_bytes: MAX_LOG_BYTES,
                keep: KEEP_LOGS,
            })
            .collect(),
        state: (logs.is_some() || business.is_some() || stack.agent.security.is_some())
            .then(|| layout.root.join(STATE)),
        logs,
        traces: traces(stack),
        gate: (!gate.services.is_empty()).then_some(gate),
        security: stack.agent.security.clone(),
        otlp_metrics: stack.agent.otlp_series.map(|series| OtlpMetrics {
            series_per_service: series,
            ..OtlpMetrics::default()
        }),
        round_interval_ms: (remote_write.is_some() || counts_series).then(|| round_interval(stack)),
        remote_write,
        business,
        probes,
        databases,
    }
}

/// What each team may use.
pub(super) fn budgets(stack: &Stack) -> Option<Budgets> {
    let per_team = TeamBudget {
        series: stack.team_series,
        logs: stack.log_budget.clone(),
    };
    (per_team != TeamBudget::default()).then_some(Budgets { per_team })
}

/// `peers` is the name behind which all agents are, where there are several.
pub(super) fn discovery(stack: &Stack, peers: Option<String>) -> Option<Discovery> {
    let given = stack.agent.discovery.as_ref()?;
    let usual = scrape_timeout(stack.defaults.scrape_interval).mul_f64(0.8);
    let timeout = given.scrape.timeout.unwrap_or(usual).as_millis();
    Some(Discovery {
        files: given.files.clone(),
        pods: given.pods.as_ref().map(|pods| DiscoverPods {
            teams: pods.teams.clone(),
        }),
        max_applications: given.applications,
        timeout_ms: u64::try_from(timeout).unwrap_or(u64::MAX),
        series_limit: given.scrape.series,
        service_series: given.service_series,
        label_limits: given.scrape.labels.clone(),
        relabel: given.scrape.relabel.clone(),
        peers,
    })
}

fn application(service: &Service) -> Option<(String, Application)> {
    let url = service.metrics.clone()?;
    let given = &service.scrape;
    // Prometheus gives up at its scrape timeout; the agent must answer before that to say why.
    let usual = scrape_timeout(service.scrape_interval).mul_f64(0.8);
    let timeout = given.timeout.unwrap_or(usual);
    let application = Application {
        team: Some(service.team.clone()),
        relabel: given.relabel.clone(),
        series_limit: given.series,
        label_limits: given.labels.clone(),
        ..Application::new(url, u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
    };
    Some((service.name.clone(), application))
}

/// The agent's own scrapes are as frequent as Prometheus' are.
fn round_interval(stack: &Stack) -> u64 {
    u64::try_from(stack.defaults.scrape_interval.as_millis()).unwrap_or(u64::MAX)
}

/// As the agent has it: with secrets in files.
fn auth(given: &Auth, file: &mut dyn FnMut(&SecretRef) -> PathBuf) -> HttpAuth {
    match given {
        Auth::ApiKey(secret) => HttpAuth::ApiKeyFile(file(secret)),
        Auth::Token(secret) => HttpAuth::TokenFile(file(secret)),
        Auth::Basic { username, password } => HttpAuth::Basic {
            username: username.clone(),
            password_file: file(password),
        },
    }
}

fn probes(stack: &Stack, secrets: &mut Secrets) -> BTreeMap<String, Probe> {
    let one = |(name, probe): (&String, &crate::model::Probe)| {
        let mut file =
            |secret: &SecretRef| PathBuf::from(secrets.file(&format!("probe-{name}"), secret));
        let mut question = probe.question.clone();
        if let Some(http) = &mut question.http {
            http.auth = probe.auth.as_ref().map(|given| auth(given, &mut file));
        }
        (name.clone(), question)
    };
    stack.probes.iter().map(one).collect()
}

fn databases(stack: &Stack, secrets: &mut Secrets) -> BTreeMap<String, Database> {
    let one = |(name, database): (&String, &crate::model::Database)| {
        let millis = database.timeout.as_millis();
        let rendered = Database {
            dsn_file: secrets
                .file(&format!("database-{name}"), &database.dsn)
                .into(),
            team: Some(database.team.clone()),
            timeout_ms: Some(u64::try_from(millis).unwrap_or(u64::MAX)),
            enable: database.enable.clone(),
            disable: database.disable.clone(),
            exclude_databases: database.exclude_databases.clone(),
        };
        (name.clone(), rendered)
    };
    stack.databases.iter().map(one).collect()
}

/// The platform's own figures.
fn business(stack: &Stack) -> Option<Business> {
    if stack.metrics.is_empty() {
        return None;
    }
    let services = stack.services.values();
    Some(Business {
        teams: services
            .map(|service| (service.name.clone(), service.team.clone()))
            .collect(),
        // Longer than a scrape is away, so that Prometheus sees the 0 that a new series rises from.
        start_at_zero_ms: round_interval(stack).saturating_mul(3) / 2,
        ..Business::of(stack.metrics.clone())
    })
}

/// Where samples are written besides being shown.
fn remote_write(stack: &Stack, secrets: &mut Secrets) -> Option<RemoteWrite> {
    let receivers = &stack.agent.remote_write;
    if receivers.is_empty() {
        return None;
    }
    let endpoints = receivers.iter().map(|(name, receiver)| {
        let mut file = |secret: &SecretRef| {
            PathBuf::from(secrets.file(&format!("remote-write-{name}"), secret))
        };
        let auth = receiver.auth.as_ref().map(|given| auth(given, &mut file));
        let endpoint = RemoteEndpoint {
            protocol: receiver.protocol,
            auth,
            ca_file: receiver.ca_file.clone(),
            headers: receiver.headers.clone(),
            ..RemoteEndpoint::at(receiver.url.clone())
        };
        (name.clone(), endpoint)
    });
    let mut out = RemoteWrite::to(endpoints.collect());
    out.external_labels = super::prometheus::external_labels(stack);
    Some(out)
}

/// The trace lane, where somebody keeps what it sends.
fn traces(stack: &Stack) -> Option<Traces> {
    Some(Traces {
        grpc: Some(format!("127.0.0.1:{}", stack.ports.otlp_grpc())),
        http: Some(format!("127.0.0.1:{}", stack.ports.otlp_http())),
        ..Traces::to(jaeger::otlp(stack)?)
    })
}
