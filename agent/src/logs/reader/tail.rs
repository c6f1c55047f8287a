//! One file that is read: which bytes are new, and whether it is still the file that it was.
//!
//! Every read begins a few bytes before the place that was reached and compares them with what
//! stood there: a file that was truncated and has grown beyond that place since is noticed too.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use rustix::fs::OFlags;

use crate::business::figures::FileKey;
use crate::logs::batch::Since;
use crate::logs::document;
use crate::logs::places::{FileId, Place, Print};
use crate::logs::pods::Owner;

use super::names;

/// Bytes before the place reached that are compared.
const OVERLAP: usize = 64;
/// Bytes at a file's beginning that tell it from another.
const PREFIX: usize = 1024;

/// Device and inode.
pub type Key = (u64, u64);

#[derive(Debug)]
pub struct Tail {
    pub source: usize,
    pub key: Key,
    pub path: PathBuf,
    /// Where a symbolic link in `path` leads to.
    pub real: Option<PathBuf>,
    /// `,"log.file.path":"…"`
    pub member: Vec<u8>,
    /// `None` until there is something in it.
    pub id: Option<FileId>,
    pub offset: u64,
    /// What stands before `offset`.
    before: Vec<u8>,
    /// Its first bytes, as many as are known.
    pub prefix: Print,
    /// As last seen.
    pub size: u64,
    /// The size at which nothing whole was left to read.
    pub exhausted: Option<u64>,
    /// The size at which its last event was not waited for any longer.
    pub flushed: Option<u64>,
    /// In the middle of a line of which enough was taken.
    pub skipping: bool,
    pub suspect_below: u64,
    pub since: Option<Since>,
    /// What its lines are counted under, if they are.
    pub counted: Option<FileKey>,
    /// Last change of its content, as last seen.
    pub modified: (i64, i64),
    /// When it certainly was what it had been; and whether it has not changed since.
    pub sure: SystemTime,
    /// Its last change, as seen then, in seconds.
    pub sure_modified: i64,
    pub unchanged: bool,
    pub grew: Instant,
    /// Its path leads elsewhere since then.
    pub gone: Option<Instant>,
    /// It may be a copy of a file that is read, made by a rotation: it waits until that is known.
    pub held: Option<Instant>,
    /// Its content is compressed; it is not read.
    pub packed: bool,
    /// Which file must be read to its end before this one is begun.
    pub after: After,
    /// So many of its first bytes were taken with that file's last line.
    pub taken: Option<u64>,
    /// Whose it is, where its source asks.
    pub owner: Owner,
    file: File,
}

/// What a file waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It was not asked yet.
    Unknown,
    Nothing,
    Waits(Key, Instant),
}

/// What is known of a content, by which it is found again in another file.
#[derive(Debug, Clone)]
pub struct Content {
    pub prefix: Print,
    /// What stands before `offset`.
    pub tail: Print,
    pub offset: u64,
}

impl From<&Place> for Content {
    fn from(place: &Place) -> Self {
        Self {
            prefix: place.prefix.clone(),
            tail: place.tail.clone(),
            offset: place.acked,
        }
    }
}

/// What a look at a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub size: u64,
    pub modified: (i64, i64),
    pub deleted: bool,
}

impl Tail {
    /// Opens a regular file; `None` for anything else.
    pub fn open(path: &Path, source: usize) -> io::Result<Option<Self>> {
        // A FIFO must not make us wait, a terminal must not become ours.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(path)?;
        Self::of(file, path, source)
    }

    /// The same, of a file that is open.
    pub fn of(file: File, path: &Path, source: usize) -> io::Result<Option<Self>> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let real = std::fs::canonicalize(path).ok();
        Ok(Some(Self {
            source,
            key: (metadata.dev(), metadata.ino()),
            path: path.to_owned(),
            real: real.filter(|real| real != path),
            member: document::path_member(path),
            id: None,
            offset: 0,
            before: Vec::new(),
            prefix: Print::default(),
            size: metadata.len(),
            exhausted: None,
            flushed: None,
            skipping: false,
            suspect_below: 0,
            since: None,
            counted: None,
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            sure: SystemTime::now(),
            sure_modified: metadata.mtime(),
            unchanged: true,
            grew: Instant::now(),
            gone: None,
            held: None,
            packed: false,
            after: After::Unknown,
            taken: None,
            owner: Owner::Unasked,
            file,
        }))
    }

    /// The open file itself.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Bytes from `at` on, as far as the file goes.
    pub fn bytes(&self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let count = self.fill(&mut bytes, at)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    pub fn looks_compressed(&self) -> io::Result<bool> {
        let mut bytes = [0; 10];
        let count = self.fill(&mut bytes, 0)?;
        Ok(names::looks_compressed(&bytes[..count]))
    }

    /// What was read of it, as another file could have it.
    pub fn content(&self) -> Content {
        Content {
            prefix: self.prefix.clone(),
            tail: Print::of(&self.before),
            offset: self.offset,
        }
    }

    /// Whether it has this content. What nothing is known of is in no file.
    pub fn holds(&self, content: &Content) -> bool {
        let matches = |print: &Print, at: u64| {
            let mut bytes = vec![0; (print.len as usize).min(PREFIX)];
            let count = self.fill(&mut bytes, at).unwrap_or_default();
            print.len == 0 || Print::of(&bytes[..count]) == *print
        };
        content.prefix.len > 0
            && self.size >= content.offset
            && matches(&content.prefix, 0)
            && matches(
                &content.tail,
                content.offset.saturating_sub(content.tail.len),
            )
    }

    /// Whether it is a copy of a content that ends before the place that was reached: what came after
    /// it was read from the original.
    pub fn is_beginning_of(&self, content: &Content) -> bool {
        let mut bytes = vec![0; (content.prefix.len as usize).min(PREFIX)];
        let count = self.fill(&mut bytes, 0).unwrap_or_default();
        content.prefix.len > 0
            && self.size >= content.prefix.len
            && self.size < content.offset
            && Print::of(&bytes[..count]) == content.prefix
    }

    /// Whether all of it, as far as its two ends tell, is the beginning of another; `None` while
    /// there is nothing to compare.
    pub fn begins(&self, other: &Self) -> io::Result<Option<bool>> {
        let common = self.look()?.size.min(other.look()?.size);
        if common == 0 {
            return Ok(None);
        }
        let (mut mine, mut its) = ([0; PREFIX], [0; PREFIX]);
        for (at, len) in [
            (0, common.min(PREFIX as u64)),
            (
                common.saturating_sub(OVERLAP as u64),
                common.min(OVERLAP as u64),
            ),
        ] {
            let (mine, its) = (&mut mine[..len as usize], &mut its[..len as usize]);
            if self.fill(mine, at)? != other.fill(its, at)? || mine != its {
                return Ok(Some(false));
            }
        }
        Ok(Some(true))
    }

    pub fn look(&self) -> io::Result<Look> {
        let metadata = self.file.metadata()?;
        Ok(Look {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            deleted: metadata.nlink() == 0,
        })
    }

    /// Its first bytes now.
    pub fn first_bytes(&self) -> io::Result<Print> {
        let mut bytes = [0; PREFIX];
        let count = self.fill(&mut bytes, 0)?;
        Ok(Print::of(&bytes[..count]))
    }

    pub fn prefix_is_whole(&self) -> bool {
        self.prefix.len >= PREFIX as u64
    }

    /// Reading goes on at `offset`.
    pub fn seek(&mut self, offset: u64) -> io::Result<()> {
        let count = OVERLAP.min(usize::try_from(offset).unwrap_or(OVERLAP));
        let mut before = vec![0; count];
        let got = self.fill(&mut before, offset - count as u64)?;
        before.truncate(got);
        // In the middle of a line: its beginning was taken already, or is not wanted.
        self.skipping = before.last().is_some_and(|byte| *byte != b'\n');
        self.before = before;
        self.offset = offset;
        self.exhausted = None;
        Ok(())
    }

    /// Whether what was read is still there, as far as can be told from its two ends.
    pub fn is_unchanged(&self) -> io::Result<bool> {
        let mut bytes = [0; PREFIX];
        let known = &mut bytes[..(self.prefix.len as usize).min(PREFIX)];
        let count = self.fill(known, 0)?;
        let same = Print::of(&known[..count]) == self.prefix;
        Ok(same && self.read(&mut [0; OVERLAP])?.is_some())
    }

    /// Reads what comes after `offset`, at most as much as fits; where in `buffer` it begins and
    /// ends. `None` if the file is not what it was.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, usize)>> {
        let overlap = self.before.len();
        let count = self.fill(buffer, self.offset - overlap as u64)?;
        if count < overlap || buffer[..overlap] != self.before {
            return Ok(None);
        }
        // With nothing before it yet, the first bytes are all there is to compare.
        if self.offset == 0 && self.prefix.len > 0 {
            let len = self.prefix.len as usize;
            if count < len || Print::of(&buffer[..len]) != self.prefix {
                return Ok(None);
            }
        }
        Ok(Some((overlap, count)))
    }

    /// The bytes of `buffer` up to `end` were taken, `offset` onwards from `start`; what stands
    /// before the new place.
    pub fn advance(&mut self, buffer: &[u8], start: usize, end: usize) -> Print {
        self.offset += (end - start) as u64;
        self.before.clear();
        self.before
            .extend_from_slice(&buffer[end.saturating_sub(OVERLAP)..end]);
        Print::of(&self.before)
    }

    /// It begins anew, as another file at the same place.
    pub fn reset(&mut self) {
        self.id = None;
        self.offset = 0;
        self.before.clear();
        self.prefix = Print::default();
        self.exhausted = None;
        self.flushed = None;
        self.skipping = false;
        self.suspect_below = 0;
        self.since = None;
        self.counted = None;
    }

    /// Fills a buffer as far as the file goes.
    fn fill(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut count = 0;
        while count < buffer.len() {
            match self.file.read_at(&mut buffer[count..], at + count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    /// Where the last line that is there begins, or the end if it is whole.
    pub fn end_of_lines(&self) -> io::Result<u64> {
        const BACK: u64 = 64 << 10;
        let from = self.size.saturating_sub(BACK);
        let mut bytes = vec![0; (self.size - from) as usize];
        let count = self.fill(&mut bytes, from)?;
        let newline = memchr::memrchr(b'\n', &bytes[..count]);
        Ok(newline.map_or(if from == 0 { 0 } else { self.size }, |at| {
            from + at as u64 + 1
        }))
    }
}
