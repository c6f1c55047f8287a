//! PostgreSQL servers, looked at when their page is scraped. Families, labels and values are
//! postgres_exporter's, so that its dashboards and rules go on working.
//!
//! Better than there: one connection that is kept instead of several for each scrape; nothing is
//! asked for longer than Prometheus waits, and the server knows the limit, too; a collector that
//! fails says why, and takes nothing else with it; rows are bounded, and what was cut is counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kai_contract::agent_config::{AgentConfig, Database};
use tokio_postgres::SimpleQueryRow;

mod connection;
mod dsn;
pub(crate) mod fuzz;
mod queries;
mod settings;
mod tls;

use crate::exposition::{self, Kind, Page};
use connection::{Failure, Kept};
use queries::{ALL, Collector, Column, Null, Query};

/// What Prometheus's patience is shortened by, so that the answer is there before it gives up.
const OFFSET: Duration = Duration::from_millis(500);
/// Without Prometheus's header.
const WITHOUT_HEADER: Duration = Duration::from_secs(10);
/// Rows of one answer that become samples: a database with a hundred thousand partitions must not
/// fill anybody's memory.
const MOST_ROWS: usize = 5_000;
/// `pg_settings`, whose families are not known beforehand.
const SETTINGS: &str = "settings";

pub type Databases = BTreeMap<String, Arc<Prepared>>;

/// A server, ready to be looked at.
#[derive(Debug)]
pub struct Prepared {
    name: String,
    file: PathBuf,
    timeout: Option<Duration>,
    collectors: Vec<&'static Collector>,
    settings: bool,
    excluded: Vec<String>,
    /// One look at a time.
    kept: tokio::sync::Mutex<Option<Kept>>,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    looks: u64,
    cut: BTreeMap<&'static str, u64>,
    unreadable: BTreeMap<&'static str, u64>,
    /// What the log was told last of each thing that fails.
    told: BTreeMap<&'static str, String>,
}

/// Makes the servers of a configuration ready.
pub fn prepare(config: &AgentConfig) -> Databases {
    let prepared = config.databases.iter().map(|(name, database)| {
        let prepared = Arc::new(Prepared::new(name, database));
        (name.clone(), prepared)
    });
    prepared.collect()
}

/// What came of a look.
#[derive(Debug)]
pub struct Look {
    pub page: Vec<u8>,
    /// A line for each collector, for people.
    pub steps: String,
}

/// A look while it is made.
struct Report {
    page: Page,
    steps: String,
    /// Collectors with how long they took and why they failed.
    collectors: Vec<(&'static str, Duration, Option<Failure>)>,
    /// postgres_exporter's older queries count as one.
    failed: bool,
}

impl Prepared {
    fn new(name: &str, database: &Database) -> Self {
        let named = |list: &[String], name: &str| list.iter().any(|one| one == name);
        let runs = |name: &str, opt_in: bool| {
            !named(&database.disable, name) && (!opt_in || named(&database.enable, name))
        };
        Self {
            name: name.to_owned(),
            file: database.dsn_file.clone(),
            timeout: database.timeout_ms.map(Duration::from_millis),
            collectors: ALL
                .into_iter()
                .filter(|collector| runs(collector.name, collector.opt_in))
                .collect(),
            settings: runs(SETTINGS, false),
            excluded: database.exclude_databases.clone(),
            kept: tokio::sync::Mutex::default(),
            memory: Mutex::default(),
        }
    }

    /// How long a look may take, given what Prometheus said about its own patience.
    pub fn limit(&self, patience: Option<Duration>) -> Duration {
        let patience = patience.unwrap_or(WITHOUT_HEADER);
        // Prometheus gives up before half a second; be earlier than it all the same.
        let patience = patience.checked_sub(OFFSET).unwrap_or(patience / 2);
        self.timeout.map_or(patience, |own| own.min(patience))
    }

    /// Looks. The page says what could be seen, also when that is nothing.
    pub async fn look(&self, limit: Duration) -> Look {
        let started = Instant::now();
        let until = started + limit;
        let mut report = Report {
            page: Page::default(),
            steps: String::new(),
            collectors: Vec::new(),
            failed: false,
        };
        let up = match tokio::time::timeout_at(until.into(), self.kept.lock()).await {
            Ok(mut kept) => self.ask(&mut kept, until, &mut report).await,
            Err(_) => Err(Failure::new("busy", "an earlier look has not ended")),
        };
        if let Err(failure) = &up {
            let _ = writeln!(report.steps, "✗ connection: {}", failure.text);
        }
        self.tell("connection", up.as_ref().err());
        self.finish(&mut report, up.is_ok(), started.elapsed());
        let mut page = Vec::new();
        exposition::merge([&report.page], &mut page);
        Look {
            page,
            steps: report.steps,
        }
    }

    /// Asks everything. An error says that the server could not be reached at all.
    async fn ask(
        &self,
        kept: &mut Option<Kept>,
        until: Instant,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let mut fresh = false;
        if !kept.as_ref().is_some_and(Kept::is_open) {
            *kept = Some(Kept::open(&self.file, until).await?);
            fresh = true;
        }
        loop {
            let Some(server) = kept.as_ref() else {
                return Err(Failure::new("connection", "there is none"));
            };
            let first = server.rows("SELECT 1", 1, until).await;
            match first {
                Ok(_) => {}
                // The one that was kept died while nobody looked: a server that was restarted, a
                // firewall that forgot it.
                Err(failure) if !fresh && failure.code != "time" => {
                    *kept = None;
                    *kept = Some(Kept::open(&self.file, until).await?);
                    fresh = true;
                    continue;
                }
                Err(failure) => {
                    *kept = None;
                    return Err(failure);
                }
            }
            write_static(&mut report.page, server);
            let _ = writeln!(report.steps, "· {} is {}", server.server, server.about);
            for collector in &self.collectors {
                let begun = Instant::now();
                let answer = self
                    .collect(server, collector, until, &mut report.page)
                    .await;
                report.told(collector.name, begun.elapsed(), answer);
            }
            if self.settings {
                let begun = Instant::now();
                let answer = self.settings(server, until, &mut report.page).await;
                report.told(SETTINGS, begun.elapsed(), answer);
            }
            if !server.is_open() {
                *kept = None;
            }
            return Ok(());
        }
    }

    async fn collect(
        &self,
        server: &Kept,
        collector: &'static Collector,
        until: Instant,
        page: &mut Page,
    ) -> Result<usize, Failure> {
        let mut seen = 0;
        let mut failed = None;
        for query in collector.queries {
            let Some(sql) = query.sql.at(server.version) else {
                continue;
            };
            let answer = self
                .rows(server, until, collector.name, sql, query.labels)
                .await;
            let written = answer.and_then(|mut rows| {
                if rows.len() > MOST_ROWS {
                    let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
                    *memory.cut.entry(collector.name).or_default() += 1;
                    rows.truncate(MOST_ROWS);
                }
                write(query, &rows, &server.server, page).map(|()| rows.len())
            });
            match written {
                Ok(rows) => seen += rows,
                // What the others of its queries say is true all the same.
                Err(failure) => failed = Some(failure),
            }
        }
        failed.map_or(Ok(seen), Err)
    }

    async fn settings(
        &self,
        server: &Kept,
        until: Instant,
        page: &mut Page,
    ) -> Result<usize, Failure> {
        let rows = self
            .rows(server, until, SETTINGS, settings::SQL, &[])
            .await?;
        settings::write(&rows, &server.server, page).map_err(|why| Failure::new("value", why))?;
        Ok(rows.len())
    }

    /// The rows of a query, without those of databases that are left out.
    async fn rows(
        &self,
        server: &Kept,
        until: Instant,
        whose: &'static str,
        sql: &str,
        labels: &[&str],
    ) -> Result<Vec<SimpleQueryRow>, Failure> {
        let mut rows = server.rows(sql, MOST_ROWS + 1, until).await?;
        // Names of databases and roles are shared by all databases of a server, in whatever encoding
        // theirs is, and come as they are.
        let before = rows.len();
        rows.retain(|row| (0..row.len()).all(|at| row.try_get(at).is_ok()));
        if rows.len() < before {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            *memory.unreadable.entry(whose).or_default() += (before - rows.len()) as u64;
        }
        if !self.excluded.is_empty()
            && let Some(at) = labels
                .iter()
                .position(|label| ["datname", "database"].contains(label))
        {
            rows.retain(|row| {
                let name = row.get(at).unwrap_or_default();
                !self.excluded.iter().any(|excluded| excluded == name)
            });
        }
        Ok(rows)
    }

    /// Tells the log what began to fail, or fails for another reason, or is well again.
    fn tell(&self, what: &'static str, failure: Option<&Failure>) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let before = memory.told.get(what);
        match failure {
            Some(failure) if before != Some(&failure.code) => {
                tracing::warn!(
                    database = self.name,
                    what,
                    reason = failure.text,
                    "cannot look"
                );
                memory.told.insert(what, failure.code.clone());
            }
            None if before.is_some() => {
                tracing::info!(database = self.name, what, "can look again");
                memory.told.remove(what);
            }
            _ => {}
        }
    }

    /// What postgres_exporter says of itself.
    fn finish(&self, report: &mut Report, up: bool, took: Duration) {
        for (name, _, failure) in &report.collectors {
            self.tell(name, failure.as_ref());
        }
        let Report {
            page,
            collectors,
            failed,
            ..
        } = report;
        let told = || collectors.iter();
        let mut family = page.family(
            "pg_scrape_collector_duration_seconds",
            "postgres_exporter: Duration of a collector scrape.",
            Kind::Gauge,
        );
        for (name, took, _) in told() {
            family.sample(&[("collector", name.as_bytes())], took.as_secs_f64());
        }
        drop(family);
        let mut family = page.family(
            "pg_scrape_collector_success",
            "postgres_exporter: Whether a collector succeeded.",
            Kind::Gauge,
        );
        for (name, _, failure) in told() {
            let success = f64::from(u8::from(failure.is_none()));
            family.sample(&[("collector", name.as_bytes())], success);
        }
        drop(family);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.looks += 1;
        for (metric, help, counts) in [
            (
                "kai_agent_database_rows_cut_total",
                "Answers of which only the first rows were taken.",
                &memory.cut,
            ),
            (
                "kai_agent_database_rows_unreadable_total",
                "Rows that were left out because a name in them is not UTF-8.",
                &memory.unreadable,
            ),
        ] {
            let mut family = page.family(metric, help, Kind::Counter);
            for (name, count) in counts {
                family.sample(&[("collector", name.as_bytes())], *count as f64);
            }
        }
        for (name, help, kind, value) in [
            (
                "pg_exporter_last_scrape_duration_seconds",
                "Duration of the last scrape of metrics from PostgreSQL.",
                Kind::Gauge,
                took.as_secs_f64(),
            ),
            (
                "pg_exporter_last_scrape_error",
                "Whether the last scrape of metrics from PostgreSQL resulted in an error (1 for \
                 error, 0 for success).",
                Kind::Gauge,
                f64::from(u8::from(*failed || !up)),
            ),
            (
                "pg_exporter_scrapes_total",
                "Total number of times PostgreSQL was scraped for metrics.",
                Kind::Counter,
                memory.looks as f64,
            ),
            (
                "pg_up",
                "Whether the last scrape of metrics from PostgreSQL was able to connect to the \
                 server (1 for yes, 0 for no).",
                Kind::Gauge,
                f64::from(u8::from(up)),
            ),
        ] {
            page.single(name, help, kind, value);
        }
    }
}

impl Report {
    fn told(&mut self, name: &'static str, took: Duration, answer: Result<usize, Failure>) {
        let millis = took.as_secs_f64() * 1e3;
        // Writing to a String does not fail.
        let _ = match &answer {
            Ok(rows) => writeln!(self.steps, "· {name}: {rows} rows in {millis:.1} ms"),
            Err(failure) => writeln!(self.steps, "✗ {name}: {}", failure.text),
        };
        self.failed |= answer.is_err();
        self.collectors.push((name, took, answer.err()));
    }
}

/// `pg_static`: which version runs.
fn write_static(page: &mut Page, server: &Kept) {
    let mut family = page.family(
        "pg_static",
        "Version string as reported by postgres",
        Kind::Untyped,
    );
    let short = short_version(&server.about).unwrap_or_default();
    let labels: [(&str, &[u8]); 3] = [
        ("server", server.server.as_bytes()),
        ("short_version", short.as_bytes()),
        ("version", server.about.as_bytes()),
    ];
    family.sample(&labels, 1.0);
}

/// `15.15.0` of `PostgreSQL 15.15 on …`: always three numbers.
fn short_version(about: &str) -> Option<String> {
    let word = about.split_whitespace().nth(1)?;
    let digits = word
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .map_or(word, |end| &word[..end]);
    let mut parts: Vec<&str> = digits
        .split('.')
        .filter(|part| !part.is_empty())
        .take(3)
        .collect();
    if parts.is_empty() {
        return None;
    }
    parts.resize(3, "0");
    Some(parts.join("."))
}

/// Turns the rows of an answer into the families of its query.
fn write(
    query: &Query,
    rows: &[SimpleQueryRow],
    server: &str,
    page: &mut Page,
) -> Result<(), Failure> {
    let first = query.labels.len();
    let read = |row: &SimpleQueryRow, index: usize, column: &Column| match row.get(first + index) {
        None => Ok(None),
        Some(text) => value(text).map(Some).ok_or_else(|| {
            Failure::new(
                "value",
                format!("{} is \"{text}\", which is no number", column.metric),
            )
        }),
    };
    let whole = |row: &&SimpleQueryRow| {
        query.null != Null::Row
            || (0..query.columns.len()).all(|index| row.get(first + index).is_some())
    };
    // A row without its label's name is nobody's.
    for (index, column) in query.columns.iter().enumerate() {
        let mut family = page.family(column.metric, column.help, column.kind);
        for row in rows.iter().filter(whole) {
            let value = match (read(row, index, column)?, query.null) {
                (Some(value), _) => value,
                (None, Null::Zero) => 0.0,
                (None, Null::NaN) => f64::NAN,
                (None, Null::Skip | Null::Row) => continue,
            };
            let mut labels: Vec<(&str, &[u8])> = query
                .labels
                .iter()
                .enumerate()
                .map(|(at, name)| (*name, row.get(at).unwrap_or_default().as_bytes()))
                .collect();
            if query.server {
                let at = labels.partition_point(|(name, _)| *name < "server");
                labels.insert(at, ("server", server.as_bytes()));
            }
            family.sample(&labels, value);
        }
    }
    Ok(())
}

/// A number or a switch, as the server writes it.
fn value(text: &str) -> Option<f64> {
    match text {
        "t" => Some(1.0),
        "f" => Some(0.0),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers() {
        let short = |text| short_version(text).unwrap_or_default();
        assert_eq!(short("PostgreSQL 15.15 on x86_64-pc-linux-gnu"), "15.15.0");
        assert_eq!(short("PostgreSQL 18beta1 on x86_64"), "18.0.0");
        assert_eq!(short("EnterpriseDB 9.6.2.7 on x"), "9.6.2");
        assert_eq!(short("PostgreSQL"), "");
        assert_eq!(short("PostgreSQL devel"), "");
    }

    #[test]
    fn values_are_numbers_and_switches() {
        assert_eq!(value("t"), Some(1.0));
        assert_eq!(value("f"), Some(0.0));
        assert_eq!(value("-1"), Some(-1.0));
        assert_eq!(value("1.5e+20"), Some(1.5e20));
        assert!(value("NaN").unwrap().is_nan());
        assert_eq!(value("yes"), None);
        assert_eq!(value(""), None);
    }

    #[test]
    fn who_scrapes_is_answered_in_time() {
        let database = |timeout_ms| Database {
            dsn_file: "/x".into(),
            team: None,
            timeout_ms,
            enable: Vec::new(),
            disable: Vec::new(),
            exclude_databases: Vec::new(),
        };
        let limit = |own, patience: Option<u64>| {
            let prepared = Prepared::new("a", &database(own));
            prepared
                .limit(patience.map(Duration::from_millis))
                .as_millis()
        };
        assert_eq!(limit(None, Some(10_000)), 9_500);
        assert_eq!(limit(Some(2_000), Some(10_000)), 2_000);
        assert_eq!(limit(Some(20_000), Some(10_000)), 9_500);
        assert_eq!(limit(None, Some(400)), 200);
        assert_eq!(limit(None, None), 9_500);
    }

    #[test]
    fn collectors_can_be_chosen() {
        let database = Database {
            dsn_file: "/x".into(),
            team: None,
            timeout_ms: None,
            enable: vec!["stat_statements".to_owned()],
            disable: vec!["settings".to_owned(), "locks".to_owned()],
            exclude_databases: Vec::new(),
        };
        let prepared = Prepared::new("a", &database);
        let runs = |name| prepared.collectors.iter().any(|c| c.name == name);
        assert!(runs("stat_statements") && runs("database"));
        assert!(!runs("locks") && !runs("postmaster") && !prepared.settings);
    }
}
