//! Baselines: what a person has said is right, with who, when and why. They change only by
//! `kai-agent baseline accept`; a check never moves its own.
//!
//! In the state folder: `security/baseline/<check>.json` is what is right, `history.jsonl` beside
//! it who said so, each line chained to the one before; `security/seen/<check>.json` is what the
//! check saw last. All are sealed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::check::Items;
use super::seal::{Key, SealError, digest};

pub mod command;
mod history;

/// Versions of the files' format.
const FORMAT: u64 = 1;

/// What a check saw, as a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Seconds since 1970.
    pub at: u64,
    /// Things that could not be looked at, in words, and how many.
    pub skipped: u64,
    pub named: Vec<String>,
    /// Below these, nothing is known.
    pub unknown: Vec<String>,
    pub items: Items,
}

/// What was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// Seconds since 1970.
    pub at: u64,
    pub by: String,
    pub reason: String,
    pub items: Items,
    pub digest: String,
    /// Signature of the line of the history that tells of it.
    entry: String,
}

impl Baseline {
    /// Who, when, why and the digest: what there is to tell of it.
    #[must_use]
    pub fn without_items(self) -> Self {
        Self {
            items: Items::new(),
            ..self
        }
    }
}

/// Whether there is something to compare with. "None yet" is not "nothing found".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    None,
    Accepted(Baseline),
    /// It cannot be trusted, and why.
    Broken(String),
}

impl Standing {
    /// The same as far as it is told.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Accepted(a), Self::Accepted(b)) => a.entry == b.entry,
            (Self::None, Self::None) => true,
            (Self::Broken(a), Self::Broken(b)) => a == b,
            _ => false,
        }
    }
}

/// One difference between what is right and what is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub name: String,
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Added { now: String },
    Removed { before: String },
    Changed { before: String, now: String },
}

impl Change {
    pub const KINDS: [&str; 3] = ["added", "changed", "removed"];

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Added { .. } => "added",
            Self::Removed { .. } => "removed",
            Self::Changed { .. } => "changed",
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name.escape_debug();
        match &self.change {
            Change::Added { now } => write!(out, "+ {name}  {}", now.escape_debug()),
            Change::Removed { before } => write!(out, "- {name}  {}", before.escape_debug()),
            Change::Changed { before, now } => {
                write!(
                    out,
                    "~ {name}  {} → {}",
                    before.escape_debug(),
                    now.escape_debug()
                )
            }
        }
    }
}

/// A content that could not be read.
const UNREAD: &str = "sha256=?";

/// The same as far as both are known.
fn agree(before: &str, now: &str) -> bool {
    if before == now {
        return true;
    }
    if !before.contains(UNREAD) && !now.contains(UNREAD) {
        return false;
    }
    let known = |text: &str| -> Vec<String> {
        let parts = text.split(' ').filter(|part| {
            // What only one of them may have.
            !part.starts_with("sha256=") && !part.starts_with("mtime=")
        });
        parts.map(str::to_owned).collect()
    };
    let times = |text: &str| {
        text.split(' ')
            .find(|part| part.starts_with("mtime="))
            .map(str::to_owned)
    };
    let both_times = times(before).zip(times(now));
    known(before) == known(now) && both_times.is_none_or(|(before, now)| before == now)
}

/// What is different, sorted by name. What is missing below `unknown` is not known to be gone.
pub fn compare(right: &Items, now: &Items, unknown: &[String]) -> Vec<Finding> {
    let names: BTreeSet<&String> = right.keys().chain(now.keys()).collect();
    let may_be_there = |name: &str| {
        unknown.iter().any(|prefix| {
            let rest = name.strip_prefix(prefix.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.is_empty())
        })
    };
    names
        .into_iter()
        .filter_map(|name| {
            let change = match (right.get(name), now.get(name)) {
                (None, Some(now)) => Change::Added { now: now.clone() },
                (Some(_), None) if may_be_there(name) => return None,
                (Some(before), None) => Change::Removed {
                    before: before.clone(),
                },
                (Some(before), Some(now)) if !agree(before, now) => Change::Changed {
                    before: before.clone(),
                    now: now.clone(),
                },
                _ => return None,
            };
            let name = name.clone();
            Some(Finding { name, change })
        })
        .collect()
}

/// What tells two sets of things apart.
pub fn digest_of(items: &Items) -> String {
    let mut bytes = Vec::new();
    for (name, value) in items {
        // Lengths first, so that no two sets run together to the same bytes.
        bytes.extend_from_slice(&(name.len() as u64).to_be_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&(value.len() as u64).to_be_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    digest(&bytes)
}

/// The files of one state folder.
#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
    key: Key,
}

impl Files {
    /// `folder` is the checks' part of the state folder.
    pub fn open(folder: &Path) -> Result<Self, SealError> {
        Ok(Self {
            folder: folder.to_owned(),
            key: Key::of(folder)?,
        })
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    pub fn baseline_path(&self, check: &str) -> PathBuf {
        self.folder.join(format!("baseline/{check}.json"))
    }

    fn seen_path(&self, check: &str) -> PathBuf {
        self.folder.join(format!("seen/{check}.json"))
    }

    fn history_path(&self) -> PathBuf {
        self.folder.join("baseline/history.jsonl")
    }

    /// When the files were last written that findings follow from.
    pub fn stamp(&self, check: &str) -> [Option<(std::time::SystemTime, u64)>; 3] {
        [
            self.baseline_path(check),
            self.seen_path(check),
            self.history_path(),
        ]
        .map(|path| {
            let file = std::fs::metadata(path).ok()?;
            Some((
                file.modified().ok()?,
                std::os::unix::fs::MetadataExt::ino(&file),
            ))
        })
    }

    /// What the check compares with.
    pub fn standing(&self, check: &str) -> Standing {
        match self.read(check) {
            Ok(standing) => standing,
            Err(reason) => Standing::Broken(reason),
        }
    }

    fn read(&self, check: &str) -> Result<Standing, String> {
        let last = history::last(&self.key, &self.history_path(), check)?;
        let path = self.baseline_path(check);
        let found = match self.key.load(&path) {
            Ok(found) => found,
            Err(error) => return Err(error.to_string()),
        };
        let Some(document) = found else {
            return match last {
                None => Ok(Standing::None),
                Some(_) => Err(format!(
                    "{}: the baseline is gone, though the history tells that one was accepted",
                    path.display()
                )),
            };
        };
        let baseline = Self::parse(check, &document)
            .ok_or_else(|| format!("{}: its seal is right, its keys are not", path.display()))?;
        if last.as_deref() == Some(&baseline.entry) {
            return Ok(Standing::Accepted(baseline));
        }
        Err(format!(
            "{}: it is not the baseline that the history tells was accepted last; an older one was \
             put in its place, or the history was cut",
            path.display()
        ))
    }

    fn parse(check: &str, document: &Map<String, Value>) -> Option<Baseline> {
        let text = |key: &str| document.get(key)?.as_str().map(str::to_owned);
        if document.get("format")?.as_u64()? != FORMAT || text("check")? != check {
            return None;
        }
        let items = items(document.get("items")?)?;
        Some(Baseline {
            at: document.get("acceptedAt")?.as_u64()?,
            by: text("by")?,
            reason: text("reason")?,
            entry: text("entry")?,
            digest: digest_of(&items),
            items,
        })
    }

    /// Takes what was seen as what is right. The history is written first: a crash in between
    /// leaves a baseline that is said to be older than the history, never one without a history.
    pub fn accept(
        &self,
        check: &str,
        seen: &Seen,
        by: &str,
        reason: &str,
        at: u64,
    ) -> Result<(), SealError> {
        let before = match self.standing(check) {
            Standing::Accepted(baseline) => baseline.items,
            Standing::None | Standing::Broken(_) => Items::new(),
        };
        let findings = compare(&before, &seen.items, &[]);
        let count = |kind: &str| findings.iter().filter(|f| f.change.kind() == kind).count();
        let told = json!({
            "at": at,
            "check": check,
            "by": by,
            "reason": reason,
            "items": seen.items.len(),
            "added": count("added"),
            "changed": count("changed"),
            "removed": count("removed"),
            "digest": digest_of(&seen.items),
        });
        let entry = history::append(&self.key, &self.history_path(), told)?;
        let document = json!({
            "format": FORMAT,
            "check": check,
            "acceptedAt": at,
            "by": by,
            "reason": reason,
            "items": seen.items,
            "entry": entry,
        });
        self.store(&self.baseline_path(check), document)
    }

    /// Every line of the history that is whole, the oldest first.
    pub fn history(&self) -> Result<Vec<Map<String, Value>>, String> {
        history::read(&self.key, &self.history_path())
    }

    pub fn store_seen(&self, check: &str, seen: &Seen) -> Result<(), SealError> {
        let document = json!({
            "format": FORMAT,
            "check": check,
            "at": seen.at,
            "skipped": seen.skipped,
            "named": seen.named,
            "unknown": seen.unknown,
            "items": seen.items,
        });
        self.store(&self.seen_path(check), document)
    }

    pub fn load_seen(&self, check: &str) -> Result<Option<Seen>, SealError> {
        let path = self.seen_path(check);
        let Some(document) = self.key.load(&path)? else {
            return Ok(None);
        };
        let parsed = || {
            if document.get("format")?.as_u64()? != FORMAT
                || document.get("check")?.as_str()? != check
            {
                return None;
            }
            let texts = |key: &str| -> Option<Vec<String>> {
                let texts = document.get(key)?.as_array()?.iter();
                Some(
                    texts
                        .filter_map(|n| n.as_str().map(str::to_owned))
                        .collect(),
                )
            };
            Some(Seen {
                at: document.get("at")?.as_u64()?,
                skipped: document.get("skipped")?.as_u64()?,
                named: texts("named")?,
                unknown: texts("unknown")?,
                items: items(document.get("items")?)?,
            })
        };
        parsed().map(Some).ok_or_else(|| SealError::Broken {
            path,
            reason: "it is not what this check saw".to_owned(),
        })
    }

    fn store(&self, path: &Path, document: Value) -> Result<(), SealError> {
        match document {
            Value::Object(document) => self.key.store(path, document),
            _ => Ok(()), // never: both callers give an object
        }
    }
}

fn items(value: &Value) -> Option<Items> {
    value
        .as_object()?
        .iter()
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn seen(items: &[(&str, &str)]) -> Seen {
        Seen {
            at: 5,
            items: items
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Seen::default()
        }
    }

    #[test]
    fn differences() {
        let right = seen(&[("a", "1"), ("b", "1"), ("c", "1")]).items;
        let now = seen(&[("b", "2"), ("c", "1"), ("d", "1")]).items;
        let told: Vec<String> = compare(&right, &now, &[])
            .iter()
            .map(Finding::to_string)
            .collect();
        assert_eq!(told, ["- a  1", "~ b  1 → 2", "+ d  1"]);
        assert_eq!(compare(&now, &now, &[]), []);
        // What could not be looked at is neither gone nor changed.
        let right = seen(&[
            ("/r/a", "1"),
            ("/ra", "1"),
            ("/f", "uid=0 size=3 sha256=aa"),
        ])
        .items;
        let now = seen(&[("/f", "uid=0 size=3 sha256=?")]).items;
        let told = compare(&right, &now, &["/r".to_owned()]);
        assert_eq!(
            told.iter().map(Finding::to_string).collect::<Vec<_>>(),
            ["- /ra  1"]
        );
        let now = seen(&[("/f", "uid=1 size=3 sha256=?")]).items;
        assert_eq!(compare(&right, &now, &[String::new()]).len(), 1);
        assert_ne!(
            digest_of(&seen(&[("a", "bc")]).items),
            digest_of(&seen(&[("ab", "c")]).items)
        );
    }

    #[test]
    fn what_is_accepted_stands_and_what_is_changed_behind_it_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        assert_eq!(files.standing("suid"), Standing::None);
        files
            .accept("suid", &seen(&[("/bin/su", "x")]), "ana", "first", 7)
            .unwrap();
        let Standing::Accepted(first) = files.standing("suid") else {
            panic!("{:?}", files.standing("suid"));
        };
        assert_eq!((first.at, first.by.as_str()), (7, "ana"));
        assert_eq!(files.standing("users"), Standing::None, "another check");
        let path = files.baseline_path("suid");
        let old = fs::read(&path).unwrap();
        files
            .accept("suid", &seen(&[("/bin/sudo", "y")]), "ana", "again", 8)
            .unwrap();
        let new = fs::read(&path).unwrap();
        let history = files.history().unwrap();
        assert_eq!(history.len(), 2);
        assert_eq!(history[1]["removed"], 1);

        let broken = |files: &Files| match files.standing("suid") {
            Standing::Broken(reason) => reason,
            other => panic!("{other:?}"),
        };
        // An older baseline, itself well signed, is put back.
        fs::write(&path, &old).unwrap();
        assert!(broken(&files).contains("older one"));
        // A byte is changed.
        let text = String::from_utf8(new.clone()).unwrap();
        fs::write(&path, text.replace("sudo", "suda")).unwrap();
        assert!(broken(&files).contains("seal"));
        // It is cut off, emptied, removed.
        fs::write(&path, &new[..new.len() / 2]).unwrap();
        assert!(broken(&files).contains("no JSON"));
        fs::remove_file(&path).unwrap();
        assert!(broken(&files).contains("gone"));
        fs::write(&path, &new).unwrap();
        assert!(matches!(files.standing("suid"), Standing::Accepted(_)));
        // A line of the history is changed: nothing that it tells can be trusted.
        let log = folder.path().join("baseline/history.jsonl");
        let lines = fs::read_to_string(&log).unwrap();
        fs::write(&log, lines.replace("first", "other")).unwrap();
        assert!(broken(&files).contains("history"));
        fs::write(&log, lines.lines().next().unwrap().to_owned() + "\n").unwrap();
        assert!(broken(&files).contains("history was cut"));
        // A crash while a line was appended leaves a piece without an end.
        fs::write(&log, format!("{lines}{{\"at\":9,")).unwrap();
        assert!(matches!(files.standing("suid"), Standing::Accepted(_)));
        files.accept("suid", &seen(&[]), "ana", "third", 9).unwrap();
        assert!(matches!(files.standing("suid"), Standing::Accepted(_)));
        assert_eq!(files.history().unwrap().len(), 3);
        // A new key signs nothing that was there before.
        fs::remove_file(folder.path().join("key")).unwrap();
        let other = Files::open(folder.path()).unwrap();
        assert!(!broken(&other).is_empty());
    }

    #[test]
    fn what_was_seen_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        assert_eq!(files.load_seen("suid").unwrap(), None);
        let told = Seen {
            skipped: 2,
            named: vec!["/x: permission_denied".into()],
            ..seen(&[("/bin/su", "x")])
        };
        files.store_seen("suid", &told).unwrap();
        assert_eq!(files.load_seen("suid").unwrap(), Some(told));
        fs::copy(files.seen_path("suid"), files.seen_path("users")).unwrap();
        assert!(files.load_seen("users").is_err(), "another check's");
    }
}
