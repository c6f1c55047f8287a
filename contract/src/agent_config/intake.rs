//! Sources of logs that cannot be read again: syslog and OTLP, and the spool that holds what they
//! brought until it is acknowledged.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `syslog:` of a source: where messages are taken. At least one of the three is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Syslog {
    /// `address:port`, usually port 514.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<String>,
    /// `address:port`, usually port 601 or 514; octet counting and lines (RFC 6587).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// RFC 5425, usually port 6514.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<SyslogTls>,
    /// Connections of each listener at most; what comes on top is closed, counted.
    #[serde(default = "default_max_connections")]
    pub max_connections: u32,
    /// A connection that brings nothing for so long is closed; 0: never. A sender may lose the
    /// message that it writes just then.
    #[serde(default)]
    pub idle_seconds: u64,
    /// What the kernel is asked to hold of datagrams that were not read yet.
    #[serde(default = "default_receive_buffer")]
    pub receive_buffer_bytes: u64,
}

/// A TLS listener. The files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyslogTls {
    pub address: String,
    /// PEM: the certificate and what leads to its authority.
    pub cert_file: PathBuf,
    /// PEM.
    pub key_file: PathBuf,
    /// PEM: who signs the senders' certificates; without it any sender is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_file: Option<PathBuf>,
}

/// `otlp:` of a source: log records that come to the addresses of `traces`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OtlpLogs {
    /// Data streams at most; records of further services go to the one of the service `other`.
    #[serde(default = "default_max_data_streams")]
    pub max_data_streams: u32,
    /// Service → team, which its records get as `kai.team`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, String>,
    /// Where records go of services that are not among `services`; each has a data stream of its
    /// own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_data_stream: Option<String>,
}

/// `logs.spool`: where events that cannot be read again wait on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spool {
    /// Bytes on disk at most, divided evenly among the sources that use it.
    #[serde(default = "default_spool_bytes")]
    pub max_bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            max_bytes: default_spool_bytes(),
        }
    }
}

impl Default for Syslog {
    fn default() -> Self {
        Self {
            udp: None,
            tcp: None,
            tls: None,
            max_connections: default_max_connections(),
            idle_seconds: 0,
            receive_buffer_bytes: default_receive_buffer(),
        }
    }
}

impl Default for OtlpLogs {
    fn default() -> Self {
        Self {
            max_data_streams: default_max_data_streams(),
            services: BTreeMap::new(),
            other_data_stream: None,
        }
    }
}

fn default_max_connections() -> u32 {
    256
}

fn default_receive_buffer() -> u64 {
    2 << 20
}

fn default_max_data_streams() -> u32 {
    32
}

fn default_spool_bytes() -> u64 {
    512 << 20
}
