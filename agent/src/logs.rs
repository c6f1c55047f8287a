//! The log lane: files are read by one thread ([`reader`]), lines become documents ([`document`], a
//! crate of its own), batches of them go to Elasticsearch ([`send`]), and acknowledgements move each file's place
//! ([`places`]). Nothing is done per line but copying it: no task, no channel, no allocation.
//!
//! The lane has threads and memory of its own, so that a flood of lines does not delay a scrape.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kai_contract::agent_config::{Business, LogBudget, Logs};
use tokio::sync::{mpsc, watch};

use crate::business::Figures;
use crate::shutdown::ended;
use crate::state::State;

pub mod auth;
pub mod batch;
pub mod budget;
pub mod cluster;
pub mod feed;
pub mod filter;
pub(crate) mod fuzz;
pub mod id;
pub mod intake;
pub mod join;
pub mod journal;
pub mod ledger;
pub mod letters;
pub mod otlp;
pub mod places;
pub mod pods;
pub mod reader;
pub mod reply;
pub mod send;
pub mod source;
pub mod spool;
pub mod stream_name;
pub mod syslog;
pub mod wake;

pub use kai_lines::field_budget::FieldBudget;
pub use kai_lines::{document, json, level, parse, time};

use batch::Pool;
use cluster::Cluster;
use feed::{Feeder, Streams};
use intake::Intake;
use ledger::Ledger;
use letters::Letters;
use places::Places;
use reader::{Carried, Reader};
use send::{Nowhere, Sender, Stream};
use source::{Shared, Source};
use spool::Store;
use stream_name::StreamName;
use syslog::sockets::Sockets;
use wake::Wake;

/// Time for lines in flight when the agent ends or the lane's configuration changes; what has no
/// outcome then stays in its file.
const DRAIN: Duration = Duration::from_millis(2500);

/// Changes of the configuration are looked for this often, and a lane that could not start is tried
/// again.
const WATCH: Duration = Duration::from_millis(250);
const AGAIN: Duration = Duration::from_secs(5);

/// Runs the lane that the configuration in force asks for, until `shutdown` becomes true.
pub async fn run(state: Arc<State>, mut shutdown: watch::Receiver<bool>) {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let thread = thread::Builder::new()
        .name("logs".to_owned())
        .spawn(move || supervise(&state, &told));
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => {
            tracing::error!(%error, "cannot start the log lane's thread; no logs are shipped");
            return;
        }
    };
    ended(&mut shutdown).await;
    stop.store(true, Ordering::Relaxed);
    thread.thread().unpark();
    let _ = tokio::task::spawn_blocking(move || thread.join()).await; // it has nothing to say
}

/// A lane's configuration, the rules that its lines are counted by, and its teams' budget.
type Wanted = (Logs, Option<Business>, Option<LogBudget>);

fn supervise(state: &State, stop: &AtomicBool) {
    let mut running: Option<(Wanted, Lane)> = None;
    let mut failed: Option<(Wanted, String, Instant)> = None;
    // Files that only we can still read, from one lane to the next.
    let mut carried: Vec<Carried> = Vec::new();
    let mut intake = Kept::default();
    while !stop.load(Ordering::Relaxed) {
        let in_force = state.in_force.load_full();
        let wanted = in_force
            .config
            .logs
            .as_ref()
            .filter(|logs| !logs.sources.is_empty())
            .map(|logs| {
                let config = &in_force.config;
                let budget = config.log_budget().cloned();
                (logs.clone(), config.business.clone(), budget)
            });
        let wanted = wanted.as_ref();
        if running.as_ref().map(|(logs, _)| logs) != wanted {
            if let Some((_, lane)) = running.take() {
                tracing::info!("the log lane's configuration changed");
                // What is in memory is sent before the intake goes.
                let state = in_force.config.state.as_deref();
                if !intake.stays(wanted.map(|(logs, ..)| logs).zip(state)) {
                    intake.close();
                }
                carried = lane.stop();
            }
            let wait = failed
                .as_ref()
                .is_some_and(|(logs, _, at)| Some(logs) == wanted && at.elapsed() < AGAIN);
            if wanted.is_none() {
                intake.end();
            }
            if let (Some(logs), Some(folder), false) = (wanted, &in_force.config.state, wait) {
                let figures = &state.business;
                state.logs.budgets.configure(logs.2.as_ref());
                let started = figures
                    .configure(&in_force.config)
                    .and_then(|()| intake.take_over(&logs.0, folder, &state.logs, &state.otlp_logs))
                    .and_then(|store| {
                        let node = Node {
                            // A pod has a name of its own; lines are of its node.
                            host: (state
                                .cluster
                                .as_deref()
                                .map(crate::kubernetes::Cluster::node))
                            .or(state.facts.host_name.as_deref()),
                            cluster: state.cluster.as_ref(),
                        };
                        let carried = &mut carried;
                        Lane::start(&logs.0, folder, node, &state.logs, figures, carried, store)
                    });
                match started {
                    Ok(lane) => {
                        failed = None;
                        running = Some((logs.clone(), lane));
                    }
                    Err(reason) => {
                        if failed.as_ref().is_none_or(|(_, said, _)| *said != reason) {
                            tracing::error!(%reason, "the log lane cannot start; it is tried again");
                        }
                        failed = Some((logs.clone(), reason, Instant::now()));
                    }
                }
            }
        }
        if running.is_some() {
            state.logs.budgets.keep();
        }
        thread::park_timeout(WATCH);
    }
    // What arrives last is sent, too, if there is time.
    intake.close();
    if let Some((_, lane)) = running {
        lane.stop();
    }
    intake.end();
}

/// What outlives the lanes.
#[derive(Default)]
struct Kept {
    intake: Option<Intake>,
    sockets: Arc<Sockets>,
}

impl Kept {
    /// Whether the intake that runs fits a configuration.
    fn stays(&self, to: Option<(&Logs, &Path)>) -> bool {
        let wanted = to.and_then(|(logs, state)| Intake::wanted(logs, state));
        match (&self.intake, &wanted) {
            (Some(intake), Some(wanted)) => intake.is_for(wanted),
            (None, None) => true,
            _ => false,
        }
    }

    /// Goes on with the intake that runs, or has another one in its place.
    fn take_over(
        &mut self,
        logs: &Logs,
        state: &Path,
        ledger: &Arc<Ledger>,
        slot: &otlp::Slot,
    ) -> Result<Option<Arc<Store>>, String> {
        let wanted = Intake::wanted(logs, state);
        if !self.stays(Some((logs, state))) {
            if let Some(intake) = self.intake.take() {
                intake.end();
            }
            match wanted {
                Some(wanted) => {
                    let intake = Intake::start(wanted, state, ledger, &self.sockets, slot)?;
                    self.intake = Some(intake);
                }
                None => {
                    self.sockets.keep(&[]);
                    slot.store(None);
                }
            }
        }
        Ok(self.intake.as_ref().map(|intake| Arc::clone(&intake.store)))
    }

    fn close(&mut self) {
        if let Some(intake) = &mut self.intake {
            intake.close();
        }
    }

    fn end(&mut self) {
        if let Some(intake) = self.intake.take() {
            intake.end();
        }
        self.sockets.keep(&[]);
    }
}

/// A running lane.
pub struct Lane {
    reader: JoinHandle<Vec<Carried>>,
    feeder: Option<JoinHandle<()>>,
    keeper: JoinHandle<()>,
    runtime: tokio::runtime::Runtime,
    stop: Arc<AtomicBool>,
    wake: Arc<Wake>,
    pool: Arc<Pool>,
    places: Arc<Places>,
    ledger: Arc<Ledger>,
    /// The state folder is ours while it is open.
    _lock: std::fs::File,
}

/// What is known of the node for its lines.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    pub host: Option<&'a str>,
    pub cluster: Option<&'a Arc<crate::kubernetes::Cluster>>,
}

impl Lane {
    pub fn start(
        config: &Logs,
        state: &Path,
        node: Node<'_>,
        ledger: &Arc<Ledger>,
        figures: &Arc<Figures>,
        carried: &mut Vec<Carried>,
        store: Option<Arc<Store>>,
    ) -> Result<Self, String> {
        more_files();
        let in_state = |error: std::io::Error| {
            format!("cannot use the state folder {}: {error}", state.display())
        };
        let (folder, lock) = crate::durable::claim(state, "logs").map_err(in_state)?;
        // Without the key for its pseudonyms nothing is read: nothing leaves in the clear.
        let redactor = source::redactor(&config.privacy)?;
        ledger.budgets.open(&folder);
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut streams = Vec::new();
        let mut sources = Vec::new();
        let mut names: BTreeMap<usize, Arc<FieldBudget>> = BTreeMap::new();
        let files = config.sources.iter().filter(|(_, one)| !one.is_network());
        for (name, source) in files {
            let stream = *numbers.entry(&source.data_stream).or_insert_with(|| {
                ledger.failing(&source.data_stream, false);
                streams.push(Stream::new(StreamName::new(&source.data_stream)));
                streams.len() - 1
            });
            let rules = figures.rules().logs.get(name).cloned();
            let most = usize::try_from(config.max_fields).unwrap_or(usize::MAX);
            let names = names
                .entry(stream)
                .or_insert_with(|| Arc::new(FieldBudget::new(most)));
            let shared = Shared {
                budgets: &ledger.budgets,
                names: Arc::clone(names),
            };
            let source = Source::new(name, source, stream, node, redactor.clone(), rules, shared)
                .map_err(|error| format!("logs.sources.{name}: {error}"))?;
            ledger.add_source(&source.name, &source.service, &source.team);
            sources.push(source);
        }
        // Those of what comes over the network, some of which have no name yet.
        let mut of_network = Streams::default();
        for (name, number) in &numbers {
            of_network.known.insert((*name).to_owned(), *number);
        }
        let left = store.as_ref().map_or(0, |store| store.queues().len());
        let network = config.sources.values().filter(|one| one.is_network());
        for _ in 0..network.map(intake::streams_of).sum::<usize>() + left {
            let name = StreamName::default();
            of_network.free.push_back((streams.len(), name.clone()));
            streams.push(Stream::new(name));
        }
        let wake = Arc::new(Wake::new().map_err(|error| error.to_string())?);
        let pool = Arc::new(Pool::new(
            config.memory_bytes,
            streams.len(),
            Arc::clone(&wake),
        ));
        let places = Places::load(
            &folder,
            streams.len(),
            Arc::clone(&wake),
            Arc::clone(figures),
        );
        let places = Arc::new(places.map_err(in_state)?);
        let count = streams.len();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_name("logs-send")
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start threads: {error}"))?;
        let (out, batches) = mpsc::unbounded_channel();
        if let Some(elasticsearch) = &config.elasticsearch {
            let letters = Letters::open(folder.join("dead-letters"), config.dead_letter_bytes);
            let letters = Arc::new(letters.map_err(in_state)?);
            ledger.letters(letters.bytes(), 0);
            let cluster = Cluster::new(elasticsearch)?;
            ledger.set_endpoints(Some(Arc::clone(cluster.endpoints())));
            let sender = Arc::new(Sender::new(
                cluster,
                streams,
                Arc::clone(&pool),
                Arc::clone(&places),
                Arc::clone(ledger),
                letters,
                config.dead_letter_bytes,
                config.compression(),
            ));
            runtime.spawn(sender.run(batches));
        } else {
            let nowhere = Nowhere {
                pool: Arc::clone(&pool),
                places: Arc::clone(&places),
                ledger: Arc::clone(ledger),
            };
            runtime.spawn(nowhere.run(batches));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let feeder = store.map(|store| {
            Feeder::new(
                store,
                Arc::clone(&places),
                Arc::clone(&pool),
                out.clone(),
                Arc::clone(&stop),
                of_network,
            )
        });
        let reader = Reader::new(
            sources,
            count,
            Arc::clone(&places),
            Arc::clone(ledger),
            Arc::clone(&pool),
            Arc::clone(&wake),
            out,
            Arc::clone(&stop),
            usize::try_from(config.max_line_bytes).unwrap_or(usize::MAX),
            Arc::clone(figures),
            std::mem::take(carried),
        );
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let in_thread = |error: std::io::Error| format!("cannot start a thread: {error}");
        let kept = Arc::clone(&places);
        let keeper = named("logs-keep")
            .spawn(move || kept.keep())
            .map_err(in_thread)?;
        let reader = named("logs-read")
            .spawn(move || reader.run())
            .map_err(in_thread)?;
        let feeder = feeder
            .map(|feeder| named("logs-feed").spawn(move || feeder.run()))
            .transpose()
            .map_err(in_thread)?;
        ledger.set_places(Some(Arc::clone(&places)));
        Ok(Self {
            reader,
            feeder,
            keeper,
            runtime,
            stop,
            wake,
            pool,
            places,
            ledger: Arc::clone(ledger),
            _lock: lock,
        })
    }

    /// Reads no more, waits a while for outcomes, writes the places a last time. What has no
    /// outcome by then is read again by the next lane, which must be given what is returned.
    pub fn stop(self) -> Vec<Carried> {
        let until = Instant::now() + DRAIN;
        self.stop.store(true, Ordering::Relaxed);
        self.wake.wake();
        let fed = || self.feeder.as_ref().is_none_or(JoinHandle::is_finished);
        let drained = || self.reader.is_finished() && fed() && self.pool.is_idle();
        while !drained() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        if !drained() {
            tracing::info!("lines are left in their files for the next start");
        }
        // Requests that are under way end here; whether they were carried out is asked later.
        self.runtime.shutdown_timeout(Duration::from_millis(500));
        if let Some(feeder) = self.feeder {
            let _ = feeder.join(); // a panic was reported by its thread
        }
        self.places.stop();
        let _ = self.keeper.join(); // a panic was reported by its thread
        self.ledger.return_all();
        self.ledger.budgets.store();
        self.ledger.set_places(None);
        self.ledger.set_endpoints(None);
        if self.reader.is_finished() {
            return self.reader.join().unwrap_or_default();
        }
        Vec::new()
    }
}

/// A file that is read is open, so that it can be deleted and still be read to its end: a thousand
/// files are more than the usual limit allows.
fn more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "cannot raise the limit of open files");
        }
    }
}
