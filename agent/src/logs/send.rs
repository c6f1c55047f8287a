//! Batches to Elasticsearch until every line has its final outcome. One task per batch, on a
//! runtime of the lane's own.
//!
//! What may have been sent before is never repeated blindly: [`rollover`] asks first. What is
//! refused for good is written down as a dead letter and only then given up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Bytes;
use kai_contract::agent_config::Compress;
use tokio::sync::mpsc;

use super::batch::{Batch, Pool, Since};
use super::cluster::abilities::Packing;
use super::cluster::{Answer, Bulk, CallError, Cluster, pack};
use super::id::{EPOCH, Epoch};
use super::ledger::{Ledger, Outcome};
use super::letters::{Letter, Letters};
use super::places::Places;
use super::reply::{self, Reply};
use crate::state::unix_now;

mod backoff;
mod fit;
mod nowhere;
mod rollover;
mod stream;

pub use backoff::Backoff;
pub use nowhere::Nowhere;
pub use stream::Stream;

/// Also where it was created, of what may be there already.
const FILTER_PLACED: &str = "filter_path=errors,items.*.status,items.*.error.type,\
     items.*.error.reason,items.*._index,items.*._seq_no,items.*._primary_term";

const FILTER: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";

pub struct Sender {
    pub cluster: Cluster,
    pub streams: Vec<Stream>,
    pub pool: Arc<Pool>,
    pub places: Arc<Places>,
    pub ledger: Arc<Ledger>,
    pub letters: Arc<Letters>,
    pub letters_limit: u64,
    pub compress: Compress,
    /// The [`Packing`] in use.
    packing: AtomicU8,
    /// Tells this run's requests from those of the runs before.
    run: u64,
    started: Instant,
    serials: AtomicU64,
    /// OpenSearch, and Elasticsearch before 8.13, do not know the parameter.
    require_data_stream: AtomicBool,
}

/// What to do with a batch after an attempt.
enum Next {
    Done,
    /// Half of it at a time.
    Split,
    /// After a while.
    Wait,
    /// At once: something else was changed.
    Again,
}

/// Why an attempt brought nothing. The label is a metric's.
struct Failure {
    label: &'static str,
    reason: String,
}

impl Sender {
    #[expect(clippy::too_many_arguments, reason = "the lane's parts, named once")]
    pub fn new(
        cluster: Cluster,
        streams: Vec<Stream>,
        pool: Arc<Pool>,
        places: Arc<Places>,
        ledger: Arc<Ledger>,
        letters: Arc<Letters>,
        letters_limit: u64,
        compress: Compress,
    ) -> Self {
        Self {
            cluster,
            streams,
            pool,
            places,
            ledger,
            letters,
            letters_limit,
            compress,
            packing: AtomicU8::new(fit::at_first(compress) as u8),
            run: rand::random(),
            started: Instant::now(),
            serials: AtomicU64::new(1),
            require_data_stream: AtomicBool::new(true),
        }
    }

    /// Takes batches until the reader is gone.
    pub async fn run(self: Arc<Self>, mut batches: mpsc::UnboundedReceiver<Batch>) {
        tokio::spawn(Arc::clone(&self).fit());
        while let Some(batch) = batches.recv().await {
            tokio::spawn(Arc::clone(&self).deliver(batch));
        }
    }

    /// Boxed, because a half is delivered by a task that it starts.
    fn deliver(self: Arc<Self>, batch: Batch) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.deliver_all(batch))
    }

    async fn deliver_all(self: Arc<Self>, mut batch: Batch) {
        loop {
            if batch.items.is_empty() {
                break;
            }
            let stream = &self.streams[batch.stream];
            let slot = stream.turn().await;
            let next = self.attempt(&mut batch).await;
            drop(slot);
            match next {
                Next::Done => break,
                Next::Again => {}
                Next::Split => {
                    if let Some(half) = batch.split() {
                        tokio::spawn(Arc::clone(&self).deliver(half));
                    }
                }
                Next::Wait => stream.pause(),
            }
        }
        self.pool.give(batch);
    }

    async fn attempt(&self, batch: &mut Batch) -> Next {
        let since = match self.prepare(batch).await {
            Ok(since) => since,
            Err(failure) => return self.failed(batch, failure),
        };
        if batch.items.is_empty() {
            return Next::Done;
        }
        for run in &mut batch.runs {
            if run.since.is_none() {
                run.since = Some(since.clone());
                self.places.sent(run.file, run.segment, &since);
            }
        }
        batch.attempts += 1;
        if batch.serial == 0 {
            batch.serial = self.serials.fetch_add(1, Ordering::Relaxed);
        }
        let size = batch.body.len() as u64;
        let packing = self.packing();
        let mut packed = size;
        let answer = self.post(batch, packing, &mut packed).await;
        let (label, next) = match answer {
            Ok(answer) => {
                if answer.status == 200 && batch.any_suspect() {
                    self.undo_repeated(batch, &answer, &since).await;
                }
                // Of a server, or a gateway before it, that does not unpack it after all.
                if packing != Packing::None && matches!(answer.status, 400 | 406 | 415) {
                    self.use_packing(Packing::None);
                    ("refused", Next::Again)
                } else {
                    self.answered(batch, answer).await
                }
            }
            Err(CallError::NotSent(reason)) => {
                let label = "unreachable";
                (label, self.failed(batch, Failure { label, reason }))
            }
            Err(CallError::Unknown(reason)) => {
                batch.ambiguous = true;
                let label = "no_answer";
                (label, self.failed(batch, Failure { label, reason }))
            }
        };
        self.ledger.request(label, size, packed);
        next
    }

    /// Finds out what must be known before sending; takes out what is there already.
    async fn prepare(&self, batch: &mut Batch) -> Result<Since, Failure> {
        if batch.any_suspect() {
            return self.check(batch).await;
        }
        self.observed(batch.stream).await
    }

    /// What a batch's requests are called.
    fn name(&self, serial: u64) -> String {
        format!("{}{serial}", self.prefix())
    }

    /// What all requests of this run begin with.
    fn prefix(&self) -> String {
        format!("kai-agent/{}/{:016x}/", self.places.agent, self.run)
    }

    async fn post(
        &self,
        batch: &mut Batch,
        packing: Packing,
        packed: &mut u64,
    ) -> Result<Answer, CallError> {
        let name = &self.streams[batch.stream].name;
        let filter = if batch.any_suspect() {
            FILTER_PLACED
        } else {
            FILTER
        };
        let mut path = format!("/{name}/_bulk?{filter}");
        if self.require_data_stream.load(Ordering::Relaxed) {
            path.push_str("&require_data_stream=true");
        }
        if packing != Packing::None {
            let body = pack(&batch.body, packing).map_err(|error| {
                CallError::NotSent(format!("cannot compress a request: {error}"))
            })?;
            *packed = body.len() as u64;
            let bulk = Bulk {
                body: body.into(),
                name: self.name(batch.serial),
                packing,
            };
            return self.cluster.bulk(&path, bulk).await;
        }
        let shared = Arc::new(std::mem::take(&mut batch.body));
        let bulk = Bulk {
            body: Bytes::from_owner(Body(Arc::clone(&shared))),
            name: self.name(batch.serial),
            packing,
        };
        let answer = self.cluster.bulk(&path, bulk).await;
        // A connection that was given up may hold it for a moment.
        batch.body = Arc::try_unwrap(shared).unwrap_or_else(|shared| (*shared).clone());
        answer
    }

    async fn answered(&self, batch: &mut Batch, answer: Answer) -> (&'static str, Next) {
        let failed = |batch: &Batch, label: &'static str, reason: String| {
            (label, self.failed(batch, Failure { label, reason }))
        };
        match answer.status {
            200 => match reply::parse(&answer.body, batch.items.len()) {
                Ok(Reply::Clean) => {
                    self.stream(batch).succeeded(&self.ledger);
                    self.settle(batch, Outcome::Acked, |_| true);
                    ("ok", Next::Done)
                }
                Ok(Reply::Items(outcomes)) => ("partial", self.items(batch, &outcomes).await),
                Err(reason) => {
                    batch.ambiguous = true;
                    let reason = format!("cannot read the answer: {reason}");
                    self.cluster.leave(answer.endpoint, &reason);
                    failed(batch, "no_answer", reason)
                }
            },
            413 if batch.items.len() > 1 => ("too_large", Next::Split),
            413 => {
                let outcome = rejected(
                    413,
                    "request_too_large",
                    "the server takes no document of this size",
                );
                ("too_large", self.items(batch, &[outcome]).await)
            }
            400 => {
                let text = answer.excerpt();
                if text.contains("unrecognized parameter") && text.contains("require_data_stream") {
                    self.require_data_stream.store(false, Ordering::Relaxed);
                    return ("refused", Next::Again);
                }
                if batch.items.len() > 1 {
                    return ("refused", Next::Split);
                }
                if self.stream(batch).succeeded_lately() {
                    let outcome = rejected(400, "bad_request", &text);
                    return ("refused", self.items(batch, &[outcome]).await);
                }
                failed(batch, "refused", format!("status 400: {text}"))
            }
            401 | 403 => failed(
                batch,
                "unauthorized",
                format!(
                    "status {}: {}; the agent's secret or its rights are not enough",
                    answer.status,
                    answer.excerpt()
                ),
            ),
            429 => {
                batch.ambiguous = true;
                failed(batch, "busy", format!("status 429: {}", answer.excerpt()))
            }
            500.. => {
                batch.ambiguous = true;
                let text = format!("status {}: {}", answer.status, answer.excerpt());
                failed(batch, "server_error", text)
            }
            status => {
                batch.ambiguous = true;
                let text = format!(
                    "status {status}: {}; is this Elasticsearch?",
                    answer.excerpt()
                );
                self.cluster.leave(answer.endpoint, &text);
                failed(batch, "refused", text)
            }
        }
    }

    /// Every document's own outcome.
    async fn items(&self, batch: &mut Batch, outcomes: &[reply::Outcome]) -> Next {
        use reply::Outcome::{Created, Exists, Rejected, Retry};
        let mut keep = vec![false; batch.items.len()];
        let mut again: Option<(u16, &str)> = None;
        let mut collided = Vec::new();
        let mut refused = Vec::new();
        for (index, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Created => {}
                Exists if batch.suspect(index) || batch.run_of(index).by_content => {
                    self.ledger.duplicates(&batch.run_of(index).source, 1);
                }
                Exists => {
                    keep[index] = true;
                    collided.push(index);
                }
                Retry { status, reason } => {
                    keep[index] = true;
                    again.get_or_insert((*status, reason));
                }
                Rejected { .. } => refused.push(index),
            }
        }
        if !refused.is_empty() && !self.bury(batch, outcomes, &refused).await {
            for index in &refused {
                keep[*index] = true;
            }
        }
        let buried = |index: usize| refused.binary_search(&index).is_ok();
        self.settle(batch, Outcome::Acked, |index| {
            !keep[index] && !buried(index)
        });
        if !collided.is_empty() {
            self.rename(batch, &collided).await;
        }
        let before = batch.items.len();
        batch.retain(|index| keep[index]);
        if batch.items.len() < before {
            self.stream(batch).succeeded(&self.ledger);
        }
        if batch.items.is_empty() {
            return Next::Done;
        }
        let Some((status, reason)) = again else {
            // Collisions under their new ids; or letters that could not be written.
            return if collided.is_empty() {
                Next::Wait
            } else {
                Next::Again
            };
        };
        batch.ambiguous = true;
        let label = if status == 429 { "busy" } else { "item_error" };
        let reason = format!("a document was not taken: status {status}: {reason}");
        self.failed(batch, Failure { label, reason })
    }

    /// Writes dead letters; false if they could not be made durable.
    async fn bury(&self, batch: &Batch, outcomes: &[reply::Outcome], refused: &[usize]) -> bool {
        let refused_only = |index: usize| refused.binary_search(&index).is_ok();
        if self.letters_limit == 0 {
            self.settle(batch, Outcome::Dropped("rejected"), refused_only);
            return true;
        }
        let stream = &self.streams[batch.stream].name;
        let mut written = Vec::new();
        let mut large = Vec::new();
        let mut letters = Vec::new();
        for &index in refused {
            let reply::Outcome::Rejected {
                status,
                kind,
                reason,
            } = &outcomes[index]
            else {
                continue;
            };
            // One letter must not push out all others.
            if batch.document(index).len() as u64 > self.letters_limit / 4 {
                large.push(index);
                continue;
            }
            written.push(index);
            letters.push(Letter {
                at: unix_now(),
                source: batch.run_of(index).source.to_string(),
                data_stream: stream.to_string(),
                id: batch.id(index).to_owned(),
                status: *status,
                kind: kind.clone(),
                reason: reason.clone(),
                document: String::from_utf8_lossy(batch.document(index)).into_owned(),
            });
        }
        if let Some(first) = letters.first() {
            tracing::warn!(
                data_stream = %stream,
                letters = letters.len(),
                status = first.status,
                kind = %first.kind,
                reason = %first.reason,
                "Elasticsearch refused documents for good; they are kept as dead letters"
            );
        }
        let store = Arc::clone(&self.letters);
        let stored = tokio::task::spawn_blocking(move || store.write(&letters)).await;
        let stored = stored.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        match stored {
            Ok(kept) => {
                self.ledger.letters(kept.bytes, kept.removed);
                self.settle(batch, Outcome::DeadLettered, |index| {
                    written.binary_search(&index).is_ok()
                });
                self.settle(batch, Outcome::Dropped("dead_letter_too_large"), |index| {
                    large.binary_search(&index).is_ok()
                });
                true
            }
            Err(error) => {
                self.ledger.letters_failed();
                let reason = format!(
                    "cannot write dead letters: {error}; the lines wait: make room or mend the folder"
                );
                self.say(batch, &reason);
                false
            }
        }
    }

    /// Gives items whose id is somebody else's another one, once that is durable.
    async fn rename(&self, batch: &mut Batch, collided: &[usize]) {
        for &index in collided {
            let run = batch.run_of(index).clone();
            let Some(taken) = batch.id(index).get(..EPOCH).and_then(Epoch::parse) else {
                continue;
            };
            self.ledger.collision(&run.source);
            if self.places.epoch(run.file) == Some(taken) {
                tracing::error!(
                    source = %run.source,
                    data_stream = %self.streams[batch.stream].name,
                    id = batch.id(index),
                    "another document has this line's id: two agents with copies of one state \
                     folder? The file goes on under another epoch"
                );
                self.places.rename(run.file, taken);
            }
            let fresh = loop {
                if let Some(epoch) = self.places.durable_epoch(run.file) {
                    break epoch;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            batch.rename(index, fresh);
        }
    }

    /// Tells the ledger and the places what some items ended as.
    fn settle(&self, batch: &Batch, outcome: Outcome, ended: impl Fn(usize) -> bool) {
        let mut by_run = vec![0_usize; batch.runs.len()];
        for (index, item) in batch.items.iter().enumerate() {
            if ended(index) {
                by_run[item.run as usize] += 1;
            }
        }
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        for (run, lines) in batch.runs.iter().zip(by_run) {
            if lines > 0 {
                self.ledger.end(&run.source, outcome, lines as u64);
                if outcome == Outcome::Acked {
                    let (seconds, nanoseconds) = run.written;
                    let written = seconds as f64 + nanoseconds as f64 / 1e9;
                    self.ledger
                        .acked_after(&run.source, now - written, lines as u64);
                }
                self.places.done(run.file, run.segment, lines);
            }
        }
    }

    fn failed(&self, batch: &Batch, failure: Failure) -> Next {
        self.ledger.retried(failure.label, batch.items.len() as u64);
        self.say(batch, &failure.reason);
        Next::Wait
    }

    fn say(&self, batch: &Batch, reason: &str) {
        self.stream(batch).say(reason, &self.ledger);
    }

    fn stream(&self, batch: &Batch) -> &Stream {
        &self.streams[batch.stream]
    }
}

fn rejected(status: u16, kind: &str, reason: &str) -> reply::Outcome {
    reply::Outcome::Rejected {
        status,
        kind: kind.to_owned(),
        reason: reason.to_owned(),
    }
}

/// A batch's body while it is sent.
struct Body(Arc<Vec<u8>>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
