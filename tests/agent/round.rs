//! The agent's own rounds: what an application shows reaches a real Prometheus by remote write, with
//! its `up`, and business figures, without anybody asking the agent for a page.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::gate::prometheus::program;
use crate::remote_write::Prometheus;
use crate::support::{Agent, Metrics, wait_for};

/// An application whose counter is the number of its scrapes; it refuses while `down` is not 0.
fn application() -> (String, Arc<AtomicU64>, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (scrapes, down) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (counted, refused) = (Arc::clone(&scrapes), Arc::clone(&down));
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let (status, page) = if refused.load(Ordering::Relaxed) == 0 {
                let count = 100 + counted.fetch_add(1, Ordering::Relaxed);
                let page = format!(
                    "# TYPE booking_created counter\n\
                     booking_created_total{{channel=\"web\"}} {count}\n# EOF\n"
                );
                ("200 OK", page)
            } else {
                ("503 Service Unavailable", String::new())
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: application/openmetrics-text; \
                 version=1.0.0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{page}",
                page.len()
            );
        }
    });
    (format!("http://{address}/metrics"), scrapes, down)
}

#[test]
fn what_is_scraped_is_written_and_counted() {
    if program().is_none() {
        println!("not run: there is no Prometheus on this machine");
        return;
    }
    let prometheus = Prometheus::start();
    let (url, scrapes, down) = application();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let agent = Agent::start_in(
        folder,
        &format!(
            "state: {}\nroundIntervalMs: 1000\napplications:\n  booking:\n    url: {url}\n    team: \
             sales\nremoteWrite:\n  endpoints:\n    near:\n      url: {}\nbusiness:\n  metrics:\n    \
             kai_bookings_total:\n      help: Bookings made.\n      labels: {{ channel: 3 }}\n      \
             from:\n        - {{ source: metric, metric: booking_created_total }}\n",
            state.display(),
            prometheus.receiver(),
        ),
    );
    let one = |query: &str| prometheus.query(query, None).pop();
    wait_for("up", || {
        one("up{job=\"booking\",service=\"booking\",team=\"sales\"} == 1")
    });
    let found = wait_for("the counter", || {
        one("booking_created_total{channel=\"web\"} >= 102")
    });
    assert_eq!(found["metric"]["job"], "booking");
    wait_for("the agent's own page", || one("up{job=\"kai-agent\"} == 1"));
    wait_for("the node's figures", || one("node_memory_MemTotal_bytes"));

    // The first sight of a series is where counting begins.
    let business = |series: &str| {
        let reply = agent.request("GET", "/metrics/business", &[], "");
        let metrics = Metrics::parse(&reply.text());
        metrics
            .series
            .iter()
            .find(|(name, _)| name.starts_with(series))
            .and_then(|(_, value)| value.parse::<f64>().ok())
    };
    wait_for("two bookings counted", || {
        business("kai_bookings_total{").filter(|count| *count >= 2.0)
    });
    assert!(business("kai_bookings_total{").unwrap() <= scrapes.load(Ordering::Relaxed) as f64);

    down.store(1, Ordering::Relaxed);
    wait_for("down", || one("up{job=\"booking\"} == 0"));
    wait_for("the end of its series", || {
        prometheus
            .query("booking_created_total", None)
            .is_empty()
            .then_some(())
    });
    let metrics = agent.metrics();
    let failures = &metrics.series["kai_agent_round_failures_total"];
    assert!(failures.parse::<f64>().unwrap() >= 1.0);
}
