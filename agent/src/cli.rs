//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::logging::Format;

/// Exports this node's metrics, passes applications' metrics through, keeps output files small.
#[derive(Debug, Parser)]
#[command(
    name = "kai-agent",
    version,
    after_help = "Examples:\n  kai-agent check --config agent.yaml\n  kai-agent run --config agent.yaml\n  \
                  kai-agent run --config agent.yaml --log-format json\n  \
                  kai-agent completions bash > /etc/bash_completion.d/kai-agent\n\n\
                  The smallest configuration, with all collectors on:\n  version: 1\n  \
                  listen: 127.0.0.1:9180\n\n\
                  Exit codes: 0 done, 1 operational error, 64 wrong usage, 65 bad configuration"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the agent until SIGTERM or SIGINT; SIGHUP reloads the configuration.
    #[command(after_help = "Example:\n  kai-agent run --config agent.yaml\n\n\
        The configuration is watched: a change is taken at once, a bad one refused with its reason.")]
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// How log lines on standard error are written.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        log_format: Format,
        /// off, error, warn, info, debug or trace; one module's as in info,kai_agent::reload=debug.
        #[arg(
            long,
            env = "KAI_AGENT_LOG",
            default_value = "info",
            value_name = "LEVEL"
        )]
        log_level: String,
    },
    /// Judges a configuration without running: exit 0 if it can be used, 65 if not.
    #[command(after_help = "Example:\n  kai-agent check --config agent.yaml --output json")]
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// As text for a person or as JSON for a script.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Writes a completion script for a shell to standard output.
    #[command(after_help = "Example:\n  kai-agent completions zsh > ~/.zfunc/_kai-agent")]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// How a command's result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}
