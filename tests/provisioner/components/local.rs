//! What is on the machine already: PATH, the running program, builds of a checkout.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kai_observe::components::{Lookup, Verification};
use kai_observe::model::SourceKind;

use super::support::{Bench, write_program};

#[test]
fn a_program_on_path_is_judged_by_its_version() {
    let bench = Bench::new(&[SourceKind::Path]);
    bench.on_path(
        "prometheus",
        "prometheus, version 3.5.3+ds1 (branch: debian/sid, revision: 3)",
    );
    assert_eq!(
        bench.reason("prometheus", None, SourceKind::Path),
        "promtool is not on PATH"
    );
    bench.on_path(
        "promtool",
        "promtool, version 3.5.3+ds1 (branch: debian/sid, revision: 3)",
    );
    let found = bench.installed("prometheus", None);
    assert_eq!(
        (found.version.as_str(), found.source),
        ("3.5.3", SourceKind::Path)
    );
    assert!(matches!(
        found.verification,
        Verification::Unverified { .. }
    ));
    assert!(found.to_string().contains("unverified"), "{found}");
    assert!(matches!(
        bench.lookup("prometheus", Some("3.5.3")),
        Ok(Lookup::Installed(_))
    ));
    assert!(!bench.context.lock_file.exists(), "PATH is never pinned");
    let reason = bench.reason("prometheus", Some("3.5.4"), SourceKind::Path);
    assert_eq!(reason, "it is 3.5.3, the spec asks for 3.5.4");
}

#[test]
fn programs_that_are_old_mute_or_broken_are_passed_over() {
    let cases = [
        (
            "echo 'prometheus, version 2.45.3 (x)'",
            "it is 2.45.3, 3.0.0 or newer is needed",
        ),
        (
            "echo 'prometheus, version  (branch: , revision: unknown)'; echo ' go version: go1.26.8'",
            "does not say its version",
        ),
        (
            "echo 'libfoo.so: not found' >&2; exit 127",
            "it does not run here: libfoo.so: not found",
        ),
    ];
    for (script, part) in cases {
        let bench = Bench::new(&[SourceKind::Path]);
        for name in ["prometheus", "promtool"] {
            write_program(
                &bench.path().join("bin").join(name),
                &format!("#!/bin/sh\n{script}\n"),
            );
        }
        let reason = bench.reason("prometheus", None, SourceKind::Path);
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn another_name_on_path_and_a_replaced_program_are_seen() {
    let bench = Bench::new(&[SourceKind::Path]);
    let file = bench.on_path(
        "prometheus-alertmanager",
        "alertmanager, version 0.33.1 (x)",
    );
    let first = bench.installed("alertmanager", None);
    assert_eq!(first.programs["alertmanager"], file);
    fs::remove_file(&file).expect("removed");
    bench.on_path(
        "prometheus-alertmanager",
        "alertmanager, version 0.28.0 (x)",
    );
    let second = bench.installed("alertmanager", None);
    assert_eq!(second.version, "0.28.0");
    assert_ne!(first.digest, second.digest);
}

#[test]
fn the_running_program_and_what_lies_beside_it_are_found() {
    let mut bench = Bench::new(&SourceKind::ALL);
    let own = env!("CARGO_PKG_VERSION");
    let folder = bench.path().join("opt");
    write_program(&folder.join("kai-observe"), "#!/bin/sh\n");
    bench.machine.exe = Some(folder.join("kai-observe"));
    let itself = bench.installed("kai-observe", None);
    assert_eq!(itself.programs["kai-observe"], folder.join("kai-observe"));
    let reason = bench.reason("kai-agent", None, SourceKind::Workspace);
    assert!(reason.contains("not run from a checkout, and "), "{reason}");
    write_program(
        &folder.join("kai-agent"),
        &format!("#!/bin/sh\necho kai-agent {own}\n"),
    );
    assert_eq!(
        bench.installed("kai-agent", None).source,
        SourceKind::Workspace
    );
    write_program(
        &folder.join("kai-agent"),
        "#!/bin/sh\necho kai-agent 9.9.9\n",
    );
    let reason = bench.reason("kai-agent", None, SourceKind::Workspace);
    assert_eq!(reason, format!("it is 9.9.9, this kai-observe is {own}"));
}

/// A workspace of one package that needs nothing from elsewhere.
fn checkout(root: &Path) {
    fs::create_dir_all(root.join("agent/src")).expect("a folder");
    let own = env!("CARGO_PKG_VERSION");
    let files = [
        (
            "Cargo.toml",
            "[workspace]\nmembers = [\"agent\"]\nresolver = \"3\"\n".to_string(),
        ),
        (
            "agent/Cargo.toml",
            format!("[package]\nname = \"kai-agent\"\nversion = \"{own}\"\nedition = \"2024\"\n"),
        ),
        (
            "agent/src/main.rs",
            "mod said;\nfn main() { println!(\"{}\", said::SAID); }\n".into(),
        ),
        (
            "agent/src/said.rs",
            "pub const SAID: &str = \"one\";\n".into(),
        ),
    ];
    for (name, text) in files {
        fs::write(root.join(name), text).expect("a file");
    }
}

fn output(program: &Path) -> String {
    let output = std::process::Command::new(program)
        .output()
        .expect("it runs");
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// Sets a file's time without waiting for the clock.
fn touch(file: &Path, ahead: Duration) {
    let file = fs::File::options().write(true).open(file).expect("open");
    file.set_modified(SystemTime::now() + ahead)
        .expect("a time");
}

#[test]
fn a_checkout_is_built_once_and_again_when_its_sources_change() {
    let mut bench = Bench::new(&[SourceKind::Workspace]);
    let root = bench.path().join("checkout");
    checkout(&root);
    bench.context.workspace = Some(root.clone());
    let reason = bench.reason("kai-agent", None, SourceKind::Workspace);
    assert_eq!(reason, "it has to be built and cargo is not on PATH");
    // rustup's cargo looks for rustc beside it, on the real PATH.
    bench.machine.search_path = std::env::var_os("PATH").expect("a PATH");
    // As if this were `target/debug/kai-observe` of that checkout.
    fs::create_dir_all(root.join("target/debug")).expect("a folder");
    fs::write(root.join("target/CACHEDIR.TAG"), "").expect("a file");
    bench.machine.exe = Some(root.join("target/debug/kai-observe"));

    assert_eq!(
        bench.lookup("kai-agent", None).expect("not stopped"),
        Lookup::Missing
    );
    let first = bench.installed("kai-agent", None);
    let program = root.join("target/debug/kai-agent");
    assert_eq!(first.programs["kai-agent"], program);
    assert_eq!(output(&program), "one");
    assert!(
        bench.heard.has("compiling kai-agent"),
        "{:#?}",
        bench.heard.lines()
    );
    assert!(matches!(
        bench.lookup("kai-agent", None),
        Ok(Lookup::Installed(_))
    ));

    fs::write(
        root.join("agent/src/said.rs"),
        "pub const SAID: &str = \"two\";\n",
    )
    .expect("a file");
    touch(&root.join("agent/src/said.rs"), Duration::from_secs(1));
    assert_eq!(
        bench.lookup("kai-agent", None).expect("not stopped"),
        Lookup::Missing
    );
    let second = bench.installed("kai-agent", None);
    assert_eq!(output(&program), "two");
    assert_ne!(first.digest, second.digest);

    // A manifest that is newer but changes nothing must not make it stale for ever.
    std::thread::sleep(Duration::from_millis(1100));
    touch(&root.join("Cargo.toml"), Duration::ZERO);
    assert_eq!(
        bench.lookup("kai-agent", None).expect("not stopped"),
        Lookup::Missing
    );
    let third = bench.installed("kai-agent", None);
    assert_eq!(third.digest, second.digest);
    assert!(matches!(
        bench.lookup("kai-agent", None),
        Ok(Lookup::Installed(_))
    ));

    fs::write(
        root.join("agent/src/said.rs"),
        "pub const SAID: &str = nonsense;\n",
    )
    .expect("a file");
    touch(&root.join("agent/src/said.rs"), Duration::from_secs(2));
    let reason = bench.reason("kai-agent", None, SourceKind::Workspace);
    assert!(reason.contains("error"), "{reason}");
}
