//! The checkpoint on disk: `places`, the generation before it, and what was found damaged.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::state::unix_now;

const NAME: &str = "places";
const PREVIOUS: &str = "places.previous";
const NEXT: &str = "places.next";

/// What was found at the start.
#[derive(Debug, Default)]
pub struct Found {
    pub record: Option<Record>,
    /// It is not the newest: what was sent after it was written is not known.
    pub older: bool,
}

/// Reads the newest checkpoint that is whole. A damaged one is put aside under a name of its own,
/// and said; it is never a reason not to run.
pub fn load(folder: &Path) -> io::Result<Found> {
    let mut damaged = false;
    for (name, older) in [(NAME, false), (PREVIOUS, true)] {
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
                        written = record.head.written,
                        "the checkpoint before the damaged one is used; lines sent after it was \
                         written are compared with Elasticsearch by their ids, and files first \
                         seen after it are sent again"
                    );
                }
                // Without damage the newest is missing because a crash came between two renames;
                // then this one is as new.
                return Ok(Found {
                    record: Some(record),
                    older: older && damaged,
                });
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
                    "the checkpoint of the logs is damaged and is put aside"
                );
            }
        }
    }
    if damaged {
        tracing::error!(
            "no whole checkpoint of the logs is left: files are read from where `start` says, and \
             what is sent again is a duplicate"
        );
    }
    Ok(Found::default())
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

/// Makes names in a folder durable.
pub fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The lane's part of the state folder, made if it is missing, and the lock that one agent holds on
/// it.
pub fn claim(state: &Path) -> io::Result<(PathBuf, File)> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = state.join("logs");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(written: u64) -> Record {
        Record::new(written, vec![], vec![])
    }

    fn written(folder: &Path) -> Option<(u64, bool)> {
        let found = load(folder).unwrap();
        found
            .record
            .map(|record| (record.head.written, found.older))
    }

    #[test]
    fn the_newest_whole_generation_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(written(folder), None);
        for number in 1..4 {
            store(folder, &record(number).to_bytes().unwrap()).unwrap();
        }
        assert_eq!(written(folder), Some((3, false)));
        // A crash between the renames.
        fs::rename(folder.join(NAME), folder.join(NEXT)).unwrap();
        assert_eq!(written(folder), Some((2, false)));
        fs::write(folder.join(NAME), "damaged").unwrap();
        assert_eq!(written(folder), Some((2, true)));
        fs::write(folder.join(PREVIOUS), "").unwrap();
        assert_eq!(written(folder), None);
        let names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("damaged"))
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn one_agent_at_a_time() {
        let state = tempfile::tempdir().unwrap();
        let held = claim(state.path()).unwrap();
        let error = claim(state.path()).unwrap_err();
        assert!(error.to_string().contains("another agent"), "{error}");
        drop(held);
        assert!(claim(state.path()).is_ok());
    }
}
