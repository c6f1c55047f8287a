//! `kai-agent gate`: may this release stay?
//!
//! ```text
//! gate ─ probe ─▶ evidence ─ judge ─▶ verdict ─▶ exit code
//! ```
//! [`evidence`] and [`judge`] are pure; [`probe`] alone asks. The verdict rests on the evidence
//! file only, so `gate replay` gives the same one, anywhere and at any time.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kai_contract::agent_config::{AgentConfig, Gate, nearest};
use kai_contract::exit;

use crate::check;
use crate::cli::{GateArgs, Output};
use crate::command::{Done, Stop};

pub mod evidence;
pub mod judge;
pub mod locate;
pub mod probe;
pub mod report;
pub mod round;

use evidence::File;
use judge::Verdict;
use probe::Prober;
use round::Subject;

/// Asks, judges, writes the evidence.
pub fn run(args: &GateArgs) -> Result<Done, Stop> {
    let Some(service) = &args.service else {
        return Err(Stop::new(exit::USAGE, "--service is needed"));
    };
    let config = match &args.config {
        Some(file) => file.clone(),
        None => {
            locate::locate(service).map_err(|error| Stop::new(exit::USAGE, error.to_string()))?
        }
    };
    let loaded =
        check::load(&config).map_err(|error| Stop::new(exit::BAD_SPEC, error.to_string()))?;
    let subject = subject(args, service, loaded.config, &config)?;
    let path = match &args.evidence {
        Some(path) => path.clone(),
        None => default_path(service, probe::now()),
    };
    writable(&path)?;
    // reqwest is built without a default of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::new(exit::ERROR, format!("cannot start the runtime: {error}")))?;
    let file = runtime.block_on(rounds(args, subject));
    let mut code = file.judgement.verdict.exit_code();
    if let Err(error) = write(&path, &file) {
        eprintln!(
            "kai-agent: cannot write the evidence to {}: {error}",
            path.display()
        );
        // A pass that nobody can look at again is none.
        if file.judgement.verdict == Verdict::Pass {
            code = exit::ERROR;
        }
    }
    Ok(Done {
        text: render(&file, &path, args.output),
        code,
    })
}

/// Judges an evidence file again.
pub fn replay(path: &Path, output: Output) -> Result<Done, Stop> {
    let bad = |reason: String| {
        Stop::new(
            exit::BAD_SPEC,
            format!("cannot judge {}: {reason}", path.display()),
        )
    };
    let size = fs::metadata(path)
        .map_err(|error| bad(error.to_string()))?
        .len();
    if size > evidence::LARGEST {
        return Err(bad(format!("it has {size} bytes")));
    }
    let bytes = fs::read(path).map_err(|error| bad(error.to_string()))?;
    let mut file = File::parse(&bytes).map_err(|error| bad(error.to_string()))?;
    let judgement = judge::judge(&file.evidence);
    if judgement.verdict != file.judgement.verdict {
        eprintln!(
            "kai-agent: {} said {} when it was written by {}; judged by this version",
            path.display(),
            file.judgement.verdict.words(),
            file.evidence.tool
        );
    }
    file.judgement = judgement;
    Ok(Done {
        text: render(&file, path, output),
        code: file.judgement.verdict.exit_code(),
    })
}

fn render(file: &File, path: &Path, output: Output) -> String {
    match output {
        Output::Text => report::as_text(file, path),
        Output::Json => format!("{:#}\n", report::as_json(file, path)),
    }
}

/// The service's settings with the command line's on top, checked like the file's.
fn subject(
    args: &GateArgs,
    name: &str,
    mut config: AgentConfig,
    file: &Path,
) -> Result<Subject, Stop> {
    let bad = |message: String| Stop::new(exit::BAD_SPEC, format!("{}: {message}", file.display()));
    let Some(gate) = &mut config.gate else {
        return Err(bad(
            "there is no gate: in it, so nothing tells what to check".to_owned(),
        ));
    };
    let known: Vec<&str> = gate.services.keys().map(String::as_str).collect();
    if !gate.services.contains_key(name) {
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean {near:?}?"),
            None if known.is_empty() => "gate.services is empty".to_owned(),
            None => format!("there are {}", known.join(", ")),
        };
        return Err(bad(format!("gate.services has no {name:?}; {hint}")));
    }
    if let Some(service) = gate.services.get_mut(name) {
        if let Some(window) = args.window {
            service.window_seconds = window.as_secs();
        }
        if let Some(least) = args.min_requests {
            service.min_requests = least;
        }
        if let Some(most) = args.max_error_ratio {
            service.max_error_ratio = most;
        }
    }
    // The file was sound, so what is wrong now came from the command line.
    let problems = config.problems();
    if !problems.is_empty() {
        let mut text = String::from("the command line's values cannot be used:");
        for problem in problems {
            let _ = write!(text, "\n  {problem}"); // writing to a String does not fail
        }
        return Err(Stop::new(exit::USAGE, text));
    }
    let mut servers = config.gate.unwrap_or_default();
    let service = servers.services.remove(name).unwrap_or_default();
    let now = probe::now();
    let since = match args.since {
        Some(since) if since > now => {
            return Err(Stop::new(
                exit::USAGE,
                "--since is in the future; give the moment of the deploy",
            ));
        }
        // What happened before the release does not speak for it.
        None if args.wait.is_some() => Some(now),
        since => since,
    };
    Ok(Subject {
        name: name.to_owned(),
        release: args.release.clone(),
        servers: Gate {
            services: std::collections::BTreeMap::new(),
            ..servers
        },
        service,
        since,
    })
}

/// Once, or until the time has passed; a clear failure ends it at once.
async fn rounds(args: &GateArgs, subject: Subject) -> File {
    let prober = Arc::new(Prober::new(round::needs_tls(&subject)));
    let begun = subject.since.unwrap_or_else(probe::now);
    let until = args
        .wait
        .map(|wait| begun.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
    loop {
        let file = File::new(round::ask(&subject, &prober).await);
        let now = probe::now();
        let left = until.map_or(0, |until| until - now);
        if left <= 0 || file.judgement.verdict == Verdict::Fail {
            return file;
        }
        if args.output == Output::Text {
            let passed = (now - begun) / 1000;
            eprintln!("  {passed:>4}s {}", report::in_short(&file));
        }
        let pause = args
            .interval
            .min(Duration::from_millis(u64::try_from(left).unwrap_or(0)));
        tokio::time::sleep(pause).await;
    }
}

/// `gate-booking-20261124T020623Z.json` in the working folder.
fn default_path(service: &str, now: i64) -> PathBuf {
    let time = jiff::Timestamp::from_millisecond(now)
        .map(|time| time.strftime("%Y%m%dT%H%M%SZ").to_string())
        .unwrap_or_default();
    let service: String = service
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    PathBuf::from(format!("gate-{service}-{time}.json"))
}

/// Said before anybody is asked.
fn writable(path: &Path) -> Result<(), Stop> {
    let folder = folder(path);
    if path.is_dir() || !folder.is_dir() {
        return Err(Stop::new(
            exit::ERROR,
            format!(
                "cannot write the evidence to {}: {}",
                path.display(),
                if path.is_dir() {
                    "it is a folder".to_owned()
                } else {
                    format!("there is no folder {}", folder.display())
                }
            ),
        ));
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whole or not at all, for its owner's eyes.
fn write(path: &Path, file: &File) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let pending = folder(path).join(name);
    let result = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&pending)
        .and_then(|mut out| {
            out.write_all(file.to_text().as_bytes())?;
            out.sync_all()
        })
        .and_then(|()| fs::rename(&pending, path));
    if result.is_err() {
        let _ = fs::remove_file(&pending);
    }
    result
}
