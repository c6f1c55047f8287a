//! Shapes of Grafana's replies, and what is drift in them.

use super::*;
use crate::object::same;

fn mark() -> Mark {
    Mark {
        owner: "abc-local".into(),
        address: "grafana/data-source/prometheus".into(),
        applied: Some("f00".into()),
    }
}

fn wanted() -> Value {
    let body = json!({
        "name": "Prometheus", "type": "prometheus", "access": "proxy",
        "url": "http://127.0.0.1:7073", "basicAuth": false,
        "jsonData": { "httpMethod": "POST" },
    });
    marked(DATA_SOURCE, &body, &mark())
}

/// The keys that Grafana 11 to 13 answer with (`DataSource` of its published schema).
fn answered() -> Value {
    let mut reply = wanted();
    for (key, value) in [
        ("id", json!(4)),
        ("uid", json!("kai-abc-local-prometheus")),
        ("orgId", json!(1)),
        (
            "typeLogoUrl",
            json!("public/plugins/prometheus/img/prometheus_logo.svg"),
        ),
        ("user", json!("")),
        ("database", json!("")),
        ("basicAuthUser", json!("")),
        ("withCredentials", json!(false)),
        ("isDefault", json!(true)),
        ("secureJsonFields", json!({})),
        ("version", json!(3)),
        ("readOnly", json!(false)),
        ("accessControl", json!({ "datasources:write": true })),
        ("apiVersion", json!("")),
    ] {
        reply[key] = value;
    }
    reply
}

#[test]
fn what_grafana_adds_to_a_data_source_is_no_drift() {
    assert!(same(
        &wanted(),
        &project(DATA_SOURCE, &wanted(), &answered())
    ));
    assert_eq!(mark_of(DATA_SOURCE, &answered()), Some(mark()));
}

#[test]
fn what_a_person_adds_or_takes_away_is() {
    for (pointer, value) in [
        ("/url", json!("http://elsewhere:9090")),
        ("/jsonData/tlsSkipVerify", json!(true)),
        ("/jsonData/httpMethod", json!("GET")),
        ("/withCredentials", json!(true)),
        ("/basicAuthUser", json!("someone")),
        ("/secureJsonFields/httpHeaderValue1", json!(true)),
        ("/name", json!("Mine")),
    ] {
        let mut reply = answered();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        reply.pointer_mut(parent).unwrap()[key] = value;
        assert!(
            !same(&wanted(), &project(DATA_SOURCE, &wanted(), &reply)),
            "{pointer}"
        );
    }
}

#[test]
fn a_dashboard_keeps_its_mark_and_loses_what_grafana_adds() {
    let body = json!({ "folderUid": "f", "dashboard": {
        "title": "T", "schemaVersion": 42, "panels": [{ "id": 1, "title": "P" }],
        "templating": { "list": [] },
    } });
    let wanted = marked(DASHBOARD, &body, &mark());
    assert_eq!(mark_of(DASHBOARD, &wanted), Some(mark()));
    let mut reply = wanted.clone();
    reply["dashboard"]["id"] = json!(7);
    reply["dashboard"]["version"] = json!(2);
    reply["dashboard"]["uid"] = json!("u");
    reply["dashboard"]["panels"][0]["pluginVersion"] = json!("13.2.2");
    reply["dashboard"]["schemaVersion"] = json!(43);
    assert!(same(&wanted, &project(DASHBOARD, &wanted, &reply)));
    let mut renamed = reply.clone();
    renamed["dashboard"]["panels"][0]["title"] = json!("Q");
    assert!(!same(&wanted, &project(DASHBOARD, &wanted, &renamed)));
    let mut moved = reply.clone();
    moved["folderUid"] = Value::Null;
    assert!(!same(&wanted, &project(DASHBOARD, &wanted, &moved)));
    let mut unmarked = reply;
    unmarked["dashboard"]["templating"]["list"] = json!([]);
    assert_eq!(mark_of(DASHBOARD, &unmarked), None);
    assert!(!same(&wanted, &project(DASHBOARD, &wanted, &unmarked)));
}

#[test]
fn a_secret_is_put_where_its_pointer_says() {
    let mut body = json!({ "name": "x" });
    put(&mut body, "/secureJsonData/basicAuthPassword", "p");
    put(&mut body, "/secureJsonData/httpHeaderValue1#ApiKey ", "k");
    assert_eq!(
        body,
        json!({ "name": "x", "secureJsonData": { "basicAuthPassword": "p", "httpHeaderValue1": "ApiKey k" } })
    );
}
