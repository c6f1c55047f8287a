//! From a request's bytes to spans that are ours: unpacked, checked, counted, taken into the queue
//! or refused with a reason that its sender can act on.

use std::io::Read as _;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;

use super::ledger::Ledger;
use super::queue::{NotTaken, Part, Queue};
use super::schema::{Message, REQUEST};
use super::wire::Malformed;
use super::{json, split, walk};
use crate::business::Figures;
use crate::business::spans::Hits;

/// How long a sender should wait before it tries again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
}

impl Transport {
    pub const ALL: [Self; 2] = [Self::Grpc, Self::Http];

    pub fn word(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

/// Why a request is refused. The first four are worth another attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the agent holds as many spans as it may (traces.memoryBytes); try again later")]
    Full,
    #[error(
        "the agent is reading as many requests as it may (memoryBytes of traces, or of logs for log \
         records); try again later"
    )]
    Busy,
    /// Log records; with what to do.
    #[error("{0}")]
    Held(String),
    #[error("the agent is ending; try again")]
    Ending,
    #[error("the request did not arrive within {} s", .0.as_secs())]
    Slow(Duration),
    #[error(
        "the request has more than {0} bytes, unpacked; send smaller ones or raise \
         traces.memoryBytes, of which a request may have a quarter (log records: half of \
         logs.memoryBytes)"
    )]
    TooLarge(usize),
    #[error("not an OTLP request: {0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    NotSupported(String),
    #[error("the request broke off")]
    BrokeOff,
}

impl Refusal {
    pub const REASONS: [&'static str; 8] = [
        "full",
        "busy",
        "shutdown",
        "timeout",
        "too_large",
        "malformed",
        "not_supported",
        "broke_off",
    ];

    /// Those of requests that were read to their end, so that their spans are known.
    pub const COUNTED: [&'static str; 2] = ["full", "shutdown"];

    /// The label of the series.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full | Self::Held(_) => "full",
            Self::Busy => "busy",
            Self::Ending => "shutdown",
            Self::Slow(_) => "timeout",
            Self::TooLarge(_) => "too_large",
            Self::Malformed(_) => "malformed",
            Self::NotSupported(_) => "not_supported",
            Self::BrokeOff => "broke_off",
        }
    }
}

/// How the bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    None,
    Gzip,
}

/// What the bytes say it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// Takes a request over or says why not; the ledger knows of both.
pub struct Intake<'a> {
    pub queue: &'a Queue,
    pub ledger: &'a Ledger,
    /// What its spans are counted in.
    pub figures: &'a Figures,
    /// Bytes of an unpacked request at most.
    pub limit: usize,
    /// A request with more spans is sent on in pieces.
    pub batch_spans: u64,
}

impl Intake<'_> {
    pub fn take(
        &self,
        transport: Transport,
        body: Vec<u8>,
        packing: Packing,
        encoding: Encoding,
    ) -> Result<(), Refusal> {
        let refused = |refusal: Refusal, spans| {
            self.ledger.refused(transport, &refusal, spans);
            Err(refusal)
        };
        let (request, spans) = match self.read(body, packing, encoding) {
            Ok(read) => read,
            Err(refusal) => return refused(refusal, 0),
        };
        if spans == 0 {
            return Ok(()); // an empty envelope is a success and travels nowhere
        }
        let received = Instant::now();
        let hits = Hits::of(self.figures, &request);
        let parts = split::split(request, spans, self.batch_spans)
            .into_iter()
            .map(|(bytes, spans)| Part {
                bytes: bytes.into(),
                spans,
                received,
            })
            .collect();
        match self.queue.offer(transport, parts) {
            Ok(()) => {
                hits.count(self.figures);
                Ok(())
            }
            Err(NotTaken::Full) => refused(Refusal::Full, spans),
            Err(NotTaken::Closed) => refused(Refusal::Ending, spans),
        }
    }

    fn read(
        &self,
        body: Vec<u8>,
        packing: Packing,
        encoding: Encoding,
    ) -> Result<(Vec<u8>, u64), Refusal> {
        let mut request = unpack(body, packing, encoding, &REQUEST, self.limit)?;
        let spans = walk::spans(&request)?;
        // What waits is charged by its length, so it must not have more room than that.
        request.shrink_to_fit();
        Ok((request, spans))
    }
}

/// The protobuf of a request, however it came.
pub fn unpack(
    body: Vec<u8>,
    packing: Packing,
    encoding: Encoding,
    message: &'static Message,
    limit: usize,
) -> Result<Vec<u8>, Refusal> {
    let request = match packing {
        Packing::None if body.len() > limit => return Err(Refusal::TooLarge(limit)),
        Packing::None => body,
        Packing::Gzip => gunzip(&body, limit)?,
    };
    if encoding == Encoding::Json {
        return Ok(json::to_protobuf(&request, message)?);
    }
    Ok(request)
}

fn gunzip(packed: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::with_capacity((packed.len() * 4).min(limit));
    MultiGzDecoder::new(packed)
        .take(limit as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|error| {
            Malformed::Packing(format!("the gzip data cannot be unpacked: {error}"))
        })?;
    if out.len() > limit {
        return Err(Refusal::TooLarge(limit));
    }
    Ok(out)
}
