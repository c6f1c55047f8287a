//! The trace lane's ledger: every span that was taken over is acked, in flight, or dropped for a
//! reason, and no fourth thing. What was refused stayed with its sender.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::intake::{Refusal, Transport};
use crate::exposition::Page;
use crate::latency::{self, Histogram};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    transport: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    transport: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Retry {
    code: &'static str,
}

/// No labels, and no sample before the lane runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Alone {}

/// Why spans that were taken over did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The endpoint took the request and not these spans (partial success).
    Rejected,
    /// The endpoint will not take them, however often they are sent.
    Permanent,
    /// The agent ended before they could be sent.
    Shutdown,
}

impl Loss {
    const ALL: [Self; 3] = [Self::Rejected, Self::Permanent, Self::Shutdown];

    fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Permanent => "permanent",
            Self::Shutdown => "shutdown",
        }
    }
}

/// When the oldest span that still waits was taken over.
pub type Oldest = Arc<Mutex<Option<Instant>>>;

/// Counters and gauges of the lane; cheap to clone, changed from its thread, read from another.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    received: Family<By, Counter>,
    refused_spans: Family<Refused, Counter>,
    refused_requests: Family<Refused, Counter>,
    outcomes: Family<Outcome, Counter>,
    in_flight: Family<Alone, Gauge>,
    batches: Family<Alone, Counter>,
    sent_bytes: Family<Alone, Counter>,
    retries: Family<Retry, Counter>,
    queue_bytes: Family<Alone, Gauge>,
    queue_limit: Family<Alone, Gauge>,
    oldest_age: Family<Alone, Gauge<f64, AtomicU64>>,
    oldest: Oldest,
    latency: Arc<Mutex<Histogram>>,
}

impl Ledger {
    /// Makes the families known; they show nothing until [`Self::begin`].
    pub fn register(&self, to: &mut Registry) {
        to.register(
            "kai_agent_spans_received",
            "Spans taken over from senders; equals acked + dropped + in flight",
            self.received.clone(),
        );
        to.register(
            "kai_agent_spans_refused",
            "Spans refused with the senders told so, where the request could be counted",
            self.refused_spans.clone(),
        );
        to.register(
            "kai_agent_trace_requests_refused",
            "Trace requests refused with the senders told so",
            self.refused_requests.clone(),
        );
        to.register(
            "kai_agent_spans",
            "Spans taken over by what became of them; reason says why they were dropped",
            self.outcomes.clone(),
        );
        to.register(
            "kai_agent_spans_in_flight",
            "Spans that wait or are being sent",
            self.in_flight.clone(),
        );
        to.register(
            "kai_agent_trace_batches",
            "Batches that the endpoint took",
            self.batches.clone(),
        );
        to.register(
            "kai_agent_trace_sent_bytes",
            "Bytes of the batches that the endpoint took",
            self.sent_bytes.clone(),
        );
        to.register(
            "kai_agent_trace_retries",
            "Attempts to send a batch that are repeated, by the gRPC code that they ended with",
            self.retries.clone(),
        );
        to.register(
            "kai_agent_trace_queue_bytes",
            "Bytes of the spans in flight, as charged to the lane's memory",
            self.queue_bytes.clone(),
        );
        to.register(
            "kai_agent_trace_queue_limit_bytes",
            "Bytes of spans at which requests are refused",
            self.queue_limit.clone(),
        );
        to.register(
            "kai_agent_spans_oldest_age_seconds",
            "How long the oldest span in flight has been waiting, 0 without one",
            self.oldest_age.clone(),
        );
    }

    /// Shows every series from now on, at 0, so that the first loss is an increase.
    pub fn begin(&self, queue_limit: u64) {
        for transport in Transport::ALL {
            let transport = transport.word();
            drop(self.received.get_or_create(&By { transport }));
            for reason in Refusal::REASONS {
                let labels = Refused { transport, reason };
                if Refusal::COUNTED.contains(&reason) {
                    drop(self.refused_spans.get_or_create(&labels));
                }
                drop(self.refused_requests.get_or_create(&labels));
            }
        }
        drop(self.outcomes.get_or_create(&ACKED));
        for loss in Loss::ALL {
            drop(self.outcomes.get_or_create(&dropped(loss)));
        }
        drop(self.in_flight.get_or_create(&Alone {}));
        drop(self.batches.get_or_create(&Alone {}));
        drop(self.sent_bytes.get_or_create(&Alone {}));
        drop(self.queue_bytes.get_or_create(&Alone {}));
        drop(self.oldest_age.get_or_create(&Alone {}));
        self.queue_limit
            .get_or_create(&Alone {})
            .set(queue_limit as i64);
    }

    /// Brings up to date what changes by itself; called before a scrape.
    pub fn refresh(&self) {
        if let Some(gauge) = self.oldest_age.get(&Alone {}) {
            let oldest = *self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
            gauge.set(oldest.map_or(0.0, |oldest| oldest.elapsed().as_secs_f64()));
        }
    }

    pub fn set_oldest(&self, oldest: Option<Instant>) {
        *self.oldest.lock().unwrap_or_else(PoisonError::into_inner) = oldest;
    }

    pub fn received(&self, transport: Transport, spans: u64, queue_bytes: u64) {
        // In flight first: a scrape between the two must not find fewer than were received.
        self.in_flight.get_or_create(&Alone {}).inc_by(spans as i64);
        self.queue_bytes
            .get_or_create(&Alone {})
            .set(queue_bytes as i64);
        let transport = transport.word();
        self.received.get_or_create(&By { transport }).inc_by(spans);
    }

    /// `spans` is 0 where the request could not be read so far that they could be counted.
    pub fn refused(&self, transport: Transport, refusal: &Refusal, spans: u64) {
        let labels = Refused {
            transport: transport.word(),
            reason: refusal.reason(),
        };
        self.refused_requests.get_or_create(&labels).inc();
        if spans > 0 {
            self.refused_spans.get_or_create(&labels).inc_by(spans);
        }
    }

    pub fn acked(&self, spans: u64, bytes: u64) {
        self.outcomes.get_or_create(&ACKED).inc_by(spans);
        self.batches.get_or_create(&Alone {}).inc();
        self.sent_bytes.get_or_create(&Alone {}).inc_by(bytes);
        self.in_flight.get_or_create(&Alone {}).dec_by(spans as i64);
    }

    /// How long ago spans were taken over that are acked now.
    pub fn acked_after(&self, seconds: f64, spans: u64) {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        latency.observe(seconds, spans);
    }

    /// Adds the histogram of it, if the lane runs.
    pub fn write_latency(&self, page: &mut Page) {
        if self.in_flight.get(&Alone {}).is_some() {
            let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
            latency::write(
                page,
                "kai_agent_trace_latency_seconds",
                "Seconds from a span's arrival to its acknowledgement by the endpoint.",
                "",
                [("", &*latency)].into_iter(),
            );
        }
    }

    pub fn dropped(&self, loss: Loss, spans: u64) {
        self.outcomes.get_or_create(&dropped(loss)).inc_by(spans);
        self.in_flight.get_or_create(&Alone {}).dec_by(spans as i64);
    }

    pub fn retried(&self, code: &'static str) {
        self.retries.get_or_create(&Retry { code }).inc();
    }

    pub fn queue_bytes(&self, bytes: u64) {
        self.queue_bytes.get_or_create(&Alone {}).set(bytes as i64);
    }

    /// Spans that wait or are being sent.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
            .get(&Alone {})
            .map_or(0, |gauge| gauge.get().max(0) as u64)
    }

    /// Acked and dropped so far, by the words of the series; for tests and the last line of the log.
    pub fn outcome(&self, outcome: &'static str, reason: &'static str) -> u64 {
        self.outcomes
            .get(&Outcome { outcome, reason })
            .map_or(0, |counter| counter.get())
    }

    /// Bytes that the queue holds now.
    pub fn held_bytes(&self) -> u64 {
        self.queue_bytes
            .get(&Alone {})
            .map_or(0, |gauge| gauge.get().max(0) as u64)
    }
}

const ACKED: Outcome = Outcome {
    outcome: "acked",
    reason: "",
};

fn dropped(loss: Loss) -> Outcome {
    Outcome {
        outcome: "dropped",
        reason: loss.word(),
    }
}
