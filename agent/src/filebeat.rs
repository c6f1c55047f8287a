//! `kai-agent import filebeat`: takes over how far Filebeat is in its files, so that a fleet can move
//! without sending everything again. Only what agrees with the file is taken, each file's outcome is
//! told, and what the agent knows itself stays.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use kai_contract::agent_config::Logs;
use kai_contract::exit;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::check;
use crate::cli::{FilebeatArgs, Output};
use crate::command::{Done, Stop};
use crate::durable;
use crate::logs::id::Epoch;
use crate::logs::places::disk;
use crate::logs::places::record::{Place, Print, Record};
use crate::logs::reader::Globs;
use crate::state::unix_now;

pub mod registry;

use registry::{Identity, Registry, State};

/// As the reader compares them.
const PREFIX: u64 = 1024;
const TAIL: u64 = 64;

/// What became of one of Filebeat's states.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// Under this source, of a file of this size.
    Taken(String, u64),
    /// The agent has its own place, or there is nothing to take.
    Left(String),
    /// It does not agree with the file: a person should know.
    Refused(String),
}

/// A file that a source of the configuration reads.
#[derive(Debug, Clone)]
struct Found {
    source: String,
    path: PathBuf,
    device: u64,
    inode: u64,
}

pub fn run(args: &FilebeatArgs) -> Result<Done, Stop> {
    let loaded =
        check::load(&args.config).map_err(|error| Stop::new(exit::BAD_SPEC, error.to_string()))?;
    let config = loaded.config;
    let (Some(state), Some(logs)) = (&config.state, &config.logs) else {
        let message = format!("{} has no `logs:`", args.config.display());
        return Err(Stop::new(exit::USAGE, message));
    };
    let registry = load(&args.registry)?;
    let failed = |error: io::Error| {
        Stop::new(
            exit::ERROR,
            format!(
                "cannot use the state folder {}: {error}; stop the agent, import, and start it again",
                state.display()
            ),
        )
    };
    // A running agent would write its own places over these.
    let (folder, lock) = durable::claim(state, "logs").map_err(failed)?;
    let found = disk::load(&folder).map_err(failed)?;
    let record = found.record.unwrap_or_else(|| {
        Record::new(Epoch::new().to_string(), unix_now(), Vec::new(), Vec::new())
    });
    let (fates, places) = judge(&registry, logs, &record.places);
    if !args.dry_run && !places.is_empty() {
        let all = record.places.iter().cloned().chain(places).collect();
        let next = Record::new(
            record.head.agent.clone(),
            unix_now(),
            record.head.sources.clone(),
            all,
        );
        let stored = next.to_bytes().map_err(io::Error::other);
        stored
            .and_then(|bytes| disk::store(&folder, &bytes))
            .map_err(failed)?;
    }
    drop(lock);
    Ok(told(&registry, &fates, args))
}

/// Finds the folder in what was named: Filebeat's `path.data`, its `registry`, or the store itself.
fn load(named: &Path) -> Result<Registry, Stop> {
    let bad = |folder: &Path, why: String| {
        Stop::new(exit::BAD_SPEC, format!("{}: {why}", folder.display()))
    };
    let folder = ["", "filebeat", "registry/filebeat"]
        .iter()
        .map(|below| named.join(below))
        .find(|folder| folder.join("meta.json").is_file())
        .ok_or_else(|| {
            bad(
                named,
                "there is no registry in it: name the folder that has meta.json and log.json, such \
                 as /var/lib/filebeat/registry/filebeat"
                    .to_owned(),
            )
        })?;
    let read = |name: &str| match fs::read(folder.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|error| bad(&folder.join(name), error.to_string())),
    };
    registry::version(&read("meta.json")?).map_err(|why| bad(&folder, why))?;
    let entries = fs::read_dir(&folder).map_err(|error| bad(&folder, error.to_string()))?;
    let newest = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".json")?.parse::<u64>().ok()
        })
        .max();
    let snapshot = newest
        .map(|number| read(&format!("{number}.json")).map(|bytes| (number, bytes)))
        .transpose()?;
    let snapshot = snapshot
        .as_ref()
        .map(|(number, bytes)| (*number, bytes.as_slice()));
    registry::read(snapshot, &read("log.json")?).map_err(|why| bad(&folder, why))
}

/// What becomes of each state, and the places that are new.
fn judge(registry: &Registry, logs: &Logs, known: &[Place]) -> (Vec<(State, Fate)>, Vec<Place>) {
    let globs: Vec<(&String, Globs)> = logs
        .sources
        .iter()
        .filter_map(|(name, source)| Some((name, Globs::new(source).ok()?)))
        .collect();
    let mut files = Vec::new();
    for (name, globs) in &globs {
        for path in globs.matches() {
            if let Ok(metadata) = fs::metadata(&path) {
                files.push(Found {
                    source: (*name).clone(),
                    path,
                    device: metadata.dev(),
                    inode: metadata.ino(),
                });
            }
        }
    }
    // Of several states of one file the least is taken: a line twice is better than none.
    let mut places: BTreeMap<(u64, u64), Place> = BTreeMap::new();
    let mut fates = Vec::new();
    for state in &registry.files {
        let fate = match find(state, &files, &globs) {
            Err(fate) => fate,
            Ok((file, open)) => {
                if known
                    .iter()
                    .any(|place| (place.device, place.inode) == (file.device, file.inode))
                {
                    Fate::Left("the agent has a place of its own in it".to_owned())
                } else {
                    match place(state, &file, &open) {
                        Err(fate) => fate,
                        Ok(place) => {
                            let fate = Fate::Taken(file.source.clone(), place.size);
                            let key = (file.device, file.inode);
                            match places.get(&key) {
                                Some(other) if other.acked <= place.acked => Fate::Left(
                                    "another state of the same file is behind it, and taken"
                                        .to_owned(),
                                ),
                                _ => {
                                    places.insert(key, place);
                                    fate
                                }
                            }
                        }
                    }
                }
            }
        };
        fates.push((state.clone(), fate));
    }
    (fates, places.into_values().collect())
}

/// The file that a state tells of.
fn find(state: &State, files: &[Found], globs: &[(&String, Globs)]) -> Result<(Found, File), Fate> {
    let left = |why: &str| Err(Fate::Left(why.to_owned()));
    if state.offset.is_none() {
        return left("nothing of it was read yet");
    }
    let open = |found: Found| match File::open(&found.path) {
        Ok(file) => Ok((found, file)),
        Err(error) => Err(Fate::Refused(format!("cannot read it: {error}"))),
    };
    let source = Path::new(&state.source);
    match &state.identity {
        Identity::Other(name) => Err(Fate::Refused(format!(
            "its file_identity `{name}` cannot be followed"
        ))),
        Identity::Path => match files.iter().find(|file| file.path == source) {
            Some(file) => open(file.clone()),
            None => left("no source of the configuration reads it"),
        },
        Identity::Native { inode, device } => {
            let same = |file: &&Found| file.inode == *inode;
            let by_both = files
                .iter()
                .find(|file| same(file) && file.device == *device);
            // Device numbers change with a restart of the machine; then the path must agree.
            let by_path = || files.iter().find(|file| same(file) && file.path == source);
            if let Some(file) = by_both.or_else(by_path) {
                return open(file.clone());
            }
            if let Some(found) = rotated(source, *inode, *device, globs) {
                return open(found);
            }
            match files.iter().find(|file| file.path == source) {
                Some(_) => left("another file is at its path now: it is read from its beginning"),
                None if source.exists() => left("no source of the configuration reads it"),
                None => left("it is not there any more"),
            }
        }
        Identity::Fingerprint { hash, length } => {
            // The path first: it nearly always agrees.
            let mut sorted: Vec<&Found> = files.iter().collect();
            sorted.sort_by_key(|file| file.path != source);
            let mut length = vec![0; (*length).min(1 << 20) as usize];
            for file in sorted {
                let Ok(open) = File::open(&file.path) else {
                    continue;
                };
                if open.read_exact_at(&mut length, 0).is_ok()
                    && durable::hex(&Sha256::digest(&length)) == *hash
                {
                    return Ok((file.clone(), open));
                }
            }
            if files.iter().any(|file| file.path == source) {
                return Err(Fate::Refused(
                    "the file at its path has another fingerprint (of its first 1024 bytes, unless \
                     the registry says how many): it is read from its beginning"
                        .to_owned(),
                ));
            }
            left("no file of the configuration has its fingerprint")
        }
    }
}

/// A file that was renamed within its folder: its source is the one that reads its old name.
fn rotated(source: &Path, inode: u64, device: u64, globs: &[(&String, Globs)]) -> Option<Found> {
    let (name, _) = globs.iter().find(|(_, globs)| globs.would_match(source))?;
    let entries = fs::read_dir(source.parent()?).ok()?;
    entries.flatten().find_map(|entry| {
        let metadata = entry.metadata().ok()?;
        (metadata.is_file() && metadata.ino() == inode && metadata.dev() == device).then(|| Found {
            source: (*name).clone(),
            path: entry.path(),
            device,
            inode,
        })
    })
}

/// The place, if Filebeat's agrees with the file.
fn place(state: &State, found: &Found, file: &File) -> Result<Place, Fate> {
    let unreadable = |error: io::Error| Fate::Refused(format!("cannot read it: {error}"));
    let metadata = file.metadata().map_err(unreadable)?;
    let offset = state.offset.unwrap_or_default();
    let size = metadata.len();
    if size < offset {
        return Err(Fate::Refused(format!(
            "it has {size} bytes and Filebeat was at {offset}: it was truncated since and is read from \
             its beginning"
        )));
    }
    let mut prefix = vec![0; size.min(PREFIX) as usize];
    file.read_exact_at(&mut prefix, 0).map_err(unreadable)?;
    if crate::logs::reader::names::looks_compressed(&prefix) {
        return Err(Fate::Left("it is compressed".to_owned()));
    }
    let mut tail = vec![0; offset.min(TAIL) as usize];
    file.read_exact_at(&mut tail, offset - offset.min(TAIL))
        .map_err(unreadable)?;
    if tail.last() != Some(&b'\n') {
        return Err(Fate::Refused(format!(
            "no line ends at {offset}, where Filebeat says that it was: it is read from its beginning"
        )));
    }
    let real = fs::canonicalize(&found.path).ok();
    Ok(Place {
        source: found.source.clone(),
        path: found.path.clone(),
        real: real.filter(|real| *real != found.path),
        epoch: Epoch::new().to_string(),
        device: found.device,
        inode: found.inode,
        prefix: Print::of(&prefix),
        acked: offset,
        tail: Print::of(&tail),
        // We sent nothing of it.
        horizon: offset,
        since: String::new(),
        size,
        seen: unix_now(),
        modified: metadata.mtime(),
        cursor: None,
    })
}

fn told(registry: &Registry, fates: &[(State, Fate)], args: &FilebeatArgs) -> Done {
    let count = |of: fn(&Fate) -> bool| fates.iter().filter(|(_, fate)| of(fate)).count();
    let taken = count(|fate| matches!(fate, Fate::Taken(..)));
    let refused = count(|fate| matches!(fate, Fate::Refused(_)));
    let code = if refused > 0 { exit::CHANGES } else { exit::OK };
    if args.output == Output::Json {
        let files: Vec<_> = fates
            .iter()
            .map(|(state, fate)| {
                let (what, source, reason) = match fate {
                    Fate::Taken(source, _) => ("taken", Some(source), None),
                    Fate::Left(reason) => ("left", None, Some(reason)),
                    Fate::Refused(reason) => ("refused", None, Some(reason)),
                };
                json!({
                    "path": state.source, "offset": state.offset, "what": what, "source": source,
                    "reason": reason,
                })
            })
            .collect();
        let value = json!({
            "dryRun": args.dry_run, "files": files, "otherStates": registry.other,
            "notes": registry.notes,
        });
        return Done {
            text: format!("{value}\n"),
            code,
        };
    }
    let mut text = String::new();
    for (state, fate) in fates {
        let offset = state.offset.unwrap_or_default();
        // Writing into a String does not fail.
        let _ = match fate {
            Fate::Taken(source, size) => writeln!(
                text,
                "taken    {}  at {offset} of {size} bytes, source {source}",
                state.source
            ),
            Fate::Left(reason) => writeln!(text, "left     {}  {reason}", state.source),
            Fate::Refused(reason) => writeln!(text, "refused  {}  {reason}", state.source),
        };
    }
    for (kind, count) in &registry.other {
        let _ = writeln!(text, "left     {count} states of {kind}: they are no files");
    }
    for note in &registry.notes {
        let _ = writeln!(text, "note     {note}");
    }
    let would = if args.dry_run {
        "would be taken"
    } else {
        "taken"
    };
    let _ = writeln!(text, "{taken} {would}, {refused} refused");
    Done { text, code }
}
