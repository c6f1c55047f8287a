//! One HTTP/2 connection to the endpoint, made when it is needed, thrown away when it fails.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::traces::EXPORT_PATH;
use crate::traces::queue::Part;
use crate::traces::status::{self, Code};
use crate::traces::wire::{Reader, Value};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the endpoint may take for a batch; also told to it.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 << 10;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Taken {
        rejected: u64,
        message: String,
    },
    Failed {
        code: Code,
        message: String,
        /// The server says when to try again.
        retry_after: Option<Duration>,
    },
}

fn failed(code: Code, message: impl Into<String>) -> Answer {
    Answer::Failed {
        code,
        message: message.into(),
        retry_after: None,
    }
}

struct Open {
    endpoint: String,
    number: u64,
    requests: http2::SendRequest<Message>,
}

#[derive(Default)]
pub struct Client {
    open: Mutex<(u64, Option<Open>)>,
}

impl Client {
    /// Sends requests as one and says how that ended.
    pub async fn export(&self, endpoint: &str, parts: &[Part]) -> Answer {
        let (number, mut requests) = match self.connected(endpoint).await {
            Ok(open) => open,
            Err(message) => return failed(Code::UNAVAILABLE, message),
        };
        let attempt = async {
            requests.ready().await?;
            let request = request(endpoint, parts)?;
            let response = requests.send_request(request).await?;
            Ok::<_, Wrong>(read(response).await)
        };
        let ended = tokio::time::timeout(EXPORT_TIMEOUT, attempt).await;
        let (answer, broken) = match ended {
            Ok(Ok(Ok(answer))) => return answer,
            Ok(Ok(Err(message)) | Err(Wrong(message))) => {
                (failed(Code::UNAVAILABLE, message), true)
            }
            Err(_) => (
                failed(
                    Code::DEADLINE_EXCEEDED,
                    format!("no answer within {} s", EXPORT_TIMEOUT.as_secs()),
                ),
                true,
            ),
        };
        if broken {
            self.discard(number).await;
        }
        answer
    }

    async fn connected(
        &self,
        endpoint: &str,
    ) -> Result<(u64, http2::SendRequest<Message>), String> {
        // The lock is held while a connection is made: the other senders wait for it, not for
        // three more.
        let mut slot = self.open.lock().await;
        if let Some(open) = &slot.1
            && open.endpoint == endpoint
            && !open.requests.is_closed()
        {
            return Ok((open.number, open.requests.clone()));
        }
        slot.1 = None;
        let requests = connect(endpoint).await?;
        slot.0 += 1;
        let number = slot.0;
        slot.1 = Some(Open {
            endpoint: endpoint.to_owned(),
            number,
            requests: requests.clone(),
        });
        Ok((number, requests))
    }

    async fn discard(&self, number: u64) {
        let mut slot = self.open.lock().await;
        if slot.1.as_ref().is_some_and(|open| open.number == number) {
            slot.1 = None;
        }
    }
}

async fn connect(endpoint: &str) -> Result<http2::SendRequest<Message>, String> {
    let uri: Uri = endpoint
        .parse()
        .map_err(|error| format!("{endpoint} is no address: {error}"))?;
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(4317);
    let work = async {
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(|error| format!("cannot connect to {host}:{port}: {error}"))?;
        let _ = stream.set_nodelay(true);
        let (requests, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| format!("{host}:{port} does not speak HTTP/2: {error}"))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to the endpoint ended");
            }
        });
        Ok(requests)
    };
    tokio::time::timeout(CONNECT_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(format!("cannot connect to {host}:{port} in time")))
}

/// An error of the transport, in words.
struct Wrong(String);

impl From<hyper::Error> for Wrong {
    fn from(error: hyper::Error) -> Self {
        use std::error::Error as _;
        Self(match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    }
}

impl From<hyper::http::Error> for Wrong {
    fn from(error: hyper::http::Error) -> Self {
        Self(error.to_string())
    }
}

fn request(endpoint: &str, parts: &[Part]) -> Result<Request<Message>, hyper::http::Error> {
    let endpoint = endpoint.trim_end_matches('/');
    Request::post(format!("{endpoint}{EXPORT_PATH}"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, concat!("kai-agent/", env!("CARGO_PKG_VERSION")))
        .header("grpc-timeout", format!("{}m", EXPORT_TIMEOUT.as_millis()))
        .body(Message::of(parts))
}

/// Reads an answer to its trailers; an error is one of the transport.
async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let http = response.status().as_u16();
    let (head, mut body) = response.into_parts();
    if head.headers.contains_key("grpc-status") {
        return Ok(answer(&head.headers, &[]));
    }
    if http != 200 {
        return Ok(failed(
            Code::of_http(http),
            format!("the endpoint answered with HTTP status {http} and no gRPC status"),
        ));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        match frame.into_data() {
            Ok(data) if bytes.len() + data.len() > ANSWER_BYTES => {
                return Ok(failed(Code::UNKNOWN, "the answer is too long"));
            }
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return Ok(answer(&trailers, &bytes));
                }
            }
        }
    }
    Err("the answer has no gRPC status".to_owned())
}

fn answer(trailers: &HeaderMap, body: &[u8]) -> Answer {
    let code = trailers
        .get("grpc-status")
        .and_then(|status| status.to_str().ok()?.parse().ok())
        .map_or(Code::UNKNOWN, Code);
    if code == Code::OK {
        return partial_success(body);
    }
    let text = trailers.get("grpc-message").map(HeaderValue::as_bytes);
    let details = trailers.get("grpc-status-details-bin");
    Answer::Failed {
        code,
        message: format!(
            "{} {}",
            code.name(),
            status::percent_decode(text.unwrap_or_default())
        ),
        retry_after: details.and_then(|details| status::retry_after(details.as_bytes())),
    }
}

/// `ExportTraceServiceResponse` behind its five bytes.
fn partial_success(body: &[u8]) -> Answer {
    let (mut rejected, mut message) = (0, String::new());
    let mut response = Reader::new(body.get(5..).unwrap_or_default());
    while let Ok(Some((number, value))) = response.field() {
        let (1, Value::Bytes(partial)) = (number, value) else {
            continue;
        };
        let mut partial = Reader::new(partial);
        while let Ok(Some((number, value))) = partial.field() {
            match (number, value) {
                // An int64: what is negative rejects nothing.
                (1, Value::Varint(count)) => rejected = (count as i64).max(0) as u64,
                (2, Value::Bytes(text)) => message = String::from_utf8_lossy(text).into_owned(),
                _ => {}
            }
        }
    }
    Answer::Taken { rejected, message }
}

/// A gRPC message made of several requests' bytes, none of which is copied.
pub struct Message {
    frames: VecDeque<Bytes>,
    left: u64,
}

impl Message {
    fn of(parts: &[Part]) -> Self {
        let length: usize = parts.iter().map(|part| part.bytes.len()).sum();
        let mut head = vec![0];
        head.extend_from_slice(&(length as u32).to_be_bytes());
        let mut frames = VecDeque::with_capacity(parts.len() + 1);
        frames.push_back(Bytes::from(head));
        frames.extend(parts.iter().map(|part| part.bytes.clone()));
        Self {
            frames,
            left: length as u64 + 5,
        }
    }
}

impl Body for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.frames.pop_front();
        self.left -= next.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
