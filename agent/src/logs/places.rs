//! How far each file is, and what may have been sent of it: the acknowledgement-driven checkpoint.
//!
//! A file's lines are handed out in segments that follow each other; a segment is done when each
//! of its lines has its final outcome, and the file's place moves over the segments that are done
//! from the front, so never over a line without one.
//!
//! Two things must be durable *before* lines are sent, or a restart could not tell what it sees:
//! the epoch under which they go, and a horizon that they lie below. The reader waits for both;
//! the horizon is far ahead, so that this is rare.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::Since;
use super::id::Epoch;
use super::spool::queue::{Queue, Standing};
use super::wake::Wake;
use crate::business::Figures;
use crate::state::unix_now;

pub mod disk;
pub mod record;

pub use record::{Place, Print, Record};

/// Names a file and its epoch while the agent runs.
pub type FileId = u64;

/// How far ahead of what was read the horizon is set: twice what was read since the last checkpoint,
/// within these. All lines below it are compared with Elasticsearch after a restart that follows a
/// rollover, so it is no larger than need be; and reaching it costs a write of the checkpoint, so
/// a file that is read fast has it further away.
const LEAST_AHEAD: u64 = 8 << 20;
const MOST_AHEAD: u64 = 128 << 20;

/// The checkpoint is written this often while it changes.
const EVERY: Duration = Duration::from_secs(1);

/// A file that is not found is remembered this long, in seconds: its folder may be mounted again.
const REMEMBERED: u64 = 7 * 86_400;

/// What the reader knows when it begins with a file.
#[derive(Debug)]
pub struct Start {
    pub source: Arc<str>,
    pub path: PathBuf,
    pub real: Option<PathBuf>,
    pub device: u64,
    pub inode: u64,
    pub prefix: Print,
    pub offset: u64,
    pub size: u64,
    pub stream: usize,
}

/// What the reader knows when it goes on with one.
#[derive(Debug)]
pub struct Resumed {
    pub file: FileId,
    pub epoch: Epoch,
    pub offset: u64,
    pub suspect_below: u64,
    pub since: Since,
    /// Of a journal.
    pub cursor: Option<String>,
}

#[derive(Debug)]
struct Segment {
    end: u64,
    tail: Print,
    cursor: Option<String>,
    pending: usize,
    since: Option<Since>,
    read_at: Instant,
}

#[derive(Debug)]
struct Tracked {
    place: Place,
    epoch: Epoch,
    stream: usize,
    segments: VecDeque<Segment>,
    /// Number of the first of `segments`.
    first: u64,
    /// Everything before was handed out.
    read: u64,
    /// `read` when the last checkpoint was written, and how far its horizon was ahead of that.
    read_then: u64,
    ahead: u64,
    /// The reader wants to read up to here.
    wanted: u64,
    /// The last run may have sent lines before this offset.
    suspect_below: u64,
    /// The horizon on disk; `None` while the epoch is not there.
    durable: Option<u64>,
    /// Nothing more will come.
    finished: bool,
    /// It is a queue's, which knows by itself what was sent; `Some(false)`: of one in memory, which
    /// is not written down.
    queue: Option<bool>,
}

impl Tracked {
    fn advance(&mut self) {
        while let Some(front) = self.segments.front()
            && front.pending == 0
        {
            self.place.acked = front.end;
            self.place.tail = front.tail.clone();
            if front.cursor.is_some() {
                self.place.cursor.clone_from(&front.cursor);
            }
            self.segments.pop_front();
            self.first += 1;
        }
    }

    fn is_over(&self) -> bool {
        self.finished && self.segments.is_empty()
    }
}

#[derive(Debug, Default)]
struct Inner {
    files: HashMap<FileId, Tracked>,
    next: FileId,
    /// From the last run, not found yet.
    absent: Vec<Place>,
    /// The record of the last run was not the newest.
    older: bool,
    sources: BTreeSet<String>,
    /// The write index of each data stream as last observed.
    observed: Vec<Since>,
    dirty: bool,
    asked: bool,
    stop: bool,
    failing: bool,
}

impl Inner {
    /// Goes on with a place of the last run under the file at `key`. `size` is the file's now: what
    /// comes later was not sent by the last run.
    fn track(
        &mut self,
        mut place: Place,
        (device, inode): (u64, u64),
        size: u64,
        stream: usize,
        path: &Path,
    ) -> Result<Resumed, Box<Place>> {
        let Some(epoch) = Epoch::parse(&place.epoch) else {
            return Err(Box::new(place));
        };
        let horizon = if self.older { u64::MAX } else { place.horizon };
        path.clone_into(&mut place.path);
        (place.device, place.inode) = (device, inode);
        let file = self.next;
        self.next += 1;
        let resumed = Resumed {
            file,
            epoch,
            offset: place.acked,
            suspect_below: horizon.min(size),
            since: Since {
                observation: 0,
                index: place.since.as_str().into(),
            },
            cursor: place.cursor.clone(),
        };
        self.files.insert(
            file,
            Tracked {
                epoch,
                stream,
                segments: VecDeque::new(),
                first: 0,
                read: place.acked,
                read_then: place.acked,
                ahead: LEAST_AHEAD,
                wanted: 0,
                suspect_below: resumed.suspect_below,
                durable: Some(place.horizon),
                finished: false,
                queue: None,
                place,
            },
        );
        Ok(resumed)
    }
}

/// How the writing of the checkpoint goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Writes {
    pub done: u64,
    pub failed: u64,
    /// Unix time in seconds of the last good one.
    pub last: u64,
}

/// What `/metrics` tells of one source's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Live {
    pub files: u64,
    pub lag_bytes: u64,
    /// Seconds since the oldest line without an outcome was read.
    pub oldest: f64,
}

#[derive(Debug)]
pub struct Places {
    /// Names this state folder's agent in its requests, over restarts.
    pub agent: String,
    folder: PathBuf,
    inner: Mutex<Inner>,
    changed: Condvar,
    writes: Mutex<Writes>,
    wake: Arc<Wake>,
    /// Written before each checkpoint: what is past by these places must be counted durably.
    figures: Arc<Figures>,
}

impl Places {
    /// Reads the last run's.
    pub fn load(
        folder: &Path,
        streams: usize,
        wake: Arc<Wake>,
        figures: Arc<Figures>,
    ) -> io::Result<Self> {
        let found = disk::load(folder)?;
        let mut inner = Inner {
            older: found.older,
            next: 1,
            observed: vec![
                Since {
                    observation: 0,
                    index: "".into(),
                };
                streams
            ],
            ..Inner::default()
        };
        let mut agent = Epoch::new().to_string();
        if let Some(record) = found.record {
            agent = record.head.agent;
            let now = unix_now();
            inner.sources = record.head.sources.into_iter().collect();
            inner.absent = record.places;
            inner
                .absent
                .retain(|place| now.saturating_sub(place.seen) < REMEMBERED);
        }
        Ok(Self {
            agent,
            folder: folder.to_owned(),
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            writes: Mutex::default(),
            wake,
            figures,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is kept.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether this source's folders were looked at before, in this run or an earlier one.
    pub fn knows_source(&self, name: &str) -> bool {
        self.lock().sources.contains(name)
    }

    pub fn add_source(&self, name: &str) {
        let mut inner = self.lock();
        if inner.sources.insert(name.to_owned()) {
            inner.dirty = true;
        }
    }

    /// Takes the place of a file that the last run knew, if `same` says that its content is.
    /// `size` is the file's now: what comes later was not sent by the last run.
    pub fn resume(
        &self,
        (device, inode): (u64, u64),
        size: u64,
        stream: usize,
        path: &Path,
        mut same: impl FnMut(&Place) -> bool,
    ) -> Result<Resumed, Vec<Place>> {
        let mut inner = self.lock();
        let mut other = Vec::new();
        let mut index = 0;
        while index < inner.absent.len() {
            let place = &inner.absent[index];
            if (place.device, place.inode) != (device, inode) {
                index += 1;
                continue;
            }
            let place = inner.absent.swap_remove(index);
            inner.dirty = true;
            if size < place.acked || !same(&place) {
                other.push(place);
                continue;
            }
            match inner.track(place, (device, inode), size, stream, path) {
                Ok(resumed) => return Ok(resumed),
                Err(place) => other.push(*place),
            }
        }
        Err(other)
    }

    /// Goes on with a place under the file that its content is in now.
    pub fn restore(
        &self,
        place: Place,
        key: (u64, u64),
        size: u64,
        stream: usize,
        path: &Path,
    ) -> Result<Resumed, Box<Place>> {
        let mut inner = self.lock();
        inner.absent.retain(|other| other.epoch != place.epoch);
        inner.dirty = true;
        inner.track(place, key, size, stream, path)
    }

    /// The content of a file is in another one now.
    pub fn moved(&self, file: FileId, (device, inode): (u64, u64), path: &Path) {
        let mut inner = self.lock();
        inner.dirty = true;
        if let Some(tracked) = inner.files.get_mut(&file) {
            (tracked.place.device, tracked.place.inode) = (device, inode);
            path.clone_into(&mut tracked.place.path);
        }
    }

    /// A file that was read to its end is closed and remembered, in case somebody writes to it
    /// after all; false while lines of it have no outcome.
    pub fn rest(&self, file: FileId) -> bool {
        let mut inner = self.lock();
        let Some(tracked) = inner.files.get(&file) else {
            return true;
        };
        if !tracked.segments.is_empty() {
            return false;
        }
        if let Some(mut tracked) = inner.files.remove(&file) {
            tracked.place.seen = unix_now();
            tracked.place.horizon = tracked.place.acked.max(tracked.suspect_below);
            tracked.place.since = inner.observed[tracked.stream].index.to_string();
            inner.absent.push(tracked.place);
        }
        inner.dirty = true;
        true
    }

    /// Places of the last run that no file was found for, and of files that rest.
    pub fn absent(&self) -> Vec<Place> {
        self.lock().absent.clone()
    }

    /// Forgets one of them.
    pub fn forget(&self, epoch: &str) {
        let mut inner = self.lock();
        inner.absent.retain(|place| place.epoch != epoch);
        inner.dirty = true;
    }

    /// Begins with a file under a new epoch.
    pub fn start(&self, start: Start) -> (FileId, Epoch) {
        let mut inner = self.lock();
        let epoch = Epoch::new();
        let file = inner.next;
        inner.next += 1;
        let tracked = Tracked {
            place: Place {
                source: start.source.to_string(),
                path: start.path,
                real: start.real,
                epoch: epoch.to_string(),
                device: start.device,
                inode: start.inode,
                prefix: start.prefix,
                acked: start.offset,
                tail: Print::default(),
                horizon: start.offset,
                since: String::new(),
                size: start.size,
                seen: unix_now(),
                modified: 0,
                cursor: None,
            },
            epoch,
            stream: start.stream,
            segments: VecDeque::new(),
            first: 0,
            read: start.offset,
            read_then: start.offset,
            ahead: LEAST_AHEAD,
            wanted: 0,
            suspect_below: 0,
            durable: None,
            finished: false,
            queue: None,
        };
        inner.files.insert(file, tracked);
        self.ask(inner);
        (file, epoch)
    }

    /// How far the last run was with a queue, if it is the same one.
    pub fn acked_of_queue(&self, path: &Path, epoch: Epoch) -> Option<u64> {
        let print = Print::of(epoch.to_string().as_bytes());
        let inner = self.lock();
        let mut places = inner.absent.iter();
        let place = places.find(|place| place.path == path && place.prefix == print)?;
        Some(place.acked)
    }

    /// Goes on with a queue of events, whose epoch and contents are its own to keep: nothing has to
    /// be durable here before they are sent.
    pub fn adopt(&self, queue: &Queue, standing: Standing, stream: usize) -> Resumed {
        let mut inner = self.lock();
        let path = queue.folder.clone().unwrap_or_default();
        let print = Print::of(standing.epoch.to_string().as_bytes());
        let known = inner
            .absent
            .iter()
            .position(|place| queue.folder.is_some() && place.path == path && place.prefix == print)
            .map(|index| inner.absent.swap_remove(index));
        if queue.folder.is_some() {
            inner.absent.retain(|place| place.path != path);
        }
        // Ids may have been found taken, and others given.
        let epoch = known.as_ref().and_then(|place| Epoch::parse(&place.epoch));
        let epoch = epoch.unwrap_or(standing.epoch);
        let since = known.map(|place| place.since).unwrap_or_default();
        let place = Place {
            source: queue.source.to_string(),
            path,
            real: None,
            epoch: epoch.to_string(),
            device: 0,
            inode: 0,
            prefix: print,
            acked: standing.acked,
            tail: Print::default(),
            horizon: u64::MAX,
            since: since.clone(),
            size: standing.end,
            seen: unix_now(),
            modified: 0,
            cursor: None,
        };
        let file = inner.next;
        inner.next += 1;
        inner.files.insert(
            file,
            Tracked {
                place,
                epoch,
                stream,
                segments: VecDeque::new(),
                first: 0,
                read: standing.acked,
                read_then: standing.acked,
                ahead: LEAST_AHEAD,
                wanted: 0,
                suspect_below: standing.sent_below,
                durable: Some(u64::MAX),
                finished: false,
                queue: Some(queue.folder.is_some()),
            },
        );
        inner.dirty = true;
        Resumed {
            file,
            epoch,
            offset: standing.acked,
            suspect_below: standing.sent_below,
            since: Since {
                observation: 0,
                index: since.as_str().into(),
            },
            cursor: None,
        }
    }

    /// Everything before has its final outcome.
    pub fn acked(&self, file: FileId) -> Option<u64> {
        let inner = self.lock();
        inner.files.get(&file).map(|tracked| tracked.place.acked)
    }

    fn ask(&self, mut inner: MutexGuard<'_, Inner>) {
        inner.dirty = true;
        inner.asked = true;
        drop(inner);
        self.changed.notify_all();
    }

    /// The epoch to send under, and the offset up to which lines may be handed out; `None` while
    /// the disk has not yet what it must have. Asks for it in good time.
    pub fn ready(&self, file: FileId, upto: u64) -> Option<Epoch> {
        let mut inner = self.lock();
        let tracked = inner.files.get_mut(&file)?;
        tracked.wanted = upto;
        let (epoch, durable) = (tracked.epoch, tracked.durable);
        let soon = durable.is_none_or(|horizon| upto + tracked.ahead / 2 > horizon);
        if soon && !inner.asked {
            self.ask(inner);
        }
        durable
            .is_some_and(|horizon| upto <= horizon)
            .then_some(epoch)
    }

    /// The bytes up to `end` are handed out: `pending` lines. `tail` is what stands before `end`.
    pub fn begin(
        &self,
        file: FileId,
        end: u64,
        tail: Print,
        pending: usize,
        since: Option<Since>,
    ) -> u64 {
        self.hand_out(file, end, tail, None, pending, since)
    }

    /// The same of a journal: entries up to the `end`th, the last of which is at the cursor.
    pub fn begin_at(
        &self,
        file: FileId,
        end: u64,
        cursor: String,
        pending: usize,
        since: Option<Since>,
    ) -> u64 {
        self.hand_out(file, end, Print::default(), Some(cursor), pending, since)
    }

    /// A journal begins after this cursor.
    pub fn at(&self, file: FileId, cursor: Option<String>) {
        let mut inner = self.lock();
        if let Some(tracked) = inner.files.get_mut(&file) {
            tracked.place.cursor = cursor;
            tracked.durable = None;
            self.ask(inner);
        }
    }

    fn hand_out(
        &self,
        file: FileId,
        end: u64,
        tail: Print,
        cursor: Option<String>,
        pending: usize,
        since: Option<Since>,
    ) -> u64 {
        let mut inner = self.lock();
        inner.dirty = true;
        let Some(tracked) = inner.files.get_mut(&file) else {
            return 0;
        };
        tracked.read = end;
        let number = tracked.first + tracked.segments.len() as u64;
        tracked.segments.push_back(Segment {
            end,
            tail,
            cursor,
            pending,
            since,
            read_at: Instant::now(),
        });
        tracked.advance();
        number
    }

    /// Lines of a segment are about to be sent for the first time.
    pub fn sent(&self, file: FileId, segment: u64, since: &Since) {
        let mut inner = self.lock();
        if let Some(tracked) = inner.files.get_mut(&file)
            && let Some(index) = segment.checked_sub(tracked.first)
            && let Some(segment) = tracked.segments.get_mut(index as usize)
            && segment.since.is_none()
        {
            segment.since = Some(since.clone());
        }
    }

    /// So many lines of a segment have their final outcome.
    pub fn done(&self, file: FileId, segment: u64, lines: usize) {
        let mut inner = self.lock();
        inner.dirty = true;
        let Some(tracked) = inner.files.get_mut(&file) else {
            return;
        };
        if let Some(index) = segment.checked_sub(tracked.first)
            && let Some(segment) = tracked.segments.get_mut(index as usize)
        {
            segment.pending = segment.pending.saturating_sub(lines);
        }
        tracked.advance();
        if tracked.is_over() {
            inner.files.remove(&file);
        }
    }

    /// The file as it was just seen.
    pub fn look(&self, file: FileId, size: u64, modified: i64, prefix: Option<Print>) {
        let mut inner = self.lock();
        let Some(tracked) = inner.files.get_mut(&file) else {
            return;
        };
        let place = &mut tracked.place;
        let changed = place.size != size || place.modified != modified || prefix.is_some();
        (place.size, place.modified) = (size, modified);
        if let Some(prefix) = prefix {
            place.prefix = prefix;
        }
        inner.dirty |= changed;
    }

    /// Where a file is now.
    pub fn found_at(&self, file: FileId, path: &Path, real: Option<&Path>) {
        let mut inner = self.lock();
        inner.dirty = true;
        if let Some(tracked) = inner.files.get_mut(&file) {
            path.clone_into(&mut tracked.place.path);
            tracked.place.real = real.map(Path::to_owned);
        }
    }

    /// Whether every line that was handed out has its outcome.
    pub fn is_settled(&self, file: FileId) -> bool {
        let inner = self.lock();
        let tracked = inner.files.get(&file);
        tracked.is_none_or(|tracked| tracked.segments.is_empty())
    }

    /// Nothing more will be read from it.
    pub fn finish(&self, file: FileId) {
        let mut inner = self.lock();
        inner.dirty = true;
        if let Some(tracked) = inner.files.get_mut(&file) {
            tracked.finished = true;
            if tracked.is_over() {
                inner.files.remove(&file);
            }
        }
    }

    /// Gives a file another epoch from now on, because ids of the one it has are taken.
    pub fn rename(&self, file: FileId, taken: Epoch) {
        let mut inner = self.lock();
        let Some(tracked) = inner.files.get_mut(&file) else {
            return;
        };
        if tracked.epoch == taken {
            tracked.epoch = Epoch::new();
            tracked.place.epoch = tracked.epoch.to_string();
            // What is in memory alone is not sent again after a crash.
            tracked.durable = tracked.durable.filter(|_| tracked.queue == Some(false));
            self.figures.renamed(taken, tracked.epoch);
            self.ask(inner);
        }
    }

    /// The epoch of a file once it is durable.
    pub fn durable_epoch(&self, file: FileId) -> Option<Epoch> {
        let inner = self.lock();
        let tracked = inner.files.get(&file)?;
        tracked.durable.map(|_| tracked.epoch)
    }

    /// The epoch of a file, durable or not.
    pub fn epoch(&self, file: FileId) -> Option<Epoch> {
        self.lock().files.get(&file).map(|tracked| tracked.epoch)
    }

    /// The write index of a data stream as it is now; empty before the first.
    pub fn observe(&self, stream: usize, index: &str) -> Since {
        let mut inner = self.lock();
        let last = &mut inner.observed[stream];
        if *last.index != *index || last.observation == 0 {
            last.index = index.into();
            last.observation += 1;
        }
        last.clone()
    }

    pub fn live(&self) -> HashMap<String, Live> {
        let inner = self.lock();
        let mut all: HashMap<String, Live> = HashMap::new();
        for tracked in inner.files.values() {
            let place = &tracked.place;
            let live = all.entry(place.source.clone()).or_default();
            if !tracked.finished {
                live.files += u64::from(tracked.queue.is_none());
                live.lag_bytes += place.size.saturating_sub(place.acked);
            }
            if let Some(front) = tracked.segments.front() {
                live.oldest = live.oldest.max(front.read_at.elapsed().as_secs_f64());
            }
        }
        all
    }

    pub fn writes(&self) -> Writes {
        *self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the checkpoint whenever it is due, until [`Self::stop`]; then once more.
    pub fn keep(&self) {
        let mut written = Instant::now();
        loop {
            let mut inner = self.lock();
            let stop = loop {
                let due = inner.dirty && (inner.asked || written.elapsed() >= EVERY);
                if inner.stop || (due && !inner.failing) {
                    break inner.stop;
                }
                if inner.failing {
                    // A full disk is not emptied by asking it all the time.
                    inner = self.pause(inner, EVERY);
                    break inner.stop;
                }
                inner = self.pause(inner, EVERY);
            };
            drop(inner);
            self.persist();
            written = Instant::now();
            if stop {
                return;
            }
        }
    }

    fn pause<'a>(&self, inner: MutexGuard<'a, Inner>, limit: Duration) -> MutexGuard<'a, Inner> {
        let waited = self.changed.wait_timeout(inner, limit);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    fn snapshot(&self) -> (Record, Vec<(FileId, Epoch, u64)>) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.dirty = false;
        inner.asked = false;
        let now = unix_now();
        let mut places = inner.absent.clone();
        let mut horizons = Vec::new();
        for (file, tracked) in &mut inner.files {
            if tracked.is_over() || tracked.queue == Some(false) {
                continue;
            }
            let mut place = tracked.place.clone();
            place.seen = now;
            let read = tracked.read - tracked.read_then;
            tracked.read_then = tracked.read;
            tracked.ahead = (read * 2).clamp(LEAST_AHEAD, MOST_AHEAD);
            place.horizon = (tracked.read + tracked.ahead)
                .max(tracked.wanted + tracked.ahead)
                .max(tracked.suspect_below);
            // While something that the last run may have sent has no outcome, its word stands.
            if place.acked >= tracked.suspect_below {
                let oldest = tracked
                    .segments
                    .iter()
                    .filter_map(|segment| segment.since.as_ref())
                    .min_by_key(|since| since.observation);
                // What is sent from now on reaches the observed index or a later one.
                let since = oldest.unwrap_or(&inner.observed[tracked.stream]);
                place.since = since.index.to_string();
            }
            horizons.push((*file, tracked.epoch, place.horizon));
            places.push(place);
        }
        let sources = inner.sources.iter().cloned().collect();
        let record = Record::new(self.agent.clone(), now, sources, places);
        (record, horizons)
    }

    fn persist(&self) {
        let (record, horizons) = self.snapshot();
        let live = record.places.iter().map(|place| place.epoch.clone());
        // Made after the places, so that it has counted at least what they are past.
        let counted = self.figures.store(Some(&live.collect()));
        let stored = counted
            .and_then(|()| record.to_bytes().map_err(io::Error::other))
            .and_then(|bytes| disk::store(&self.folder, &bytes));
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.lock();
        match stored {
            Ok(()) => {
                writes.done += 1;
                writes.last = record.head.written;
                for (file, epoch, horizon) in horizons {
                    if let Some(tracked) = inner.files.get_mut(&file)
                        && tracked.epoch == epoch
                    {
                        tracked.durable = Some(horizon);
                    }
                }
                if std::mem::take(&mut inner.failing) {
                    tracing::info!(folder = %self.folder.display(), "the checkpoint of the logs is written again");
                }
            }
            Err(error) => {
                writes.failed += 1;
                inner.dirty = true;
                if !std::mem::replace(&mut inner.failing, true) {
                    tracing::error!(
                        folder = %self.folder.display(),
                        %error,
                        "cannot write the checkpoint of the logs; no new file is begun and lines \
                         wait in their files until it can be written: make room or mend the folder"
                    );
                }
            }
        }
        drop(inner);
        drop(writes);
        self.wake.wake();
    }
}

#[cfg(test)]
mod tests;
