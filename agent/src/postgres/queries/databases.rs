//! Per database: sizes, limits, transactions, conflicts, locks.

use super::{Collector, Null, Query, Sql, counter, gauge, untyped};

/// A database whose size this role may not see has none; postgres_exporter fails on it.
pub const DATABASE: Collector = Collector {
    name: "database",
    opt_in: false,
    queries: &[
        Query {
            sql: Sql::Any(
                r"
SELECT datname, datconnlimit FROM pg_database ORDER BY 1
",
            ),
            labels: &["datname"],
            server: false,
            null: Null::Zero,
            columns: &[gauge(
                "pg_database_connection_limit",
                "Connection limit set for the database",
            )],
        },
        Query {
            sql: Sql::Any(
                r"
SELECT datname,
  CASE WHEN has_database_privilege(datname, 'CONNECT')
    OR pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER')
  THEN pg_database_size(datname) END
FROM pg_database ORDER BY 1
",
            ),
            labels: &["datname"],
            server: false,
            null: Null::Skip,
            columns: &[gauge(
                "pg_database_size_bytes",
                "Disk space used by the database",
            )],
        },
    ],
};

pub const LOCKS: Collector = Collector {
    name: "locks",
    opt_in: false,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT d.datname, m.mode, coalesce(l.count, 0)
FROM (VALUES ('accesssharelock'), ('rowsharelock'), ('rowexclusivelock'),
  ('shareupdateexclusivelock'), ('sharelock'), ('sharerowexclusivelock'), ('exclusivelock'),
  ('accessexclusivelock'), ('sireadlock')) AS m(mode)
CROSS JOIN pg_database d
LEFT JOIN (SELECT database, lower(mode) AS mode, count(*) AS count FROM pg_locks
  WHERE database IS NOT NULL GROUP BY 1, 2) l ON l.mode = m.mode AND l.database = d.oid
ORDER BY 1, 2
",
        ),
        labels: &["datname", "mode"],
        server: false,
        null: Null::Zero,
        columns: &[gauge("pg_locks_count", "Number of locks")],
    }],
};

pub const STAT_DATABASE: Collector = Collector {
    name: "stat_database",
    opt_in: false,
    queries: &[
        Query {
            sql: Sql::Any(
                r"
SELECT datid, datname, numbackends, xact_commit, xact_rollback, blks_read, blks_hit,
tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts,
temp_files, temp_bytes, deadlocks, blk_read_time, blk_write_time,
coalesce(floor(extract(epoch FROM stats_reset)), 0)
FROM pg_stat_database WHERE datname IS NOT NULL ORDER BY numbackends DESC
",
            ),
            labels: &["datid", "datname"],
            server: false,
            null: Null::Row,
            columns: &[
                gauge(
                    "pg_stat_database_numbackends",
                    "Number of backends currently connected to this database. This is the only column in \
             this view that returns a value reflecting current state; all other columns return \
             the accumulated values since the last reset.",
                ),
                counter(
                    "pg_stat_database_xact_commit",
                    "Number of transactions in this database that have been committed",
                ),
                counter(
                    "pg_stat_database_xact_rollback",
                    "Number of transactions in this database that have been rolled back",
                ),
                counter(
                    "pg_stat_database_blks_read",
                    "Number of disk blocks read in this database",
                ),
                counter(
                    "pg_stat_database_blks_hit",
                    "Number of times disk blocks were found already in the buffer cache, so that a read \
             was not necessary (this only includes hits in the PostgreSQL buffer cache, not the \
             operating system's file system cache)",
                ),
                counter(
                    "pg_stat_database_tup_returned",
                    "Number of rows returned by queries in this database",
                ),
                counter(
                    "pg_stat_database_tup_fetched",
                    "Number of rows fetched by queries in this database",
                ),
                counter(
                    "pg_stat_database_tup_inserted",
                    "Number of rows inserted by queries in this database",
                ),
                counter(
                    "pg_stat_database_tup_updated",
                    "Number of rows updated by queries in this database",
                ),
                counter(
                    "pg_stat_database_tup_deleted",
                    "Number of rows deleted by queries in this database",
                ),
                counter(
                    "pg_stat_database_conflicts",
                    "Number of queries canceled due to conflicts with recovery in this database. \
             (Conflicts occur only on standby servers; see pg_stat_database_conflicts for \
             details.)",
                ),
                counter(
                    "pg_stat_database_temp_files",
                    "Number of temporary files created by queries in this database. All temporary files \
             are counted, regardless of why the temporary file was created (e.g., sorting or \
             hashing), and regardless of the log_temp_files setting.",
                ),
                counter(
                    "pg_stat_database_temp_bytes",
                    "Total amount of data written to temporary files by queries in this database. All \
             temporary files are counted, regardless of why the temporary file was created, and \
             regardless of the log_temp_files setting.",
                ),
                counter(
                    "pg_stat_database_deadlocks",
                    "Number of deadlocks detected in this database",
                ),
                counter(
                    "pg_stat_database_blk_read_time",
                    "Time spent reading data file blocks by backends in this database, in milliseconds",
                ),
                counter(
                    "pg_stat_database_blk_write_time",
                    "Time spent writing data file blocks by backends in this database, in milliseconds",
                ),
                counter(
                    "pg_stat_database_stats_reset",
                    "Time at which these statistics were last reset",
                ),
            ],
        },
        Query {
            sql: Sql::Since(&[
                (0, None),
                (
                    140000,
                    Some(
                        r"
SELECT datid, datname, active_time / 1000.0 FROM pg_stat_database
WHERE datname IS NOT NULL ORDER BY numbackends DESC
",
                    ),
                ),
            ]),
            labels: &["datid", "datname"],
            server: false,
            null: Null::Row,
            columns: &[counter(
                "pg_stat_database_active_time_seconds_total",
                "Time spent executing SQL statements in this database, in seconds",
            )],
        },
    ],
};

pub const STAT_DATABASE_CONFLICTS: Collector = Collector {
    name: "stat_database_conflicts",
    opt_in: false,
    queries: &[
        Query {
            sql: Sql::Any(
                r"
SELECT datid, datname, confl_tablespace, confl_lock, confl_snapshot, confl_bufferpin,
  confl_deadlock
FROM pg_stat_database_conflicts ORDER BY 1
",
            ),
            labels: &["datid", "datname"],
            server: true,
            null: Null::NaN,
            columns: &[
                counter(
                    "pg_stat_database_conflicts_confl_tablespace",
                    "Number of queries in this database that have been canceled due to dropped \
             tablespaces",
                ),
                counter(
                    "pg_stat_database_conflicts_confl_lock",
                    "Number of queries in this database that have been canceled due to lock timeouts",
                ),
                counter(
                    "pg_stat_database_conflicts_confl_snapshot",
                    "Number of queries in this database that have been canceled due to old snapshots",
                ),
                counter(
                    "pg_stat_database_conflicts_confl_bufferpin",
                    "Number of queries in this database that have been canceled due to pinned buffers",
                ),
                counter(
                    "pg_stat_database_conflicts_confl_deadlock",
                    "Number of queries in this database that have been canceled due to deadlocks",
                ),
            ],
        },
        Query {
            sql: Sql::Since(&[
                (0, None),
                (
                    160000,
                    Some(
                        r"
SELECT datid, datname, confl_active_logicalslot FROM pg_stat_database_conflicts ORDER BY 1
",
                    ),
                ),
            ]),
            labels: &["datid", "datname"],
            server: true,
            null: Null::NaN,
            columns: &[untyped(
                "pg_stat_database_conflicts_confl_active_logicalslot",
                "Unknown metric from pg_stat_database_conflicts",
            )],
        },
    ],
};
