//! The admin socket: its mode, drills and status.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use kai_contract::agent_config::{COLLECTORS, OPT_IN};

use crate::support::{Agent, config, wait_for};

#[test]
fn the_socket_is_its_owners_and_not_shared() {
    let agent = Agent::start("");
    let mode = fs::metadata(agent.path("admin.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = tempfile::tempdir().unwrap();
    fs::write(
        second.path().join("agent.yaml"),
        config(agent.folder.path(), ""),
    )
    .unwrap();
    let (code, error) = Agent::refused(second.path());
    assert_eq!(code, Some(1));
    assert!(error.contains("in use by another agent"), "{error}");
    assert_eq!(agent.admin("GET", "/status", "").status, 200);
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("admin.sock")).unwrap());
    let agent = Agent::start_in(folder, "");
    assert_eq!(agent.admin("GET", "/status", "").json()["pid"], agent.pid());
}

#[test]
fn a_drill_is_raised_shown_and_cleared() {
    let agent = Agent::start("");
    let body = r#"{"id": "d-1", "severity": "critical", "team": "booking", "ttlSeconds": 600}"#;
    let reply = agent.admin("POST", "/drill", body);
    assert_eq!(
        (reply.status, reply.json()["ok"] == true),
        (200, true),
        "{}",
        reply.text()
    );
    let series = "kai_drill_active{severity=\"critical\",drill_id=\"d-1\",team=\"booking\"}";
    assert_eq!(agent.metrics().value(series), 1.0);
    let listed = agent.admin("GET", "/drill", "").json();
    assert_eq!(listed["drills"][0]["id"], "d-1");
    assert_eq!(agent.admin("DELETE", "/drill/d-1", "").status, 200);
    assert!(!agent.metrics().series.contains_key(series));
    assert_eq!(agent.admin("DELETE", "/drill/d-1", "").status, 404);
}

#[test]
fn a_drill_ends_by_itself() {
    let agent = Agent::start("");
    let body = r#"{"id": "d-2", "severity": "info", "ttlSeconds": 1}"#;
    assert_eq!(agent.admin("POST", "/drill", body).status, 200);
    let series = "kai_drill_active{severity=\"info\",drill_id=\"d-2\",team=\"\"}";
    wait_for("the drill's end", || {
        (!agent.metrics().series.contains_key(series)).then_some(())
    });
}

#[test]
fn bad_requests_are_refused_with_a_reason() {
    let agent = Agent::start("");
    for (body, reason) in [
        ("", "not a drill"),
        (
            r#"{"id": "d", "severity": "loud", "ttlSeconds": 1}"#,
            "loud",
        ),
        (
            r#"{"id": "d", "severity": "info", "ttlSeconds": 3601}"#,
            "1 to 3600",
        ),
        (
            r#"{"id": "a b", "severity": "info", "ttlSeconds": 1}"#,
            "cannot be a label",
        ),
        (
            r#"{"id": "d", "severity": "info", "ttlSeconds": 1, "x": 1}"#,
            "unknown field",
        ),
    ] {
        let reply = agent.admin("POST", "/drill", body);
        assert_eq!(reply.status, 400, "{body}");
        assert!(
            reply.json()["error"].as_str().unwrap().contains(reason),
            "{}",
            reply.text()
        );
    }
    assert_eq!(agent.admin("GET", "/reload", "").status, 405);
    assert_eq!(agent.admin("GET", "/nothing", "").status, 404);
    // The metrics address offers none of it.
    assert_eq!(agent.request("POST", "/drill", &[], "{}").status, 404);
    assert_eq!(agent.get("/status").status, 404);
}

#[test]
fn status_tells_what_runs() {
    let agent = Agent::start("collectors: {disable: [uname]}\n");
    wait_for("readiness", || {
        (agent.get("/ready").status == 200).then_some(())
    });
    let status = agent.admin("GET", "/status", "").json();
    assert_eq!(status["pid"], agent.pid());
    assert_eq!(status["config"]["lastReload"]["ok"], true);
    assert_eq!(status["config"]["hash"].as_str().unwrap().len(), 64);
    let collectors = status["collectors"].as_array().unwrap();
    assert_eq!(collectors.len(), COLLECTORS.len() - OPT_IN.len() - 1);
    assert!(
        collectors
            .iter()
            .all(|collector| collector["collector"] != "uname")
    );
}
