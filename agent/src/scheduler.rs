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

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::collectors::{self, Entry};
use crate::exposition::{Kind, Page, merge};
use crate::node::Node;
use crate::settings::Settings;

mod desk;
mod lane;

use desk::Desk;
use lane::{Job, work};

/// Collectors parse flat files; a small stack suffices and keeps the process small.
const STACK: usize = 256 << 10;

/// The collectors' threads.
pub struct Scheduler {
    lanes: Mutex<Vec<Lane>>,
    desk: Arc<Desk>,
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
        let desk = Arc::new(Desk::default());
        let start = |(index, entry)| Lane::start(index, entry, &desk);
        let lanes = entries.iter().enumerate().map(start).collect();
        Self {
            lanes: Mutex::new(lanes),
            desk,
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
        let outcomes = self.run(&mut lanes, settings, node, limit).await;
        let fared = fared(&outcomes);
        let pages = lanes
            .iter()
            .filter(|lane| settings.runs(lane.name))
            .filter_map(|lane| match &lane.state {
                State::Idle(page) => Some(page),
                State::Busy { .. } | State::Gone => None,
            });
        merge(pages.chain(others).chain([&fared]), out);
        outcomes
    }

    async fn run(
        &self,
        lanes: &mut [Lane],
        settings: &Arc<Settings>,
        node: &Arc<dyn Node>,
        limit: Duration,
    ) -> Vec<Outcome> {
        self.welcome_back(lanes);
        let started = Instant::now();
        let asked: Vec<_> = lanes
            .iter()
            .enumerate()
            .filter(|(_, lane)| settings.runs(lane.name) && matches!(lane.state, State::Idle(_)))
            .map(|(index, _)| index)
            .collect();
        let scrape = self.desk.open(asked.len());
        for index in asked {
            let page =
                match std::mem::replace(&mut lanes[index].state, State::Busy { since: started }) {
                    State::Idle(page) => page,
                    State::Busy { .. } | State::Gone => continue, // not asked, see above
                };
            let job = Job {
                scrape,
                settings: Arc::clone(settings),
                node: Arc::clone(node),
                page,
            };
            if lanes[index].jobs.send(job).is_err() {
                lanes[index].state = State::Gone;
                self.desk.give_up_one();
            }
        }
        let mut outcomes: Vec<Option<Outcome>> = lanes.iter().map(|_| None).collect();
        for done in self.desk.wait(started + limit).await {
            let lane = &mut lanes[done.lane];
            lane.state = State::Idle(done.page);
            // What an earlier scrape asked for came too late; its lane is asked in the next.
            if done.scrape == scrape {
                let error = done.result.err();
                outcomes[done.lane] = Some(Outcome {
                    collector: lane.name,
                    took: done.took,
                    error,
                });
            } else if let State::Idle(page) = &mut lane.state {
                page.clear();
            }
        }
        let mut all = Vec::with_capacity(lanes.len());
        for (lane, outcome) in lanes.iter_mut().zip(outcomes) {
            if !settings.runs(lane.name) {
                continue;
            }
            let outcome = outcome.unwrap_or_else(|| lane.overdue());
            lane.complain(&outcome);
            all.push(outcome);
        }
        all
    }

    /// Takes back threads whose calls had hung and have returned since.
    fn welcome_back(&self, lanes: &mut [Lane]) {
        for done in self.desk.take() {
            let lane = &mut lanes[done.lane];
            let seconds = done.took.as_secs_f64();
            match done.result {
                Ok(()) => {
                    tracing::info!(collector = lane.name, seconds, "collector answers again");
                }
                Err(error) => {
                    tracing::error!(collector = lane.name, seconds, %error, "collector failed late");
                }
            }
            lane.state = State::Idle(done.page);
        }
    }
}

impl Lane {
    fn start(index: usize, entry: &'static Entry, desk: &Arc<Desk>) -> Self {
        let (jobs, inbox) = channel();
        let desk = Arc::clone(desk);
        let spawned = std::thread::Builder::new()
            .name(format!("c-{}", entry.name))
            .stack_size(STACK)
            .spawn(move || work(index, entry, &inbox, &desk));
        let (state, complaint) = match spawned {
            Ok(_) => (State::Idle(Page::default()), None),
            Err(error) => {
                let complaint = format!("cannot start its thread: {error}");
                tracing::error!(collector = entry.name, error = %complaint, "collector failed");
                (State::Gone, Some(complaint))
            }
        };
        Self {
            name: entry.name,
            jobs,
            state,
            complaint,
        }
    }

    /// The outcome of a thread that has not answered.
    fn overdue(&self) -> Outcome {
        let (took, error) = match self.state {
            State::Busy { since } => (
                since.elapsed(),
                "its call does not return (a device or file that hangs?); skipped until it does",
            ),
            // It returned while others were waited for.
            State::Idle(_) => (Duration::ZERO, "its call returned too late for this scrape"),
            State::Gone => (Duration::ZERO, "its thread has ended"),
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
    use crate::collectors::{CollectError, Collector};
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
