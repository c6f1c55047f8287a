//! systemd and logind over a real bus, beside node_exporter where there is one.

use std::path::Path;

use crate::compare::NodeExporter;
use crate::support::{Agent, roots};

mod standin;

use standin::{Answers, Daemon, Value, serve};

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const SOCKET: &str = "org.freedesktop.systemd1.Socket";
const TIMER: &str = "org.freedesktop.systemd1.Timer";

/// Name, state of loading, state, and what the unit tells.
type Unit = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str, Value)],
);

const UNITS: [Unit; 11] = [
    (
        "ssh.service",
        "loaded",
        "active",
        &[
            (SERVICE, "Type", Value::Text("notify")),
            (SERVICE, "NRestarts", Value::U32(3)),
            (SERVICE, "TasksCurrent", Value::U64(7)),
            (SERVICE, "TasksMax", Value::U64(u64::MAX)),
            (
                UNIT,
                "ActiveEnterTimestamp",
                Value::U64(1_700_000_000_123_456),
            ),
        ],
    ),
    (
        "odd \\x2d \"name\" ü@a.service",
        "loaded",
        "failed",
        &[(SERVICE, "Type", Value::Text("oneshot"))],
    ),
    ("gone.service", "not-found", "inactive", &[]),
    ("reloading.service", "loaded", "reloading", &[]),
    (
        "dbus.socket",
        "loaded",
        "active",
        &[
            (SOCKET, "NAccepted", Value::U32(0)),
            (SOCKET, "NConnections", Value::U32(4)),
            (SOCKET, "NRefused", Value::U32(1)),
        ],
    ),
    (
        "old.socket",
        "loaded",
        "active",
        &[(SOCKET, "NAccepted", Value::U32(9))],
    ),
    (
        "odd.socket",
        "loaded",
        "active",
        &[(SOCKET, "NConnections", Value::U32(9))],
    ),
    (
        "apt.timer",
        "loaded",
        "active",
        &[(TIMER, "LastTriggerUSec", Value::U64(1_700_000_000_500_000))],
    ),
    (
        "never.timer",
        "loaded",
        "inactive",
        &[(TIMER, "LastTriggerUSec", Value::U64(0))],
    ),
    ("-.mount", "loaded", "active", &[]),
    ("multi-user.target", "loaded", "activating", &[]),
];

fn systemd(version: &'static str) -> Answers {
    let manager = "org.freedesktop.systemd1.Manager";
    let mut answers = Answers::default();
    let root = "/org/freedesktop/systemd1".to_owned();
    for (name, value) in [
        ("Version", version),
        ("Virtualization", ""),
        ("SystemState", "degraded"),
    ] {
        answers
            .properties
            .insert((root.clone(), manager, name), Value::Text(value));
    }
    let mut rows = Vec::new();
    for (name, load, active, properties) in UNITS {
        let path: &'static str = format!("/org/freedesktop/systemd1/unit/{}", escaped(name)).leak();
        let texts = [name, "about", load, active, "sub", "", path].map(Value::Text);
        let mut row = texts.to_vec();
        row.extend([Value::U32(0), Value::Text(""), Value::Text("/")]);
        rows.push(row);
        for (interface, property, value) in properties {
            answers
                .properties
                .insert((path.to_owned(), interface, property), value.clone());
        }
    }
    answers.lists.insert("ListUnits", ("a(ssssssouso)", rows));
    answers
}

/// As systemd makes an object's path of a unit's name.
fn escaped(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("_{other:02x}"),
        })
        .collect()
}

fn logind() -> Answers {
    let session = "org.freedesktop.login1.Session";
    let mut answers = Answers::default();
    let seat = vec![
        Value::Text("seat0"),
        Value::Text("/org/freedesktop/login1/seat/seat0"),
    ];
    answers.lists.insert("ListSeats", ("a(so)", vec![seat]));
    let mut rows = Vec::new();
    for (id, seat, remote, kind, class) in [
        ("1", "seat0", false, "x11", "user"),
        ("2", "", true, "tty", "user"),
        ("3", "", true, "tty", "user"),
        ("4", "seat0", false, "holography", "manager"),
        ("5", "unlisted", false, "tty", "user"),
    ] {
        let path: &'static str = format!("/org/freedesktop/login1/session/_3{id}").leak();
        rows.push(vec![
            Value::Text(id),
            Value::U32(1000),
            Value::Text("a"),
            Value::Text(seat),
            Value::Text(path),
        ]);
        for (name, value) in [
            ("Remote", Value::Bool(remote)),
            ("Type", Value::Text(kind)),
            ("Class", Value::Text(class)),
        ] {
            answers
                .properties
                .insert((path.to_owned(), session, name), value);
        }
    }
    // Listed, but gone when asked.
    let gone = "/org/freedesktop/login1/session/_39";
    rows.push(vec![
        Value::Text("9"),
        Value::U32(0),
        Value::Text("b"),
        Value::Text(""),
        Value::Text(gone),
    ]);
    answers.lists.insert("ListSessions", ("a(susso)", rows));
    answers
}

fn config(root: &Path, more: &str) -> String {
    format!(
        "{}collectors:\n  enable: [systemd, logind]\n{more}",
        roots(root)
    )
}

#[test]
fn units_and_sessions_are_told_by_the_bus() {
    let folder = tempfile::tempdir().unwrap();
    let Some(daemon) = Daemon::start(folder.path()) else {
        println!("not run: no dbus-daemon");
        return;
    };
    serve(
        &daemon.socket,
        "org.freedesktop.systemd1",
        systemd("252.39-1~deb12u1"),
    );
    serve(&daemon.socket, "org.freedesktop.login1", logind());
    let agent = Agent::start(&config(
        folder.path(),
        "  systemdEnableTaskMetrics: true\n  systemdEnableRestartsMetrics: true\n  \
         systemdEnableStartTimeMetrics: true\n",
    ));
    let metrics = agent.metrics();
    assert_eq!(metrics.success("systemd"), 1.0);
    assert_eq!(metrics.success("logind"), 1.0);
    for (series, value) in [
        ("node_systemd_version{version=\"252.39-1~deb12u1\"}", 252.39),
        (
            "node_systemd_virtualization_info{virtualization_type=\"none\"}",
            1.0,
        ),
        ("node_systemd_system_running", 0.0),
        ("node_systemd_units{state=\"active\"}", 6.0),
        ("node_systemd_units{state=\"reloading\"}", 1.0),
        ("node_systemd_units{state=\"deactivating\"}", 0.0),
        (
            "node_systemd_unit_state{name=\"ssh.service\",state=\"active\",type=\"notify\"}",
            1.0,
        ),
        (
            "node_systemd_unit_state{name=\"ssh.service\",state=\"failed\",type=\"notify\"}",
            0.0,
        ),
        (
            "node_systemd_unit_state{name=\"odd \\\\x2d \\\"name\\\" ü@a.service\",state=\"failed\",type=\"oneshot\"}",
            1.0,
        ),
        (
            "node_systemd_service_restart_total{name=\"ssh.service\"}",
            3.0,
        ),
        ("node_systemd_unit_tasks_current{name=\"ssh.service\"}", 7.0),
        (
            "node_systemd_unit_start_time_seconds{name=\"ssh.service\"}",
            1_700_000_000.123_456,
        ),
        (
            "node_systemd_unit_start_time_seconds{name=\"never.timer\"}",
            0.0,
        ),
        (
            "node_systemd_timer_last_trigger_seconds{name=\"apt.timer\"}",
            1_700_000_000.5,
        ),
        (
            "node_systemd_socket_refused_connections_total{name=\"dbus.socket\"}",
            1.0,
        ),
        (
            "node_systemd_socket_accepted_connections_total{name=\"old.socket\"}",
            9.0,
        ),
        (
            "node_logind_sessions{class=\"user\",remote=\"true\",seat=\"\",type=\"tty\"}",
            2.0,
        ),
        (
            "node_logind_sessions{class=\"other\",remote=\"false\",seat=\"seat0\",type=\"other\"}",
            1.0,
        ),
        (
            "node_logind_sessions{class=\"user\",remote=\"false\",seat=\"\",type=\"tty\"}",
            0.0,
        ),
    ] {
        assert_eq!(metrics.value(series), value, "{series}");
    }
    for absent in [
        "node_systemd_unit_tasks_max{name=\"ssh.service\"}",
        "node_systemd_socket_current_connections{name=\"odd.socket\"}",
        "node_systemd_unit_state{name=\"-.mount\",state=\"active\",type=\"\"}",
        "node_systemd_unit_state{name=\"gone.service\",state=\"inactive\",type=\"\"}",
    ] {
        assert!(!metrics.series.contains_key(absent), "{absent}");
    }
    let address = format!("unix:path={}", daemon.socket.display());
    let exporter = NodeExporter::start_with(
        &["systemd", "logind"],
        &[
            // Debian's package has another default.
            r"--collector.systemd.unit-exclude=.+\.(automount|device|mount|scope|slice)".to_owned(),
            "--collector.systemd.enable-task-metrics".to_owned(),
            "--collector.systemd.enable-restarts-metrics".to_owned(),
            "--collector.systemd.enable-start-time-metrics".to_owned(),
        ],
        &[("DBUS_SYSTEM_BUS_ADDRESS", &address)],
    );
    if let Some(exporter) = exporter {
        crate::compare::compare_some("the bus", &agent, &exporter, |name| {
            name.starts_with("node_systemd_") || name.starts_with("node_logind_")
        });
    }
}

#[test]
fn an_old_systemd_is_asked_for_less_and_patterns_match_whole_names() {
    let folder = tempfile::tempdir().unwrap();
    let Some(daemon) = Daemon::start(folder.path()) else {
        println!("not run: no dbus-daemon");
        return;
    };
    serve(&daemon.socket, "org.freedesktop.systemd1", systemd("208"));
    let agent = Agent::start(&config(
        folder.path(),
        "  systemdUnitInclude: 'ssh|.*timer'\n  systemdUnitExclude: ''\n",
    ));
    let metrics = agent.metrics();
    assert_eq!(metrics.success("systemd"), 1.0);
    assert!(!metrics.families.contains_key("node_systemd_system_running"));
    assert!(
        !metrics
            .families
            .contains_key("node_systemd_timer_last_trigger_seconds")
    );
    let shown: std::collections::BTreeSet<_> = metrics
        .series
        .keys()
        .filter(|series| series.starts_with("node_systemd_unit_state{"))
        .map(|series| series.split('"').nth(1).unwrap())
        .collect();
    assert_eq!(
        shown.into_iter().collect::<Vec<_>>(),
        ["apt.timer", "never.timer"]
    );
    // Nobody owns logind's name: that collector alone fails, and says so.
    assert_eq!(metrics.success("logind"), 0.0);
    agent.logged_text("cannot ask the kernel for logind");
}

#[test]
fn without_a_bus_the_collectors_say_where_they_looked() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(&config(folder.path(), ""));
    let metrics = agent.metrics();
    for collector in ["systemd", "logind"] {
        assert_eq!(metrics.success(collector), 0.0);
        assert_eq!(
            metrics.value(&format!(
                "kai_agent_collector_failed{{collector=\"{collector}\"}}"
            )),
            1.0
        );
    }
    agent.logged_text("run/dbus/system_bus_socket: No such file");
}

/// A bus that takes the connection and never answers is a hung collector like any other.
#[test]
fn a_bus_that_does_not_answer_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("run/dbus")).unwrap();
    let socket = folder.path().join("run/dbus/system_bus_socket");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let agent = Agent::start(&config(folder.path(), "  timeoutMs: 1500\n"));
    for _ in 0..2 {
        let metrics = agent.metrics();
        assert_eq!(metrics.success("systemd"), 0.0);
        assert_eq!(metrics.success("time"), 1.0);
    }
    agent.logged_text("its call does not return");
}
