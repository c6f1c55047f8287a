//! Who is told, and how each is reached: the stack's systems, and the receivers of the service's
//! team as for an alert of severity info. Pure; secrets are references.

use std::collections::BTreeMap;

use super::{Deploy, Told};
use crate::components::Attempt;
use crate::layout::Layout;
use crate::model::{Channel, Connection, Placement, SecretRef, Severity, Smtp, Stack, Team};
use crate::object::System;
use crate::render::{accesses, local, stand_in};
use crate::world;

/// PagerDuty's change events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/change/enqueue";

/// One recipient.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// `elasticsearch`, `grafana`, `pagerduty`, `slack`, `email`.
    pub name: &'static str,
    /// Whom that is, without secrets.
    pub place: String,
    /// How it is told, or why it is not.
    pub way: Result<Way, Told>,
}

#[derive(Debug, Clone)]
pub enum Way {
    Elasticsearch(Connection),
    Grafana(Connection),
    Pagerduty {
        url: String,
        key: Key,
    },
    /// The whole address is the secret.
    Slack(Key),
    Email {
        to: String,
        /// `None`: this machine's inbox, at a port.
        smtp: Result<Smtp, u16>,
    },
}

/// A vendor's secret, or the local inbox's own key, which is none.
#[derive(Debug, Clone)]
pub enum Key {
    Secret(SecretRef),
    StandIn(String),
}

/// All that there could be, in the order in which they are told: who can be asked again first.
pub fn recipients(stack: &Stack, layout: &Layout, deploy: &Deploy) -> Vec<Recipient> {
    let not_installed = world::not_installed(layout);
    let mut accesses = accesses(stack, layout);
    let mut system = |name| system(stack, name, accesses.remove(&name), &not_installed);
    let mut out = vec![system(System::Elasticsearch), system(System::Grafana)];
    if let Some(team) = stack.teams.get(&deploy.team) {
        out.extend(
            [Channel::Pagerduty, Channel::Slack, Channel::Email]
                .map(|channel| receiver(stack, team, channel)),
        );
    }
    out
}

fn system(
    stack: &Stack,
    system: System,
    access: Option<Connection>,
    not_installed: &BTreeMap<String, Vec<Attempt>>,
) -> Recipient {
    let (name, placement) = match system {
        System::Grafana => (
            "grafana",
            stack.systems.grafana.as_ref().map(|s| &s.placement),
        ),
        _ => (
            "elasticsearch",
            stack.systems.elasticsearch.as_ref().map(|s| &s.placement),
        ),
    };
    let (Some(placement), Some(access)) = (placement, access) else {
        return Recipient {
            name,
            place: "off".to_owned(),
            way: Err(Told::NotAsked(format!("the spec has systems.{name} off"))),
        };
    };
    let place = access.url.clone();
    let missing = matches!(
        placement,
        Placement::Managed {
            required: false,
            ..
        }
    ) && not_installed.contains_key(name);
    let way = if missing {
        Err(Told::NotInstalled(
            "the last provision could not get it, see kai-observe status".to_owned(),
        ))
    } else if system == System::Grafana {
        Ok(Way::Grafana(access))
    } else {
        Ok(Way::Elasticsearch(access))
    };
    Recipient { name, place, way }
}

fn receiver(stack: &Stack, team: &Team, channel: Channel) -> Recipient {
    let name = channel.word();
    let routed = |severity: Severity| {
        stack
            .routing
            .severity
            .get(&severity)
            .is_some_and(|channels| channels.contains(&channel))
    };
    // A change event notifies nobody, so it goes wherever pages of this team go.
    let wanted = match channel {
        Channel::Pagerduty => Severity::ALL.into_iter().any(routed),
        Channel::Slack | Channel::Email => routed(Severity::Info),
    };
    let not_asked = |why: String| Recipient {
        name,
        place: format!("team {}", team.name),
        way: Err(Told::NotAsked(why)),
    };
    if !wanted {
        return not_asked(match channel {
            Channel::Pagerduty => "routing.severity pages nobody".to_owned(),
            _ => format!("routing.severity.info does not have {name}"),
        });
    }
    let inbox = stack.systems.inbox.is_some();
    let (key, hook) = stand_in(stack, &team.name);
    let (real, way) = match channel {
        Channel::Pagerduty => match &team.pagerduty {
            Some(secret) => (
                true,
                Way::Pagerduty {
                    url: PAGERDUTY.to_owned(),
                    key: Key::Secret(secret.clone()),
                },
            ),
            None => (
                false,
                Way::Pagerduty {
                    url: local(stack.ports.inbox_http(), "/v2/change/enqueue"),
                    key: Key::StandIn(key),
                },
            ),
        },
        Channel::Slack => match &team.slack {
            Some(secret) => (true, Way::Slack(Key::Secret(secret.clone()))),
            None => (false, Way::Slack(Key::StandIn(hook))),
        },
        Channel::Email => {
            let to = team
                .email
                .clone()
                .unwrap_or_else(|| format!("{}@localhost", team.name));
            let smtp = stack.smtp.clone().ok_or(stack.ports.inbox_smtp());
            (smtp.is_ok(), Way::Email { to, smtp })
        }
    };
    if !real && !inbox {
        return not_asked(format!(
            "team {} has no {name} address, and the inbox is off",
            team.name
        ));
    }
    let whose = match &way {
        Way::Email { to, .. } => to.clone(),
        _ => format!("team {}", team.name),
    };
    Recipient {
        name,
        place: if real {
            whose
        } else {
            format!("{whose} (local inbox)")
        },
        way: Ok(way),
    }
}
