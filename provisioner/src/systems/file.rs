//! Files below the stack's folder: read with their mark, written atomically.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::fault;

#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}{}", path.display(), hint(source))]
pub struct FileError {
    pub doing: &'static str,
    pub path: PathBuf,
    pub source: std::io::Error,
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; free some space, or choose another --home, and run the same command again"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; make it writable for this user or choose another --home"
        }
        _ => "",
    }
}

/// Names what was attempted on what.
pub fn failed<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> FileError + 'a {
    move |source| FileError {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// The content, or `None` when there is no such file.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Writes beside the place, makes it durable, renames: a reader sees the old file or the new one,
/// also after a crash or on a full disk.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt as _;
    // `parent` of a bare file name is empty, which no system call takes for the present folder.
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(failed("create the folder", folder))?;
    let mut pending = tempfile::Builder::new()
        .prefix(".kai-")
        .suffix(".pending")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(failed("write below", folder))?;
    fault::io("enospc", path)
        .and_then(|()| pending.write_all(content))
        .and_then(|()| pending.as_file().sync_all())
        .map_err(failed("write", path))?;
    pending
        .persist(path)
        .map_err(|error| failed("write", path)(error.error))?;
    // The rename itself must survive a power cut.
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("make durable", folder))
}

/// Deletes the file; that it is gone already is fine.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("delete", path)(error)),
        _ => Ok(()),
    }
}

/// Files left by a run that was killed while it wrote.
pub fn sweep_pending(folder: &Path) {
    for path in walk(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(".kai-") && name.ends_with(".pending") {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Every file below a folder, sorted; nothing when there is no such folder.
pub fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => out.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    out.sort();
    out
}

/// Unix time of the last change of a file, with fractions.
pub fn modified(path: &Path) -> Option<f64> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?;
    time.duration_since(std::time::UNIX_EPOCH)
        .ok()
        .map(|age| age.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_replaces_whole_and_leaves_nothing_beside() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.yml");
        write(&path, b"one", 0o600).unwrap();
        write(&path, b"two", 0o600).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(walk(folder.path()), std::slice::from_ref(&path));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn an_error_names_the_file_and_what_to_do() {
        let error = FileError {
            doing: "write",
            path: "/x/y".into(),
            source: std::io::Error::from(ErrorKind::StorageFull),
        };
        assert_eq!(
            error.to_string(),
            "cannot write /x/y: no storage space; free some space, or choose another --home, and run the same command again"
        );
    }
}
