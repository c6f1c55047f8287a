//! `kai-observe drift`: what was changed behind the spec's back.

use kai_contract::exit;
use serde_json::json;

use super::Stop;
use super::args::Common;
use super::context::Context;
use super::ui::{Paint, Ui};
use crate::plan::{self, Action, Change, Options};
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
    let (pending, drifted): (Vec<&Change>, Vec<&Change>) =
        plan.changes.iter().partition(|change| is_pending(change));
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

/// The spec moved, not the world.
fn is_pending(change: &Change) -> bool {
    change.action == Action::Fetch
        || change.reason == "the spec has changed"
        || matches!(change.action, Action::Check | Action::Await)
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
