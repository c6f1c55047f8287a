//! `kai-observe bill`: what each team's and service's lines were in a week, against the week before;
//! what was left out; the series of their pages; the errors that were told most. Figures are the
//! agents', read from Prometheus; errors are read from Elasticsearch.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use kai_contract::exit;
use serde::Serialize;
use serde_json::{Value, json};

use super::Stop;
use super::args::{BillArgs, Common};
use super::context;
use super::ui::Ui;
use crate::events::send::{deliver, letter};
use crate::model::Stack;
use crate::render;
use crate::spec::Secrets;
use crate::spec::suggest::nearest;
use crate::systems::prometheus::Prometheus;
use crate::systems::rest::Rest;

mod page;

/// Errors that are listed, of each service.
const TOP: usize = 3;

/// Columns of the picture at most.
const COLUMNS: u32 = 31;

/// Lines and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
struct Amount {
    lines: f64,
    bytes: f64,
}

/// Of one service.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    team: String,
    service: String,
    kept: Amount,
    /// The same time before; `None` where Prometheus knows nothing of it.
    before: Option<Amount>,
    dropped: Amount,
    /// Of its page, now; `None` where no agent reads one.
    series: Option<f64>,
    /// Lines by reason, of the sources with the service's name.
    reasons: BTreeMap<String, f64>,
    top_errors: Vec<Kind>,
}

/// Bytes kept of each team in one day, or in one of the parts of a longer time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Day {
    /// The day that it ends on.
    name: String,
    teams: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Bill {
    days: u32,
    #[serde(rename = "services")]
    rows: Vec<Row>,
    by_day: Vec<Day>,
    errors_missing: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    pattern: String,
    lines: u64,
}

pub async fn run(args: &BillArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let secrets = if args.mail {
        Secrets::Read
    } else {
        Secrets::AssumePresent
    };
    let stack = context::load(common, ui, secrets, None)?;
    if let Some(team) = &args.team
        && !stack.teams.contains_key(team)
    {
        let names = stack.teams.keys().map(String::as_str);
        let hint = match nearest(team, names.clone()) {
            Some(meant) => format!("; did you mean {meant}?"),
            None => format!("; it has {}", names.collect::<Vec<_>>().join(", ")),
        };
        return Err(Stop::new(
            exit::USAGE,
            format!("the spec has no team {team}{hint}"),
        ));
    }
    if args.mail {
        can_mail(&stack, args.team.as_deref())?;
    }
    if stack.systems.prometheus.is_none() {
        return Err(Stop::error(
            "the spec turns Prometheus off (systems.prometheus.mode), and the agents' figures are there",
        ));
    }
    let prometheus = Prometheus::new(stack.ports.prometheus());
    let mut rows = rows(&prometheus, args.days).await.map_err(Stop::error)?;
    let missing = top_errors(&stack, &mut rows, args.days).await.err();
    let mut by_day = by_day(&prometheus, args.days).await.map_err(Stop::error)?;
    if let Some(team) = &args.team {
        rows.retain(|row| row.team == *team);
        for day in &mut by_day {
            day.teams.retain(|name, _| name == team);
        }
    }
    let bill = Bill {
        days: args.days,
        rows,
        by_day,
        errors_missing: missing,
    };
    if bill.rows.is_empty() {
        ui.json(&bill);
        eprintln!("no agent counted a line in the last {} days", args.days);
        return Ok(exit::NO_DATA);
    }
    ui.line(text(&bill.rows, args.days, bill.errors_missing.as_deref()).trim_end());
    ui.json(&bill);
    if let Some(file) = &args.html {
        let made = crate::clock::rfc3339(SystemTime::now());
        let page = page::html(&bill, &stack.environment, &made);
        std::fs::write(file, page)
            .map_err(|error| Stop::error(format!("cannot write {}: {error}", file.display())))?;
        ui.stage("written", &file.display().to_string());
    }
    if args.mail {
        return mail(&stack, &bill.rows, args.days, ui).await;
    }
    Ok(exit::OK)
}

/// All services, those with most bytes first.
async fn rows(prometheus: &Prometheus, days: u32) -> Result<Vec<Row>, String> {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    for (offset, now) in [(String::new(), true), (format!(" offset {days}d"), false)] {
        for unit in ["lines", "bytes"] {
            let query = format!(
                "sum by (team, service, outcome) (increase(kai_agent_log_service_{unit}_total[{days}d]{offset}))"
            );
            let found = prometheus.query(&query).await;
            for sample in found.map_err(|error| error.to_string())? {
                let label = |name: &str| sample.metric.get(name).cloned().unwrap_or_default();
                let (team, service) = (label("team"), label("service"));
                let row = rows
                    .entry((team.clone(), service.clone()))
                    .or_insert_with(|| Row {
                        team,
                        service,
                        ..Row::default()
                    });
                let dropped = label("outcome") == "dropped";
                let amount = match (now, dropped) {
                    (true, false) => &mut row.kept,
                    (true, true) => &mut row.dropped,
                    (false, false) => row.before.get_or_insert_default(),
                    (false, true) => continue,
                };
                let value = sample.value.1.parse::<f64>().unwrap_or(0.0);
                match unit {
                    "lines" => amount.lines = value.round(),
                    _ => amount.bytes = value.round(),
                }
            }
        }
    }
    let query = format!(
        "sum by (source, reason) (increase(kai_agent_log_events_total{{outcome=\"dropped\"}}[{days}d])) > 0"
    );
    let found = prometheus.query(&query).await;
    for sample in found.map_err(|error| error.to_string())? {
        let label = |name: &str| sample.metric.get(name).cloned().unwrap_or_default();
        let source = label("source");
        // A source has its service's name.
        if let Some(row) = rows.values_mut().find(|row| row.service == source) {
            let lines = sample.value.1.parse::<f64>().unwrap_or(0.0);
            row.reasons.insert(label("reason"), lines.round());
        }
    }
    // Series of the pages, by the name of their service.
    let found = prometheus.query("sum by (app) (kai_agent_scrape_series)");
    for sample in found.await.map_err(|error| error.to_string())? {
        let app = sample.metric.get("app").cloned().unwrap_or_default();
        if let Some(row) = rows.values_mut().find(|row| row.service == app) {
            row.series = sample.value.1.parse().ok();
        }
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by(|a, b| b.kept.bytes.total_cmp(&a.kept.bytes));
    Ok(rows)
}

/// Columns of the picture, the oldest first: days, or as many parts of a longer time.
async fn by_day(prometheus: &Prometheus, days: u32) -> Result<Vec<Day>, String> {
    let width = days.div_ceil(COLUMNS);
    let columns = days.div_ceil(width);
    let mut out = Vec::new();
    for back in (0..columns).rev() {
        let offset = match back * width {
            0 => String::new(),
            days => format!(" offset {days}d"),
        };
        let query = format!(
            "sum by (team) (increase(kai_agent_log_service_bytes_total{{outcome=\"kept\"}}[{width}d]{offset})) > 0"
        );
        let found = prometheus.query(&query).await;
        let ago = Duration::from_hours(24) * back * width;
        let end = SystemTime::now()
            .checked_sub(ago)
            .unwrap_or(SystemTime::now());
        // `2026-12-01T…`
        let name = crate::clock::rfc3339(end)
            .get(5..10)
            .unwrap_or_default()
            .to_owned();
        let teams = found.map_err(|error| error.to_string())?.into_iter();
        out.push(Day {
            name,
            teams: teams
                .filter_map(|sample| {
                    let value: f64 = sample.value.1.parse().ok()?;
                    let team = sample.metric.get("team").cloned().unwrap_or_default();
                    Some((team, value.round()))
                })
                .collect(),
        });
    }
    Ok(out)
}

/// The errors that were told most; why there are none.
async fn top_errors(stack: &Stack, rows: &mut [Row], days: u32) -> Result<(), String> {
    let access = render::elasticsearch_access(stack).ok_or("the spec has no Elasticsearch")?;
    let rest = Rest::new(&access).map_err(|error| error.to_string())?;
    let body = json!({
        "size": 0,
        "query": { "bool": { "filter": [
            { "range": { "@timestamp": { "gte": format!("now-{days}d") } } },
            { "exists": { "field": "kai.pattern" } },
        ] } },
        "aggs": { "services": {
            "terms": { "field": "service.name", "size": 1_000 },
            "aggs": { "top": { "terms": { "field": "kai.pattern", "size": TOP } } },
        } },
    });
    let path = format!(
        "/logs-kai.*-{}/_search?ignore_unavailable=true&allow_no_indices=true",
        stack.environment
    );
    let reply = rest
        .json(reqwest::Method::POST, &path, Some(&body))
        .await
        .map_err(|error| error.to_string())?;
    let buckets = |of: &Value| of["buckets"].as_array().cloned().unwrap_or_default();
    for service in buckets(&reply["aggregations"]["services"]) {
        let Some(row) = rows
            .iter_mut()
            .find(|row| service["key"].as_str() == Some(&row.service))
        else {
            continue;
        };
        let kinds = buckets(&service["top"]).into_iter().filter_map(|bucket| {
            Some(Kind {
                pattern: bucket["key"].as_str()?.to_owned(),
                lines: bucket["doc_count"].as_u64()?,
            })
        });
        row.top_errors = kinds.collect();
    }
    Ok(())
}

/// For people, in 80 columns.
fn text(rows: &[Row], days: u32, missing: Option<&str>) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<12} {:<18} {:>10} {:>10} {:>8} {:>11}",
        "TEAM", "SERVICE", "LINES", "BYTES", "CHANGE", "LEFT OUT"
    );
    for row in rows {
        let _ = writeln!(
            out,
            "{:<12} {:<18} {:>10} {:>10} {:>8} {:>11}",
            row.team,
            row.service,
            number(row.kept.lines),
            bytes(row.kept.bytes),
            change(row),
            number(row.dropped.lines)
        );
        if let Some(series) = row.series {
            let _ = writeln!(out, "    {:>10} series", number(series));
        }
        for (reason, lines) in &row.reasons {
            let _ = writeln!(out, "    {:>10} left out: {reason}", number(*lines));
        }
        for kind in &row.top_errors {
            let shown: String = kind.pattern.chars().take(56).collect();
            let _ = writeln!(out, "    {:>10} errors: {shown}", kind.lines);
        }
    }
    let mut teams: BTreeMap<&str, f64> = BTreeMap::new();
    for row in rows {
        *teams.entry(&row.team).or_default() += row.kept.bytes;
    }
    let _ = writeln!(
        out,
        "\nIn {days} days, bytes of documents before compression:"
    );
    for (team, sum) in teams {
        let _ = writeln!(out, "    {team:<12} {:>10}", bytes(sum));
    }
    if let Some(reason) = missing {
        let _ = writeln!(out, "\nErrors were not read: {reason}");
    }
    out
}

fn change(row: &Row) -> String {
    match row.before {
        Some(before) if before.bytes > 0.0 => {
            let percent = (row.kept.bytes / before.bytes - 1.0) * 100.0;
            if percent > 999.0 {
                ">+999%".to_owned()
            } else {
                format!("{percent:+.0}%")
            }
        }
        _ => "new".to_owned(),
    }
}

/// `950`, `12.3 k`, `4.5 M`
fn number(value: f64) -> String {
    scaled(value, 1_000.0, &["", " k", " M", " G"])
}

fn bytes(value: f64) -> String {
    scaled(value, 1_000.0, &[" B", " kB", " MB", " GB", " TB"])
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    if unit == 0 {
        format!("{value:.0}{}", units[unit])
    } else {
        format!("{value:.1}{}", units[unit])
    }
}

/// What would keep every letter from being sent is said before anything is read.
fn can_mail(stack: &Stack, only: Option<&str>) -> Result<(), Stop> {
    if stack.smtp.is_none() && stack.systems.inbox.is_none() {
        return Err(Stop::error(
            "the spec has neither `smtp` nor an inbox, so no mail can be sent",
        ));
    }
    let mut wanted = stack
        .teams
        .iter()
        .filter(|(name, _)| only.is_none_or(|only| only == name.as_str()));
    if wanted.any(|(_, team)| team.email.is_some()) {
        return Ok(());
    }
    Err(Stop::error(match only {
        Some(team) => format!("no mail can be sent: give an address, teams.{team}.email"),
        None => "no mail can be sent: no team of the spec has an `email`".to_owned(),
    }))
}

/// Each team with an address gets its own part.
async fn mail(stack: &Stack, rows: &[Row], days: u32, ui: &Ui) -> Result<u8, Stop> {
    let mut failed = false;
    for (name, team) in &stack.teams {
        let own: Vec<Row> = rows
            .iter()
            .filter(|row| row.team == *name)
            .cloned()
            .collect();
        if own.is_empty() {
            continue;
        }
        let Some(to) = &team.email else {
            ui.stage(
                "not mailed",
                &format!("{name} has no address (teams.{name}.email)"),
            );
            continue;
        };
        let smtp = match (&stack.smtp, &stack.systems.inbox) {
            (Some(smtp), _) => Ok(smtp.clone()),
            (None, Some(_)) => Err(stack.ports.inbox_smtp()),
            (None, None) => {
                return Err(Stop::error(
                    "the spec has neither `smtp` nor an inbox, so no mail can be sent",
                ));
            }
        };
        let subject = format!("Log lines of {name}, {days} days ({})", stack.environment);
        let body = text(&own, days, None);
        let sent = match letter(to, smtp.as_ref().ok(), &subject, body) {
            Ok(message) => deliver(&smtp, message).await,
            Err(reason) => Err(reason),
        };
        match sent {
            Ok(()) => ui.stage("mailed", &format!("{name}: {to}")),
            Err(reason) => {
                failed = true;
                eprintln!("error: {name}: {to}: {reason}");
            }
        }
    }
    Ok(if failed { exit::ERROR } else { exit::OK })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_fits_eighty_columns() {
        let row = Row {
            team: "booking".into(),
            service: "booking".into(),
            kept: Amount {
                lines: 1_234_567.0,
                bytes: 987_654_321.0,
            },
            before: Some(Amount {
                lines: 1.0,
                bytes: 493_827_160.0,
            }),
            dropped: Amount {
                lines: 950.0,
                bytes: 1.0,
            },
            series: Some(420.0),
            reasons: [("sampled".to_owned(), 950.0)].into(),
            top_errors: vec![Kind {
                pattern: "x".repeat(200),
                lines: 7,
            }],
        };
        let fresh = Row {
            before: None,
            ..row.clone()
        };
        let text = text(&[row, fresh], 7, None);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        for part in [
            "1.2 M",
            "987.7 MB",
            "+100%",
            "new",
            "950 left out: sampled",
            "420 series",
            "2.0 GB",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
