//! Runs the collectors: alone owns their concurrency, time limits, durations and success.
//!
//! A scrape has one thread run all collectors in turn. A call that takes long has the rest moved
//! to another thread ([`pool`]), and one that has not returned when the time is up is reported with
//! `node_scrape_collector_success 0`, and so in every later scrape, without being asked or waited
//! for, until it returns. So a hung collector costs one thread and the wait of one scrape, never
//! more. Exit does not join the threads.
//!
//! Scrapes take turns (a scrape takes milliseconds), so that two Prometheus servers do not find
//! each other's collectors busy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::collectors::{self, Entry};
use crate::exposition::{Kind, Page, merge};
use crate::node::Node;
use crate::settings::Settings;

mod call;
mod pool;

use call::{Failure, Job, Slot};
use pool::{Pool, Round};

/// The collectors and the threads that call them.
pub struct Scheduler {
    lanes: Mutex<Vec<Lane>>,
    pool: Pool,
}

/// One collector, seen from outside.
struct Lane {
    entry: &'static Entry,
    state: State,
    /// How long its last call took. The slowest are called last, where they hold up nobody.
    took: Duration,
    /// What was last said of it in the log, so that a lasting failure is logged once.
    complaint: Option<String>,
}

enum State {
    Idle(Slot),
    Busy { since: Instant },
}

/// How one collector fared in one scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub collector: &'static str,
    pub took: Duration,
    pub error: Option<String>,
    /// The error is that there is nothing to show on this machine.
    pub no_data: bool,
}

impl Scheduler {
    /// For the collectors of [`collectors::ALL`].
    pub fn start() -> Self {
        Self::with(&collectors::ALL)
    }

    /// For these collectors.
    pub fn with(entries: &'static [Entry]) -> Self {
        let lane = |entry| Lane {
            entry,
            state: State::Idle(Slot::default()),
            took: Duration::ZERO,
            complaint: None,
        };
        Self {
            lanes: Mutex::new(entries.iter().map(lane).collect()),
            pool: Pool::default(),
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
            .filter(|lane| settings.runs(lane.entry.name))
            .filter_map(|lane| match &lane.state {
                State::Idle(slot) => Some(&slot.page),
                State::Busy { .. } => None,
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
        let scrape = self.pool.next();
        let jobs = jobs(lanes, scrape, settings, node);
        let Round {
            done,
            left,
            no_thread,
        } = self.pool.run(jobs, limit).await;
        let mut outcomes: Vec<Option<Outcome>> = lanes.iter().map(|_| None).collect();
        for done in done {
            let lane = &mut lanes[done.lane];
            lane.took = done.took;
            let mut slot = done.slot;
            // What an earlier scrape asked for came too late; its lane is asked in the next.
            if done.scrape == scrape {
                let failure = done.result.err();
                outcomes[done.lane] = Some(Outcome {
                    collector: lane.entry.name,
                    took: done.took,
                    no_data: failure.as_ref().is_some_and(|failure| failure.no_data),
                    error: failure.map(|failure| failure.message),
                });
            } else {
                slot.page.clear();
            }
            lane.state = State::Idle(slot);
        }
        for mut job in left {
            let error = no_thread.as_ref().map_or_else(
                || "the time was up before its turn came".to_owned(),
                |error| format!("cannot start a thread for it: {error}"),
            );
            outcomes[job.lane] = Some(Outcome {
                collector: job.entry.name,
                took: Duration::ZERO,
                error: Some(error),
                no_data: false,
            });
            job.slot.page.clear();
            lanes[job.lane].state = State::Idle(job.slot);
        }
        let mut all = Vec::with_capacity(lanes.len());
        for (lane, outcome) in lanes.iter_mut().zip(outcomes) {
            if !settings.runs(lane.entry.name) {
                continue;
            }
            let outcome = outcome.unwrap_or_else(|| lane.overdue());
            lane.complain(&outcome);
            all.push(outcome);
        }
        all
    }

    /// Takes back collectors whose calls had hung and have returned since.
    fn welcome_back(&self, lanes: &mut [Lane]) {
        for done in self.pool.take() {
            let lane = &mut lanes[done.lane];
            let (collector, seconds) = (lane.entry.name, done.took.as_secs_f64());
            match done.result {
                Ok(()) => tracing::info!(collector, seconds, "collector answers again"),
                Err(Failure { message, no_data }) if no_data => {
                    tracing::debug!(collector, seconds, %message, "collector has no data");
                }
                Err(Failure { message, .. }) => {
                    tracing::error!(collector, seconds, error = %message, "collector failed late");
                }
            }
            lane.took = done.took;
            lane.state = State::Idle(done.slot);
        }
    }
}

/// A job for every collector that is to run and does not run still.
fn jobs(
    lanes: &mut [Lane],
    scrape: u64,
    settings: &Arc<Settings>,
    node: &Arc<dyn Node>,
) -> Vec<Job> {
    let since = Instant::now();
    let mut jobs = Vec::with_capacity(lanes.len());
    for (index, lane) in lanes.iter_mut().enumerate() {
        if !settings.runs(lane.entry.name) {
            continue;
        }
        match std::mem::replace(&mut lane.state, State::Busy { since }) {
            State::Idle(slot) => jobs.push(Job {
                lane: index,
                entry: lane.entry,
                scrape,
                settings: Arc::clone(settings),
                node: Arc::clone(node),
                slot,
            }),
            busy @ State::Busy { .. } => lane.state = busy,
        }
    }
    jobs.sort_by_key(|job| lanes[job.lane].took);
    jobs
}

impl Lane {
    /// The outcome of a call that has not returned.
    fn overdue(&self) -> Outcome {
        let (took, error) = match self.state {
            State::Busy { since } => (
                since.elapsed(),
                "its call does not return (a device or file that hangs?); skipped until it does",
            ),
            // It returned while others were waited for.
            State::Idle(_) => (Duration::ZERO, "its call returned too late for this scrape"),
        };
        Outcome {
            collector: self.entry.name,
            took,
            error: Some(error.to_owned()),
            no_data: false,
        }
    }

    fn complain(&mut self, outcome: &Outcome) {
        if outcome.error == self.complaint {
            return;
        }
        if outcome.no_data {
            let reason = outcome.error.as_deref().unwrap_or_default();
            tracing::debug!(collector = self.entry.name, reason, "collector has no data");
        } else if let Some(error) = &outcome.error {
            tracing::error!(collector = self.entry.name, error = %error, "collector failed");
        } else {
            tracing::info!(collector = self.entry.name, "collector succeeds again");
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
    // node_exporter's own figure cannot tell a machine without a device from one that hangs.
    let mut family = page.family(
        kai_contract::signals::COLLECTOR_FAILED,
        "Whether a collector could not look; 0 also if there is nothing of its kind on this machine.",
        Kind::Gauge,
    );
    for outcome in outcomes {
        let failed = outcome.error.is_some() && !outcome.no_data;
        family.sample(
            &[("collector", outcome.collector.as_bytes())],
            f64::from(u8::from(failed)),
        );
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

    /// Opened by the test when the many that hang may return.
    static MANY: LazyLock<(StdMutex<bool>, Condvar)> = LazyLock::new(Default::default);

    struct HangsToo;
    impl Collector for HangsToo {
        fn collect(&mut self, _: &dyn Node, _: &mut Page) -> Result<(), CollectError> {
            let open = MANY.0.lock().unwrap();
            drop(MANY.1.wait_while(open, |open| !*open).unwrap());
            Ok(())
        }
    }

    static CROWD: [Entry; 9] = {
        const fn hangs(name: &'static str) -> Entry {
            Entry {
                name,
                build: |_, _| Box::new(HangsToo),
            }
        }
        [
            hangs("a"),
            hangs("b"),
            hangs("c"),
            hangs("d"),
            hangs("e"),
            hangs("f"),
            hangs("g"),
            hangs("h"),
            Entry {
                name: "last",
                build: |_, _| Box::new(Good),
            },
        ]
    };

    fn threads() -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| {
            std::fs::read_to_string(task.unwrap().path().join("comm")).ok() // it may have ended
        });
        names.filter(|name| name.trim_end() == "collectors").count()
    }

    #[tokio::test]
    async fn the_last_is_reached_past_many_that_hang_and_their_threads_end() {
        let scheduler = Scheduler::with(&CROWD);
        let node: Arc<dyn Node> = Arc::new(Machine::new(&Roots::default()));
        let settings = settings("{}");
        let scrape = async |limit: Duration| {
            let outcomes = scheduler
                .scrape(&settings, &node, limit, &[], &mut Vec::new())
                .await;
            outcomes.iter().filter(|o| o.error.is_some()).count()
        };
        let failed = scrape(Duration::from_secs(5)).await;
        assert_eq!(failed, 8, "all that hang, and no other");
        assert!(threads() > 8);
        *MANY.0.lock().unwrap() = true;
        MANY.1.notify_all();
        while scrape(Duration::from_hours(1)).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Other tests of this process have a few of their own.
        while threads() > 6 {
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
