//! `kai-agent baseline show|diff|accept`: what a check saw last, against what was accepted. It reads
//! what the running agent wrote, with the agent's rights to look, and so needs no look of its own;
//! what is accepted is exactly what was shown.

use std::fmt::Write as _;

use kai_contract::agent_config::{BASELINE_CHECKS, nearest};
use kai_contract::exit;
use serde_json::{Value, json};

use super::{Files, Finding, Seen, Standing, compare, digest_of};
use crate::check;
use crate::cli::{BaselineArgs, BaselineCommand, Output};
use crate::command::{Done, Stop};
use crate::state::unix_now;

/// Findings of one check that are printed as text; JSON has all.
const MOST: usize = 200;

/// One check, as the command knows it.
struct About {
    check: &'static str,
    standing: Standing,
    seen: Result<Option<Seen>, String>,
}

impl About {
    fn of(files: &Files, check: &'static str) -> Self {
        Self {
            check,
            standing: files.standing(check),
            seen: files.load_seen(check).map_err(|error| error.to_string()),
        }
    }

    /// `None` if there is nothing to compare.
    fn findings(&self) -> Option<Vec<Finding>> {
        match (&self.standing, &self.seen) {
            (Standing::Accepted(baseline), Ok(Some(seen))) => {
                Some(compare(&baseline.items, &seen.items, &seen.unknown))
            }
            _ => None,
        }
    }

    /// Why there is nothing to compare.
    fn lacks(&self) -> String {
        match (&self.standing, &self.seen) {
            (Standing::Broken(reason), _) | (_, Err(reason)) => reason.clone(),
            (_, Ok(None)) => {
                "the check has not looked yet; start kai-agent with it and wait for its first look"
                    .to_owned()
            }
            (Standing::None, Ok(Some(seen))) => format!(
                "no baseline yet; {} items were seen: `kai-agent baseline show` lists them, `kai-agent \
                 baseline accept` takes them as right",
                seen.items.len()
            ),
            _ => String::new(),
        }
    }
}

/// Runs a command.
pub fn run(args: &BaselineArgs) -> Result<Done, Stop> {
    let loaded =
        check::load(&args.config).map_err(|error| Stop::new(exit::BAD_SPEC, error.to_string()))?;
    let Some(state) = &loaded.config.state else {
        return Err(Stop::new(
            exit::BAD_SPEC,
            format!(
                "{}: it has no state folder, in which baselines are kept; add state and security",
                args.config.display()
            ),
        ));
    };
    let folder = state.join("security");
    if !folder.is_dir() {
        return Err(Stop::new(
            exit::NO_DATA,
            format!(
                "{}: no security check has run yet; start kai-agent with security: in its \
                 configuration",
                folder.display()
            ),
        ));
    }
    let files = Files::open(&folder).map_err(|error| Stop::new(exit::ERROR, error.to_string()))?;
    let checks = chosen(&args.check)?;
    let about: Vec<About> = checks.iter().map(|name| About::of(&files, name)).collect();
    match &args.command {
        BaselineCommand::Show => show(&files, &about, args.output),
        BaselineCommand::Diff => Ok(diff(&about, args.output)),
        BaselineCommand::Accept {
            by,
            reason,
            observed,
        } => accept(&files, &about, by, reason, observed.as_deref(), args),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static str>, Stop> {
    if names.is_empty() {
        return Ok(BASELINE_CHECKS.to_vec());
    }
    names
        .iter()
        .map(|name| {
            let known = BASELINE_CHECKS.iter().find(|check| *check == name);
            known.copied().ok_or_else(|| {
                let hint = nearest(name, &BASELINE_CHECKS).map_or_else(String::new, |near| {
                    format!("; did you mean {near}")
                });
                Stop::new(
                    exit::USAGE,
                    format!(
                        "--check {name}: no check with a baseline has this name{hint}; there are {}",
                        BASELINE_CHECKS.join(", ")
                    ),
                )
            })
        })
        .collect()
}

fn time(seconds: u64) -> String {
    jiff::Timestamp::from_second(seconds as i64)
        .map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

fn show(files: &Files, about: &[About], output: Output) -> Result<Done, Stop> {
    let history = files
        .history()
        .map_err(|error| Stop::new(exit::ERROR, error));
    if output == Output::Json {
        let checks: Vec<Value> = about.iter().map(as_json).collect();
        let value = json!({ "checks": checks, "history": history.as_ref().ok() });
        return Ok(Done {
            text: format!("{value:#}\n"),
            code: exit::OK,
        });
    }
    let mut text = String::new();
    for about in about {
        let check = about.check;
        let _ = match &about.standing {
            // Writing to a String does not fail.
            Standing::None => writeln!(text, "{check}: no baseline yet"),
            Standing::Broken(reason) => writeln!(text, "{check}: BROKEN: {reason}"),
            Standing::Accepted(baseline) => writeln!(
                text,
                "{check}: {} items, accepted {} by {}: {}\n  digest {}",
                baseline.items.len(),
                time(baseline.at),
                baseline.by.escape_debug(),
                baseline.reason.escape_debug(),
                baseline.digest
            ),
        };
        let items = match (&about.standing, &about.seen) {
            (Standing::Accepted(baseline), _) => Some(&baseline.items),
            (_, Ok(Some(seen))) => {
                let _ = writeln!(text, "  seen {}, not accepted:", time(seen.at));
                Some(&seen.items)
            }
            _ => None,
        };
        for (name, value) in items.into_iter().flatten() {
            let _ = writeln!(text, "  {}  {}", name.escape_debug(), value.escape_debug());
        }
    }
    history?;
    Ok(Done {
        text,
        code: exit::OK,
    })
}

fn as_json(about: &About) -> Value {
    let (state, baseline) = match &about.standing {
        Standing::None => ("none", Value::Null),
        Standing::Broken(reason) => ("broken", json!({ "reason": reason })),
        Standing::Accepted(baseline) => (
            "accepted",
            json!({
                "acceptedAt": baseline.at,
                "by": baseline.by,
                "reason": baseline.reason,
                "digest": baseline.digest,
                "items": baseline.items,
            }),
        ),
    };
    let seen = about.seen.as_ref().ok().and_then(Option::as_ref);
    let findings = about.findings().map(|findings| {
        let each = findings.iter();
        each.map(|f| json!({ "name": f.name, "kind": f.change.kind(), "text": f.to_string() }))
            .collect::<Vec<_>>()
    });
    json!({
        "check": about.check,
        "state": state,
        "baseline": baseline,
        "seen": seen.map(|seen| json!({
            "at": seen.at,
            "digest": digest_of(&seen.items),
            "items": seen.items.len(),
            "skipped": seen.skipped,
            "skippedSuchAs": seen.named,
        })),
        "findings": findings,
        "lacks": findings.is_none().then(|| about.lacks()),
    })
}

fn diff(about: &[About], output: Output) -> Done {
    let findings: Vec<Option<Vec<Finding>>> = about.iter().map(About::findings).collect();
    let different = findings.iter().flatten().any(|f| !f.is_empty());
    let code = if different {
        exit::CHANGES
    } else if findings.iter().any(Option::is_none) {
        exit::NO_DATA
    } else {
        exit::OK
    };
    if output == Output::Json {
        let checks: Vec<Value> = about.iter().map(as_json).collect();
        let value = json!({ "different": different, "checks": checks });
        return Done {
            text: format!("{value:#}\n"),
            code,
        };
    }
    let mut text = String::new();
    for (about, findings) in about.iter().zip(&findings) {
        let check = about.check;
        let Some(findings) = findings else {
            let _ = writeln!(text, "{check}: {}", about.lacks());
            continue;
        };
        let Ok(Some(seen)) = &about.seen else {
            continue;
        };
        let _ = writeln!(
            text,
            "{check}: {} different, {} seen {}, {} could not be looked at\n  observed {}",
            findings.len(),
            seen.items.len(),
            time(seen.at),
            seen.skipped,
            digest_of(&seen.items)
        );
        for finding in findings.iter().take(MOST) {
            let _ = writeln!(text, "  {finding}");
        }
        if findings.len() > MOST {
            let more = findings.len() - MOST;
            let _ = writeln!(text, "  … {more} more; --output json has all");
        }
    }
    Done { text, code }
}

fn accept(
    files: &Files,
    about: &[About],
    by: &str,
    reason: &str,
    observed: Option<&str>,
    args: &BaselineArgs,
) -> Result<Done, Stop> {
    if observed.is_some() && about.len() != 1 {
        return Err(Stop::new(
            exit::USAGE,
            "--observed is the digest of one check; name it by --check",
        ));
    }
    let mut ready = Vec::new();
    for about in about {
        match &about.seen {
            Ok(Some(seen)) => ready.push((about.check, seen)),
            // Who names a check means it; who names none takes those that there are.
            Ok(None) if args.check.is_empty() => {}
            Ok(None) => {
                return Err(Stop::new(
                    exit::NO_DATA,
                    format!("{}: {}", about.check, about.lacks()),
                ));
            }
            Err(error) => return Err(Stop::new(exit::ERROR, error.clone())),
        }
    }
    if ready.is_empty() {
        return Err(Stop::new(
            exit::NO_DATA,
            "no check has looked yet; start kai-agent first",
        ));
    }
    if let (Some(wanted), Some((check, seen))) = (observed, ready.first()) {
        let now = digest_of(&seen.items);
        if now != wanted {
            return Err(Stop::new(
                exit::CHANGES,
                format!(
                    "{check}: what is seen is not what --observed names any more (it is {now}); \
                     look at `kai-agent baseline diff` again. Nothing was accepted"
                ),
            ));
        }
    }
    let mut text = String::new();
    for (check, seen) in ready {
        files
            .accept(check, seen, by, reason, unix_now())
            .map_err(|error| Stop::new(exit::ERROR, format!("{text}{error}")))?;
        let _ = writeln!(
            text,
            "{check}: {} items accepted, {} could not be looked at; digest {}",
            seen.items.len(),
            seen.skipped,
            digest_of(&seen.items)
        );
    }
    Ok(Done {
        text,
        code: exit::OK,
    })
}
