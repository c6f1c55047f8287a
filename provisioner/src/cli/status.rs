//! `kai-observe status`: the stack's processes.

use kai_contract::exit;
use serde::Serialize;
use serde_json::json;

use super::Stop;
use super::args::Common;
use super::context::Context;
use super::ui::{Paint, Ui};
use crate::resource::{Address, Document};
use crate::spec::Secrets;
use crate::systems::proc;

/// Not here, and not needed: said, and no illness.
const NOT_INSTALLED: &str = "absent";

#[derive(Serialize)]
struct Row {
    process: String,
    state: &'static str,
    pid: Option<u32>,
    /// Seconds.
    uptime: Option<u64>,
    /// Resident memory in bytes.
    resident: Option<u64>,
    url: String,
    detail: String,
}

pub async fn run(common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let context = Context::new(common, ui, Secrets::AssumePresent)?;
    let world = context.processes(ui).await?;
    let mut rows = Vec::new();
    for resource in &context.resources {
        let Document::Process(process) = &resource.document else {
            continue;
        };
        let all: Vec<_> = world
            .processes
            .iter()
            .filter(|p| p.address == resource.address.as_str())
            .collect();
        let missing = world.not_installed.contains_key(&process.component);
        let (state, detail) = match (all.as_slice(), world.health.get(&resource.address)) {
            ([], _) if missing && !required(&context, &process.component) => (
                NOT_INSTALLED,
                "not installed: `kai-observe plan` says what was tried".to_owned(),
            ),
            ([], _) => ("dead", "`kai-observe provision` starts it".to_owned()),
            ([_, _, ..], _) => ("doubled", format!("{} processes", all.len())),
            (_, Some(health)) => match health.answers.as_ref().and(health.reachable.as_ref()) {
                Ok(()) => ("up", String::new()),
                Err(why) => ("ill", why.clone()),
            },
            _ => ("ill", "not asked".to_owned()),
        };
        let found = all.first();
        rows.push(Row {
            process: process.name.clone(),
            state,
            pid: found.map(|found| found.pid),
            uptime: found
                .and_then(|found| proc::age(found))
                .map(|age| age as u64),
            resident: found.map(|found| found.resident),
            url: process.ready.clone(),
            detail,
        });
    }
    for found in &world.processes {
        if !context
            .resources
            .iter()
            .any(|r| r.address.as_str() == found.address)
        {
            rows.push(Row {
                process: Address::from_marker(&found.address).name().to_owned(),
                state: "left over",
                pid: Some(found.pid),
                uptime: proc::age(found).map(|age| age as u64),
                resident: Some(found.resident),
                url: String::new(),
                detail: "`kai-observe provision --prune` stops it".to_owned(),
            });
        }
    }
    ui.line(&format!(
        "{:<14} {:<9} {:>7} {:>8} {:>7}  {}",
        "PROCESS", "STATE", "PID", "UPTIME", "MEMORY", "ADDRESS"
    ));
    for row in &rows {
        let paint = match row.state {
            "up" => Paint::Green,
            NOT_INSTALLED => Paint::Yellow,
            _ => Paint::Red,
        };
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        ui.line(&format!(
            "{:<14} {} {:>7} {:>8} {:>7}  {}",
            row.process,
            ui.paint(paint, &format!("{:<9}", row.state)),
            text(row.pid.map(|pid| pid.to_string())),
            text(row.uptime.map(uptime)),
            text(row.resident.map(|bytes| format!("{}M", bytes / 1_048_576))),
            if row.detail.is_empty() {
                place(&row.url)
            } else {
                &row.detail
            },
        ));
    }
    let ill = rows
        .iter()
        .filter(|row| !["up", NOT_INSTALLED].contains(&row.state))
        .count();
    if ill > 0 {
        ui.line(&format!("{ill} of {} not as they should be", rows.len()));
    }
    ui.json(&json!({ "healthy": ill == 0, "processes": rows }));
    Ok(if ill == 0 && !rows.is_empty() {
        exit::OK
    } else {
        exit::UNHEALTHY
    })
}

fn required(context: &Context, component: &str) -> bool {
    context.resources.iter().any(|resource| {
        matches!(&resource.document, Document::Component(c) if c.name == component && c.required)
    })
}

/// `http://127.0.0.1:7071/-/ready` → `127.0.0.1:7071`, so that the table fits 80 columns.
fn place(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn uptime(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}
