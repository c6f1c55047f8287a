//! The table of the spec, `observe.kai/v1`, as far as this build implements it. Keys stand in the
//! order of the reference document.

mod agent;
mod alerts;
pub(in crate::spec) mod collectors;
mod components;
mod databases;
mod discovery;
mod elasticsearch;
mod intake;
mod kubernetes;
mod logs;
mod metrics;
mod probes;
mod remote_write;
mod routing;
mod scrape;
mod security;
mod services;
mod systems;

use super::{Field, Kind, Object};
use crate::spec::format::Format;
use agent::AGENT;
use alerts::ALERTS;
use components::COMPONENTS;
use databases::DATABASE;
use kubernetes::KUBERNETES;
use logs::PRIVACY;
use metrics::METRIC;
use probes::PROBE;
use routing::{ROUTING, SMTP, TEAM};
use scrape::BUDGETS;
use services::SERVICE;
use systems::SYSTEMS;

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
            "metrics",
            Kind::Map {
                key: Format::LabelName,
                value: &Kind::Object(&METRIC),
            },
            "{ kai_bookings_total: { labels: { channel: 6 }, from: { metric: booking_created_total } } }",
            "The platform's own figures, by name.",
        ),
        Field::new(
            "budgets",
            Kind::Object(&BUDGETS),
            "{ perTeam: { series: 200000, logs: 40GB/d }, over: [warn, sample-info] }",
            "What each team may use.",
        ),
        Field::new(
            "databases",
            Kind::Map {
                key: Format::Name,
                value: &Kind::Object(&DATABASE),
            },
            "{ ticketing-pg: { engine: postgresql, dsn: { env: TICKETING_PG_DSN }, team: platform } }",
            "Database servers that the agent looks at, by name.",
        ),
        Field::new(
            "probes",
            Kind::Map {
                key: Format::Name,
                value: &Kind::Object(&PROBE),
            },
            "{ booking-page: { service: booking, http: { url: \"https://booking.kai.example/healthz\" } } }",
            "Questions that the agent asks endpoints, by name.",
        ),
        Field::new(
            "privacy",
            Kind::Object(&PRIVACY),
            "{ redact: [pan, nik, email, phone, token] }",
            "What must not leave a node in the clear.",
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
        "logs",
        "traces",
        "dashboards",
    ],
};

/// Keys of the spec that an environment cannot change.
pub const FIXED: [&str; 4] = ["apiVersion", "kind", "include", "environments"];
/// Keys that only an environment may have, none of them implemented.
pub const ENVIRONMENT_RESERVED: [&str; 4] = ["context", "paging", "protected", "externalLabels"];
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
