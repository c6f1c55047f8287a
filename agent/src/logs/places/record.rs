//! The checkpoint as text: a head, one line per file, and a last line with the SHA-256 of what
//! stands before it. JSON lines, so that a person can read where the agent is. Pure.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::durable::{hex, seal, unseal};

/// Grows with a change that an older agent could not read.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    version: u32,
    /// Names the agent that uses this state folder, in its requests.
    pub agent: String,
    /// Unix time in seconds.
    pub written: u64,
    /// Sources whose folders were looked at: a file that is new in one of them is read from its
    /// beginning, whatever `start` says.
    pub sources: Vec<String>,
}

/// A few bytes of a file, by which it is told from another at the same inode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Print {
    pub len: u64,
    /// First 16 hexadecimal digits of their SHA-256.
    pub hash: String,
}

impl Print {
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = hex(&Sha256::digest(bytes));
        hash.truncate(16);
        Self {
            len: bytes.len() as u64,
            hash,
        }
    }
}

/// How far one file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    pub source: String,
    /// Where it was last seen.
    pub path: PathBuf,
    /// Where a symbolic link in `path` led to, and rotation happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<PathBuf>,
    pub epoch: String,
    pub device: u64,
    pub inode: u64,
    /// Its first bytes.
    pub prefix: Print,
    /// Everything before this offset has its final outcome.
    pub acked: u64,
    /// The bytes before `acked`.
    pub tail: Print,
    /// Nothing at or after this offset was sent under this record.
    pub horizon: u64,
    /// The oldest write index that lines after `acked` may have reached; empty for "any".
    pub since: String,
    /// Its size when it was last looked at.
    pub size: u64,
    /// Unix time in seconds when it was last there.
    pub seen: u64,
    /// Unix time in seconds of its last change, as last seen.
    #[serde(default)]
    pub modified: i64,
    /// Of a journal: the cursor of the entry before `acked`, which counts entries then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Place {
    /// The folders in which a rotation may have put it.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        folders(&self.path, self.real.as_deref())
    }
}

/// The folder of a path, and of what it leads to.
pub fn folders<'a>(path: &'a Path, real: Option<&'a Path>) -> impl Iterator<Item = &'a Path> {
    let first = path.parent();
    let second = real.and_then(Path::parent).filter(|it| Some(*it) != first);
    first.into_iter().chain(second)
}

/// The checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub head: Head,
    pub places: Vec<Place>,
}

impl Record {
    pub fn new(agent: String, written: u64, sources: Vec<String>, places: Vec<Place>) -> Self {
        Self {
            head: Head {
                version: VERSION,
                agent,
                written,
                sources,
            },
            places,
        }
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = serde_json::to_vec(&self.head)?;
        out.push(b'\n');
        for place in &self.places {
            serde_json::to_writer(&mut out, place)?;
            out.push(b'\n');
        }
        seal(out)
    }

    /// Reads it, or says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut lines = unseal(bytes)?;
        let head = lines.next().unwrap_or_default();
        let head: Head = serde_json::from_slice(head).map_err(|error| error.to_string())?;
        if head.version != VERSION {
            return Err(format!(
                "it has version {}, this agent reads version {VERSION}",
                head.version
            ));
        }
        let places = lines
            .map(|line| serde_json::from_slice(line).map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()?;
        Ok(Self { head, places })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = Place> {
        (any::<String>(), any::<[u64; 7]>(), any::<Vec<u8>>()).prop_map(|(text, n, bytes)| Place {
            source: text.clone(),
            path: text.clone().into(),
            real: n[6].is_multiple_of(2).then(|| text.clone().into()),
            epoch: text.clone(),
            device: n[0],
            inode: n[1],
            prefix: Print::of(&bytes),
            acked: n[2],
            tail: Print::default(),
            horizon: n[3],
            since: text,
            size: n[4],
            seen: n[5],
            modified: n[6] as i64,
            cursor: n[5].is_multiple_of(2).then(|| "s=1".into()),
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(places in proptest::collection::vec(place(), 0..4), sources in any::<Vec<String>>()) {
            let record = Record::new("a".into(), 7, sources, places);
            prop_assert_eq!(Record::parse(&record.to_bytes().unwrap()), Ok(record));
        }

        #[test]
        fn damage_is_noticed(place in place(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = Record::new("a".into(), 7, vec![], vec![place]).to_bytes().unwrap();
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else if bytes[at] == byte {
                return Ok(());
            } else {
                bytes[at] = byte;
            }
            prop_assert!(Record::parse(&bytes).is_err());
        }

        #[test]
        fn nothing_makes_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = Record::parse(&bytes);
        }
    }
}
