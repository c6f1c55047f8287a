//! Prometheus remote write: what the agent scrapes is sent to receivers, besides being shown.
//!
//! ```text
//! scrapes ─▶ inbox (bounded) ─▶ targets (join labels, mark what ended) ─▶ one queue per receiver ─▶ send
//! ```
//! It has a thread and a runtime of its own, so that a receiver that is away delays no scrape. What
//! waits is in memory only: a receiver that is away for longer than the memory lasts loses the
//! oldest samples, and a crash of the agent loses what waits. Both are counted while the agent
//! lives. docs/decisions/0017-remote-write.md says why.

mod answer;
pub(crate) mod fuzz;
mod labels;
mod ledger;
mod queue;
mod request;
mod send;
mod targets;
#[cfg(test)]
mod tests;
mod transcode;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kai_contract::agent_config::RemoteWrite;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

pub use ledger::Ledger;
pub use targets::Read;

use crate::samples::{Follower, Scraped};
use crate::shutdown::ended;
use ledger::{Loss, Unread};
use queue::Queue;
use request::{Batch, Versions};
use send::Endpoint;
use targets::Targets;

/// Pages that wait to be read at most, and the part of the memory that they may take.
const PAGES: usize = 1024;
const INBOX_SHARE: u64 = 4;

/// How often targets that fell silent are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// How long what waits at the end may take to be sent.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(2500);

/// Takes scrapes over; cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    pages: mpsc::Sender<Scraped>,
    held: Arc<AtomicU64>,
    limit: u64,
    ledger: Ledger,
}

impl Follower for Inbox {
    fn scraped(&self, scraped: &Scraped) {
        let bytes = size(scraped);
        let held = self.held.fetch_add(bytes, Ordering::Relaxed);
        // One page always has room, or one that is larger than the share would never be written.
        let fits = held == 0 || held + bytes <= self.limit;
        if !fits || self.pages.try_send(scraped.clone()).is_err() {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            self.ledger.unread(Unread::Busy);
        }
    }
}

fn size(scraped: &Scraped) -> u64 {
    scraped.page.as_ref().map_or(0, |page| page.body.len()) as u64
}

struct Lane {
    targets: Targets,
    endpoints: Vec<Arc<Endpoint>>,
    ledger: Ledger,
}

/// Starts the lane on its thread. What is returned is ready when the lane has ended, some time after
/// `shutdown` became true.
pub fn start(
    config: &RemoteWrite,
    read: Read,
    ledger: Ledger,
    shutdown: watch::Receiver<bool>,
) -> Result<(Inbox, impl Future<Output = ()> + Send + 'static), String> {
    let (lane, inbox, pages) = prepare(config, read, ledger)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let (done, wait) = oneshot::channel();
    let held = Arc::clone(&inbox.held);
    std::thread::Builder::new()
        .name("remote-write".to_owned())
        .spawn(move || {
            runtime.block_on(run(lane, pages, held, shutdown));
            let _ = done.send(());
        })
        .map_err(|error| error.to_string())?;
    let finished = async move {
        if wait.await.is_err() {
            tracing::error!("remote write ended unexpectedly");
        }
    };
    Ok((inbox, finished))
}

fn prepare(
    config: &RemoteWrite,
    read: Read,
    ledger: Ledger,
) -> Result<(Lane, Inbox, mpsc::Receiver<Scraped>), String> {
    ledger.begin();
    let inbox_limit = config.memory_bytes / INBOX_SHARE;
    let limit = (config.memory_bytes - inbox_limit) / config.endpoints.len().max(1) as u64;
    let endpoints = config.endpoints.iter().map(|(name, endpoint)| {
        let account = ledger.account(name, shown(&endpoint.url), limit);
        Endpoint::new(name, endpoint, Queue::new(limit, account)).map(Arc::new)
    });
    let external = config.external_labels.iter();
    let external = external.map(|(name, value)| (name.clone(), value.clone()));
    let lane = Lane {
        endpoints: endpoints.collect::<Result<_, _>>()?,
        targets: Targets::new(read, external.collect(), config.batch_samples.into()),
        ledger: ledger.clone(),
    };
    let (pages, inside) = mpsc::channel(PAGES);
    let inbox = Inbox {
        pages,
        held: Arc::default(),
        limit: inbox_limit,
        ledger,
    };
    Ok((lane, inbox, inside))
}

/// The address as a label: without what may hold a secret.
fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

async fn run(
    mut lane: Lane,
    mut pages: mpsc::Receiver<Scraped>,
    held: Arc<AtomicU64>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut senders = JoinSet::new();
    for endpoint in &lane.endpoints {
        tracing::info!(receiver = endpoint.name, "writing samples (remote write)");
        senders.spawn(send::run(Arc::clone(endpoint)));
    }
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            page = pages.recv() => match page {
                Some(scraped) => {
                    lane.take(&scraped);
                    held.fetch_sub(size(&scraped), Ordering::Relaxed);
                }
                None => ended(&mut shutdown).await,
            },
            _ = look.tick() => lane.look(),
            () = ended(&mut shutdown) => break,
        }
    }
    pages.close();
    while let Ok(scraped) = pages.try_recv() {
        lane.take(&scraped);
    }
    lane.end();
    let drained = tokio::time::timeout(DRAIN_TIMEOUT, async {
        while senders.join_next().await.is_some() {}
    });
    let _ = drained.await; // what is left is counted
    senders.shutdown().await;
    for endpoint in &lane.endpoints {
        let account = endpoint.queue.account();
        let left = account.in_flight();
        if left > 0 {
            account.dropped(Loss::Shutdown, left);
            tracing::warn!(
                receiver = endpoint.name,
                samples = left,
                "samples could not be written before the agent ended and are dropped"
            );
        }
        tracing::info!(
            receiver = endpoint.name,
            acked = account.acked_so_far(),
            dropped = account.received_so_far() - account.acked_so_far(),
            "remote write ends"
        );
    }
}

impl Lane {
    /// The versions that the receivers speak at present.
    fn versions(&self) -> Versions {
        let speaks = |version| self.endpoints.iter().any(|e| e.protocol() == version);
        Versions {
            one: speaks(1),
            two: speaks(2),
        }
    }

    fn take(&mut self, scraped: &Scraped) {
        let versions = self.versions();
        let outcome = self.targets.scraped(scraped, Instant::now(), versions);
        if outcome.not_newer {
            self.ledger.unread(Unread::OutOfOrder);
        }
        if let Some(reason) = &outcome.malformed {
            self.ledger.unread(Unread::Malformed);
            tracing::warn!(
                target_name = scraped.target.name,
                reason,
                "a page cannot be read; its series are written as ended"
            );
        }
        for endpoint in &self.endpoints {
            endpoint.queue.refuse(Loss::Duplicate, outcome.duplicates);
            endpoint
                .queue
                .refuse(Loss::OutOfOrder, outcome.out_of_order);
        }
        self.ledger.series(self.targets.series());
        self.queue(outcome.batches);
    }

    fn queue(&self, batches: Vec<Batch>) {
        for batch in batches {
            self.ledger.read(batch.all_samples(), batch.newest);
            for endpoint in &self.endpoints {
                endpoint.queue.push(only(&batch, endpoint.protocol()));
            }
        }
    }

    fn look(&mut self) {
        let versions = self.versions();
        let batches = self.targets.end_silent(Instant::now(), now(), versions);
        self.queue(batches);
    }

    fn end(&mut self) {
        let batches = self.targets.end_all(now(), self.versions());
        self.queue(batches);
        for endpoint in &self.endpoints {
            endpoint.queue.close();
        }
    }
}

/// A request in the version of one receiver; the bytes are shared with the others.
fn only(batch: &Batch, version: u8) -> Batch {
    Batch {
        one: batch.one.clone().filter(|_| version == 1),
        two: batch.two.clone().filter(|_| version == 2),
        ..*batch
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as i64)
}
