//! The threads that call the collectors. One takes them in turn, because to wake a thread costs
//! more than most collectors do. If a call takes long, another thread takes over what is left, so
//! that a call that hangs holds up the others for a moment only. Threads are not joined.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::call::{Done, Job, call};

/// How long one call may keep the others waiting. All collectors together take about a
/// millisecond; one that needs longer than this on a busy machine costs a thread, nothing else.
const PATIENCE: Duration = Duration::from_millis(25);

/// Of a scrape's time limit, the part that one call may take from the others: with less time than
/// usual, a dozen calls that hang must still leave time for the rest.
const SHARE: u32 = 32;

/// Collectors parse flat files; a small stack suffices and keeps the process small.
const STACK: usize = 256 << 10;

/// The threads and what they have to do.
#[derive(Default)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    work: Condvar,
    complete: Notify,
}

#[derive(Default)]
struct Inner {
    /// Number of the current scrape; what an earlier one asked for does not count for it.
    scrape: u64,
    /// Calls of the current scrape that no thread has taken.
    todo: VecDeque<Job>,
    /// Calls of the current scrape that have not returned, those of `todo` among them.
    outstanding: usize,
    /// When a thread last took a call; `None` if none has since the scrape began.
    taken: Option<Instant>,
    /// Threads that wait for work.
    idle: usize,
    done: Vec<Done>,
    /// Nobody will ask any more.
    closed: bool,
}

/// How a scrape's calls ended.
pub struct Round {
    /// Those that have returned, also calls of earlier scrapes.
    pub done: Vec<Done>,
    /// Those that no thread has come to.
    pub left: Vec<Job>,
    /// Why no thread could be started, if one was needed.
    pub no_thread: Option<io::Error>,
}

impl Pool {
    /// The number of the next scrape, which its jobs bear.
    pub fn next(&self) -> u64 {
        let mut inner = self.shared.inner();
        inner.scrape += 1;
        inner.scrape
    }

    /// Runs the jobs in their order and waits until all have returned or the time is up.
    pub async fn run(&self, jobs: Vec<Job>, limit: Duration) -> Round {
        let started = Instant::now();
        let until = started + limit;
        let patience = PATIENCE.min(limit / SHARE);
        {
            let mut inner = self.shared.inner();
            inner.outstanding = jobs.len();
            inner.todo = jobs.into();
            inner.taken = None;
        }
        let mut no_thread = self.call_a_thread().err();
        loop {
            // The count decides: a wake-up may be left over from an earlier scrape.
            let next = {
                let inner = self.shared.inner();
                if inner.outstanding == 0 {
                    break;
                }
                if inner.todo.is_empty() {
                    until
                } else {
                    until.min(inner.taken.unwrap_or(started) + patience)
                }
            };
            if Instant::now() >= until {
                break;
            }
            let woken = tokio::time::timeout_at(next.into(), self.shared.complete.notified()).await;
            if woken.is_err() && self.shared.is_held_up(started, patience) {
                no_thread = self.call_a_thread().err();
                // Given the time to take something; it may be a busy machine.
                self.shared.inner().taken = Some(Instant::now());
            }
        }
        let mut inner = self.shared.inner();
        Round {
            done: std::mem::take(&mut inner.done),
            left: std::mem::take(&mut inner.todo).into(),
            no_thread,
        }
    }

    /// What has returned since it was last asked.
    pub fn take(&self) -> Vec<Done> {
        std::mem::take(&mut self.shared.inner().done)
    }

    /// Wakes a thread that waits, or starts one.
    fn call_a_thread(&self) -> io::Result<()> {
        let inner = self.shared.inner();
        if inner.todo.is_empty() {
            return Ok(());
        }
        if inner.idle > 0 {
            drop(inner);
            self.shared.work.notify_one();
            return Ok(());
        }
        drop(inner);
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("collectors".to_owned())
            .stack_size(STACK)
            .spawn(move || shared.work())
            .map(drop)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.inner().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is work that nobody has taken for some time.
    fn is_held_up(&self, started: Instant, patience: Duration) -> bool {
        let inner = self.inner();
        !inner.todo.is_empty() && inner.taken.unwrap_or(started).elapsed() >= patience
    }

    /// A thread's life: one call after the other. It ends when another already waits for work,
    /// which is how the threads become one again after a call that had hung.
    fn work(&self) {
        let mut inner = self.inner();
        loop {
            if let Some(job) = inner.todo.pop_front() {
                inner.taken = Some(Instant::now());
                drop(inner);
                let done = call(job);
                inner = self.inner();
                let current = done.scrape == inner.scrape;
                inner.done.push(done);
                if current {
                    inner.outstanding = inner.outstanding.saturating_sub(1);
                    if inner.outstanding == 0 {
                        self.complete.notify_one();
                    }
                }
                continue;
            }
            if inner.idle > 0 || inner.closed {
                return;
            }
            inner.idle += 1;
            inner = self
                .work
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
            inner.idle -= 1;
        }
    }
}
