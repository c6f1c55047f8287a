//! The account of OTLP metrics: every data point that was read is stored or refused for a reason,
//! with its sender told so.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    service: String,
}

/// Requests of which nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    transport: &'static str,
    reason: &'static str,
}

/// No labels, and no sample before there is a receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Alone {}

/// Why a point is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The service has as many series as it may.
    Budget,
    /// There are as many services as there may be.
    Services,
    /// Delta points of a type that is not added up.
    Delta,
    /// Neither delta nor cumulative.
    Temporality,
    /// Nothing is left of the name.
    Name,
    /// The name has another type already.
    Type,
    /// Older than what was taken, or the same delta again.
    Old,
    /// Coarser buckets than a native histogram's.
    Scale,
    /// Labels without end.
    TooLong,
}

impl Refused {
    const ALL: [Self; 9] = [
        Self::Budget,
        Self::Services,
        Self::Delta,
        Self::Temporality,
        Self::Name,
        Self::Type,
        Self::Old,
        Self::Scale,
        Self::TooLong,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Services => "services",
            Self::Delta => "delta",
            Self::Temporality => "temporality",
            Self::Name => "name",
            Self::Type => "type",
            Self::Old => "old",
            Self::Scale => "scale",
            Self::TooLong => "too_long",
        }
    }
}

const STORED: Outcome = Outcome {
    outcome: "stored",
    reason: "",
};

fn refused(why: Refused) -> Outcome {
    Outcome {
        outcome: "refused",
        reason: why.word(),
    }
}

#[derive(Debug, Clone, Default)]
pub struct Ledger {
    received: Family<Alone, Counter>,
    outcomes: Family<Outcome, Counter>,
    empty: Family<Alone, Counter>,
    target_info: Family<Alone, Counter>,
    series: Family<Of, Gauge>,
    limit: Family<Alone, Gauge>,
    requests: Family<Request, Counter>,
}

impl Ledger {
    /// Makes the families known; they show nothing until [`Self::begin`].
    pub fn register(&self, to: &mut Registry) {
        to.register(
            "kai_agent_otlp_metric_points_received",
            "Data points read from OTLP requests; equals stored + refused",
            self.received.clone(),
        );
        to.register(
            "kai_agent_otlp_metric_points",
            "Data points by what became of them; reason says why they were refused, with the sender \
             told so",
            self.outcomes.clone(),
        );
        to.register(
            "kai_agent_otlp_metrics_empty",
            "Metrics without data points, or of a type that is not known",
            self.empty.clone(),
        );
        to.register(
            "kai_agent_otlp_target_info_refused",
            "target_info series that had no room in the service's budget",
            self.target_info.clone(),
        );
        to.register(
            "kai_agent_otlp_metric_series",
            "Series that a service has at present",
            self.series.clone(),
        );
        to.register(
            "kai_agent_otlp_metric_series_limit",
            "Series that one service may have; points of others are refused",
            self.limit.clone(),
        );
        to.register(
            "kai_agent_otlp_metric_requests_refused",
            "Metrics requests of which nothing was taken, with the senders told so",
            self.requests.clone(),
        );
    }

    pub fn begin(&self, limit: usize) {
        for alone in [&self.received, &self.empty, &self.target_info] {
            drop(alone.get_or_create(&Alone {}));
        }
        drop(self.outcomes.get_or_create(&STORED));
        for why in Refused::ALL {
            drop(self.outcomes.get_or_create(&refused(why)));
        }
        self.limit.get_or_create(&Alone {}).set(limit as i64);
    }

    pub fn received(&self) {
        self.received.get_or_create(&Alone {}).inc();
    }

    pub fn stored(&self) {
        self.outcomes.get_or_create(&STORED).inc();
    }

    pub fn refused(&self, why: Refused) {
        self.outcomes.get_or_create(&refused(why)).inc();
    }

    pub fn target_info_refused(&self) {
        self.target_info.get_or_create(&Alone {}).inc();
    }

    pub fn empty(&self) {
        self.empty.get_or_create(&Alone {}).inc();
    }

    pub fn request_refused(&self, transport: &'static str, reason: &'static str) {
        let labels = Request { transport, reason };
        self.requests.get_or_create(&labels).inc();
    }

    pub fn series(&self, service: &str, series: usize) {
        let service = service.to_owned();
        self.series
            .get_or_create(&Of { service })
            .set(series as i64);
    }

    pub fn forget(&self, service: &str) {
        let service = service.to_owned();
        self.series.remove(&Of { service });
    }

    /// Points so far, for tests.
    pub fn points(&self, why: Option<Refused>) -> u64 {
        let labels = why.map_or(STORED, refused);
        self.outcomes
            .get(&labels)
            .map_or(0, |counter| counter.get())
    }
}
