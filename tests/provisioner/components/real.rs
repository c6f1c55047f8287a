//! The real sources, as far as this machine reaches them. Minutes and hundreds of megabytes, so
//! only with KAI_REAL_COMPONENTS=1; `KAI_REAL_CACHE` names the cache to fill.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use kai_observe::components::{Context, Lookup, Outcome, describe};
use kai_observe::model::ComponentPolicy;
use kai_observe::progress::Progress;

struct Printed;

impl Progress for Printed {
    fn state(&self, _: &str, _: &str) {}
    fn bytes(&self, _: &str, _: u64, _: Option<u64>) {}
    fn done(&self, name: &str, line: &str) {
        println!("{name}: {line}");
    }
    fn note(&self, name: &str, line: &str) {
        println!("{name}: note: {line}");
    }
}

fn context() -> Option<(tempfile::TempDir, Context)> {
    if std::env::var("KAI_REAL_COMPONENTS").as_deref() != Ok("1") {
        println!("not run: set KAI_REAL_COMPONENTS=1 to fetch and build real components");
        return None;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let cache = std::env::var_os("KAI_REAL_CACHE");
    let context = Context {
        cache: cache.map_or_else(|| dir.path().join("cache"), PathBuf::from),
        lock_file: dir.path().join("observe.lock"),
        policy: ComponentPolicy::default(),
        workspace: None,
        progress: Arc::new(Printed),
    };
    Some((dir, context))
}

/// Obtains the component twice and runs its main program.
fn round(name: &str, arguments: &[&str]) {
    let Some((_dir, context)) = context() else {
        return;
    };
    let first = match context.obtain(name, None).expect("not stopped") {
        Outcome::Installed(installed) => installed,
        Outcome::NotInstalled(attempts) => panic!("{}", describe(&attempts)),
    };
    println!("passed over: {}", describe(&first.passed_over));
    println!(
        "{}",
        std::fs::read_to_string(&context.lock_file).unwrap_or_default()
    );
    let main = &first.programs[name];
    if !arguments.is_empty() {
        let output = Command::new(main)
            .args(arguments)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains(&first.version),
            "{output:?}"
        );
    }
    let start = Instant::now();
    let Lookup::Installed(again) = context.lookup(name, None).expect("not stopped") else {
        panic!("{name} is not found again");
    };
    println!("looked up in {:?}", start.elapsed());
    assert_eq!(again.digest, first.digest);
    assert_eq!(again.programs, first.programs);
    assert!(again.settled);
}

#[test]
fn prometheus() {
    round("prometheus", &["--version"]);
}

#[test]
fn alertmanager() {
    round("alertmanager", &["--version"]);
}

#[test]
fn node_exporter() {
    round("node_exporter", &["--version"]);
}

#[test]
fn jaeger() {
    round("jaeger", &[]);
}

#[test]
fn telemetrygen() {
    round("telemetrygen", &[]);
}

#[test]
fn what_judges_manifests() {
    round("etcd", &["--version"]);
    round("kube-apiserver", &["--version"]);
    round("kubectl", &["version", "--client"]);
    round("kubeconform", &[]);
}

/// The Maven client as a user's machine has it.
#[test]
fn elasticsearch_by_maven() {
    if std::env::var_os("KAI_REAL_MAVEN").is_none() {
        println!("not run: set KAI_REAL_MAVEN=1 to fetch 130 MB with mvn");
        return;
    }
    round("elasticsearch", &[]);
}
