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

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Starts logging; a second start in one process is ignored. `level` is a level or a filter
/// (`info,kai_agent::reload=debug`).
pub fn start(format: Format, level: &str) -> Result<(), String> {
    let filter = filter(level)?;
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

fn filter(level: &str) -> Result<EnvFilter, String> {
    // An empty variable is one that is not set.
    let level = if level.trim().is_empty() {
        "info"
    } else {
        level
    };
    let parts: Vec<&str> = level.split(',').map(str::trim).collect();
    // The filter's own grammar takes a misspelt level for the name of a module, of which nothing
    // is ever logged.
    for part in &parts {
        if !part.contains('=') && !LEVELS.contains(&part.to_ascii_lowercase().as_str()) {
            return Err(format!(
                "--log-level \"{level}\": \"{part}\" is not a level; levels are {}, and one \
                 module's is set as in info,kai_agent::reload=debug",
                LEVELS.join(", ")
            ));
        }
    }
    EnvFilter::try_new(parts.join(","))
        .map_err(|error| format!("--log-level \"{level}\" is not a level or filter: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused_and_not_taken_for_a_module() {
        for bad in [
            "bogus",
            "inf",
            "info,",
            "info,verbose",
            "info,kai_agent=loud",
        ] {
            let error = filter(bad).unwrap_err();
            assert!(error.contains("--log-level"), "{bad}: {error}");
        }
        for good in ["info", "WARN", "off", "", "info, kai_agent::reload=debug"] {
            filter(good).unwrap();
        }
    }
}
