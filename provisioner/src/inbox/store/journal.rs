//! The one thread that writes. Requests wait for it; what waits together is synced together, so a
//! burst costs one disk flush and each sender still hears `ok` only for what is durable.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Index, Location, Store, StoreError};
use crate::inbox::message::{Draft, Message};

/// Requests that may wait for the disk; more wait for a place.
const QUEUE: usize = 256;
/// Records per flush.
const BATCH: usize = 128;

type Answer = oneshot::Sender<Result<Arc<Message>, StoreError>>;

/// Handle to the writing thread and the readers' view. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {
    queue: mpsc::Sender<(Draft, Answer)>,
    dir: PathBuf,
    index: Arc<RwLock<Index>>,
    newest: watch::Receiver<u64>,
    stats: Arc<Stats>,
}

/// Numbers for the metrics page.
#[derive(Debug, Default)]
pub struct Stats {
    pub evicted: AtomicU64,
    pub bytes: AtomicU64,
    pub errors: AtomicU64,
}

impl Journal {
    /// Starts the thread. It ends when the last handle is dropped.
    pub fn start(mut store: Store) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let index = store.index();
        let (tell, newest) = watch::channel(read(&index).newest());
        let stats = Arc::new(Stats::default());
        let journal = Self {
            queue,
            dir: store.dir.clone(),
            index,
            newest,
            stats: Arc::clone(&stats),
        };
        let thread = std::thread::Builder::new()
            .name("inbox-journal".to_owned())
            .spawn(move || run(&mut store, jobs, &tell, &stats))?;
        Ok((journal, thread))
    }

    /// Keeps one record. Returns when it is durable.
    pub async fn record(&self, draft: Draft) -> Result<Arc<Message>, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .send((draft, answer))
            .await
            .map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// The highest id so far, and a way to wait for the next.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Looks at the index; keep it short.
    pub fn with_index<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&read(&self.index))
    }

    /// Reads whole records from the disk. Those evicted meanwhile are left out.
    pub async fn load(&self, locations: Vec<Location>) -> Result<Vec<Message>, StoreError> {
        let dir = self.dir.clone();
        let load = move || load(&dir, &locations);
        tokio::task::spawn_blocking(load)
            .await
            .map_err(|_| StoreError::Closed)?
    }
}

fn load(dir: &Path, locations: &[Location]) -> Result<Vec<Message>, StoreError> {
    let found: Result<Vec<_>, _> = locations
        .iter()
        .map(|location| super::read(dir, *location))
        .collect();
    Ok(found?.into_iter().flatten().collect())
}

fn read(index: &RwLock<Index>) -> std::sync::RwLockReadGuard<'_, Index> {
    index.read().unwrap_or_else(PoisonError::into_inner)
}

fn run(
    store: &mut Store,
    mut jobs: mpsc::Receiver<(Draft, Answer)>,
    tell: &watch::Sender<u64>,
    stats: &Stats,
) {
    let publish = |store: &Store| {
        stats.evicted.store(store.evicted(), Ordering::Relaxed);
        stats.bytes.store(store.bytes(), Ordering::Relaxed);
    };
    publish(store);
    while let Some(first) = jobs.blocking_recv() {
        let (mut drafts, mut answers) = (vec![first.0], vec![first.1]);
        while drafts.len() < BATCH
            && let Ok((draft, answer)) = jobs.try_recv()
        {
            drafts.push(draft);
            answers.push(answer);
        }
        match store.append(drafts) {
            Ok(messages) => {
                publish(store);
                if let Some(last) = messages.last() {
                    tell.send_replace(last.id);
                }
                // A sender that went away does not need its answer.
                for (answer, message) in answers.into_iter().zip(messages) {
                    drop(answer.send(Ok(message)));
                }
            }
            Err(error) => {
                stats.errors.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "messages could not be kept; their senders were told so");
                for answer in answers {
                    drop(answer.send(Err(StoreError::Shared(error.to_string()))));
                }
            }
        }
    }
}
