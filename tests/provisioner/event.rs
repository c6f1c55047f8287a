//! `event deploy` as a pipeline calls it: the local inbox, and stand-ins for Elasticsearch and
//! Grafana that refuse what the real ones refuse.

// Always true here; it tells clippy that helpers are test code too.
#![cfg(test)]

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::harness::{Ran, Stack, free_ports, kill, wait_for};

/// Both servers' contents.
#[derive(Default)]
struct Held {
    /// Whether a template makes `events-kai.*` data streams.
    template: bool,
    /// OpenSearch and older releases: they refuse a parameter that they do not know.
    old: bool,
    streams: Vec<String>,
    documents: BTreeMap<String, Value>,
    annotations: Vec<Value>,
    /// Grafana answers 500.
    broken: bool,
}

type Shared = Arc<Mutex<Held>>;
type Reply = (StatusCode, Json<Value>);

fn reply(status: u16, body: Value) -> Reply {
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

async fn resolve(State(held): State<Shared>, Path(name): Path<String>) -> Reply {
    let there = held.lock().unwrap().streams.contains(&name);
    if there {
        reply(
            200,
            json!({ "indices": [], "aliases": [], "data_streams": [{ "name": name }] }),
        )
    } else {
        reply(
            404,
            json!({ "error": { "type": "index_not_found_exception" } }),
        )
    }
}

async fn make_stream(State(held): State<Shared>, Path(name): Path<String>) -> Reply {
    let mut held = held.lock().unwrap();
    if !held.old {
        let reason = format!("no handler found for uri [/_data_stream/{name}] and method [PUT]");
        return reply(400, json!({ "error": reason }));
    }
    if !held.template {
        let reason = format!("no matching index template found for data stream [{name}]");
        return reply(
            400,
            json!({ "error": { "type": "illegal_argument_exception", "reason": reason } }),
        );
    }
    held.streams.push(name);
    reply(200, json!({ "acknowledged": true }))
}

async fn search(State(held): State<Shared>, Json(body): Json<Value>) -> Reply {
    let id = body["query"]["ids"]["values"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let found = u64::from(held.lock().unwrap().documents.contains_key(&id));
    reply(
        200,
        json!({ "hits": { "total": { "value": found, "relation": "eq" } } }),
    )
}

async fn create(
    State(held): State<Shared>,
    Path((name, id)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    Json(body): Json<Value>,
) -> Reply {
    let mut held = held.lock().unwrap();
    let strict = query.contains_key("require_data_stream");
    if strict && held.old {
        let reason = "request [/x] contains unrecognized parameter: [require_data_stream]";
        return reply(400, json!({ "error": { "reason": reason } }));
    }
    if !held.streams.contains(&name) {
        if strict && !held.template {
            let reason = format!(
                "no such index [{name}] and the index creation request requires a data stream, but \
                 no matching index template with data stream template was found for it"
            );
            return reply(404, json!({ "error": { "reason": reason } }));
        }
        assert!(strict, "an ordinary index would be made");
        held.streams.push(name);
    }
    if held.documents.contains_key(&id) {
        return reply(
            409,
            json!({ "error": { "type": "version_conflict_engine_exception" } }),
        );
    }
    if body["@timestamp"].as_str().is_none() {
        return reply(
            400,
            json!({ "error": { "reason": "a data stream needs @timestamp" } }),
        );
    }
    held.documents.insert(id, body);
    reply(201, json!({ "result": "created" }))
}

async fn find(State(held): State<Shared>, Query(query): Query<Vec<(String, String)>>) -> Reply {
    let held = held.lock().unwrap();
    if held.broken {
        return reply(500, json!({ "message": "database is locked" }));
    }
    let tags: Vec<&String> = query
        .iter()
        .filter(|(k, _)| k == "tags")
        .map(|(_, v)| v)
        .collect();
    let has = |one: &&Value| {
        let own = one["tags"].as_array().unwrap();
        tags.iter()
            .all(|tag| own.iter().any(|own| own == tag.as_str()))
    };
    reply(200, held.annotations.iter().filter(has).cloned().collect())
}

/// The keys of Grafana's `PostAnnotationsCmd`; checked against its schema where that is at hand.
async fn annotate(State(held): State<Shared>, Json(body): Json<Value>) -> Reply {
    let known = [
        "text",
        "time",
        "timeEnd",
        "tags",
        "data",
        "dashboardId",
        "dashboardUID",
        "panelId",
    ];
    let map = body.as_object().unwrap();
    let good = map.keys().all(|key| known.contains(&key.as_str()))
        && body["text"].as_str().is_some_and(|text| !text.is_empty())
        && body["time"].is_i64()
        && body["tags"]
            .as_array()
            .is_some_and(|tags| tags.iter().all(Value::is_string));
    if !good {
        return reply(400, json!({ "message": "bad request data" }));
    }
    let mut held = held.lock().unwrap();
    held.annotations.push(body);
    reply(
        200,
        json!({ "id": held.annotations.len(), "message": "Annotation added" }),
    )
}

struct Servers {
    held: Shared,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Servers {
    fn start() -> Self {
        let held = Shared::default();
        held.lock().unwrap().template = true;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let app = Router::new()
            .route("/_resolve/index/{name}", get(resolve))
            .route("/_data_stream/{name}", put(make_stream))
            .route("/{name}/_search", post(search))
            .route("/{name}/_create/{id}", put(create))
            .route("/api/annotations", get(find).post(annotate))
            .with_state(Arc::clone(&held));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            held,
            url,
            _runtime: runtime,
        }
    }
}

/// A running `kai-observe inbox serve`.
struct Inbox(Child);

impl Drop for Inbox {
    fn drop(&mut self) {
        kill(self.0.id());
        let _ = self.0.wait();
    }
}

fn inbox(stack: &Stack) -> Inbox {
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_kai-observe"))
        .args(["inbox", "serve"])
        .arg(format!("--http=127.0.0.1:{}", stack.base + 1))
        .arg(format!("--smtp=127.0.0.1:{}", stack.base + 2))
        .arg(format!(
            "--dir={}",
            stack.folder.path().join("inbox").display()
        ))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let inbox = Inbox(child);
    wait_for("the inbox", Duration::from_secs(20), || {
        let (status, _) =
            crate::harness::request(reqwest::Method::GET, &stack.url(1, "/-/ready"), None);
        (status == 200).then_some(())
    });
    inbox
}

fn stack(servers: &Servers) -> Stack {
    let base = free_ports();
    let stack = Stack {
        folder: tempfile::Builder::new().prefix("kai-").tempdir().unwrap(),
        base,
        id: format!("t{base}e{:05x}", std::process::id() & 0xf_ffff),
        vars: Vec::new(),
        other_home: None,
    };
    stack.write_spec(&format!(
        "apiVersion: observe.kai/v1
kind: Stack
metadata: {{ name: events, id: {} }}
runsOn: local
ports: {{ base: {base} }}
systems:
  elasticsearch: {{ mode: external, url: \"{url}\" }}
  grafana: {{ mode: external, url: \"{url}\" }}
teams: {{ booking: {{ email: ops@example.org }} }}
services:
  booking: {{ team: booking, health: http://127.0.0.1:1/healthz }}
routing:
  severity: {{ critical: [pagerduty], warning: [slack], info: [slack, email] }}
",
        stack.id,
        url = servers.url
    ));
    stack
}

const DEPLOY: [&str; 10] = [
    "event",
    "deploy",
    "--service",
    "booking",
    "--version",
    "1.4.2",
    "--by",
    "ci <&>",
    "--output",
    "json",
];

/// Recipient to outcome.
fn outcomes(ran: &Ran) -> BTreeMap<String, String> {
    let answer = ran.json();
    let rows = answer["recipients"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            (text("name"), text("outcome"))
        })
        .collect()
}

fn all(outcome: &str) -> BTreeMap<String, String> {
    ["elasticsearch", "grafana", "pagerduty", "slack", "email"]
        .map(|name| (name.to_owned(), outcome.to_owned()))
        .into()
}

fn arrived(stack: &Stack) -> usize {
    stack.inbox("/api/messages?verdict=accepted&limit=1000")["messages"]
        .as_array()
        .unwrap()
        .len()
}

#[test]
fn everybody_is_told_once() {
    let servers = Servers::start();
    let stack = stack(&servers);
    let _inbox = inbox(&stack);
    // A dry run tells nobody and shows what would be told.
    let dry = stack
        .run(&[&DEPLOY[..], &["--dry-run"]].concat())
        .expect(0)
        .json();
    assert_eq!(
        dry["recipients"][0]["would"]["document"]["service"]["version"],
        "1.4.2"
    );
    assert_eq!(arrived(&stack), 0);

    let ran = stack.run(&DEPLOY).expect(0);
    assert_eq!(outcomes(&ran), all("told"), "{ran:?}");
    let id = ran.json()["event"]["id"].as_str().unwrap().to_owned();
    assert_eq!(dry["event"]["id"], id.as_str());
    {
        let held = servers.held.lock().unwrap();
        assert_eq!(held.streams, ["events-kai.booking-local"]);
        assert_eq!(held.documents[&id]["event"]["outcome"], "success");
        assert_eq!(held.documents[&id]["user"]["name"], "ci <&>");
        assert_eq!(held.annotations.len(), 1);
        assert!(
            held.annotations[0]["tags"]
                .as_array()
                .unwrap()
                .contains(&json!("deploy"))
        );
    }
    let messages = stack.inbox("/api/messages?limit=1000");
    let messages = messages["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3, "{messages:#?}");
    for message in messages {
        assert_eq!(message["verdict"]["result"], "accepted", "{message:#}");
        assert!(
            message
                .to_string()
                .contains("booking 1.4.2 deployed to local"),
            "{message:#}"
        );
    }

    // The same step again is the same event; another outcome is another.
    let again = stack.run(&DEPLOY).expect(0);
    assert_eq!(outcomes(&again), all("told before"));
    assert_eq!(again.json()["event"]["id"], id.as_str());
    assert_eq!(arrived(&stack), 3);
    let failed = stack
        .run(&[&DEPLOY[..], &["--outcome", "failed"]].concat())
        .expect(0);
    assert_ne!(failed.json()["event"]["id"], id.as_str());
    assert_eq!(arrived(&stack), 6);
    assert_eq!(servers.held.lock().unwrap().documents.len(), 2);
}

#[test]
fn a_repeated_step_tells_only_whom_it_did_not_reach() {
    let servers = Servers::start();
    {
        let mut held = servers.held.lock().unwrap();
        (held.broken, held.template, held.old) = (true, false, true);
    }
    let stack = stack(&servers);
    // No inbox yet: nobody can be reached, and each is said.
    let ran = stack.run(&DEPLOY).expect(1);
    assert_eq!(outcomes(&ran), all("failed"), "{ran:?}");
    let answer = ran.json().to_string();
    for word in ["no index template", "database is locked", "nothing listens"] {
        assert!(answer.contains(word), "{word}: {answer}");
    }
    let _inbox = inbox(&stack);
    let ran = stack.run(&DEPLOY).expect(1);
    let mut expected = all("told");
    expected.insert("elasticsearch".into(), "failed".into());
    expected.insert("grafana".into(), "failed".into());
    assert_eq!(outcomes(&ran), expected, "{ran:?}");
    assert_eq!(arrived(&stack), 3);
    servers.held.lock().unwrap().broken = false;
    servers.held.lock().unwrap().template = true;
    let ran = stack.run(&DEPLOY).expect(0);
    let mut expected = all("told before");
    expected.insert("elasticsearch".into(), "told".into());
    expected.insert("grafana".into(), "told".into());
    assert_eq!(outcomes(&ran), expected, "{ran:?}");
    assert_eq!(arrived(&stack), 3);
    // Two at once: the second waits, and nobody is told twice.
    let twice = [DEPLOY, DEPLOY].map(|arguments| {
        let mut command = stack.command(&arguments);
        command.args(["--outcome", "started"]);
        command.stdout(Stdio::null()).spawn().unwrap()
    });
    for mut child in twice {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(arrived(&stack), 6);
    let text = stack.run(&DEPLOY[..8]).expect(0);
    assert!(
        text.out.lines().all(|line| line.chars().count() <= 80),
        "{}",
        text.out
    );
}

#[test]
fn what_is_off_is_not_asked_and_bad_input_is_named() {
    let servers = Servers::start();
    let stack = stack(&servers);
    let text = std::fs::read_to_string(stack.spec()).unwrap();
    let off = text
        .lines()
        .map(|line| match line.trim_start().split_once(':') {
            Some((name @ ("elasticsearch" | "grafana"), _)) => {
                format!("  {name}: {{ mode: off }}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect::<String>()
        .replace("info: [slack, email]", "info: [email]");
    stack.write_spec(&off.replace("systems:\n", "systems:\n  kibana: { mode: off }\n"));
    let _inbox = inbox(&stack);
    let ran = stack.run(&DEPLOY).expect(0);
    let mut expected = all("not asked");
    expected.insert("pagerduty".into(), "told".into());
    expected.insert("email".into(), "told".into());
    assert_eq!(outcomes(&ran), expected, "{ran:?}");

    for (arguments, word) in [
        (
            &["--service", "bookin", "--version", "1"][..],
            "did you mean `booking`?",
        ),
        (&["--service", "booking", "--version", "a\nb"], "one line"),
        (
            &["--service", "booking", "--version", "1", "--url", "ftp://x"],
            "http",
        ),
        (
            &[
                "--service",
                "booking",
                "--version",
                "1",
                "--at",
                "yesterday",
            ],
            "no moment",
        ),
        (
            &[
                "--service",
                "booking",
                "--version",
                "1",
                "--at",
                "2999-01-01T00:00:00Z",
            ],
            "future",
        ),
        (&["--service", "booking"], "--version"),
    ] {
        let ran = stack
            .run(&[&["event", "deploy"][..], arguments].concat())
            .expect(64);
        assert!(ran.err.contains(word), "{word}: {}", ran.err);
    }
}

#[test]
fn a_secret_that_is_missing_or_wrong_is_not_shown() {
    let servers = Servers::start();
    let stack = stack(&servers);
    let text = std::fs::read_to_string(stack.spec()).unwrap();
    stack.write_spec(&text.replace(
        "email: ops@example.org",
        "email: ops@example.org, slack: { env: KAI_TEST_SLACK }",
    ));
    let _inbox = inbox(&stack);
    let ran = stack.run(&DEPLOY).expect(1);
    assert_eq!(outcomes(&ran)["slack"], "failed");
    assert!(ran.out.contains("KAI_TEST_SLACK"), "{ran:?}");
    // The inbox refuses a hook that Slack could not have issued.
    let hook = stack.url(1, "/services/X1/hunter2hunter2/hunter2hunter2");
    let ran = stack
        .run_with(&[("KAI_TEST_SLACK", &hook)], &DEPLOY)
        .expect(1);
    assert_eq!(outcomes(&ran)["slack"], "failed");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
}
