//! The OTLP receivers: connections in, requests to [`Intake`], answers as the OTLP specification
//! wants them. Both addresses speak both forms, over HTTP/1.1 and HTTP/2, so that a sender that
//! took the wrong port is served all the same.

mod body;
mod grpc;
mod otlp_http;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::Lane;
use super::intake::{Encoding, Intake, Packing, Refusal, Transport, unpack};
use super::schema::{LOGS_REQUEST, METRICS_REQUEST};
use super::wire::{put_bytes, put_key, put_varint};
use crate::logs::otlp::OtlpLogs;
use crate::otlp_metrics::{Rejected, Store};
use crate::shutdown::ended;

/// Connections at once to one address.
const CONNECTIONS: usize = 512;

/// Time for an HTTP/1.1 request's head, also between two of them.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// A peer that does not answer a ping within the second time is gone (HTTP/2).
const PING_EVERY: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes that a peer may send before we have read them: of a connection, and of a request in it.
const CONNECTION_WINDOW: u32 = 512 << 10;
const STREAM_WINDOW: u32 = 256 << 10;

/// Time that open requests get when the agent ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Spans,
    Metrics,
    Logs,
}

type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Serves until `shutdown` becomes true, then lets open requests end.
pub async fn serve(listener: TcpListener, lane: Arc<Lane>, mut shutdown: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_concurrent_streams(128);
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = ended(&mut shutdown) => break,
        };
        let Ok(place) = place else {
            break;
        };
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            () = ended(&mut shutdown) => break,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for spans");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let lane = Arc::clone(&lane);
        let service = service_fn(move |request| {
            let lane = Arc::clone(&lane);
            async move { Ok::<_, Infallible>(handle(&lane, request).await) }
        });
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection for spans ended");
            }
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await; // the rest is cut off
}

async fn handle(lane: &Lane, request: Request<Incoming>) -> Reply {
    let is_grpc = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        grpc::handle(lane, request).await
    } else {
        otlp_http::handle(lane, request).await
    }
}

/// What both forms do with a body that has arrived.
fn take(
    lane: &Lane,
    transport: Transport,
    body: Vec<u8>,
    packing: Packing,
    encoding: Encoding,
) -> Result<(), Refusal> {
    Intake {
        queue: &lane.queue,
        ledger: &lane.ledger,
        figures: &lane.figures,
        limit: lane.request_limit,
        batch_spans: lane.settings().batch_spans.into(),
    }
    .take(transport, body, packing, encoding)
}

/// Says why a request is refused that has no whole body to judge.
fn refuse(lane: &Lane, signal: Signal, transport: Transport, refusal: Refusal) -> Refusal {
    match (signal, &lane.metrics) {
        (Signal::Logs, _) => {
            if let Some(logs) = &*lane.logs.load() {
                logs.ended(refusal.reason());
            }
        }
        (Signal::Metrics, Some(metrics)) => metrics
            .ledger
            .request_refused(transport.word(), refusal.reason()),
        _ => lane.ledger.refused(transport, &refusal, 0),
    }
    refusal
}

/// Puts a metrics request into the store; a part of it may be refused.
fn take_metrics(
    lane: &Lane,
    metrics: &Store,
    transport: Transport,
    body: Vec<u8>,
    packing: Packing,
    encoding: Encoding,
) -> Result<Rejected, Refusal> {
    unpack(
        body,
        packing,
        encoding,
        &METRICS_REQUEST,
        lane.request_limit,
    )
    .and_then(|request| Ok(metrics.take(&request, Instant::now())?))
    .map_err(|refusal| refuse(lane, Signal::Metrics, transport, refusal))
}

/// Hands log records to their lane, on a thread that may wait for the disk: spans do not.
async fn take_logs(
    logs: Arc<OtlpLogs>,
    held: body::Held,
    packing: Packing,
    encoding: Encoding,
) -> Result<Rejected, Refusal> {
    let teller = Arc::clone(&logs);
    let work = move || {
        let mut held = held;
        let bytes = std::mem::take(&mut held.bytes);
        let request = unpack(bytes, packing, encoding, &LOGS_REQUEST, logs.limit)?;
        logs.take(&request)
    };
    let taken = tokio::task::spawn_blocking(work).await;
    let taken = taken.unwrap_or(Err(Refusal::Ending));
    teller.ended(match &taken {
        Ok(rejected) if *rejected == Rejected::default() => "ok",
        Ok(_) => "partial",
        Err(refusal) => refusal.reason(),
    });
    taken
}

/// What reading a request of log records needs: it has memory of its own.
fn reading_logs(logs: &OtlpLogs) -> body::Reading<'_> {
    body::Reading {
        room: &logs.room,
        limit: logs.limit,
    }
}

/// What is taken here beside spans, and where, for whom asks for something else.
fn also(lane: &Lane, metrics: &str, logs: &str) -> String {
    let mut also = String::new();
    if lane.metrics.is_some() {
        also.push_str(&format!(", metrics at {metrics}"));
    }
    if lane.logs.load().is_some() {
        also.push_str(&format!(", log records at {logs}"));
    }
    also
}

/// `ExportMetricsServiceResponse`, and that of logs: empty where all was taken.
fn metrics_response(rejected: &Rejected) -> Vec<u8> {
    let mut out = Vec::new();
    if *rejected != Rejected::default() {
        let mut partial = Vec::new();
        put_key(&mut partial, 1, 0);
        put_varint(&mut partial, rejected.points);
        put_bytes(&mut partial, 2, rejected.message.as_bytes());
        put_bytes(&mut out, 1, &partial);
    }
    out
}
