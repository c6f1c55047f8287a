//! Alertmanager: routes by team and severity, receivers, inhibition, and the process.
//!
//! ```text
//! Watchdog                       → heartbeat
//! drill_id set, real receivers   → drill-<severity>      (a drill never pages a team)
//! team=<t>                       → <t>-warning
//!   severity=<s>                 → <t>-<s>
//! any other team                 → the fallback team's, by severity
//! ```

pub(in crate::render) mod receiver;
mod route;

use std::path::PathBuf;

use serde_json::{Value, json};

use super::secrets::Secrets;
use super::{READY_WITHIN, component, local, notices, yaml};
use crate::layout::Layout;
use crate::model::{Channel, Severity, Stack, Team};
use crate::resource::{Address, Comment, Document, File, Loaded, Process, Reload, Resource};

/// Where one alert of a team and a severity ends, for `verify` and `alerts routes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    pub name: String,
    pub team: String,
    pub severity: Severity,
    pub channels: Vec<Channel>,
    /// Every channel of it ends in this machine's inbox.
    pub stand_in: bool,
}

/// The receivers of every team and severity.
pub fn receivers(stack: &Stack) -> Vec<Receiver> {
    let mut out = Vec::new();
    for team in stack.teams.values() {
        for severity in Severity::ALL {
            let channels = stack
                .routing
                .severity
                .get(&severity)
                .cloned()
                .unwrap_or_default();
            out.push(Receiver {
                name: format!("{}-{}", team.name, severity.word()),
                team: team.name.clone(),
                severity,
                stand_in: channels
                    .iter()
                    .all(|channel| stands_in(stack, team, *channel)),
                channels,
            });
        }
    }
    out
}

fn stands_in(stack: &Stack, team: &Team, channel: Channel) -> bool {
    match channel {
        Channel::Pagerduty => team.pagerduty.is_none(),
        Channel::Slack => team.slack.is_none(),
        Channel::Email => stack.smtp.is_none(),
    }
}

pub fn render(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let Some(settings) = &stack.systems.alertmanager else {
        return Vec::new();
    };
    let mut out = vec![component(
        "alertmanager",
        settings.version.clone(),
        settings.required,
    )];
    let mut secrets = Secrets::below(&layout.root, true);
    let document = document(stack, &mut secrets);
    let main = Address::file("alertmanager/alertmanager.yml");
    let template = Address::file("alertmanager/kai.tmpl");
    let mut config = vec![main.clone(), template.clone()];
    config.extend(secrets.addresses());
    out.push(Resource {
        address: template.clone(),
        document: Document::File(File {
            path: "config/alertmanager/kai.tmpl".into(),
            body: notices::TEMPLATE.into(),
            comment: Comment::GoTemplate,
        }),
        needs: Vec::new(),
    });
    out.extend(secrets.into_resources());
    let path = PathBuf::from("config/alertmanager/alertmanager.yml");
    out.push(Resource {
        address: main,
        document: Document::File(File {
            path: path.clone(),
            body: yaml::to_text(&document),
            comment: Comment::Hash,
        }),
        needs: config.iter().skip(1).cloned().collect(),
    });
    let port = stack.ports.alertmanager();
    let mut needs = vec![Address::component("alertmanager")];
    needs.extend(config.iter().cloned());
    out.push(Resource {
        address: Address::process("alertmanager"),
        needs,
        document: Document::Process(Box::new(Process {
            name: "alertmanager".into(),
            component: "alertmanager".into(),
            program: "alertmanager".into(),
            args: vec![
                format!("--config.file={}", layout.root.join(path).display()),
                format!(
                    "--storage.path={}",
                    layout.root.join("data/alertmanager").display()
                ),
                format!("--web.listen-address=127.0.0.1:{port}"),
                format!("--web.external-url={}", local(port, "/")),
                // One instance: without this it opens a gossip port on every interface.
                "--cluster.listen-address=".into(),
            ],
            env: std::collections::BTreeMap::new(),
            data: vec![PathBuf::from("data/alertmanager")],
            ready: local(port, "/-/ready"),
            ready_within: READY_WITHIN,
            ports: vec![port],
            config,
            loaded: Loaded::Timestamp {
                url: local(port, "/metrics"),
                metric: "alertmanager_config_last_reload_success_timestamp_seconds",
            },
            reload: Reload::Http(local(port, "/-/reload")),
            java: None,
        })),
    });
    out
}

pub(super) fn document(stack: &Stack, secrets: &mut Secrets) -> Value {
    let mut list = Vec::new();
    let real = receivers(stack).iter().any(|receiver| !receiver.stand_in);
    list.push(receiver::heartbeat(stack, secrets));
    for wanted in receivers(stack) {
        let Some(team) = stack.teams.get(&wanted.team) else {
            continue;
        };
        list.push(receiver::receiver_of(stack, secrets, &wanted, team));
    }
    if real {
        list.extend(
            Severity::ALL.map(|severity| receiver::drill_receiver(stack, secrets, severity)),
        );
    }
    json!({
        "route": route::route(stack, real),
        "inhibit_rules": [{
            "source_matchers": ["severity=\"critical\""],
            "target_matchers": ["severity=~\"warning|info\""],
            "equal": ["alertname", "team", "service", "environment", "instance"],
        }],
        "templates": ["kai.tmpl"],
        "receivers": list,
    })
}
