//! What must stop a run, told apart from what only makes the chain go on to the next source.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Stops the run: going on would use something unverified or leave something half done.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error("unknown component `{name}`{}", did_you_mean(nearest.as_deref()))]
    Unknown {
        name: String,
        nearest: Option<String>,
    },
    #[error(
        "component {component}: version `{version}` is not a version; write it like `3.5.3`, or `3.5` for any 3.5.x"
    )]
    BadVersion { component: String, version: String },
    #[error(transparent)]
    Checksum(Box<ChecksumDiffers>),
    #[error(
        "no space left in {}: {free} free{}; free some space there, or point KAI_CACHE at a larger disk, then run again",
        folder.display(),
        needed.map(|n| format!(", {} needed", human_bytes(n))).unwrap_or_default()
    )]
    NoSpace {
        folder: PathBuf,
        free: Free,
        needed: Option<u64>,
    },
    #[error(
        "cannot {action} {}: {source}; make the folder writable or point KAI_CACHE at another one",
        path.display()
    )]
    Cache {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot read {}: {source}", path.display())]
    LockUnreadable { path: PathBuf, source: io::Error },
    #[error(
        "{}:{line}:{column}: {reason}; restore the file from version control, or remove it to pin afresh what is fetched next",
        path.display()
    )]
    LockCorrupt {
        path: PathBuf,
        line: u64,
        column: u64,
        reason: String,
    },
    #[error(
        "cannot write {}: {source}; checksums are pinned there, so make its folder writable or commit the file with its pins",
        path.display()
    )]
    LockUnwritable { path: PathBuf, source: io::Error },
    #[error(
        "{component}: archive {file} holds `{entry}`, {why}; nothing was unpacked, the file was removed. do not use this source until its owner explains it"
    )]
    UnsafeArchive {
        component: String,
        file: String,
        entry: String,
        why: String,
    },
    #[error("the component catalogue built into this program is wrong: {0}; please report this")]
    Catalogue(String),
}

/// Two checksums that had to be equal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{component}: checksum of {file} differs: {expected_by} {expected}, {found_by} {found}; {advice}"
)]
pub struct ChecksumDiffers {
    pub component: String,
    /// The file, artifact or module that was judged.
    pub file: String,
    /// For example `observe.lock pins`.
    pub expected_by: String,
    pub expected: String,
    /// For example `the download has`.
    pub found_by: String,
    pub found: String,
    pub advice: String,
}

impl From<ChecksumDiffers> for ComponentError {
    fn from(value: ChecksumDiffers) -> Self {
        Self::Checksum(Box::new(value))
    }
}

/// Free bytes of a file system, where it could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free(pub Option<u64>);

impl fmt::Display for Free {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => f.write_str(&human_bytes(bytes)),
            None => f.write_str("unknown"),
        }
    }
}

/// Bytes that an unprivileged user may still write below `path`, or below its nearest ancestor
/// that exists.
pub fn free_bytes(path: &Path) -> Option<u64> {
    path.ancestors()
        .find_map(|p| rustix::fs::statvfs(p).ok())
        .map(|s| s.f_bavail * s.f_frsize)
}

/// An I/O error below the cache folder as what it means to the user.
pub fn cache_error(action: &'static str, path: &Path, source: io::Error) -> ComponentError {
    if is_no_space(&source) {
        return no_space(path, None);
    }
    ComponentError::Cache {
        action,
        path: path.to_path_buf(),
        source,
    }
}

/// "No space" for the file system that holds `path`.
pub fn no_space(path: &Path, needed: Option<u64>) -> ComponentError {
    let folder = path
        .ancestors()
        .find(|p| p.is_dir())
        .unwrap_or(path)
        .to_path_buf();
    let free = Free(free_bytes(&folder));
    ComponentError::NoSpace {
        folder,
        free,
        needed,
    }
}

/// Full disk and exhausted quota are the same thing to the reader.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Bytes for people: `17.4 MB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest
        .map(|n| format!("; did you mean `{n}`?"))
        .unwrap_or_default()
}

/// Why one source did not deliver: over to the next, or stop.
#[derive(Debug)]
pub enum Refusal {
    PassedOver { coordinate: String, reason: String },
    Stop(ComponentError),
}

impl From<ComponentError> for Refusal {
    fn from(value: ComponentError) -> Self {
        Self::Stop(value)
    }
}

/// Short form for the many places that pass over.
pub fn pass<T>(coordinate: impl Into<String>, reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::PassedOver {
        coordinate: coordinate.into(),
        reason: redact(&reason.into()),
    })
}

/// Takes user names and passwords out of every address in `text`: mirrors often carry a token.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | ','))
            .unwrap_or(tail.len());
        match tail[..end].rfind('@') {
            Some(cut) => {
                out.push_str("***@");
                rest = &tail[cut + 1..];
            }
            None => rest = tail,
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacts_credentials_in_every_address() {
        assert_eq!(
            redact("get https://u:p@h/x, then http://t@h2?a=b and https://h3/@scope"),
            "get https://***@h/x, then http://***@h2?a=b and https://h3/@scope"
        );
        assert_eq!(redact("https://a:p@ss@h/x"), "https://***@h/x");
        assert_eq!(redact("no address"), "no address");
    }

    #[test]
    fn bytes_for_people() {
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(999_960), "1.0 MB");
        assert_eq!(human_bytes(18_286_304), "18.3 MB");
    }

    #[test]
    fn a_full_device_is_named_with_its_folder() {
        use std::io::Write;
        // /dev/full gives a real ENOSPC without filling anything.
        let Ok(mut full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
            return;
        };
        let source = full
            .write_all(b"x")
            .expect_err("a full device takes nothing");
        let error = cache_error("write", Path::new("/tmp/nowhere/file"), source);
        let text = error.to_string();
        assert!(text.starts_with("no space left in /tmp: "), "{text}");
        assert!(text.contains("B free"), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn redact_never_lets_userinfo_through(user in "[a-z]{1,8}", secret in "[A-Za-z0-9:@%]{1,12}", host in "[a-z.]{1,12}") {
            let text = format!("x https://{user}:{secret}@{host}/p y");
            proptest::prop_assert_eq!(redact(&text), format!("x https://***@{host}/p y"));
        }
    }
}
