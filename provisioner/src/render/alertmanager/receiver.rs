//! What each receiver of Alertmanager's configuration holds: PagerDuty, Slack, mail, the heartbeat,
//! with the vendor's address or this machine's inbox.

use serde_json::{Value, json};

use super::{Receiver, Secrets};
use crate::model::{Channel, Severity, Stack, Team};
use crate::render::{local, notices};
use crate::resource::digest;

pub(super) fn heartbeat(stack: &Stack, secrets: &mut Secrets) -> Value {
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

pub(super) fn receiver_of(
    stack: &Stack,
    secrets: &mut Secrets,
    receiver: &Receiver,
    team: &Team,
) -> Value {
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
pub(super) fn drill_receiver(stack: &Stack, secrets: &mut Secrets, severity: Severity) -> Value {
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
pub(in crate::render) fn inbox_key(stack: &Stack, team: &str) -> String {
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

/// The local inbox's webhook of a team.
pub(in crate::render) fn slack_hook(stack: &Stack, team: &str) -> String {
    let path = format!(
        "/services/T00000KAI/B{}/{}",
        slug(team),
        &inbox_key(stack, team)[..24]
    );
    local(stack.ports.inbox_http(), &path)
}

fn slack(stack: &Stack, team: &str) -> Value {
    json!({
        "send_resolved": true,
        "api_url": slack_hook(stack, team),
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
