//! The command line of kai-observe.

mod args;
mod bill;
mod context;
mod destroy;
mod drift;
mod drill;
mod event;
mod inbox;
mod init;
mod logs;
mod plan;
mod provision;
mod render;
mod show;
mod status;
mod ui;
mod validate;
mod verify;

use clap::Parser as _;
use kai_contract::exit;

pub use args::{Cli, Command};

use crate::systems::user::User;

/// What ended a command early: what to say, and the exit code.
#[derive(Debug)]
pub struct Stop {
    pub code: u8,
    pub message: String,
    /// The message is a list that names its errors itself.
    pub is_list: bool,
}

impl Stop {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            is_list: false,
        }
    }
    /// Everything that is wrong with a spec, exit code 65.
    pub fn spec(diagnostics: &crate::spec::Diagnostics) -> Self {
        Self {
            code: exit::BAD_SPEC,
            message: diagnostics.to_string(),
            is_list: true,
        }
    }
    /// An operational error, exit code 1.
    pub fn error(error: impl std::fmt::Display) -> Self {
        Self::new(exit::ERROR, error.to_string())
    }
}

/// How this program calls itself to start a component:
/// `internal launch [UID:GID] -- PROGRAM ARGS…`.
pub const LAUNCH: [&str; 2] = ["internal", "launch"];

/// Parses, runs, and returns the exit code.
pub fn main() -> u8 {
    // Not a command for people, hence not known to the parser, its help and completions.
    let mut words = std::env::args_os().skip(1);
    if words.by_ref().take(LAUNCH.len()).eq(LAUNCH) {
        return launch(&words.collect::<Vec<_>>());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // clap's own 2 means "changes pending" here.
            return if error.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            };
        }
    };
    let ui = ui::Ui::new(&cli.common);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return exit::ERROR;
        }
    };
    match runtime.block_on(run(&cli, &ui)) {
        Ok(code) => code,
        Err(stop) => {
            ui.error(&stop);
            stop.code
        }
    }
}

async fn run(cli: &Cli, ui: &ui::Ui) -> Result<u8, Stop> {
    let common = &cli.common;
    match &cli.command {
        Command::Init(args) => init::run(args, common, ui),
        Command::Validate(args) => validate::run(args, common, ui),
        Command::Plan(args) => Box::pin(plan::run(args, common, ui)).await,
        Command::Provision(args) => Box::pin(provision::run(args, common, ui)).await,
        Command::Verify(args) => Box::pin(verify::run(args, common, ui)).await,
        Command::Status => Box::pin(status::run(common, ui)).await,
        Command::Drift => Box::pin(drift::run(common, ui)).await,
        Command::Destroy(args) => Box::pin(destroy::run(args, common, ui)).await,
        Command::Render(args) => render::run(args, common, ui),
        Command::Drill(args) => Box::pin(drill::run(args, common, ui)).await,
        Command::Event(args) => Box::pin(event::run(args, common, ui)).await,
        Command::Logs(args) => Box::pin(logs::run(args, common, ui)).await,
        Command::Bill(args) => Box::pin(bill::run(args, common, ui)).await,
        Command::Inbox(args) => Box::pin(inbox::run(args, common, ui)).await,
        Command::Schema(args) => show::schema(args),
        Command::Completions { shell } => {
            show::completions(*shell);
            Ok(exit::OK)
        }
    }
}

/// Becomes the component: a session of its own, so that no terminal's hang-up and no signal to the
/// caller's group reaches it; another user where one is named, with that user's group alone. Never
/// returns when it works.
fn launch(words: &[std::ffi::OsString]) -> u8 {
    use std::os::unix::process::CommandExt as _;
    let mut parts = words.splitn(2, |word| word == "--");
    let user = parts.next().unwrap_or_default().first();
    let Some((program, arguments)) = parts.next().and_then(<[_]>::split_first) else {
        return exit::USAGE;
    };
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    if let Some(text) = user {
        let Some(user) = text.to_str().and_then(|text| text.parse::<User>().ok()) else {
            return exit::USAGE;
        };
        // With a user, the standard library drops root's other groups too.
        command.uid(user.uid).gid(user.gid);
    }
    if let Err(error) = rustix::process::setsid() {
        eprintln!("kai-observe: cannot start a session: {error}");
        return exit::ERROR;
    }
    let error = command.exec();
    eprintln!(
        "kai-observe: cannot start {}: {error}",
        program.to_string_lossy()
    );
    exit::ERROR
}
