//! The program as it is started: addresses, exit codes, signals, log file, spans on the wire.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a broken promise shall end the test"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far longer than anything here takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

struct Ticketing {
    child: Child,
    port: u16,
    log: PathBuf,
    _dir: tempfile::TempDir,
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticketing"));
    command
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("OTEL_SERVICE_NAME");
    command
}

impl Ticketing {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("var/log/booking.log");
        let child = command()
            .args(["--listen", "127.0.0.1:0", "--log-file"])
            .arg(&log)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut service = Self {
            child,
            port: 0,
            log,
            _dir: dir,
        };
        let line = service.await_line("\"server.port\":");
        let after = line.split("\"server.port\":").nth(1).unwrap();
        service.port = after
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .parse()
            .unwrap();
        service
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The first log line with `part` in it.
    fn await_line(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| line.contains(part)) {
                return line;
            }
            assert!(
                Instant::now() < deadline,
                "no {part:?} in {:#?}",
                self.lines()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    fn metric(&self, series: &str) -> f64 {
        let page = self.request("GET", "/metrics", "");
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("{series} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(f64::NAN)
    }

    fn await_metric(&self, series: &str, enough: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self.metric(series)) {
            assert!(
                Instant::now() < deadline,
                "{series} is {}",
                self.metric(series)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Exit code and whatever went to stdout and stderr.
    fn exit(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "still running");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut output = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut output)
            .unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut output)
            .unwrap();
        (status.code(), output)
    }

    fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Ticketing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command().args(["--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(&format!("cannot listen on {address}")),
        "{error}"
    );
    assert!(error.contains("--listen"), "{error}");
}

#[test]
fn a_wrong_command_line_is_64_and_help_is_0() {
    for args in [
        &["--load", "0"][..],
        &["--listen", "8080"],
        &["--lode", "1"],
    ] {
        let output = command().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{args:?}");
    }
    assert_eq!(
        command().arg("--help").output().unwrap().status.code(),
        Some(0)
    );
}

#[test]
fn a_log_file_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plain");
    std::fs::write(&file, "").unwrap();
    let output = command()
        .args(["--listen", "127.0.0.1:0", "--log-file"])
        .arg(file.join("booking.log"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("plain/booking.log"), "{error}");
}

#[test]
fn customers_buy_until_sigterm_and_every_log_line_is_json_with_a_trace() {
    let service = Ticketing::start(&["--load", "100", "--seed", "5", "--service-name", "shop"]);
    service.await_metric(
        "kai_payments_total{method=\"qris\",outcome=\"settled\"}",
        |n| n >= 5.0,
    );
    assert!(service.metric("kai_searches_total") >= 5.0);
    service.terminate();
    service.await_line("\"message\":\"stopped\"");
    let lines = service.lines();
    let (code, output) = service.exit();
    assert_eq!((code, output.as_str()), (Some(0), ""));
    let mut requests = 0;
    for line in &lines {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["service.name"], "shop");
        assert!(
            line["@timestamp"]
                .as_str()
                .is_some_and(|t| t.len() == 24 && t.ends_with('Z'))
        );
        if let Some(code) = line.get("http.response.status_code") {
            assert!(code.as_u64().is_some_and(|code| code < 500), "{line}");
            assert_eq!(line["trace.id"].as_str().map(str::len), Some(32), "{line}");
            assert_eq!(line["span.id"].as_str().map(str::len), Some(16), "{line}");
            requests += 1;
        }
    }
    assert!(requests > 20, "{requests}");
}

#[test]
fn a_crash_on_request_answers_and_exits_with_70() {
    let service = Ticketing::start(&[]);
    let reply = service.request("POST", "/faults", r#"{"crash":true}"#);
    assert!(reply.starts_with("HTTP/1.1 201"), "{reply}");
    service.await_line("crashing on request");
    assert_eq!(service.exit().0, Some(70));
}

#[test]
fn a_dead_collector_costs_spans_and_nothing_else() {
    // A port that was free a moment ago: nobody answers there.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoint = format!("http://{free}");
    let service = Ticketing::start(&["--load", "50", "--otlp-endpoint", &endpoint]);
    service.await_metric("ticketing_spans_export_failed_total", |n| n > 0.0);
    let searches = service.metric("kai_searches_total");
    service.await_metric("kai_searches_total", |n| n > searches + 5.0);
    service.await_line("cannot send spans");
    service.terminate();
    let complaints = |lines: &[String]| lines.iter().filter(|l| l.contains("cannot send")).count();
    service.await_line("\"message\":\"stopped\"");
    assert_eq!(complaints(&service.lines()), 1);
    let (code, output) = service.exit();
    assert_eq!((code, output.as_str()), (Some(0), ""));
}
