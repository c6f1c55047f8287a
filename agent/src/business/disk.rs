//! The snapshot on disk: `figures`, the generation before it, and what was found damaged.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::logs::places::disk::sync;
use crate::state::unix_now;

const NAME: &str = "figures";
const PREVIOUS: &str = "figures.previous";
const NEXT: &str = "figures.next";

/// The part of the state folder that is ours, made if it is missing, and the lock that one agent
/// holds on it.
pub fn claim(state: &Path) -> io::Result<(PathBuf, File)> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = state.join("business");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
        |error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                io::Error::other("another agent uses this folder")
            } else {
                error.into()
            }
        },
    )?;
    Ok((folder, lock))
}

/// Reads the newest snapshot that is whole. A damaged one is put aside under a name of its own, and
/// said; it is never a reason not to run.
pub fn load(folder: &Path) -> io::Result<Option<Record>> {
    let mut damaged = false;
    for name in [NAME, PREVIOUS] {
        let path = folder.join(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        match Record::parse(&bytes) {
            Ok(record) => {
                if damaged {
                    tracing::warn!(
                        file = %path.display(),
                        written = record.written,
                        "the snapshot of the business figures before the damaged one is used; what \
                         was counted since is missing"
                    );
                }
                return Ok(Some(record));
            }
            Err(reason) => {
                damaged = true;
                let aside = folder.join(format!("{name}.damaged-{}", unix_now()));
                let moved = fs::rename(&path, &aside);
                tracing::error!(
                    file = %path.display(),
                    %reason,
                    kept_as = %aside.display(),
                    moved = moved.is_ok(),
                    "the snapshot of the business figures is damaged and is put aside"
                );
            }
        }
    }
    if damaged {
        tracing::error!("no whole snapshot of the business figures is left: they begin at 0");
    }
    Ok(None)
}

/// Writes a generation so that after a crash at any moment this one or the one before is there.
pub fn store(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let (current, next) = (folder.join(NAME), folder.join(NEXT));
    let mut file = File::create(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    match fs::rename(&current, folder.join(PREVIOUS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    fs::rename(&next, &current)?;
    sync(folder)
}
