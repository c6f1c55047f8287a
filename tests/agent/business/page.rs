//! What `/metrics/business` says, and to whom.

use std::fs;
use std::net::TcpStream;

use super::{ask, configure, figures};
use crate::logs::runner::Runner;
use crate::support::{Agent, Metrics, exchange, wait_for};

const METRICS: &str = r#"    kai_payments_declined_total:
      help: Payments the provider declined
      labels: { channel: 2, route: 300 }
      from:
        - { source: log, service: booking, where: 'event == "declined"', labels: { route: kai.route } }
    kai_revenue_idr_total:
      unit: idr
      from:
        - { source: log, service: booking, where: 'event == "paid"', add: amount_idr }
"#;

fn lines() -> String {
    let declined = |channel: &str, route: &str| {
        format!("{{\"event\":\"declined\",\"channel\":\"{channel}\",\"kai.route\":\"{route}\"}}\n")
    };
    [
        declined("web", "GMR-BD"),
        declined("web", "GMR-BD"),
        // A quote, a backslash and a line break have to be escaped on the page.
        declined("app", r#"a\"b\\c\nd é"#),
        // Two channels are kept; the third is counted as `other`.
        declined("kiosk", "GMR-BD"),
        // No channel at all.
        "{\"event\":\"declined\",\"kai.route\":\"GMR-BD\"}\n".to_owned(),
        "{\"event\":\"paid\",\"amount_idr\":150000}\n".to_owned(),
        "{\"event\":\"paid\",\"amount_idr\":\"25000.5\"}\n".to_owned(),
        // No numbers that could be added.
        "{\"event\":\"paid\",\"amount_idr\":\"much\"}\n".to_owned(),
        "{\"event\":\"paid\",\"amount_idr\":-5}\n".to_owned(),
        "{\"event\":\"paid\"}\n".to_owned(),
    ]
    .concat()
}

#[test]
fn both_forms_say_the_same() {
    let mut runner = Runner::new(&[], "");
    configure(&runner, "", METRICS);
    runner.start();
    runner.append("l/booking.log", lines());
    wait_for("the last line", || {
        (figures(&runner)
            .values()
            .filter(|value| **value > 0.0)
            .count()
            >= 6)
            .then_some(())
    });
    let shown = figures(&runner);
    let value = |labels: &str| {
        let series =
            format!("kai_payments_declined_total{{service=\"booking\",team=\"sales\",{labels}}}");
        *shown
            .get(&series)
            .unwrap_or_else(|| panic!("no {series} in {shown:#?}"))
    };
    assert_eq!(value(r#"channel="web",route="GMR-BD""#), 2.0);
    assert_eq!(value(r#"channel="app",route="a\"b\\c\nd é""#), 1.0);
    assert_eq!(value(r#"channel="other",route="GMR-BD""#), 1.0);
    assert_eq!(value(r#"channel="",route="GMR-BD""#), 1.0);
    assert_eq!(
        shown["kai_revenue_idr_total{service=\"booking\",team=\"sales\"}"],
        175_000.5
    );

    let own = runner.metrics();
    assert_eq!(
        own.value("kai_agent_business_bad_numbers_total{metric=\"kai_revenue_idr_total\"}"),
        3.0
    );
    assert_eq!(
        own.value(
            "kai_agent_business_label_overflow_total{metric=\"kai_payments_declined_total\",label=\"channel\"}"
        ),
        1.0
    );

    let open = ask(
        &runner.address,
        "application/openmetrics-text; version=1.0.0",
    );
    let page = open.text();
    assert!(page.contains("# TYPE kai_revenue_idr counter\n# UNIT kai_revenue_idr idr\n"));
    assert!(page.contains("kai_revenue_idr_total{service=\"booking\",team=\"sales\"} 175000.5\n"));
    assert!(page.contains("kai_revenue_idr_created{"));
    assert!(page.ends_with("# EOF\n"));
    // The same figures in both, apart from what OpenMetrics alone says.
    for (series, value) in shown.iter().filter(|(name, _)| name.contains('{')) {
        assert!(page.contains(&format!("{series} {value}\n")), "{series}");
    }
}

#[test]
fn spans_are_counted_once_though_sent_twice() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let http = crate::support::free_address();
    let agent = Agent::start_in(
        folder,
        &format!(
            "state: {}\ntraces:\n  http: {http}\n  endpoint: http://127.0.0.1:9\nbusiness:\n  \
             teams: {{ payment: payment }}\n  metrics:\n    kai_payments_total:\n      labels: {{ \
             outcome: 3 }}\n      from:\n        - {{ source: span, service: payment, where: 'kind \
             == \"authorise\"', labels: {{ outcome: payment.outcome }} }}\n",
            state.display(),
        ),
    );
    let attribute = |key: &str, value: &str| {
        format!("{{\"key\":\"{key}\",\"value\":{{\"stringValue\":\"{value}\"}}}}")
    };
    let span = |id: u32, outcome: &str| {
        format!(
            "{{\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"{id:016x}\",\"name\":\
             \"pay\",\"kind\":3,\"startTimeUnixNano\":\"1\",\"endTimeUnixNano\":\"2\",\"attributes\":\
             [{},{}]}}",
            attribute("kind", "authorise"),
            attribute("payment.outcome", outcome),
        )
    };
    let request = |service: &str| {
        format!(
            "{{\"resourceSpans\":[{{\"resource\":{{\"attributes\":[{}]}},\"scopeSpans\":[{{\"spans\":\
             [{},{},{}]}}]}}]}}",
            attribute("service.name", service),
            span(1, "settled"),
            span(2, "declined"),
            span(3, "settled"),
        )
    };
    // A client that did not hear the answer sends again; another service's spans are not meant.
    for service in ["payment", "payment", "search"] {
        let reply = exchange(
            TcpStream::connect(&http).unwrap(),
            "POST",
            "/v1/traces",
            &[("content-type", "application/json")],
            &request(service),
        );
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let value = |outcome: &str| {
        let page = agent.request("GET", "/metrics/business", &[], "").text();
        let series = format!(
            "kai_payments_total{{service=\"payment\",team=\"payment\",outcome=\"{outcome}\"}}"
        );
        Metrics::parse(&page)
            .series
            .get(&series)
            .and_then(|value| value.parse::<f64>().ok())
    };
    wait_for("the snapshot", || value("settled").filter(|v| *v > 0.0));
    assert_eq!(value("settled"), Some(2.0));
    assert_eq!(value("declined"), Some(1.0));
    let repeated = agent
        .metrics()
        .value("kai_agent_business_spans_repeated_total");
    assert_eq!(repeated, 3.0);
}
