//! Official archives, as a mirror serves them: the good day, every way in which a download breaks,
//! and what must stop the run.

use std::fs;

use kai_observe::components::{ComponentError, Faults, Lookup, Outcome, Verification};
use kai_observe::model::SourceKind;

use super::server::{Server, Trouble};
use super::support::{Bench, mirror_folder, program, prometheus_archive, sha256, tar_gz};

const VERSION: &str = "3.16.0";
const FILE: &str = "/prometheus/3.16.0/prometheus-3.16.0.linux-amd64.tar.gz";

/// A bench whose only source is the archive mirror at `server`, with one good release.
fn bench(server: &Server, padding: usize) -> (Bench, Vec<u8>) {
    let archive = prometheus_archive(VERSION, padding);
    server.release(VERSION, &archive, &sha256(&archive));
    (
        Bench::new(&[SourceKind::Archive]).mirror(SourceKind::Archive, server.url()),
        archive,
    )
}

#[test]
fn a_release_is_verified_placed_pinned_and_found_again() {
    let server = Server::start();
    let (bench, archive) = bench(&server, 1000);
    assert_eq!(
        bench.lookup("prometheus", None).expect("not stopped"),
        Lookup::Missing
    );
    assert!(server.asked().is_empty(), "lookup must not use the network");

    let first = bench.installed("prometheus", None);
    assert_eq!(
        (first.version.as_str(), first.source),
        (VERSION, SourceKind::Archive)
    );
    assert!(!first.cached && first.settled);
    assert!(matches!(first.verification, Verification::Published { .. }));
    assert_eq!(
        first.programs.keys().collect::<Vec<_>>(),
        ["prometheus", "promtool"]
    );
    assert_eq!(
        first.digest,
        sha256(program("prometheus", VERSION).as_bytes())
    );
    assert!(
        bench.lock_text().contains(&format!(
            "\"prometheus-3.16.0.linux-amd64.tar.gz\": \"sha256:{}\"",
            sha256(&archive)
        )),
        "{}",
        bench.lock_text()
    );
    bench.assert_tidy();

    let asked = server.asked().len();
    let again = bench.installed("prometheus", None);
    assert!(again.cached && again.settled);
    assert_eq!(
        (&again.programs, &again.digest),
        (&first.programs, &first.digest)
    );
    assert!(matches!(
        bench.lookup("prometheus", Some("3.16")),
        Ok(Lookup::Installed(_))
    ));
    assert_eq!(
        bench
            .lookup("prometheus", Some("3.15.0"))
            .expect("not stopped"),
        Lookup::Missing
    );
    assert_eq!(
        server.asked().len(),
        asked,
        "what is cached is not asked for again"
    );
    let done = bench
        .heard
        .lines()
        .iter()
        .filter(|l| l.starts_with("done "))
        .count();
    assert_eq!(done, 2, "{:#?}", bench.heard.lines());
    assert!(bench.heard.has(&format!("of Some({})", archive.len())));
}

#[test]
fn a_cached_component_of_another_stack_is_pinned_in_this_one() {
    let server = Server::start();
    let (mut bench, _) = bench(&server, 10);
    bench.installed("prometheus", None);
    bench.context.lock_file = bench.path().join("other.lock");
    match bench.lookup("prometheus", None).expect("not stopped") {
        Lookup::Installed(installed) => assert!(!installed.settled),
        Lookup::Missing => panic!("it is cached"),
    }
    assert!(!bench.context.lock_file.exists(), "looking must not write");
    assert!(bench.installed("prometheus", None).settled);
    assert!(bench.lock_text().contains("sha256:"));
}

#[test]
fn a_wrong_checksum_stops_and_leaves_nothing() {
    let server = Server::start();
    let archive = prometheus_archive(VERSION, 100);
    server.release(VERSION, &archive, &"ab".repeat(32));
    let bench = Bench::new(&[SourceKind::Archive, SourceKind::Go])
        .mirror(SourceKind::Archive, server.url());
    let error = bench.stopped("prometheus", None);
    let ComponentError::Checksum(differs) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(differs.expected, format!("sha256:{}", "ab".repeat(32)));
    assert_eq!(differs.found, format!("sha256:{}", sha256(&archive)));
    let text = error.to_string();
    assert!(text.contains(FILE) && text.contains("run again"), "{text}");
    assert!(!bench.context.lock_file.exists(), "nothing was pinned");
    let downloads = bench.context.cache.join("downloads/prometheus");
    assert_eq!(fs::read_dir(downloads).expect("there").count(), 0);
    bench.assert_tidy();
}

#[test]
fn a_release_replaced_in_place_is_refused_before_it_is_downloaded() {
    let server = Server::start();
    let (bench, archive) = bench(&server, 100);
    bench.installed("prometheus", None);
    fs::remove_dir_all(bench.context.cache.join("components")).expect("removed");
    let other = prometheus_archive(VERSION, 101);
    server.release(VERSION, &other, &sha256(&other));
    let before = server.asked().iter().filter(|a| *a == FILE).count();
    let text = bench.stopped("prometheus", None).to_string();
    assert!(
        text.contains(&format!("observe.lock pins sha256:{}", sha256(&archive))),
        "{text}"
    );
    assert!(
        text.contains(&sha256(&other)) && text.contains("remove that entry"),
        "{text}"
    );
    assert_eq!(server.asked().iter().filter(|a| *a == FILE).count(), before);
}

#[test]
fn a_broken_line_is_resumed_where_it_broke() {
    let server = Server::start();
    let (bench, archive) = bench(&server, 200_000);
    server.trouble(Trouble {
        cut: vec![70_000, 50_000],
        ..Trouble::default()
    });
    assert_eq!(bench.installed("prometheus", None).version, VERSION);
    let ranges: Vec<String> = server
        .asked()
        .into_iter()
        .filter(|a| a.contains("bytes="))
        .collect();
    assert_eq!(
        ranges,
        [
            format!("{FILE} bytes=70000-"),
            format!("{FILE} bytes=120000-")
        ]
    );
    assert!(archive.len() > 120_000);
}

#[test]
fn a_server_without_ranges_starts_from_the_beginning() {
    for trouble in [
        Trouble {
            cut: vec![70_000],
            ignores_ranges: true,
            ..Trouble::default()
        },
        Trouble {
            cut: vec![70_000],
            no_validator: true,
            ..Trouble::default()
        },
    ] {
        let server = Server::start();
        let (bench, _) = bench(&server, 200_000);
        server.trouble(trouble);
        assert_eq!(bench.installed("prometheus", None).version, VERSION);
    }
}

#[test]
fn the_next_run_resumes_what_the_last_one_could_not_finish() {
    let server = Server::start();
    let (bench, _) = bench(&server, 200_000);
    // The first line breaks after 70 kB, then nothing more comes through.
    server.trouble(Trouble {
        cut: vec![70_000, 0, 0, 0, 0],
        ..Trouble::default()
    });
    let reason = bench.reason("prometheus", None, SourceKind::Archive);
    assert!(
        reason.ends_with("; 70.0 kB are kept to be resumed"),
        "{reason}"
    );
    server.trouble(Trouble::default());
    bench.installed("prometheus", None);
    assert_eq!(server.asked().last(), Some(&format!("{FILE} bytes=70000-")));
}

#[test]
fn parts_of_two_files_are_not_taken_for_one() {
    let server = Server::start();
    let (bench, _) = bench(&server, 200_000);
    server.trouble(Trouble {
        cut: vec![70_000, 0, 0, 0, 0],
        ..Trouble::default()
    });
    bench.attempts("prometheus", None);
    // The same name, other bytes: its tag differs, so the server sends all of it.
    let other = prometheus_archive(VERSION, 300_000);
    server.release(VERSION, &other, &sha256(&other));
    server.trouble(Trouble::default());
    bench.installed("prometheus", None);
    assert!(bench.lock_text().contains(&sha256(&other)));
}

#[test]
fn damage_in_a_kept_part_is_downloaded_again() {
    let server = Server::start();
    let (bench, _) = bench(&server, 200_000);
    server.trouble(Trouble {
        cut: vec![70_000, 0, 0, 0, 0],
        ..Trouble::default()
    });
    bench.attempts("prometheus", None);
    server.trouble(Trouble::default());
    let partial = bench
        .context
        .cache
        .join("downloads/prometheus/prometheus-3.16.0.linux-amd64.tar.gz.partial");
    let mut bytes = fs::read(&partial).expect("kept");
    assert_eq!(bytes.len(), 70_000);
    bytes[500] ^= 0xff;
    fs::write(&partial, bytes).expect("written");
    bench.installed("prometheus", None);
    assert!(
        bench.heard.has("does not fit together"),
        "{:#?}",
        bench.heard.lines()
    );
}

#[test]
fn servers_that_stumble_are_asked_again_and_those_that_refuse_are_not() {
    let server = Server::start();
    let (bench, _) = bench(&server, 100);
    server.trouble(Trouble {
        statuses: vec![503, 500],
        ..Trouble::default()
    });
    bench.installed("prometheus", None);
    assert_eq!(server.asked().len(), 4);

    for (status, part) in [(403, "403"), (404, "404")] {
        let server = Server::start();
        let (bench, _) = self::bench(&server, 100);
        server.trouble(Trouble {
            statuses: vec![status],
            ..Trouble::default()
        });
        let reason = bench.reason("prometheus", None, SourceKind::Archive);
        assert!(reason.contains(part), "{reason}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_version_that_the_vendor_does_not_have_is_passed_over() {
    let server = Server::start();
    let (bench, _) = bench(&server, 10);
    let reason = bench.reason("prometheus", Some("3.99.1"), SourceKind::Archive);
    assert!(reason.contains("404"), "{reason}");
    let reason = bench.reason("prometheus", Some("2.45.0"), SourceKind::Archive);
    assert_eq!(reason, "it is 2.45.0, 3.0.0 or newer is needed");
    let reason = bench.reason("prometheus", Some("3.5"), SourceKind::Archive);
    assert!(
        reason.contains("asks for 3.5.x; this source needs a full version"),
        "{reason}"
    );
    assert!(matches!(
        bench.stopped("prometheus", Some("latest")),
        ComponentError::BadVersion { .. }
    ));
}

#[test]
fn an_archive_that_says_another_version_is_not_used() {
    let server = Server::start();
    let top = "prometheus-3.16.0.linux-amd64";
    let archive = tar_gz(&[
        (
            format!("{top}/prometheus"),
            program("prometheus", "3.15.0").into_bytes(),
        ),
        (
            format!("{top}/promtool"),
            program("promtool", "3.15.0").into_bytes(),
        ),
    ]);
    server.release(VERSION, &archive, &sha256(&archive));
    let bench = Bench::new(&[SourceKind::Archive]).mirror(SourceKind::Archive, server.url());
    let reason = bench.reason("prometheus", None, SourceKind::Archive);
    assert_eq!(
        reason,
        "prometheus in it says that it is 3.15.0, not 3.16.0"
    );
    bench.assert_tidy();
}

#[test]
fn an_archive_that_leaves_its_folder_stops_the_run() {
    let server = Server::start();
    let evil = tar_gz(&[
        (
            "prometheus-3.16.0.linux-amd64/prometheus".into(),
            b"x".to_vec(),
        ),
        (
            "prometheus-3.16.0.linux-amd64/../../../../evil".into(),
            b"x".to_vec(),
        ),
    ]);
    server.release(VERSION, &evil, &sha256(&evil));
    let bench = Bench::new(&[SourceKind::Archive]).mirror(SourceKind::Archive, server.url());
    let text = bench.stopped("prometheus", None).to_string();
    assert!(
        text.contains("`prometheus-3.16.0.linux-amd64/../../../../evil`"),
        "{text}"
    );
    assert!(!bench.path().join("evil").exists() && !bench.context.cache.join("evil").exists());
    bench.assert_tidy();
}

#[test]
fn a_mirror_may_be_a_folder_and_a_relative_one_starts_at_the_spec() {
    let bench = Bench::new(&[SourceKind::Archive]);
    let folder = bench.path().join("mirror");
    mirror_folder(&folder, VERSION, &prometheus_archive(VERSION, 10));
    for mirror in [
        folder.display().to_string(),
        format!("file://{}", folder.display()),
        "mirror".to_string(),
    ] {
        let mut bench = Bench::new(&[SourceKind::Archive]).mirror(SourceKind::Archive, mirror);
        bench.context.lock_file = folder.parent().expect("a parent").join("observe.lock");
        assert_eq!(bench.installed("prometheus", None).version, VERSION);
    }
    let bench = Bench::new(&[SourceKind::Archive]).mirror(SourceKind::Archive, "/nowhere/at/all");
    let reason = bench.reason("prometheus", None, SourceKind::Archive);
    assert!(
        reason.contains("/nowhere/at/all/prometheus/3.16.0/sha256sums.txt does not exist"),
        "{reason}"
    );
}

#[test]
fn a_mirror_without_sums_does_when_the_checksum_is_pinned() {
    let bench = Bench::new(&[SourceKind::Archive]).mirror(SourceKind::Archive, "mirror");
    let folder = mirror_folder(
        &bench.path().join("mirror"),
        VERSION,
        &prometheus_archive(VERSION, 10),
    );
    bench.installed("prometheus", None);
    fs::remove_dir_all(&bench.context.cache).expect("removed");
    fs::remove_file(folder.join("sha256sums.txt")).expect("removed");
    assert_eq!(bench.installed("prometheus", None).version, VERSION);
    // Without the pin a checksum would have to be invented.
    fs::remove_dir_all(&bench.context.cache).expect("removed");
    fs::remove_file(&bench.context.lock_file).expect("removed");
    let reason = bench.reason("prometheus", None, SourceKind::Archive);
    assert!(reason.starts_with("no checksums at "), "{reason}");
}

#[test]
fn what_is_pinned_wins_over_the_catalogues_default() {
    let server = Server::start();
    let older = prometheus_archive("3.14.2", 10);
    server.release("3.14.2", &older, &sha256(&older));
    let (bench, _) = bench(&server, 10);
    bench.installed("prometheus", Some("3.14.2"));
    fs::remove_dir_all(&bench.context.cache).expect("removed");
    assert_eq!(bench.installed("prometheus", None).version, "3.14.2");
    assert_eq!(
        bench.installed("prometheus", Some("3.16.0")).version,
        "3.16.0"
    );
    // Both are cached and pinned now; the newest pin is the stack's.
    assert_eq!(bench.installed("prometheus", None).version, "3.16.0");
}

#[test]
fn credentials_of_a_mirror_are_shown_nowhere() {
    let server = Server::start();
    let (bench, _) = bench(&server, 10);
    let url = server.url().replace("http://", "http://me:s3cret@");
    let bench = bench.mirror(SourceKind::Archive, url);
    let installed = bench.installed("prometheus", None);
    let attempts = bench.attempts("prometheus", Some("3.98.0"));
    let shown = format!(
        "{installed:?} {attempts:?} {:?} {} {}",
        bench.heard.lines(),
        bench.lock_text(),
        serde_json::to_string(&installed).expect("json")
    );
    assert!(!shown.contains("s3cret"), "{shown}");
    let manifest = installed.programs["prometheus"]
        .parent()
        .and_then(|p| p.parent());
    let manifest = manifest.expect("a folder").join("kai-component.json");
    assert!(
        !fs::read_to_string(manifest)
            .expect("there")
            .contains("s3cret")
    );
}

#[test]
fn a_full_disk_is_named_and_nothing_half_done_stays() {
    let server = Server::start();
    let (mut bench, _) = bench(&server, 100_000);
    bench.machine.faults = Faults::parse("enospc:component/prometheus");
    let error = bench.stopped("prometheus", None);
    assert!(matches!(error, ComponentError::NoSpace { .. }), "{error:?}");
    let text = error.to_string();
    let folder = bench.context.cache.display().to_string();
    assert!(
        text.contains(&folder) && text.contains(" free") && text.contains("KAI_CACHE"),
        "{text}"
    );
    assert_eq!(
        fs::read_dir(bench.context.cache.join("downloads/prometheus"))
            .expect("there")
            .count(),
        0
    );
    assert!(!bench.context.lock_file.exists());
    bench.assert_tidy();
    // With room again the same call succeeds.
    bench.machine.faults = Faults::default();
    bench.installed("prometheus", None);
}

#[test]
fn a_changed_program_in_the_cache_is_moved_away_and_fetched_again() {
    let server = Server::start();
    let (bench, _) = bench(&server, 10);
    let first = bench.installed("prometheus", None);
    let program = &first.programs["prometheus"];
    let mut text = fs::read_to_string(program).expect("there");
    text.push_str("# a byte more\n");
    fs::write(program, text).expect("written");
    assert_eq!(
        bench.lookup("prometheus", None).expect("not stopped"),
        Lookup::Missing
    );
    let again = bench.installed("prometheus", None);
    assert!(!again.cached);
    assert_eq!(again.digest, first.digest);
    assert!(bench.heard.has("is not what was placed there"));
    assert_eq!(
        fs::read_dir(bench.context.cache.join("quarantine"))
            .expect("there")
            .count(),
        1
    );
}

#[test]
fn a_cached_copy_that_contradicts_the_pin_stops() {
    let server = Server::start();
    let (bench, archive) = bench(&server, 10);
    bench.installed("prometheus", None);
    let text = bench
        .lock_text()
        .replace(&sha256(&archive), &"cd".repeat(32));
    fs::write(&bench.context.lock_file, text).expect("written");
    for error in [
        bench.lookup("prometheus", None).expect_err("stopped"),
        bench.stopped("prometheus", None),
    ] {
        let text = error.to_string();
        assert!(
            text.contains("observe.lock pins sha256:cdcd") && text.contains("the copy in"),
            "{text}"
        );
    }
}

#[test]
fn an_unwritable_cache_and_an_unreadable_lock_are_clear_errors() {
    let server = Server::start();
    let (mut bench, _) = bench(&server, 10);
    let file = bench.path().join("a-file");
    fs::write(&file, "").expect("written");
    let good = std::mem::replace(&mut bench.context.cache, file.join("cache"));
    let text = bench.stopped("prometheus", None).to_string();
    assert!(
        text.contains("a-file/cache") && text.contains("KAI_CACHE"),
        "{text}"
    );
    bench.context.cache = good;
    fs::write(&bench.context.lock_file, "lockVersion: 1\ncomponents: [1\n").expect("written");
    let text = bench.stopped("prometheus", None).to_string();
    assert!(
        text.contains("observe.lock:") && text.contains("restore the file"),
        "{text}"
    );
    assert!(matches!(
        bench.obtain("promethues", None),
        Err(ComponentError::Unknown { .. })
    ));
}

#[test]
fn an_archive_for_another_platform_is_not_fetched() {
    let server = Server::start();
    let (mut bench, _) = bench(&server, 10);
    bench.machine.platform.arch = "riscv64".into();
    let reason = bench.reason("prometheus", None, SourceKind::Archive);
    assert_eq!(reason, "there is no archive for linux/riscv64");
    assert!(matches!(
        bench.obtain("prometheus", None),
        Ok(Outcome::NotInstalled(_))
    ));
    assert!(server.asked().is_empty());
}
