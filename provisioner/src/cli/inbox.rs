//! `kai-observe inbox`: the stand-in itself, and what arrived there.

use kai_contract::exit;
use serde_json::json;

use super::Stop;
use super::args::{Common, InboxArgs, InboxCommand, Output};
use super::context;
use super::ui::Ui;
use crate::inbox::{self, Ended, Filter, FollowOptions, Message, ServeOptions};
use crate::render::local;
use crate::spec::Secrets;

pub async fn run(args: &InboxArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    if let Some(InboxCommand::Serve {
        http,
        smtp,
        dir,
        prometheus,
        alertmanager,
    }) = &args.command
    {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .init();
        let mut options = ServeOptions::new(*http, *smtp, dir.clone());
        options.prometheus.clone_from(prometheus);
        options.alertmanager.clone_from(alertmanager);
        inbox::serve(options).await.map_err(Stop::error)?;
        return Ok(exit::OK);
    }
    let (url, prometheus) = addresses(args, common, ui)?;
    let filter = Filter {
        alertname: args.alertname.clone(),
        team: args.team.clone(),
        ..Filter::default()
    };
    if args.follow {
        return follow(args, common, ui, &url, prometheus, filter).await;
    }
    let messages = inbox::list(&url, &filter).await.map_err(Stop::error)?;
    if messages.is_empty() {
        ui.line("nothing has arrived yet; `kai-observe drill --severity all` sends something");
    }
    for message in &messages {
        ui.line(&line(message));
    }
    ui.json(&json!({ "url": url, "messages": messages }));
    Ok(exit::OK)
}

/// Where the inbox is, and Prometheus when the spec is known.
fn addresses(args: &InboxArgs, common: &Common, ui: &Ui) -> Result<(String, Option<String>), Stop> {
    if let Some(url) = &args.url {
        return Ok((url.clone(), None));
    }
    let stack = context::load(common, ui, Secrets::AssumePresent, None)?;
    if stack.systems.inbox.is_none() {
        return Err(Stop::error(
            "the spec turns the inbox off (systems.inbox.mode); say --url to look at another",
        ));
    }
    let prometheus = stack
        .systems
        .prometheus
        .map(|_| local(stack.ports.prometheus(), ""));
    Ok((local(stack.ports.inbox_http(), ""), prometheus))
}

async fn follow(
    args: &InboxArgs,
    common: &Common,
    ui: &Ui,
    url: &str,
    prometheus: Option<String>,
    filter: Filter,
) -> Result<u8, Stop> {
    let options = FollowOptions {
        output: match common.output {
            Output::Text => inbox::Output::Text,
            Output::Json => inbox::Output::Json,
        },
        color: ui.color,
        prometheus,
        filter,
        after: None,
        until_resolved: args.until_resolved,
        count: args.count.map(|count| count as u64),
        timeout: args.timeout,
    };
    let followed = inbox::follow(url, options).await.map_err(Stop::error)?;
    let wanted_more = args.until_resolved || args.count.is_some();
    Ok(if followed.ended == Ended::TimedOut && wanted_more {
        exit::ERROR
    } else {
        exit::OK
    })
}

/// One message on one line of 80 columns.
fn line(message: &Message) -> String {
    let facts = &message.facts;
    let time = message.received.get(11..19).unwrap_or_default();
    let what = facts
        .summary
        .as_deref()
        .or(facts.alertname.as_deref())
        .unwrap_or("-");
    let verdict = if message.verdict.accepted() {
        message.kind.word()
    } else {
        "REFUSED"
    };
    format!(
        "{time}  {:<9} {verdict:<11} {:<8} {:<10} {}",
        message.channel.word(),
        facts.severity.as_deref().unwrap_or("-"),
        facts.team.as_deref().unwrap_or("-"),
        what.chars().take(36).collect::<String>()
    )
}
