//! A new configuration in force, a bad one refused, by every way in which an agent notices.

use std::fs;

use crate::support::{Agent, Metrics, config, wait_for};

const SUCCESSFUL: &str = "kai_agent_config_last_reload_successful";

fn hash_of(metrics: &Metrics) -> String {
    let prefix = "kai_agent_config_info{hash=\"";
    let series = metrics
        .series
        .keys()
        .find(|series| series.starts_with(prefix))
        .unwrap();
    series[prefix.len()..].trim_end_matches("\"}").to_owned()
}

fn write(agent: &Agent, more: &str) {
    // As editors and tools do: a new file is renamed over the old one.
    fs::write(agent.path("next"), config(agent.folder.path(), more)).unwrap();
    fs::rename(agent.path("next"), agent.path("agent.yaml")).unwrap();
}

#[test]
fn a_changed_file_is_taken_by_itself() {
    let agent = Agent::start("");
    let before = hash_of(&agent.metrics());
    write(&agent, "collectors: {disable: [cpu]}\n");
    let metrics = wait_for("the new configuration", || {
        let metrics = agent.metrics();
        (!metrics.families.contains_key("node_cpu_seconds_total")).then_some(metrics)
    });
    assert_ne!(hash_of(&metrics), before);
    assert_eq!(metrics.value(SUCCESSFUL), 1.0);
    assert!(
        !metrics
            .series
            .contains_key("node_scrape_collector_success{collector=\"cpu\"}")
    );
}

#[test]
fn a_mounted_config_map_is_followed() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    // agent.yaml -> ..data/agent.yaml, ..data -> ..1, as the kubelet lays it out. The agent writes
    // through the links at its start.
    fs::create_dir(path.join("..1")).unwrap();
    symlink("..1", path.join("..data")).unwrap();
    fs::write(path.join("..1/agent.yaml"), "").unwrap();
    symlink("..data/agent.yaml", path.join("agent.yaml")).unwrap();
    let agent = Agent::start_in(folder, "");
    fs::create_dir(path.join("..2")).unwrap();
    fs::write(
        path.join("..2/agent.yaml"),
        config(&path, "collectors: {disable: [cpu]}\n"),
    )
    .unwrap();
    symlink("..2", path.join("..next")).unwrap();
    fs::rename(path.join("..next"), path.join("..data")).unwrap();
    wait_for("the new configuration", || {
        (!agent
            .metrics()
            .families
            .contains_key("node_cpu_seconds_total"))
        .then_some(())
    });
}

#[test]
fn a_bad_file_is_refused_and_the_old_kept() {
    let agent = Agent::start("");
    let before = hash_of(&agent.metrics());
    write(&agent, "collectors:\n  disabel: [cpu]\n");
    agent.logged_text("agent.yaml:6:3: collectors.disabel: there is no setting");
    let metrics = agent.metrics();
    assert_eq!(metrics.value(SUCCESSFUL), 0.0);
    assert_eq!(hash_of(&metrics), before);
    assert_eq!(metrics.success("cpu"), 1.0);
    let status = agent.admin("GET", "/status", "").json();
    assert_eq!(status["config"]["lastReload"]["ok"], false);
    assert_eq!(status["config"]["lastReload"]["problems"][0]["line"], 6);
    // The good one back again makes it well again, although it is what is in force.
    write(&agent, "");
    wait_for("the refusal's end", || {
        (agent.metrics().value(SUCCESSFUL) == 1.0).then_some(())
    });
    assert_eq!(hash_of(&agent.metrics()), before);
}

#[test]
fn a_request_and_a_signal_reload_too() {
    let agent = Agent::start("");
    let reply = agent.admin("POST", "/reload", "");
    assert_eq!(
        reply.json(),
        serde_json::json!({ "ok": true, "changed": false })
    );
    fs::write(agent.path("agent.yaml"), "version: 1\nlisten: [\n").unwrap();
    let reply = agent.admin("POST", "/reload", "");
    assert_eq!(
        (reply.status, reply.json()["ok"] == false),
        (422, true),
        "{}",
        reply.text()
    );
    assert!(
        reply.json()["error"]
            .as_str()
            .unwrap()
            .contains("agent.yaml:"),
        "{}",
        reply.text()
    );
    fs::write(
        agent.path("agent.yaml"),
        config(agent.folder.path(), "rotate: []\n"),
    )
    .unwrap();
    agent.signal("HUP");
    agent.logged_text("configuration reloaded");
    assert_eq!(agent.metrics().value(SUCCESSFUL), 1.0);
}

#[test]
fn a_change_of_the_listeners_is_refused_as_a_whole() {
    let agent = Agent::start("");
    let other = config(agent.folder.path(), "collectors: {disable: [cpu]}\n")
        .replace("127.0.0.1:0", "127.0.0.1:1")
        .replace("admin.sock", "other.sock");
    fs::write(agent.path("agent.yaml"), other).unwrap();
    let reply = agent.admin("POST", "/reload", "");
    let error = reply.json()["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("listen: changing it from 127.0.0.1:0 to 127.0.0.1:1 needs a restart"),
        "{error}"
    );
    assert!(error.contains("admin.socket: changing it"), "{error}");
    assert_eq!(
        agent.metrics().success("cpu"),
        1.0,
        "nothing of it is taken"
    );
}

#[test]
fn output_files_are_kept_small() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("out.log");
    fs::write(&log, vec![b'x'; 5000]).unwrap();
    let more = format!(
        "rotate:\n  - path: {}\n    maxBytes: 1000\n    keep: 1\n",
        log.display()
    );
    let agent = Agent::start_in(folder, &more);
    wait_for("the rotation", || {
        (agent.metrics().value("kai_agent_rotations_total") == 1.0).then_some(())
    });
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    assert_eq!(fs::metadata(agent.path("out.log.1")).unwrap().len(), 5000);
}
