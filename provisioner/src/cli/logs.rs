//! `kai-observe logs`: lines of services, searched or followed.

use std::io::{self, BufWriter};
use std::time::Duration;

use kai_contract::agent_config::LEVELS;
use kai_contract::{exit, expression};
use serde_json::json;

use super::Stop;
use super::args::{Common, LogsArgs, Output};
use super::context;
use super::ui::Ui;
use crate::inbox::time::Instant;
use crate::lines::fresh;
use crate::lines::query::{Fields, Query};
use crate::lines::show::Screen;
use crate::lines::{self, Follow};
use crate::model::Stack;
use crate::render;
use crate::render::elasticsearch::{event_stream, intake_streams, log_stream, security_stream};
use crate::spec::Secrets;
use crate::spec::suggest::nearest;
use crate::systems::rest::Rest;

/// An address that holds more names is refused by servers.
const LONGEST_INDEX: usize = 3_000;

pub async fn run(args: &LogsArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let stack = context::load(common, ui, Secrets::AssumePresent, None)?;
    let query = query(args, common, &stack)?;
    let Some(access) = render::elasticsearch_access(&stack) else {
        return Err(Stop::error(
            "the spec has no Elasticsearch (systems.elasticsearch is off), so lines are not kept",
        ));
    };
    let rest = Rest::new(&access).map_err(Stop::error)?;
    let json = common.output == Output::Json;
    if args.new_since_deploy {
        return new_since_deploy(args, &stack, &rest, ui, json).await;
    }
    if args.follow {
        let mut screen = Screen::new(io::stdout(), ui.color, json);
        let options = Follow {
            first: args.lines,
            late: args.late,
        };
        lines::follow(&rest, &query, options, &mut screen, stopped())
            .await
            .map_err(Stop::error)?;
        return Ok(exit::OK);
    }
    let mut screen = Screen::new(BufWriter::new(io::stdout()), ui.color, json);
    let shown = if args.all {
        lines::all(&rest, &query, &mut screen).await
    } else {
        let newest = lines::newest(&rest, &query, args.lines).await;
        newest.map(|found| {
            let read = found.iter().take_while(|hit| screen.show(hit));
            read.count() as u64
        })
    };
    let shown = shown.map_err(Stop::error)?;
    if shown == 0 {
        eprintln!("no such line{}", range(args));
        return Ok(exit::NO_DATA);
    }
    Ok(exit::OK)
}

/// Of each service apart: each has a last deploy of its own.
async fn new_since_deploy(
    args: &LogsArgs,
    stack: &Stack,
    rest: &Rest,
    ui: &Ui,
    json: bool,
) -> Result<u8, Stop> {
    let named = |name: &String| args.services.is_empty() || args.services.contains(name);
    let services = stack.services.values();
    let mut without = Vec::new();
    for service in services.filter(|one| one.logs.is_some() && named(&one.name)) {
        let lines = log_stream(stack, &service.name);
        let events = event_stream(&stack.environment, &service.name);
        let deployed = fresh::last_deploy(rest, &events, &lines).await;
        let Some(deployed) = deployed.map_err(Stop::error)? else {
            without.push(service.name.as_str());
            continue;
        };
        let kinds = fresh::fresh(rest, &lines, deployed.at).await;
        let kinds = kinds.map_err(Stop::error)?;
        if json {
            for kind in &kinds {
                let line = json!({
                    "service": service.name,
                    "version": deployed.version,
                    "deployedAt": deployed.at.rfc3339(),
                    "deployTold": deployed.told,
                    "firstSeen": kind.first_seen.rfc3339(),
                    "lines": kind.lines,
                    "pattern": kind.pattern,
                    "fingerprint": kind.fingerprint,
                });
                println!("{line}");
            }
            continue;
        }
        let by = if deployed.told {
            "deployed"
        } else {
            "first seen, no deploy was told,"
        };
        let at = deployed.at.rfc3339();
        ui.line(&format!(
            "{} {} {by} {at}: {} new kinds of errors",
            service.name,
            deployed.version,
            kinds.len()
        ));
        for kind in &kinds {
            let first = kind.first_seen.rfc3339();
            ui.line(&format!(
                "  {first} {:>8} lines  {}",
                kind.lines, kind.pattern
            ));
        }
    }
    if without.is_empty() {
        return Ok(exit::OK);
    }
    eprintln!(
        "no deploy is known of {}: tell of it with `kai-observe event deploy`, or let lines name a \
         service.version",
        without.join(", ")
    );
    Ok(exit::NO_DATA)
}

fn range(args: &LogsArgs) -> String {
    match (args.since, args.until) {
        (Moment::Back(time), None) => format!(" in the last {}", render::duration(time)),
        _ => " in that range".to_owned(),
    }
}

async fn stopped() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn query(args: &LogsArgs, common: &Common, stack: &Stack) -> Result<Query, Stop> {
    let usage = |message: String| Stop::new(exit::USAGE, message);
    let condition = args.condition.as_deref().map(|text| {
        expression::parse(text)
            .map_err(|error| usage(format!("--where {text}: {}", error.shown(text))))
    });
    let level = args.level.as_deref().map(|given| {
        let known = LEVELS
            .into_iter()
            .find(|level| *level == given.to_lowercase());
        known.map(str::to_owned).ok_or_else(|| {
            usage(format!(
                "--level {given} is none; there are {}",
                LEVELS.join(", ")
            ))
        })
    });
    Ok(Query {
        index: index(args, stack).map_err(usage)?,
        since: Some(args.since.at()),
        until: args.until.map(Moment::at),
        level: level.transpose()?,
        grep: args.grep.clone(),
        trace: args.trace.clone(),
        condition: condition.transpose()?,
        fields: match common.output {
            Output::Json => Fields::All,
            Output::Text => Fields::Shown,
        },
    })
}

/// The data streams of the services that are named; of all without a name.
fn index(args: &LogsArgs, stack: &Stack) -> Result<String, String> {
    let has_lines = |name: &str| stack.may_have_lines(name);
    let mut streams = Vec::new();
    for name in &args.services {
        if !stack.services.contains_key(name) {
            let names = stack.services.keys().map(String::as_str);
            let hint = nearest(name, names)
                .map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
            return Err(format!("the spec has no service {name}{hint}"));
        }
        if !has_lines(name) {
            return Err(format!("the service {name} has no `logs` in the spec"));
        }
        streams.push(log_stream(stack, name));
    }
    if streams.is_empty() {
        let services = stack.services.keys().filter(|name| has_lines(name));
        streams.extend(services.map(|name| log_stream(stack, name)));
        streams.extend(intake_streams(stack).into_iter().map(|(_, stream)| stream));
        if stack.ships_security() {
            streams.push(security_stream(stack));
        }
    }
    if streams.is_empty() {
        return Err("no service of the spec has `logs`".to_owned());
    }
    let all = streams.join(",");
    if all.len() > LONGEST_INDEX {
        return Ok(format!("logs-kai.*-{}", stack.environment));
    }
    Ok(all)
}

/// A moment, or so long before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Back(Duration),
    At(Instant),
}

impl Moment {
    fn at(self) -> Instant {
        match self {
            Self::At(instant) => instant,
            Self::Back(time) => {
                let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                Instant(Instant::now().0.saturating_sub(millis))
            }
        }
    }
}
