//! `kai-agent dead-letters list|show|replay|drop`: the documents that Elasticsearch refused for good.
//! It works beside a running agent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use kai_contract::agent_config::Elasticsearch;
use kai_contract::exit;
use serde_json::{Value, json};

use crate::check;
use crate::cli::{DeadLettersArgs, DeadLettersCommand, LetterFilter, Output};
use crate::command::{Done, Stop};

mod replay;
mod store;

use replay::{Errand, Fate};
use store::{Contents, Kept};

/// Columns of a terminal that a reason may take, after the id.
const REASON: usize = 40;

/// What the configuration says of letters.
struct Place {
    folder: PathBuf,
    elasticsearch: Option<Elasticsearch>,
}

pub fn run(args: &DeadLettersArgs) -> Result<Done, Stop> {
    let place = place(args)?;
    let contents = store::read(&place.folder).map_err(|error| unreadable(&place, &error))?;
    match &args.command {
        DeadLettersCommand::List { filter } => Ok(list(&contents, filter, args.output)),
        DeadLettersCommand::Show { id } => show(&contents, id),
        DeadLettersCommand::Replay {
            filter,
            id,
            data_stream,
            document,
            dry_run,
        } => {
            let chosen = chosen(&contents, filter, id)?;
            let changed = Changed {
                data_stream: data_stream.clone(),
                document: match document {
                    None => None,
                    Some(_) if id.len() != 1 => {
                        return Err(Stop::new(
                            exit::USAGE,
                            "--document stands in for one letter's: name it by --id",
                        ));
                    }
                    Some(file) => Some(read_document(file)?),
                },
            };
            if *dry_run {
                return Ok(told(&chosen, "would be sent", args.output));
            }
            send(&place, &chosen, &changed, args.output)
        }
        DeadLettersCommand::Drop { filter, id, yes } => {
            let chosen = chosen(&contents, filter, id)?;
            if !yes {
                let message = format!(
                    "{} would be lost for good; say --yes to mean it",
                    letters(chosen.len())
                );
                return Err(Stop::new(exit::USAGE, message));
            }
            store::settle(&place.folder, &chosen)
                .and_then(|()| store::tidy(&place.folder))
                .map_err(|error| unreadable(&place, &error))?;
            Ok(told(&chosen, "dropped", args.output))
        }
    }
}

fn place(args: &DeadLettersArgs) -> Result<Place, Stop> {
    let loaded =
        check::load(&args.config).map_err(|error| Stop::new(exit::BAD_SPEC, error.to_string()))?;
    let config = loaded.config;
    let (Some(state), Some(logs)) = (&config.state, &config.logs) else {
        let message = format!("{} has no `logs:`", args.config.display());
        return Err(Stop::new(exit::USAGE, message));
    };
    Ok(Place {
        folder: state.join("logs/dead-letters"),
        elasticsearch: logs.elasticsearch.clone(),
    })
}

fn unreadable(place: &Place, error: &std::io::Error) -> Stop {
    let message = format!("{}: {error}", place.folder.display());
    Stop::new(exit::ERROR, message)
}

fn read_document(file: &std::path::Path) -> Result<String, Stop> {
    let bad = |why: String| Stop::new(exit::BAD_SPEC, format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    let value: serde_json::Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| bad(format!("it is no JSON object: {error}")))?;
    Ok(Value::Object(value).to_string())
}

fn fits(kept: &Kept, filter: &LetterFilter) -> bool {
    let letter = &kept.letter;
    let is = |wanted: &Option<String>, given: &str| wanted.as_deref().is_none_or(|w| w == given);
    is(&filter.source, &letter.source) && is(&filter.kind, &letter.kind)
}

/// The letters that a command is about: those of these ids, or all that fit.
fn chosen<'a>(
    contents: &'a Contents,
    filter: &LetterFilter,
    ids: &[String],
) -> Result<Vec<&'a Kept>, Stop> {
    for id in ids {
        if !contents.letters.iter().any(|kept| kept.letter.id == *id) {
            return Err(Stop::new(
                exit::USAGE,
                format!("there is no letter {id}; `kai-agent dead-letters list` shows them"),
            ));
        }
    }
    let meant =
        |kept: &&Kept| fits(kept, filter) && (ids.is_empty() || ids.contains(&kept.letter.id));
    Ok(contents.letters.iter().filter(meant).collect())
}

fn letters(count: usize) -> String {
    format!("{count} letter{}", if count == 1 { "" } else { "s" })
}

fn time(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(String::new, |time| time.to_string())
}

/// Grouped by what is the same: a mapping that does not fit refuses thousands alike.
fn list(contents: &Contents, filter: &LetterFilter, output: Output) -> Done {
    let shown: Vec<&Kept> = contents
        .letters
        .iter()
        .filter(|kept| fits(kept, filter))
        .collect();
    if output == Output::Json {
        let letters: Vec<Value> = shown.iter().map(|kept| json!(kept.letter)).collect();
        let text = json!({ "letters": letters, "unreadable": contents.unreadable });
        return done(format!("{text}\n"));
    }
    if shown.is_empty() {
        return done("no dead letters\n".to_owned());
    }
    let mut groups: BTreeMap<(&str, u16, &str), Vec<&Kept>> = BTreeMap::new();
    for kept in &shown {
        let letter = &kept.letter;
        groups
            .entry((&letter.source, letter.status, &letter.kind))
            .or_default()
            .push(kept);
    }
    let mut text = String::new();
    for ((source, status, kind), group) in groups {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let _ = writeln!(
            text,
            "{source}  {}  {status} {kind}\n    {} to {}\n    the last one {}: {}",
            letters(group.len()),
            time(first.letter.at),
            time(last.letter.at),
            last.letter.id,
            shortened(&last.letter.reason),
        );
    }
    if contents.unreadable > 0 {
        let _ = writeln!(text, "{} lines could not be read", contents.unreadable);
    }
    done(text)
}

fn shortened(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= REASON {
        return line;
    }
    let start: String = line.chars().take(REASON - 1).collect();
    format!("{start}…")
}

fn show(contents: &Contents, id: &str) -> Result<Done, Stop> {
    let ids = [id.to_owned()];
    let found = chosen(contents, &LetterFilter::default(), &ids)?;
    let letter = &found[0].letter;
    // As itself where it is JSON, so that it can be read and mended.
    let mut value = json!(letter);
    if let Ok(document) = serde_json::from_str::<Value>(&letter.document) {
        value["document"] = document;
    }
    Ok(done(format!("{value:#}\n")))
}

/// What is sent in place of what the letter says.
struct Changed {
    data_stream: Option<String>,
    document: Option<String>,
}

fn send(place: &Place, chosen: &[&Kept], changed: &Changed, output: Output) -> Result<Done, Stop> {
    let Some(elasticsearch) = &place.elasticsearch else {
        return Err(Stop::new(
            exit::USAGE,
            "the configuration names no Elasticsearch to send them to",
        ));
    };
    let errands: Vec<Errand<'_>> = chosen
        .iter()
        .map(|kept| Errand {
            kept,
            data_stream: changed
                .data_stream
                .as_deref()
                .unwrap_or(&kept.letter.data_stream),
            document: changed.document.as_deref().unwrap_or(&kept.letter.document),
        })
        .collect();
    let (mut taken, mut there) = (0, 0);
    let mut refused: Vec<(&str, String)> = Vec::new();
    // reqwest is built without a default of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::new(exit::ERROR, format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(replay::send(elasticsearch, &errands, |kept, fate| {
        match fate {
            Fate::Taken => taken += 1,
            Fate::There => there += 1,
            Fate::Refused(reason) => {
                refused.push((&kept.letter.id, reason));
                return Ok(());
            }
        }
        // At once: what was taken must not be told as waiting, whatever comes next.
        store::settle(&place.folder, &[kept]).map_err(|error| error.to_string())
    }));
    store::tidy(&place.folder).map_err(|error| unreadable(place, &error))?;
    if let Err(error) = result {
        let message =
            format!("{taken} taken, then: {error}; the others are kept as they were: try again");
        return Err(Stop::new(exit::ERROR, message));
    }
    let code = if refused.is_empty() {
        exit::OK
    } else {
        exit::CHANGES
    };
    let text = if output == Output::Json {
        let refused: Vec<Value> = refused
            .iter()
            .map(|(id, reason)| json!({ "id": id, "reason": reason }))
            .collect();
        let text = json!({ "taken": taken, "alreadyThere": there, "refused": refused });
        format!("{text}\n")
    } else {
        let mut text = format!(
            "{taken} taken, {there} there already, {} refused again\n",
            refused.len()
        );
        for (id, reason) in refused.iter().take(20) {
            let _ = writeln!(text, "  {id}  {}", shortened(reason));
        }
        if refused.len() > 20 {
            let _ = writeln!(text, "  and {} more", refused.len() - 20);
        }
        text
    };
    Ok(Done { text, code })
}

fn told(chosen: &[&Kept], what: &str, output: Output) -> Done {
    if output == Output::Json {
        let ids: Vec<&str> = chosen.iter().map(|kept| kept.letter.id.as_str()).collect();
        return done(format!("{}\n", json!({ "what": what, "letters": ids })));
    }
    done(format!("{} {what}\n", letters(chosen.len())))
}

fn done(text: String) -> Done {
    Done {
        text,
        code: exit::OK,
    }
}
