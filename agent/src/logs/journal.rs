//! systemd's journal as a source: `journalctl` follows it from a cursor and writes the export format,
//! which is read without waiting by the reading thread. When no batch is free nothing is read, the
//! pipe fills and journalctl waits: the journal itself is the buffer.
//!
//! An entry's id derives from journald's own sequence number, so that reading it again makes no second
//! document, whatever was forgotten. The cursor that is kept is that of the last entry before which
//! every one has its outcome; the child begins *at* it, and if that entry is not there any more,
//! the journal was rotated away under us and that is said and counted.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kai_contract::agent_config::Journald;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::batch::{Batch, Run, Since};
use super::document::Line;
use super::filter::{Filter, Verdict};
use super::id::Epoch;
use super::ledger::{Ledger, ReadCount};
use super::places::{FileId, Places, Print, Start};
use super::reader::take::mark;
use super::source::Source;
use crate::business::Figures;
use crate::business::figures::FileKey;

pub mod export;
pub mod fields;

use export::{Entry, Export};

/// Read from the child at once.
const READ: usize = 64 << 10;
/// The child is started again after these, doubled each time that it fails at once.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_mins(1);
/// A child that says nothing for so long is started anew: it may have missed a rotation.
const SILENCE: Duration = Duration::from_mins(5);
/// What journalctl says of its troubles.
const SAID: usize = 500;
/// Stands where a file has its device.
pub const DEVICE: u64 = u64::MAX;

/// What the reader lends.
pub struct Lane<'a> {
    pub source: &'a mut Source,
    pub places: &'a Places,
    pub ledger: &'a Ledger,
    pub figures: &'a Figures,
    pub max_line: usize,
    /// Bytes at which a batch is full.
    pub batch_bytes: usize,
}

#[derive(Debug)]
struct Running {
    child: Child,
    out: ChildStdout,
    errors: ChildStderr,
    said: Vec<u8>,
    /// It only tells the newest entry.
    newest: bool,
    /// It has written all that it will.
    closed: bool,
    entries: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended, or nobody reads on
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Journal {
    pub source: usize,
    config: Journald,
    from_end: bool,
    running: Option<Running>,
    parser: Export,
    /// Read from the child and not yet taken.
    rest: Vec<u8>,
    place: Option<FileId>,
    /// Entries taken, ever.
    taken: u64,
    since: Option<Since>,
    counted: Option<FileKey>,
    /// Of the last entry that was taken.
    cursor: Option<String>,
    /// The child's first entry should be the one at the cursor.
    expected: bool,
    /// The cursor is not understood: its time is used.
    by_time: bool,
    /// Entries up to this time, in microseconds, may have been sent before.
    suspect_until: u64,
    next: Instant,
    wait: Duration,
    heard: Instant,
    trouble: Option<String>,
    /// An id's beginning for the journal's sequence at hand.
    epoch: (Vec<u8>, Epoch),
    object: Vec<u8>,
}

impl Journal {
    pub fn new(source: usize, config: &Journald, from_end: bool, max_line: usize) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            source,
            config: config.clone(),
            from_end,
            running: None,
            parser: Export::new(max_line),
            rest: Vec::new(),
            place: None,
            taken: 0,
            since: None,
            counted: None,
            cursor: None,
            expected: false,
            by_time: false,
            suspect_until: now.map_or(u64::MAX, |now| now.as_micros() as u64),
            next: Instant::now(),
            wait: AGAIN,
            heard: Instant::now(),
            trouble: None,
            epoch: (Vec::new(), Epoch::of(b"")),
            object: Vec::new(),
        }
    }

    /// Whether there may be something to take now; starts what must run.
    pub fn is_ready(&mut self, lane: &Lane<'_>) -> bool {
        if self.place.is_none() {
            self.find_place(lane);
        }
        let Some(place) = self.place else {
            return false;
        };
        // Only once it is durable where it begins.
        if lane.places.ready(place, self.taken + READ as u64).is_none() {
            return false;
        }
        if !self.rest.is_empty() {
            return true;
        }
        if self.running.is_none() && Instant::now() >= self.next {
            self.start(lane);
        }
        self.read(lane)
    }

    /// Takes entries into a batch; whether there may be more at once.
    pub fn take(&mut self, lane: &mut Lane<'_>, batch: &mut Batch) -> bool {
        let Some(place) = self.place else {
            return false;
        };
        let rest = std::mem::take(&mut self.rest);
        let mut object = std::mem::take(&mut self.object);
        let mut count = ReadCount::default();
        let mut last = None;
        let mut suspect = false;
        let rules = lane.source.rules.clone();
        let mut counting = rules
            .as_deref()
            .zip(self.counted)
            .map(|(rules, file)| lane.figures.counting(rules, &lane.source.name, file));
        let name = Arc::clone(&lane.source.name);
        let (mut expected, mut taken) = (self.expected, self.taken);
        let (epoch, until) = (&mut self.epoch, self.suspect_until);
        let (cursor, from) = (&self.cursor, &mut self.running);
        let read = self.parser.push(&rest, |entry| {
            if let Some(running) = from {
                running.entries += 1;
            }
            let found = entry.get("__CURSOR").unwrap_or_default();
            if std::mem::take(&mut expected) {
                if cursor.as_deref().map(str::as_bytes) == Some(found) {
                    return true; // it has its outcome
                }
                tracing::warn!(
                    source = %name,
                    "the journal entry that was read last is not there any more; entries after it \
                     may have been rotated away before they were read"
                );
                lane.ledger.journal(&name, "cursor_lost");
            }
            let (part, number) = identity(found);
            if epoch.0 != part || epoch.0.is_empty() {
                epoch.0 = part.to_vec();
                epoch.1 = Epoch::of(&[name.as_bytes(), b"\0", part].concat());
            }
            suspect |= fields::micros(entry).is_none_or(|micros| micros <= until);
            object.clear();
            let composed = fields::compose(entry, &lane.source.message, &mut object);
            let line = Line {
                text: &object,
                cut: false,
                split: false,
                read_at: fields::micros(entry).map_or(0, |micros| (micros / 1000) as i64),
                stream: None,
                offset: number,
                path: b"",
                about: None,
            };
            batch.begin(epoch.1, number);
            let begun = batch.body.len();
            let (first, id) = (
                rules.as_deref().map_or(0, |rules| rules.fields.len()),
                epoch.1,
            );
            let mut verdict = Verdict::Keep;
            let filter = &mut lane.source.filter;
            let shaped = lane
                .source
                .shaper
                .shape_and_tell(&mut batch.body, &line, |fields| {
                    if let Some(counting) = &mut counting {
                        counting.line(taken, fields);
                    }
                    if let Some(filter) = filter {
                        verdict = filter.judge(fields, first, id, number);
                    }
                    !matches!(verdict, Verdict::Drop(_))
                });
            match (verdict, filter) {
                (Verdict::Drop(reason), filter) => {
                    batch.cancel();
                    if let Some(filter) = filter {
                        filter.count(reason, object.len());
                    }
                }
                (verdict, filter) => {
                    if let Verdict::Sampled(share, _) = verdict {
                        mark(&mut batch.body, share);
                        filter.iter_mut().for_each(Filter::kept);
                    }
                    count.lines += 1;
                    count.document_bytes += (batch.body.len() - begun) as u64;
                    batch.end();
                }
            }
            taken += 1;
            last = Some(String::from_utf8_lossy(found).into_owned());
            note(&mut count, entry, composed);
            count.bad_timestamps += u64::from(shaped.bad_timestamp);
            count.beyond(shaped.beyond);
            if shaped.redacted.any() {
                count.redacted.merge(shaped.redacted);
            }
            batch.body.len() < lane.batch_bytes
        });
        if let Some(counting) = counting {
            counting.done(taken);
        }
        (self.expected, self.taken) = (expected, taken);
        object.shrink_to(READ);
        self.object = object;
        let failed = match read {
            Ok(read) => {
                count.bytes = read as u64;
                self.rest = rest[read..].to_vec();
                None
            }
            Err(reason) => Some(reason),
        };
        if let Some(cursor) = last {
            self.cursor = Some(cursor.clone());
            self.wait = AGAIN;
            self.trouble = None;
            lane.ledger.read(&name, &count);
            lane.source.spend(count.document_bytes);
            if let Some(filter) = &mut lane.source.filter {
                lane.ledger.filtered(&name, filter.drain());
            }
            let since = if suspect { self.since.clone() } else { None };
            let lines = count.lines as usize;
            let segment = lane
                .places
                .begin_at(place, taken, cursor, lines, since.clone());
            if lines > 0 {
                batch.runs.push(Run {
                    file: place,
                    segment,
                    source: Arc::clone(&name),
                    suspect_below: if suspect { u64::MAX } else { 0 },
                    by_content: true,
                    since,
                    written: now(),
                });
            }
        }
        if let Some(reason) = failed {
            lane.ledger.journal(&name, "invalid");
            self.end(
                lane,
                &format!("what journalctl wrote cannot be read: {reason}"),
            );
        }
        !self.rest.is_empty()
    }

    /// Where an earlier run left off, or the beginning.
    fn find_place(&mut self, lane: &Lane<'_>) {
        let source = &lane.source;
        let inode = Epoch::of(source.name.as_bytes()).number();
        let path = PathBuf::from(format!("journal:{}", source.name));
        let key = (DEVICE, inode);
        let resumed = lane
            .places
            .resume(key, u64::MAX, source.stream, &path, |_| true);
        let epoch = if let Ok(resumed) = resumed {
            self.place = Some(resumed.file);
            self.taken = resumed.offset;
            self.since = Some(resumed.since);
            self.cursor = resumed.cursor;
            resumed.epoch
        } else {
            if self.from_end && !lane.places.knows_source(&source.name) {
                // Where the end is must be known before anything can come after it.
                if self.running.is_none() && self.cursor.is_none() && Instant::now() >= self.next {
                    self.ask_newest(lane);
                }
                self.read(lane);
                if !self.took_newest(lane) {
                    return;
                }
            }
            lane.places.add_source(&source.name);
            let (file, epoch) = lane.places.start(Start {
                source: Arc::clone(&source.name),
                path,
                real: None,
                device: DEVICE,
                inode,
                prefix: Print::default(),
                offset: 0,
                size: 0,
                stream: source.stream,
            });
            lane.places.at(file, self.cursor.clone());
            self.place = Some(file);
            // Whoever was here before this state folder may have sent them.
            self.since = Some(Since {
                observation: 0,
                index: "".into(),
            });
            epoch
        };
        let counted = source.rules.is_some();
        self.counted = counted.then(|| lane.figures.file(epoch));
    }

    fn ask_newest(&mut self, lane: &Lane<'_>) {
        let mut command = self.command();
        command.arg("--lines=1");
        self.spawn(lane, command, true);
    }

    /// Whether the newest entry is known, or that there is none.
    fn took_newest(&mut self, lane: &Lane<'_>) -> bool {
        let rest = std::mem::take(&mut self.rest);
        let mut cursor = None;
        let read = self.parser.push(&rest, |entry| {
            cursor = entry
                .get("__CURSOR")
                .map(|cursor| String::from_utf8_lossy(cursor).into_owned());
            true
        });
        if let Err(reason) = read {
            self.end(lane, reason);
            return false;
        }
        if cursor.is_some() {
            self.cursor = cursor;
        }
        let running = self.running.as_mut();
        let Some(running) = running.filter(|running| running.newest && running.closed) else {
            return false;
        };
        match running.child.try_wait() {
            Ok(Some(status)) if status.success() => {
                self.running = None;
                true
            }
            Ok(Some(_)) => {
                self.end(lane, "journalctl cannot read the journal");
                false
            }
            _ => false,
        }
    }

    fn command(&self) -> Command {
        let program = self.config.journalctl.clone();
        let mut command = Command::new(program.unwrap_or_else(|| find("journalctl")));
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", "/usr/bin:/bin")
            .args(["--output=export", "--all", "--quiet", "--no-pager"]);
        if let Some(folder) = &self.config.directory {
            command.arg("--directory").arg(folder);
        }
        for unit in &self.config.units {
            command.arg(format!("--unit={unit}"));
        }
        command
    }

    /// Follows from the cursor, if there is one.
    fn start(&mut self, lane: &Lane<'_>) {
        let mut command = self.command();
        command.args(["--follow", "--no-tail"]);
        self.expected = false;
        match &self.cursor {
            Some(cursor) if self.by_time => {
                // In whole seconds, so that none is missed; what comes twice has the same id.
                let seconds = time_of(cursor).unwrap_or_default() / 1_000_000;
                command.arg(format!("--since=@{seconds}"));
            }
            Some(cursor) => {
                self.expected = true;
                command.arg(format!("--cursor={cursor}"));
            }
            None => {}
        }
        command.args(&self.config.matches);
        self.parser = Export::new(lane.max_line);
        self.spawn(lane, command, false);
    }

    fn spawn(&mut self, lane: &Lane<'_>, mut command: Command, newest: bool) {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let spawned = command.spawn().and_then(|mut child| {
            let pipes = child.stdout.take().zip(child.stderr.take());
            let (out, errors) = pipes.ok_or_else(|| io::Error::other("it has no pipes"))?;
            for pipe in [
                rustix::fd::AsFd::as_fd(&out),
                rustix::fd::AsFd::as_fd(&errors),
            ] {
                fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
            }
            Ok(Running {
                child,
                out,
                errors,
                said: Vec::new(),
                newest,
                closed: false,
                entries: 0,
            })
        });
        self.heard = Instant::now();
        match spawned {
            Ok(running) => self.running = Some(running),
            Err(error) => {
                let program = command.get_program().to_string_lossy().into_owned();
                self.end(lane, &format!("cannot run {program}: {error}"));
            }
        }
    }

    /// Reads what the child has written; whether that is anything.
    fn read(&mut self, lane: &Lane<'_>) -> bool {
        let Some(running) = &mut self.running else {
            return false;
        };
        let mut said = [0; SAID];
        while let Ok(count @ 1..) = running.errors.read(&mut said) {
            running.said.extend_from_slice(&said[..count]);
            let excess = running.said.len().saturating_sub(SAID);
            running.said.drain(..excess);
        }
        self.rest.resize(READ, 0);
        let read = running.out.read(&mut self.rest);
        self.rest.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) if running.newest => {
                running.closed = true;
                false
            }
            Ok(0) => {
                let status = running.child.wait();
                let said = String::from_utf8_lossy(&running.said).trim().to_owned();
                let refused = running.entries == 0 && said.contains("cursor");
                if refused && self.cursor.is_some() && !self.by_time {
                    self.by_time = true;
                    lane.ledger.journal(&lane.source.name, "cursor_refused");
                }
                let status = status.map_or_else(|error| error.to_string(), |it| it.to_string());
                self.end(lane, &format!("journalctl ended with {status}: {said}"));
                false
            }
            Ok(_) => {
                self.heard = Instant::now();
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.heard.elapsed() >= SILENCE && !running.newest {
                    // No trouble: the same place, at once.
                    self.running = None;
                    self.next = Instant::now();
                    lane.ledger.journal(&lane.source.name, "restarted_silent");
                }
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            Err(error) => {
                self.end(
                    lane,
                    &format!("cannot read what journalctl writes: {error}"),
                );
                false
            }
        }
    }

    /// The child is no more, or must be none; another one comes after a while.
    fn end(&mut self, lane: &Lane<'_>, reason: &str) {
        self.running = None;
        self.rest.clear();
        self.next = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(AGAIN_AT_MOST);
        lane.ledger.journal(&lane.source.name, "restarted");
        if self.trouble.as_deref() != Some(reason) {
            tracing::warn!(source = %lane.source.name, %reason, "the journal is read again after a while");
            self.trouble = Some(reason.to_owned());
        }
    }
}

fn note(count: &mut ReadCount, entry: &Entry, composed: fields::Composed) {
    count.cut += u64::from(entry.cut);
    count.repaired += u64::from(composed.repaired);
    count.unparsed += u64::from(composed.unparsed);
    count.invalid_json += u64::from(composed.invalid_json);
}

fn now() -> (i64, i64) {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or((0, 0), |now| {
            (now.as_secs() as i64, i64::from(now.subsec_nanos()))
        })
}

/// A program in the system's own folders: ours may have any PATH, or none.
fn find(name: &str) -> PathBuf {
    ["/usr/bin", "/bin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}

/// One part of a cursor, `s=…;i=…;b=…;m=…;t=…;x=…`.
fn part(cursor: &[u8], name: u8) -> Option<&[u8]> {
    cursor
        .split(|byte| *byte == b';')
        .find_map(|part| part.strip_prefix(&[name, b'=']))
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// Which sequence a cursor is of, and its number there. Of one that is written otherwise, all of it
/// is the sequence.
fn identity(cursor: &[u8]) -> (&[u8], u64) {
    match (part(cursor, b's'), part(cursor, b'i').and_then(hexadecimal)) {
        (Some(sequence), Some(number)) if !sequence.is_empty() && number < 1 << 48 => {
            (sequence, number)
        }
        _ => (cursor, 0),
    }
}

/// Microseconds since 1970.
fn time_of(cursor: &str) -> Option<u64> {
    part(cursor.as_bytes(), b't').and_then(hexadecimal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURSOR: &[u8] = b"s=0028ead203994a34;i=1f;b=5d6b;m=f4241;t=644cdabb4c801;x=cd33";

    #[test]
    fn a_cursor_tells_sequence_number_and_time() {
        assert_eq!(identity(CURSOR), (&b"0028ead203994a34"[..], 31));
        let text = std::str::from_utf8(CURSOR).unwrap();
        assert_eq!(time_of(text), Some(1_764_500_000_000_001));
        assert_eq!(identity(b"other"), (&b"other"[..], 0));
        assert_eq!(identity(b"s=;i=1"), (&b"s=;i=1"[..], 0));
    }

    proptest! {
        #[test]
        fn any_cursor_is_taken(cursor in any::<Vec<u8>>(), near in "(s=[0-9a-f]{0,4};)?(i=[0-9a-fx]{0,20};)?t=.{0,4}") {
            let _ = (identity(&cursor), identity(near.as_bytes()), time_of(&near));
        }
    }
}
