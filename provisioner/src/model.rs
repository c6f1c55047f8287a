//! The spec, resolved: no optional field that has a default, no name that is not checked, secrets
//! as references. Everything after `validate` works on these types only.

pub mod intake;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use kai_contract::agent_config::RuleSource;
pub use kai_contract::agent_config::{
    BusinessFigure, LogBudget, LogContainer, LogFormat, Multiline, OverBudget, Redacted, Share,
};

/// One stack in one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    pub name: String,
    pub owner: Owner,
    /// `local` unless the spec declares environments.
    pub environment: String,
    pub labels: BTreeMap<String, String>,
    /// The spec file, absolute.
    pub spec_file: PathBuf,
    /// The folder of the spec; relative paths in the spec start here.
    pub base_dir: PathBuf,
    pub runs_on: RunsOn,
    pub ports: Ports,
    pub defaults: Defaults,
    pub systems: Systems,
    pub components: ComponentPolicy,
    pub agent: Agent,
    pub services: BTreeMap<String, Service>,
    pub teams: BTreeMap<String, Team>,
    /// Series of one team's pages together; the agent's own limit when absent.
    pub team_series: Option<u64>,
    /// Of one team's log lines.
    pub log_budget: Option<LogBudget>,
    /// The platform's own figures; a source that is missing is reported.
    pub metrics: BTreeMap<String, BusinessFigure>,
    /// By name.
    pub probes: BTreeMap<String, Probe>,
    /// By name.
    pub databases: BTreeMap<String, Database>,
    pub privacy: Privacy,
    pub smtp: Option<Smtp>,
    pub routing: Routing,
    pub alerts: Alerts,
    /// Things the spec asks for that this build leaves out, each said once to the user.
    pub left_out: Vec<LeftOut>,
    /// Rules that speak of a cluster, in a stack that is in none: nothing is missing without them.
    pub not_active: Vec<LeftOut>,
}

/// Whose things these are: the spec's random id and the environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    pub id: String,
    pub environment: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.id, self.environment)
    }
}

impl Stack {
    /// Whether Jaeger's indices are this stack's.
    pub fn spans_are_in_elasticsearch(&self) -> bool {
        let jaeger = self.systems.jaeger.as_ref();
        jaeger.is_some_and(|jaeger| jaeger.storage == TraceStorage::Elasticsearch)
            && self.systems.elasticsearch.is_some()
    }

    /// Whether authentication logs and findings go to an Elasticsearch.
    pub fn ships_security(&self) -> bool {
        self.agent.ships_security && self.systems.elasticsearch.is_some()
    }

    /// Whether one of `metrics` is counted in this service's lines.
    pub fn counts_lines_of(&self, service: &str) -> bool {
        let mut rules = self.metrics.values().flat_map(|figure| &figure.from);
        rules.any(|rule| rule.source == RuleSource::Log && rule.service.as_deref() == Some(service))
    }
}

/// Where the managed systems run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunsOn {
    /// Processes of this machine.
    Local,
    Kubernetes(Kubernetes),
}

/// `kubernetes:` of the spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Kubernetes {
    /// Holds Prometheus and Alertmanager; the agent has [`Kubernetes::agent_namespace`].
    pub namespace: String,
    /// There is no published image of the agent; `validate` sees that one is named.
    pub agent_image: String,
    /// `None`: the vendor's own, at the version of the spec.
    pub prometheus_image: Option<String>,
    pub alertmanager_image: Option<String>,
    pub kube_state_image: Option<String>,
    pub pull_secrets: Vec<String>,
    /// `None`: the cluster's default class.
    pub storage_class: Option<String>,
}

impl Kubernetes {
    /// What the agent's namespace adds to the name of the stack's.
    pub const AGENT_SUFFIX: &str = "-agent";

    /// The agent needs folders of the node, which Pod Security forbids everywhere else.
    pub fn agent_namespace(&self) -> String {
        format!("{}{}", self.namespace, Self::AGENT_SUFFIX)
    }
}

/// What a container asks for, in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    pub cpu: String,
    pub memory: String,
}

/// Fixed offsets from `ports.base`, so that a stack's addresses are known before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    pub base: u16,
}

impl Ports {
    pub const SPAN: u16 = 30;

    pub fn inbox_http(self) -> u16 {
        self.base + 1
    }
    pub fn inbox_smtp(self) -> u16 {
        self.base + 2
    }
    pub fn prometheus(self) -> u16 {
        self.base + 3
    }
    pub fn alertmanager(self) -> u16 {
        self.base + 4
    }
    pub fn agent(self) -> u16 {
        self.base + 5
    }
    /// The agent's OTLP/gRPC receiver.
    pub fn otlp_grpc(self) -> u16 {
        self.base + 6
    }
    /// The agent's OTLP/HTTP receiver.
    pub fn otlp_http(self) -> u16 {
        self.base + 7
    }
    pub fn elasticsearch(self) -> u16 {
        self.base + 8
    }
    pub fn elasticsearch_transport(self) -> u16 {
        self.base + 9
    }
    /// Jaeger's API and pages.
    pub fn jaeger(self) -> u16 {
        self.base + 10
    }
    pub fn jaeger_grpc(self) -> u16 {
        self.base + 11
    }
    /// Where Jaeger takes spans in, OTLP/gRPC.
    pub fn jaeger_otlp(self) -> u16 {
        self.base + 12
    }
    pub fn jaeger_otlp_http(self) -> u16 {
        self.base + 13
    }
    pub fn jaeger_health(self) -> u16 {
        self.base + 14
    }
    pub fn jaeger_metrics(self) -> u16 {
        self.base + 15
    }
    pub fn grafana(self) -> u16 {
        self.base + 16
    }
    pub fn kibana(self) -> u16 {
        self.base + 17
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    pub scrape_interval: Duration,
    pub evaluation_interval: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Systems {
    pub prometheus: Option<Prometheus>,
    pub alertmanager: Option<Alertmanager>,
    /// The stand-in for the vendors. Absent when `mode: off`.
    pub inbox: Option<Inbox>,
    pub elasticsearch: Option<Elasticsearch>,
    pub jaeger: Option<Jaeger>,
    pub grafana: Option<Grafana>,
    pub kibana: Option<Kibana>,
    pub kube_state: Option<KubeState>,
}

impl Systems {
    /// The systems that may be somebody else's, by their names in the spec.
    pub fn placements(&self) -> Vec<(&'static str, &Placement)> {
        let all = [
            (
                "elasticsearch",
                self.elasticsearch.as_ref().map(|s| &s.placement),
            ),
            ("jaeger", self.jaeger.as_ref().map(|s| &s.placement)),
            ("grafana", self.grafana.as_ref().map(|s| &s.placement)),
            ("kibana", self.kibana.as_ref().map(|s| &s.placement)),
        ];
        all.into_iter()
            .filter_map(|(name, placement)| Some((name, placement?)))
            .collect()
    }
}

/// Who runs a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// This stack, as a local process.
    Managed {
        version: Option<String>,
        required: bool,
    },
    /// Somebody else; it is reached and never started.
    External(Connection),
}

impl Placement {
    pub fn is_managed(&self) -> bool {
        matches!(self, Self::Managed { .. })
    }
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Without a slash at the end.
    pub url: String,
    pub auth: Option<Auth>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: ApiKey …`
    ApiKey(SecretRef),
    /// `Authorization: Bearer …`
    Token(SecretRef),
    Basic {
        username: String,
        password: SecretRef,
    },
}

/// Elasticsearch, or OpenSearch: which of them answers is asked, not said.
#[derive(Debug, Clone, PartialEq)]
pub struct Elasticsearch {
    pub placement: Placement,
    /// What a managed node is.
    pub distribution: Distribution,
    /// How long documents are kept whose kind says nothing else.
    pub retention: Duration,
    pub lifecycle: Lifecycle,
    pub snapshots: Option<Snapshots>,
    pub agent_access: Option<AgentAccess>,
    /// Patterns of indices and data streams that may be touched.
    pub owns: Vec<String>,
    /// Heap of a managed node in MiB.
    pub heap_mib: u32,
}

/// `systems.elasticsearch.lifecycle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// Follows the retention where the spec says nothing.
    pub rollover_age: Option<Duration>,
    /// Of the largest primary shard.
    pub rollover_bytes: u64,
    pub warm: Option<Warm>,
}

/// What becomes of an index that is not written to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warm {
    pub after: Duration,
    pub force_merge: bool,
    pub shrink: Option<u32>,
    pub replicas: Option<u32>,
    /// Attributes of nodes.
    pub allocate: BTreeMap<String, String>,
}

/// `systems.elasticsearch.snapshots`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshots {
    /// Registered in the cluster by whoever runs it.
    pub repository: String,
    pub hour: u8,
    pub minute: u8,
    /// How many are kept at most.
    pub keep: u32,
}

/// `systems.elasticsearch.agentAccess`: what is made for the agent, so that it has no more rights
/// than it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAccess {
    /// An API key, which the agent uses in place of `auth`.
    pub key: bool,
    /// A role, for whoever gives the agent a user by hand.
    pub role: bool,
    /// Grows when the key is to be made anew.
    pub rotation: u32,
    pub may_delete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    Elasticsearch,
    OpenSearch,
}

impl Distribution {
    /// The component and its program.
    pub fn word(self) -> &'static str {
        match self {
            Self::Elasticsearch => "elasticsearch",
            Self::OpenSearch => "opensearch",
        }
    }

    pub fn settings_file(self) -> &'static str {
        match self {
            Self::Elasticsearch => "elasticsearch.yml",
            Self::OpenSearch => "opensearch.yml",
        }
    }

    /// What its environment variables begin with.
    pub fn variables(self) -> &'static str {
        match self {
            Self::Elasticsearch => "ES",
            Self::OpenSearch => "OPENSEARCH",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Jaeger {
    pub placement: Placement,
    /// Where an external one takes spans, OTLP over gRPC. `None`: no spans are taken.
    pub otlp: Option<String>,
    /// Traces that a managed Jaeger keeps in memory at most.
    pub max_traces: u32,
    pub storage: TraceStorage,
}

/// Where Jaeger keeps spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceStorage {
    Memory,
    Elasticsearch,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Grafana {
    pub placement: Placement,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Kibana {
    pub placement: Placement,
    /// OpenSearch Dashboards, which has other objects.
    pub opensearch: bool,
    /// `None`: the default space.
    pub space: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Prometheus {
    pub version: Option<String>,
    pub required: bool,
    pub retention: Duration,
    /// This and the two below hold where there is more than this machine.
    pub replicas: u32,
    pub storage: String,
    pub resources: Resources,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Alertmanager {
    pub version: Option<String>,
    pub required: bool,
    pub replicas: u32,
    pub storage: String,
    pub resources: Resources,
}

/// kube-state-metrics, and with it kubelets and cAdvisor.
#[derive(Debug, Clone, PartialEq)]
pub struct KubeState {
    pub job: String,
    pub placement: KubeStatePlacement,
}

#[derive(Debug, Clone, PartialEq)]
pub enum KubeStatePlacement {
    Managed {
        version: Option<String>,
        resources: Resources,
    },
    /// Its metrics page.
    External(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Inbox {}

/// Where a component's program may come from, in the order in which the chain asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    Workspace,
    Path,
    Cache,
    Archive,
    Debian,
    Go,
    Maven,
}

impl SourceKind {
    pub const ALL: [Self; 7] = [
        Self::Workspace,
        Self::Path,
        Self::Cache,
        Self::Archive,
        Self::Debian,
        Self::Go,
        Self::Maven,
    ];

    /// The word used in the spec, in `observe.lock` and in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Path => "path",
            Self::Cache => "cache",
            Self::Archive => "archive",
            Self::Debian => "debian",
            Self::Go => "go",
            Self::Maven => "maven",
        }
    }
}

/// `components:` of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentPolicy {
    /// Sources that may be used; the order of the chain stays.
    pub allow: Vec<SourceKind>,
    /// Where another address stands in for a source's own: a base URL or a folder.
    pub mirrors: BTreeMap<SourceKind, String>,
    /// When true, only what `observe.lock` pins already may be used.
    pub locked: bool,
}

impl Default for ComponentPolicy {
    fn default() -> Self {
        Self {
            allow: SourceKind::ALL.to_vec(),
            mirrors: BTreeMap::new(),
            locked: false,
        }
    }
}

/// `agent:` of the spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    pub collectors: kai_contract::agent_config::Collectors,
    /// By name.
    pub remote_write: BTreeMap<String, RemoteWrite>,
    /// Series that one service may push by OTLP; `None`: none are taken.
    pub otlp_series: Option<u32>,
    /// `None`: only what the spec names is scraped.
    pub discovery: Option<Discovery>,
    /// Authentication logs and findings go to Elasticsearch.
    pub ships_security: bool,
    /// `None`: no security check runs.
    pub security: Option<kai_contract::agent_config::Security>,
    /// `None`: only files of services are read.
    pub logs: Option<intake::LogIntake>,
    pub resources: Resources,
}

/// Applications that the agent finds by itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Discovery {
    pub files: Vec<String>,
    /// `None`: pods are not looked at.
    pub pods: Option<DiscoverPods>,
    pub applications: u32,
    /// Timeout, budget and rules of each.
    pub scrape: Scrape,
    /// What all applications of one service have together.
    pub service_series: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoverPods {
    /// Empty: all.
    pub namespaces: Vec<String>,
    /// By namespace.
    pub teams: BTreeMap<String, String>,
}

/// How a metrics page is read, and how much of it is handed on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scrape {
    pub timeout: Option<Duration>,
    pub series: Option<u64>,
    /// Most values kept, by label.
    pub labels: BTreeMap<String, u64>,
    pub relabel: Vec<kai_contract::agent_config::Relabel>,
}

/// A question that the agent asks an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub service: String,
    pub team: String,
    pub interval: Duration,
    /// Said in the spec; the question has one in any case.
    pub timeout: Option<Duration>,
    /// Without `auth` of HTTP.
    pub question: kai_contract::agent_config::Probe,
    pub auth: Option<Auth>,
}

/// A database server that the agent looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    pub dsn: SecretRef,
    pub service: String,
    pub team: String,
    pub interval: Duration,
    /// Said in the spec; `timeout` is the one in force.
    pub given_timeout: Option<Duration>,
    pub timeout: Duration,
    pub enable: Vec<String>,
    pub disable: Vec<String>,
    pub exclude_databases: Vec<String>,
}

impl Probe {
    /// Who is asked, for people: the `instance` of its series.
    pub fn target(&self) -> String {
        let Self { question, .. } = self;
        let http = question.http.as_ref().map(|http| http.url.clone());
        let tcp = || question.tcp.as_ref().map(|tcp| tcp.address.clone());
        let dns = || question.dns.as_ref().map(|dns| dns.server.clone());
        let icmp = || question.icmp.as_ref().map(|icmp| icmp.host.clone());
        http.or_else(tcp)
            .or_else(dns)
            .or_else(icmp)
            .unwrap_or_default()
    }
}

/// A receiver of what the agent scrapes.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteWrite {
    pub url: String,
    pub protocol: u8,
    pub auth: Option<Auth>,
    pub ca_file: Option<PathBuf>,
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub name: String,
    pub team: String,
    /// Metrics page, `http://…` or `https://…`.
    pub metrics: Option<String>,
    /// Health page.
    pub health: Option<String>,
    pub scrape_interval: Duration,
    pub scrape: Scrape,
    /// The stack starts this service itself (examples and laptops).
    pub run: Option<Run>,
    pub logs: Option<ServiceLogs>,
    pub gate: ServiceGate,
}

/// `services.<name>.gate`: limits of the deploy gate, and queries in place of the usual ones.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceGate {
    pub window: Duration,
    pub min_requests: u64,
    pub max_error_ratio: f64,
    pub errors: Option<String>,
    pub total: Option<String>,
    pub max_error_logs_per_minute: f64,
}

/// Log files of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceLogs {
    /// Absolute globs, or beginning with `${data}`, the folder that the stack gives the service.
    pub paths: Vec<String>,
    pub format: LogFormat,
    pub pattern: Option<String>,
    pub container: Option<LogContainer>,
    pub multiline: Option<Multiline>,
    pub time_zone: Option<String>,
    pub kind: LogKind,
    /// Conditions; a line that one fits is not sent.
    pub drop: Vec<String>,
    /// Level or condition → the share that is sent.
    pub sample: BTreeMap<String, Share>,
}

/// What lines are about, which decides how long they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKind {
    App,
    Access,
    Audit,
}

impl LogKind {
    pub const ALL: [Self; 3] = [Self::App, Self::Access, Self::Audit];

    pub fn word(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Access => "access",
            Self::Audit => "audit",
        }
    }
}

/// `privacy:`, what must not leave a node in the clear.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Privacy {
    pub redact: Redacted,
    pub pseudonymise: Option<Pseudonymise>,
    pub retention: Retention,
}

/// `privacy.retention`; `None` where the spec says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    pub app: Option<Duration>,
    pub access: Option<Duration>,
    pub audit: Option<Duration>,
    pub traces: Option<Duration>,
}

impl Retention {
    pub fn of(&self, kind: LogKind) -> Option<Duration> {
        match kind {
            LogKind::App => self.app,
            LogKind::Access => self.access,
            LogKind::Audit => self.audit,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Pseudonymise {
    pub fields: Vec<String>,
    pub key: SecretRef,
}

/// A service that the stack starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Name in the component catalogue.
    pub component: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Team {
    pub name: String,
    /// Integration key of PagerDuty Events v2. `None`: the inbox stands in.
    pub pagerduty: Option<SecretRef>,
    /// Incoming webhook address of Slack. `None`: the inbox stands in.
    pub slack: Option<SecretRef>,
    pub email: Option<String>,
}

/// Mail server for e-mail receivers. Without one the inbox stands in.
#[derive(Debug, Clone, PartialEq)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub from: String,
    pub username: Option<String>,
    pub password: Option<SecretRef>,
}

/// Where a secret is kept. Never the secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretRef {
    pub source: SecretSource,
    /// Grows when the value behind the same reference was changed.
    pub rotation: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretSource {
    Env(String),
    File(PathBuf),
    /// Made by the first `provision` that needs it and kept in this file from then on.
    Generated(PathBuf),
    /// Said by a server when it makes the object of this address.
    Issued(String),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            SecretSource::Env(name) => write!(f, "env:{name}"),
            SecretSource::File(path) => write!(f, "file:{}", path.display()),
            SecretSource::Generated(path) => write!(f, "generated:{}", path.display()),
            SecretSource::Issued(address) => write!(f, "issued:{address}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Critical,
    Warning,
    Info,
}

impl Severity {
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    Pagerduty,
    Slack,
    Email,
}

impl Channel {
    pub fn word(self) -> &'static str {
        match self {
            Self::Pagerduty => "pagerduty",
            Self::Slack => "slack",
            Self::Email => "email",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Routing {
    pub severity: BTreeMap<Severity, Vec<Channel>>,
    pub group_by: Vec<String>,
    pub group_wait: Duration,
    pub group_interval: Duration,
    pub repeat_interval: Duration,
    /// Team that gets an alert without a known `team` label.
    pub fallback_team: String,
    /// Address that hears the Watchdog outside this stack. `None`: the inbox listens.
    pub heartbeat: Option<SecretRef>,
    /// PagerDuty key for drills, so that a drill never pages a team. `None`: the inbox.
    pub drill_pagerduty: Option<SecretRef>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Alerts {
    pub files: Vec<RuleFile>,
    pub overrides: BTreeMap<String, RuleOverride>,
}

/// One native Prometheus rule file.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleFile {
    /// File name without folders; unique in the stack.
    pub name: String,
    pub path: PathBuf,
    /// As read, before overrides.
    pub groups: Vec<RuleGroup>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RuleGroup {
    pub name: String,
    pub interval: Option<String>,
    pub query_offset: Option<String>,
    pub limit: Option<u64>,
    pub labels: BTreeMap<String, String>,
    pub rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub kind: RuleKind,
    pub expr: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Prometheus' own duration text.
    pub hold: Option<String>,
    pub keep_firing_for: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RuleKind {
    Alert(String),
    Record(String),
}

/// `alerts.overrides.<alertname>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleOverride {
    pub hold: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub disabled: bool,
}

/// Something the spec asks for and this build does not do yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub key: String,
    pub why: String,
}
