//! Prometheus' HTTP API, as far as proofs and drills ask it. Shapes: the "HTTP API" page of its
//! documentation.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::{Api, ApiError};

#[derive(Debug, Clone)]
pub struct Prometheus {
    api: Api,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveTarget {
    pub labels: BTreeMap<String, String>,
    pub health: String,
    #[serde(default)]
    pub last_error: String,
    #[serde(default)]
    pub scrape_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<ActiveTarget>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Group {
    pub name: String,
    #[serde(default)]
    pub file: String,
    pub rules: Vec<LoadedRule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedRule {
    pub name: String,
    #[serde(default)]
    pub query: String,
    pub health: String,
    #[serde(default)]
    pub last_error: Option<String>,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    pub labels: BTreeMap<String, String>,
    pub state: String,
    #[serde(default)]
    pub active_at: Option<String>,
    #[serde(default)]
    pub value: String,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Sample {
    pub metric: BTreeMap<String, String>,
    /// Unix seconds, value as text.
    pub value: (f64, String),
}

/// A sample of one request, as far as it names a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Name of the series.
    pub metric: String,
    pub trace_id: String,
    pub value: String,
    /// Unix seconds.
    pub timestamp: f64,
}

impl Exemplar {
    /// The labels that name a trace, the commonest first.
    pub const TRACE_LABELS: [&'static str; 3] = ["trace_id", "traceID", "traceId"];
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExemplarSeries {
    series_labels: BTreeMap<String, String>,
    exemplars: Vec<RawExemplar>,
}

#[derive(Deserialize)]
struct RawExemplar {
    labels: BTreeMap<String, String>,
    value: String,
    timestamp: f64,
}

#[derive(Deserialize)]
struct Vector {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Build {
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alertmanagers {
    active_alertmanagers: Vec<AlertmanagerUrl>,
}

#[derive(Deserialize)]
struct AlertmanagerUrl {
    url: String,
}

impl Prometheus {
    pub fn new(port: u16) -> Self {
        Self {
            api: Api::local(port),
        }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ApiError> {
        let request = self.api.get(path, query)?;
        Ok(self.api.json::<Envelope<T>>(path, request).await?.data)
    }

    pub async fn version(&self) -> Result<String, ApiError> {
        Ok(self
            .get::<Build>("/api/v1/status/buildinfo", &[])
            .await?
            .version)
    }

    pub async fn targets(&self) -> Result<Vec<ActiveTarget>, ApiError> {
        Ok(self
            .get::<Targets>("/api/v1/targets", &[("state", "active")])
            .await?
            .active_targets)
    }

    pub async fn rules(&self) -> Result<Vec<Group>, ApiError> {
        Ok(self.get::<Groups>("/api/v1/rules", &[]).await?.groups)
    }

    pub async fn alerts(&self) -> Result<Vec<Alert>, ApiError> {
        Ok(self.get::<Alerts>("/api/v1/alerts", &[]).await?.alerts)
    }

    /// An instant vector.
    pub async fn query(&self, expr: &str) -> Result<Vec<Sample>, ApiError> {
        Ok(self
            .get::<Vector>("/api/v1/query", &[("query", expr)])
            .await?
            .result)
    }

    /// The exemplars of the last quarter of an hour that name a trace.
    pub async fn exemplars(&self, selector: &str) -> Result<Vec<Exemplar>, ApiError> {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let (start, end) = ((now - 900).to_string(), (now + 60).to_string());
        let query = [("query", selector), ("start", &start), ("end", &end)];
        let found = self
            .get::<Vec<ExemplarSeries>>("/api/v1/query_exemplars", &query)
            .await?;
        let mut out = Vec::new();
        for series in found {
            let name = series.series_labels.get("__name__");
            for exemplar in series.exemplars {
                let labels = &exemplar.labels;
                let id = Exemplar::TRACE_LABELS.iter().find_map(|l| labels.get(*l));
                out.extend(id.map(|id| Exemplar {
                    metric: name.cloned().unwrap_or_default(),
                    trace_id: id.clone(),
                    value: exemplar.value.clone(),
                    timestamp: exemplar.timestamp,
                }));
            }
        }
        Ok(out)
    }

    /// Addresses of the Alertmanagers that it sends to.
    pub async fn alertmanagers(&self) -> Result<Vec<String>, ApiError> {
        let found = self
            .get::<Alertmanagers>("/api/v1/alertmanagers", &[])
            .await?;
        Ok(found
            .active_alertmanagers
            .into_iter()
            .map(|one| one.url)
            .collect())
    }
}
