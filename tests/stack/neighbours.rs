//! Two stacks side by side, two runs at once, and things that only look like ours.

use std::process::{Command, Stdio};
use std::time::Duration;

use kai_observe::systems::proc;

use crate::harness::{Stack, wait_for};

#[test]
fn two_stacks_do_not_touch_each_other() {
    let (one, two) = (Stack::new(), Stack::new());
    one.run(&["provision", "--no-verify"]).expect(0);
    let pids = one.pids();
    two.run(&["provision", "--no-verify"]).expect(0);
    assert_eq!(one.pids(), pids);
    one.run(&["plan"]).expect(0);
    two.run(&["plan"]).expect(0);

    // Two runs at once: one is refused and names the holder.
    let mut slow = two
        .command(&["drift"])
        .stdout(Stdio::null())
        .spawn()
        .expect("kai-observe starts");
    slow.wait().unwrap();
    let lease = kai_observe::lease::acquire(
        &two.place().join("lease"),
        "kai-observe provision",
        "2026-01-01T00:00:00Z".into(),
    )
    .unwrap();
    let refused = two.run(&["provision"]).expect(1);
    assert!(
        refused.err.contains(&format!("pid {}", std::process::id())),
        "{refused:?}"
    );
    drop(lease);

    two.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert!(!two.place().exists());
    assert_eq!(one.pids(), pids);
    one.run(&["status"]).expect(0);
}

#[test]
fn two_provisions_at_once_one_is_refused() {
    let stack = Stack::new();
    let start = || {
        stack
            .command(&["provision", "--no-verify"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kai-observe starts")
    };
    let both = [start(), start()];
    let ended: Vec<_> = both
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect();
    let mut codes: Vec<_> = ended.iter().map(|output| output.status.code()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(1)], "{ended:?}");
    let loser = ended
        .iter()
        .find(|output| output.status.code() == Some(1))
        .unwrap();
    let said = String::from_utf8_lossy(&loser.stderr);
    assert!(said.contains("another run holds this stack"), "{said}");
    assert_eq!(stack.living().len(), 5);
}

#[test]
fn a_zombie_is_dead_and_a_child_with_our_marks_is_not_ours() {
    let stack = Stack::new();
    std::fs::create_dir_all(stack.place()).unwrap();
    let owner = format!("{}-local", stack.id);
    let marked = |program: &str, argument: &str| {
        let mut command = Command::new(program);
        command
            .arg(argument)
            .env(proc::OWNER, &owner)
            .env(proc::STACK, stack.place())
            .env(proc::ADDRESS, "process/agent")
            .env(proc::LAUNCH, "x");
        command
    };
    // Not a session leader: a child that inherited the environment.
    let mut child = marked("sleep", "30").spawn().unwrap();
    assert_eq!(stack.living(), []);
    child.kill().unwrap();
    child.wait().unwrap();

    // A session leader is found, and as a zombie it is not.
    let mut leader = Command::new("setsid");
    leader.args(["sleep", "30"]);
    leader
        .env(proc::OWNER, &owner)
        .env(proc::STACK, stack.place())
        .env(proc::ADDRESS, "process/agent")
        .env(proc::LAUNCH, "x");
    let mut leader = leader.spawn().unwrap();
    let found = wait_for("the leader is seen", Duration::from_secs(5), || {
        stack.living().pop()
    });
    assert_eq!(found.pid, leader.id());
    // The same pid with another start time is another process.
    let recycled = proc::Found {
        started: found.started + 1,
        ..found.clone()
    };
    assert!(proc::alive(&found) && !proc::alive(&recycled));
    leader.kill().unwrap();
    wait_for("it is a zombie", Duration::from_secs(5), || {
        proc::stat(found.pid).filter(|stat| stat.state == 'Z')
    });
    assert_eq!(stack.living(), []);
    assert!(!proc::alive(&found));
    leader.wait().unwrap();
}
