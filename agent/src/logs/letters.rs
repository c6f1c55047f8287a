//! Dead letters: documents that Elasticsearch will never take, with its reason. Durable before the
//! place in their file passes them, bounded on disk, the oldest removed first. JSON lines in
//! numbered files, so that a person can read them and a command can send them again.
//!
//! A crash between writing a letter and the checkpoint makes the line be sent, refused and written
//! another time; both letters have the same `id`.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::durable::sync;

/// Files that the allowed bytes are divided into; the oldest is removed as a whole.
const FILES: u64 = 8;

/// One letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Unix time in seconds.
    pub at: u64,
    pub source: String,
    pub data_stream: String,
    pub id: String,
    pub status: u16,
    pub kind: String,
    pub reason: String,
    /// The document as it was sent: JSON, but perhaps none that can be parsed.
    pub document: String,
}

/// The folder of letters.
#[derive(Debug)]
pub struct Letters {
    folder: PathBuf,
    limit: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Number and size, oldest first.
    files: VecDeque<(u64, u64)>,
    open: Option<File>,
}

/// What there is after letters were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub bytes: u64,
    /// Letters removed to make room.
    pub removed: u64,
}

impl Letters {
    pub fn open(folder: PathBuf, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut files: Vec<(u64, u64)> = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if let Some(number) = number_of(&entry.path()) {
                files.push((number, entry.metadata()?.len()));
            }
        }
        files.sort_unstable();
        Ok(Self {
            folder,
            limit,
            inner: Mutex::new(Inner {
                files: files.into(),
                open: None,
            }),
        })
    }

    pub fn bytes(&self) -> u64 {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.files.iter().map(|(_, size)| size).sum()
    }

    /// Writes letters and waits until they are durable. After an error all of them must be written
    /// another time.
    pub fn write(&self, letters: &[Letter]) -> io::Result<Kept> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut text, letter)?;
            text.push(b'\n');
        }
        let removed = self.append(&mut inner, &text, sync)?;
        Ok(Kept {
            bytes: inner.files.iter().map(|(_, size)| size).sum(),
            removed,
        })
    }

    fn append(
        &self,
        inner: &mut Inner,
        text: &[u8],
        sync: impl Fn(&Path) -> io::Result<()>,
    ) -> io::Result<u64> {
        let part = self.limit / FILES;
        let full = inner
            .files
            .back()
            .is_none_or(|(_, size)| size + text.len() as u64 > part);
        let mut removed = 0;
        if full || inner.open.is_none() {
            // Room first: the disk may be full because of us.
            let mut total: u64 = inner.files.iter().map(|(_, size)| size).sum();
            while total + text.len() as u64 > self.limit
                && let Some((number, size)) = inner.files.pop_front()
            {
                // `kai-agent dead-letters` removes files, too, and notes beside one what of it is
                // dealt with.
                let path = self.path(number);
                let dealt_with = count(&done_file(&self.folder, number));
                removed += count(&path).saturating_sub(dealt_with);
                for path in [path, done_file(&self.folder, number)] {
                    match fs::remove_file(path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        _ => {}
                    }
                }
                total -= size;
            }
            let number = inner.files.back().map_or(1, |(number, _)| number + 1);
            let file = OpenOptions::new()
                .create_new(true)
                .append(true)
                .open(self.path(number))?;
            if let Err(error) = sync(&self.folder) {
                // Its number must be free when it is tried again, or known to be taken.
                if fs::remove_file(self.path(number)).is_err() {
                    inner.files.push_back((number, 0));
                    inner.open = None;
                }
                return Err(error);
            }
            inner.files.push_back((number, 0));
            inner.open = Some(file);
        }
        let Some(file) = &mut inner.open else {
            return Err(io::Error::other("no file is open"));
        };
        let Some((_, size)) = inner.files.back_mut() else {
            return Err(io::Error::other("no file is open"));
        };
        if let Err(error) = file.write_all(text).and_then(|()| file.sync_data()) {
            // Half a letter must neither be continued nor fill the disk with every attempt.
            if file.set_len(*size).is_err() {
                inner.open = None;
            }
            return Err(error);
        }
        *size += text.len() as u64;
        Ok(removed)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:08}.jsonl"))
    }
}

/// Where it is noted which letters of a file are dealt with.
pub fn done_file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.done"))
}

pub fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".jsonl")?.parse().ok()
}

fn count(path: &Path) -> u64 {
    fs::read(path).map_or(0, |bytes| memchr::memchr_iter(b'\n', &bytes).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: u64) -> Letter {
        Letter {
            at: 1,
            source: "a".into(),
            data_stream: "logs".into(),
            id: id.to_string(),
            status: 400,
            kind: "document_parsing_exception".into(),
            reason: "r".into(),
            document: "{\"a\":".into(),
        }
    }

    fn ids(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        names
            .iter()
            .flat_map(|path| {
                let text = fs::read_to_string(path).unwrap();
                text.lines()
                    .map(|line| serde_json::from_str::<Letter>(line).unwrap().id)
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let size = serde_json::to_vec(&letter(10)).unwrap().len() as u64 + 1;
        let letters = Letters::open(folder.path().to_owned(), size * 16).unwrap();
        let mut removed = 0;
        for id in 10..60 {
            let kept = letters.write(&[letter(id)]).unwrap();
            removed += kept.removed;
            assert!(kept.bytes <= size * 16);
        }
        let kept = ids(folder.path());
        assert_eq!(kept.len() as u64 + removed, 50);
        assert_eq!(kept.last().unwrap(), "59");
        assert!(kept.len() >= 14, "{kept:?}");
    }

    #[test]
    fn letters_outlive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        for id in 10..13 {
            let letters = Letters::open(folder.path().to_owned(), 1 << 20).unwrap();
            letters.write(&[letter(id)]).unwrap();
        }
        assert_eq!(ids(folder.path()), ["10", "11", "12"]);
    }

    #[test]
    fn a_folder_that_is_not_synced_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let letters = Letters::open(folder.path().to_owned(), 1 << 20).unwrap();
        let mut inner = letters.inner.lock().unwrap();
        for _ in 0..2 {
            let failed = letters.append(&mut inner, b"x\n", |_| Err(io::Error::other("no")));
            assert_eq!(failed.unwrap_err().to_string(), "no");
        }
        drop(inner);
        letters.write(&[letter(10)]).unwrap();
        assert_eq!(ids(folder.path()), ["10"]);
    }
}
