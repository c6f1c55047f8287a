//! The trace lane: OTLP in over gRPC and HTTP, batched, OTLP out.
//!
//! ```text
//! receive ─▶ intake (check, count) ─▶ queue (bounded by bytes) ─▶ send ─▶ endpoint
//!    └─ refused: the sender keeps them      └─ ledger: acked, in flight, dropped
//! ```
//! It has a thread and a runtime of its own, so that a flood of spans delays neither `/metrics` nor
//! logs. A sender's spans cannot be read again, so its promise is less than the log lane's: what was
//! taken over is held in memory only, and a crash of the agent loses it. What is lost while the
//! agent lives or ends in order is counted.

mod base64;
pub(crate) mod fuzz;
mod intake;
mod json;
mod ledger;
mod queue;
mod receive;
mod schema;
mod send;
mod split;
mod status;
#[cfg(test)]
mod tests;
pub mod view;
mod walk;
pub(crate) mod wire;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use kai_contract::agent_config::Traces;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;

pub use intake::Refusal;
pub use ledger::Ledger;

use crate::business::Figures;
use crate::logs::otlp::Slot;
use crate::otlp_metrics::Store;
use crate::shutdown::ended;
use ledger::Loss;
use queue::{Limits, Queue};
use send::Sender;

const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const LOGS_EXPORT_PATH: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const METRICS_EXPORT_PATH: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// OTLP's recommended limit of a request.
const LARGEST_REQUEST: u64 = 64 << 20;

/// How long what waits at the end may take to be sent.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(2500);

/// Gives the settings in force.
pub type Settings = Box<dyn Fn() -> Traces + Send + Sync>;

/// What the lane's parts share.
struct Lane {
    queue: Queue,
    ledger: Ledger,
    sender: Sender,
    settings: Settings,
    figures: Arc<Figures>,
    /// Where metrics go that come to the same addresses; none are taken without it.
    metrics: Option<Arc<Store>>,
    /// Where log records go, while some lane takes them.
    logs: Slot,
    /// Bytes of requests that are being read.
    room: Arc<Semaphore>,
    request_limit: usize,
}

impl Lane {
    /// A quarter of the memory is for requests that are being read (one of them may take all of
    /// it), the rest for spans in flight.
    fn new(
        settings: Settings,
        ledger: Ledger,
        figures: Arc<Figures>,
        metrics: Option<Arc<Store>>,
        logs: Slot,
    ) -> Self {
        let memory = settings().memory_bytes;
        let reading = memory / 4;
        let queue_limit = memory - reading;
        ledger.begin(queue_limit);
        Self {
            queue: Queue::new(queue_limit, ledger.clone()),
            ledger,
            sender: Sender::default(),
            settings,
            figures,
            metrics,
            logs,
            room: Arc::new(Semaphore::new(reading as usize)),
            request_limit: reading.min(LARGEST_REQUEST) as usize,
        }
    }

    fn settings(&self) -> Traces {
        (self.settings)()
    }

    fn limits(&self) -> Limits {
        let settings = self.settings();
        Limits {
            spans: settings.batch_spans.into(),
            delay: Duration::from_millis(settings.batch_delay_ms),
        }
    }
}

/// Starts the lane on its thread. The listeners are bound already. What is returned is ready when
/// the lane has ended, some time after `shutdown` became true.
pub fn start(
    listeners: Vec<TcpListener>,
    settings: Settings,
    ledger: Ledger,
    figures: Arc<Figures>,
    metrics: Option<Arc<Store>>,
    logs: Slot,
    shutdown: watch::Receiver<bool>,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (done, wait) = oneshot::channel();
    std::thread::Builder::new()
        .name("traces".to_owned())
        .spawn(move || {
            let lane = Arc::new(Lane::new(settings, ledger, figures, metrics, logs));
            if let Err(error) = runtime.block_on(run(lane, listeners, shutdown)) {
                tracing::error!(%error, "the trace lane ended");
            }
            let _ = done.send(());
        })?;
    Ok(async move {
        if wait.await.is_err() {
            tracing::error!("the trace lane ended unexpectedly");
        }
    })
}

/// Whether a request (protobuf) is one of log records.
pub fn check_logs(request: &[u8]) -> Result<(), Refusal> {
    Ok(walk::check(request, &schema::LOGS_REQUEST)?)
}

/// The protobuf of a request of log records in JSON.
#[cfg(test)]
pub fn unpack_logs(json: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (packing, encoding) = (intake::Packing::None, intake::Encoding::Json);
    intake::unpack(
        json.to_vec(),
        packing,
        encoding,
        &schema::LOGS_REQUEST,
        usize::MAX,
    )
}

/// Tells of each change that only a restart takes into force: the listeners are opened once, the
/// memory is divided once. The endpoint and the size of batches change at once.
pub fn needs_no_restart(
    before: Option<&Traces>,
    now: Option<&Traces>,
    tell: &mut dyn FnMut(&str, &str, &str),
) {
    let (before, now) = match (before, now) {
        (Some(before), Some(now)) => (before, now),
        (None, None) => return,
        (Some(_), None) => return tell("traces", "a trace lane", "none"),
        (None, Some(_)) => return tell("traces", "none", "a trace lane"),
    };
    let shown = |address: &Option<String>| address.clone().unwrap_or_else(|| "none".to_owned());
    for (path, old, new) in [
        ("traces.grpc", shown(&before.grpc), shown(&now.grpc)),
        ("traces.http", shown(&before.http), shown(&now.http)),
        (
            "traces.memoryBytes",
            before.memory_bytes.to_string(),
            now.memory_bytes.to_string(),
        ),
    ] {
        if old != new {
            tell(path, &old, &new);
        }
    }
}

async fn run(
    lane: Arc<Lane>,
    listeners: Vec<TcpListener>,
    mut shutdown: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let (mut receivers, mut senders) = (JoinSet::new(), JoinSet::new());
    for listener in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "taking spans (OTLP)");
        }
        receivers.spawn(receive::serve(
            listener,
            Arc::clone(&lane),
            shutdown.clone(),
        ));
    }
    for _ in 0..send::SENDERS {
        senders.spawn(send::run(Arc::clone(&lane)));
    }
    ended(&mut shutdown).await;
    while receivers.join_next().await.is_some() {}
    lane.queue.close();
    let drained = tokio::time::timeout(DRAIN_TIMEOUT, async {
        while senders.join_next().await.is_some() {}
    });
    let _ = drained.await; // what is left is counted
    senders.shutdown().await;
    let left = lane.ledger.in_flight();
    if left > 0 {
        lane.ledger.dropped(Loss::Shutdown, left);
        tracing::warn!(
            spans = left,
            "spans could not be delivered before the agent ended and are dropped"
        );
    }
    tracing::info!(
        acked = lane.ledger.outcome("acked", ""),
        rejected = lane.ledger.outcome("dropped", "rejected"),
        permanent = lane.ledger.outcome("dropped", "permanent"),
        shutdown = lane.ledger.outcome("dropped", "shutdown"),
        "the trace lane ends"
    );
    Ok(())
}
