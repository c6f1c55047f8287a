//! OTLP metrics: the same payload to the agent, whose pages a Prometheus scrapes, and to that
//! Prometheus' own OTLP receiver. Name by name, label by label, value by value.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use crate::gate::prometheus::program;
use crate::support::{Agent, Reply, wait_for};

fn free() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// An agent that takes OTLP; the ports of gRPC and HTTP.
fn agent(limits: &str) -> (Agent, u16, u16) {
    let (grpc, http) = (free(), free());
    let agent = Agent::start(&format!(
        "traces:\n  grpc: 127.0.0.1:{grpc}\n  http: 127.0.0.1:{http}\n  endpoint: \
         http://127.0.0.1:1\notlpMetrics: {limits}\n"
    ));
    wait_for("the receiver", || {
        TcpStream::connect(("127.0.0.1", http)).ok()
    });
    (agent, grpc, http)
}

/// One request; the answer's body may come in chunks.
fn call(port: u16, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let status = all.split(' ').nth(1).unwrap().parse().unwrap();
    let body = all.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

fn nanoseconds(ago: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (now.as_nanos() - u128::from(ago) * 1_000_000_000).to_string()
}

fn attribute(key: &str, value: Json) -> Json {
    json!({ "key": key, "value": value })
}

fn text(key: &str, value: &str) -> Json {
    attribute(key, json!({ "stringValue": value }))
}

/// One of everything.
fn payload() -> Json {
    let (start, now) = (nanoseconds(60), nanoseconds(1));
    let point = |more: Json| {
        let mut point = json!({ "startTimeUnixNano": start, "timeUnixNano": now });
        let more = more.as_object().unwrap().clone();
        point.as_object_mut().unwrap().extend(more);
        point
    };
    let exemplar = json!({
        "timeUnixNano": now, "asDouble": 0.3, "spanId": "eee19b7ec3c1b174",
        "traceId": "5b8efff798038103d269b633813fc60c",
        "filteredAttributes": [text("user", "u1")],
    });
    let attributes = json!([
        text("http.method", "GET"),
        text("9lives", "cat"),
        text("_under", "score"),
        text("a.b", "1"),
        text("a_b", "2"),
        text("empty", ""),
        attribute("flag", json!({ "boolValue": true })),
        attribute("number", json!({ "intValue": "42" })),
        attribute("half", json!({ "doubleValue": 0.5 })),
        attribute("whole", json!({ "doubleValue": 3.0 })),
        attribute(
            "list",
            json!({ "arrayValue": { "values": [{ "stringValue": "x" }, { "intValue": "1" }] } })
        ),
        text("quoted", "a\"b\\c\nd"),
    ]);
    let metrics = json!([
        { "name": "http.requests", "unit": "{request}", "description": "Requests.",
          "sum": { "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
              point(json!({ "asInt": "41", "attributes": attributes, "exemplars": [exemplar] })) ] } },
        { "name": "sent", "unit": "By", "sum": { "aggregationTemporality": 2, "isMonotonic": true,
          "dataPoints": [point(json!({ "asDouble": 1.5e9 }))] } },
        { "name": "queue.length", "unit": "1", "sum": { "aggregationTemporality": 2,
          "isMonotonic": false, "dataPoints": [point(json!({ "asInt": "-3" }))] } },
        { "name": "cache.hit", "unit": "1", "gauge": { "dataPoints": [point(json!({ "asDouble": 0.25 }))] } },
        { "name": "speed", "unit": "km/h", "gauge": { "dataPoints": [point(json!({ "asDouble": 88 }))] } },
        { "name": "9.lives", "gauge": { "dataPoints": [point(json!({ "asInt": "9" }))] } },
        { "name": "took", "unit": "ms", "histogram": { "aggregationTemporality": 2, "dataPoints": [
              point(json!({ "count": "10", "sum": 123.5, "bucketCounts": ["1", "2", "3", "4"],
                  "explicitBounds": [0.5, 1, 10000000], "exemplars": [exemplar] })) ] } },
        { "name": "nosum", "unit": "s", "histogram": { "aggregationTemporality": 2, "dataPoints": [
              point(json!({ "count": "2", "bucketCounts": ["1", "1"], "explicitBounds": [1] })) ] } },
        { "name": "fine", "unit": "s", "exponentialHistogram": { "aggregationTemporality": 2,
          "dataPoints": [point(json!({ "count": "18", "sum": 12.5, "scale": 10, "zeroCount": "2",
              "positive": { "offset": -3, "bucketCounts": ["1", "2", "0", "0", "0", "0", "3", "4"] },
              "negative": { "offset": 2, "bucketCounts": ["5", "1"] } }))] } },
        { "name": "coarse", "exponentialHistogram": { "aggregationTemporality": 2,
          "dataPoints": [point(json!({ "count": "6", "sum": 12.5, "scale": 2, "zeroCount": "0",
              "positive": { "offset": 1, "bucketCounts": ["1", "0", "0", "0", "0", "5"] } }))] } },
        { "name": "old.summary", "unit": "s", "summary": { "dataPoints": [
              point(json!({ "count": "7", "sum": 3.5, "quantileValues": [
                  { "quantile": 0.5, "value": 0.1 }, { "quantile": 1, "value": 2 } ] })) ] } },
    ]);
    let resource = |name: &str| {
        json!({ "attributes": [
            text("service.namespace", "kai"), text("service.name", name),
            text("service.instance.id", "i-1"), text("service.version", "1.2"),
            attribute("host.cpus", json!({ "intValue": "4" })),
        ] })
    };
    json!({ "resourceMetrics": [
        { "resource": resource("booking"), "scopeMetrics": [{ "scope": { "name": "s" }, "metrics": metrics }] },
        { "resource": { "attributes": [text("service.name", "bare")] }, "scopeMetrics": [{ "metrics": [
            { "name": "alone", "gauge": { "dataPoints": [point(json!({ "asInt": "1" }))] } } ] }] },
    ] })
}

/// A series' value.
fn value_of(metrics: &crate::support::Metrics, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: Vec<_> = labels.iter().map(|(n, v)| format!("{n}=\"{v}\"")).collect();
    match labels.is_empty() {
        true => metrics.value(name),
        false => metrics.value(&format!("{name}{{{}}}", labels.join(","))),
    }
}

struct Prometheus {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(program: &Path, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let port = free();
        let child = Command::new(program)
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=native-histograms,exemplar-storage")
            .arg("--web.enable-otlp-receiver")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("Prometheus", || {
            TcpStream::connect(("127.0.0.1", port)).ok()?;
            let (status, _) = call(port, "GET", "/-/ready", "", b"");
            (status == 200).then_some(())
        });
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    fn query(&self, query: &str) -> Json {
        let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
        let (_, body) = call(
            self.port,
            "GET",
            &format!("/api/v1/query?query={encoded}"),
            "",
            b"",
        );
        serde_json::from_str::<Json>(&body).unwrap()["data"]["result"].clone()
    }

    /// Every series with its value; what only scraping adds is left out.
    fn all(&self) -> BTreeMap<String, String> {
        let added = ["up", "scrape_"];
        let series = self.query("{__name__=~\".+\"}");
        let series = series.as_array().unwrap().iter().filter(|series| {
            let name = series["metric"]["__name__"].as_str().unwrap();
            !added.iter().any(|prefix| name.starts_with(prefix))
        });
        series
            .map(|series| {
                let mut labels = series["metric"].as_object().unwrap().clone();
                // Scraped bounds are normalised, `1` to `1.0`; pushed ones are not (Prometheus 3).
                for bound in ["le", "quantile"] {
                    let number = labels
                        .get(bound)
                        .and_then(|text| text.as_str()?.parse().ok());
                    if let Some(number) = number {
                        let number: f64 = number;
                        labels.insert(bound.to_owned(), json!(number.to_string()));
                    }
                }
                let labels: BTreeMap<_, _> = labels.into_iter().collect();
                let value = match series.get("histogram") {
                    Some(histogram) => histogram[1].to_string(),
                    None => series["value"][1].to_string(),
                };
                (serde_json::to_string(&labels).unwrap(), value)
            })
            .collect()
    }
}

#[test]
fn names_labels_and_values_are_those_of_prometheus_own_receiver() {
    let Some(program) = program() else {
        println!(
            "not run: names_labels_and_values_are_those_of_prometheus_own_receiver: no Prometheus \
             in the PATH or the component cache"
        );
        return;
    };
    let (agent, _, http) = agent("{}");
    let pushed = Prometheus::start(&program, "global: {}\n");
    let scraped = Prometheus::start(
        &program,
        &format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n- job_name: \
             otlp\n  honor_labels: true\n  http_sd_configs: [{{ url: 'http://{}/sd/otlp', \
             refresh_interval: 1s }}]\n",
            agent.address
        ),
    );
    let body = payload().to_string();
    let (status, answer) = call(
        http,
        "POST",
        "/v1/metrics",
        "application/json",
        body.as_bytes(),
    );
    assert_eq!((status, answer.as_str()), (200, "{}"));
    let (status, answer) = call(
        pushed.port,
        "POST",
        "/api/v1/otlp/v1/metrics",
        "application/json",
        body.as_bytes(),
    );
    assert_eq!(status, 200, "{answer}");
    wait_for("both services", || {
        let up = scraped.query("count(up == 1) >= 2");
        (!up.as_array().unwrap().is_empty()).then_some(())
    });
    let (ours, theirs) = (scraped.all(), pushed.all());
    assert!(theirs.len() > 25, "{theirs:#?}");
    let names = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<Vec<_>>();
    similar_lists(&names(&ours), &names(&theirs));
    for (series, value) in &theirs {
        assert_eq!(&ours[series], value, "{series}");
    }
    println!("{} series agree", theirs.len());
}

fn similar_lists(ours: &[String], theirs: &[String]) {
    let missing: Vec<_> = theirs.iter().filter(|name| !ours.contains(name)).collect();
    let more: Vec<_> = ours.iter().filter(|name| !theirs.contains(name)).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "missing {missing:#?}\nmore {more:#?}"
    );
}

fn page(agent: &Agent, accept: &str) -> Reply {
    agent.request(
        "GET",
        "/metrics/otlp/kai%2Fbooking",
        &[("accept", accept)],
        "",
    )
}

#[test]
fn a_service_has_a_page_in_every_format() {
    let (agent, _, http) = agent("{}");
    assert_eq!(agent.get("/metrics/otlp/kai%2Fbooking").status, 404);
    assert_eq!(agent.get("/sd/otlp").json(), json!([]));
    let body = payload().to_string();
    let (status, _) = call(
        http,
        "POST",
        "/v1/metrics",
        "application/json",
        body.as_bytes(),
    );
    assert_eq!(status, 200);
    let found = agent.get("/sd/otlp").json();
    assert_eq!(
        found[1]["labels"]["__metrics_path__"],
        "/metrics/otlp/kai%2Fbooking"
    );
    assert_eq!(found[1]["labels"]["job"], "kai/booking");
    let open = page(
        &agent,
        "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
    );
    assert!(open.headers["content-type"].starts_with("application/openmetrics-text"));
    let text = open.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(text.contains("# TYPE http_requests counter\n"), "{text}");
    assert!(
        text.contains("} 41 # {span_id=\"eee19b7ec3c1b174\",trace_id=\"5b8efff798038103d269b633813fc60c\",user=\"u1\"} 0.3 "),
        "{text}"
    );
    assert!(
        text.contains("le=\"1.0\"}") && text.contains("# UNIT took_milliseconds milliseconds\n")
    );
    let plain = page(&agent, "text/plain").text();
    assert!(
        plain.contains("# TYPE http_requests_total counter\n"),
        "{plain}"
    );
    assert!(!plain.contains(" # ") && !plain.contains("EOF"));
    let packed = page(
        &agent,
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    );
    assert!(packed.headers["content-type"].contains("io.prometheus.client.MetricFamily"));
    let metrics = agent.metrics();
    let value = |name: &str, labels: &[(&str, &str)]| value_of(&metrics, name, labels);
    assert_eq!(
        value("kai_agent_otlp_metric_points_received_total", &[]),
        12.0
    );
    assert_eq!(
        value(
            "kai_agent_otlp_metric_points_total",
            &[("outcome", "stored"), ("reason", "")]
        ),
        12.0
    );
}

#[test]
fn what_is_over_the_budget_is_refused_and_counted() {
    let (agent, _, http) = agent("{ seriesPerService: 5 }");
    let body = payload().to_string();
    let (status, answer) = call(
        http,
        "POST",
        "/v1/metrics",
        "application/json",
        body.as_bytes(),
    );
    assert_eq!(status, 200);
    let answer: Json = serde_json::from_str(&answer).unwrap();
    let rejected: f64 = answer["partialSuccess"]["rejectedDataPoints"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(rejected > 0.0, "{answer}");
    let message = answer["partialSuccess"]["errorMessage"].as_str().unwrap();
    assert!(
        message.contains("otlpMetrics.seriesPerService"),
        "{message}"
    );
    let metrics = agent.metrics();
    let refused = [("outcome", "refused"), ("reason", "budget")];
    assert_eq!(
        value_of(&metrics, "kai_agent_otlp_metric_points_total", &refused),
        rejected
    );
    let series = value_of(
        &metrics,
        "kai_agent_otlp_metric_series",
        &[("service", "kai/booking")],
    );
    assert!(series <= 5.0);
}

#[test]
fn a_request_that_is_none_is_refused_whole() {
    let (agent, _, http) = agent("{}");
    for (kind, body, status) in [
        ("application/json", &b"{\"resourceMetrics\": 5}"[..], 400),
        ("application/x-protobuf", b"\x0a\xff", 400),
        ("text/plain", b"x", 415),
    ] {
        let (found, answer) = call(http, "POST", "/v1/metrics", kind, body);
        assert_eq!(found, status, "{answer}");
    }
    let metrics = agent.metrics();
    let malformed = [("transport", "http"), ("reason", "malformed")];
    assert_eq!(
        value_of(
            &metrics,
            "kai_agent_otlp_metric_requests_refused_total",
            &malformed
        ),
        2.0
    );
}

#[test]
fn telemetrygen_is_understood() {
    let name = "telemetrygen_is_understood";
    let cache = std::env::var_os("KAI_CACHE").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap()).join(".cache/kai-observe"),
        Into::into,
    );
    let Some(program) = find(&cache.join("components/telemetrygen"), "telemetrygen", 5) else {
        println!("not run: {name}: no telemetrygen in the component cache");
        return;
    };
    let (agent, grpc, http) = agent("{}");
    for (kind, port, more) in [
        ("Sum", grpc, None),
        ("Gauge", http, Some("--otlp-http")),
        ("Histogram", grpc, None),
        ("ExponentialHistogram", grpc, None),
    ] {
        let output = Command::new(&program)
            .args([
                "metrics",
                "--otlp-insecure",
                "--metrics",
                "3",
                "--rate",
                "0",
            ])
            .arg(format!("--otlp-endpoint=127.0.0.1:{port}"))
            .arg(format!("--metric-type={kind}"))
            .arg(format!("--otlp-metric-name={}", kind.to_lowercase()))
            .args([
                "--aggregation-temporality",
                "cumulative",
                "--service",
                "gen",
            ])
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{kind}: {said}");
    }
    let text = agent
        .request("GET", "/metrics/otlp/gen", &[("accept", "text/plain")], "")
        .text();
    for family in ["sum_total", "gauge", "histogram", "exponentialhistogram"] {
        assert!(
            text.contains(&format!("# TYPE {family} ")),
            "{family}: {text}"
        );
    }
}

fn find(folder: &Path, name: &str, depth: usize) -> Option<std::path::PathBuf> {
    let entries: Vec<_> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|e| e.path())
        .collect();
    let file =
        |path: &&std::path::PathBuf| path.is_file() && path.file_name().is_some_and(|n| n == name);
    entries.iter().find(file).cloned().or_else(|| {
        let mut folders = entries.iter().filter(|path| path.is_dir() && depth > 0);
        folders.find_map(|folder| find(folder, name, depth - 1))
    })
}
