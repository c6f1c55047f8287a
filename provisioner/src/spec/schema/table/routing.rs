//! `teams:`, `smtp:` and `routing:`, who is told and how.

use super::super::{Field, Kind, Object};
use super::{CHANNELS, DURATION, DURATION_OR_ZERO, TEXT};
use crate::spec::format::Format;

pub(super) static TEAM: Object = Object {
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

pub(super) static SMTP: Object = Object {
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

pub(super) static ROUTING: Object = Object {
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
