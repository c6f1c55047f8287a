//! An OTLP/gRPC endpoint that answers as it is told, and a gRPC sender that shows every answer.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// What the endpoint does with a request.
#[derive(Debug, Clone)]
pub enum Act {
    Take,
    Reject(i64),
    Fail(u32),
    /// A code with a `RetryInfo` of so many milliseconds.
    FailFor(u32, u64),
    /// Takes it and breaks the connection in the place of an answer.
    Lose,
    /// A status of HTTP alone.
    Http(u16),
    /// Fails with this code if one of the spans has this name.
    FailOn(u32, &'static str),
}

#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    /// Names of the spans.
    pub names: Vec<String>,
    pub taken: bool,
}

#[derive(Default)]
struct Shared {
    script: VecDeque<Act>,
    always: Option<Act>,
    seen: Vec<Seen>,
}

pub struct Endpoint {
    runtime: Option<Runtime>,
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Endpoint {
    /// Follows the script, then takes everything.
    pub fn start(script: &[Act]) -> Self {
        Self::start_at("127.0.0.1:0", script, Act::Take)
    }

    pub fn start_at(address: &str, script: &[Act], always: Act) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            script: script.iter().cloned().collect(),
            always: Some(always),
            seen: Vec::new(),
        }));
        let state = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), request));
                    // Ends with an error where the script breaks it.
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            runtime: Some(runtime),
            address,
            shared,
        }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().unwrap().seen.clone()
    }

    /// Names of the spans that it took, sorted.
    pub fn taken(&self) -> Vec<String> {
        let seen = self.seen();
        let taken = seen.into_iter().filter(|seen| seen.taken);
        let mut names: Vec<String> = taken.flat_map(|seen| seen.names).collect();
        names.sort();
        names
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

async fn answer(shared: Arc<Mutex<Shared>>, request: Request<Incoming>) -> Result<Answer, String> {
    assert_eq!(
        request.uri().path(),
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|e| e.to_string())?;
    let body = body.to_bytes();
    assert_eq!(body[0], 0, "not packed");
    assert_eq!(
        u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize,
        body.len() - 5
    );
    let decoded = ExportTraceServiceRequest::decode(&body[5..]).expect("a request");
    let names = names(&decoded);
    let act = {
        let mut shared = shared.lock().unwrap();
        let next = shared.script.pop_front();
        next.or_else(|| shared.always.clone()).unwrap_or(Act::Take)
    };
    let act = match act {
        Act::FailOn(code, name) if names.iter().any(|n| n == name) => Act::Fail(code),
        Act::FailOn(..) => Act::Take,
        other => other,
    };
    shared.lock().unwrap().seen.push(Seen {
        at: Instant::now(),
        names,
        taken: matches!(act, Act::Take | Act::Reject(_) | Act::Lose),
    });
    let mut trailers = HeaderMap::new();
    let mut message = Vec::new();
    match act {
        Act::Lose => return Err("lost on purpose".to_owned()),
        Act::Http(status) => {
            let mut reply = Response::new(Full::new(Bytes::new()).boxed());
            *reply.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
            return Ok(reply);
        }
        Act::Take | Act::FailOn(..) => {}
        Act::Reject(rejected) => {
            message = ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans: rejected,
                    error_message: "too old".into(),
                }),
            }
            .encode_to_vec();
        }
        Act::Fail(code) => drop(trailers.insert("grpc-status", HeaderValue::from(code))),
        Act::FailFor(code, milliseconds) => {
            trailers.insert("grpc-status", HeaderValue::from(code));
            let details = status_with_retry_info(milliseconds);
            trailers.insert("grpc-status-details-bin", details.parse().unwrap());
        }
    }
    if trailers.is_empty() {
        trailers.insert("grpc-status", HeaderValue::from(0));
        let mut framed = vec![0];
        framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
        framed.extend(message);
        message = framed;
    }
    let body =
        Full::new(Bytes::from(message)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut reply = Response::new(body.boxed());
    reply
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(reply)
}

/// `google.rpc.Status` with `RetryInfo`, as grpc-go writes it: unpadded base64.
fn status_with_retry_info(milliseconds: u64) -> String {
    use base64::Engine as _;
    #[derive(Clone, PartialEq, prost::Message)]
    struct Duration {
        #[prost(int64, tag = "1")]
        seconds: i64,
        #[prost(int32, tag = "2")]
        nanos: i32,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        retry_delay: Option<Duration>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Any {
        #[prost(string, tag = "1")]
        type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        value: Vec<u8>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(message, repeated, tag = "3")]
        details: Vec<Any>,
    }
    let info = RetryInfo {
        retry_delay: Some(Duration {
            seconds: (milliseconds / 1000) as i64,
            nanos: (milliseconds % 1000 * 1_000_000) as i32,
        }),
    };
    let status = Status {
        code: 8,
        details: vec![Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: info.encode_to_vec(),
        }],
    };
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(status.encode_to_vec())
}

pub fn names(request: &ExportTraceServiceRequest) -> Vec<String> {
    let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans);
    spans.map(|span| span.name.clone()).collect()
}

/// What a gRPC sender is told: code, message, and whether it may try again.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub code: u32,
    pub message: String,
    pub retry_info: bool,
}

/// Sends one gRPC message, framed here.
pub fn send_grpc(address: &str, path: &str, headers: &[(&str, &str)], framed: Vec<u8>) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let mut request = Request::post(format!("http://{address}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(framed))).unwrap();
        let reply = sender.send_request(request).await.unwrap();
        assert_eq!(reply.status(), 200);
        let (head, body) = reply.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let all = if head.headers.contains_key("grpc-status") {
            head.headers
        } else {
            assert_eq!(body.to_bytes(), Bytes::from_static(&[0; 5]));
            trailers
        };
        let text = |name: &str| all.get(name).map(|v| v.to_str().unwrap().to_owned());
        Told {
            code: text("grpc-status").unwrap().parse().unwrap(),
            message: text("grpc-message").unwrap_or_default(),
            retry_info: all.contains_key("grpc-status-details-bin"),
        }
    })
}
