//! Every metric of the service in one place. All label combinations that are known beforehand are
//! created at 0: a rule that divides declined by all payments must never read a missing series,
//! and `increase()` must see the step from 0 to 1.

use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::domain::words::{Channel, Method, Outcome, TrainClass};
use crate::faults::Kind;
use crate::word::Word;

mod process;

/// What `Registry` writes, in the words of the `Content-Type` header.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds in seconds; 0.3 is the latency objective.
const SECONDS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0,
];

type Words<const N: usize> = [(&'static str, &'static str); N];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    pub method: &'static str,
    /// The route's template, never the path as sent.
    pub path: &'static str,
    pub code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    pub method: &'static str,
    pub path: &'static str,
}

/// Label of an exemplar: the trace of the request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Traced {
    trace_id: String,
}

type Durations =
    Family<RouteLabels, HistogramWithExemplars<Traced>, fn() -> HistogramWithExemplars<Traced>>;

/// The handles that the rest of the service counts with.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    pub searches: Counter,
    seat_holds: Family<Words<1>, Counter>,
    pub seat_holds_expired: Counter,
    pub bookings_expired: Counter,
    bookings: Family<Words<2>, Counter>,
    payments: Family<Words<2>, Counter>,
    revenue: Family<Words<1>, Counter>,
    pub refunds: Counter,
    faults: Family<Words<1>, Gauge<f64, AtomicU64>>,
    pub log_lines_dropped: Counter,
    pub spans: Spans,
}

/// Spans by what became of them; `ended` less the others is what the full queue dropped or still
/// holds.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    pub ended: Counter,
    pub exported: Counter,
    pub failed: Counter,
}

impl Metrics {
    /// All families at their starting values. `routes` are methods, path templates and codes of
    /// success.
    pub fn new(started_unix_seconds: f64, routes: &[(&'static str, &'static str, u16)]) -> Self {
        let mut registry = Registry::default();
        let requests = Family::<RequestLabels, Counter>::default();
        let durations: Durations =
            Family::new_with_constructor(|| HistogramWithExemplars::new(SECONDS.into_iter()));
        for (method, path, success) in routes {
            drop(durations.get_or_create(&RouteLabels { method, path }));
            for code in [*success, 500] {
                drop(requests.get_or_create(&RequestLabels { method, path, code }));
            }
        }
        let metrics = Self {
            requests,
            durations,
            searches: Counter::default(),
            seat_holds: Family::default(),
            seat_holds_expired: Counter::default(),
            bookings_expired: Counter::default(),
            bookings: Family::default(),
            payments: Family::default(),
            revenue: Family::default(),
            refunds: Counter::default(),
            faults: Family::default(),
            log_lines_dropped: Counter::default(),
            spans: Spans::default(),
            registry: Registry::default(),
        };
        for class in TrainClass::ALL {
            drop(
                metrics
                    .seat_holds
                    .get_or_create(&[("train_class", class.word())]),
            );
        }
        for channel in Channel::ALL {
            drop(
                metrics
                    .revenue
                    .get_or_create(&[("channel", channel.word())]),
            );
            for class in TrainClass::ALL {
                drop(
                    metrics
                        .bookings
                        .get_or_create(&booking_labels(*channel, *class)),
                );
            }
        }
        for method in Method::ALL {
            for outcome in Outcome::ALL {
                drop(
                    metrics
                        .payments
                        .get_or_create(&payment_labels(*method, *outcome)),
                );
            }
        }
        for fault in Kind::ALL {
            drop(metrics.faults.get_or_create(&[("fault", fault.word())]));
        }

        // The library appends `_total` to counters by itself.
        let r = &mut registry;
        r.register(
            "http_requests",
            "HTTP requests answered, by route template and status code",
            metrics.requests.clone(),
        );
        r.register(
            "http_request_duration_seconds",
            "Time from the request's headers to the answer, in seconds",
            metrics.durations.clone(),
        );
        r.register(
            "kai_searches",
            "Train searches answered",
            metrics.searches.clone(),
        );
        r.register(
            "kai_seat_holds",
            "Seat holds granted; one hold can cover several seats",
            metrics.seat_holds.clone(),
        );
        r.register(
            "kai_seat_holds_expired",
            "Seat holds that ran out without becoming a booking",
            metrics.seat_holds_expired.clone(),
        );
        r.register(
            "kai_bookings_expired",
            "Bookings that were not paid for in time",
            metrics.bookings_expired.clone(),
        );
        r.register(
            "kai_bookings",
            "Bookings made from a hold",
            metrics.bookings.clone(),
        );
        r.register(
            "kai_payments",
            "Payments by what the provider answered",
            metrics.payments.clone(),
        );
        r.register(
            "kai_revenue_idr",
            "Rupiah of settled payments, refunds not deducted",
            metrics.revenue.clone(),
        );
        r.register("kai_refunds", "Bookings refunded", metrics.refunds.clone());
        r.register(
            kai_contract::signals::FAULT_STARTED,
            "Unix time at which a fault was switched on, 0 while it is off",
            metrics.faults.clone(),
        );
        r.register(
            "ticketing_log_lines_dropped",
            "Log lines lost because the log could not be written fast enough or at all",
            metrics.log_lines_dropped.clone(),
        );
        r.register(
            "ticketing_spans_ended",
            "Spans finished",
            metrics.spans.ended.clone(),
        );
        r.register(
            "ticketing_spans_exported",
            "Spans accepted by the OTLP endpoint",
            metrics.spans.exported.clone(),
        );
        r.register(
            "ticketing_spans_export_failed",
            "Spans lost because the OTLP endpoint did not accept them",
            metrics.spans.failed.clone(),
        );
        let build = Family::<Words<1>, Gauge>::default();
        build
            .get_or_create(&[("version", env!("CARGO_PKG_VERSION"))])
            .set(1);
        r.register(
            "ticketing_build_info",
            "Always 1; the version of this program",
            build,
        );
        let start = Gauge::<f64, AtomicU64>::default();
        start.set(started_unix_seconds);
        r.register(
            "process_start_time_seconds",
            "Unix time at which this process started",
            start,
        );
        r.register_collector(Box::new(process::ResidentMemory));
        Self {
            registry,
            ..metrics
        }
    }

    /// `trace_id`: of a span that is kept, so that the exemplar leads somewhere.
    pub fn request(
        &self,
        method: &'static str,
        path: &'static str,
        code: u16,
        seconds: f64,
        trace_id: Option<String>,
    ) {
        self.requests
            .get_or_create(&RequestLabels { method, path, code })
            .inc();
        self.durations
            .get_or_create(&RouteLabels { method, path })
            .observe(
                seconds,
                trace_id.map(|trace_id| Traced { trace_id }),
                Some(SystemTime::now()),
            );
    }

    pub fn hold(&self, class: TrainClass) {
        self.seat_holds
            .get_or_create(&[("train_class", class.word())])
            .inc();
    }

    pub fn booking(&self, channel: Channel, class: TrainClass) {
        self.bookings
            .get_or_create(&booking_labels(channel, class))
            .inc();
    }

    /// Counts one payment; a settled one earns `amount` rupiah on the booking's channel.
    pub fn payment(&self, method: Method, outcome: Outcome, channel: Channel, amount: u64) {
        self.payments
            .get_or_create(&payment_labels(method, outcome))
            .inc();
        if outcome == Outcome::Settled {
            self.revenue
                .get_or_create(&[("channel", channel.word())])
                .inc_by(amount);
        }
    }

    /// `started`: Unix seconds, 0 when the fault is off.
    pub fn fault(&self, fault: Kind, started: f64) {
        self.faults
            .get_or_create(&[("fault", fault.word())])
            .set(started);
    }

    /// The page that Prometheus reads, in OpenMetrics text.
    pub fn page(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::with_capacity(32 * 1024);
        prometheus_client::encoding::text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

fn booking_labels(channel: Channel, class: TrainClass) -> Words<2> {
    [("channel", channel.word()), ("train_class", class.word())]
}

fn payment_labels(method: Method, outcome: Outcome) -> Words<2> {
    [("method", method.word()), ("outcome", outcome.word())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_openmetrics_with_every_series_at_zero() {
        let metrics = Metrics::new(1.5, &[("POST", "/v1/payments", 201)]);
        let page = metrics.page().unwrap();
        assert!(page.ends_with("# EOF\n"), "{page}");
        assert!(!page.contains("_total_total"));
        for method in Method::WORDS {
            for outcome in Outcome::WORDS {
                let line =
                    format!("kai_payments_total{{method=\"{method}\",outcome=\"{outcome}\"}} 0\n");
                assert!(page.contains(&line), "{line} in {page}");
            }
        }
        for line in [
            "# TYPE kai_payments counter\n",
            "http_requests_total{method=\"POST\",path=\"/v1/payments\",code=\"500\"} 0\n",
            "http_request_duration_seconds_count{method=\"POST\",path=\"/v1/payments\"} 0\n",
            "kai_fault_started_timestamp_seconds{fault=\"payment_decline\"} 0.0\n",
            "kai_revenue_idr_total{channel=\"kiosk\"} 0\n",
            "kai_searches_total 0\n",
            "process_start_time_seconds 1.5\n",
            "ticketing_build_info{version=\"",
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
    }

    #[test]
    fn only_settled_payments_earn() {
        let metrics = Metrics::new(0.0, &[]);
        metrics.payment(Method::Card, Outcome::Declined, Channel::Web, 150_000);
        metrics.payment(Method::Card, Outcome::Settled, Channel::Web, 150_000);
        let page = metrics.page().unwrap();
        assert!(page.contains("kai_revenue_idr_total{channel=\"web\"} 150000\n"));
        assert!(page.contains("kai_payments_total{method=\"card\",outcome=\"declined\"} 1\n"));
    }
}
