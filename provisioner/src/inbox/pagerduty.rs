//! PagerDuty Events v2 as its vendor judges it: bytes in, a verdict out. The rules are those of the
//! published API schema (types, required keys, enumerations) and of the reference page beside it
//! (lengths, the 32-character integration key, dedup keys); the wording is what the service answers,
//! because Alertmanager passes it on to the person who has to understand it.

mod rules;

use serde_json::{Map, Value, json};

use super::facts::Facts;
use super::message::{Kind, Status};
use super::redact::{self, Token};

/// "512 KB": Alertmanager takes it as 512 000 bytes, and so the smaller reading is enforced.
pub const MAX_BODY: usize = 512_000;

/// Which of the two endpoints was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v2/enqueue`
    Alert,
    /// `/v2/change/enqueue`
    Change,
}

impl Endpoint {
    pub fn path(self) -> &'static str {
        match self {
            Self::Alert => "/v2/enqueue",
            Self::Change => "/v2/change/enqueue",
        }
    }
}

/// What was read out of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The integration key, where there was one.
    pub routing_key: Option<Token>,
    pub kind: Kind,
    pub facts: Facts,
    /// The body without its secrets.
    pub raw: Value,
    pub refusal: Option<Refusal>,
}

/// A `400` in PagerDuty's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: &'static str,
    pub message: &'static str,
    pub errors: Vec<String>,
}

impl Refusal {
    /// The body of the answer.
    pub fn body(&self) -> Value {
        json!({ "status": self.status, "message": self.message, "errors": self.errors })
    }
}

/// The body of `202`.
pub fn success(endpoint: Endpoint, dedup_key: Option<&str>) -> Value {
    match endpoint {
        Endpoint::Alert => json!({
            "status": "success", "message": "Event processed", "dedup_key": dedup_key,
        }),
        Endpoint::Change => json!({ "status": "success", "message": "Change event processed" }),
    }
}

/// The body of `429`.
pub fn throttled() -> Value {
    json!({
        "status": "throttle exceeded",
        "message": "Requests for this service are arriving too quickly.  Please retry later.",
    })
}

/// The body of `413`.
pub fn too_large() -> Value {
    json!({
        "status": "payload too large",
        "message": "Event object is too large",
        "errors": [format!("the maximum size of an event is {MAX_BODY} bytes")],
    })
}

/// Where an event went, as it is kept: `/v2/enqueue …d1a6`.
pub fn endpoint_text(endpoint: Endpoint, routing_key: Option<&Token>) -> String {
    match routing_key {
        Some(key) => format!("{} {key}", endpoint.path()),
        None => endpoint.path().to_owned(),
    }
}

/// Judges one request body.
pub fn judge(endpoint: Endpoint, body: &[u8]) -> Judged {
    let parsed: Result<Value, _> = serde_json::from_slice(body);
    let fallback = match endpoint {
        Endpoint::Alert => Kind::Trigger,
        Endpoint::Change => Kind::Change,
    };
    let unrecognized = |raw: Value, error: &str| Judged {
        routing_key: None,
        kind: fallback,
        facts: Facts::default(),
        raw,
        refusal: Some(Refusal {
            status: "Unrecognized object",
            message: "Event object format is unrecognized",
            errors: vec![error.to_owned()],
        }),
    };
    let Ok(mut raw) = parsed else {
        let text = redact::text(&String::from_utf8_lossy(body));
        return unrecognized(Value::String(text), "JSON parse error");
    };
    let Value::Object(event) = &raw else {
        redact::json(&mut raw, &[]);
        return unrecognized(raw, "the event is not a JSON object");
    };

    let mut errors = Vec::new();
    let routing_key = rules::routing_key(event, &mut errors);
    let (kind, dedup_key) = match endpoint {
        Endpoint::Alert => rules::action(event, &mut errors),
        Endpoint::Change => (Kind::Change, None),
    };
    rules::payload(event, endpoint, kind, &mut errors);
    if endpoint == Endpoint::Alert {
        rules::client(event, &mut errors);
    }
    rules::links(event, &mut errors);
    rules::images(event, &mut errors);

    let mut facts = facts(event, kind);
    facts.dedup_key = dedup_key;
    let secrets: Vec<&str> = routing_key.iter().map(Token::expose).collect();
    redact_facts(&mut facts, &secrets);
    redact::json(&mut raw, &secrets);
    let refusal = (!errors.is_empty()).then_some(Refusal {
        status: "invalid event",
        message: "Event object is invalid",
        errors,
    });
    Judged {
        routing_key,
        kind,
        facts,
        raw,
        refusal,
    }
}

/// What a person and a drill want to know: PagerDuty's own fields first, then what the alert
/// templates put into `custom_details`, which is nearer to the alert's labels.
fn facts(event: &Map<String, Value>, kind: Kind) -> Facts {
    let mut facts = Facts::default();
    let Some(Value::Object(payload)) = event.get("payload") else {
        return facts;
    };
    let text = |key: &str| payload.get(key).and_then(Value::as_str);
    for (name, key) in [
        ("summary", "summary"),
        ("severity", "severity"),
        ("service", "component"),
    ] {
        if let Some(value) = text(key) {
            facts.take(name, value);
        }
    }
    if let Some(Value::Object(details)) = payload.get("custom_details") {
        for (name, value) in details {
            match value {
                // PagerDuty's one-line summary stays what it is, whatever a detail is called.
                _ if name == "summary" => {}
                Value::String(value) => facts.take(name, value),
                Value::Number(value) => facts.take(name, &value.to_string()),
                _ => {}
            }
        }
    }
    if let Some(title) = text("summary") {
        let status = facts.status;
        facts.take_title(title);
        facts.status = status.or(facts.status);
    }
    if facts.runbook.is_none() {
        facts.runbook = runbook_link(event);
    }
    // The action is what the vendor acts on; it wins over what a template says.
    facts.status = match kind {
        Kind::Trigger => Some(Status::Firing),
        Kind::Resolve => Some(Status::Resolved),
        Kind::Acknowledge | Kind::Message | Kind::Change => facts.status,
    };
    facts
}

fn runbook_link(event: &Map<String, Value>) -> Option<String> {
    let links = event.get("links")?.as_array()?;
    links.iter().find_map(|link| {
        let text = link.get("text")?.as_str()?;
        let href = link.get("href")?.as_str()?;
        text.to_ascii_lowercase()
            .contains("runbook")
            .then(|| href.to_owned())
    })
}

fn redact_facts(facts: &mut Facts, secrets: &[&str]) {
    // Through JSON, so that a field added later is not forgotten here.
    if let Ok(mut value) = serde_json::to_value(&*facts) {
        redact::json(&mut value, secrets);
        if let Ok(clean) = serde_json::from_value(value) {
            *facts = clean;
        }
    }
    facts.bound();
}

#[cfg(test)]
mod tests;
