//! What is told of listeners and of the spool beside the lane's account.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::exposition::{Kind, Page};
use crate::logs::spool::{Refused, Store};

/// What stays as it is, is said again this often.
const SAY_AGAIN: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
struct Source {
    connections: u64,
    kernel_drops: u64,
    overflow: u64,
    requests: BTreeMap<&'static str, u64>,
    closed: BTreeMap<&'static str, u64>,
    waits: BTreeMap<&'static str, u64>,
    said: BTreeMap<&'static str, Instant>,
}

#[derive(Debug, Default)]
struct Inner {
    sources: BTreeMap<Arc<str>, Source>,
    store: Option<Arc<Store>>,
}

#[derive(Debug, Default)]
pub struct Meters(Mutex<Inner>);

impl Meters {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, source: &Arc<str>, what: impl FnOnce(&mut Source)) {
        what(self.lock().sources.entry(Arc::clone(source)).or_default());
    }

    /// Shows a source, with zeros.
    pub fn add_source(&self, source: &Arc<str>) {
        self.with(source, |_| ());
    }

    pub fn set_store(&self, store: Option<Arc<Store>>) {
        self.lock().store = store;
    }

    pub fn opened(&self, source: &Arc<str>) {
        self.with(source, |entry| entry.connections += 1);
    }

    pub fn closed(&self, source: &Arc<str>) {
        self.with(source, |entry| {
            entry.connections = entry.connections.saturating_sub(1);
        });
    }

    pub fn kernel_dropped(&self, source: &Arc<str>, datagrams: u64) {
        if datagrams == 0 {
            return;
        }
        let mut due = false;
        self.with(source, |entry| {
            entry.kernel_drops += datagrams;
            due = entry.is_due("kernel");
        });
        if due {
            tracing::warn!(
                %source,
                datagrams,
                "the kernel dropped datagrams that were not read in time: raise receiveBufferBytes"
            );
        }
    }

    /// An OTLP request, by how it ended.
    pub fn request(&self, source: &Arc<str>, result: &'static str) {
        self.with(source, |entry| {
            *entry.requests.entry(result).or_default() += 1;
        });
    }

    /// Records of a service that has no data stream of its own.
    pub fn overflow(&self, source: &Arc<str>, events: u64) {
        let mut due = false;
        self.with(source, |entry| {
            entry.overflow += events;
            due = entry.is_due("overflow");
        });
        if due {
            tracing::warn!(
                %source,
                events,
                "there are as many data streams as there may be (otlp.maxDataStreams); records of \
                 further services go to the one of \"other\""
            );
        }
    }

    /// A connection was closed by us.
    pub fn refused(&self, source: &Arc<str>, reason: &'static str, peer: Option<SocketAddr>) {
        let mut due = false;
        self.with(source, |entry| {
            *entry.closed.entry(reason).or_default() += 1;
            due = entry.is_due(reason);
        });
        if due {
            let peer = peer.map_or_else(String::new, |peer| peer.to_string());
            tracing::warn!(%source, %reason, %peer, "a connection is closed");
        }
    }

    /// A sender is made to wait.
    pub fn waits(&self, source: &Arc<str>, refused: &Refused) {
        let reason = refused.reason();
        let mut due = false;
        self.with(source, |entry| {
            *entry.waits.entry(reason).or_default() += 1;
            due = entry.is_due(reason);
        });
        if due {
            tracing::warn!(%source, %refused, "events are not taken; their sender is made to wait");
        }
    }

    /// Events were dropped; their number is in the ledger.
    pub fn dropped(&self, source: &Arc<str>, reason: &'static str, events: u64) {
        let mut due = false;
        self.with(source, |entry| due = entry.is_due(reason));
        if due {
            tracing::warn!(%source, %reason, events, "events are dropped");
        }
    }

    pub fn write(&self, page: &mut Page) {
        let inner = self.lock();
        if inner.sources.is_empty() {
            return;
        }
        for (name, help, kind, of) in [
            (
                "kai_agent_log_connections",
                "Connections of senders that are open.",
                Kind::Gauge,
                (|source: &Source| source.connections) as fn(&Source) -> u64,
            ),
            (
                "kai_agent_log_kernel_dropped_datagrams_total",
                "Datagrams that the kernel dropped because the receive buffer was full.",
                Kind::Counter,
                |source: &Source| source.kernel_drops,
            ),
            (
                "kai_agent_log_overflow_events_total",
                "OTLP records of services beyond maxDataStreams, which share a data stream.",
                Kind::Counter,
                |source: &Source| source.overflow,
            ),
        ] {
            let mut family = page.family(name, help, kind);
            for (name, source) in &inner.sources {
                family.sample(&[("source", name.as_bytes())], of(source) as f64);
            }
        }
        let mut family = page.family(
            "kai_agent_log_otlp_requests_total",
            "OTLP requests of log records, by how they ended.",
            Kind::Counter,
        );
        for (name, source) in &inner.sources {
            for (result, count) in &source.requests {
                let labels = [("result", result.as_bytes()), ("source", name.as_bytes())];
                family.sample(&labels, *count as f64);
            }
        }
        drop(family);
        for (name, help, of) in [
            (
                "kai_agent_log_closed_connections_total",
                "Connections that were closed by the agent, by the reason.",
                (|source: &Source| &source.closed) as fn(&Source) -> &BTreeMap<&'static str, u64>,
            ),
            (
                "kai_agent_log_waits_total",
                "Times that a sender was made to wait or told to come again, by the reason.",
                |source: &Source| &source.waits,
            ),
        ] {
            let mut family = page.family(name, help, Kind::Counter);
            for (name, source) in &inner.sources {
                for (reason, count) in of(source) {
                    let labels = [("reason", reason.as_bytes()), ("source", name.as_bytes())];
                    family.sample(&labels, *count as f64);
                }
            }
        }
        let Some(store) = &inner.store else {
            return;
        };
        for (name, help, index) in [
            (
                "kai_agent_log_spool_bytes",
                "Bytes that events from the network take up until they are acknowledged.",
                0,
            ),
            (
                "kai_agent_log_spool_limit_bytes",
                "Bytes that they may take up.",
                1,
            ),
        ] {
            let mut family = page.family(name, help, Kind::Gauge);
            for (source, used, limit) in store.room() {
                let value = if index == 0 { used } else { limit };
                family.sample(&[("source", source.as_bytes())], value as f64);
            }
        }
    }
}

impl Source {
    fn is_due(&mut self, what: &'static str) -> bool {
        let due = self
            .said
            .get(what)
            .is_none_or(|said| said.elapsed() >= SAY_AGAIN);
        if due {
            self.said.insert(what, Instant::now());
        }
        due
    }
}
