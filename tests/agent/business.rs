//! Business figures of the real binary: lines are counted exactly once while it is killed, files
//! rotated and truncated, and no exported counter ever falls.

mod kills;
mod page;

use std::collections::BTreeMap;
use std::net::TcpStream;

use crate::logs::runner::Runner;
use crate::support::{Metrics, Reply, exchange};

/// A configuration over `l/*.log` with these metrics; `elasticsearch` is empty or an address.
pub fn configure(runner: &Runner, elasticsearch: &str, metrics: &str) {
    let server = if elasticsearch.is_empty() {
        String::new()
    } else {
        format!("  elasticsearch: {{ endpoints: ['{elasticsearch}'] }}\n")
    };
    let text = format!(
        "version: 2\nlisten: 127.0.0.1:0\nstate: {state}\ncollectors: {{ disable: [] }}\nlogs:\n\
         {server}  memoryBytes: 1048576\n  sources:\n    booking:\n      paths: ['{files}']\n      \
         dataStream: logs-kai.booking-test\n      fields: {{ service.name: booking }}\nbusiness:\n  \
         teams: {{ booking: sales }}\n  metrics:\n{metrics}",
        state = runner.path("state").display(),
        files = runner.path("l/*.log").display(),
    );
    std::fs::write(runner.path("next.yaml"), text).unwrap();
    std::fs::rename(runner.path("next.yaml"), runner.path("agent.yaml")).unwrap();
}

pub fn ask(address: &str, accept: &str) -> Reply {
    let stream = TcpStream::connect(address).unwrap();
    exchange(
        stream,
        "GET",
        "/metrics/business",
        &[("accept", accept)],
        "",
    )
}

/// The figures, by series.
pub fn figures(runner: &Runner) -> BTreeMap<String, f64> {
    let reply = ask(&runner.address, "text/plain");
    assert_eq!(reply.status, 200, "{}", reply.text());
    Metrics::parse(&reply.text())
        .series
        .into_iter()
        .map(|(series, value)| (series, value.parse().unwrap()))
        .collect()
}
