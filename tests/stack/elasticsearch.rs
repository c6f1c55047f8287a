//! Elasticsearch through the component chain: templates written, changed by hand, mended and
//! deleted; a second stack in the same cluster; and nothing of other people's touched.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use kai_observe::systems::proc;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Stack, get_json, kill, request, wait_for};

/// Only what these tests are about: an agent, Elasticsearch, and a service that writes lines.
fn spec(stack: &Stack, elasticsearch: &str, service: &str) -> String {
    format!(
        "apiVersion: observe.kai/v1
kind: Stack
metadata: {{ name: logs, id: {} }}
runsOn: local
ports: {{ base: {} }}
systems:
  prometheus: {{ mode: \"off\" }}
  alertmanager: {{ mode: \"off\" }}
  inbox: {{ mode: \"off\" }}
  jaeger: {{ mode: \"off\" }}
  grafana: {{ mode: \"off\" }}
  kibana: {{ mode: \"off\" }}
  elasticsearch: {elasticsearch}
teams: {{ a: {{ email: a@kai.example }} }}
routing: {{ severity: {{ critical: [email], warning: [email], info: [email] }}, fallback: {{ team: a }} }}
services:
  {service}: {{ team: a, metrics: \"http://127.0.0.1:9/metrics\", logs: {{ paths: [\"var/*.log\"] }} }}
",
        stack.id, stack.base
    )
}

const MANAGED: &str = "{ mode: managed, heapMib: 384 }";
const FOREIGN: [&str; 3] = [
    "/_index_template/theirs",
    "/_component_template/theirs",
    // Our prefix alone makes nothing ours.
    "/_component_template/kai-ID-local-theirs",
];

fn ask(stack: &Stack, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
    let path = path.replace("ID", &stack.id);
    request(method, &stack.url(8, &path), body)
}

fn put(stack: &Stack, path: &str, body: Value) {
    let (status, answer) = ask(stack, Method::PUT, path, Some(body));
    assert_eq!(status, 200, "{path}: {answer}");
}

/// Everything of other people's, as the server gives it.
fn foreign(stack: &Stack) -> Vec<String> {
    FOREIGN
        .iter()
        .map(|path| {
            let (status, text) = ask(stack, Method::GET, path, None);
            assert_eq!(status, 200, "{path}: {text}");
            text
        })
        .collect()
}

fn template(stack: &Stack, kind: &str, slug: &str) -> Value {
    let path = format!("/_{kind}_template/kai-{}-local-{slug}", stack.id);
    let list = get_json(&stack.url(8, &path));
    let lists = format!("{kind}_templates");
    let mut found = list[lists][0][format!("{kind}_template")].clone();
    for key in ["created_date", "modified_date"] {
        if let Some(map) = found.as_object_mut() {
            map.remove(key);
            map.remove(&format!("{key}_millis"));
        }
    }
    found
}

#[test]
fn elasticsearch_lives() {
    let stack = Stack::new();
    stack.write_spec(&spec(&stack, MANAGED, "booking"));
    stack.run(&["provision", "--no-verify"]).expect(0);
    let pids = stack.pids();
    let again = stack.run(&["provision", "--no-verify"]).expect(0);
    assert!(again.out.contains("no changes"), "{}", again.out);
    assert_eq!(stack.pids(), pids);
    // What this build cannot do is named.
    assert!(again.out.contains("1 skipped"), "{}", again.out);

    put(&stack, FOREIGN[1], json!({ "template": {} }));
    put(&stack, FOREIGN[2], json!({ "template": {} }));
    put(
        &stack,
        FOREIGN[0],
        json!({ "index_patterns": ["logs-*"], "priority": 7, "composed_of": ["theirs"] }),
    );
    let before = foreign(&stack);

    not_as_root(&stack);
    lines_find_a_place(&stack);
    a_deploy_is_stored_once(&stack);
    templates_changed_by_hand_are_named_and_mended(&stack);
    assert_eq!(foreign(&stack), before);
    another_stack_in_the_same_cluster(&stack, &before);
    killed_it_starts_again(&stack);
    assert_eq!(foreign(&stack), before);
    destroyed_it_keeps_what_is_not_ours(&stack);
}

/// Neither the launcher nor the server, and no group of root's.
fn not_as_root(stack: &Stack) {
    for found in stack.living() {
        if found.address != "process/elasticsearch" {
            continue;
        }
        for member in proc::members(&found) {
            let status = std::fs::read_to_string(format!("/proc/{}/status", member.pid)).unwrap();
            let line = |name: &str| {
                let line = status.lines().find(|line| line.starts_with(name));
                line.unwrap_or_default().to_owned()
            };
            assert!(!line("Uid:").split_whitespace().any(|id| id == "0"));
            if rustix::process::geteuid().is_root() {
                assert!(!line("Gid:").split_whitespace().any(|id| id == "0"));
                assert_eq!(line("Groups:").trim(), "Groups:");
                assert!(line("CapEff:").ends_with("0000000000000000"));
            }
        }
    }
}

/// The one recipient that this stack has; mail has no server here, which is said.
fn a_deploy_is_stored_once(stack: &Stack) {
    let deploy = || {
        let arguments = [
            "event",
            "deploy",
            "--service",
            "booking",
            "--version",
            "1.4.2",
        ];
        let ran = stack.run(&[&arguments[..], &["--output", "json"]].concat());
        let answer = ran.json();
        let rows = answer["recipients"].as_array().unwrap().clone();
        rows.into_iter()
            .find(|row| row["name"] == "elasticsearch")
            .unwrap_or_else(|| panic!("{answer:#}"))
    };
    let first = deploy();
    assert_eq!(first["outcome"], "told", "{first:#}");
    let again = deploy();
    assert_eq!(again["outcome"], "told before", "{again:#}");
    let held = get_json(&stack.url(8, "/events-kai.booking-local/_search"));
    assert_eq!(held["hits"]["total"]["value"], 1, "{held:#}");
    let index = held["hits"]["hits"][0]["_index"].as_str().unwrap();
    assert!(index.starts_with(".ds-"), "no data stream: {index}");
}

fn lines_find_a_place(stack: &Stack) {
    let stream = "logs-kai.booking-local";
    let lines = [
        json!({ "@timestamp": "2026-11-24T02:00:00.123456789Z", "message": "a", "error": "boom" }),
        json!({ "@timestamp": "2026-11-24T02:00:01Z", "error": { "message": "b" }, "n": 1 }),
        json!({ "@timestamp": "2026-11-24T02:00:02Z", "n": "a word", "log.level": "info" }),
    ];
    let mut body = String::new();
    for (index, line) in lines.iter().enumerate() {
        body.push_str(&format!(
            "{}\n{line}\n",
            json!({ "create": { "_id": format!("e-{index}") } })
        ));
    }
    let send = || -> Vec<u64> {
        let reply = bulk(stack, stream, &body);
        let items = reply["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["create"]["status"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(send(), [201, 201, 201]);
    // The same ids again are refused, which is what the log lane's promise stands on.
    assert_eq!(send(), [409, 409, 409]);
    // As it was written, to the digit.
    let found = get_json(&stack.url(8, &format!("/{stream}/_search?q=error:boom")));
    assert_eq!(found["hits"]["hits"][0]["_source"], lines[0], "{found:#}");
    ten_thousand_keys_make_no_explosion(stack, stream);
    // A stream of nobody's template is not made by a slip of the pen.
    let reply = bulk(stack, "logs-kai.bokking-local", &body);
    assert_eq!(reply["items"][0]["create"]["status"], 404, "{reply:#}");
}

/// Every line is kept whole, the first of its keys can be searched, and the mapping stays small.
fn ten_thousand_keys_make_no_explosion(stack: &Stack, stream: &str) {
    let line = |number: usize| {
        let mut line = json!({ "@timestamp": "2026-11-24T03:00:00Z", "message": "hostile" });
        for key in 0..100 {
            line[format!("key-{number}-{key}")] = json!("v");
        }
        line
    };
    let mut body = String::new();
    for number in 0..100 {
        let id = format!("hostile-{number}");
        body.push_str(&format!(
            "{}\n{}\n",
            json!({ "create": { "_id": id } }),
            line(number)
        ));
    }
    let reply = bulk(stack, stream, &body);
    assert_eq!(reply["errors"], false, "{reply:#}");
    let mappings = get_json(&stack.url(8, &format!("/{stream}/_mapping")));
    for (index, mapping) in mappings.as_object().unwrap() {
        let fields = mapping["mappings"]["properties"].as_object().unwrap().len();
        assert!(fields <= 1_000, "{index} has {fields} fields");
    }
    let last = get_json(&stack.url(8, &format!("/{stream}/_search?q=_id:hostile-99")));
    assert_eq!(last["hits"]["hits"][0]["_source"], line(99));
}

fn bulk(stack: &Stack, stream: &str, body: &str) -> Value {
    let url = stack.url(8, &format!("/{stream}/_bulk?refresh=true"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = kai_observe::http::client(Duration::from_secs(30));
        let request = client
            .post(url)
            .header("content-type", "application/x-ndjson")
            .body(body.to_owned());
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    })
}

fn templates_changed_by_hand_are_named_and_mended(stack: &Stack) {
    let (settings, logs) = (
        template(stack, "component", "settings"),
        template(stack, "index", "logs"),
    );
    let mut changed = settings.clone();
    changed["template"]["settings"]["index"]["number_of_shards"] = json!(5);
    changed["template"]["settings"]["index"]["codec"] = json!("best_compression");
    put(stack, "/_component_template/kai-ID-local-settings", changed);
    let (status, _) = ask(
        stack,
        Method::DELETE,
        "/_index_template/kai-ID-local-logs",
        None,
    );
    assert_eq!(status, 200);
    let drift = stack.run(&["drift"]).expect(2);
    for part in [
        "elasticsearch/component-template/settings: changed by hand",
        "-        \"codec\": \"best_compression\"",
        "-        \"number_of_shards\": \"5\"",
        "elasticsearch/index-template/logs",
    ] {
        assert!(drift.out.contains(part), "no {part} in\n{}", drift.out);
    }
    let pids = stack.pids();
    stack.run(&["provision", "--no-verify"]).expect(0);
    assert_eq!(stack.pids(), pids, "a template is mended without a restart");
    assert_eq!(template(stack, "component", "settings"), settings);
    assert_eq!(template(stack, "index", "logs"), logs);
    stack.run(&["drift"]).expect(0);
}

/// Its own objects beside the first's; the same service in the same environment is refused in
/// words; `destroy --purge` takes its own and nothing else.
fn another_stack_in_the_same_cluster(first: &Stack, others: &[String]) {
    let second = Stack::new();
    let external = format!("{{ mode: external, url: \"{}\" }}", first.url(8, ""));
    second.write_spec(&spec(&second, &external, "booking"));
    let refused = second.run(&["provision", "--no-verify"]).expect(1);
    let said = format!("{}{}", refused.out, refused.err);
    assert!(said.contains("already covers these data streams"), "{said}");

    second.write_spec(&spec(&second, &external, "payment"));
    second.run(&["provision", "--no-verify"]).expect(0);
    second.run(&["drift"]).expect(0);
    let ours = [
        template(first, "component", "settings"),
        template(first, "index", "logs"),
    ];
    let list = || get_json(&first.url(8, "/_index_template"))["index_templates"].clone();
    assert_eq!(list().as_array().unwrap().len(), 5, "{:#}", list());

    let says = second.run(&["destroy"]).expect(2);
    let name = format!("(kai-{}-local-logs)", second.id);
    assert!(says.out.contains(&name), "{}", says.out);
    assert!(says.out.contains("not ours"), "{}", says.out);
    second.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert_eq!(list().as_array().unwrap().len(), 3, "{:#}", list());
    assert_eq!(ours[0], template(first, "component", "settings"));
    assert_eq!(ours[1], template(first, "index", "logs"));
    assert_eq!(foreign(first), others);
}

/// The launcher is killed: what it started still holds the port and the lock for a while.
fn killed_it_starts_again(stack: &Stack) {
    kill(stack.pids()["elasticsearch"]);
    wait_for("it is dead", Duration::from_secs(10), || {
        (!stack.pids().contains_key("elasticsearch")).then_some(())
    });
    stack.run(&["provision", "--no-verify"]).expect(0);
    stack.run(&["drift"]).expect(0);
    // It answers before it has read all of its shards back.
    let count = wait_for("the shards are back", Duration::from_mins(1), || {
        let (status, text) = ask(stack, Method::GET, "/logs-kai.booking-local/_count", None);
        let count: Value = serde_json::from_str(&text).ok()?;
        (status == 200).then(|| count["count"].clone())
    });
    assert_eq!(count, 103);
}

fn destroyed_it_keeps_what_is_not_ours(stack: &Stack) {
    let before = foreign(stack);
    let purged = stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert!(
        purged.out.contains("index-template theirs"),
        "{}",
        purged.out
    );
    assert_eq!(stack.living(), []);
    // Also when it is asked again, of a server that does not run.
    let again = stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert!(
        again.out.contains("component-template theirs"),
        "{}",
        again.out
    );
    stack.run(&["provision", "--no-verify"]).expect(0);
    assert_eq!(foreign(stack), before);
    for path in FOREIGN {
        assert_eq!(ask(stack, Method::DELETE, path, None).0, 200);
    }
    // The service goes and its lines stay: a server lets no data stream be without its template.
    stack.write_spec(&spec(stack, MANAGED, "payment"));
    stack.run(&["provision", "--no-verify"]).expect(0);
    stack.run(&["drift"]).expect(0);
    let patterns = template(stack, "index", "logs")["index_patterns"].clone();
    assert_eq!(patterns[1], "logs-kai.payment-local", "{patterns:#}");
    assert_eq!(patterns[2], "logs-kai.booking-local", "{patterns:#}");
    let kept = stack.run(&["destroy", "--yes"]).expect(0);
    let line = format!(
        "index-template/logs (kai-{}-local-logs): data streams",
        stack.id
    );
    assert!(kept.out.contains(&line), "{}", kept.out);
    stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert!(!stack.place().join("data").exists());
}

/// A server that knows nobody: what to do is said, and the key is not.
#[test]
fn a_refused_key_is_explained_and_not_shown() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 2048]);
            let body = "{\"error\":\"unable to authenticate\"}";
            let head = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let _ = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
        }
    });
    let mut stack = Stack::new();
    stack.vars = vec![("ES_TEST_KEY".to_owned(), "hunter2hunter2".to_owned())];
    let external = format!(
        "{{ mode: external, url: \"http://{address}\", auth: {{ apiKey: {{ env: ES_TEST_KEY }} }} }}"
    );
    stack.write_spec(&spec(&stack, &external, "booking"));
    for command in ["plan", "destroy"] {
        let ran = stack.run(&[command]).expect(1);
        assert!(ran.err.contains("answered 401"), "{ran:?}");
        assert!(ran.err.contains("`auth`"), "{ran:?}");
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    }
}

#[test]
fn what_lies_outside_of_owns_is_refused() {
    let stack = Stack::new();
    let owns = "{ mode: managed, owns: [\"logs-kai.*-*\"] }";
    stack.write_spec(&spec(&stack, owns, "booking"));
    let ran = stack.run(&["validate"]).expect(65);
    assert!(ran.err.contains("events-kai.booking-local"), "{ran:?}");
}
