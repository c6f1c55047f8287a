//! `metrics:`, the platform's own figures, made of series, log lines and spans.

use super::super::{Field, Kind, Object};
use super::TEXT;
use crate::spec::format::Format;

/// Labels and fields that their values are taken from.
const LABEL_FIELDS: Kind = Kind::Map {
    key: Format::LabelName,
    value: &TEXT,
};

pub(super) static METRIC: Object = Object {
    name: "metric",
    doc: "A counter of the platform, shown at the agent's `/metrics/business`.",
    fields: &[
        Field::new(
            "type",
            Kind::Enum {
                values: &["counter"],
                reserved: &["gauge", "histogram"],
            },
            "counter",
            "What it is. Its name ends in `_total`.",
        )
        .default("counter"),
        Field::new(
            "category",
            Kind::Enum {
                values: &["business", "application", "infrastructure", "security"],
                reserved: &[],
            },
            "business",
            "Whose figure it is; for people who read the spec.",
        )
        .default("business"),
        Field::new(
            "help",
            TEXT,
            "Bookings made.",
            "What it counts, in a sentence.",
        ),
        Field::new(
            "unit",
            TEXT,
            "idr",
            "Its unit, which stands before `_total` in the name.",
        ),
        Field::new(
            "labels",
            Kind::Map {
                key: Format::LabelName,
                value: &Kind::Integer {
                    min: 1,
                    max: 10_000,
                },
            },
            "{ channel: 6, route: 300 }",
            "Its labels, each with the most values that are kept; values beyond are counted as \
             `other`.",
        ),
        Field::new(
            "from",
            Kind::Object(&FROM),
            "{ log: { service: inventory, where: 'event == \"hold.expired\"' } }",
            "What it is counted from: exactly one of `metric`, `log` and `span`.",
        )
        .required(),
    ],
    reserved: &[],
};

static FROM: Object = Object {
    name: "from",
    doc: "What a figure is counted from.",
    fields: &[
        Field::new(
            "metric",
            TEXT,
            "booking_created_total",
            "A counter on the services' own pages; what it grows by is added.",
        ),
        Field::new(
            "service",
            Kind::Text(Format::Name),
            "booking",
            "With `metric`: whose series; everybody's when absent.",
        ),
        Field::new(
            "where",
            TEXT,
            "'channel != \"test\"'",
            "With `metric`: a condition on the series' labels.",
        ),
        Field::new(
            "labels",
            LABEL_FIELDS,
            "{ train_class: class }",
            "With `metric`: labels that have another name there.",
        ),
        Field::new(
            "log",
            Kind::Object(&EVENT),
            "{ service: inventory, where: 'event == \"hold.expired\"' }",
            "Lines of a service's log files.",
        ),
        Field::new(
            "span",
            Kind::Object(&EVENT),
            "{ service: payment, where: 'payment.outcome == \"declined\"' }",
            "Spans that a service sends through the agent.",
        ),
    ],
    reserved: &[],
};

static EVENT: Object = Object {
    name: "event",
    doc: "Lines or spans that are counted.",
    fields: &[
        Field::new(
            "service",
            Kind::Text(Format::Name),
            "inventory",
            "Whose lines or spans; a log needs one.",
        ),
        Field::new(
            "where",
            TEXT,
            "'event == \"hold.expired\"'",
            "A condition on the fields of the line or the attributes of the span; all when absent.",
        ),
        Field::new(
            "add",
            TEXT,
            "payment.amount_idr",
            "A field whose number is added in place of 1.",
        ),
        Field::new(
            "labels",
            LABEL_FIELDS,
            "{ route: booking.route }",
            "Labels whose values are in a field of another name.",
        ),
    ],
    reserved: &[],
};
