//! `agent.remoteWrite` and `agent.otlpMetrics`: samples out, and pushed metrics in.

use super::super::{Field, Kind, Object};
use super::TEXT;
use super::systems::AUTH;
use crate::spec::format::Format;

pub(super) static REMOTE_WRITE: Object = Object {
    name: "remoteWrite",
    doc: "A receiver of Prometheus remote write.",
    fields: &[
        Field::new(
            "url",
            Kind::Text(Format::Http),
            "https://mimir.example.org/api/v1/push",
            "Where samples are posted.",
        )
        .required(),
        Field::new(
            "protocol",
            Kind::Integer { min: 1, max: 2 },
            "1",
            "Version to begin with; 2 falls back to 1 where the receiver knows no other.",
        )
        .default("2"),
        Field::new(
            "auth",
            Kind::Object(&AUTH),
            "{ token: { env: MIMIR_TOKEN } }",
            "How it is told who asks: `token`, or `username` with `password`.",
        ),
        Field::new(
            "caFile",
            TEXT,
            "/etc/kai/ca.pem",
            "PEM file of the authorities that sign its certificate; without it the machine's own.",
        ),
        Field::new(
            "headers",
            Kind::Map {
                key: Format::OneLine,
                value: &TEXT,
            },
            "{ X-Scope-OrgID: kai }",
            "Sent with each request. No place for secrets.",
        ),
    ],
    reserved: &["writeRelabelConfigs", "queue", "tls"],
};

pub(super) static OTLP_METRICS: Object = Object {
    name: "otlpMetrics",
    doc: "Metrics pushed by OTLP; each service becomes a target of its own.",
    fields: &[
        Field::new(
            "accept",
            Kind::Bool,
            "true",
            "Take them. Needs a Jaeger, whose spans come to the same addresses.",
        )
        .default("false"),
        Field::new(
            "seriesPerService",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "5000",
            "Series that one service may have; points of others are refused, counted.",
        )
        .default("5000"),
    ],
    reserved: &[],
};
