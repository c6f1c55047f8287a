//! OTLP/gRPC: unary calls, `TraceService/Export` and `MetricsService/Export`.
//!
//! The framing is five bytes and two trailers. It is done here and not by a gRPC library so that
//! no byte of a request is held before the lane's memory has room for it.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};

use super::body::Reading;
use super::{
    Reply, Signal, also, metrics_response, reading_logs, refuse, take, take_logs, take_metrics,
};
use crate::logs::otlp::OtlpLogs;
use crate::traces::intake::{Encoding, Packing, RETRY_AFTER, Refusal, Transport};
use crate::traces::status::{self, Code};
use crate::traces::{EXPORT_PATH, LOGS_EXPORT_PATH, Lane, METRICS_EXPORT_PATH, base64};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

pub async fn handle(lane: &Lane, request: Request<Incoming>) -> Reply {
    let logs = lane.logs.load_full();
    let signal = match (request.uri().path(), &lane.metrics) {
        (EXPORT_PATH, _) => Signal::Spans,
        (METRICS_EXPORT_PATH, Some(_)) => Signal::Metrics,
        (LOGS_EXPORT_PATH, _) if logs.is_some() => Signal::Logs,
        (other, _) => {
            let also = also(lane, METRICS_EXPORT_PATH, LOGS_EXPORT_PATH);
            let message =
                format!("kai-agent takes spans only, at {EXPORT_PATH}{also}; there is no {other}");
            return failed(Code::UNIMPLEMENTED, &message, None);
        }
    };
    match export(lane, signal, logs, request).await {
        Ok(answer) => succeeded(&answer),
        Err(refusal) => {
            let (code, retry_after) = code_of(&refusal);
            failed(code, &refusal.to_string(), retry_after)
        }
    }
}

/// The message that answers.
async fn export(
    lane: &Lane,
    signal: Signal,
    logs: Option<Arc<OtlpLogs>>,
    request: Request<Incoming>,
) -> Result<Vec<u8>, Refusal> {
    let transport = Transport::Grpc;
    let encoding = request.headers().get("grpc-encoding");
    let packing = match encoding.map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Packing::None,
        Some(b"gzip") => Packing::Gzip,
        Some(other) => {
            let text = format!(
                "grpc-encoding {:?} is not supported; send identity or gzip",
                String::from_utf8_lossy(other)
            );
            return Err(refuse(lane, signal, transport, Refusal::NotSupported(text)));
        }
    };
    let of_logs = logs.filter(|_| signal == Signal::Logs);
    let reading = match &of_logs {
        Some(logs) => reading_logs(logs),
        None => Reading {
            room: &lane.room,
            limit: lane.request_limit,
        },
    };
    let (held, packed) = reading
        .message(request.into_body())
        .await
        .map_err(|refusal| refuse(lane, signal, transport, refusal))?;
    let packing = if packed { packing } else { Packing::None };
    if let Some(logs) = of_logs {
        let rejected = take_logs(logs, held, packing, Encoding::Protobuf).await?;
        return Ok(metrics_response(&rejected));
    }
    match (signal, &lane.metrics) {
        (Signal::Metrics, Some(metrics)) => {
            let encoding = Encoding::Protobuf;
            let rejected = take_metrics(lane, metrics, transport, held.bytes, packing, encoding)?;
            Ok(metrics_response(&rejected))
        }
        _ => {
            take(lane, transport, held.bytes, packing, Encoding::Protobuf)?;
            Ok(Vec::new()) // an ExportTraceServiceResponse of defaults
        }
    }
}

/// The code of a refusal, and the `RetryInfo` of one that passes.
fn code_of(refusal: &Refusal) -> (Code, Option<Duration>) {
    match refusal {
        Refusal::Full | Refusal::Busy | Refusal::Ending => (Code::UNAVAILABLE, Some(RETRY_AFTER)),
        // With RetryInfo it is worth another attempt.
        Refusal::Held(_) => (Code::RESOURCE_EXHAUSTED, Some(RETRY_AFTER)),
        Refusal::Slow(_) => (Code::DEADLINE_EXCEEDED, None),
        // Without RetryInfo: the same request will not get smaller.
        Refusal::TooLarge(_) => (Code::RESOURCE_EXHAUSTED, None),
        Refusal::Malformed(_) => (Code::INVALID_ARGUMENT, None),
        Refusal::NotSupported(_) => (Code::UNIMPLEMENTED, None),
        Refusal::BrokeOff => (Code::CANCELLED, None),
    }
}

fn succeeded(answer: &[u8]) -> Reply {
    let mut message = vec![0]; // not packed
    message.extend_from_slice(&(answer.len() as u32).to_be_bytes());
    message.extend_from_slice(answer);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body =
        Full::new(Bytes::from(message))
            .with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers))));
    let mut reply = Response::new(body.boxed_unsync());
    reply.headers_mut().insert(CONTENT_TYPE, GRPC);
    reply
}

/// A failure has its trailers in the place of headers and no body.
fn failed(code: Code, message: &str, retry_after: Option<Duration>) -> Reply {
    let mut reply = Response::new(Empty::new().boxed_unsync());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(STATUS, HeaderValue::from(code.0));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity,gzip"));
    if let Ok(message) = HeaderValue::try_from(status::percent_encode(message)) {
        headers.insert(MESSAGE, message);
    }
    if retry_after.is_some() {
        let details = base64::encode(&status::encode(code, message, retry_after));
        if let Ok(details) = HeaderValue::try_from(details) {
            headers.insert(DETAILS, details);
        }
    }
    reply
}
