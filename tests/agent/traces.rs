//! The trace lane from outside: what it takes, what it refuses and how, and that every span it took
//! over ends as acked, in flight or dropped.

mod fake;

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::json;

use self::fake::{Act, Endpoint, Told, send_grpc};
use crate::support::{Agent, Metrics, config, wait_for};

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// An agent whose one receiver (both forms, either port) sends to this endpoint.
struct Lane {
    agent: Agent,
    otlp: String,
}

fn settings(endpoint: &str, more: &str) -> String {
    format!(
        "traces: {{http: '127.0.0.1:0', endpoint: 'http://{endpoint}', batchDelayMs: 20{more}}}\n"
    )
}

fn lane(endpoint: &str, more: &str) -> Lane {
    let agent = Agent::start(&settings(endpoint, more));
    let otlp = agent.logged("the OTLP address", |line| {
        let taking = line.to_string().contains("taking spans");
        taking.then(|| line["address"].as_str().unwrap().to_owned())
    });
    Lane { agent, otlp }
}

fn spans(names: &[&str]) -> Vec<u8> {
    let spans = names.iter().map(|name| Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: (*name).to_owned(),
        ..Default::default()
    });
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: spans.collect(),
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
    .encode_to_vec()
}

fn framed(packed: bool, message: &[u8]) -> Vec<u8> {
    let mut out = vec![u8::from(packed)];
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[derive(Debug)]
struct HttpTold {
    status: u16,
    kind: String,
    retry_after: Option<String>,
    body: Vec<u8>,
}

fn send_http(otlp: &str, headers: &[(&str, &str)], body: Vec<u8>) -> HttpTold {
    request(
        reqwest::Method::POST,
        &format!("http://{otlp}/v1/traces"),
        headers,
        body,
    )
}

fn request(
    method: reqwest::Method,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> HttpTold {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = request.send().await.unwrap();
        let header = |name| {
            let value = reply.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        HttpTold {
            status: reply.status().as_u16(),
            kind: header("content-type").unwrap_or_default(),
            retry_after: header("retry-after"),
            body: reply.bytes().await.unwrap().to_vec(),
        }
    })
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

impl Lane {
    fn send(&self, names: &[&str]) {
        let told = send_http(&self.otlp, &[PROTOBUF], spans(names));
        assert_eq!(told.status, 200, "{told:?}");
    }

    fn ledger(&self) -> Ledger {
        Ledger::of(&self.agent.metrics())
    }

    /// The ledger when nothing is under way any more.
    fn settled(&self) -> Ledger {
        wait_for("the outcome of all spans", || {
            let ledger = self.ledger();
            (ledger.in_flight == 0.0).then_some(ledger)
        })
    }
}

#[derive(Debug, PartialEq)]
struct Ledger {
    received: f64,
    acked: f64,
    rejected: f64,
    permanent: f64,
    in_flight: f64,
}

impl Ledger {
    fn of(metrics: &Metrics) -> Self {
        let total = |labels: &str| metrics.value(&format!("kai_agent_spans_total{{{labels}}}"));
        let received = |transport: &str| {
            metrics.value(&format!(
                "kai_agent_spans_received_total{{transport=\"{transport}\"}}"
            ))
        };
        Self {
            received: received("grpc") + received("http"),
            acked: total("outcome=\"acked\",reason=\"\""),
            rejected: total("outcome=\"dropped\",reason=\"rejected\""),
            permanent: total("outcome=\"dropped\",reason=\"permanent\""),
            in_flight: metrics.value("kai_agent_spans_in_flight"),
        }
    }

    fn ended(received: u32, acked: u32, rejected: u32, permanent: u32) -> Self {
        Self {
            received: received.into(),
            acked: acked.into(),
            rejected: rejected.into(),
            permanent: permanent.into(),
            in_flight: 0.0,
        }
    }
}

#[test]
fn every_form_of_a_request_arrives() {
    let endpoint = Endpoint::start(&[]);
    let lane = lane(&endpoint.address.to_string(), "");
    let ok = Told {
        code: 0,
        message: String::new(),
        retry_info: false,
    };
    let grpc = |headers: &[(&str, &str)], body| send_grpc(&lane.otlp, PATH, headers, body);
    assert_eq!(grpc(&[], framed(false, &spans(&["a"]))), ok);
    let packed = framed(true, &gzip(&spans(&["b", "c"])));
    assert_eq!(grpc(&[("grpc-encoding", "gzip")], packed), ok);
    // Said to be packed, and this message is not.
    let plain = framed(false, &spans(&["d"]));
    assert_eq!(grpc(&[("grpc-encoding", "gzip")], plain), ok);
    assert_eq!(
        grpc(&[], framed(false, b"")),
        ok,
        "an empty one is a success"
    );

    let told = send_http(&lane.otlp, &[PROTOBUF], spans(&["e"]));
    assert_eq!((told.status, &*told.kind), (200, "application/x-protobuf"));
    assert!(told.body.is_empty(), "{told:?}");
    let zipped = [PROTOBUF, ("content-encoding", "gzip")];
    assert_eq!(
        send_http(&lane.otlp, &zipped, gzip(&spans(&["f"]))).status,
        200
    );
    let text = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174",
        "name": "g", "startTimeUnixNano": "1544712660000000000" }] }] }] });
    let json = [("content-type", "application/json; charset=utf-8")];
    let told = send_http(&lane.otlp, &json, text.to_string().into());
    assert_eq!((told.status, &*told.kind), (200, "application/json"));
    assert_eq!(told.body, b"{}");

    assert_eq!(lane.settled(), Ledger::ended(7, 7, 0, 0));
    assert_eq!(endpoint.taken(), ["a", "b", "c", "d", "e", "f", "g"]);
}

#[test]
fn what_is_wrong_is_refused_as_otlp_wants_it() {
    let endpoint = Endpoint::start(&[]);
    let lane = lane(&endpoint.address.to_string(), ", memoryBytes: 1048576");
    let large = vec![0x0a; 300_000];
    for (headers, body, status, says) in [
        (vec![PROTOBUF], b"\x0a\xff".to_vec(), 400, "byte 1"),
        (
            vec![JSON],
            b"{\"resourceSpans\":5}".to_vec(),
            400,
            "resourceSpans",
        ),
        (
            vec![("content-type", "text/plain")],
            vec![],
            415,
            "x-protobuf",
        ),
        (vec![], vec![], 415, "application/json"),
        (
            vec![PROTOBUF, ("content-encoding", "br")],
            vec![],
            415,
            "gzip",
        ),
        (
            vec![PROTOBUF, ("content-encoding", "gzip")],
            vec![1],
            400,
            "gzip",
        ),
        (vec![PROTOBUF], large.clone(), 413, "262144 bytes"),
        (
            vec![PROTOBUF, ("content-encoding", "gzip")],
            gzip(&vec![0; 3_000_000]),
            413,
            "262144 bytes",
        ),
    ] {
        let told = send_http(&lane.otlp, &headers, body);
        let text = String::from_utf8_lossy(&told.body).into_owned();
        assert_eq!(told.status, status, "{headers:?}: {text}");
        assert!(text.contains(says), "{headers:?}: {text}");
        assert_eq!(told.retry_after, None);
        let kind = if headers.contains(&PROTOBUF) {
            PROTOBUF.1
        } else {
            JSON.1
        };
        assert_eq!(told.kind, kind, "in the encoding of the request");
    }
    let url = format!("http://{}", lane.otlp);
    let get = request(
        reqwest::Method::GET,
        &format!("{url}/v1/traces"),
        &[],
        vec![],
    );
    assert_eq!(get.status, 405);
    let logs = request(
        reqwest::Method::POST,
        &format!("{url}/v1/logs"),
        &[JSON],
        vec![],
    );
    assert_eq!(logs.status, 404);

    let grpc =
        |path: &str, headers: &[(&str, &str)], body| send_grpc(&lane.otlp, path, headers, body);
    let told = grpc(PATH, &[], framed(false, b"\x0a\xff"));
    assert_eq!(
        (told.code, told.retry_info),
        (3, false),
        "INVALID_ARGUMENT {told:?}"
    );
    let told = grpc(PATH, &[], framed(false, &large));
    assert_eq!(
        (told.code, told.retry_info),
        (8, false),
        "RESOURCE_EXHAUSTED {told:?}"
    );
    let told = grpc(PATH, &[("grpc-encoding", "zstd")], framed(true, b""));
    assert_eq!(told.code, 12, "UNIMPLEMENTED {told:?}");
    let other = PATH.replace("trace", "logs").replace("Trace", "Logs");
    assert_eq!(grpc(&other, &[], framed(false, b"")).code, 12);

    // A request of chunks has no length to judge beforehand.
    let metrics = lane.agent.metrics();
    let refused = |transport: &str, reason: &str| {
        metrics.value(&format!(
            "kai_agent_trace_requests_refused_total{{transport=\"{transport}\",reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(refused("http", "malformed"), 3.0);
    assert_eq!(refused("http", "too_large"), 2.0);
    assert_eq!(refused("http", "not_supported"), 3.0);
    assert_eq!(refused("grpc", "too_large"), 1.0);
    assert_eq!(lane.ledger(), Ledger::ended(0, 0, 0, 0));
}

#[test]
fn what_may_be_tried_again_is_until_it_arrives() {
    // UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED, no gRPC at all, and an answer that gets lost.
    let script = [
        Act::Fail(14),
        Act::Fail(4),
        Act::Fail(10),
        Act::Http(503),
        Act::Lose,
    ];
    let endpoint = Endpoint::start(&script);
    let lane = lane(&endpoint.address.to_string(), "");
    lane.send(&["a"]);
    assert_eq!(lane.settled(), Ledger::ended(1, 1, 0, 0));
    assert_eq!(endpoint.seen().len(), 6);
    // Not known to have arrived, it is sent again: at least once, not once.
    assert_eq!(endpoint.taken(), ["a", "a"]);
    let metrics = lane.agent.metrics();
    let retries =
        |code: &str| metrics.value(&format!("kai_agent_trace_retries_total{{code=\"{code}\"}}"));
    assert_eq!(retries("UNAVAILABLE"), 3.0);
    assert_eq!(retries("DEADLINE_EXCEEDED"), 1.0);
    lane.agent.logged_text("spans are delivered again");
}

#[test]
fn an_exhausted_endpoint_is_asked_again_when_it_says_so_and_only_then() {
    let endpoint = Endpoint::start(&[Act::FailFor(8, 700), Act::Take, Act::Fail(8)]);
    let lane = lane(&endpoint.address.to_string(), "");
    lane.send(&["a"]);
    assert_eq!(lane.settled(), Ledger::ended(1, 1, 0, 0));
    let seen = endpoint.seen();
    assert!(
        seen[1].at - seen[0].at >= Duration::from_millis(700),
        "{seen:?}"
    );
    lane.send(&["b"]);
    assert_eq!(lane.settled(), Ledger::ended(2, 1, 0, 1));
    assert_eq!(endpoint.seen().len(), 3, "without RetryInfo it is final");
}

#[test]
fn what_the_endpoint_rejects_is_counted() {
    let endpoint = Endpoint::start(&[Act::Reject(2), Act::Reject(-5), Act::Reject(99)]);
    let lane = lane(&endpoint.address.to_string(), "");
    lane.send(&["a", "b", "c"]);
    assert_eq!(lane.settled(), Ledger::ended(3, 1, 2, 0));
    lane.send(&["d"]);
    assert_eq!(lane.settled(), Ledger::ended(4, 2, 2, 0));
    lane.send(&["e"]);
    assert_eq!(lane.settled(), Ledger::ended(5, 2, 3, 0));
    lane.agent.logged_text("too old");
}

#[test]
fn one_bad_request_does_not_take_the_others_along() {
    let always = Act::FailOn(13, "bad");
    let endpoint = Endpoint::start_at("127.0.0.1:0", &[], always);
    let lane = lane(&endpoint.address.to_string(), ", batchSpans: 100");
    // Slow enough a delay that they become one batch.
    let names: Vec<String> = (0..9).map(|n| format!("good-{n}")).collect();
    for name in &names[..5] {
        lane.send(&[name]);
    }
    lane.send(&["bad", "with it"]);
    for name in &names[5..] {
        lane.send(&[name]);
    }
    assert_eq!(lane.settled(), Ledger::ended(11, 9, 0, 2));
    assert_eq!(endpoint.taken(), names);
}

#[test]
fn a_refusal_that_is_not_about_the_spans_is_final_at_once() {
    let endpoint = Endpoint::start_at("127.0.0.1:0", &[], Act::Http(404));
    let lane = lane(&endpoint.address.to_string(), "");
    lane.send(&["a"]);
    assert_eq!(lane.settled(), Ledger::ended(1, 0, 0, 1));
    lane.agent.logged_text("UNIMPLEMENTED");
}

#[test]
fn great_requests_go_on_in_batches_of_the_size_that_is_set() {
    let endpoint = Endpoint::start(&[]);
    let lane = lane(&endpoint.address.to_string(), ", batchSpans: 10");
    let names: Vec<String> = (0..95).map(|n| format!("{n:02}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    lane.send(&all);
    assert_eq!(lane.settled(), Ledger::ended(95, 95, 0, 0));
    assert_eq!(endpoint.taken(), names);
    assert!(endpoint.seen().iter().all(|seen| seen.names.len() <= 10));
}

#[test]
fn while_the_endpoint_is_away_memory_is_bounded_and_nothing_is_lost() {
    // A port that was free a moment ago; the endpoint comes up there later.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    drop(port);
    let lane = lane(&address, ", memoryBytes: 1048576");
    let long = "x".repeat(50_000);
    let (mut taken, mut refused) = (0, 0);
    while refused < 3 {
        let told = send_http(&lane.otlp, &[PROTOBUF], spans(&[&long]));
        match told.status {
            200 => taken += 1,
            503 => {
                assert_eq!(told.retry_after.as_deref(), Some("1"));
                refused += 1;
            }
            other => panic!("{other}: {told:?}"),
        }
        assert!(taken < 100, "it never fills up");
    }
    let told = send_grpc(&lane.otlp, PATH, &[], framed(false, &spans(&[&long])));
    assert_eq!(
        (told.code, told.retry_info),
        (14, true),
        "UNAVAILABLE {told:?}"
    );
    let metrics = lane.agent.metrics();
    let held = metrics.value("kai_agent_trace_queue_bytes");
    let limit = metrics.value("kai_agent_trace_queue_limit_bytes");
    assert!(held <= limit && limit == 786_432.0, "{held} of {limit}");
    assert!(metrics.value("kai_agent_spans_oldest_age_seconds") > 0.0);
    assert_eq!(metrics.value("kai_agent_spans_in_flight"), f64::from(taken));
    let full = "kai_agent_spans_refused_total{transport=\"http\",reason=\"full\"}";
    assert_eq!(metrics.value(full), 3.0);

    let endpoint = Endpoint::start_at(&address, &[], Act::Take);
    assert_eq!(lane.settled(), Ledger::ended(taken, taken, 0, 0));
    assert_eq!(endpoint.taken().len(), taken as usize);
    assert_eq!(
        lane.agent.metrics().value("kai_agent_trace_queue_bytes"),
        0.0
    );
    lane.send(&["after"]);
    assert_eq!(lane.settled(), Ledger::ended(taken + 1, taken + 1, 0, 0));
}

#[test]
fn what_waits_at_the_end_is_sent_or_counted() {
    let endpoint = Endpoint::start(&[]);
    let mut quick = lane(&endpoint.address.to_string(), "");
    let slow = quick.agent.path("agent.yaml");
    assert!(slow.exists());
    quick.send(&["a"]);
    quick.agent.signal("TERM");
    assert!(quick.agent.ended().success());
    assert_eq!(endpoint.taken(), ["a"]);

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    drop(port);
    let mut away = lane(&address, "");
    away.send(&["b", "c"]);
    away.agent.signal("TERM");
    assert!(away.agent.ended().success());
    let line = away.agent.logged_text("the trace lane ends");
    assert!(line.contains("\"shutdown\":2"), "{line}");
    away.agent
        .logged_text("could not be delivered before the agent ended");
}

#[test]
fn the_endpoint_changes_at_once_and_addresses_need_a_restart() {
    let (first, second) = (Endpoint::start(&[]), Endpoint::start(&[]));
    let lane = lane(&first.address.to_string(), "");
    lane.send(&["a"]);
    lane.settled();
    let write = |traces: &str| {
        fs::write(
            lane.agent.path("agent.yaml"),
            config(lane.agent.folder.path(), traces),
        )
        .unwrap();
        lane.agent.admin("POST", "/reload", "")
    };
    assert_eq!(
        write(&settings(&second.address.to_string(), "")).status,
        200
    );
    lane.send(&["b"]);
    lane.settled();
    assert_eq!(
        (first.taken(), second.taken()),
        (vec!["a".to_owned()], vec!["b".to_owned()])
    );

    let endpoint = second.address.to_string();
    let other = settings(&endpoint, ", memoryBytes: 2097152, grpc: '127.0.0.1:0'");
    let refused = write(&other);
    assert!(refused.status >= 400, "{}", refused.text());
    for part in ["traces.grpc", "traces.memoryBytes", "needs a restart"] {
        assert!(refused.text().contains(part), "{}", refused.text());
    }
    let refused = write("");
    assert!(
        refused.text().contains("from a trace lane to none"),
        "{}",
        refused.text()
    );
    lane.send(&["c"]);
    assert_eq!(lane.settled(), Ledger::ended(3, 3, 0, 0));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = format!("traces: {{grpc: '{address}', endpoint: 'http://127.0.0.1:1'}}\n");
    fs::write(
        folder.path().join("agent.yaml"),
        config(folder.path(), &text),
    )
    .unwrap();
    let (code, error) = Agent::refused(folder.path());
    assert_eq!(code, Some(1));
    assert!(
        error.contains(&address.to_string()) && error.contains("another process"),
        "{error}"
    );
}

/// Garbage, half requests and senders that go away: the lane goes on.
#[test]
fn broken_senders_are_survived() {
    let endpoint = Endpoint::start(&[]);
    let lane = lane(&endpoint.address.to_string(), "");
    for bytes in [
        &b"\x16\x03\x01 this is TLS"[..],
        b"POST /v1/traces HTTP/1.1\r\ncontent-length: 1000\r\ncontent-type: application/json\r\n\r\n{",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff",
        b"",
    ] {
        let mut stream = std::net::TcpStream::connect(&lane.otlp).unwrap();
        stream.write_all(bytes).unwrap();
    }
    // A gRPC message that is shorter than it says.
    let mut short = framed(false, &spans(&["a"]));
    short.truncate(short.len() - 3);
    let told = send_grpc(&lane.otlp, PATH, &[], short);
    assert_ne!(told.code, 0, "{told:?}");
    lane.send(&["b"]);
    assert_eq!(lane.settled(), Ledger::ended(1, 1, 0, 0));
    assert_eq!(endpoint.taken(), ["b"]);
}

#[test]
fn without_a_lane_no_series_of_one() {
    let metrics = Agent::start("").metrics();
    let found = metrics.families.keys().find(|name| name.contains("span"));
    assert_eq!(found, None);
}
