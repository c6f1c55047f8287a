//! Checksums of files, remembered. A program of 100 MB is hashed once; after that its path, size,
//! times and inode tell that it is still the same bytes, so that `plan` stays quick.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};

use super::catalogue::Algorithm;

/// What tells that a file has not been touched. The change time cannot be set by a program, so an
/// edit that restores the modification time is still seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub size: u64,
    pub mtime_ns: i128,
    pub ctime_ns: i128,
    pub inode: u64,
}

impl Identity {
    pub fn of(metadata: &Metadata) -> Self {
        let ns = |s: i64, n: i64| i128::from(s) * 1_000_000_000 + i128::from(n);
        Self {
            size: metadata.len(),
            mtime_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// What is remembered of one program file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    path: PathBuf,
    identity: Identity,
    #[serde(default)]
    sha256: Option<String>,
    /// What it printed when asked for its version.
    #[serde(default)]
    version_output: Option<String>,
    /// Sources not newer than this were seen to be built into it (nanoseconds since 1970).
    #[serde(default)]
    fresh_ns: Option<i128>,
}

/// Notes about program files below `<cache>/memo`. Losing one costs time, never truth, so failing
/// to write is ignored.
#[derive(Debug, Clone)]
pub struct Memo {
    folder: PathBuf,
}

impl Memo {
    pub fn new(cache: &Path) -> Self {
        Self {
            folder: cache.join("memo"),
        }
    }

    /// SHA-256 of the file, from the memo when the file is unchanged.
    pub fn sha256(&self, path: &Path) -> io::Result<String> {
        let (mut note, fresh) = self.note(path)?;
        if let Some(known) = note.sha256.filter(|_| fresh) {
            return Ok(known);
        }
        let digest = hash_file(path, Algorithm::Sha256, &mut |_| {})?;
        note.sha256 = Some(digest.clone());
        self.keep(path, note);
        Ok(digest)
    }

    /// What `ask` returned for this very file before, else what it returns now.
    pub fn version_output(
        &self,
        path: &Path,
        ask: impl FnOnce() -> Result<String, String>,
    ) -> Result<String, String> {
        let (mut note, fresh) = self.note(path).map_err(|e| e.to_string())?;
        if let Some(known) = note.version_output.filter(|_| fresh) {
            return Ok(known);
        }
        let output = ask()?;
        note.version_output = Some(output.clone());
        self.keep(path, note);
        Ok(output)
    }

    /// Up to when sources were seen to be built into this file; `None` when it changed since.
    pub fn fresh_until(&self, path: &Path) -> Option<i128> {
        let (note, fresh) = self.note(path).ok()?;
        note.fresh_ns.filter(|_| fresh)
    }

    pub fn set_fresh_until(&self, path: &Path, ns: i128) {
        if let Ok((mut note, _)) = self.note(path) {
            note.fresh_ns = Some(ns);
            self.keep(path, note);
        }
    }

    /// The note for the file as it is now, and whether it was remembered. A note about an earlier
    /// file at the same path comes back empty.
    fn note(&self, path: &Path) -> io::Result<(Note, bool)> {
        let identity = Identity::of(&fs::metadata(path)?);
        let known = fs::read(self.file(path))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Note>(&bytes).ok())
            .filter(|note| note.path == path && note.identity == identity);
        let remembered = known.is_some();
        let path = path.to_path_buf();
        let empty = || Note {
            path,
            identity,
            sha256: None,
            version_output: None,
            fresh_ns: None,
        };
        Ok((known.unwrap_or_else(empty), remembered))
    }

    /// Keeps the note, unless the file changed while it was being looked at.
    fn keep(&self, path: &Path, note: Note) {
        let same = fs::metadata(path).is_ok_and(|m| Identity::of(&m) == note.identity);
        if same && let Ok(text) = serde_json::to_vec(&note) {
            let _ = fs::create_dir_all(&self.folder);
            let _ = super::place::write_atomically(&self.file(path), &text);
        }
    }

    fn file(&self, path: &Path) -> PathBuf {
        let name = hex(&Sha256::digest(path.as_os_str().as_encoded_bytes()));
        self.folder.join(format!("{}.json", &name[..32]))
    }
}

/// Checksum of a whole file in lower-case hexadecimal; `progress` hears bytes read so far.
pub fn hash_file(
    path: &Path,
    algorithm: Algorithm,
    progress: &mut dyn FnMut(u64),
) -> io::Result<String> {
    let mut file = File::open(path)?;
    match algorithm {
        Algorithm::Sha256 => hash_reader::<Sha256>(&mut file, progress),
        Algorithm::Sha512 => hash_reader::<Sha512>(&mut file, progress),
    }
}

fn hash_reader<D: Digest>(
    reader: &mut dyn Read,
    progress: &mut dyn FnMut(u64),
) -> io::Result<String> {
    let mut hasher = D::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                done += n as u64;
                progress(done);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
            let _ = write!(out, "{b:02x}");
            out
        })
}

/// SHA-256 of a text, for names of files.
pub fn hex_sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Why a text is not a list of checksums with an entry for the file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumsError {
    #[error("has no line for {0}")]
    Absent(String),
    #[error("has two different checksums for {0}")]
    Ambiguous(String),
}

/// Finds the checksum of `file` in the text that vendors publish: `<hex>  <name>` lines as written
/// by `sha256sum` (`*` before the name for binary mode, `./` allowed), or a lone checksum when the
/// text has only that.
pub fn find_sum(text: &str, file: &str, algorithm: Algorithm) -> Result<String, SumsError> {
    let is_sum = |word: &str| {
        word.len() == algorithm.hex_length() && word.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let mut found: Option<String> = None;
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    if let (Some(only), None) = (lines.clone().next(), lines.clone().nth(1))
        && is_sum(only)
    {
        return Ok(only.to_ascii_lowercase());
    }
    lines.try_for_each(|line| {
        let Some((sum, name)) = line.split_once(char::is_whitespace) else {
            return Ok(());
        };
        let name = name
            .trim_start()
            .trim_start_matches('*')
            .trim_start_matches("./");
        if !is_sum(sum) || name != file {
            return Ok(());
        }
        let sum = sum.to_ascii_lowercase();
        match &found {
            Some(other) if *other != sum => Err(SumsError::Ambiguous(file.into())),
            _ => {
                found = Some(sum);
                Ok(())
            }
        }
    })?;
    found.ok_or_else(|| SumsError::Absent(file.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_published_sums() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let text = format!("{a}  prometheus-3.tar.gz\n{b} *./other.tar.gz\n");
        let find = |file| find_sum(&text, file, Algorithm::Sha256);
        assert_eq!(find("prometheus-3.tar.gz"), Ok(a.clone()));
        assert_eq!(find("other.tar.gz"), Ok(b.clone()));
        assert_eq!(find("absent"), Err(SumsError::Absent("absent".into())));
        let twice = format!("{a}  x\n{b}  x\n");
        assert_eq!(
            find_sum(&twice, "x", Algorithm::Sha256),
            Err(SumsError::Ambiguous("x".into()))
        );
        assert_eq!(
            find_sum(&format!("{}\n", a.to_uppercase()), "x", Algorithm::Sha256),
            Ok(a)
        );
        // A page of an error proxy is no checksum.
        assert!(find_sum("<html>login</html>", "x", Algorithm::Sha256).is_err());
        let c = "c".repeat(128);
        let elastic = format!("{c}  elasticsearch-9.tar.gz");
        assert_eq!(
            find_sum(&elastic, "elasticsearch-9.tar.gz", Algorithm::Sha512),
            Ok(c)
        );
    }

    #[test]
    fn the_memo_notices_an_edit_that_keeps_size_and_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("program");
        fs::write(&file, "one").expect("a file");
        let time = fs::metadata(&file)
            .expect("there")
            .modified()
            .expect("a time");
        let memo = Memo::new(dir.path());
        let one = memo.sha256(&file).expect("hashed");
        assert_eq!(one, hex_sha256("one"));
        assert_eq!(memo.sha256(&file).expect("remembered"), one);
        fs::write(&file, "two").expect("a file");
        let handle = File::options().write(true).open(&file).expect("open");
        handle.set_modified(time).expect("a time");
        assert_eq!(memo.sha256(&file).expect("hashed"), hex_sha256("two"));
    }

    proptest! {
        #[test]
        fn sums_never_panic(text in "\\PC{0,200}", file in "\\PC{0,20}") {
            let _ = find_sum(&text, &file, Algorithm::Sha256);
        }

        #[test]
        fn every_written_line_is_found(names in proptest::collection::btree_set("[a-z0-9._-]{1,20}", 2..6)) {
            let lines: Vec<String> = names.iter().map(|n| format!("{}  {n}\n", hex_sha256(n))).collect();
            let text = lines.concat();
            for name in &names {
                prop_assert_eq!(find_sum(&text, name, Algorithm::Sha256), Ok(hex_sha256(name)));
            }
        }
    }
}
