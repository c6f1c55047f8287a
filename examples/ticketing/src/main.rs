//! A small railway booking service that has everything worth observing and breaks on request.
//! Reads in order: command line → log → spans → address → work → signal → drain.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use app::App;
use cli::Cli;
use domain::inventory::Limits;
use log::Log;
use log::layer::JsonLayer;
use metrics::Metrics;

mod app;
mod calendar;
mod cli;
mod domain;
mod faults;
mod http;
mod load;
mod log;
mod metrics;
mod nearest;
mod provider;
mod telemetry;
mod units;
mod word;

/// How long requests under way may take once the service was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let code = if error.use_stderr() {
                kai_contract::exit::USAGE
            } else {
                0
            };
            return ExitCode::from(code);
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::from(kai_contract::exit::OK),
        Err(error) => {
            eprintln!("ticketing: {error:#}");
            ExitCode::from(kai_contract::exit::ERROR)
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn run(cli: &Cli) -> anyhow::Result<()> {
    let started = calendar::now_ms() as f64 / 1e3;
    let metrics = Metrics::new(started, &http::ROUTES);
    let listener = TcpListener::bind(cli.listen)
        .await
        .with_context(|| cannot_listen(cli))?;
    let address = listener
        .local_addr()
        .context("cannot read the address listened on")?;
    let log = Log::start(cli.log_file.as_deref(), metrics.log_lines_dropped.clone()).with_context(
        || match &cli.log_file {
            Some(path) => format!("cannot write the log file {}", path.display()),
            None => "cannot start the log".to_owned(),
        },
    )?;
    let endpoint = cli
        .otlp_endpoint
        .as_deref()
        .filter(|endpoint| !endpoint.is_empty());
    let spans = telemetry::provider(&cli.service_name, endpoint, &metrics.spans)?;
    install(&cli.service_name, &log, &spans)?;
    let mut stop = StopSignals::new()?;

    let app = App::new(metrics, log.clone(), Limits::default(), cli.seed);
    tracing::info!(
        server.address = address.ip().to_string(),
        server.port = address.port(),
        service.version = env!("CARGO_PKG_VERSION"),
        "listening on http://{address}"
    );
    tokio::spawn(faults::driver::drive(app.clone()));
    let (stopping, stopped) = watch::channel(false);
    let load = cli
        .load
        .map(|rps| tokio::spawn(load::run(address, rps, cli.seed, stopped.clone())));

    let serve = axum::serve(listener, http::router(app.clone()))
        .with_graceful_shutdown(until_true(stopped.clone()));
    let server = tokio::spawn(serve.into_future());
    let name = stop.wait().await;
    tracing::info!("{name} received; finishing what is under way");
    app.start_draining();
    let _ = stopping.send(true);
    let drained = tokio::time::timeout(DRAIN, async {
        if let Some(load) = load {
            let _ = load.await;
        }
        server.await
    });
    if drained.await.is_ok() {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped with requests still open after {DRAIN:?}");
    }
    // Sends what is queued, on a thread that may block.
    let _ =
        tokio::task::spawn_blocking(move || spans.shutdown_with_timeout(telemetry::EXPORT_TIMEOUT))
            .await;
    log.flush();
    Ok(())
}

/// Only this program's own spans and events are kept: those of the HTTP and gRPC libraries would
/// trace the sending of traces.
fn install(service: &str, log: &Log, spans: &SdkTracerProvider) -> anyhow::Result<()> {
    tracing_subscriber::registry()
        .with(Targets::new().with_target("ticketing", LevelFilter::INFO))
        .with(
            tracing_opentelemetry::layer()
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_target(false)
                .with_tracer(spans.tracer("ticketing")),
        )
        .with(JsonLayer::new(log.clone(), service))
        .try_init()
        .context("cannot install the log")?;
    // reqwest asks for a TLS provider even for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(())
}

fn cannot_listen(cli: &Cli) -> String {
    format!(
        "cannot listen on {} (is the port taken? `ss -ltnp sport = :{}` names the process); \
         choose another with --listen",
        cli.listen,
        cli.listen.port()
    )
}

async fn until_true(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// SIGTERM from a supervisor, SIGINT from a terminal.
struct StopSignals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            int: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
