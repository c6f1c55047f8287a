//! The reading thread: finds files, reads what is new in them, makes documents of the lines and
//! hands full batches on. It alone touches the files; nothing is done per line but copying it.
//!
//! Memory is the batches' and one read buffer. Without a free batch nothing is read: the lines stay
//! in their files, and files that are deleted meanwhile stay open.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use kai_contract::agent_config::{LogSource, LogStart, Logs, Problem};
use tokio::sync::mpsc;

use super::batch::{Batch, Pool, Run};
use super::document::{Line, Shaper};
use super::id::Epoch;
use super::ledger::{Ledger, ReadCount};
use super::places::{Place, Places, Start};
use super::wake::Wake;
use crate::business::Figures;
use crate::business::rules::RuleSet;

mod folders;
mod tail;

pub use folders::Globs;
use folders::Hints;
use tail::{Key, Tail};

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
const CLOSE_DELETED: Duration = Duration::from_mins(1);
const CLOSE_ROTATED: Duration = Duration::from_mins(5);

/// One source, resolved.
#[derive(Debug)]
pub struct Source {
    pub name: Arc<str>,
    pub stream: usize,
    pub globs: Globs,
    pub shaper: Shaper,
    /// What its lines are counted by.
    pub rules: Option<Arc<RuleSet>>,
    pub from_end: bool,
}

impl Source {
    pub fn new(
        name: &str,
        config: &LogSource,
        stream: usize,
        host: Option<&str>,
        rules: Option<Arc<RuleSet>>,
    ) -> Result<Self, String> {
        let mut fields = config.fields.clone();
        if let Some(host) = host {
            fields
                .entry("host.name".to_owned())
                .or_insert_with(|| host.to_owned());
        }
        Ok(Self {
            name: name.into(),
            stream,
            globs: Globs::new(config)?,
            shaper: Shaper::new(
                config.format,
                &fields,
                rules.as_ref().map_or(&[], |rules| &rules.fields),
            ),
            rules,
            from_end: config.start == LogStart::End,
        })
    }
}

/// Paths that are no globs.
pub fn bad_globs(logs: &Logs) -> Vec<Problem> {
    let of_source = |(name, source): (&String, &LogSource)| {
        let keys = [("paths", &source.paths), ("exclude", &source.exclude)];
        keys.map(|(key, globs)| {
            let judged = globs.iter().enumerate().filter_map(|(index, glob)| {
                let error = glob::Pattern::new(glob).err()?;
                Some(Problem::new(
                    format!("logs.sources.{name}.{key}.{index}"),
                    format!(
                        "\"{glob}\" is no glob: {error}; write one like /var/log/booking/*.log"
                    ),
                ))
            });
            judged.collect::<Vec<_>>()
        })
        .concat()
    };
    logs.sources.iter().flat_map(of_source).collect()
}

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
    ) -> Self {
        Self {
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
                ..Files::default()
            },
        }
    }

    /// Reads until it is told to stop; then hands on what it has.
    pub fn run(mut self) {
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
            let (busy, blocked) = self.round();
            if blocked && !busy {
                self.seal(|_| true); // perhaps it is we who have all the batches
            } else {
                self.seal(|batch| batch.since.elapsed() >= LINGER);
            }
            if !busy {
                self.wake.wait(LOOK, hints.fd());
            }
        }
        self.seal(|_| true);
    }

    fn round(&mut self) -> (bool, bool) {
        let (mut busy, mut blocked) = (false, false);
        let mut tails = std::mem::take(&mut self.files.tails);
        tails.retain_mut(|tail| {
            let served = self.serve(tail).unwrap_or_else(|error| {
                self.trouble(&tail.path, &error);
                Served::Idle
            });
            busy |= served == Served::Busy;
            blocked |= served == Served::Blocked;
            served != Served::Over
        });
        self.files.tails = tails;
        (busy, blocked)
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
        let mut known: HashMap<Key, usize> = HashMap::new();
        for (index, tail) in self.files.tails.iter().enumerate() {
            known.insert(tail.key, index);
        }
        let mut seen: HashSet<Key> = HashSet::new();
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
                    self.still_there(*index, &path);
                    continue;
                }
                match Tail::open(&path, number) {
                    Ok(Some(mut tail)) => {
                        self.files.said.remove(&path);
                        if new_source && from_end {
                            tail.offset = tail.end_of_lines().unwrap_or(tail.size);
                        }
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
            if new_source {
                self.places.add_source(&name);
            }
        }
        for tail in &mut self.files.tails {
            if !seen.contains(&tail.key) && tail.gone.is_none() {
                tail.gone = Some(Instant::now());
            }
        }
        if first {
            self.find_absent();
        }
    }

    fn still_there(&mut self, index: usize, path: &Path) {
        let tail = &mut self.files.tails[index];
        tail.gone = None;
        if tail.path != path {
            // Lines say the name that the file had when they were read.
            path.clone_into(&mut tail.path);
            tail.member = super::document::path_member(path);
            if let Some(id) = tail.id {
                self.places.look(id, tail.size, Some(path), None);
            }
        }
    }

    /// Files of the last run that no glob finds: rotated to another name, or deleted.
    fn find_absent(&mut self) {
        let known: HashSet<Key> = self.files.tails.iter().map(|tail| tail.key).collect();
        for place in self.places.absent() {
            let key = (place.device, place.inode);
            let source = self
                .sources
                .iter()
                .position(|source| *source.name == *place.source);
            let (false, Some(source)) = (known.contains(&key), source) else {
                continue; // of a source that is not configured now: perhaps later
            };
            let Some(entries) = place
                .path
                .parent()
                .and_then(|folder| std::fs::read_dir(folder).ok())
            else {
                continue; // not mounted, perhaps
            };
            let found = entries
                .flatten()
                .find(|entry| entry.ino() == key.1)
                .and_then(|entry| Tail::open(&entry.path(), source).ok().flatten())
                .filter(|tail| tail.key == key && tail.is_same(&place));
            if let Some(mut tail) = found {
                tail.gone = Some(Instant::now());
                self.files.tails.push(tail);
            } else {
                self.lost(&place, "deleted_while_away");
                self.places.forget(&place.epoch);
            }
        }
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
        let look = tail.look()?;
        if look.size != tail.size {
            tail.grew = Instant::now();
        }
        if look.size < tail.offset {
            self.truncated(tail, "truncated");
        }
        // Rewritten with just as many bytes: nothing to read tells of it.
        let rewritten = look.size == tail.offset && look.modified != tail.modified;
        if tail.id.is_some() && rewritten && !tail.is_unchanged()? {
            self.truncated(tail, "truncated");
        }
        tail.modified = look.modified;
        tail.size = look.size;
        if tail.id.is_none() {
            if tail.size == 0 {
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
        self.places.look(id, tail.size, None, grown.clone());
        if let Some(prefix) = grown {
            tail.prefix = prefix;
        }
        let rest = tail.size - tail.offset.min(tail.size);
        // Nothing more will come: what has no end is a line all the same.
        let last_line = tail.gone.is_some() && rest > 0 && tail.grew.elapsed() >= LAST_LINE;
        if rest == 0 || (tail.exhausted == Some(tail.size) && !last_line) {
            if rest == 0 && closes(tail, look.deleted) == Served::Over {
                self.places.finish(id);
                return Ok(Served::Over);
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
        let took = self.read(tail, epoch, &mut batch, last_line);
        if batch.body.len() >= self.pool.batch_bytes {
            hand_on(&self.out, &self.pool, batch);
        } else if batch.items.is_empty() {
            self.pool.give(batch);
        } else {
            self.files.open[stream] = Some(batch);
        }
        if took? {
            Ok(Served::Busy)
        } else {
            Ok(Served::Idle)
        }
    }

    /// Gives a file that has something in it its epoch, old or new.
    fn begin(&mut self, tail: &mut Tail) -> io::Result<()> {
        let stream = self.sources[tail.source].stream;
        let resumed = self
            .places
            .resume(tail.key, tail.size, stream, &tail.path, |place| {
                tail.is_same(place)
            });
        match resumed {
            Ok(resumed) => {
                tail.prefix = tail.first_bytes()?;
                tail.seek(resumed.offset)?;
                tail.suspect_below = resumed.suspect_below;
                tail.since = Some(resumed.since);
                tail.id = Some(resumed.file);
                self.count_from(tail, resumed.epoch);
            }
            Err(others) => {
                for place in others {
                    self.lost(&place, "replaced_while_away");
                }
                tail.prefix = tail.first_bytes()?;
                tail.seek(tail.offset.min(tail.size))?;
                let source = &self.sources[tail.source];
                let (file, epoch) = self.places.start(Start {
                    source: Arc::clone(&source.name),
                    path: tail.path.clone(),
                    device: tail.key.0,
                    inode: tail.key.1,
                    prefix: tail.prefix.clone(),
                    offset: tail.offset,
                    size: tail.size,
                    stream,
                });
                tail.id = Some(file);
                self.count_from(tail, epoch);
            }
        }
        Ok(())
    }

    /// Where the counting of a file's lines goes on, if they are counted.
    fn count_from(&self, tail: &mut Tail, epoch: Epoch) {
        let counted = self.sources[tail.source].rules.is_some();
        tail.counted = counted.then(|| self.figures.file(epoch));
    }

    /// The file's content is another one now.
    fn truncated(&mut self, tail: &mut Tail, reason: &'static str) {
        let unread = tail.size.saturating_sub(tail.offset);
        tracing::info!(file = %tail.path.display(), unread, "a log file was truncated; it begins anew");
        if unread > 0 {
            self.ledger
                .lost(&self.sources[tail.source].name, reason, unread);
        }
        if let Some(id) = tail.id {
            self.places.finish(id);
        }
        tail.reset();
    }

    /// Reads once and takes the lines that are whole; false if there is nothing more now.
    fn read(
        &mut self,
        tail: &mut Tail,
        epoch: Epoch,
        batch: &mut Batch,
        last_line: bool,
    ) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.files.buffer);
        let mut want = READ;
        let result = loop {
            buffer.resize(want + 64, 0);
            let (start, end) = match tail.read(&mut buffer) {
                Ok(Some(part)) => part,
                Ok(None) => {
                    self.truncated(tail, "truncated");
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
            break Ok(self.take(tail, epoch, batch, &buffer, (start, end), last_line, filled));
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
        last_line: bool,
        filled: bool,
    ) -> bool {
        let data = &buffer[start..end];
        let source = &mut self.sources[tail.source];
        let read_at = now_millis();
        let mut count = ReadCount::default();
        let mut at = 0;
        let rules = source.rules.clone();
        let mut counting = rules
            .as_deref()
            .zip(tail.counted)
            .map(|(rules, file)| self.figures.counting(rules, &source.name, file));
        let mut line =
            |batch: &mut Batch, at: usize, text: &[u8], cut: bool, count: &mut ReadCount| {
                let nuls = text.iter().take_while(|byte| **byte == 0).count();
                count.nul_bytes += nuls as u64;
                let mut text = &text[nuls..];
                if let [rest @ .., b'\r'] = text {
                    text = rest;
                }
                if text.iter().all(u8::is_ascii_whitespace) {
                    return;
                }
                let cut = cut || text.len() > self.max_line;
                let text = &text[..text.len().min(self.max_line)];
                let offset = tail.offset + at as u64;
                batch.begin(epoch, offset);
                let line = Line {
                    text,
                    cut,
                    read_at,
                    offset,
                    path: &tail.member,
                };
                let taken = source
                    .shaper
                    .shape_and_tell(&mut batch.body, &line, |fields| {
                        if let Some(counting) = &mut counting {
                            counting.line(offset, fields);
                        }
                    });
                batch.end();
                count.lines += 1;
                count.cut += u64::from(cut);
                count.invalid_json += u64::from(taken.invalid_json);
                count.repaired += u64::from(taken.repaired);
                count.bad_timestamps += u64::from(taken.bad_timestamp);
            };
        let mut full = false;
        for newline in memchr::memchr_iter(b'\n', data) {
            if tail.skipping {
                tail.skipping = false;
            } else {
                line(batch, at, &data[at..newline], false, &mut count);
            }
            at = newline + 1;
            if batch.body.len() >= self.pool.batch_bytes {
                full = true;
                break;
            }
        }
        let rest = &data[at..];
        if full || rest.is_empty() {
            // the next read goes on
        } else if tail.skipping {
            at = data.len();
        } else if rest.len() > self.max_line {
            line(batch, at, &rest[..self.max_line], true, &mut count);
            tail.skipping = true;
            at = data.len();
        } else if last_line && !filled {
            line(batch, at, rest, false, &mut count);
            at = data.len();
        }
        count.bytes = at as u64;
        // Before the lines can be acknowledged.
        if let Some(counting) = counting {
            counting.done(tail.offset + at as u64);
        }
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
                        since,
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

fn now_millis() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
