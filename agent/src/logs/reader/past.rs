//! What rotation took out of sight: files that were moved, copied, compressed, or made and moved
//! while nobody looked; and files that were read to their end, in case somebody writes to them
//! after all.
//!
//! A content is known by its first bytes and by those before the place that was reached. What a
//! `copytruncate` copied is found by them in the copy and goes on there, under the same ids, and a
//! copy that the globs match is not taken for a new file.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::tail::{Content, Key, Tail};
use super::{Reader, Served, names, unpack};
use crate::business::figures::FileKey;
use crate::logs::batch::Since;
use crate::logs::places::record::folders;
use crate::logs::places::{FileId, Place, Resumed};

/// A copy beside its original is a file of its own when both have been left alone for so long.
const HELD: Duration = Duration::from_secs(30);
/// Files that rest, at most.
const RESTING: usize = 1024;
/// Seconds that a copy may be older than its original: cp ends before the truncation.
const SLACK: i64 = 2;
/// Clocks of file systems tick coarsely.
const TICK: Duration = Duration::from_millis(20);

/// An open file that nothing leads to any more, handed from lane to lane.
#[derive(Debug)]
pub struct Carried {
    key: Key,
    file: File,
}

/// Those of the files that would be gone if they were closed.
pub fn carried(tails: Vec<Tail>) -> Vec<Carried> {
    let deleted = |tail: &Tail| tail.id.is_some() && tail.look().is_ok_and(|look| look.deleted);
    tails
        .into_iter()
        .filter(deleted)
        .map(|tail| Carried {
            key: tail.key,
            file: tail.into_file(),
        })
        .collect()
}

/// Where a file was, and is no more.
#[derive(Debug, Clone)]
pub struct Left {
    source: usize,
    path: PathBuf,
    real: Option<PathBuf>,
}

impl Left {
    pub fn of(tail: &Tail) -> Self {
        Self {
            source: tail.source,
            path: tail.path.clone(),
            real: tail.real.clone(),
        }
    }
}

/// A file whose content is to be found elsewhere.
#[derive(Debug)]
pub struct Rescue {
    left: Left,
    id: FileId,
    key: Key,
    member: Vec<u8>,
    content: Content,
    modified: i64,
    looked: SystemTime,
    unread: u64,
    suspect_below: u64,
    since: Option<Since>,
    counted: Option<FileKey>,
}

impl Rescue {
    /// Of a file about which something is known.
    pub fn of(tail: &Tail) -> Option<Self> {
        Some(Self {
            left: Left::of(tail),
            id: tail.id?,
            key: tail.key,
            member: tail.member.clone(),
            content: tail.content(),
            modified: tail.sure_modified,
            looked: tail.sure,
            unread: tail.size.saturating_sub(tail.offset),
            suspect_below: tail.suspect_below,
            since: tail.since.clone(),
            counted: tail.counted,
        })
    }
}

/// A file that was read to its end and closed.
#[derive(Debug)]
pub struct Resting {
    pub key: Key,
    source: usize,
    path: PathBuf,
    size: u64,
}

impl Reader {
    // ---- at the start

    /// Finds what the last run knew, before anything new is begun.
    pub(super) fn recall(&mut self) {
        let mut replaced = Vec::new();
        let mut tails = std::mem::take(&mut self.files.tails);
        for tail in &mut tails {
            match self.resume(tail) {
                Ok(Ok(())) => {}
                Ok(Err(others)) => replaced.extend(others),
                Err(error) => self.trouble(&tail.path, &error),
            }
        }
        self.files.tails = tails;
        let mut absent = self.places.absent();
        absent.retain(|place| {
            // Not mounted, perhaps; or of a source that is not configured now: perhaps later.
            self.source_of(place).is_some() && place.folders().any(Path::is_dir)
        });
        let all = replaced
            .into_iter()
            .map(|place| (place, "replaced_while_away"))
            .chain(
                absent
                    .into_iter()
                    .map(|place| (place, "deleted_while_away")),
            );
        let all: Vec<(Place, &'static str)> = all.collect();
        for (place, reason) in &all {
            self.recover(place, reason);
        }
        for (place, _) in all {
            let at = fs::metadata(&place.path).map(|it| (it.dev(), it.ino()));
            let replaced = match at {
                Ok(key) => self.is_new_here(key),
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            };
            if let (Some(source), true) = (self.source_of(&place), replaced) {
                let since = SystemTime::UNIX_EPOCH + Duration::from_secs(place.seen);
                let left = Left {
                    source,
                    path: place.path,
                    real: place.real,
                };
                self.find_missed(&left, since);
            }
        }
    }

    /// Whether this is no file that the last run knew.
    fn is_new_here(&self, key: Key) -> bool {
        let tail = self.files.tails.iter().find(|tail| tail.key == key);
        tail.is_none_or(|tail| tail.id.is_none())
    }

    fn source_of(&self, place: &Place) -> Option<usize> {
        self.sources
            .iter()
            .position(|source| *source.name == *place.source)
    }

    /// Goes on with a file of the last run, if it is one.
    pub(super) fn resume(&self, tail: &mut Tail) -> io::Result<Result<(), Vec<Place>>> {
        let stream = self.sources[tail.source].stream;
        let same = |place: &Place| tail.holds(&Content::from(place));
        let resumed = self
            .places
            .resume(tail.key, tail.size, stream, &tail.path, same);
        match resumed {
            Ok(resumed) => self.go_on(tail, resumed).map(Ok),
            Err(others) => Ok(Err(others)),
        }
    }

    fn go_on(&self, tail: &mut Tail, resumed: Resumed) -> io::Result<()> {
        tail.prefix = tail.first_bytes()?;
        tail.seek(resumed.offset.min(tail.size))?;
        tail.suspect_below = resumed.suspect_below;
        tail.since = Some(resumed.since);
        tail.id = Some(resumed.file);
        tail.held = None;
        self.places
            .found_at(resumed.file, &tail.path, tail.real.as_deref());
        self.count_from(tail, resumed.epoch);
        Ok(())
    }

    /// A file of the last run that is not where it was: moved, copied, compressed, or gone.
    fn recover(&mut self, place: &Place, reason: &'static str) {
        let Some(source) = self.source_of(place) else {
            return;
        };
        let key = (place.device, place.inode);
        let content = Content::from(place);
        let found = if reason == "replaced_while_away" {
            None
        } else {
            self.take_carried(key, place, source)
                .or_else(|| moved(place, source, key))
                .filter(|tail| tail.holds(&content))
        };
        let left = Left {
            source,
            path: place.path.clone(),
            real: place.real.clone(),
        };
        let found = found.or_else(|| self.find_content(&left, key, &content, place.modified));
        let Some(mut tail) = found else {
            self.lost(place, reason);
            self.places.forget(&place.epoch);
            return;
        };
        let stream = self.sources[source].stream;
        let restored = self
            .places
            .restore(place.clone(), tail.key, tail.size, stream, &place.path);
        let Ok(resumed) = restored else {
            return;
        };
        match self.go_on(&mut tail, resumed) {
            Ok(()) => {
                tracing::info!(
                    file = %place.path.display(),
                    now = %tail.path.display(),
                    "a log file was rotated while nobody read it; it is read on where it is now"
                );
                self.files.tails.push(tail);
            }
            Err(error) => self.trouble(&place.path, &error),
        }
    }

    fn take_carried(&mut self, key: Key, place: &Place, source: usize) -> Option<Tail> {
        let carried = &mut self.files.carried;
        let index = carried.iter().position(|carried| carried.key == key)?;
        let file = carried.swap_remove(index).file;
        let mut tail = Tail::of(file, &place.path, source).ok().flatten()?;
        tail.gone = Some(Instant::now());
        Some(tail)
    }

    // ---- copies

    /// Files whose content went elsewhere go on there; whether there were any.
    pub(super) fn rescue(&mut self) -> bool {
        let rescues = std::mem::take(&mut self.files.rescues);
        let any = !rescues.is_empty();
        let mut left = Vec::new();
        for rescue in rescues {
            left.push((rescue.left.clone(), rescue.looked));
            let found =
                self.find_content(&rescue.left, rescue.key, &rescue.content, rescue.modified);
            let went_on = found.map(|mut tail| {
                let begun = tail.first_bytes().and_then(|prefix| {
                    tail.prefix = prefix;
                    tail.seek(rescue.content.offset.min(tail.size))
                });
                (begun.is_ok(), tail)
            });
            let Some((true, mut tail)) = went_on else {
                if rescue.unread > 0 {
                    let source = &self.sources[rescue.left.source].name;
                    self.ledger.lost(source, "truncated", rescue.unread);
                }
                self.places.finish(rescue.id);
                continue;
            };
            tracing::info!(
                file = %rescue.left.path.display(),
                copy = %tail.path.display(),
                unread = tail.size.saturating_sub(rescue.content.offset),
                "what a truncated log file held is read on in its copy"
            );
            // Its lines were written into the original.
            tail.member = rescue.member;
            tail.suspect_below = rescue.suspect_below;
            tail.since = rescue.since;
            tail.counted = rescue.counted;
            tail.id = Some(rescue.id);
            tail.held = None;
            self.places.moved(rescue.id, tail.key, &tail.path);
            self.files.tails.push(tail);
        }
        // It may have been copied and truncated more than once since.
        for (left, looked) in left {
            self.find_missed(&left, looked);
        }
        any
    }

    /// Looks for a content in the files that a rotation could have made of one. `modified` is the
    /// original's: a copy is not older.
    fn find_content(
        &mut self,
        left: &Left,
        key: Key,
        content: &Content,
        modified: i64,
    ) -> Option<Tail> {
        // Its last lines may have come after the copy's.
        let fits = |tail: &Tail| tail.key != key && tail.modified.0 + SLACK >= modified;
        let has = |tail: &Tail| tail.holds(content) || tail.is_beginning_of(content);
        // One that a glob found, and that nobody has begun.
        let found = self.files.tails.iter().position(|tail| {
            tail.id.is_none()
                && tail.source == left.source
                && fits(tail)
                && is_rotation_of(left, &tail.path)
                && has(tail)
        });
        if let Some(index) = found {
            return Some(self.files.tails.swap_remove(index));
        }
        let known: HashSet<Key> = self.files.tails.iter().map(|tail| tail.key).collect();
        for path in rotations(left) {
            let Ok(Some(mut tail)) = Tail::open(&path, left.source) else {
                continue;
            };
            if known.contains(&tail.key) || !fits(&tail) {
                continue;
            }
            tail.gone = Some(Instant::now());
            if tail.looks_compressed().unwrap_or(false) {
                let unpacked = unpack::unpack(&path, content, self.places.folder());
                let unpacked = unpacked.and_then(|file| match file {
                    Some(file) => Tail::of(file, &path, left.source),
                    None => Ok(None),
                });
                match unpacked {
                    Ok(Some(mut tail)) => {
                        tail.gone = Some(Instant::now());
                        return Some(tail);
                    }
                    Ok(None) => {}
                    Err(error) => self.trouble(&path, &error),
                }
            } else if has(&tail) {
                return Some(tail);
            }
        }
        None
    }

    /// Whether a new file may be the copy of one that is read.
    pub(super) fn may_be_a_copy(&self, new: &Tail) -> bool {
        self.originals(new).next().is_some()
    }

    fn originals<'a>(&'a self, new: &'a Tail) -> impl Iterator<Item = &'a Tail> {
        self.files.tails.iter().filter(|tail| {
            tail.id.is_some()
                && tail.source == new.source
                && tail.key != new.key
                && is_rotation_of(&Left::of(tail), &new.path)
        })
    }

    /// At the start, files that may be copies of what is read already.
    pub(super) fn hold_copies(&mut self) {
        for index in 0..self.files.tails.len() {
            let tail = &self.files.tails[index];
            if tail.id.is_none() && self.may_be_a_copy(tail) {
                self.files.tails[index].held = Some(Instant::now());
            }
        }
    }

    /// Copies that turned out to be none are read.
    pub(super) fn judge_copies(&mut self) {
        for index in 0..self.files.tails.len() {
            let tail = &self.files.tails[index];
            let Some(since) = tail.held else { continue };
            let quiet = tail.grew.elapsed().min(since.elapsed()) >= HELD;
            let copy = self.originals(tail).any(|original| {
                // Truncated just now: the next look at it says so.
                let whole = original.is_unchanged().unwrap_or(true);
                !whole || tail.begins(original).unwrap_or(None).unwrap_or(true)
            });
            if quiet || !copy {
                self.files.tails[index].held = None;
            }
        }
    }

    // ---- files that nobody saw

    /// Files that were made where one was read, and moved on before anybody looked: what a rotation
    /// calls them tells of them.
    pub(super) fn find_missed(&mut self, left: &Left, since: SystemTime) {
        let mut known: HashSet<Key> = self.files.tails.iter().map(|tail| tail.key).collect();
        known.extend(self.files.resting.iter().map(|resting| resting.key));
        known.extend(
            self.places
                .absent()
                .iter()
                .map(|place| (place.device, place.inode)),
        );
        let since = since.checked_sub(TICK).unwrap_or(since);
        let globs = &self.sources[left.source].globs;
        let mut missed = Vec::new();
        for path in rotations(left) {
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            let made = metadata.created().or_else(|_| metadata.modified());
            let new = made.is_ok_and(|made| made >= since);
            let key = (metadata.dev(), metadata.ino());
            if !new || !metadata.is_file() || known.contains(&key) || globs.is_excluded(&path) {
                continue;
            }
            let Ok(Some(mut tail)) = Tail::open(&path, left.source) else {
                continue;
            };
            if tail.looks_compressed().unwrap_or(true) {
                tracing::warn!(
                    file = %path.display(),
                    "a log file was made, rotated and compressed while nobody looked; it is not read"
                );
                continue;
            }
            tail.gone = Some(Instant::now());
            missed.push(tail);
        }
        for tail in missed {
            let begun = |other: &Tail| {
                other.id.is_some()
                    && other.source == tail.source
                    && tail.holds(&other.content())
                    && other.offset > 0
            };
            if self.files.tails.iter().any(begun) {
                continue; // a copy of what is read already
            }
            tracing::info!(
                file = %tail.path.display(),
                "a log file was made and rotated away while nobody looked; it is read"
            );
            let mut tail = tail;
            // Or it is a copy that is just being made.
            tail.held = self.may_be_a_copy(&tail).then(Instant::now);
            self.files.tails.push(tail);
        }
    }

    // ---- files that rest

    /// A file that nothing more is expected of.
    pub(super) fn close(&mut self, tail: &Tail, id: FileId, deleted: bool) -> Served {
        if deleted {
            self.places.finish(id);
            return Served::Over;
        }
        if !self.places.rest(id) {
            return Served::Idle; // its lines first
        }
        if self.files.resting.len() >= RESTING {
            self.files.resting.remove(0);
        }
        self.files.resting.push(Resting {
            key: tail.key,
            source: tail.source,
            path: tail.path.clone(),
            size: tail.size,
        });
        Served::Over
    }

    /// Opens those that somebody has written to; `moved` says that a rotation has happened.
    pub(super) fn look_at_resting(&mut self, moved: bool) {
        let mut resting = std::mem::take(&mut self.files.resting);
        let mut woken = Vec::new();
        resting.retain_mut(|file| {
            let found = fs::metadata(&file.path).ok();
            let mut found = found.filter(|it| (it.dev(), it.ino()) == file.key);
            if found.is_none() && moved {
                let entries = file
                    .path
                    .parent()
                    .and_then(|folder| fs::read_dir(folder).ok());
                for entry in entries.into_iter().flatten().flatten() {
                    let Ok(metadata) = entry.metadata() else {
                        continue;
                    };
                    if (metadata.dev(), metadata.ino()) == file.key {
                        file.path = entry.path();
                        found = Some(metadata);
                        break;
                    }
                }
            }
            let Some(metadata) = found else {
                return true; // perhaps only between two names
            };
            if metadata.len() == file.size {
                return true;
            }
            if let Ok(Some(mut tail)) = Tail::open(&file.path, file.source) {
                tail.gone = Some(Instant::now());
                woken.push(tail);
            }
            false
        });
        self.files.resting = resting;
        self.files.tails.extend(woken);
    }
}

/// The file of the last run under another name in its folders.
fn moved(place: &Place, source: usize, key: Key) -> Option<Tail> {
    use std::os::unix::fs::DirEntryExt;
    let entries = place
        .folders()
        .filter_map(|folder| fs::read_dir(folder).ok());
    let mut tail = entries
        .flatten()
        .flatten()
        .filter(|entry| entry.ino() == key.1)
        .find_map(|entry| Tail::open(&entry.path(), source).ok().flatten())
        .filter(|tail| tail.key == key)?;
    tail.gone = Some(Instant::now());
    Some(tail)
}

/// Whether a rotation of what was at one place could have made this file.
pub fn is_rotation_of(left: &Left, path: &Path) -> bool {
    let Some(name) = path.file_name() else {
        return false;
    };
    bases(left).any(|(folder, base)| {
        path.parent() == Some(folder) && names::is_rotation(&base, &name.to_string_lossy())
    })
}

fn bases(left: &Left) -> impl Iterator<Item = (&Path, String)> {
    [Some(left.path.as_path()), left.real.as_deref()]
        .into_iter()
        .flatten()
        .filter_map(|path| {
            let base = path.file_name()?.to_string_lossy().into_owned();
            Some((path.parent()?, base))
        })
}

/// The files in its folders that a rotation could have made of it.
fn rotations(left: &Left) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders(&left.path, left.real.as_deref()) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if is_rotation_of(left, &path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
