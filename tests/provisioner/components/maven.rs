//! A mirror of a Maven repository, read without the client.

use std::fs;
use std::io::{Cursor, Write};

use kai_observe::components::{ComponentError, catalogue::Algorithm, digest::hash_file};
use kai_observe::model::SourceKind;

use super::support::{Bench, write_program};

const FOLDER: &str = "org/elasticsearch/distribution/integ-test-zip/elasticsearch/9.5.3";

fn artifact() -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    writer
        .start_file("elasticsearch-9.5.3/bin/elasticsearch", options)
        .expect("an entry");
    writer.write_all(b"#!/bin/sh\n").expect("written");
    writer.finish().expect("finished").into_inner()
}

fn bench() -> (Bench, std::path::PathBuf) {
    let bench = Bench::new(&[SourceKind::Maven]).mirror(SourceKind::Maven, "m2");
    let folder = bench.path().join("m2").join(FOLDER);
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("elasticsearch-9.5.3.zip");
    fs::write(&file, artifact()).expect("a file");
    let sum = hash_file(&file, Algorithm::Sha512, &mut |_| {}).expect("hashed");
    // Maven's deploy plug-in writes the bare checksum.
    fs::write(folder.join("elasticsearch-9.5.3.zip.sha512"), sum).expect("a file");
    (bench, folder)
}

#[test]
fn an_artifact_of_a_mirror_is_verified_and_unpacked() {
    let (bench, _) = bench();
    let installed = bench.installed("elasticsearch", None);
    assert_eq!(installed.source, SourceKind::Maven);
    let program = &installed.programs["elasticsearch"];
    assert!(program.ends_with("elasticsearch-9.5.3/bin/elasticsearch") && program.is_file());
    assert!(
        bench
            .lock_text()
            .contains("\"elasticsearch-9.5.3.zip\": \"sha512:")
    );
    assert!(bench.installed("elasticsearch", Some("9.5.3")).cached);
    bench.assert_tidy();
}

#[test]
fn wrong_and_weak_checksums_are_not_taken() {
    let (bench, folder) = bench();
    let sums = folder.join("elasticsearch-9.5.3.zip.sha512");
    fs::write(&sums, "ab".repeat(64)).expect("written");
    assert!(matches!(
        bench.stopped("elasticsearch", None),
        ComponentError::Checksum(_)
    ));
    fs::remove_file(&sums).expect("removed");
    fs::write(folder.join("elasticsearch-9.5.3.zip.sha1"), "ab".repeat(20)).expect("written");
    let reason = bench.reason("elasticsearch", None, SourceKind::Maven);
    assert!(
        reason.starts_with("the mirror publishes no checksum that is strong enough"),
        "{reason}"
    );
}

#[test]
fn without_mirror_and_client_it_says_so() {
    let bench = Bench::new(&[SourceKind::Maven]);
    assert_eq!(
        bench.reason("elasticsearch", None, SourceKind::Maven),
        "mvn is not on PATH"
    );
}

/// A stand-in for `mvn` that copies from a folder shows how the client is called and what is made
/// of a repository that publishes only SHA-1. The real client runs with KAI_REAL_MAVEN=1.
#[test]
fn the_client_is_told_to_be_strict_and_its_sha1_is_called_so() {
    let (mut bench, folder) = bench();
    bench.context.policy.mirrors.clear();
    let script = format!(
        r#"#!/bin/sh
echo "$@" >> '{log}'
for a in "$@"; do case "$a" in
  -Dartifact=*) artifact=${{a#*=}};;
  -DoutputDirectory=*) out=${{a#*=}};;
  -Dmaven.repo.local=*) repo=${{a#*=}};;
esac; done
case "$artifact" in *:zip) ;; *) echo '[ERROR] Could not find artifact' ; exit 1;; esac
mkdir -p "$repo/{FOLDER}"
cp '{from}/elasticsearch-9.5.3.zip' "$out/"
echo {sha1} > "$repo/{FOLDER}/elasticsearch-9.5.3.zip.sha1"
"#,
        log = bench.path().join("log").display(),
        from = folder.display(),
        sha1 = "ab".repeat(20),
    );
    write_program(&bench.path().join("bin/mvn"), &script);
    let path = std::env::var("PATH").expect("a PATH");
    let own = bench.path().join("bin").display().to_string();
    bench.machine.search_path = format!("{own}:{path}").into();
    let installed = bench.installed("elasticsearch", None);
    assert!(
        installed
            .verification
            .to_string()
            .contains("sha1 of elasticsearch-9.5.3.zip")
    );
    assert!(
        bench
            .lock_text()
            .contains(&format!("sha1:{}", "ab".repeat(20)))
    );
    let log = fs::read_to_string(bench.path().join("log")).expect("called");
    assert!(
        log.contains(" -C ") && log.contains("dependency-plugin:3.6.1:copy"),
        "{log}"
    );
    assert!(log.contains(
        "-Dartifact=org.elasticsearch.distribution.integ-test-zip:elasticsearch:9.5.3:zip"
    ));
}

/// Some proxies drop the checksum files: what comes from them is used, but called what it is.
#[test]
fn an_artifact_without_checksum_is_unverified_never_pinned_and_not_for_locked_stacks() {
    let (mut bench, folder) = bench();
    bench.context.policy.mirrors.clear();
    let script = format!(
        r#"#!/bin/sh
for a in "$@"; do case "$a" in
  -C) echo '[ERROR] Checksum validation failed, no checksums available'; exit 1;;
  -DoutputDirectory=*) out=${{a#*=}};;
esac; done
cp '{from}/elasticsearch-9.5.3.zip' "$out/"
"#,
        from = folder.display(),
    );
    write_program(&bench.path().join("bin/mvn"), &script);
    let path = std::env::var("PATH").expect("a PATH");
    let own = bench.path().join("bin").display().to_string();
    bench.machine.search_path = format!("{own}:{path}").into();
    let installed = bench.installed("elasticsearch", None);
    assert!(
        installed
            .verification
            .to_string()
            .starts_with("unverified: the repository publishes no")
    );
    assert!(installed.settled && !bench.context.lock_file.exists());
    assert!(bench.installed("elasticsearch", None).cached);
    bench.context.policy.locked = true;
    let attempts = bench.attempts("elasticsearch", None);
    for source in [SourceKind::Cache, SourceKind::Maven] {
        let reason = super::support::reason(&attempts, source);
        assert!(reason.contains("no pin for"), "{reason}");
    }
}

#[test]
fn a_server_without_its_java_is_not_installed_and_says_what_to_install() {
    let mut bench = Bench::new(&[SourceKind::Maven]);
    bench.machine.java = vec![bench.path().join("jvm")];
    fs::create_dir_all(bench.path().join("jvm/bin")).expect("a folder");
    write_program(&bench.path().join("jvm/bin/java"), "exit 1");
    fs::write(
        bench.path().join("jvm/release"),
        "JAVA_VERSION=\"17.0.15\"\n",
    )
    .expect("a file");
    let reason = bench.reason("elasticsearch", None, SourceKind::Maven);
    assert!(
        reason.contains("needs Java 21 or newer, and found only Java 17"),
        "{reason}"
    );
    assert!(reason.contains("openjdk-21-jre-headless"), "{reason}");
    // Java 17 does for 8; what is missing next is another thing.
    let reason = bench.reason("elasticsearch", Some("8.19.21"), SourceKind::Maven);
    assert!(reason.contains("mvn is not on PATH"), "{reason}");
}
