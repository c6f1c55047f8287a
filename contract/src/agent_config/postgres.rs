//! PostgreSQL servers whose statistics are exported.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One database, its own target at `/metrics/postgres/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Postgres {
    /// File that holds how it is reached: `postgresql://user:password@host:port/database?sslmode=…`
    /// or `host=… user=… password=…`.
    pub dsn_file: PathBuf,
    /// Milliseconds for a whole scrape at most.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// Of [`POSTGRES_COLLECTORS`], those that run though they do not by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enable: Vec<String>,
    /// Those that do not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disable: Vec<String>,
    /// Databases of the server that `database` leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_databases: Vec<String>,
}

fn default_timeout_ms() -> u64 {
    5_000
}

/// Names of the collectors and whether they run by default; postgres_exporter's, where it has them.
pub const POSTGRES_COLLECTORS: [(&str, bool); 22] = [
    ("database", true),
    ("database_wraparound", false),
    ("locks", true),
    ("long_running_transactions", true),
    ("postmaster", true),
    ("replication", true),
    ("replication_slot", true),
    ("replication_slots", true),
    ("roles", true),
    ("settings", true),
    ("stat_activity", true),
    ("stat_activity_autovacuum", false),
    ("stat_archiver", true),
    ("stat_bgwriter", true),
    ("stat_checkpointer", true),
    ("stat_database", true),
    ("stat_database_conflicts", true),
    ("stat_replication", true),
    ("stat_user_tables", true),
    ("statio_user_indexes", false),
    ("statio_user_tables", true),
    ("wal", true),
];
