//! Lines that a container runtime cut: their parts are one line again, whatever comes between them.

use std::fs;

use super::fake::Fake;
use super::runner::{Runner, append};
use crate::support::wait_for;

/// An agent with one source over `c/0.log`, and its running number of files.
fn with(fake: &Fake, container: &str) -> Runner {
    let agent = Runner::new(std::slice::from_ref(&fake.url), "");
    fs::create_dir(agent.path("c")).unwrap();
    let source = format!(
        "    pod:\n      paths: ['{}']\n      dataStream: logs-kai.pod-test\n      container: {container}\n",
        agent.path("c/*.log").display()
    );
    agent.configure(std::slice::from_ref(&fake.url), "", &source);
    agent
}

fn cri(stream: &str, tag: &str, text: &str) -> String {
    format!("2026-11-24T02:06:29.123456789Z {stream} {tag} {text}\n")
}

fn docker(stream: &str, text: &str) -> String {
    let line = serde_json::json!({"log": text, "stream": stream, "time": "2026-11-24T02:06:29.1Z"});
    format!("{line}\n")
}

fn messages(fake: &Fake, count: usize) -> Vec<String> {
    wait_for("the lines", || (fake.count() >= count).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(300));
    fake.messages()
}

#[test]
fn parts_are_joined_across_a_rotation_and_a_restart() {
    for killed in [false, true] {
        let fake = Fake::start();
        let mut agent = with(&fake, "cri");
        let log = agent.path("c/0.log");
        append(&log, cri("stdout", "F", "first").as_bytes());
        agent.start();
        messages(&fake, 1);
        // The two streams are cut at the same time.
        let parts = [
            cri("stdout", "P", "out-one "),
            cri("stderr", "P", "err-one "),
            cri("stdout", "P", "out-two "),
        ];
        append(&log, parts.concat().as_bytes());
        if killed {
            std::thread::sleep(std::time::Duration::from_millis(150));
            agent.kill();
        }
        fs::rename(&log, agent.path("c/0.log.20261130-120000")).unwrap();
        let rest = [
            cri("stderr", "P", "err-two "),
            cri("stderr", "F", "err-three"),
            cri("stderr", "F", "whole"),
            cri("stdout", "F", "out-three"),
            cri("stdout", "F", "after"),
        ];
        append(&log, rest[..3].concat().as_bytes());
        if killed {
            agent.start();
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
        append(&log, rest[3..].concat().as_bytes());
        assert_eq!(
            messages(&fake, 5),
            [
                "after",
                "err-one err-two err-three",
                "first",
                "out-one out-two out-three",
                "whole"
            ],
            "killed: {killed}"
        );
        // Both files are past: nothing comes again after another restart.
        agent.stop();
        append(&log, cri("stdout", "F", "last").as_bytes());
        agent.start();
        assert_eq!(messages(&fake, 6).len(), 6);
        agent.assert_balanced();
    }
}

#[test]
fn parts_in_flight_at_a_kill_are_one_line_afterwards() {
    let fake = Fake::start();
    let mut agent = with(&fake, "docker");
    let log = agent.path("c/0.log");
    append(&log, docker("stdout", "first\n").as_bytes());
    agent.start();
    messages(&fake, 1);
    fake.hold(true);
    append(&log, docker("stdout", "half ").as_bytes());
    fs::rename(&log, agent.path("c/0.log.1")).unwrap();
    append(&log, docker("stdout", "and rest\n").as_bytes());
    append(&log, docker("stderr", "other\n").as_bytes());
    let flying = "events_in_flight{source=\"pod\"}";
    wait_for("the joined line under way", || {
        (agent.value(flying) > 0.0).then_some(())
    });
    agent.kill();
    agent.start();
    fake.hold(false);
    assert_eq!(messages(&fake, 3), ["first", "half and rest", "other"]);
    agent.assert_balanced();
}

#[test]
fn a_part_whose_rest_never_comes_is_a_line() {
    let fake = Fake::start();
    let mut agent = with(&fake, "cri");
    let log = agent.path("c/0.log");
    append(&log, cri("stdout", "P", "half").as_bytes());
    agent.start();
    wait_for("the file", || {
        (agent.value("files{source=\"pod\"}") == 1.0).then_some(())
    });
    fs::rename(&log, agent.path("c/0.log.1")).unwrap();
    append(&log, cri("stderr", "F", "of another stream").as_bytes());
    assert_eq!(messages(&fake, 2), ["half", "of another stream"]);
}

#[test]
fn a_long_line_in_many_parts_is_whole() {
    let fake = Fake::start();
    let mut agent = with(&fake, "auto");
    let log = agent.path("c/0.log");
    let mut text = String::new();
    // 200 KB in the 16 KB that containerd and Docker make of it, stderr in between.
    let part = "x".repeat(16 << 10);
    for _ in 0..12 {
        text += &cri("stdout", "P", &part);
        text += &cri("stderr", "F", "between");
    }
    text += &cri("stdout", "F", "end");
    append(&log, text.as_bytes());
    agent.start();
    let all = messages(&fake, 13);
    let long = all.iter().find(|text| text.len() > 1000).unwrap();
    assert_eq!(long.len(), 12 * (16 << 10) + 3);
    assert!(long.ends_with("xend"));
    assert_eq!(all.len(), 13);
}
