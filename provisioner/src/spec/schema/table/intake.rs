//! `agent.logs`, log events that come to the agent, and how it sends what it has.

use super::super::{Field, Kind, Object};
use super::{DURATION_OR_ZERO, TEXT};
use crate::spec::format::Format;

const KIND: Field = Field::new(
    "kind",
    Kind::Enum {
        values: &["app", "access", "audit"],
        reserved: &[],
    },
    "audit",
    "Decides how long they are kept: see `privacy.retention`.",
)
.default("app");

pub(super) static INTAKE: Object = Object {
    name: "logIntake",
    doc: "Log events besides the lines of `services.<name>.logs`, and how all of them are sent.",
    fields: &[
        Field::new(
            "journald",
            Kind::Object(&JOURNALD),
            "{ units: [ssh.service] }",
            "systemd's journal of the agent's machine, into `logs-kai.journal.<id>-<environment>`. \
             The agent's user must be allowed to read it.",
        ),
        Field::new(
            "syslog",
            Kind::Object(&SYSLOG),
            "{ udp: \"0.0.0.0:5514\", tcp: \"0.0.0.0:5514\" }",
            "Syslog messages from the network, into `logs-kai.syslog.<id>-<environment>`. At least \
             one of `udp`, `tcp` and `tls`.",
        ),
        Field::new(
            "pods",
            Kind::Object(&PODS),
            "{ namespaces: [kai] }",
            "In a cluster: lines of the pods of each node, into `logs-kai.pods.<id>-<environment>`.",
        ),
        Field::new(
            "otlp",
            Kind::Bool,
            "true",
            "Take OTLP log records, at the addresses that take spans. Those of the spec's services go \
             where their files' lines go, all others into `logs-kai.otlp.<id>-<environment>`.",
        )
        .default("false"),
        Field::new(
            "spool",
            Kind::Object(&SPOOL),
            "{ size: 512Mi }",
            "Keeps on disk what came over the network, until it is acknowledged; in memory without it.",
        ),
        Field::new(
            "compress",
            Kind::Enum {
                values: &["none", "gzip", "zstd", "auto"],
                reserved: &[],
            },
            "auto",
            "How what is sent to Elasticsearch is packed: less network, more processor. `auto`: the \
             best that the cluster unpacks. `none` when absent.",
        ),
    ],
    reserved: &["memory", "deadLetters"],
};

static JOURNALD: Object = Object {
    name: "journald",
    doc: "systemd's journal.",
    fields: &[
        Field::new(
            "units",
            Kind::List {
                item: &TEXT,
                unique: true,
                min: 1,
            },
            "[ssh.service, booking.service]",
            "Of these units only.",
        ),
        Field::new(
            "matches",
            Kind::List {
                item: &TEXT,
                unique: true,
                min: 1,
            },
            "[_TRANSPORT=kernel]",
            "`FIELD=value`; several of one field mean any of them, of several fields all.",
        ),
        Field::new(
            "directory",
            TEXT,
            "/var/log/journal",
            "Folder with journal files; the machine's own journal when absent.",
        ),
        KIND,
    ],
    reserved: &[],
};

static PODS: Object = Object {
    name: "podLogs",
    doc: "Lines of pods, with what the cluster knows of each pod.",
    fields: &[
        Field::new(
            "namespaces",
            Kind::List {
                item: &Kind::Text(Format::Name),
                unique: true,
                min: 1,
            },
            "[kai]",
            "Of pods in these namespaces; of all when absent. Decides what the agent may read of the \
             API, and is the same as `agent.discovery.pods.namespaces` where both are there.",
        ),
        Field::new(
            "labels",
            Kind::List {
                item: &TEXT,
                unique: true,
                min: 0,
            },
            "[app.kubernetes.io/name]",
            "Labels of pods that lines get; when absent the names, instances, versions, components and \
             parts that Kubernetes recommends.",
        ),
        Field::new(
            "wait",
            DURATION_OR_ZERO,
            "10s",
            "How long a file waits for its pod to be known; at most 10m. Its lines go on without, marked.",
        )
        .default("10s"),
        KIND,
    ],
    reserved: &[],
};

static SYSLOG: Object = Object {
    name: "syslog",
    doc: "Syslog messages from the network, RFC 5424 and RFC 3164.",
    fields: &[
        Field::new(
            "udp",
            Kind::Text(Format::Listen),
            "0.0.0.0:5514",
            "Where datagrams are taken.",
        ),
        Field::new(
            "tcp",
            Kind::Text(Format::Listen),
            "0.0.0.0:5514",
            "Where connections are taken; octet counting and lines (RFC 6587).",
        ),
        Field::new(
            "tls",
            Kind::Object(&TLS),
            "{ address: \"0.0.0.0:6514\", cert: tls/syslog.pem, key: { file: tls/syslog.key } }",
            "Where TLS connections are taken (RFC 5425).",
        ),
        Field::new(
            "timeZone",
            Kind::Text(Format::TimeZone),
            "Asia/Jakarta",
            "Zone of times that name none; UTC when absent.",
        ),
        KIND,
        Field::new(
            "connections",
            Kind::Integer {
                min: 1,
                max: 10_000,
            },
            "1000",
            "Connections of each listener at most; what comes on top is closed, counted.",
        )
        .default("256"),
        Field::new(
            "idle",
            DURATION_OR_ZERO,
            "10m",
            "A connection that brings nothing for so long is closed; 0s: never. A sender may lose \
             the message that it writes just then.",
        )
        .default("0s"),
    ],
    reserved: &["rules"],
};

static TLS: Object = Object {
    name: "syslogTls",
    doc: "A TLS listener.",
    fields: &[
        Field::new(
            "address",
            Kind::Text(Format::Listen),
            "0.0.0.0:6514",
            "Where connections are taken.",
        )
        .required(),
        Field::new(
            "cert",
            TEXT,
            "tls/syslog.pem",
            "PEM file: the certificate, and what leads to its authority. Read again when it changes.",
        )
        .required(),
        Field::new(
            "key",
            Kind::Secret,
            "{ file: tls/syslog.key }",
            "Its private key, PEM. With a new key: `kai-observe provision`.",
        )
        .required(),
        Field::new(
            "clientCa",
            TEXT,
            "tls/senders-ca.pem",
            "PEM file of the authorities that sign the senders' certificates; without it any sender \
             is served.",
        ),
    ],
    reserved: &[],
};

static SPOOL: Object = Object {
    name: "spool",
    doc: "Room on disk for events that cannot be read again.",
    fields: &[Field::new(
        "size",
        Kind::Text(Format::Bytes),
        "2Gi",
        "At most so much, shared evenly by syslog and OTLP.",
    )
    .default("512Mi")],
    reserved: &[],
};
