//! A server together with sessions of its superuser.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use crate::servers::give;
use crate::servers::postgres::{PASSWORD, Process};
use crate::support::wait_for;

pub struct Server {
    process: Process,
    runtime: Runtime,
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A session of the superuser; ends when dropped.
pub struct Session<'a> {
    client: Client,
    runtime: &'a Runtime,
}

impl Session<'_> {
    pub fn run(&self, sql: &str) -> Result<(), String> {
        let done = self.runtime.block_on(self.client.batch_execute(sql));
        done.map_err(|error| {
            let told = error.as_db_error().map(ToString::to_string);
            told.unwrap_or_else(|| error.to_string())
        })
    }

    /// Starts a statement that somebody else will have to end.
    pub fn begin(self, sql: &'static str) -> tokio::task::JoinHandle<()> {
        let client = self.client;
        self.runtime.spawn(async move {
            let _ = client.batch_execute(sql).await;
        })
    }
}

impl Server {
    pub fn start(version: &str) -> Self {
        Self::with(version, "")
    }

    pub fn with(version: &str, settings: &str) -> Self {
        Self::of(Process::start(version, settings))
    }

    pub fn standby_of(primary: &mut Self, slot: &str) -> Self {
        Self::of(Process::standby_of(&mut primary.process, slot))
    }

    fn of(process: Process) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self { process, runtime }
    }

    fn connect(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        let dsn = self.dsn("postgres", PASSWORD, database);
        self.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&dsn, NoTls).await?;
            tokio::spawn(connection);
            Ok(client)
        })
    }

    pub fn session(&self, database: &str) -> Session<'_> {
        Session {
            client: self.connect(database).unwrap(),
            runtime: &self.runtime,
        }
    }

    pub fn sql(&self, sql: &str) {
        self.session("postgres").run(sql).unwrap();
    }

    /// Offers TLS from now on.
    pub fn tls(&self, certificate: &str, key: &str) {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let file = self.data().join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            give(&file);
        }
        self.sql("ALTER SYSTEM SET ssl = on");
        self.sql("SELECT pg_reload_conf()");
        wait_for("TLS to be offered", || {
            let on = self.session("postgres");
            on.run("DO $$ BEGIN ASSERT current_setting('ssl') = 'on'; END $$")
                .ok()
        });
    }

    /// Refuses who comes without TLS from now on.
    pub fn only_tls(&self) {
        let rules = "local all all scram-sha-256\nhostssl all all all scram-sha-256\n";
        fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
        self.sql("SELECT pg_reload_conf()");
        wait_for("the rules to be in force", || {
            self.connect("postgres").err()
        });
    }
}
