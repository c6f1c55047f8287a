//! Remote write to a real Prometheus, in both versions of the protocol: values, types, native
//! histograms, exemplars, ended series, and an outage that the receiver's own disk survives.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use kai_agent::remote_write::{Inbox, Ledger, start};
use kai_agent::samples::{
    Exemplar, Family, Follower as _, Format, Kind, Label, NativeHistogram, Page, Scraped, Series,
    Span, Target, Value,
};
use kai_contract::agent_config::{RemoteEndpoint, RemoteWrite};
use serde_json::Value as Json;
use tokio::sync::watch;

use crate::gate::prometheus::program;
use crate::support::wait_for;

struct Prometheus {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

fn launch(folder: &Path, port: u16, receiver: bool) -> Child {
    let program = program().expect("a Prometheus, looked for before");
    let mut command = Command::new(program);
    command
        .arg(format!(
            "--config.file={}",
            folder.join("prometheus.yml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--enable-feature=native-histograms,exemplar-storage,metadata-wal-records")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if receiver {
        command.arg("--web.enable-remote-write-receiver");
    }
    command.spawn().unwrap()
}

impl Prometheus {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("prometheus.yml"), "global: {}\n").unwrap();
        let port = free_port();
        let child = launch(folder.path(), port, true);
        let started = Self {
            child,
            port,
            folder,
        };
        started.ready();
        started
    }

    fn ready(&self) {
        wait_for("Prometheus", || self.get("/-/ready"));
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn again(&mut self) {
        self.child = launch(self.folder.path(), self.port, true);
        self.ready();
    }

    fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        on_runtime(async move {
            let client = reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .build();
            let answer = client.ok()?.get(url).send().await.ok()?;
            answer.error_for_status().ok()?.text().await.ok()
        })
    }

    fn json(&self, path: &str) -> Json {
        let text = wait_for(path, || self.get(path));
        serde_json::from_str::<Json>(&text).unwrap()["data"].clone()
    }

    /// Results of an instant query; the text is percent-encoded here.
    fn query(&self, query: &str, at: Option<i64>) -> Vec<Json> {
        let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
        let time = at.map_or(String::new(), |at| {
            format!("&time={}.{:03}", at / 1000, at % 1000)
        });
        let data = self.json(&format!("/api/v1/query?query={encoded}{time}"));
        data["result"].as_array().unwrap().clone()
    }
}

fn on_runtime<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as i64
}

fn family(name: &'static str, kind: Kind) -> Family<'static> {
    Family {
        name: name.into(),
        kind,
        help: format!("Help of {name}.").into(),
        unit: "".into(),
    }
}

/// Each word of a page is a series of a kind of its own; `n` the number that they are made of.
fn read(page: &Page, each: &mut dyn FnMut(&Series<'_>)) -> Result<(), String> {
    let text = std::str::from_utf8(&page.body).map_err(|error| error.to_string())?;
    let (n, words) = text.split_once(':').ok_or("no number")?;
    let n: i64 = n
        .parse()
        .map_err(|error: std::num::ParseIntError| error.to_string())?;
    let mut send = |family: &Family<'_>,
                    name: &str,
                    labels: &[Label<'_>],
                    value,
                    exemplars: &[Exemplar<'_>]| {
        each(&Series {
            family,
            name: name.into(),
            labels,
            value,
            timestamp: None,
            created: Some(1_700_000_000_000),
            exemplars,
        });
    };
    let number = Value::Number(n as f64);
    for word in words.split(',') {
        match word {
            "counter" => {
                let exemplar = Exemplar {
                    labels: vec![("trace_id".into(), "abc".into())],
                    value: 0.5,
                    timestamp: None,
                };
                let family = family("requests", Kind::Counter);
                let labels = [("code".into(), "200".into()), ("job".into(), "own".into())];
                send(
                    &family,
                    "requests_total",
                    &labels,
                    number.clone(),
                    &[exemplar],
                );
            }
            "histogram" => {
                let family = family("took_seconds", Kind::Histogram);
                for bound in ["0.1", "1", "+Inf"] {
                    let labels = [("le".into(), bound.into())];
                    send(&family, "took_seconds_bucket", &labels, number.clone(), &[]);
                }
                send(&family, "took_seconds_sum", &[], Value::Number(0.25), &[]);
                send(&family, "took_seconds_count", &[], number.clone(), &[]);
            }
            "native" | "float" => {
                let float = word == "float";
                let name = if float { "floating" } else { "native" };
                let counts = vec![1.0, n as f64, 2.0];
                let native = NativeHistogram {
                    schema: 2,
                    zero_threshold: 0.001,
                    zero_count: 1.0,
                    count: 4.0 + n as f64,
                    sum: 17.25,
                    positive_spans: vec![
                        Span {
                            offset: -1,
                            length: 2,
                        },
                        Span {
                            offset: 3,
                            length: 1,
                        },
                    ],
                    positive_counts: counts,
                    float,
                    gauge: float,
                    ..NativeHistogram::default()
                };
                let kind = if float {
                    Kind::GaugeHistogram
                } else {
                    Kind::Histogram
                };
                send(
                    &family(name, kind),
                    name,
                    &[],
                    Value::Native(Box::new(native)),
                    &[],
                );
            }
            "nan" => send(
                &family("no", Kind::Gauge),
                "no",
                &[],
                Value::Number(f64::NAN),
                &[],
            ),
            many if many.starts_with("many") => {
                let family = family("many", Kind::Gauge);
                for index in 0..many[4..].parse::<u32>().unwrap_or(0) {
                    let labels = [("index".into(), index.to_string().into())];
                    send(&family, "many", &labels, number.clone(), &[]);
                }
            }
            _ => send(
                &family("plain", Kind::Gauge),
                "plain",
                &[],
                number.clone(),
                &[],
            ),
        }
    }
    Ok(())
}

struct Lane {
    inbox: Inbox,
    ledger: Ledger,
    end: watch::Sender<bool>,
    ended: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Lane {
    fn to(port: u16, protocol: u8, memory_bytes: u64) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = RemoteEndpoint {
            protocol,
            timeout_ms: 5000,
            ..RemoteEndpoint::at(format!("http://127.0.0.1:{port}/api/v1/write"))
        };
        let config = RemoteWrite {
            external_labels: [("cluster".to_owned(), "jkt1".to_owned())].into(),
            memory_bytes,
            batch_samples: 100,
            ..RemoteWrite::to([("central".to_owned(), endpoint)].into())
        };
        let ledger = Ledger::default();
        let (end, shutdown) = watch::channel(false);
        let (inbox, ended) = start(&config, read, ledger.clone(), shutdown).unwrap();
        Self {
            inbox,
            ledger,
            end,
            ended: Box::pin(ended),
        }
    }

    fn scraped(&self, at: i64, page: Result<String, &str>) {
        self.inbox.scraped(&Scraped {
            target: Arc::new(Target {
                name: "booking".into(),
                labels: vec![
                    ("instance".into(), "127.0.0.1:8080".into()),
                    ("job".into(), "booking".into()),
                ],
            }),
            at,
            seconds: 0.125,
            page: page
                .map(|text| Page {
                    format: Format::OpenMetrics,
                    body: text.into(),
                })
                .map_err(str::to_owned),
        });
    }

    fn end(self) -> Ledger {
        self.end.send(true).unwrap();
        on_runtime(self.ended);
        self.ledger
    }
}

/// The only value of a query, as Prometheus writes it.
fn value(results: &[Json]) -> String {
    assert_eq!(results.len(), 1, "{results:?}");
    results[0]["value"][1].as_str().unwrap().to_owned()
}

#[test]
fn a_real_prometheus_has_what_was_written() {
    if program().is_none() {
        println!(
            "not run: a_real_prometheus_has_what_was_written: no Prometheus in the PATH or the \
             component cache"
        );
        return;
    }
    for protocol in [1, 2] {
        written(protocol);
    }
}

fn written(protocol: u8) {
    let prometheus = Prometheus::start();
    let lane = Lane::to(prometheus.port, protocol, 4 << 20);
    let first = now() - 60_000;
    lane.scraped(
        first,
        Ok("41:counter,histogram,native,float,nan,plain".into()),
    );
    lane.scraped(
        first + 15_000,
        Ok("42:counter,histogram,native,float,nan".into()),
    );
    wait_for("the second scrape", || {
        let found = prometheus.query("requests_total", None);
        (found.len() == 1 && value(&found) == "42").then_some(())
    });
    let at = |query: &str, time| prometheus.query(query, Some(time));

    let counter = &at("requests_total", first)[0];
    assert_eq!(
        counter["metric"],
        serde_json::json!({
            "__name__": "requests_total", "cluster": "jkt1", "code": "200", "exported_job": "own",
            "instance": "127.0.0.1:8080", "job": "booking",
        })
    );
    assert_eq!(value(&at("requests_total", first)), "41");
    let bounds: BTreeSet<String> = at("took_seconds_bucket", first + 15_000)
        .iter()
        .map(|series| series["metric"]["le"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        bounds.into_iter().collect::<Vec<_>>(),
        ["+Inf", "0.1", "1.0"]
    );
    assert_eq!(value(&at("took_seconds_sum", first)), "0.25");
    assert_eq!(value(&at("no", first)), "NaN");

    for name in ["native", "floating"] {
        assert_eq!(value(&at(&format!("histogram_count({name})"), first)), "45");
        assert_eq!(
            value(&at(&format!("histogram_sum({name})"), first)),
            "17.25"
        );
        let found = at(name, first);
        let buckets = found[0]["histogram"][1]["buckets"].as_array().unwrap();
        let counts: Vec<&str> = buckets.iter().map(|b| b[3].as_str().unwrap()).collect();
        assert_eq!(counts, ["1", "1", "41", "2"], "{name}");
        assert_eq!(
            buckets[1][2].as_str().unwrap()[..5],
            *"0.840",
            "{buckets:?}"
        );
    }
    // The series that the second page lacks has ended, at that page's time and not before.
    assert_eq!(value(&at("plain", first + 14_999)), "41");
    assert_eq!(at("plain", first + 15_000).len(), 0);
    assert_eq!(value(&at("up", first + 15_000)), "1");
    assert_eq!(value(&at("scrape_samples_scraped", first)), "10");
    assert_eq!(
        value(&at("scrape_samples_post_metric_relabeling", first + 15_000)),
        "9"
    );
    assert_eq!(value(&at("scrape_series_added", first)), "10");
    assert_eq!(value(&at("scrape_duration_seconds", first)), "0.125");

    let exemplars = prometheus.json(&format!(
        "/api/v1/query_exemplars?query=requests_total&start={}&end={}",
        first / 1000 - 10,
        first / 1000 + 100
    ));
    assert_eq!(exemplars[0]["exemplars"][0]["labels"]["trace_id"], "abc");
    assert_eq!(exemplars[0]["exemplars"][0]["value"], "0.5");

    // A target that does not answer: all of its series end, up is 0.
    lane.scraped(first + 30_000, Err("refused"));
    wait_for("the failed scrape", || {
        let up = prometheus.query("up", Some(first + 30_000));
        (value(&up) == "0").then_some(())
    });
    assert_eq!(at("requests_total", first + 30_000).len(), 0);
    assert_eq!(
        at("native", first + 30_000).len(),
        0,
        "a histogram ends, too"
    );

    // The agent ends: so do all series.
    lane.scraped(first + 45_000, Ok("43:plain".into()));
    wait_for("the last scrape", || {
        let up = prometheus.query("plain", Some(first + 45_000));
        (up.len() == 1).then_some(())
    });
    let ledger = lane.end();
    assert_eq!(prometheus.query("{cluster=\"jkt1\"}", None).len(), 0);
    drop(ledger);
}

#[test]
fn an_outage_loses_nothing_that_fits_into_memory() {
    if program().is_none() {
        println!(
            "not run: an_outage_loses_nothing_that_fits_into_memory: no Prometheus in the PATH or \
             the component cache"
        );
        return;
    }
    let mut prometheus = Prometheus::start();
    let lane = Lane::to(prometheus.port, 2, 8 << 20);
    // As many scrapes as an outage of a minute has, without its waiting.
    let first = now() - 240_000;
    for scrape in 0..4 {
        lane.scraped(first + scrape * 2000, Ok(format!("{scrape}:many500")));
    }
    wait_for("four scrapes", || {
        let found = prometheus.query("count_over_time(many{index=\"499\"}[10m])", None);
        (found.len() == 1 && value(&found) == "4").then_some(())
    });
    prometheus.stop();
    for scrape in 4..34 {
        lane.scraped(first + scrape * 2000, Ok(format!("{scrape}:many500")));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    prometheus.again();
    wait_for("the rest", || {
        let found = prometheus.query("sum(count_over_time(many[10m]))", None);
        (found.len() == 1 && value(&found) == "17000").then_some(())
    });
    // The receiver refuses what is out of order or twice with another value; it refused nothing.
    let page = prometheus.get("/metrics").unwrap();
    for name in [
        "prometheus_tsdb_out_of_order_samples_total{type=\"float\"} 0",
        "prometheus_http_requests_total{code=\"400\",handler=\"/api/v1/write\"} 0",
    ] {
        let family = name.split('{').next().unwrap();
        let lines: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with(family))
            .collect();
        let bad = lines.iter().any(|line| {
            (line.contains("type=\"float\"")
                || line.contains("code=\"400\",handler=\"/api/v1/write\""))
                && !line.ends_with(" 0")
        });
        assert!(!bad, "{lines:#?}");
    }
    let increasing = prometheus.query("sum(resets(many[10m]))", None);
    assert_eq!(value(&increasing), "0");
    lane.end();
}
