//! A Go proxy in a folder with one small module, built by the machine's own Go.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use kai_observe::components::catalogue::Catalogue;
use kai_observe::components::{Machine, Verification};
use kai_observe::model::SourceKind;

use super::support::Bench;

const CATALOGUE: &str = "\
tool:
  about: a test
  programs: [tool]
  version: { default: 1.2.3, minimum: 1.0.0 }
  go:
    module: example.com/tool
    moduleVersion: v{version}
    packages: { tool: example.com/tool/cmd/other-name }
    ldflags: -X main.version={version}
    env: { CGO_ENABLED: '0' }
wrapped:
  about: a test of a module that go install refuses
  programs: [wrapped]
  version: { default: 1.2.3, minimum: 1.0.0, arguments: [] }
  go:
    module: example.com/tool
    moduleVersions: { 1.2.3: v1.2.3 }
    packages: { wrapped: example.com/tool/cmd/other-name }
    wrapper: true
";

const MAIN: &str =
    "package main\n\nvar version string\n\nfunc main() { println(\"tool, version \" + version) }\n";

/// Publishes the module; a `replace` line makes `go install` refuse it.
fn publish(proxy: &Path, go: &str, main: &str, replace: bool) {
    let folder = proxy.join("example.com/tool/@v");
    fs::create_dir_all(&folder).expect("a folder");
    let replace = if replace {
        "\nreplace example.com/x => ./x\n"
    } else {
        ""
    };
    let module = format!("module example.com/tool\n\ngo {go}\n{replace}");
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in [
        ("go.mod", module.as_str()),
        ("go.sum", ""),
        ("cmd/other-name/main.go", main),
    ] {
        writer
            .start_file(format!("example.com/tool@v1.2.3/{name}"), options)
            .expect("an entry");
        writer.write_all(text.as_bytes()).expect("written");
    }
    let zip = writer.finish().expect("finished").into_inner();
    fs::write(folder.join("v1.2.3.zip"), zip).expect("written");
    fs::write(folder.join("v1.2.3.mod"), &module).expect("written");
    fs::write(folder.join("v1.2.3.info"), "{\"Version\":\"v1.2.3\"}").expect("written");
    fs::write(folder.join("list"), "v1.2.3\n").expect("written");
}

/// The machine's Go with a module cache of its own; `None` where there is no Go.
fn bench() -> Option<Bench> {
    let mut bench = Bench::new(&[SourceKind::Go]).mirror(SourceKind::Go, "proxy");
    if Machine::this().expect("a machine").which("go").is_none() {
        println!("not run: go is missing here");
        return None;
    }
    bench.machine.search_path = std::env::var_os("PATH").expect("a PATH");
    bench.machine.catalogue = Catalogue::parse(CATALOGUE).expect("a catalogue");
    let modules = bench.path().join("modules").display().to_string();
    // A module that exists nowhere else cannot be in the checksum database.
    for (name, value) in [
        ("GOMODCACHE", modules.as_str()),
        ("GONOSUMDB", "example.com"),
        ("GOFLAGS", "-modcacherw"),
        ("GOTOOLCHAIN", "local"),
    ] {
        bench.machine.tool_env.push((name.into(), value.into()));
    }
    Some(bench)
}

#[test]
fn a_module_is_fetched_from_the_mirror_built_and_pinned() {
    let Some(bench) = bench() else { return };
    publish(&bench.path().join("proxy"), "1.21", MAIN, false);
    let installed = bench.installed("tool", None);
    assert_eq!(
        (installed.version.as_str(), installed.source),
        ("1.2.3", SourceKind::Go)
    );
    let program = &installed.programs["tool"];
    assert!(program.ends_with("bin/tool"), "{}", program.display());
    let Verification::Built { by } = &installed.verification else {
        panic!("{installed:?}")
    };
    assert!(
        by.contains("h1:") && by.contains("checksum database switched off"),
        "{by}"
    );
    assert!(
        bench
            .lock_text()
            .contains("\"example.com/tool@v1.2.3\": \"h1:"),
        "{}",
        bench.lock_text()
    );
    assert!(bench.installed("tool", None).cached);
    bench.assert_tidy();

    // The proxy now has other sources under the same version.
    publish(
        &bench.path().join("proxy"),
        "1.21",
        &format!("{MAIN}// changed\n"),
        false,
    );
    fs::remove_dir_all(bench.context.cache.join("components")).expect("removed");
    fs::remove_dir_all(bench.path().join("modules")).expect("removed");
    let text = bench.stopped("tool", None).to_string();
    assert!(
        text.contains("observe.lock pins h1:") && text.contains("the module has h1:"),
        "{text}"
    );
}

#[test]
fn a_module_with_replace_lines_is_built_from_a_wrapper() {
    let Some(bench) = bench() else { return };
    publish(&bench.path().join("proxy"), "1.21", MAIN, true);
    let reason = bench.reason("tool", None, SourceKind::Go);
    assert!(reason.contains("replace"), "{reason}");
    assert_eq!(bench.installed("wrapped", None).version, "1.2.3");
    let reason = bench.reason("wrapped", Some("1.2.4"), SourceKind::Go);
    assert_eq!(
        reason,
        "the catalogue knows no module of 1.2.4, only of 1.2.3"
    );
}

#[test]
fn what_cannot_be_built_here_is_passed_over() {
    let Some(bench) = bench() else { return };
    let reason = bench.reason("tool", None, SourceKind::Go);
    assert!(reason.starts_with("go could not fetch it: "), "{reason}");
    publish(&bench.path().join("proxy"), "1.999", MAIN, false);
    let reason = bench.reason("tool", None, SourceKind::Go);
    assert!(
        reason.contains("go >= 1.999") || reason.contains("needs Go 1.999"),
        "{reason}"
    );
    fs::remove_dir_all(bench.path().join("modules")).expect("removed");
    publish(
        &bench.path().join("proxy"),
        "1.21",
        "package main\n\nfunc main() { nonsense }\n",
        false,
    );
    let reason = bench.reason("tool", None, SourceKind::Go);
    assert!(reason.starts_with("go could not build it: "), "{reason}");
    bench.assert_tidy();
}
