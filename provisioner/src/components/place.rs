//! The cache folder: how a tree gets into it whole or not at all, and how it is found again.
//!
//! ```text
//! <cache>/components/<name>/<version>-<source>-<os>-<arch>/   the tree, with kai-component.json
//! <cache>/tmp/<name>/…        work of a run; removed by the next run of the same component
//! <cache>/downloads/<name>/…  partial downloads, kept to be resumed
//! <cache>/quarantine/…        entries whose bytes changed after they were placed
//! <cache>/locks/  memo/  apt/
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Verification;
use super::digest::Memo;
use super::error::{ComponentError, cache_error};
use super::lock::Checksums;
use super::machine::{Platform, is_executable};
use crate::model::SourceKind;

const MANIFEST: &str = "kai-component.json";

/// What an entry of the cache is and how its programs looked when they were placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub name: String,
    /// `3.5.3`
    pub version: String,
    /// As the source calls it: `3.5.3+ds1-6`.
    pub release: String,
    pub source: String,
    pub os: String,
    pub arch: String,
    pub coordinate: String,
    /// What the source published; pinned in `observe.lock` under `release`.
    pub published: Checksums,
    pub verification: Verification,
    pub programs: BTreeMap<String, PlacedProgram>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacedProgram {
    /// Below the entry's folder.
    pub path: PathBuf,
    pub size: u64,
    pub mtime_ns: i128,
    pub sha256: String,
}

/// An entry of the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub folder: PathBuf,
    pub manifest: Manifest,
    pub source: SourceKind,
}

/// What a source hands over to be placed.
#[derive(Debug)]
pub struct Delivery {
    /// Folder with the tree; moved away by `place`.
    pub tree: PathBuf,
    pub version: String,
    pub release: String,
    pub source: SourceKind,
    pub coordinate: String,
    pub published: Checksums,
    pub verification: Verification,
    /// Program → path below `tree`.
    pub programs: BTreeMap<String, PathBuf>,
}

/// The cache folder of one component.
#[derive(Debug, Clone)]
pub struct Shelf {
    cache: PathBuf,
    name: String,
}

impl Shelf {
    pub fn new(cache: &Path, name: &str) -> Self {
        Self {
            cache: cache.into(),
            name: name.into(),
        }
    }

    /// All readable entries for `platform`. An entry without a readable manifest is no entry.
    pub fn entries(&self, platform: &Platform) -> Vec<Entry> {
        let Ok(folders) = fs::read_dir(self.cache.join("components").join(&self.name)) else {
            return Vec::new();
        };
        let mut entries: Vec<Entry> = folders
            .filter_map(|f| Some(f.ok()?.path()))
            .filter_map(|folder| {
                let manifest: Manifest =
                    serde_json::from_slice(&fs::read(folder.join(MANIFEST)).ok()?).ok()?;
                let source = SourceKind::ALL
                    .into_iter()
                    .find(|s| s.word() == manifest.source)?;
                let inside = manifest
                    .programs
                    .values()
                    .all(|p| super::unpack::is_inside(&p.path));
                (inside
                    && manifest.name == self.name
                    && manifest.os == platform.os
                    && manifest.arch == platform.arch)
                    .then_some(Entry {
                        folder,
                        manifest,
                        source,
                    })
            })
            .collect();
        entries.sort_by(|a, b| a.folder.cmp(&b.folder));
        entries
    }

    /// Folder for a run's own work, empty; what killed runs left there is removed. Only for the
    /// holder of the component's guard.
    pub fn workspace(&self) -> Result<tempfile::TempDir, ComponentError> {
        let folder = self.cache.join("tmp").join(&self.name);
        remove_tree(&folder).map_err(|e| cache_error("empty", &folder, e))?;
        fs::create_dir_all(&folder).map_err(|e| cache_error("create folder", &folder, e))?;
        tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&folder)
            .map_err(|e| cache_error("create a folder in", &folder, e))
    }

    /// Where downloads of this component lie until they are unpacked.
    pub fn downloads(&self) -> Result<PathBuf, ComponentError> {
        let folder = self.cache.join("downloads").join(&self.name);
        fs::create_dir_all(&folder).map_err(|e| cache_error("create folder", &folder, e))?;
        Ok(folder)
    }

    /// Moves the tree into the cache by one rename, after everything in it has reached the disk.
    pub fn place(&self, delivery: Delivery, platform: &Platform) -> Result<Entry, ComponentError> {
        let failed = |e| cache_error("place a component in", &self.cache, e);
        let mut programs = BTreeMap::new();
        for (program, path) in &delivery.programs {
            let file = delivery.tree.join(path);
            let metadata = fs::metadata(&file).map_err(failed)?;
            let sha256 =
                super::digest::hash_file(&file, super::catalogue::Algorithm::Sha256, &mut |_| {})
                    .map_err(failed)?;
            let placed = PlacedProgram {
                path: path.clone(),
                size: metadata.len(),
                mtime_ns: mtime_ns(&metadata),
                sha256,
            };
            programs.insert(program.clone(), placed);
        }
        let manifest = Manifest {
            name: self.name.clone(),
            version: delivery.version,
            release: delivery.release,
            source: delivery.source.word().into(),
            os: platform.os.clone(),
            arch: platform.arch.clone(),
            coordinate: delivery.coordinate,
            published: delivery.published,
            verification: delivery.verification,
            programs,
        };
        let text = serde_json::to_vec_pretty(&manifest).map_err(|e| failed(e.into()))?;
        fs::write(delivery.tree.join(MANIFEST), text).map_err(failed)?;
        sync_tree(&delivery.tree).map_err(failed)?;
        let folder = self.cache.join("components").join(&self.name).join(format!(
            "{}-{}-{}-{}",
            plain(&manifest.release),
            manifest.source,
            manifest.os,
            manifest.arch
        ));
        let parent = self.cache.join("components").join(&self.name);
        fs::create_dir_all(&parent).map_err(failed)?;
        if folder.symlink_metadata().is_ok() {
            self.quarantine(&folder)?;
        }
        fs::rename(&delivery.tree, &folder).map_err(failed)?;
        File::open(&parent)
            .and_then(|f| f.sync_all())
            .map_err(failed)?;
        Ok(Entry {
            folder,
            manifest,
            source: delivery.source,
        })
    }

    /// Moves an entry out of the way, kept for whoever wants to know what changed it.
    pub fn quarantine(&self, entry: &Path) -> Result<PathBuf, ComponentError> {
        let folder = self.cache.join("quarantine");
        let failed = |e| cache_error("move an entry to", &folder, e);
        fs::create_dir_all(&folder).map_err(failed)?;
        let name = super::machine::file_name(entry);
        for n in 0..u32::MAX {
            let target = folder.join(format!("{}-{name}-{n}", self.name));
            if target.symlink_metadata().is_err() {
                fs::rename(entry, &target).map_err(failed)?;
                return Ok(target);
            }
        }
        Err(failed(io::ErrorKind::AlreadyExists.into()))
    }
}

impl Entry {
    /// Whether every program is there with the size and time it was placed with: a few system
    /// calls, no reading.
    pub fn looks_intact(&self) -> bool {
        self.manifest.programs.values().all(|p| {
            let file = self.folder.join(&p.path);
            is_executable(&file)
                && fs::metadata(&file)
                    .is_ok_and(|m| m.len() == p.size && mtime_ns(&m) == p.mtime_ns)
        })
    }

    /// Whether every program still has the bytes it was placed with.
    pub fn is_intact(&self, memo: &Memo) -> bool {
        self.manifest.programs.values().all(|p| {
            let file = self.folder.join(&p.path);
            is_executable(&file) && memo.sha256(&file).is_ok_and(|digest| digest == p.sha256)
        })
    }

    /// Program → absolute path.
    pub fn program_paths(&self) -> BTreeMap<String, PathBuf> {
        let programs = self.manifest.programs.iter();
        programs
            .map(|(name, p)| (name.clone(), self.folder.join(&p.path)))
            .collect()
    }
}

fn mtime_ns(metadata: &fs::Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

/// A version as part of a folder's name.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || ".+~-_".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// Writes beside the file, syncs and renames, so that a reader sees the old or the new text.
pub fn write_atomically(path: &Path, text: &[u8]) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".kai-")
        .tempfile_in(parent)?;
    file.write_all(text)?;
    // A temporary file is private; what replaces a file keeps that file's mode, else the usual one.
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_or(0o644, |m| m.permissions().mode() & 0o777);
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    File::open(parent)?.sync_all()
}

/// Removes a tree, also one with read-only folders as Go's module cache has them.
pub fn remove_tree(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match fs::remove_dir_all(folder) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
        Err(e) => return Err(e),
    }
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        fs::set_permissions(&next, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&next)?.flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    fs::remove_dir_all(folder)
}

/// Brings every file and folder of the tree to the disk.
fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn deliver(shelf: &Shelf, body: &str) -> Entry {
        let work = shelf.workspace().expect("a folder");
        let tree = work.path().join("tree");
        fs::create_dir_all(tree.join("bin")).expect("a folder");
        fs::write(tree.join("bin/p"), body).expect("a file");
        fs::set_permissions(tree.join("bin/p"), fs::Permissions::from_mode(0o755)).expect("mode");
        let delivery = Delivery {
            tree,
            version: "1.2.3".into(),
            release: "1:1.2.3+ds-1".into(),
            source: SourceKind::Debian,
            coordinate: "p".into(),
            published: BTreeMap::new(),
            verification: Verification::Unverified {
                why: "a test".into(),
            },
            programs: [("p".to_string(), PathBuf::from("bin/p"))].into(),
        };
        shelf.place(delivery, &Platform::this()).expect("placed")
    }

    #[test]
    fn placed_entries_are_found_and_edits_are_seen() {
        let dir = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::new(dir.path(), "x");
        let entry = deliver(&shelf, "one");
        assert_eq!(shelf.entries(&Platform::this()), vec![entry.clone()]);
        let memo = Memo::new(dir.path());
        assert!(entry.looks_intact() && entry.is_intact(&memo));
        let other = Platform {
            os: "linux".into(),
            arch: "riscv64".into(),
        };
        assert_eq!(shelf.entries(&other), Vec::new());
        // Same size: only the time and the bytes tell.
        fs::write(entry.folder.join("bin/p"), "two").expect("a file");
        assert!(!entry.is_intact(&memo));
        // Placing again moves the changed entry aside.
        let again = deliver(&shelf, "one");
        assert_eq!(again.folder, entry.folder);
        assert!(again.is_intact(&memo));
        assert_eq!(
            fs::read_dir(dir.path().join("quarantine"))
                .expect("there")
                .count(),
            1
        );
        assert_eq!(
            fs::read_dir(dir.path().join("tmp/x"))
                .expect("there")
                .count(),
            0
        );
    }

    #[test]
    fn what_a_killed_run_left_is_removed_even_read_only() {
        let dir = tempfile::tempdir().expect("a folder");
        let left = dir.path().join("tmp/x/run-old/mod");
        fs::create_dir_all(&left).expect("a folder");
        fs::write(left.join("f"), "").expect("a file");
        fs::set_permissions(&left, fs::Permissions::from_mode(0o500)).expect("a mode");
        let _work = Shelf::new(dir.path(), "x").workspace().expect("a folder");
        assert!(!left.exists());
    }

    #[test]
    fn a_manifest_cannot_point_outside() {
        let dir = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::new(dir.path(), "x");
        let entry = deliver(&shelf, "one");
        let file = entry.folder.join(MANIFEST);
        let text = fs::read_to_string(&file)
            .expect("there")
            .replace("bin/p", "../../../p");
        fs::write(&file, text).expect("a file");
        assert_eq!(shelf.entries(&Platform::this()), Vec::new());
    }
}
