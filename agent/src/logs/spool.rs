//! Where events wait that cannot be read again: on disk with `logs.spool`, else in memory. Each
//! source has a share of its own, and one queue for each data stream ([`queue`]).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ledger::{Ledger, ReadCount};

mod damaged;
pub mod queue;
pub mod record;
pub mod segment;
mod share;

use damaged::Aside;
pub use queue::Queue;
pub use share::Share;

/// Why events are not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the agent holds as many events as it may ({0}); try again later")]
    Full(&'static str),
    #[error("the spool cannot be written: {0}; try again later")]
    Disk(#[from] io::Error),
    #[error("the agent is ending, or its configuration changes; try again later")]
    Closed,
    #[error("the events are larger than all the room that their source has ({0} bytes)")]
    TooLarge(u64),
}

impl Refused {
    /// The label of the series.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full(_) => "spool_full",
            Self::Disk(_) => "spool_unwritable",
            Self::Closed => "shutdown",
            Self::TooLarge(_) => "too_large",
        }
    }
}

/// Events of one queue that arrive together.
pub struct Part {
    pub queue: Arc<Queue>,
    /// Whole records.
    pub records: Vec<u8>,
    pub count: ReadCount,
}

/// By source and data stream.
type Queues = BTreeMap<(Arc<str>, Arc<str>), Arc<Queue>>;

#[derive(Debug)]
pub struct Store {
    /// The spool; `None`: in memory.
    folder: Option<PathBuf>,
    aside: Arc<Aside>,
    ledger: Arc<Ledger>,
    shares: BTreeMap<Arc<str>, Arc<Share>>,
    queues: Mutex<Queues>,
    /// Grows when something arrives.
    arrived: Mutex<u64>,
    bell: Condvar,
    closed: AtomicBool,
}

impl Store {
    /// Opens what is there. `sources` have equal parts of `limit`.
    pub fn open(
        folder: Option<PathBuf>,
        limit: u64,
        sources: &[&str],
        ledger: &Arc<Ledger>,
    ) -> io::Result<Self> {
        let part = limit / (sources.len().max(1) as u64);
        let shares = sources
            .iter()
            .map(|name| (Arc::from(*name), Arc::new(Share::new(part))))
            .collect();
        let store = Self {
            aside: Arc::new(Aside::new(folder.as_deref())),
            folder,
            ledger: Arc::clone(ledger),
            shares,
            queues: Mutex::default(),
            arrived: Mutex::new(0),
            bell: Condvar::new(),
            closed: AtomicBool::new(false),
        };
        for (source, stream) in store.left()? {
            store.queue(&source, &stream)?;
        }
        Ok(store)
    }

    /// Queues on disk, of sources that may not be configured any more.
    fn left(&self) -> io::Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        let Some(folder) = self.folder.as_deref().filter(|folder| folder.exists()) else {
            return Ok(found);
        };
        for source in folders(&folder.join("queues"))? {
            for stream in folders(&folder.join("queues").join(&source))? {
                found.push((source.clone(), stream));
            }
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.lock().values().cloned().collect()
    }

    /// Data streams of a source.
    pub fn streams_of(&self, source: &str) -> Vec<Arc<str>> {
        let queues = self.lock();
        let names = queues.keys().filter(|(of, _)| **of == *source);
        names.map(|(_, stream)| Arc::clone(stream)).collect()
    }

    /// The queue of a source for a data stream, made if it is not there.
    pub fn queue(&self, source: &str, stream: &str) -> io::Result<Arc<Queue>> {
        let mut queues = self.lock();
        let key: (Arc<str>, Arc<str>) = (source.into(), stream.into());
        if let Some(queue) = queues.get(&key) {
            return Ok(Arc::clone(queue));
        }
        let share = self.shares.get(source).cloned();
        // Of a source that brings nothing any more.
        let share = share.unwrap_or_else(|| Arc::new(Share::new(0)));
        let (of, name) = key.clone();
        let (aside, ledger) = (Arc::clone(&self.aside), Arc::clone(&self.ledger));
        let queue = match &self.folder {
            None => Queue::in_memory(of, name, share, aside, ledger),
            Some(folder) => {
                let folder = folder.join("queues").join(source).join(stream);
                Queue::open(of, name, share, folder, aside, ledger)?
            }
        };
        let queue = Arc::new(queue);
        queues.insert(key, Arc::clone(&queue));
        Ok(queue)
    }

    /// Takes events of one source, all or none of them. They are where a `kill -9` leaves them;
    /// [`Self::sync`] makes them survive the machine's.
    pub fn commit(&self, parts: &[Part]) -> Result<(), Refused> {
        let Some(share) = parts.first().map(|part| &part.queue.share) else {
            return Ok(());
        };
        let _one = share.commit.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Relaxed) {
            return Err(Refused::Closed);
        }
        let bytes: u64 = parts.iter().map(|part| part.records.len() as u64).sum();
        if bytes + segment::HEAD as u64 * 2 > share.limit {
            return Err(Refused::TooLarge(share.limit));
        }
        if !share.has_room_for(bytes) {
            let key = if self.folder.is_some() {
                "logs.spool.maxBytes"
            } else {
                "logs.memoryBytes"
            };
            return Err(Refused::Full(key));
        }
        for (index, part) in parts.iter().enumerate() {
            if let Err(error) = part.queue.write(&part.records) {
                for written in &parts[..index] {
                    written.queue.take_back();
                }
                return Err(error.into());
            }
        }
        for part in parts {
            part.queue.share.take(part.records.len() as u64);
            part.queue.publish(part.records.len() as u64, &part.count);
        }
        *self.arrived.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.bell.notify_all();
        Ok(())
    }

    /// Takes no more from now on: when it returns, whatever was taken can be read.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for share in self.shares.values() {
            drop(share.commit.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Makes what was taken of these durable.
    pub fn sync(&self, parts: &[Part]) -> Result<(), Refused> {
        for part in parts {
            part.queue.sync()?;
        }
        Ok(())
    }

    /// Makes everything durable; what cannot be is said by the one that asks.
    pub fn sync_all(&self) -> io::Result<()> {
        let mut result = Ok(());
        for queue in self.queues() {
            let synced = queue.sync();
            result = result.and(synced);
        }
        result
    }

    /// Waits until something arrives after `seen`.
    pub fn wait(&self, seen: u64, limit: Duration) -> u64 {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .bell
            .wait_timeout_while(arrived, limit, |arrived| *arrived == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes who waits.
    pub fn ring(&self) {
        *self.arrived.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.bell.notify_all();
    }

    /// Bytes that a source's events take up, and may.
    pub fn room(&self) -> Vec<(Arc<str>, u64, u64)> {
        self.shares
            .iter()
            .map(|(name, share)| (Arc::clone(name), share.used(), share.limit))
            .collect()
    }

    pub fn is_on_disk(&self) -> bool {
        self.folder.is_some()
    }
}

fn folders(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    Ok(entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}
