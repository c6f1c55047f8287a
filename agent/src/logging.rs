//! The agent's own log: to standard error, as text or as JSON.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Starts logging; a second start in one process is ignored. `level` is a level or a filter
/// (`info,kai_agent::reload=debug`).
pub fn start(format: Format, level: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(level)
        .map_err(|error| format!("--log-level \"{level}\" is not a level or filter: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match format {
        Format::Text => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).try_init()
        }
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    let _ = started; // only an earlier start can make it fail
    Ok(())
}
