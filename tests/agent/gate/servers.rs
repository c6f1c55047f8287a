//! One server that stands in for the service, Prometheus, Elasticsearch and Alertmanager: each
//! request is given to a function, which writes the whole answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

pub struct Request {
    /// From 0.
    pub number: usize,
    /// Request line and headers, percent signs decoded.
    pub head: String,
}

impl Request {
    pub fn is(&self, path: &str) -> bool {
        let line = self.head.lines().next().unwrap_or_default();
        let address = line.split(' ').nth(1).unwrap_or_default();
        address
            .split('?')
            .next()
            .unwrap_or_default()
            .ends_with(path)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().next()?;
        let query = line.split_once('?')?.1.rsplit_once(" HTTP/")?.0;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Another value for the query that has these words, and what is healthy for the others.
    pub fn instead(&self, name: &str, words: &str, value: impl Fn() -> Value) -> String {
        let asked = self
            .parameter(name)
            .is_some_and(|query| query.contains(words));
        if asked {
            json_at(self, value())
        } else {
            healthy(self)
        }
    }
}

pub struct Fake {
    pub url: String,
}

impl Fake {
    pub fn start(answer: impl Fn(&Request) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Ends with the test's process. One request per connection.
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|count| count > 2) {}
                let length = head
                    .to_ascii_lowercase()
                    .split_once("content-length: ")
                    .and_then(|(_, rest)| rest.split("\r\n").next()?.parse::<usize>().ok())
                    .unwrap_or(0);
                let mut body = vec![0; length];
                let _ = reader.read_exact(&mut body);
                let head = decoded(&head);
                let text = answer(&Request { number, head });
                let text = text.replacen("\r\n", "\r\nconnection: close\r\n", 1);
                let _ = stream.write_all(text.as_bytes());
            }
        });
        Self { url }
    }
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap_or(b'?'));
            }
            b'+' => out.push(b' '),
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub fn json(status: u16, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub fn empty() -> Value {
    json!({ "status": "success", "data": { "resultType": "vector", "result": [] } })
}

/// One sample; its time is filled in by what was asked.
pub fn vector(value: &str) -> Value {
    json!({ "status": "success", "data": { "resultType": "vector", "result": [
        { "metric": {}, "value": [null, value] } ] } })
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

fn json_at(request: &Request, mut body: Value) -> String {
    let at = request
        .parameter("time")
        .map_or_else(now, |time| time.parse().unwrap());
    let at = (at * 1000.0).round() / 1000.0;
    if let Some(sample) = body.pointer_mut("/data/result/0/value/0") {
        *sample = json!(at);
    }
    json(200, &body)
}

/// 500 requests, 1 of them failed; everything is fresh.
pub fn healthy(request: &Request) -> String {
    if request.is("/api/v1/query") {
        let query = request.parameter("query").unwrap_or_default();
        if query == "time()" {
            let at = (now() * 1000.0).round() / 1000.0;
            return json(
                200,
                &json!({ "status": "success", "data": {
                    "resultType": "scalar", "result": [at, at.to_string()] } }),
            );
        }
        let value = if query.contains("increase(e") {
            "1".to_owned()
        } else if query.contains("increase(t") {
            "500".to_owned()
        } else if query.starts_with("max(timestamp") {
            (now() - 1.0).to_string()
        } else if query.starts_with("changes") {
            "11".to_owned()
        } else {
            "1".to_owned()
        };
        return json_at(request, vector(&value));
    }
    if request.is("/api/v2/alerts") {
        let watchdog = json!({ "labels": { "alertname": "Watchdog", "severity": "none" },
            "status": { "state": "active", "silencedBy": [], "inhibitedBy": [] } });
        let asked = request.head.contains("alertname=\"Watchdog\"");
        return json(200, &if asked { json!([watchdog]) } else { json!([]) });
    }
    if request.is("/_search") {
        return json(
            200,
            &json!({
                "took": 1, "timed_out": false,
                "_shards": { "total": 1, "successful": 1, "skipped": 0, "failed": 0 },
                "hits": { "total": { "value": 90, "relation": "eq" }, "hits": [] },
                "aggregations": { "errors": { "doc_count": 2 }, "leveled": { "doc_count": 90 },
                    "newest": { "value": (now() - 2.0) * 1000.0 } },
            }),
        );
    }
    json(200, &json!({ "ok": true }))
}
