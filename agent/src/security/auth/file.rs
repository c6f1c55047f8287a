//! Reads a log file on from a place, through rotation by renaming and by copying and truncating.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::security::seal::digest;

/// Bytes at a file's beginning by which it is known again.
const PREFIX: u64 = 256;
/// A longer line is no line of sshd or sudo.
const LONGEST: usize = 64 << 10;
const BLOCK: usize = 64 << 10;

/// How far a file was read, and what tells that it is still that file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    device: u64,
    inode: u64,
    offset: u64,
    prefix_bytes: u64,
    prefix: String,
}

impl Place {
    pub fn to_json(&self) -> Value {
        json!({
            "device": self.device,
            "inode": self.inode,
            "offset": self.offset,
            "prefixBytes": self.prefix_bytes,
            "prefix": self.prefix,
        })
    }

    pub fn from_json(value: &Value) -> Option<Self> {
        let number = |key: &str| value.get(key)?.as_u64();
        Some(Self {
            device: number("device")?,
            inode: number("inode")?,
            offset: number("offset")?,
            prefix_bytes: number("prefixBytes")?,
            prefix: value.get("prefix")?.as_str()?.to_owned(),
        })
    }

    /// Of a file at its beginning.
    fn beginning(file: &mut File) -> io::Result<Self> {
        let stat = file.metadata()?;
        let mut place = Self {
            device: stat.dev(),
            inode: stat.ino(),
            ..Self::default()
        };
        place.know(file)?;
        Ok(place)
    }

    /// Takes more of the beginning to know the file by, where there is more now.
    fn know(&mut self, file: &mut File) -> io::Result<()> {
        if self.prefix_bytes < PREFIX {
            let bytes = beginning(file, PREFIX)?;
            self.prefix_bytes = bytes.len() as u64;
            self.prefix = digest(&bytes);
        }
        Ok(())
    }

    /// It begins as the file did and has what was read.
    fn fits(&self, file: &mut File) -> io::Result<bool> {
        if file.metadata()?.len() < self.offset {
            return Ok(false);
        }
        let bytes = beginning(file, self.prefix_bytes)?;
        Ok(bytes.len() as u64 == self.prefix_bytes && digest(&bytes) == self.prefix)
    }

    fn is(&self, file: &File) -> io::Result<bool> {
        let stat = file.metadata()?;
        Ok((stat.dev(), stat.ino()) == (self.device, self.inode))
    }
}

fn beginning(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.by_ref().take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What reading gives.
pub enum Piece<'a> {
    Line(&'a [u8]),
    TooLong,
    /// The rest of an older file is gone.
    Lost,
}

/// A file that is followed. It stays open, so that what is written to it after it was renamed is
/// read as well.
#[derive(Default)]
pub struct Followed {
    open: Option<File>,
}

impl Followed {
    /// Reads on from `place`; false if the file is not there. `piece` is told each line and gives
    /// whether to go on.
    pub fn read(
        &mut self,
        path: &Path,
        place: &mut Option<Place>,
        piece: &mut dyn FnMut(Piece<'_>) -> bool,
    ) -> io::Result<bool> {
        let mut now = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Between the rename and the new file.
                if let (Some(old), Some(place)) = (&mut self.open, place.as_mut()) {
                    lines(old, place, piece)?;
                }
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        if !now.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        if let Some(known) = place.as_mut()
            && (!known.is(&now)? || !known.fits(&mut now)?)
        {
            if !self.finish(path, known, &now, piece)? {
                return Ok(true); // told to stop; goes on from there
            }
            *place = None;
        }
        let place = match place {
            Some(place) => place,
            None => place.insert(Place::beginning(&mut now)?),
        };
        lines(&mut now, place, piece)?;
        place.know(&mut now)?;
        self.open = Some(now);
        Ok(true)
    }

    /// Reads the rest of the file that was followed and of those that came between it and the one
    /// that is there now.
    fn finish(
        &mut self,
        path: &Path,
        known: &mut Place,
        now: &File,
        piece: &mut dyn FnMut(Piece<'_>) -> bool,
    ) -> io::Result<bool> {
        // Renamed, perhaps removed since: what we hold open is it.
        if let Some(mut old) = self.open.take()
            && known.is(&old)?
            && !same(&old, now)?
            && known.fits(&mut old)?
        {
            return lines(&mut old, known, piece);
        }
        let mut older = older(path, now)?;
        // The same file under another name, or a copy of it, with the rest of its lines.
        let mut at = None;
        for (index, (_, path)) in older.iter().enumerate() {
            let Ok(mut file) = File::open(path) else {
                continue;
            };
            if known.fits(&mut file)? {
                at = Some(index);
                if known.is(&file)? {
                    break;
                }
            }
        }
        let Some(at) = at else {
            if known.offset > 0 || known.prefix_bytes > 0 {
                piece(Piece::Lost);
            }
            return Ok(true);
        };
        for (index, (_, path)) in older.drain(..).enumerate().skip(at) {
            let mut file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if index > at {
                *known = Place::beginning(&mut file)?;
            }
            if !lines(&mut file, known, piece)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn same(a: &File, b: &File) -> io::Result<bool> {
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// `auth.log.1`, `secure-20261124` beside `path`, the oldest first; compressed ones are not read.
fn older(path: &Path, now: &File) -> io::Result<Vec<(std::time::SystemTime, PathBuf)>> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let now = now.metadata()?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let other = entry.file_name();
        let ending = other.as_encoded_bytes().strip_prefix(name);
        let rotated = ending.is_some_and(|ending| {
            matches!(ending.first(), Some(b'.' | b'-'))
                && ![&b".gz"[..], b".xz", b".bz2", b".zst"]
                    .iter()
                    .any(|packed| ending.ends_with(packed))
        });
        if !rotated {
            continue;
        }
        let Ok(stat) = entry.metadata() else { continue };
        if stat.is_file() && (stat.dev(), stat.ino()) != (now.dev(), now.ino()) {
            found.push((stat.modified()?, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads whole lines from the place on; the place is after the last of them. False if `piece` said
/// so.
fn lines(
    file: &mut File,
    place: &mut Place,
    piece: &mut dyn FnMut(Piece<'_>) -> bool,
) -> io::Result<bool> {
    file.seek(SeekFrom::Start(place.offset))?;
    let mut block = vec![0; BLOCK];
    let mut line: Vec<u8> = Vec::new();
    // Bytes of a line that is too long, not kept.
    let mut dropped = 0_u64;
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            return Ok(true);
        }
        let mut rest = &block[..count];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (head, tail) = rest.split_at(end);
            rest = &tail[1..];
            let long = dropped > 0 || line.len() + head.len() > LONGEST;
            place.offset += dropped + line.len() as u64 + head.len() as u64 + 1;
            let go_on = if long {
                piece(Piece::TooLong)
            } else if line.is_empty() {
                piece(Piece::Line(head))
            } else {
                line.extend_from_slice(head);
                piece(Piece::Line(&line))
            };
            line.clear();
            dropped = 0;
            if !go_on {
                return Ok(false);
            }
        }
        if line.len() + rest.len() > LONGEST {
            dropped += line.len() as u64 + rest.len() as u64;
            line.clear();
        } else if dropped > 0 {
            dropped += rest.len() as u64;
        } else {
            line.extend_from_slice(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    struct Log {
        folder: tempfile::TempDir,
        followed: Followed,
        place: Option<Place>,
        lost: u64,
    }

    impl Log {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                followed: Followed::default(),
                place: None,
                lost: 0,
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn append(&self, name: &str, text: &str) {
            let path = self.path(name);
            let file = fs::OpenOptions::new().append(true).create(true).open(path);
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn read(&mut self) -> String {
            let mut got = Vec::new();
            let mut lost = 0;
            let path = self.path("auth.log");
            let mut piece = |piece: Piece<'_>| {
                match piece {
                    Piece::Line(line) => got.push(String::from_utf8(line.to_vec()).unwrap()),
                    Piece::TooLong => got.push("(long)".into()),
                    Piece::Lost => lost += 1,
                }
                true
            };
            self.followed
                .read(&path, &mut self.place, &mut piece)
                .unwrap();
            self.lost += lost;
            got.join(" ")
        }

        /// As after a kill: only the place is left, as it stands in the file.
        fn restart(&mut self) {
            self.followed = Followed::default();
            let json = self.place.as_ref().map(Place::to_json);
            self.place = json.and_then(|json| Place::from_json(&json));
        }
    }

    #[test]
    fn whole_lines_once() {
        let mut log = Log::new();
        assert_eq!(log.read(), "");
        log.append("auth.log", "a\nb\nhal");
        assert_eq!(log.read(), "a b");
        log.restart();
        log.append("auth.log", "f\n");
        assert_eq!(log.read(), "half");
        assert_eq!(log.read(), "");
        log.append("auth.log", &format!("{}\nc\n", "x".repeat(200_000)));
        assert_eq!(log.read(), "(long) c");
        log.append("auth.log", "d\n");
        assert_eq!(log.read(), "d");
        assert_eq!(log.lost, 0);
    }

    #[test]
    fn renamed_away_running_and_stopped() {
        for stopped in [false, true] {
            let mut log = Log::new();
            log.append("auth.log", "a\n");
            assert_eq!(log.read(), "a");
            log.append("auth.log", "b\n");
            fs::rename(log.path("auth.log"), log.path("auth.log.1")).unwrap();
            log.append("auth.log", "c\n");
            if stopped {
                log.restart();
            }
            assert_eq!(log.read(), "b c", "stopped {stopped}");
            assert_eq!((log.read(), log.lost), (String::new(), 0));
        }
    }

    #[test]
    fn rotated_more_than_once_while_stopped() {
        let mut log = Log::new();
        log.append("auth.log", "a\n");
        assert_eq!(log.read(), "a");
        log.append("auth.log", "b\n");
        log.restart();
        fs::rename(log.path("auth.log"), log.path("auth.log.2")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20)); // another modification time
        log.append("auth.log.1", "c\n");
        log.append("auth.log", "d\n");
        assert_eq!(log.read(), "b c d");
        assert_eq!(log.lost, 0);
    }

    #[test]
    fn copied_and_truncated() {
        for stopped in [false, true] {
            let mut log = Log::new();
            log.append("auth.log", "first line\n");
            assert_eq!(log.read(), "first line");
            log.append("auth.log", "b\n");
            fs::copy(log.path("auth.log"), log.path("auth.log.1")).unwrap();
            File::create(log.path("auth.log")).unwrap(); // empties it
            log.append("auth.log", "c\n");
            if stopped {
                log.restart();
            }
            assert_eq!(log.read(), "b c", "stopped {stopped}");
            assert_eq!(log.lost, 0);
        }
    }

    #[test]
    fn grown_past_the_place_after_truncation() {
        let mut log = Log::new();
        log.append("auth.log", "a\n");
        assert_eq!(log.read(), "a");
        File::create(log.path("auth.log")).unwrap();
        log.append("auth.log", "longer than before\n");
        assert_eq!(log.read(), "longer than before");
        assert_eq!(log.lost, 1);
    }

    #[test]
    fn renamed_and_removed() {
        let mut log = Log::new();
        log.append("auth.log", "a\n");
        assert_eq!(log.read(), "a");
        log.append("auth.log", "b\n");
        fs::remove_file(log.path("auth.log")).unwrap();
        log.append("auth.log", "c\n");
        // Still open here, so nothing is lost; after a restart it would be, and counted.
        assert_eq!(log.read(), "b c");
        log.append("auth.log", "d\n");
        log.restart();
        fs::remove_file(log.path("auth.log")).unwrap();
        log.append("auth.log", "e\n");
        assert_eq!(log.read(), "e");
        assert_eq!(log.lost, 1);
    }
}
