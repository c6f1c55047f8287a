//! The history of baselines: one line of JSON per acceptance, each signed together with the
//! signature of the line before, so that none can be changed, moved or taken out of the middle.
//! Lines cut off at the end show where a baseline is newer than the last line that is left.

use std::fs::{self, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::{Map, Value};

use crate::security::seal::{Key, SealError, make_folder, sync};

/// The lines that are whole. A piece without a newline at the end is what a crash leaves of a line
/// that nobody was told of.
pub(super) fn read(key: &Key, path: &Path) -> Result<Vec<Map<String, Value>>, String> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let mut lines = Vec::new();
    let mut before = String::new();
    for (index, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let broken = |reason: &str| {
            let line = index + 1;
            format!("{}: line {line}: the history {reason}", path.display())
        };
        let document = key
            .open(line)
            .map_err(|reason| broken(&format!("is broken: {reason}")))?;
        if document.get("previous").and_then(Value::as_str) != Some(&before) {
            return Err(broken("misses the line before this one"));
        }
        before = signature(line).ok_or_else(|| broken("has a line without a seal"))?;
        lines.push(document);
    }
    Ok(lines)
}

/// The seal of the last line about a check.
pub(super) fn last(key: &Key, path: &Path, check: &str) -> Result<Option<String>, String> {
    let lines = read(key, path)?;
    let about = lines
        .into_iter()
        .rfind(|line| line.get("check").and_then(Value::as_str) == Some(check));
    Ok(about.and_then(|line| sealed(key, line).1))
}

/// Appends a line; its seal, once it is durable.
pub(super) fn append(key: &Key, path: &Path, told: Value) -> Result<String, SealError> {
    let io = |source| SealError::Io {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder).map_err(io)?;
    let lines = read(key, path);
    let lines = match lines {
        Ok(lines) => lines,
        // Kept as evidence; a new history begins.
        Err(reason) => {
            let aside = path.with_extension(format!("jsonl.broken-{}", crate::state::unix_now()));
            fs::rename(path, &aside).map_err(io)?;
            tracing::error!(%reason, kept_as = %aside.display(), "the history of baselines is broken");
            Vec::new()
        }
    };
    let previous = lines.last().cloned().and_then(|line| sealed(key, line).1);
    let mut document = match told {
        Value::Object(document) => document,
        _ => Map::new(), // never: the caller gives an object
    };
    document.insert(
        "previous".into(),
        Value::String(previous.unwrap_or_default()),
    );
    let (line, seal) = sealed(key, document);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    let bytes = fs::read(path).map_err(io)?;
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    file.set_len(whole as u64)
        .and_then(|()| file.seek(SeekFrom::End(0)))
        .and_then(|_| file.write_all(format!("{line}\n").as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| sync(folder))
        .map_err(io)?;
    Ok(seal.unwrap_or_default())
}

/// The line, and its seal.
fn sealed(key: &Key, document: Map<String, Value>) -> (String, Option<String>) {
    let text = key.seal(document);
    // On one line.
    let line = serde_json::from_str::<Value>(&text)
        .map(|value| value.to_string())
        .unwrap_or_default();
    let seal = signature(line.as_bytes());
    (line, seal)
}

fn signature(line: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(line).ok()?;
    value.get("seal")?.as_str().map(str::to_owned)
}
