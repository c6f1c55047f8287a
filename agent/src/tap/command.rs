//! `kai-agent tap`: asks a running agent over its admin socket and shows what it tells.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kai_contract::agent_config::Share;
use kai_contract::exit;
use serde_json::Value;

use super::{Filter, Request, show};
use crate::check;
use crate::cli::{Output, TapArgs};
use crate::command::{Done, Stop};

/// Longer than an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(10);

pub fn run(args: &TapArgs) -> Result<Done, Stop> {
    let socket = socket(args)?;
    let request = Request {
        id: format!("{}-{:016x}", std::process::id(), rand::random::<u64>()),
        filter: filter(args)?,
    };
    let body = serde_json::to_string(&request)
        .map_err(|error| Stop::new(exit::ERROR, error.to_string()))?;
    let color = std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let begun = Instant::now();
    let (mut shown, mut missed, mut seen) = (0, 0, 0);
    let over = |shown: u64| {
        args.count.is_some_and(|count| shown >= count)
            || args.within.is_some_and(|time| begun.elapsed() >= time)
    };
    'all: while !over(shown) {
        let reply = ask(&socket, &body)?;
        seen = reply["seen"].as_u64().unwrap_or(seen);
        for event in reply["events"].as_array().into_iter().flatten() {
            let line = match args.output {
                Output::Json => event.to_string(),
                Output::Text => show::line(
                    event["source"].as_str().unwrap_or_default(),
                    &event["document"],
                    color,
                ),
            };
            // A reader that has seen enough (`| head`) is no failure.
            if writeln!(std::io::stdout(), "{line}").is_err() {
                break 'all;
            }
            shown += 1;
            if over(shown) {
                break 'all;
            }
        }
        let more = reply["missed"].as_u64().unwrap_or(0);
        if more > 0 {
            missed += more;
            let text =
                format!("-- {more} more were not shown: they came faster than they were read");
            eprintln!("{}", show::paint("2", &text, color));
        }
    }
    if args.count.is_some() || args.within.is_some() {
        eprintln!("-- {shown} shown, {missed} missed, {seen} passed by");
    }
    let none = shown == 0 && (args.count.is_some() || args.within.is_some());
    Ok(Done {
        text: String::new(),
        code: if none { exit::NO_DATA } else { exit::OK },
    })
}

fn socket(args: &TapArgs) -> Result<PathBuf, Stop> {
    if let Some(socket) = &args.socket {
        return Ok(socket.clone());
    }
    let loaded =
        check::load(&args.config).map_err(|error| Stop::new(exit::BAD_SPEC, error.to_string()))?;
    loaded.config.admin.socket.ok_or_else(|| {
        let message = format!("{} has no admin.socket", args.config.display());
        Stop::new(exit::USAGE, message)
    })
}

fn filter(args: &TapArgs) -> Result<Filter, Stop> {
    let usage = |message: String| Stop::new(exit::USAGE, message);
    let mut fields = std::collections::BTreeMap::new();
    for given in &args.fields {
        let (name, value) = given
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| usage(format!("--field {given}: write name=value")))?;
        fields.insert(name.to_owned(), value.to_owned());
    }
    let sample = args.sample.map(Share::try_from).transpose();
    let filter = Filter {
        sources: args.sources.clone(),
        level: args.level.as_ref().map(|level| level.to_lowercase()),
        grep: args.grep.clone(),
        fields,
        sample: sample.map_err(|reason| usage(format!("--sample {reason}")))?,
    };
    filter.judge().map_err(usage)?;
    Ok(filter)
}

fn ask(socket: &Path, body: &str) -> Result<Value, Stop> {
    let failed = |what: &str, reason: String| {
        let message = format!("{what} {}: {reason}", socket.display());
        Stop::new(exit::ERROR, message)
    };
    let mut stream = UnixStream::connect(socket)
        .map_err(|error| failed("no agent answers at the admin socket", error.to_string()))?;
    let exchanged = stream
        .set_read_timeout(Some(TIMEOUT))
        .and_then(|()| {
            let head = format!(
                "POST /tap HTTP/1.1\r\nHost: agent\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes())
        })
        .and_then(|()| {
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).map(|_| reply)
        });
    let reply = exchanged.map_err(|error| failed("cannot ask the agent at", error.to_string()))?;
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((reply.as_str(), ""));
    let value: Value = serde_json::from_str(body)
        .map_err(|error| failed("a strange answer of the agent at", error.to_string()))?;
    if !head.starts_with("HTTP/1.1 200") {
        let reason = value["error"].as_str().unwrap_or(head).to_owned();
        return Err(failed("refused by the agent at", reason));
    }
    Ok(value)
}
