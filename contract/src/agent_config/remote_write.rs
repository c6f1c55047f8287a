//! Prometheus remote write: where what the agent scrapes is sent besides being shown.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::HttpAuth;

/// `remoteWrite:` of the agent's configuration. A change needs a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoteWrite {
    /// Receivers by name; the name is `remote_name` of the series. Each gets every sample.
    pub endpoints: BTreeMap<String, RemoteEndpoint>,
    /// Added to every series that does not have the label itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub external_labels: BTreeMap<String, String>,
    /// Bytes that wait at most, in all; the oldest are dropped then, counted.
    #[serde(default = "default_memory_bytes")]
    pub memory_bytes: u64,
    /// Samples of one request at most.
    #[serde(default = "default_batch_samples")]
    pub batch_samples: u32,
}

/// One receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoteEndpoint {
    /// `http://` or `https://` address, such as `…/api/v1/write`.
    pub url: String,
    /// Version of the protocol to begin with: 2 falls back to 1 where the receiver has only that.
    #[serde(default = "default_protocol")]
    pub protocol: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// PEM file of the authorities that sign the server's certificate; the machine's own when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Sent with each request, such as `X-Scope-OrgID`. No place for secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Milliseconds to wait for an answer.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

impl RemoteEndpoint {
    /// A receiver at `url`, everything else as it is when absent.
    pub fn at(url: String) -> Self {
        Self {
            url,
            protocol: default_protocol(),
            auth: None,
            ca_file: None,
            headers: BTreeMap::new(),
            timeout_ms: default_timeout_ms(),
        }
    }
}

impl RemoteWrite {
    /// To these receivers, everything else as it is when absent.
    pub fn to(endpoints: BTreeMap<String, RemoteEndpoint>) -> Self {
        Self {
            endpoints,
            external_labels: BTreeMap::new(),
            memory_bytes: default_memory_bytes(),
            batch_samples: default_batch_samples(),
        }
    }
}

fn default_memory_bytes() -> u64 {
    16 << 20
}

/// Prometheus' own `max_samples_per_send`.
fn default_batch_samples() -> u32 {
    2_000
}

fn default_protocol() -> u8 {
    2
}

/// Prometheus' own `remote_timeout`.
fn default_timeout_ms() -> u64 {
    30_000
}
