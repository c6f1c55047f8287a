//! Applications that are found: in files, and among the pods of the node.

pub mod api;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Agent, wait_for};
use api::{Api, TOKEN};

/// An application with one series, or what `page` is; it answers for ever.
fn application(page: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let page = page.to_owned();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                line.clear();
            }
            let _ = stream.write_all(page.as_bytes());
        }
    });
    port
}

fn one_series() -> String {
    let page = "# TYPE bookings counter\nbookings 7\n";
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{page}",
        page.len()
    )
}

/// What `/sd/applications` says, by the paths of the pages.
fn found(agent: &Agent) -> Vec<(String, Value)> {
    let groups = agent.get("/sd/applications").json();
    let mut out: Vec<(String, Value)> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            let path = group["labels"]["__metrics_path__"].as_str().unwrap();
            (path.to_owned(), group.clone())
        })
        .collect();
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

fn paths(agent: &Agent) -> Vec<String> {
    found(agent).into_iter().map(|(path, _)| path).collect()
}

fn wait_for_paths(agent: &Agent, wanted: &[&str]) {
    wait_for(&format!("{wanted:?}"), || {
        (paths(agent) == wanted).then_some(())
    });
}

#[test]
fn files_are_followed_and_a_slip_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("targets.yaml");
    let port = application(&one_series());
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write(&format!(
        "- targets: ['127.0.0.1:{port}']\n  labels: {{job: booking, team: booking, shard: 01}}\n"
    ));
    let agent = Agent::start(&format!(
        "discovery:\n  files: [{}/*.yaml]\n  maxApplications: 2\n  relabel:\n  - {{target_label: \
         from, replacement: file}}\n",
        folder.path().display()
    ));
    let group = wait_for("the target", || found(&agent).into_iter().next());
    let labels = &group.1["labels"];
    // The address is the one that it was asked at: the tests send `host: agent`.
    assert_eq!(group.1["targets"], json!(["agent"]));
    assert_eq!(labels["job"], "booking");
    assert_eq!(labels["service"], "booking");
    assert_eq!(labels["team"], "booking");
    assert_eq!(labels["shard"], "01");
    assert_eq!(labels["instance"], format!("127.0.0.1:{port}"));
    let page = agent.get(&group.0);
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(
        page.text(),
        "# TYPE bookings counter\nbookings{from=\"file\"} 7\n"
    );
    let app = group.0.trim_start_matches("/metrics/app/");
    let series = format!("kai_agent_scrape_series{{app=\"{app}\",team=\"booking\"}}");
    assert_eq!(agent.metrics().value(&series), 1.0);

    // A slip: what was there stays.
    write("- targets: [");
    agent.logged_text("cannot be read; what it said before holds");
    assert_eq!(found(&agent).len(), 1);
    let metrics = agent.metrics();
    assert_eq!(metrics.value("kai_agent_discovery_files_bad"), 1.0);
    assert_eq!(
        metrics.value("kai_agent_discovery_file_failures_total"),
        1.0
    );

    // More than have a place: who has one keeps it.
    write(&format!(
        "- targets: ['127.0.0.1:{port}']\n  labels: {{job: booking, team: booking, shard: 01}}\n\
         - targets: ['a:1', 'b:2', 'no host']\n"
    ));
    wait_for("two applications", || {
        (found(&agent).len() == 2).then_some(())
    });
    assert!(paths(&agent).contains(&group.0));
    let metrics = wait_for("the count", || {
        let metrics = agent.metrics();
        (metrics.value("kai_agent_discovery_applications_cut") == 1.0).then_some(metrics)
    });
    assert_eq!(metrics.value("kai_agent_discovery_targets_refused"), 1.0);
    assert_eq!(metrics.value("kai_agent_discovery_files_bad"), 0.0);

    // Gone is gone: no page, no series.
    std::fs::remove_file(&file).unwrap();
    wait_for_paths(&agent, &[]);
    assert_eq!(agent.get(&group.0).status, 404);
    assert!(!agent.metrics().series.contains_key(&series));
}

fn pod(name: &str, port: u16, annotations: Value) -> Value {
    let mut all = json!({ "prometheus.io/scrape": "true", "prometheus.io/port": port.to_string() });
    all.as_object_mut()
        .unwrap()
        .extend(annotations.as_object().unwrap().clone());
    json!({
        "metadata": {
            "uid": format!("uid-{name}"), "name": name, "namespace": "kai",
            "labels": { "app.kubernetes.io/name": "booking" },
            "annotations": all,
        },
        "spec": { "nodeName": "node-1", "containers": [{ "name": "app", "image": "booking:1" }] },
        "status": { "phase": "Running", "podIP": "127.0.0.1" },
    })
}

/// An agent that follows the pods of node-1.
fn agent_of(api: &Api, more: &str) -> Agent {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let config = format!(
        "kubernetes:\n  node: node-1\n  api: {}\n  tokenFile: {}\ndiscovery:\n  pods: {{teams: \
         {{kai: booking}}}}\n{more}",
        api.url,
        token.display()
    );
    Agent::start_in(folder, &config)
}

#[test]
fn pods_come_and_go() {
    let api = Api::start();
    let port = application(&one_series());
    api.put(pod("a", port, json!({ "kai.observe/team": "thieves" })));
    let agent = agent_of(&api, "");
    let path = format!("/metrics/app/kai.a.{port}");
    wait_for_paths(&agent, &[&path]);
    let (_, group) = found(&agent).remove(0);
    assert_eq!(
        group["labels"],
        json!({
            "__metrics_path__": path, "instance": format!("127.0.0.1:{port}"), "job": "booking",
            "namespace": "kai", "node": "node-1", "pod": "a", "service": "booking", "team": "booking",
        })
    );
    assert_eq!(agent.get(&path).status, 200);
    // Another, by the watch.
    api.put(pod("b", port, json!({})));
    let other = format!("/metrics/app/kai.b.{port}");
    wait_for_paths(&agent, &[&path, &other]);
    // One that does not know what it wants is said and counted.
    api.put(pod("c", port, json!({ "prometheus.io/scheme": "gopher" })));
    agent.logged_text("prometheus.io/scheme is \"gopher\"; it is http or https");
    assert_eq!(
        agent.metrics().value("kai_agent_discovery_pods_refused"),
        1.0
    );
    api.delete("uid-a");
    wait_for_paths(&agent, &[&other]);
    assert_eq!(agent.get(&path).status, 404);
    let metrics = agent.metrics();
    assert_eq!(metrics.value("kai_agent_kubernetes_pods"), 2.0);
    assert_eq!(metrics.value("kai_agent_kubernetes_pods_deleted"), 1.0);
    assert_eq!(metrics.value("kai_agent_kubernetes_synced"), 1.0);
    // One list was enough.
    assert_eq!(api.lists(), 1);
}

#[test]
fn a_server_that_fails_takes_nothing_away() {
    let api = Api::start();
    api.put(pod("a", 9000, json!({})));
    api.put(pod("b", 9000, json!({})));
    // The first list breaks off.
    api.change(|world| world.cut_next_list(300));
    let agent = agent_of(&api, "");
    let both = ["/metrics/app/kai.a.9000", "/metrics/app/kai.b.9000"];
    wait_for_paths(&agent, &both);
    let failures = |agent: &Agent, reason: &str| {
        let series = format!("kai_agent_kubernetes_failures_total{{reason=\"{reason}\"}}");
        let metrics = agent.metrics();
        metrics
            .series
            .get(&series)
            .map_or(0.0, |value| value.parse().unwrap())
    };
    assert!(failures(&agent, "broken") >= 1.0);

    // A watch that breaks off goes on where it was: nothing is listed again.
    let lists = api.lists();
    api.break_watches();
    api.put(pod("c", 9000, json!({})));
    let three = [both[0], both[1], "/metrics/app/kai.c.9000"];
    wait_for_paths(&agent, &three);
    assert_eq!(api.lists(), lists);

    // The server forgot where we are, and a pod went meanwhile: all is listed anew.
    api.change(|world| world.refuse_watches(true));
    api.break_watches();
    api.change(|world| {
        world.remove_silently("uid-a");
        world.forget();
        world.refuse_watches(false);
    });
    wait_for_paths(&agent, &three[1..]);
    wait_for("410 is counted", || {
        (failures(&agent, "expired") >= 1.0).then_some(())
    });

    // A bookmark moves us on, so that an end after it needs no list.
    let lists = api.lists();
    api.change(api::World::bookmark);
    wait_for("the bookmark", || {
        let metrics = agent.metrics();
        let series = "kai_agent_kubernetes_events_total{type=\"bookmark\"}";
        metrics.series.contains_key(series).then_some(())
    });
    api.change(api::World::forget);
    api.break_watches();
    api.put(pod("d", 9000, json!({})));
    wait_for_paths(&agent, &[three[1], three[2], "/metrics/app/kai.d.9000"]);
    assert_eq!(api.lists(), lists);

    // An event that is none: what was missed is not known, so all is listed.
    api.change(|world| world.raw_event(json!({ "type": "ADDED", "object": { "kind": "Cow" } })));
    wait_for("the list", || (api.lists() > lists).then_some(()));
    assert!(failures(&agent, "form") >= 1.0);
    assert_eq!(paths(&agent).len(), 3);
}

#[test]
fn a_rotated_token_is_read_anew() {
    let api = Api::start();
    api.put(pod("a", 9000, json!({})));
    let agent = agent_of(&api, "");
    wait_for_paths(&agent, &["/metrics/app/kai.a.9000"]);
    api.change(|world| world.set_token("second-token"));
    api.break_watches();
    agent.logged_text("the token of the account is not accepted");
    // What is known stays.
    assert_eq!(paths(&agent).len(), 1);
    std::fs::write(agent.path("token"), "second-token\n").unwrap();
    api.put(pod("b", 9000, json!({})));
    wait_for_paths(
        &agent,
        &["/metrics/app/kai.a.9000", "/metrics/app/kai.b.9000"],
    );
    let log = agent.get("/metrics").text();
    assert!(!log.contains("token\""), "{log}");
}

#[test]
fn a_pod_cannot_send_the_agent_elsewhere() {
    let api = Api::start();
    let secret = application(&one_series());
    let away = application(&format!(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{secret}/metrics\r\nconnection: close\r\n\
         content-length: 0\r\n\r\n"
    ));
    api.put(pod("a", away, json!({})));
    let agent = agent_of(&api, "");
    let path = format!("/metrics/app/kai.a.{away}");
    wait_for_paths(&agent, &[&path]);
    let reply = agent.get(&path);
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert!(reply.text().contains("302"), "{}", reply.text());
}

#[test]
fn every_agent_is_asked_for_all() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("t.json"),
        r#"[{"targets":["h:1"],"labels":{"job":"a"}}]"#,
    )
    .unwrap();
    let files = format!(
        "discovery:\n  files: [{}/t.json]\n",
        folder.path().display()
    );
    let other = Agent::start(&files);
    wait_for("the other's target", || {
        (paths(&other).len() == 1).then_some(())
    });
    let agent = Agent::start(&format!("{files}  peers: {}\n", other.address));
    let reply = agent.get("/sd/applications/all");
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.json()[0]["targets"], json!([other.address]));
    assert_eq!(other.get("/sd/applications/all").status, 404);
    // One that does not answer is an error, not an empty list: Prometheus keeps what it has.
    let nobody = Agent::start(&format!("{files}  peers: 127.0.0.1:1\n"));
    let reply = nobody.get("/sd/applications/all");
    assert_eq!(reply.status, 502);
    assert!(reply.text().contains("127.0.0.1:1"), "{}", reply.text());
}

#[test]
fn a_reload_changes_what_is_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, target: &str| {
        std::fs::write(
            folder.path().join(name),
            format!(r#"[{{"targets":["{target}"],"labels":{{"job":"j"}}}}]"#),
        )
        .unwrap();
    };
    write("a.json", "h:1");
    write("b.json", "h:2");
    let config = |names: &str| {
        format!(
            "discovery:\n  files: [{}/{names}.json]\n",
            folder.path().display()
        )
    };
    let agent = Agent::start(&config("a"));
    wait_for("one", || (paths(&agent).len() == 1).then_some(()));
    let text = crate::support::config(agent.folder.path(), &config("*"));
    std::fs::write(agent.path("agent.yaml"), text).unwrap();
    wait_for("two", || (paths(&agent).len() == 2).then_some(()));
    // Without the section nothing is found.
    let text = crate::support::config(agent.folder.path(), "");
    std::fs::write(agent.path("agent.yaml"), text).unwrap();
    wait_for("none", || paths(&agent).is_empty().then_some(()));
}

#[test]
fn what_the_environment_does_not_say_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::support::config(folder.path(), "kubernetes: {}\ndiscovery: {pods: {}}\n");
    std::fs::write(folder.path().join("agent.yaml"), config).unwrap();
    let (code, error) = Agent::refused(Path::new(folder.path()));
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("NODE_NAME"), "{error}");
}
