//! What the conversation with the API server came to, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::store::Count;
use crate::exposition::{Kind, Page};
use crate::state::unix_now;

#[derive(Debug, Default)]
pub struct Ledger {
    lists: AtomicU64,
    contact: AtomicU64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    events: BTreeMap<&'static str, u64>,
    failures: BTreeMap<&'static str, u64>,
    /// What is said already; it is said again after it was over.
    said: Option<&'static str>,
}

impl Ledger {
    pub fn listed(&self) {
        self.lists.fetch_add(1, Ordering::Relaxed);
    }

    pub fn is_synced(&self) -> bool {
        self.lists.load(Ordering::Relaxed) > 0
    }

    /// The server answered.
    pub fn contact(&self) {
        self.contact.store(unix_now(), Ordering::Relaxed);
        self.lock().said = None;
    }

    pub fn event(&self, kind: &'static str) {
        *self.lock().events.entry(kind).or_default() += 1;
    }

    /// True if it was not said yet.
    pub fn failed(&self, reason: &'static str) -> bool {
        let mut counts = self.lock();
        *counts.failures.entry(reason).or_default() += 1;
        counts.said.replace(reason) != Some(reason)
    }

    pub fn page(&self, pods: Count, scopes: usize) -> Page {
        let mut page = Page::default();
        let counts = self.lock();
        let mut family = page.family(
            "kai_agent_kubernetes_events_total",
            "What the API server told while it was watched.",
            Kind::Counter,
        );
        for (kind, count) in &counts.events {
            family.sample(&[("type", kind.as_bytes())], *count as f64);
        }
        drop(family);
        let mut family = page.family(
            "kai_agent_kubernetes_failures_total",
            "Requests to the API server that failed or broke off, and what could not be read.",
            Kind::Counter,
        );
        for (reason, count) in &counts.failures {
            family.sample(&[("reason", reason.as_bytes())], *count as f64);
        }
        drop(family);
        drop(counts);
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed) as f64;
        for (name, help, kind, value) in [
            (
                "kai_agent_kubernetes_last_contact_timestamp_seconds",
                "When the API server last answered, 0 if never.",
                Kind::Gauge,
                load(&self.contact),
            ),
            (
                "kai_agent_kubernetes_lists_total",
                "Whole lists of pods that were read.",
                Kind::Counter,
                load(&self.lists),
            ),
            (
                "kai_agent_kubernetes_pods",
                "Pods of the node that are known.",
                Kind::Gauge,
                pods.alive as f64,
            ),
            (
                "kai_agent_kubernetes_pods_cut_total",
                "Times that a pod was not remembered because there are too many.",
                Kind::Counter,
                pods.cut as f64,
            ),
            (
                "kai_agent_kubernetes_pods_deleted",
                "Pods that are gone and still remembered.",
                Kind::Gauge,
                pods.deleted as f64,
            ),
            (
                "kai_agent_kubernetes_synced",
                "Whether all pods of the node were listed once.",
                Kind::Gauge,
                f64::from(u8::from(pods.listed == scopes)),
            ),
        ] {
            page.single(name, help, kind, value);
        }
        page
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
