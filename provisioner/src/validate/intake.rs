//! Checks on `agent.logs`: somebody keeps what is taken, and nobody else listens there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kai_contract::agent_config::JournalProblem;

use super::systems::own_ports;
use super::{Subject, reported};
use crate::model::intake::{LogIntake, SyslogIntake};
use crate::model::{Ports, RunsOn};
use crate::render;
use crate::spec::Findings;
use crate::spec::address::Address;

const PATH: [&str; 2] = ["agent", "logs"];
/// As long as the agent lets a file wait.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

pub(super) fn can_be_taken(subject: &Subject<'_>, findings: &mut Findings) {
    let stack = subject.stack;
    let Some(intake) = &stack.agent.logs else {
        return;
    };
    if stack.systems.elasticsearch.is_none() && !reported(findings, &["systems", "elasticsearch"]) {
        findings
            .warning(
                "log-intake",
                subject.key(&PATH),
                "Elasticsearch is off, so nothing of this is taken",
            )
            .help("switch Elasticsearch on, or take `logs` out");
    }
    if intake.otlp && !reported(findings, &["systems", "jaeger"]) {
        let path = [PATH[0], PATH[1], "otlp"];
        if render::jaeger::otlp(stack).is_none() {
            findings
                .error(
                    "log-intake",
                    subject.at(&path),
                    "log records are taken at the addresses that take spans, and no spans are taken",
                )
                .help("switch Jaeger on; of an external one say where it takes spans: `otlp: http://…`");
        }
    }
    if intake.spool.is_some() && intake.syslog.is_none() && !intake.otlp {
        findings
            .warning(
                "unused",
                subject.key(&[PATH[0], PATH[1], "spool"]),
                "nothing needs a spool: files and the journal are read again",
            )
            .help("take it out, or take `syslog` or `otlp`");
    }
    pods(subject, intake, findings);
    if let Some(journal) = &intake.journald {
        for problem in journal.journald.wrong() {
            let JournalProblem { key, index, .. } = &problem;
            let index = index.to_string();
            let path = [PATH[0], PATH[1], "journald", *key, index.as_str()];
            if !reported(findings, &path) {
                findings
                    .error("log-intake", subject.at(&path), problem.message)
                    .help(problem.help);
            }
        }
    }
    if let Some(syslog) = &intake.syslog {
        let path = [PATH[0], PATH[1], "syslog"];
        if syslog.addresses().is_empty()
            && !["udp", "tcp", "tls"].iter().any(|key| {
                subject
                    .tree
                    .find(&[path[0], path[1], path[2], key])
                    .is_some()
            })
            && !reported(findings, &path)
        {
            findings
                .error(
                    "log-intake",
                    subject.key(&path),
                    "there is no address to take messages at",
                )
                .help("add `udp: \"0.0.0.0:5514\"`, `tcp: …` or `tls: { address: … }`");
        }
        if stack.runs_on == RunsOn::Local {
            ports(subject, syslog, findings);
        }
    }
}

fn pods(subject: &Subject<'_>, intake: &LogIntake, findings: &mut Findings) {
    let path = [PATH[0], PATH[1], "pods"];
    let Some(pods) = intake.pods.as_ref().filter(|_| !reported(findings, &path)) else {
        return;
    };
    if subject.stack.runs_on == RunsOn::Local {
        findings
            .error(
                "not-here",
                subject.key(&path),
                "pods are found in a cluster, and the stack runs on this machine",
            )
            .help("write runsOn: kubernetes, or take `pods` out");
        return;
    }
    if pods.wait_ms > LONGEST_WAIT.as_millis() as u64 {
        let at = [path[0], path[1], path[2], "wait"];
        findings
            .error(
                "log-intake",
                subject.at(&at),
                "`wait` is longer than ten minutes",
            )
            .help("a file waits so long where nobody knows its pod; 10s is usual");
    }
    let discovery = subject.stack.agent.discovery.as_ref();
    if let Some(found) = discovery.and_then(|discovery| discovery.pods.as_ref()) {
        let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        if sorted(&found.namespaces) != sorted(&pods.namespaces) {
            let at = [path[0], path[1], path[2], "namespaces"];
            findings
                .error(
                    "log-intake",
                    subject.at(&at),
                    "`agent.discovery.pods.namespaces` are others, and the agent has one right for both",
                )
                .help("name the same namespaces in both, or none");
        }
    }
}

/// Whether two listeners would get in each other's way.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |address: IpAddr| address.is_unspecified();
    a.port() == b.port() && (a.ip() == b.ip() || any(a.ip()) || any(b.ip()))
}

fn ports(subject: &Subject<'_>, syslog: &SyslogIntake, findings: &mut Findings) {
    let stack = subject.stack;
    let base = stack.ports.base;
    let last = base.saturating_add(Ports::SPAN - 1);
    let own = own_ports(stack.ports);
    let services: BTreeMap<u16, &str> = stack
        .services
        .values()
        .flat_map(|service| [(&service.metrics, service), (&service.health, service)])
        .filter_map(|(page, service)| {
            let address = Address::parse(page.as_deref()?).ok()?;
            address
                .is_loopback()
                .then_some((address.port, service.name.as_str()))
        })
        .collect();
    let mut seen: Vec<(&str, SocketAddr)> = Vec::new();
    for (key, address, udp) in syslog.addresses() {
        let mut path = vec![PATH[0], PATH[1], "syslog", key];
        if key == "tls" {
            path.push("address");
        }
        if reported(findings, &path) || reported(findings, &["ports", "base"]) {
            continue;
        }
        // Everything else of the stack listens by TCP.
        if udp {
            continue;
        }
        let (place, port) = (subject.at(&path), address.port());
        if let Some((other, _)) = seen.iter().find(|(_, other)| clash(*other, address)) {
            findings
                .error(
                    "port-taken",
                    place,
                    format!("`{other}` listens on port {port} as well"),
                )
                .help("give each its own port; only `udp` may have the same");
        } else if let Some(part) = own.get(&port) {
            findings
                .error(
                    "port-taken",
                    place,
                    format!("port {port} belongs to {part} of this stack"),
                )
                .help(format!(
                    "take another port, or move `ports.base` (now {base}) away"
                ));
        } else if let Some(service) = services.get(&port) {
            findings
                .error(
                    "port-taken",
                    place,
                    format!("service `{service}` listens on port {port} as well"),
                )
                .help("take another port");
        } else if (base..=last).contains(&port) {
            findings
                .warning(
                    "port-taken",
                    place,
                    format!("port {port} is among the thirty that the stack keeps"),
                )
                .help(format!(
                    "the stack keeps {base} to {last}; later parts will use it"
                ));
        }
        seen.push((key, address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_clash_where_their_addresses_meet() {
        let clash = |a: &str, b: &str| clash(a.parse().expect("a"), b.parse().expect("b"));
        assert!(clash("0.0.0.0:1", "127.0.0.1:1"));
        assert!(clash("127.0.0.1:1", "127.0.0.1:1"));
        assert!(clash("[::]:1", "127.0.0.1:1"));
        assert!(!clash("127.0.0.1:1", "127.0.0.2:1"));
        assert!(!clash("0.0.0.0:1", "0.0.0.0:2"));
    }
}
