//! Alertmanager: routes by team and severity, receivers, inhibition, and the process.
//!
//! ```text
//! Watchdog                       → heartbeat
//! drill_id set, real receivers   → drill-<severity>      (a drill never pages a team)
//! team=<t>                       → <t>-warning
//!   severity=<s>                 → <t>-<s>
//! any other team                 → the fallback team's, by severity
//! ```

use std::path::PathBuf;

use kai_contract::signals::{LABEL_DRILL, LABEL_SEVERITY, LABEL_TEAM};
use serde_json::{Value, json};

use super::{READY_WITHIN, component, duration, local, notices, yaml};
use crate::layout::Layout;
use crate::model::{Channel, SecretRef, Severity, Stack, Team};
use crate::resource::{
    Address, Comment, Document, File, Loaded, Process, Reload, Resource, Secret, digest,
};

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
    let mut secrets = Secrets {
        root: layout.root.clone(),
        found: Vec::new(),
    };
    let document = document(stack, &mut secrets);
    let main = Address::file("alertmanager/alertmanager.yml");
    let template = Address::file("alertmanager/kai.tmpl");
    let mut config = vec![main.clone(), template.clone()];
    config.extend(secrets.found.iter().map(|(address, _)| address.clone()));
    out.push(Resource {
        address: template.clone(),
        document: Document::File(File {
            path: "config/alertmanager/kai.tmpl".into(),
            body: notices::TEMPLATE.into(),
            comment: Comment::GoTemplate,
        }),
        needs: Vec::new(),
    });
    for (address, secret) in secrets.found {
        out.push(Resource {
            address,
            document: Document::Secret(secret),
            needs: Vec::new(),
        });
    }
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
        })),
    });
    out
}

/// Secret files that the document refers to, collected while it is built.
struct Secrets {
    root: PathBuf,
    found: Vec<(Address, Secret)>,
}

impl Secrets {
    /// The absolute path of the file that will hold the secret.
    fn file(&mut self, name: &str, reference: &SecretRef) -> String {
        let version = digest(format!("{reference}#{}", reference.rotation));
        let name = format!("{name}.{}", &version[..8]);
        let path = PathBuf::from("secrets").join(&name);
        let absolute = self.root.join(&path).display().to_string();
        let address = Address::secret(&name);
        if !self.found.iter().any(|(known, _)| *known == address) {
            self.found.push((
                address,
                Secret {
                    path,
                    reference: reference.clone(),
                },
            ));
        }
        absolute
    }
}

fn document(stack: &Stack, secrets: &mut Secrets) -> Value {
    let mut list = Vec::new();
    let real = receivers(stack).iter().any(|receiver| !receiver.stand_in);
    list.push(heartbeat(stack, secrets));
    for receiver in receivers(stack) {
        let Some(team) = stack.teams.get(&receiver.team) else {
            continue;
        };
        list.push(receiver_of(stack, secrets, &receiver, team));
    }
    if real {
        list.extend(Severity::ALL.map(|severity| drill_receiver(stack, secrets, severity)));
    }
    json!({
        "route": route(stack, real),
        "inhibit_rules": [{
            "source_matchers": ["severity=\"critical\""],
            "target_matchers": ["severity=~\"warning|info\""],
            "equal": ["alertname", "team", "service", "environment", "instance"],
        }],
        "templates": ["kai.tmpl"],
        "receivers": list,
    })
}

fn route(stack: &Stack, drills_apart: bool) -> Value {
    let routing = &stack.routing;
    let severities = |prefix: &str| -> Vec<Value> {
        Severity::ALL
            .iter()
            .map(|severity| {
                json!({ "receiver": format!("{prefix}-{}", severity.word()),
                        "matchers": [format!("{LABEL_SEVERITY}=\"{}\"", severity.word())] })
            })
            .collect()
    };
    let mut routes = vec![json!({
        "receiver": "heartbeat",
        "matchers": ["alertname=\"Watchdog\""],
        "group_wait": "0s",
        "group_interval": "15s",
        "repeat_interval": "15s",
    })];
    if drills_apart {
        routes.push(json!({
            "receiver": "drill-warning",
            "matchers": [format!("{LABEL_DRILL}!=\"\"")],
            "routes": severities("drill"),
        }));
    }
    for team in stack.teams.keys() {
        routes.push(json!({
            "receiver": format!("{team}-warning"),
            "matchers": [format!("{LABEL_TEAM}=\"{team}\"")],
            "routes": severities(team),
        }));
    }
    // What is left has no team, or one that nobody knows.
    routes.extend(severities(&routing.fallback_team));
    let mut group_by = routing.group_by.clone();
    if !group_by
        .iter()
        .any(|label| label == LABEL_DRILL || label == "...")
    {
        // Two drills, or a drill and an incident, never share a notice.
        group_by.push(LABEL_DRILL.to_owned());
    }
    json!({
        "receiver": format!("{}-warning", routing.fallback_team),
        "group_by": group_by,
        "group_wait": duration(routing.group_wait),
        "group_interval": duration(routing.group_interval),
        "repeat_interval": duration(routing.repeat_interval),
        "routes": routes,
    })
}

fn heartbeat(stack: &Stack, secrets: &mut Secrets) -> Value {
    let mut webhook = serde_json::Map::new();
    match &stack.routing.heartbeat {
        Some(reference) => {
            webhook.insert(
                "url_file".into(),
                json!(secrets.file("heartbeat", reference)),
            );
        }
        None => {
            let path = format!("/heartbeat/{}", stack.owner);
            webhook.insert("url".into(), json!(local(stack.ports.inbox_http(), &path)));
        }
    }
    webhook.insert("send_resolved".into(), json!(false));
    if stack.routing.heartbeat.is_none() && stack.systems.inbox.is_none() {
        return json!({ "name": "heartbeat" });
    }
    json!({ "name": "heartbeat", "webhook_configs": [webhook] })
}

fn receiver_of(stack: &Stack, secrets: &mut Secrets, receiver: &Receiver, team: &Team) -> Value {
    let mut out = serde_json::Map::new();
    out.insert("name".into(), json!(receiver.name));
    for channel in &receiver.channels {
        match channel {
            Channel::Pagerduty => {
                let mut config = pagerduty(stack, &team.name);
                if let Some(reference) = &team.pagerduty {
                    use_pagerduty_key(
                        &mut config,
                        secrets.file(&format!("{}-pagerduty", team.name), reference),
                    );
                }
                out.insert("pagerduty_configs".into(), json!([config]));
            }
            Channel::Slack => {
                let mut config = slack(stack, &team.name);
                if let Some(reference) = &team.slack {
                    config["api_url_file"] =
                        json!(secrets.file(&format!("{}-slack", team.name), reference));
                    remove(&mut config, "api_url");
                }
                out.insert("slack_configs".into(), json!([config]));
            }
            Channel::Email => {
                let to = team
                    .email
                    .clone()
                    .unwrap_or_else(|| format!("{}@localhost", team.name));
                out.insert("email_configs".into(), json!([email(stack, secrets, &to)]));
            }
        }
    }
    Value::Object(out)
}

/// Where drills go when some team has a real receiver.
fn drill_receiver(stack: &Stack, secrets: &mut Secrets, severity: Severity) -> Value {
    let mut out = serde_json::Map::new();
    out.insert("name".into(), json!(format!("drill-{}", severity.word())));
    let inbox = stack.systems.inbox.is_some();
    for channel in stack.routing.severity.get(&severity).into_iter().flatten() {
        match (channel, &stack.routing.drill_pagerduty) {
            (Channel::Pagerduty, Some(reference)) => {
                let mut config = pagerduty(stack, "drill");
                use_pagerduty_key(&mut config, secrets.file("drill-pagerduty", reference));
                out.insert("pagerduty_configs".into(), json!([config]));
            }
            (Channel::Pagerduty, None) if inbox => {
                out.insert(
                    "pagerduty_configs".into(),
                    json!([pagerduty(stack, "drill")]),
                );
            }
            (Channel::Slack, _) if inbox => {
                out.insert("slack_configs".into(), json!([slack(stack, "drill")]));
            }
            (Channel::Email, _) if inbox => {
                let mut config = email(stack, secrets, "drill@localhost");
                stand_in_mail(stack, &mut config);
                out.insert("email_configs".into(), json!([config]));
            }
            _ => {}
        }
    }
    Value::Object(out)
}

fn remove(value: &mut Value, key: &str) {
    if let Some(map) = value.as_object_mut() {
        map.shift_remove(key);
    }
}

fn use_pagerduty_key(config: &mut Value, file: String) {
    config["routing_key_file"] = json!(file);
    remove(config, "routing_key");
    // Without `url` Alertmanager uses PagerDuty's own.
    remove(config, "url");
}

/// A key that only this machine's inbox takes; 32 characters as PagerDuty's are.
fn inbox_key(stack: &Stack, team: &str) -> String {
    digest(format!("inbox {} {team}", stack.owner))[..32].to_owned()
}

fn pagerduty(stack: &Stack, team: &str) -> Value {
    json!({
        "send_resolved": true,
        "routing_key": inbox_key(stack, team),
        "url": local(stack.ports.inbox_http(), "/v2/enqueue"),
        "severity": "{{ template \"kai.pagerduty.severity\" . }}",
        "description": "{{ template \"kai.title\" . }}",
        "client": "kai-observe",
        "client_url": "{{ template \"kai.link\" . }}",
        "class": "{{ .CommonLabels.alertname }}",
        "component": "{{ .CommonLabels.service }}",
        "group": "{{ .CommonLabels.team }}",
        "details": notices::details(),
    })
}

fn slack(stack: &Stack, team: &str) -> Value {
    let path = format!(
        "/services/T00000KAI/B{}/{}",
        slug(team),
        &inbox_key(stack, team)[..24]
    );
    json!({
        "send_resolved": true,
        "api_url": local(stack.ports.inbox_http(), &path),
        "color": "{{ template \"kai.slack.color\" . }}",
        "title": "{{ template \"kai.title\" . }}",
        "title_link": "{{ template \"kai.link\" . }}",
        "text": "{{ template \"kai.text\" . }}",
        "fallback": "{{ template \"kai.title\" . }}",
        "fields": notices::fields(),
    })
}

fn slug(team: &str) -> String {
    team.chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_uppercase()
}

fn email(stack: &Stack, secrets: &mut Secrets, to: &str) -> Value {
    let mut config = json!({
        "send_resolved": true,
        "to": to,
        "from": "kai-observe@localhost",
        "headers": notices::headers(),
        "text": "{{ template \"kai.text\" . }}",
        "html": "{{ template \"kai.html\" . }}",
    });
    match &stack.smtp {
        None => stand_in_mail(stack, &mut config),
        Some(smtp) => {
            config["from"] = json!(smtp.from);
            config["smarthost"] = json!(format!("{}:{}", smtp.host, smtp.port));
            if let Some(username) = &smtp.username {
                config["auth_username"] = json!(username);
            }
            if let Some(reference) = &smtp.password {
                config["auth_password_file"] = json!(secrets.file("smtp", reference));
            }
        }
    }
    config
}

fn stand_in_mail(stack: &Stack, config: &mut Value) {
    config["smarthost"] = json!(format!("127.0.0.1:{}", stack.ports.inbox_smtp()));
    config["require_tls"] = json!(false);
    for key in ["auth_username", "auth_password_file"] {
        remove(config, key);
    }
}
