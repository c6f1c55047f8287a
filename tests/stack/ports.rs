//! Ports that move: nothing waits for a port that its own neighbour still holds.

use std::process::Stdio;

use crate::harness::Stack;

#[test]
fn ports_move_by_one_and_back() {
    let stack = Stack::new();
    stack.run(&["provision", "--no-verify"]).expect(0);
    let service = stack.pids()["booking"];
    // Every port is then wanted by the neighbour of the process that holds it.
    let base = format!("base: {}", stack.base);
    let moved = format!("base: {}", stack.base + 1);
    for text in [stack.example().replace(&base, &moved), stack.example()] {
        stack.write_spec(&text);
        stack.run(&["provision", "--no-verify"]).expect(0);
        stack.run(&["status"]).expect(0);
        stack.run(&["plan"]).expect(0);
    }
    assert_eq!(stack.pids()["booking"], service, "its ports did not move");

    // A port that is taken is found before anything is stopped.
    let pids = stack.pids();
    let holder = std::net::TcpListener::bind(("127.0.0.1", stack.base + 14)).unwrap();
    let far = format!("base: {}", stack.base + 10);
    stack.write_spec(&stack.example().replace(&base, &far));
    let refused = stack.run(&["provision", "--output", "json"]).expect(1);
    let error = refused.json()["error"].to_string();
    assert!(error.contains(&(stack.base + 14).to_string()), "{error}");
    drop(holder);
    stack.write_spec(&stack.example());
    assert_eq!(stack.pids(), pids);
}

#[test]
fn a_renamed_service_takes_its_own_port_and_a_copied_file_stays() {
    let stack = Stack::new();
    stack.run(&["provision", "--no-verify"]).expect(0);
    let (before, after) = stack.example().split_once("services:").map_or_else(
        || panic!("the example has services"),
        |(a, b)| (a.to_owned(), b.replacen("  booking:", "  reservation:", 1)),
    );
    stack.write_spec(&format!("{before}services:{after}"));
    let rules = stack.place().join("config/prometheus/rules");
    let copy = rules.join("mine.yaml.bak");
    std::fs::copy(rules.join("node.yaml"), &copy).unwrap();
    let refused = stack.run(&["provision", "--no-verify"]).expect(1);
    assert!(refused.err.contains("--prune stops it"), "{refused:?}");
    stack
        .run(&["provision", "--no-verify", "--prune"])
        .expect(0);
    stack.run(&["plan", "--prune"]).expect(0);
    assert!(stack.pids().contains_key("reservation"));
    assert!(copy.exists(), "a copy of our file is not ours");

    // A reader that goes away does not end what it reads from.
    let mut child = stack
        .command(&["destroy", "--yes"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(stack.living().is_empty());
    assert!(copy.exists(), "a copy of our file is not ours");
}
