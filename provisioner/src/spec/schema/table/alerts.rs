//! `alerts:`, rules and what is changed in them.

use super::super::{Field, Kind, Object};
use super::{DURATION_OR_ZERO, LABELS};
use crate::spec::format::Format;

pub(super) static ALERTS: Object = Object {
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
