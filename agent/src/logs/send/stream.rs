//! One data stream's own fate: its requests under way, its pause after a failure, what was said of
//! it. Nothing of it is shared, so that one that is refused, throttled or slow holds up no other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::backoff::Backoff;
use crate::logs::batch::Since;
use crate::logs::ledger::Ledger;
use crate::logs::stream_name::StreamName;

/// Requests of one data stream at once: one is answered while the next is on its way.
const AT_ONCE: usize = 2;

/// A rejected request with one document is the document's fault if others went through lately.
const LATELY: Duration = Duration::from_mins(1);

/// A reason that stays is said again this often.
const SAY_AGAIN: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub struct Stream {
    pub name: StreamName,
    slots: Semaphore,
    state: Mutex<State>,
    /// The write index as it was last seen, and when.
    pub observed: Mutex<Option<(Since, Instant)>>,
}

#[derive(Debug, Default)]
struct State {
    backoff: Backoff,
    /// Nothing is tried before.
    until: Option<Instant>,
    /// The last attempt failed; when that was last said.
    failing: Option<Instant>,
    succeeded: Option<Instant>,
}

impl Stream {
    pub fn new(name: StreamName) -> Self {
        Self {
            name,
            slots: Semaphore::new(AT_ONCE),
            state: Mutex::default(),
            observed: Mutex::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another request of this data stream may go out.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        loop {
            // Never closed, so it is always had.
            let slot = self.slots.acquire().await.ok()?;
            let until = self.lock().until;
            let wait = until.map_or(Duration::ZERO, |until| {
                until.saturating_duration_since(Instant::now())
            });
            if wait.is_zero() {
                return Some(slot);
            }
            drop(slot);
            tokio::time::sleep(wait).await;
        }
    }

    /// Nothing is tried for a while, longer with each failure after the last success.
    pub fn pause(&self) {
        let mut state = self.lock();
        let until = Instant::now() + state.backoff.pause();
        state.until = Some(until);
    }

    /// Says why sending does not get on: once, and again from time to time.
    pub fn say(&self, reason: &str, ledger: &Ledger) {
        let mut state = self.lock();
        ledger.failing(&self.name, true);
        if state.failing.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            tracing::warn!(data_stream = %self.name, %reason, "lines are not taken by Elasticsearch; they wait and are sent again");
            state.failing = Some(Instant::now());
        }
    }

    pub fn succeeded(&self, ledger: &Ledger) {
        let mut state = self.lock();
        state.succeeded = Some(Instant::now());
        state.backoff = Backoff::default();
        state.until = None;
        if state.failing.take().is_some() {
            ledger.failing(&self.name, false);
            tracing::info!(data_stream = %self.name, "Elasticsearch takes lines again");
        }
    }

    pub fn succeeded_lately(&self) -> bool {
        self.lock()
            .succeeded
            .is_some_and(|at| at.elapsed() < LATELY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Stream {
        Stream::new(StreamName::new(name))
    }

    #[tokio::test]
    async fn a_pause_holds_up_this_stream_and_ends_with_a_success() {
        let ledger = Ledger::default();
        let (slow, other) = (named("slow"), named("other"));
        for _ in 0..20 {
            slow.pause();
        }
        let soon = Duration::from_millis(1);
        let until = slow.lock().until.unwrap();
        if until.saturating_duration_since(Instant::now()) > soon {
            assert!(tokio::time::timeout(soon, slow.turn()).await.is_err());
        }
        assert!(tokio::time::timeout(soon, other.turn()).await.is_ok());
        slow.succeeded(&ledger);
        assert!(tokio::time::timeout(soon, slow.turn()).await.is_ok());
    }

    #[tokio::test]
    async fn only_so_many_at_once() {
        let stream = named("a");
        let held = [stream.turn().await, stream.turn().await];
        let third = tokio::time::timeout(Duration::from_millis(5), stream.turn()).await;
        assert!(third.is_err());
        drop(held);
        assert!(stream.turn().await.is_some());
    }
}
