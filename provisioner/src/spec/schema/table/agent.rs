//! `agent:`, the agent on the node.

use super::super::{Field, Kind, Object};
use super::collectors::COLLECTORS;
use super::kubernetes::RESOURCES;
use crate::spec::format::Format;

pub(super) static AGENT: Object = Object {
    name: "agent",
    doc: "The agent on the node.",
    fields: &[
        Field::new(
            "collectors",
            Kind::Object(&COLLECTORS),
            "{ disable: [netdev] }",
            "Which collectors run.",
        ),
        Field::new(
            "remoteWrite",
            Kind::Map {
                key: Format::Name,
                value: &Kind::Object(&super::remote_write::REMOTE_WRITE),
            },
            "{ central: { url: \"https://mimir.example.org/api/v1/push\" } }",
            "Receivers of what the agent scrapes and is told, by name.",
        ),
        Field::new(
            "otlpMetrics",
            Kind::Object(&super::remote_write::OTLP_METRICS),
            "{ accept: true }",
            "Metrics that services push by OTLP, at the addresses that take spans.",
        ),
        Field::new(
            "discovery",
            Kind::Object(&super::discovery::DISCOVERY),
            "{ files: [/etc/kai/targets/*.yaml] }",
            "Applications that the agent finds by itself.",
        ),
        Field::new(
            "security",
            Kind::Object(&super::security::SECURITY),
            "{}",
            "Security checks: logins, files, sockets, accounts, modules, certificates, updates.",
        ),
        Field::new(
            "logs",
            Kind::Object(&super::intake::INTAKE),
            "{ syslog: { udp: \"0.0.0.0:5514\" }, otlp: true, spool: { size: 512Mi } }",
            "Log events that come to the agent: the journal, syslog, OTLP; and how it sends them.",
        ),
        Field::new(
            "resources",
            Kind::Object(&RESOURCES),
            "{ cpu: 250m, memory: 160Mi }",
            "In a cluster: what each node's agent asks for; 50m and 128Mi where nothing is said.",
        ),
    ],
    reserved: &["lanes", "inventory", "runsOn"],
};
