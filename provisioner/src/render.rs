//! From the model to the resources of a stack. Pure: the same model gives the same bytes.

mod agent;
mod alertmanager;
pub mod elasticsearch;
pub mod gate;
pub mod grafana;
pub mod jaeger;
mod kibana;
pub mod kubernetes;
pub mod logs;
mod notices;
mod prometheus;
mod rules;
mod secrets;
mod services;
mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::layout::Layout;
use crate::model::{Connection, Placement, Stack};
use crate::object::System;
use crate::resource::{Address, Component, Document, Resource};

pub use alertmanager::{Receiver, receivers};
pub use prometheus::{Target, targets};
pub use rules::effective_groups;

/// How long a local process may take until it answers on its health address.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Everything that the stack consists of, in an order in which it could be created.
pub fn render(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let mut out = Vec::new();
    out.extend(inbox(stack, layout));
    out.extend(services::render(stack, layout));
    out.extend(elasticsearch::render(stack, layout));
    out.extend(jaeger::render(stack, layout));
    out.extend(agent::render(stack, layout));
    out.extend(alertmanager::render(stack, layout));
    out.extend(prometheus::render(stack, layout));
    out.extend(grafana::render(stack, layout));
    out.extend(kibana::render(stack, layout));
    out
}

/// `http://127.0.0.1:<port><path>`
pub fn local(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}

/// Where Elasticsearch is; nothing when it is off.
pub fn elasticsearch_access(stack: &Stack) -> Option<Connection> {
    let settings = stack.systems.elasticsearch.as_ref()?;
    Some(match &settings.placement {
        Placement::Managed { .. } => Connection {
            url: local(stack.ports.elasticsearch(), ""),
            auth: None,
        },
        Placement::External(connection) => connection.clone(),
    })
}

/// Where each system with objects is: a managed one on its local port.
pub fn accesses(stack: &Stack, layout: &Layout) -> BTreeMap<System, Connection> {
    let (systems, ports) = (&stack.systems, stack.ports);
    let elasticsearch = elasticsearch_access(stack).map(|access| (System::Elasticsearch, access));
    let grafana = systems
        .grafana
        .as_ref()
        .map(|s| (System::Grafana, grafana::access(s, ports, layout)));
    let kibana = systems
        .kibana
        .as_ref()
        .map(|s| (System::Kibana, kibana::access(s, ports)));
    [elasticsearch, grafana, kibana]
        .into_iter()
        .flatten()
        .collect()
}

/// Key and webhook by which this machine's inbox takes a team's notices in.
pub fn stand_in(stack: &Stack, team: &str) -> (String, String) {
    use alertmanager::receiver;
    (
        receiver::inbox_key(stack, team),
        receiver::slack_hook(stack, team),
    )
}

/// A duration in Prometheus' syntax, in the largest unit that divides it.
pub fn duration(value: Duration) -> String {
    let millis = value.as_millis();
    for (unit, size) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
        if millis >= size && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

/// Names of the local processes of this stack.
pub fn process_names(stack: &Stack) -> Vec<String> {
    let mut names = vec!["agent".to_owned()];
    names.extend(stack.systems.inbox.iter().map(|_| "inbox".to_owned()));
    names.extend(
        stack
            .systems
            .alertmanager
            .iter()
            .map(|_| "alertmanager".to_owned()),
    );
    names.extend(
        stack
            .systems
            .prometheus
            .iter()
            .map(|_| "prometheus".to_owned()),
    );
    names.extend(
        stack
            .systems
            .placements()
            .into_iter()
            .filter(|(_, placement)| placement.is_managed())
            .map(|(name, _)| name.to_owned()),
    );
    names.extend(
        stack
            .services
            .values()
            .filter(|service| service.run.is_some())
            .map(|s| s.name.clone()),
    );
    names.sort();
    names
}

/// Prometheus' default of 10 s, where the interval leaves so much.
fn scrape_timeout(interval: Duration) -> Duration {
    interval.min(Duration::from_secs(10))
}

fn component(name: &str, version: Option<String>, required: bool) -> Resource {
    Resource {
        address: Address::component(name),
        document: Document::Component(Component {
            name: name.to_owned(),
            version,
            required,
        }),
        needs: Vec::new(),
    }
}

/// The stand-in for the vendors: this program's own `inbox serve`.
fn inbox(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    use crate::resource::{Loaded, Process, Reload};
    if stack.systems.inbox.is_none() {
        return Vec::new();
    }
    let (http, smtp) = (stack.ports.inbox_http(), stack.ports.inbox_smtp());
    let process = Process {
        name: "inbox".into(),
        component: "kai-observe".into(),
        program: "kai-observe".into(),
        args: vec![
            "inbox".into(),
            "serve".into(),
            format!("--http=127.0.0.1:{http}"),
            format!("--smtp=127.0.0.1:{smtp}"),
            format!("--dir={}", layout.root.join("data/inbox").display()),
            format!("--prometheus={}", local(stack.ports.prometheus(), "")),
            format!("--alertmanager={}", local(stack.ports.alertmanager(), "")),
        ],
        env: BTreeMap::new(),
        data: vec![PathBuf::from("data/inbox")],
        ready: local(http, "/-/ready"),
        ready_within: READY_WITHIN,
        ports: vec![http, smtp],
        config: Vec::new(),
        loaded: Loaded::AtStart,
        reload: Reload::Restart,
        java: None,
    };
    vec![
        component("kai-observe", None, true),
        Resource {
            address: Address::process("inbox"),
            needs: vec![Address::component("kai-observe")],
            document: Document::Process(Box::new(process)),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_use_the_largest_unit_that_divides() {
        for (seconds, text) in [
            (5, "5s"),
            (60, "1m"),
            (90, "90s"),
            (3600, "1h"),
            (86_400 * 15, "15d"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(duration(Duration::from_millis(1_500)), "1500ms");
        assert_eq!(duration(Duration::ZERO), "0ms");
    }
}
