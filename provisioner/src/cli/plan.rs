//! `kai-observe plan`: what `provision` would change.

use kai_contract::exit;
use serde_json::json;

use super::Stop;
use super::args::{Common, PlanArgs};
use super::context::Context;
use super::ui::Ui;
use crate::plan::{self, Options, Plan, PlanFile, desired_digest};
use crate::spec::Secrets;
use crate::systems::file;

pub const PLAN_VERSION: u32 = 1;

pub async fn run(args: &PlanArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let started = std::time::Instant::now();
    let context = Context::new(common, ui, Secrets::AssumePresent)?;
    let world = context.world(ui).await?;
    let options = Options {
        prune: args.prune,
        retry: false,
    };
    let plan =
        plan::plan(&context.resources, &world, &context.owner, options).map_err(Stop::error)?;
    if let Some(path) = &args.out {
        let text = serde_json::to_vec_pretty(&file_of(&context, &plan, args.prune))
            .map_err(Stop::error)?;
        file::write(path, &text, 0o600).map_err(Stop::error)?;
    }
    ui.line(&plan.to_string());
    if args.diff {
        for diff in plan
            .changes
            .iter()
            .filter_map(|change| change.diff.as_ref())
        {
            ui.line(&super::drift::painted(ui, diff));
        }
    }
    if let Some(path) = &args.out {
        ui.line(&format!(
            "written to {}; apply it by `kai-observe provision --plan {}`",
            path.display(),
            path.display()
        ));
    }
    ui.json(&json!({
        "changes": plan.changes,
        "heldBack": plan.held_back,
        "skipped": plan.skipped,
        "inStep": plan.in_step,
        "millis": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }));
    Ok(if plan.is_empty() {
        exit::OK
    } else {
        exit::CHANGES
    })
}

pub fn file_of(context: &Context, plan: &Plan, pruned: bool) -> PlanFile {
    PlanFile {
        version: PLAN_VERSION,
        owner: context.owner.clone(),
        desired: desired_digest(&context.resources),
        pruned,
        changes: plan.changes.clone(),
    }
}
