//! PostgreSQL on a free port, of any version that Maven Central has binaries of, unpacked once into a
//! folder that another user may read, because it refuses to run as root.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{NOBODY, give, is_root, maven};

/// The superuser's password.
pub const PASSWORD: &str = "correct-horse";

pub struct Process {
    pub folder: tempfile::TempDir,
    pub port: String,
    home: PathBuf,
    settings: String,
    child: Option<Child>,
}

impl Process {
    /// Starts a new server with these lines in its configuration.
    pub fn start(version: &str, settings: &str) -> Self {
        let mut server = Self::prepared(home(version), settings.to_owned());
        let words = server.folder.path().join("password");
        fs::write(&words, PASSWORD).unwrap();
        give(server.folder.path());
        let done = server
            .command("initdb")
            .args([
                "-U",
                "postgres",
                "-A",
                "scram-sha-256",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ])
            .arg("--pwfile")
            .arg(&words)
            .arg("-D")
            .arg(server.data())
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        server.go();
        server
    }

    /// A standby of a server, which is stopped for the moment of the copy.
    pub fn standby_of(primary: &mut Self, slot: &str) -> Self {
        primary.stop();
        let settings = format!(
            "primary_conninfo = 'host=127.0.0.1 port={} user=postgres password={PASSWORD} \
             application_name=standby_1'\nprimary_slot_name = '{slot}'\n",
            primary.port
        );
        let mut standby = Self::prepared(primary.home.clone(), settings);
        let copied = Command::new("cp")
            .arg("-r")
            .arg(primary.data())
            .arg(standby.data())
            .status();
        assert!(copied.unwrap().success());
        primary.go();
        fs::write(standby.data().join("standby.signal"), "").unwrap();
        give(standby.folder.path());
        standby.go();
        standby
    }

    fn prepared(home: PathBuf, settings: String) -> Self {
        Self {
            folder: tempfile::Builder::new()
                .prefix("kai-pg-")
                .tempdir()
                .unwrap(),
            port: String::new(),
            home,
            settings,
            child: None,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.home.join("bin").join(program));
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir(self.folder.path());
        command
    }

    /// Starts it on the port that it had, or on a free one.
    pub fn go(&mut self) {
        if self.port.is_empty() {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            self.port = free.local_addr().unwrap().port().to_string();
        }
        let own = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nfsync = off\n\
             shared_buffers = 16MB\n{}",
            self.port,
            self.folder.path().display(),
            self.settings
        );
        fs::write(self.data().join("postgresql.auto.conf"), own).unwrap();
        let log = self.folder.path().join("log");
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let started = Instant::now();
        while !self.asks_for_a_password() {
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().unwrap());
            let waited = started.elapsed() > Duration::from_mins(1);
            assert!(
                !waited && ended.is_none(),
                "the server did not start ({ended:?}): {}",
                fs::read_to_string(&log).unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A server that is not ready refuses before it asks.
    fn asks_for_a_password(&self) -> bool {
        let words = b"user\0postgres\0database\0postgres\0\0";
        let mut hello = u32::try_from(words.len() + 8)
            .unwrap()
            .to_be_bytes()
            .to_vec();
        hello.extend(196_608_u32.to_be_bytes());
        hello.extend(words);
        let mut answer = [0];
        TcpStream::connect(format!("127.0.0.1:{}", self.port)).is_ok_and(|mut stream| {
            stream.write_all(&hello).is_ok()
                && stream.read_exact(&mut answer).is_ok()
                && answer[0] == b'R'
        })
    }

    /// Ends it as an administrator would who is in a hurry.
    pub fn stop(&mut self) {
        self.end("-INT");
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status();
            let _ = child.wait();
        }
    }

    pub fn dsn(&self, user: &str, password: &str, database: &str) -> String {
        format!(
            "postgresql://{user}:{password}@127.0.0.1:{}/{database}",
            self.port
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its own immediate end, which takes its processes along.
        self.end("-QUIT");
    }
}

/// The unpacked binaries: an archive in an archive.
fn home(version: &str) -> PathBuf {
    let home = std::env::temp_dir().join(format!("kai-tests-postgres-{version}"));
    if home.is_dir() {
        return home;
    }
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64v8",
        other => panic!("there is no PostgreSQL for {other} here"),
    };
    let artifact = format!("embedded-postgres-binaries-linux-{machine}");
    let archive = maven(
        &format!("io.zonky.test.postgres:{artifact}:{version}:jar"),
        &format!("{artifact}-{version}.jar"),
    );
    let partial = tempfile::Builder::new()
        .prefix("kai-unpack-")
        .tempdir()
        .unwrap();
    let mut zip = zip::ZipArchive::new(fs::File::open(&archive).unwrap()).unwrap();
    zip.extract(partial.path()).unwrap();
    let packed = fs::read_dir(partial.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "txz"))
        .expect("the binaries in the archive");
    unpack(&packed, partial.path());
    fs::remove_file(packed).unwrap();
    fs::set_permissions(partial.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Two test runs at once: the first to rename wins, and both have the same content.
    if fs::rename(partial.path(), &home).is_ok() {
        let _ = partial.keep();
    }
    assert!(
        home.join("bin/postgres").is_file(),
        "{} is no PostgreSQL",
        archive.display()
    );
    home
}

fn unpack(archive: &Path, into: &Path) {
    let done = Command::new("tar")
        .arg("-xJf")
        .arg(archive)
        .arg("-C")
        .arg(into)
        .output();
    let done = done.expect("tar, which unpacks PostgreSQL");
    assert!(
        done.status.success(),
        "tar and xz unpack PostgreSQL (Debian: xz-utils): {}",
        String::from_utf8_lossy(&done.stderr)
    );
}
