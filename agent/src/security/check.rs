//! What a security check is, and what one run of it tells: what was found, and of how much it can
//! speak. A check that could not look says so; it never says "nothing found".

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kai_contract::agent_config::{Roots, Security};

use crate::exposition::Page;
use crate::node::Node;

/// Paths that a run names of those that it could not look at.
const NAMED: usize = 5;

/// One kind of look at the machine. A run may take long and may hang; it has a thread of its own.
pub trait Check: Send {
    /// Looks once. `page` is empty and holds afterwards what only this check exports; it is shown
    /// also when the run failed.
    fn run(&mut self, context: &Context, page: &mut Page) -> Outcome;

    /// Something happened between two looks (a change that the kernel told): is a look wanted now?
    fn wants_run(&mut self) -> bool {
        false
    }
}

/// A check as the list names it.
pub struct Entry {
    pub name: &'static str,
    /// From one look to the next, if the configuration does not say.
    pub every: Duration,
    /// ECS `event.category` of its findings.
    pub category: &'static str,
    /// It reads many files: it runs at the lowest priority.
    pub heavy: bool,
    pub build: fn(&Setup) -> Box<dyn Check>,
}

/// What a check is made with.
pub struct Setup {
    pub settings: Arc<Security>,
    pub roots: Roots,
    /// The part of the state folder that is the checks' own.
    pub folder: PathBuf,
    /// Asks the supervisor to look whether a check wants to run.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

/// What a run works with.
pub struct Context {
    pub settings: Arc<Security>,
    pub node: Arc<dyn Node>,
    pub roots: Roots,
    pub folder: PathBuf,
    pub progress: Arc<Progress>,
}

impl Context {
    /// Where a file of the machine is found: below the root that is configured.
    pub fn at(&self, path: &str) -> PathBuf {
        below(&self.roots.root, path)
    }
}

/// `path` of the machine below `root`.
pub fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// How far a run is; read while it runs.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    items: AtomicU64,
    /// Milliseconds after `begun` at which something was last done.
    moved: AtomicU64,
    /// The agent ends, or the check is not wanted any more.
    pub stop: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            items: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// One more thing was looked at.
    pub fn step(&self) {
        self.items.fetch_add(1, Ordering::Relaxed);
        self.alive();
    }

    /// It moves, even if one thing takes long.
    pub fn alive(&self) {
        let now = self.begun.elapsed().as_millis() as u64;
        self.moved.store(now, Ordering::Relaxed);
    }

    pub fn items(&self) -> u64 {
        self.items.load(Ordering::Relaxed)
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// How long nothing has moved.
    pub fn still_for(&self) -> Duration {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(moved)
    }
}

/// Why something could not be looked at. A fixed list: it is a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    PermissionDenied,
    /// The kind of thing cannot be read by this build.
    Unsupported,
    /// It is not what its name says.
    Malformed,
    /// Larger than what may be read.
    TooLarge,
    /// More than may be kept in mind.
    Limit,
    /// It changed each time it was read.
    Changing,
    /// The kernel's watches are used up, or it gives none here.
    Unwatched,
    InputOutput,
}

impl Reason {
    pub const ALL: [Self; 8] = [
        Self::PermissionDenied,
        Self::Unsupported,
        Self::Malformed,
        Self::TooLarge,
        Self::Limit,
        Self::Changing,
        Self::Unwatched,
        Self::InputOutput,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PermissionDenied => "permission_denied",
            Self::Unsupported => "unsupported",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Limit => "limit",
            Self::Changing => "changing",
            Self::Unwatched => "unwatched",
            Self::InputOutput => "io_error",
        }
    }

    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            io::ErrorKind::FileTooLarge => Self::TooLarge,
            io::ErrorKind::InvalidData => Self::Malformed,
            _ => Self::InputOutput,
        }
    }
}

/// Of how many things a run can speak.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    pub examined: u64,
    pub skipped: BTreeMap<Reason, u64>,
    /// The first that were skipped, with why.
    pub named: Vec<String>,
}

impl Coverage {
    pub fn skip(&mut self, what: impl std::fmt::Display, reason: Reason) {
        *self.skipped.entry(reason).or_default() += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{what}: {}", reason.as_str()));
        }
    }

    pub fn total(&self) -> u64 {
        self.examined + self.skipped.values().sum::<u64>()
    }
}

/// What is compared with a baseline: things by name, with what matters of each as text.
pub type Items = BTreeMap<String, String>;

/// What a run tells.
#[derive(Debug, Default)]
pub struct Outcome {
    pub coverage: Coverage,
    /// Why it could not look.
    pub error: Option<String>,
    /// What was seen, for a check with a baseline; `None` when it could not look, or for others.
    pub seen: Option<Items>,
    /// What could not be looked at: what is below it is not gone because it was not seen.
    pub unknown: super::walk::Unknown,
    /// Events of which each is worth a line.
    pub notices: Vec<Notice>,
}

impl Outcome {
    pub fn failed(error: impl Into<String>) -> Self {
        Self {
            error: Some(error.into()),
            ..Self::default()
        }
    }
}

/// An event worth a line of its own in the log, in the words of the Elastic Common Schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notice {
    /// `event.action`
    pub action: &'static str,
    /// `event.outcome`: success, failure or unknown.
    pub outcome: &'static str,
    /// `user.name`
    pub user: Option<String>,
    /// `source.ip`
    pub address: Option<String>,
    /// `file.path`, or what else it is about.
    pub subject: Option<String>,
    pub detail: String,
}

/// A path as text: as it is where that can be read back, with escapes where not.
pub fn shown(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.chars().any(|c| c.is_control() || c == '\\') => text.to_owned(),
        _ => path.escape_ascii().to_string(),
    }
}
