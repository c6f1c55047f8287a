//! Carrying out a plan: in the order of dependencies, what does not depend on each other at the
//! same time. A failure skips what depends on it and lets the rest finish; the report says what
//! was and what was not done.

mod object;
mod preflight;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use crate::components::{Attempt, Context};
use crate::fault;
use crate::layout::Layout;
use crate::model::Connection;
use crate::object::System;
use crate::plan::{Action, Change, Plan};
use crate::progress::Progress;
use crate::resource::{Address, Resource};
use crate::systems::proc::Found;

pub use preflight::preflight;

/// What the steps share.
pub struct Env {
    pub layout: Layout,
    pub owner: String,
    pub components: Context,
    pub progress: Arc<dyn Progress>,
    pub resources: BTreeMap<Address, Resource>,
    pub processes: Vec<Found>,
    /// Where each system is, also when no object of it is wanted any more.
    pub accesses: BTreeMap<System, Connection>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Outcome {
    Done {
        detail: String,
    },
    Failed {
        error: String,
    },
    /// A component that no source could give.
    NotInstalled {
        attempts: Vec<Attempt>,
    },
    /// Something that it depends on failed or is not installed.
    Skipped {
        because: String,
        not_installed: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    pub address: Address,
    pub action: Action,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub millis: u64,
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub steps: Vec<Done>,
}

impl Report {
    pub fn failed(&self) -> bool {
        self.steps.iter().any(|done| {
            matches!(
                done.outcome,
                Outcome::Failed { .. }
                    | Outcome::Skipped {
                        not_installed: false,
                        ..
                    }
            )
        })
    }

    /// Components that no source could give, with what was tried.
    pub fn not_installed(&self) -> BTreeMap<String, Vec<Attempt>> {
        self.steps
            .iter()
            .filter_map(|done| match &done.outcome {
                Outcome::NotInstalled { attempts } => {
                    Some((done.address.name().to_owned(), attempts.clone()))
                }
                _ => None,
            })
            .collect()
    }
}

/// Does what the plan says.
pub async fn apply(plan: &Plan, env: Arc<Env>) -> Report {
    preflight::vacate(plan, &env).await;
    let mut schedule = Schedule::new(&plan.changes, &env);
    let mut running = JoinSet::new();
    loop {
        for (index, blocked) in schedule.take_ready() {
            match blocked {
                Some(outcome) => schedule.end(index, outcome, 0),
                None => {
                    let (env, change) = (Arc::clone(&env), plan.changes[index].clone());
                    running.spawn(async move { run(index, &change, &env).await });
                }
            }
        }
        match running.join_next().await {
            Some(Ok((index, outcome, millis))) => schedule.end(index, outcome, millis),
            // A step that panicked ended nothing half: its files are written atomically. The run
            // fails because the step never ends.
            Some(Err(error)) => env
                .progress
                .note("apply", &format!("a step broke: {error}")),
            None if schedule.has_ready() => {}
            None => return schedule.report(&plan.changes),
        }
    }
}

/// Which step waits for which.
struct Schedule {
    steps: Vec<Step>,
}

struct Step {
    /// Steps that must have succeeded.
    needs: Vec<usize>,
    /// Steps that must have ended, however.
    after: Vec<usize>,
    address: Address,
    state: State,
}

/// The new key, and the agent that is to use it.
fn uses_keys(address: &Address) -> bool {
    address.is_api_key()
        || *address == Address::process("agent")
        || *address == Address::file("agent/agent.yaml")
}

enum State {
    Waiting,
    Running,
    Ended(Outcome, u64),
}

impl Schedule {
    fn new(changes: &[Change], env: &Env) -> Self {
        let steps = changes.iter().enumerate().map(|(index, change)| {
            let removes = |action| matches!(action, Action::Stop | Action::Delete);
            let needs: &[Address] = match env.resources.get(&change.address) {
                Some(resource) if !removes(change.action) => &resource.needs,
                _ => &[],
            };
            let which = |wanted: &dyn Fn(&Change) -> bool| -> Vec<usize> {
                (0..changes.len())
                    .filter(|index| wanted(&changes[*index]))
                    .collect()
            };
            let replaced = change.action == Action::Delete && change.address.is_api_key();
            Step {
                needs: which(&|other| {
                    !removes(other.action)
                        && (needs.contains(&other.address)
                            // A key ends when whoever uses it has the new one, and not if that failed.
                            || replaced && uses_keys(&other.address))
                }),
                after: match change.action {
                    Action::Stop => Vec::new(),
                    // Nothing that still runs may read what goes.
                    Action::Delete => {
                        let mut after = which(&|other| other.action != Action::Delete);
                        // Objects of one system go in the order given: what is made of another first.
                        after.extend((0..index).filter(|earlier| {
                            changes[*earlier].action == Action::Delete
                                && changes[*earlier].address.kind() == change.address.kind()
                        }));
                        after
                    }
                    _ => which(&|other| {
                        other.action == Action::Stop && other.address == change.address
                    }),
                },
                address: change.address.clone(),
                state: State::Waiting,
            }
        });
        Self {
            steps: steps.collect(),
        }
    }

    fn is_ready(&self, step: &Step) -> bool {
        matches!(step.state, State::Waiting)
            && step
                .needs
                .iter()
                .chain(&step.after)
                .all(|other| matches!(self.steps[*other].state, State::Ended(..)))
    }

    fn has_ready(&self) -> bool {
        self.steps.iter().any(|step| self.is_ready(step))
    }

    /// Steps that can go now; those with an outcome cannot, because of what they depend on.
    fn take_ready(&mut self) -> Vec<(usize, Option<Outcome>)> {
        let ready: Vec<usize> = (0..self.steps.len())
            .filter(|index| self.is_ready(&self.steps[*index]))
            .collect();
        ready
            .into_iter()
            .map(|index| {
                let blocked = self.blocked(&self.steps[index]);
                self.steps[index].state = State::Running;
                (index, blocked)
            })
            .collect()
    }

    fn blocked(&self, step: &Step) -> Option<Outcome> {
        step.needs.iter().find_map(|index| {
            let need = &self.steps[*index];
            let not_installed = match &need.state {
                State::Ended(Outcome::Done { .. }, _) => return None,
                State::Ended(Outcome::NotInstalled { .. }, _) => true,
                State::Ended(Outcome::Skipped { not_installed, .. }, _) => *not_installed,
                _ => false,
            };
            let how = if not_installed {
                "is not installed"
            } else {
                "failed"
            };
            Some(Outcome::Skipped {
                because: format!("{} {how}", need.address),
                not_installed,
            })
        })
    }

    fn end(&mut self, index: usize, outcome: Outcome, millis: u64) {
        self.steps[index].state = State::Ended(outcome, millis);
    }

    fn report(self, changes: &[Change]) -> Report {
        let steps = self.steps.into_iter().zip(changes).map(|(step, change)| {
            let (outcome, millis) = match step.state {
                State::Ended(outcome, millis) => (outcome, millis),
                _ => (
                    Outcome::Failed {
                        error: "it did not end".to_owned(),
                    },
                    0,
                ),
            };
            Done {
                address: step.address,
                action: change.action,
                outcome,
                millis,
            }
        });
        Report {
            steps: steps.collect(),
        }
    }
}

async fn run(index: usize, change: &Change, env: &Arc<Env>) -> (usize, Outcome, u64) {
    let started = Instant::now();
    fault::crash("crash-before", change.address.as_str());
    let outcome = step::run(change, env).await;
    fault::crash("crash-after", change.address.as_str());
    (index, outcome, millis(started.elapsed()))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
