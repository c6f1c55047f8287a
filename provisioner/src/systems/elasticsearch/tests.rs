//! What servers answered, captured, against what was sent to them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::dialect::{DISABLE_OBJECTS, ILM, ISM, LOGSDB, STREAM_LIFECYCLE, SUBOBJECTS};
use super::*;
use crate::object::{Mark, same};

fn server(product: &str, version: &str, features: &[&str]) -> Server {
    Server {
        product: product.into(),
        version: version.into(),
        features: features.iter().map(|f| (*f).to_owned()).collect(),
    }
}

fn object(kind: &'static str, body: Value) -> Object {
    Object {
        system: System::Elasticsearch,
        managed: true,
        access: Connection {
            url: "http://127.0.0.1:1".into(),
            auth: None,
        },
        kind,
        id: "kai-x-logs".into(),
        body,
        secrets: BTreeMap::new(),
    }
}

fn mark() -> Mark {
    Mark {
        owner: "x".into(),
        address: "elasticsearch/index-template/logs".into(),
        applied: Some("0123".into()),
    }
}

fn policy() -> Value {
    json!({ "retention": "30d", "rollover": "1d", "patterns": ["logs-kai.a-local"] })
}

#[test]
fn every_form_of_body_gives_its_mark_back() {
    let template = json!({ "index_patterns": ["a"] });
    let ilm = fit(
        &object(LIFECYCLE, policy()),
        &server("elasticsearch", "9.5.3", &[ILM]),
    );
    let ism = fit(
        &object(LIFECYCLE, policy()),
        &server("opensearch", "3.8.0", &[ISM]),
    );
    for body in [template, ilm.unwrap(), ism.unwrap()] {
        assert_eq!(mark_of("", &body), None);
        assert_eq!(mark_of("", &marked("", &body, &mark())), Some(mark()));
    }
}

#[test]
fn a_server_gets_what_it_can_have() {
    let component = json!({ "template": {
        "settings": { "index": { "mode": "logsdb", "mapping": { "source": { "mode": "stored" } } } },
        "mappings": { "subobjects": false }
    } });
    let component = object(COMPONENT_TEMPLATE, component);
    let elasticsearch = server(
        "elasticsearch",
        "9.5.3",
        &[LOGSDB, SUBOBJECTS, STREAM_LIFECYCLE],
    );
    assert_eq!(fit(&component, &elasticsearch), Ok(component.body.clone()));
    let opensearch = server("opensearch", "3.8.0", &[DISABLE_OBJECTS]);
    assert_eq!(
        fit(&component, &opensearch),
        Ok(json!({ "template": {
            "settings": { "index": { "mapping": {} } },
            "mappings": { "disable_objects": true }
        } }))
    );
    let index = json!({ "index_patterns": ["a"], "allow_auto_create": true, "template": {
        "lifecycle": { "enabled": true, "data_retention": "30d" },
        "settings": { "index": { "lifecycle": { "name": "p" } } }
    } });
    let index = object(INDEX_TEMPLATE, index);
    let has = |features: &[&str], pointer: &str| {
        let fitted = fit(&index, &server("elasticsearch", "9.5.3", features)).unwrap();
        fitted.pointer(pointer).is_some()
    };
    assert!(has(&[STREAM_LIFECYCLE], "/template/lifecycle"));
    assert!(!has(&[STREAM_LIFECYCLE], "/template/settings"));
    assert!(!has(&[STREAM_LIFECYCLE, ILM], "/template/lifecycle"));
    assert!(has(&[ILM], "/template/settings/index/lifecycle/name"));
    assert_eq!(
        fit(&index, &opensearch),
        Ok(json!({ "index_patterns": ["a"] }))
    );
}

#[test]
fn a_policy_without_a_server_for_it_is_left_out_with_the_reason() {
    let policy = object(LIFECYCLE, policy());
    let why = fit(
        &policy,
        &server("elasticsearch", "9.5.3", &[STREAM_LIFECYCLE]),
    )
    .unwrap_err();
    assert!(why.contains("stands in the index template"), "{why}");
    let why = fit(&policy, &server("opensearch", "3.8.0", &[])).unwrap_err();
    assert!(why.contains("no ISM"), "{why}");
}

/// What ILM and ISM add to a policy, by their vendors' own examples; neither runs in the builds
/// that the tests can have.
#[test]
fn policies_are_read_back_as_they_were_written() {
    let wanted = |features: &[&str], product: &str| {
        let body = fit(
            &object(LIFECYCLE, policy()),
            &server(product, "9.0.0", features),
        )
        .unwrap();
        marked(LIFECYCLE, &body, &mark())
    };
    let ilm = wanted(&[ILM], "elasticsearch");
    let mut read = ilm.clone();
    read["version"] = json!(3);
    read["modified_date"] = json!("2026-11-24T02:00:00.000Z");
    read["in_use_by"] = json!({ "indices": [], "data_streams": [], "composable_templates": [] });
    read["policy"]["phases"]["delete"]["actions"]["delete"] =
        json!({ "delete_searchable_snapshot": true });
    assert!(same(&ilm, &project(LIFECYCLE, &ilm, &read)));
    read["policy"]["phases"]["delete"]["min_age"] = json!("1d");
    assert!(!same(&ilm, &project(LIFECYCLE, &ilm, &read)));
    assert!(is_shortened(&read, &ilm) && !is_shortened(&ilm, &read));
    read["policy"]["phases"]["warm"] = json!({ "min_age": "2d", "actions": {} });
    assert!(!same(&ilm, &project(LIFECYCLE, &ilm, &read)));

    let ism = wanted(&[ISM], "opensearch");
    let mut read = json!({ "_id": "p", "_seq_no": 7, "_primary_term": 1, "_version": 1 });
    read["policy"] = ism["policy"].clone();
    read["policy"]["policy_id"] = json!("p");
    read["policy"]["last_updated_time"] = json!(1);
    read["policy"]["schema_version"] = json!(21);
    read["policy"]["error_notification"] = Value::Null;
    read["policy"]["states"][0]["actions"][0]["retry"] =
        json!({ "count": 3, "backoff": "exponential", "delay": "1m" });
    read["policy"]["ism_template"][0]["last_updated_time"] = json!(1);
    assert!(same(&ism, &project(LIFECYCLE, &ism, &read)));
    read["policy"]["states"][1]["actions"] = json!([]);
    assert!(!same(&ism, &project(LIFECYCLE, &ism, &read)));
}

#[test]
fn what_a_build_lacks_is_named() {
    let words =
        |server: &Server| -> Vec<&str> { left_out(server).iter().map(|(what, _)| *what).collect() };
    let few_modules = server(
        "elasticsearch",
        "9.5.3",
        &[
            LOGSDB,
            SUBOBJECTS,
            "ignore-dynamic-beyond-limit",
            STREAM_LIFECYCLE,
        ],
    );
    assert_eq!(words(&few_modules), ["retention"]);
    let old = server("elasticsearch", "8.10.0", &[ILM, "data-stream-api"]);
    assert_eq!(words(&old), ["logsdb", "mixed fields", "field limit"]);
}
