//! The command line: exit codes, problems, help.

use std::fs;
use std::process::Output;

use serde_json::Value;

use kai_contract::agent_config::{COLLECTORS, OPT_IN};

use crate::support::{Agent, binary, config};

fn run(arguments: &[&str]) -> Output {
    binary().args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_usage_is_64() {
    for arguments in [
        &[][..],
        &["run"],
        &["nothing"],
        &["check", "--config"],
        &["run", "--confg", "x"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(64), "{arguments:?}");
    }
    for level in ["a=b=c", "bogus"] {
        let output = run(&["run", "--config", "x", "--log-level", level]);
        assert_eq!(output.status.code(), Some(64), "{}", err(&output));
        assert!(err(&output).contains("--log-level"), "{}", err(&output));
    }
}

#[test]
fn help_and_version() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).contains("Examples:"), "{}", out(&output));
    let output = run(&["--version"]);
    assert_eq!(
        out(&output),
        format!("kai-agent {}\n", env!("CARGO_PKG_VERSION"))
    );
    for command in ["run", "check", "completions"] {
        assert!(
            out(&run(&[command, "--help"])).contains("Example:"),
            "{command}"
        );
    }
    assert!(out(&run(&["completions", "bash"])).contains("kai-agent"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = binary()
        .args(["completions", "bash"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take()); // as `| true` does
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(output.stderr.is_empty(), "{}", err(&output));
}

#[test]
fn check_tells_all_problems_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.yaml");
    let path = file.to_str().unwrap();
    fs::write(
        &file,
        "version: 3\nlisten: nowhere\nrotate:\n  - path: out.log\n    maxBytes: 0\n    keep: 1\n",
    )
    .unwrap();
    let output = run(&["check", "--config", path]);
    assert_eq!(output.status.code(), Some(65));
    assert!(output.stdout.is_empty());
    let text = err(&output);
    for place in [
        ":1:10: version:",
        ":2:9: listen:",
        ":4:11: rotate.0.path:",
        ":5:15: rotate.0.maxBytes:",
        "4 problems",
    ] {
        assert!(text.contains(place), "{place}: {text}");
    }
    let output = run(&["check", "--config", path, "--output", "json"]);
    assert_eq!(output.status.code(), Some(65));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["ok"], false);
    assert_eq!(value["problems"][1]["line"], 2);
    // What check refuses, run refuses.
    let (code, text) = Agent::refused(folder.path());
    assert_eq!(code, Some(65));
    assert!(text.contains(":2:9: listen:"), "{text}");
    let output = run(&["check", "--config", "/nowhere/agent.yaml"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(
        err(&output).contains("/nowhere/agent.yaml"),
        "{}",
        err(&output)
    );
}

#[test]
fn check_sums_a_good_file_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.yaml");
    fs::write(&file, config(folder.path(), "")).unwrap();
    let output = run(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("can be used"));
    let output = run(&[
        "check",
        "--config",
        file.to_str().unwrap(),
        "--output",
        "json",
    ]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["ok"], true);
    assert_eq!(
        value["collectors"].as_array().unwrap().len(),
        COLLECTORS.len() - OPT_IN.len()
    );
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let text = config(folder.path(), "").replace("127.0.0.1:0", &address);
    fs::write(folder.path().join("agent.yaml"), text).unwrap();
    let (code, text) = Agent::refused(folder.path());
    assert_eq!(code, Some(1));
    assert!(
        text.contains(&address) && text.contains("another process has the port"),
        "{text}"
    );
    assert_eq!(text.matches("os error").count(), 1, "said once: {text}");
}
