//! Spans on their whole way, with a real Jaeger and the OpenTelemetry project's own generator:
//! sender, agent, Jaeger, and what the proofs say of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use kai_observe::components::{Context, Outcome, describe};
use kai_observe::model::ComponentPolicy;
use kai_observe::progress::Silent;
use reqwest::Method;
use serde_json::Value;

use crate::harness::{Stack, get_json, kill, request, wait_for, with_system};

/// What the agent's trace lane holds at most: `traces.memoryBytes`.
const LANE_MEMORY: u64 = 16 << 20;

/// For buffers of connections, and what an allocator keeps.
const SLACK: u64 = 24 << 20;

/// A component as a stack gets it. A machine to which no source can give it fails the test.
fn program(component: &str) -> PathBuf {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    let cache = CACHE.get_or_init(|| {
        let given = std::env::var_os("KAI_CACHE").map(PathBuf::from);
        kai_observe::layout::cache_folder(given.as_deref()).expect("a cache")
    });
    let pins = tempfile::tempdir().expect("a folder");
    let context = Context {
        cache: cache.clone(),
        lock_file: pins.path().join("observe.lock"),
        policy: ComponentPolicy::default(),
        workspace: None,
        progress: Arc::new(Silent),
    };
    match context.obtain(component, None) {
        Ok(Outcome::Installed(installed)) => installed.programs[component].clone(),
        Ok(Outcome::NotInstalled(attempts)) => panic!("{}", describe(&attempts)),
        Err(error) => panic!("{error}"),
    }
}

/// The example with Jaeger.
fn stack_with_jaeger() -> Stack {
    let stack = Stack::new();
    let with = with_system(&stack.example(), "jaeger", "{ mode: managed }");
    stack.write_spec(&with);
    stack
}

/// Ends its process when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// telemetrygen's spans, two for each trace.
fn generate(stack: &Stack, offset: u16, more: &[&str]) -> Command {
    let mut command = Command::new(program("telemetrygen"));
    command
        .arg("traces")
        .arg("--otlp-insecure")
        .arg(format!("--otlp-endpoint=127.0.0.1:{}", stack.base + offset))
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn page(url: &str) -> String {
    let (status, body) = request(Method::GET, url, None);
    assert_eq!(status, 200, "{url}: {body}");
    body
}

/// Sum of the series that begin so.
fn sum(page: &str, series: &str) -> u64 {
    page.lines()
        .filter(|line| line.starts_with(series))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum::<f64>() as u64
}

/// The agent's ledger: received, acked, dropped, in flight, refused requests.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ledger {
    received: u64,
    acked: u64,
    dropped: u64,
    in_flight: u64,
    refused: u64,
    held_bytes: u64,
}

fn ledger(stack: &Stack) -> Ledger {
    let page = page(&stack.url(5, "/metrics"));
    Ledger {
        received: sum(&page, "kai_agent_spans_received_total{"),
        acked: sum(&page, "kai_agent_spans_total{outcome=\"acked\""),
        dropped: sum(&page, "kai_agent_spans_total{outcome=\"dropped\""),
        in_flight: sum(&page, "kai_agent_spans_in_flight "),
        refused: sum(&page, "kai_agent_trace_requests_refused_total{"),
        held_bytes: sum(&page, "kai_agent_trace_queue_bytes "),
    }
}

/// The ledger once nothing waits.
fn settled(stack: &Stack) -> Ledger {
    wait_for("an empty queue of spans", Duration::from_mins(2), || {
        let now = ledger(stack);
        (now.in_flight == 0).then_some(now)
    })
}

/// Every span of a service in Jaeger, by trace and span id, and how often they were stored.
fn found(stack: &Stack, service: &str, traces: usize) -> (usize, BTreeSet<(String, String)>) {
    let path = format!(
        "/api/traces?service={service}&limit={}&lookback=2h",
        traces + 1
    );
    let answer = get_json(&stack.url(10, &path));
    let mut stored = 0;
    let mut different = BTreeSet::new();
    for trace in answer["data"].as_array().expect("traces") {
        for span in trace["spans"].as_array().expect("spans") {
            let text = |key: &str| span[key].as_str().expect("an id").to_owned();
            different.insert((text("traceID"), text("spanID")));
            stored += 1;
        }
    }
    (stored, different)
}

fn proof<'a>(report: &'a Value, area: &str, name: &str) -> &'a Value {
    let proofs = report["proofs"].as_array().expect("proofs");
    proofs
        .iter()
        .find(|proof| proof["area"] == area && proof["name"] == name)
        .unwrap_or_else(|| panic!("no proof {area} {name}: {report:#}"))
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes
        .and_then(|n| n.parse::<u64>().ok())
        .expect("VmRSS")
        * 1024
}

#[test]
fn spans_arrive_and_a_request_is_followed() {
    let stack = stack_with_jaeger();
    let report = stack
        .run(&["provision", "--output", "json"])
        .expect(0)
        .json();
    let verified = &report["verify"];
    for (area, name) in [
        ("processes", "jaeger"),
        ("targets", "jaeger"),
        ("traces", "jaeger"),
        ("traces", "span"),
        ("traces", "ledger"),
        ("request", "exemplar"),
        ("request", "trace"),
    ] {
        assert_eq!(
            proof(verified, area, name)["status"],
            "pass",
            "{verified:#}"
        );
    }
    let detail = proof(verified, "traces", "span")["detail"].to_string();
    assert!(detail.contains("found with its attributes"), "{detail}");

    let before = settled(&stack);
    // One request for each span: the generator's own batches drop what comes too fast.
    let few = ["--rate=0", "--batch=false", "--workers=5", "--traces=200"];
    let by_grpc = [&few[..], &["--service=by-grpc"]].concat();
    let by_http = [&few[..], &["--service=by-http", "--otlp-http"]].concat();
    for (offset, arguments) in [(6, by_grpc), (7, by_http)] {
        assert!(
            generate(&stack, offset, &arguments)
                .status()
                .unwrap()
                .success()
        );
    }
    let after = settled(&stack);
    assert!(
        after.received >= before.received + 4000,
        "{before:?} {after:?}"
    );
    assert_eq!((after.dropped, after.refused), (0, 0), "{after:?}");
    for service in ["by-grpc", "by-http"] {
        let (stored, different) = found(&stack, service, 1000);
        assert_eq!((stored, different.len()), (2000, 2000), "{service}");
    }

    // In step: nothing is sent, and Jaeger is not restarted.
    let pids = stack.pids();
    let again = stack
        .run(&["provision", "--output", "json"])
        .expect(0)
        .json();
    let plan = again["plan"].as_str().unwrap_or_default();
    assert!(plan.starts_with("no changes"), "{again:#}");
    assert_eq!(stack.pids(), pids);
    let proofs = again["verify"]["proofs"].as_array().unwrap();
    assert!(
        !proofs
            .iter()
            .any(|p| p["area"] == "traces" && p["name"] == "span"),
        "{again:#}"
    );

    // Without Jaeger the proofs say so.
    kill(pids["jaeger"]);
    let report = stack
        .run(&["verify", "--patience", "1s", "--output", "json"])
        .expect(5)
        .json();
    assert_eq!(proof(&report, "processes", "jaeger")["status"], "fail");
}

/// `KAI_OUTAGE_SECONDS` makes the outage longer than the suite wants it.
#[test]
fn while_jaeger_is_away_memory_is_bounded_and_every_span_accounted_for() {
    let stack = stack_with_jaeger();
    stack.run(&["provision", "--output", "json"]).expect(0);
    let outage = std::env::var("KAI_OUTAGE_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(6);
    let outage = Duration::from_secs(outage);
    let pids = stack.pids();
    let agent = pids["agent"];
    settled(&stack);
    kill(pids["jaeger"]);
    wait_for("Jaeger's end", Duration::from_secs(10), || {
        (!Path::new(&format!("/proc/{}", pids["jaeger"])).exists()
            || !stack.pids().contains_key("jaeger"))
        .then_some(())
    });
    let before = ledger(&stack);
    let resident_before = resident(agent);

    // Far more than fits, on both ways in.
    let padding = format!("--telemetry-attributes=padding=\"{}\"", "x".repeat(8000));
    let flood = |offset, more: &str| {
        let seconds = format!("--duration={}s", outage.as_secs() + 4);
        let flags = ["--rate=0", "--workers=2", "--allow-export-failures"];
        let more = [&flags[..], &[&seconds, &padding, more]].concat();
        Running(
            generate(&stack, offset, &more)
                .spawn()
                .expect("telemetrygen"),
        )
    };
    let mut floods = [flood(6, "--service=flood-grpc"), flood(7, "--otlp-http")];
    let (begun, mut most, mut most_held) = (Instant::now(), 0, 0);
    while begun.elapsed() < outage {
        most = most.max(resident(agent));
        let now = ledger(&stack);
        most_held = most_held.max(now.held_bytes);
        assert_eq!(
            now.received - before.received,
            now.acked - before.acked + now.in_flight - before.in_flight,
            "{before:?} {now:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let full = ledger(&stack);
    assert!(full.refused > before.refused, "it filled up: {full:?}");
    assert!(most_held <= LANE_MEMORY, "{most_held}");
    let grown = most.saturating_sub(resident_before);
    println!("resident before {resident_before}, at most {most}; held {most_held}; {full:?}");
    assert!(grown <= LANE_MEMORY + SLACK, "grown by {grown} bytes");

    // It comes back while the flood goes on; all that was taken over arrives.
    stack.run(&["provision", "--output", "json"]);
    for flood in &mut floods {
        let _ = flood.0.wait();
    }
    let after = settled(&stack);
    println!("{after:?}");
    assert_eq!(after.dropped, 0, "{after:?}");
    assert_eq!(after.received, after.acked, "{after:?}");
    assert!(after.acked > before.acked + 1_000, "{before:?} {after:?}");
    // Jaeger began anew, so it has what was acked since, and spans that came twice at most.
    let jaeger = page(&stack.url(15, "/metrics"));
    let stored = sum(&jaeger, "otelcol_exporter_sent_spans_total{");
    assert!(
        stored >= after.acked - before.acked,
        "Jaeger stored {stored}: {before:?} {after:?}"
    );
    println!(
        "sent on since {}, stored {stored}",
        after.acked - before.acked
    );
}
