//! OTLP log records over HTTP and gRPC: what is acknowledged is there once, whatever happens then;
//! what cannot be taken is told so that a sender comes again.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::super::fake::{Do, Fake};
use super::super::runner::Runner;
use crate::support::{Reply, exchange, free_address, wait_for};

struct Setup {
    fake: Fake,
    agent: Runner,
    http: String,
}

fn started(lane: &str) -> Setup {
    let fake = Fake::start();
    let http = free_address();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let sources = format!(
        "    net:\n      dataStream: 'logs-kai.{{service}}-{{environment}}'\n      otlp: {{}}\n      \
         fields: {{ service.environment: test }}\ntraces: {{ http: '{http}', endpoint: \
         'http://127.0.0.1:9' }}\n"
    );
    agent.configure(std::slice::from_ref(&fake.url), lane, &sources);
    agent.start();
    Setup { fake, agent, http }
}

fn records(service: &str, range: std::ops::Range<u64>) -> String {
    let records: Vec<Value> = range
        .map(|number| {
            json!({ "timeUnixNano": "1795485989003000000", "severityText": "WARN",
                "body": { "stringValue": format!("number {number}") },
                "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331",
                "attributes": [{ "key": "seat", "value": { "intValue": number.to_string() } }] })
        })
        .collect();
    let name = json!({ "key": "service.name", "value": { "stringValue": service } });
    json!({ "resourceLogs": [{ "resource": { "attributes": [name] },
        "scopeLogs": [{ "scope": { "name": "lib" }, "logRecords": records }] }] })
    .to_string()
}

impl Setup {
    fn value(&self, series: &str) -> f64 {
        self.agent.value(&series.replace('$', "source=\"net\""))
    }

    fn post(&self, body: &str) -> Option<Reply> {
        let stream = TcpStream::connect(&self.http).ok()?;
        let kind = [("content-type", "application/json")];
        Some(exchange(stream, "POST", "/v1/logs", &kind, body))
    }

    /// Sends until the lane is there.
    fn sent(&self, body: &str) {
        wait_for("an acknowledgement", || {
            self.post(body).filter(|reply| reply.status == 200)
        });
    }

    fn settled(&self, read: f64) {
        wait_for("outcomes", || {
            let all = self.value("read_events_total{$}") >= read;
            (all && self.value("events_in_flight{$}") == 0.0).then_some(())
        });
        self.agent.assert_balanced();
    }

    fn numbers(&self) -> Vec<u64> {
        let number = |text: &String| text.rsplit(' ').next().unwrap().parse().unwrap();
        let mut all: Vec<u64> = self.fake.messages().iter().map(number).collect();
        all.sort_unstable();
        all
    }
}

const SPOOL: &str = "  spool: { maxBytes: 8388608 }";

#[test]
fn records_become_documents_of_their_services() {
    let setup = started("");
    setup.sent(&records("booking", 0..2));
    setup.sent(&records("Seat Map", 2..3));
    wait_for("documents", || (setup.fake.count() == 3).then_some(()));
    let documents = setup.fake.documents();
    let first = documents.iter().find(|one| one["seat"] == 0).unwrap();
    for (name, value) in [
        ("@timestamp", "2026-11-24T02:06:29.003Z"),
        ("log.level", "warn"),
        ("service.name", "booking"),
        ("service.environment", "test"),
        ("trace.id", "0af7651916cd43dd8448eb211c80319c"),
        ("span.id", "b7ad6b7169203331"),
        ("log.logger", "lib"),
    ] {
        assert_eq!(first[name], value, "{name}: {first}");
    }
    let streams: std::collections::BTreeSet<String> = setup
        .fake
        .bulks()
        .into_iter()
        .map(|bulk| bulk.stream)
        .collect();
    assert!(streams.contains("logs-kai.booking-test"), "{streams:?}");
    assert!(streams.contains("logs-kai.seat_map-test"), "{streams:?}");
    let refused = setup.post("{\"resourceLogs\": 7}").unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text());
    setup.settled(3.0);
}

#[test]
fn what_was_acknowledged_survives_kill_9_once() {
    let mut setup = started(SPOOL);
    setup.fake.script(|_, _| Do::TakeAndDrop);
    setup.sent(&records("booking", 0..10));
    // The agent is killed in the middle of it; what was answered counts.
    let address = setup.http.clone();
    let sender = std::thread::spawn(move || {
        let mut number = 1;
        while let Ok(mut stream) = TcpStream::connect(&address) {
            let body = records("booking", number * 10..number * 10 + 10);
            let head = format!(
                "POST /v1/logs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: \
                 application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut answer = String::new();
            let sent = stream.write_all(head.as_bytes());
            if sent.is_err()
                || stream.read_to_string(&mut answer).is_err()
                || !answer.starts_with("HTTP/1.1 200")
            {
                break;
            }
            number += 1;
        }
        number
    });
    wait_for("some requests", || {
        (setup.value("otlp_requests_total{result=\"ok\",$}") >= 20.0).then_some(())
    });
    wait_for("documents", || (setup.fake.count() > 0).then_some(()));
    setup.agent.kill();
    let acknowledged = sender.join().unwrap() * 10;
    setup.fake.roll_over("logs-kai.booking-test");
    setup.fake.unscript();
    setup.agent.start();
    setup.settled(acknowledged as f64);
    let numbers = setup.numbers();
    assert_eq!(
        numbers[..acknowledged as usize],
        (0..acknowledged).collect::<Vec<_>>()
    );
    // At most the request whose answer did not come is there besides.
    assert!(numbers.len() as u64 <= acknowledged + 10);
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "{numbers:?}"
    );
}

#[test]
fn a_full_spool_tells_senders_to_come_again() {
    let setup = started("  spool: { maxBytes: 1048576 }\n  memoryBytes: 1048576");
    setup.fake.hold(true);
    let mut taken = 0;
    let refused = wait_for("a refusal", || {
        let reply = setup.post(&records("booking", taken..taken + 200))?;
        match reply.status {
            200 => taken += 200,
            404 | 503 => {}
            _ => return Some(reply),
        }
        (taken > 1_000_000).then(|| panic!("it takes everything"))
    });
    assert_eq!(refused.status, 429);
    assert!(
        refused.text().contains("logs.spool.maxBytes"),
        "{}",
        refused.text()
    );
    setup.fake.hold(false);
    setup.sent(&records("booking", taken..taken + 200));
    setup.settled((taken + 200) as f64);
    assert_eq!(setup.numbers(), (0..taken + 200).collect::<Vec<_>>());
}
