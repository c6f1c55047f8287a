//! The table of the spec, `observe.kai/v1`, as far as this build implements it. Keys stand in the
//! order of the reference document.

use super::{Field, Kind, Object};
use crate::spec::format::Format;

const TEXT: Kind = Kind::Text(Format::OneLine);
const DURATION: Kind = Kind::Duration { zero: false };
const DURATION_OR_ZERO: Kind = Kind::Duration { zero: true };
const LABELS: Kind = Kind::Map {
    key: Format::LabelName,
    value: &Kind::Text(Format::Any),
};
const PLACES: [&str; 2] = ["systemd", "compose"];
const MODE: Kind = Kind::Enum {
    values: &["managed", "off"],
    reserved: &["external"],
};
const CHANNELS: Kind = Kind::List {
    item: &Kind::Enum {
        values: &["pagerduty", "slack", "email"],
        reserved: &["email-digest", "webhook", "teams", "opsgenie"],
    },
    unique: true,
    min: 0,
};

/// The whole file.
pub static STACK: Object = Object {
    name: "stack",
    doc: "One file says what to observe. Relative paths start at the folder of the spec.",
    fields: &[
        Field::new(
            "apiVersion",
            Kind::Enum {
                values: &["observe.kai/v1"],
                reserved: &[],
            },
            "observe.kai/v1",
            "Version of this format; it only grows.",
        )
        .required(),
        Field::new(
            "kind",
            Kind::Enum {
                values: &["Stack"],
                reserved: &[],
            },
            "Stack",
            "What the file describes.",
        )
        .required(),
        Field::new(
            "metadata",
            Kind::Object(&METADATA),
            "{ name: kai-ticketing }",
            "Name and identity of the stack.",
        )
        .required(),
        Field::new(
            "include",
            Kind::List {
                item: &Kind::Text(Format::Glob),
                unique: true,
                min: 0,
            },
            "[teams/*.yaml, services/*.yaml]",
            "Further files, each a part of this spec, so that each team can own its own. Paths are \
             relative to the file that includes. Maps of several files are merged; the same key \
             in two files is an error.",
        ),
        Field::new(
            "runsOn",
            Kind::Enum {
                values: &["local", "kubernetes"],
                reserved: &PLACES,
            },
            "local",
            "Where the managed systems run: as processes of this machine, or in a cluster, whose \
             manifests `kai-observe render` writes.",
        )
        .default("local"),
        Field::new(
            "kubernetes",
            Kind::Object(&KUBERNETES),
            "{ namespace: kai-observe, images: { agent: \"registry.example.org/kai-agent:0.1.0\" } }",
            "What holds with `runsOn: kubernetes`.",
        ),
        Field::new(
            "ports",
            Kind::Object(&PORTS),
            "{ base: 7070 }",
            "Ports of the local processes; fixed, never picked silently.",
        ),
        Field::new(
            "defaults",
            Kind::Object(&DEFAULTS),
            "{ scrapeInterval: 15s }",
            "What holds where nothing else is said.",
        ),
        Field::new(
            "systems",
            Kind::Object(&SYSTEMS),
            "{ prometheus: { retention: 15d } }",
            "The systems that observe, placed one by one.",
        ),
        Field::new(
            "components",
            Kind::Object(&COMPONENTS),
            "{ allow: [path, cache, archive] }",
            "How the programs of the systems get here.",
        ),
        Field::new(
            "agent",
            Kind::Object(&AGENT),
            "{ collectors: { disable: [netdev] } }",
            "The agent on the node.",
        ),
        Field::new(
            "services",
            Kind::Map {
                key: Format::Name,
                value: &Kind::Object(&SERVICE),
            },
            "{ booking: { team: booking, metrics: \"http://127.0.0.1:8080/metrics\" } }",
            "What is observed, by name.",
        ),
        Field::new(
            "teams",
            Kind::Map {
                key: Format::Name,
                value: &Kind::Object(&TEAM),
            },
            "{ booking: { email: ops@example.org } }",
            "Who is told, by name; the label `team` of an alert chooses one of them.",
        ),
        Field::new(
            "smtp",
            Kind::Object(&SMTP),
            "{ host: mail.example.org, port: 587, from: kai@example.org }",
            "Mail server for e-mail; without one the inbox stands in.",
        ),
        Field::new(
            "routing",
            Kind::Object(&ROUTING),
            "{ severity: { critical: [pagerduty], warning: [slack], info: [email] } }",
            "Which alert goes where.",
        ),
        Field::new(
            "alerts",
            Kind::Object(&ALERTS),
            "{ rules: [alert-rules/*.yaml] }",
            "What raises an alert.",
        ),
        Field::new(
            "environments",
            Kind::Map {
                key: Format::Name,
                value: &Kind::Overlay(&STACK),
            },
            "{ dev: { defaults: { scrapeInterval: 30s } }, prod: { ports: { base: 8070 } } }",
            "What differs per environment. Once declared, `--env` is mandatory. Maps are merged \
             deep, `null` removes a key, any other value replaces; `apiVersion`, `kind`, \
             `metadata.id`, `include` and `environments` cannot differ.",
        ),
    ],
    reserved: &[
        "removed",
        "agents",
        "timeIntervals",
        "maintenance",
        "calendars",
        "metrics",
        "sloTemplates",
        "serviceDefaults",
        "databases",
        "privacy",
        "budgets",
        "logs",
        "traces",
        "dashboards",
    ],
};

/// Keys of the spec that an environment cannot change.
pub const FIXED: [&str; 4] = ["apiVersion", "kind", "include", "environments"];
/// Keys that only an environment may have, none of them implemented.
pub const ENVIRONMENT_RESERVED: [&str; 4] = ["context", "paging", "protected", "externalLabels"];

static KUBERNETES: Object = Object {
    name: "kubernetes",
    doc: "What holds with `runsOn: kubernetes`.",
    fields: &[
        Field::new(
            "namespace",
            Kind::Text(Format::Name),
            "kai-observe",
            "Namespace of Prometheus and Alertmanager. The agent has one of its own, \
             `<namespace>-agent`, because only it may see folders of the node.",
        )
        .default("kai-observe"),
        Field::new(
            "images",
            Kind::Object(&IMAGES),
            "{ agent: \"registry.example.org/kai-agent:0.1.0\" }",
            "Container images.",
        ),
        Field::new(
            "imagePullSecrets",
            Kind::List {
                item: &Kind::Text(Format::Name),
                unique: true,
                min: 0,
            },
            "[registry]",
            "Secrets of both namespaces that open the registry.",
        )
        .default("[]"),
        Field::new(
            "storageClass",
            Kind::Text(Format::Name),
            "fast",
            "Class of the volumes; without it the cluster's default.",
        ),
    ],
    reserved: &[
        "context",
        "labels",
        "annotations",
        "nodeSelector",
        "tolerations",
        "ingress",
    ],
};

static IMAGES: Object = Object {
    name: "images",
    doc: "Container images, each with a version or a digest.",
    fields: &[
        Field::new(
            "agent",
            Kind::Text(Format::Image),
            "registry.example.org/kai-agent:0.1.0",
            "Built by `deploy/Containerfile`; none is published, so `runsOn: kubernetes` needs it.",
        ),
        Field::new(
            "prometheus",
            Kind::Text(Format::Image),
            "registry.example.org/prometheus:v3.5.0",
            "Without it Prometheus' own, at `systems.prometheus.version`.",
        ),
        Field::new(
            "alertmanager",
            Kind::Text(Format::Image),
            "registry.example.org/alertmanager:v0.28.1",
            "Without it Alertmanager's own, at `systems.alertmanager.version`.",
        ),
    ],
    reserved: &[],
};

static RESOURCES: Object = Object {
    name: "resources",
    doc: "What a container of a cluster asks for; what is left out has the default of its system.",
    fields: &[
        Field::new(
            "cpu",
            Kind::Text(Format::Cpu),
            "250m",
            "Share of a processor that it is sure of; it may use more when there is more.",
        ),
        Field::new(
            "memory",
            Kind::Text(Format::Bytes),
            "160Mi",
            "Memory that it is sure of, and its limit.",
        ),
    ],
    reserved: &["limits", "requests"],
};

const REPLICAS: Kind = Kind::Integer { min: 1, max: 9 };

static METADATA: Object = Object {
    name: "metadata",
    doc: "Name and identity.",
    fields: &[
        Field::new(
            "name",
            Kind::Text(Format::Name),
            "kai-ticketing",
            "Name of the stack.",
        )
        .required(),
        Field::new(
            "id",
            Kind::Text(Format::Id),
            "k7x2m9qd4e",
            "Identity of the stack, written once by `kai-observe init`: what belongs to the stack \
             is found by it, so a renamed stack stays itself. Without it the id follows from the \
             name, with a warning.",
        ),
        Field::new(
            "labels",
            Kind::Map {
                key: Format::LabelKey,
                value: &Kind::Text(Format::Any),
            },
            "{ cost-center: \"4410\" }",
            "Free notes about the stack.",
        ),
    ],
    reserved: &["annotations"],
};

static PORTS: Object = Object {
    name: "ports",
    doc: "Ports of local processes.",
    fields: &[Field::new(
        "base",
        Kind::Integer {
            min: 1024,
            max: 65_506,
        },
        "7070",
        "The stack uses the thirty ports from this one on: base+1 inbox page, +2 inbox SMTP, +3 \
         Prometheus, +4 Alertmanager, +5 agent, +6 OTLP/gRPC and +7 OTLP/HTTP of the agent, +8 \
         and +9 Elasticsearch, +10 Jaeger (+11 to +15 its other listeners), +16 Grafana, +17 \
         Kibana. Two stacks on one machine need two bases.",
    )
    .default("7070")],
    reserved: &[],
};

static DEFAULTS: Object = Object {
    name: "defaults",
    doc: "What holds where nothing else is said.",
    fields: &[
        Field::new(
            "scrapeInterval",
            DURATION,
            "15s",
            "Time between two reads of a metrics page.",
        )
        .default("5s"),
        Field::new(
            "evaluationInterval",
            DURATION,
            "15s",
            "Time between two evaluations of a rule group that does not say its own.",
        )
        .default("5s"),
    ],
    reserved: &["timeZone", "tls"],
};

static SYSTEMS: Object = Object {
    name: "systems",
    doc: "The systems that observe.",
    fields: &[
        Field::new(
            "prometheus",
            Kind::Object(&PROMETHEUS),
            "{ mode: managed, retention: 15d }",
            "Reads metrics pages, keeps the series, evaluates the rules.",
        ),
        Field::new(
            "alertmanager",
            Kind::Object(&ALERTMANAGER),
            "{ mode: managed }",
            "Groups alerts and brings them to their receivers.",
        ),
        Field::new(
            "elasticsearch",
            Kind::Object(&ELASTICSEARCH),
            "{ mode: external, url: \"https://es.example.org:9200\", auth: { apiKey: { env: ES_KEY } } }",
            "Stores and searches logs. OpenSearch answers to the same key.",
        ),
        Field::new(
            "jaeger",
            Kind::Object(&JAEGER),
            "{ mode: managed }",
            "Stores and shows traces.",
        ),
        Field::new(
            "grafana",
            Kind::Object(&GRAFANA),
            "{ mode: external, url: \"https://grafana.example.org\", auth: { token: { env: GRAFANA_TOKEN } } }",
            "Shows dashboards.",
        ),
        Field::new(
            "kibana",
            Kind::Object(&KIBANA),
            "{ mode: external, url: \"https://kibana.example.org\", space: kai }",
            "Shows logs.",
        ),
        Field::new(
            "inbox",
            Kind::Object(&INBOX),
            "{ mode: managed }",
            "Stands in for PagerDuty, Slack and the mail server where no real key is given.",
        ),
    ],
    reserved: &["kubeState", "opensearch", "blackbox", "nodeExporter"],
};

const SYSTEM_RESERVED: &[&str] = &["runsOn", "via", "url", "auth", "tls", "job", "owns"];

static PROMETHEUS: Object = Object {
    name: "prometheus",
    doc: "Prometheus.",
    fields: &[
        Field::new(
            "mode",
            MODE,
            "managed",
            "`managed`: this stack runs it. `off`: there is none.",
        )
        .default("managed"),
        Field::new(
            "version",
            Kind::Text(Format::Version),
            "\"3.5.0\"",
            "Release to run; without it this build chooses.",
        ),
        Field::new(
            "required",
            Kind::Bool,
            "true",
            "When its program cannot be had here: an error (`true`), or rendered and reported as \
             not installed (`false`).",
        )
        .default("false"),
        Field::new("retention", DURATION, "30d", "How long series are kept.").default("15d"),
        Field::new(
            "replicas",
            REPLICAS,
            "2",
            "In a cluster: how many read and evaluate the same; each alert is told once.",
        )
        .default("1"),
        Field::new(
            "storage",
            Kind::Text(Format::Bytes),
            "200Gi",
            "In a cluster: size of the volume of each. The oldest series go before it is full.",
        )
        .default("20Gi"),
        Field::new(
            "resources",
            Kind::Object(&RESOURCES),
            "{ cpu: 250m, memory: 2Gi }",
            "In a cluster: what each asks for; 250m and 2Gi where nothing is said.",
        ),
    ],
    reserved: SYSTEM_RESERVED,
};

static ALERTMANAGER: Object = Object {
    name: "alertmanager",
    doc: "Alertmanager.",
    fields: &[
        Field::new(
            "mode",
            MODE,
            "managed",
            "`managed`: this stack runs it. `off`: there is none.",
        )
        .default("managed"),
        Field::new(
            "version",
            Kind::Text(Format::Version),
            "\"0.28.1\"",
            "Release to run; without it this build chooses.",
        ),
        Field::new("required", Kind::Bool, "true", "As for Prometheus.").default("false"),
        Field::new(
            "replicas",
            REPLICAS,
            "3",
            "In a cluster: how many share silences and what was told already.",
        )
        .default("1"),
        Field::new(
            "storage",
            Kind::Text(Format::Bytes),
            "1Gi",
            "In a cluster: size of the volume of each.",
        )
        .default("1Gi"),
        Field::new(
            "resources",
            Kind::Object(&RESOURCES),
            "{ cpu: 50m, memory: 128Mi }",
            "In a cluster: what each asks for; 50m and 128Mi where nothing is said.",
        ),
    ],
    reserved: SYSTEM_RESERVED,
};

const PLACED: Kind = Kind::Enum {
    values: &["managed", "external", "off"],
    reserved: &[],
};
const PLACED_DOC: &str = "`managed`: this stack runs it. `external`: it is at `url` and is never \
                          started or stopped. `off`: there is none.";
const VERSION_FIELD: Field = Field::new(
    "version",
    Kind::Text(Format::Version),
    "\"9.5.3\"",
    "Release to run; without it this build chooses.",
);
const REQUIRED_FIELD: Field =
    Field::new("required", Kind::Bool, "true", "As for Prometheus.").default("false");
const URL_FIELD: Field = Field::new(
    "url",
    Kind::Text(Format::Http),
    "https://es.example.org:9200",
    "Where an external one is.",
);
const AUTH_FIELD: Field = Field::new(
    "auth",
    Kind::Object(&AUTH),
    "{ apiKey: { env: ES_KEY } }",
    "How an external one is told who asks; one of the ways below.",
);
const PLACED_RESERVED: &[&str] = &[
    "runsOn",
    "via",
    "replicas",
    "storage",
    "tls",
    "resources",
    "job",
];

static AUTH: Object = Object {
    name: "auth",
    doc: "Who asks. One of `apiKey`, `token`, or `username` with `password`.",
    fields: &[
        Field::new(
            "apiKey",
            Kind::Secret,
            "{ env: ES_KEY }",
            "API key of Elasticsearch or Kibana, in its encoded form.",
        ),
        Field::new(
            "token",
            Kind::Secret,
            "{ env: GRAFANA_TOKEN }",
            "Bearer token, for example of a service account of Grafana.",
        ),
        Field::new(
            "username",
            TEXT,
            "kai",
            "User name for basic authentication.",
        ),
        Field::new(
            "password",
            Kind::Secret,
            "{ file: /etc/kai/es-password }",
            "Its password.",
        ),
    ],
    reserved: &[],
};

static ELASTICSEARCH: Object = Object {
    name: "elasticsearch",
    doc: "Elasticsearch or OpenSearch.",
    fields: &[
        Field::new("mode", PLACED, "external", PLACED_DOC).default("managed"),
        VERSION_FIELD,
        REQUIRED_FIELD,
        URL_FIELD,
        AUTH_FIELD,
        Field::new(
            "distribution",
            Kind::Enum {
                values: &["elasticsearch", "opensearch"],
                reserved: &[],
            },
            "opensearch",
            "What a managed node is; an external cluster is asked.",
        )
        .default("elasticsearch"),
        Field::new(
            "owns",
            Kind::List {
                item: &TEXT,
                unique: true,
                min: 1,
            },
            "[\"logs-kai.*-*\"]",
            "Patterns of data streams and indices that may be touched; anything else is not.",
        )
        .default("[\"logs-kai.*-*\", \"events-kai.*-*\"]"),
        Field::new(
            "retention",
            DURATION,
            "30d",
            "How long log documents are kept.",
        )
        .default("30d"),
        Field::new(
            "heapMib",
            Kind::Integer {
                min: 256,
                max: 31_744,
            },
            "512",
            "Heap of a managed node.",
        )
        .default("512"),
    ],
    reserved: PLACED_RESERVED,
};

static JAEGER: Object = Object {
    name: "jaeger",
    doc: "Jaeger 2.",
    fields: &[
        Field::new("mode", PLACED, "managed", PLACED_DOC).default("managed"),
        VERSION_FIELD,
        REQUIRED_FIELD,
        URL_FIELD,
        AUTH_FIELD,
        Field::new(
            "otlp",
            Kind::Text(Format::Http),
            "http://jaeger.example.org:4317",
            "Where an external one takes spans, OTLP over plain gRPC; without it none are taken.",
        ),
        Field::new(
            "maxTraces",
            Kind::Integer {
                min: 100,
                max: 10_000_000,
            },
            "100000",
            "Traces that a managed one keeps, in memory; the oldest go first.",
        )
        .default("100000"),
    ],
    reserved: PLACED_RESERVED,
};

static GRAFANA: Object = Object {
    name: "grafana",
    doc: "Grafana.",
    fields: &[
        Field::new("mode", PLACED, "managed", PLACED_DOC).default("managed"),
        VERSION_FIELD,
        REQUIRED_FIELD,
        URL_FIELD,
        AUTH_FIELD,
    ],
    reserved: PLACED_RESERVED,
};

static KIBANA: Object = Object {
    name: "kibana",
    doc: "Kibana.",
    fields: &[
        Field::new("mode", PLACED, "managed", PLACED_DOC).default("managed"),
        VERSION_FIELD,
        REQUIRED_FIELD,
        URL_FIELD,
        AUTH_FIELD,
        Field::new(
            "space",
            Kind::Text(Format::Name),
            "kai",
            "Space that the objects are put in; the default space without it.",
        ),
    ],
    reserved: PLACED_RESERVED,
};

static INBOX: Object = Object {
    name: "inbox",
    doc: "The stand-in for the vendors.",
    fields: &[Field::new(
        "mode",
        Kind::Enum {
            values: &["managed", "off"],
            reserved: &[],
        },
        "managed",
        "`off`: every channel that is routed to needs its real endpoint. A cluster has no inbox.",
    )
    .default("managed")],
    reserved: &[],
};

static COMPONENTS: Object = Object {
    name: "components",
    doc: "How the programs of the systems get here.",
    fields: &[
        Field::new(
            "allow",
            Kind::List {
                item: &Kind::Enum {
                    values: &[
                        "workspace",
                        "path",
                        "cache",
                        "archive",
                        "debian",
                        "go",
                        "maven",
                    ],
                    reserved: &["mirror"],
                },
                unique: true,
                min: 1,
            },
            "[cache, archive]",
            "Sources that may be used; their order stays the one below.",
        )
        .default("[workspace, path, cache, archive, debian, go, maven]"),
        Field::new(
            "mirrors",
            Kind::Object(&MIRRORS),
            "{ archive: \"https://mirror.example.org/archives\" }",
            "What stands in for a source's own address.",
        ),
        Field::new(
            "locked",
            Kind::Bool,
            "true",
            "Use only what `observe.lock` pins already.",
        )
        .default("false"),
    ],
    reserved: &["policy", "pins"],
};

const MIRROR: Kind = Kind::Text(Format::Mirror);

static MIRRORS: Object = Object {
    name: "mirrors",
    doc: "One per source: a base address, or a folder.",
    fields: &[
        Field::new(
            "archive",
            MIRROR,
            "/srv/mirror/archives",
            "For official archives.",
        ),
        Field::new(
            "debian",
            MIRROR,
            "https://mirror.example.org/debian",
            "For Debian packages.",
        ),
        Field::new(
            "go",
            MIRROR,
            "https://goproxy.example.org",
            "For Go modules.",
        ),
        Field::new(
            "maven",
            MIRROR,
            "https://mirror.example.org/maven",
            "For Maven artifacts.",
        ),
    ],
    reserved: &[],
};

static AGENT: Object = Object {
    name: "agent",
    doc: "The agent on the node.",
    fields: &[
        Field::new(
            "collectors",
            Kind::Object(&COLLECTORS),
            "{ disable: [netdev] }",
            "Which collectors run.",
        ),
        Field::new(
            "resources",
            Kind::Object(&RESOURCES),
            "{ cpu: 250m, memory: 160Mi }",
            "In a cluster: what each node's agent asks for; 50m and 128Mi where nothing is said.",
        ),
    ],
    reserved: &["lanes", "inventory", "runsOn"],
};

static COLLECTORS: Object = Object {
    name: "collectors",
    doc: "Collectors of the agent.",
    fields: &[Field::new(
        "disable",
        Kind::List {
            item: &Kind::Enum {
                values: &[
                    "arp",
                    "bcache",
                    "bcachefs",
                    "bonding",
                    "btrfs",
                    "conntrack",
                    "cpu",
                    "cpufreq",
                    "diskstats",
                    "dmi",
                    "edac",
                    "entropy",
                    "fibrechannel",
                    "filefd",
                    "filesystem",
                    "hwmon",
                    "infiniband",
                    "ipvs",
                    "kernel_hung",
                    "loadavg",
                    "mdadm",
                    "meminfo",
                    "netclass",
                    "netdev",
                    "netstat",
                    "nfs",
                    "nfsd",
                    "nvme",
                    "os",
                    "powersupplyclass",
                    "pressure",
                    "rapl",
                    "schedstat",
                    "selinux",
                    "sockstat",
                    "softnet",
                    "stat",
                    "tapestats",
                    "textfile",
                    "thermal_zone",
                    "time",
                    "timex",
                    "udp_queues",
                    "uname",
                    "vmstat",
                    "watchdog",
                    "xfs",
                    "zfs",
                ],
                reserved: &[],
            },
            unique: true,
            min: 0,
        },
        "[netdev, vmstat]",
        "Collectors that do not run; all others do.",
    )
    .default("[]")],
    reserved: &["enable", "settings"],
};

static SERVICE: Object = Object {
    name: "service",
    doc: "A service that is observed.",
    fields: &[
        Field::new(
            "team",
            Kind::Text(Format::Name),
            "booking",
            "Team that it belongs to.",
        )
        .required(),
        Field::new(
            "metrics",
            Kind::Text(Format::Http),
            "http://127.0.0.1:8080/metrics",
            "Its metrics page.",
        ),
        Field::new(
            "health",
            Kind::Text(Format::Http),
            "http://127.0.0.1:8080/healthz",
            "Its health page.",
        ),
        Field::new(
            "scrapeInterval",
            DURATION,
            "15s",
            "Time between two reads of its metrics page; without it `defaults.scrapeInterval`.",
        ),
        Field::new(
            "run",
            Kind::Object(&RUN),
            "{ component: ticketing }",
            "The stack starts this service itself (examples and laptops).",
        ),
        Field::new(
            "logs",
            Kind::Object(&LOGS),
            "{ paths: [var/log/booking/*.log], format: json }",
            "Its log files; they go to Elasticsearch, data stream `logs-kai.<service>-<environment>`.",
        ),
        Field::new(
            "gate",
            Kind::Object(&GATE),
            "{ window: 10m, minRequests: 500, maxErrorRatio: 0.005 }",
            "What `kai-agent gate` judges a release by. Its health page, its requests, its log and \
             open critical alerts are asked, as far as the stack has them.",
        ),
    ],
    reserved: &[
        "tier",
        "objectives",
        "runsOn",
        "namespace",
        "selector",
        "ports",
        "hosts",
        "slo",
        "labels",
        "traces",
    ],
};

static RUN: Object = Object {
    name: "run",
    doc: "A service that the stack starts.",
    fields: &[
        Field::new(
            "component",
            TEXT,
            "ticketing",
            "Name in the component catalogue.",
        )
        .required(),
        Field::new(
            "args",
            Kind::List {
                item: &Kind::Text(Format::Any),
                unique: false,
                min: 0,
            },
            "[--listen, \"127.0.0.1:8080\"]",
            "Arguments, one by one; no shell reads them.",
        )
        .default("[]"),
        Field::new(
            "env",
            Kind::Map {
                key: Format::EnvName,
                value: &Kind::Text(Format::Unseen),
            },
            "{ LOG_LEVEL: info }",
            "Environment variables. Not the place for secrets.",
        ),
    ],
    reserved: &["workingDirectory", "user", "restart"],
};

static GATE: Object = Object {
    name: "gate",
    doc: "Evidence and limits of the deploy gate. In queries `$window` stands for the window and \
          `$service` for the service's name.",
    fields: &[
        Field::new(
            "window",
            DURATION,
            "10m",
            "How far back errors are counted, 10s to 1d; without it 1m, or four scrapes where that \
             is longer.",
        ),
        Field::new(
            "minRequests",
            Kind::Integer {
                min: 1,
                max: 1_000_000_000,
            },
            "500",
            "Fewer requests within the window decide nothing.",
        )
        .default("20"),
        Field::new(
            "maxErrorRatio",
            Kind::Number {
                min: 0.0,
                max: 0.99,
            },
            "0.005",
            "Failed of all requests at most.",
        )
        .default("0.01"),
        Field::new(
            "errors",
            TEXT,
            "'sum(increase(grpc_server_handled_total{service=\"$service\",grpc_code!=\"OK\"}[$window]))'",
            "PromQL for the number of failed requests, one series. Without it, \
             `http_requests_total` with `code` 5xx, health pages and scrapes left out.",
        ),
        Field::new(
            "total",
            TEXT,
            "'sum(increase(grpc_server_handled_total{service=\"$service\"}[$window]))'",
            "PromQL for the number of all requests, one series; the selector before `[$window]` \
             must be fresh. Given together with `errors`.",
        ),
        Field::new(
            "maxErrorLogsPerMinute",
            Kind::Number { min: 0.0, max: 1e9 },
            "2.5",
            "Documents of level error per minute at most. Only for a service with `logs`.",
        )
        .default("10"),
    ],
    reserved: &["baseline", "checks", "latency"],
};

static LOGS: Object = Object {
    name: "logs",
    doc: "Log files of a service.",
    fields: &[
        Field::new(
            "paths",
            Kind::List {
                item: &Kind::Text(Format::Glob),
                unique: true,
                min: 1,
            },
            "[var/log/booking/*.log]",
            "Where its log files are. `${data}` is the folder that the stack gives a service which \
             it runs.",
        )
        .required(),
        Field::new(
            "format",
            Kind::Enum {
                values: &["auto", "json", "plain"],
                reserved: &["logfmt"],
            },
            "json",
            "What a line is. `auto`: a line that is a JSON object is taken as one.",
        )
        .default("auto"),
    ],
    reserved: &["level", "timeZone", "multiline"],
};

static TEAM: Object = Object {
    name: "team",
    doc: "Who is told. Where no real endpoint is given the inbox stands in.",
    fields: &[
        Field::new(
            "pagerduty",
            Kind::Secret,
            "{ env: PAGERDUTY_KEY }",
            "Integration key of PagerDuty Events v2.",
        ),
        Field::new(
            "slack",
            Kind::Secret,
            "{ env: SLACK_URL }",
            "Address of an incoming webhook of Slack.",
        ),
        Field::new(
            "email",
            Kind::Text(Format::Email),
            "ops@example.org",
            "Where e-mail goes.",
        ),
    ],
    reserved: &["ssoGroup", "grafanaRole", "webhook", "schedule"],
};

static SMTP: Object = Object {
    name: "smtp",
    doc: "Mail server.",
    fields: &[
        Field::new(
            "host",
            Kind::Text(Format::Host),
            "mail.example.org",
            "Its name.",
        )
        .required(),
        Field::new(
            "port",
            Kind::Integer {
                min: 1,
                max: 65_535,
            },
            "587",
            "Its port; 465 means TLS from the first byte, any other STARTTLS.",
        )
        .default("587"),
        Field::new(
            "from",
            Kind::Text(Format::Email),
            "kai@example.org",
            "Sender.",
        )
        .required(),
        Field::new("username", TEXT, "kai", "Who logs in."),
        Field::new(
            "password",
            Kind::Secret,
            "{ env: SMTP_PASSWORD }",
            "With what.",
        ),
    ],
    reserved: &["tls", "hello", "auth"],
};

static ROUTING: Object = Object {
    name: "routing",
    doc: "Which alert goes where.",
    fields: &[
        Field::new(
            "severity",
            Kind::Object(&SEVERITY),
            "{ critical: [pagerduty, slack] }",
            "Channels per label `severity`.",
        ),
        Field::new(
            "groupBy",
            Kind::List {
                item: &Kind::Text(Format::GroupBy),
                unique: true,
                min: 1,
            },
            "[alertname, service]",
            "Alerts that agree in these labels arrive as one notice.",
        )
        .default("[alertname, service, environment]"),
        Field::new(
            "groupWait",
            DURATION_OR_ZERO,
            "30s",
            "How long the first notice of a group waits for more.",
        )
        .default("1s"),
        Field::new(
            "groupInterval",
            DURATION,
            "5m",
            "Time between two notices of a group that changed.",
        )
        .default("5s"),
        Field::new(
            "repeatInterval",
            DURATION,
            "4h",
            "Time after which an unchanged group is told again; a multiple of `groupInterval`.",
        )
        .default("4h"),
        Field::new(
            "fallback",
            Kind::Object(&FALLBACK),
            "{ team: platform }",
            "Who gets an alert without a known team. Without it the team `platform`, else the only \
             team.",
        ),
        Field::new(
            "deadMansSwitch",
            Kind::Object(&DEAD_MANS_SWITCH),
            "{ heartbeat: { env: HEARTBEAT_URL } }",
            "Who hears, outside this stack, that it is alive.",
        ),
        Field::new(
            "drill",
            Kind::Object(&DRILL),
            "{ pagerduty: { env: DRILL_PAGERDUTY_KEY } }",
            "Where drills go, so that none pages a team.",
        ),
    ],
    reserved: &["inhibit", "timeIntervals", "muteTimeIntervals"],
};

static SEVERITY: Object = Object {
    name: "severity",
    doc: "Channels per severity.",
    fields: &[
        Field::new(
            "critical",
            CHANNELS,
            "[pagerduty, slack]",
            "Wakes somebody up.",
        )
        .default("[pagerduty]"),
        Field::new(
            "warning",
            CHANNELS,
            "[slack]",
            "To be looked at within the day.",
        )
        .default("[slack]"),
        Field::new("info", CHANNELS, "[email]", "For the record.").default("[email]"),
    ],
    reserved: &[],
};

static FALLBACK: Object = Object {
    name: "fallback",
    doc: "Who gets an alert without a known team.",
    fields: &[Field::new(
        "team",
        Kind::Text(Format::Name),
        "platform",
        "A key of `teams`.",
    )
    .required()],
    reserved: &[],
};

static DEAD_MANS_SWITCH: Object = Object {
    name: "deadMansSwitch",
    doc: "Who hears that the stack is alive.",
    fields: &[Field::new(
        "heartbeat",
        Kind::Secret,
        "{ env: HEARTBEAT_URL }",
        "Address that must hear the Watchdog all the time. Without it the inbox listens.",
    )],
    reserved: &[],
};

static DRILL: Object = Object {
    name: "drill",
    doc: "Where drills go.",
    fields: &[Field::new(
        "pagerduty",
        Kind::Secret,
        "{ env: DRILL_PAGERDUTY_KEY }",
        "Integration key of a PagerDuty service for drills. Without it the inbox.",
    )],
    reserved: &["slack"],
};

static ALERTS: Object = Object {
    name: "alerts",
    doc: "What raises an alert.",
    fields: &[
        Field::new(
            "rules",
            Kind::List {
                item: &Kind::Text(Format::Glob),
                unique: true,
                min: 0,
            },
            "[alert-rules/*.yaml]",
            "Native Prometheus rule files.",
        )
        .default("[]"),
        Field::new(
            "overrides",
            Kind::Map {
                key: Format::OneLine,
                value: &Kind::Object(&OVERRIDE),
            },
            "{ HostDiskFull: { for: 10m } }",
            "Changes to alerts of those files, by alert name.",
        ),
    ],
    reserved: &["burnRates", "tests"],
};

static OVERRIDE: Object = Object {
    name: "override",
    doc: "A change to every alert of one name.",
    fields: &[
        Field::new(
            "for",
            DURATION_OR_ZERO,
            "10m",
            "How long the condition must hold.",
        ),
        Field::new("labels", LABELS, "{ severity: warning }", "Labels to set."),
        Field::new("disabled", Kind::Bool, "true", "Leave the alert out.").default("false"),
    ],
    reserved: &["threshold", "calendars", "prod", "staging", "dev"],
};
