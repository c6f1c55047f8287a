//! Ours beside postgres_exporter: families, help, types and labels as it was recorded with each
//! version of the server, and, if the program is here, values that do not move.
//!
//! `bench/postgres/compare` brings the program; with `KAI_BLESS=1` it records anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::server::Server;
use super::{agent, text};
use crate::compare::fetch;
use crate::servers::postgres::PASSWORD;
use crate::support::{free_address, wait_for};

const VERSIONS: [&str; 4] = ["13.23.0", "15.15.0", "17.7.0", "18.1.0"];

/// Ours alone, or of no use: each stands in docs/reference/databases.md.
const OURS: [&str; 3] = [
    "pg_scrape_collector_",
    "pg_stat_checkpointer_",
    "kai_agent_database_",
];
const THEIRS: [&str; 1] = ["pg_stat_replication_reply_time"];

#[test]
fn families_are_those_of_postgres_exporter() {
    for version in VERSIONS {
        let server = fixture(version);
        let agent = agent(&server.dsn("postgres", PASSWORD, "postgres"), "");
        let ours = shape(&text(&agent), &server.port);
        let major = version.split('.').next().unwrap();
        let file = recorded(major);
        if let Some(exporter) = Exporter::start(&server) {
            let theirs = exporter.page();
            let (equal, moved) = compare_values(&text(&agent), &theirs, &exporter.page());
            println!("PostgreSQL {version}: {equal} series equal, {moved} move");
            let theirs = shape(&theirs, &server.port);
            if std::env::var_os("KAI_BLESS").is_some() {
                let lines: Vec<&str> = theirs.iter().map(String::as_str).collect();
                fs::write(&file, lines.join("\n") + "\n").unwrap();
            }
        }
        let theirs = fs::read_to_string(&file).unwrap();
        let theirs: BTreeSet<String> = theirs.lines().map(str::to_owned).collect();
        let named = |line: &&String, names: &[&str]| names.iter().any(|name| line.contains(name));
        let missing: Vec<_> = theirs
            .difference(&ours)
            .filter(|line| !named(line, &THEIRS))
            .collect();
        let more: Vec<_> = ours
            .difference(&theirs)
            .filter(|line| !named(line, &OURS))
            .collect();
        assert!(
            missing.is_empty() && more.is_empty(),
            "PostgreSQL {version}: missing {missing:#?}, more {more:#?}"
        );
        println!(
            "PostgreSQL {version}: {} lines as postgres_exporter's",
            theirs.len()
        );
    }
}

fn recorded(major: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/agent/expected/postgres");
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{major}.prom"))
}

/// A server in which every family has a series.
fn fixture(version: &str) -> Server {
    let server = Server::with(version, "wal_level = logical\nautovacuum = off\n");
    server.sql("CREATE DATABASE ticketing CONNECTION LIMIT 40");
    server.sql("CREATE ROLE booking LOGIN CONNECTION LIMIT 7");
    server.sql("CREATE TABLE seats (id int PRIMARY KEY, class text)");
    server.sql("INSERT INTO seats SELECT n, 'eksekutif' FROM generate_series(1, 50) n");
    server.sql("CREATE SCHEMA audit");
    server.sql("CREATE TABLE audit.\"odd \"\"name\\\" (n int)");
    server.sql("VACUUM ANALYZE seats");
    server.sql("SELECT pg_create_physical_replication_slot('standby_1', true)");
    server.sql("SELECT pg_create_logical_replication_slot('cdc', 'test_decoding')");
    server
}

/// What of a page does not depend on the moment: comments, and series without their values.
fn shape(page: &str, port: &str) -> BTreeSet<String> {
    let lines = page.lines().filter_map(|line| {
        if line.starts_with("# ") {
            return Some(line.to_owned());
        }
        let (series, _) = line.rsplit_once(' ')?;
        // Who is connected differs between the two.
        if series.starts_with("pg_stat_activity_") && !series.contains("application_name=\"\"") {
            return None;
        }
        if series.contains("backend_type=\"client backend\"") {
            return None;
        }
        let idle = "state=\"idle\"";
        let active = "state=\"active\"";
        if series.starts_with("pg_stat_activity_")
            && (series.contains(idle) || series.contains(active))
        {
            return None;
        }
        Some(series.replace(&format!("127.0.0.1:{port}"), "SERVER"))
    });
    lines.collect()
}

/// How many series are equal and how many move; panics with those that differ and do not move.
fn compare_values(ours: &str, before: &str, after: &str) -> (usize, usize) {
    let read = |page: &str| -> BTreeMap<String, String> {
        page.lines()
            .filter(|line| line.starts_with("pg_") && !line.starts_with("pg_exporter_"))
            .filter(|line| !line.starts_with("pg_scrape_"))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(series, value)| (series.to_owned(), value.to_owned()))
            .collect()
    };
    let (ours, before, after) = (read(ours), read(before), read(after));
    let (mut equal, mut moved, mut wrong) = (0, 0, Vec::new());
    for (series, value) in &before {
        let Some(own) = ours.get(series) else {
            continue;
        };
        // The setting of a session that its library makes.
        if series.starts_with("pg_settings_extra_float_digits") {
            continue;
        }
        if own == value {
            equal += 1;
        } else if after.get(series) != Some(value) {
            moved += 1;
        } else {
            wrong.push(format!("{series}: ours {own}, theirs {value}"));
        }
    }
    // What their own questions count up stands still between their two looks only by chance.
    let counted = |line: &String| {
        [
            "xact_commit",
            "blks_",
            "tup_",
            "wal_",
            "lsn",
            "_blocks_",
            "buffers_alloc",
            "active_time",
            "seq_",
            "idx_",
            "numbackends",
        ]
        .iter()
        .any(|part| line.contains(part))
    };
    wrong.retain(|line| !counted(line));
    assert!(wrong.is_empty(), "{wrong:#?}");
    (equal, moved)
}

struct Exporter {
    address: String,
    child: Child,
}

impl Exporter {
    /// None if the program is not here.
    fn start(server: &Server) -> Option<Self> {
        let Some(program) = std::env::var_os("KAI_POSTGRES_EXPORTER") else {
            println!("values not compared: bench/postgres/compare brings postgres_exporter");
            return None;
        };
        let address = free_address();
        let dsn = format!(
            "{}?sslmode=disable",
            server.dsn("postgres", PASSWORD, "postgres")
        );
        let child = Command::new(program)
            .arg(format!("--web.listen-address={address}"))
            .env("DATA_SOURCE_NAME", dsn)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let exporter = Self { address, child };
        wait_for("postgres_exporter", || {
            std::net::TcpStream::connect(&exporter.address).ok()
        });
        Some(exporter)
    }

    /// Its own figures without those of its process.
    fn page(&self) -> String {
        let stream = std::net::TcpStream::connect(&self.address).unwrap();
        let page = fetch(stream);
        let own = |line: &&str| {
            line.trim_start_matches("# HELP ")
                .trim_start_matches("# TYPE ")
                .starts_with("pg_")
        };
        let lines: Vec<&str> = page.lines().filter(own).collect();
        lines.join("\n")
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
