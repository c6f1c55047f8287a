//! Reads and judges the configuration file: every problem with file, line, column and what would
//! be right. Judging is pure; only [`read`] touches the disk.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use kai_contract::agent_config::{AgentConfig, Problem, VERSION, allowed_keys, nearest};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::settings::Settings;

mod positions;

use positions::Positions;

/// A larger file is not a configuration.
const LARGEST: u64 = 4 << 20;

/// A configuration that the agent can run with.
#[derive(Debug)]
pub struct Loaded {
    pub config: AgentConfig,
    pub settings: Settings,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub hash: String,
}

/// One problem and where it is, lines and columns from 1; 0 when it is about the whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Located {
    pub line: usize,
    pub column: usize,
    /// The setting, such as `applications.booking.url`; empty for the file as a whole.
    pub path: String,
    pub message: String,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    Read {
        file: PathBuf,
        source: io::Error,
    },
    Bad {
        file: PathBuf,
        problems: Vec<Located>,
    },
}

impl ConfigError {
    /// The problems as one list, whatever their kind.
    pub fn problems(&self) -> Vec<Located> {
        match self {
            Self::Read { source, .. } => vec![Located {
                line: 0,
                column: 0,
                path: String::new(),
                message: format!("cannot read the file: {source}"),
            }],
            Self::Bad { problems, .. } => problems.clone(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, source } => {
                write!(
                    out,
                    "cannot read the configuration {}: {source}",
                    file.display()
                )
            }
            Self::Bad { file, problems } => {
                for (index, problem) in problems.iter().enumerate() {
                    if index > 0 {
                        out.write_char('\n')?;
                    }
                    write!(out, "{}", file.display())?;
                    if problem.line > 0 {
                        write!(out, ":{}:{}", problem.line, problem.column)?;
                    }
                    if !problem.path.is_empty() {
                        write!(out, ": {}", problem.path)?;
                    }
                    write!(out, ": {}", problem.message)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// The file's bytes.
pub fn read(file: &Path) -> Result<Vec<u8>, ConfigError> {
    let failed = |source| ConfigError::Read {
        file: file.to_owned(),
        source,
    };
    let size = fs::metadata(file).map_err(failed)?.len();
    if size > LARGEST {
        let text = format!("it has {size} bytes, a configuration may have {LARGEST}");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, text)));
    }
    fs::read(file).map_err(failed)
}

/// SHA-256 in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}"); // writing to a String does not fail
    }
    text
}

/// Judges the file's bytes. Misspelt and doubled keys, wrong values and bad patterns are all
/// reported; of values of a wrong *type* only the first, because reading ends there.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Loaded, ConfigError> {
    let bad = |problems| ConfigError::Bad {
        file: file.to_owned(),
        problems,
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        let column = before
            .iter()
            .rev()
            .take_while(|byte| **byte != b'\n')
            .count()
            + 1;
        bad(vec![Located {
            line,
            column,
            path: String::new(),
            message: "not UTF-8 text; save the file as UTF-8".to_owned(),
        }])
    })?;
    let positions = Positions::of(text).map_err(|problem| bad(vec![problem]))?;
    let mut problems = key_problems(&positions);
    match serde_yaml::from_str::<AgentConfig>(text) {
        Ok(config) => {
            let settings = Settings::new(&config);
            let mut found = config.problems();
            let settings = settings
                .map_err(|bad_patterns| found.extend(bad_patterns))
                .ok();
            problems.extend(found.into_iter().map(|problem| positions.locate(problem)));
            if let Some(settings) = settings
                && problems.is_empty()
            {
                return Ok(Loaded {
                    config,
                    settings,
                    hash: hash(bytes),
                });
            }
        }
        Err(error) => {
            let message = error.to_string();
            // Already reported, with the nearest known name or the place of the first.
            let known = message.contains("unknown field") || message.contains("duplicate");
            if !known || problems.is_empty() {
                problems.push(serde_problem(&error, &positions));
            }
        }
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(bad(problems))
}

fn key_problems(positions: &Positions) -> Vec<Located> {
    let mut problems = Vec::new();
    for key in positions.keys() {
        let path: Vec<&str> = key.parent.iter().map(String::as_str).collect();
        let full = key.path();
        if let Some(first) = key.twin {
            problems.push(Located {
                line: key.line,
                column: key.column,
                path: full.clone(),
                message: format!(
                    "\"{}\" is already given in line {first}; keep one",
                    key.name
                ),
            });
        }
        let Some(allowed) = allowed_keys(&path) else {
            continue;
        };
        if !allowed.contains(&key.name.as_str()) {
            let hint = nearest(&key.name, allowed).map_or_else(
                || format!("known here are {}", allowed.join(", ")),
                |near| format!("did you mean \"{near}\"?"),
            );
            problems.push(Located {
                line: key.line,
                column: key.column,
                path: full,
                message: format!("there is no setting \"{}\"; {hint}", key.name),
            });
        }
    }
    problems
}

/// serde's words in the user's.
fn serde_problem(error: &serde_yaml::Error, positions: &Positions) -> Located {
    let mut message = error.to_string();
    let (line, column) = error
        .location()
        .map_or((0, 0), |location| (location.line(), location.column()));
    if let Some(at) = message.rfind(" at line ") {
        message.truncate(at);
    }
    let (path, mut message) = match message.split_once(": ") {
        Some((path, rest)) if !path.contains(' ') => (path.to_owned(), rest.to_owned()),
        _ => (String::new(), message),
    };
    for (theirs, ours) in [
        (
            "expected u64",
            "expected a whole number that is not negative",
        ),
        (
            "expected u32",
            "expected a whole number that is not negative",
        ),
        ("expected a sequence", "expected a list"),
        ("expected a boolean", "expected true or false"),
        ("expected path string", "expected a path"),
        (
            "expected struct AgentConfig",
            "expected settings such as \"listen\"",
        ),
    ] {
        message = message.replace(theirs, ours);
    }
    if let Some(at) = message.find("expected struct ") {
        message.replace_range(at.., "expected settings, one per line");
    }
    if let Some(field) = message
        .strip_prefix("missing field `")
        .and_then(|m| m.strip_suffix('`'))
    {
        let example = match field {
            "version" => format!("; write version: {VERSION}"),
            "listen" => "; write listen: 127.0.0.1:9180".to_owned(),
            _ => String::new(),
        };
        message = format!("the setting \"{field}\" is missing{example}");
        let located = positions.locate(Problem::new(path, message));
        return Located {
            line: located.line.max(1),
            column: located.column.max(1),
            ..located
        };
    }
    Located {
        line,
        column,
        path,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match parse(Path::new("agent.yaml"), text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(error) => error.to_string().lines().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn a_sound_file_is_loaded_with_its_hash() {
        let text = "version: 1\nlisten: 127.0.0.1:9180\n";
        let loaded = parse(Path::new("agent.yaml"), text.as_bytes()).unwrap();
        assert_eq!(loaded.config.listen, "127.0.0.1:9180");
        assert_eq!(loaded.hash, hash(text.as_bytes()));
        assert_eq!(
            hash(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn every_problem_has_its_place_and_what_would_be_right() {
        let text = "version: 1\nlisten: here\ncollectors:\n  disabel: [cpu]\n  vmstatFields: '('\n\
                    applications:\n  booking:\n    url: gopher://x\n";
        let found = problems(text);
        assert_eq!(
            found[0],
            "agent.yaml:4:3: collectors.disabel: there is no setting \"disabel\"; did you mean \"disable\"?"
        );
        let mended = text.replace("disabel", "disable");
        let found = problems(&mended);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("agent.yaml:2:9: listen: \"here\" is not an address"));
        assert!(found[1].starts_with("agent.yaml:5:17: collectors.vmstatFields: \"(\" is not"));
        assert!(found[2].starts_with("agent.yaml:8:10: applications.booking.url:"));
    }

    #[test]
    fn wrong_types_and_missing_settings() {
        let found = problems(
            "version: 1\nlisten: 127.0.0.1:1\nrotate:\n  - path: /a\n    maxBytes: 10MB\n    keep: 1\n",
        );
        assert_eq!(
            found,
            [
                "agent.yaml:5:15: rotate[0].maxBytes: invalid type: string \"10MB\", expected a whole \
              number that is not negative"
            ]
        );
        assert_eq!(
            problems("version: 1\n"),
            ["agent.yaml:1:1: the setting \"listen\" is missing; write listen: 127.0.0.1:9180"]
        );
        assert!(
            problems("")[0].contains("the file is empty"),
            "{:?}",
            problems("")
        );
    }

    #[test]
    fn doubled_keys_and_broken_yaml() {
        let found = problems("version: 1\nlisten: 127.0.0.1:1\nversion: 1\n");
        assert_eq!(
            found,
            ["agent.yaml:3:1: version: \"version\" is already given in line 1; keep one"]
        );
        let found = problems(
            "version: 1\napplications:\n  a: {url: 'http://h/'}\n  a: {url: 'http://h/'}\nlisten: 127.0.0.1:1\n",
        );
        assert!(
            found[0].starts_with("agent.yaml:4:3: applications.a:"),
            "{found:?}"
        );
        assert!(problems("version: [1\n")[0].starts_with("agent.yaml:"));
        assert!(problems("version: 1\n\tlisten: x\n")[0].starts_with("agent.yaml:"));
    }

    #[test]
    fn bytes_that_are_not_text_are_placed() {
        let error = parse(Path::new("a"), b"version: 1\nx\xff").unwrap_err();
        assert_eq!(
            error.to_string(),
            "a:2:2: not UTF-8 text; save the file as UTF-8"
        );
    }
}
