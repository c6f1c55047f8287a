//! One connection to a server, kept between two looks. A kept one still sees a server whose
//! connections are all taken, which is when somebody wants to look.

use std::error::Error as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow, Socket};

use super::dsn::{self, Dsn};
use super::tls::Tls;
use crate::probes;

/// A connection string that is longer is none.
const LONGEST_DSN: usize = 64 << 10;
/// How long a query waits for who holds a table exclusively.
const LOCK_WAIT: Duration = Duration::from_millis(500);
/// The server gives up this much before we do, so that its answer is an answer.
const HEAD_START: Duration = Duration::from_millis(50);

/// Why there is no answer: the code for the log's memory, the text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: String,
    pub text: String,
}

impl Failure {
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            text: text.into(),
        }
    }

    fn of(error: &tokio_postgres::Error) -> Self {
        let Some(told) = error.as_db_error() else {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(one) = cause {
                let one_text = one.to_string();
                if !text.contains(&one_text) {
                    text.push_str(": ");
                    text.push_str(&one_text);
                }
                cause = one.source();
            }
            return Self::new("connection", text);
        };
        let advice = match *told.code() {
            SqlState::INSUFFICIENT_PRIVILEGE => "; GRANT pg_monitor to the role that asks",
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                "; look at the user, the password and pg_hba.conf"
            }
            SqlState::TOO_MANY_CONNECTIONS => {
                "; pg_monitor and reserved_connections keep one free for who looks"
            }
            SqlState::LOCK_NOT_AVAILABLE => "; a session holds a table exclusively",
            SqlState::QUERY_CANCELED => "; the server did not answer in time",
            _ => "",
        };
        let text = format!("{} ({}){advice}", told.message(), told.code().code());
        Self::new(told.code().code(), text)
    }
}

#[derive(Debug)]
pub struct Kept {
    client: Client,
    /// Moves the bytes; ends with the connection.
    driver: JoinHandle<()>,
    /// `server_version_num`: 150015 is 15.15.
    pub version: u32,
    /// What `version()` says.
    pub about: String,
    /// `host:port`
    pub server: String,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Kept {
    /// Connects as the file says, which is read anew each time: passwords change.
    pub async fn open(file: &Path, until: Instant) -> Result<Self, Failure> {
        let Dsn {
            mut config,
            tls,
            server,
        } = read(file)?;
        let left = until.saturating_duration_since(Instant::now());
        config.connect_timeout(left.max(Duration::from_millis(1)));
        let opened = async {
            match tls {
                None => connect(&config, NoTls).await,
                Some(settings) => {
                    // Files, and a few hundred certificates to parse.
                    let prepared =
                        tokio::task::spawn_blocking(move || probes::client_config(&settings)).await;
                    let prepared = prepared
                        .unwrap_or_else(|error| Err(error.to_string()))
                        .map_err(|why| Failure::new("tls", why))?;
                    connect(&config, Tls(Arc::new(prepared))).await
                }
            }
        };
        let (client, driver) = within(until, opened).await?;
        let mut kept = Self {
            client,
            driver,
            version: 0,
            about: String::new(),
            server,
        };
        let sql = "SELECT current_setting('server_version_num'), version()";
        let rows = kept.rows(sql, 1, until).await?;
        let row = rows.first();
        let text = |index: usize| row.and_then(|row| row.get(index)).unwrap_or_default();
        kept.version = text(0).parse().unwrap_or_default();
        text(1).clone_into(&mut kept.about);
        Ok(kept)
    }

    pub fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// At most so many rows of a query, which changes nothing and ends in time. One message is one
    /// transaction, so that it also passes a pooler that hands out connections by transaction.
    pub async fn rows(
        &self,
        sql: &str,
        most: usize,
        until: Instant,
    ) -> Result<Vec<SimpleQueryRow>, Failure> {
        let left = until.saturating_duration_since(Instant::now());
        let millis = left.saturating_sub(HEAD_START).as_millis();
        if millis == 0 {
            return Err(Failure::new("time", "there was no time left for it"));
        }
        let lock = LOCK_WAIT.as_millis().min(millis);
        let message = format!(
            "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {millis}; \
             SET LOCAL lock_timeout = {lock}; SELECT * FROM ({sql}) AS asked LIMIT {most}"
        );
        let asked = async {
            let answer = self.client.simple_query(&message).await;
            answer.map_err(|error| Failure::of(&error))
        };
        let answer = within(until, asked).await?;
        let rows = answer.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }
}

async fn within<T>(
    until: Instant,
    what: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let ended = tokio::time::timeout_at(until.into(), what).await;
    ended.unwrap_or_else(|_| Err(Failure::new("time", "no answer in time")))
}

fn read(file: &Path) -> Result<Dsn, Failure> {
    let failure = |why: String| Failure::new("dsn", format!("{}: {why}", file.display()));
    let about = std::fs::metadata(file).map_err(|error| failure(error.to_string()))?;
    // A pipe or a device could keep us for ever.
    if !about.is_file() {
        return Err(failure("it is no file".to_owned()));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(LONGEST_DSN as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| failure(error.to_string()))?;
    if bytes.len() > LONGEST_DSN {
        return Err(failure("it is too long for a connection string".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|_| failure("it is not UTF-8".to_owned()))?;
    dsn::parse(&text).map_err(failure)
}

async fn connect<T>(config: &Config, tls: T) -> Result<(Client, JoinHandle<()>), Failure>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, connection) = config
        .connect(tls)
        .await
        .map_err(|error| Failure::of(&error))?;
    let driver = tokio::spawn(async move {
        // Whoever asks next is told; notices of the server go nowhere.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to a database ended");
        }
    });
    Ok((client, driver))
}
