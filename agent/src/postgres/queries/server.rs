//! Of the server as a whole: its role, connections, write-ahead log, background work.

use super::{Collector, Null, Query, Sql, counter, gauge};

pub const ROLES: Collector = Collector {
    name: "roles",
    opt_in: false,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT rolname, rolconnlimit FROM pg_roles ORDER BY 1
",
        ),
        labels: &["rolname"],
        server: false,
        null: Null::Skip,
        columns: &[gauge(
            "pg_roles_connection_limit",
            "Connection limit set for the role",
        )],
    }],
};

pub const STAT_ACTIVITY: Collector = Collector {
    name: "stat_activity",
    opt_in: false,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT a.application_name, a.backend_type, d.datname, s.state, a.usename, a.wait_event,
  a.wait_event_type, coalesce(a.count, 0), coalesce(a.max_tx_duration, 0)
FROM (VALUES ('active'), ('idle'), ('idle in transaction'),
  ('idle in transaction (aborted)'), ('fastpath function call'), ('disabled')) AS s(state)
CROSS JOIN pg_database d
LEFT JOIN (SELECT datname, state, usename, application_name, backend_type, wait_event_type,
    wait_event, count(*) AS count,
    max(extract(epoch FROM now() - xact_start))::float AS max_tx_duration
  FROM pg_stat_activity GROUP BY 1, 2, 3, 4, 5, 6, 7) a
ON a.state = s.state AND a.datname = d.datname
ORDER BY 8 DESC, 3, 4
",
        ),
        labels: &[
            "application_name",
            "backend_type",
            "datname",
            "state",
            "usename",
            "wait_event",
            "wait_event_type",
        ],
        server: true,
        null: Null::NaN,
        columns: &[
            gauge(
                "pg_stat_activity_count",
                "number of connections in this state",
            ),
            gauge(
                "pg_stat_activity_max_tx_duration",
                "max duration in seconds any active transaction has been running",
            ),
        ],
    }],
};

pub const REPLICATION: Collector = Collector {
    name: "replication",
    opt_in: false,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0
    WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) END,
  pg_is_in_recovery(),
  greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp()))
",
        ),
        labels: &[],
        server: false,
        null: Null::Zero,
        columns: &[
            gauge(
                "pg_replication_lag_seconds",
                "Replication lag behind master in seconds",
            ),
            gauge(
                "pg_replication_is_replica",
                "Indicates if the server is a replica",
            ),
            gauge(
                "pg_replication_last_replay_seconds",
                "Age of last replay in seconds",
            ),
        ],
    }],
};

pub const REPLICATION_SLOT: Collector = Collector {
    name: "replication_slot",
    opt_in: false,
    queries: &[
        Query {
            sql: Sql::Any(
                r"
SELECT slot_name, slot_type,
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END - '0/0',
  active
FROM pg_replication_slots ORDER BY 1
",
            ),
            labels: &["slot_name", "slot_type"],
            server: false,
            null: Null::Zero,
            columns: &[
                gauge(
                    "pg_replication_slot_slot_current_wal_lsn",
                    "current wal lsn value",
                ),
                gauge(
                    "pg_replication_slot_slot_is_active",
                    "whether the replication slot is active or not",
                ),
            ],
        },
        Query {
            sql: Sql::Any(
                r"
SELECT slot_name, slot_type, coalesce(confirmed_flush_lsn, '0/0') - '0/0'
FROM pg_replication_slots WHERE active ORDER BY 1
",
            ),
            labels: &["slot_name", "slot_type"],
            server: false,
            null: Null::Zero,
            columns: &[gauge(
                "pg_replication_slot_slot_confirmed_flush_lsn",
                "last lsn confirmed flushed to the replication slot",
            )],
        },
        Query {
            sql: Sql::Since(&[
                (0, None),
                (
                    130000,
                    Some(
                        r"
SELECT slot_name, slot_type, safe_wal_size FROM pg_replication_slots ORDER BY 1
",
                    ),
                ),
            ]),
            labels: &["slot_name", "slot_type"],
            server: false,
            null: Null::Skip,
            columns: &[gauge(
                "pg_replication_slot_safe_wal_size_bytes",
                "number of bytes that can be written to WAL such that this slot is not in danger of \
             getting in state lost",
            )],
        },
        Query {
            sql: Sql::Since(&[
                (0, None),
                (
                    130000,
                    Some(
                        r"
SELECT slot_name, slot_type, wal_status, 1 FROM pg_replication_slots
WHERE wal_status IS NOT NULL ORDER BY 1
",
                    ),
                ),
            ]),
            labels: &["slot_name", "slot_type", "wal_status"],
            server: false,
            null: Null::Zero,
            columns: &[gauge(
                "pg_replication_slot_wal_status",
                "availability of WAL files claimed by this slot",
            )],
        },
    ],
};

pub const REPLICATION_SLOTS: Collector = Collector {
    name: "replication_slots",
    opt_in: false,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT database, slot_name, active, pg_wal_lsn_diff(
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
  restart_lsn)
FROM pg_replication_slots ORDER BY 2
",
        ),
        labels: &["database", "slot_name"],
        server: true,
        null: Null::NaN,
        columns: &[
            gauge(
                "pg_replication_slots_active",
                "Flag indicating if the slot is active",
            ),
            gauge(
                "pg_replication_slots_pg_wal_lsn_diff",
                "Replication lag in bytes",
            ),
        ],
    }],
};

/// postgres_exporter writes the number of the process as `slot_name`, which makes each reconnect of a
/// standby a new series; here it is the slot.
pub const STAT_REPLICATION: Collector = Collector {
    name: "stat_replication",
    opt_in: false,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT r.application_name, r.client_addr, s.slot_name, r.state,
  pg_wal_lsn_diff(w.lsn, '0/0'), pg_wal_lsn_diff(w.lsn, r.replay_lsn)
FROM pg_stat_replication r
LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
  ELSE pg_current_wal_lsn() END AS lsn) w
ORDER BY 1, 2, 3
",
        ),
        labels: &["application_name", "client_addr", "slot_name", "state"],
        server: true,
        null: Null::NaN,
        columns: &[
            gauge(
                "pg_stat_replication_pg_current_wal_lsn_bytes",
                "WAL position in bytes",
            ),
            gauge(
                "pg_stat_replication_pg_wal_lsn_diff",
                "Lag in bytes between master and slave",
            ),
        ],
    }],
};

pub const STAT_ARCHIVER: Collector = Collector {
    name: "stat_archiver",
    opt_in: false,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT archived_count, failed_count, extract(epoch FROM now() - last_archived_time)
FROM pg_stat_archiver
",
        ),
        labels: &[],
        server: true,
        null: Null::NaN,
        columns: &[
            counter(
                "pg_stat_archiver_archived_count",
                "Number of WAL files that have been successfully archived",
            ),
            counter(
                "pg_stat_archiver_failed_count",
                "Number of failed attempts for archiving WAL files",
            ),
            gauge(
                "pg_stat_archiver_last_archive_age",
                "Time in seconds since last WAL segment was successfully archived",
            ),
        ],
    }],
};

pub const STAT_BGWRITER: Collector = Collector {
    name: "stat_bgwriter",
    opt_in: false,
    queries: &[
        Query {
            sql: Sql::Any(
                r"
SELECT buffers_clean, maxwritten_clean, buffers_alloc,
  coalesce(floor(extract(epoch FROM stats_reset)), 0)
FROM pg_stat_bgwriter
",
            ),
            labels: &[],
            server: false,
            null: Null::Zero,
            columns: &[
                counter(
                    "pg_stat_bgwriter_buffers_clean_total",
                    "Number of buffers written by the background writer",
                ),
                counter(
                    "pg_stat_bgwriter_maxwritten_clean_total",
                    "Number of times the background writer stopped a cleaning scan because it had written \
             too many buffers",
                ),
                counter(
                    "pg_stat_bgwriter_buffers_alloc_total",
                    "Number of buffers allocated",
                ),
                counter(
                    "pg_stat_bgwriter_stats_reset_total",
                    "Time at which these statistics were last reset",
                ),
            ],
        },
        Query {
            sql: Sql::Since(&[
                (
                    0,
                    Some(
                        r"
SELECT checkpoints_timed, checkpoints_req, checkpoint_write_time, checkpoint_sync_time,
buffers_checkpoint, buffers_backend, buffers_backend_fsync
FROM pg_stat_bgwriter
",
                    ),
                ),
                (170000, None),
            ]),
            labels: &[],
            server: false,
            null: Null::Zero,
            columns: &[
                counter(
                    "pg_stat_bgwriter_checkpoints_timed_total",
                    "Number of scheduled checkpoints that have been performed",
                ),
                counter(
                    "pg_stat_bgwriter_checkpoints_req_total",
                    "Number of requested checkpoints that have been performed",
                ),
                counter(
                    "pg_stat_bgwriter_checkpoint_write_time_total",
                    "Total amount of time that has been spent in the portion of checkpoint processing \
             where files are written to disk, in milliseconds",
                ),
                counter(
                    "pg_stat_bgwriter_checkpoint_sync_time_total",
                    "Total amount of time that has been spent in the portion of checkpoint processing \
             where files are synchronized to disk, in milliseconds",
                ),
                counter(
                    "pg_stat_bgwriter_buffers_checkpoint_total",
                    "Number of buffers written during checkpoints",
                ),
                counter(
                    "pg_stat_bgwriter_buffers_backend_total",
                    "Number of buffers written directly by a backend",
                ),
                counter(
                    "pg_stat_bgwriter_buffers_backend_fsync_total",
                    "Number of times a backend had to execute its own fsync call (normally the background \
             writer handles those even when the backend does its own write)",
                ),
            ],
        },
    ],
};

/// Opt-in in postgres_exporter; since PostgreSQL 17 it is where the checkpoints are.
pub const STAT_CHECKPOINTER: Collector = Collector {
    name: "stat_checkpointer",
    opt_in: false,
    queries: &[Query {
        sql: Sql::Since(&[
            (0, None),
            (
                170000,
                Some(
                    r"
SELECT num_timed, num_requested, restartpoints_timed, restartpoints_req,
restartpoints_done, write_time, sync_time, buffers_written, coalesce(floor(extract(epoch
FROM stats_reset)), 0)
FROM pg_stat_checkpointer
",
                ),
            ),
        ]),
        labels: &[],
        server: false,
        null: Null::Zero,
        columns: &[
            counter(
                "pg_stat_checkpointer_num_timed_total",
                "Number of scheduled checkpoints due to timeout",
            ),
            counter(
                "pg_stat_checkpointer_num_requested_total",
                "Number of requested checkpoints that have been performed",
            ),
            counter(
                "pg_stat_checkpointer_restartpoints_timed_total",
                "Number of scheduled restartpoints due to timeout or after a failed attempt to \
             perform it",
            ),
            counter(
                "pg_stat_checkpointer_restartpoints_req_total",
                "Number of requested restartpoints",
            ),
            counter(
                "pg_stat_checkpointer_restartpoints_done_total",
                "Number of restartpoints that have been performed",
            ),
            counter(
                "pg_stat_checkpointer_write_time_total",
                "Total amount of time that has been spent in the portion of processing checkpoints \
             and restartpoints where files are written to disk, in milliseconds",
            ),
            counter(
                "pg_stat_checkpointer_sync_time_total",
                "Total amount of time that has been spent in the portion of processing checkpoints \
             and restartpoints where files are synchronized to disk, in milliseconds",
            ),
            counter(
                "pg_stat_checkpointer_buffers_written_total",
                "Number of buffers written during checkpoints and restartpoints",
            ),
            counter(
                "pg_stat_checkpointer_stats_reset_total",
                "Time at which these statistics were last reset",
            ),
        ],
    }],
};

pub const WAL: Collector = Collector {
    name: "wal",
    opt_in: false,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT count(*), sum(size) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'
",
        ),
        labels: &[],
        server: false,
        null: Null::Zero,
        columns: &[
            gauge("pg_wal_segments", "Number of WAL segments"),
            gauge("pg_wal_size_bytes", "Total size of WAL segments"),
        ],
    }],
};
