//! Path patterns of `include` and `alerts.rules`: `*` and `?` within one name, `[a-z]`, and `**`
//! for any number of folders. As in a shell, hidden names must be named, and the result is sorted.

use std::path::{Path, PathBuf};

/// More entries than this in the folders of one pattern is a pattern at the wrong place.
const MAX_ENTRIES: usize = 20_000;

/// Why a pattern could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum GlobError {
    #[error("cannot read the folder {}: {source}", path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the pattern looks at more than {MAX_ENTRIES} files and folders")]
    TooMany,
}

/// Does the text use a wildcard? Otherwise it names one file, which must exist.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The files that match, sorted by name. `base` is where a relative pattern starts.
pub fn expand(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, GlobError> {
    let (mut roots, steps) = match pattern.strip_prefix('/') {
        Some(rest) => (vec![PathBuf::from("/")], rest),
        None => (vec![base.to_path_buf()], pattern),
    };
    let steps: Vec<&str> = steps
        .split('/')
        .filter(|s| !s.is_empty() && *s != ".")
        .collect();
    let mut seen = 0;
    for (index, step) in steps.iter().enumerate() {
        let last = index + 1 == steps.len();
        let mut next = Vec::new();
        for root in &roots {
            if *step == "**" {
                folders_below(root, &mut next, &mut seen)?;
            } else if is_pattern(step) {
                for (name, path) in entries(root, &mut seen)? {
                    let hidden = name.starts_with('.') && !step.starts_with('.');
                    if !hidden && matches(step, &name) && (last || path.is_dir()) {
                        next.push(path);
                    }
                }
            } else {
                let path = root.join(step);
                if path.exists() {
                    next.push(path);
                }
            }
        }
        roots = next;
    }
    // `a/**` means the files below `a`
    if steps.last() == Some(&"**") {
        let mut files = Vec::new();
        for root in &roots {
            files.extend(entries(root, &mut seen)?.into_iter().map(|(_, path)| path));
        }
        roots = files;
    }
    roots.retain(|path| !path.is_dir());
    roots.sort();
    roots.dedup();
    Ok(roots)
}

fn entries(folder: &Path, seen: &mut usize) -> Result<Vec<(String, PathBuf)>, GlobError> {
    let failed = |source| GlobError::Folder {
        path: folder.to_path_buf(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        *seen += 1;
        if *seen > MAX_ENTRIES {
            return Err(GlobError::TooMany);
        }
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// `root` and all folders below it, links not followed, hidden ones left out.
fn folders_below(root: &Path, found: &mut Vec<PathBuf>, seen: &mut usize) -> Result<(), GlobError> {
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for (name, path) in entries(&folder, seen)? {
            if !name.starts_with('.') && path.is_dir() && !path.is_symlink() {
                open.push(path);
            }
        }
        found.push(folder);
    }
    Ok(())
}

/// Does one name match one step of a pattern?
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // where to try again: after the last star, one character further
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match step(&pattern, p, name[n]) {
            Step::Star => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            Step::One(next) => {
                p = next;
                n += 1;
                continue;
            }
            Step::No => {}
        }
        match retry {
            Some((after, from)) => {
                retry = Some((after, from + 1));
                p = after;
                n = from + 1;
            }
            None => return false,
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|c| *c == '*')
}

enum Step {
    Star,
    One(usize),
    No,
}

fn step(pattern: &[char], p: usize, c: char) -> Step {
    match pattern.get(p) {
        Some('*') => Step::Star,
        Some('?') => Step::One(p + 1),
        Some('[') => match class(pattern, p, c) {
            Some((true, next)) => Step::One(next),
            Some((false, _)) => Step::No,
            // an unclosed bracket stands for itself
            None if c == '[' => Step::One(p + 1),
            None => Step::No,
        },
        Some(own) if *own == c => Step::One(p + 1),
        _ => Step::No,
    }
}

/// `[a-z]`, `[!a-z]` at `p`: does `c` belong, and where does the pattern go on?
fn class(pattern: &[char], p: usize, c: char) -> Option<(bool, usize)> {
    let mut at = p + 1;
    let negated = matches!(pattern.get(at), Some('!' | '^'));
    if negated {
        at += 1;
    }
    let first = at;
    let mut inside = false;
    loop {
        let from = *pattern.get(at)?;
        if from == ']' && at > first {
            return Some((inside != negated, at + 1));
        }
        let is_range = pattern.get(at + 1) == Some(&'-') && pattern.get(at + 2) != Some(&']');
        if is_range && let Some(to) = pattern.get(at + 2) {
            inside |= (from..=*to).contains(&c);
            at += 3;
        } else {
            inside |= from == c;
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, name) in [
            ("*.yaml", "a.yaml"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("*", "x"),
            ("a*b*c", "aXbYbc"),
            ("[", "["),
            ("é*", "éa"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.yaml", "a.yml"),
            ("a?c", "ac"),
            ("[a-c]x", "dx"),
            ("[!a]x", "ax"),
            ("a", "ab"),
            ("", "a"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn files_are_found_and_sorted() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "r/b.yaml",
            "r/a.yaml",
            "r/.hidden.yaml",
            "t/x/rules/c.yaml",
            "t/y/rules/d.yaml",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, "").expect("a file");
        }
        let found = |pattern: &str| -> Vec<String> {
            let strip = |p: PathBuf| {
                p.strip_prefix(folder.path())
                    .expect("inside")
                    .display()
                    .to_string()
            };
            expand(folder.path(), pattern)
                .expect("readable")
                .into_iter()
                .map(strip)
                .collect()
        };
        assert_eq!(found("r/*.yaml"), ["r/a.yaml", "r/b.yaml"]);
        assert_eq!(
            found("t/*/rules/*.yaml"),
            ["t/x/rules/c.yaml", "t/y/rules/d.yaml"]
        );
        assert_eq!(
            found("**/[cd].yaml"),
            ["t/x/rules/c.yaml", "t/y/rules/d.yaml"]
        );
        assert_eq!(found("./r/a.yaml"), ["r/a.yaml"]);
        assert!(found("nothing/*.yaml").is_empty());
        let error = expand(folder.path(), "r/a.yaml/*").expect_err("a file is no folder");
        assert!(
            error.to_string().contains("cannot read the folder"),
            "{error}"
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
        #[test]
        fn any_pattern_is_survived(pattern in "[a-c*?\\[\\]!^-]{0,12}", name in "[a-c\\[\\]-]{0,12}") {
            matches(&pattern, &name);
        }
    }
}
