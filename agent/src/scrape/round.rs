//! The agent's own rounds: each target is scraped at its time, and followers (remote write, business
//! figures) are told what came of it. There are none while neither has a use for them.
//!
//! Targets do not come at once: each has its moment within the interval, by a hash of its name. A
//! target that is still being scraped when its next moment comes misses it, counted.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Prepared;
use crate::exposition::{Kind, Page as OwnPage};
use crate::samples::{Follower, Format, Page, Scraped, Target};
use crate::shutdown::ended;
use crate::state::State;

/// The agent's own page among the targets.
const NODE: &str = "kai-agent";

/// What the rounds did.
#[derive(Debug, Default)]
pub struct Ledger {
    scrapes: AtomicU64,
    failures: AtomicU64,
    missed: AtomicU64,
}

impl Ledger {
    /// Nothing as long as there was no round.
    pub fn page(&self) -> OwnPage {
        let mut page = OwnPage::default();
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        if value(&self.scrapes) + value(&self.missed) == 0.0 {
            return page;
        }
        for (name, help, counter) in [
            (
                "kai_agent_round_failures_total",
                "Scrapes of the agent's own rounds that gave no page.",
                &self.failures,
            ),
            (
                "kai_agent_round_missed_total",
                "Moments at which a target's scrape before was not over yet.",
                &self.missed,
            ),
            (
                "kai_agent_round_scrapes_total",
                "Scrapes of the agent's own rounds, for remote write and business figures.",
                &self.scrapes,
            ),
        ] {
            page.single(name, help, Kind::Counter, value(counter));
        }
        page
    }
}

/// What a round scrapes.
enum Source {
    Application(Arc<Prepared>),
    Node,
}

/// Scrapes and tells until `shutdown` becomes true. Reloads are followed: what is scraped is asked
/// for at each moment.
pub async fn run(
    state: Arc<State>,
    followers: Vec<Arc<dyn Follower>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let followers = Arc::new(followers);
    let mut under_way: HashSet<String> = HashSet::new();
    let mut scrapes: JoinSet<String> = JoinSet::new();
    let mut now = SystemTime::now();
    loop {
        let (interval, targets) = targets(&state);
        // The next moment of all, after the last one; the clock may have been set meanwhile.
        let next = targets
            .keys()
            .map(|name| next_moment(now, interval, name))
            .min()
            .unwrap_or(now + interval);
        let wait = next
            .duration_since(SystemTime::now())
            .unwrap_or_default()
            .min(interval);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Some(done) = scrapes.join_next(), if !scrapes.is_empty() => {
                if let Ok(name) = done {
                    under_way.remove(&name);
                }
                continue;
            }
            () = ended(&mut shutdown) => return,
        }
        // What a sleeping machine missed is not made up for.
        let late = SystemTime::now().duration_since(next).unwrap_or_default() > interval;
        let upto = if late { SystemTime::now() } else { next };
        for (name, (target, source)) in targets {
            if next_moment(now, interval, &name) > upto {
                continue;
            }
            if !under_way.insert(name.clone()) {
                state.rounds.missed.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let (state, followers) = (Arc::clone(&state), Arc::clone(&followers));
            scrapes.spawn(async move {
                scrape(&state, &followers, target, source, interval).await;
                name
            });
        }
        now = upto;
    }
}

fn targets(state: &State) -> (Duration, BTreeMap<String, (Arc<Target>, Source)>) {
    let in_force = state.in_force.load();
    let interval = Duration::from_millis(in_force.config.round_interval_ms());
    let mut targets = BTreeMap::new();
    // Rules for series can come with a reload.
    let wanted =
        in_force.config.remote_write.is_some() || !state.business.rules().metrics.is_empty();
    if !wanted {
        return (interval, targets);
    }
    let node = Target {
        name: NODE.to_owned(),
        labels: labels(NODE, &in_force.config.listen, None),
    };
    targets.insert(NODE.to_owned(), (Arc::new(node), Source::Node));
    for (name, prepared) in &in_force.settings.applications {
        let application = &prepared.application;
        let target = Target {
            name: name.clone(),
            labels: labels(name, host_of(&application.url), application.team.as_deref()),
        };
        let source = Source::Application(Arc::clone(prepared));
        targets.insert(name.clone(), (Arc::new(target), source));
    }
    for (name, found) in state.found.now().iter() {
        let labels = found.wanted.labels.iter();
        let target = Target {
            name: name.clone(),
            labels: labels
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        };
        let source = Source::Application(Arc::clone(&found.prepared));
        targets.insert(name.clone(), (Arc::new(target), source));
    }
    (interval, targets)
}

/// Those that Prometheus gives the same target by the configuration that kai-observe writes, in order
/// of their names.
fn labels(name: &str, instance: &str, team: Option<&str>) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut labels = vec![
        pair("instance", instance),
        pair("job", name),
        pair("service", name),
    ];
    labels.extend(team.map(|team| pair("team", team)));
    labels
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// The first moment of a target after `now`.
fn next_moment(now: SystemTime, interval: Duration, name: &str) -> SystemTime {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let every = interval.as_nanos().max(1);
    let offset = u128::from(hasher.finish()) % every;
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let passed = (since + every - offset) % every;
    let left = u64::try_from(every - passed).unwrap_or(u64::MAX);
    now + Duration::from_nanos(left)
}

async fn scrape(
    state: &Arc<State>,
    followers: &Arc<Vec<Arc<dyn Follower>>>,
    target: Arc<Target>,
    source: Source,
    interval: Duration,
) {
    let at = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64);
    let begun = Instant::now();
    let page = async {
        match &source {
            Source::Application(prepared) => state.scrape.page(prepared).await,
            Source::Node => Ok(Page {
                format: Format::Text,
                body: state.metrics_page(Some(interval)).await.into(),
            }),
        }
    };
    let page = tokio::time::timeout(interval, page).await;
    let page = page.unwrap_or_else(|_| Err("it did not answer within the interval".to_owned()));
    state.rounds.scrapes.fetch_add(1, Ordering::Relaxed);
    if let Err(reason) = &page {
        state.rounds.failures.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(target = target.name, reason, "a target gave no page");
    }
    let scraped = Scraped {
        target,
        at,
        seconds: begun.elapsed().as_secs_f64(),
        page,
    };
    // Reading a large page takes a while, and other answers must not wait for it.
    let followers = Arc::clone(followers);
    let told = tokio::task::spawn_blocking(move || {
        for follower in followers.iter() {
            follower.scraped(&scraped);
        }
    });
    let _ = told.await; // a panic was reported by its thread
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_what_stands_between() {
        assert_eq!(host_of("http://h:80/metrics?x"), "h:80");
        assert_eq!(host_of("https://[::1]:9"), "[::1]:9");
    }

    proptest! {
        #[test]
        fn moments_come_once_an_interval(
            nanos in 0_u64..4_000_000_000_000_000_000, seconds in 1_u64..600, name in "[a-z]{1,9}"
        ) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
            let interval = Duration::from_secs(seconds);
            let next = next_moment(now, interval, &name);
            prop_assert!(next > now && next <= now + interval);
            prop_assert_eq!(next_moment(next, interval, &name), next + interval);
        }
    }
}
