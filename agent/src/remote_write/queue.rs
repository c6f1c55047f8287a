//! What waits for one receiver, oldest first, bounded by bytes. One request is under way at a time,
//! so that the samples of a series arrive in their order whatever happens to a request.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::ledger::{Account, Loss};
use super::request::Batch;

#[derive(Debug)]
pub struct Queue {
    limit: u64,
    account: Account,
    inside: Mutex<Inside>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    waiting: VecDeque<Batch>,
    /// Of what waits and what is under way.
    bytes: u64,
    closed: bool,
}

/// Bytes that a request takes, with what is around it.
fn cost(batch: &Batch) -> u64 {
    let bytes = |one: &Option<hyper::body::Bytes>| one.as_ref().map_or(0, hyper::body::Bytes::len);
    (bytes(&batch.one) + bytes(&batch.two) + size_of::<Batch>()) as u64
}

impl Queue {
    pub fn new(limit: u64, account: Account) -> Self {
        Self {
            limit,
            account,
            inside: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request over. Where there is no room the oldest make it, and are counted: after an
    /// outage what is current says more than what is long past.
    pub fn push(&self, batch: Batch) {
        let samples = batch.all_samples();
        self.account.received(samples);
        let mut inside = self.lock();
        inside.bytes += cost(&batch);
        inside.waiting.push_back(batch);
        while inside.bytes > self.limit {
            let Some(oldest) = inside.waiting.pop_front() else {
                break; // what is under way is all that there is
            };
            inside.bytes -= cost(&oldest);
            self.account.dropped(Loss::QueueFull, oldest.all_samples());
        }
        self.account.queue_bytes(inside.bytes);
        drop(inside);
        self.changed.notify_one();
    }

    /// Counts samples that are not even queued.
    pub fn refuse(&self, loss: Loss, samples: u64) {
        if samples > 0 {
            self.account.received(samples);
            self.account.dropped(loss, samples);
        }
    }

    /// The oldest request; it counts as held until [`Self::settled`]. `None` at the end.
    pub async fn next(&self) -> Option<Batch> {
        loop {
            {
                let mut inside = self.lock();
                if let Some(batch) = inside.waiting.pop_front() {
                    return Some(batch);
                }
                if inside.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    pub fn settled(&self, batch: &Batch) {
        let mut inside = self.lock();
        inside.bytes = inside.bytes.saturating_sub(cost(batch));
        self.account.queue_bytes(inside.bytes);
    }

    /// Nothing comes any more; what waits is still given out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    pub fn account(&self) -> &Account {
        &self.account
    }
}
