//! `agent.discovery`: applications that nobody names.

use super::super::{Field, Kind, Object};
use super::scrape::{RELABEL, SERIES};
use super::{DURATION, TEXT};
use crate::spec::format::Format;

pub(super) static DISCOVERY: Object = Object {
    name: "discovery",
    doc: "Applications that the agent finds by itself; each becomes a target of its own.",
    fields: &[
        Field::new(
            "files",
            Kind::List {
                item: &TEXT,
                unique: true,
                min: 1,
            },
            "[/etc/kai/targets/*.yaml]",
            "Files in the format of Prometheus' `file_sd_configs`, by absolute path, followed as they \
             change.",
        ),
        Field::new(
            "pods",
            Kind::Object(&PODS),
            "{ namespaces: [kai], teams: { kai: booking } }",
            "In a cluster: pods with the annotation `prometheus.io/scrape: \"true\"`.",
        ),
        Field::new(
            "applications",
            Kind::Integer {
                min: 1,
                max: 10_000,
            },
            "100",
            "Applications at most on one node; who has a place keeps it, others are counted.",
        )
        .default("200"),
        Field::new(
            "timeout",
            DURATION,
            "2s",
            "How long a whole page may take; a little less than Prometheus' own patience when absent.",
        ),
        Field::new(
            "series",
            SERIES,
            "20000",
            "Series that each hands on at most. 100000 when absent.",
        ),
        Field::new(
            "serviceSeries",
            Kind::Integer {
                min: 1,
                max: 10_000_000,
            },
            "50000",
            "Series that all applications of one service on one node hand on together.",
        ),
        Field::new(
            "labels",
            Kind::Map {
                key: Format::LabelName,
                value: &SERIES,
            },
            "{ path: 100 }",
            "Most values that are kept of a label, for each.",
        ),
        Field::new(
            "relabel",
            Kind::List {
                item: &Kind::Object(&RELABEL),
                unique: false,
                min: 1,
            },
            "[{ source_labels: [__name__], regex: \"go_.*\", action: drop }]",
            "Rules as in Prometheus' `metric_relabel_configs`, for every page, before budgets.",
        ),
    ],
    reserved: &["services", "interval"],
};

static PODS: Object = Object {
    name: "discoverPods",
    doc: "Pods that ask to be scraped.",
    fields: &[
        Field::new(
            "namespaces",
            Kind::List {
                item: &Kind::Text(Format::Name),
                unique: true,
                min: 1,
            },
            "[kai]",
            "Where they are looked for, by a Role in each; in all namespaces, by a ClusterRole, when \
             absent.",
        ),
        Field::new(
            "teams",
            Kind::Map {
                key: Format::Name,
                value: &Kind::Text(Format::Name),
            },
            "{ kai: booking }",
            "Whose the pods of a namespace are, whatever they say themselves.",
        ),
    ],
    reserved: &["selector", "annotations"],
};
