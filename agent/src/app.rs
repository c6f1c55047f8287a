//! `kai-agent run`: the only place that knows how the parts are wired. Opens the listeners, says
//! where they are, starts the parts, waits for a signal, drains.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::ConfigError;
use crate::http::{self, AdminSocket, Listener, admin, pages};
use crate::kubernetes::Cluster;
use crate::reload::{self, Reloader, Trigger};
use crate::samples::{self, Follower};
use crate::scrape::round;
use crate::settle::settle;
use crate::state::State;
use crate::{
    business, check, discovery, logs, otlp_metrics, remote_write, rotate, security, traces,
};

/// Requests are few and short, and what may take long runs elsewhere (the collectors on threads of
/// their own, files on the blocking pool). A second thread would be woken by every scrape.
const WORKERS: usize = 1;

/// A little more than the servers take to drain.
const END_TIMEOUT: Duration = Duration::from_secs(4);

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("cannot listen on {address}: {source}{hint}")]
    Listen {
        address: String,
        source: io::Error,
        hint: &'static str,
    },
    #[error("{0}")]
    Socket(String),
    #[error("cannot follow the node's pods: {reason}")]
    Kubernetes { reason: String },
    #[error("cannot start remote write: {reason}")]
    RemoteWrite { reason: String },
    #[error("cannot {what}: {source}")]
    System {
        what: &'static str,
        source: io::Error,
    },
}

/// Runs until a signal ends it.
pub fn run(file: &Path) -> Result<(), RunError> {
    let file = std::path::absolute(file).map_err(|source| RunError::System {
        what: "find the working folder",
        source,
    })?;
    let loaded = check::load(&file)?;
    let runtime = runtime()?;
    let cluster = loaded.config.kubernetes.as_ref().map(|config| {
        Cluster::new(config, |name| std::env::var(name).ok())
            .map_err(|reason| RunError::Kubernetes { reason })
    });
    let cluster = cluster.transpose()?.map(Arc::new);
    let state = Arc::new(State::new(file, loaded, cluster));
    let result = runtime.block_on(serve(state));
    // Threads may hang in the kernel; they end with the process.
    runtime.shutdown_background();
    result
}

fn runtime() -> Result<Runtime, RunError> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .map_err(|source| RunError::System {
            what: "start threads",
            source,
        })
}

async fn serve(state: Arc<State>) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let config = state.in_force.load().config.clone();
    let listener = listen(&config.listen).await?;
    let admin = match &config.admin.socket {
        Some(path) => {
            Some(AdminSocket::bind(path).map_err(|error| RunError::Socket(error.to_string()))?)
        }
        None => None,
    };
    let reloader = Arc::new(Reloader::new(Arc::clone(&state)));
    business::start(&state);
    let (ends, shutdown) = watch::channel(false);
    let mut parts = JoinSet::new();

    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "serving /metrics");
    }
    let shared = Arc::clone(&state);
    let handler = move |request| pages::handle(Arc::clone(&shared), request);
    parts.spawn(http::serve(
        Listener::Tcp(listener),
        handler,
        shutdown.clone(),
    ));
    // Held until the end: its file goes with it.
    let _socket = admin.map(|(socket, listener)| {
        let (shared, reloader) = (Arc::clone(&state), Arc::clone(&reloader));
        let handler =
            move |request| admin::handle(Arc::clone(&shared), Arc::clone(&reloader), request);
        parts.spawn(http::serve(
            Listener::Unix(listener),
            handler,
            shutdown.clone(),
        ));
        socket
    });
    parts.spawn(reload::watch(Arc::clone(&reloader), shutdown.clone()));
    if let Some(cluster) = &state.cluster {
        parts.spawn(Arc::clone(cluster).run(shutdown.clone()));
    }
    parts.spawn(discovery::run(Arc::clone(&state), shutdown.clone()));
    parts.spawn(business::run(Arc::clone(&state), shutdown.clone()));
    parts.spawn(logs::run(Arc::clone(&state), shutdown.clone()));
    parts.spawn(security::run(Arc::clone(&state), shutdown.clone()));
    if let Some(lane) = trace_lane(&state, &shutdown)? {
        parts.spawn(lane);
    }
    let followers = followers(&state, &shutdown, &mut parts)?;
    if let Some(store) = &state.otlp_metrics {
        let store = Arc::clone(store);
        let followers = followers.clone();
        parts.spawn(otlp_metrics::follow(store, followers, shutdown.clone()));
    }
    let shared = Arc::clone(&state);
    parts.spawn(round::run(shared, followers, shutdown.clone()));
    parts.spawn(rotate::run(Arc::clone(&state), shutdown));
    // The first run of the collectors, so that the agent becomes ready without being asked.
    let first = Arc::clone(&state);
    tokio::spawn(async move {
        first.metrics_page(None).await;
        settle().await;
    });
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %state.file.display(),
        hash = %state.in_force.load().hash,
        "kai-agent runs"
    );

    signals.wait(&reloader).await;
    let _ = ends.send(true); // every part has a receiver, or has ended
    let drained = tokio::time::timeout(END_TIMEOUT, async {
        while parts.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!("some parts did not end in time and are cut off");
    }
    tracing::info!("kai-agent ends");
    Ok(())
}

/// Opens the OTLP receivers and starts the lane behind them, if the configuration has one.
fn trace_lane(
    state: &Arc<State>,
    shutdown: &watch::Receiver<bool>,
) -> Result<Option<impl Future<Output = ()> + Send + 'static>, RunError> {
    let Some(config) = state.in_force.load().config.traces.clone() else {
        return Ok(None);
    };
    let mut listeners = Vec::new();
    for address in [&config.grpc, &config.http].into_iter().flatten() {
        let listener = std::net::TcpListener::bind(address);
        listeners.push(listener.map_err(|source| cannot_listen(address, source))?);
    }
    // A reload that takes the section away is refused, so the first one is never used again.
    let in_force = Arc::clone(state);
    let settings = move || {
        let now = in_force.in_force.load().config.traces.clone();
        now.unwrap_or_else(|| config.clone())
    };
    let ledger = state.metrics.traces.clone();
    let figures = Arc::clone(&state.business);
    let metrics = state.otlp_metrics.clone();
    traces::start(
        listeners,
        Box::new(settings),
        ledger,
        figures,
        metrics,
        Arc::clone(&state.otlp_logs),
        shutdown.clone(),
    )
    .map(Some)
    .map_err(|source| RunError::System {
        what: "start the trace lane",
        source,
    })
}

/// Who is told of what the agent scrapes and is pushed; their lanes are started.
fn followers(
    state: &Arc<State>,
    shutdown: &watch::Receiver<bool>,
    parts: &mut JoinSet<()>,
) -> Result<Vec<Arc<dyn Follower>>, RunError> {
    let mut out: Vec<Arc<dyn Follower>> = Vec::new();
    if let Some(config) = &state.in_force.load().config.remote_write {
        let ledger = state.metrics.remote_write.clone();
        let (inbox, lane) = remote_write::start(config, samples::read, ledger, shutdown.clone())
            .map_err(|reason| RunError::RemoteWrite { reason })?;
        parts.spawn(lane);
        out.push(Arc::new(inbox));
    }
    out.push(Arc::new(business::Series(Arc::clone(&state.business))));
    Ok(out)
}

async fn listen(address: &str) -> Result<TcpListener, RunError> {
    let parsed: SocketAddr = address.parse().map_err(|error| {
        cannot_listen(address, io::Error::new(io::ErrorKind::InvalidInput, error))
    })?;
    TcpListener::bind(parsed)
        .await
        .map_err(|source| cannot_listen(address, source))
}

fn cannot_listen(address: &str, source: io::Error) -> RunError {
    let hint = match source.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process has the port: stop it or set another address"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    };
    RunError::Listen {
        address: address.to_owned(),
        source,
        hint,
    }
}

/// The signals that the agent heeds.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, RunError> {
        let on = |kind| {
            signal(kind).map_err(|source| RunError::System {
                what: "receive signals",
                source,
            })
        };
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Reloads on SIGHUP, returns on SIGTERM and SIGINT.
    async fn wait(&mut self, reloader: &Arc<Reloader>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {
                    tracing::info!("SIGTERM received");
                    return;
                }
                _ = self.interrupt.recv() => {
                    tracing::info!("SIGINT received");
                    return;
                }
                _ = self.hangup.recv() => {
                    // On a task of its own, so that a hanging disk does not keep us from ending.
                    let reloader = Arc::clone(reloader);
                    tokio::spawn(async move {
                        let _ = reloader.reload(Trigger::Hangup).await; // it says what is wrong
                    });
                }
            }
        }
    }
}
