//! `services:`, what is observed.

use super::super::{Field, Kind, Object};
use super::logs::LOGS;
use super::scrape::SCRAPE;
use super::{DURATION, TEXT};
use crate::spec::format::Format;

pub(super) static SERVICE: Object = Object {
    name: "service",
    doc: "A service that is observed.",
    fields: &[
        Field::new(
            "team",
            Kind::Text(Format::Name),
            "booking",
            "Team that it belongs to.",
        )
        .required(),
        Field::new(
            "metrics",
            Kind::Text(Format::Http),
            "http://127.0.0.1:8080/metrics",
            "Its metrics page.",
        ),
        Field::new(
            "health",
            Kind::Text(Format::Http),
            "http://127.0.0.1:8080/healthz",
            "Its health page.",
        ),
        Field::new(
            "scrapeInterval",
            DURATION,
            "15s",
            "Time between two reads of its metrics page; without it `defaults.scrapeInterval`.",
        ),
        Field::new(
            "scrape",
            Kind::Object(&SCRAPE),
            "{ series: 20000, labels: { path: 100 } }",
            "How that page is read, and how much of it is handed on.",
        ),
        Field::new(
            "run",
            Kind::Object(&RUN),
            "{ component: ticketing }",
            "The stack starts this service itself (examples and laptops).",
        ),
        Field::new(
            "logs",
            Kind::Object(&LOGS),
            "{ paths: [var/log/booking/*.log], format: json }",
            "Its log files; they go to Elasticsearch, data stream `logs-kai.<service>-<environment>`.",
        ),
        Field::new(
            "gate",
            Kind::Object(&GATE),
            "{ window: 10m, minRequests: 500, maxErrorRatio: 0.005 }",
            "What `kai-agent gate` judges a release by. Its health page, its requests, its log and \
             open critical alerts are asked, as far as the stack has them.",
        ),
    ],
    reserved: &[
        "tier",
        "objectives",
        "runsOn",
        "namespace",
        "selector",
        "ports",
        "hosts",
        "slo",
        "labels",
        "traces",
    ],
};

static RUN: Object = Object {
    name: "run",
    doc: "A service that the stack starts.",
    fields: &[
        Field::new(
            "component",
            TEXT,
            "ticketing",
            "Name in the component catalogue.",
        )
        .required(),
        Field::new(
            "args",
            Kind::List {
                item: &Kind::Text(Format::Any),
                unique: false,
                min: 0,
            },
            "[--listen, \"127.0.0.1:8080\"]",
            "Arguments, one by one; no shell reads them.",
        )
        .default("[]"),
        Field::new(
            "env",
            Kind::Map {
                key: Format::EnvName,
                value: &Kind::Text(Format::Unseen),
            },
            "{ LOG_LEVEL: info }",
            "Environment variables. Not the place for secrets.",
        ),
    ],
    reserved: &["workingDirectory", "user", "restart"],
};

static GATE: Object = Object {
    name: "gate",
    doc: "Evidence and limits of the deploy gate. In queries `$window` stands for the window and \
          `$service` for the service's name.",
    fields: &[
        Field::new(
            "window",
            DURATION,
            "10m",
            "How far back errors are counted, 10s to 1d; without it 1m, or four scrapes where that \
             is longer.",
        ),
        Field::new(
            "minRequests",
            Kind::Integer {
                min: 1,
                max: 1_000_000_000,
            },
            "500",
            "Fewer requests within the window decide nothing.",
        )
        .default("20"),
        Field::new(
            "maxErrorRatio",
            Kind::Number {
                min: 0.0,
                max: 0.99,
            },
            "0.005",
            "Failed of all requests at most.",
        )
        .default("0.01"),
        Field::new(
            "errors",
            TEXT,
            "'sum(increase(grpc_server_handled_total{service=\"$service\",grpc_code!=\"OK\"}[$window]))'",
            "PromQL for the number of failed requests, one series. Without it, \
             `http_requests_total` with `code` 5xx, health pages and scrapes left out.",
        ),
        Field::new(
            "total",
            TEXT,
            "'sum(increase(grpc_server_handled_total{service=\"$service\"}[$window]))'",
            "PromQL for the number of all requests, one series; the selector before `[$window]` \
             must be fresh. Given together with `errors`.",
        ),
        Field::new(
            "maxErrorLogsPerMinute",
            Kind::Number { min: 0.0, max: 1e9 },
            "2.5",
            "Documents of level error per minute at most. Only for a service with `logs`.",
        )
        .default("10"),
    ],
    reserved: &["baseline", "checks", "latency"],
};
