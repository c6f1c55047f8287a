//! `systems:`, the systems that observe, placed one by one.

use super::super::{Field, Kind, Object};
use super::kubernetes::{REPLICAS, RESOURCES};
use super::{DURATION, MODE, TEXT, elasticsearch};
use crate::spec::format::Format;

pub(super) static SYSTEMS: Object = Object {
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
            "kubeState",
            Kind::Object(&KUBE_STATE),
            "{ mode: external, job: kube-state-metrics }",
            "kube-state-metrics, which the Kube* alerts read, and with it kubelets and cAdvisor.",
        ),
        Field::new(
            "inbox",
            Kind::Object(&INBOX),
            "{ mode: managed }",
            "Stands in for PagerDuty, Slack and the mail server where no real key is given.",
        ),
    ],
    reserved: &["opensearch", "blackbox", "nodeExporter"],
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

pub(super) static AUTH: Object = Object {
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
        .default("[\"logs-kai.*-*\", \"events-kai.*-*\", \"jaeger-*\"]"),
        Field::new(
            "retention",
            DURATION,
            "30d",
            "How long log documents are kept; `privacy.retention` says it by kind.",
        )
        .default("30d"),
        Field::new(
            "lifecycle",
            Kind::Object(&elasticsearch::LIFECYCLE),
            "{ rollover: { age: 1d, size: 10Gi }, warm: { after: 2d } }",
            "What becomes of an index between its first document and its deletion. ILM, ISM or the \
             lifecycle of data streams carries it out, whichever the cluster has.",
        ),
        Field::new(
            "snapshots",
            Kind::Object(&elasticsearch::SNAPSHOTS),
            "{ repository: backups, at: \"01:30\", keep: 14 }",
            "Daily snapshots of this stack's data streams and indices.",
        ),
        Field::new(
            "agentAccess",
            Kind::Object(&elasticsearch::AGENT_ACCESS),
            "{ grant: [apiKey] }",
            "Rights for the agent alone, made with this system's `auth`; without it the agent uses \
             `auth` itself.",
        ),
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
            "Traces that a managed one keeps with `storage: memory`; the oldest go first.",
        )
        .default("100000"),
        Field::new(
            "storage",
            Kind::Enum {
                values: &["memory", "elasticsearch"],
                reserved: &["badger", "cassandra", "clickhouse"],
            },
            "elasticsearch",
            "Where spans are kept. `elasticsearch`: in the stack's own, in the indices `jaeger-*`, \
             for `privacy.retention.traces`.",
        )
        .default("memory"),
    ],
    reserved: &["runsOn", "via", "replicas", "tls", "resources", "job"],
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
    doc: "Kibana, or OpenSearch Dashboards.",
    fields: &[
        Field::new("mode", PLACED, "managed", PLACED_DOC).default("managed"),
        VERSION_FIELD,
        REQUIRED_FIELD,
        URL_FIELD,
        AUTH_FIELD,
        Field::new(
            "distribution",
            Kind::Enum {
                values: &["kibana", "opensearch"],
                reserved: &[],
            },
            "opensearch",
            "`opensearch`: OpenSearch Dashboards, at `url`; this build does not run it.",
        )
        .default("kibana"),
        Field::new(
            "space",
            Kind::Text(Format::Name),
            "kai",
            "Space that the objects are put in; the default space without it.",
        ),
    ],
    reserved: PLACED_RESERVED,
};

static KUBE_STATE: Object = Object {
    name: "kubeState",
    doc: "kube-state-metrics, with `runsOn: kubernetes`. Where there is one, Prometheus reads it, every \
          node's kubelet with its probes and cAdvisor; without one, rules on `kube_*` and `kubelet_*` \
          are left out.",
    fields: &[
        Field::new(
            "mode",
            PLACED,
            "external",
            "`managed`: this stack runs it. `external`: it is at `url`. `off`: there is none.",
        )
        .default("off"),
        Field::new(
            "job",
            Kind::Text(Format::Name),
            "kube-state-metrics",
            "Label `job` of its series.",
        )
        .default("kube-state-metrics"),
        Field::new(
            "url",
            Kind::Text(Format::Http),
            "http://kube-state-metrics.kube-system.svc:8080/metrics",
            "Metrics page of an external one; without it that of its own manifests.",
        ),
        Field::new(
            "version",
            Kind::Text(Format::Version),
            "\"2.17.0\"",
            "Release to run; without it this build chooses.",
        ),
        Field::new(
            "resources",
            Kind::Object(&RESOURCES),
            "{ cpu: 50m, memory: 256Mi }",
            "What a managed one asks for; 50m and 256Mi where nothing is said.",
        ),
    ],
    reserved: &["runsOn", "via", "replicas", "auth", "tls"],
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
