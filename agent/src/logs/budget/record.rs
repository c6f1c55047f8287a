//! The file in which teams' figures of a day outlive the agent: a JSON line for each team, and a
//! checksum. One that is damaged is put aside and counts as nothing; the generation before is used.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::durable;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record {
    team: String,
    /// Since 1970, UTC.
    day: u64,
    bytes: u64,
}

/// `None` if there is nobody to tell of.
pub fn text<'a>(teams: impl Iterator<Item = (&'a str, u64, u64)>) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    for (team, day, bytes) in teams {
        let record = Record {
            team: team.to_owned(),
            day,
            bytes,
        };
        serde_json::to_writer(&mut lines, &record).ok()?;
        lines.push(b'\n');
    }
    (!lines.is_empty()).then(|| durable::seal(lines).ok())?
}

/// Team, day and bytes, or what is wrong with the file.
pub fn parse(bytes: &[u8]) -> Result<Vec<(Arc<str>, u64, u64)>, String> {
    let lines = durable::unseal(bytes)?.filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let record: Record = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            Ok((record.team.into(), record.day, record.bytes))
        })
        .collect()
}

/// The newest generation that is whole.
pub fn load(folder: &Path, name: &str) -> Vec<(Arc<str>, u64, u64)> {
    for name in [name.to_owned(), durable::previous(name)] {
        let path = folder.join(&name);
        let read = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => Err(error.to_string()),
            Ok(bytes) => parse(&bytes),
        };
        match read {
            Ok(records) => return records,
            Err(reason) => {
                let aside = folder.join(format!("{name}.damaged"));
                let moved = std::fs::rename(&path, &aside).is_ok();
                tracing::error!(
                    file = %path.display(),
                    %reason,
                    put_aside = moved,
                    "what teams' log lines were today cannot be read"
                );
            }
        }
    }
    Vec::new()
}
