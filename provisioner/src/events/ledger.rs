//! Who was told of an event, for those that cannot be asked. One file per event, and one lock, so
//! that the same step run twice at once tells nobody twice.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::systems::file::{self, FileError};

/// Files of more events than this are not kept: a step is not repeated that late.
const KEPT: usize = 1_000;

pub struct Ledger {
    path: PathBuf,
    /// Recipient to the time it was told.
    told: BTreeMap<String, String>,
    _lock: File,
}

impl Ledger {
    /// Waits for another run that tells right now.
    pub fn open(folder: &Path, id: &str) -> Result<Self, FileError> {
        std::fs::create_dir_all(folder).map_err(file::failed("create the folder", folder))?;
        let lock = folder.join("lock");
        let held = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(file::failed("open", &lock))?;
        held.lock().map_err(file::failed("lock", &lock))?;
        forget_old(folder);
        let path = folder.join(format!("{id}.json"));
        // A damaged file forgets: rather told twice than never.
        let told = file::read(&path)?
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        Ok(Self {
            path,
            told,
            _lock: held,
        })
    }

    pub fn has(&self, recipient: &str) -> bool {
        self.told.contains_key(recipient)
    }

    /// Durable when this returns.
    pub fn note(&mut self, recipient: &str, at: String) -> Result<(), FileError> {
        self.told.insert(recipient.to_owned(), at);
        let text = serde_json::to_vec_pretty(&self.told).unwrap_or_default();
        file::write(&self.path, &text, 0o600)
    }
}

fn forget_old(folder: &Path) {
    let mut files: Vec<(std::time::SystemTime, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "json"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    if files.len() <= KEPT {
        return;
    }
    files.sort();
    for (_, path) in &files[..files.len() - KEPT] {
        let _ = std::fs::remove_file(path); // the next run tries again
    }
}
