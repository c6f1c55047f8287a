//! Runs the collectors: alone owns their concurrency, time limits, durations and success.
//!
//! Every collector has one long-lived thread with one call in flight. A scrape asks all idle
//! threads at once and waits until the last has answered or the time is up. A collector that has
//! not answered by then is reported with `node_scrape_collector_success 0`, and so in every later
//! scrape, without being asked or waited for, until its call returns. So a hung collector costs
//! one thread and the wait of one scrape, never more. Exit does not join the threads.
//!
//! Scrapes take turns (a scrape takes milliseconds), so that two Prometheus servers do not find
//! each other's collectors busy.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::collectors::{self, Collector, Entry};
use crate::exposition::{Kind, Page, merge};
use crate::node::Node;
use crate::settings::Settings;

/// Collectors parse flat files; a small stack suffices and keeps the process small.
const STACK: usize = 256 << 10;

/// The collectors' threads.
pub struct Scheduler {
    lanes: Mutex<Lanes>,
}

struct Lanes {
    lanes: Vec<Lane>,
    done: UnboundedReceiver<Done>,
}

/// One collector's thread, seen from outside.
struct Lane {
    name: &'static str,
    jobs: Sender<Job>,
    state: State,
    /// What was last said of it in the log, so that a lasting failure is logged once.
    complaint: Option<String>,
}

enum State {
    Idle(Page),
    Busy {
        since: Instant,
    },
    /// The thread could not be started or has ended.
    Gone,
}

struct Job {
    settings: Arc<Settings>,
    node: Arc<dyn Node>,
    page: Page,
}

struct Done {
    lane: usize,
    page: Page,
    took: Duration,
    result: Result<(), String>,
}

/// How one collector fared in one scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub collector: &'static str,
    pub took: Duration,
    pub error: Option<String>,
}

impl Scheduler {
    /// Starts a thread per collector of [`collectors::ALL`].
    pub fn start() -> Self {
        Self::with(&collectors::ALL)
    }

    /// Starts a thread for each of these collectors.
    pub fn with(entries: &'static [Entry]) -> Self {
        let (outbox, done) = unbounded_channel();
        let lanes = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                let (jobs, inbox) = channel();
                let outbox = outbox.clone();
                let spawned = std::thread::Builder::new()
                    .name(format!("c-{}", entry.name))
                    .stack_size(STACK)
                    .spawn(move || work(index, entry, &inbox, &outbox));
                let (state, complaint) = match spawned {
                    Ok(_) => (State::Idle(Page::default()), None),
                    Err(error) => {
                        let complaint = format!("cannot start its thread: {error}");
                        tracing::error!(collector = entry.name, error = %complaint, "collector failed");
                        (State::Gone, Some(complaint))
                    }
                };
                Lane { name: entry.name, jobs, state, complaint }
            })
            .collect();
        Self {
            lanes: Mutex::new(Lanes { lanes, done }),
        }
    }

    /// Runs the collectors that the settings leave, and appends their families, those of
    /// `others` and how the collectors fared to `out` as one sorted document.
    pub async fn scrape(
        &self,
        settings: &Arc<Settings>,
        node: &Arc<dyn Node>,
        limit: Duration,
        others: &[Page],
        out: &mut Vec<u8>,
    ) -> Vec<Outcome> {
        let mut lanes = self.lanes.lock().await;
        let outcomes = lanes.run(settings, node, limit).await;
        let fared = fared(&outcomes);
        let pages = lanes
            .lanes
            .iter()
            .filter(|lane| settings.runs(lane.name))
            .filter_map(|lane| match &lane.state {
                State::Idle(page) => Some(page),
                State::Busy { .. } | State::Gone => None,
            });
        merge(pages.chain(others).chain([&fared]), out);
        outcomes
    }
}

impl Lanes {
    async fn run(
        &mut self,
        settings: &Arc<Settings>,
        node: &Arc<dyn Node>,
        limit: Duration,
    ) -> Vec<Outcome> {
        // Calls that had hung and have returned since.
        while let Ok(done) = self.done.try_recv() {
            let name = self.lanes[done.lane].name;
            tracing::info!(
                collector = name,
                seconds = done.took.as_secs_f64(),
                "collector answers again"
            );
            self.lanes[done.lane].state = State::Idle(done.page);
        }
        let started = Instant::now();
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(self.lanes.len());
        let mut waiting = 0;
        for lane in &mut self.lanes {
            let (outcome, asked) = lane.ask(settings, node, started);
            outcomes.push(outcome);
            waiting += usize::from(asked);
        }
        let deadline = tokio::time::Instant::from_std(started + limit);
        while waiting > 0 {
            let Ok(Some(done)) = tokio::time::timeout_at(deadline, self.done.recv()).await else {
                break;
            };
            waiting -= 1;
            let lane = &mut self.lanes[done.lane];
            lane.state = State::Idle(done.page);
            let error = done.result.err();
            outcomes[done.lane] = Some(Outcome {
                collector: lane.name,
                took: done.took,
                error,
            });
        }
        let mut all = Vec::with_capacity(self.lanes.len());
        for (lane, outcome) in self.lanes.iter_mut().zip(outcomes) {
            if !settings.runs(lane.name) {
                continue;
            }
            let outcome = outcome.unwrap_or_else(|| lane.overdue());
            lane.complain(&outcome);
            all.push(outcome);
        }
        all
    }
}

impl Lane {
    /// Hands the thread its job; an outcome if that cannot be done.
    fn ask(
        &mut self,
        settings: &Arc<Settings>,
        node: &Arc<dyn Node>,
        now: Instant,
    ) -> (Option<Outcome>, bool) {
        if !settings.runs(self.name) {
            return (None, false);
        }
        match std::mem::replace(&mut self.state, State::Busy { since: now }) {
            State::Idle(page) => {
                let job = Job {
                    settings: Arc::clone(settings),
                    node: Arc::clone(node),
                    page,
                };
                if self.jobs.send(job).is_ok() {
                    return (None, true);
                }
                self.state = State::Gone;
            }
            unchanged => self.state = unchanged,
        }
        (Some(self.overdue()), false)
    }

    /// The outcome of a thread that has not answered.
    fn overdue(&self) -> Outcome {
        let (took, error) = match self.state {
            State::Busy { since } => {
                let took = since.elapsed();
                (
                    took,
                    "its call does not return (a device or file that hangs?); skipped until it does",
                )
            }
            State::Idle(_) | State::Gone => (Duration::ZERO, "its thread has ended"),
        };
        Outcome {
            collector: self.name,
            took,
            error: Some(error.to_owned()),
        }
    }

    fn complain(&mut self, outcome: &Outcome) {
        if outcome.error == self.complaint {
            return;
        }
        if let Some(error) = &outcome.error {
            tracing::error!(collector = self.name, error = %error, "collector failed");
        } else {
            tracing::info!(collector = self.name, "collector succeeds again");
        }
        self.complaint.clone_from(&outcome.error);
    }
}

/// A collector and what it was built for.
type Built = (Arc<Settings>, Arc<dyn Node>, Box<dyn Collector>);

/// The body of a collector's thread.
fn work(lane: usize, entry: &Entry, jobs: &Receiver<Job>, outbox: &UnboundedSender<Done>) {
    // Built anew when the configuration is: the settings are another object then.
    let mut built: Option<Built> = None;
    while let Ok(Job {
        settings,
        node,
        mut page,
    }) = jobs.recv()
    {
        let started = Instant::now();
        page.clear();
        let current = built
            .take()
            .filter(|(old, seen, _)| Arc::ptr_eq(old, &settings) && Arc::ptr_eq(seen, &node));
        let mut collector = current.map_or_else(
            || (entry.build)(&settings, &node),
            |(_, _, collector)| collector,
        );
        let called = catch_unwind(AssertUnwindSafe(|| {
            let result = collector.collect(&*node, &mut page);
            (collector, result)
        }));
        let result = match called {
            Ok((collector, result)) => {
                built = Some((settings, node, collector));
                result.map_err(|error| error.to_string())
            }
            // Its state may be half changed: it begins anew with the next scrape.
            Err(_) => {
                Err("it panicked, which is a mistake in the agent; please report it".to_owned())
            }
        };
        if result.is_err() {
            page.clear(); // nothing is better than half of it
        }
        if outbox
            .send(Done {
                lane,
                page,
                took: started.elapsed(),
                result,
            })
            .is_err()
        {
            break;
        }
    }
}

/// node_exporter's own two families about its collectors.
fn fared(outcomes: &[Outcome]) -> Page {
    let mut page = Page::default();
    let mut family = page.family(
        "node_scrape_collector_duration_seconds",
        "node_exporter: Duration of a collector scrape.",
        Kind::Gauge,
    );
    for outcome in outcomes {
        family.sample(
            &[("collector", outcome.collector.as_bytes())],
            outcome.took.as_secs_f64(),
        );
    }
    drop(family);
    let mut family = page.family(
        kai_contract::signals::COLLECTOR_SUCCESS,
        "node_exporter: Whether a collector succeeded.",
        Kind::Gauge,
    );
    for outcome in outcomes {
        let success = f64::from(u8::from(outcome.error.is_none()));
        family.sample(&[("collector", outcome.collector.as_bytes())], success);
    }
    drop(family);
    page
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, LazyLock, Mutex as StdMutex};

    use kai_contract::agent_config::{AgentConfig, Roots};

    use super::*;
    use crate::collectors::CollectError;
    use crate::node::Machine;

    struct Good;
    impl Collector for Good {
        fn collect(&mut self, _: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
            page.single("good", "Good.", Kind::Gauge, 1.0);
            Ok(())
        }
    }

    struct Panics;
    impl Collector for Panics {
        fn collect(&mut self, _: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
            page.single("half", "Half.", Kind::Gauge, 1.0);
            panic!("on purpose");
        }
    }

    /// Opened by the test when the hung collector may return.
    static GATE: LazyLock<(StdMutex<bool>, Condvar)> = LazyLock::new(Default::default);

    struct Hangs;
    impl Collector for Hangs {
        fn collect(&mut self, _: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
            let open = GATE.0.lock().unwrap();
            drop(GATE.1.wait_while(open, |open| !*open).unwrap());
            page.single("late", "Late.", Kind::Gauge, 1.0);
            Ok(())
        }
    }

    static ENTRIES: [Entry; 3] = [
        Entry {
            name: "good",
            build: |_, _| Box::new(Good),
        },
        Entry {
            name: "hangs",
            build: |_, _| Box::new(Hangs),
        },
        Entry {
            name: "panics",
            build: |_, _| Box::new(Panics),
        },
    ];

    fn settings(text: &str) -> Arc<Settings> {
        let text = format!("version: 1\nlisten: 127.0.0.1:1\ncollectors: {text}\n");
        let config: AgentConfig = serde_yaml::from_str(&text).unwrap();
        Arc::new(Settings::new(&config).unwrap())
    }

    #[tokio::test]
    async fn a_hung_collector_is_skipped_until_it_answers() {
        let scheduler = Scheduler::with(&ENTRIES);
        let node: Arc<dyn Node> = Arc::new(Machine::new(&Roots::default()));
        let settings = settings("{}");
        let scrape = async |limit: Duration| {
            let mut out = Vec::new();
            let outcomes = scheduler
                .scrape(&settings, &node, limit, &[], &mut out)
                .await;
            (outcomes, String::from_utf8(out).unwrap())
        };
        let (_, text) = scrape(Duration::from_millis(300)).await;
        assert!(text.contains("good 1\n"), "{text}");
        assert!(
            text.contains("node_scrape_collector_success{collector=\"good\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("node_scrape_collector_success{collector=\"hangs\"} 0\n"),
            "{text}"
        );
        assert!(
            text.contains("node_scrape_collector_success{collector=\"panics\"} 0\n"),
            "{text}"
        );
        assert!(!text.contains("half"), "{text}");
        // Asked with an hour's patience, it still does not wait for the one known to hang.
        let (outcomes, _) = scrape(Duration::from_hours(1)).await;
        assert!(
            outcomes[1]
                .error
                .as_deref()
                .unwrap()
                .contains("does not return")
        );
        *GATE.0.lock().unwrap() = true;
        GATE.1.notify_all();
        loop {
            let (_, text) = scrape(Duration::from_hours(1)).await;
            if text.contains("late 1\n") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_disabled_collector_is_not_run() {
        let scheduler = Scheduler::with(&ENTRIES[..1]);
        let node: Arc<dyn Node> = Arc::new(Machine::new(&Roots::default()));
        let mut out = Vec::new();
        let outcomes = scheduler
            .scrape(
                &settings("{disable: [good]}"),
                &node,
                Duration::from_secs(5),
                &[],
                &mut out,
            )
            .await;
        assert!(outcomes.is_empty());
        assert!(out.is_empty());
    }
}
