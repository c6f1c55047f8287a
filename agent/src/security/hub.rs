//! Runs the checks and keeps what they told for `/metrics`.
//!
//! One thread waits for what is due. A look runs on a thread of its own that ends with it; while it
//! has not returned, its check is not started again. A look that makes no progress for
//! [`STUCK`] (a dead mount, a device that hangs) is reported as failed until it returns.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use kai_contract::agent_config::{BASELINE_CHECKS, Roots, Security};
use tokio::sync::watch;

use super::CHECKS;
use super::baseline::{Files, Finding, Seen, Standing, compare};
use super::check::{Check, Context, Coverage, Entry, Outcome, Progress, Setup};
use crate::exposition::Page;
use crate::node::Machine;
use crate::shutdown::ended;
use crate::state::{State, unix_now};

mod page;
mod tell;

/// Without progress for this long, a look is taken for stuck.
const STUCK: Duration = Duration::from_mins(1);
/// How often it is looked whether something is due, a baseline was accepted, the settings changed.
const TICK: Duration = Duration::from_secs(1);
/// Looks that still run when the agent ends may take this long to notice.
const LAST: Duration = Duration::from_secs(1);

/// What is known of one check; read by `/metrics`.
#[derive(Default)]
struct Known {
    every: Duration,
    /// Of the last look that ended.
    last: Option<Last>,
    /// Seconds since 1970 at which the last look ended that could look.
    last_success: Option<u64>,
    running: Option<(Instant, Arc<Progress>)>,
    standing: Option<Standing>,
    findings: Vec<Finding>,
    page: Page,
}

struct Last {
    at: u64,
    took: Duration,
    error: Option<String>,
    coverage: Coverage,
}

/// What the checks told last.
#[derive(Default)]
pub struct Hub {
    known: Mutex<BTreeMap<&'static str, Known>>,
}

/// What a look's thread hands back.
enum Message {
    Done(Box<Done>),
    Wake,
}

struct Done {
    index: usize,
    check: Box<dyn Check>,
    outcome: Outcome,
    page: Page,
    took: Duration,
}

enum Work {
    Idle(Box<dyn Check>),
    Busy(Arc<Progress>),
}

/// One check under the supervisor's eye.
struct Lane {
    entry: &'static Entry,
    work: Work,
    every: Duration,
    due: Instant,
    /// The settings changed while it ran: it is made anew when it returns.
    outdated: bool,
    /// When the files that the findings follow from were last changed.
    compared: Option<[Option<(SystemTime, u64)>; 3]>,
}

/// Runs the checks until `shutdown` becomes true.
pub async fn run(state: Arc<State>, mut shutdown: watch::Receiver<bool>) {
    // Nothing is built for a configuration that has no such section.
    while state.in_force.load().config.security.is_none() {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            () = ended(&mut shutdown) => return,
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (told, shared) = (Arc::clone(&stop), Arc::clone(&state));
    let thread = std::thread::Builder::new()
        .name("security".into())
        // A walk goes 200 folders deep, and certificates are read by a parser that calls itself; only
        // what is used is resident.
        .stack_size(4 << 20)
        .spawn(move || supervise(&shared, &told));
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => {
            tracing::error!(%error, "cannot start the thread of the security checks; none runs");
            return;
        }
    };
    ended(&mut shutdown).await;
    stop.store(true, Ordering::Relaxed);
    let _ = tokio::task::spawn_blocking(move || thread.join()).await; // it has nothing to say
}

fn supervise(state: &State, stop: &AtomicBool) {
    let mut running: Option<(Security, Roots, Supervisor)> = None;
    let mut complaint: Option<String> = None;
    while !stop.load(Ordering::Relaxed) {
        let in_force = state.in_force.load_full();
        let wanted = in_force.config.security.as_ref();
        let folder = in_force.config.state.as_ref();
        match (&mut running, wanted, folder) {
            (Some((settings, roots, supervisor)), Some(wanted), _)
                if (settings != wanted || *roots != in_force.config.roots) =>
            {
                tracing::info!("the configuration of the security checks changed");
                *settings = wanted.clone();
                roots.clone_from(&in_force.config.roots);
                supervisor.configure(wanted, &in_force.config.roots);
            }
            (Some(_), None, _) => {
                running = None;
                state.security.forget();
            }
            (None, Some(wanted), Some(folder)) => {
                let folder = folder.join("security");
                match Supervisor::new(&folder, &state.security) {
                    Ok(mut supervisor) => {
                        complaint = None;
                        supervisor.configure(wanted, &in_force.config.roots);
                        let roots = in_force.config.roots.clone();
                        running = Some((wanted.clone(), roots, supervisor));
                    }
                    Err(reason) => {
                        if complaint.as_ref() != Some(&reason) {
                            tracing::error!(%reason, "the security checks cannot start; it is tried again");
                            state.security.cannot_start(wanted, &reason);
                        }
                        complaint = Some(reason);
                    }
                }
            }
            _ => {}
        }
        match &mut running {
            Some((_, _, supervisor)) => supervisor.turn(TICK),
            None => std::thread::sleep(TICK),
        }
    }
    if let Some((_, _, supervisor)) = running {
        supervisor.end();
    }
}

/// Runs what is due.
pub(super) struct Supervisor {
    hub: Arc<Hub>,
    folder: PathBuf,
    settings: Arc<Security>,
    roots: Roots,
    files: Result<Files, String>,
    lanes: Vec<Lane>,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    /// The folder is ours while it is open.
    _lock: File,
}

impl Supervisor {
    pub(super) fn new(folder: &Path, hub: &Arc<Hub>) -> Result<Self, String> {
        let lock = claim(folder).map_err(|error| {
            format!("cannot use the state folder {}: {error}", folder.display())
        })?;
        let (sender, receiver) = mpsc::channel();
        Ok(Self {
            hub: Arc::clone(hub),
            folder: folder.to_owned(),
            settings: Arc::default(),
            roots: Roots::default(),
            files: Files::open(folder).map_err(|error| error.to_string()),
            lanes: Vec::new(),
            sender,
            receiver,
            _lock: lock,
        })
    }

    /// Takes settings into force. A check that runs is told to stop, and made anew when it did.
    pub(super) fn configure(&mut self, settings: &Security, roots: &Roots) {
        self.settings = Arc::new(settings.clone());
        self.roots = roots.clone();
        if let Err(reason) = &self.files {
            tracing::error!(%reason, "baselines cannot be verified");
        }
        let mut before = std::mem::take(&mut self.lanes);
        let now = Instant::now();
        for (index, entry) in CHECKS.iter().enumerate() {
            let busy = before
                .iter_mut()
                .find(|lane| std::ptr::eq(lane.entry, entry))
                .and_then(|lane| match &lane.work {
                    Work::Busy(progress) => Some(Arc::clone(progress)),
                    Work::Idle(_) => None,
                });
            let outdated = busy.is_some();
            let work = match busy {
                Some(progress) => {
                    progress.stop.store(true, Ordering::Relaxed);
                    Work::Busy(progress)
                }
                None => Work::Idle((entry.build)(&self.setup())),
            };
            let given = settings.interval_seconds.get(entry.name);
            self.lanes.push(Lane {
                entry,
                work,
                every: given.map_or(entry.every, |seconds| Duration::from_secs(*seconds)),
                // Not all at once: what is looked at often comes first.
                due: now + Duration::from_millis(10 * index as u64),
                outdated,
                compared: None,
            });
        }
        let mut known = self.hub.lock();
        known.retain(|name, _| settings.runs(name));
        for lane in &self.lanes {
            if settings.runs(lane.entry.name) {
                known.entry(lane.entry.name).or_default().every = lane.every;
            }
        }
    }

    fn setup(&self) -> Setup {
        let sender = self.sender.clone();
        Setup {
            settings: Arc::clone(&self.settings),
            roots: self.roots.clone(),
            folder: self.folder.clone(),
            wake: Arc::new(move || {
                let _ = sender.send(Message::Wake); // nobody is left to wake
            }),
        }
    }

    /// Waits for what happens within `time`, then starts what is due.
    pub(super) fn turn(&mut self, time: Duration) {
        match self.receiver.recv_timeout(time) {
            Ok(Message::Done(done)) => self.done(*done),
            Ok(Message::Wake) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            }
        }
        while let Ok(message) = self.receiver.try_recv() {
            if let Message::Done(done) = message {
                self.done(*done);
            }
        }
        let now = Instant::now();
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            if !self.settings.runs(lane.entry.name) {
                continue;
            }
            let wanted = match &mut lane.work {
                Work::Idle(check) => lane.due <= now || check.wants_run(),
                Work::Busy(_) => false,
            };
            if wanted {
                self.start(index);
            }
        }
        self.compare_all();
    }

    fn start(&mut self, index: usize) {
        let progress = Arc::new(Progress::default());
        let context = Context {
            settings: Arc::clone(&self.settings),
            node: Arc::new(Machine::new(&self.roots)),
            roots: self.roots.clone(),
            folder: self.folder.clone(),
            progress: Arc::clone(&progress),
        };
        let lane = &mut self.lanes[index];
        // A look between two that are due does not put off the next.
        if lane.due <= Instant::now() {
            lane.due = Instant::now() + lane.every;
        }
        let busy = Work::Busy(Arc::clone(&progress));
        let mut check = match std::mem::replace(&mut lane.work, busy) {
            Work::Idle(check) => check,
            Work::Busy(progress) => {
                lane.work = Work::Busy(progress);
                return;
            }
        };
        let (name, heavy) = (lane.entry.name, lane.entry.heavy);
        if let Some(known) = self.hub.lock().get_mut(name) {
            known.running = Some((Instant::now(), progress));
        }
        let sender = self.sender.clone();
        let look = move || {
            if heavy {
                // On Linux the priority is the thread's own; also the disk's follows it.
                let _ = rustix::process::setpriority_process(None, 19); // slower is not needed
            }
            let begun = Instant::now();
            let mut page = Page::default();
            let look = std::panic::AssertUnwindSafe(|| check.run(&context, &mut page));
            let outcome = std::panic::catch_unwind(look)
                .unwrap_or_else(|_| Outcome::failed("the check ended unexpectedly"));
            let done = Done {
                index,
                check,
                outcome,
                page,
                took: begun.elapsed(),
            };
            let _ = sender.send(Message::Done(Box::new(done))); // the agent ends
        };
        let thread = std::thread::Builder::new()
            .name(format!("security-{}", &name[..name.len().min(6)]))
            .stack_size(512 << 10)
            .spawn(look);
        if let Err(error) = thread {
            tracing::error!(check = name, %error, "cannot start a thread for the check");
            let check = (CHECKS[index].build)(&self.setup());
            self.done(Done {
                index,
                check,
                outcome: Outcome::failed(format!("cannot start a thread for it: {error}")),
                page: Page::default(),
                took: Duration::ZERO,
            });
        }
    }

    fn done(&mut self, done: Done) {
        let Done {
            index,
            check,
            mut outcome,
            page,
            took,
        } = done;
        let setup = self.setup();
        let lane = &mut self.lanes[index];
        let name = lane.entry.name;
        if lane.outdated {
            lane.outdated = false;
            lane.work = Work::Idle((lane.entry.build)(&setup));
            lane.due = Instant::now();
            if let Some(known) = self.hub.lock().get_mut(name) {
                known.running = None;
            }
            return;
        }
        lane.work = Work::Idle(check);
        // One that takes longer than its interval rests as long as it may in between.
        let rest = lane.every.min(took);
        lane.due = lane.due.max(Instant::now() + rest);
        if !self.settings.runs(name) {
            return;
        }
        let at = unix_now();
        if let Some(items) = outcome.seen.take() {
            let seen = Seen {
                at,
                skipped: outcome.coverage.total() - outcome.coverage.examined,
                named: outcome.coverage.named.clone(),
                unknown: outcome.unknown.0.clone(),
                items,
            };
            let stored = match &self.files {
                Ok(files) => files
                    .store_seen(name, &seen)
                    .map_err(|error| error.to_string()),
                Err(reason) => Err(reason.clone()),
            };
            if let Err(reason) = stored {
                outcome.error = Some(format!("cannot keep what was seen: {reason}"));
            }
            lane.compared = None;
        }
        for notice in &outcome.notices {
            tell::notice(lane.entry, notice);
        }
        let mut all = self.hub.lock();
        let Some(known) = all.get_mut(name) else {
            return;
        };
        tell::ended(name, known.last.as_ref(), &outcome);
        known.running = None;
        known.page = page;
        if outcome.error.is_none() {
            known.last_success = Some(at);
        }
        known.last = Some(Last {
            at,
            took,
            error: outcome.error,
            coverage: outcome.coverage,
        });
    }

    /// Compares what was seen with what is right, where either changed.
    fn compare_all(&mut self) {
        let Ok(files) = &self.files else {
            for name in BASELINE_CHECKS {
                if let (Some(known), Err(reason)) = (self.hub.lock().get_mut(name), &self.files) {
                    known.standing = Some(Standing::Broken(reason.clone()));
                }
            }
            return;
        };
        for lane in &mut self.lanes {
            let name = lane.entry.name;
            if !BASELINE_CHECKS.contains(&name) || !self.settings.runs(name) {
                continue;
            }
            let stamp = files.stamp(name);
            if lane.compared == Some(stamp) {
                continue;
            }
            let standing = files.standing(name);
            let findings = match (&standing, files.load_seen(name)) {
                (Standing::Accepted(baseline), Ok(Some(seen))) => {
                    Some(compare(&baseline.items, &seen.items, &seen.unknown))
                }
                (_, Err(error)) => {
                    tracing::error!(check = name, %error, "what the check saw last cannot be read");
                    None
                }
                _ => None,
            };
            lane.compared = Some(stamp);
            let mut all = self.hub.lock();
            let Some(known) = all.get_mut(name) else {
                continue;
            };
            tell::standing(name, known.standing.as_ref(), &standing);
            let findings = findings.unwrap_or_default();
            tell::findings(lane.entry, &known.findings, &findings);
            known.findings = findings;
            known.standing = Some(match standing {
                // What is compared is on disk; it is not kept in memory.
                Standing::Accepted(baseline) => Standing::Accepted(baseline.without_items()),
                other => other,
            });
        }
    }

    /// Tells what runs to stop, and waits a little for it.
    fn end(mut self) {
        for lane in &self.lanes {
            if let Work::Busy(progress) = &lane.work {
                progress.stop.store(true, Ordering::Relaxed);
            }
        }
        let until = Instant::now() + LAST;
        while self.lanes.iter().any(|l| matches!(l.work, Work::Busy(_))) {
            let left = until.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(Message::Done(done)) => self.done(*done),
                Ok(Message::Wake) => {}
                Err(_) => return,
            }
        }
    }
}

impl Hub {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        self.lock().clear();
    }

    /// Every check that should run says that it could not look.
    fn cannot_start(&self, settings: &Security, reason: &str) {
        let mut known = self.lock();
        known.clear();
        for entry in CHECKS.iter().filter(|entry| settings.runs(entry.name)) {
            let given = settings.interval_seconds.get(entry.name);
            known.insert(
                entry.name,
                Known {
                    every: given.map_or(entry.every, |s| Duration::from_secs(*s)),
                    last: Some(Last {
                        at: unix_now(),
                        took: Duration::ZERO,
                        error: Some(reason.to_owned()),
                        coverage: Coverage::default(),
                    }),
                    ..Known::default()
                },
            );
        }
    }
}

/// The folder, made if it is missing, and the lock that one agent holds on it.
fn claim(folder: &Path) -> std::io::Result<File> {
    super::seal::make_folder(folder)?;
    let lock = File::create(folder.join("lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
        |error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                std::io::Error::other("another agent uses this folder")
            } else {
                error.into()
            }
        },
    )?;
    Ok(lock)
}
