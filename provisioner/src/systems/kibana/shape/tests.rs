//! Shapes of Kibana's exports, and what is drift in them.

use super::*;

fn mark() -> Mark {
    Mark {
        owner: "abc-local".into(),
        address: "kibana/dashboard/logs".into(),
        applied: Some("f00".into()),
    }
}

#[test]
fn a_mark_is_read_back_and_the_description_stays() {
    for about in ["", "All logs."] {
        let body = json!({ "attributes": { "description": about } });
        let marked = marked("dashboard", &body, &mark());
        assert_eq!(mark_of("dashboard", &marked), Some(mark()));
        let text = marked["attributes"]["description"].as_str().unwrap();
        assert!(text.starts_with(about), "{text}");
    }
    let body = json!({ "attributes": { "description": "[managed by hand]" } });
    assert_eq!(mark_of("dashboard", &body), None);
}

#[test]
fn what_is_folded_for_kibana_is_compared_unfolded() {
    let body = json!({
        "attributes": {
            "title": "T",
            "panels": [{ "panelIndex": "p1" }],
            "options": { "useMargins": true },
            "searchSource": { "filter": [] },
        },
        "references": [],
    });
    let object = Object {
        system: crate::object::System::Kibana,
        managed: false,
        access: crate::model::Connection {
            url: "http://k".into(),
            auth: None,
        },
        kind: "dashboard",
        id: "kai-abc-local-logs".into(),
        body: body.clone(),
        secrets: std::collections::BTreeMap::new(),
        keeps: None,
    };
    let folded = fold(&object, &body);
    assert!(folded["attributes"]["panelsJSON"].is_string());
    assert_eq!(unfold(&folded), body);
    let old = Server {
        version: "8.9.2".into(),
        ..Server::default()
    };
    assert!(fit(&object, &old).unwrap_err().contains("8.10"));
    let hidden = Server::default();
    assert!(fit(&object, &hidden).is_ok());
}

/// As Kibana 8 and 9 reply; shapes from Elastic's documents of `_import` and `_export`.
#[test]
fn replies_of_import_and_export_are_understood() {
    let missing = br#"{"statusCode":400,"error":"Bad Request","message":"Error fetching objects to export","attributes":{"objects":[{"id":"x","type":"dashboard","error":{"statusCode":404,"error":"Not Found","message":"Saved object [dashboard/x] not found"}}]}}"#;
    assert!(says_not_found(missing));
    assert!(!says_not_found(
        br#"{"statusCode":400,"message":"[request body.objects]: expected"}"#
    ));
    let errors = import_errors(&json!({
        "success": false, "successCount": 0,
        "errors": [{ "id": "x", "type": "dashboard", "meta": {}, "error": {
            "type": "missing_references", "references": [{ "type": "index-pattern", "id": "v" }] } }],
    }));
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].contains("missing_references") && errors[0].contains("\"v\""),
        "{errors:?}"
    );
    assert_eq!(first_object(b"\n").unwrap(), None);
    assert!(first_object(b"<html>").is_err());
}
