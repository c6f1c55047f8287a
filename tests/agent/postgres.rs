//! PostgreSQL's figures, of real servers.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

mod compare;
mod server;

use crate::servers::postgres::PASSWORD;
use crate::support::{Agent, Metrics, wait_for};
use server::Server;

/// The one that Debian 12 has.
const VERSION: &str = "15.15.0";

/// An agent that looks at a server, by the file `dsn` in its folder.
fn agent(dsn: &str, more: &str) -> Agent {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dsn");
    fs::write(&file, dsn).unwrap();
    let lines = format!("databases:\n  pg: {{dsnFile: {}{more}}}\n", file.display());
    Agent::start_in(folder, &lines)
}

fn look(agent: &Agent) -> Metrics {
    let reply = agent.get("/metrics/database/pg");
    assert_eq!(reply.status, 200, "{}", reply.text());
    Metrics::parse(&reply.text())
}

fn steps(agent: &Agent) -> String {
    agent.get("/metrics/database/pg?debug=true").text()
}

fn text(agent: &Agent) -> String {
    agent.get("/metrics/database/pg").text()
}

fn success(agent: &Agent, collector: &str) -> f64 {
    look(agent).value(&format!(
        "pg_scrape_collector_success{{collector=\"{collector}\"}}"
    ))
}

#[test]
fn what_happens_in_a_database_is_counted() {
    let server = Server::start(VERSION);
    server.sql("CREATE DATABASE ticketing CONNECTION LIMIT 40");
    server.sql("CREATE ROLE booking LOGIN CONNECTION LIMIT 7");
    let agent = agent(&server.dsn("postgres", PASSWORD, "ticketing"), "");
    let first = server.session("ticketing");
    first
        .run("CREATE TABLE seats (id int PRIMARY KEY, free bool); INSERT INTO seats SELECT n, true FROM generate_series(1, 50) n")
        .unwrap();
    let before = look(&agent);
    let of = |metric: &str| {
        let page = text(&agent);
        let line = page.lines().find(|line| {
            line.starts_with(&format!("{metric}{{")) && line.contains("datname=\"ticketing\"")
        });
        line.map_or(0.0, |line| {
            line.rsplit(' ').next().unwrap().parse().unwrap()
        })
    };
    let rollbacks = of("pg_stat_database_xact_rollback");
    assert_eq!(before.value("pg_up"), 1.0);
    assert_eq!(
        before.value("pg_database_connection_limit{datname=\"ticketing\"}"),
        40.0
    );
    assert_eq!(
        before.value("pg_roles_connection_limit{rolname=\"booking\"}"),
        7.0
    );
    for _ in 0..3 {
        first
            .run("BEGIN; INSERT INTO seats VALUES (100, true); ROLLBACK")
            .unwrap();
    }
    // Two sessions that wait for each other: the server ends one of them.
    let second = server.session("ticketing");
    first
        .run("BEGIN; UPDATE seats SET free = false WHERE id = 1")
        .unwrap();
    second
        .run("BEGIN; UPDATE seats SET free = false WHERE id = 2")
        .unwrap();
    let waiting = second.begin("UPDATE seats SET free = false WHERE id = 1");
    let lock = "pg_locks_count{datname=\"ticketing\",mode=\"rowexclusivelock\"}";
    wait_for("both to hold their locks", || {
        (look(&agent).value(lock) >= 4.0).then_some(())
    });
    let _ = first.run("UPDATE seats SET free = false WHERE id = 2");
    let _ = first.run("ROLLBACK");
    wait_for("the deadlock to be counted", || {
        (of("pg_stat_database_deadlocks") == 1.0).then_some(())
    });
    waiting.abort();
    drop(first); // a session that ends has told all its figures
    wait_for("the rollbacks to be counted", || {
        (of("pg_stat_database_xact_rollback") - rollbacks >= 3.0).then_some(())
    });
    let table = "{datname=\"ticketing\",relname=\"seats\",schemaname=\"public\"}";
    let page = look(&agent);
    let of_table = |metric: &str| page.value(&format!("pg_stat_user_tables_{metric}{table}"));
    // What was rolled back was inserted, too.
    assert_eq!(
        (of_table("n_tup_ins"), of_table("n_live_tup")),
        (53.0, 50.0)
    );
    assert!(page.value(&format!("pg_stat_user_tables_size_bytes{table}")) >= 8192.0);
    assert!(page.value("pg_database_size_bytes{datname=\"ticketing\"}") > 1e6);
    assert!(page.value("pg_wal_size_bytes") >= 16_777_216.0);
}

#[test]
fn slots_and_standbys() {
    let mut primary = Server::with(VERSION, "wal_keep_size = 64MB\n");
    primary.sql("SELECT pg_create_physical_replication_slot('standby_1', true)");
    primary.sql("SELECT pg_create_physical_replication_slot('forgotten', true)");
    let standby = Server::standby_of(&mut primary, "standby_1");
    let here = agent(&primary.dsn("postgres", PASSWORD, "postgres"), "");
    let active = |slot: &str| {
        let series = format!(
            "pg_replication_slot_slot_is_active{{slot_name=\"{slot}\",slot_type=\"physical\"}}"
        );
        look(&here).value(&series)
    };
    wait_for("the standby to stream", || {
        (active("standby_1") == 1.0).then_some(())
    });
    assert_eq!(active("forgotten"), 0.0);
    primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) n");
    let page = text(&here);
    let sender = page
        .lines()
        .find(|line| line.starts_with("pg_stat_replication_pg_wal_lsn_diff{"))
        .unwrap();
    for label in [
        "application_name=\"standby_1\"",
        "slot_name=\"standby_1\"",
        "state=\"streaming\"",
    ] {
        assert!(sender.contains(label), "{sender}");
    }
    let lag = format!(
        "pg_replication_slots_pg_wal_lsn_diff{{database=\"\",server=\"127.0.0.1:{}\",slot_name=\"forgotten\"}}",
        primary.port
    );
    wait_for("the forgotten slot to hold the log back", || {
        (look(&here).value(&lag) > 0.0).then_some(())
    });
    let there = agent(
        &standby.dsn("postgres", PASSWORD, "postgres"),
        ", enable: [stat_wal_receiver]",
    );
    let page = look(&there);
    assert_eq!(page.value("pg_replication_is_replica"), 1.0);
    assert_eq!(look(&here).value("pg_replication_is_replica"), 0.0);
    assert!(!steps(&there).contains('✗'), "{}", steps(&there));
    let received = text(&there);
    assert!(
        received.contains(
            "pg_stat_wal_receiver_flushed_lsn{slot_name=\"standby_1\",status=\"streaming\""
        ),
        "{received}"
    );
}

#[test]
fn a_server_that_comes_and_goes_and_changes_its_password() {
    let mut server = Server::start(VERSION);
    server.sql("CREATE ROLE monitor LOGIN PASSWORD 'first-secret'; GRANT pg_monitor TO monitor");
    let agent = agent(&server.dsn("monitor", "first-secret", "postgres"), "");
    assert_eq!(look(&agent).value("pg_up"), 1.0);
    assert_eq!(look(&agent).value("pg_exporter_last_scrape_error"), 0.0);
    assert!(!steps(&agent).contains('✗'), "{}", steps(&agent));
    server.stop();
    let page = look(&agent);
    assert_eq!(
        (
            page.value("pg_up"),
            page.value("pg_exporter_last_scrape_error")
        ),
        (0.0, 1.0)
    );
    assert!(steps(&agent).contains("refused"), "{}", steps(&agent));
    agent.logged_text("cannot look");
    server.go();
    assert_eq!(look(&agent).value("pg_up"), 1.0);
    agent.logged_text("can look again");
    // Restarted between two looks: the kept connection is dead and nobody was told.
    server.stop();
    server.go();
    assert_eq!(look(&agent).value("pg_up"), 1.0);
    server.sql("ALTER ROLE monitor PASSWORD 'second-secret'");
    server.stop();
    server.go();
    assert_eq!(look(&agent).value("pg_up"), 0.0);
    let why = steps(&agent);
    assert!(
        why.contains("28P01") && !why.contains("first-secret"),
        "{why}"
    );
    fs::write(
        agent.path("dsn"),
        server.dsn("monitor", "second-secret", "postgres"),
    )
    .unwrap();
    assert_eq!(look(&agent).value("pg_up"), 1.0);
    for bad in [
        "",
        "hunter2-secret",
        "postgresql://u:hunter2-secret@h:x/d",
        "user=u password=hunter2-secret sslmode=verify-ca",
    ] {
        // Whoever is connected stays so; only a new connect reads the file.
        fs::write(agent.path("dsn"), bad).unwrap();
        server.stop();
        assert_eq!(look(&agent).value("pg_up"), 0.0);
        let why = steps(&agent);
        assert!(
            why.contains("✗ connection: ") && !why.contains("hunter2-secret"),
            "{why}"
        );
        server.go();
    }
    fs::remove_file(agent.path("dsn")).unwrap();
    assert!(steps(&agent).contains("No such file"), "{}", steps(&agent));
    assert_eq!(agent.get("/metrics/database/x").status, 404);
    assert!(
        agent
            .get("/metrics/database/x")
            .text()
            .contains("known are pg")
    );
}

#[test]
fn what_one_collector_may_not_see_takes_nothing_else_away() {
    let server = Server::start(VERSION);
    server.sql("CREATE ROLE humble LOGIN PASSWORD 'p'");
    server.sql("CREATE DATABASE hidden");
    server.sql("REVOKE CONNECT ON DATABASE hidden FROM PUBLIC");
    server.sql("CREATE TABLE seats AS SELECT 1 AS n");
    server.sql("GRANT SELECT ON seats TO humble");
    let agent = agent(
        &server.dsn("humble", "p", "postgres"),
        ", timeoutMs: 3000, enable: [stat_statements]",
    );
    let page = look(&agent);
    assert_eq!(page.value("pg_up"), 1.0);
    assert_eq!(success(&agent, "wal"), 0.0);
    assert_eq!(success(&agent, "stat_statements"), 0.0);
    assert_eq!(success(&agent, "database"), 1.0);
    assert_eq!(page.value("pg_exporter_last_scrape_error"), 1.0);
    let body = text(&agent);
    assert!(body.contains("pg_database_size_bytes{datname=\"postgres\"}"));
    assert!(!body.contains("pg_database_size_bytes{datname=\"hidden\"}"));
    assert!(
        steps(&agent).contains("GRANT pg_monitor"),
        "{}",
        steps(&agent)
    );
    // A table that somebody holds: its size has to wait, everything else does not.
    let holder = server.session("postgres");
    holder
        .run("BEGIN; LOCK TABLE seats IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    assert_eq!(success(&agent, "stat_user_tables"), 0.0);
    let body = text(&agent);
    assert!(body.contains("pg_stat_user_tables_seq_scan{"), "{body}");
    assert!(!body.contains("pg_stat_user_tables_size_bytes{"), "{body}");
    assert!(steps(&agent).contains("holds a table"), "{}", steps(&agent));
    holder.run("ROLLBACK").unwrap();
    assert_eq!(success(&agent, "stat_user_tables"), 1.0);
}

#[test]
fn nobody_waits_for_a_server_that_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let agent = agent(
        &format!("host=127.0.0.1 port={port} user=u sslmode=disable"),
        ", timeoutMs: 300",
    );
    assert_eq!(look(&agent).value("pg_up"), 0.0);
    assert!(
        steps(&agent).contains("no answer in time"),
        "{}",
        steps(&agent)
    );
    // Scrapes that pile up are all answered.
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(look(&agent).value("pg_up"), 0.0));
        }
    });
    assert_eq!(look(&agent).value("pg_exporter_scrapes_total"), 23.0);
}

#[test]
fn a_kept_connection_sees_a_server_that_is_full() {
    let server = Server::with(
        VERSION,
        "max_connections = 6\nsuperuser_reserved_connections = 1\n",
    );
    server.sql("CREATE ROLE monitor LOGIN PASSWORD 'p'; GRANT pg_monitor TO monitor");
    let agent = agent(&server.dsn("monitor", "p", "postgres"), "");
    assert_eq!(look(&agent).value("pg_up"), 1.0);
    let _full: Vec<_> = (0..5).map(|_| server.session("postgres")).collect();
    let page = look(&agent);
    assert_eq!(page.value("pg_up"), 1.0);
    let series = format!(
        "pg_settings_max_connections{{server=\"127.0.0.1:{}\"}}",
        server.port
    );
    assert_eq!(page.value(&series), 6.0);
    let used: f64 = text(&agent)
        .lines()
        .filter(|line| line.starts_with("pg_stat_activity_count{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(used, 6.0);
}

#[test]
fn tls_as_the_connection_string_says() {
    let server = Server::start(VERSION);
    let signer = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, signer.cert.pem()).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let wrong = folder.path().join("wrong.pem");
    fs::write(&wrong, other.cert.pem()).unwrap();
    let plain = server.dsn("postgres", PASSWORD, "postgres");
    let up = |more: &str| {
        let agent = agent(&format!("{plain}?{more}"), "");
        (look(&agent).value("pg_up"), steps(&agent))
    };
    assert_eq!(up("sslmode=prefer").0, 1.0);
    let refused = up("sslmode=require");
    assert_eq!(refused.0, 0.0, "{}", refused.1);
    server.tls(&signer.cert.pem(), &signer.signing_key.serialize_pem());
    for more in ["", "sslmode=require", "sslmode=disable"] {
        let (up, why) = up(more);
        assert_eq!(up, 1.0, "{more}: {why}");
    }
    let (trusted, why) = up(&format!("sslmode=verify-full&sslrootcert={}", ca.display()));
    assert_eq!(trusted, 1.0, "{why}");
    let (deceived, why) = up(&format!(
        "sslmode=verify-full&sslrootcert={}",
        wrong.display()
    ));
    assert_eq!(deceived, 0.0);
    assert!(
        why.contains("no trusted chain") && !why.contains(PASSWORD),
        "{why}"
    );
    server.only_tls();
    assert_eq!(up("sslmode=disable").0, 0.0);
    assert_eq!(up("sslmode=require").0, 1.0);
}

#[test]
fn a_database_of_many_tables_is_cut_and_counted() {
    let server = Server::with(
        VERSION,
        "max_locks_per_transaction = 20000\nautovacuum = off\n",
    );
    server.sql(
        "DO $$ BEGIN FOR n IN 1..5050 LOOP EXECUTE 'CREATE UNLOGGED TABLE t' || n || '()'; END LOOP; END $$",
    );
    let agent = agent(
        &server.dsn("postgres", PASSWORD, "postgres"),
        ", excludeDatabases: [template0, template1]",
    );
    let body = text(&agent);
    let tables: BTreeSet<&str> = body
        .lines()
        .filter(|line| line.starts_with("pg_stat_user_tables_seq_scan{"))
        .collect();
    assert_eq!(tables.len(), 5000);
    assert!(body.contains("kai_agent_database_rows_cut_total{collector=\"stat_user_tables\"}"));
    assert!(!body.contains("template"), "they are left out");
}
