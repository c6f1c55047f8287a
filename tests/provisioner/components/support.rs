//! What the tests of the chain share: a context in a folder of its own, a machine without tools,
//! archives made on the spot, and a progress that remembers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kai_observe::components::{
    Attempt, ComponentError, Context, Installed, Lookup, Machine, Outcome, Platform,
};
use kai_observe::model::{ComponentPolicy, SourceKind};
use kai_observe::progress::Progress;

/// Remembers all that was said.
#[derive(Debug, Default)]
pub struct Heard(Mutex<Vec<String>>);

impl Heard {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }

    pub fn has(&self, part: &str) -> bool {
        self.lines().iter().any(|l| l.contains(part))
    }

    fn say(&self, line: String) {
        self.0.lock().expect("not poisoned").push(line);
    }
}

impl Progress for Heard {
    fn state(&self, name: &str, state: &str) {
        self.say(format!("state {name}: {state}"));
    }
    fn bytes(&self, name: &str, done: u64, total: Option<u64>) {
        self.say(format!("bytes {name}: {done} of {total:?}"));
    }
    fn done(&self, name: &str, line: &str) {
        self.say(format!("done {name}: {line}"));
    }
    fn note(&self, name: &str, line: &str) {
        self.say(format!("note {name}: {line}"));
    }
}

/// A place for one test.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub context: Context,
    pub machine: Machine,
    pub heard: Arc<Heard>,
}

impl Bench {
    /// Only `sources` are allowed, and nothing but a shell's own tools is on PATH.
    pub fn new(sources: &[SourceKind]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let heard = Arc::new(Heard::default());
        let context = Context {
            cache: dir.path().join("cache"),
            lock_file: dir.path().join("observe.lock"),
            policy: ComponentPolicy {
                allow: sources.to_vec(),
                mirrors: BTreeMap::new(),
                locked: false,
            },
            workspace: None,
            progress: Arc::clone(&heard) as Arc<dyn Progress>,
        };
        let mut machine = Machine::this().expect("a machine");
        machine.platform = Platform {
            os: "linux".into(),
            arch: "amd64".into(),
        };
        machine.search_path = OsString::from(dir.path().join("bin"));
        machine.exe = None;
        machine.apt_etc = dir.path().join("apt-etc");
        Self {
            dir,
            context,
            machine,
            heard,
        }
    }

    pub fn mirror(mut self, source: SourceKind, value: impl Into<String>) -> Self {
        self.context.policy.mirrors.insert(source, value.into());
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn obtain(&self, name: &str, version: Option<&str>) -> Result<Outcome, ComponentError> {
        self.context.obtain_on(&self.machine, name, version)
    }

    pub fn lookup(&self, name: &str, version: Option<&str>) -> Result<Lookup, ComponentError> {
        self.context.lookup_on(&self.machine, name, version)
    }

    pub fn installed(&self, name: &str, version: Option<&str>) -> Installed {
        match self.obtain(name, version) {
            Ok(Outcome::Installed(installed)) => installed,
            other => panic!("{other:?}\n{:#?}", self.heard.lines()),
        }
    }

    pub fn attempts(&self, name: &str, version: Option<&str>) -> Vec<Attempt> {
        match self.obtain(name, version) {
            Ok(Outcome::NotInstalled(attempts)) => attempts,
            other => panic!("{other:?}\n{:#?}", self.heard.lines()),
        }
    }

    /// Why `source` was passed over.
    pub fn reason(&self, name: &str, version: Option<&str>, source: SourceKind) -> String {
        reason(&self.attempts(name, version), source)
    }

    pub fn stopped(&self, name: &str, version: Option<&str>) -> ComponentError {
        match self.obtain(name, version) {
            Err(error) => error,
            other => panic!("{other:?}"),
        }
    }

    pub fn lock_text(&self) -> String {
        fs::read_to_string(&self.context.lock_file).unwrap_or_default()
    }

    /// A program on the machine's PATH that prints `output`.
    pub fn on_path(&self, name: &str, output: &str) -> PathBuf {
        let file = self.path().join("bin").join(name);
        write_program(&file, &format!("#!/bin/sh\necho '{output}'\n"));
        file
    }

    /// Puts the test machine's real tool on the bench's PATH.
    pub fn real_tool(&self, name: &str) -> bool {
        let real = Machine::this().expect("a machine").which(name);
        let Some(real) = real else { return false };
        let link = self.path().join("bin").join(name);
        fs::create_dir_all(self.path().join("bin")).expect("a folder");
        std::os::unix::fs::symlink(real, link).expect("a link");
        true
    }

    /// Nothing half done: no temporary tree, and every cached entry has its manifest.
    pub fn assert_tidy(&self) {
        let cache = &self.context.cache;
        for component in folders(&cache.join("tmp")) {
            assert_eq!(folders(&component), Vec::<PathBuf>::new(), "left in tmp");
        }
        for component in folders(&cache.join("components")) {
            for entry in folders(&component) {
                assert!(
                    entry.join("kai-component.json").is_file(),
                    "{}",
                    entry.display()
                );
            }
        }
    }
}

pub fn reason(attempts: &[Attempt], source: SourceKind) -> String {
    let attempt = attempts.iter().find(|a| a.source == source);
    attempt.map_or_else(
        || panic!("{source:?} not among {attempts:#?}"),
        |a| a.reason.clone(),
    )
}

pub fn folders(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect()
}

/// Writes a script so that it can be run at once, also while other threads start programs: a
/// descriptor open for writing in a forked child would make the kernel say "text file busy".
pub fn write_program(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
    fs::write(file, text).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// A script that says what the real program would say for `--version`.
pub fn program(name: &str, version: &str) -> String {
    format!("#!/bin/sh\necho '{name}, version {version} (branch: HEAD)'\n")
}

/// A release archive of Prometheus, as large as `padding` makes it.
pub fn prometheus_archive(version: &str, padding: usize) -> Vec<u8> {
    let top = format!("prometheus-{version}.linux-amd64");
    let mut files = vec![
        (
            format!("{top}/prometheus"),
            program("prometheus", version).into_bytes(),
        ),
        (
            format!("{top}/promtool"),
            program("promtool", version).into_bytes(),
        ),
    ];
    // Bytes that do not compress, from a fixed seed.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let noise = (0..padding).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    files.push((format!("{top}/LICENSE"), noise.collect()));
    tar_gz(&files)
}

pub fn tar_gz(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(gz);
    for (name, body) in files {
        let mut header = tar::Header::new_gnu();
        // Written as it is: the crate's own setter refuses `..`.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o755);
        header.set_size(body.len() as u64);
        header.set_cksum();
        builder.append(&header, body.as_slice()).expect("appended");
    }
    builder
        .into_inner()
        .expect("finished")
        .finish()
        .expect("finished")
}

pub fn sha256(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("written");
    kai_observe::components::digest::hash_file(
        file.path(),
        kai_observe::components::catalogue::Algorithm::Sha256,
        &mut |_| {},
    )
    .expect("hashed")
}

/// Lays out a mirror folder: `<name>/<version>/<file>` and `sha256sums.txt`.
pub fn mirror_folder(root: &Path, version: &str, archive: &[u8]) -> PathBuf {
    let folder = root.join("prometheus").join(version);
    fs::create_dir_all(&folder).expect("a folder");
    let file = format!("prometheus-{version}.linux-amd64.tar.gz");
    fs::write(folder.join(&file), archive).expect("a file");
    fs::write(
        folder.join("sha256sums.txt"),
        format!("{}  {file}\n", sha256(archive)),
    )
    .expect("a file");
    folder
}

/// Runs this very test program again for one ignored test, as another process.
pub fn child(test: &str, dir: &Path, environment: &[(&str, &str)]) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().expect("this program"));
    command
        .args([
            "--exact",
            test,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("KAI_TEST_DIR", dir)
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::null())
        .stdout(File::create(dir.join(format!("out-{}", rand_name()))).expect("a file"))
        .stderr(std::process::Stdio::inherit());
    command
}

fn rand_name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}
