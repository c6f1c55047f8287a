//! The content of a file as a short text: its SHA-256, or why there is none.

use std::fs::File;
use std::io::{self, Read as _};

use sha2::{Digest as _, Sha256};

use crate::security::check::{Coverage, Progress, Reason};
use crate::security::pace::Pace;
use crate::security::seal::hex;
use crate::security::walk::Met;

const BLOCK: usize = 64 << 10;

/// `size=… sha256=…`; a file that cannot be read has `sha256=?` and is counted.
pub fn content(
    met: &Met<'_>,
    largest: u64,
    pace: &mut Pace,
    progress: &Progress,
    coverage: &mut Coverage,
) -> String {
    let size = met.stat.st_size;
    let mut skip = |reason| {
        // It was counted when it was met.
        coverage.examined = coverage.examined.saturating_sub(1);
        coverage.skip(met.path.escape_ascii(), reason);
    };
    if size as u64 > largest {
        skip(Reason::TooLarge);
        let modified = met.stat.st_mtime;
        return format!("size={size} mtime={modified} sha256=?");
    }
    // A file that is written while it is read has no content; the second time it may be at rest.
    for _ in 0..2 {
        let read = met
            .open()
            .and_then(|mut file| digest(&mut file, pace, progress));
        match read {
            Ok(Some((size, digest))) => return format!("size={size} sha256={digest}"),
            Ok(None) => {}
            Err(error) => {
                skip(Reason::of(&error));
                return format!("size={size} sha256=?");
            }
        }
    }
    skip(Reason::Changing);
    format!("size={size} sha256=?")
}

/// Size and digest of what was read; `None` if the file changed meanwhile.
fn digest(
    file: &mut File,
    pace: &mut Pace,
    progress: &Progress,
) -> io::Result<Option<(u64, String)>> {
    let before = rustix::fs::fstat(&*file)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK.min(before.st_size as usize + 1)];
    let mut total = 0;
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            break;
        }
        total += count as u64;
        hasher.update(&block[..count]);
        progress.alive();
        pace.take(count as u64);
        if progress.stopped() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if total > before.st_size as u64 {
            return Ok(None);
        }
    }
    let after = rustix::fs::fstat(&*file)?;
    let version = |stat: &rustix::fs::Stat| {
        (
            stat.st_size,
            stat.st_mtime,
            stat.st_mtime_nsec,
            stat.st_ctime,
            stat.st_ctime_nsec,
        )
    };
    let same = version(&before) == version(&after) && total == before.st_size as u64;
    Ok(same.then(|| (total, hex(&hasher.finalize()))))
}
