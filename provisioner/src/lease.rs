//! One apply at a time for a stack: a lock of the kernel, so that it ends with its holder however
//! that ends. The file says who holds it.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::systems::file::{self, FileError};

/// Held until dropped.
#[derive(Debug)]
pub struct Lease {
    _file: File,
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub user: String,
    pub host: String,
    pub command: String,
    pub since: String,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error(
        "another run holds this stack: `{}` by {}@{} (pid {}) since {}; wait for it to end",
        .0.command, .0.user, .0.host, .0.pid, .0.since
    )]
    Held(Holder),
    #[error("another run holds this stack ({}); wait for it to end", .0.display())]
    HeldUnknown(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
}

impl Lease {
    /// Deletes the file of a lease while it is held: who waits for it then finds out that its file
    /// is no longer the one at this path.
    pub fn remove(self, path: &Path) -> Result<(), FileError> {
        file::remove(path)
    }
}

/// Takes the lease or says at once who has it.
pub fn acquire(path: &Path, command: &str, since: String) -> Result<Lease, LeaseError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(file::failed("create the folder", folder))?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(file::failed("open", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let holder = std::fs::read(path)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok());
            return Err(match holder {
                Some(holder) => LeaseError::Held(holder),
                None => LeaseError::HeldUnknown(path.to_owned()),
            });
        }
        Err(std::fs::TryLockError::Error(error)) => {
            return Err(file::failed("lock", path)(error).into());
        }
    }
    if !is_at(&file, path) {
        // `destroy` removed it between our opening and our locking; another may hold the new one.
        return Err(LeaseError::HeldUnknown(path.to_owned()));
    }
    let holder = Holder {
        pid: std::process::id(),
        user: std::env::var("USER")
            .or_else(|_| std::env::var("LOGNAME"))
            .unwrap_or_else(|_| format!("uid {}", rustix::process::getuid().as_raw())),
        host: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        command: command.to_owned(),
        since,
    };
    let text = serde_json::to_vec(&holder).unwrap_or_default();
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(&text))
        .map_err(file::failed("write", path))?;
    Ok(Lease { _file: file })
}

fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loser_names_the_holder_and_the_next_one_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/lease");
        let held = acquire(&path, "provision", "2026-01-01T00:00:00Z".into()).unwrap();
        let error = acquire(&path, "destroy", String::new())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("pid {}", std::process::id())),
            "{error}"
        );
        assert!(error.contains("`provision`"), "{error}");
        drop(held);
        let held = acquire(&path, "destroy", String::new()).unwrap();
        let file = File::open(&path).unwrap();
        assert!(is_at(&file, &path));
        held.remove(&path).unwrap();
        assert!(!is_at(&file, &path));
    }
}
