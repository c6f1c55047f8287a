//! The shape of a native Prometheus rule file: the same machinery as for the spec, with
//! Prometheus' own keys and leniency (any scalar is a text).
//! <https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/>

use super::{Field, Kind, Object};
use crate::spec::format::Format;

const LABELS: Kind = Kind::Map {
    key: Format::LabelName,
    value: &Kind::Scalar,
};
const DURATION: Kind = Kind::Duration { zero: true };

/// The whole file.
pub static RULE_FILE: Object = Object {
    name: "ruleFile",
    doc: "A Prometheus rule file.",
    fields: &[Field::new(
        "groups",
        Kind::List {
            item: &Kind::Object(&GROUP),
            unique: false,
            min: 0,
        },
        "[]",
        "Rule groups.",
    )
    .required()],
    reserved: &[],
};

static GROUP: Object = Object {
    name: "ruleGroup",
    doc: "Rules that are evaluated one after the other.",
    fields: &[
        Field::new("name", Kind::Scalar, "payment", "Unique in its file.").required(),
        Field::new("interval", DURATION, "30s", "Time between two evaluations."),
        Field::new(
            "query_offset",
            DURATION,
            "1m",
            "How far back the rules look.",
        ),
        Field::new(
            "limit",
            Kind::Integer {
                min: 0,
                max: i64::MAX,
            },
            "10",
            "Most alerts or series.",
        ),
        Field::new(
            "labels",
            LABELS,
            "{ team: payment }",
            "Labels for all rules of the group.",
        ),
        Field::new(
            "rules",
            Kind::List {
                item: &Kind::Object(&RULE),
                unique: false,
                min: 0,
            },
            "[]",
            "The rules.",
        ),
    ],
    reserved: &["partial_response_strategy"],
};

static RULE: Object = Object {
    name: "rule",
    doc: "An alert or a recording rule.",
    fields: &[
        Field::new("alert", Kind::Scalar, "HostDiskFull", "Name of the alert."),
        Field::new(
            "record",
            Kind::Scalar,
            "job:up:sum",
            "Name of the recorded series.",
        ),
        Field::new("expr", Kind::Scalar, "up == 0", "PromQL.").required(),
        Field::new("for", DURATION, "5m", "How long the condition must hold."),
        Field::new(
            "keep_firing_for",
            DURATION,
            "5m",
            "How long it fires on afterwards.",
        ),
        Field::new("labels", LABELS, "{ severity: critical }", "Labels to set."),
        Field::new(
            "annotations",
            Kind::Map {
                key: Format::LabelName,
                value: &Kind::Scalar,
            },
            "{ summary: it is down }",
            "Texts for people.",
        ),
    ],
    reserved: &[],
};
