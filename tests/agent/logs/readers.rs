//! What is left out and counted, what errors have in common, and lines shown live by `kai-agent tap`.

use std::process::{Command, Output};

use serde_json::Value;

use super::fake::Fake;
use super::runner::{Runner, append};
use crate::support::{binary, wait_for};

/// An agent with an admin socket and a source `os` with these keys.
fn with(fake: &Fake, keys: &str) -> Runner {
    let agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let sources = format!(
        "    os:\n      paths: ['{}']\n      dataStream: logs-kai.os-test\n      \
         fields: {{ service.name: os, kai.team: platform }}\n{keys}\nadmin: {{ socket: '{}' }}\n",
        agent.path("os.log").display(),
        agent.path("admin.sock").display(),
    );
    agent.configure(std::slice::from_ref(&fake.url), "", &sources);
    agent
}

fn count(agent: &Runner, reason: &str) -> f64 {
    agent.value(&format!(
        "events_total{{outcome=\"dropped\",reason=\"{reason}\",source=\"os\"}}"
    ))
}

#[test]
fn what_is_left_out_is_counted_and_decided_alike_after_a_kill() {
    let fake = Fake::start();
    let keys = "      drop: ['url.path == \"/healthz\"']\n      sample: { debug: 0.25 }";
    let mut agent = with(&fake, keys);
    let mut text = String::new();
    for n in 0..400 {
        text.push_str(&format!("{{\"level\":\"DEBUG\",\"n\":{n}}}\n"));
    }
    text.push_str("{\"level\":\"debug\",\"url\":{\"path\":\"/healthz\"}}\n");
    text.push_str("{\"level\":\"error\",\"message\":\"order 7 of \\\"bob\\\" failed\"}\n");
    append(&agent.path("os.log"), text.as_bytes());
    agent.start();
    wait_for("the error", || {
        fake.documents()
            .iter()
            .any(|document| document["kai.pattern"] == "order <n> of <text> failed")
            .then_some(())
    });
    let sampled = wait_for("the counts", || {
        let sampled = count(&agent, "sampled");
        (sampled > 0.0).then_some(sampled)
    });
    assert!((250.0..350.0).contains(&sampled), "{sampled}");
    assert_eq!(count(&agent, "rule:url.path == \\\"/healthz\\\""), 1.0);
    agent.assert_balanced();
    let of = |outcome: &str| {
        format!("service_lines_total{{outcome=\"{outcome}\",service=\"os\",team=\"platform\"}}")
    };
    assert_eq!(agent.value(&of("kept")), 401.0 - sampled);
    assert_eq!(agent.value(&of("dropped")), sampled + 1.0);
    let documents = fake.documents();
    let debug = documents.iter().find(|document| document["n"].is_u64());
    assert_eq!(debug.unwrap()["kai.sampled"], 0.25);
    // The same lines, read from the beginning by an agent that knows nothing but the file's epoch.
    let kept = fake.count();
    agent.kill();
    agent.start();
    append(&agent.path("os.log"), b"{\"message\":\"after\"}\n");
    wait_for("the line after", || (fake.count() > kept).then_some(()));
    assert_eq!(
        fake.count(),
        kept + 1,
        "no debug line is kept that was not before"
    );
}

#[test]
fn who_logged_in_is_told_by_the_schemas_names() {
    let fake = Fake::start();
    let mut agent = with(&fake, "      format: auth");
    append(
        &agent.path("os.log"),
        b"2026-11-24T02:06:29Z web1 sshd[9]: Failed password for root from 203.0.113.7 port 1 ssh2\n",
    );
    agent.start();
    wait_for("the document", || (fake.count() == 1).then_some(()));
    let document = &fake.documents()[0];
    for (name, value) in [
        ("event.category", "authentication"),
        ("event.outcome", "failure"),
        ("user.name", "root"),
        ("source.ip", "203.0.113.7"),
        ("process.name", "sshd"),
    ] {
        assert_eq!(document[name], value, "{document:#}");
    }
}

fn tap(agent: &Runner, more: &[&str]) -> Command {
    let mut command = binary();
    command
        .args(["tap", "--config"])
        .arg(agent.path("agent.yaml"))
        .args(more)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn lines_are_shown_as_they_pass() {
    let fake = Fake::start();
    let mut agent = with(&fake, "      format: auto");
    agent.start();
    let filter = [
        "--source", "os", "--level", "warn", "--count", "2", "--output", "json",
    ];
    let child = tap(&agent, &filter).spawn().unwrap();
    let feeding = std::sync::atomic::AtomicBool::new(true);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            while feeding.load(std::sync::atomic::Ordering::Relaxed) {
                append(
                    &agent.path("os.log"),
                    b"{\"level\":\"info\",\"message\":\"no\"}\n{\"level\":\"WARN\",\"message\":\"yes\"}\n",
                );
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        });
        let output = child.wait_with_output().unwrap();
        feeding.store(false, std::sync::atomic::Ordering::Relaxed);
        output
    });
    let (out, err) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{err}");
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{out}");
    for line in &lines {
        assert_eq!(line["source"], "os");
        assert_eq!(line["document"]["message"], "yes");
        assert_eq!(line["document"]["kai.team"], "platform");
    }
    assert!(err.contains("2 shown"), "{err}");
    // Nothing fits: said, and another exit code.
    let none = tap(&agent, &["--grep", "never", "--for", "1s"])
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(4), "{none:?}");
    let wrong = tap(&agent, &["--level", "loud"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(64));
    assert!(said(&wrong).1.contains("critical"), "{wrong:?}");
    agent.stop();
    let away = tap(&agent, &["--for", "1s"]).output().unwrap();
    assert_eq!(away.status.code(), Some(1));
    assert!(said(&away).1.contains("no agent answers"), "{away:?}");
}
