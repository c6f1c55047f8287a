//! A fleet that moves from Filebeat: its registry is imported, and the agent goes on exactly there.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Output;

use super::fake::Fake;
use super::runner::{Runner, append, numbered};
use crate::support::{binary, wait_for};

fn import(agent: &Runner, registry: &Path, more: &[&str]) -> Output {
    let mut command = binary();
    command.args(["import", "filebeat"]).arg(registry);
    command.arg("--config").arg(agent.path("agent.yaml"));
    command.args(more).output().unwrap()
}

fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

/// A registry with these states, the first of them in a snapshot.
fn registry(folder: &Path, states: &[(String, serde_json::Value)]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("meta.json"), "{\"version\":\"1\"}").unwrap();
    let (key, value) = &states[0];
    let mut first = value.clone();
    first["_key"] = key.clone().into();
    fs::write(folder.join("100.json"), format!("[{first}\n]")).unwrap();
    fs::write(folder.join("active.dat"), "/x/100.json").unwrap();
    let mut log =
        String::from("{\"op\":\"remove\",\"id\":99}\n{\"k\":\"from before the snapshot\"}\n");
    for (number, (key, value)) in states[1..].iter().enumerate() {
        log += &format!("{{\"op\":\"set\",\"id\":{}}}\n", 101 + number);
        log += &format!("{}\n", serde_json::json!({ "k": key, "v": value }));
    }
    fs::write(folder.join("log.json"), log).unwrap();
}

fn log_input(path: &Path, offset: usize) -> (String, serde_json::Value) {
    let it = fs::metadata(path).unwrap();
    let id = format!("native::{}-{}", it.ino(), it.dev());
    let value = serde_json::json!({
        "id": id, "prev_id": "", "timestamp": [698_286_230, 1_641_268_968], "ttl": -1, "type": "log",
        "FileStateOS": { "inode": it.ino(), "device": it.dev() }, "source": path,
        "offset": offset, "identifier_name": "native",
    });
    (format!("filebeat::logs::{id}"), value)
}

fn filestream(
    path: &Path,
    kind: &str,
    identity: &str,
    offset: usize,
) -> (String, serde_json::Value) {
    let value = serde_json::json!({
        "ttl": 1_800_000_000_000_u64, "updated": [507_500_968, 1_701_686_520], "cursor": { "offset": offset },
        "meta": { "source": path, "identifier_name": kind },
    });
    (format!("filestream::my::id::{kind}::{identity}"), value)
}

#[test]
fn the_agent_goes_on_where_filebeat_was() {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let file = |name: &str| agent.path(&format!("l/{name}"));
    let ten = numbered(0..10);
    let names = [
        "log.log",
        "native.log",
        "path.log",
        "print.log",
        "shrunk.log",
        "half.log",
    ];
    for (number, name) in names.iter().enumerate() {
        let base = number as u64 * 1000;
        // More than 1024 bytes, as a fingerprint wants.
        append(&file(name), numbered(base..base + 200).as_bytes());
    }
    append(&agent.path("elsewhere.log"), ten.as_bytes());
    let end_of = |name: &str, lines: usize| -> usize {
        let text = fs::read_to_string(file(name)).unwrap();
        text.lines().take(lines).map(|line| line.len() + 1).sum()
    };
    let native = |name: &str| {
        let it = fs::metadata(file(name)).unwrap();
        format!("{}-{}", it.ino(), it.dev())
    };
    let print = {
        use sha2::Digest;
        let bytes = fs::read(file("print.log")).unwrap();
        let digest = sha2::Sha256::digest(&bytes[..1024]);
        digest.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    };
    let folder = agent.path("data/registry/filebeat");
    registry(
        &folder,
        &[
            log_input(&file("log.log"), end_of("log.log", 150)),
            filestream(
                &file("native.log"),
                "native",
                &native("native.log"),
                end_of("native.log", 100),
            ),
            filestream(
                &file("path.log"),
                "path",
                &file("path.log").display().to_string(),
                end_of("path.log", 50),
            ),
            filestream(
                &file("print.log"),
                "fingerprint",
                &print,
                end_of("print.log", 199),
            ),
            log_input(&file("shrunk.log"), 1_000_000),
            log_input(&file("half.log"), end_of("half.log", 10) - 3),
            log_input(&agent.path("elsewhere.log"), 9),
            (
                "httpjson::x".to_owned(),
                serde_json::json!({ "cursor": { "n": 1 } }),
            ),
        ],
    );
    let dry = import(&agent, &folder, &["--dry-run"]);
    assert_eq!(dry.status.code(), Some(2), "{}", text(&dry));
    assert!(
        text(&dry).contains("4 would be taken, 2 refused"),
        "{}",
        text(&dry)
    );
    assert!(!agent.path("state/logs/places").exists());
    // By Filebeat's own data folder, too.
    let done = import(&agent, &agent.path("data"), &[]);
    for line in [
        "4 taken, 2 refused",
        "it has 2600 bytes and Filebeat was at 1000000",
        "no line ends at",
        "no source of the configuration reads it",
        "1 states of httpjson: they are no files",
    ] {
        assert!(text(&done).contains(line), "{line}: {}", text(&done));
    }
    // Again changes nothing.
    let again = import(&agent, &folder, &["--output", "json"]);
    let value: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    let taken = value["files"].as_array().unwrap();
    assert!(taken.iter().all(|file| file["what"] != "taken"), "{value}");
    // One was rotated meanwhile, and all are written to.
    fs::rename(file("native.log"), agent.path("l/native.log.1")).unwrap();
    append(
        &agent.path("l/native.log.1"),
        numbered(1200..1210).as_bytes(),
    );
    append(&file("log.log"), numbered(200..210).as_bytes());
    let expected: Vec<u64> = (150..210)
        .chain(1100..1210)
        .chain(2050..2200)
        .chain(3199..3200)
        .chain(4000..4200)
        .chain(5000..5200)
        .collect();
    agent.start();
    wait_for("the lines", || {
        (fake.count() >= expected.len()).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(fake.sequence(), expected);
    // While it runs nothing is imported.
    let busy = import(&agent, &folder, &[]);
    assert_eq!(busy.status.code(), Some(1));
    assert!(text(&busy).contains("stop the agent"), "{}", text(&busy));
    agent.assert_balanced();
}

#[test]
fn what_is_no_registry_is_refused() {
    let fake = Fake::start();
    let agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let none = import(&agent, agent.folder.path(), &[]);
    assert_eq!(none.status.code(), Some(65));
    assert!(
        text(&none).contains("name the folder that has meta.json"),
        "{}",
        text(&none)
    );
    let folder = agent.path("filebeat");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("meta.json"), "{\"version\":\"0\"}").unwrap();
    let old = import(&agent, agent.folder.path(), &[]);
    assert_eq!(old.status.code(), Some(65));
    assert!(
        text(&old).contains("start a newer one once"),
        "{}",
        text(&old)
    );
}
