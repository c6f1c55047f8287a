//! Documents that cannot be changed unseen: readable JSON with an HMAC-SHA256 over what it says,
//! under a key that only the agent's user (and root) can read.
//!
//! What this can do: a damaged, hand-edited or swapped file is not taken for a good one, and a user
//! who may write the folder but not read the key cannot make one. What it cannot do: root reads the
//! key and can sign anything. Against root, what has left the machine helps: the digest of every
//! baseline is a series in Prometheus and a line in the log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

const KEY: &str = "key";
const KEY_BYTES: usize = 32;
/// More than any document of ours: a baseline of a million files is not kept.
const LARGEST: u64 = 256 << 20;

/// Why a sealed document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {reason}", path.display())]
    Broken { path: PathBuf, reason: String },
}

/// The key of one state folder.
#[derive(Clone)]
pub struct Key([u8; KEY_BYTES]);

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Key(…)")
    }
}

impl Key {
    /// Reads the key, or makes one if there is none.
    pub fn of(folder: &Path) -> Result<Self, SealError> {
        let path = folder.join(KEY);
        match read_small(&path) {
            Ok(bytes) => Self::parse(&path, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(folder, &path),
            Err(source) => Err(SealError::Io { path, source }),
        }
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, SealError> {
        let text = std::str::from_utf8(bytes).unwrap_or_default().trim();
        unhex(text)
            .and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| SealError::Broken {
                path: path.to_owned(),
                reason: "the key is damaged: it must be 64 hexadecimal digits. What it signed \
                         cannot be verified any more; restore it, or remove it and accept the \
                         baselines again"
                    .to_owned(),
            })
    }

    fn make(folder: &Path, path: &Path) -> Result<Self, SealError> {
        let io = |source| SealError::Io {
            path: path.to_owned(),
            source,
        };
        make_folder(folder).map_err(io)?;
        let bytes: [u8; KEY_BYTES] = rand::random();
        // By a link, so that of two that make one at the same time both use the same.
        let next = folder.join(format!("{KEY}.{}", std::process::id()));
        let _ = fs::remove_file(&next); // of a process that did not live to
        let written = write_new(&next, format!("{}\n", hex(&bytes)).as_bytes())
            .and_then(|()| fs::hard_link(&next, path));
        let _ = fs::remove_file(&next); // the link stays
        match written {
            Ok(()) => sync(folder).map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
        Self::parse(path, &read_small(path).map_err(io)?)
    }

    fn mac(&self) -> Hmac<Sha256> {
        let mut block = [0; 64]; // RFC 2104: a shorter key is filled up with zeros
        block[..KEY_BYTES].copy_from_slice(&self.0);
        Hmac::new(&block.into())
    }

    /// HMAC-SHA256 in hexadecimal.
    pub fn sign(&self, bytes: &[u8]) -> String {
        let mut mac = self.mac();
        mac.update(bytes);
        hex(&mac.finalize().into_bytes())
    }

    /// Whether a signature is this key's, in constant time.
    pub fn signed(&self, bytes: &[u8], signature: &str) -> bool {
        let Some(given) = unhex(signature) else {
            return false;
        };
        let mut mac = self.mac();
        mac.update(bytes);
        mac.verify_slice(&given).is_ok()
    }

    /// A document as text with its seal. Only whole numbers and texts: they read back as written.
    pub fn seal(&self, mut document: Map<String, Value>) -> String {
        document.remove("seal");
        let signature = self.sign(&canonical(&document));
        document.insert("seal".into(), Value::String(signature));
        format!("{:#}\n", Value::Object(document))
    }

    /// The document, if its seal is this key's.
    pub fn open(&self, bytes: &[u8]) -> Result<Map<String, Value>, String> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON: {error}"))?;
        let Value::Object(mut document) = value else {
            return Err("it is no JSON object".to_owned());
        };
        let Some(Value::String(signature)) = document.remove("seal") else {
            return Err("it has no seal".to_owned());
        };
        if self.signed(&canonical(&document), &signature) {
            Ok(document)
        } else {
            Err("its seal does not match: it was changed, or signed with another key".to_owned())
        }
    }

    /// Writes a sealed document so that at any moment the old or the new one is there, whole.
    pub fn store(&self, path: &Path, document: Map<String, Value>) -> Result<(), SealError> {
        replace(path, self.seal(document).as_bytes()).map_err(|source| SealError::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads a sealed document; `None` if there is none.
    pub fn load(&self, path: &Path) -> Result<Option<Map<String, Value>>, SealError> {
        let bytes = match read_small(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| SealError::Io {
                path: path.to_owned(),
                source,
            })?,
        };
        let opened = self.open(&bytes);
        opened.map(Some).map_err(|reason| SealError::Broken {
            path: path.to_owned(),
            reason,
        })
    }
}

/// Bytes that two texts of the same document share: keys sorted, no blanks.
fn canonical(document: &Map<String, Value>) -> Vec<u8> {
    let mut sorted = document.clone();
    sorted.sort_keys();
    Value::Object(sorted).to_string().into_bytes()
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A folder for the agent's user alone.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// Puts a file in the place of another, durable when it returns.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder)?;
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = PathBuf::from(next);
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&next, bytes)?;
    fs::rename(&next, path)?;
    sync(folder)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

pub fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn document(text: &str) -> Map<String, Value> {
        json!({ "b": text, "a": { "z": 1, "y": [1, 2] } })
            .as_object()
            .unwrap()
            .clone()
    }

    #[test]
    fn a_document_survives_and_any_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::of(folder.path()).unwrap();
        let path = folder.path().join("d.json");
        key.store(&path, document("x")).unwrap();
        assert_eq!(key.load(&path).unwrap().unwrap(), document("x"));
        // Another program may lay it out as it likes.
        let value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        fs::write(&path, value.to_string()).unwrap();
        assert_eq!(key.load(&path).unwrap().unwrap(), document("x"));
        let changed = value.to_string().replace("\"x\"", "\"y\"");
        fs::write(&path, changed).unwrap();
        let error = key.load(&path).unwrap_err().to_string();
        assert!(error.contains("seal does not match"), "{error}");
        // The key is made once, and for its owner only.
        assert_eq!(Key::of(folder.path()).unwrap().0, key.0);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.path().join(KEY)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        fs::write(folder.path().join(KEY), "short").unwrap();
        assert!(Key::of(folder.path()).is_err());
    }

    /// RFC 4231, test case 2.
    #[test]
    fn the_signature_is_hmac_sha256() {
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(b"Jefe"); // zeros are what HMAC pads with
        assert_eq!(
            Key(key).sign(b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    proptest! {
        #[test]
        fn no_changed_byte_passes(at in any::<prop::sample::Index>(), byte in any::<u8>(), text in ".{0,20}") {
            let key = Key([7; KEY_BYTES]);
            let mut bytes = key.seal(document(&text)).into_bytes();
            let at = at.index(bytes.len());
            let same = bytes[at] == byte;
            bytes[at] = byte;
            if let Ok(opened) = key.open(&bytes) {
                // Only blanks and escapes may differ.
                prop_assert!(same || opened == document(&text));
            }
        }

        #[test]
        fn any_bytes_are_opened_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Key([7; KEY_BYTES]).open(&bytes).is_err());
        }
    }
}
