//! OTLP/HTTP: `POST /v1/traces`, `/v1/metrics` and `/v1/logs`, protobuf or JSON, plain or gzip;
//! answers in the encoding of the request. <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER as RETRY_AFTER_NAME,
};
use hyper::{Method, Request, Response, StatusCode};

use super::body::Reading;
use super::{
    Reply, Signal, also, metrics_response, reading_logs, refuse, take, take_logs, take_metrics,
};
use crate::logs::otlp::OtlpLogs;
use crate::otlp_metrics::Rejected;
use crate::traces::Lane;
use crate::traces::intake::{Encoding, Packing, RETRY_AFTER, Refusal, Transport};
use crate::traces::status::{self, Code};

const PATH: &str = "/v1/traces";
const METRICS_PATH: &str = "/v1/metrics";
const LOGS_PATH: &str = "/v1/logs";
const TRANSPORT: Transport = Transport::Http;

pub async fn handle(lane: &Lane, request: Request<Incoming>) -> Reply {
    let encoding = encoding(request.headers());
    // Where the request's encoding is none of ours, JSON is the one that a person can read.
    let answer_in = encoding.unwrap_or(Encoding::Json);
    let logs = lane.logs.load_full();
    let signal = match (request.uri().path(), &lane.metrics) {
        (PATH, _) => Signal::Spans,
        (METRICS_PATH, Some(_)) => Signal::Metrics,
        (LOGS_PATH, _) if logs.is_some() => Signal::Logs,
        (other, _) => {
            let also = also(lane, METRICS_PATH, LOGS_PATH);
            let text = format!("kai-agent takes spans only, at {PATH}{also}; there is no {other}");
            return failed(StatusCode::NOT_FOUND, &text, answer_in);
        }
    };
    if request.method() != Method::POST {
        let text = format!(
            "{} is not possible at {}; use POST",
            request.method(),
            request.uri().path()
        );
        let mut reply = failed(StatusCode::METHOD_NOT_ALLOWED, &text, answer_in);
        reply
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
        return reply;
    }
    match export(lane, signal, logs, encoding, request).await {
        Ok(rejected) => {
            let body = success(&rejected, signal, answer_in);
            reply(StatusCode::OK, body, answer_in)
        }
        Err(refusal) => {
            let status = status_of(&refusal);
            let mut reply = failed(status, &refusal.to_string(), answer_in);
            if [
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::TOO_MANY_REQUESTS,
            ]
            .contains(&status)
            {
                let seconds = HeaderValue::from(RETRY_AFTER.as_secs());
                reply.headers_mut().insert(RETRY_AFTER_NAME, seconds);
            }
            reply
        }
    }
}

/// The answer's message; empty where all was taken.
fn success(rejected: &Rejected, signal: Signal, encoding: Encoding) -> Bytes {
    let counted = match signal {
        Signal::Logs => "rejectedLogRecords",
        _ => "rejectedDataPoints",
    };
    match encoding {
        Encoding::Protobuf => metrics_response(rejected).into(),
        Encoding::Json if *rejected == Rejected::default() => Bytes::from_static(b"{}"),
        Encoding::Json => serde_json::json!({ "partialSuccess": {
            // proto3's JSON has 64-bit numbers as text.
            counted: rejected.points.to_string(),
            "errorMessage": rejected.message,
        } })
        .to_string()
        .into(),
    }
}

async fn export(
    lane: &Lane,
    signal: Signal,
    logs: Option<Arc<OtlpLogs>>,
    encoding: Option<Encoding>,
    request: Request<Incoming>,
) -> Result<Rejected, Refusal> {
    let not_supported =
        |text: String| Err(refuse(lane, signal, TRANSPORT, Refusal::NotSupported(text)));
    let shown = |name| {
        let value = request.headers().get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    let Some(encoding) = encoding else {
        return not_supported(format!(
            "Content-Type {:?} is not supported; send application/x-protobuf or application/json",
            shown(CONTENT_TYPE)
        ));
    };
    let packing = match shown(CONTENT_ENCODING).trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Packing::None,
        "gzip" | "x-gzip" => Packing::Gzip,
        other => {
            return not_supported(format!(
                "Content-Encoding {other:?} is not supported; send gzip, or none"
            ));
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
    let held = reading
        .whole(request.into_body())
        .await
        .map_err(|refusal| refuse(lane, signal, TRANSPORT, refusal))?;
    if let Some(logs) = of_logs {
        return take_logs(logs, held, packing, encoding).await;
    }
    match (signal, &lane.metrics) {
        (Signal::Metrics, Some(metrics)) => {
            take_metrics(lane, metrics, TRANSPORT, held.bytes, packing, encoding)
        }
        _ => {
            take(lane, TRANSPORT, held.bytes, packing, encoding)?;
            Ok(Rejected::default())
        }
    }
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-protobuf") {
        Some(Encoding::Protobuf)
    } else if kind.eq_ignore_ascii_case("application/json") {
        Some(Encoding::Json)
    } else {
        None
    }
}

/// Senders try again after 429, 502, 503 and 504 only.
fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Full | Refusal::Busy | Refusal::Ending => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Held(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Slow(_) => StatusCode::REQUEST_TIMEOUT,
        Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Malformed(_) | Refusal::BrokeOff => StatusCode::BAD_REQUEST,
        Refusal::NotSupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    }
}

/// A failure's body is a `google.rpc.Status` with a message for a developer.
fn failed(status: StatusCode, message: &str, encoding: Encoding) -> Reply {
    let body = match encoding {
        // OTLP does not use the status' own code.
        Encoding::Protobuf => status::encode(Code::OK, message, None),
        Encoding::Json => serde_json::json!({ "message": message }).to_string().into(),
    };
    reply(status, body.into(), encoding)
}

fn reply(status: StatusCode, body: Bytes, encoding: Encoding) -> Reply {
    let mut reply = Response::new(Full::new(body).boxed_unsync());
    *reply.status_mut() = status;
    let kind = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
