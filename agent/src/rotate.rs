//! Keeps output files of local processes small by copy and truncate: the writers (which append)
//! need not be told, and keep their file.
//!
//! The window: what a writer appends after the last byte was copied and before the file is
//! emptied is lost. The copy is repeated until nothing new has come, so the window is two system
//! calls wide, microseconds; it cannot be closed without the writer's help. Files are looked at
//! every ten seconds, so a file can exceed its size by what is written in that time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kai_contract::agent_config::Rotate;
use tokio::sync::watch;

use crate::shutdown::ended;
use crate::state::State;

const EVERY: Duration = Duration::from_secs(10);

/// A writer that is faster than the copy must not keep us copying for ever.
const MOST_PASSES: u32 = 8;

/// Rotates until `shutdown` becomes true.
pub async fn run(state: Arc<State>, mut shutdown: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = ended(&mut shutdown) => return,
        }
        let in_force = state.in_force.load_full();
        if in_force.config.rotate.is_empty() {
            continue;
        }
        let shared = Arc::clone(&state);
        // Waited for, so that a slow disk has one rotation in flight and not many.
        let done = tokio::task::spawn_blocking(move || {
            for entry in &in_force.config.rotate {
                match rotate(entry) {
                    Ok(None) => {}
                    Ok(Some(bytes)) => {
                        shared.metrics.rotations.inc();
                        tracing::info!(file = %entry.path.display(), bytes, "output file rotated");
                    }
                    Err(error) => {
                        shared.metrics.rotate_failures.inc();
                        tracing::error!(file = %entry.path.display(), %error, "cannot rotate the output file");
                    }
                }
            }
        });
        if done.await.is_err() {
            state.metrics.rotate_failures.inc();
            tracing::error!("rotating ended unexpectedly");
        }
    }
}

/// Rotates one file if it is larger than allowed; the bytes moved, `None` if there was no need or
/// no file.
pub fn rotate(entry: &Rotate) -> io::Result<Option<u64>> {
    // No symbolic link: it could lead a privileged agent to empty another file.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits() as i32)
        .open(&entry.path);
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() <= entry.max_bytes {
        return Ok(None);
    }
    if entry.keep == 0 {
        let bytes = file.metadata()?.len();
        file.set_len(0)?;
        return Ok(Some(bytes));
    }
    shift(entry)?;
    let target = generation(&entry.path, 1);
    let partial = with_suffix(&entry.path, ".1.partial");
    let copied = copy_and_empty(&mut file, &partial, &target, metadata.permissions());
    if copied.is_err() {
        let _ = fs::remove_file(&partial); // gives back the room; the file itself is whole
    }
    copied.map(Some)
}

/// Copies everything, then empties the file.
fn copy_and_empty(
    file: &mut File,
    partial: &Path,
    target: &Path,
    permissions: fs::Permissions,
) -> io::Result<u64> {
    let mut out = File::create(partial)?;
    out.set_permissions(permissions)?;
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = io::copy(file, &mut out)?;
    out.sync_data()?;
    for _ in 0..MOST_PASSES {
        // Through the same handle, from where the last pass ended.
        let more = io::copy(&mut file.by_ref(), &mut out)?;
        bytes += more;
        if more == 0 {
            break;
        }
    }
    fs::rename(partial, target)?;
    file.set_len(0)?;
    Ok(bytes)
}

/// Makes room for a new first generation: the oldest goes, the others move up.
fn shift(entry: &Rotate) -> io::Result<()> {
    ignore_missing(fs::remove_file(generation(&entry.path, entry.keep)))?;
    for number in (1..entry.keep).rev() {
        let (from, to) = (
            generation(&entry.path, number),
            generation(&entry.path, number + 1),
        );
        ignore_missing(fs::rename(from, to))?;
    }
    Ok(())
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn generation(path: &Path, number: u32) -> PathBuf {
    with_suffix(path, &format!(".{number}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn entry(&self, max_bytes: u64, keep: u32) -> Rotate {
            Rotate {
                path: self.0.path().join("out.log"),
                max_bytes,
                keep,
            }
        }

        fn contents(&self) -> Vec<(String, String)> {
            let mut found: Vec<_> = fs::read_dir(self.0.path())
                .unwrap()
                .map(|entry| {
                    let path = entry.unwrap().path();
                    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                    (name, fs::read_to_string(path).unwrap())
                })
                .collect();
            found.sort();
            found
        }
    }

    fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn generations_move_up_and_the_writer_goes_on() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let entry = folder.entry(4, 2);
        let mut writer = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&entry.path)
            .unwrap();
        for text in ["first", "second", "third!"] {
            writer.write_all(text.as_bytes()).unwrap();
            assert_eq!(rotate(&entry).unwrap(), Some(text.len() as u64));
        }
        writer.write_all(b"last").unwrap();
        assert_eq!(rotate(&entry).unwrap(), None, "4 bytes are allowed");
        assert_eq!(
            folder.contents(),
            named(&[
                ("out.log", "last"),
                ("out.log.1", "third!"),
                ("out.log.2", "second")
            ])
        );
    }

    #[test]
    fn without_generations_the_file_is_emptied() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let entry = folder.entry(1, 0);
        fs::write(&entry.path, "abc").unwrap();
        assert_eq!(rotate(&entry).unwrap(), Some(3));
        assert_eq!(folder.contents(), named(&[("out.log", "")]));
    }

    #[test]
    fn a_missing_file_is_no_failure_and_a_link_or_folder_is() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let entry = folder.entry(1, 1);
        assert_eq!(rotate(&entry).unwrap(), None);
        let other = folder.0.path().join("precious");
        fs::write(&other, "data").unwrap();
        std::os::unix::fs::symlink(&other, &entry.path).unwrap();
        assert!(rotate(&entry).is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "data");
        fs::remove_file(&entry.path).unwrap();
        fs::create_dir(&entry.path).unwrap();
        assert!(rotate(&entry).is_err());
    }
}
