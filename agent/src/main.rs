//! kai-agent: reads the command line, runs the command, turns its result into an exit code.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use kai_agent::app::{self, RunError};
use kai_agent::cli::{Cli, Command, GateCommand, ImportFrom, Output};
use kai_agent::security::baseline::command as baseline;
use kai_agent::{check, command, dead_letters, filebeat, gate, logging, probes, tap};
use kai_contract::exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let result = match cli.command {
        Command::Run {
            config,
            log_format,
            log_level,
        } => {
            if let Err(error) = logging::start(log_format, &log_level) {
                eprintln!("kai-agent: {error}");
                return ExitCode::from(exit::USAGE);
            }
            Ok(run(&config))
        }
        Command::Check { config, output } => check(&config, output),
        Command::Gate(args) => finish(match &args.command {
            Some(GateCommand::Replay { file, output }) => gate::replay(file, *output),
            None => gate::run(&args),
        }),
        Command::Baseline(args) => finish(baseline::run(&args)),
        Command::DeadLetters(args) => finish(dead_letters::run(&args)),
        Command::Import {
            from: ImportFrom::Filebeat(args),
        } => finish(filebeat::run(&args)),
        Command::Tap(args) => finish(tap::command::run(&args)),
        Command::Probe {
            name,
            config,
            timeout,
        } => probe(&config, &name, timeout),
        Command::Completions { shell } => completions(shell),
    };
    result.unwrap_or_else(|error| {
        eprintln!("kai-agent: {error:#}");
        ExitCode::from(exit::ERROR)
    })
}

/// clap's words with our exit code.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print(); // nothing better to do than to exit as planned
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::from(exit::OK),
        _ => ExitCode::from(exit::USAGE),
    }
}

fn run(config: &Path) -> ExitCode {
    // reqwest is built without a default of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match app::run(config) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error @ RunError::Config(_)) => {
            eprintln!("{error}");
            ExitCode::from(exit::BAD_SPEC)
        }
        // Its text names the cause already; anyhow would add it again.
        Err(error) => {
            eprintln!("kai-agent: {error}");
            ExitCode::from(exit::ERROR)
        }
    }
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
fn print(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn check(config: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let result = check::load(config);
    let verdict = match output {
        Output::Text => check::as_text(config, &result),
        Output::Json => check::as_json(config, &result),
    };
    if verdict.good || output == Output::Json {
        print(verdict.text.as_bytes()).context("cannot write the result to standard output")?;
    } else {
        eprint!("{}", verdict.text);
    }
    Ok(ExitCode::from(if verdict.good {
        exit::OK
    } else {
        exit::BAD_SPEC
    }))
}

fn finish(result: Result<command::Done, command::Stop>) -> anyhow::Result<ExitCode> {
    match result {
        Ok(done) => {
            print(done.text.as_bytes()).context("cannot write the result to standard output")?;
            Ok(ExitCode::from(done.code))
        }
        Err(stop) => {
            eprintln!("kai-agent: {}", stop.message);
            Ok(ExitCode::from(stop.code))
        }
    }
}

fn probe(
    config: &Path,
    name: &str,
    timeout: Option<std::time::Duration>,
) -> anyhow::Result<ExitCode> {
    let loaded = match check::load(config) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return Ok(ExitCode::from(exit::BAD_SPEC));
        }
    };
    let Some(told) = probes::run_once(&loaded.settings.probes, name, timeout)? else {
        let known: Vec<_> = loaded.settings.probes.keys().map(String::as_str).collect();
        eprintln!(
            "kai-agent: there is no probe \"{name}\"; known are: {}",
            known.join(", ")
        );
        return Ok(ExitCode::from(exit::USAGE));
    };
    print(told.text.as_bytes()).context("cannot write the report to standard output")?;
    Ok(ExitCode::from(if told.success {
        exit::OK
    } else {
        exit::ERROR
    }))
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kai-agent", &mut script);
    print(&script).context("cannot write the completion script to standard output")?;
    Ok(ExitCode::from(exit::OK))
}
