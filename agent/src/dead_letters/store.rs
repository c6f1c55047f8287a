//! The letters on disk, as somebody else than the running agent sees them. What is dealt with is
//! noted in a file beside (`00000003.done`, an id a line): the agent may have the letters' file open.
//! It removes both together; here only files that it no longer writes to are removed, once all their
//! letters are dealt with.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::logs::letters::{Letter, done_file, number_of};

/// One letter and where it is.
#[derive(Debug)]
pub struct Kept {
    pub letter: Letter,
    pub file: u64,
}

/// What is in a folder of letters.
#[derive(Debug, Default)]
pub struct Contents {
    /// Oldest first, each id once.
    pub letters: Vec<Kept>,
    /// Lines that are no letters: the half of one that a crash left, or somebody's edits.
    pub unreadable: u64,
}

pub fn read(folder: &Path) -> io::Result<Contents> {
    let mut out = Contents::default();
    let mut seen = HashSet::new();
    for (number, path) in files(folder)? {
        let done = done(folder, number)?;
        // The agent may have removed it meanwhile.
        let Some(text) = there(fs::read(&path))? else {
            continue;
        };
        for line in text.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice::<Letter>(line) {
                Ok(letter) if done.contains(&letter.id) || !seen.insert(letter.id.clone()) => {}
                Ok(letter) => out.letters.push(Kept {
                    letter,
                    file: number,
                }),
                Err(_) => out.unreadable += 1,
            }
        }
    }
    Ok(out)
}

/// Notes durably that letters are dealt with.
pub fn settle(folder: &Path, settled: &[&Kept]) -> io::Result<()> {
    let mut by_file: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for kept in settled {
        by_file.entry(kept.file).or_default().push(&kept.letter.id);
    }
    for (number, ids) in by_file {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(done_file(folder, number))?;
        file.write_all(format!("{}\n", ids.join("\n")).as_bytes())?;
        file.sync_data()?;
    }
    Ok(())
}

/// Removes files of which nothing is left, the newest apart, which the agent may be writing to.
pub fn tidy(folder: &Path) -> io::Result<()> {
    let left: HashSet<u64> = read(folder)?.letters.iter().map(|kept| kept.file).collect();
    let mut files = files(folder)?;
    files.pop();
    for (number, path) in files {
        if !left.contains(&number) {
            there(fs::remove_file(path))?;
            there(fs::remove_file(done_file(folder, number)))?;
        }
    }
    Ok(())
}

fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let Some(entries) = there(fs::read_dir(folder))? else {
        return Ok(Vec::new());
    };
    let mut out = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(number) = number_of(&path) {
            out.push((number, path));
        }
    }
    out.sort_unstable();
    Ok(out)
}

fn done(folder: &Path, number: u64) -> io::Result<HashSet<String>> {
    let text = there(fs::read_to_string(done_file(folder, number)))?;
    Ok(text
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect())
}

fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::letters::Letters;

    fn letter(id: &str) -> Letter {
        Letter {
            at: 1,
            source: "a".into(),
            data_stream: "logs".into(),
            id: id.into(),
            status: 400,
            kind: "k".into(),
            reason: "r".into(),
            document: "{}".into(),
        }
    }

    fn ids(folder: &Path) -> Vec<String> {
        let contents = read(folder).unwrap();
        contents
            .letters
            .into_iter()
            .map(|kept| kept.letter.id)
            .collect()
    }

    #[test]
    fn what_is_settled_is_gone_and_the_agent_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(ids(folder).is_empty());
        // Each start of the agent begins a file.
        for id in ["1", "2", "2", "3"] {
            let letters = Letters::open(folder.to_owned(), 1 << 20).unwrap();
            letters.write(&[letter(id)]).unwrap();
        }
        let agent = Letters::open(folder.to_owned(), 1 << 20).unwrap();
        agent.write(&[letter("4")]).unwrap();
        assert_eq!(ids(folder), ["1", "2", "3", "4"]);

        let contents = read(folder).unwrap();
        let settled: Vec<&Kept> = contents
            .letters
            .iter()
            .filter(|kept| ["1", "4"].contains(&kept.letter.id.as_str()))
            .collect();
        settle(folder, &settled).unwrap();
        tidy(folder).unwrap();
        assert_eq!(ids(folder), ["2", "3"]);
        assert!(!folder.join("00000001.jsonl").exists());
        assert!(!folder.join("00000001.done").exists());
        // The one that the agent has open stays.
        assert!(folder.join("00000005.jsonl").exists());
        agent.write(&[letter("5")]).unwrap();
        assert_eq!(ids(folder), ["2", "3", "5"]);
    }

    #[test]
    fn half_a_letter_is_counted_and_passed_by() {
        let folder = tempfile::tempdir().unwrap();
        let text = serde_json::to_string(&letter("1")).unwrap();
        fs::write(
            folder.path().join("00000001.jsonl"),
            format!("{text}\n\u{0}\n{}", &text[..9]),
        )
        .unwrap();
        let contents = read(folder.path()).unwrap();
        assert_eq!((contents.letters.len(), contents.unreadable), (1, 2));
    }
}
