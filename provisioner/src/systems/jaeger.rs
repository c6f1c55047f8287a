//! Jaeger's HTTP API, as far as proofs ask it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::rest::{Rest, RestError};
use crate::model::Connection;

pub struct Jaeger {
    rest: Rest,
}

/// One trace as the API shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Trace {
    pub spans: Vec<Span>,
    #[serde(default)]
    pub processes: BTreeMap<String, Process>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    #[serde(rename = "spanID")]
    pub span_id: String,
    pub operation_name: String,
    #[serde(default)]
    pub tags: Vec<Tag>,
    #[serde(rename = "processID", default)]
    pub process_id: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Tag {
    pub key: String,
    pub value: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    #[serde(default)]
    pub service_name: String,
    #[serde(default)]
    pub tags: Vec<Tag>,
}

impl Span {
    pub fn tag(&self, key: &str) -> Option<&Value> {
        self.tags
            .iter()
            .find(|tag| tag.key == key)
            .map(|tag| &tag.value)
    }
}

impl Jaeger {
    pub fn new(access: &Connection) -> Result<Self, RestError> {
        Ok(Self {
            rest: Rest::new(access)?,
        })
    }

    /// Names of the services that it has spans of.
    pub async fn services(&self) -> Result<Vec<String>, RestError> {
        let path = "/api/services";
        let answer = self.rest.get(path).await?;
        // Jaeger says null where it has none.
        match answer.as_ref().map(|answer| &answer["data"]) {
            Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(names)) => Ok(names
                .iter()
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect()),
            _ => Err(self.unexpected(path, "there is no list of services")),
        }
    }

    /// The trace with this id; `None` where Jaeger has none of it.
    pub async fn trace(&self, id: &str) -> Result<Option<Trace>, RestError> {
        let path = format!("/api/traces/{id}");
        let Some(mut answer) = self.rest.get(&path).await? else {
            return Ok(None);
        };
        let first = answer["data"].get_mut(0).map(Value::take);
        let Some(first) = first else {
            return Ok(None);
        };
        let trace: Trace = serde_json::from_value(first)
            .map_err(|error| self.unexpected(&path, &error.to_string()))?;
        Ok((!trace.spans.is_empty()).then_some(trace))
    }

    fn unexpected(&self, path: &str, reason: &str) -> RestError {
        RestError::Unexpected {
            base: self.rest.base().to_owned(),
            path: path.to_owned(),
            reason: reason.to_owned(),
        }
    }
}
