//! The metrics address: pages, methods, compression, clients that misbehave, and the end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Agent, Metrics, wait_for};

#[test]
fn metrics_are_served_in_the_text_format() {
    let agent = Agent::start("");
    let reply = agent.get("/metrics");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let metrics = Metrics::parse(&reply.text());
    assert!(metrics.value("node_memory_MemTotal_bytes") > 0.0);
    assert!(metrics.value("process_resident_memory_bytes") > 0.0);
    assert!(metrics.families.contains_key("kai_agent_build_info"));
    assert_eq!(
        metrics.value("kai_agent_config_last_reload_successful"),
        1.0
    );
    let none = "kai_drill_active{severity=\"none\",drill_id=\"\",team=\"\"}";
    assert_eq!(metrics.value(none), 0.0);
}

#[test]
fn gzip_is_the_same_page_for_who_asks() {
    let agent = Agent::start("");
    let reply = agent.request(
        "GET",
        "/metrics",
        &[("accept-encoding", "gzip, deflate")],
        "",
    );
    assert_eq!(reply.headers["content-encoding"], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&reply.body[..])
        .read_to_string(&mut text)
        .unwrap();
    let zipped = Metrics::parse(&text);
    let plain = agent.metrics();
    assert!(zipped.families.keys().eq(plain.families.keys()));
    assert!(
        reply.body.len() * 3 < text.len(),
        "{} of {}",
        reply.body.len(),
        text.len()
    );
}

#[test]
fn concurrent_scrapes_are_all_whole() {
    let agent = Agent::start("");
    let first = agent.metrics();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let metrics = agent.metrics();
                    assert!(metrics.families.keys().eq(first.families.keys()));
                }
            });
        }
    });
}

#[test]
fn pages_and_methods() {
    let agent = Agent::start("applications: {booking: {url: 'http://127.0.0.1:1/'}}\n");
    assert_eq!(agent.get("/live").status, 200);
    wait_for("readiness", || {
        (agent.get("/ready").status == 200).then_some(())
    });
    assert_eq!(agent.get("/ready").json()["ready"], true);
    let index = agent.get("/").text();
    assert!(index.contains("/metrics/app/booking"), "{index}");
    let missing = agent.get("/nothing");
    assert_eq!(missing.status, 404);
    assert!(
        missing.text().contains("/metrics/app/<name>"),
        "{}",
        missing.text()
    );
    let posted = agent.request("POST", "/metrics", &[], "x");
    assert_eq!(
        (posted.status, posted.headers["allow"].as_str()),
        (405, "GET, HEAD")
    );
    let head = agent.request("HEAD", "/live", &[], "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.headers["content-length"], "5");
}

#[test]
fn slow_clients_hold_nobody_up() {
    let agent = Agent::start("");
    let mut slow: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(&agent.address).unwrap())
        .collect();
    for stream in &mut slow {
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: a")
            .unwrap();
    }
    // And one that does not read its answers.
    let mut deaf = TcpStream::connect(&agent.address).unwrap();
    for _ in 0..200 {
        deaf.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
    }
    for _ in 0..5 {
        agent.metrics();
    }
}

#[test]
fn nonsense_is_answered_and_survived() {
    let agent = Agent::start("");
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        &vec![b'A'; 100_000],
    ] {
        let mut stream = TcpStream::connect(&agent.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        // It may close while we still send.
        let _ = stream.write_all(nonsense);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(agent.get("/live").status, 200);
}

#[test]
fn sigterm_ends_it_cleanly() {
    let mut agent = Agent::start("");
    let socket = agent.path("admin.sock");
    assert!(socket.exists());
    // A connection that is kept open and idle does not delay the end.
    let idle = TcpStream::connect(&agent.address).unwrap();
    agent.metrics();
    agent.signal("TERM");
    assert_eq!(agent.ended().code(), Some(0));
    assert!(!socket.exists(), "the socket's file is left behind");
    assert!(TcpStream::connect(&agent.address).is_err());
    drop(idle);
}

/// Python's `prometheus_client` (`pip install prometheus-client` into the interpreter that `KAI_PYTHON`
/// names) reads what several clients get at the same time, with gzip and without, in both formats.
#[test]
fn parsers_of_both_formats_accept_what_many_get_at_once() {
    const READ: &str = "import sys\n\
        if sys.argv[1] == 'open':\n    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        else:\n    from prometheus_client.parser import text_string_to_metric_families as parse\n\
        print(sum(len(family.samples) for family in parse(sys.stdin.buffer.read().decode())))\n";
    let python = std::env::var_os("KAI_PYTHON").unwrap_or_else(|| "python3".into());
    let there = Command::new(&python)
        .args(["-c", "import prometheus_client"])
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        println!("not run: no Python with prometheus_client (set KAI_PYTHON)");
        return;
    }
    let agent =
        Agent::start("collectors:\n  enable: [cgroups, containers, ethtool, processes, tcpstat]\n");
    let formats = [
        ("open", "application/openmetrics-text; version=1.0.0"),
        (
            "text",
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ),
    ];
    let pages: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (agent, (format, accept)) = (&agent, formats[number % 2]);
                scope.spawn(move || {
                    let mut headers = vec![("accept", accept)];
                    if number % 4 < 2 {
                        headers.push(("accept-encoding", "gzip"));
                    }
                    let reply = agent.request("GET", "/metrics", &headers, "");
                    let kind = reply.headers["content-type"].clone();
                    assert_eq!(kind.contains("openmetrics"), format == "open", "{kind}");
                    let mut page = Vec::new();
                    if reply.headers.contains_key("content-encoding") {
                        flate2::read::GzDecoder::new(&reply.body[..])
                            .read_to_end(&mut page)
                            .unwrap();
                    } else {
                        page.clone_from(&reply.body);
                    }
                    (format, page)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for (format, page) in pages {
        let mut child = Command::new(&python)
            .args(["-c", READ, format])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&page).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{format}");
        let samples: usize = String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let lines = String::from_utf8(page).unwrap();
        let lines = lines.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples, lines, "{format}");
    }
}
