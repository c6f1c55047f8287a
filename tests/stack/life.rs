//! The life of a stack: provisioned, in step, broken and mended, drilled, destroyed.

use std::time::Duration;

use crate::harness::{Stack, kill, wait_for};

#[test]
fn a_stack_lives() {
    let stack = Stack::new();

    // From nothing to verified.
    let report = stack
        .run(&["provision", "--output", "json"])
        .expect(0)
        .json();
    assert_eq!(report["verify"]["failed"], 0, "{report:#}");
    assert_eq!(report["verify"]["complete"], true, "{report:#}");
    assert!(report["verify"]["passed"].as_u64() > Some(20), "{report:#}");
    let pids = stack.pids();
    let names: Vec<&str> = pids.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["agent", "alertmanager", "booking", "inbox", "prometheus"]
    );

    // Again: nothing changes, nothing restarts.
    let again = stack.run(&["provision"]).expect(0);
    assert!(again.out.contains("no changes"), "{}", again.out);
    assert_eq!(stack.pids(), pids);
    let plan = stack.run(&["plan"]).expect(0);
    assert!(plan.out.contains("no changes"), "{}", plan.out);
    stack.run(&["drift"]).expect(0);
    assert!(
        stack
            .run(&["status"])
            .expect(0)
            .out
            .lines()
            .all(|line| line.chars().count() <= 80)
    );

    // The proofs, for scripts.
    let junit = stack.folder.path().join("proofs.xml");
    let verify = stack
        .run(&["verify", "--junit", &junit.to_string_lossy()])
        .expect(0);
    for line in verify.out.lines() {
        assert!(line.chars().count() <= 88, "too wide: {line}");
    }
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(
        xml.contains("<testsuite") && xml.contains("failures=\"0\""),
        "{xml}"
    );

    // An alert of every severity reaches its receiver and resolves.
    let drill = stack
        .run(&["drill", "--severity", "all", "--output", "json"])
        .expect(0)
        .json();
    for one in drill["drills"].as_array().unwrap() {
        assert_eq!(one["hops"].as_array().unwrap().len(), 7, "{one:#}");
    }

    any_process_killed_is_restored(&stack);
    a_rule_file_edited_by_hand_is_mended(&stack);
    a_stopped_alertmanager_is_named_by_the_drill(&stack);
    a_reviewed_plan_is_applied_or_refused(&stack);
    destroy_says_first_and_leaves_nothing(&stack);
}

fn any_process_killed_is_restored(stack: &Stack) {
    for name in ["agent", "alertmanager", "booking", "inbox", "prometheus"] {
        let before = stack.pids();
        kill(before[name]);
        wait_for("the process is gone", Duration::from_secs(5), || {
            (!stack.living().iter().any(|found| found.pid == before[name])).then_some(())
        });
        let status = stack.run(&["status"]).expect(5);
        let row = status
            .out
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap();
        assert!(row.contains("dead"), "{row}");
        let plan = stack.run(&["plan"]).expect(2);
        assert!(
            plan.out.contains(&format!("process/{name}")),
            "{}",
            plan.out
        );
        stack.run(&["verify", "--patience", "1s"]).expect(5);
        stack.run(&["provision", "--no-verify"]).expect(0);
        let mut after = stack.pids();
        assert_ne!(after[name], before[name]);
        after.insert(name.to_owned(), before[name]);
        assert_eq!(after, before, "another process was restarted");
        stack.run(&["status"]).expect(0);
    }
}

fn a_rule_file_edited_by_hand_is_mended(stack: &Stack) {
    let pids = stack.pids();
    let path = stack.place().join("config/prometheus/rules/business.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("severity: critical", "severity: info")).unwrap();
    let drift = stack.run(&["drift"]).expect(2);
    assert!(drift.out.contains("changed by hand"), "{}", drift.out);
    assert!(
        drift
            .out
            .lines()
            .any(|l| l.starts_with('-') && l.contains("severity: info"))
    );
    assert!(
        drift
            .out
            .lines()
            .any(|l| l.starts_with('+') && l.contains("severity: critical"))
    );
    stack.run(&["provision", "--no-verify"]).expect(0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), good);
    stack.run(&["drift"]).expect(0);
    assert_eq!(stack.pids(), pids, "a reload is no restart");
}

fn a_stopped_alertmanager_is_named_by_the_drill(stack: &Stack) {
    kill(stack.pids()["alertmanager"]);
    let args = ["drill", "--severity", "critical", "--within", "12s"];
    let drill = stack.run(&args).expect(5);
    assert!(
        drill.out.contains("the hop `alertmanager` did not happen"),
        "{}",
        drill.out
    );
    stack.run(&["provision", "--no-verify"]).expect(0);
}

fn a_reviewed_plan_is_applied_or_refused(stack: &Stack) {
    let file = stack.folder.path().join("plan.json");
    let file = file.to_string_lossy();
    let template = stack.place().join("config/alertmanager/kai.tmpl");
    std::fs::remove_file(&template).unwrap();
    stack.run(&["plan", "--out", &file]).expect(2);
    // The world moves: one more thing is broken than was reviewed.
    let rules = stack.place().join("config/prometheus/rules/node.yaml");
    std::fs::remove_file(&rules).unwrap();
    let refused = stack.run(&["provision", "--plan", &file]).expect(1);
    assert!(
        refused
            .err
            .contains("file/prometheus/rules/node.yaml was not reviewed"),
        "{refused:?}"
    );
    assert!(!template.exists(), "a refused plan did something");
    stack.run(&["plan", "--out", &file]).expect(2);
    stack
        .run(&["provision", "--plan", &file, "--no-verify"])
        .expect(0);
    assert!(template.exists() && rules.exists());
    stack.run(&["plan"]).expect(0);
}

fn destroy_says_first_and_leaves_nothing(stack: &Stack) {
    let says = stack.run(&["destroy"]).expect(2);
    assert!(says.out.contains("nothing was done"), "{}", says.out);
    assert_eq!(stack.living().len(), 5);
    let foreign = stack.place().join("config/notes.txt");
    std::fs::write(&foreign, "mine").unwrap();
    let done = stack.run(&["destroy", "--yes"]).expect(0);
    assert!(
        done.out.contains("data/") || done.out.contains("/data ("),
        "{}",
        done.out
    );
    assert_eq!(stack.living(), []);
    assert!(stack.place().join("data/prometheus").is_dir());
    assert!(!stack.place().join("config/prometheus").exists());
    stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert!(!stack.place().join("data").exists());
    assert_eq!(std::fs::read_to_string(&foreign).unwrap(), "mine");
}
