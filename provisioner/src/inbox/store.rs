//! What arrived, on disk: append-only segments of JSON lines, written and synced before the sender
//! gets its answer. The oldest segments go when the size is reached, and are counted.
//!
//! ```text
//! <dir>/lock                                held while an inbox runs
//! <dir>/messages-00000000000000000001.jsonl records from id 1
//! <dir>/torn.part                           the last line that a crash left half written
//! <dir>/heartbeats.json                     latest beat and counter per name
//! ```

mod index;
pub mod journal;
mod segment;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use serde_json::Value;

use super::message::{Draft, Message};
use super::time::Instant;
pub use index::{Index, Location};
use segment::Segment;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Bytes on disk. The newest record is kept whatever its size.
    pub max_bytes: u64,
    /// Records; bounds the index in memory.
    pub max_messages: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_messages: 50_000,
        }
    }
}

impl Retention {
    /// Evicting a segment frees a sixteenth: fine enough, and few files.
    fn segment_bytes(self) -> u64 {
        (self.max_bytes / 16).max(1)
    }
    fn segment_messages(self) -> usize {
        (self.max_messages / 16).max(1)
    }
    /// A single record may take a quarter.
    fn raw_bytes(self) -> usize {
        usize::try_from(self.max_bytes / 4)
            .unwrap_or(usize::MAX)
            .max(1024)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("another inbox holds {}; stop it or give this one its own folder", .0.display())]
    Locked(PathBuf),
    #[error("{action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("encoding a record: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the inbox is shutting down")]
    Closed,
    /// An error that several senders share.
    #[error("{0}")]
    Shared(String),
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io {
        action,
        path,
        source,
    }
}

/// What was found at the start that should not have been there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of a last line without an end, moved to `torn.part`.
    pub torn_bytes: u64,
    /// Whole lines that are no record; they stay where they are and are not shown.
    pub damaged: u64,
    /// Readable records.
    pub messages: usize,
}

/// The writer. One per folder.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    retention: Retention,
    segments: VecDeque<Segment>,
    active: File,
    next_id: u64,
    index: Arc<RwLock<Index>>,
    /// Records deleted for space since the start.
    evicted: u64,
    _lock: File,
}

impl Store {
    /// Opens or creates the folder, mends what a crash left, and reads the index.
    pub fn open(dir: &Path, retention: Retention) -> Result<(Self, Recovery), StoreError> {
        // Messages can quote what should stay with the operator.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io("creating folder", dir))?;
        let lock = lock(dir)?;
        let mut recovery = Recovery::default();
        let mut index = Index::default();
        let mut segments = VecDeque::new();
        let mut next_id = 1;
        let found = segment::list(dir)?;
        let last = found.len().saturating_sub(1);
        for (at, first) in found.into_iter().enumerate() {
            let path = segment::path(dir, first);
            let loaded = segment::load(dir, first, at == last).map_err(io("reading", &path))?;
            recovery.torn_bytes += loaded.torn_bytes;
            recovery.damaged += loaded.damaged;
            next_id = next_id.max(first);
            let (bytes, lines) = (loaded.bytes, loaded.lines);
            for (message, location) in loaded.messages {
                next_id = next_id.max(message.id + 1);
                index.push(message, location);
            }
            segments.push_back(Segment {
                first,
                bytes,
                lines,
            });
        }
        recovery.messages = index.len();
        if segments.is_empty() {
            segments.push_back(Segment {
                first: next_id,
                bytes: 0,
                lines: 0,
            });
        }
        let newest = segments.back().map_or(next_id, |segment| segment.first);
        let active = open_segment(dir, newest)?;
        let mut store = Self {
            dir: dir.to_owned(),
            retention,
            segments,
            active,
            next_id,
            index: Arc::new(RwLock::new(index)),
            evicted: 0,
            _lock: lock,
        };
        store.evict()?;
        Ok((store, recovery))
    }

    /// The readers' view.
    pub fn index(&self) -> Arc<RwLock<Index>> {
        Arc::clone(&self.index)
    }

    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Writes records and syncs them to the disk once. All of them are durable, or none is there.
    pub fn append(&mut self, drafts: Vec<Draft>) -> Result<Vec<Arc<Message>>, StoreError> {
        self.roll()?;
        let segment = self.segments.back().copied().unwrap_or_default();
        let received = Instant::now().rfc3339();
        let mut bytes = Vec::new();
        let mut written = Vec::with_capacity(drafts.len());
        let mut next_id = self.next_id;
        {
            let index = self.read_index();
            let mut incidents = index.incidents();
            for draft in drafts {
                let mut message = self.number(draft, next_id, received.clone());
                message.incident = incidents.assign(&message);
                next_id += 1;
                let start = bytes.len();
                serde_json::to_writer(&mut bytes, &message)?;
                bytes.push(b'\n');
                let location = Location {
                    segment: segment.first,
                    offset: segment.bytes + start as u64,
                    len: u32::try_from(bytes.len() - start).unwrap_or(u32::MAX),
                };
                written.push((message, location));
            }
        }
        let path = segment::path(&self.dir, segment.first);
        let result = self
            .active
            .write_all_at(&bytes, segment.bytes)
            .and_then(|()| self.active.sync_data());
        if let Err(error) = result {
            // No half of a record may stay: the next append would make one line of both.
            drop(self.active.set_len(segment.bytes));
            return Err(io("writing", &path)(error));
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.bytes += bytes.len() as u64;
            segment.lines += written.len();
        }
        self.next_id = next_id;
        let mut index = self
            .index
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let messages = written
            .into_iter()
            .map(|(message, location)| index.push(message.brief(), location))
            .collect();
        drop(index);
        if let Err(error) = self.evict() {
            tracing::warn!(%error, "old messages could not be deleted; will be tried again");
        }
        Ok(messages)
    }

    fn number(&self, draft: Draft, id: u64, received: String) -> Message {
        let Draft {
            channel,
            endpoint,
            kind,
            verdict,
            mut facts,
            mail,
            raw,
            truncated,
        } = draft;
        facts.bound();
        let (raw, cut) = bounded(raw, self.retention.raw_bytes());
        Message {
            id,
            received,
            channel,
            endpoint: endpoint.chars().take(512).collect(),
            kind,
            verdict,
            facts,
            incident: None,
            mail,
            raw,
            truncated: truncated || cut,
        }
    }

    /// Begins a new segment when the present one is full.
    fn roll(&mut self) -> Result<(), StoreError> {
        let Some(segment) = self.segments.back() else {
            return Ok(());
        };
        let full = segment.bytes >= self.retention.segment_bytes()
            || segment.lines >= self.retention.segment_messages();
        if full && segment.lines > 0 {
            self.active = open_segment(&self.dir, self.next_id)?;
            self.segments.push_back(Segment {
                first: self.next_id,
                bytes: 0,
                lines: 0,
            });
        }
        Ok(())
    }

    /// Deletes the oldest segments until the rest fits; the newest stays.
    fn evict(&mut self) -> Result<(), StoreError> {
        loop {
            let lines: usize = self.segments.iter().map(|segment| segment.lines).sum();
            let fits =
                self.bytes() <= self.retention.max_bytes && lines <= self.retention.max_messages;
            if fits || self.segments.len() < 2 {
                return Ok(());
            }
            let Some(oldest) = self.segments.front().copied() else {
                return Ok(());
            };
            let path = segment::path(&self.dir, oldest.first);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io("deleting", &path)(error));
                }
                _ => {}
            }
            self.segments.pop_front();
            let keep_from = self
                .segments
                .front()
                .map_or(u64::MAX, |segment| segment.first);
            let mut index = self
                .index
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let gone = index.forget_before(keep_from);
            self.evicted += gone as u64;
            tracing::info!(
                messages = gone,
                "deleted the oldest messages to stay within the limit"
            );
        }
    }

    fn read_index(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Reads one whole record. `None` when it was evicted meanwhile.
pub fn read(dir: &Path, location: Location) -> Result<Option<Message>, StoreError> {
    let path = segment::path(dir, location.segment);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io("opening", &path))?,
    };
    let mut line = vec![0; location.len as usize];
    file.read_exact_at(&mut line, location.offset)
        .map_err(io("reading", &path))?;
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Replaces a small file whole: the old or the new is there, never a half.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let part = path.with_extension("part");
    let mut file = options()
        .truncate(true)
        .open(&part)
        .map_err(io("creating", &part))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_data())
        .map_err(io("writing", &part))?;
    fs::rename(&part, path).map_err(io("replacing", path))
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = options().open(&path).map_err(io("opening", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(io("locking", &path)(error)),
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

fn open_segment(dir: &Path, first: u64) -> Result<File, StoreError> {
    let path = segment::path(dir, first);
    let file = options().open(&path).map_err(io("opening", &path))?;
    // The name must survive a power loss as well as the content.
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io("syncing", dir))?;
    Ok(file)
}

/// Cuts a body that would take too much of the store. JSON that is too large is kept as text.
fn bounded(raw: Value, max: usize) -> (Value, bool) {
    let text = match raw {
        Value::String(text) if text.len() > max => text,
        Value::Array(_) | Value::Object(_) => {
            let text = raw.to_string();
            if text.len() <= max {
                return (raw, false);
            }
            text
        }
        raw => return (raw, false),
    };
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (Value::String(text[..end].to_owned()), true)
}

#[cfg(test)]
mod tests;
