//! Two runs at once, and runs that are killed: the cache is never spoiled.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kai_observe::components::{Context, Machine, Outcome, Platform};
use kai_observe::model::{ComponentPolicy, SourceKind};
use kai_observe::progress::Silent;

use super::server::{Server, Trouble};
use super::support::{Bench, child, prometheus_archive, sha256};

const VERSION: &str = "3.16.0";
const FILE: &str = "/prometheus/3.16.0/prometheus-3.16.0.linux-amd64.tar.gz";
const CHILD: &str = "components::concurrent::child_obtains_prometheus";

fn bench(server: &Server, padding: usize) -> Bench {
    let archive = prometheus_archive(VERSION, padding);
    server.release(VERSION, &archive, &sha256(&archive));
    Bench::new(&[SourceKind::Archive]).mirror(SourceKind::Archive, server.url())
}

fn downloads(server: &Server) -> usize {
    server
        .asked()
        .iter()
        .filter(|a| a.starts_with(FILE))
        .count()
}

#[test]
fn threads_that_want_the_same_component_download_it_once() {
    let server = Server::start();
    let bench = bench(&server, 300_000);
    let digests: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| bench.installed("prometheus", None).digest))
            .collect();
        runs.into_iter()
            .map(|r| r.join().expect("no panic"))
            .collect()
    });
    assert!(digests.iter().all(|d| *d == digests[0]));
    assert_eq!(downloads(&server), 1);
    bench.assert_tidy();
}

/// Not a test of its own: what the other processes of these tests do.
#[test]
#[ignore = "run by other tests as a process of its own"]
fn child_obtains_prometheus() {
    let dir = PathBuf::from(std::env::var_os("KAI_TEST_DIR").expect("started by a test"));
    let context = Context {
        cache: dir.join("cache"),
        lock_file: dir.join("observe.lock"),
        policy: ComponentPolicy {
            allow: vec![SourceKind::Archive],
            mirrors: BTreeMap::from([(
                SourceKind::Archive,
                std::env::var("KAI_TEST_MIRROR").expect("a mirror"),
            )]),
            locked: false,
        },
        workspace: None,
        progress: Arc::new(Silent),
    };
    let mut machine = Machine::this().expect("a machine");
    machine.platform = Platform {
        os: "linux".into(),
        arch: "amd64".into(),
    };
    match context.obtain_on(&machine, "prometheus", None) {
        Ok(Outcome::Installed(installed)) => println!("installed {}", installed.digest),
        other => panic!("{other:?}"),
    }
}

#[test]
fn processes_that_want_the_same_component_download_it_once() {
    let server = Server::start();
    let bench = bench(&server, 300_000);
    let url = server.url();
    let run = || {
        let mut command = child(CHILD, bench.path(), &[("KAI_TEST_MIRROR", &url)]);
        command.spawn().expect("started")
    };
    let mut runs = [run(), run(), run()];
    for run in &mut runs {
        assert!(run.wait().expect("ended").success());
    }
    assert_eq!(downloads(&server), 1);
    assert_eq!(outputs(bench.path()), 3);
    bench.assert_tidy();
}

/// How many children said that it is installed.
fn outputs(dir: &Path) -> usize {
    let files = fs::read_dir(dir).expect("there").flatten();
    files
        .filter(|f| f.file_name().to_string_lossy().starts_with("out-"))
        .filter(|f| fs::read_to_string(f.path()).is_ok_and(|t| t.contains("installed ")))
        .count()
}

#[test]
fn a_run_killed_in_a_download_is_resumed_by_the_next() {
    let server = Server::start();
    let bench = bench(&server, 300_000);
    server.trouble(Trouble {
        stall_after: Some(90_000),
        ..Trouble::default()
    });
    let url = server.url();
    let mut run = child(CHILD, bench.path(), &[("KAI_TEST_MIRROR", &url)])
        .spawn()
        .expect("started");
    let partial = bench
        .context
        .cache
        .join("downloads/prometheus/prometheus-3.16.0.linux-amd64.tar.gz.partial");
    let start = Instant::now();
    while fs::metadata(&partial).map_or(0, |m| m.len()) < 90_000 {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "the child never got that far"
        );
        thread::sleep(Duration::from_millis(20));
    }
    run.kill().expect("killed");
    run.wait().expect("ended");
    assert!(
        !bench.context.cache.join("components").exists(),
        "nothing is placed half"
    );
    // Something that a run killed while it unpacked would leave.
    let left = bench.context.cache.join("tmp/prometheus/run-killed/tree");
    fs::create_dir_all(&left).expect("a folder");
    fs::write(left.join("half"), "x").expect("a file");

    server.trouble(Trouble::default());
    bench.installed("prometheus", None);
    assert_eq!(server.asked().last(), Some(&format!("{FILE} bytes=90000-")));
    assert!(!left.exists());
    bench.assert_tidy();
}

#[test]
fn a_real_full_disk_is_named_and_leaves_nothing() {
    // A file system of its own needs a mount namespace; where that is not allowed, the injected
    // fault of the archive tests and the real /dev/full of the unit tests remain.
    let server = Server::start();
    let bench = bench(&server, 3_000_000);
    let exe = std::env::current_exe().expect("this program");
    let cache = bench.context.cache.clone();
    fs::create_dir_all(&cache).expect("a folder");
    let script = format!(
        "mount -t tmpfs -o size=2m tmpfs '{0}' || exit 77; '{1}' --exact {CHILD} --ignored --nocapture 2>&1; find '{0}' -type f | sed 's/^/left /'",
        cache.display(),
        exe.display()
    );
    let output = std::process::Command::new("unshare")
        .args(["-m", "/bin/sh", "-c", &script])
        .env("KAI_TEST_DIR", bench.path())
        .env("KAI_TEST_MIRROR", server.url())
        .output();
    let output = match output {
        Ok(output) if output.status.code() != Some(77) && !output.stdout.is_empty() => output,
        other => {
            println!("not run: no mount namespace for a small tmpfs here ({other:?})");
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("NoSpace") && !text.contains("installed "),
        "{text}"
    );
    let left: Vec<&str> = text.lines().filter(|l| l.starts_with("left ")).collect();
    assert!(left.iter().all(|l| l.contains("/locks/")), "{left:?}");
}
