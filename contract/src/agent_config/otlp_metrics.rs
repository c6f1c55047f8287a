//! OTLP metrics: what services push to the trace lane's addresses besides spans.

use serde::{Deserialize, Serialize};

use super::{AgentConfig, Problem};

/// `otlpMetrics:` of the agent's configuration. A change needs a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OtlpMetrics {
    /// Series of one service at most; points of others are refused, counted.
    pub series_per_service: u32,
    /// Services at most.
    pub services: u32,
    /// Seconds of silence after which a series has ended.
    pub stale_seconds: u64,
}

impl Default for OtlpMetrics {
    fn default() -> Self {
        Self {
            series_per_service: 5_000,
            services: 64,
            // Prometheus looks back as far for the last sample of a series that nobody ended.
            stale_seconds: 300,
        }
    }
}

impl OtlpMetrics {
    pub(super) fn problems(&self, config: &AgentConfig, found: &mut Vec<Problem>) {
        if config.traces.is_none() {
            found.push(Problem::new(
                "otlpMetrics",
                "metrics are taken at the addresses of traces, and there is no such section; add \
                 traces with grpc or http",
            ));
        }
        let mut range = |key: &str, value: u64, least: u64, most: u64, unit: &str| {
            if !(least..=most).contains(&value) {
                found.push(Problem::new(
                    format!("otlpMetrics.{key}"),
                    format!("{value} is out of range; give {unit} from {least} to {most}"),
                ));
            }
        };
        range(
            "seriesPerService",
            self.series_per_service.into(),
            1,
            1_000_000,
            "series",
        );
        range("services", self.services.into(), 1, 10_000, "services");
        range("staleSeconds", self.stale_seconds, 1, 86_400, "seconds");
    }
}
