//! What all requests share: the journal, the heartbeats, the counters and the limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::ServeOptions;
use super::limit::{Bucket, Limiter, Rate};
use crate::inbox::heartbeat::Heartbeats;
use crate::inbox::message::{Channel, Draft, Message};
use crate::inbox::store::journal::Journal;
use crate::inbox::store::{self, Recovery, StoreError};

/// Beats are written this often at most; a crash loses no more.
const HEARTBEATS_EVERY: Duration = Duration::from_secs(5);
/// Refusals that are kept: a sender in a loop must not push the real messages out.
const REFUSALS: Rate = Rate {
    burst: 500.0,
    per_second: 1.0,
};

#[derive(Debug)]
pub struct App {
    pub journal: Journal,
    pub options: ServeOptions,
    pub listening: SocketAddr,
    pub recovery: Recovery,
    pub stopping: watch::Receiver<bool>,
    pub pagerduty_rate: Mutex<Limiter>,
    pub slack_rate: Mutex<Limiter>,
    pub counters: Counters,
    heartbeats: Mutex<Heartbeats>,
    heartbeats_changed: AtomicBool,
    refusals: Mutex<Bucket>,
}

/// Since the start.
#[derive(Debug, Default)]
pub struct Counters {
    pub messages: Mutex<BTreeMap<(Channel, &'static str), u64>>,
    /// Refused, counted above, and not kept as records.
    pub refused_unkept: AtomicU64,
    pub smtp_connections: AtomicU64,
}

/// A poisoned lock only says that a reader panicked; the counts are still the best there are.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    pub fn new(
        journal: Journal,
        options: ServeOptions,
        listening: SocketAddr,
        recovery: Recovery,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let heartbeats = load_heartbeats(&options);
        Self {
            pagerduty_rate: Mutex::new(Limiter::new(options.vendors.pagerduty_per_minute)),
            slack_rate: Mutex::new(Limiter::new(options.vendors.slack_per_minute)),
            refusals: Mutex::new(Bucket::full(REFUSALS, Instant::now())),
            counters: Counters::default(),
            heartbeats: Mutex::new(heartbeats),
            heartbeats_changed: AtomicBool::new(false),
            journal,
            options,
            listening,
            recovery,
            stopping,
        }
    }

    /// Keeps one record and counts it; returns when it is durable. `None` for a refusal that is
    /// only counted because there were too many.
    pub async fn keep(&self, draft: Draft) -> Result<Option<Arc<Message>>, StoreError> {
        let key = (draft.channel, draft.verdict.word());
        if !draft.verdict.accepted() && lock(&self.refusals).take(REFUSALS, Instant::now()).is_err()
        {
            self.counters.refused_unkept.fetch_add(1, Ordering::Relaxed);
            *lock(&self.counters.messages).entry(key).or_default() += 1;
            return Ok(None);
        }
        let message = self.journal.record(draft).await?;
        *lock(&self.counters.messages).entry(key).or_default() += 1;
        let facts = &message.facts;
        tracing::info!(
            id = message.id,
            channel = message.channel.word(),
            kind = message.kind.word(),
            status = message.verdict.status(),
            alertname = facts.alertname.as_deref().unwrap_or_default(),
            team = facts.team.as_deref().unwrap_or_default(),
            reasons = ?message.verdict.reasons(),
            "{}", message.verdict.word()
        );
        Ok(Some(message))
    }

    pub fn with_heartbeats<T>(&self, look: impl FnOnce(&Heartbeats) -> T) -> T {
        look(&lock(&self.heartbeats))
    }

    pub fn change_heartbeats<T>(&self, change: impl FnOnce(&mut Heartbeats) -> T) -> T {
        let result = change(&mut lock(&self.heartbeats));
        self.heartbeats_changed.store(true, Ordering::Release);
        result
    }

    async fn write_heartbeats(self: &Arc<Self>) {
        if !self.heartbeats_changed.swap(false, Ordering::AcqRel) {
            return;
        }
        let app = Arc::clone(self);
        let write = move || -> Result<(), StoreError> {
            let bytes = serde_json::to_vec(&*lock(&app.heartbeats))?;
            store::replace(&app.options.dir.join("heartbeats.json"), &bytes)
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
            self.heartbeats_changed.store(true, Ordering::Release);
            tracing::warn!(%error, "heartbeats could not be written; will be tried again");
        }
    }
}

/// Writes the heartbeats now and then, and a last time at the end.
pub async fn keep_heartbeats(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    loop {
        let stop = stopping.wait_for(|stop| *stop);
        let stop = tokio::time::timeout(HEARTBEATS_EVERY, stop).await.is_ok();
        app.write_heartbeats().await;
        if stop {
            return;
        }
    }
}

fn load_heartbeats(options: &ServeOptions) -> Heartbeats {
    let path = options.dir.join("heartbeats.json");
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, file = %path.display(), "not readable; heartbeats start anew");
            Heartbeats::default()
        }),
        Err(_) => Heartbeats::default(),
    }
}
