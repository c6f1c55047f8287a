//! Alertmanager's HTTP API v2, as far as proofs and drills ask it. Shapes: its published OpenAPI
//! document.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::api::{Api, ApiError};

#[derive(Debug, Clone)]
pub struct Alertmanager {
    api: Api,
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
            api: Api::local(port),
        }
    }

    pub async fn version(&self) -> Result<String, ApiError> {
        let path = "/api/v2/status";
        let request = self.api.get(path, &[])?;
        Ok(self
            .api
            .json::<Status>(path, request)
            .await?
            .version_info
            .version)
    }

    /// Alerts whose label has this value.
    pub async fn alerts(&self, label: &str, value: &str) -> Result<Vec<GettableAlert>, ApiError> {
        let path = "/api/v2/alerts";
        let request = self
            .api
            .get(path, &[("filter", &format!("{label}=\"{value}\""))])?;
        self.api.json(path, request).await
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
        self.api
            .body(path, self.api.post(path).json(&body))
            .await
            .map(|_| ())
    }

    /// Notices handed over and notices that failed, for an integration such as `slack`.
    pub async fn notifications(&self, integration: &str) -> Result<(f64, f64), ApiError> {
        let path = "/metrics";
        let page = self.api.body(path, self.api.get(path, &[])?).await?;
        let page = String::from_utf8_lossy(&page);
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
