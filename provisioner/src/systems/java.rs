//! Starting a Java server such as Elasticsearch: which Java, which user, and a folder of
//! configuration of its own, since it writes into it (its keystore) and the program's folder is
//! shared by all stacks.
//!
//! Run by root, such a server is started as `nobody`. What that user cannot reach is put where it
//! can: the server's data by [`Layout::open`], the program by a copy below [`OPEN`].

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use super::file::{self, FileError};
use super::process::ProcessError;
use super::user::{User, unprivileged};
use crate::components::catalogue::Catalogue;
use crate::components::version::Version;
use crate::components::{Installed, java};
use crate::layout::{Layout, OPEN};
use crate::model::SourceKind;
use crate::resource::JavaServer;

/// How a program is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub program: PathBuf,
    pub env: BTreeMap<String, String>,
    /// The folder it starts in.
    pub folder: PathBuf,
    /// In place of root.
    pub user: Option<User>,
}

impl Prepared {
    pub fn as_it_is(program: &Path, folder: &Path) -> Self {
        Self {
            program: program.to_owned(),
            env: BTreeMap::new(),
            folder: folder.to_owned(),
            user: None,
        }
    }
}

/// Makes the server's folders anew but for its data, and says how to start it.
pub fn prepare(
    server: &JavaServer,
    installed: &Installed,
    program: &Path,
    layout: &Layout,
) -> Result<Prepared, ProcessError> {
    let user = unprivileged();
    let home = program
        .parent()
        .and_then(Path::parent)
        .ok_or_else(|| ProcessError::Prepare(format!("{} lies in no folder", program.display())))?;
    let home = match user {
        Some(user) if !user.may_run(program) => staged(home, installed)?,
        _ => home.to_owned(),
    };
    if let Some(user) = user.filter(|user| !user.may_enter(&server.place)) {
        return Err(ProcessError::Prepare(format!(
            "{} refuses to run as root, and the user it is run as ({user}) may not enter {}; let others pass (chmod o+x) on each folder above it",
            installed.name,
            server.place.display()
        )));
    }
    let mut env = BTreeMap::new();
    let (prefix, place) = (server.prefix, &server.place);
    if let Some(java) = java_of(installed, &home, user).map_err(ProcessError::Prepare)? {
        env.insert(format!("{prefix}_JAVA_HOME"), text(&java));
    }
    env.insert(format!("{prefix}_PATH_CONF"), text(&place.join("config")));
    env.insert(format!("{prefix}_TMPDIR"), text(&place.join("tmp")));
    env.insert("HOME".to_owned(), text(place));
    lay_out(server, &home, layout, user)?;
    let program = home
        .join("bin")
        .join(program.file_name().unwrap_or_default());
    Ok(Prepared {
        program,
        env,
        folder: place.clone(),
        user,
    })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The Java to start it with; `None` where it brings its own.
fn java_of(
    installed: &Installed,
    home: &Path,
    user: Option<User>,
) -> Result<Option<PathBuf>, String> {
    if installed.source != SourceKind::Maven || home.join("jdk/bin/java").exists() {
        return Ok(None);
    }
    let oldest = Catalogue::embedded()
        .ok()
        .and_then(|catalogue| catalogue.get(&installed.name).ok()?.maven.as_ref())
        .and_then(|maven| maven.java(&Version::parse(&installed.version)?));
    let Some(oldest) = oldest else {
        return Ok(None);
    };
    let usable = |java: &Path| user.is_none_or(|user| user.may_run(java));
    java::find(oldest, &java::homes(), usable)
        .map(Some)
        .map_err(|why| format!("{} {}: {why}", installed.name, installed.version))
}

/// A copy of the program's tree that every user can read, made once. Hard links where the disk is
/// the same, so that it costs neither time nor room.
fn staged(home: &Path, installed: &Installed) -> Result<PathBuf, FileError> {
    let name = format!(
        "{}-{}-{}",
        installed.version,
        installed.source.word(),
        &installed.digest[..installed.digest.len().min(8)]
    );
    let shelf = Path::new(OPEN).join("components").join(&installed.name);
    let target = shelf.join(name);
    if target.is_dir() {
        return Ok(target);
    }
    make_folder(&shelf, 0o755)?;
    let pending = tempfile::Builder::new()
        .prefix(".kai-")
        .tempdir_in(&shelf)
        .map_err(file::failed("write below", &shelf))?;
    let tree = pending.path().join("tree");
    copy_tree(home, &tree, true)?;
    match std::fs::rename(&tree, &target) {
        // Another run was quicker.
        Err(_) if target.is_dir() => Ok(target),
        other => other
            .map(|()| target.clone())
            .map_err(file::failed("place", &target)),
    }
}

fn lay_out(
    server: &JavaServer,
    home: &Path,
    layout: &Layout,
    user: Option<User>,
) -> Result<(), FileError> {
    let place = &server.place;
    make_folder(place, 0o755)?;
    for name in ["config", "tmp"] {
        let folder = place.join(name);
        if folder.is_dir() {
            std::fs::remove_dir_all(&folder).map_err(file::failed("empty", &folder))?;
        }
    }
    let config = place.join("config");
    copy_tree(&home.join("config"), &config, false)?;
    let options = config.join("jvm.options");
    if let Some(text) = file::read(&options)? {
        file::write(&options, without_files(&text).as_bytes(), 0o644)?;
    }
    for (from, name) in &server.overlay {
        let from = layout.root.join(from);
        let content = std::fs::read(&from).map_err(file::failed("read", &from))?;
        file::write(&config.join(name), &content, 0o644)?;
    }
    for name in ["data", "logs", "tmp"] {
        make_folder(&place.join(name), 0o750)?;
    }
    // The folder above stays root's, so that nobody can put another in the place of these.
    for name in ["config", "data", "logs", "tmp"] {
        if let Some(user) = user {
            give(&place.join(name), user)?;
        }
    }
    Ok(())
}

/// Java options without those that write files (tens of megabytes each) or set the heap, which the
/// overlay does. Pure.
fn without_files(options: &str) -> String {
    const OUT: [&str; 8] = [
        "-Xlog:",
        "-Xloggc",
        "-Xms",
        "-Xmx",
        "HeapDump",
        "ErrorFile",
        "PrintGC",
        "GCLog",
    ];
    options
        .lines()
        .filter(|line| line.starts_with('#') || !OUT.iter().any(|word| line.contains(word)))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn make_folder(folder: &Path, mode: u32) -> Result<(), FileError> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folder(above, 0o755)?;
    }
    match std::fs::DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        // A umask may have taken away what the other user needs.
        other => other
            .and_then(|()| std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)))
            .map_err(file::failed("create the folder", folder)),
    }
}

/// Folders, files and links; with `link`, files are hard links where that can be.
fn copy_tree(from: &Path, to: &Path, link: bool) -> Result<(), FileError> {
    make_folder(to, 0o755)?;
    let entries = std::fs::read_dir(from).map_err(file::failed("read", from))?;
    for entry in entries {
        let entry = entry.map_err(file::failed("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(file::failed("read", &source))?;
        let done = if kind.is_dir() {
            copy_tree(&source, &target, link)?;
            Ok(())
        } else if kind.is_symlink() {
            std::fs::read_link(&source).and_then(|to| std::os::unix::fs::symlink(to, &target))
        } else if link && std::fs::hard_link(&source, &target).is_ok() {
            Ok(())
        } else {
            std::fs::copy(&source, &target).map(drop)
        };
        done.map_err(file::failed("copy to", &target))?;
    }
    Ok(())
}

/// Makes a tree the user's own, links not followed. What is the user's already is passed over, so
/// that a large folder of data is not walked with every start.
fn give(path: &Path, user: User) -> Result<(), FileError> {
    let meta = std::fs::symlink_metadata(path).map_err(file::failed("read", path))?;
    if meta.is_dir() {
        let is_data = path.ends_with("data") && meta.uid() == user.uid;
        if !is_data {
            let entries = std::fs::read_dir(path).map_err(file::failed("read", path))?;
            for entry in entries.flatten() {
                give(&entry.path(), user)?;
            }
        }
    }
    if meta.uid() == user.uid && meta.gid() == user.gid {
        return Ok(());
    }
    lchown(path, Some(user.uid), Some(user.gid)).map_err(file::failed("give to another user", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_write_files_or_set_the_heap_go() {
        let text = "# -Xms1g is an example\n-Xms1g\n11-:-XX:+UseG1GC\n-XX:HeapDumpPath=data\n\
                    -Xlog:gc*:file=logs/gc.log\n8:-XX:GCLogFileSize=64m\n-Djava.io.tmpdir=${ES_TMPDIR}\n";
        assert_eq!(
            without_files(text),
            "# -Xms1g is an example\n11-:-XX:+UseG1GC\n-Djava.io.tmpdir=${ES_TMPDIR}\n"
        );
    }

    #[test]
    fn a_tree_is_copied_with_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        std::fs::create_dir_all(from.join("d")).unwrap();
        std::fs::write(from.join("d/f"), "body").unwrap();
        std::os::unix::fs::symlink("d/f", from.join("l")).unwrap();
        for link in [true, false] {
            let to = folder.path().join(format!("to-{link}"));
            copy_tree(&from, &to, link).unwrap();
            assert_eq!(std::fs::read_to_string(to.join("l")).unwrap(), "body");
            let same = std::fs::metadata(to.join("d/f")).unwrap().ino()
                == std::fs::metadata(from.join("d/f")).unwrap().ino();
            assert_eq!(same, link);
        }
    }
}
