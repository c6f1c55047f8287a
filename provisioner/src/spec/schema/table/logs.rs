//! `services.<name>.logs` and `privacy:`, which lines there are and what must not be in them.

use super::super::{Field, Kind, Object};
use super::{DURATION, TEXT};
use crate::spec::format::Format;

pub(super) static LOGS: Object = Object {
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
                values: &[
                    "auto", "json", "plain", "logfmt", "access", "syslog", "auth", "pattern",
                ],
                reserved: &[],
            },
            "json",
            "What a line is. `auto`: a line that is a JSON object is taken as one, any other is \
             plain. `access`: the common or combined format of HTTP servers. `syslog`: RFC 5424 or \
             3164. `auth`: the authentication log, by who did what from where. `pattern`: by `pattern`. What is not of the format is taken as plain, counted.",
        )
        .default("auto"),
        Field::new(
            "pattern",
            Kind::Text(Format::Expression),
            "'^(?<log.level>[A-Z]+) (?<route>\\S+)'",
            "With `format: pattern`: a regular expression whose named groups become fields.",
        ),
        Field::new(
            "container",
            Kind::Enum {
                values: &["cri", "docker", "auto"],
                reserved: &[],
            },
            "auto",
            "What a container runtime wraps around each line; parts of a long line are joined again. \
             `auto`: each line tells by itself.",
        ),
        Field::new(
            "multiline",
            Kind::Object(&MULTILINE),
            "{ traces: java }",
            "Which lines are one event. Exactly one of `begins`, `continues` and `traces`.",
        ),
        Field::new(
            "timeZone",
            Kind::Text(Format::TimeZone),
            "Asia/Jakarta",
            "Zone of times that name none; UTC when absent.",
        ),
        Field::new(
            "kind",
            Kind::Enum {
                values: &["app", "access", "audit"],
                reserved: &[],
            },
            "access",
            "Decides how long the lines are kept: see `privacy.retention`.",
        )
        .default("app"),
        Field::new(
            "drop",
            Kind::List {
                item: &TEXT,
                unique: true,
                min: 0,
            },
            "['url.path == \"/healthz\"']",
            "Conditions on fields, as in `metrics.<name>.from.log.where`; a line that one fits is not \
             sent, and counted.",
        )
        .default("[]"),
        Field::new(
            "sample",
            Kind::Map {
                key: Format::OneLine,
                value: &Kind::Number { min: 0.0, max: 1.0 },
            },
            "{ debug: 0.1 }",
            "Level or condition → the share of such lines that is sent. Which lines are kept depends \
             on their place in their file alone; each says the share in `kai.sampled`.",
        )
        .default("{}"),
    ],
    reserved: &["level"],
};

static MULTILINE: Object = Object {
    name: "multiline",
    doc: "Which lines are one event.",
    fields: &[
        Field::new(
            "begins",
            Kind::Text(Format::Expression),
            "'^\\d{4}-\\d{2}-\\d{2}'",
            "An event begins with a line that matches.",
        ),
        Field::new(
            "continues",
            Kind::Text(Format::Expression),
            "'^\\s'",
            "A line that matches goes on with the event before it.",
        ),
        Field::new(
            "traces",
            Kind::Enum {
                values: &["java", "python", "go", "rust", "node"],
                reserved: &[],
            },
            "java",
            "Stack traces of this language belong to the line before them.",
        ),
        Field::new(
            "maxLines",
            Kind::Integer {
                min: 1,
                max: 100_000,
            },
            "1000",
            "Lines of one event; more go on as another one, marked in `log.flags`.",
        )
        .default("1000"),
        Field::new(
            "pause",
            DURATION,
            "1s",
            "How long a file is quiet before its last event is taken as whole; at most 1m.",
        )
        .default("1s"),
    ],
    reserved: &[],
};

pub(super) static PRIVACY: Object = Object {
    name: "privacy",
    doc: "What must not leave a node in the clear. Done before a line is sent, kept as a dead \
          letter, or counted.",
    fields: &[
        Field::new(
            "redact",
            Kind::List {
                item: &Kind::Enum {
                    values: &["pan", "nik", "email", "phone", "token"],
                    reserved: &[],
                },
                unique: true,
                min: 0,
            },
            "[pan, nik, email, phone, token]",
            "Kinds of text that are taken out wherever they stand: numbers of payment cards, \
             national identity numbers, e-mail addresses, telephone numbers, credentials.",
        ),
        Field::new(
            "pseudonymise",
            Kind::Object(&PSEUDONYMISE),
            "{ fields: [passenger.nik, passenger.name], key: { file: secrets/pii.key } }",
            "Fields whose values are replaced by keyed pseudonyms, by which support can still search.",
        ),
        Field::new(
            "retention",
            Kind::Object(&RETENTION),
            "{ app: 30d, access: 90d, audit: 365d, traces: 7d }",
            "How long what was recorded is kept. A shorter one waits for `--prune`.",
        ),
    ],
    reserved: &[],
};

static RETENTION: Object = Object {
    name: "retention",
    doc: "How long what was recorded is kept, by kind; `systems.elasticsearch.retention` where \
          nothing is said of a kind of lines.",
    fields: &[
        Field::new(
            "app",
            DURATION,
            "30d",
            "Lines of services with `logs.kind: app`.",
        ),
        Field::new("access", DURATION, "90d", "Those with `logs.kind: access`."),
        Field::new("audit", DURATION, "365d", "Those with `logs.kind: audit`."),
        Field::new(
            "traces",
            DURATION,
            "7d",
            "Spans, with `systems.jaeger.storage: elasticsearch`; seven days where nothing is said.",
        ),
    ],
    reserved: &["metrics", "events"],
};

static PSEUDONYMISE: Object = Object {
    name: "pseudonymise",
    doc: "Fields that become pseudonyms.",
    fields: &[
        Field::new(
            "fields",
            Kind::List {
                item: &TEXT,
                unique: true,
                min: 1,
            },
            "[passenger.nik, passenger.name]",
            "Dotted names; a line may have them nested or dotted.",
        )
        .required(),
        Field::new(
            "key",
            Kind::Secret,
            "{ file: secrets/pii.key }",
            "The key, 32 bytes or more (`openssl rand -base64 48`). The same key gives the same \
             pseudonyms; with another one, old lines are not found by it.",
        )
        .required(),
    ],
    reserved: &[],
};
