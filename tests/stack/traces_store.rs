//! Spans in Elasticsearch: Jaeger writes by an alias to indices that the plan made, and finds them
//! again after a rollover. Real Jaeger, real Elasticsearch.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Stack, get_json, request, wait_for};

fn spec(stack: &Stack) -> String {
    format!(
        "apiVersion: observe.kai/v1
kind: Stack
metadata: {{ name: traces, id: {} }}
runsOn: local
ports: {{ base: {} }}
systems:
  prometheus: {{ mode: \"off\" }}
  alertmanager: {{ mode: \"off\" }}
  inbox: {{ mode: \"off\" }}
  grafana: {{ mode: \"off\" }}
  kibana: {{ mode: \"off\" }}
  elasticsearch: {{ mode: managed, heapMib: 384, required: true }}
  jaeger: {{ mode: managed, storage: elasticsearch, required: true }}
privacy: {{ retention: {{ traces: 3d }} }}
teams: {{ a: {{ email: a@kai.example }} }}
routing: {{ severity: {{ critical: [email], warning: [email], info: [email] }}, fallback: {{ team: a }} }}
services:
  booking: {{ team: a, metrics: \"http://127.0.0.1:9/metrics\" }}
",
        stack.id, stack.base
    )
}

/// One span through the agent, by OTLP as JSON.
fn send(stack: &Stack, trace: &str, name: &str) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "booking" } }] },
        "scopeSpans": [{ "spans": [{
            "traceId": trace, "spanId": &trace[..16], "name": name, "kind": 2,
            "startTimeUnixNano": now.to_string(), "endTimeUnixNano": (now + 1_000_000).to_string(),
            "attributes": [{ "key": "route", "value": { "stringValue": "/book" } }],
        }] }],
    }] });
    let (status, answer) = request(Method::POST, &stack.url(7, "/v1/traces"), Some(body));
    assert_eq!(status, 200, "{answer}");
}

fn found(stack: &Stack, trace: &str) -> Option<Value> {
    let (status, text) = request(
        Method::GET,
        &stack.url(10, &format!("/api/traces/{trace}")),
        None,
    );
    let answer: Value = serde_json::from_str(&text).ok()?;
    (status == 200 && answer["data"][0]["spans"][0]["traceID"] == trace).then_some(answer)
}

#[test]
fn spans_are_found_again_after_a_rollover() {
    let stack = Stack::new();
    stack.write_spec(&spec(&stack));
    stack.run(&["provision", "--no-verify"]).expect(0);
    let again = stack.run(&["provision", "--no-verify"]).expect(0);
    assert!(again.out.contains("no changes"), "{}", again.out);

    let within = Duration::from_mins(1);
    let (first, second) = (
        "0af7651916cd43dd8448eb211c80319c",
        "1bf7651916cd43dd8448eb211c80319d",
    );
    send(&stack, first, "before");
    wait_for("the first span", within, || found(&stack, first));
    let (status, text) = request(
        Method::POST,
        &stack.url(8, "/jaeger-span-write/_rollover"),
        Some(json!({})),
    );
    assert_eq!(status, 200, "{text}");
    send(&stack, second, "after");
    wait_for("the second span", within, || found(&stack, second));
    wait_for("the first span, in the index before", within, || {
        found(&stack, first)
    });
    let search =
        "/api/traces?service=booking&lookback=1h&limit=10&tags=%7B%22route%22%3A%22%2Fbook%22%7D";
    let by_tag = wait_for("both by their tag", within, || {
        let answer = get_json(&stack.url(10, search));
        (answer["data"].as_array()?.len() == 2).then_some(answer)
    });
    assert!(by_tag["data"].to_string().contains("/book"));
    let indices: Value = get_json(&stack.url(8, "/_alias/jaeger-span-read"));
    let mut names: Vec<&String> = indices.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["jaeger-span-000001", "jaeger-span-000002"]);
    // The second index was made by our template, too, and a rollover is no drift.
    let mapping = get_json(&stack.url(8, "/jaeger-span-000002/_mapping"));
    let owner = &mapping["jaeger-span-000002"]["mappings"]["_meta"]["owner"];
    assert_eq!(*owner, format!("{}-local", stack.id));
    stack.run(&["drift"]).expect(0);
    // Nothing of Jaeger's lies outside.
    let all = get_json(&stack.url(8, "/_resolve/index/*"));
    for index in all["indices"].as_array().unwrap() {
        let name = index["name"].as_str().unwrap();
        assert!(
            name.starts_with("jaeger-") || name.starts_with('.'),
            "{name}"
        );
    }
    stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert!(!stack.place().join("data").exists());
}
