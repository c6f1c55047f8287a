//! Where the collectors' threads put their results. The scrape is woken by the last of them, not by
//! each: a wake-up costs more than most collectors do.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::exposition::Page;

/// One call's result.
pub struct Done {
    pub lane: usize,
    /// The scrape that asked for it.
    pub scrape: u64,
    pub page: Page,
    pub took: Duration,
    pub result: Result<(), String>,
}

/// The results that nobody has fetched yet.
#[derive(Default)]
pub struct Desk {
    inner: Mutex<Inner>,
    complete: Notify,
}

#[derive(Default)]
struct Inner {
    /// Number of the current scrape; what an earlier one asked for does not count for it.
    scrape: u64,
    outstanding: usize,
    done: Vec<Done>,
}

impl Desk {
    /// A new scrape that will ask this many threads; its number.
    pub fn open(&self, asked: usize) -> u64 {
        let mut inner = self.inner();
        inner.scrape += 1;
        inner.outstanding = asked;
        inner.scrape
    }

    /// One of those asked will not answer.
    pub fn give_up_one(&self) {
        let mut inner = self.inner();
        inner.outstanding = inner.outstanding.saturating_sub(1);
    }

    /// Called by the threads.
    pub fn put(&self, done: Done) {
        let mut inner = self.inner();
        let current = done.scrape == inner.scrape;
        inner.done.push(done);
        if current {
            inner.outstanding = inner.outstanding.saturating_sub(1);
            if inner.outstanding == 0 {
                self.complete.notify_one();
            }
        }
    }

    /// Everything that has come when the last has, or when the time is up.
    pub async fn wait(&self, until: Instant) -> Vec<Done> {
        let complete = async {
            // A wake-up may be left over from an earlier scrape, so the count decides.
            while self.inner().outstanding > 0 {
                self.complete.notified().await;
            }
        };
        let _ = tokio::time::timeout_at(until.into(), complete).await; // what is there is there
        self.take()
    }

    /// Everything that has come.
    pub fn take(&self) -> Vec<Done> {
        std::mem::take(&mut self.inner().done)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
