//! Alertmanager's HTTP API v2, as far as proofs and drills ask it. Shapes: its published OpenAPI
//! document.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::prometheus::ApiError;
use crate::http;

#[derive(Debug, Clone)]
pub struct Alertmanager {
    client: reqwest::Client,
    base: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableAlert {
    pub labels: BTreeMap<String, String>,
    pub status: AlertStatus,
    #[serde(default)]
    pub receivers: Vec<ReceiverName>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertStatus {
    pub state: String,
    #[serde(default)]
    pub silenced_by: Vec<String>,
    #[serde(default)]
    pub inhibited_by: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ReceiverName {
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    version_info: Version,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

impl Alertmanager {
    pub fn new(port: u16) -> Self {
        Self {
            client: http::client(Duration::from_secs(10)),
            base: format!("http://127.0.0.1:{port}"),
        }
    }

    async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, ApiError> {
        let reply = request
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
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|error| ApiError::Unexpected {
            base: self.base.clone(),
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    pub async fn version(&self) -> Result<String, ApiError> {
        let path = "/api/v2/status";
        let request = self.client.get(format!("{}{path}", self.base));
        Ok(self
            .read::<Status>(path, request)
            .await?
            .version_info
            .version)
    }

    /// Alerts whose label has this value.
    pub async fn alerts(&self, label: &str, value: &str) -> Result<Vec<GettableAlert>, ApiError> {
        let path = "/api/v2/alerts";
        let filter = format!("{label}=\"{value}\"");
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.base)).map_err(|error| {
            ApiError::Unexpected {
                base: self.base.clone(),
                path: path.to_owned(),
                reason: error.to_string(),
            }
        })?;
        url.query_pairs_mut().append_pair("filter", &filter);
        self.read(path, self.client.get(url)).await
    }

    /// Puts an alert in, or ends it when `ends_at` has passed. Times are RFC 3339.
    pub async fn post(
        &self,
        labels: &BTreeMap<&str, String>,
        annotations: &BTreeMap<&str, String>,
        starts_at: &str,
        ends_at: &str,
    ) -> Result<(), ApiError> {
        let path = "/api/v2/alerts";
        let body = json!([{ "labels": labels, "annotations": annotations,
                            "startsAt": starts_at, "endsAt": ends_at }]);
        let request = self.client.post(format!("{}{path}", self.base)).json(&body);
        self.read::<Value>(path, request).await.map(|_| ())
    }

    /// Notices handed over and notices that failed, for an integration such as `slack`.
    pub async fn notifications(&self, integration: &str) -> Result<(f64, f64), ApiError> {
        let page = self
            .client
            .get(format!("{}/metrics", self.base))
            .send()
            .await
            .map_err(|error| ApiError::no_answer(&self.base, &error))?
            .text()
            .await
            .map_err(|error| ApiError::no_answer(&self.base, &error))?;
        let label = format!("integration=\"{integration}\"");
        let sum = |metric: &str| -> f64 {
            page.lines()
                .filter(|line| {
                    line.strip_prefix(metric)
                        .is_some_and(|rest| rest.starts_with('{'))
                        && line.contains(&label)
                })
                .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
                .sum()
        };
        Ok((
            sum("alertmanager_notifications_total"),
            sum("alertmanager_notifications_failed_total"),
        ))
    }
}
