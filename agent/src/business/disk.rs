//! The snapshot on disk: `figures`, the generation before it, and what was found damaged.

use std::fs;
use std::io;
use std::path::Path;

use super::record::Record;
use crate::durable;
use crate::state::unix_now;

const NAME: &str = "figures";

/// Reads the newest snapshot that is whole. A damaged one is put aside under a name of its own, and
/// said; it is never a reason not to run.
pub fn load(folder: &Path) -> io::Result<Option<Record>> {
    let mut damaged = false;
    for name in [NAME.to_owned(), durable::previous(NAME)] {
        let path = folder.join(&name);
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

/// Writes a generation.
pub fn store(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    durable::store(folder, NAME, bytes)
}
