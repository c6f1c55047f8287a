//! What the spec asks for beside the systems: the platform's own figures, probes, security checks.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Stack, get_json, request, wait_for, with_system};
use crate::servers::postgres::{PASSWORD, Process};

/// The series of an instant query.
fn query(stack: &Stack, expression: &str) -> Vec<Value> {
    let mut url = reqwest::Url::parse(&stack.url(3, "/api/v1/query")).unwrap();
    url.query_pairs_mut().append_pair("query", expression);
    let answer = get_json(url.as_str());
    answer["data"]["result"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[test]
fn figures_are_counted_and_endpoints_probed() {
    let mut stack = Stack::new();
    let mut spec = stack.full_example();
    for system in ["elasticsearch", "jaeger", "grafana", "kibana"] {
        spec = with_system(&spec, system, "{ mode: \"off\" }");
    }
    let health = format!("http://127.0.0.1:{}/healthz", stack.service_port());
    // Nobody listens on the last port of the stack's range.
    let nobody = format!("127.0.0.1:{}", stack.service_port() + 1);
    spec.push_str(&format!(
        "probes:\n  page: {{ service: booking, interval: 2s, http: {{ url: \"{health}\", auth: {{ \
         token: {{ env: KAI_TEST_PROBE }} }} }} }}\n  nobody: {{ team: payment, interval: 2s, tcp: {{ \
         address: \"{nobody}\" }} }}\n"
    ));
    spec.push_str("agent: { security: { disable: [suid, integrity] } }\n");
    stack
        .vars
        .push(("KAI_TEST_PROBE".into(), "a-secret-for-a-probe".into()));
    stack.write_spec(&spec);
    let plan = stack.run(&["plan"]);
    assert!(!plan.out.contains("a-secret-for-a-probe"));
    stack.run(&["provision"]).expect(0);

    let up = wait_for("the probe of the page", Duration::from_mins(1), || {
        query(&stack, "probe_success{job=\"probe-page\"} == 1").pop()
    });
    let labels = &up["metric"];
    assert_eq!(labels["instance"], health.as_str(), "{labels}");
    assert_eq!(labels["service"], "booking", "{labels}");
    assert_eq!(labels["team"], "booking", "{labels}");
    let status = query(&stack, "probe_http_status_code{job=\"probe-page\"}");
    assert_eq!(status[0]["value"][1], "200");
    let alert = wait_for("the alert of the other", Duration::from_mins(2), || {
        query(&stack, "ALERTS{alertname=\"BlackboxProbeFailed\"}").pop()
    });
    assert_eq!(alert["metric"]["job"], "probe-nobody", "{alert}");
    assert_eq!(alert["metric"]["instance"], nobody.as_str(), "{alert}");
    assert_eq!(alert["metric"]["team"], "payment", "{alert}");

    wait_for("a security check", Duration::from_mins(1), || {
        query(&stack, "kai_security_check_success{check=\"users\"} == 1").pop()
    });

    let faults = format!("http://127.0.0.1:{}/faults", stack.service_port());
    let fault = json!({ "payment_decline": 0.8, "for": "10m" });
    let (status, body) = request(Method::POST, &faults, Some(fault));
    assert!((200..300).contains(&status), "{status} {body}");
    let declined = wait_for("declined payments", Duration::from_mins(2), || {
        query(&stack, "kai_payments_declined_total{channel!=\"\"} > 0").pop()
    });
    let labels = &declined["metric"];
    assert_eq!(labels["job"], "kai-business", "{labels}");
    assert_eq!(labels["service"], "booking", "{labels}");
    assert_eq!(labels["team"], "booking", "{labels}");
    assert!(!labels["method"].as_str().unwrap_or_default().is_empty());
    // By line the same as by the service's own counter, once both have been scraped.
    let (status, _) = request(Method::DELETE, &faults, None);
    assert!((200..300).contains(&status));
    wait_for("the same count", Duration::from_mins(1), || {
        query(
            &stack,
            "sum(kai_payments_declined_total) == sum(kai_payments_total{outcome=\"declined\"})",
        )
        .pop()
    });
    // In step with what it was told, secret and all.
    stack.run(&["drift"]).expect(0);
}

/// A spec with a database, of the password given.
fn database(stack: &Stack, port: &str) -> String {
    let mut spec = stack.example();
    spec.push_str(&format!(
        "databases:\n  pg: {{ engine: postgresql, team: payment, interval: 2s, dsn: {{ env: \
         KAI_TEST_DSN_{port} }}, excludeDatabases: [template0] }}\n"
    ));
    spec
}

#[test]
fn a_database_is_looked_at_and_missed() {
    let mut server = Process::start("15.15.0", "");
    let mut stack = Stack::new();
    let spec = database(&stack, &server.port);
    stack.write_spec(&spec);
    let variable = format!("KAI_TEST_DSN_{}", server.port);
    let refused = stack.run(&["provision"]);
    assert_ne!(refused.code, Some(0), "{}", refused.out);
    assert!(refused.err.contains(&variable), "{}", refused.err);
    stack.vars.push((
        variable.clone(),
        server.dsn("postgres", "wrong-password", "postgres"),
    ));
    let unreachable = stack.run(&["provision"]);
    assert_ne!(unreachable.code, Some(0));
    assert!(unreachable.out.contains("(28P01)"), "{}", unreachable.out);
    stack.vars.retain(|(name, _)| *name != variable);
    stack
        .vars
        .push((variable, server.dsn("postgres", PASSWORD, "postgres")));
    let done = stack.run(&["provision"]).expect(0);
    for text in [&done.out, &done.err] {
        assert!(
            !text.contains(PASSWORD) && !text.contains("wrong-password"),
            "{text}"
        );
    }
    let up = wait_for("the server", Duration::from_mins(1), || {
        query(&stack, "pg_up{job=\"database-pg\"} == 1").pop()
    });
    let labels = &up["metric"];
    assert_eq!(labels["instance"], "pg", "{labels}");
    assert_eq!(labels["team"], "payment", "{labels}");
    assert_eq!(labels["service"], "pg", "{labels}");
    server.stop();
    wait_for("its absence", Duration::from_mins(1), || {
        query(&stack, "pg_up{job=\"database-pg\"} == 0").pop()
    });
    let missed = stack.run(&["verify"]);
    assert_ne!(missed.code, Some(0));
    assert!(missed.out.contains("refused"), "{}", missed.out);
}
