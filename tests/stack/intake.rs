//! `agent.logs` with a real Elasticsearch: what comes to the agent by syslog and OTLP is proven to
//! arrive, and is found by those who read lines.

use serde_json::{Value, json};

use crate::harness::{Stack, request};

fn spec(stack: &Stack, cert: &str) -> String {
    let (base, id) = (stack.base, &stack.id);
    let (plain, tls) = (base + 27, base + 28);
    format!(
        "apiVersion: observe.kai/v1
kind: Stack
metadata: {{ name: intake, id: {id} }}
ports: {{ base: {base} }}
systems:
  prometheus: {{ mode: \"off\" }}
  alertmanager: {{ mode: \"off\" }}
  inbox: {{ mode: \"off\" }}
  grafana: {{ mode: \"off\" }}
  kibana: {{ mode: \"off\" }}
  # Nobody is there: spans are no part of this.
  jaeger: {{ mode: external, url: \"http://127.0.0.1:9\", otlp: \"http://127.0.0.1:9\" }}
  elasticsearch: {{ mode: managed, heapMib: 384 }}
agent:
  logs:
    syslog:
      udp: 127.0.0.1:{plain}
      tcp: 0.0.0.0:{plain}
      tls: {{ address: \"127.0.0.1:{tls}\", cert: {cert}, key: {{ env: SYSLOG_KEY }} }}
    otlp: true
    spool: {{ size: 64Mi }}
    compress: auto
teams: {{ a: {{ email: a@kai.example }} }}
routing: {{ severity: {{ critical: [email], warning: [email], info: [email] }}, fallback: {{ team: a }} }}
services:
  booking: {{ team: a, metrics: \"http://127.0.0.1:9/metrics\" }}
"
    )
}

fn proofs(reply: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = reply["proofs"].as_array().expect("proofs");
    all.iter()
        .filter(|proof| proof["area"] == "logs")
        .map(|proof| {
            (
                text(&proof["name"]),
                text(&proof["status"]),
                text(&proof["detail"]),
            )
        })
        .collect()
}

#[test]
fn what_comes_by_syslog_and_otlp_is_proven_to_arrive() {
    let mut stack = Stack::new();
    let pair = rcgen::generate_simple_self_signed(vec!["logs.kai.example".to_owned()])
        .expect("a certificate");
    std::fs::write(stack.folder.path().join("syslog.pem"), pair.cert.pem()).expect("written");
    stack
        .vars
        .push(("SYSLOG_KEY".to_owned(), pair.signing_key.serialize_pem()));
    stack.write_spec(&spec(&stack, "syslog.pem"));
    stack.run(&["provision", "--no-verify"]).expect(0);
    let again = stack.run(&["provision", "--no-verify"]).expect(0);
    assert!(again.out.contains("no changes"), "{}", again.out);

    // A service of the spec, and one that nobody knows.
    let record = |service: &str| {
        json!({ "resourceLogs": [{
            "resource": { "attributes": [
                { "key": "service.name", "value": { "stringValue": service } },
                { "key": "deployment.environment.name", "value": { "stringValue": "Production" } },
            ] },
            "scopeLogs": [{ "logRecords": [{
                "severityNumber": 17,
                "body": { "stringValue": format!("a record of {service}") },
            }] }],
        }] })
    };
    for service in ["booking", "stranger"] {
        let url = stack.url(7, "/v1/logs");
        let (status, answer) = request(reqwest::Method::POST, &url, Some(record(service)));
        assert_eq!(status, 200, "{answer}");
    }

    let verdict = stack
        .run(&["verify", "--patience", "20s", "--output", "json"])
        .json();
    let found = proofs(&verdict);
    for name in [
        "syslog udp",
        "syslog tcp",
        "syslog tls",
        "otlp record",
        "templates",
    ] {
        let proof = found.iter().find(|(given, ..)| given == name);
        let (_, status, detail) = proof.unwrap_or_else(|| panic!("{name}: {found:?}"));
        assert_eq!(status, "pass", "{name}: {detail}");
    }

    // Where people look: by the service, and everything.
    let lines = |args: &[&str]| {
        let args = [&["logs"][..], args, &["--output", "json"]].concat();
        stack.run(&args).expect(0).out
    };
    let booking = lines(&["booking"]);
    assert!(booking.contains("a record of booking"), "{booking}");
    assert!(booking.contains("\"kai.team\":\"a\""), "{booking}");
    assert!(!booking.contains("stranger"), "{booking}");
    let all = lines(&[]);
    assert!(all.contains("a record of stranger"), "{all}");
    assert!(all.contains("written by `kai-observe verify`"), "{all}");

    // A certificate that is not the listener's is no proof.
    let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).expect("another");
    std::fs::write(stack.folder.path().join("other.pem"), other.cert.pem()).expect("written");
    stack.write_spec(&spec(&stack, "other.pem"));
    let verdict = stack
        .run(&["verify", "--patience", "2s", "--output", "json"])
        .json();
    let found = proofs(&verdict);
    let tls = found.iter().find(|(name, ..)| name == "syslog tls");
    let (_, status, detail) = tls.expect("a proof");
    assert_eq!(status, "fail", "{detail}");
    assert!(detail.contains("another certificate"), "{detail}");
}
