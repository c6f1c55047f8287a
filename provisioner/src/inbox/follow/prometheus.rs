//! What Prometheus says of alerts and of faults that services switched on in themselves. The
//! replies are parsed apart from the asking.

use std::collections::BTreeMap;
use std::time::Duration;

use kai_contract::signals::{FAULT_STARTED, LABEL_SEVERITY};
use reqwest::Url;
use serde::Deserialize;

use crate::http;
use crate::inbox::InboxError;
use crate::inbox::client::cause;
use crate::inbox::time::Instant;

const TIMEOUT: Duration = Duration::from_secs(3);
/// The rules change rarely.
const ASK_RULES_EVERY: u32 = 30;

pub type Labels = BTreeMap<String, String>;

/// One look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    pub alerts: Vec<Alert>,
    pub faults: Vec<Fault>,
    /// `for:` in seconds by rule name.
    pub holds: Holds,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    pub labels: Labels,
    pub firing: bool,
    pub active_at: Instant,
    pub value: String,
}

impl Alert {
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// A fault that is on.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub labels: Labels,
    pub started: Instant,
}

#[derive(Debug)]
pub struct Prometheus {
    base: Url,
    http: reqwest::Client,
    holds: Holds,
    looks: u32,
}

impl Prometheus {
    pub fn new(url: &str) -> Result<Self, InboxError> {
        let bad = || InboxError::Address(url.to_owned());
        let mut base = Url::parse(url).map_err(|_| bad())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self {
            base,
            http: http::client(TIMEOUT),
            holds: BTreeMap::new(),
            looks: 0,
        })
    }

    /// Asks once. `Err` says in words why there is no answer.
    pub async fn look(&mut self) -> Result<Look, String> {
        if self.looks.is_multiple_of(ASK_RULES_EVERY) {
            self.holds = holds(&self.get("api/v1/rules", &[("type", "alert")]).await?)?;
        }
        self.looks = self.looks.wrapping_add(1);
        let alerts = alerts(&self.get("api/v1/alerts", &[]).await?)?;
        let query = format!("{FAULT_STARTED} > 0");
        let faults = faults(&self.get("api/v1/query", &[("query", &query)]).await?)?;
        Ok(Look {
            alerts,
            faults,
            holds: self.holds.clone(),
        })
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, String> {
        let mut url = self.base.join(path).map_err(|error| error.to_string())?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let response = self
            .http
            .get(url)
            .send()
            .await
            .map_err(|error| cause(&error))?;
        if !response.status().is_success() {
            return Err(format!("answered {}", response.status()));
        }
        Ok(response
            .bytes()
            .await
            .map_err(|error| cause(&error))?
            .to_vec())
    }
}

#[derive(Deserialize)]
struct Reply<T> {
    data: T,
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let reply: Reply<T> =
        serde_json::from_slice(body).map_err(|error| format!("unexpected answer: {error}"))?;
    Ok(reply.data)
}

/// Reads `/api/v1/alerts`.
pub fn alerts(body: &[u8]) -> Result<Vec<Alert>, String> {
    #[derive(Deserialize)]
    struct Data {
        alerts: Vec<Raw>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        labels: Labels,
        state: String,
        #[serde(default)]
        active_at: String,
        #[serde(default)]
        value: String,
    }
    let data: Data = parse(body)?;
    let read = |raw: Raw| {
        let firing = match raw.state.as_str() {
            "pending" => false,
            "firing" => true,
            _ => return None,
        };
        let active_at = Instant::parse(&raw.active_at)?;
        Some(Alert {
            labels: raw.labels,
            firing,
            active_at,
            value: raw.value,
        })
    };
    Ok(data.alerts.into_iter().filter_map(read).collect())
}

/// Reads `/api/v1/query` of the fault series.
pub fn faults(body: &[u8]) -> Result<Vec<Fault>, String> {
    #[derive(Deserialize)]
    struct Data {
        result: Vec<Sample>,
    }
    #[derive(Deserialize)]
    struct Sample {
        metric: Labels,
        value: (f64, String),
    }
    let data: Data = parse(body)?;
    let read = |sample: Sample| {
        let started = Instant::from_seconds(sample.value.1.parse().ok()?)?;
        Some(Fault {
            labels: sample.metric,
            started,
        })
    };
    Ok(data.result.into_iter().filter_map(read).collect())
}

/// `for` of each rule in seconds. Rules of one name and two severities have holds of their own.
pub type Holds = BTreeMap<(String, String), f64>;

/// Reads `/api/v1/rules?type=alert`.
pub fn holds(body: &[u8]) -> Result<Holds, String> {
    #[derive(Deserialize)]
    struct Data {
        groups: Vec<Group>,
    }
    #[derive(Deserialize)]
    struct Group {
        rules: Vec<Rule>,
    }
    #[derive(Deserialize)]
    struct Rule {
        name: String,
        #[serde(default)]
        duration: f64,
        #[serde(default)]
        labels: BTreeMap<String, String>,
    }
    let data: Data = parse(body)?;
    let rules = data.groups.into_iter().flat_map(|group| group.rules);
    Ok(rules
        .map(|mut rule| {
            let severity = rule.labels.remove(LABEL_SEVERITY).unwrap_or_default();
            ((rule.name, severity), rule.duration)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replies_of_prometheus_are_read() {
        let body = br#"{"status":"success","data":{"alerts":[
            {"labels":{"alertname":"A","team":"t"},"annotations":{},"state":"pending",
             "activeAt":"2026-11-23T09:14:10.123456789Z","value":"6.1e-01"},
            {"labels":{"alertname":"B"},"annotations":{},"state":"inactive","activeAt":"x","value":""}]}}"#;
        let [alert] = alerts(body).unwrap().try_into().unwrap();
        assert_eq!(
            (alert.name(), alert.firing, alert.value.as_str()),
            ("A", false, "6.1e-01")
        );
        assert_eq!(alert.active_at.hms(), "09:14:10");

        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"kai_fault_started_timestamp_seconds","fault":"payment_decline"},
             "value":[1763889300.1,"1763889242.5"]},
            {"metric":{},"value":[1763889300.1,"NaN"]}]}}"#;
        let [fault] = faults(body).unwrap().try_into().unwrap();
        assert_eq!(fault.started, Instant(1_763_889_242_500));

        let body = br#"{"data":{"groups":[{"name":"g","rules":[{"name":"A","duration":30,"type":"alerting"}]}]}}"#;
        assert_eq!(
            holds(body).unwrap()[&("A".to_owned(), String::new())].to_string(),
            "30"
        );
    }

    #[test]
    fn other_replies_are_errors_in_words() {
        for body in [&b"<html>"[..], b"{}", b"{\"data\":{}}"] {
            assert!(alerts(body).unwrap_err().contains("unexpected answer"));
            assert!(faults(body).is_err() && holds(body).is_err());
        }
    }
}
