//! Killed before and after each plan step and run again: it converges, nothing is there twice,
//! nothing is orphaned.

use std::collections::BTreeSet;

use crate::harness::Stack;

#[test]
fn killed_at_every_step_it_converges() {
    let stack = Stack::new();
    let plan = stack.run(&["plan", "--output", "json"]).expect(2).json();
    let mut steps: Vec<String> = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["address"].as_str().unwrap().to_owned())
        .collect();
    // Components that are cached already are no steps; the others are.
    assert!(steps.len() >= 15, "{steps:?}");
    steps.reverse();
    let mut crashes = 0;
    // Backwards, so that each fault is reached by a run that still has most of the work before it.
    for step in &steps {
        for kind in ["crash-before", "crash-after"] {
            let fault = format!("{kind}:{step}");
            let ran = stack.run_with(&[("KAI_FAULT", &fault)], &["provision", "--no-verify"]);
            if ran.code.is_none() {
                crashes += 1;
                assert!(ran.err.contains(&fault), "{ran:?}");
            } else {
                // The step was done by an earlier run that was killed after it.
                ran.expect(0);
            }
            unique(&stack);
            if kind == "crash-after" && step.starts_with("process/") {
                // The process that was started before the crash is taken over, not doubled.
                stack.run(&["provision", "--no-verify"]).expect(0);
                unique(&stack);
                stack.run(&["plan"]).expect(0);
                stack.run(&["destroy", "--yes"]).expect(0);
                assert_eq!(stack.living(), []);
            }
        }
    }
    assert!(
        crashes >= steps.len(),
        "{crashes} crashes in {} steps",
        steps.len()
    );
    stack.run(&["provision", "--no-verify"]).expect(0);
    stack.run(&["plan"]).expect(0);
    assert_eq!(unique(&stack), 5);
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
