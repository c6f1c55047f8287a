//! One file of records: its name, and reading it back after whatever happened.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use super::{Location, StoreError};
use crate::inbox::message::Message;

/// What the writer knows of one file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Segment {
    /// The id that the first record has or will have; the name of the file.
    pub first: u64,
    pub bytes: u64,
    pub lines: usize,
}

/// What was read from one file.
#[derive(Debug, Default)]
pub struct Loaded {
    pub bytes: u64,
    pub lines: usize,
    /// Without their raw content.
    pub messages: Vec<(Message, Location)>,
    pub torn_bytes: u64,
    pub damaged: u64,
}

pub fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("messages-{first:020}.jsonl"))
}

/// First ids of the segments in a folder, oldest first. Other files are left alone.
pub fn list(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let io = |source| StoreError::Io {
        action: "listing",
        path: dir.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let id: Option<u64> = name
            .to_str()
            .and_then(|name| name.strip_prefix("messages-")?.strip_suffix(".jsonl"))
            .filter(|digits| digits.len() == 20)
            .and_then(|digits| digits.parse().ok());
        found.extend(id);
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads one segment. In the newest a last line without its end is what a crash left: it is moved
/// to `torn.part` and the file cut back to its last whole line. Its sender never got an answer.
pub fn load(dir: &Path, first: u64, newest: bool) -> io::Result<Loaded> {
    let path = path(dir, first);
    let mut reader = BufReader::with_capacity(1 << 16, File::open(&path)?);
    let mut loaded = Loaded::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(loaded);
        }
        if line.last() != Some(&b'\n') {
            loaded.torn_bytes = line.len() as u64;
            if newest {
                // On a full disk the piece is given up; the whole records are what counts.
                let torn = dir.join("torn.part");
                let kept = super::options().truncate(true).open(torn);
                drop(kept.and_then(|mut file| file.write_all(&line)));
                let file = File::options().write(true).open(&path)?;
                file.set_len(loaded.bytes)?;
                file.sync_all()?;
            }
            return Ok(loaded);
        }
        match serde_json::from_slice::<Message>(&line) {
            Ok(message) => {
                let len = u32::try_from(line.len()).unwrap_or(u32::MAX);
                let location = Location {
                    segment: first,
                    offset: loaded.bytes,
                    len,
                };
                loaded.messages.push((message.brief(), location));
            }
            Err(_) => loaded.damaged += 1,
        }
        loaded.bytes += line.len() as u64;
        loaded.lines += 1;
    }
}
