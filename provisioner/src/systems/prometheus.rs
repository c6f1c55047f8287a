//! Prometheus' HTTP API, as far as proofs and drills ask it. Shapes: the "HTTP API" page of its
//! documentation.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http;

#[derive(Debug, Clone)]
pub struct Prometheus {
    client: reqwest::Client,
    base: String,
}

/// A question to a server that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{base} does not answer: {reason}")]
    NoAnswer { base: String, reason: String },
    #[error("{base}{path} answered {status}: {body}")]
    Refused {
        base: String,
        path: String,
        status: u16,
        body: String,
    },
    #[error("{base}{path} answered something else than expected: {reason}")]
    Unexpected {
        base: String,
        path: String,
        reason: String,
    },
}

impl ApiError {
    pub fn no_answer(base: &str, error: &reqwest::Error) -> Self {
        let reason = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "nothing listens there"
        } else {
            "the connection broke"
        };
        Self::NoAnswer {
            base: base.to_owned(),
            reason: reason.to_owned(),
        }
    }
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
            client: http::client(Duration::from_secs(10)),
            base: format!("http://127.0.0.1:{port}"),
        }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ApiError> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.base)).map_err(|error| {
            ApiError::Unexpected {
                base: self.base.clone(),
                path: path.to_owned(),
                reason: error.to_string(),
            }
        })?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let reply = self
            .client
            .get(url)
            .send()
            .await
            .map_err(|error| ApiError::no_answer(&self.base, &error))?;
        let status = reply.status();
        let body = reply
            .bytes()
            .await
            .map_err(|error| ApiError::no_answer(&self.base, &error))?;
        if !status.is_success() {
            return Err(ApiError::Refused {
                base: self.base.clone(),
                path: path.to_owned(),
                status: status.as_u16(),
                body: String::from_utf8_lossy(&body).chars().take(300).collect(),
            });
        }
        serde_json::from_slice::<Envelope<T>>(&body)
            .map(|envelope| envelope.data)
            .map_err(|error| ApiError::Unexpected {
                base: self.base.clone(),
                path: path.to_owned(),
                reason: error.to_string(),
            })
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
