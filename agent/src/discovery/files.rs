//! Target files as they lie: read when they changed, and kept as they were when they cannot be read
//! any more, so that a slip of somebody's editor takes no target away.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::file_sd::{self, Form, Group};
use super::wanted::{self, Wanted};

/// Files that are read at most, and of each at most.
const MOST_FILES: usize = 500;
const LARGEST: u64 = 4 << 20;

/// What one file last said.
#[derive(Debug, Default)]
struct Known {
    mark: Option<Mark>,
    groups: Vec<Group>,
    /// Why it could not be read the last time.
    wrong: Option<String>,
}

/// Two looks at a file that see the same see the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    inode: u64,
    size: u64,
    modified: Option<SystemTime>,
}

#[derive(Debug, Default)]
pub struct Files {
    known: BTreeMap<PathBuf, Known>,
}

/// What came of a look.
#[derive(Debug, Default)]
pub struct Look {
    pub wanted: Vec<Wanted>,
    pub files: usize,
    /// Files that are bad now, with what is wrong.
    pub bad: Vec<(PathBuf, String)>,
    /// Of those, how many were found to be so by this look.
    pub failures: u64,
    /// Targets that cannot be scraped, with the reason.
    pub refused: Vec<(PathBuf, String)>,
}

impl Files {
    pub fn look(&mut self, globs: &[String]) -> Look {
        let mut out = Look::default();
        let mut there: Vec<PathBuf> = Vec::new();
        for pattern in globs {
            // It was checked with the configuration.
            for path in glob::glob(pattern).into_iter().flatten().flatten() {
                if !there.contains(&path) && there.len() < MOST_FILES {
                    there.push(path);
                }
            }
        }
        self.known.retain(|path, _| there.contains(path));
        for path in there {
            let known = self.known.entry(path.clone()).or_default();
            let mark = mark(&path);
            if mark.is_none() || mark != known.mark {
                match read(&path) {
                    Ok(groups) => {
                        known.groups = groups;
                        known.wrong = None;
                    }
                    Err(reason) => {
                        out.failures += 1;
                        known.wrong = Some(reason);
                    }
                }
                known.mark = mark;
            }
            if let Some(reason) = &known.wrong {
                out.bad.push((path.clone(), reason.clone()));
            }
            out.files += 1;
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            for group in &known.groups {
                let (found, refused) = wanted::of_group(group, &stem);
                out.wanted.extend(found);
                let refused = refused.into_iter().map(|reason| (path.clone(), reason));
                out.refused.extend(refused);
            }
        }
        out
    }
}

fn mark(path: &Path) -> Option<Mark> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some(Mark {
        inode: metadata.ino(),
        size: metadata.size(),
        modified: metadata.modified().ok(),
    })
}

fn read(path: &Path) -> Result<Vec<Group>, String> {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let form = if extension == "json" {
        Form::Json
    } else {
        Form::Yaml
    };
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let kind = file.metadata().map_err(|error| error.to_string())?;
    if !kind.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it is larger than {} MiB", LARGEST >> 20));
    }
    file_sd::read(form, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_file_keeps_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let globs = [format!("{}/*.yaml", folder.path().display())];
        let mut files = Files::default();
        assert_eq!(files.look(&globs).files, 0);
        std::fs::write(&path, "- targets: ['h:1', 'bad target']\n").unwrap();
        let look = files.look(&globs);
        assert_eq!((look.wanted.len(), look.refused.len()), (1, 1));
        std::fs::write(&path, "- targets: [h:1, \n").unwrap();
        let look = files.look(&globs);
        assert_eq!(
            (look.wanted.len(), look.bad.len(), look.failures),
            (1, 1, 1)
        );
        // It is still bad, and that was counted.
        let look = files.look(&globs);
        assert_eq!((look.bad.len(), look.failures), (1, 0));
        std::fs::write(&path, "- targets: [h:2]\n- targets: [h:3]\n").unwrap();
        assert_eq!(files.look(&globs).wanted.len(), 2);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(files.look(&globs).wanted.len(), 0);
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::File::create(&path)
            .unwrap()
            .set_len(LARGEST + 1)
            .unwrap();
        let look = Files::default().look(&[path.display().to_string()]);
        assert!(look.bad[0].1.contains("larger"), "{look:?}");
    }
}
