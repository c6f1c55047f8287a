//! `agent.logs`.

use std::path::Path;

use super::{log_kind, secret};
use crate::model::intake::{
    Compress, JournalIntake, Journald, LogIntake, PodLogs, SyslogIntake, SyslogTls,
};
use crate::spec::format::cluster;
use crate::spec::view::View;

pub(super) fn intake(agent: View<'_>, base_dir: &Path) -> Option<LogIntake> {
    agent.given("logs")?;
    let view = agent.child("logs");
    let journald = view.child("journald");
    let pods = view.child("pods");
    let syslog = view.child("syslog");
    let size = view.child("spool").text("size");
    Some(LogIntake {
        journald: view.given("journald").map(|_| JournalIntake {
            journald: Journald {
                units: journald.texts("units"),
                matches: journald.texts("matches"),
                directory: journald.text("directory").map(|path| base_dir.join(path)),
                journalctl: None,
            },
            kind: log_kind(journald),
        }),
        syslog: view.given("syslog").map(|_| SyslogIntake {
            udp: address(syslog, "udp"),
            tcp: address(syslog, "tcp"),
            tls: tls(syslog.child("tls"), base_dir),
            time_zone: syslog.text("timeZone"),
            kind: log_kind(syslog),
            connections: syslog.integer("connections"),
            idle_seconds: syslog.duration("idle").as_secs(),
        }),
        pods: view.given("pods").map(|_| PodLogs {
            namespaces: pods.texts("namespaces"),
            labels: pods.given("labels").map(|_| pods.texts("labels")),
            wait_ms: u64::try_from(pods.duration("wait").as_millis()).unwrap_or(u64::MAX),
            kind: log_kind(pods),
        }),
        otlp: view.boolean("otlp"),
        spool: view
            .given("spool")
            .and_then(|_| cluster::bytes(&size?).ok()),
        compress: match view.text("compress").as_deref() {
            Some("none") => Some(Compress::None),
            Some("gzip") => Some(Compress::Gzip),
            Some("zstd") => Some(Compress::Zstd),
            Some("auto") => Some(Compress::Auto),
            _ => None,
        },
    })
}

fn address(view: View<'_>, key: &str) -> Option<std::net::SocketAddr> {
    view.text(key)?.parse().ok()
}

/// Nothing when a part of it is missing, which the checker has said.
fn tls(view: View<'_>, base_dir: &Path) -> Option<SyslogTls> {
    Some(SyslogTls {
        address: address(view, "address")?,
        cert: base_dir.join(view.text("cert")?),
        key: secret(view.given("key"), base_dir)?,
        client_ca: view.text("clientCa").map(|file| base_dir.join(file)),
    })
}
