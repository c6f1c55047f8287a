//! What postgres_exporter has off by default, and so do we.

use super::{Collector, Null, Query, Sql, counter, gauge};

pub const DATABASE_WRAPAROUND: Collector = Collector {
    name: "database_wraparound",
    opt_in: true,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT datname, age(datfrozenxid), mxid_age(datminmxid)
FROM pg_database WHERE datallowconn ORDER BY 1
",
        ),
        labels: &["datname"],
        server: false,
        null: Null::Zero,
        columns: &[
            gauge(
                "pg_database_wraparound_age_datfrozenxid_seconds",
                "Age of the oldest transaction ID that has not been frozen.",
            ),
            gauge(
                "pg_database_wraparound_age_datminmxid_seconds",
                "Age of the oldest multi-transaction ID that has been replaced with a transaction ID.",
            ),
        ],
    }],
};

pub const LONG_RUNNING_TRANSACTIONS: Collector = Collector {
    name: "long_running_transactions",
    opt_in: true,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT count(*), max(extract(epoch FROM clock_timestamp() - xact_start))
FROM pg_stat_activity WHERE state IS DISTINCT FROM 'idle'
  AND query NOT LIKE 'autovacuum:%' AND xact_start IS NOT NULL
",
        ),
        labels: &[],
        server: false,
        null: Null::Zero,
        columns: &[
            gauge(
                "pg_long_running_transactions",
                "Current number of long running transactions",
            ),
            gauge(
                "pg_long_running_transactions_oldest_timestamp_seconds",
                "The current maximum transaction age in seconds",
            ),
        ],
    }],
};

pub const POSTMASTER: Collector = Collector {
    name: "postmaster",
    opt_in: true,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT extract(epoch FROM pg_postmaster_start_time())
",
        ),
        labels: &[],
        server: false,
        null: Null::Zero,
        columns: &[gauge(
            "pg_postmaster_start_time_seconds",
            "Time at which postmaster started",
        )],
    }],
};

pub const STAT_ACTIVITY_AUTOVACUUM: Collector = Collector {
    name: "stat_activity_autovacuum",
    opt_in: true,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT split_part(query, '.', 2), extract(epoch FROM xact_start)
FROM pg_stat_activity WHERE query LIKE 'autovacuum:%' ORDER BY 1
",
        ),
        labels: &["relname"],
        server: false,
        null: Null::Skip,
        columns: &[gauge(
            "pg_stat_activity_autovacuum_timestamp_seconds",
            "Start timestamp of the vacuum process in seconds",
        )],
    }],
};

/// The hundred statements that took longest in all; needs the extension.
pub const STAT_STATEMENTS: Collector = Collector {
    name: "stat_statements",
    opt_in: true,
    queries: &[Query {
        sql: Sql::Since(&[
            (
                0,
                Some(
                    r"
SELECT d.datname, s.queryid, pg_get_userbyid(s.userid), s.calls, s.total_time / 1000.0, s.rows,
  s.blk_read_time / 1000.0, s.blk_write_time / 1000.0
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE s.total_time > (SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY total_time) FROM pg_stat_statements)
ORDER BY s.total_time DESC LIMIT 100
",
                ),
            ),
            (
                130000,
                Some(
                    r"
SELECT d.datname, s.queryid, pg_get_userbyid(s.userid), s.calls, s.total_exec_time / 1000.0, s.rows,
  s.blk_read_time / 1000.0, s.blk_write_time / 1000.0
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE s.total_exec_time > (SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY total_exec_time) FROM pg_stat_statements)
ORDER BY s.total_exec_time DESC LIMIT 100
",
                ),
            ),
            (
                170000,
                Some(
                    r"
SELECT d.datname, s.queryid, pg_get_userbyid(s.userid), s.calls, s.total_exec_time / 1000.0, s.rows,
  s.shared_blk_read_time / 1000.0, s.shared_blk_write_time / 1000.0
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE s.total_exec_time > (SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY total_exec_time) FROM pg_stat_statements)
ORDER BY s.total_exec_time DESC LIMIT 100
",
                ),
            ),
        ]),
        labels: &["datname", "queryid", "user"],
        server: false,
        null: Null::Zero,
        columns: &[
            counter("pg_stat_statements_calls_total", "Number of times executed"),
            counter(
                "pg_stat_statements_seconds_total",
                "Total time spent in the statement, in seconds",
            ),
            counter(
                "pg_stat_statements_rows_total",
                "Total number of rows retrieved or affected by the statement",
            ),
            counter(
                "pg_stat_statements_block_read_seconds_total",
                "Total time the statement spent reading blocks, in seconds",
            ),
            counter(
                "pg_stat_statements_block_write_seconds_total",
                "Total time the statement spent writing blocks, in seconds",
            ),
        ],
    }],
};

pub const STAT_WAL_RECEIVER: Collector = Collector {
    name: "stat_wal_receiver",
    opt_in: true,
    queries: &[Query {
        sql: Sql::Since(&[
            (
                0,
                Some(
                    r"
SELECT slot_name, status, trim(both '''' FROM substring(conninfo FROM 'host=([^ ]*)')),
  (receive_start_lsn - '0/0') % (2^52)::bigint, receive_start_tli,
  (received_lsn - '0/0') % (2^52)::bigint, received_tli,
  extract(epoch FROM last_msg_send_time), extract(epoch FROM last_msg_receipt_time),
  (latest_end_lsn - '0/0') % (2^52)::bigint, extract(epoch FROM latest_end_time)
FROM pg_stat_wal_receiver WHERE slot_name IS NOT NULL
",
                ),
            ),
            (
                130000,
                Some(
                    r"
SELECT slot_name, status, trim(both '''' FROM substring(conninfo FROM 'host=([^ ]*)')),
  (receive_start_lsn - '0/0') % (2^52)::bigint, receive_start_tli,
  (flushed_lsn - '0/0') % (2^52)::bigint, received_tli,
  extract(epoch FROM last_msg_send_time), extract(epoch FROM last_msg_receipt_time),
  (latest_end_lsn - '0/0') % (2^52)::bigint, extract(epoch FROM latest_end_time)
FROM pg_stat_wal_receiver WHERE slot_name IS NOT NULL
",
                ),
            ),
        ]),
        labels: &["slot_name", "status", "upstream_host"],
        server: false,
        null: Null::Row,
        columns: &[
            counter(
                "pg_stat_wal_receiver_receive_start_lsn",
                "First write-ahead log location used when WAL receiver is started represented as a \
             decimal",
            ),
            gauge(
                "pg_stat_wal_receiver_receive_start_tli",
                "First timeline number used when WAL receiver is started",
            ),
            counter(
                "pg_stat_wal_receiver_flushed_lsn",
                "Last write-ahead log location already received and flushed to disk, the initial \
             value of this field being the first log location used when WAL receiver is started \
             represented as a decimal",
            ),
            gauge(
                "pg_stat_wal_receiver_received_tli",
                "Timeline number of last write-ahead log location received and flushed to disk",
            ),
            counter(
                "pg_stat_wal_receiver_last_msg_send_time",
                "Send time of last message received from origin WAL sender",
            ),
            counter(
                "pg_stat_wal_receiver_last_msg_receipt_time",
                "Send time of last message received from origin WAL sender",
            ),
            counter(
                "pg_stat_wal_receiver_latest_end_lsn",
                "Last write-ahead log location reported to origin WAL sender as integer",
            ),
            counter(
                "pg_stat_wal_receiver_latest_end_time",
                "Time of last write-ahead log location reported to origin WAL sender",
            ),
        ],
    }],
};

pub const STATIO_USER_INDEXES: Collector = Collector {
    name: "statio_user_indexes",
    opt_in: true,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT indexrelname, relname, schemaname, idx_blks_read, idx_blks_hit
FROM pg_statio_user_indexes ORDER BY idx_blks_read DESC
",
        ),
        labels: &["indexrelname", "relname", "schemaname"],
        server: false,
        null: Null::Zero,
        columns: &[
            counter(
                "pg_statio_user_indexes_idx_blks_read_total",
                "Number of disk blocks read from this index",
            ),
            counter(
                "pg_statio_user_indexes_idx_blks_hit_total",
                "Number of buffer hits in this index",
            ),
        ],
    }],
};
