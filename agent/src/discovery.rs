//! Applications that nobody had to name: from target files, and from the annotations of the node's
//! pods. Each becomes a target of its own (`/metrics/app/<name>`), and `/sd/applications` tells
//! Prometheus of it, so that `up` and latency are the application's.
//!
//! Their number is bounded. Who has a place keeps it, so that newcomers beyond the bound are cut and
//! not, each time, somebody else.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use kai_contract::agent_config::{AgentConfig, Application, Discovery, Problem, SERIES_LIMIT};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};

pub mod annotations;
pub mod file_sd;
mod files;
mod ledger;
pub mod peers;
pub mod targets;
pub mod wanted;
pub mod yaml;

use crate::scrape::Prepared;
use crate::scrape::budget::Limits;
use crate::scrape::relabel::Rules;
use crate::shutdown::ended;
use crate::state::State;
use files::Files;
use ledger::Ledger;
use wanted::Wanted;

/// Several changes come together: a folder is changed in steps, a workload's pods one by one.
const SETTLE: Duration = Duration::from_millis(200);
/// Looks without a hint this often: network file systems give none.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// What holds for all that is found, compiled with the configuration.
#[derive(Debug)]
pub struct Prototype {
    config: Discovery,
    rules: Arc<Rules>,
    team_series: u64,
}

impl Prototype {
    pub fn new(config: &AgentConfig) -> Result<Option<Self>, Vec<Problem>> {
        let Some(discovery) = &config.discovery else {
            return Ok(None);
        };
        let rules = Rules::new(&discovery.relabel).map_err(|wrong| {
            let problem = |(index, key, message)| {
                Problem::new(format!("discovery.relabel.{index}.{key}"), message)
            };
            wrong.into_iter().map(problem).collect::<Vec<_>>()
        })?;
        Ok(Some(Self {
            config: discovery.clone(),
            rules: Arc::new(rules),
            team_series: config.team_series(),
        }))
    }

    fn prepare(&self, wanted: &Wanted) -> Prepared {
        let most = self.config.series_limit.unwrap_or(SERIES_LIMIT);
        let series = wanted.series.map_or(most, |series| series.min(most));
        let timeout = self.config.timeout_ms;
        let application = Application {
            team: wanted.team().map(str::to_owned),
            series_limit: Some(series),
            label_limits: self.config.label_limits.clone(),
            ..Application::new(
                wanted.url.clone(),
                wanted.timeout_ms.map_or(timeout, |own| own.min(timeout)),
            )
        };
        let limits = Limits {
            service: Some(wanted.service().to_owned()),
            service_series: self.config.service_series.unwrap_or(u64::MAX),
            ..Limits::of(&application, self.team_series)
        };
        Prepared::found(&wanted.name, application, limits, Arc::clone(&self.rules))
    }
}

/// One application that was found.
#[derive(Debug)]
pub struct Found {
    pub wanted: Wanted,
    pub prepared: Arc<Prepared>,
}

pub type ByName = BTreeMap<String, Arc<Found>>;

/// Those that are there now.
#[derive(Debug, Default)]
pub struct Applications {
    found: ArcSwap<ByName>,
    ledger: Ledger,
    peers: peers::Peers,
}

impl Applications {
    pub fn now(&self) -> Arc<ByName> {
        self.found.load_full()
    }

    pub fn get(&self, name: &str) -> Option<Arc<Found>> {
        self.found.load().get(name).cloned()
    }

    pub fn page(&self) -> crate::exposition::Page {
        self.ledger.page(self.found.load().len())
    }

    /// Everybody's targets, asked of every agent behind one name.
    pub async fn of_all(&self, peers: &str) -> Result<Vec<file_sd::Group>, String> {
        self.peers.ask(peers).await
    }

    /// Gives places to what is wanted: to who has one first, then in order of names.
    fn take(
        &self,
        prototype: &Arc<Prototype>,
        remade: bool,
        wanted: Vec<Wanted>,
        taken: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let before = self.found.load_full();
        let most = prototype.config.max_applications as usize;
        let mut unique: BTreeMap<String, Wanted> = BTreeMap::new();
        let mut cut = 0;
        for one in wanted {
            if taken(&one.name) {
                cut += 1;
                continue;
            }
            // The same target in two files is one.
            unique.insert(one.name.clone(), one);
        }
        let (known, new): (Vec<_>, Vec<_>) = unique
            .into_iter()
            .partition(|(name, _)| before.contains_key(name));
        let mut now = ByName::new();
        for (name, wanted) in known.into_iter().chain(new) {
            if now.len() >= most {
                cut += 1;
                continue;
            }
            let same = before
                .get(&name)
                .filter(|found| !remade && found.wanted == wanted);
            let found = match same {
                Some(found) => Arc::clone(found),
                None => Arc::new(Found {
                    prepared: Arc::new(prototype.prepare(&wanted)),
                    wanted,
                }),
            };
            now.insert(name, found);
        }
        self.ledger.cut(cut, most);
        let gone: Vec<String> = before
            .keys()
            .filter(|name| !now.contains_key(*name))
            .cloned()
            .collect();
        self.found.store(Arc::new(now));
        gone
    }

    fn clear(&self) -> Vec<String> {
        self.ledger.cut(0, 0);
        let before = self.found.swap(Arc::default());
        before.keys().cloned().collect()
    }
}

/// Looks for applications until `shutdown` becomes true.
pub async fn run(state: Arc<State>, mut shutdown: watch::Receiver<bool>) {
    let mut pods = state
        .cluster
        .as_ref()
        .map(|cluster| cluster.store.changes());
    let files = Arc::new(Mutex::new(Files::default()));
    let (events, mut changed) = mpsc::channel::<()>(1);
    let mut watcher = Watching::new(events);
    let mut applied: Option<Arc<Prototype>> = None;
    loop {
        look(&state, &files, &mut applied, &mut watcher).await;
        let pods_changed = async {
            match &mut pods {
                Some(pods) => {
                    // The store lives as long as the agent.
                    let _ = pods.changed().await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pods_changed => {}
            Some(()) = changed.recv() => {}
            () = state.found_again.notified() => {}
            () = tokio::time::sleep(LOOK_ANYWAY) => {}
            () = ended(&mut shutdown) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(SETTLE) => {}
            () = ended(&mut shutdown) => return,
        }
        let _ = changed.try_recv(); // more of the same change
    }
}

async fn look(
    state: &Arc<State>,
    files: &Arc<Mutex<Files>>,
    applied: &mut Option<Arc<Prototype>>,
    watcher: &mut Watching,
) {
    let in_force = state.in_force.load_full();
    let found = &state.found;
    let Some(prototype) = in_force.settings.discovered.clone() else {
        *applied = None;
        forget(state, &found.clear());
        return;
    };
    watcher.follow(&prototype.config.files);
    let globs = prototype.config.files.clone();
    let reader = Arc::clone(files);
    // Files may be on a slow disk.
    let from_files = tokio::task::spawn_blocking(move || {
        let mut files = reader.lock().unwrap_or_else(PoisonError::into_inner);
        files.look(&globs)
    })
    .await;
    let Ok(from_files) = from_files else {
        return; // its panic was reported by its thread
    };
    found.ledger.files(&from_files);
    let mut wanted = from_files.wanted;
    if let (Some(config), Some(cluster)) = (&prototype.config.pods, &state.cluster) {
        let mut refused = Vec::new();
        for pod in cluster.store.alive() {
            match annotations::of_pod(&pod, config) {
                Ok(more) => wanted.extend(more),
                Err(reason) => refused.push((format!("{}/{}", pod.namespace, pod.name), reason)),
            }
        }
        found.ledger.pods(refused);
    }
    let remade = !applied
        .as_ref()
        .is_some_and(|before| Arc::ptr_eq(before, &prototype));
    let configured = &in_force.config.applications;
    let gone = found.take(&prototype, remade, wanted, |name| {
        configured.contains_key(name)
    });
    *applied = Some(prototype);
    forget(state, &gone);
}

/// What is gone holds no budget and has no series any more.
fn forget(state: &State, gone: &[String]) {
    for name in gone {
        state.scrape.budgets.forget(name);
        state.metrics.forget_application(name);
    }
}

/// Watches the folders of target files.
struct Watching {
    events: mpsc::Sender<()>,
    folders: HashSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
}

impl Watching {
    fn new(events: mpsc::Sender<()>) -> Self {
        Self {
            events,
            folders: HashSet::new(),
            watcher: None,
        }
    }

    fn follow(&mut self, globs: &[String]) {
        let folders: HashSet<PathBuf> = globs
            .iter()
            .filter_map(|glob| Some(PathBuf::from(glob).parent()?.to_owned()))
            .collect();
        // One that was not there, or was made anew, is watched as soon as it is.
        if folders.is_empty() && self.folders.is_empty() {
            return;
        }
        if self.folders != folders || self.watcher.is_none() {
            let events = self.events.clone();
            let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let read = event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_)));
                if !read {
                    let _ = events.try_send(()); // full means that a look is due already
                }
            });
            self.watcher = made.ok();
            self.folders.clear();
        }
        if let Some(watcher) = &mut self.watcher {
            for folder in folders {
                // Looked at every LOOK_ANYWAY where it cannot be watched.
                if !self.folders.contains(&folder)
                    && watcher.watch(&folder, RecursiveMode::NonRecursive).is_ok()
                {
                    self.folders.insert(folder);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prototype(yaml: &str) -> Arc<Prototype> {
        let text = format!("version: 1\nlisten: 127.0.0.1:1\ndiscovery: {yaml}\n");
        let config = serde_yaml::from_str(&text).unwrap();
        Arc::new(Prototype::new(&config).unwrap().unwrap())
    }

    fn one(name: &str) -> Wanted {
        Wanted {
            name: name.to_owned(),
            url: format!("http://{name}:1/"),
            labels: [("service".to_owned(), "s".to_owned())].into(),
            timeout_ms: Some(9_000),
            series: Some(7),
            interval: None,
        }
    }

    fn names(found: &Applications) -> Vec<String> {
        found.now().keys().cloned().collect()
    }

    #[test]
    fn who_has_a_place_keeps_it() {
        let found = Applications::default();
        let two = prototype("{files: [/x.json], maxApplications: 2}");
        let take = |list: &[&str]| {
            let wanted = list.iter().map(|name| one(name)).collect();
            found.take(&two, false, wanted, |name| name == "static")
        };
        assert!(take(&["m", "n", "static"]).is_empty());
        assert_eq!(names(&found), ["m", "n"]);
        assert!(take(&["a", "m", "n"]).is_empty());
        assert_eq!(names(&found), ["m", "n"]);
        assert_eq!(take(&["a", "n"]), ["m"]);
        assert_eq!(names(&found), ["a", "n"]);
        assert_eq!(found.clear(), ["a", "n"]);
    }

    #[test]
    fn an_application_lowers_its_bounds_and_does_not_raise_them() {
        let prototype = prototype("{files: [/x.json], timeoutMs: 5000, seriesLimit: 5}");
        let prepared = prototype.prepare(&one("a"));
        assert_eq!(prepared.application.timeout_ms, 5000);
        assert_eq!(prepared.application.series_limit, Some(5));
        let less = Wanted {
            series: Some(2),
            timeout_ms: Some(100),
            ..one("a")
        };
        let prepared = prototype.prepare(&less);
        assert_eq!(prepared.application.timeout_ms, 100);
        assert_eq!(prepared.application.series_limit, Some(2));
    }
}
