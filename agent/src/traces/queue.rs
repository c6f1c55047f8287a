//! What waits to be sent, and what is being sent: the lane's memory. Everything in it is charged
//! by the bytes that it takes up, until its outcome is known.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::sync::Notify;

use super::intake::Transport;
use super::ledger::Ledger;

/// What a request costs beside its bytes; a flood of tiny ones must be bounded too.
const OVERHEAD: u64 = 256;

/// Bytes of one batch at most, unless a single request has more: half of what gRPC servers take
/// when they are not told otherwise (4 MiB).
const BATCH_BYTES: u64 = 2 << 20;

/// A request's spans.
#[derive(Debug, Clone)]
pub struct Part {
    pub bytes: Bytes,
    pub spans: u64,
    pub received: Instant,
}

impl Part {
    fn cost(&self) -> u64 {
        self.bytes.len() as u64 + OVERHEAD
    }
}

/// Requests that travel as one: their bytes one after the other are one request, because protobuf
/// merges repeated fields by joining them.
#[derive(Debug)]
pub struct Batch {
    id: u64,
    pub parts: Vec<Part>,
}

/// How much goes into a batch, and how long it may take to gather it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub spans: u64,
    pub delay: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Part>,
    waiting_spans: u64,
    waiting_bytes: u64,
    /// Age and cost of the batches that were taken and are not settled.
    taken: BTreeMap<u64, (Option<Instant>, u64)>,
    taken_bytes: u64,
    next: u64,
    closed: bool,
}

impl Inner {
    fn bytes(&self) -> u64 {
        self.waiting_bytes + self.taken_bytes
    }

    fn oldest(&self) -> Option<Instant> {
        let waiting = self.waiting.front().map(|part| part.received);
        let taken = self.taken.values().filter_map(|(oldest, _)| *oldest);
        taken.chain(waiting).min()
    }
}

#[derive(Debug)]
pub struct Queue {
    limit: u64,
    inner: Mutex<Inner>,
    changed: Notify,
    ledger: Ledger,
    /// One sender gathers a batch at a time, so that they do not share one between them.
    gathering: tokio::sync::Mutex<()>,
}

/// Why a request was not taken into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    Full,
    Closed,
}

impl Queue {
    pub fn new(limit: u64, ledger: Ledger) -> Self {
        Self {
            limit,
            inner: Mutex::default(),
            changed: Notify::new(),
            ledger,
            gathering: tokio::sync::Mutex::new(()),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all parts of a request over, or none.
    pub fn offer(&self, transport: Transport, parts: Vec<Part>) -> Result<(), NotTaken> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(NotTaken::Closed);
        }
        let cost: u64 = parts.iter().map(Part::cost).sum();
        if inner.bytes() + cost > self.limit {
            return Err(NotTaken::Full);
        }
        let spans = parts.iter().map(|part| part.spans).sum();
        inner.waiting_spans += spans;
        inner.waiting_bytes += cost;
        inner.waiting.extend(parts);
        self.ledger.received(transport, spans, inner.bytes());
        self.ledger.set_oldest(inner.oldest());
        drop(inner);
        self.changed.notify_one();
        Ok(())
    }

    /// The next batch, when it is full or has waited long enough; `None` when the queue is closed
    /// and empty. Every batch must be settled.
    pub async fn next(&self, limits: impl Fn() -> Limits) -> Option<Batch> {
        let _turn = self.gathering.lock().await;
        loop {
            let limits = limits();
            let due = {
                let mut inner = self.inner();
                match inner.waiting.front().map(|part| part.received) {
                    None if inner.closed => return None,
                    None => None,
                    Some(oldest) => {
                        let due = oldest + limits.delay;
                        let full = inner.waiting_spans >= limits.spans
                            || inner.waiting_bytes >= BATCH_BYTES;
                        if full || inner.closed || due <= Instant::now() {
                            return Some(Self::take(&mut inner, limits.spans));
                        }
                        Some(due)
                    }
                }
            };
            let changed = self.changed.notified();
            match due {
                Some(due) => drop(tokio::time::timeout_at(due.into(), changed).await),
                None => changed.await,
            }
        }
    }

    fn take(inner: &mut Inner, most: u64) -> Batch {
        let (mut parts, mut spans, mut cost) = (Vec::new(), 0, 0);
        while let Some(part) = inner.waiting.front() {
            let fits = spans + part.spans <= most && cost + part.cost() <= BATCH_BYTES;
            if !fits && !parts.is_empty() {
                break;
            }
            spans += part.spans;
            cost += part.cost();
            parts.extend(inner.waiting.pop_front());
        }
        if inner.waiting.is_empty() {
            // After a long outage the emptied queue must not keep its room.
            inner.waiting.shrink_to(1024);
        }
        inner.waiting_spans -= spans;
        inner.waiting_bytes -= cost;
        inner.taken_bytes += cost;
        let id = inner.next;
        inner.next += 1;
        let oldest = parts.iter().map(|part| part.received).min();
        inner.taken.insert(id, (oldest, cost));
        Batch { id, parts }
    }

    /// The outcome of everything in the batch is known: its memory is free again.
    pub fn settled(&self, batch: Batch) {
        let id = batch.id;
        drop(batch);
        let mut inner = self.inner();
        if let Some((_, cost)) = inner.taken.remove(&id) {
            inner.taken_bytes -= cost;
        }
        self.ledger.queue_bytes(inner.bytes());
        self.ledger.set_oldest(inner.oldest());
    }

    /// Takes nothing more over; what is there can still be taken out.
    pub fn close(&self) {
        self.inner().closed = true;
        self.changed.notify_waiters();
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: usize, spans: u64) -> Part {
        Part {
            bytes: vec![0; bytes].into(),
            spans,
            received: Instant::now(),
        }
    }

    fn limits(spans: u64, delay_ms: u64) -> Limits {
        Limits {
            spans,
            delay: Duration::from_millis(delay_ms),
        }
    }

    #[tokio::test]
    async fn memory_is_charged_until_a_batch_is_settled() {
        let ledger = Ledger::default();
        let queue = Queue::new(1000 + 2 * OVERHEAD, ledger.clone());
        let offer = |part| queue.offer(Transport::Grpc, vec![part]);
        offer(part(500, 5)).unwrap();
        offer(part(500, 6)).unwrap();
        assert_eq!(offer(part(0, 1)), Err(NotTaken::Full));
        let batch = queue.next(|| limits(5, 60_000)).await.unwrap();
        assert_eq!(batch.parts.len(), 1, "6 more would be too many spans");
        assert_eq!(offer(part(500, 1)), Err(NotTaken::Full), "still being sent");
        queue.settled(batch);
        offer(part(500, 1)).unwrap();
        assert_eq!(ledger.in_flight(), 12, "an outcome is the sender's to tell");
    }

    #[tokio::test]
    async fn a_closed_queue_is_emptied_and_takes_nothing() {
        let queue = Queue::new(1 << 20, Ledger::default());
        queue.offer(Transport::Http, vec![part(1, 1)]).unwrap();
        queue.close();
        assert_eq!(
            queue.offer(Transport::Http, vec![part(1, 1)]),
            Err(NotTaken::Closed)
        );
        let batch = queue.next(|| limits(512, 60_000)).await.unwrap();
        assert_eq!(batch.parts.len(), 1);
        assert!(queue.next(|| limits(512, 60_000)).await.is_none());
    }

    #[tokio::test]
    async fn a_batch_goes_when_it_is_full_or_has_waited() {
        let queue = Queue::new(1 << 30, Ledger::default());
        for _ in 0..3 {
            queue
                .offer(Transport::Grpc, vec![part(1 << 20, 1)])
                .unwrap();
        }
        let by_bytes = queue.next(|| limits(512, 3_600_000)).await.unwrap();
        assert_eq!(
            by_bytes.parts.len(),
            1,
            "two would be over 2 MiB with their overhead"
        );
        let by_time = queue.next(|| limits(512, 0)).await.unwrap();
        assert_eq!(by_time.parts.len(), 1);
        queue
            .offer(Transport::Grpc, vec![part(5 << 20, 9000)])
            .unwrap();
        queue.next(|| limits(512, 0)).await.unwrap();
        let whole = queue.next(|| limits(512, 3_600_000)).await.unwrap();
        assert_eq!(whole.parts[0].spans, 9000, "one request is never held back");
    }
}
