//! The journal as a source, by a real journalctl over journal files that systemd-journal-remote makes
//! of the export format. Both are Debian's own; where they cannot be had the test says so and fails
//! under `KAI_JOURNAL=required`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::fake::Fake;
use super::runner::Runner;
use crate::support::wait_for;

/// systemd-journal-remote, and the folder of its libraries.
struct Maker {
    program: PathBuf,
    libraries: PathBuf,
}

impl Maker {
    /// Unpacks the packages privately, once for all runs.
    fn find() -> Option<Self> {
        let installed = PathBuf::from("/lib/systemd/systemd-journal-remote");
        if installed.is_file() {
            return Some(Self {
                program: installed,
                libraries: PathBuf::from("/usr/lib"),
            });
        }
        let folder = std::env::temp_dir().join(format!(
            "kai-journal-remote-{}",
            rustix::process::getuid().as_raw()
        ));
        let unpacked = folder.join("lib/systemd/systemd-journal-remote");
        if !unpacked.is_file() {
            let fresh = tempfile::tempdir().unwrap();
            for package in ["systemd-journal-remote", "libmicrohttpd12"] {
                let mut get = Command::new("apt-get");
                get.args(["download", package]).current_dir(&fresh);
                let got = get.stdout(Stdio::null()).stderr(Stdio::null()).status();
                if !got.is_ok_and(|status| status.success()) {
                    return None;
                }
            }
            for entry in fs::read_dir(&fresh).unwrap().flatten() {
                let mut unpack = Command::new("dpkg");
                unpack
                    .arg("-x")
                    .arg(entry.path())
                    .arg(fresh.path().join("x"));
                if !unpack.status().is_ok_and(|status| status.success()) {
                    return None;
                }
            }
            // Another test may have been quicker.
            let _ = fs::rename(fresh.path().join("x"), &folder);
        }
        unpacked.is_file().then(|| Self {
            program: unpacked,
            libraries: folder.join("usr/lib/x86_64-linux-gnu"),
        })
    }

    /// Appends entries to a journal file.
    fn add(&self, journal: &Path, entries: &[u8]) {
        let systemd = "/usr/lib/x86_64-linux-gnu/systemd:/lib/x86_64-linux-gnu/systemd";
        let mut child = Command::new(&self.program)
            .arg(format!("--output={}", journal.display()))
            .arg("-")
            .env(
                "LD_LIBRARY_PATH",
                format!("{}:{systemd}", self.libraries.display()),
            )
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(entries).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

fn maker() -> Option<Maker> {
    let journalctl = Path::new("/usr/bin/journalctl").is_file();
    let maker = Maker::find().filter(|_| journalctl);
    if maker.is_none() {
        let required = std::env::var_os("KAI_JOURNAL").is_some();
        assert!(
            !required,
            "journalctl or systemd-journal-remote is not here"
        );
        eprintln!(
            "not run: journalctl or systemd-journal-remote is not here and could not be fetched"
        );
    }
    maker
}

const BOOT: &str = "5d6b6b1c2e6d4a3d8f4f3a3d2c1b0a09";

/// Entries with these numbers, a second apart.
fn entries(range: std::ops::Range<u64>, more: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for seq in range {
        let micros = 1_764_500_000_000_000 + seq * 1_000_000;
        write!(
            out,
            "__REALTIME_TIMESTAMP={micros}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={BOOT}\nPRIORITY=4\n\
             SYSLOG_IDENTIFIER=booking\n_SYSTEMD_UNIT=booking.service\n_PID=77\n_HOSTNAME=n1\n{more}\
             MESSAGE={{\"seq\":{seq}}}\n\n",
            1_000_000 + seq
        )
        .unwrap();
    }
    out
}

fn source(agent: &Runner, more: &str) -> String {
    format!(
        "    host:\n      journald: {{ directory: {}{more} }}\n      dataStream: logs-kai.host-test\n",
        agent.path("j").display()
    )
}

fn start(agent: &mut Runner, fake: &Fake, more: &str) {
    let source = source(agent, more);
    agent.configure(std::slice::from_ref(&fake.url), "", &source);
    agent.start();
}

#[test]
fn the_journal_is_followed_over_restarts_and_each_entry_is_there_once() {
    let Some(maker) = maker() else { return };
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    fs::create_dir(agent.path("j")).unwrap();
    let journal = agent.path("j/host.journal");
    maker.add(&journal, &entries(0..50, ""));
    start(&mut agent, &fake, "");
    wait_for("the first entries", || (fake.count() == 50).then_some(()));
    let document = &fake.documents()[0];
    for (name, value) in [
        ("log.level", "warn"),
        ("systemd.unit", "booking.service"),
        ("log.syslog.appname", "booking"),
        ("host.hostname", "n1"),
        ("host.boot.id", BOOT),
    ] {
        assert_eq!(document[name], value, "{document}");
    }
    assert_eq!(document["process.pid"], 77);
    // It is followed while it grows.
    maker.add(&journal, &entries(50..60, ""));
    wait_for("what came later", || (fake.count() == 60).then_some(()));
    agent.assert_balanced();
    // Killed with entries under way; more come while nobody reads.
    fake.hold(true);
    maker.add(&journal, &entries(60..80, ""));
    let flying = "events_in_flight{source=\"host\"}";
    wait_for("entries under way", || {
        (agent.value(flying) > 0.0).then_some(())
    });
    agent.kill();
    maker.add(&journal, &entries(80..100, ""));
    fake.hold(false);
    agent.start();
    wait_for("all entries", || (fake.count() >= 100).then_some(()));
    agent.stop();
    // Whatever is forgotten, no entry becomes a second document.
    fs::remove_dir_all(agent.path("state")).unwrap();
    maker.add(&journal, &entries(100..110, ""));
    agent.start();
    wait_for("the last entries", || (fake.count() >= 110).then_some(()));
    let duplicates = "duplicate_events_total{source=\"host\"}";
    wait_for("the others, there already", || {
        (agent.value(duplicates) == 100.0).then_some(())
    });
    assert_eq!(fake.sequence(), (0..110).collect::<Vec<_>>());
    assert_eq!(
        agent.value("journal_events_total{event=\"cursor_lost\",source=\"host\"}"),
        0.0
    );
    agent.assert_balanced();
    // The file that the cursor is in goes away while nobody reads.
    agent.stop();
    fs::remove_file(&journal).unwrap();
    maker.add(&agent.path("j/next.journal"), &entries(200..210, ""));
    agent.start();
    wait_for("the new file's entries", || {
        (fake.count() >= 120).then_some(())
    });
    let lost = "journal_events_total{event=\"cursor_lost\",source=\"host\"}";
    assert_eq!(agent.value(lost), 1.0);
}

#[test]
fn units_matches_binary_messages_and_the_end() {
    let Some(maker) = maker() else { return };
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    fs::create_dir(agent.path("j")).unwrap();
    let journal = agent.path("j/host.journal");
    maker.add(&journal, &entries(0..5, "KIND=old\n"));
    let from_end = format!(
        "    host:\n      journald: {{ directory: {}, units: [booking.service], matches: [KIND=wanted] }}\n      \
         dataStream: logs-kai.host-test\n      start: end\n      drop: ['seq == 11']\n",
        agent.path("j").display()
    );
    agent.configure(std::slice::from_ref(&fake.url), "", &from_end);
    agent.start();
    wait_for("the journal's end", || {
        (agent.value("files{source=\"host\"}") == 1.0).then_some(())
    });
    maker.add(&journal, &entries(5..8, "KIND=other\n"));
    let mut binary = entries(8..9, "KIND=wanted\n");
    let message = binary.windows(8).position(|it| it == b"MESSAGE=").unwrap();
    binary.truncate(message);
    binary.extend_from_slice(b"MESSAGE\n");
    binary.extend_from_slice(&11_u64.to_le_bytes());
    binary.extend_from_slice(b"two\nl\xffnes\x01!\n\n");
    maker.add(&journal, &binary);
    maker.add(&journal, &entries(9..11, "KIND=wanted\n"));
    wait_for("what is wanted", || (fake.count() == 3).then_some(()));
    assert_eq!(fake.sequence(), [9, 10]);
    assert_eq!(fake.messages(), ["two\nl\u{fffd}nes\u{1}!"]);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(fake.count(), 3);
    // One that a rule drops.
    maker.add(&journal, &entries(11..13, "KIND=wanted\n"));
    wait_for("what is kept", || (fake.count() == 4).then_some(()));
    assert_eq!(fake.sequence(), [9, 10, 12]);
}

#[test]
fn a_journalctl_that_dies_or_is_none_is_started_again() {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let script = agent.path("journalctl");
    // One entry more each time, then it dies; in between it writes what is no journal.
    fs::write(
        &script,
        "#!/bin/sh\n[ -z \"$SECRET\" ] || exit 9\ncd \"${0%/*}\"\necho x >> calls\nn=$(wc -l < calls)\n\
         if [ \"$n\" = 2 ]; then echo 'Boot -- whatever'; exit 0; fi\n\
         i=1; while [ $i -le $n ]; do\n\
         printf '__CURSOR=s=aa;i=%x;t=1\\n__REALTIME_TIMESTAMP=%d\\nMESSAGE={\"seq\":%d}\\n\\n' $i $i $i\n\
         i=$((i+1)); done\nexit 1\n",
    )
    .unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let source = format!(
        "    host:\n      journald: {{ journalctl: {} }}\n      dataStream: logs-kai.host-test\n",
        script.display()
    );
    agent.configure(std::slice::from_ref(&fake.url), "", &source);
    agent.start();
    wait_for("entries of three lives", || {
        (fake.count() >= 3).then_some(())
    });
    let events = |event: &str| {
        agent.value(&format!(
            "journal_events_total{{event=\"{event}\",source=\"host\"}}"
        ))
    };
    assert!(events("restarted") >= 2.0);
    assert_eq!(events("invalid"), 1.0);
    let distinct = fake.sequence();
    assert!(
        distinct.windows(2).all(|pair| pair[0] < pair[1]),
        "{distinct:?}"
    );
    agent.assert_balanced();
}
