//! The account of remote write, per receiver: every sample that was taken over is acked, in flight,
//! or dropped for a reason, and no fourth thing. Beside it the series of Prometheus' own remote
//! storage, under their names, so that its rules and dashboards hold here too.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::request::Batch;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct To {
    remote_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Remote {
    remote_name: String,
    url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RemoteReason {
    remote_name: String,
    url: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    remote_name: String,
    outcome: &'static str,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// No labels, and no sample before the lane runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Alone {}

/// Why samples did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The page had the series twice, or the same sample as the page before.
    Duplicate,
    /// Older than what was written already.
    OutOfOrder,
    /// The queue was full; the oldest went.
    QueueFull,
    /// The receiver will not take them, however often they are sent: the status.
    Refused(u16),
    /// The receiver took the request and says that it did not write these.
    NotWritten,
    /// They could not be put into the receiver's version of the protocol.
    Encoding,
    /// The agent ended before they could be sent.
    Shutdown,
}

impl Loss {
    const ALWAYS_SHOWN: [Self; 7] = [
        Self::Duplicate,
        Self::OutOfOrder,
        Self::QueueFull,
        Self::Refused(400),
        Self::NotWritten,
        Self::Encoding,
        Self::Shutdown,
    ];

    pub fn word(self) -> String {
        match self {
            Self::Duplicate => "duplicate".to_owned(),
            Self::OutOfOrder => "out_of_order".to_owned(),
            Self::QueueFull => "queue_full".to_owned(),
            Self::Refused(status) => format!("http_{status}"),
            Self::NotWritten => "not_written".to_owned(),
            Self::Encoding => "encoding".to_owned(),
            Self::Shutdown => "shutdown".to_owned(),
        }
    }
}

/// Why a page was not read at all; how many samples it had is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// Too much waits to be read.
    Busy,
    Malformed,
    /// The clock went back, or the page was told twice.
    OutOfOrder,
}

impl Unread {
    const ALL: [Self; 3] = [Self::Busy, Self::Malformed, Self::OutOfOrder];

    fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Malformed => "malformed",
            Self::OutOfOrder => "out_of_order",
        }
    }
}

/// Counters and gauges; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    received: Family<To, Counter>,
    outcomes: Family<Outcome, Counter>,
    in_flight: Family<To, Gauge>,
    queue_bytes: Family<To, Gauge>,
    queue_limit: Family<To, Gauge>,
    protocol: Family<To, Gauge>,
    unread: Family<Why, Counter>,
    series: Family<Alone, Gauge>,
    samples_in: Family<Alone, Counter>,
    highest_in: Family<Alone, Gauge<f64, AtomicU64>>,
    samples: Family<Remote, Counter>,
    histograms: Family<Remote, Counter>,
    exemplars: Family<Remote, Counter>,
    failed: Family<Remote, Counter>,
    retried: Family<Remote, Counter>,
    dropped: Family<RemoteReason, Counter>,
    pending: Family<Remote, Gauge>,
    bytes: Family<Remote, Counter>,
    highest_sent: Family<Remote, Gauge<f64, AtomicU64>>,
}

impl Ledger {
    /// Makes the families known; they show nothing until [`Self::begin`].
    pub fn register(&self, to: &mut Registry) {
        to.register(
            "kai_agent_remote_write_received_samples",
            "Samples taken over for a receiver; equals acked + dropped + in flight",
            self.received.clone(),
        );
        to.register(
            "kai_agent_remote_write_samples",
            "Samples taken over by what became of them; reason says why they were dropped",
            self.outcomes.clone(),
        );
        to.register(
            "kai_agent_remote_write_in_flight_samples",
            "Samples that wait or are being sent",
            self.in_flight.clone(),
        );
        to.register(
            "kai_agent_remote_write_queue_bytes",
            "Bytes of the requests that wait or are being sent",
            self.queue_bytes.clone(),
        );
        to.register(
            "kai_agent_remote_write_queue_limit_bytes",
            "Bytes at which the oldest requests are dropped",
            self.queue_limit.clone(),
        );
        to.register(
            "kai_agent_remote_write_protocol",
            "Version of the remote write protocol that is spoken with the receiver",
            self.protocol.clone(),
        );
        to.register(
            "kai_agent_remote_write_unread_pages",
            "Pages of which nothing was written, because they could not be read",
            self.unread.clone(),
        );
        to.register(
            "kai_agent_remote_write_series",
            "Series that are written at present and will be marked as stale when they end",
            self.series.clone(),
        );
        to.register(
            "prometheus_remote_storage_samples_in",
            "Samples in to remote storage, compare to samples out for queue managers",
            self.samples_in.clone(),
        );
        to.register(
            "prometheus_remote_storage_highest_timestamp_in_seconds",
            "Highest timestamp that has come into the remote storage via the Appender interface, in \
             seconds since epoch",
            self.highest_in.clone(),
        );
        to.register(
            "prometheus_remote_storage_samples",
            "Total number of samples sent to remote storage",
            self.samples.clone(),
        );
        to.register(
            "prometheus_remote_storage_histograms",
            "Total number of histograms sent to remote storage",
            self.histograms.clone(),
        );
        to.register(
            "prometheus_remote_storage_exemplars",
            "Total number of exemplars sent to remote storage",
            self.exemplars.clone(),
        );
        to.register(
            "prometheus_remote_storage_samples_failed",
            "Total number of samples which failed on send to remote storage, non-recoverable errors",
            self.failed.clone(),
        );
        to.register(
            "prometheus_remote_storage_samples_retried",
            "Total number of samples which failed on send to remote storage but were retried because \
             the send error was recoverable",
            self.retried.clone(),
        );
        to.register(
            "prometheus_remote_storage_samples_dropped",
            "Total number of samples which were dropped before they were sent",
            self.dropped.clone(),
        );
        to.register(
            "prometheus_remote_storage_samples_pending",
            "The number of samples pending in the queues to be sent to the remote storage",
            self.pending.clone(),
        );
        to.register(
            "prometheus_remote_storage_bytes",
            "The total number of bytes of data sent by the queue after compression",
            self.bytes.clone(),
        );
        to.register(
            "prometheus_remote_storage_queue_highest_sent_timestamp_seconds",
            "Timestamp from a WAL sample, the highest timestamp successfully sent by this queue, in \
             seconds since epoch",
            self.highest_sent.clone(),
        );
    }

    /// Shows what belongs to no receiver from now on.
    pub fn begin(&self) {
        for why in Unread::ALL {
            drop(self.unread.get_or_create(&Why { reason: why.word() }));
        }
        drop(self.series.get_or_create(&Alone {}));
        drop(self.samples_in.get_or_create(&Alone {}));
    }

    /// The account of one receiver, every series at 0, so that the first loss is an increase.
    pub fn account(&self, name: &str, url: &str, queue_limit: u64) -> Account {
        let to = To {
            remote_name: name.to_owned(),
        };
        let remote = Remote {
            remote_name: name.to_owned(),
            url: url.to_owned(),
        };
        self.queue_limit.get_or_create(&to).set(queue_limit as i64);
        let account = Account {
            received: self.received.get_or_create(&to).clone(),
            acked: self
                .outcomes
                .get_or_create(&Outcome {
                    remote_name: name.to_owned(),
                    outcome: "acked",
                    reason: String::new(),
                })
                .clone(),
            in_flight: self.in_flight.get_or_create(&to).clone(),
            queue_bytes: self.queue_bytes.get_or_create(&to).clone(),
            protocol: self.protocol.get_or_create(&to).clone(),
            samples: self.samples.get_or_create(&remote).clone(),
            histograms: self.histograms.get_or_create(&remote).clone(),
            exemplars: self.exemplars.get_or_create(&remote).clone(),
            failed: self.failed.get_or_create(&remote).clone(),
            retried: self.retried.get_or_create(&remote).clone(),
            pending: self.pending.get_or_create(&remote).clone(),
            bytes: self.bytes.get_or_create(&remote).clone(),
            highest_sent: self.highest_sent.get_or_create(&remote).clone(),
            outcomes: self.outcomes.clone(),
            dropped: self.dropped.clone(),
            remote,
        };
        for loss in Loss::ALWAYS_SHOWN {
            drop(account.outcomes.get_or_create(&account.outcome(loss)));
        }
        account
    }

    pub fn unread(&self, why: Unread) {
        self.unread.get_or_create(&Why { reason: why.word() }).inc();
    }

    pub fn read(&self, samples: u64, newest: i64) {
        self.samples_in.get_or_create(&Alone {}).inc_by(samples);
        self.highest_in
            .get_or_create(&Alone {})
            .set((newest / 1000) as f64);
    }

    pub fn series(&self, series: usize) {
        self.series.get_or_create(&Alone {}).set(series as i64);
    }

    /// Pages that were not read, for tests.
    pub fn unread_pages(&self) -> u64 {
        let count = |why: &Unread| {
            let labels = Why { reason: why.word() };
            self.unread.get(&labels).map_or(0, |counter| counter.get())
        };
        Unread::ALL.iter().map(count).sum()
    }
}

/// One receiver's part of the ledger.
#[derive(Debug, Clone)]
pub struct Account {
    received: Counter,
    acked: Counter,
    in_flight: Gauge,
    queue_bytes: Gauge,
    protocol: Gauge,
    samples: Counter,
    histograms: Counter,
    exemplars: Counter,
    failed: Counter,
    retried: Counter,
    pending: Gauge,
    bytes: Counter,
    highest_sent: Gauge<f64, AtomicU64>,
    outcomes: Family<Outcome, Counter>,
    dropped: Family<RemoteReason, Counter>,
    remote: Remote,
}

impl Account {
    fn outcome(&self, loss: Loss) -> Outcome {
        Outcome {
            remote_name: self.remote.remote_name.clone(),
            outcome: "dropped",
            reason: loss.word(),
        }
    }

    pub fn received(&self, samples: u64) {
        // In flight first: a scrape between the two must not find fewer than were received.
        self.in_flight.inc_by(samples as i64);
        self.pending.inc_by(samples as i64);
        self.received.inc_by(samples);
    }

    pub fn queue_bytes(&self, bytes: u64) {
        self.queue_bytes.set(bytes as i64);
    }

    pub fn protocol(&self, version: u8) {
        self.protocol.set(version.into());
    }

    pub fn attempt(&self, batch: &Batch) {
        self.samples.inc_by(batch.samples);
        self.histograms.inc_by(batch.histograms);
        self.exemplars.inc_by(batch.exemplars);
    }

    pub fn retried(&self, samples: u64) {
        self.retried.inc_by(samples);
    }

    pub fn acked(&self, samples: u64, bytes: u64, newest: i64) {
        self.acked.inc_by(samples);
        self.bytes.inc_by(bytes);
        self.highest_sent.set((newest / 1000) as f64);
        self.settled(samples);
    }

    pub fn dropped(&self, loss: Loss, samples: u64) {
        if samples == 0 {
            return;
        }
        self.outcomes
            .get_or_create(&self.outcome(loss))
            .inc_by(samples);
        match loss {
            Loss::Refused(_) | Loss::NotWritten | Loss::Encoding => {
                self.failed.inc_by(samples);
            }
            _ => {
                let labels = RemoteReason {
                    remote_name: self.remote.remote_name.clone(),
                    url: self.remote.url.clone(),
                    reason: loss.word(),
                };
                self.dropped.get_or_create(&labels).inc_by(samples);
            }
        }
        self.settled(samples);
    }

    fn settled(&self, samples: u64) {
        self.in_flight.dec_by(samples as i64);
        self.pending.dec_by(samples as i64);
    }

    pub fn in_flight(&self) -> u64 {
        self.in_flight.get().max(0) as u64
    }

    pub fn acked_so_far(&self) -> u64 {
        self.acked.get()
    }

    pub fn received_so_far(&self) -> u64 {
        self.received.get()
    }

    pub fn dropped_so_far(&self, loss: Loss) -> u64 {
        self.outcomes
            .get(&self.outcome(loss))
            .map_or(0, |counter| counter.get())
    }
}
