//! `databases:`, servers whose figures the agent exports as postgres_exporter names them.

use kai_contract::agent_config::{DATABASE_COLLECTORS, DATABASE_OPT_IN};

use super::super::{Field, Kind, Object};
use super::{DURATION, TEXT};
use crate::spec::format::Format;

const WORDS: Kind = Kind::List {
    item: &TEXT,
    unique: true,
    min: 1,
};

pub(super) static DATABASE: Object = Object {
    name: "database",
    doc: "A database server that the agent looks at when Prometheus scrapes it.",
    fields: &[
        Field::new(
            "engine",
            Kind::Enum {
                values: &["postgresql"],
                reserved: &["mysql", "oracle", "sqlserver", "mongodb", "redis"],
            },
            "postgresql",
            "What it is.",
        )
        .required(),
        Field::new(
            "dsn",
            Kind::Secret,
            "{ env: TICKETING_PG_DSN }",
            "Where it is and who asks, as libpq takes it: \
             `postgresql://monitor:…@db.kai.example:5432/ticketing?sslmode=verify-full`. The role \
             needs `pg_monitor` and nothing else.",
        )
        .required(),
        Field::new(
            "team",
            Kind::Text(Format::Name),
            "booking",
            "Who gets its alerts; without one the service's team, or the fallback.",
        ),
        Field::new(
            "service",
            Kind::Text(Format::Name),
            "booking",
            "The service that it belongs to: label `service` of its series and alerts; without one \
             the database's own name.",
        ),
        Field::new(
            "interval",
            DURATION,
            "30s",
            "Time between two looks; without it `defaults.scrapeInterval`.",
        ),
        Field::new(
            "timeout",
            DURATION,
            "5s",
            "How long a look may take; a little less than the interval when absent.",
        ),
        Field::new(
            "enable",
            Kind::List {
                item: &Kind::Enum {
                    values: &DATABASE_OPT_IN,
                    reserved: &[],
                },
                unique: true,
                min: 1,
            },
            "[stat_statements]",
            "Collectors that run besides the usual ones; their names are postgres_exporter's.",
        ),
        Field::new(
            "disable",
            Kind::List {
                item: &Kind::Enum {
                    values: &DATABASE_COLLECTORS,
                    reserved: &[],
                },
                unique: true,
                min: 1,
            },
            "[settings]",
            "Collectors that do not run.",
        ),
        Field::new(
            "excludeDatabases",
            WORDS,
            "[template0, template1]",
            "Databases of the server of which nothing is told.",
        ),
    ],
    reserved: &[],
};
