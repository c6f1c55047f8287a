//! An external cluster with security, against a stand-in that judges by Elastic's published types:
//! rights for the agent, made, used, rotated and ended; lifecycles by ILM and snapshots by SLM. Not
//! run against the real one: the builds that the tests can have know no users and no ILM, but for an
//! old one (see `stack/lifecycle.rs`).

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Stack, wait_for};
use crate::standins::Running;
use crate::standins::elasticsearch::Elasticsearch;

fn spec(stack: &Stack, url: &str, user: &str, more: &str) -> String {
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
  elasticsearch: {{ mode: external, url: \"{url}\", auth: {{ username: {user}, password: {{ env: ES_TEST_PASSWORD }} }}, {more} }}
teams: {{ a: {{ email: a@kai.example }} }}
routing: {{ severity: {{ critical: [email], warning: [email], info: [email] }}, fallback: {{ team: a }} }}
services:
  booking: {{ team: a, metrics: \"http://127.0.0.1:9/metrics\", logs: {{ paths: [\"var/*.log\"] }} }}
  gateway: {{ team: a, metrics: \"http://127.0.0.1:8/metrics\", logs: {{ paths: [\"access/*.log\"], kind: access }} }}
privacy: {{ retention: {{ app: 14d, access: 90d }} }}
",
        stack.id, stack.base
    )
}

fn stack() -> (Stack, Running<Elasticsearch>) {
    let mut stack = Stack::new();
    stack.vars = vec![("ES_TEST_PASSWORD".to_owned(), "secret".to_owned())];
    (stack, Running::start(Elasticsearch::default()))
}

fn append(stack: &Stack, line: &str) {
    use std::io::Write as _;
    let folder = stack.folder.path().join("var");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("booking.log");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    writeln!(file.unwrap(), "{line}").unwrap();
}

/// Files that hold the agent's key.
fn key_files(stack: &Stack) -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(stack.place().join("secrets")).unwrap();
    let mut files: Vec<_> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("agent-elasticsearch"))
        .collect();
    files.sort();
    files
}

#[test]
fn the_agent_gets_a_key_of_its_own_that_is_rotated_and_ends() {
    let (stack, server) = stack();
    let write = |more: &str| stack.write_spec(&spec(&stack, &server.url(), "elastic", more));
    write("agentAccess: { grant: [apiKey, role] }");
    // A plan needs no rights to make keys, and shows none.
    let plan = stack.run(&["plan"]).expect(2);
    assert!(
        plan.out.contains("elasticsearch/api-key/agent-0"),
        "{}",
        plan.out
    );
    stack.run(&["provision", "--no-verify"]).expect(0);
    assert_eq!(server.with(|s| s.refused.clone()), Vec::<String>::new());
    let again = stack.run(&["provision", "--no-verify"]).expect(0);
    assert!(again.out.contains("no changes"), "{}", again.out);
    let first = format!("kai-{}-local-key-0", stack.id);
    assert_eq!(server.with(|s| s.valid()), std::slice::from_ref(&first));
    let files = key_files(&stack);
    assert_eq!(files.len(), 1);
    let mode = std::fs::metadata(&files[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = std::fs::read_to_string(&files[0]).unwrap();
    let config = std::fs::read_to_string(stack.place().join("config/agent/agent.yaml")).unwrap();
    assert!(config.contains(&files[0].display().to_string()), "{config}");
    for text in [&plan.out, &again.out, &config] {
        assert!(
            !text.contains(&secret) && !text.contains("password"),
            "{text}"
        );
    }

    // No more than it needs, and it is enough.
    let rights = server.with(|s| s.keys[0]["role_descriptors"]["kai-agent"].clone());
    assert_eq!(rights["cluster"], json!(["monitor"]));
    assert_eq!(
        rights["indices"][0]["privileges"],
        json!([
            "auto_configure",
            "create_doc",
            "read",
            "view_index_metadata"
        ])
    );
    let arrives = |name: &str| {
        append(&stack, "{\"message\":\"x\"}");
        wait_for("a line with this key", Duration::from_secs(30), || {
            server
                .with(|s| s.wrote.iter().any(|wrote| wrote == name))
                .then_some(())
        });
    };
    arrives(&first);

    a_service_more_changes_the_rights_and_not_the_key(&stack, &server, &secret);
    rotated(&stack, &server, &first);
    let second = format!("kai-{}-local-key-1", stack.id);
    arrives(&second);
    lost_and_ended_by_hand(&stack, &server, &second);

    stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert_eq!(server.with(|s| s.valid()), ["theirs"]);
    let left = server.with(|s| s.kept.keys().cloned().collect::<Vec<_>>());
    assert_eq!(left, ["/_security/role/theirs"]);
}

fn a_service_more_changes_the_rights_and_not_the_key(
    stack: &Stack,
    server: &Running<Elasticsearch>,
    secret: &str,
) {
    let text = std::fs::read_to_string(stack.spec()).unwrap();
    let more = "  refund: { team: a, metrics: \"http://127.0.0.1:7/metrics\", logs: { paths: [\"r/*.log\"] } }\nprivacy:";
    stack.write_spec(&text.replace("privacy:", more));
    stack.run(&["provision", "--no-verify"]).expect(0);
    let names =
        server.with(|s| s.keys[0]["role_descriptors"]["kai-agent"]["indices"][0]["names"].clone());
    assert!(
        names
            .as_array()
            .unwrap()
            .contains(&json!("logs-kai.refund-local")),
        "{names}"
    );
    assert_eq!(server.with(|s| s.keys.len()), 1);
    assert_eq!(
        std::fs::read_to_string(&key_files(stack)[0]).unwrap(),
        secret
    );
    stack.run(&["drift"]).expect(0);
}

/// The new key is stored and in the agent's file before the old one ends.
fn rotated(stack: &Stack, server: &Running<Elasticsearch>, first: &str) {
    let text = std::fs::read_to_string(stack.spec()).unwrap();
    stack.write_spec(&text.replace("[apiKey, role] }", "[apiKey, role], rotation: 1 }"));
    let config = stack.place().join("config/agent/agent.yaml");
    server.with(|s| {
        s.keys
            .push(json!({ "id": "t", "name": "theirs", "invalidated": false, "metadata": {} }));
        s.kept.insert(
            "/_security/role/theirs".to_owned(),
            json!({ "cluster": ["all"], "metadata": {} }),
        );
        s.at_end = Some(Box::new(move || {
            std::fs::read_to_string(&config).unwrap_or_default()
        }));
    });
    let before = key_files(stack);
    stack.run(&["provision", "--no-verify"]).expect(0);
    let new: Vec<_> = key_files(stack)
        .into_iter()
        .filter(|file| !before.contains(file))
        .collect();
    assert_eq!(new.len(), 1);
    let seen = server.with(|s| s.seen_at_end.clone());
    assert_eq!(seen.len(), 1);
    assert!(
        seen[0].contains(&new[0].display().to_string()),
        "{}",
        seen[0]
    );
    assert!(!server.with(|s| s.valid()).contains(&first.to_owned()));
    let again = stack
        .run(&["provision", "--no-verify", "--prune"])
        .expect(0);
    assert!(!again.out.contains("api-key"), "{}", again.out);
    assert_eq!(key_files(stack), new, "the old secret went with --prune");
}

fn lost_and_ended_by_hand(stack: &Stack, server: &Running<Elasticsearch>, name: &str) {
    // Ended in the cluster.
    server.with(|s| {
        let key = s.keys.iter_mut().find(|key| key["name"] == name).unwrap();
        key["invalidated"] = json!(true);
    });
    let drift = stack.run(&["drift"]).expect(2);
    assert!(
        drift.out.contains("elasticsearch/api-key/agent-1"),
        "{}",
        drift.out
    );
    stack.run(&["provision", "--no-verify"]).expect(0);
    assert!(server.with(|s| s.valid()).contains(&name.to_owned()));
    // Its secret is gone: another is made, and the useless one ends.
    std::fs::remove_file(&key_files(stack)[0]).unwrap();
    stack.run(&["drift"]).expect(2);
    stack.run(&["provision", "--no-verify"]).expect(0);
    let valid = server.with(|s| s.valid());
    assert_eq!(
        valid.iter().filter(|valid| *valid == name).count(),
        1,
        "{valid:?}"
    );
    // More rights than the spec gives.
    server.with(|s| {
        let key = s
            .keys
            .iter_mut()
            .find(|key| key["name"] == name && key["invalidated"] == false);
        key.unwrap()["role_descriptors"]["kai-agent"]["cluster"] = json!(["all"]);
        let role = s
            .kept
            .iter_mut()
            .find(|(path, _)| path.ends_with("-agent"))
            .unwrap();
        role.1["run_as"] = json!(["root"]);
    });
    let drift = stack.run(&["drift"]).expect(2);
    assert!(
        drift
            .out
            .contains("elasticsearch/api-key/agent-1: changed by hand"),
        "{}",
        drift.out
    );
    assert!(
        drift
            .out
            .contains("elasticsearch/role/agent: changed by hand"),
        "{}",
        drift.out
    );
    stack.run(&["provision", "--no-verify"]).expect(0);
    stack.run(&["drift"]).expect(0);
}

/// Whoever may make only keys of their own can do so, and is told what else they may not.
#[test]
fn a_small_user_makes_a_key_and_no_role() {
    let (stack, server) = stack();
    stack.write_spec(&spec(&stack, &server.url(), "ci", "agentAccess: {}"));
    stack.run(&["provision", "--no-verify"]).expect(0);
    stack.run(&["drift"]).expect(0);
    assert_eq!(server.with(|s| s.valid()).len(), 1);
    stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert_eq!(server.with(|s| s.valid()).len(), 0);
    stack.write_spec(&spec(
        &stack,
        &server.url(),
        "ci",
        "agentAccess: { grant: [role] }",
    ));
    let refused = stack.run(&["plan"]).expect(1);
    assert!(refused.err.contains("403"), "{refused:?}");
}

/// Each kind of lines has a policy by ILM; a warm phase and snapshots are what the vendor's types
/// allow; a shorter retention waits.
#[test]
fn policies_of_a_full_cluster_are_made_changed_and_held_back() {
    let (stack, server) = stack();
    let more = "lifecycle: { rollover: { age: 12h, size: 5Gi }, warm: { after: 2d, replicas: 0, shrink: 1, allocate: { box_type: warm } } }, snapshots: { repository: backups, keep: 7 }";
    stack.write_spec(&spec(&stack, &server.url(), "elastic", more));
    stack.run(&["provision", "--no-verify"]).expect(0);
    assert_eq!(server.with(|s| s.refused.clone()), Vec::<String>::new());
    stack.run(&["drift"]).expect(0);
    let held = |kind: &str, slug: &str| -> Value {
        let path = format!("/{kind}/kai-{}-local-{slug}", stack.id);
        server.with(|s| s.kept[&path].clone())
    };
    let access = held("_ilm/policy", "logs-access");
    assert_eq!(access["policy"]["phases"]["delete"]["min_age"], "90d");
    let logs = held("_ilm/policy", "logs");
    assert_eq!(logs["policy"]["phases"]["delete"]["min_age"], "14d");
    let rollover = &logs["policy"]["phases"]["hot"]["actions"]["rollover"];
    assert_eq!(
        *rollover,
        json!({ "max_age": "12h", "max_primary_shard_size": "5gb" })
    );
    let template = held("_index_template", "logs-access");
    assert_eq!(
        template["index_patterns"],
        json!(["logs-kai.gateway-local"])
    );
    assert!(template["priority"].as_u64().unwrap() >= 500);
    assert!(
        template["template"].get("lifecycle").is_none(),
        "{template:#}"
    );
    let daily = held("_slm/policy", "daily");
    assert_eq!(daily["config"]["include_global_state"], false);
    assert!(
        !daily["config"]["indices"].to_string().contains("\"*\""),
        "{daily:#}"
    );

    let text = std::fs::read_to_string(stack.spec()).unwrap();
    stack.write_spec(&text.replace("access: 90d", "access: 60d"));
    let waits = stack.run(&["provision", "--no-verify"]).expect(0);
    assert!(
        waits.out.contains("1 to delete or shorten with --prune"),
        "{}",
        waits.out
    );
    assert_eq!(held("_ilm/policy", "logs-access"), access);
    stack
        .run(&["provision", "--no-verify", "--prune"])
        .expect(0);
    let shorter = held("_ilm/policy", "logs-access");
    assert_eq!(shorter["policy"]["phases"]["delete"]["min_age"], "60d");
    stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert!(server.with(|s| s.kept.is_empty()));
}

/// A cluster without users cannot give the agent a key: said before anything is done.
#[test]
fn a_cluster_without_users_is_said_before_anything_is_done() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 2048];
            let read = stream.read(&mut buffer).unwrap_or_default();
            let asked = String::from_utf8_lossy(&buffer[..read]);
            let (status, body) = if asked.starts_with("GET / ") {
                ("200 OK", "{\"version\":{\"number\":\"9.5.3\"}}")
            } else if asked.contains("_template/") {
                ("404 Not Found", "{}")
            } else {
                ("405 Method Not Allowed", "{}")
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let mut stack = Stack::new();
    stack.vars = vec![("ES_TEST_PASSWORD".to_owned(), "secret".to_owned())];
    stack.write_spec(&spec(&stack, &url, "elastic", "agentAccess: {}"));
    let ran = stack.run(&["provision", "--no-verify"]).expect(1);
    assert!(ran.err.contains("no security here"), "{ran:?}");
    assert!(ran.err.contains("agentAccess"), "{ran:?}");
    assert_eq!(stack.living(), []);
}
