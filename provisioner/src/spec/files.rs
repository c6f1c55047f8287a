//! Reads the spec and what it includes into one tree. All reading of files for the spec happens
//! here and in `secrets`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::check::{self, Completeness};
use super::decode;
use super::diagnostic::{Findings, quoted};
use super::format::Format;
use super::glob;
use super::merge;
use super::parse;
use super::schema::{Kind, table};
use super::source::{FileId, Place, Sources};
use super::tree::{Node, Value};

/// Files that include files that include files; more is a mistake.
const MAX_INCLUDE_DEPTH: usize = 8;

/// The spec file and everything below its `include`, joined; environments not yet applied.
/// `None` when the spec file itself could not be read or is not YAML.
pub fn read_spec(path: &Path, sources: &mut Sources, findings: &mut Findings) -> Option<Node> {
    let mut reader = Reader {
        sources,
        findings,
        chain: Vec::new(),
        done: BTreeSet::new(),
    };
    reader.main(path)
}

/// Reads and parses one file that the spec names at `from`. Reports what is wrong.
pub fn read_named(
    path: &Path,
    from: Place,
    sources: &mut Sources,
    findings: &mut Findings,
) -> Option<(FileId, Node)> {
    let bytes = match read_file(path, true) {
        Ok(bytes) => bytes,
        Err(error) => {
            findings
                .error(
                    "unreadable",
                    from,
                    format!("cannot read {}: {error}", path.display()),
                )
                .help(help_for(&error));
            return None;
        }
    };
    parse_bytes(path, &bytes, sources, findings)
}

/// At most [`decode::MAX_BYTES`]. `regular`: refuse pipes and devices, which could wait for ever.
fn read_file(path: &Path, regular: bool) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a folder",
        ));
    }
    if regular && !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    let limit = decode::MAX_BYTES as u64 + 1;
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > decode::MAX_BYTES {
        let message = format!("it is larger than {} MiB", decode::MAX_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn help_for(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path; it is relative to the folder of the file",
        io::ErrorKind::PermissionDenied => "make it readable for the user that runs kai-observe",
        io::ErrorKind::IsADirectory => "name files, for example with `/*.yaml` at the end",
        io::ErrorKind::FileTooLarge => "split it; a spec of this size is a mistake",
        _ => "name a readable file",
    }
}

fn parse_bytes(
    shown: &Path,
    bytes: &[u8],
    sources: &mut Sources,
    findings: &mut Findings,
) -> Option<(FileId, Node)> {
    let text = match decode::decode(bytes) {
        Ok(text) => text,
        Err((line, column, message, help)) => {
            // a line of a file that is not text is not worth showing
            let file = sources.add(shown, "");
            let place = Place::point(file, line, column);
            findings.error("not-text", place, message).help(help);
            return None;
        }
    };
    let file = sources.add(shown, text);
    let name = shown.display().to_string();
    parse::parse(file, &name, text, findings).map(|node| (file, node))
}

struct Reader<'a> {
    sources: &'a mut Sources,
    findings: &'a mut Findings,
    /// Files that are being read, each included by the one before it.
    chain: Vec<(PathBuf, PathBuf)>,
    done: BTreeSet<PathBuf>,
}

impl Reader<'_> {
    fn main(&mut self, path: &Path) -> Option<Node> {
        let bytes = match read_file(path, false) {
            Ok(bytes) => bytes,
            Err(error) => {
                let file = self.sources.add(path, "");
                let help = match error.kind() {
                    io::ErrorKind::NotFound => "`kai-observe init` writes a first spec",
                    io::ErrorKind::IsADirectory => "name the file, for example observe.yaml",
                    _ => help_for(&error),
                };
                let message = format!("cannot read the spec: {error}");
                self.findings
                    .error("unreadable", Place::whole(file), message)
                    .help(help);
                return None;
            }
        };
        let (file, mut node) = parse_bytes(path, &bytes, self.sources, self.findings)?;
        if node.is_null() {
            self.findings
                .error("empty", Place::whole(file), "the file is empty")
                .help("`kai-observe init` writes a first spec");
            return None;
        }
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        self.part(&mut node, path, real);
        Some(node)
    }

    /// Checks one file on its own and joins what it includes into it.
    fn part(&mut self, node: &mut Node, shown: &Path, real: PathBuf) {
        let kind = Kind::Object(&table::STACK);
        check::check(node, &kind, "", Completeness::Part, self.findings);
        let folder = shown
            .parent()
            .unwrap_or_else(|| Path::new(""))
            .to_path_buf();
        self.chain.push((real, shown.to_path_buf()));
        let patterns: Vec<(String, Place)> = node
            .get("include")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|item| Some((item.text()?.to_owned(), item.place)))
            .filter(|(pattern, _)| Format::Glob.check(pattern).is_ok())
            .collect();
        for (pattern, place) in patterns {
            for path in matching(&folder, &pattern, place, self.findings) {
                self.included(node, &path, place);
            }
        }
        self.chain.pop();
    }

    fn included(&mut self, base: &mut Node, path: &Path, from: Place) {
        if let Ok(real) = fs::canonicalize(path) {
            let cycle = self.chain.iter().position(|(open, _)| *open == real);
            if let Some(start) = cycle {
                let mut names: Vec<String> = self.chain[start..]
                    .iter()
                    .map(|(_, s)| s.display().to_string())
                    .collect();
                names.push(path.display().to_string());
                self.findings
                    .error(
                        "include-cycle",
                        from,
                        format!("{} includes itself", path.display()),
                    )
                    .help(format!("the chain is {}", names.join(" → ")));
                return;
            }
            if !self.done.insert(real) {
                return;
            }
        }
        if self.chain.len() > MAX_INCLUDE_DEPTH {
            let message = format!("includes are more than {MAX_INCLUDE_DEPTH} files deep");
            self.findings
                .error("include-cycle", from, message)
                .help("include from the spec itself");
            return;
        }
        let read = read_named(path, from, self.sources, self.findings);
        let Some((file, mut part)) = read else { return };
        if part.is_null() {
            self.findings
                .warning("empty", Place::whole(file), "the included file is empty")
                .help("write its keys, or take it out of `include`");
            return;
        }
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        self.part(&mut part, path, real);
        if matches!(part.value, Value::Map(_)) {
            merge::include(base, part, self.sources, self.findings);
        }
    }
}

/// The files that a pattern of the spec names. A name without a wildcard must exist; a pattern
/// without any match is worth a warning, for it silently selects nothing.
pub fn matching(
    folder: &Path,
    pattern: &str,
    place: Place,
    findings: &mut Findings,
) -> Vec<PathBuf> {
    if !glob::is_pattern(pattern) {
        return vec![tidy(&folder.join(pattern))];
    }
    let base = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    match glob::expand(base, pattern) {
        Ok(found) if found.is_empty() => {
            let message = format!("no file matches {}", quoted(pattern));
            let help = "check the path; it is relative to the folder of the file that names it";
            findings.warning("no-match", place, message).help(help);
            Vec::new()
        }
        Ok(found) => found.iter().map(|path| tidy(path)).collect(),
        Err(error) => {
            findings
                .error(
                    "unreadable",
                    place,
                    format!("cannot follow {}: {error}", quoted(pattern)),
                )
                .help("check the path and its permissions");
            Vec::new()
        }
    }
}

/// The same file by a path that reads better: `a/../b` is `b` unless a link makes it another.
fn tidy(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let short: PathBuf = parts.iter().collect();
    match (fs::canonicalize(&short), fs::canonicalize(path)) {
        (Ok(short_real), Ok(real)) if short_real == real => short,
        _ => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidy_paths_lead_to_the_same_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/b")).expect("folders");
        fs::write(at("x.yaml"), "").expect("a file");
        fs::write(at("a/x.yaml"), "").expect("a file");
        assert_eq!(tidy(&at("a/../x.yaml")), at("x.yaml"));
        assert_eq!(tidy(&at("./a/./b/../x.yaml")), at("a/x.yaml"));
        std::os::unix::fs::symlink(at("a/b"), at("link")).expect("a link");
        assert_eq!(tidy(&at("link/../x.yaml")), at("link/../x.yaml"));
        assert_eq!(tidy(&at("none/../y.yaml")), at("none/../y.yaml"));
    }
}
