//! The checkpoint on disk: `places`, the generation before it, and what was found damaged.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::durable;
use crate::state::unix_now;

const NAME: &str = "places";

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
    for (name, older) in [(NAME.to_owned(), false), (durable::previous(NAME), true)] {
        let path = folder.join(&name);
        let read = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // Who may not read it may not put it aside either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            other => other.map_err(|error| format!("it cannot be read: {error}")),
        };
        match read.and_then(|bytes| Record::parse(&bytes)) {
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
                let aside = beside(folder, &format!("{name}.damaged-{}", unix_now()));
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

/// A name that nothing has yet.
fn beside(folder: &Path, name: &str) -> PathBuf {
    let plain = folder.join(name);
    let mut numbered = (1_u32..).map(|number| folder.join(format!("{name}-{number}")));
    if fs::symlink_metadata(&plain).is_err() {
        return plain;
    }
    numbered
        .find(|path| fs::symlink_metadata(path).is_err())
        .unwrap_or(plain)
}

/// Writes a generation.
pub fn store(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    durable::store(folder, NAME, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(written: u64) -> Record {
        Record::new("a".into(), written, vec![], vec![])
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
        fs::rename(folder.join(NAME), folder.join("places.next")).unwrap();
        assert_eq!(written(folder), Some((2, false)));
        fs::write(folder.join(NAME), "damaged").unwrap();
        assert_eq!(written(folder), Some((2, true)));
        fs::write(folder.join(durable::previous(NAME)), "").unwrap();
        assert_eq!(written(folder), None);
        let names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("damaged"))
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn what_cannot_be_read_is_put_aside_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        store(folder, &record(1).to_bytes().unwrap()).unwrap();
        store(folder, &record(2).to_bytes().unwrap()).unwrap();
        fs::remove_file(folder.join(NAME)).unwrap();
        fs::create_dir(folder.join(NAME)).unwrap();
        assert_eq!(written(folder), Some((1, true)));
        assert!(!folder.join(NAME).exists());
    }
}
