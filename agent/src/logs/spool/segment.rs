//! A segment's file: its name, and the head that says whose events it holds.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::logs::id::{EPOCH, Epoch};

const MAGIC: &[u8; 8] = b"KAISPL01";
/// Magic, epoch, offset of the first event, checksum of these.
pub const HEAD: usize = 8 + EPOCH + 8 + 4;
const ENDING: &str = ".spool";

/// Sixteen hexadecimal digits, so that names are in the order of their events.
pub fn name(base: u64) -> String {
    format!("{base:016x}{ENDING}")
}

pub fn head(epoch: Epoch, base: u64) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(epoch.to_string().as_bytes());
    out.extend_from_slice(&base.to_le_bytes());
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Epoch and offset of the first event, or what is wrong.
pub fn read_head(bytes: &[u8]) -> Result<(Epoch, u64), &'static str> {
    let head = bytes.get(..HEAD).ok_or("its head is cut off")?;
    let (head, sum) = head.split_at(HEAD - 4);
    if head[..8] != *MAGIC {
        return Err("it does not begin like a segment");
    }
    if sum != crc32fast::hash(head).to_le_bytes() {
        return Err("its head's checksum does not fit");
    }
    let epoch = std::str::from_utf8(&head[8..8 + EPOCH])
        .ok()
        .and_then(Epoch::parse)
        .ok_or("its head has no epoch")?;
    let base = head[8 + EPOCH..]
        .try_into()
        .map_err(|_| "its head is cut off")?;
    Ok((epoch, u64::from_le_bytes(base)))
}

/// The segments in a folder, the oldest first.
pub fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found: Vec<(u64, PathBuf)> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let digits = name.to_str()?.strip_suffix(ENDING)?;
            Some((u64::from_str_radix(digits, 16).ok()?, entry.path()))
        })
        .collect();
    found.sort();
    Ok(found)
}

/// A segment that an earlier run left.
pub struct Found {
    pub file: File,
    pub epoch: Epoch,
    pub base: u64,
    /// Bytes behind the head.
    pub len: u64,
}

impl Found {
    pub fn read(path: &Path) -> Result<Self, String> {
        let cannot = |error: io::Error| format!("cannot read it: {error}");
        let mut file = File::open(path).map_err(cannot)?;
        let mut head = Vec::new();
        let whole = file.metadata().map_err(cannot)?.len();
        (&mut file)
            .take(HEAD as u64)
            .read_to_end(&mut head)
            .map_err(cannot)?;
        let (epoch, base) = read_head(&head)?;
        Ok(Self {
            file,
            epoch,
            base,
            len: whole - HEAD as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_head_is_read_again_and_damage_is_noticed(base: u64, at in 0..HEAD, bit in 0..8u8) {
            let epoch = Epoch::new();
            let mut bytes = head(epoch, base);
            prop_assert_eq!(read_head(&bytes), Ok((epoch, base)));
            prop_assert!(read_head(&bytes[..at]).is_err());
            bytes[at] ^= 1 << bit;
            prop_assert!(read_head(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            let _ = read_head(&bytes);
        }
    }
}
