//! `services.<name>.scrape` and `budgets`: what happens to a metrics page on its way.

use super::super::{Field, Kind, Object};
use super::{DURATION, TEXT};
use crate::spec::format::Format;

/// A count, as `20000`.
pub(super) const SERIES: Kind = Kind::Integer {
    min: 1,
    max: 1_048_576,
};

pub(super) static SCRAPE: Object = Object {
    name: "scrape",
    doc: "How the service's metrics page is read, and how much of it is handed on.",
    fields: &[
        Field::new(
            "timeout",
            DURATION,
            "4s",
            "How long the whole page may take; a little less than Prometheus' own patience when absent.",
        ),
        Field::new(
            "series",
            SERIES,
            "20000",
            "Series that are handed on at most; what is beyond is cut, counted. 100000 when absent.",
        ),
        Field::new(
            "labels",
            Kind::Map {
                key: Format::LabelName,
                value: &SERIES,
            },
            "{ path: 100 }",
            "Most values that are kept of a label.",
        ),
        Field::new(
            "relabel",
            Kind::List {
                item: &Kind::Object(&RELABEL),
                unique: false,
                min: 1,
            },
            "[{ source_labels: [__name__], regex: \"go_.*\", action: drop }]",
            "Rules as in Prometheus' `metric_relabel_configs`, applied in order, before budgets.",
        ),
    ],
    reserved: &[],
};

pub(super) static RELABEL: Object = Object {
    name: "relabel",
    doc: "One rule, in Prometheus' own words.",
    fields: &[
        Field::new(
            "source_labels",
            Kind::List {
                item: &TEXT,
                unique: false,
                min: 1,
            },
            "[__name__]",
            "Labels whose values are matched.",
        ),
        Field::new(
            "separator",
            TEXT,
            "/",
            "What stands between their values; `;` when absent.",
        ),
        Field::new(
            "regex",
            Kind::Text(Format::Expression),
            "\"go_.*\"",
            "What must match the whole of it; anything when absent.",
        ),
        Field::new(
            "modulus",
            Kind::Integer {
                min: 1,
                max: 1_000_000_000,
            },
            "8",
            "For `hashmod`.",
        ),
        Field::new("target_label", TEXT, "path", "The label that is written."),
        Field::new(
            "replacement",
            TEXT,
            "$1",
            "What is written; `$1` when absent.",
        ),
        Field::new(
            "action",
            Kind::Enum {
                values: &[
                    "replace",
                    "keep",
                    "drop",
                    "keepequal",
                    "dropequal",
                    "hashmod",
                    "labelmap",
                    "labeldrop",
                    "labelkeep",
                    "lowercase",
                    "uppercase",
                ],
                reserved: &[],
            },
            "drop",
            "What is done.",
        )
        .default("replace"),
    ],
    reserved: &[],
};

pub(super) static BUDGETS: Object = Object {
    name: "budgets",
    doc: "What each team may use.",
    fields: &[
        Field::new(
            "perTeam",
            Kind::Object(&PER_TEAM),
            "{ series: 200000, logs: 40GB/d }",
            "Of every team.",
        ),
        Field::new(
            "over",
            Kind::List {
                item: &Kind::Enum {
                    values: &["warn", "sample-info"],
                    reserved: &[],
                },
                unique: true,
                min: 1,
            },
            "[warn, sample-info]",
            "What happens when `perTeam.logs` is spent. `warn`: the team gets the alert \
             KaiAgentLogBudgetExceeded. `sample-info`: of its lines of level info and below, and of \
             those without a level, one in `keepOneIn` is kept until midnight UTC, with the share in \
             `kai.sampled`; never fewer of those that warn, fail or are an audit's.",
        )
        .default("[warn]"),
        Field::new(
            "keepOneIn",
            Kind::Integer {
                min: 2,
                max: 1_000_000,
            },
            "10",
            "With `sample-info`: of how many lines one is kept.",
        )
        .default("10"),
        Field::new(
            "nodes",
            Kind::Integer {
                min: 1,
                max: 100_000,
            },
            "3",
            "Agents among which `perTeam.logs` is divided evenly: each samples when its part is \
             spent. The alert adds up what all of them sent.",
        )
        .default("1"),
    ],
    reserved: &[],
};

static PER_TEAM: Object = Object {
    name: "teamBudget",
    doc: "A team's budget.",
    fields: &[
        Field::new(
            "series",
            Kind::Integer {
                min: 1,
                max: 10_000_000,
            },
            "200000",
            "Series of its services' pages together, on one agent; 500000 when absent.",
        ),
        Field::new(
            "logs",
            Kind::Text(Format::PerDay),
            "40GB/d",
            "Bytes of its lines' documents in a day (UTC), on all agents together; not bounded when \
             absent.",
        ),
    ],
    reserved: &["spans"],
};
