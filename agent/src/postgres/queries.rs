//! What is asked of a server, as tables: each query with the labels and values that its columns are.
//!
//! Families, labels, types and help are postgres_exporter's (0.17), so that its dashboards and rules
//! go on working. Columns are taken by their order: first the labels, which stand in the order of
//! their names as client_golang writes them, then the values.

use crate::exposition::Kind;

mod databases;
mod opt_in;
mod server;
mod tables;

/// A group of queries that succeeds or fails as one.
#[derive(Debug)]
pub struct Collector {
    /// postgres_exporter's name, as `enable`, `disable` and the label `collector` spell it.
    pub name: &'static str,
    /// Runs only if it is enabled.
    pub opt_in: bool,
    pub queries: &'static [Query],
}

#[derive(Debug)]
pub struct Query {
    pub sql: Sql,
    pub labels: &'static [&'static str],
    /// Whether the series have the label `server`, as those of postgres_exporter's older queries.
    pub server: bool,
    pub null: Null,
    pub columns: &'static [Column],
}

/// What is asked, by the server's version (`server_version_num`).
#[derive(Debug)]
pub enum Sql {
    Any(&'static str),
    /// The last one that is not newer than the server; `None` where there is nothing to ask.
    Since(&'static [(u32, Option<&'static str>)]),
}

/// What a value is that the server does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Null {
    Zero,
    NaN,
    /// There is no sample.
    Skip,
    /// There is no sample of the whole row.
    Row,
}

#[derive(Debug)]
pub struct Column {
    pub kind: Kind,
    pub metric: &'static str,
    pub help: &'static str,
}

impl Sql {
    pub fn at(&self, version: u32) -> Option<&'static str> {
        match self {
            Self::Any(sql) => Some(sql),
            Self::Since(steps) => {
                let step = steps.iter().rev().find(|(since, _)| *since <= version);
                step.and_then(|(_, sql)| *sql)
            }
        }
    }
}

const fn counter(metric: &'static str, help: &'static str) -> Column {
    Column {
        kind: Kind::Counter,
        metric,
        help,
    }
}

const fn gauge(metric: &'static str, help: &'static str) -> Column {
    Column {
        kind: Kind::Gauge,
        metric,
        help,
    }
}

const fn untyped(metric: &'static str, help: &'static str) -> Column {
    Column {
        kind: Kind::Untyped,
        metric,
        help,
    }
}

/// Every collector in the order in which they run: what costs the server most comes last, so that a
/// deadline takes nothing else away. `settings`, whose families are the server's own, is apart.
pub const ALL: [&Collector; 23] = [
    &server::STAT_ACTIVITY,
    &databases::STAT_DATABASE,
    &databases::STAT_DATABASE_CONFLICTS,
    &server::REPLICATION,
    &server::REPLICATION_SLOT,
    &server::REPLICATION_SLOTS,
    &server::STAT_REPLICATION,
    &server::STAT_BGWRITER,
    &server::STAT_CHECKPOINTER,
    &server::STAT_ARCHIVER,
    &server::ROLES,
    &databases::LOCKS,
    &opt_in::DATABASE_WRAPAROUND,
    &opt_in::LONG_RUNNING_TRANSACTIONS,
    &opt_in::POSTMASTER,
    &opt_in::STAT_ACTIVITY_AUTOVACUUM,
    &opt_in::STAT_WAL_RECEIVER,
    &opt_in::STAT_STATEMENTS,
    &server::WAL,
    &tables::STATIO_USER_TABLES,
    &tables::STAT_USER_TABLES,
    &opt_in::STATIO_USER_INDEXES,
    &databases::DATABASE,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kai_contract::agent_config::{DATABASE_COLLECTORS, DATABASE_OPT_IN};

    use super::*;

    #[test]
    fn the_contract_names_them_all() {
        let mut names: Vec<_> = ALL.iter().map(|collector| collector.name).collect();
        names.push("settings");
        names.sort_unstable();
        assert_eq!(names, DATABASE_COLLECTORS);
        let mut opt_in: Vec<_> = ALL.iter().filter(|c| c.opt_in).map(|c| c.name).collect();
        opt_in.sort_unstable();
        assert_eq!(opt_in, DATABASE_OPT_IN);
    }

    #[test]
    fn tables_are_consistent() {
        let mut metrics = BTreeSet::new();
        for query in ALL.iter().flat_map(|collector| collector.queries) {
            let mut sorted = query.labels.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, query.labels, "{:?}", query.sql);
            for column in query.columns {
                assert!(metrics.insert(column.metric), "{} twice", column.metric);
                assert!(column.metric.starts_with("pg_") && !column.help.is_empty());
            }
            if let Sql::Since(steps) = query.sql {
                assert!(steps.is_sorted_by_key(|(since, _)| since));
                assert_eq!(steps[0].0, 0, "every version has its answer");
            }
        }
    }
}
