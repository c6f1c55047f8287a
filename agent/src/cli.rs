//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::logging::Format;

/// Exports this node's metrics, passes applications' metrics through, keeps output files small.
#[derive(Debug, Parser)]
#[command(
    name = "kai-agent",
    version,
    after_help = "Examples:\n  kai-agent check --config agent.yaml\n  kai-agent run --config agent.yaml\n  \
                  kai-agent run --config agent.yaml --log-format json\n  \
                  kai-agent gate --service booking\n  \
                  kai-agent completions bash > /etc/bash_completion.d/kai-agent\n\n\
                  The smallest configuration, with all collectors on:\n  version: 1\n  \
                  listen: 127.0.0.1:9180\n\n\
                  Exit codes: 0 done, 1 operational error, 64 wrong usage, 65 bad configuration;\n\
                  of gate also 2 fail, 3 inconclusive, 4 no data"
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
    /// Judges whether a release may stay: 0 pass, 2 fail, 3 inconclusive, 4 no data.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  kai-agent gate --service booking\n  \
            kai-agent gate --service booking --version 1.4.2 --for 5m    what happens from now on\n  \
            kai-agent gate --service booking --since 2026-11-24T02:00:00Z --for 5m\n  \
            kai-agent gate --service booking --output json --evidence gate.json\n  \
            kai-agent gate replay gate.json          the same verdict again, offline\n\n\
            A check that fails clearly beats missing evidence, that beats an undecided one, that \
            beats a pass.\nMissing, stale, empty or partial evidence is never a pass. What is \
            checked, and the limits, stand in the\nconfiguration under gate:, which kai-observe \
            renders from services.<name>.gate of the spec.\n\n\
            Exit codes: 0 pass, 2 fail, 3 inconclusive, 4 no data, 1 operational error, 64 usage, \
            65 bad configuration or evidence"
    )]
    Gate(Box<GateArgs>),
    /// Shows what the security checks compare with, what differs, and accepts it by name.
    #[command(after_help = "Examples:\n  kai-agent baseline diff\n  \
        kai-agent baseline diff --check suid --output json\n  \
        kai-agent baseline accept --check suid --by ana --reason 'CHG-8841: new sudo'\n  \
        kai-agent baseline show\n\n\
        It reads what the running agent saw last; nothing is accepted that was not seen.\n\n\
        Exit codes of diff: 0 in step, 2 different, 4 no baseline or nothing seen yet; 1 operational \
        error, 64 usage, 65 bad configuration")]
    Baseline(BaselineArgs),
    /// Lists documents that Elasticsearch refused for good, and sends them again.
    #[command(after_help = "Examples:\n  kai-agent dead-letters list\n  \
        kai-agent dead-letters show awV0Hp6S…\n  \
        kai-agent dead-letters replay --source booking --kind document_parsing_exception\n  \
        kai-agent dead-letters replay --id awV0Hp6S… --document mended.json\n\n\
        A letter is sent under the id that its line has, so none arrives twice. What is taken is no \
        letter\nany more; what is refused again stays. It works beside a running agent.\n\n\
        Exit codes: 0 done, 2 some were refused again, 1 operational error, 64 usage, 65 bad \
        configuration\nor document")]
    DeadLetters(DeadLettersArgs),
    /// Takes over how far another shipper is in its files, so that nothing is sent again.
    #[command(after_help = "Examples:\n  \
        kai-agent import filebeat /var/lib/filebeat/registry/filebeat --dry-run\n  \
        kai-agent import filebeat /var/lib/filebeat\n\n\
        Stop Filebeat and the agent first. Each file's outcome is told: taken; left, where there is \
        nothing to take\nor the agent has a place of its own; refused, where the registry and the \
        file do not agree.\n\n\
        Exit codes: 0 done, 2 some were refused, 1 operational error, 64 usage, 65 bad \
        configuration\nor registry")]
    Import {
        #[command(subcommand)]
        from: ImportFrom,
    },
    /// Shows live log events after parsing and redaction, as a running agent sends them.
    #[command(after_help = "Examples:\n  kai-agent tap\n  \
        kai-agent tap --source booking --level warn\n  \
        kai-agent tap --field http.response.status_code=500 --count 10 --output json\n  \
        kai-agent tap --sample 0.01\n\n\
        Over the admin socket, as the agent's own user. It changes nothing of what is sent; lines that a \
        slow\nreader missed are counted.\n\n\
        Exit codes: 0 done, 4 nothing was shown with --count or --for, 1 operational error, 64 usage, 65 \
        bad\nconfiguration")]
    Tap(TapArgs),
    /// Runs one configured probe now and tells step by step what happened: 0 success, 1 failure.
    #[command(after_help = "Example:\n  kai-agent probe booking-page --config agent.yaml")]
    Probe {
        /// The probe, as probes: of the configuration names it.
        name: String,
        /// The configuration file.
        #[arg(
            long,
            value_name = "FILE",
            env = "KAI_AGENT_CONFIG",
            hide_env_values = true
        )]
        config: PathBuf,
        /// At most this long [default: the probe's own timeout, or 10s].
        #[arg(long, value_name = "TIME", value_parser = time)]
        timeout: Option<Duration>,
    },
    /// Writes a completion script for a shell to standard output.
    #[command(after_help = "Example:\n  kai-agent completions zsh > ~/.zfunc/_kai-agent")]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub enum ImportFrom {
    /// Filebeat 7.9 to 9, inputs log, container and filestream.
    Filebeat(FilebeatArgs),
}

#[derive(Debug, Args)]
pub struct FilebeatArgs {
    /// Its registry: the folder with meta.json and log.json, or path.data above it.
    #[arg(value_name = "REGISTRY_DIR")]
    pub registry: PathBuf,
    /// Only say what would be taken.
    #[arg(long)]
    pub dry_run: bool,
    /// The configuration file.
    #[arg(
        long,
        value_name = "FILE",
        env = "KAI_AGENT_CONFIG",
        hide_env_values = true,
        default_value = "/etc/kai-agent/agent.yaml"
    )]
    pub config: PathBuf,
    /// As text for a person or as JSON for a script.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct TapArgs {
    /// The configuration file, for the admin socket's place.
    #[arg(
        long,
        value_name = "FILE",
        env = "KAI_AGENT_CONFIG",
        hide_env_values = true,
        default_value = "/etc/kai-agent/agent.yaml"
    )]
    pub config: PathBuf,
    /// The admin socket itself.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub socket: Option<PathBuf>,
    /// Only of this source; may be given several times.
    #[arg(long = "source", value_name = "NAME")]
    pub sources: Vec<String>,
    /// This level and those above.
    #[arg(long)]
    pub level: Option<String>,
    /// A part of the document, capitals or not.
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// A field and its value; may be given several times, and all must be so.
    #[arg(long = "field", value_name = "NAME=VALUE")]
    pub fields: Vec<String>,
    /// Only this share of the events, 0 to 1.
    #[arg(long, value_name = "SHARE")]
    pub sample: Option<f64>,
    /// End after so many.
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<u64>,
    /// End after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub within: Option<Duration>,
    /// As text for a person, or one JSON object a line.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    pub command: DeadLettersCommand,
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "KAI_AGENT_CONFIG",
        hide_env_values = true,
        default_value = "/etc/kai-agent/agent.yaml"
    )]
    pub config: PathBuf,
    /// As text for a person or as JSON for a script.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Which letters.
#[derive(Debug, Default, Args)]
pub struct LetterFilter {
    /// Only of this source, as logs.sources of the configuration names it.
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Only of this kind of error, such as document_parsing_exception.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// What there is, grouped by source and error; every letter with --output json.
    List {
        #[command(flatten)]
        filter: LetterFilter,
    },
    /// One letter whole.
    Show {
        /// Its id, as list shows it.
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Sends letters again.
    Replay {
        #[command(flatten)]
        filter: LetterFilter,
        /// Only this one; may be given several times.
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        id: Vec<String>,
        /// Another data stream than the letter's own.
        #[arg(long, value_name = "NAME")]
        data_stream: Option<String>,
        /// A document in place of the letter's, of one letter.
        #[arg(long, value_name = "FILE")]
        document: Option<PathBuf>,
        /// Says what would be sent and sends nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Gives letters up for good.
    Drop {
        #[command(flatten)]
        filter: LetterFilter,
        /// Only this one; may be given several times.
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        id: Vec<String>,
        /// Means it.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct BaselineArgs {
    #[command(subcommand)]
    pub command: BaselineCommand,
    /// Only this check (integrity, listeners, modules, suid, users); may be given several times.
    #[arg(long, global = true, value_name = "NAME")]
    pub check: Vec<String>,
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "KAI_AGENT_CONFIG",
        hide_env_values = true,
        default_value = "/etc/kai-agent/agent.yaml"
    )]
    pub config: PathBuf,
    /// As text for a person or as JSON for a script.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Debug, Subcommand)]
pub enum BaselineCommand {
    /// What was accepted, by whom, when and why.
    Show,
    /// What was seen last and is different.
    Diff,
    /// Takes what was seen last as what is right.
    Accept {
        /// Who accepts it.
        #[arg(long, value_name = "NAME", value_parser = one_line)]
        by: String,
        /// Why: a ticket, a sentence.
        #[arg(long, value_name = "TEXT", value_parser = one_line)]
        reason: String,
        /// Only if this is still what is seen: the digest that diff printed.
        #[arg(long, value_name = "DIGEST")]
        observed: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct GateArgs {
    #[command(subcommand)]
    pub command: Option<GateCommand>,
    /// The service, as gate.services names it.
    #[arg(long, value_name = "NAME", required = true)]
    pub service: Option<String>,
    /// The configuration file [default: /etc/kai-agent/agent.yaml, or the one local stack's that
    /// has the service].
    #[arg(
        long,
        value_name = "FILE",
        env = "KAI_AGENT_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// The release that is judged; goes into the evidence.
    #[arg(long = "version", value_name = "VERSION", value_parser = one_line)]
    pub release: Option<String>,
    /// Moment of the deploy (RFC 3339); nothing before it counts.
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    pub since: Option<i64>,
    /// Ask again and again until this much time has passed since the deploy (--since, or now); the
    /// last round decides, but a clear failure ends it at once.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub wait: Option<Duration>,
    /// With --for: the pause between two rounds.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub interval: Duration,
    /// In place of windowSeconds.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub window: Option<Duration>,
    /// In place of minRequests.
    #[arg(long, value_name = "N")]
    pub min_requests: Option<u64>,
    /// In place of maxErrorRatio: 0.01 is 1%.
    #[arg(long, value_name = "SHARE")]
    pub max_error_ratio: Option<f64>,
    /// Where the evidence goes [default: gate-<service>-<time>.json here].
    #[arg(long, value_name = "FILE")]
    pub evidence: Option<PathBuf>,
    /// As text for a person or as JSON for a script.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Debug, Subcommand)]
pub enum GateCommand {
    /// Judges an evidence file again, offline: the same verdict and exit code.
    #[command(after_help = "Example:\n  kai-agent gate replay gate-booking-20261124T020623Z.json")]
    Replay {
        /// An evidence file.
        file: PathBuf,
        /// As text for a person or as JSON for a script.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

/// How a command's result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

/// `30s`, `5m`, `1h`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; write for example 30s, 5m or 1h");
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        // A year: beyond it only mistakes.
        .filter(|seconds| (1..=31_536_000).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

/// RFC 3339 to Unix milliseconds.
fn moment(text: &str) -> Result<i64, String> {
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|_| format!("{text:?} is no moment; write for example 2026-11-24T02:00:00Z"))
}

fn one_line(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
        return Err("give 1 to 128 characters on one line".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn times_and_moments() {
        assert_eq!(time("5m"), Ok(Duration::from_mins(5)));
        for wrong in [
            "",
            "5",
            "0s",
            "1.5s",
            "5 m",
            "99999999999999999999h",
            "9999999h",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1000));
        assert_eq!(moment("1970-01-01T07:00:01+07:00"), Ok(1000));
        for wrong in ["", "now", "2026-11-24", "2026-11-24T02:00:00"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
