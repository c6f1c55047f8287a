//! Per table of the database that the agent is connected to, the fullest first.

use super::{Collector, Null, Query, Sql, counter, gauge};

/// Sizes are asked apart: they wait for whoever holds a table exclusively, and then only they fail.
pub const STAT_USER_TABLES: Collector = Collector {
    name: "stat_user_tables",
    opt_in: false,
    queries: &[
        Query {
            sql: Sql::Any(
                r"
SELECT current_database(), relname, schemaname, seq_scan, seq_tup_read, idx_scan,
idx_tup_fetch, n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, n_live_tup, n_dead_tup,
n_mod_since_analyze, floor(extract(epoch FROM last_vacuum)), floor(extract(epoch FROM
last_autovacuum)), floor(extract(epoch FROM last_analyze)), floor(extract(epoch FROM
last_autoanalyze)), vacuum_count, autovacuum_count, analyze_count, autoanalyze_count
FROM pg_stat_user_tables ORDER BY n_live_tup DESC, relid
",
            ),
            labels: &["datname", "relname", "schemaname"],
            server: false,
            null: Null::Zero,
            columns: &[
                counter(
                    "pg_stat_user_tables_seq_scan",
                    "Number of sequential scans initiated on this table",
                ),
                counter(
                    "pg_stat_user_tables_seq_tup_read",
                    "Number of live rows fetched by sequential scans",
                ),
                counter(
                    "pg_stat_user_tables_idx_scan",
                    "Number of index scans initiated on this table",
                ),
                counter(
                    "pg_stat_user_tables_idx_tup_fetch",
                    "Number of live rows fetched by index scans",
                ),
                counter("pg_stat_user_tables_n_tup_ins", "Number of rows inserted"),
                counter("pg_stat_user_tables_n_tup_upd", "Number of rows updated"),
                counter("pg_stat_user_tables_n_tup_del", "Number of rows deleted"),
                counter(
                    "pg_stat_user_tables_n_tup_hot_upd",
                    "Number of rows HOT updated (i.e., with no separate index update required)",
                ),
                gauge(
                    "pg_stat_user_tables_n_live_tup",
                    "Estimated number of live rows",
                ),
                gauge(
                    "pg_stat_user_tables_n_dead_tup",
                    "Estimated number of dead rows",
                ),
                gauge(
                    "pg_stat_user_tables_n_mod_since_analyze",
                    "Estimated number of rows changed since last analyze",
                ),
                gauge(
                    "pg_stat_user_tables_last_vacuum",
                    "Last time at which this table was manually vacuumed (not counting VACUUM FULL)",
                ),
                gauge(
                    "pg_stat_user_tables_last_autovacuum",
                    "Last time at which this table was vacuumed by the autovacuum daemon",
                ),
                gauge(
                    "pg_stat_user_tables_last_analyze",
                    "Last time at which this table was manually analyzed",
                ),
                gauge(
                    "pg_stat_user_tables_last_autoanalyze",
                    "Last time at which this table was analyzed by the autovacuum daemon",
                ),
                counter(
                    "pg_stat_user_tables_vacuum_count",
                    "Number of times this table has been manually vacuumed (not counting VACUUM FULL)",
                ),
                counter(
                    "pg_stat_user_tables_autovacuum_count",
                    "Number of times this table has been vacuumed by the autovacuum daemon",
                ),
                counter(
                    "pg_stat_user_tables_analyze_count",
                    "Number of times this table has been manually analyzed",
                ),
                counter(
                    "pg_stat_user_tables_autoanalyze_count",
                    "Number of times this table has been analyzed by the autovacuum daemon",
                ),
            ],
        },
        Query {
            sql: Sql::Any(
                r"
SELECT current_database(), relname, schemaname, pg_total_relation_size(relid)
FROM pg_stat_user_tables ORDER BY n_live_tup DESC, relid
",
            ),
            labels: &["datname", "relname", "schemaname"],
            server: false,
            null: Null::Skip,
            columns: &[gauge(
                "pg_stat_user_tables_size_bytes",
                "Total disk space used by this table, in bytes, including all indexes and TOAST data",
            )],
        },
    ],
};

pub const STATIO_USER_TABLES: Collector = Collector {
    name: "statio_user_tables",
    opt_in: false,
    queries: &[Query {
        sql: Sql::Any(
            r"
SELECT current_database(), io.relname, io.schemaname, heap_blks_read, heap_blks_hit,
idx_blks_read, idx_blks_hit, toast_blks_read, toast_blks_hit, tidx_blks_read,
tidx_blks_hit
FROM pg_statio_user_tables io JOIN pg_stat_user_tables t USING (relid)
ORDER BY t.n_live_tup DESC, relid
",
        ),
        labels: &["datname", "relname", "schemaname"],
        server: false,
        null: Null::Zero,
        columns: &[
            counter(
                "pg_statio_user_tables_heap_blocks_read",
                "Number of disk blocks read from this table",
            ),
            counter(
                "pg_statio_user_tables_heap_blocks_hit",
                "Number of buffer hits in this table",
            ),
            counter(
                "pg_statio_user_tables_idx_blocks_read",
                "Number of disk blocks read from all indexes on this table",
            ),
            counter(
                "pg_statio_user_tables_idx_blocks_hit",
                "Number of buffer hits in all indexes on this table",
            ),
            counter(
                "pg_statio_user_tables_toast_blocks_read",
                "Number of disk blocks read from this table's TOAST table (if any)",
            ),
            counter(
                "pg_statio_user_tables_toast_blocks_hit",
                "Number of buffer hits in this table's TOAST table (if any)",
            ),
            counter(
                "pg_statio_user_tables_tidx_blocks_read",
                "Number of disk blocks read from this table's TOAST table indexes (if any)",
            ),
            counter(
                "pg_statio_user_tables_tidx_blocks_hit",
                "Number of buffer hits in this table's TOAST table indexes (if any)",
            ),
        ],
    }],
};
