//! The reading thread: finds files, reads what is new in them, makes documents of the lines and
//! hands full batches on. It alone touches the files; nothing is done per line but copying it.
//!
//! Memory is the batches' and one read buffer. Without a free batch nothing is read: the lines stay
//! in their files, and files that are deleted meanwhile stay open.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use super::batch::{Batch, Pool, Run};
use super::id::Epoch;
use super::journal::{self, Journal};
use super::ledger::{Ledger, ReadCount};
use super::places::{Place, Places, Start};
use super::pods::{Look, Owner};
use super::source::Source;
use super::wake::Wake;
use crate::business::Figures;

mod folders;
pub mod names;
mod past;
mod stitch;
mod tail;
pub(super) mod take;
mod unpack;

pub use folders::Globs;
use folders::Hints;
pub use past::Carried;
use past::{Rescue, Resting};
use tail::{After, Key, Tail};
use take::{Last, Taking};

/// Files are looked at this often when nothing happens.
const LOOK: Duration = Duration::from_millis(100);
/// A line waits this long for others.
const LINGER: Duration = Duration::from_millis(200);
/// Folders are looked through this often without a hint, and at most this often with many.
const DISCOVER: Duration = Duration::from_secs(1);
const DISCOVER_AT_MOST: Duration = Duration::from_millis(50);
/// One read: small beside a batch, so that little is read twice when a batch is full.
const READ: usize = 256 << 10;
/// A file that was rotated away or deleted gets its last line, even without an end, after this time
/// without growth, and is closed after these.
const LAST_LINE: Duration = Duration::from_secs(5);
/// Time for reading what is deleted when the lane ends.
const LAST_READ: Duration = Duration::from_secs(1);
const CLOSE_DELETED: Duration = Duration::from_mins(1);
const CLOSE_ROTATED: Duration = Duration::from_mins(5);

pub struct Reader {
    pub sources: Vec<Source>,
    pub places: Arc<Places>,
    pub ledger: Arc<Ledger>,
    pub pool: Arc<Pool>,
    pub wake: Arc<Wake>,
    pub out: mpsc::UnboundedSender<Batch>,
    pub stop: Arc<AtomicBool>,
    pub max_line: usize,
    pub figures: Arc<Figures>,
    journals: Vec<Journal>,
    files: Files,
}

#[derive(Default)]
struct Files {
    tails: Vec<Tail>,
    /// A batch that is being filled, by data stream.
    open: Vec<Option<Batch>>,
    buffer: Vec<u8>,
    /// Paths whose trouble was said.
    said: HashSet<PathBuf>,
    /// Files whose content went elsewhere, to be looked for.
    rescues: Vec<Rescue>,
    /// Files that were rotated away, read to their end and closed.
    resting: Vec<Resting>,
    /// Open files of the lane before this one, that nothing leads to any more.
    carried: Vec<Carried>,
    /// When the folders were last looked through.
    looked: Option<SystemTime>,
}

/// What came of a look at one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// There may be more at once.
    Busy,
    /// There is more, and no batch for it.
    Blocked,
    Idle,
    /// It is closed.
    Over,
}

impl Reader {
    #[expect(clippy::too_many_arguments, reason = "the lane's parts, named once")]
    pub fn new(
        sources: Vec<Source>,
        streams: usize,
        places: Arc<Places>,
        ledger: Arc<Ledger>,
        pool: Arc<Pool>,
        wake: Arc<Wake>,
        out: mpsc::UnboundedSender<Batch>,
        stop: Arc<AtomicBool>,
        max_line: usize,
        figures: Arc<Figures>,
        carried: Vec<Carried>,
    ) -> Self {
        let journals = sources.iter().enumerate().filter_map(|(number, source)| {
            let journald = source.journald.as_ref()?;
            Some(Journal::new(number, journald, source.from_end, max_line))
        });
        Self {
            journals: journals.collect(),
            sources,
            places,
            ledger,
            pool,
            wake,
            out,
            stop,
            max_line,
            figures,
            files: Files {
                open: std::iter::repeat_with(|| None).take(streams).collect(),
                carried,
                ..Files::default()
            },
        }
    }

    /// Reads until it is told to stop; then hands on what it has. Returns the files that only we
    /// can still read.
    pub fn run(mut self) -> Vec<Carried> {
        let mut hints = Hints::new();
        let mut discovered: Option<Instant> = None;
        let mut hinted = false;
        while !self.stop.load(Ordering::Relaxed) {
            hinted |= hints.any();
            let due = if hinted { DISCOVER_AT_MOST } else { DISCOVER };
            if discovered.is_none_or(|at| at.elapsed() >= due) {
                self.discover(&mut hints, discovered.is_none());
                (discovered, hinted) = (Some(Instant::now()), false);
            }
            let (mut busy, mut blocked) = self.round(|_| true);
            let (more, waits) = self.read_journals();
            busy |= more;
            blocked |= waits;
            if blocked && !busy && self.pool.is_empty() {
                self.seal(|_| true); // perhaps it is we who have all the batches
            } else {
                self.seal(|batch| batch.since.elapsed() >= LINGER);
            }
            if !busy {
                self.wake.wait(LOOK, hints.fd());
            }
        }
        self.read_what_is_deleted();
        self.seal(|_| true);
        past::carried(self.files.tails)
    }

    /// What only we can still read would be gone with us.
    fn read_what_is_deleted(&mut self) {
        let deleted = |tail: &Tail| tail.look().is_ok_and(|look| look.deleted);
        let until = Instant::now() + LAST_READ;
        while Instant::now() < until {
            let (busy, blocked) = self.round(deleted);
            if blocked {
                self.seal(|_| true);
                self.wake.wait(Duration::from_millis(10), None);
            } else if !busy {
                return;
            }
        }
    }

    /// Looks at each of the files that are wanted; whether there is more in one at once, and
    /// whether one waits for a batch.
    fn round(&mut self, wanted: impl Fn(&Tail) -> bool) -> (bool, bool) {
        let (mut busy, mut waits, mut kept) = (false, None, 0);
        let mut tails = std::mem::take(&mut self.files.tails);
        tails.retain_mut(|tail| {
            if !wanted(tail) {
                kept += 1;
                return true;
            }
            let served = self.serve(tail).unwrap_or_else(|error| {
                self.trouble(&tail.path, &error);
                Served::Idle
            });
            busy |= served == Served::Busy;
            if served == Served::Blocked {
                waits.get_or_insert(kept);
            }
            let over = served == Served::Over;
            kept += usize::from(!over);
            !over
        });
        // The next free batch is for the file that has waited for it, not for the first one again.
        tails.rotate_left(waits.unwrap_or_default());
        self.files.tails = tails;
        busy |= self.rescue() | self.stitch();
        (busy, waits.is_some())
    }

    /// The same of journals.
    fn read_journals(&mut self) -> (bool, bool) {
        let (mut busy, mut blocked) = (false, false);
        let mut journals = std::mem::take(&mut self.journals);
        for journal in &mut journals {
            let source = &mut self.sources[journal.source];
            let stream = source.stream;
            let mut lane = journal::Lane {
                source,
                places: &self.places,
                ledger: &self.ledger,
                figures: &self.figures,
                max_line: self.max_line,
                batch_bytes: self.pool.batch_bytes,
            };
            if !journal.is_ready(&lane) {
                continue;
            }
            let batch = self.files.open[stream]
                .take()
                .or_else(|| self.pool.take(stream));
            let Some(mut batch) = batch else {
                blocked = true;
                continue;
            };
            journal.take(&mut lane, &mut batch);
            busy = true;
            self.keep(stream, batch);
        }
        self.journals = journals;
        (busy, blocked)
    }

    /// Hands a batch on if it is full, and keeps it open if not.
    fn keep(&mut self, stream: usize, batch: Batch) {
        if batch.body.len() >= self.pool.batch_bytes {
            hand_on(&self.out, &self.pool, batch);
        } else if batch.items.is_empty() {
            self.pool.give(batch);
        } else {
            self.files.open[stream] = Some(batch);
        }
    }

    /// Hands on batches that have something in them.
    fn seal(&mut self, which: impl Fn(&Batch) -> bool) {
        for slot in &mut self.files.open {
            if slot.as_ref().is_some_and(&which)
                && let Some(batch) = slot.take()
            {
                hand_on(&self.out, &self.pool, batch);
            }
        }
    }

    fn trouble(&mut self, path: &Path, error: &io::Error) {
        if self.files.said.insert(path.to_owned()) {
            tracing::warn!(file = %path.display(), %error, "cannot read a log file");
        }
    }

    // ---- which files there are

    fn discover(&mut self, hints: &mut Hints, first: bool) {
        let now = SystemTime::now();
        for source in &self.sources {
            source.names.tick(now_millis());
        }
        let mut known: HashMap<Key, usize> = HashMap::new();
        for (index, tail) in self.files.tails.iter().enumerate() {
            known.insert(tail.key, index);
        }
        let mut seen: HashSet<Key> = HashSet::new();
        // Where a file was before it was found elsewhere, or nowhere.
        let mut left = Vec::new();
        for number in 0..self.sources.len() {
            let source = &self.sources[number];
            let (name, from_end) = (Arc::clone(&source.name), source.from_end);
            let new_source = !self.places.knows_source(&name);
            for folder in source.globs.roots() {
                hints.watch(&folder);
            }
            let mut unreadable = 0;
            for path in source.globs.matches() {
                if let Some(folder) = path.parent() {
                    hints.watch(folder);
                }
                let Ok(metadata) = std::fs::metadata(&path) else {
                    continue; // gone since
                };
                let key = (metadata.dev(), metadata.ino());
                if !metadata.is_file() || !seen.insert(key) {
                    continue;
                }
                if let Some(index) = known.get(&key) {
                    left.extend(self.still_there(*index, &path));
                    unreadable += u64::from(self.files.tails[*index].packed);
                    continue;
                }
                match Tail::open(&path, number) {
                    Ok(Some(mut tail)) => {
                        self.files.said.remove(&path);
                        self.files.resting.retain(|resting| resting.key != tail.key);
                        if new_source && from_end {
                            tail.offset = tail.end_of_lines().unwrap_or(tail.size);
                        }
                        if let Some(folder) = tail.real.as_deref().and_then(Path::parent) {
                            hints.watch(folder);
                        }
                        tail.held = (!first && self.may_be_a_copy(&tail)).then(Instant::now);
                        seen.insert(tail.key);
                        self.files.tails.push(tail);
                    }
                    Ok(None) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        unreadable += 1;
                        self.trouble(&path, &error);
                    }
                }
            }
            self.ledger.unreadable(&name, unreadable);
            // A journal says itself where it begins.
            if new_source && self.sources[number].journald.is_none() {
                self.places.add_source(&name);
            }
        }
        for tail in &mut self.files.tails {
            if !seen.contains(&tail.key) && tail.gone.is_none() {
                tail.gone = Some(Instant::now());
                left.push(past::Left::of(tail));
            }
        }
        if first {
            self.recall();
            self.hold_copies();
        } else if let Some(looked) = self.files.looked {
            for place in &left {
                self.find_missed(place, looked);
            }
        }
        self.judge_copies();
        self.order_after_rotation();
        self.look_at_resting(!left.is_empty());
        self.files.looked = Some(now);
    }

    /// A file is found at a path; where it was before, if that is another one.
    fn still_there(&mut self, index: usize, path: &Path) -> Option<past::Left> {
        let tail = &mut self.files.tails[index];
        tail.gone = None;
        if tail.path == path {
            return None;
        }
        let left = past::Left::of(tail);
        // Lines say the name that the file had when they were read.
        path.clone_into(&mut tail.path);
        tail.real = std::fs::canonicalize(path).ok().filter(|real| real != path);
        tail.member = super::document::path_member(path);
        if let Some(id) = tail.id {
            self.places.found_at(id, path, tail.real.as_deref());
        }
        Some(left)
    }

    fn lost(&self, place: &Place, reason: &'static str) {
        let bytes = place.size.saturating_sub(place.acked);
        if bytes > 0 {
            tracing::warn!(
                file = %place.path.display(),
                bytes,
                reason,
                "part of a log file went away before it was read"
            );
            self.ledger
                .lost(&place.source.as_str().into(), reason, bytes);
        }
    }

    // ---- one file

    fn serve(&mut self, tail: &mut Tail) -> io::Result<Served> {
        let now = SystemTime::now();
        let look = tail.look()?;
        tail.unchanged &= (look.size, look.modified) == (tail.size, tail.modified);
        if tail.unchanged {
            (tail.sure, tail.sure_modified) = (now, look.modified.0);
        }
        if look.size != tail.size {
            tail.grew = Instant::now();
        }
        if look.size < tail.offset {
            self.truncated(tail);
        }
        // Rewritten with just as many bytes: nothing to read tells of it.
        let rewritten = look.size == tail.offset && look.modified != tail.modified;
        if tail.id.is_some() && rewritten && !tail.is_unchanged()? {
            self.truncated(tail);
        }
        tail.modified = look.modified;
        tail.size = look.size;
        if tail.id.is_none() {
            let waits = tail.held.is_some() || matches!(tail.after, After::Waits(..));
            if tail.size == 0 || waits {
                return Ok(closes(tail, look.deleted));
            }
            if tail.offset == 0 && tail.looks_compressed()? {
                if !std::mem::replace(&mut tail.packed, true) {
                    tracing::warn!(file = %tail.path.display(), "a log file is compressed and is not read");
                }
                return Ok(closes(tail, look.deleted));
            }
            tail.packed = false;
            if !self.knows_owner(tail) {
                return Ok(closes(tail, look.deleted));
            }
            self.begin(tail)?;
        }
        let Some(id) = tail.id else {
            return Ok(Served::Idle);
        };
        let grown = (!tail.prefix_is_whole() && tail.size > tail.prefix.len)
            .then(|| tail.first_bytes())
            .transpose()?;
        self.places
            .look(id, tail.size, tail.sure_modified, grown.clone());
        if let Some(prefix) = grown {
            tail.prefix = prefix;
        }
        let rest = tail.size - tail.offset.min(tail.size);
        // Nothing more will come: what has no end is a line all the same.
        let last_line = tail.gone.is_some() && rest > 0 && tail.grew.elapsed() >= LAST_LINE;
        // Nor is it waited without end for what could go on with an event.
        let pause = self.sources[tail.source].pause;
        let paused = rest > 0
            && tail.flushed != Some(tail.size)
            && pause.is_some_and(|pause| tail.grew.elapsed() >= pause);
        if rest == 0 || (tail.exhausted == Some(tail.size) && !last_line && !paused) {
            if rest == 0 && closes(tail, look.deleted) == Served::Over {
                return Ok(self.close(tail, id, look.deleted));
            }
            return Ok(Served::Idle);
        }
        // One that the last run had begun, too.
        if !self.knows_owner(tail) {
            if closes(tail, look.deleted) == Served::Over {
                return Ok(self.close(tail, id, look.deleted));
            }
            return Ok(Served::Idle);
        }
        let upto = tail.offset + (self.max_line.max(READ) as u64) * 2;
        let Some(epoch) = self.places.ready(id, upto) else {
            return Ok(Served::Idle); // its keeper wakes us
        };
        let stream = self.sources[tail.source].stream;
        let batch = match self.files.open[stream].take() {
            Some(batch) => Some(batch),
            None => self.pool.take(stream),
        };
        let Some(mut batch) = batch else {
            return Ok(Served::Blocked);
        };
        if paused {
            tail.flushed = Some(tail.size);
        }
        let last = Last {
            line: last_line,
            event: last_line || paused,
        };
        let took = self.read(tail, epoch, &mut batch, last);
        self.keep(stream, batch);
        if took? {
            Ok(Served::Busy)
        } else {
            Ok(Served::Idle)
        }
    }

    /// Whether the file can be begun: it is known whose it is, or that is not waited for.
    fn knows_owner(&self, tail: &mut Tail) -> bool {
        let source = &self.sources[tail.source];
        let Some(pods) = &source.pods else {
            return true;
        };
        let since = match tail.owner {
            Owner::Known(_) => return true,
            Owner::Excluded => return false,
            Owner::Waiting(since) => since,
            Owner::Unasked => Instant::now(),
        };
        let real = tail.real.as_deref().unwrap_or(&tail.path);
        // One that is gone is closed soon.
        let now = Instant::now();
        let patient = tail.gone.is_none() || tail.grew.elapsed() < CLOSE_DELETED / 2;
        let (owner, what) = match pods.look(&[real, &tail.path], since, now, patient) {
            Look::Known(about) => (Owner::Known(about), "known"),
            Look::Missing(about) => (Owner::Known(about), "missing"),
            Look::Excluded => (Owner::Excluded, "excluded"),
            Look::Wait => (Owner::Waiting(since), "waiting"),
        };
        let first = !matches!(tail.owner, Owner::Waiting(_));
        let begins = matches!(owner, Owner::Known(_));
        tail.owner = owner;
        if what != "waiting" || first {
            self.ledger.pod(&source.name, what);
        }
        if what == "missing" {
            tracing::warn!(file = %tail.path.display(), "the pod of a log file is not known; its lines go without its labels");
        }
        begins
    }

    /// Gives a file that has something in it its epoch, old or new.
    fn begin(&mut self, tail: &mut Tail) -> io::Result<()> {
        let others = match self.resume(tail)? {
            Ok(()) => return Ok(()),
            Err(others) => others,
        };
        for place in others {
            self.lost(&place, "replaced_while_away");
        }
        tail.prefix = tail.first_bytes()?;
        tail.seek(tail.offset.min(tail.size))?;
        let source = &self.sources[tail.source];
        let (file, epoch) = self.places.start(Start {
            source: Arc::clone(&source.name),
            path: tail.path.clone(),
            real: tail.real.clone(),
            device: tail.key.0,
            inode: tail.key.1,
            prefix: tail.prefix.clone(),
            offset: tail.offset,
            size: tail.size,
            stream: source.stream,
        });
        tail.id = Some(file);
        self.count_from(tail, epoch);
        Ok(())
    }

    /// Where the counting of a file's lines goes on, if they are counted.
    fn count_from(&self, tail: &mut Tail, epoch: Epoch) {
        let counted = self.sources[tail.source].rules.is_some();
        tail.counted = counted.then(|| self.figures.file(epoch));
    }

    /// The file's content is another one now; what was there may be in a copy.
    fn truncated(&mut self, tail: &mut Tail) {
        let unread = tail.size.saturating_sub(tail.offset);
        tracing::info!(file = %tail.path.display(), unread, "a log file was truncated; it begins anew");
        self.files.rescues.extend(Rescue::of(tail));
        tail.reset();
    }

    /// Reads once and takes the lines that are whole; false if there is nothing more now.
    fn read(
        &mut self,
        tail: &mut Tail,
        epoch: Epoch,
        batch: &mut Batch,
        last: Last,
    ) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.files.buffer);
        let mut want = READ;
        let result = loop {
            buffer.resize(want + 64, 0);
            let now = SystemTime::now();
            let (start, end) = match tail.read(&mut buffer) {
                Ok(Some(part)) => {
                    (tail.sure, tail.unchanged) = (now, true);
                    tail.sure_modified = tail.modified.0;
                    part
                }
                Ok(None) => {
                    self.truncated(tail);
                    break Ok(true);
                }
                Err(error) => break Err(error),
            };
            let data = &buffer[start..end];
            let whole = memchr::memchr(b'\n', data).is_some();
            let filled = end == buffer.len();
            if !whole && filled && data.len() <= self.max_line && !tail.skipping {
                want = (want * 2).min(self.max_line + 1).max(want + 1);
                continue; // a line longer than the buffer
            }
            break Ok(self.take(tail, epoch, batch, &buffer, (start, end), last, filled));
        };
        if buffer.capacity() > 2 * READ {
            buffer = Vec::new();
        }
        self.files.buffer = buffer;
        result
    }

    /// Makes documents of the lines in a part of the buffer.
    #[expect(
        clippy::too_many_arguments,
        reason = "one step of `read`, split for its length"
    )]
    fn take(
        &mut self,
        tail: &mut Tail,
        epoch: Epoch,
        batch: &mut Batch,
        buffer: &[u8],
        (start, end): (usize, usize),
        last: Last,
        filled: bool,
    ) -> bool {
        let data = &buffer[start..end];
        let source = &mut self.sources[tail.source];
        let rules = source.rules.clone();
        let counting = rules
            .as_deref()
            .zip(tail.counted)
            .map(|(rules, file)| self.figures.counting(rules, &source.name, file));
        let tapped = self.ledger.taps.listeners();
        let mut taking = Taking {
            tapped: tapped.as_ref().map(|tapped| (tapped, &source.name)),
            batch,
            shaper: &mut source.shaper,
            counting,
            filter: source.filter.as_mut().map(|filter| {
                let first = rules.as_deref().map_or(0, |rules| rules.fields.len());
                (filter, first)
            }),
            epoch,
            base: tail.offset,
            path: &tail.member,
            about: tail.owner.about(),
            max_line: self.max_line,
            read_at: now_millis(),
            count: ReadCount::default(),
        };
        let (mut at, mut full) = (0, false);
        if tail.skipping {
            let newline = memchr::memchr(b'\n', data);
            tail.skipping = newline.is_none();
            at = newline.map_or(data.len(), |newline| newline + 1);
        }
        // Lines that an event still waits with.
        let mut held = false;
        if let Some(joiner) = &mut source.joiner {
            let whole = memchr::memrchr(b'\n', &data[at..]).map_or(at, |end| at + end + 1);
            let end_of_file = last.line && !filled;
            let upto = if end_of_file { data.len() } else { whole };
            let begun = at;
            at = taking.events(joiner, data, (at, upto), last.event);
            if filled && at == begun && upto > at {
                // As much as can be read at once, and no event in it ends.
                at = taking.events(joiner, data, (at, upto), true);
            }
            held = at < upto;
        } else {
            (at, full) = taking.lines(data, at, self.pool.batch_bytes);
        }
        let rest = &data[at..];
        if full || held || rest.is_empty() {
            // the next read goes on
        } else if rest.len() > self.max_line {
            taking.line(at, &rest[..self.max_line], true);
            tail.skipping = true;
            at = data.len();
        } else if last.line && !filled {
            taking.line(at, rest, false);
            at = data.len();
        }
        let mut count = taking.finish(tail.offset + at as u64);
        count.bytes = at as u64;
        let exhausted = !full && !filled;
        tail.exhausted = exhausted.then_some(tail.offset.max(tail.size));
        if at > 0 {
            let begun = tail.offset;
            let print = tail.advance(buffer, start, start + at);
            let since = (begun < tail.suspect_below)
                .then(|| tail.since.clone())
                .flatten();
            if let Some(file) = tail.id {
                self.ledger.read(&source.name, &count);
                source.spend(count.document_bytes);
                if let Some(filter) = &mut source.filter {
                    self.ledger.filtered(&source.name, filter.drain());
                }
                let lines = count.lines as usize;
                let segment = self
                    .places
                    .begin(file, tail.offset, print, lines, since.clone());
                if lines > 0 {
                    batch.runs.push(Run {
                        file,
                        segment,
                        source: Arc::clone(&source.name),
                        suspect_below: tail.suspect_below,
                        by_content: false,
                        since,
                        written: tail.modified,
                    });
                }
            }
        }
        !exhausted
    }
}

fn hand_on(out: &mpsc::UnboundedSender<Batch>, pool: &Pool, batch: Batch) {
    // The sender is gone only when the lane is; the lines stay in their files then.
    if let Err(unsent) = out.send(batch) {
        pool.give(unsent.0);
    }
}

/// Whether a file that nothing leads to any more has been quiet for long enough.
fn closes(tail: &Tail, deleted: bool) -> Served {
    let limit = if deleted {
        CLOSE_DELETED
    } else {
        CLOSE_ROTATED
    };
    match tail.gone {
        Some(_) if tail.grew.elapsed() >= limit => Served::Over,
        _ => Served::Idle,
    }
}

/// Milliseconds since 1970.
pub fn now_millis() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
