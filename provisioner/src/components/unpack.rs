//! Unpacks archives so that nothing can be written outside the target folder: every name is
//! judged, no link is followed, no device is made. A verified archive that tries is an alarm.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// More than any component unpacks to; a bomb stops here.
const LIMIT: u64 = 8 << 30;

/// Why unpacking ended.
#[derive(Debug)]
pub enum UnpackError {
    /// An entry that an honest archive does not hold.
    Unsafe { entry: String, why: String },
    /// The archive cannot be read as what its name says.
    Damaged(String),
    /// Writing failed.
    Io(io::Error),
}

impl From<io::Error> for UnpackError {
    fn from(value: io::Error) -> Self {
        Self::Io(value)
    }
}

/// Called with bytes written so far before each write; an error from it ends the work.
pub type Meter<'a> = &'a mut dyn FnMut(u64) -> io::Result<()>;

/// Unpacks by the file's name: `.tar.gz`, `.tgz` or `.zip`.
pub fn unpack(archive: &Path, target: &Path, meter: Meter<'_>) -> Result<(), UnpackError> {
    let name = super::machine::file_name(archive).to_lowercase();
    let file = File::open(archive)?;
    let ends = |suffixes: &[&str]| suffixes.iter().any(|s| name.ends_with(s));
    if ends(&[".tar.gz", ".tgz"]) {
        tar(
            flate2::read::GzDecoder::new(io::BufReader::new(file)),
            target,
            meter,
        )
    } else if ends(&[".zip"]) {
        zip(file, target, meter)
    } else {
        Err(UnpackError::Damaged(format!(
            "{name} is neither .tar.gz nor .zip"
        )))
    }
}

/// Whether a relative path stays inside the folder that it is taken from, without `..`.
pub fn is_inside(path: &Path) -> bool {
    let mut parts = path
        .components()
        .filter(|c| *c != Component::CurDir)
        .peekable();
    parts.peek().is_some() && parts.all(|c| matches!(c, Component::Normal(_)))
}

/// Whether a link at `entry` (inside the tree) that says `target` leads inside the tree too.
pub fn link_is_inside(entry: &Path, target: &Path) -> bool {
    let mut depth = entry
        .components()
        .filter(|c| matches!(c, Component::Normal(_)))
        .count() as i64;
    depth -= 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
        if depth < 0 {
            return false;
        }
    }
    true
}

/// Files written and bytes counted while one archive is unpacked.
struct Tree<'a> {
    target: &'a Path,
    links: BTreeSet<PathBuf>,
    written: u64,
    meter: Meter<'a>,
}

impl Tree<'_> {
    /// The place of an entry, its folders made. Refuses names that leave the tree and names below
    /// a link of the same archive.
    fn place(&mut self, name: &Path) -> Result<PathBuf, UnpackError> {
        let refused = |why: &str| {
            let entry = name.to_string_lossy().into_owned();
            Err(UnpackError::Unsafe {
                entry,
                why: why.into(),
            })
        };
        if !is_inside(name) {
            return refused("a name that leads outside");
        }
        let plain = plain(name);
        if plain.ancestors().skip(1).any(|a| self.links.contains(a)) {
            return refused("a name that leads through a link of the same archive");
        }
        let place = self.target.join(&plain);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(place)
    }

    fn file(&mut self, name: &Path, mode: u32, from: &mut dyn Read) -> Result<(), UnpackError> {
        let place = self.place(name)?;
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let mut file = match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&place)
        {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let entry = name.to_string_lossy().into_owned();
                return Err(UnpackError::Unsafe {
                    entry,
                    why: "a name that is there twice".into(),
                });
            }
            other => other?,
        };
        let mut block = vec![0; 128 * 1024];
        loop {
            let n = match from.read(&mut block) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(UnpackError::Damaged(e.to_string())),
            };
            self.written += n as u64;
            if self.written > LIMIT {
                return Err(UnpackError::Damaged(format!(
                    "it unpacks to more than {LIMIT} bytes"
                )));
            }
            (self.meter)(self.written)?;
            file.write_all(&block[..n])?;
        }
        // The process' umask may have taken bits away that others need to run the program.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    fn link(&mut self, name: &Path, to: &Path) -> Result<(), UnpackError> {
        if !link_is_inside(name, to) {
            let entry = name.to_string_lossy().into_owned();
            let why = format!("a link to {}, outside", to.display());
            return Err(UnpackError::Unsafe { entry, why });
        }
        let place = self.place(name)?;
        std::os::unix::fs::symlink(to, place)?;
        self.links.insert(plain(name));
        Ok(())
    }

    /// A second name for a file of this archive. Of a link it could lead elsewhere from its new
    /// place, so that is refused.
    fn hard_link(&mut self, name: &Path, to: &Path) -> Result<(), UnpackError> {
        let from = self.place(to)?;
        if self.links.contains(&plain(to)) {
            let entry = name.to_string_lossy().into_owned();
            return Err(UnpackError::Unsafe {
                entry,
                why: "a second name for a link".into(),
            });
        }
        let place = self.place(name)?;
        fs::hard_link(from, place)?;
        Ok(())
    }
}

fn plain(name: &Path) -> PathBuf {
    name.components()
        .filter(|c| matches!(c, Component::Normal(_)))
        .collect()
}

fn tar(reader: impl Read, target: &Path, meter: Meter<'_>) -> Result<(), UnpackError> {
    let damaged = |e: io::Error| UnpackError::Damaged(e.to_string());
    let mut tree = Tree {
        target,
        links: BTreeSet::new(),
        written: 0,
        meter,
    };
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.into_owned();
        let kind = entry.header().entry_type();
        let mode = entry.header().mode().unwrap_or(0o644);
        if kind.is_dir() {
            // `./` itself is no entry to make.
            if name.components().all(|c| c == Component::CurDir) {
                continue;
            }
            let place = tree.place(&name)?;
            fs::create_dir_all(place)?;
        } else if kind.is_file() {
            tree.file(&name, mode, &mut entry)?;
        } else if kind.is_symlink() {
            let to = entry
                .link_name()
                .map_err(damaged)?
                .unwrap_or_default()
                .into_owned();
            tree.link(&name, &to)?;
        } else if kind.is_hard_link() {
            let to = entry
                .link_name()
                .map_err(damaged)?
                .unwrap_or_default()
                .into_owned();
            tree.hard_link(&name, &to)?;
        } else if kind.is_pax_global_extensions() || kind.is_pax_local_extensions() {
        } else {
            let entry = name.to_string_lossy().into_owned();
            return Err(UnpackError::Unsafe {
                entry,
                why: "neither file, folder nor link".into(),
            });
        }
    }
    Ok(())
}

fn zip(file: File, target: &Path, meter: Meter<'_>) -> Result<(), UnpackError> {
    let damaged = |e: zip::result::ZipError| UnpackError::Damaged(e.to_string());
    let mut tree = Tree {
        target,
        links: BTreeSet::new(),
        written: 0,
        meter,
    };
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(damaged)?;
    for n in 0..archive.len() {
        let mut entry = archive.by_index(n).map_err(damaged)?;
        let name = PathBuf::from(entry.name().replace('\\', "/"));
        let mode = entry.unix_mode().unwrap_or(0o644);
        if entry.is_symlink() {
            let mut to = String::new();
            let read = entry.by_ref().take(4096).read_to_string(&mut to);
            read.map_err(|e| UnpackError::Damaged(e.to_string()))?;
            tree.link(&name, Path::new(&to))?;
        } else if entry.is_dir() {
            let place = tree.place(&name)?;
            fs::create_dir_all(place)?;
        } else {
            tree.file(&name, mode, &mut entry)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tar.gz whose names are written as they are, which the tar crate's own builder refuses.
    fn archive(entries: &[(&str, tar::EntryType, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.tar.gz");
        let gz = flate2::write::GzEncoder::new(
            File::create(&path).expect("a file"),
            flate2::Compression::fast(),
        );
        let mut builder = tar::Builder::new(gz);
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            let body = if kind.is_file() {
                content.as_bytes()
            } else {
                b""
            };
            if !kind.is_file() {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
            }
            header.set_size(body.len() as u64);
            header.set_cksum();
            builder.append(&header, body).expect("appended");
        }
        builder
            .into_inner()
            .expect("finished")
            .finish()
            .expect("finished");
        (dir, path)
    }

    fn try_unpack(
        entries: &[(&str, tar::EntryType, &str)],
    ) -> Result<tempfile::TempDir, UnpackError> {
        let (_keep, path) = archive(entries);
        let target = tempfile::tempdir().expect("a folder");
        unpack(&path, &target.path().join("in"), &mut |_| Ok(()))?;
        Ok(target)
    }

    use tar::EntryType::{Char, Directory, Link, Regular, Symlink};

    #[test]
    fn unpacks_files_folders_and_inner_links() {
        let target = try_unpack(&[
            ("./", Directory, ""),
            ("./d/", Directory, ""),
            ("./d/prog", Regular, "body"),
            ("./d/alias", Symlink, "prog"),
            ("./again", Link, "./d/prog"),
        ])
        .expect("unpacked");
        let inside = target.path().join("in");
        for name in ["d/prog", "d/alias", "again"] {
            assert_eq!(
                fs::read_to_string(inside.join(name)).expect("there"),
                "body",
                "{name}"
            );
        }
        assert!(super::super::machine::is_executable(&inside.join("d/prog")));
    }

    #[test]
    fn refuses_what_leads_outside() {
        let cases: &[&[(&str, tar::EntryType, &str)]] = &[
            &[("../evil", Regular, "x")],
            &[("a/../../evil", Regular, "x")],
            &[("/tmp/kai-evil", Regular, "x")],
            &[("l", Symlink, "/etc")],
            &[("l", Symlink, "../..")],
            &[("d/l", Symlink, ".."), ("d/l/evil", Regular, "x")],
            &[("l", Symlink, "d"), ("l/evil", Regular, "x")],
            &[("h", Link, "../../etc/passwd")],
            &[("a/b/l", Symlink, "../../x"), ("h", Link, "a/b/l")],
            &[("dev", Char, "")],
            &[("a", Regular, "x"), ("a", Regular, "y")],
        ];
        for case in cases {
            match try_unpack(case) {
                Err(UnpackError::Unsafe { .. }) => {}
                other => panic!("{case:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn damaged_and_foreign_files_are_said_to_be() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["x.tar.gz", "x.zip", "x.rar"] {
            let path = dir.path().join(name);
            fs::write(&path, "<html>").expect("a file");
            match unpack(&path, &dir.path().join("in"), &mut |_| Ok(())) {
                Err(UnpackError::Damaged(_)) => {}
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn zip_entries_are_judged_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let make = |name: &str, entry: &str| {
            let path = dir.path().join(name);
            let mut writer = zip::ZipWriter::new(File::create(&path).expect("a file"));
            let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
            writer.start_file(entry, options).expect("an entry");
            writer.write_all(b"body").expect("written");
            writer.finish().expect("finished");
            path
        };
        let good = make("good.zip", "e-1/bin/e");
        unpack(&good, &dir.path().join("good"), &mut |_| Ok(())).expect("unpacked");
        assert!(super::super::machine::is_executable(
            &dir.path().join("good/e-1/bin/e")
        ));
        let evil = make("evil.zip", "../evil");
        match unpack(&evil, &dir.path().join("evil"), &mut |_| Ok(())) {
            Err(UnpackError::Unsafe { entry, .. }) => assert_eq!(entry, "../evil"),
            other => panic!("{other:?}"),
        }
        assert!(!dir.path().join("evil").exists());
    }

    #[test]
    fn a_full_disk_ends_the_work_as_such() {
        let (_keep, path) = archive(&[("a", Regular, "x")]);
        let target = tempfile::tempdir().expect("a folder");
        let full = &mut |_| Err(io::ErrorKind::StorageFull.into());
        match unpack(&path, target.path(), full) {
            Err(UnpackError::Io(e)) => assert_eq!(e.kind(), io::ErrorKind::StorageFull),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        /// Whatever the names are, nothing appears beside the target folder.
        #[test]
        fn names_never_escape(names in proptest::collection::vec("(\\.\\./|\\./|/|[ab]/){0,4}[ab.]{0,3}", 1..5), links in proptest::collection::vec(("[ab]{1,2}", "(\\.\\./|[ab]/|/){0,3}[ab.]{1,2}"), 0..3)) {
            let mut entries: Vec<(&str, tar::EntryType, &str)> = Vec::new();
            for (name, to) in &links {
                entries.push((name, Symlink, to));
            }
            for name in &names {
                entries.push((name, Regular, "x"));
            }
            let (_keep, path) = archive(&entries);
            let outer = tempfile::tempdir().expect("a folder");
            let _ = unpack(&path, &outer.path().join("one/two"), &mut |_| Ok(()));
            let beside: Vec<_> = fs::read_dir(outer.path()).expect("there").flatten().map(|e| e.file_name()).collect();
            prop_assert!(beside.iter().all(|n| n == "one"), "{:?}", beside);
            if let Ok(inner) = fs::read_dir(outer.path().join("one")) {
                prop_assert!(inner.flatten().all(|e| e.file_name() == "two"));
            }
        }

        #[test]
        fn links_are_judged_like_the_file_system_does(target in "(\\.\\./|[ab]/|\\./){0,5}[ab]") {
            let entry = Path::new("a/b/link");
            let mut depth = 2i32;
            let mut escaped = false;
            for part in target.split('/') {
                match part { ".." => depth -= 1, "." | "" => {}, _ => depth += 1 }
                escaped |= depth < 0;
            }
            prop_assert_eq!(link_is_inside(entry, Path::new(&target)), !escaped);
        }
    }
}
