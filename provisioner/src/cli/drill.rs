//! `kai-observe drill`: one line a hop, for each severity at the same time.

use kai_contract::exit;
use serde_json::json;

use super::Stop;
use super::args::{Common, DrillArgs, DrillSeverity};
use super::context::Context;
use super::ui::{Paint, Ui, short, wrap};
use crate::drill::{self, Passed};
use crate::model::Severity;
use crate::spec::Secrets;
use crate::verify::Subject;

pub async fn run(args: &DrillArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let context = Context::new(common, ui, Secrets::AssumePresent)?;
    let team = args
        .team
        .clone()
        .unwrap_or_else(|| context.stack.routing.fallback_team.clone());
    if !context.stack.teams.contains_key(&team) {
        let known: Vec<&str> = context.stack.teams.keys().map(String::as_str).collect();
        return Err(Stop::new(
            exit::USAGE,
            format!(
                "no team is called {team}; the spec has {}",
                known.join(", ")
            ),
        ));
    }
    let world = context.world(ui).await?;
    let subject = Subject {
        stack: &context.stack,
        layout: &context.layout,
        resources: &context.resources,
        world: &world,
        patience: args.within,
        routes: false,
    };
    let severities = match args.severity {
        DrillSeverity::Critical => vec![Severity::Critical],
        DrillSeverity::Warning => vec![Severity::Warning],
        DrillSeverity::Info => vec![Severity::Info],
        DrillSeverity::All => Severity::ALL.to_vec(),
    };
    let tell = |severity: Severity, passed: &Passed| {
        ui.line(&format!(
            "{}  {:>6}  {:<8} {:<12} {}",
            &passed.at[11..19],
            short(passed.millis),
            severity.word(),
            passed.hop.word(),
            passed.detail
        ));
    };
    ui.line(&format!(
        "{:<8}  {:>6}  {:<8} {:<12}",
        "TIME", "AFTER", "SEVERITY", "HOP"
    ));
    let drills = futures_util::future::join_all(
        severities
            .into_iter()
            .map(|severity| drill::run(&subject, severity, &team, args.within, &tell)),
    )
    .await;
    let mut failed = 0;
    for drill in &drills {
        match &drill.missed {
            None => ui.line(&format!(
                "{} {}",
                ui.paint(Paint::Green, "pass"),
                format_args!(
                    "{} to {} and back in {}",
                    drill.severity,
                    drill.team,
                    drill
                        .hops
                        .last()
                        .map_or_else(String::new, |hop| short(hop.millis))
                )
            )),
            Some(missed) => {
                failed += 1;
                ui.line(&format!(
                    "{} {}: the hop `{}` did not happen within {} s",
                    ui.paint(Paint::Red, "FAIL"),
                    drill.severity,
                    missed.hop.word(),
                    missed.within
                ));
                for line in wrap(&missed.cause, 74) {
                    ui.line(&format!("     {line}"));
                }
            }
        }
    }
    ui.json(&json!({ "passed": failed == 0, "drills": drills }));
    Ok(if failed == 0 {
        exit::OK
    } else {
        exit::UNHEALTHY
    })
}
