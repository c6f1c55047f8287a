//! The plan: what has to change so that the running systems agree with the spec. A value, computed
//! without I/O; applying it is another file's work.

pub mod object;
mod process;
mod retention;
mod review;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::components::{Attempt, Lookup, describe};
use crate::resource::{Address, Document, Resource, digest, read_mark};
use crate::world::{Actual, World};

pub use review::{PlanFile, desired_digest, moved};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Get a component onto this machine.
    Fetch,
    Create,
    Update,
    Start,
    Restart,
    Reload,
    /// It runs and does not answer yet: wait for it.
    Await,
    /// It runs; whether it is the right program is known only once that is here.
    Check,
    /// A process that nothing asks for.
    Stop,
    Delete,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Await => "await",
            Self::Check => "check",
            Self::Stop => "stop",
            Self::Delete => "delete",
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Fetch | Self::Create | Self::Start => '+',
            Self::Stop | Self::Delete => '-',
            _ => '~',
        }
    }
}

/// One step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    pub address: Address,
    pub action: Action,
    pub reason: String,
    /// Unified diff, where there is text to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// Digest of what was found; a reviewed plan is refused when it has moved.
    pub before: String,
    /// Digest of what will be.
    pub after: String,
}

/// Something that cannot be had here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub address: Address,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub changes: Vec<Change>,
    /// Deletions, and restarts that shorten how long data is kept, that wait for `--prune`.
    pub held_back: Vec<Change>,
    pub skipped: Vec<Skipped>,
    pub in_step: usize,
}

/// What could not be read: planning on top of it would be a guess.
#[derive(Debug, thiserror::Error)]
#[error("cannot plan: {}", .0.join("; "))]
pub struct PlanError(pub Vec<String>);

#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Deletions are part of the plan.
    pub prune: bool,
    /// Components that could not be had last time are tried again.
    pub retry: bool,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn change(&self, address: &Address) -> Option<&Change> {
        self.changes
            .iter()
            .find(|change| change.address == *address)
    }
}

/// Compares. Pure.
pub fn plan(
    resources: &[Resource],
    world: &World,
    owner: &str,
    options: Options,
) -> Result<Plan, PlanError> {
    let mut out = Plan::default();
    let mut unreadable = Vec::new();
    for resource in resources {
        let step = match &resource.document {
            Document::Component(component) => {
                let lookup = world.components.get(&component.name);
                let tried = world.not_installed.get(&component.name);
                component_step(&resource.address, lookup, tried, options.retry)
            }
            Document::File(file) => {
                let desired = file.content(owner, &resource.address);
                match world.files.get(&resource.address) {
                    Some(Actual::Unreadable(error)) => {
                        unreadable.push(error.clone());
                        continue;
                    }
                    Some(Actual::Present(actual)) => {
                        file_step(&resource.address, Some(actual), &desired)
                    }
                    _ => file_step(&resource.address, None, &desired),
                }
            }
            Document::Secret(secret) => match world.secrets.get(&resource.address) {
                Some(Actual::Unreadable(error)) => {
                    unreadable.push(error.clone());
                    continue;
                }
                Some(Actual::Present(())) => Step::Keep,
                _ => Step::Change(Change {
                    address: resource.address.clone(),
                    action: Action::Create,
                    reason: format!("from {}", secret.reference),
                    diff: None,
                    before: "absent".into(),
                    after: digest(secret.path.to_string_lossy().as_bytes()),
                }),
            },
            Document::Process(document) => {
                process::step(resource, document, world, &mut out, options)
            }
            Document::Object(object) => {
                match object::step(
                    resource,
                    object,
                    world,
                    owner,
                    &mut out,
                    options,
                    &mut unreadable,
                ) {
                    Some(step) => step,
                    None => continue,
                }
            }
        };
        match step {
            Step::Keep => out.in_step += 1,
            Step::Change(change) => out.changes.push(change),
            Step::Skip(why) => {
                out.skipped.push(Skipped {
                    address: resource.address.clone(),
                    why,
                });
            }
        }
    }
    if !unreadable.is_empty() {
        return Err(PlanError(unreadable));
    }
    out.changes.extend(process::doubles(resources, world));
    for deletion in deletions(resources, world) {
        if options.prune || object::is_replaced(&deletion, resources) {
            out.changes.push(deletion);
        } else {
            out.held_back.push(deletion);
        }
    }
    Ok(out)
}

enum Step {
    Keep,
    Change(Change),
    Skip(String),
}

fn component_step(
    address: &Address,
    lookup: Option<&Lookup>,
    tried: Option<&Vec<Attempt>>,
    retry: bool,
) -> Step {
    match (lookup, tried) {
        (Some(Lookup::Installed(installed)), _) if installed.settled => Step::Keep,
        (_, Some(attempts)) if !retry => {
            Step::Skip(format!("not installed: {}", describe(attempts)))
        }
        (_, tried) => Step::Change(Change {
            address: address.clone(),
            action: Action::Fetch,
            reason: match tried {
                _ if matches!(lookup, Some(Lookup::Installed(_))) => {
                    "here, and not pinned in observe.lock yet".into()
                }
                Some(_) => "could not be had before; tried again".into(),
                None => "not on this machine yet".into(),
            },
            diff: None,
            before: "absent".into(),
            after: "present".into(),
        }),
    }
}

fn file_step(address: &Address, actual: Option<&String>, desired: &str) -> Step {
    let (action, reason) = match actual {
        Some(actual) if actual == desired => return Step::Keep,
        None => (Action::Create, "not there".to_owned()),
        Some(actual) => (Action::Update, author(actual).to_owned()),
    };
    Step::Change(Change {
        address: address.clone(),
        action,
        reason,
        diff: actual.map(|actual| diff(address, actual, desired)),
        before: actual.map_or_else(|| "absent".to_owned(), digest),
        after: digest(desired),
    })
}

/// Why a file is written anew when nobody touched it.
pub const SPEC_CHANGED: &str = "the spec has changed";
/// Why a process that does its work is started anew.
pub const LAUNCH_CHANGED: &str = "its program, arguments, environment or ports changed";

/// Why a process reads its files again.
pub fn changes(file: &Address) -> String {
    format!("{file} changes")
}

/// Who changed a file: its mark holds the digest of what was last applied.
pub fn author(actual: &str) -> &'static str {
    match read_mark(actual) {
        Some(mark) if mark.untouched => SPEC_CHANGED,
        Some(_) => "changed by hand",
        None => "changed, author unknown: its mark is gone",
    }
}

/// From what is there to what should be.
fn diff(address: &Address, actual: &str, desired: &str) -> String {
    similar::TextDiff::from_lines(actual, desired)
        .unified_diff()
        .context_radius(2)
        .header(&format!("{address} (found)"), &format!("{address} (spec)"))
        .to_string()
}

fn deletions(resources: &[Resource], world: &World) -> Vec<Change> {
    let mut out = process::left_over(resources, world);
    out.extend(world.left_over.iter().map(|left| Change {
        address: left.address.clone(),
        action: Action::Delete,
        reason: "nothing asks for it any more".into(),
        diff: None,
        before: "present".into(),
        after: "absent".into(),
    }));
    out.extend(object::left_over(world));
    out
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .changes
            .iter()
            .chain(&self.held_back)
            .map(|change| change.address.as_str().len())
            .max()
            .unwrap_or(0);
        for change in &self.changes {
            writeln!(
                f,
                "  {} {:<8} {:<width$}  {}",
                change.action.sign(),
                change.action.word(),
                change.address.as_str(),
                change.reason
            )?;
        }
        for change in &self.held_back {
            writeln!(
                f,
                "  . {:<8} {:<width$}  waits for --prune: {}",
                change.action.word(),
                change.address.as_str(),
                change.reason
            )?;
        }
        for skipped in &self.skipped {
            writeln!(f, "  . skipped  {}  {}", skipped.address, skipped.why)?;
        }
        write!(f, "{}", self.summary())
    }
}

impl Plan {
    /// `3 to create, 1 to change, 0 to delete; 20 in step`
    pub fn summary(&self) -> String {
        let count = |wanted: &dyn Fn(Action) -> bool| {
            self.changes
                .iter()
                .filter(|change| wanted(change.action))
                .count()
        };
        let mut text = if self.is_empty() {
            format!("no changes; {} in step", self.in_step)
        } else {
            let create = count(&|a| matches!(a, Action::Fetch | Action::Create | Action::Start));
            let delete = count(&|a| matches!(a, Action::Stop | Action::Delete));
            format!(
                "{create} to create, {} to change, {delete} to delete; {} in step",
                self.changes.len() - create - delete,
                self.in_step
            )
        };
        if !self.held_back.is_empty() {
            text.push_str(&format!(
                "; {} to delete or shorten with --prune",
                self.held_back.len()
            ));
        }
        if !self.skipped.is_empty() {
            text.push_str(&format!("; {} skipped", self.skipped.len()));
        }
        text
    }
}

#[cfg(test)]
mod tests;
