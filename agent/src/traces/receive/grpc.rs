//! OTLP/gRPC: one unary call, `TraceService/Export`.
//!
//! The framing is five bytes and two trailers. It is done here and not by a gRPC library so that
//! no byte of a request is held before the lane's memory has room for it.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};

use super::body::Reading;
use super::{Reply, refuse, take};
use crate::traces::intake::{Encoding, Packing, RETRY_AFTER, Refusal, Transport};
use crate::traces::status::{self, Code};
use crate::traces::{EXPORT_PATH, Lane, base64};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// An empty `ExportTraceServiceResponse`: not packed, no bytes.
const FULL_SUCCESS: &[u8] = &[0; 5];

pub async fn handle(lane: &Lane, request: Request<Incoming>) -> Reply {
    if request.uri().path() != EXPORT_PATH {
        let message = format!(
            "kai-agent takes spans only, at {EXPORT_PATH}; there is no {}",
            request.uri().path()
        );
        return failed(Code::UNIMPLEMENTED, &message, None);
    }
    match export(lane, request).await {
        Ok(()) => succeeded(),
        Err(refusal) => {
            let (code, retry_after) = code_of(&refusal);
            failed(code, &refusal.to_string(), retry_after)
        }
    }
}

async fn export(lane: &Lane, request: Request<Incoming>) -> Result<(), Refusal> {
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
            return Err(refuse(lane, transport, Refusal::NotSupported(text)));
        }
    };
    let reading = Reading {
        room: &lane.room,
        limit: lane.request_limit,
    };
    let (held, packed) = reading
        .message(request.into_body())
        .await
        .map_err(|refusal| refuse(lane, transport, refusal))?;
    let packing = if packed { packing } else { Packing::None };
    take(lane, transport, held.bytes, packing, Encoding::Protobuf)
}

/// The code of a refusal, and the `RetryInfo` of one that passes.
fn code_of(refusal: &Refusal) -> (Code, Option<Duration>) {
    match refusal {
        Refusal::Full | Refusal::Busy | Refusal::Ending => (Code::UNAVAILABLE, Some(RETRY_AFTER)),
        Refusal::Slow(_) => (Code::DEADLINE_EXCEEDED, None),
        // Without RetryInfo: the same request will not get smaller.
        Refusal::TooLarge(_) => (Code::RESOURCE_EXHAUSTED, None),
        Refusal::Malformed(_) => (Code::INVALID_ARGUMENT, None),
        Refusal::NotSupported(_) => (Code::UNIMPLEMENTED, None),
        Refusal::BrokeOff => (Code::CANCELLED, None),
    }
}

fn succeeded() -> Reply {
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from_static(FULL_SUCCESS))
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
