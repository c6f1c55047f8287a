//! Faults on demand, for tests: `KAI_FAULT` holds a comma-separated list of
//! `<kind>:<where>`, for example `crash-after:process/prometheus,enospc:alertmanager.yml`.
//! Kinds: `crash-before` and `crash-after` a plan step (the program aborts as if killed), `enospc`
//! when a file whose path ends like that is written. Without the variable nothing happens.

use std::io;
use std::path::Path;

fn asked(kind: &str, matches: impl Fn(&str) -> bool) -> bool {
    let Ok(list) = std::env::var("KAI_FAULT") else {
        return false;
    };
    list.split(',')
        .filter_map(|entry| entry.split_once(':'))
        .any(|(known, place)| known == kind && matches(place))
}

/// Ends the program here, without any clean-up, when the fault is asked for.
pub fn crash(kind: &str, address: &str) {
    if asked(kind, |place| place == address) {
        eprintln!("fault: {kind}:{address}");
        std::process::abort();
    }
}

/// An error of the operating system, when the fault is asked for.
pub fn io(kind: &str, path: &Path) -> io::Result<()> {
    let text = path.to_string_lossy();
    if asked(kind, |place| text.ends_with(place)) {
        return Err(io::Error::from(io::ErrorKind::StorageFull));
    }
    Ok(())
}
