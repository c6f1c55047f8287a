//! The deploy gate against the real example: it passes while all is well, fails at 5% errors, has
//! no data once Prometheus is stopped, and its evidence gives the same verdict again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Ran, Stack, kill, request, wait_for};

/// Shorter than the example's, so that the test is.
const WINDOW: [&str; 2] = ["--window", "30s"];

/// Built by the stack itself, or beforehand, in the workspace.
fn agent(stack: &Stack) -> PathBuf {
    let pid = stack.pids()["agent"];
    std::fs::read_link(format!("/proc/{pid}/exe")).expect("the agent's program")
}

fn gate(agent: &Path, stack: &Stack, more: &[&str]) -> (Ran, Value) {
    let evidence = stack.folder.path().join("gate.json");
    let ran: Ran = Command::new(agent)
        .args([
            "gate",
            "--service",
            "booking",
            "--output",
            "json",
            "--evidence",
        ])
        .arg(&evidence)
        .args(more)
        .env("KAI_HOME", stack.home())
        .env_remove("KAI_AGENT_CONFIG")
        .output()
        .expect("kai-agent starts")
        .into();
    let answer = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let again: Ran = Command::new(agent)
        .args(["gate", "replay", "--output", "json"])
        .arg(&evidence)
        .output()
        .expect("kai-agent starts")
        .into();
    assert_eq!(again.code, ran.code, "{again:?}");
    let replayed: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(replayed, answer);
    (ran, answer)
}

fn check<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let checks = answer["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap()
}

#[test]
fn the_gate_judges_the_example() {
    let stack = Stack::new();
    stack.run(&["provision"]).expect(0);
    let agent = agent(&stack);

    // The window fills first.
    let (ran, answer) = wait_for("a pass", Duration::from_mins(3), || {
        let (ran, answer) = gate(&agent, &stack, &WINDOW);
        assert_ne!(answer["verdict"], "fail", "{answer:#}");
        (ran.code == Some(0)).then_some((ran, answer))
    });
    assert_eq!(answer["verdict"], "pass", "{ran:?}");
    for name in ["health", "error-ratio", "critical-alerts"] {
        assert_eq!(check(&answer, name)["verdict"], "pass", "{answer:#}");
    }
    // For people, and found without a configuration being named.
    let text: Ran = Command::new(&agent)
        .args([
            "gate",
            "--service",
            "booking",
            "--window",
            "30s",
            "--version",
            "1.4.2",
            "--evidence",
        ])
        .arg(stack.folder.path().join("text.json"))
        .env("KAI_HOME", stack.home())
        .output()
        .unwrap()
        .into();
    let text = text.expect(0);
    assert!(
        text.out
            .lines()
            .all(|line| line.chars().count() <= 80 || line.contains(".json"))
    );
    assert!(text.out.contains("booking 1.4.2"), "{}", text.out);

    let faults = format!("http://127.0.0.1:{}/faults", stack.service_port());
    let fault = json!({ "errors": 0.05, "for": "10m" });
    let (status, body) = request(Method::POST, &faults, Some(fault));
    assert!((200..300).contains(&status), "{status} {body}");
    let answer = wait_for("a fail", Duration::from_mins(3), || {
        let (ran, answer) = gate(&agent, &stack, &WINDOW);
        (ran.code == Some(2)).then_some(answer)
    });
    assert_eq!(answer["verdict"], "fail");
    assert_eq!(
        check(&answer, "error-ratio")["verdict"],
        "fail",
        "{answer:#}"
    );
    // A clear failure ends the wait at once.
    let (ran, _) = gate(
        &agent,
        &stack,
        &["--since", "2026-01-01T00:00:00Z", "--for", "8760h"],
    );
    assert_eq!(ran.code, Some(2), "{ran:?}");

    let (status, _) = request(Method::DELETE, &faults, None);
    assert!((200..300).contains(&status));
    kill(stack.pids()["prometheus"]);
    let (ran, answer) = wait_for("no data", Duration::from_secs(30), || {
        let (ran, answer) = gate(&agent, &stack, &WINDOW);
        (ran.code == Some(4)).then_some((ran, answer))
    });
    assert_eq!(answer["verdict"], "no-data", "{ran:?}");
    assert_eq!(
        check(&answer, "error-ratio")["verdict"],
        "no-data",
        "{answer:#}"
    );

    // Back again, its newest samples are from before it was stopped, or the window has a gap.
    stack.run(&["provision", "--no-verify"]).expect(0);
    let (ran, answer) = gate(&agent, &stack, &WINDOW);
    assert_ne!(ran.code, Some(0), "{answer:#}");
}
