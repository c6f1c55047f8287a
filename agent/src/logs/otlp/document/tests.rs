//! What a log record becomes, over any record.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(value: Json) -> Attributes {
    value.as_object().unwrap().clone()
}

fn shaped(scope: &Scope, record: Record) -> Json {
    let added = [("service.environment", "test"), ("kai.team", "core")];
    let added = added.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Json::Object(shape(scope, record, 1_795_485_989_123, 20, &added.into()).members)
}

#[test]
fn a_record_by_the_names_of_ecs() {
    let scope = Scope {
        resource: object(json!({
            "service.name": "booking", "deployment.environment.name": "production",
            "k8s.pod.name": "booking-1", "host.name": "n1", "service.version": "1.2"
        })),
        attributes: object(json!({ "library": "x" })),
        name: "com.example.Booking".into(),
        version: "3".into(),
    };
    let record = Record {
        time: 1_795_485_989_003_000_000,
        observed: 1_795_485_989_100_000_000,
        severity: 17,
        severity_text: "ERROR".into(),
        body: "held".into(),
        attributes: object(json!({
            "http.request.method": "GET", "exception.type": "IOError", "message": "theirs",
            "host": "x", "a": 1, "a.b": 2, "..c..": true, "seats": ["1A"]
        })),
        dropped_attributes: 2,
        trace: "0af7651916cd43dd8448eb211c80319c".into(),
        span: "b7ad6b7169203331".into(),
        event: "seat.held".into(),
    };
    assert_eq!(
        shaped(&scope, record),
        json!({
            "@timestamp": "2026-11-24T02:06:29.003Z", "message": "held", "log.level": "error",
            "event.severity": 17, "trace.id": "0af7651916cd43dd8448eb211c80319c",
            "span.id": "b7ad6b7169203331", "event.action": "seat.held",
            "log.logger": "com.example.Booking", "otel.scope.version": "3",
            "event.created": "2026-11-24T02:06:29.100Z", "otel.dropped_attributes_count": 2,
            "http.request.method": "GET", "error.type": "IOError", "labels.message": "theirs",
            "labels.host": "x", "labels.a": 1, "a.b": 2, "c": true, "seats": ["1A"], "library": "x",
            "service.name": "booking", "service.environment": "production",
            "kubernetes.pod.name": "booking-1", "host.name": "n1", "service.version": "1.2",
            "kai.team": "core"
        })
    );
}

#[test]
fn bodies_and_levels() {
    let scope = Scope::default();
    let of = |body: Json| {
        let record = Record {
            body,
            ..Record::default()
        };
        shaped(&scope, record)
    };
    let structured = of(json!({ "msg": "held", "n": 1 }));
    assert_eq!(structured["message"], "held");
    assert_eq!(
        structured["body.structured"],
        json!({ "msg": "held", "n": 1 })
    );
    assert_eq!(of(json!([1, 2]))["message"], "[1,2]");
    assert_eq!(of(json!(null)).get("message"), None);
    let long = of("ééééééééééé".into());
    assert_eq!(long["message"], "éééééééééé");
    assert_eq!(long["log.flags"], json!(["truncated"]));
    assert_eq!(long["@timestamp"], "2026-11-24T02:06:29.123Z");
    assert_eq!(long["service.environment"], "test");
    for (number, text, level) in [
        (9, "", Some("info")),
        (0, "Information", Some("info")),
        (13, "odd", Some("warn")),
        (0, "ODD", Some("odd")),
        (0, "", None),
    ] {
        assert_eq!(level_of(number, text).as_deref(), level);
    }
}

proptest! {
    /// Elasticsearch refuses a document in which a name is a plain value and goes on as well.
    #[test]
    fn no_plain_value_has_others_below_it(names in prop::collection::vec("[ab.]{0,5}|host|service.name", 0..12)) {
        let attributes = names.into_iter().map(|name| (name, json!(1))).collect();
        let record = Record { attributes, ..Record::default() };
        let document = shaped(&Scope::default(), record);
        let members = document.as_object().unwrap();
        for name in members.keys() {
            prop_assert!(!name.is_empty() && !name.split('.').any(str::is_empty), "{}", name);
            let below = format!("{name}.");
            let is_above = members.keys().any(|other| other.starts_with(&below));
            prop_assert!(!is_above || name.starts_with("labels."), "{}: {:?}", name, members);
        }
    }
}
