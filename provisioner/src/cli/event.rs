//! `kai-observe event deploy`: tells everybody, says of each whether it was reached.

use kai_contract::exit;
use serde_json::json;

use super::Stop;
use super::args::{Common, DeployArgs, DeployOutcome, EventCommand};
use super::context;
use super::ui::{Paint, Ui, wrap};
use crate::events::{self, Deploy, Ledger, Outcome, Recipient, Said, Told};
use crate::inbox::time::Instant;
use crate::layout::Layout;
use crate::spec::Secrets;

pub async fn run(command: &EventCommand, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let EventCommand::Deploy(args) = command;
    let stack = context::load(common, ui, Secrets::AssumePresent, None)?;
    let now = Instant::now();
    // A clock may be a little off; an hour is a slip of the hand.
    if args.at.is_some_and(|at| at.0 > now.0 + 3_600_000) {
        return Err(Stop::new(exit::USAGE, "--at is in the future"));
    }
    let Some(deploy) = Deploy::new(&stack, said(args), now) else {
        let known: Vec<&str> = stack.services.keys().map(String::as_str).collect();
        let hint = match crate::spec::nearest(&args.service, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the spec has {}", known.join(", ")),
        };
        let message = format!("no service is called `{}`; {hint}", args.service);
        return Err(Stop::new(exit::USAGE, message));
    };
    let layout = Layout::new(
        common.home.as_deref(),
        common.cache.as_deref(),
        &stack.owner,
    )
    .map_err(Stop::error)?;
    let recipients = events::recipients(&stack, &layout, &deploy);
    ui.stage("event", &deploy.title());
    ui.stage("id", &deploy.id);
    let mut rows: Vec<(&Recipient, Told)> = Vec::new();
    if args.dry_run {
        for recipient in &recipients {
            let would = match &recipient.way {
                Ok(_) => Told::NotAsked("would be told; this is a dry run".to_owned()),
                Err(told) => told.clone(),
            };
            rows.push((recipient, would));
        }
    } else {
        let folder = layout.root.join("data/events");
        let mut ledger = Ledger::open(&folder, &deploy.id).map_err(Stop::error)?;
        for recipient in &recipients {
            let told = events::tell(recipient, &deploy, &mut ledger).await;
            rows.push((recipient, told));
        }
    }
    show(ui, &rows);
    let failed = rows
        .iter()
        .filter(|(_, told)| matches!(told, Told::Failed(_)))
        .count();
    let complete = !rows
        .iter()
        .any(|(_, told)| matches!(told, Told::Failed(_) | Told::NotInstalled(_)));
    let reached = rows
        .iter()
        .filter(|(_, told)| matches!(told, Told::Told | Told::Already))
        .count();
    ui.json(&json!({
        "event": deploy,
        "dryRun": args.dry_run,
        "complete": complete && !args.dry_run,
        "recipients": rows
            .iter()
            .map(|(recipient, told)| json!({
                "name": recipient.name,
                "place": recipient.place,
                "outcome": told.words(),
                "reason": told.reason(),
                "would": recipient
                    .way
                    .as_ref()
                    .ok()
                    .filter(|_| args.dry_run)
                    .map(|way| events::preview(&deploy, way)),
            }))
            .collect::<Vec<_>>(),
    }));
    if failed > 0 {
        ui.line(&format!(
            "{} {failed} not reached; the same command again tells only them",
            ui.paint(Paint::Red, "error:")
        ));
        return Ok(exit::ERROR);
    }
    if reached == 0 && !args.dry_run {
        ui.line("nobody was told: the spec asks for nobody, or nothing is installed");
    }
    Ok(exit::OK)
}

fn said(args: &DeployArgs) -> Said {
    Said {
        service: args.service.clone(),
        version: args.version.clone(),
        outcome: match args.outcome {
            DeployOutcome::Started => Outcome::Started,
            DeployOutcome::Succeeded => Outcome::Succeeded,
            DeployOutcome::Failed => Outcome::Failed,
            DeployOutcome::RolledBack => Outcome::RolledBack,
        },
        commit: args.commit.clone(),
        by: args.by.clone(),
        url: args.url.clone(),
        at: args.at,
    }
}

fn show(ui: &Ui, rows: &[(&Recipient, Told)]) {
    ui.line("");
    ui.line(&format!(
        "  {:<14} {:<14} {}",
        "RECIPIENT", "OUTCOME", "PLACE"
    ));
    for (recipient, told) in rows {
        let paint = match told {
            Told::Told | Told::Already => Paint::Green,
            Told::NotAsked(_) => Paint::Dim,
            Told::NotInstalled(_) => Paint::Yellow,
            Told::Failed(_) => Paint::Red,
        };
        let words = ui.paint(paint, &format!("{:<14}", told.words()));
        ui.line(&format!(
            "  {:<14} {words} {}",
            recipient.name, recipient.place
        ));
        for line in wrap(told.reason().unwrap_or_default(), 62) {
            if !line.is_empty() {
                ui.line(&format!("  {:<14} {line}", ""));
            }
        }
    }
}
