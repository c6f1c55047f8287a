//! What cannot be read is put aside for a person to look at, in a folder of its own that does not
//! grow beyond a limit.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes that are kept aside.
const LIMIT: u64 = 16 << 20;

#[derive(Debug)]
pub struct Aside {
    /// `None` without a spool.
    folder: Option<PathBuf>,
}

impl Aside {
    pub fn new(spool: Option<&Path>) -> Self {
        Self {
            folder: spool.map(|spool| spool.join("damaged")),
        }
    }

    /// Makes the folder and room for so many bytes in it: the oldest go.
    fn room(&self, bytes: u64) -> Option<PathBuf> {
        let folder = self.folder.clone()?;
        fs::create_dir_all(&folder).ok()?;
        let mut held: Vec<_> = fs::read_dir(&folder)
            .ok()?
            .flatten()
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        held.sort();
        let mut sum: u64 = held.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in held {
            if sum + bytes <= LIMIT {
                break;
            }
            let _ = fs::remove_file(path); // then it is a little more
            sum -= len;
        }
        (bytes <= LIMIT).then_some(folder)
    }

    /// A whole segment.
    pub fn file(&self, path: &Path, queue: &str, reason: &str) {
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kept = self
            .room(bytes)
            .map(|folder| folder.join(format!("{queue}.{name}")));
        let moved = match &kept {
            Some(to) => fs::rename(path, to),
            None => fs::remove_file(path),
        };
        tracing::error!(
            file = %path.display(),
            %reason,
            bytes,
            kept_as = %kept.as_deref().unwrap_or(Path::new("nothing: too large")).display(),
            moved = moved.is_ok(),
            "a segment of the spool is damaged and is put aside; its events are lost"
        );
    }

    /// A part of one.
    pub fn part(&self, queue: &str, offset: u64, bytes: &[u8], lost: u64, reason: &str) {
        let kept = self.room(bytes.len() as u64).and_then(|folder| {
            let path = folder.join(format!("{queue}.{offset:016x}.part"));
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)
                .ok()?;
            file.write_all(bytes).ok().map(|()| path)
        });
        tracing::error!(
            %queue,
            offset,
            bytes = lost,
            %reason,
            kept_as = %kept.unwrap_or_default().display(),
            "a part of the spool is damaged, or was torn by a crash; it is put aside and passed over"
        );
    }
}
