//! `agent.logs` of the spec: what the agent takes besides the files of services.

use std::net::SocketAddr;
use std::path::PathBuf;

pub use kai_contract::agent_config::{Compress, Journald};

use super::{LogKind, SecretRef, Stack};

/// `agent.logs`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogIntake {
    pub journald: Option<JournalIntake>,
    pub syslog: Option<SyslogIntake>,
    /// In a cluster: lines of the node's pods.
    pub pods: Option<PodLogs>,
    /// Log records are taken at the addresses that take spans.
    pub otlp: bool,
    /// Bytes on disk for what cannot be read again; `None`: it waits in memory.
    pub spool: Option<u64>,
    /// `None`: as the place where the agent runs suggests.
    pub compress: Option<Compress>,
}

/// `agent.logs.journald`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalIntake {
    pub journald: Journald,
    pub kind: LogKind,
}

/// `agent.logs.pods`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLogs {
    /// Empty: all.
    pub namespaces: Vec<String>,
    /// `None`: the usual ones.
    pub labels: Option<Vec<String>>,
    pub wait_ms: u64,
    pub kind: LogKind,
}

/// `agent.logs.syslog`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogIntake {
    pub udp: Option<SocketAddr>,
    pub tcp: Option<SocketAddr>,
    pub tls: Option<SyslogTls>,
    pub time_zone: Option<String>,
    pub kind: LogKind,
    pub connections: u32,
    pub idle_seconds: u64,
}

/// `agent.logs.syslog.tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogTls {
    pub address: SocketAddr,
    pub cert: PathBuf,
    pub key: SecretRef,
    pub client_ca: Option<PathBuf>,
}

impl SyslogIntake {
    /// Key in the spec, address, and whether it is UDP's.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr, bool)> {
        [
            ("udp", self.udp, true),
            ("tcp", self.tcp, false),
            ("tls", self.tls.as_ref().map(|tls| tls.address), false),
        ]
        .into_iter()
        .filter_map(|(key, address, udp)| Some((key, address?, udp)))
        .collect()
    }
}

impl Stack {
    /// What the agent takes, where there is an Elasticsearch that it can go to.
    pub fn log_intake(&self) -> Option<&LogIntake> {
        self.systems.elasticsearch.as_ref()?;
        self.agent.logs.as_ref()
    }

    /// Whether the service may have lines: in files, or by OTLP.
    pub fn may_have_lines(&self, service: &str) -> bool {
        let takes_records = self.log_intake().is_some_and(|intake| intake.otlp);
        let service = self.services.get(service);
        service.is_some_and(|service| takes_records || service.logs.is_some())
    }
}
