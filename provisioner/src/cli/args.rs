//! Flags and subcommands, with the text of `--help`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use super::logs::Moment;

#[derive(Debug, Parser)]
#[command(
    name = "kai-observe",
    version,
    about = "From one file: a watched stack, and the proof that it works",
    after_help = "Examples:
  kai-observe init                      write a small observe.yaml here
  kai-observe plan                      what would change? (exit 2: something)
  kai-observe provision                 make it so, then prove that it works
  kai-observe drill --severity all      does an alert still reach its receiver?
  kai-observe inbox --follow            watch notices arrive on this machine
  kai-observe logs --level error        what do the services say?
  kai-observe destroy                   say what would go; --yes does it

Exit codes: 0 done, in step · 1 operational error · 2 changes pending
            5 monitoring unhealthy · 64 usage · 65 bad spec"
)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// The spec
    #[arg(
        long,
        short = 'f',
        global = true,
        display_order = 901,
        value_name = "FILE",
        default_value = "observe.yaml",
        env = "KAI_SPEC",
        hide_env_values = true
    )]
    pub spec: PathBuf,
    /// The environment; needed when the spec declares environments
    #[arg(
        long,
        global = true,
        display_order = 902,
        value_name = "NAME",
        env = "KAI_ENV",
        hide_env_values = true
    )]
    pub env: Option<String>,
    /// Folder of all local data [default: $XDG_DATA_HOME/kai-observe]
    #[arg(
        long,
        global = true,
        display_order = 903,
        value_name = "DIR",
        env = "KAI_HOME",
        hide_env_values = true
    )]
    pub home: Option<PathBuf>,
    /// Folder of downloaded components [default: $XDG_CACHE_HOME/kai-observe]
    #[arg(
        long,
        global = true,
        display_order = 904,
        value_name = "DIR",
        env = "KAI_CACHE",
        hide_env_values = true
    )]
    pub cache: Option<PathBuf>,
    /// Text for people, JSON for scripts
    #[arg(long, short, global = true, display_order = 905, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a small spec to start from
    Init(InitArgs),
    /// Check the spec: every error at once, with its place
    Validate(ValidateArgs),
    /// Show what `provision` would change (exit 2 when something would)
    #[command(after_help = "Examples:
  kai-observe plan --out reviewed.json
  kai-observe provision --plan reviewed.json      exactly that, or nothing")]
    Plan(PlanArgs),
    /// Make the running systems agree with the spec, then prove that they do
    #[command(after_help = "Examples:
  kai-observe provision --spec examples/ticketing/observe.yaml
  kai-observe provision --plan reviewed.json
  kai-observe provision --output json --junit proofs.xml")]
    Provision(ProvisionArgs),
    /// Ask the running systems for proof that everything works
    Verify(VerifyArgs),
    /// List the stack's processes (exit 5 when one is missing or ill)
    Status,
    /// Show what was changed behind the spec's back (exit 2 when something was)
    Drift,
    /// Stop and remove the stack; without --yes only say what would go
    Destroy(DestroyArgs),
    /// Write what would be applied: files of a local stack, or a cluster's manifests
    #[command(after_help = "Examples:
  kai-observe render --out rendered
  kai-observe render | kubectl apply --server-side --field-manager=kai-observe -f -
  kai-observe render --env prod --to kubernetes --out manifests")]
    Render(RenderArgs),
    /// Raise a harmless alert and follow it to its receiver and back
    #[command(after_help = "Examples:
  kai-observe drill --severity critical
  kai-observe drill --severity all --team payment --output json")]
    Drill(DrillArgs),
    /// Tell everybody concerned what happened: a deploy
    #[command(subcommand)]
    Event(EventCommand),
    /// Show log lines of the services: search them in a range of time, or follow them
    #[command(after_help = "Examples:
  kai-observe logs                                    the newest lines of all services
  kai-observe logs booking payment --level error --since 2h
  kai-observe logs --grep \"no seat\" --follow
  kai-observe logs --trace 4bf92f3577b34da6a3ce929d0e0e4736 --all
  kai-observe logs booking --where 'http.response.status_code >= 500' --output json

Times are UTC. --grep finds words that follow each other, the last may be only its beginning.
Exit codes: 0 lines were shown · 4 there are none · 1 Elasticsearch does not answer")]
    Logs(LogsArgs),
    /// Show what each team's log lines were in a week, against the week before
    #[command(after_help = "Examples:
  kai-observe bill
  kai-observe bill --days 1 --team booking --output json
  kai-observe bill --mail                  each team its own part, for a weekly job

Lines and bytes are those that the agents kept for Elasticsearch, before compression; what their
rules left out is beside them. Exit code 4: no agent counted a line.")]
    Bill(BillArgs),
    /// Show what arrived at this machine's stand-in for PagerDuty, Slack and mail
    #[command(after_help = "Examples:
  kai-observe inbox --follow
  kai-observe inbox --alertname PaymentFailureRateHigh --output json
  kai-observe inbox --follow --until-resolved --timeout 10m")]
    Inbox(InboxArgs),
    /// Print the JSON Schema of the spec, for editors
    Schema(SchemaArgs),
    /// Print shell completions
    #[command(after_help = "Example:
  kai-observe completions bash > /etc/bash_completion.d/kai-observe")]
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Name of the stack [default: the folder's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Replace a spec that is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Do not look whether secrets are present
    #[arg(long)]
    pub offline: bool,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Write the plan to a file, for review and `provision --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Include deletions
    #[arg(long)]
    pub prune: bool,
    /// Show the differences of files
    #[arg(long)]
    pub diff: bool,
}

#[derive(Debug, Args)]
pub struct ProvisionArgs {
    /// Apply exactly this reviewed plan, or nothing
    #[arg(long, value_name = "FILE", conflicts_with = "prune")]
    pub plan: Option<PathBuf>,
    /// Also delete what nothing asks for any more
    #[arg(long)]
    pub prune: bool,
    /// Apply only; prove nothing
    #[arg(long)]
    pub no_verify: bool,
    #[command(flatten)]
    pub proofs: ProofArgs,
}

#[derive(Debug, Args)]
pub struct ProofArgs {
    /// Also write the proofs as a JUnit file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// How long a proof may wait for what takes a scrape to appear
    #[arg(long, value_name = "TIME", default_value = "45s", value_parser = time)]
    pub patience: Duration,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub proofs: ProofArgs,
}

#[derive(Debug, Args)]
pub struct DestroyArgs {
    /// Do it
    #[arg(long)]
    pub yes: bool,
    /// Also delete data and logs
    #[arg(long)]
    pub purge: bool,
}

#[derive(Debug, Args)]
pub struct RenderArgs {
    /// Folder to write to [default: .observe/render; manifests go to the terminal]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// In place of the spec's `runsOn`: a cluster's manifests, or files of local processes
    #[arg(long, value_enum)]
    pub to: Option<RenderTo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RenderTo {
    Kubernetes,
    Files,
}

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Write to a file instead of the terminal
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DrillSeverity {
    Critical,
    Warning,
    Info,
    All,
}

#[derive(Debug, Args)]
pub struct DrillArgs {
    /// Which alert to raise
    #[arg(long, value_enum)]
    pub severity: DrillSeverity,
    /// Team whose route is tried [default: routing.fallback.team]
    #[arg(long)]
    pub team: Option<String>,
    /// How long one hop may take
    #[arg(long, value_name = "TIME", default_value = "45s", value_parser = time)]
    pub within: Duration,
}

#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// A deploy: stored in Elasticsearch, annotated in Grafana, told to the service's team
    #[command(after_help = "Examples:
  kai-observe event deploy --service booking --version 1.4.2
  kai-observe event deploy --service booking --version 1.4.2 --outcome failed \\
      --commit 3f2a91c --by ci --url https://ci.example.org/runs/812

The same words are the same event: a step that is repeated tells only whom it did not reach before
(exit 1 while somebody was not reached). Two deploys of one version are told apart by --at or --url.")]
    Deploy(DeployArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeployOutcome {
    Started,
    Succeeded,
    Failed,
    RolledBack,
}

#[derive(Debug, Args)]
pub struct DeployArgs {
    /// The service, as the spec names it
    #[arg(long, value_name = "NAME")]
    pub service: String,
    /// The release
    #[arg(long, value_name = "VERSION", value_parser = one_line)]
    pub version: String,
    /// The commit that it was built from
    #[arg(long, value_name = "COMMIT", value_parser = one_line)]
    pub commit: Option<String>,
    /// Who deploys: a person or a pipeline
    #[arg(long, value_name = "NAME", value_parser = one_line)]
    pub by: Option<String>,
    /// How it went
    #[arg(long, value_enum, default_value_t = DeployOutcome::Succeeded)]
    pub outcome: DeployOutcome,
    /// Page with more: the pipeline's run
    #[arg(long, value_name = "URL", value_parser = page)]
    pub url: Option<String>,
    /// When it happened (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub at: Option<crate::inbox::time::Instant>,
    /// Show what would be told to whom; tell nobody
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Services, as the spec names them [default: all]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// From when on: 15m (back from now), or a moment (RFC 3339)
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = when)]
    pub since: Moment,
    /// Until when
    #[arg(long, value_name = "TIME", value_parser = when, conflicts_with = "follow")]
    pub until: Option<Moment>,
    /// This level and those above
    #[arg(long)]
    pub level: Option<String>,
    /// Words in the message
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// Lines of one trace
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,
    /// A condition on fields, as in the spec's `where`
    #[arg(long = "where", value_name = "CONDITION")]
    pub condition: Option<String>,
    /// The newest so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    pub lines: usize,
    /// All lines of the range, oldest first
    #[arg(long, conflicts_with_all = ["lines", "follow"])]
    pub all: bool,
    /// Kinds of errors that a service did not have before its last deploy
    #[arg(long, conflicts_with_all = ["since", "until", "level", "grep", "trace", "condition", "lines", "all", "follow"])]
    pub new_since_deploy: bool,
    /// Keep showing lines as they arrive
    #[arg(long)]
    pub follow: bool,
    /// With --follow: how late a line may arrive
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = time)]
    pub late: Duration,
}

#[derive(Debug, Args)]
pub struct BillArgs {
    /// Days that are reckoned up, and compared with as many before
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub days: u32,
    /// Only this team
    #[arg(long, value_name = "NAME")]
    pub team: Option<String>,
    /// Also write it as a page with a picture, which needs no other file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Also send each team with an address its part
    #[arg(long)]
    pub mail: bool,
}

#[derive(Debug, Args)]
pub struct InboxArgs {
    #[command(subcommand)]
    pub command: Option<InboxCommand>,
    /// Keep printing what arrives, with the way that each alert took
    #[arg(long)]
    pub follow: bool,
    /// With --follow: end after the first resolved notice
    #[arg(long)]
    pub until_resolved: bool,
    /// With --follow: end after this many notices
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
    /// With --follow: end after this time (exit 1 when it had to wait so long)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub timeout: Option<Duration>,
    /// Only this alert
    #[arg(long)]
    pub alertname: Option<String>,
    /// Only this team
    #[arg(long)]
    pub team: Option<String>,
    /// Address of the inbox [default: from the spec]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum InboxCommand {
    /// Run the stand-in itself (the stack does this for you)
    Serve {
        /// Address of the page, the API, PagerDuty, Slack and heartbeat
        #[arg(long, default_value = "127.0.0.1:7071")]
        http: std::net::SocketAddr,
        /// Address of the mail server
        #[arg(long, default_value = "127.0.0.1:7072")]
        smtp: std::net::SocketAddr,
        /// Folder that keeps what arrived
        #[arg(long)]
        dir: PathBuf,
        /// Linked from the page
        #[arg(long, value_name = "URL")]
        prometheus: Option<String>,
        /// Linked from the page
        #[arg(long, value_name = "URL")]
        alertmanager: Option<String>,
    },
}

/// `500ms`, `30s`, `5m`, `1h`.
fn time(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let wrong = || format!("`{text}` is no time; write for example 500ms, 30s, 5m or 1h");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

/// `15m` before now, `2d` before now, or a moment.
fn when(text: &str) -> Result<Moment, String> {
    if let Some(days) = text.strip_suffix('d').and_then(|n| n.parse::<u64>().ok())
        && days <= 36_500
    {
        return Ok(Moment::Back(Duration::from_hours(24 * days)));
    }
    if let Some(instant) = crate::inbox::time::Instant::parse(text) {
        return Ok(Moment::At(instant));
    }
    time(text).map(Moment::Back).map_err(|_| {
        format!("`{text}` is no time; write for example 15m, 2h, 3d or 2026-11-24T02:00:00Z")
    })
}

fn one_line(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > 128 || text.chars().any(char::is_control) {
        return Err("give 1 to 128 characters on one line".to_owned());
    }
    Ok(text.trim().to_owned())
}

fn page(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).ok().filter(|url| {
        ["http", "https"].contains(&url.scheme())
            && url.username().is_empty()
            && url.password().is_none()
            && text.len() <= 2_000
    });
    url.map(String::from)
        .ok_or_else(|| "give an http:// or https:// address without a password in it".to_owned())
}

fn moment(text: &str) -> Result<crate::inbox::time::Instant, String> {
    crate::inbox::time::Instant::parse(text)
        .ok_or_else(|| format!("`{text}` is no moment; write for example 2026-11-24T02:00:00Z"))
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
    fn times_need_a_unit() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("5m"), Ok(Duration::from_mins(5)));
        for wrong in [
            "",
            "5",
            "s",
            "5 s",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
