//! What each recipient gets, in its own form. Pure.

use serde_json::{Map, Value, json};

use super::{Deploy, Outcome, Way};
use crate::render::elasticsearch::event_stream;

/// Longest summary that PagerDuty takes.
const SUMMARY: usize = 1_024;

/// The data stream of a service's deploys, which `provision` makes a template for.
pub fn data_stream(deploy: &Deploy) -> String {
    event_stream(&deploy.environment, &deploy.service)
}

/// What a recipient would get, without secrets.
pub fn preview(deploy: &Deploy, way: &Way) -> Value {
    match way {
        Way::Elasticsearch(_) => json!({
            "dataStream": data_stream(deploy), "id": deploy.id, "document": document(deploy),
        }),
        Way::Grafana(_) => annotation(deploy),
        Way::Pagerduty { .. } => change(deploy, "…"),
        Way::Slack(_) => slack(deploy),
        Way::Email { to, .. } => {
            let (subject, text) = mail(deploy);
            json!({ "to": to, "subject": subject, "text": text })
        }
    }
}

/// An ECS document: <https://www.elastic.co/docs/reference/ecs>.
pub fn document(deploy: &Deploy) -> Value {
    let (outcome, kind) = match deploy.outcome {
        Outcome::Started => ("unknown", "start"),
        Outcome::Succeeded => ("success", "installation"),
        Outcome::Failed => ("failure", "change"),
        Outcome::RolledBack => ("success", "change"),
    };
    let mut event = json!({
        "id": deploy.id,
        "kind": "event",
        "category": ["package"],
        "type": [kind],
        "action": format!("deploy-{}", deploy.outcome.word()),
        "outcome": outcome,
        "provider": "kai-observe",
    });
    if let Some(url) = &deploy.url {
        event["url"] = json!(url);
    }
    let mut labels = Map::new();
    labels.insert("team".into(), json!(deploy.team));
    labels.insert("stack".into(), json!(deploy.stack));
    labels.insert("deploy_outcome".into(), json!(deploy.outcome.word()));
    if let Some(commit) = &deploy.commit {
        labels.insert("commit".into(), json!(commit));
    }
    let mut document = json!({
        "@timestamp": deploy.at,
        "ecs": { "version": "8.17.0" },
        "message": deploy.title(),
        "event": event,
        "service": {
            "name": deploy.service,
            "version": deploy.version,
            "environment": deploy.environment,
        },
        "labels": labels,
        "tags": ["kai-observe", "deploy"],
    });
    if let Some(by) = &deploy.by {
        document["user"] = json!({ "name": by });
    }
    document
}

/// The tag by which an annotation is found again.
pub fn id_tag(deploy: &Deploy) -> String {
    format!("event:{}", deploy.id)
}

/// Grafana's `PostAnnotationsCmd`: of the organisation, hence for every dashboard.
pub fn annotation(deploy: &Deploy) -> Value {
    let mut text = deploy.title();
    for (name, value) in details(deploy) {
        if ["commit", "by", "url"].contains(&name) {
            text.push_str(&format!("\n{name}: {value}"));
        }
    }
    json!({
        "time": deploy.at_millis,
        "tags": [
            "kai-observe",
            "deploy",
            format!("service:{}", deploy.service),
            format!("environment:{}", deploy.environment),
            format!("version:{}", deploy.version),
            format!("outcome:{}", deploy.outcome.word()),
            id_tag(deploy),
        ],
        "text": text,
    })
}

/// PagerDuty's change event: shown beside incidents, pages nobody.
pub fn change(deploy: &Deploy, routing_key: &str) -> Value {
    let details: Map<String, Value> = details(deploy)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let mut out = json!({
        "routing_key": routing_key,
        "payload": {
            "summary": deploy.title().chars().take(SUMMARY).collect::<String>(),
            "timestamp": deploy.at,
            "source": "kai-observe",
            "custom_details": details,
        },
    });
    if let Some(url) = &deploy.url {
        out["links"] = json!([{ "href": url, "text": "Deploy" }]);
    }
    out
}

/// A message for an incoming webhook.
pub fn slack(deploy: &Deploy) -> Value {
    let color = match deploy.outcome {
        Outcome::Succeeded => "good",
        Outcome::Failed => "danger",
        Outcome::Started | Outcome::RolledBack => "warning",
    };
    let fields: Vec<Value> = details(deploy)
        .into_iter()
        .filter(|(name, _)| *name != "url")
        .map(|(name, value)| json!({ "title": name, "value": escaped(&value), "short": true }))
        .collect();
    let title = deploy.title();
    let mut attachment = json!({
        "color": color,
        "title": escaped(&title),
        "fallback": escaped(&title),
        "fields": fields,
        "ts": deploy.at_millis.div_euclid(1000),
    });
    if let Some(url) = &deploy.url {
        attachment["title_link"] = json!(url);
    }
    json!({ "attachments": [attachment] })
}

/// Slack reads these three as markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Subject and text of a mail.
pub fn mail(deploy: &Deploy) -> (String, String) {
    let title = deploy.title();
    let mut text = format!("{title}\n\n");
    for (name, value) in details(deploy) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    (title, text)
}

/// Everything that is known, by names that the notices of alerts use too.
fn details(deploy: &Deploy) -> Vec<(&'static str, String)> {
    let mut out = vec![
        ("service", deploy.service.clone()),
        ("version", deploy.version.clone()),
        ("outcome", deploy.outcome.word().to_owned()),
        ("team", deploy.team.clone()),
        ("environment", deploy.environment.clone()),
        ("at", deploy.at.clone()),
    ];
    for (name, value) in [
        ("commit", &deploy.commit),
        ("by", &deploy.by),
        ("url", &deploy.url),
    ] {
        if let Some(value) = value {
            out.push((name, value.clone()));
        }
    }
    out.push(("event_id", deploy.id.clone()));
    out
}
