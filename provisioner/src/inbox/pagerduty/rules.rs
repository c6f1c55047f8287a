//! The rules of one event, each adding what it has to say; nothing stops at the first error.

use reqwest::Url;
use serde_json::{Map, Value};

use super::super::message::Kind;
use super::super::redact::Token;
use super::super::time::Instant;
use super::Endpoint;

const ROUTING_KEY_CHARS: usize = 32;
const MAX_DEDUP_KEY: usize = 255;
const MAX_SUMMARY: usize = 1024;

pub fn routing_key(event: &Map<String, Value>, errors: &mut Vec<String>) -> Option<Token> {
    match event.get("routing_key") {
        Some(Value::String(key)) if !key.is_empty() => {
            if key.chars().count() != ROUTING_KEY_CHARS {
                errors.push(format!(
                    "Length of 'routing_key' is incorrect (should be {ROUTING_KEY_CHARS} characters)"
                ));
            }
            if !key.chars().all(|char| char.is_ascii_alphanumeric()) {
                errors.push("'routing_key' cannot contain non-alphanumeric characters.".to_owned());
            }
            Some(Token::new(key))
        }
        None | Some(Value::Null | Value::String(_)) => {
            errors.push("'routing_key' cannot be blank".to_owned());
            None
        }
        Some(_) => {
            errors.push("'routing_key' is invalid (must be a string)".to_owned());
            None
        }
    }
}

pub fn action(event: &Map<String, Value>, errors: &mut Vec<String>) -> (Kind, Option<String>) {
    let kind = match event.get("event_action").and_then(Value::as_str) {
        Some("trigger") => Kind::Trigger,
        Some("acknowledge") => Kind::Acknowledge,
        Some("resolve") => Kind::Resolve,
        word => {
            errors.push(match (event.get("event_action"), word) {
                (None | Some(Value::Null), _) | (_, Some("")) => {
                    "'event_action' is missing or blank".to_owned()
                }
                _ => "'event_action' is invalid (must be one of the following: 'trigger', \
                      'acknowledge' or 'resolve')"
                    .to_owned(),
            });
            Kind::Trigger
        }
    };
    let dedup_key = match event.get("dedup_key") {
        Some(Value::String(key)) => {
            if key.chars().count() > MAX_DEDUP_KEY {
                errors.push(format!(
                    "'dedup_key' is too long (maximum is {MAX_DEDUP_KEY} characters)"
                ));
            }
            Some(key.clone()).filter(|key| !key.trim().is_empty())
        }
        None => None,
        Some(_) => {
            errors.push("'dedup_key' is invalid (must be a string)".to_owned());
            return (kind, None);
        }
    };
    if dedup_key.is_none() && matches!(kind, Kind::Acknowledge | Kind::Resolve) {
        errors.push("'dedup_key' is missing or blank".to_owned());
    }
    (kind, dedup_key)
}

pub fn payload(
    event: &Map<String, Value>,
    endpoint: Endpoint,
    kind: Kind,
    errors: &mut Vec<String>,
) {
    let payload = match event.get("payload") {
        Some(Value::Object(payload)) => payload,
        // Only a trigger and a change say something that needs words.
        None if matches!(kind, Kind::Acknowledge | Kind::Resolve) => return,
        None => {
            errors.push("'payload' is missing or blank".to_owned());
            return;
        }
        Some(_) => {
            errors.push("'payload' is invalid (must be an object)".to_owned());
            return;
        }
    };
    let must_say = matches!(kind, Kind::Trigger | Kind::Change);
    required_string(payload, "summary", must_say, errors);
    if let Some(Value::String(summary)) = payload.get("summary")
        && summary.chars().count() > MAX_SUMMARY
    {
        errors.push(format!(
            "'payload.summary' is too long (maximum is {MAX_SUMMARY} characters)"
        ));
    }
    if endpoint == Endpoint::Alert {
        required_string(payload, "source", must_say, errors);
        match payload.get("severity") {
            Some(Value::String(word))
                if matches!(word.as_str(), "critical" | "warning" | "error" | "info") => {}
            None | Some(Value::Null) => {
                errors.push("'payload.severity' is missing or blank".to_owned());
            }
            Some(Value::String(word)) if word.trim().is_empty() => {
                errors.push("'payload.severity' is missing or blank".to_owned());
            }
            Some(_) => errors.push(
                "'payload.severity' is invalid (must be one of the following: 'critical', \
                 'warning', 'error' or 'info')"
                    .to_owned(),
            ),
        }
        for key in ["component", "group", "class"] {
            optional_string(payload, key, &format!("payload.{key}"), errors);
        }
    } else {
        optional_string(payload, "source", "payload.source", errors);
    }
    match payload.get("timestamp") {
        None => {}
        Some(Value::String(text)) if Instant::parse(text).is_some() => {}
        Some(_) => {
            errors
                .push("'payload.timestamp' is invalid (must be an ISO 8601 date-time)".to_owned());
        }
    }
    if payload
        .get("custom_details")
        .is_some_and(|details| !details.is_object())
    {
        errors.push("'payload.custom_details' is invalid (must be an object)".to_owned());
    }
}

fn required_string(
    payload: &Map<String, Value>,
    key: &str,
    must_say: bool,
    errors: &mut Vec<String>,
) {
    match payload.get(key) {
        Some(Value::String(text)) if !must_say || !text.trim().is_empty() => {}
        None | Some(Value::Null | Value::String(_)) => {
            errors.push(format!("'payload.{key}' is missing or blank"));
        }
        Some(_) => errors.push(format!("'payload.{key}' is invalid (must be a string)")),
    }
}

fn optional_string(map: &Map<String, Value>, key: &str, name: &str, errors: &mut Vec<String>) {
    if map.get(key).is_some_and(|value| !value.is_string()) {
        errors.push(format!("'{name}' is invalid (must be a string)"));
    }
}

fn optional_url(map: &Map<String, Value>, key: &str, name: &str, errors: &mut Vec<String>) {
    if let Some(Value::String(text)) = map.get(key)
        && !text.is_empty()
        && Url::parse(text).is_err()
    {
        errors.push(format!("'{name}' is invalid (must be a URL)"));
    }
}

pub fn links(event: &Map<String, Value>, errors: &mut Vec<String>) {
    for (at, link) in objects(event, "links", errors) {
        let name = format!("links[{at}].href");
        match link.get("href") {
            Some(Value::String(href)) if Url::parse(href).is_ok() => {}
            None => errors.push(format!("'{name}' is missing or blank")),
            Some(_) => errors.push(format!("'{name}' is invalid (must be a URL)")),
        }
        optional_string(link, "text", &format!("links[{at}].text"), errors);
    }
}

pub fn images(event: &Map<String, Value>, errors: &mut Vec<String>) {
    for (at, image) in objects(event, "images", errors) {
        let name = format!("images[{at}].src");
        match image.get("src") {
            // "This image must be served via HTTPS."
            Some(Value::String(src))
                if Url::parse(src).is_ok_and(|url| url.scheme() == "https") => {}
            None => errors.push(format!("'{name}' is missing or blank")),
            Some(_) => errors.push(format!("'{name}' is invalid (must be an https URL)")),
        }
        optional_string(image, "href", &format!("images[{at}].href"), errors);
        optional_url(image, "href", &format!("images[{at}].href"), errors);
        optional_string(image, "alt", &format!("images[{at}].alt"), errors);
    }
}

fn objects<'a>(
    event: &'a Map<String, Value>,
    key: &str,
    errors: &mut Vec<String>,
) -> Vec<(usize, &'a Map<String, Value>)> {
    let items = match event.get(key) {
        None => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(_) => {
            errors.push(format!("'{key}' is invalid (must be an array)"));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match item {
            Value::Object(item) => found.push((at, item)),
            _ => errors.push(format!("'{key}[{at}]' is invalid (must be an object)")),
        }
    }
    found
}

/// `client` and `client_url`. An empty address is what Alertmanager sends when none is configured.
pub fn client(event: &Map<String, Value>, errors: &mut Vec<String>) {
    for key in ["client", "client_url"] {
        optional_string(event, key, key, errors);
    }
    optional_url(event, "client_url", "client_url", errors);
}
