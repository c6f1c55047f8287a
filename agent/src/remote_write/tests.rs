//! The lane against receivers that fail on purpose. tests/agent/remote_write.rs has the real
//! Prometheus.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kai_contract::agent_config::{RemoteEndpoint, RemoteWrite};
use proptest::prelude::*;
use tokio::sync::watch;

use super::request::{Batch, Builder, Point, Row, Versions};
use super::targets::Targets;
use super::wire::STALE;
use super::{Inbox, Ledger, start, transcode};
use crate::samples::{
    Exemplar, Family, Follower as _, Format, Kind, Label, NativeHistogram, Page, Scraped, Series,
    Span, Target, Value,
};
use crate::traces::wire::{Reader, Value as Wire};

const BOTH: Versions = Versions {
    one: true,
    two: true,
};

/// Lines of `name label=value … value [@time]`; `!` cannot be read.
fn read(page: &Page, each: &mut dyn FnMut(&Series<'_>)) -> Result<(), String> {
    for line in std::str::from_utf8(&page.body).unwrap().lines() {
        if line.starts_with('!') {
            return Err("not a page".to_owned());
        }
        let mut words: Vec<&str> = line.split(' ').collect();
        let timestamp = words.last().and_then(|word| word.strip_prefix('@'));
        let timestamp = timestamp.map(|word| word.parse().unwrap());
        if timestamp.is_some() {
            words.pop();
        }
        let value = words.pop().unwrap().parse().unwrap();
        let family = Family {
            name: words[0].into(),
            kind: Kind::Gauge,
            help: "Help".into(),
            unit: "".into(),
        };
        let labels: Vec<Label<'_>> = words[1..]
            .iter()
            .map(|word| word.split_once('=').unwrap())
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        each(&Series {
            family: &family,
            name: words[0].into(),
            labels: &labels,
            value: Value::Number(value),
            timestamp,
            created: None,
            exemplars: &[],
        });
    }
    Ok(())
}

fn target() -> Arc<Target> {
    Arc::new(Target {
        name: "app".into(),
        labels: vec![("job".into(), "app".into())],
    })
}

fn scraped(at: i64, page: Result<&str, &str>) -> Scraped {
    Scraped {
        target: target(),
        at,
        seconds: 0.25,
        page: page
            .map(|body| Page {
                format: Format::Text,
                body: body.to_owned().into(),
            })
            .map_err(str::to_owned),
    }
}

/// `name{a=b} value @time` of each sample of a request in 1.0, as anybody would decode it.
fn decode(one: &[u8]) -> Vec<String> {
    let message = snap::raw::Decoder::new().decompress_vec(one).unwrap();
    let mut out = Vec::new();
    let mut reader = Reader::new(&message);
    while let Some((number, value)) = reader.field().unwrap() {
        let (1, Wire::Bytes(series)) = (number, value) else {
            continue;
        };
        let (mut labels, mut samples) = (Vec::new(), Vec::new());
        let mut series = Reader::new(series);
        while let Some((number, value)) = series.field().unwrap() {
            let Wire::Bytes(bytes) = value else {
                panic!("{value:?}")
            };
            let mut inner = Reader::new(bytes);
            let (mut texts, mut value, mut at) = (Vec::new(), 0.0, 0);
            while let Some((_, field)) = inner.field().unwrap() {
                match field {
                    Wire::Bytes(text) => texts.push(String::from_utf8_lossy(text).into_owned()),
                    Wire::Fixed64(bits) => value = f64::from_bits(bits),
                    Wire::Varint(time) => at = time,
                    other => panic!("{other:?}"),
                }
            }
            match number {
                1 => labels.push(texts.join("=")),
                2 if value.to_bits() == STALE.to_bits() => samples.push(format!("stale @{at}")),
                2 => samples.push(format!("{value} @{at}")),
                _ => {}
            }
        }
        for sample in samples {
            out.push(format!("{} {sample}", labels.join(" ")));
        }
    }
    out
}

fn all(batches: &[Batch]) -> Vec<String> {
    let of_one: Vec<_> = batches
        .iter()
        .flat_map(|batch| decode(batch.one.as_ref().unwrap()))
        .collect();
    let of_two: Vec<_> = batches
        .iter()
        .flat_map(|batch| decode(&transcode::to_one(batch.two.as_ref().unwrap()).unwrap()))
        .collect();
    assert_eq!(of_one, of_two);
    of_one
        .into_iter()
        .filter(|line| !line.contains("__name__=scrape_"))
        .map(|line| line.replace("__name__=", "").replace(" job=app", ""))
        .collect()
}

fn targets() -> Targets {
    Targets::new(read, Vec::new(), 2)
}

#[test]
fn what_is_gone_is_marked_as_ended() {
    let mut targets = targets();
    let first = targets.scraped(
        &scraped(1000, Ok("a x=1 1\nb 2\nc 3")),
        Instant::now(),
        BOTH,
    );
    assert_eq!(
        all(&first.batches),
        ["a x=1 1 @1000", "b 2 @1000", "c 3 @1000", "up 1 @1000"]
    );
    let second = targets.scraped(&scraped(2000, Ok("c 4\nd NaN")), Instant::now(), BOTH);
    assert_eq!(
        all(&second.batches),
        [
            "c 4 @2000",
            "d NaN @2000",
            "a x=1 stale @2000",
            "b stale @2000",
            "up 1 @2000"
        ]
    );
    let failed = targets.scraped(&scraped(3000, Err("away")), Instant::now(), BOTH);
    assert_eq!(
        all(&failed.batches),
        ["c stale @3000", "d stale @3000", "up 0 @3000"]
    );
    let again = targets.scraped(&scraped(4000, Err("away")), Instant::now(), BOTH);
    assert_eq!(all(&again.batches), ["up 0 @4000"]);
    targets.scraped(&scraped(5000, Ok("c 5")), Instant::now(), BOTH);
    assert_eq!(targets.series(), 1);
    let end = targets.end_all(4000, BOTH);
    assert_eq!(all(&end), ["c stale @5001", "up stale @5001"]);
    assert_eq!(targets.series(), 0);
}

#[test]
fn a_page_that_breaks_off_is_not_half_written() {
    let mut targets = targets();
    targets.scraped(&scraped(1000, Ok("a 1")), Instant::now(), BOTH);
    let bad = targets.scraped(&scraped(2000, Ok("a 2\nb 1\nc 1\n!")), Instant::now(), BOTH);
    assert_eq!(bad.malformed.as_deref(), Some("not a page"));
    assert_eq!(all(&bad.batches), ["a stale @2000", "up 0 @2000"]);
}

#[test]
fn nothing_is_written_twice_or_backwards() {
    let mut targets = targets();
    let one = targets.scraped(
        &scraped(1000, Ok("a 1\na 2\nt 1 @900")),
        Instant::now(),
        BOTH,
    );
    assert_eq!(all(&one.batches), ["a 1 @1000", "t 1 @900", "up 1 @1000"]);
    assert_eq!(one.duplicates, 1);
    for at in [1000, 999] {
        let back = targets.scraped(&scraped(at, Ok("a 1")), Instant::now(), BOTH);
        assert!(back.not_newer && back.batches.is_empty());
    }
    let two = targets.scraped(&scraped(2000, Ok("a 1\nt 1 @900")), Instant::now(), BOTH);
    assert_eq!((two.duplicates, two.out_of_order), (1, 0));
    let three = targets.scraped(&scraped(3000, Ok("a 1\nt 1 @800")), Instant::now(), BOTH);
    assert_eq!((three.duplicates, three.out_of_order), (0, 1));
    let four = targets.scraped(&scraped(4000, Ok("a 1\nt 1 @901")), Instant::now(), BOTH);
    assert_eq!(all(&four.batches), ["a 1 @4000", "t 1 @901", "up 1 @4000"]);
}

#[test]
fn a_silent_target_ends() {
    let mut targets = targets();
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    targets.scraped(&scraped(1_000, Ok("a 1")), start, BOTH);
    targets.scraped(&scraped(31_000, Ok("a 1")), after(30), BOTH);
    assert!(targets.end_silent(after(119), 70_000, BOTH).is_empty());
    let ended = targets.end_silent(after(121), 77_000, BOTH);
    assert_eq!(all(&ended), ["a stale @77000", "up stale @77000"]);
}

/// How the receiver answers: status and headers.
type Script = Box<dyn Fn(usize) -> (u16, &'static str) + Send>;

struct Fake {
    url: String,
    /// Version, content type, body of each request, with the status given.
    got: Arc<Mutex<Vec<(String, Vec<u8>, u16)>>>,
}

impl Fake {
    fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, script)
    }

    fn on(listener: TcpListener, script: Script) -> Self {
        let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                while let Some((head, body)) = request(&stream) {
                    let number = sink.lock().unwrap().len();
                    let (status, headers) = script(number);
                    sink.lock().unwrap().push((head, body, status));
                    let reply =
                        format!("HTTP/1.1 {status} x\r\n{headers}content-length: 0\r\n\r\n");
                    if (&stream).write_all(reply.as_bytes()).is_err() {
                        break;
                    }
                }
            }
        });
        Self { url, got }
    }

    fn taken(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        let taken = got.iter().filter(|(_, _, status)| *status < 300);
        taken
            .flat_map(|(head, body, _)| {
                if head.contains("proto=io.prometheus.write.v2.request") {
                    assert!(head.contains("x-prometheus-remote-write-version: 2.0.0"));
                    decode(&transcode::to_one(body).unwrap())
                } else {
                    assert!(head.contains("x-prometheus-remote-write-version: 0.1.0"));
                    decode(body)
                }
            })
            .collect()
    }
}

fn request(mut stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();

    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap()
        .parse()
        .unwrap();
    let mut body = bytes.split_off(end);
    while body.len() < length {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => body.extend_from_slice(&buffer[..n]),
        }
    }
    Some((head, body))
}

const WROTE_ALL: &str = "X-Prometheus-Remote-Write-Samples-Written: 999999\r\n";

struct Lane {
    inbox: Inbox,
    ledger: Ledger,
    end: watch::Sender<bool>,
    ended: tokio::task::JoinHandle<()>,
    runtime: tokio::runtime::Runtime,
}

impl Lane {
    fn to(url: &str, memory_bytes: u64) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = RemoteEndpoint {
            timeout_ms: 2000,
            ..RemoteEndpoint::at(url.to_owned())
        };
        let config = RemoteWrite {
            memory_bytes,
            batch_samples: 10,
            ..RemoteWrite::to([("r".to_owned(), endpoint)].into())
        };
        let ledger = Ledger::default();
        let (end, shutdown) = watch::channel(false);
        let (inbox, ended) = start(&config, read, ledger.clone(), shutdown).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ended = runtime.spawn(ended);
        Self {
            inbox,
            ledger,
            end,
            ended,
            runtime,
        }
    }

    fn account(&self) -> super::ledger::Account {
        self.ledger.account("r", "", 0)
    }

    fn end(self) -> super::ledger::Account {
        let account = self.account();
        self.end.send(true).unwrap();
        self.runtime.block_on(self.ended).unwrap();
        account
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "waited for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn balanced(account: &super::ledger::Account, dropped: u64) {
    assert_eq!(account.in_flight(), 0);
    assert_eq!(account.received_so_far(), account.acked_so_far() + dropped);
}

#[test]
fn samples_stay_in_their_order_through_failures() {
    let fake = Fake::start(Box::new(|number| match number % 4 {
        0 => (503, "Retry-After: 0\r\n"),
        1 => (429, "Retry-After: 0\r\n"),
        2 => (500, ""),
        _ => (204, WROTE_ALL),
    }));
    let lane = Lane::to(&fake.url, 8 << 20);
    for at in 1..=5 {
        lane.inbox
            .scraped(&scraped(at * 1000, Ok(&format!("a {at}"))));
    }
    eventually("five requests", || lane.account().acked_so_far() == 30);
    let account = lane.end();
    let values: Vec<String> = fake
        .taken()
        .into_iter()
        .filter(|line| line.contains("=a "))
        .collect();
    let mut expected: Vec<String> = (1..=5)
        .map(|at| format!("__name__=a job=app {at} @{at}000"))
        .collect();
    assert!(values.last().unwrap().contains("stale"), "{values:?}");
    expected.push(values.last().unwrap().clone());
    assert_eq!(values, expected);
    balanced(&account, 0);
}

#[test]
fn a_receiver_of_1_0_gets_it() {
    for (status, headers) in [(415, ""), (204, "")] {
        let fake = Fake::start(Box::new(move |number| match number {
            0 => (status, headers),
            _ => (204, ""),
        }));
        let lane = Lane::to(&fake.url, 8 << 20);
        lane.inbox.scraped(&scraped(1000, Ok("a 1")));
        lane.inbox.scraped(&scraped(2000, Ok("a 2")));
        eventually("both", || lane.account().acked_so_far() == 12);
        balanced(&lane.end(), 0);
        let heads: Vec<bool> = fake
            .got
            .lock()
            .unwrap()
            .iter()
            .map(|(head, _, _)| head.contains("write-version: 2.0.0"))
            .collect();
        assert_eq!(heads.iter().filter(|two| **two).count(), 1, "{heads:?}");
        assert!(heads[0] && !heads[1]);
    }
}

#[test]
fn what_is_refused_is_counted_by_its_reason() {
    let fake = Fake::start(Box::new(|number| match number {
        0 => (400, ""),
        1 => (200, "X-Prometheus-Remote-Write-Samples-Written: 2\r\n"),
        _ => (200, WROTE_ALL),
    }));
    let lane = Lane::to(&fake.url, 8 << 20);
    lane.inbox.scraped(&scraped(1000, Ok("a 1")));
    lane.inbox.scraped(&scraped(2000, Ok("a 2")));
    let account = lane.account();
    let dropped = |status| account.dropped_so_far(status);
    eventually("both", || dropped(super::Loss::NotWritten) > 0);
    assert_eq!(dropped(super::Loss::Refused(400)), 6);
    assert_eq!(dropped(super::Loss::NotWritten), 4);
    assert_eq!(account.acked_so_far(), 2);
    balanced(&lane.end(), 10);
}

#[test]
fn an_outage_costs_bounded_memory_and_the_oldest_samples() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener); // away
    let memory = 1 << 20;
    let lane = Lane::to(&format!("http://{address}/api/v1/write"), memory);
    let account = lane.account();
    let pages = 400;
    for at in 1..=pages {
        let page: String = (0..100)
            .map(|n| format!("s n={} {}\n", n * at * 7919, at * n))
            .collect();
        lane.inbox.scraped(&scraped(at * 1000, Ok(&page)));
        let held = &lane.inbox.held;
        eventually("room", || {
            held.load(std::sync::atomic::Ordering::Relaxed) == 0
        });
    }
    assert_eq!(lane.ledger.unread_pages(), 0);
    let lost = account.dropped_so_far(super::Loss::QueueFull);
    assert!(lost > 0, "the queue was never full");
    assert!(account.in_flight() > 0);
    let listener = TcpListener::bind(address).unwrap();
    let fake = Fake::on(listener, Box::new(|_| (204, WROTE_ALL)));
    eventually("the rest", || account.in_flight() == 0);
    let times: Vec<u64> = fake
        .taken()
        .iter()
        .map(|line| line.rsplit_once('@').unwrap().1.parse().unwrap())
        .collect();
    assert!(times.is_sorted(), "out of order");
    assert_eq!(*times.last().unwrap(), pages as u64 * 1000);
    let lines = fake.taken();
    let once: std::collections::HashSet<&String> = lines.iter().collect();
    assert_eq!(once.len(), lines.len(), "a sample arrived twice");
    let account = lane.end();
    balanced(&account, account.dropped_so_far(super::Loss::QueueFull));
}

#[test]
fn what_cannot_be_sent_at_the_end_is_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let lane = Lane::to(&format!("http://{address}/"), 1 << 20);
    lane.inbox.scraped(&scraped(1000, Ok("a 1")));
    let account = lane.end();
    let lost = account.dropped_so_far(super::Loss::Shutdown);
    assert_eq!(lost, 12, "six samples and their ends");
    balanced(&account, lost);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z]{1,3}", "\\PC{0,8}"]
}

fn native() -> impl Strategy<Value = NativeHistogram> {
    let counts = prop::collection::vec(0..1000_u32, 0..5);
    (counts, any::<bool>(), -4..9_i32, any::<bool>()).prop_map(|(counts, float, schema, gauge)| {
        let counts: Vec<f64> = counts.into_iter().map(f64::from).collect();
        NativeHistogram {
            schema,
            zero_threshold: 1e-128,
            zero_count: 3.0,
            count: counts.iter().sum::<f64>() + 3.0,
            sum: 17.5,
            positive_spans: vec![Span {
                offset: -3,
                length: counts.len() as u32,
            }],
            positive_counts: counts,
            float,
            gauge,
            ..NativeHistogram::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is written as 2.0 and put into 1.0 afterwards is what is written as 1.0, byte for byte.
    #[test]
    fn both_versions_say_the_same(
        rows in prop::collection::vec(
            (
                prop::collection::vec((text(), text()), 0..4),
                prop_oneof![
                    any::<f64>().prop_map(|value| Some(Value::Number(value))),
                    native().prop_map(|native| Some(Value::Native(Box::new(native)))),
                    Just(None),
                ],
                any::<i64>(),
                prop::option::of((text(), any::<f64>(), any::<i64>())),
            ),
            1..8,
        ),
    ) {
        let mut builder = Builder::default();
        builder.versions(BOTH);
        let family = Family {
            name: "f".into(), kind: Kind::Counter, help: "Help.".into(), unit: "s".into(),
        };
        for (labels, value, timestamp, exemplar) in &rows {
            let labels: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let exemplars: Vec<Exemplar<'_>> = exemplar
                .iter()
                .filter(|_| value.is_some())
                .map(|(text, value, at)| Exemplar {
                    labels: vec![("trace_id".into(), text.as_str().into())],
                    value: *value,
                    timestamp: Some(*at),
                })
                .collect();
            builder.push(&Row {
                family: Some(&family),
                labels: &labels,
                point: value.as_ref().map_or(Point::Stale, Point::Value),
                timestamp: *timestamp,
                created: None,
                exemplars: &exemplars,
            });
        }
        let batch = builder.take().unwrap();
        let one = transcode::to_one(batch.two.as_ref().unwrap()).unwrap();
        prop_assert_eq!(one, batch.one.clone().unwrap());
        prop_assert_eq!(batch.all_samples(), rows.len() as u64);
    }

    #[test]
    fn any_bytes_are_a_request_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = transcode::to_one(&bytes);
        let _ = transcode::to_one(&super::request::compress(&bytes));
    }
}
