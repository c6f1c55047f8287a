//! `kai-agent gate` from outside: against servers that answer well, badly and not at all, and
//! against a real Prometheus whose series go stale.

pub mod prometheus;
mod servers;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::support::binary;
use servers::{Fake, healthy};

/// A folder with a configuration that asks the fake everything.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(servers: &str, service: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "version: 2\nlisten: 127.0.0.1:9180\ngate:\n{servers}\n  services:\n    booking:\n{service}\n"
        );
        std::fs::write(folder.path().join("agent.yaml"), text).unwrap();
        Self { folder }
    }

    /// Everything is asked of one server.
    fn all(url: &str) -> Self {
        let servers = format!(
            "  prometheus: {{ url: '{url}', auth: {{ tokenFile: /nowhere/token }} }}\n  \
             alertmanager: {{ url: '{url}' }}\n  elasticsearch: {{ endpoints: ['{url}'] }}"
        )
        .replace(", auth: { tokenFile: /nowhere/token }", "");
        let service = format!(
            "      health: {url}/healthz?token=hunter2\n      healthProbes: 2\n      \
             windowSeconds: 60\n      scrapeIntervalSeconds: 5\n      \
             errors: sum(increase(e[$window]))\n      total: sum(increase(t[$window]))\n      \
             up: up\n      dataStream: logs-kai.booking-local\n      \
             maxErrorLogsPerMinute: 5\n      openCriticalAlerts: true\n      watchdog: Watchdog"
        );
        Self::new(&servers, &service)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn gate(&self, more: &[&str]) -> Output {
        binary()
            .args(["gate", "--service", "booking", "--config"])
            .arg(self.path("agent.yaml"))
            .args(more)
            .current_dir(self.folder.path())
            .env_remove("KAI_AGENT_CONFIG")
            .output()
            .unwrap()
    }

    /// Exit code and JSON; the evidence must give the same again.
    #[track_caller]
    fn judged(&self, more: &[&str]) -> (i32, Value) {
        let path = self.path("gate.json");
        let arguments = ["--output", "json", "--evidence", "gate.json"];
        let output = self.gate(&[&arguments[..], more].concat());
        let (code, answer) = read(&output);
        let again = replay(&path);
        let (again_code, mut again) = read(&again);
        again["evidence"] = answer["evidence"].clone();
        assert_eq!((again_code, &again), (code, &answer));
        (code, answer)
    }
}

fn replay(path: &Path) -> Output {
    binary()
        .args(["gate", "replay", "--output", "json"])
        .arg(path)
        .output()
        .unwrap()
}

#[track_caller]
fn read(output: &Output) -> (i32, Value) {
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code().unwrap(), answer)
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn verdicts(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = answer["checks"].as_array().unwrap();
    checks
        .iter()
        .map(|check| (text(&check["check"]), text(&check["verdict"])))
        .collect()
}

#[test]
fn all_is_well() {
    let fake = Fake::start(healthy);
    let place = Place::all(&fake.url);
    let (code, answer) = place.judged(&["--version", "1.4.2"]);
    assert_eq!(code, 0, "{answer:#}");
    assert_eq!(answer["verdict"], "pass");
    assert_eq!(answer["release"], "1.4.2");
    assert_eq!(verdicts(&answer).len(), 4);
    let evidence = std::fs::read_to_string(place.path("gate.json")).unwrap();
    assert!(
        !evidence.contains("hunter2"),
        "a health page's query may be a secret"
    );
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(place.path("gate.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    // For people, and in the working folder when nothing else is said.
    let output = place.gate(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("verdict          pass (exit 0)"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let written = text
        .lines()
        .last()
        .unwrap()
        .split_whitespace()
        .last()
        .unwrap()
        .to_owned();
    assert_eq!(replay(&place.path(&written)).status.code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(place.folder.path())
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|e| e == "tmp")
        })
        .collect();
    assert!(left.is_empty());
}

#[test]
fn five_percent_fail_and_end_the_wait_at_once() {
    let fake =
        Fake::start(|request| request.instead("query", "increase(e", || servers::vector("25")));
    let place = Place::all(&fake.url);
    let (code, answer) = place.judged(&["--for", "1h"]);
    assert_eq!(code, 2, "{answer:#}");
    assert_eq!(answer["verdict"], "fail");
    assert!(
        answer["checks"][1]["reasons"][0]
            .as_str()
            .unwrap()
            .contains("25 of 500")
    );
}

#[test]
fn nothing_is_no_pass() {
    // What each kind of answer makes of each check that needs one.
    type Answer = fn(&servers::Request) -> Option<String>;
    let cases: [(&str, Answer); 9] = [
        ("success with nothing", |request| {
            request
                .is("/api/v1/query")
                .then(|| servers::json(200, &servers::empty()))
        }),
        ("NaN", |request| {
            request
                .instead("query", "increase(t", || servers::vector("NaN"))
                .into()
        }),
        ("HTML with 200", |request| {
            (!request.is("/healthz"))
                .then(|| "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>".to_owned())
        }),
        ("503 behind a proxy", |request| {
            (!request.is("/healthz")).then(|| servers::json(503, &json!({ "message": "later" })))
        }),
        ("a redirect to a login page", |request| {
            (!request.is("/healthz")).then(|| {
                "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n".to_owned()
            })
        }),
        ("an answer that breaks off", |request| {
            (!request.is("/healthz"))
                .then(|| "HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"status\":".to_owned())
        }),
        ("something that is not HTTP", |request| {
            (!request.is("/healthz")).then(|| "SSH-2.0-OpenSSH_9.2\r\n".to_owned())
        }),
        ("a missing data stream", |request| {
            request.is("/_search").then(|| {
                servers::json(
                    404,
                    &json!({ "error": { "type": "index_not_found_exception", "reason":
                        "no such index [logs-kai.booking-local]" }, "status": 404 }),
                )
            })
        }),
        ("an Alertmanager that nobody feeds", |request| {
            request
                .is("/api/v2/alerts")
                .then(|| servers::json(200, &json!([])))
        }),
    ];
    for (what, answer) in cases {
        let fake = Fake::start(move |request| answer(request).unwrap_or_else(|| healthy(request)));
        let place = Place::all(&fake.url);
        let (code, answer) = place.judged(&[]);
        assert_eq!(code, 4, "{what}: {answer:#}");
        assert_eq!(answer["verdict"], "no-data", "{what}");
        assert_eq!(
            answer["checks"][0]["verdict"], "pass",
            "{what}: health alone is well"
        );
    }
}

#[test]
fn health_says_what_is_wrong() {
    for (reply, word) in [
        (
            "HTTP/1.1 503 x\r\ncontent-length: 12\r\n\r\nno database\n",
            "answered 503: no database",
        ),
        (
            "HTTP/1.1 301 x\r\nlocation: https://h/healthz?a=hunter2\r\ncontent-length: 0\r\n\r\n",
            "a redirect to https://h/healthz",
        ),
        ("SSH-2.0-x\r\n", "not HTTP"),
        ("", "the connection broke"),
    ] {
        let reply = reply.to_owned();
        let fake = Fake::start(move |_| reply.clone());
        let service = format!("      health: {}/healthz\n      healthProbes: 2", fake.url);
        let (code, answer) = Place::new("", &service).judged(&[]);
        assert_eq!(code, 2, "{answer:#}");
        let text = answer.to_string();
        assert!(
            text.contains(word) && !text.contains("hunter2"),
            "{word}: {text}"
        );
    }
    // One bad answer among good ones is enough.
    let fake = Fake::start(|request| {
        let status = if request.number == 1 { 500 } else { 200 };
        servers::json(status, &json!({}))
    });
    let service = format!("      health: {}/healthz", fake.url);
    assert_eq!(Place::new("", &service).judged(&[]).0, 2);
    // TLS spoken to a plain server, nobody there, a host that does not exist.
    let tls = fake.url.replace("http://", "https://");
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for (url, code, word) in [
        (tls.as_str(), 2, "TLS failed"),
        (&nobody, 2, "nothing listens there"),
        ("http://kai.invalid", 4, "the host cannot be found"),
    ] {
        let service = format!("      health: {url}/\n      healthProbes: 1");
        let (found, answer) = Place::new("", &service).judged(&[]);
        assert_eq!(found, code, "{answer:#}");
        assert!(answer.to_string().contains(word), "{word}: {answer}");
    }
}

#[test]
fn an_edited_file_is_not_judged() {
    let fake =
        Fake::start(|request| request.instead("query", "increase(e", || servers::vector("25")));
    let place = Place::all(&fake.url);
    assert_eq!(place.judged(&[]).0, 2);
    let text = std::fs::read_to_string(place.path("gate.json")).unwrap();
    for (edited, word) in [
        (
            text.replace("\\\"25\\\"", "\\\"0\\\""),
            "changed after it was written",
        ),
        (
            text.replace("\"maxErrorRatio\": \"0.01\"", "\"maxErrorRatio\": \"0.5\""),
            "changed after",
        ),
        (text.replace("\"format\": 1", "\"format\": 2"), "format 2"),
        (text.replace("\"tool\"", "\"tools\""), "no evidence file"),
        (text[..text.len() / 2].to_owned(), "no evidence file"),
        (String::new(), "no evidence file"),
    ] {
        assert_ne!(edited, text);
        std::fs::write(place.path("edited.json"), edited).unwrap();
        let output = replay(&place.path("edited.json"));
        assert_eq!(output.status.code(), Some(65), "{word}");
        assert!(err(&output).contains(word), "{word}: {}", err(&output));
    }
    assert_eq!(replay(&place.path("nowhere.json")).status.code(), Some(65));
}

#[test]
fn what_is_wrong_before_anybody_is_asked() {
    let place = Place::new("", "      health: http://127.0.0.1:1/");
    let gate = |more: &[&str]| {
        let output = place.gate(more);
        (output.status.code().unwrap(), err(&output))
    };
    for (more, code, word) in [
        (&["--window", "1s"][..], 64, "out of range"),
        (&["--window", "5"], 64, "30s, 5m or 1h"),
        (&["--max-error-ratio", "1.5"], 64, "maxErrorRatio"),
        (&["--min-requests", "0"], 64, "minRequests"),
        (&["--since", "2999-01-01T00:00:00Z"], 64, "future"),
        (&["--since", "yesterday"], 64, "no moment"),
        (
            &["--evidence", "/nowhere/gate.json"],
            1,
            "there is no folder",
        ),
    ] {
        let (found, text) = gate(more);
        assert_eq!(found, code, "{more:?}: {text}");
        assert!(text.contains(word), "{word}: {text}");
    }
    let other = |arguments: &[&str]| {
        let output = binary()
            .args(arguments)
            .current_dir(place.folder.path())
            .env("KAI_HOME", place.folder.path())
            .env_remove("KAI_AGENT_CONFIG")
            .output()
            .unwrap();
        (output.status.code().unwrap(), err(&output))
    };
    for (arguments, code, word) in [
        (&["gate"][..], 64, "--service"),
        (&["gate", "--service", "x"], 64, "--config"),
        (
            &["gate", "--service", "bookng", "--config", "agent.yaml"],
            65,
            "did you mean \"booking\"?",
        ),
        (
            &["gate", "--service", "x", "--config", "nowhere.yaml"],
            65,
            "nowhere.yaml",
        ),
        (&["gate", "replay"], 64, "<FILE>"),
    ] {
        let (found, text) = other(arguments);
        assert_eq!(found, code, "{arguments:?}: {text}");
        assert!(text.contains(word), "{word}: {text}");
    }
    let unchecked = Place::new("", "      minRequests: 5");
    let output = unchecked.gate(&[]);
    assert_eq!(output.status.code(), Some(65));
    assert!(
        err(&output).contains("nothing is checked"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_secret_is_sent_and_not_kept() {
    let fake = Fake::start(|request| {
        if request.is("/api/v2/alerts") && !request.head.contains("Bearer hunter2") {
            return servers::json(401, &json!({ "message": "who are you?" }));
        }
        healthy(request)
    });
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let servers = format!(
        "  alertmanager: {{ url: '{}', auth: {{ tokenFile: '{}' }} }}",
        fake.url,
        token.display()
    );
    let place = Place::new(&servers, "      openCriticalAlerts: true");
    assert_eq!(place.judged(&[]).0, 4, "the file is not there");
    std::fs::write(&token, "hunter2\n").unwrap();
    assert_eq!(place.judged(&[]).0, 0);
    let evidence = std::fs::read_to_string(place.path("gate.json")).unwrap();
    assert!(!evidence.contains("hunter2"));
}
