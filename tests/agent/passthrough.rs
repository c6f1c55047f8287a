//! `/metrics/app/<name>` against applications that answer, fail, hang and exaggerate.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use crate::support::Agent;

/// An application that gives every request to the function; its requests' heads can be received.
fn application(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (heads, received) = channel();
    // Ends with the test's process.
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut head).is_ok_and(|count| count > 2) {}
            let _ = heads.send(head);
            answer(&mut stream);
            kept.push(stream); // an answer that hangs keeps its connection
        }
    });
    (format!("http://{address}/metrics"), received)
}

fn send(text: &str) -> impl Fn(&mut TcpStream) + Send + 'static {
    let text = text.to_owned();
    move |stream| stream.write_all(text.as_bytes()).unwrap()
}

fn agent(url: &str, timeout_ms: u64) -> Agent {
    Agent::start(&format!(
        "applications:\n  booking:\n    url: {url}\n    timeoutMs: {timeout_ms}\n"
    ))
}

const LONG: u64 = 20_000;

#[test]
fn a_page_is_passed_through_as_it_is() {
    let page = "# TYPE bookings counter\nbookings_total 7\n# EOF\n";
    let (url, heads) = application(send(&format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0\r\n\
         content-length: {}\r\nset-cookie: a=b\r\n\r\n{page}",
        page.len()
    )));
    let agent = agent(&url, LONG);
    let reply = agent.request(
        "GET",
        "/metrics/app/booking",
        &[
            ("accept", "application/openmetrics-text"),
            ("accept-encoding", "gzip"),
            ("x-prometheus-scrape-timeout-seconds", "9.5"),
            ("authorization", "Bearer secret"),
        ],
        "",
    );
    assert_eq!((reply.status, reply.text().as_str()), (200, page));
    assert_eq!(
        reply.headers["content-type"],
        "application/openmetrics-text; version=1.0.0"
    );
    assert!(!reply.headers.contains_key("set-cookie"));
    let head = heads.recv().unwrap().to_lowercase();
    assert!(head.starts_with("get /metrics http/1.1\r\n"), "{head}");
    assert!(
        head.contains("\r\naccept: application/openmetrics-text\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\naccept-encoding: gzip\r\n"), "{head}");
    assert!(
        head.contains("\r\nx-prometheus-scrape-timeout-seconds: 9.5\r\n"),
        "{head}"
    );
    assert!(!head.contains("secret"), "{head}");
    let metrics = agent.metrics();
    assert_eq!(
        metrics.value("kai_agent_app_scrapes_total{app=\"booking\",code=\"200\"}"),
        1.0
    );
}

#[test]
fn an_application_that_is_down_is_a_bad_gateway() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let reply =
        agent(&format!("http://127.0.0.1:{port}/metrics"), LONG).get("/metrics/app/booking");
    assert_eq!(reply.status, 502);
    assert!(reply.text().contains("refused"), "{}", reply.text());
}

#[test]
fn a_page_that_is_not_200_is_a_bad_gateway() {
    let (url, _heads) = application(send("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"));
    let reply = agent(&url, LONG).get("/metrics/app/booking");
    assert_eq!(reply.status, 502);
    assert!(reply.text().contains("status 503"), "{}", reply.text());
}

#[test]
fn an_application_that_does_not_answer_is_a_timeout() {
    let (url, _heads) = application(|_| {});
    let reply = agent(&url, 50).get("/metrics/app/booking");
    assert_eq!(reply.status, 504);
    assert!(reply.text().contains("within 50 ms"), "{}", reply.text());
}

#[test]
fn an_application_that_stops_in_the_middle_is_a_timeout_too() {
    let (url, _heads) = application(send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf "));
    let agent = agent(&url, LONG);
    let patience = [("x-prometheus-scrape-timeout-seconds", "0.05")];
    let reply = agent.request("GET", "/metrics/app/booking", &patience, "");
    assert_eq!(reply.status, 504, "{}", reply.text());
}

#[test]
fn an_enormous_page_is_refused() {
    let (url, _heads) = application(send(
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nbooking 1\n",
    ));
    let reply = agent(&url, LONG).get("/metrics/app/booking");
    assert_eq!(reply.status, 502);
    assert!(
        reply.text().contains("larger than 64 MiB"),
        "{}",
        reply.text()
    );

    // The same without a word about its length.
    let (url, _heads) = application(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        let block = vec![b'#'; 1 << 20];
        while stream.write_all(&block).is_ok() {}
    });
    let reply = agent(&url, LONG).get("/metrics/app/booking");
    assert_eq!(reply.status, 502);
    assert!(
        reply.text().contains("larger than 64 MiB"),
        "{}",
        reply.text()
    );
}

#[test]
fn an_unknown_application_is_not_found_and_the_known_are_told() {
    let reply = agent("http://127.0.0.1:1/", LONG).get("/metrics/app/bookin");
    assert_eq!(reply.status, 404);
    assert!(
        reply.text().contains("known are booking"),
        "{}",
        reply.text()
    );
}

/// A page with so many series of one name.
fn many(name: &str, count: usize) -> String {
    let mut page = format!("# TYPE {name} counter\n");
    for number in 0..count {
        page.push_str(&format!("{name}_total{{path=\"/{number}\"}} {number}\n"));
    }
    page.push_str("# EOF\n");
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0\r\nconnection: \
         close\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    )
}

#[test]
fn a_team_s_applications_share_its_budget() {
    let page = |name: &str, count: usize| {
        let reply = many(name, count);
        application(move |stream| {
            stream.write_all(reply.as_bytes()).unwrap();
        })
        .0
    };
    let (first, second, other) = (page("first", 60), page("second", 60), page("other", 60));
    let agent = Agent::start(&format!(
        "budgets: {{ perTeam: {{ series: 100 }} }}\napplications:\n  first: {{ url: '{first}', team: \
         booking }}\n  second: {{ url: '{second}', team: booking, labelLimits: {{ path: 50 }} }}\n  other: \
         {{ url: '{other}', team: payment, seriesLimit: 25, relabel: [{{ source_labels: [path], regex: \
         '/[0-9]', action: drop }}] }}\n"
    ));
    let handed_on = |name: &str| {
        let text = agent.get(&format!("/metrics/app/{name}")).text();
        text.lines().filter(|line| line.starts_with(name)).count()
    };
    // Who comes first has room; the team's other one gets what is left.
    for _ in 0..2 {
        assert_eq!(handed_on("first"), 60);
        assert_eq!(handed_on("second"), 40);
        assert_eq!(handed_on("other"), 25);
    }
    let metrics = agent.metrics();
    let cut = |app: &str, team: &str, reason: &str| {
        metrics.value(&format!(
            "kai_agent_scrape_series_cut_total{{app=\"{app}\",reason=\"{reason}\",team=\"{team}\"}}"
        ))
    };
    assert_eq!(cut("first", "booking", "team_series"), 0.0);
    let second = cut("second", "booking", "team_series") + cut("second", "booking", "label_values");
    assert_eq!(second, 40.0);
    assert_eq!(cut("other", "payment", "app_series"), 50.0);
    assert_eq!(
        metrics.value("kai_agent_scrape_series_dropped_total{app=\"other\",team=\"payment\"}"),
        20.0
    );
    assert_eq!(
        metrics.value("kai_agent_scrape_team_series{team=\"booking\"}"),
        100.0
    );
}
