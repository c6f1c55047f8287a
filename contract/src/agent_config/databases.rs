//! PostgreSQL servers whose figures the agent exports, as postgres_exporter names them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AgentConfig, Problem, nearest};

/// Names of the collectors, as `enable`, `disable` and the label `collector` spell them.
pub const DATABASE_COLLECTORS: [&str; 24] = [
    "database",
    "database_wraparound",
    "locks",
    "long_running_transactions",
    "postmaster",
    "replication",
    "replication_slot",
    "replication_slots",
    "roles",
    "settings",
    "stat_activity",
    "stat_activity_autovacuum",
    "stat_archiver",
    "stat_bgwriter",
    "stat_checkpointer",
    "stat_database",
    "stat_database_conflicts",
    "stat_replication",
    "stat_statements",
    "stat_user_tables",
    "stat_wal_receiver",
    "statio_user_indexes",
    "statio_user_tables",
    "wal",
];

/// Those that run only if `enable` names them, as in postgres_exporter.
pub const DATABASE_OPT_IN: [&str; 7] = [
    "database_wraparound",
    "long_running_transactions",
    "postmaster",
    "stat_activity_autovacuum",
    "stat_statements",
    "stat_wal_receiver",
    "statio_user_indexes",
];

/// A server, its own target at `/metrics/database/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Database {
    /// File that holds libpq's connection string, `postgresql://…` or `key=value …`; read anew at
    /// each connect, so that a password may change.
    pub dsn_file: PathBuf,
    /// Whose it is; a label of what the agent writes by remote write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Milliseconds at most; Prometheus's own patience less half a second when absent or shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Collectors of [`DATABASE_OPT_IN`] that run, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enable: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disable: Vec<String>,
    /// Databases of the server of which nothing is told, such as template0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_databases: Vec<String>,
}

pub(super) fn check(config: &AgentConfig, found: &mut Vec<Problem>) {
    for (name, database) in &config.databases {
        let at = format!("databases.{name}");
        if let Some(message) = super::problems::name_in_path(name, "/metrics/database/<name>") {
            found.push(Problem::new(at.clone(), message));
        }
        if !database.dsn_file.is_absolute() {
            // What stands there may be the connection string itself, with its password.
            found.push(Problem::new(
                format!("{at}.dsnFile"),
                "is not an absolute path; give the file that holds the connection string, \
                 beginning with /",
            ));
        }
        if database
            .timeout_ms
            .is_some_and(|millis| !(100..=600_000).contains(&millis))
        {
            found.push(Problem::new(
                format!("{at}.timeoutMs"),
                "is out of range; give milliseconds from 100 to 600000",
            ));
        }
        for (list, names) in [("enable", &database.enable), ("disable", &database.disable)] {
            for (index, name) in names.iter().enumerate() {
                if let Some(message) = unknown(name) {
                    found.push(Problem::new(format!("{at}.{list}.{index}"), message));
                } else if list == "enable" && database.disable.contains(name) {
                    found.push(Problem::new(
                        format!("{at}.enable.{index}"),
                        format!("\"{name}\" is disabled as well; keep one"),
                    ));
                }
            }
        }
    }
}

fn unknown(name: &str) -> Option<String> {
    if DATABASE_COLLECTORS.contains(&name) {
        return None;
    }
    let hint = nearest(name, &DATABASE_COLLECTORS).map_or_else(
        || format!("the collectors are {}", DATABASE_COLLECTORS.join(", ")),
        |near| format!("did you mean \"{near}\"?"),
    );
    Some(format!(
        "there is no collector \"{name}\" of databases; {hint}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let text = "version: 2\nlisten: 127.0.0.1:1\ndatabases:\n  a/b: {dsnFile: /x}\n  c: \
                    {dsnFile: 'postgresql://u:hunter2@h', timeoutMs: 1, enable: [lock, wal], disable: [wal]}\n";
        let config: AgentConfig = serde_yaml::from_str(text).unwrap();
        let mut found = Vec::new();
        check(&config, &mut found);
        let told: Vec<_> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(
            told,
            [
                "databases.a/b",
                "databases.c.dsnFile",
                "databases.c.timeoutMs",
                "databases.c.enable.0",
                "databases.c.enable.1"
            ]
        );
        assert!(found.iter().all(|one| !one.message.contains("hunter2")));
        assert!(found[3].message.contains("\"locks\""), "{}", found[3]);
    }
}
