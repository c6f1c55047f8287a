//! Events of one source for one data stream, in the order in which they came: segments on disk, or
//! in memory where there is no spool. Each event has an offset that never comes again, as a line has
//! in its file; what is acknowledged from the front frees whole segments.
//!
//! A segment is written once: after a crash a new one is begun, so that what was torn is never
//! written over. What is damaged is put aside, counted, and passed over.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::damaged::Aside;
use super::record::{self, Next};
use super::segment;
use super::share::Share;
use crate::durable;
use crate::logs::id::Epoch;
use crate::logs::ledger::{Ledger, Outcome, ReadCount};

/// One read.
const READ: usize = 256 << 10;

/// An acknowledged segment that nothing was written to for so long gives its room back.
const IDLE: Duration = Duration::from_secs(5);

#[derive(Debug)]
enum Content {
    File(Arc<File>, PathBuf),
    Memory(Vec<u8>),
}

#[derive(Debug)]
struct Segment {
    /// Offset of its first event.
    base: u64,
    /// Bytes of events in it that count.
    len: u64,
    content: Content,
}

impl Segment {
    fn end(&self) -> u64 {
        self.base + self.len
    }

    /// Room that it takes up.
    fn room(&self) -> u64 {
        match self.content {
            Content::File(..) => segment::HEAD as u64 + self.len,
            Content::Memory(_) => self.len,
        }
    }

    fn copy(&self, from: u64, count: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let at = from - self.base;
        match &self.content {
            Content::File(file, _) => {
                into.resize(count, 0);
                file.read_exact_at(into, segment::HEAD as u64 + at)
            }
            Content::Memory(bytes) => {
                into.clear();
                into.extend_from_slice(&bytes[at as usize..at as usize + count]);
                Ok(())
            }
        }
    }
}

#[derive(Debug)]
struct Inner {
    epoch: Epoch,
    segments: VecDeque<Segment>,
    /// The last segment is being written to.
    open: bool,
    end: u64,
    /// Everything before is on the disk itself, or was found to be nowhere.
    synced: u64,
    unsynced: u64,
    folder_synced: bool,
    /// Handed on up to here; events before may have been sent.
    read: u64,
    sent_below: u64,
    acked: u64,
    /// A lane takes events from here; only then they are in its account.
    attached: bool,
    counted: u64,
    handed: u64,
    written: Instant,
}

#[derive(Debug)]
pub struct Queue {
    pub source: Arc<str>,
    /// Name of the data stream.
    pub stream: Arc<str>,
    pub share: Arc<Share>,
    /// `None`: in memory.
    pub folder: Option<PathBuf>,
    aside: Arc<Aside>,
    ledger: Arc<Ledger>,
    inner: Mutex<Inner>,
    syncing: Mutex<()>,
}

/// Where a lane goes on.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    pub epoch: Epoch,
    pub acked: u64,
    pub end: u64,
    /// Events before may have been sent.
    pub sent_below: u64,
}

impl Queue {
    pub fn in_memory(
        source: Arc<str>,
        stream: Arc<str>,
        share: Arc<Share>,
        aside: Arc<Aside>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self::new(source, stream, share, None, aside, ledger)
    }

    fn new(
        source: Arc<str>,
        stream: Arc<str>,
        share: Arc<Share>,
        folder: Option<PathBuf>,
        aside: Arc<Aside>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self {
            source,
            stream,
            share,
            folder,
            aside,
            ledger,
            inner: Mutex::new(Inner {
                epoch: Epoch::new(),
                segments: VecDeque::new(),
                open: false,
                end: 0,
                synced: 0,
                unsynced: 0,
                folder_synced: false,
                read: 0,
                sent_below: 0,
                acked: 0,
                attached: false,
                counted: 0,
                handed: 0,
                written: Instant::now(),
            }),
            syncing: Mutex::new(()),
        }
    }

    /// On disk, with what an earlier run left there.
    pub fn open(
        source: Arc<str>,
        stream: Arc<str>,
        share: Arc<Share>,
        folder: PathBuf,
        aside: Arc<Aside>,
        ledger: Arc<Ledger>,
    ) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let queue = Self::new(source, stream, share, Some(folder.clone()), aside, ledger);
        let mut inner = queue.lock();
        let mut epoch = None;
        // Offsets of what is put aside must not come again either.
        let mut beyond = 0;
        for (base, path) in segment::list(&folder)? {
            let found = segment::Found::read(&path);
            let found = match found {
                Ok(found) => found,
                Err(reason) => {
                    beyond = beyond.max(queue.put_aside(&path, base, &reason));
                    continue;
                }
            };
            let wrong = if found.base != base {
                Some("it is not the segment that its name says")
            } else if base < inner.end {
                Some("it begins before the one before it ends")
            } else if epoch.is_some_and(|epoch| epoch != found.epoch) {
                Some("it is of another queue")
            } else {
                None
            };
            if let Some(reason) = wrong {
                beyond = beyond.max(queue.put_aside(&path, base, reason));
                continue;
            }
            if found.len == 0 {
                fs::remove_file(&path)?;
                continue;
            }
            epoch = Some(found.epoch);
            if inner.segments.is_empty() {
                (inner.acked, inner.read) = (base, base);
            }
            let segment = Segment {
                base,
                len: found.len,
                content: Content::File(Arc::new(found.file), path),
            };
            inner.end = segment.end();
            queue.share.take(segment.room());
            inner.segments.push_back(segment);
        }
        inner.epoch = epoch.unwrap_or_default();
        inner.end = inner.end.max(beyond);
        inner.sent_below = inner.end;
        inner.synced = inner.end;
        drop(inner);
        Ok(queue)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a segment that is put aside ends.
    fn put_aside(&self, path: &Path, base: u64, reason: &str) -> u64 {
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.ledger.lost(&self.source, "spool_damaged", bytes);
        self.aside.file(path, &self.name(), reason);
        base.saturating_add(bytes)
    }

    fn name(&self) -> String {
        format!("{}.{}", self.source, self.stream)
    }

    // ---- in

    /// Writes whole records behind all others; they count only once they are published. One caller
    /// at a time.
    pub fn write(&self, records: &[u8]) -> io::Result<()> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let full = inner
            .segments
            .back()
            .is_none_or(|last| last.len >= self.share.segment_bytes);
        if !inner.open || full {
            self.begin_segment(inner)?;
        }
        let Some(last) = inner.segments.back_mut() else {
            return Err(io::Error::other("there is no segment"));
        };
        match &mut last.content {
            Content::Memory(bytes) => {
                bytes.truncate(last.len as usize);
                bytes.extend_from_slice(records);
                Ok(())
            }
            Content::File(file, _) => {
                let at = segment::HEAD as u64 + last.len;
                let written = file.write_all_at(records, at);
                if written.is_err() {
                    let _ = file.set_len(at); // what was written is not published either way
                }
                written
            }
        }
    }

    fn begin_segment(&self, inner: &mut Inner) -> io::Result<()> {
        let content = match &self.folder {
            None => Content::Memory(Vec::new()),
            Some(folder) => {
                // So that to sync the last one is to sync all.
                if inner.open
                    && inner.synced < inner.end
                    && let Some(Content::File(file, _)) =
                        inner.segments.back().map(|last| &last.content)
                {
                    if let Err(error) = file.sync_data() {
                        inner.unsynced = inner.end;
                        inner.open = false;
                        return Err(error);
                    }
                    inner.synced = inner.end;
                }
                let path = folder.join(segment::name(inner.end));
                let made = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&path)?;
                let head = segment::head(inner.epoch, inner.end);
                if let Err(error) = made.write_all_at(&head, 0) {
                    let _ = fs::remove_file(&path); // an empty one is taken for none
                    return Err(error);
                }
                inner.folder_synced = false;
                Content::File(Arc::new(made), path)
            }
        };
        let segment = Segment {
            base: inner.end,
            len: 0,
            content,
        };
        self.share.take(segment.room());
        inner.segments.push_back(segment);
        inner.open = true;
        Ok(())
    }

    /// What was written counts.
    pub fn publish(&self, bytes: u64, count: &ReadCount) {
        let mut inner = self.lock();
        if let Some(last) = inner.segments.back_mut() {
            last.len += bytes;
        }
        inner.end += bytes;
        inner.written = Instant::now();
        if inner.attached {
            inner.counted += count.lines;
            self.ledger.read(&self.source, count);
        }
    }

    /// What was written does not count.
    pub fn take_back(&self) {
        let inner = self.lock();
        if let Some(last) = inner.segments.back()
            && let Content::File(file, _) = &last.content
        {
            let _ = file.set_len(segment::HEAD as u64 + last.len); // overwritten otherwise
        }
    }

    /// Makes everything that is published durable.
    pub fn sync(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let wanted = self.lock().end;
        let _one = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, end, folder_synced) = {
            let inner = self.lock();
            if inner.synced >= wanted {
                return Ok(());
            }
            if inner.unsynced >= wanted {
                return Err(io::Error::other("the disk did not take what was written"));
            }
            let last = inner.segments.back().map(|last| &last.content);
            let Some(Content::File(file, _)) = last else {
                return Ok(()); // acknowledged and gone meanwhile
            };
            (Arc::clone(file), inner.end, inner.folder_synced)
        };
        let mut done = file.sync_data();
        if done.is_ok() && !folder_synced {
            done = durable::sync(folder);
        }
        let mut inner = self.lock();
        match done {
            Ok(()) => {
                inner.synced = inner.synced.max(end);
                inner.folder_synced |= !folder_synced;
                Ok(())
            }
            Err(error) => {
                // A second attempt could succeed without the data: nothing more goes into this file.
                inner.unsynced = end;
                inner.open = false;
                Err(error)
            }
        }
    }

    // ---- out

    pub fn epoch(&self) -> Epoch {
        self.lock().epoch
    }

    /// A lane begins to take events. Everything that has no outcome enters its account.
    pub fn attach(&self, acked: u64) -> Standing {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.acked = inner.acked.max(acked.min(inner.end));
        inner.read = inner.acked;
        let mut lines = 0;
        let mut bytes = Vec::new();
        for segment in &inner.segments {
            let from = segment.base.max(inner.acked);
            if from >= segment.end() {
                continue;
            }
            // What cannot be read is told of when it is its turn.
            if segment
                .copy(from, (segment.end() - from) as usize, &mut bytes)
                .is_ok()
            {
                record::walk(&bytes, |_, _, _| lines += 1, |_| ());
            }
        }
        (inner.counted, inner.handed) = (lines, 0);
        inner.attached = true;
        let count = ReadCount {
            lines,
            ..ReadCount::default()
        };
        self.ledger.read(&self.source, &count);
        Standing {
            epoch: inner.epoch,
            acked: inner.acked,
            end: inner.end,
            sent_below: inner.sent_below,
        }
    }

    /// The lane ends; what it took may have been sent.
    pub fn detach(&self, acked: u64) {
        let mut inner = self.lock();
        inner.attached = false;
        inner.acked = inner.acked.max(acked);
        inner.sent_below = inner.sent_below.max(inner.read);
    }

    /// Offset behind the last event, and whether there are some that were not handed on.
    pub fn waiting(&self) -> (u64, bool) {
        let inner = self.lock();
        (inner.end, inner.read < inner.end)
    }

    /// Hands on events after those that were handed on, until `take` has enough or a read's bytes
    /// are through; where they end.
    pub fn read(&self, buffer: &mut Vec<u8>, mut take: impl FnMut(u64, i64, &[u8]) -> bool) -> u64 {
        let mut want = READ;
        loop {
            let (start, end, copied) = {
                let mut guard = self.lock();
                let read = guard.read;
                let Some(found) = guard.segments.iter().find(|one| one.end() > read) else {
                    guard.read = guard.end; // what was there was put aside
                    return guard.read;
                };
                let start = found.base.max(read);
                let count = want.min((found.end() - start) as usize);
                (start, found.end(), found.copy(start, count, buffer))
            };
            if let Err(error) = copied {
                return self.pass_over(start..end, &[], &format!("cannot read it: {error}"));
            }
            let whole = start + buffer.len() as u64 == end;
            let (mut at, mut handed) = (0, 0);
            let mut damaged = None;
            while at < buffer.len() {
                match record::next(&buffer[at..]) {
                    Next::Record { time, document } => {
                        let next = at + record::HEAD + document.len();
                        handed += 1;
                        let more = take(start + at as u64, time, document);
                        at = next;
                        if !more {
                            break;
                        }
                    }
                    Next::Cut(length) if !whole => {
                        want = length.max(want);
                        break;
                    }
                    _ if !whole => {
                        want = usize::MAX; // as far as the segment goes
                        break;
                    }
                    _ => {
                        let skip = record::resync(&buffer[at..]);
                        damaged = Some(at..skip.map_or(buffer.len(), |skip| at + skip));
                        break;
                    }
                }
            }
            let upto = self.handed(start + at as u64, handed);
            if let Some(range) = damaged {
                let (from, to) = (start + range.start as u64, start + range.end as u64);
                let reason = "a checksum does not fit";
                return self.pass_over(from..to, &buffer[range], reason);
            }
            if at > 0 {
                return upto;
            }
        }
    }

    fn handed(&self, upto: u64, events: u64) -> u64 {
        let mut inner = self.lock();
        inner.read = upto;
        inner.handed += events;
        // Beyond its segment's end there may be a gap, which a crash left.
        if inner.segments.iter().all(|one| one.end() <= upto) {
            inner.read = inner.end;
        }
        inner.read
    }

    /// Events that are no more: told, kept aside, counted.
    fn pass_over(&self, range: std::ops::Range<u64>, bytes: &[u8], reason: &str) -> u64 {
        let lost = range.end - range.start;
        self.ledger.lost(&self.source, "spool_damaged", lost);
        self.aside
            .part(&self.name(), range.start, bytes, lost, reason);
        self.handed(range.end, 0)
    }

    /// When everything was handed on, what is missing of what was counted is missing for good.
    pub fn settle(&self) {
        let mut inner = self.lock();
        if inner.read < inner.end || !inner.attached {
            return;
        }
        let missing = inner.counted.saturating_sub(inner.handed);
        (inner.counted, inner.handed) = (0, 0);
        drop(inner);
        let outcome = Outcome::Dropped("spool_damaged");
        self.ledger.end(&self.source, outcome, missing);
    }

    /// Everything before has its outcome: whole segments of it go.
    pub fn acked(&self, upto: u64) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.acked = inner.acked.max(upto);
        // What was passed over at the end has no outcome to wait for.
        let all = upto >= inner.end;
        let idle = inner.written.elapsed() >= IDLE || self.share.is_tight();
        while let Some(front) = inner.segments.front() {
            let last = inner.segments.len() == 1;
            let empty = front.len == 0;
            let done = front.end() <= upto && (!last || !inner.open || (all && idle));
            if !done || (empty && last) {
                break;
            }
            // The name of an empty one is its follower's as well.
            if let Content::File(_, path) = &front.content
                && !empty
                && let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::debug!(file = %path.display(), %error, "cannot remove a segment");
            }
            self.share.give(front.room());
            if last {
                inner.open = false;
            }
            inner.segments.pop_front();
        }
    }

    /// The events without an outcome are no more; how many, all of them in the account.
    pub fn forget(&self) -> u64 {
        let standing = self.attach(0);
        let mut inner = self.lock();
        inner.acked = standing.end;
        std::mem::take(&mut inner.counted)
    }
}

#[cfg(test)]
mod tests;
