//! What the parts of a running agent share: the configuration in force, the collectors, the
//! drills and the agent's own metrics.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use kai_contract::agent_config::AgentConfig;
use serde::Serialize;
use tokio::sync::Notify;

use crate::business::Figures;
use crate::config::{Loaded, Located};
use crate::discovery::Applications;
use crate::drills::Drills;
use crate::exposition::Page;
use crate::facts::Facts;
use crate::kubernetes::Cluster;
use crate::logs::ledger::Ledger;
use crate::node::{Machine, Node};
use crate::scheduler::{Outcome, Scheduler};
use crate::scrape::{Engine, round};
use crate::security::Hub;
use crate::self_metrics::SelfMetrics;
use crate::settings::Settings;

/// A configuration in force; swapped as a whole.
pub struct InForce {
    pub config: AgentConfig,
    pub settings: Arc<Settings>,
    pub node: Arc<dyn Node>,
    pub hash: String,
}

impl InForce {
    pub fn new(loaded: Loaded) -> Self {
        let node = Arc::new(Machine::new(&loaded.config.roots));
        Self {
            config: loaded.config,
            settings: Arc::new(loaded.settings),
            node,
            hash: loaded.hash,
        }
    }
}

/// How the last attempt to load a configuration ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastReload {
    pub ok: bool,
    /// Unix time in seconds.
    pub at: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Located>,
}

/// Everything that is shared.
pub struct State {
    pub file: PathBuf,
    pub started: Instant,
    pub facts: Facts,
    pub in_force: ArcSwap<InForce>,
    pub scheduler: Scheduler,
    pub metrics: SelfMetrics,
    /// Fetches applications' pages and holds them to their budgets.
    pub scrape: Arc<Engine>,
    /// The node's pods; `None` where no API server is asked.
    pub cluster: Option<Arc<Cluster>>,
    /// Applications that were found.
    pub found: Arc<Applications>,
    /// Told when they have to be looked for anew.
    pub found_again: Notify,
    /// What the agent's own rounds did.
    pub rounds: round::Ledger,
    /// What became of the lines that were read.
    pub logs: Arc<Ledger>,
    /// Where OTLP log records go.
    pub otlp_logs: crate::logs::otlp::Slot,
    /// What the security checks told last.
    pub security: Arc<Hub>,
    /// What business rules counted.
    pub business: Arc<Figures>,
    /// What services pushed; `None` where no metrics are taken by OTLP.
    pub otlp_metrics: Option<Arc<crate::otlp_metrics::Store>>,
    /// The collectors' outcomes in the last scrape; `None` before the first.
    pub last_scrape: ArcSwapOption<Vec<Outcome>>,
    pub last_reload: ArcSwapOption<LastReload>,
    drills: Mutex<Drills>,
}

impl State {
    /// `cluster` is whom the configuration says to ask for pods.
    pub fn new(file: PathBuf, loaded: Loaded, cluster: Option<Arc<Cluster>>) -> Self {
        let metrics = SelfMetrics::new();
        metrics.config_accepted(&loaded.hash);
        let otlp_metrics = loaded.config.otlp_metrics.as_ref().map(|config| {
            Arc::new(crate::otlp_metrics::open(
                config,
                metrics.otlp_metrics.clone(),
            ))
        });
        Self {
            file,
            started: Instant::now(),
            facts: Facts::read(),
            in_force: ArcSwap::from_pointee(InForce::new(loaded)),
            scheduler: Scheduler::start(),
            metrics,
            scrape: Arc::default(),
            cluster,
            found: Arc::default(),
            found_again: Notify::new(),
            rounds: round::Ledger::default(),
            logs: Arc::default(),
            otlp_logs: Arc::default(),
            security: Arc::default(),
            business: Arc::default(),
            otlp_metrics,
            last_scrape: ArcSwapOption::empty(),
            last_reload: ArcSwapOption::from_pointee(LastReload {
                ok: true,
                at: unix_now(),
                problems: Vec::new(),
            }),
            drills: Mutex::new(Drills::default()),
        }
    }

    pub fn drills(&self) -> std::sync::MutexGuard<'_, Drills> {
        self.drills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The metrics page. `limit` shortens the collectors' time; nothing lengthens it.
    pub async fn metrics_page(&self, limit: Option<Duration>) -> Vec<u8> {
        let in_force = self.in_force.load_full();
        let drills = self.drills().active(Instant::now());
        let own = [
            self.metrics.page(&drills),
            self.logs.page(),
            self.security.page(),
            self.business.own_page(),
            self.scrape.budgets.page(),
            self.rounds.page(),
            self.found.page(),
            self.cluster
                .as_ref()
                .map_or_else(Page::default, |cluster| cluster.page()),
        ];
        let limit = limit.map_or(in_force.settings.timeout, |l| {
            l.min(in_force.settings.timeout)
        });
        let mut out = Vec::new();
        let outcomes = self
            .scheduler
            .scrape(&in_force.settings, &in_force.node, limit, &own, &mut out)
            .await;
        self.last_scrape.store(Some(Arc::new(outcomes)));
        out
    }
}

/// Seconds since 1970.
pub fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
