//! What comes to the agent besides services' files: the journal, syslog and OTLP, and the spool.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kai_contract::agent_config::{LogSource, OtlpLogs, Spool, Syslog, SyslogTls};

use super::super::elasticsearch::intake_stream;
use super::super::secrets::Secrets;
use crate::model::Stack;
use crate::model::intake::SyslogIntake;

/// Names of the sources; no service may have a dot.
const JOURNAL: &str = "kai.journal";
const SYSLOG: &str = "kai.syslog";
pub const OTLP: &str = "kai.otlp";

pub(super) fn sources(stack: &Stack, secrets: &mut Secrets) -> Vec<(String, LogSource)> {
    let Some(intake) = stack.log_intake() else {
        return Vec::new();
    };
    let team = &stack.routing.fallback_team;
    let fields = |service: &str| super::fields(stack, service, team);
    let mut out = Vec::new();
    if let Some(journal) = &intake.journald {
        let source = LogSource {
            journald: Some(journal.journald.clone()),
            data_stream: intake_stream(stack, "journal"),
            fields: fields("journal"),
            ..LogSource::default()
        };
        out.push((JOURNAL.to_owned(), source));
    }
    if let Some(given) = &intake.syslog {
        let source = LogSource {
            time_zone: given.time_zone.clone(),
            syslog: Some(syslog(given, secrets)),
            data_stream: intake_stream(stack, "syslog"),
            fields: fields("syslog"),
            ..LogSource::default()
        };
        out.push((SYSLOG.to_owned(), source));
    }
    if intake.otlp {
        out.push((OTLP.to_owned(), otlp(stack)));
    }
    out
}

fn syslog(given: &SyslogIntake, secrets: &mut Secrets) -> Syslog {
    Syslog {
        udp: given.udp.map(|address| address.to_string()),
        tcp: given.tcp.map(|address| address.to_string()),
        tls: given.tls.as_ref().map(|tls| SyslogTls {
            address: tls.address.to_string(),
            cert_file: tls.cert.clone(),
            key_file: PathBuf::from(secrets.file("agent-syslog-key", &tls.key)),
            client_ca_file: tls.client_ca.clone(),
        }),
        max_connections: given.connections,
        idle_seconds: given.idle_seconds,
        ..Syslog::default()
    }
}

/// A record says itself of which service it is, and of which team the others' are nobody knows.
pub fn otlp(stack: &Stack) -> LogSource {
    let services = stack.services.values();
    let services: BTreeMap<String, String> = services
        .map(|service| (service.name.clone(), service.team.clone()))
        .collect();
    let usual = OtlpLogs::default();
    let needed = u32::try_from(services.len() + 1).unwrap_or(u32::MAX);
    LogSource {
        // Not by the record's own environment: another name than the stack's has no template.
        data_stream: format!("logs-kai.{{service}}-{}", stack.environment),
        fields: BTreeMap::from([("service.environment".to_owned(), stack.environment.clone())]),
        otlp: Some(OtlpLogs {
            max_data_streams: usual.max_data_streams.max(needed),
            services,
            other_data_stream: Some(intake_stream(stack, "otlp")),
        }),
        ..LogSource::default()
    }
}

pub fn spool(stack: &Stack) -> Option<Spool> {
    let max_bytes = stack.log_intake()?.spool?;
    Some(Spool { max_bytes })
}

/// TCP ports that must be free before the agent starts.
pub fn ports(stack: &Stack) -> Vec<u16> {
    let syslog = stack.log_intake().and_then(|intake| intake.syslog.as_ref());
    let addresses = syslog.map_or_else(Vec::new, SyslogIntake::addresses);
    addresses
        .into_iter()
        .filter(|(_, _, udp)| !udp)
        .map(|(_, address, _)| address.port())
        .collect()
}
