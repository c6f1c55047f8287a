//! Real servers for tests: their archives, and the user that they run as.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "servers/postgres.rs"]
pub mod postgres;

/// The user that servers run as that refuse to be root: `nobody`, wherever there is one.
pub const NOBODY: u32 = 65534;

pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Gives a tree to [`NOBODY`], if it takes somebody else to run a server.
pub fn give(path: &Path) {
    if !is_root() {
        return;
    }
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

/// An archive, fetched once by the machine's own Maven settings.
pub fn maven(artifact: &str, file: &str) -> PathBuf {
    let cache = std::env::var_os("KAI_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/kai-observe"),
        PathBuf::from,
    );
    let folder = cache.join("test-archives");
    let file = folder.join(file);
    if !file.is_file() {
        fs::create_dir_all(&folder).unwrap();
        // Two tests may want the same one: each fetches into a folder of its own.
        let own = tempfile::Builder::new()
            .prefix("fetch-")
            .tempdir_in(&folder)
            .unwrap();
        let output = Command::new("mvn")
            .args([
                "-q",
                "-B",
                "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy",
            ])
            .arg(format!("-Dartifact={artifact}"))
            .arg(format!("-DoutputDirectory={}", own.path().display()))
            .arg("-Dmdep.useBaseVersion=true")
            .output()
            .expect("mvn, which fetches the servers of the tests");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let fetched = own.path().join(file.file_name().unwrap());
        assert!(fetched.is_file(), "mvn did not bring {artifact}: {said}");
        fs::rename(fetched, &file).unwrap();
    }
    let mut magic = [0; 2];
    fs::File::open(&file)
        .unwrap()
        .read_exact(&mut magic)
        .unwrap();
    assert_eq!(&magic, b"PK", "{} is no archive", file.display());
    file
}
