//! `kai-observe inbox`: binds, serves until told to stop, then answers what is in flight and ends.

mod api;
mod guard;
mod limit;
mod metrics;
mod page;
mod state;
mod vendors;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::InboxError;
use super::slack::SlackError;
use super::smtp::server as smtp;
use super::store::journal::Journal;
use super::store::{Retention, Store};
pub use state::App;

/// Connections served at once; more wait in the kernel's queue.
const HTTP_CONNECTIONS: usize = 512;
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// What is in flight may finish this long after the signal.
const GRACE: Duration = Duration::from_secs(5);

/// How to run an inbox. `new` gives what a local stack wants.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    pub http: SocketAddr,
    pub smtp: SocketAddr,
    /// Holds the messages; created when absent. One inbox per folder.
    pub dir: PathBuf,
    /// Linked from the page.
    pub alertmanager: Option<String>,
    pub prometheus: Option<String>,
    /// Names besides loopback and the listening address under which the page may be asked for.
    pub allowed_hosts: Vec<String>,
    pub retention: Retention,
    pub mail: MailLimits,
    pub vendors: VendorRules,
}

/// What the mail server takes.
#[derive(Debug, Clone)]
pub struct MailLimits {
    pub max_message: usize,
    pub max_recipients: usize,
    pub connections: usize,
}

impl Default for MailLimits {
    fn default() -> Self {
        Self {
            max_message: 10 << 20,
            max_recipients: 100,
            connections: 64,
        }
    }
}

/// What the vendors enforce beyond the form of a request. Off by default: a drill must not fail
/// because of its own speed.
#[derive(Debug, Clone, Default)]
pub struct VendorRules {
    /// PagerDuty answers `429` above this, per integration key; its support names 120 a minute.
    pub pagerduty_per_minute: Option<u32>,
    /// Slack answers `429` above this, per webhook; its documentation names one a second.
    pub slack_per_minute: Option<u32>,
    /// Webhooks, by their `B…` id, that answer with an error whatever is sent: a removed service,
    /// an archived channel.
    pub slack_faults: BTreeMap<String, SlackError>,
}

impl ServeOptions {
    pub fn new(http: SocketAddr, smtp: SocketAddr, dir: PathBuf) -> Self {
        Self {
            http,
            smtp,
            dir,
            alertmanager: None,
            prometheus: None,
            allowed_hosts: Vec::new(),
            retention: Retention::default(),
            mail: MailLimits::default(),
            vendors: VendorRules::default(),
        }
    }
}

/// Serves until SIGTERM or SIGINT.
pub async fn serve(options: ServeOptions) -> Result<(), InboxError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(InboxError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(InboxError::Signals)?;
    let running = start(options).await?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    running.stop().await
}

/// An inbox that serves in the background.
#[derive(Debug)]
pub struct Running {
    pub http: SocketAddr,
    pub smtp: SocketAddr,
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
    journal: JoinHandle<()>,
}

impl Running {
    /// `http://127.0.0.1:7071`
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Lets what is in flight finish, then ends.
    pub async fn stop(mut self) -> Result<(), InboxError> {
        self.stopping.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE * 2, all).await.is_err() {
            tracing::warn!("some connections did not end in time; closed");
            self.tasks.shutdown().await;
        }
        let journal = self.journal;
        drop(tokio::task::spawn_blocking(move || journal.join()).await);
        tracing::info!("stopped");
        Ok(())
    }
}

/// Binds and begins to serve; returns when both ports accept.
pub async fn start(options: ServeOptions) -> Result<Running, InboxError> {
    let http = bind("HTTP", options.http).await?;
    let mail = bind("SMTP", options.smtp).await?;
    let (http_addr, smtp_addr) = (local(&http, options.http), local(&mail, options.smtp));
    if !http_addr.ip().is_loopback() || !smtp_addr.ip().is_loopback() {
        tracing::warn!("listening beyond this machine: the inbox has no authentication");
    }
    let (dir, retention) = (options.dir.clone(), options.retention);
    let opened = tokio::task::spawn_blocking(move || Store::open(&dir, retention)).await;
    let (store, recovery) = opened.map_err(|_| super::store::StoreError::Closed)??;
    tracing::info!(messages = recovery.messages, dir = %options.dir.display(), "opened the store");
    if recovery.torn_bytes > 0 {
        tracing::warn!(
            bytes = recovery.torn_bytes,
            "the last record was half written when the inbox was killed; moved to torn.part"
        );
    }
    if recovery.damaged > 0 {
        tracing::warn!(
            lines = recovery.damaged,
            "records that cannot be read are not shown"
        );
    }
    let (journal, thread) = Journal::start(store).map_err(InboxError::Thread)?;
    let (stopping, stopped) = watch::channel(false);
    let limits = options.mail.clone();
    let app = Arc::new(App::new(
        journal,
        options,
        http_addr,
        recovery,
        stopped.clone(),
    ));

    let mut tasks = JoinSet::new();
    tasks.spawn(serve_http(http, router(Arc::clone(&app)), stopped.clone()));
    tasks.spawn(smtp::serve(mail, Arc::clone(&app), limits, stopped.clone()));
    tasks.spawn(state::keep_heartbeats(app, stopped));
    tracing::info!(http = %http_addr, smtp = %smtp_addr, "the inbox is open");
    Ok(Running {
        http: http_addr,
        smtp: smtp_addr,
        stopping,
        tasks,
        journal: thread,
    })
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, InboxError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| InboxError::Bind {
            what,
            address,
            source,
        })
}

fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// Every path that is answered, in one place.
fn router(app: Arc<App>) -> Router {
    let readers = Router::new()
        .route("/", get(page::index))
        .route("/app.js", get(page::script))
        .route("/style.css", get(page::style))
        .route("/api/messages", get(api::messages))
        .route("/api/messages/{id}", get(api::message))
        .route("/api/messages/{id}/html", get(api::html))
        .route("/api/heartbeats", get(api::heartbeats))
        .route("/api/about", get(api::about))
        .route("/metrics", get(metrics::page))
        .route("/healthz", get(api::healthy))
        .route("/-/healthy", get(api::healthy))
        .route("/-/ready", get(api::healthy))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&app),
            guard::readers,
        ));
    let vendors = Router::new()
        .route("/v2/enqueue", post(vendors::pagerduty_alert))
        .route("/v2/change/enqueue", post(vendors::pagerduty_change))
        .route("/services/{*hook}", post(vendors::slack))
        .route("/heartbeat/{name}", post(vendors::heartbeat));
    readers
        .merge(vendors)
        .fallback(api::not_found)
        .with_state(app)
}

async fn serve_http(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else {
            break;
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(router.clone()),
            );
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("HTTP requests still in flight were cut off");
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, place)),
            Err(error) => {
                // Out of file descriptors, mostly: it passes, a busy loop would not help.
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
