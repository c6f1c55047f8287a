//! What the deploy gate asks, and of whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::logs::Elasticsearch;

/// `gate:` of the agent's configuration; read by `kai-agent gate`, not by `run`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elasticsearch: Option<Elasticsearch>,
    #[serde(default)]
    pub services: BTreeMap<String, GateService>,
}

/// The evidence that one service's deploy is judged by. A check that is not given is not asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateService {
    /// Address that must answer 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// Seconds that rates are taken over.
    #[serde(default = "default_window")]
    pub window_seconds: u64,
    /// Fewer requests than this within the window decide nothing.
    #[serde(default = "default_min_requests")]
    pub min_requests: u64,
    /// `PromQL` for the number of failed requests within the window; `$window` stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
    /// `PromQL` for the number of all requests within the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// Failed of all requests at most.
    #[serde(default = "default_max_error_ratio")]
    pub max_error_ratio: f64,
    /// Data stream whose lines of level error are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_stream: Option<String>,
    /// Error lines per minute at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_error_logs_per_minute: Option<f64>,
    /// Any open critical alert with this label `service` fails the gate.
    #[serde(default)]
    pub open_critical_alerts: bool,
}

fn default_window() -> u64 {
    300
}

fn default_min_requests() -> u64 {
    100
}

fn default_max_error_ratio() -> f64 {
    0.01
}
