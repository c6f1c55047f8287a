//! One run at a time per component: a file lock in the cache that dies with its process, so a
//! killed run never blocks the next one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::error::{ComponentError, cache_error};

/// Held until dropped.
#[derive(Debug)]
pub struct Guard {
    _file: File,
}

impl Guard {
    /// Takes `<cache>/locks/<name>.lock`. While another holds it, `waiting` hears who, a few times
    /// a second.
    pub fn acquire(
        cache: &Path,
        name: &str,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Self, ComponentError> {
        let folder = cache.join("locks");
        fs::create_dir_all(&folder).map_err(|e| cache_error("create folder", &folder, e))?;
        let path = folder.join(format!("{name}.lock"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| cache_error("open", &path, e))?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    waiting(&holder(&mut file));
                    thread::sleep(Duration::from_millis(150));
                }
                Err(TryLockError::Error(e)) => return Err(cache_error("lock", &path, e)),
            }
        }
        // Who holds it is only for people; not being able to say so is no reason to stop.
        let said = format!("process {}", std::process::id());
        let _ = file.set_len(0);
        let _ = file.seek(SeekFrom::Start(0));
        let _ = file.write_all(said.as_bytes());
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_string(&mut text));
    match read {
        Ok(n) if n > 0 => text.trim().to_string(),
        _ => "another run".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn only_one_at_a_time_and_the_other_hears_who() {
        let dir = tempfile::tempdir().expect("a folder");
        let inside = AtomicU32::new(0);
        let heard = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let me = format!("process {}", std::process::id());
                    let _guard = Guard::acquire(dir.path(), "x", &mut |who| {
                        assert!(who == me || who == "another run", "{who}");
                        heard.fetch_add(1, Ordering::SeqCst);
                    })
                    .expect("taken");
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    thread::sleep(Duration::from_millis(30));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!(heard.load(Ordering::SeqCst) > 0);
    }
}
