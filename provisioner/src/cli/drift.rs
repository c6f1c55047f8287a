//! `kai-observe drift`: what was changed behind the spec's back.

use kai_contract::exit;
use serde_json::json;

use super::Stop;
use super::args::Common;
use super::context::Context;
use super::ui::{Paint, Ui};
use crate::plan::object::DEFERRED;
use crate::plan::{self, Action, Change, LAUNCH_CHANGED, Options, Plan, SPEC_CHANGED, changes};
use crate::spec::Secrets;

pub async fn run(common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let context = Context::new(common, ui, Secrets::AssumePresent)?;
    let world = context.world(ui).await?;
    let plan = plan::plan(
        &context.resources,
        &world,
        &context.owner,
        Options::default(),
    )
    .map_err(Stop::error)?;
    let (pending, drifted): (Vec<&Change>, Vec<&Change>) = plan
        .changes
        .iter()
        .partition(|change| is_pending(&plan, change));
    for change in &drifted {
        ui.line(&format!("{}: {}", change.address, change.reason));
        if let Some(diff) = &change.diff {
            ui.line(&painted(ui, diff));
        }
    }
    let mut text = if drifted.is_empty() {
        format!("no drift; {} in step", plan.in_step)
    } else {
        format!(
            "{} drifted; `kai-observe provision` mends it",
            drifted.len()
        )
    };
    if !pending.is_empty() {
        text.push_str(&format!(
            "; {} follow from a change of the spec (see plan)",
            pending.len()
        ));
    }
    ui.line(&text);
    ui.json(&json!({ "drifted": drifted, "pending": pending, "inStep": plan.in_step }));
    Ok(if drifted.is_empty() {
        exit::OK
    } else {
        exit::CHANGES
    })
}

/// The spec moved, not the world. What a process does about a file is as pending as the file is.
fn is_pending(plan: &Plan, change: &Change) -> bool {
    match change.action {
        Action::Fetch | Action::Check | Action::Await => true,
        Action::Create => change.before == DEFERRED,
        Action::Update => change.reason == SPEC_CHANGED,
        Action::Restart => change.reason == LAUNCH_CHANGED,
        Action::Reload => plan.changes.iter().any(|file| {
            file.address.kind() != "process"
                && change.reason == changes(&file.address)
                && is_pending(plan, file)
        }),
        _ => false,
    }
}

/// A unified diff, in colour on a terminal.
pub fn painted(ui: &Ui, diff: &str) -> String {
    diff.lines()
        .map(|line| match line.chars().next() {
            Some('+') => ui.paint(Paint::Green, line),
            Some('-') => ui.paint(Paint::Red, line),
            Some('@') => ui.paint(Paint::Dim, line),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Address;

    fn change(address: Address, action: Action, reason: &str) -> Change {
        Change {
            address,
            action,
            reason: reason.to_owned(),
            diff: None,
            before: String::new(),
            after: String::new(),
        }
    }

    #[test]
    fn what_follows_from_the_spec_is_no_drift() {
        let file = Address::file("a.yml");
        let reload = change(Address::process("a"), Action::Reload, &changes(&file));
        for (reason, pending) in [(SPEC_CHANGED, true), ("changed by hand", false)] {
            let plan = Plan {
                changes: vec![change(file.clone(), Action::Update, reason), reload.clone()],
                ..Plan::default()
            };
            assert_eq!(is_pending(&plan, &plan.changes[0]), pending);
            assert_eq!(is_pending(&plan, &reload), pending);
        }
        let process = Address::process("a");
        let restart = |reason| change(process.clone(), Action::Restart, reason);
        assert!(is_pending(&Plan::default(), &restart(LAUNCH_CHANGED)));
        assert!(!is_pending(
            &Plan::default(),
            &restart("runs but does not work")
        ));
    }
}
