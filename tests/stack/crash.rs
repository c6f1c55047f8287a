//! Killed before and after each plan step and run again: it converges, nothing is there twice,
//! nothing is orphaned.

use std::collections::BTreeSet;

use crate::harness::Stack;

#[test]
fn killed_at_every_step_it_converges() {
    let stack = Stack::new();
    let plan = stack.run(&["plan", "--output", "json"]).expect(2).json();
    let steps: Vec<String> = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["address"].as_str().unwrap().to_owned())
        .collect();
    // Components that are cached already are no steps.
    assert!(steps.len() >= 15, "{steps:?}");
    for step in &steps {
        stack.run(&["destroy", "--yes", "--purge"]).expect(0);
        assert_eq!(stack.living(), []);
        // Pins outlive a stack; without them the cached components are steps again.
        let _ = std::fs::remove_file(stack.folder.path().join("observe.lock"));
        for kind in ["crash-before", "crash-after"] {
            let fault = format!("{kind}:{step}");
            let ran = stack.run_with(&[("KAI_FAULT", &fault)], &["provision", "--no-verify"]);
            assert_eq!(ran.code, None, "it was not killed at {fault}: {ran:?}");
            assert!(ran.err.contains(&fault), "{ran:?}");
            unique(&stack);
        }
        // What was started before the crash is taken over, not doubled, and nothing is missing.
        let before: Vec<u32> = stack.living().iter().map(|found| found.pid).collect();
        stack.run(&["provision", "--no-verify"]).expect(0);
        assert_eq!(unique(&stack), 5);
        let after: Vec<u32> = stack.living().iter().map(|found| found.pid).collect();
        assert!(
            before.iter().all(|pid| after.contains(pid)),
            "{step}: {before:?} {after:?}"
        );
        stack.run(&["plan"]).expect(0);
    }
    let pending: Vec<_> = kai_observe::systems::file::walk(&stack.place())
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(".pending"))
        .collect();
    assert!(pending.is_empty(), "{pending:?}");
}

/// No address runs twice.
fn unique(stack: &Stack) -> usize {
    let living = stack.living();
    let addresses: BTreeSet<&str> = living.iter().map(|found| found.address.as_str()).collect();
    assert_eq!(addresses.len(), living.len(), "{living:#?}");
    living.len()
}
