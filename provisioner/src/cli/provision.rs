//! `kai-observe provision`: plan, apply, verify.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use kai_contract::exit;
use serde_json::json;

use super::Stop;
use super::args::{Common, ProvisionArgs};
use super::context::Context;
use super::ui::{Paint, Ui, short, wrap};
use crate::apply::{self, Env, Outcome, Report};
use crate::clock;
use crate::layout::Layout;
use crate::lease::{self, Lease};
use crate::plan::{self, Options, Plan, PlanFile, moved};
use crate::resource::Address;
use crate::spec::Secrets;
use crate::systems::file;
use crate::world::World;

pub async fn run(args: &ProvisionArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let started = Instant::now();
    let context = Context::new(common, ui, Secrets::Read)?;
    say_spec(&context, ui);
    let lease = lease::acquire(
        &context.layout.lease(),
        "kai-observe provision",
        clock::rfc3339(SystemTime::now()),
    )
    .map_err(Stop::error)?;
    file::sweep_pending(&context.layout.root);
    let world = context.world(ui).await?;
    let (plan, reviewed) = match &args.plan {
        Some(path) => reviewed(&context, &world, path)?,
        None => {
            let options = Options {
                prune: args.prune,
                retry: true,
            };
            let plan = plan::plan(&context.resources, &world, &context.owner, options)
                .map_err(Stop::error)?;
            (plan, false)
        }
    };
    let unchanged = plan.is_empty();
    let report = if unchanged {
        ui.stage("plan", &plan.summary());
        Report::default()
    } else {
        match carry_out(&context, ui, &plan, &world, reviewed).await {
            Ok(report) => report,
            Err(stop) => {
                forget_unborn(&context.layout, lease);
                return Err(stop);
            }
        }
    };
    drop(lease);
    if report.failed() {
        ui.json(&json!({ "plan": plan.summary(), "apply": report, "verify": null }));
        let failed = say_failures(ui, &report);
        ui.stage("elapsed", &short(millis(started)));
        return Err(Stop::new(
            exit::ERROR,
            format!("{failed}; what was done stays, and the same command goes on from there"),
        ));
    }
    if args.no_verify {
        ui.json(&json!({ "plan": plan.summary(), "apply": report, "verify": null }));
        ui.stage("elapsed", &short(millis(started)));
        return Ok(exit::OK);
    }
    let verdict = super::verify::prove(&context, ui, &args.proofs, !unchanged).await?;
    let code = if verdict.failed == 0 {
        exit::OK
    } else {
        exit::UNHEALTHY
    };
    super::verify::summary(ui, &verdict);
    super::verify::result(&context, ui, &verdict);
    if unchanged {
        ui.stage(
            "routes",
            "not tried again; `kai-observe verify` sends a notice along each",
        );
    }
    ui.stage("elapsed", &short(millis(started)));
    ui.json(&json!({ "plan": plan.summary(), "apply": report, "verify": verdict }));
    Ok(code)
}

/// A stack that was refused before its first step leaves no folder behind.
fn forget_unborn(layout: &Layout, lease: Lease) {
    let only_lease = std::fs::read_dir(&layout.root).is_ok_and(|entries| {
        entries
            .flatten()
            .all(|entry| entry.path() == layout.lease())
    });
    if only_lease && lease.remove(&layout.lease()).is_ok() {
        // An error means that somebody came meanwhile; the folder is theirs.
        let _ = std::fs::remove_dir(&layout.root);
    }
}

fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn say_spec(context: &Context, ui: &Ui) {
    let stack = &context.stack;
    let rules: usize = stack
        .alerts
        .files
        .iter()
        .flat_map(|file| &file.groups)
        .map(|group| group.rules.len())
        .sum();
    ui.stage(
        "spec",
        &format!(
            "{} ({}): {} services, {} teams, {rules} rules",
            stack.name,
            stack.environment,
            stack.services.len(),
            stack.teams.len(),
        ),
    );
}

/// The plan that was reviewed, when it is still what would be done.
fn reviewed(
    context: &Context,
    world: &World,
    path: &std::path::Path,
) -> Result<(Plan, bool), Stop> {
    let text = std::fs::read(path).map_err(|error| {
        Stop::error(format!("cannot read the plan {}: {error}", path.display()))
    })?;
    let reviewed: PlanFile = serde_json::from_slice(&text).map_err(|error| {
        Stop::new(
            exit::BAD_SPEC,
            format!("{} is no plan file: {error}", path.display()),
        )
    })?;
    let options = Options {
        prune: reviewed.pruned,
        retry: false,
    };
    let now =
        plan::plan(&context.resources, world, &context.owner, options).map_err(Stop::error)?;
    let differences = moved(
        &reviewed,
        &super::plan::file_of(context, &now, reviewed.pruned),
    );
    if differences.is_empty() {
        return Ok((now, true));
    }
    let list: Vec<String> = differences
        .iter()
        .map(|text| format!("  - {text}"))
        .collect();
    Err(Stop::new(
        exit::ERROR,
        format!(
            "the world has moved since {} was written; nothing was done:\n{}\nplan and review again",
            path.display(),
            list.join("\n")
        ),
    ))
}

async fn carry_out(
    context: &Context,
    ui: &Ui,
    plan: &Plan,
    world: &World,
    reviewed: bool,
) -> Result<Report, Stop> {
    let env = Arc::new(Env {
        layout: context.layout.clone(),
        owner: context.owner.clone(),
        components: context.components(ui),
        progress: ui.progress(),
        resources: context
            .resources
            .iter()
            .map(|resource| (resource.address.clone(), resource.clone()))
            .collect(),
        processes: world.processes.clone(),
        accesses: crate::render::accesses(&context.stack, &context.layout),
    });
    match apply::preflight(plan, &env) {
        Ok(good) => ui.stage("preflight", &good),
        Err(problems) => {
            return Err(Stop::new(
                exit::ERROR,
                format!("nothing was started:\n  - {}", problems.join("\n  - ")),
            ));
        }
    }
    let note = if reviewed { " (as reviewed)" } else { "" };
    ui.stage("plan", &format!("{}{note}", plan.summary()));
    for change in &plan.changes {
        if change.reason.starts_with("changed") {
            ui.line(&format!(
                "    {:<36} {}",
                change.address.as_str(),
                change.reason
            ));
        }
    }
    ui.stage("apply", &format!("{} steps", plan.changes.len()));
    let report = apply::apply(plan, env).await;
    remember(context, world, &report)?;
    let done = report
        .steps
        .iter()
        .filter(|s| matches!(s.outcome, Outcome::Done { .. }))
        .count();
    ui.stage("applied", &format!("{done}/{}", report.steps.len()));
    for (name, attempts) in report.not_installed() {
        ui.line(&format!(
            "    {} {name}; its configuration is in {}",
            ui.paint(Paint::Yellow, "NOT INSTALLED"),
            context.layout.root.join("config").join(&name).display()
        ));
        for attempt in attempts {
            for line in wrap(&attempt.to_string(), 70) {
                ui.line(&format!("      {line}"));
            }
        }
    }
    Ok(report)
}

/// What could not be had is said again by `plan`, `status` and `verify`. What this run did not try
/// (a reviewed plan leaves it out) stays as it was noted.
fn remember(context: &Context, world: &World, report: &Report) -> Result<(), Stop> {
    let mut missing = world.not_installed.clone();
    missing.retain(|name, _| {
        let address = Address::component(name);
        !report.steps.iter().any(|step| step.address == address)
            && context.resources.iter().any(|r| r.address == address)
    });
    missing.extend(report.not_installed());
    let path = context.layout.not_installed();
    if missing.is_empty() {
        return file::remove(&path).map_err(Stop::error);
    }
    let text = serde_json::to_vec_pretty(&missing).map_err(Stop::error)?;
    file::write(&path, &text, 0o644).map_err(Stop::error)
}

fn say_failures(ui: &Ui, report: &Report) -> String {
    let mut failed = 0;
    let mut skipped = 0;
    for step in &report.steps {
        match &step.outcome {
            Outcome::Failed { error } => {
                failed += 1;
                ui.line(&format!(
                    "    {} {} {}: {error}",
                    ui.paint(Paint::Red, "FAILED"),
                    step.action.word(),
                    step.address
                ));
                if ui.is_json() {
                    eprintln!("{} {}: {error}", step.action.word(), step.address);
                }
            }
            Outcome::Skipped {
                because,
                not_installed: false,
            } => {
                skipped += 1;
                ui.line(&format!(
                    "    skipped {} {}: {because}",
                    step.action.word(),
                    step.address
                ));
            }
            _ => {}
        }
    }
    format!("{failed} steps failed, {skipped} were skipped because of them")
}
