//! Which files there are: the globs, looked through again and again, and a hint from the kernel
//! when something was made, moved or removed in a folder. Only a hint: it may be lost, and nothing
//! depends on it but how soon a new file is seen.

use std::collections::HashSet;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use kai_contract::agent_config::LogSource;
use rustix::fs::inotify;

use super::names;

/// A `*` does not go over a slash, nor does it match hidden files, as in a shell.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The paths of one source.
#[derive(Debug)]
pub struct Globs {
    paths: Vec<String>,
    exclude: Vec<Pattern>,
}

impl Globs {
    pub fn new(source: &LogSource) -> Result<Self, String> {
        let judge = |text: &String| {
            Pattern::new(text).map_err(|error| format!("\"{text}\" is no glob: {error}"))
        };
        for path in &source.paths {
            judge(path)?;
        }
        Ok(Self {
            paths: source.paths.clone(),
            exclude: source.exclude.iter().map(judge).collect::<Result<_, _>>()?,
        })
    }

    /// The files that are there now.
    pub fn matches(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for pattern in &self.paths {
            let Ok(paths) = glob::glob_with(pattern, OPTIONS) else {
                continue; // judged before
            };
            found.extend(paths.flatten().filter(|path| self.is_wanted(path)));
        }
        found
    }

    fn is_wanted(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        !names::is_compressed(&name.to_string_lossy()) && !self.is_excluded(path)
    }

    /// Whether a file would be read if it were at this path.
    pub fn would_match(&self, path: &Path) -> bool {
        self.is_wanted(path)
            && self.paths.iter().any(|pattern| {
                Pattern::new(pattern).is_ok_and(|known| known.matches_path_with(path, OPTIONS))
            })
    }

    /// Whether the configuration says that it is not to be read.
    pub fn is_excluded(&self, path: &Path) -> bool {
        self.exclude
            .iter()
            .any(|pattern| pattern.matches_path_with(path, OPTIONS))
    }

    /// The folders above the first wildcard of each path.
    pub fn roots(&self) -> impl Iterator<Item = PathBuf> {
        self.paths.iter().filter_map(|pattern| {
            let fixed = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
            let end = pattern[..fixed].rfind('/')?;
            Some(PathBuf::from(&pattern[..end.max(1)]))
        })
    }
}

/// The kernel's hints.
#[derive(Debug)]
pub struct Hints {
    fd: Option<OwnedFd>,
    watched: HashSet<PathBuf>,
}

impl Hints {
    pub fn new() -> Self {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let fd = inotify::init(flags).ok();
        if fd.is_none() {
            tracing::warn!("no inotify: new log files are found by looking once a second");
        }
        Self {
            fd,
            watched: HashSet::new(),
        }
    }

    /// Asks for hints about a folder. Writing into files is not among them: it would wake us for
    /// every line.
    pub fn watch(&mut self, folder: &Path) {
        use inotify::WatchFlags;
        let Some(fd) = &self.fd else { return };
        if self.watched.contains(folder) {
            return;
        }
        let what = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        // Without (too many watches, no such folder yet) there is still the periodic look.
        if inotify::add_watch(fd, folder, what).is_ok() {
            self.watched.insert(folder.to_owned());
        }
    }

    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Whether something happened since the last time.
    pub fn any(&mut self) -> bool {
        let Some(fd) = &self.fd else { return false };
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(fd, &mut space);
        let mut any = false;
        let mut removed = false;
        while let Ok(event) = events.next() {
            any = true;
            removed |= event.events().intersects(
                inotify::ReadFlags::IGNORED
                    | inotify::ReadFlags::MOVE_SELF
                    | inotify::ReadFlags::DELETE_SELF
                    | inotify::ReadFlags::QUEUE_OVERFLOW,
            );
        }
        if removed {
            self.watched.clear(); // a folder of the same name may come; watching twice is harmless
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn globs(folder: &Path, paths: &[&str], exclude: &[&str]) -> Globs {
        let under = |names: &[&str]| -> Vec<String> {
            let path = |name: &&str| folder.join(name).display().to_string();
            names.iter().map(path).collect()
        };
        Globs::new(&LogSource {
            paths: under(paths),
            exclude: under(exclude),
            data_stream: "d".into(),
            ..LogSource::default()
        })
        .unwrap()
    }

    #[test]
    fn globs_mean_what_they_mean_in_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join("deep")).unwrap();
        for name in [
            "a.log",
            "a.log.1",
            "b.log",
            "b.log.2.gz",
            ".hidden.log",
            "deep/c.log",
        ] {
            fs::write(folder.join(name), "").unwrap();
        }
        let names = |globs: &Globs| -> Vec<String> {
            let name = |path: PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
            globs.matches().into_iter().map(name).collect()
        };
        assert_eq!(names(&globs(folder, &["*.log"], &[])), ["a.log", "b.log"]);
        assert_eq!(
            names(&globs(folder, &["*.log*"], &["b*"])),
            ["a.log", "a.log.1"]
        );
        assert_eq!(
            names(&globs(folder, &["**/*.log"], &[])),
            ["a.log", "b.log", "deep/c.log"]
        );
        let found = globs(folder, &["*.log"], &["b*"]);
        assert!(found.would_match(&folder.join("new.log")));
        assert!(!found.would_match(&folder.join("b.log")));
        assert!(!found.would_match(&folder.join("new.log.gz")));
        let roots: Vec<_> = globs(folder, &["*/x/*.log", "a.log"], &[])
            .roots()
            .collect();
        assert_eq!(roots, [folder, folder]);
    }

    #[test]
    fn a_new_file_is_hinted_at_and_a_written_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut hints = Hints::new();
        hints.watch(folder.path());
        assert!(!hints.any());
        fs::write(folder.path().join("a.log"), "").unwrap();
        assert!(hints.any());
        fs::write(folder.path().join("a.log"), "line").unwrap();
        assert!(!hints.any());
    }
}
