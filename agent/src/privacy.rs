//! What must not leave the node in the clear is taken out of lines by `kai-lines`; the key of the
//! pseudonyms is a file, and read here.

use std::path::{Path, PathBuf};

pub use kai_lines::privacy::{Counts, Key, Redactor, SHORTEST};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot read the pseudonyms' key {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the pseudonyms' key {} has {bytes} bytes; it needs {SHORTEST} or more: \
         `openssl rand -base64 48` makes one",
        path.display()
    )]
    Short { path: PathBuf, bytes: usize },
}

pub fn read_key(path: &Path) -> Result<Key, KeyError> {
    let text = std::fs::read(path).map_err(|source| KeyError::Read {
        path: path.to_owned(),
        source,
    })?;
    let text = text.trim_ascii_end();
    Key::new(text).ok_or_else(|| KeyError::Short {
        path: path.to_owned(),
        bytes: text.len(),
    })
}
