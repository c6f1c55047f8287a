//! What `components:` of the spec allows: sources, pinned ones only, a prepared cache.

use kai_observe::components::{Lookup, describe};
use kai_observe::model::SourceKind;

use super::server::Server;
use super::support::{Bench, mirror_folder, prometheus_archive, reason, sha256};

const VERSION: &str = "3.16.0";

#[test]
fn every_source_says_why_it_was_passed_over() {
    let bench = Bench::new(&SourceKind::ALL).mirror(SourceKind::Archive, "nowhere");
    let attempts = bench.attempts("prometheus", None);
    let sources: Vec<SourceKind> = attempts.iter().map(|a| a.source).collect();
    assert_eq!(sources, SourceKind::ALL);
    let of = |source| reason(&attempts, source);
    assert_eq!(
        of(SourceKind::Workspace),
        "it is not built from this workspace"
    );
    assert_eq!(of(SourceKind::Path), "prometheus is not on PATH");
    assert_eq!(of(SourceKind::Cache), "nothing cached yet");
    assert!(of(SourceKind::Archive).contains("does not exist"));
    assert!(of(SourceKind::Debian).contains("is not on PATH; this is no Debian-like system"));
    assert_eq!(of(SourceKind::Go), "go is not on PATH");
    assert_eq!(
        of(SourceKind::Maven),
        "the catalogue has no Maven artifact of it"
    );
    let text = describe(&attempts);
    assert!(
        text.starts_with("no source could give it:\n  path (prometheus): "),
        "{text}"
    );
    assert!(
        text.ends_with("\n  workspace, cache, maven: none"),
        "{text}"
    );
}

#[test]
fn a_source_that_is_not_allowed_is_not_asked() {
    let server = Server::start();
    let archive = prometheus_archive(VERSION, 10);
    server.release(VERSION, &archive, &sha256(&archive));
    let bench = Bench::new(&[SourceKind::Path]).mirror(SourceKind::Archive, server.url());
    let attempts = bench.attempts("prometheus", None);
    assert_eq!(
        reason(&attempts, SourceKind::Archive),
        "components.allow does not have it"
    );
    assert!(server.asked().is_empty());
}

#[test]
fn what_came_from_a_forbidden_source_is_not_taken_from_the_cache() {
    let mut bench = Bench::new(&[SourceKind::Archive]).mirror(SourceKind::Archive, "mirror");
    mirror_folder(
        &bench.path().join("mirror"),
        VERSION,
        &prometheus_archive(VERSION, 10),
    );
    bench.installed("prometheus", None);
    bench.context.policy.allow = vec![SourceKind::Cache, SourceKind::Go];
    let attempts = bench.attempts("prometheus", None);
    assert_eq!(
        reason(&attempts, SourceKind::Cache),
        "3.16.0 from archive: components.allow does not have archive"
    );
    // A cache that was prepared elsewhere is the only source of a machine without network.
    bench.context.policy.allow = vec![SourceKind::Cache];
    assert!(bench.installed("prometheus", None).cached);
}

#[test]
fn locked_takes_only_what_is_pinned() {
    let mut bench = Bench::new(&SourceKind::ALL).mirror(SourceKind::Archive, "mirror");
    mirror_folder(
        &bench.path().join("mirror"),
        VERSION,
        &prometheus_archive(VERSION, 10),
    );
    bench.on_path("prometheus", "prometheus, version 3.16.0 (x)");
    bench.on_path("promtool", "promtool, version 3.16.0 (x)");
    bench.context.policy.locked = true;
    let attempts = bench.attempts("prometheus", None);
    assert!(reason(&attempts, SourceKind::Path).starts_with("what lies on PATH cannot be pinned"));
    let text = reason(&attempts, SourceKind::Archive);
    assert!(
        text.starts_with("observe.lock has no pin for 3.16.0 on linux/amd64"),
        "{text}"
    );
    assert!(!bench.context.lock_file.exists());

    bench.context.policy.locked = false;
    assert_eq!(bench.installed("prometheus", None).source, SourceKind::Path);
    bench.context.policy.allow = vec![SourceKind::Archive];
    bench.installed("prometheus", None);
    bench.context.policy.allow = SourceKind::ALL.to_vec();
    bench.context.policy.locked = true;
    let installed = bench.installed("prometheus", None);
    assert_eq!(
        (installed.source, installed.cached),
        (SourceKind::Archive, true)
    );
    // Another version of the same source is not pinned.
    let text = bench.reason("prometheus", Some("3.17.0"), SourceKind::Archive);
    assert!(text.contains("no pin for 3.17.0"), "{text}");
    std::fs::remove_file(&bench.context.lock_file).expect("removed");
    assert_eq!(
        bench.lookup("prometheus", None).expect("not stopped"),
        Lookup::Missing
    );
}
