//! PagerDuty Events v2 as its vendor judges it: bytes in, a verdict out. The rules are those of the
//! published API schema (types, required keys, enumerations) and of the reference page beside it
//! (lengths, the 32-character integration key, dedup keys); the wording is what the service answers,
//! because Alertmanager passes it on to the person who has to understand it.

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::message::{Facts, Kind, Status};
use super::redact;
use super::time::Instant;

/// "512 KB": Alertmanager takes it as 512 000 bytes, and so the smaller reading is enforced.
pub const MAX_BODY: usize = 512_000;
const ROUTING_KEY_CHARS: usize = 32;
const MAX_DEDUP_KEY: usize = 255;
const MAX_SUMMARY: usize = 1024;

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
    /// The integration key, where there was one. Never store or log it: see `endpoint`.
    pub routing_key: Option<String>,
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
pub fn endpoint_text(endpoint: Endpoint, routing_key: Option<&str>) -> String {
    match routing_key {
        Some(key) => format!("{} {}", endpoint.path(), redact::token(key)),
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
    let routing_key = routing_key(event, &mut errors);
    let (kind, dedup_key) = match endpoint {
        Endpoint::Alert => action(event, &mut errors),
        Endpoint::Change => (Kind::Change, None),
    };
    payload(event, endpoint, kind, &mut errors);
    if endpoint == Endpoint::Alert {
        for key in ["client", "client_url"] {
            optional_string(event, key, key, &mut errors);
        }
        // An empty one is what Alertmanager sends when no external address is configured.
        optional_url(event, "client_url", "client_url", &mut errors);
    }
    links(event, &mut errors);
    images(event, &mut errors);

    let mut facts = facts(event, kind);
    facts.dedup_key = dedup_key;
    let secrets: Vec<&str> = routing_key.as_deref().into_iter().collect();
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

fn routing_key(event: &Map<String, Value>, errors: &mut Vec<String>) -> Option<String> {
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
            Some(key.clone())
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

fn action(event: &Map<String, Value>, errors: &mut Vec<String>) -> (Kind, Option<String>) {
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

fn payload(event: &Map<String, Value>, endpoint: Endpoint, kind: Kind, errors: &mut Vec<String>) {
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

fn links(event: &Map<String, Value>, errors: &mut Vec<String>) {
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

fn images(event: &Map<String, Value>, errors: &mut Vec<String>) {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "e93facc04764012d7bfb002500d5d1a6";

    fn trigger() -> Value {
        json!({
            "routing_key": KEY, "event_action": "trigger", "dedup_key": "9f1c",
            "client": "Alertmanager", "client_url": "http://127.0.0.1:7074",
            "payload": {
                "summary": "61% of payments declined", "source": "booking", "severity": "critical",
                "component": "payment", "group": "local", "class": "business",
                "custom_details": {
                    "alertname": "PaymentFailureRateHigh", "team": "payment", "severity": "critical",
                    "drill_id": "", "num_firing": "1", "status": "firing"
                },
            },
            "links": [{"href": "http://runbooks.example/x", "text": "Runbook"}],
        })
    }

    fn errors(endpoint: Endpoint, event: &Value) -> Vec<String> {
        let judged = judge(endpoint, event.to_string().as_bytes());
        judged
            .refusal
            .map(|refusal| refusal.errors)
            .unwrap_or_default()
    }

    #[test]
    fn what_alertmanager_sends_is_accepted_and_read() {
        let judged = judge(Endpoint::Alert, trigger().to_string().as_bytes());
        assert_eq!(judged.refusal, None);
        assert_eq!(judged.kind, Kind::Trigger);
        assert_eq!(
            judged.facts.alertname.as_deref(),
            Some("PaymentFailureRateHigh")
        );
        assert_eq!(judged.facts.team.as_deref(), Some("payment"));
        assert_eq!(judged.facts.service.as_deref(), Some("payment"));
        assert_eq!(judged.facts.drill_id, None);
        assert_eq!(judged.facts.dedup_key.as_deref(), Some("9f1c"));
        assert_eq!(
            judged.facts.runbook.as_deref(),
            Some("http://runbooks.example/x")
        );
        assert_eq!(
            judged.facts.summary.as_deref(),
            Some("61% of payments declined")
        );
        assert!(!judged.raw.to_string().contains(KEY));
    }

    #[test]
    fn each_rule_is_named_in_the_vendors_words() {
        let cases: &[(&str, Value, &str)] = &[
            ("/routing_key", Value::Null, "'routing_key' cannot be blank"),
            (
                "/routing_key",
                json!("e93facc"),
                "Length of 'routing_key' is incorrect (should be 32 characters)",
            ),
            (
                "/routing_key",
                json!("e93facc0-764012d7bfb002500d5d1a6"),
                "'routing_key' cannot contain non-alphanumeric characters.",
            ),
            (
                "/event_action",
                json!(""),
                "'event_action' is missing or blank",
            ),
            (
                "/event_action",
                json!("open"),
                "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')",
            ),
            (
                "/dedup_key",
                json!("k".repeat(256)),
                "'dedup_key' is too long (maximum is 255 characters)",
            ),
            (
                "/payload/summary",
                json!(" "),
                "'payload.summary' is missing or blank",
            ),
            (
                "/payload/summary",
                json!("s".repeat(1025)),
                "'payload.summary' is too long (maximum is 1024 characters)",
            ),
            (
                "/payload/source",
                json!(""),
                "'payload.source' is missing or blank",
            ),
            (
                "/payload/source",
                json!(1),
                "'payload.source' is invalid (must be a string)",
            ),
            (
                "/payload/severity",
                json!(""),
                "'payload.severity' is missing or blank",
            ),
            (
                "/payload/severity",
                json!("page"),
                "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
            ),
            (
                "/payload/custom_details",
                json!("text"),
                "'payload.custom_details' is invalid (must be an object)",
            ),
            ("/links", json!({}), "'links' is invalid (must be an array)"),
            (
                "/links/0",
                json!("x"),
                "'links[0]' is invalid (must be an object)",
            ),
            (
                "/links/0/href",
                json!("/relative"),
                "'links[0].href' is invalid (must be a URL)",
            ),
            (
                "/client_url",
                json!(7),
                "'client_url' is invalid (must be a string)",
            ),
        ];
        for (pointer, value, expected) in cases {
            let mut event = trigger();
            *event.pointer_mut(pointer).unwrap() = value.clone();
            assert_eq!(errors(Endpoint::Alert, &event), [*expected], "{pointer}");
        }
    }

    #[test]
    fn timestamps_and_images_are_checked() {
        for (stamp, good) in [
            (json!("2015-07-17T08:42:58.315+0000"), true),
            (json!("2015-07-17T08:42:58Z"), true),
            (json!("yesterday"), false),
            (json!(1_437_122_578), false),
        ] {
            let mut event = trigger();
            event["payload"]["timestamp"] = stamp.clone();
            assert_eq!(errors(Endpoint::Alert, &event).is_empty(), good, "{stamp}");
        }
        for (image, good) in [
            (
                json!({"src": "https://example.org/a.png", "href": "", "alt": ""}),
                true,
            ),
            (json!({"src": "http://example.org/a.png"}), false),
            (json!({"href": "https://example.org"}), false),
        ] {
            let mut event = trigger();
            event["images"] = json!([image]);
            assert_eq!(errors(Endpoint::Alert, &event).is_empty(), good, "{image}");
        }
    }

    #[test]
    fn acknowledge_and_resolve_need_a_dedup_key_and_no_payload() {
        for word in ["acknowledge", "resolve"] {
            let event = json!({"routing_key": KEY, "event_action": word, "dedup_key": "a"});
            assert!(errors(Endpoint::Alert, &event).is_empty());
            let event = json!({"routing_key": KEY, "event_action": word});
            assert_eq!(
                errors(Endpoint::Alert, &event),
                ["'dedup_key' is missing or blank"]
            );
        }
        let mut event = trigger();
        event.as_object_mut().unwrap().remove("dedup_key");
        assert!(errors(Endpoint::Alert, &event).is_empty());
        event.as_object_mut().unwrap().remove("payload");
        assert_eq!(
            errors(Endpoint::Alert, &event),
            ["'payload' is missing or blank"]
        );
    }

    #[test]
    fn all_errors_come_at_once() {
        assert_eq!(
            errors(Endpoint::Alert, &json!({})),
            [
                "'routing_key' cannot be blank",
                "'event_action' is missing or blank",
                "'payload' is missing or blank"
            ]
        );
    }

    #[test]
    fn change_events_need_a_summary_only() {
        let event = json!({"routing_key": KEY, "payload": {"summary": "deployed"}});
        assert!(errors(Endpoint::Change, &event).is_empty());
        let event = json!({"routing_key": KEY, "payload": {"source": "ci"}});
        assert_eq!(
            errors(Endpoint::Change, &event),
            ["'payload.summary' is missing or blank"]
        );
    }

    #[test]
    fn what_is_not_json_is_unrecognized_and_masked() {
        let body = format!("{{\"routing_key\": \"{KEY}\",");
        let judged = judge(Endpoint::Alert, body.as_bytes());
        assert_eq!(judged.refusal.unwrap().errors, ["JSON parse error"]);
        assert!(!judged.raw.to_string().contains(KEY));
        let judged = judge(Endpoint::Alert, b"[1]");
        assert_eq!(
            judged.refusal.unwrap().message,
            "Event object format is unrecognized"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_the_key_never_stays(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = judge(Endpoint::Alert, &body);
            let mut event = trigger();
            event["payload"]["summary"] = json!(String::from_utf8_lossy(&body));
            event["payload"]["custom_details"]["note"] = json!(format!("x{KEY}y"));
            let judged = judge(Endpoint::Alert, event.to_string().as_bytes());
            prop_assert!(!judged.raw.to_string().contains(KEY));
        }
    }
}
