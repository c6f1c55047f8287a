//! What outlives the agent: a folder that one agent holds at a time, generations of a file that are
//! replaced so that a crash leaves a whole one, and a last line by which damage is known.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The last line of a sealed file: the SHA-256 of what stands before it.
#[derive(Serialize, Deserialize)]
struct Foot {
    sha256: String,
}

/// The part of the state folder of this name, made if it is missing, and the lock that one agent
/// holds on it.
pub fn claim(state: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = state.join(name);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
        |error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                io::Error::other("another agent uses this folder")
            } else {
                error.into()
            }
        },
    )?;
    Ok((folder, lock))
}

/// The generation before the newest.
pub fn previous(name: &str) -> String {
    format!("{name}.previous")
}

/// Writes a generation so that after a crash at any moment this one or the one before is there.
pub fn store(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let current = folder.join(name);
    let next = folder.join(format!("{name}.next"));
    let mut file = File::create(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    match fs::rename(&current, folder.join(previous(name))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    fs::rename(&next, &current)?;
    sync(folder)
}

/// Makes names in a folder durable.
pub fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Ends JSON lines with their checksum.
pub fn seal(mut lines: Vec<u8>) -> Result<Vec<u8>, serde_json::Error> {
    let sha256 = hex(&Sha256::digest(&lines));
    serde_json::to_writer(&mut lines, &Foot { sha256 })?;
    lines.push(b'\n');
    Ok(lines)
}

/// The lines of a sealed file without the last, or what is wrong with it.
pub fn unseal(bytes: &[u8]) -> Result<impl Iterator<Item = &[u8]>, String> {
    let text = bytes.strip_suffix(b"\n").ok_or("its end is missing")?;
    let last = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .ok_or("it has no checksum")?
        + 1;
    let foot: Foot =
        serde_json::from_slice(&text[last..]).map_err(|_| "it has no checksum".to_owned())?;
    if foot.sha256 != hex(&Sha256::digest(&bytes[..last])) {
        return Err("its checksum does not fit its content".to_owned());
    }
    Ok(text[..last - 1].split(|byte| *byte == b'\n'))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String does not fail
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_agent_at_a_time() {
        let state = tempfile::tempdir().unwrap();
        let held = claim(state.path(), "logs").unwrap();
        let error = claim(state.path(), "logs").unwrap_err();
        assert!(error.to_string().contains("another agent"), "{error}");
        assert!(claim(state.path(), "business").is_ok());
        drop(held);
        assert!(claim(state.path(), "logs").is_ok());
    }

    #[test]
    fn the_generation_before_stays() {
        let folder = tempfile::tempdir().unwrap();
        for number in ["1", "2", "3"] {
            store(folder.path(), "a", number.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("a"), "3");
        assert_eq!(read(&previous("a")), "2");
        assert!(!folder.path().join("a.next").exists());
    }

    proptest! {
        #[test]
        fn a_changed_byte_and_a_missing_end_are_noticed(
            lines in prop::collection::vec("[ -~]{0,20}", 1..6), at: prop::sample::Index, with: u8
        ) {
            let mut text = lines.join("\n");
            text.push('\n');
            let sealed = seal(text.into_bytes()).unwrap();
            let read: Vec<&[u8]> = unseal(&sealed).unwrap().collect();
            prop_assert_eq!(read, lines.iter().map(String::as_bytes).collect::<Vec<_>>());
            let at = at.index(sealed.len());
            prop_assert!(unseal(&sealed[..at]).is_err());
            let mut changed = sealed.clone();
            changed[at] = with;
            prop_assert!(changed == sealed || unseal(&changed).is_err());
        }

        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            let _ = unseal(&bytes).map(Iterator::count);
        }
    }
}
