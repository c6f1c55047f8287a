//! The checked tree as a [`Stack`]: defaults filled in, paths absolute, references in place of
//! secrets. Rule files are added by the caller, which reads them.

mod collectors;
mod databases;
mod elasticsearch;
mod intake;
mod metrics;
mod plain;
mod probes;
pub mod rules;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kai_contract::agent_config::{LogBudget, OverBudget, Redact, Security, TraceLanguage};
use sha2::{Digest, Sha256};

use super::schema::table;
use super::tree::Node;
use super::view::View;
use crate::model::{
    Agent, Alertmanager, Alerts, Auth, Channel, ComponentPolicy, Connection, Defaults,
    DiscoverPods, Discovery, Distribution, Elasticsearch, Grafana, Inbox, Jaeger, Kibana,
    KubeState, KubeStatePlacement, Kubernetes, LeftOut, LogContainer, LogFormat, LogKind,
    Multiline, Owner, Placement, Ports, Privacy, Prometheus, Pseudonymise, RemoteWrite, Resources,
    Routing, RuleOverride, Run, RunsOn, Scrape, SecretRef, SecretSource, Service, ServiceGate,
    ServiceLogs, Severity, Smtp, SourceKind, Stack, Systems, Team, TraceStorage,
};

/// What the tree cannot say.
pub struct Surroundings<'a> {
    /// Absolute.
    pub spec_file: &'a Path,
    /// Absolute; relative paths start here.
    pub base_dir: &'a Path,
    pub environment: &'a str,
    /// In place of `runsOn`.
    pub runs_on: Option<&'a str>,
}

/// How much of an interval the agent may take where the spec does not say, so that it answers before
/// Prometheus gives up.
const SPARE: f64 = 0.8;
/// The environment of a spec that declares none.
pub const DEFAULT_ENVIRONMENT: &str = "local";
/// The team that gets what nobody owns, when it exists.
const USUAL_FALLBACK: &str = "platform";

/// Resolves the tree. Values that the checker refused come out as defaults or are left away.
pub fn resolve(tree: &Node, around: &Surroundings<'_>) -> Stack {
    let spec = View::new(Some(tree), &table::STACK);
    let base_dir = around.base_dir;
    let metadata = spec.child("metadata");
    let name = metadata.text("name").unwrap_or_default();
    let id = metadata.text("id").unwrap_or_else(|| id_from_name(&name));
    let defaults = Defaults {
        scrape_interval: spec.child("defaults").duration("scrapeInterval"),
        evaluation_interval: spec.child("defaults").duration("evaluationInterval"),
    };
    let services = services(spec, &defaults, base_dir);
    let teams = teams(spec, base_dir);
    let written = spec.text("runsOn");
    let in_cluster = around.runs_on.or(written.as_deref()) == Some("kubernetes");
    let mut systems = systems(spec.child("systems"), base_dir);
    let mut left_out = Vec::new();
    if in_cluster {
        left_out = without_what_a_cluster_lacks(&mut systems, spec, &services);
    }
    let routing = routing(spec.child("routing"), &teams, base_dir);
    let fallback = &routing.fallback_team;
    let probes = probes::probes(
        spec,
        &services,
        defaults.scrape_interval,
        fallback,
        base_dir,
    );
    let databases = databases::databases(
        spec,
        &services,
        defaults.scrape_interval,
        fallback,
        base_dir,
    );
    Stack {
        owner: Owner {
            id,
            environment: around.environment.to_owned(),
        },
        name,
        environment: around.environment.to_owned(),
        labels: metadata.text_map("labels"),
        spec_file: around.spec_file.to_path_buf(),
        base_dir: base_dir.to_path_buf(),
        runs_on: if in_cluster {
            RunsOn::Kubernetes(kubernetes(spec.child("kubernetes")))
        } else {
            RunsOn::Local
        },
        ports: Ports {
            base: spec.child("ports").port("base"),
        },
        defaults,
        systems,
        components: components(spec.child("components"), base_dir),
        agent: Agent {
            collectors: collectors::collectors(spec.child("agent").child("collectors")),
            remote_write: remote_write(spec.child("agent"), base_dir),
            otlp_series: {
                let otlp = spec.child("agent").child("otlpMetrics");
                otlp.boolean("accept")
                    .then(|| otlp.integer("seriesPerService"))
            },
            discovery: discovery(spec.child("agent")),
            security: security(spec.child("agent")),
            ships_security: spec.child("agent").child("security").boolean("ship"),
            logs: intake::intake(spec.child("agent"), base_dir),
            resources: resources(spec.child("agent"), "50m", "128Mi"),
        },
        services,
        team_series: {
            let team = spec.child("budgets").child("perTeam");
            team.given("series")
                .map(|_| u64::from(team.integer("series")))
        },
        log_budget: log_budget(spec.child("budgets")),
        smtp: spec
            .given("smtp")
            .map(|_| smtp(spec.child("smtp"), base_dir)),
        metrics: metrics::metrics(spec),
        privacy: privacy(spec.child("privacy"), base_dir),
        routing,
        probes,
        databases,
        teams,
        alerts: Alerts {
            files: Vec::new(),
            overrides: overrides(spec.child("alerts")),
        },
        left_out,
        not_active: Vec::new(),
    }
}

/// `budgets`, as far as it is about lines.
fn log_budget(budgets: View<'_>) -> Option<LogBudget> {
    let given = budgets.child("perTeam").text("logs")?;
    let words = budgets.texts("over");
    let known = [OverBudget::Warn, OverBudget::SampleInfo];
    Some(LogBudget {
        bytes_per_day: super::format::per_day::parse(&given).ok()?,
        nodes: budgets.integer("nodes"),
        over: known
            .into_iter()
            .filter(|over| words.iter().any(|word| word == over.word()))
            .collect(),
        keep_one_in: budgets.integer("keepOneIn"),
    })
}

/// `agent.security`, what is absent as the agent has it.
fn security(agent: View<'_>) -> Option<Security> {
    agent.given("security")?;
    let view = agent.child("security");
    let mut security = Security {
        disable: view.texts("disable"),
        ..Security::default()
    };
    for (name, text) in view.text_map("intervals") {
        if let Some(time) = super::duration::parse(&text) {
            security.interval_seconds.insert(name, time.as_secs());
        }
    }
    let put = |view: View<'_>, key: &str, into: &mut Vec<String>| {
        if view.given(key).is_some() {
            *into = view.texts(key);
        }
    };
    put(view, "logs", &mut security.auth.paths);
    for (key, paths, exclude) in [
        (
            "integrity",
            &mut security.integrity.paths,
            &mut security.integrity.exclude,
        ),
        ("suid", &mut security.suid.paths, &mut security.suid.exclude),
        (
            "certificates",
            &mut security.certificates.paths,
            &mut security.certificates.exclude,
        ),
    ] {
        put(view.child(key), "paths", paths);
        put(view.child(key), "exclude", exclude);
    }
    Some(security)
}

/// An id for a spec without one: the same name gives the same id.
pub fn id_from_name(name: &str) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = Sha256::digest(name.as_bytes());
    hash.iter()
        .take(10)
        .map(|byte| char::from(DIGITS[usize::from(byte & 31)]))
        .collect()
}

fn systems(systems: View<'_>, base_dir: &Path) -> Systems {
    let managed = |view: View<'_>| view.text("mode").is_some_and(|mode| mode == "managed");
    let prometheus = systems.child("prometheus");
    let alertmanager = systems.child("alertmanager");
    Systems {
        prometheus: managed(prometheus).then(|| Prometheus {
            version: prometheus.text("version"),
            required: prometheus.boolean("required"),
            retention: prometheus.duration("retention"),
            replicas: prometheus.integer("replicas"),
            storage: prometheus.text("storage").unwrap_or_default(),
            resources: resources(prometheus, "250m", "2Gi"),
        }),
        alertmanager: managed(alertmanager).then(|| Alertmanager {
            version: alertmanager.text("version"),
            required: alertmanager.boolean("required"),
            replicas: alertmanager.integer("replicas"),
            storage: alertmanager.text("storage").unwrap_or_default(),
            resources: resources(alertmanager, "50m", "128Mi"),
        }),
        inbox: managed(systems.child("inbox")).then_some(Inbox {}),
        elasticsearch: placed(systems.child("elasticsearch"), base_dir).map(|(view, placement)| {
            Elasticsearch {
                placement,
                distribution: match view.text("distribution").as_deref() {
                    Some("opensearch") => Distribution::OpenSearch,
                    _ => Distribution::Elasticsearch,
                },
                retention: view.duration("retention"),
                lifecycle: elasticsearch::lifecycle(view.child("lifecycle")),
                snapshots: elasticsearch::snapshots(view),
                agent_access: elasticsearch::agent_access(view),
                owns: view.texts("owns"),
                heap_mib: view.integer("heapMib"),
            }
        }),
        jaeger: placed(systems.child("jaeger"), base_dir).map(|(view, placement)| Jaeger {
            placement,
            otlp: view.text("otlp"),
            max_traces: view.integer("maxTraces"),
            storage: match view.text("storage").as_deref() {
                Some("elasticsearch") => TraceStorage::Elasticsearch,
                _ => TraceStorage::Memory,
            },
        }),
        grafana: placed(systems.child("grafana"), base_dir)
            .map(|(_, placement)| Grafana { placement }),
        kibana: placed(systems.child("kibana"), base_dir).map(|(view, placement)| Kibana {
            placement,
            opensearch: view.text("distribution").as_deref() == Some("opensearch"),
            space: view.text("space"),
        }),
        kube_state: kube_state(systems.child("kubeState")),
    }
}

/// Where kube-state-metrics' own manifests put it.
const KUBE_STATE_URL: &str = "http://kube-state-metrics.kube-system.svc:8080/metrics";

fn kube_state(view: View<'_>) -> Option<KubeState> {
    let placement = match view.text("mode").as_deref() {
        Some("managed") => KubeStatePlacement::Managed {
            version: view.text("version"),
            resources: resources(view, "50m", "256Mi"),
        },
        Some("external") => KubeStatePlacement::External(
            view.text("url")
                .unwrap_or_else(|| KUBE_STATE_URL.to_owned()),
        ),
        _ => return None,
    };
    Some(KubeState {
        job: view.text("job").unwrap_or_default(),
        placement,
    })
}

fn remote_write(agent: View<'_>, base_dir: &Path) -> BTreeMap<String, RemoteWrite> {
    let receivers = agent.children("remoteWrite").into_iter();
    receivers
        .map(|(name, view)| {
            let receiver = RemoteWrite {
                url: view.text("url").unwrap_or_default(),
                protocol: view.integer("protocol") as u8,
                auth: auth(view.child("auth"), base_dir),
                ca_file: view.text("caFile").map(|file| base_dir.join(file)),
                headers: view.text_map("headers"),
            };
            (name.to_owned(), receiver)
        })
        .collect()
}

/// Takes out what this build does not render for a cluster and nobody asked for in so many words;
/// what was asked for stays, and `validate` refuses it. What is external stays, but gets nothing.
fn without_what_a_cluster_lacks(
    systems: &mut Systems,
    spec: View<'_>,
    services: &BTreeMap<String, Service>,
) -> Vec<LeftOut> {
    let given = spec.child("systems");
    if given.child("inbox").given("mode").is_none() {
        systems.inbox = None;
    }
    let mut left_out = Vec::new();
    let logs = spec.child("agent").child("logs");
    let sends_logs = logs.given("pods").is_some() || logs.boolean("otlp");
    for (name, placement) in systems.placements() {
        let why = match placement {
            Placement::Managed { .. } if given.given(name).is_some() => continue,
            Placement::Managed { .. } => "it is not rendered for a cluster in this build",
            Placement::External(_) if name == "elasticsearch" && sends_logs => {
                "its templates, lifecycles and rights are not written from a cluster in this build: \
                 the agents send to it as it is"
            }
            Placement::External(_)
                if name == "jaeger" && given.child(name).given("otlp").is_some() =>
            {
                continue;
            }
            Placement::External(_) => "a stack in a cluster does not write to it in this build",
        };
        left_out.push(LeftOut {
            key: format!("systems.{name}"),
            why: why.to_owned(),
        });
    }
    let absent = |name: &str| given.given(name).is_none();
    systems.elasticsearch.take_if(|_| absent("elasticsearch"));
    systems.jaeger.take_if(|_| absent("jaeger"));
    systems.grafana.take_if(|_| absent("grafana"));
    systems.kibana.take_if(|_| absent("kibana"));
    for service in services.values().filter(|s| s.logs.is_some()) {
        left_out.push(LeftOut {
            key: format!("services.{}.logs", service.name),
            why: "files of a service are of a machine; in a cluster `agent.logs.pods` takes pods' lines"
                .to_owned(),
        });
    }
    for (name, view) in spec.children("services") {
        if view.given("gate").is_some() {
            left_out.push(LeftOut {
                key: format!("services.{name}.gate"),
                why: "the gate's configuration is not rendered for a cluster in this build"
                    .to_owned(),
            });
        }
    }
    for service in services.values().filter(|s| s.scrape != Scrape::default()) {
        left_out.push(LeftOut {
            key: format!("services.{}.scrape", service.name),
            why: "in a cluster Prometheus asks pods itself, past the agent".to_owned(),
        });
    }
    for key in ["metrics", "probes", "databases", "budgets"] {
        if spec.given(key).is_some() {
            left_out.push(LeftOut {
                key: key.to_owned(),
                why: "the agent of a cluster does not do it in this build".to_owned(),
            });
        }
    }
    for key in ["security", "remoteWrite", "otlpMetrics"] {
        if spec.child("agent").given(key).is_some() {
            left_out.push(LeftOut {
                key: format!("agent.{key}"),
                why: "the agent of a cluster does not do it in this build".to_owned(),
            });
        }
    }
    for key in ["journald", "syslog"] {
        if logs.given(key).is_some() {
            left_out.push(LeftOut {
                key: format!("agent.logs.{key}"),
                why: "the agent of a cluster does not take it in this build".to_owned(),
            });
        }
    }
    left_out
}

fn resources(of: View<'_>, cpu: &str, memory: &str) -> Resources {
    let given = of.child("resources");
    Resources {
        cpu: given.text("cpu").unwrap_or_else(|| cpu.to_owned()),
        memory: given.text("memory").unwrap_or_else(|| memory.to_owned()),
    }
}

fn kubernetes(view: View<'_>) -> Kubernetes {
    let images = view.child("images");
    Kubernetes {
        namespace: view.text("namespace").unwrap_or_default(),
        agent_image: images.text("agent").unwrap_or_default(),
        prometheus_image: images.text("prometheus"),
        alertmanager_image: images.text("alertmanager"),
        kube_state_image: images.text("kubeState"),
        pull_secrets: view.texts("imagePullSecrets"),
        storage_class: view.text("storageClass"),
    }
}

/// Nothing when it is off.
fn placed<'a>(view: View<'a>, base_dir: &Path) -> Option<(View<'a>, Placement)> {
    let placement = match view.text("mode").as_deref() {
        Some("managed") => Placement::Managed {
            version: view.text("version"),
            required: view.boolean("required"),
        },
        Some("external") => Placement::External(Connection {
            url: view
                .text("url")
                .unwrap_or_default()
                .trim_end_matches('/')
                .to_owned(),
            auth: auth(view.child("auth"), base_dir),
        }),
        _ => return None,
    };
    Some((view, placement))
}

fn auth(view: View<'_>, base_dir: &Path) -> Option<Auth> {
    if let Some(key) = secret(view.given("apiKey"), base_dir) {
        return Some(Auth::ApiKey(key));
    }
    if let Some(token) = secret(view.given("token"), base_dir) {
        return Some(Auth::Token(token));
    }
    Some(Auth::Basic {
        username: view.text("username")?,
        password: secret(view.given("password"), base_dir)?,
    })
}

fn components(view: View<'_>, base_dir: &Path) -> ComponentPolicy {
    let allowed = view.texts("allow");
    let mirrors = view.child("mirrors");
    let mirror = |kind: SourceKind| {
        let text = mirrors.text(kind.word())?;
        let is_address = text.contains("://");
        let place = if is_address {
            text
        } else {
            base_dir.join(text).to_string_lossy().into_owned()
        };
        Some((kind, place))
    };
    ComponentPolicy {
        allow: SourceKind::ALL
            .into_iter()
            .filter(|kind| allowed.iter().any(|word| word == kind.word()))
            .collect(),
        mirrors: SourceKind::ALL.into_iter().filter_map(mirror).collect(),
        locked: view.boolean("locked"),
    }
}

fn services(spec: View<'_>, defaults: &Defaults, base_dir: &Path) -> BTreeMap<String, Service> {
    let mut services = BTreeMap::new();
    for (name, view) in spec.children("services") {
        let run = view.child("run");
        let scrape_interval = view
            .optional_duration("scrapeInterval")
            .unwrap_or(defaults.scrape_interval);
        let service = Service {
            name: name.to_owned(),
            team: view.text("team").unwrap_or_default(),
            metrics: view.text("metrics"),
            health: view.text("health"),
            scrape_interval,
            scrape: scrape(view.child("scrape")),
            run: view.given("run").map(|_| Run {
                component: run.text("component").unwrap_or_default(),
                args: run.texts("args"),
                env: run.text_map("env"),
            }),
            logs: view
                .given("logs")
                .map(|_| service_logs(view.child("logs"), base_dir)),
            gate: service_gate(view.child("gate"), scrape_interval),
        };
        services.insert(name.to_owned(), service);
    }
    services
}

fn discovery(agent: View<'_>) -> Option<Discovery> {
    agent.given("discovery")?;
    let view = agent.child("discovery");
    let pods = view.child("pods");
    Some(Discovery {
        files: view.texts("files"),
        pods: view.given("pods").map(|_| DiscoverPods {
            namespaces: pods.texts("namespaces"),
            teams: pods.text_map("teams"),
        }),
        applications: view.integer("applications"),
        scrape: scrape(view),
        service_series: view
            .given("serviceSeries")
            .map(|_| u64::from(view.integer("serviceSeries"))),
    })
}

fn scrape(view: View<'_>) -> Scrape {
    let limits = view.text_map("labels").into_iter();
    Scrape {
        timeout: view.optional_duration("timeout"),
        series: view
            .given("series")
            .map(|_| u64::from(view.integer("series"))),
        labels: limits
            .map(|(label, most)| (label, most.parse().unwrap_or(1)))
            .collect(),
        relabel: plain::read(view.given("relabel")).unwrap_or_default(),
    }
}

fn service_gate(view: View<'_>, scrape_interval: Duration) -> ServiceGate {
    ServiceGate {
        // `increase` needs two samples, and a scrape may be missed.
        window: view
            .optional_duration("window")
            .unwrap_or_else(|| Duration::from_mins(1).max(scrape_interval * 4)),
        min_requests: view.integer("minRequests").into(),
        max_error_ratio: view.number("maxErrorRatio"),
        errors: view.text("errors"),
        total: view.text("total"),
        max_error_logs_per_minute: view.number("maxErrorLogsPerMinute"),
    }
}

fn service_logs(view: View<'_>, base_dir: &Path) -> ServiceLogs {
    let absolute = |path: String| {
        if path.starts_with("${data}") {
            path
        } else {
            base_dir.join(path).to_string_lossy().into_owned()
        }
    };
    ServiceLogs {
        paths: view.texts("paths").into_iter().map(absolute).collect(),
        format: match view.text("format").as_deref() {
            Some("json") => LogFormat::Json,
            Some("plain") => LogFormat::Plain,
            Some("logfmt") => LogFormat::Logfmt,
            Some("access") => LogFormat::Access,
            Some("syslog") => LogFormat::Syslog,
            Some("auth") => LogFormat::Auth,
            Some("pattern") => LogFormat::Pattern,
            _ => LogFormat::Auto,
        },
        pattern: view.text("pattern"),
        container: match view.text("container").as_deref() {
            Some("cri") => Some(LogContainer::Cri),
            Some("docker") => Some(LogContainer::Docker),
            Some("auto") => Some(LogContainer::Auto),
            _ => None,
        },
        multiline: view
            .given("multiline")
            .map(|_| multiline(view.child("multiline"))),
        time_zone: view.text("timeZone"),
        kind: log_kind(view),
        drop: view.texts("drop"),
        sample: view
            .text_map("sample")
            .into_iter()
            // A share that is none is reported already.
            .filter_map(|(rule, share)| Some((rule, share.parse::<f64>().ok()?.try_into().ok()?)))
            .collect(),
    }
}

fn log_kind(view: View<'_>) -> LogKind {
    match view.text("kind").as_deref() {
        Some("access") => LogKind::Access,
        Some("audit") => LogKind::Audit,
        _ => LogKind::App,
    }
}

fn multiline(view: View<'_>) -> Multiline {
    Multiline {
        begins: view.text("begins"),
        continues: view.text("continues"),
        traces: match view.text("traces").as_deref() {
            Some("java") => Some(TraceLanguage::Java),
            Some("python") => Some(TraceLanguage::Python),
            Some("go") => Some(TraceLanguage::Go),
            Some("rust") => Some(TraceLanguage::Rust),
            Some("node") => Some(TraceLanguage::Node),
            _ => None,
        },
        max_lines: view.integer("maxLines") as usize,
        pause_ms: u64::try_from(view.duration("pause").as_millis()).unwrap_or(u64::MAX),
    }
}

fn privacy(view: View<'_>, base_dir: &Path) -> Privacy {
    let named = view.texts("redact");
    let kinds = Redact::ALL.into_iter();
    let pseudonymise = view.child("pseudonymise");
    Privacy {
        redact: kinds
            .filter(|kind| named.iter().any(|name| name == kind.as_str()))
            .collect::<Vec<_>>()
            .into(),
        pseudonymise: secret(pseudonymise.given("key"), base_dir).map(|key| Pseudonymise {
            fields: pseudonymise.texts("fields"),
            key,
        }),
        retention: elasticsearch::retention(view.child("retention")),
    }
}

fn teams(spec: View<'_>, base_dir: &Path) -> BTreeMap<String, Team> {
    let team = |(name, view): (&str, View<'_>)| {
        let team = Team {
            name: name.to_owned(),
            pagerduty: secret(view.given("pagerduty"), base_dir),
            slack: secret(view.given("slack"), base_dir),
            email: view.text("email"),
        };
        (name.to_owned(), team)
    };
    spec.children("teams").into_iter().map(team).collect()
}

/// `{ env: NAME }` or `{ file: PATH }`; nothing when it is neither, which the checker has said.
fn secret(node: Option<&Node>, base_dir: &Path) -> Option<SecretRef> {
    let node = node?;
    let text = |key: &str| node.get(key).and_then(Node::text);
    let source = match (text("env"), text("file")) {
        (Some(name), None) => SecretSource::Env(name.to_owned()),
        (None, Some(path)) => SecretSource::File(base_dir.join(path)),
        _ => return None,
    };
    let rotation = text("rotation").and_then(|t| t.parse().ok()).unwrap_or(0);
    Some(SecretRef { source, rotation })
}

fn smtp(view: View<'_>, base_dir: &Path) -> Smtp {
    Smtp {
        host: view.text("host").unwrap_or_default(),
        port: view.port("port"),
        from: view.text("from").unwrap_or_default(),
        username: view.text("username"),
        password: secret(view.given("password"), base_dir),
    }
}

fn routing(view: View<'_>, teams: &BTreeMap<String, Team>, base_dir: &Path) -> Routing {
    let by_severity = view.child("severity");
    let channels = |severity: Severity| {
        by_severity
            .texts(severity.word())
            .iter()
            .filter_map(|word| channel(word))
            .collect()
    };
    let usual = || {
        let only = teams.keys().next().filter(|_| teams.len() == 1);
        teams
            .get_key_value(USUAL_FALLBACK)
            .map(|(name, _)| name)
            .or(only)
            .cloned()
    };
    Routing {
        severity: Severity::ALL
            .into_iter()
            .map(|s| (s, channels(s)))
            .collect(),
        group_by: view.texts("groupBy"),
        group_wait: view.duration("groupWait"),
        group_interval: view.duration("groupInterval"),
        repeat_interval: view.duration("repeatInterval"),
        fallback_team: view
            .child("fallback")
            .text("team")
            .or_else(usual)
            .unwrap_or_default(),
        heartbeat: secret(view.child("deadMansSwitch").given("heartbeat"), base_dir),
        drill_pagerduty: secret(view.child("drill").given("pagerduty"), base_dir),
    }
}

fn channel(word: &str) -> Option<Channel> {
    [Channel::Pagerduty, Channel::Slack, Channel::Email]
        .into_iter()
        .find(|c| c.word() == word)
}

fn overrides(alerts: View<'_>) -> BTreeMap<String, RuleOverride> {
    let one = |(name, view): (&str, View<'_>)| {
        let change = RuleOverride {
            hold: view.given("for").and_then(Node::text).map(str::to_owned),
            labels: view.text_map("labels"),
            disabled: view.boolean("disabled"),
        };
        (name.to_owned(), change)
    };
    alerts.children("overrides").into_iter().map(one).collect()
}
