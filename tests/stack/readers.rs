//! What people who read logs have, on a real Elasticsearch: the dashboards for Kibana, panel by panel.

use std::io::BufRead as _;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Ran, Stack, get_json, kill, request, wait_for};

/// The example with Elasticsearch, and an authentication log of this test's own.
fn spec(stack: &Stack, readers: &str) -> String {
    let folder = stack.folder.path().display();
    format!(
        "apiVersion: observe.kai/v1
kind: Stack
metadata: {{ name: readers, id: {id} }}
runsOn: local
ports: {{ base: {base} }}
systems:
  prometheus: {{ mode: managed }}
  alertmanager: {{ mode: \"off\" }}
  inbox: {{ mode: managed }}
  jaeger: {{ mode: \"off\" }}
  grafana: {{ mode: \"off\" }}
{readers}defaults: {{ scrapeInterval: 1s, evaluationInterval: 1s }}
agent: {{ security: {{ logs: [\"{folder}/auth.log\"], ship: true,
  disable: [certificates, integrity, listeners, modules, reboot, suid, updates, users] }} }}
teams: {{ booking: {{ email: b@kai.example }}, platform: {{ email: p@kai.example }} }}
routing: {{ severity: {{ critical: [email], warning: [email], info: [email] }}, fallback: {{ team: platform }} }}
services:
  booking:
    team: booking
    metrics: http://127.0.0.1:{port}/metrics
    health: http://127.0.0.1:{port}/healthz
    logs: {{ paths: [\"${{data}}/*.log\"], format: json, drop: ['http.route == \"/v1/trains\" && http.response.status_code == 200'],
      sample: {{ debug: 0 }} }}
    run:
      component: ticketing
      args: [--listen, \"127.0.0.1:{port}\", --load, \"20\", --seed, \"7\", --log-file, \"${{data}}/booking.log\"]
",
        readers = readers,
        id = stack.id,
        base = stack.base,
        port = stack.service_port(),
    )
}

/// Lines of one moment; a page has 500.
const MANY: usize = 1_300;

const AUTH: &str = "\
Nov 24 08:16:43 web1 sshd[9]: Failed password for invalid user admin from 203.0.113.7 port 4711 ssh2
Nov 24 08:16:44 web1 sshd[9]: Failed password for root from 203.0.113.7 port 4712 ssh2
Nov 24 08:16:45 web1 sshd[9]: Accepted password for siti from 198.51.100.4 port 4713 ssh2
Nov 24 08:16:46 web1 sudo:     siti : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls
";

/// The lines of [`AUTH`] with the time of now, so that a panel of the last day has them.
fn auth_log() -> String {
    let now = kai_observe::clock::rfc3339(std::time::SystemTime::now());
    let lines: Vec<String> = AUTH
        .lines()
        .map(|line| format!("{now} {}", &line[16..]))
        .collect();
    lines.join("\n") + "\n"
}

fn proof(ran: &Ran, area: &str, name: &str) -> Value {
    let report = ran.json();
    let report = report.get("verify").unwrap_or(&report);
    let found = report["proofs"].as_array().and_then(|all| {
        all.iter()
            .find(|proof| proof["area"] == area && proof["name"] == name)
            .cloned()
    });
    found.unwrap_or_else(|| panic!("{area} {name}: {ran:?}"))
}

#[test]
fn people_can_read_the_logs() {
    let stack = Stack::new();
    stack.write_spec(&spec(
        &stack,
        "  kibana: { mode: managed }\n  elasticsearch: { mode: managed, heapMib: 384 }\n",
    ));
    std::fs::write(stack.folder.path().join("auth.log"), auth_log()).unwrap();
    stack.run(&["provision", "--no-verify"]).expect(0);
    break_it(&stack);
    every_dashboard_shows_something(&stack);
    lines_are_searched(&stack);
    lines_are_followed_also_late_ones(&stack);
    kinds_of_errors_that_a_deploy_brought_are_told(&stack);
    what_was_left_out_is_counted(&stack);
    who_wrote_how_much_is_reckoned_up(&stack);
}

/// The same commands on the other dialect, by the release that is named: `KAI_OPENSEARCH=3.8.0`. Too
/// long for every run.
#[test]
fn lines_are_read_from_opensearch_alike() {
    let Ok(version) = std::env::var("KAI_OPENSEARCH") else {
        println!("not run: KAI_OPENSEARCH names no release, such as 3.8.0 or 2.19.5");
        return;
    };
    let stack = Stack::new();
    let readers = format!(
        "  kibana: {{ mode: \"off\" }}\n  elasticsearch: {{ mode: managed, distribution: opensearch, \
         version: \"{version}\", heapMib: 384 }}\n"
    );
    stack.write_spec(&spec(&stack, &readers));
    std::fs::write(stack.folder.path().join("auth.log"), auth_log()).unwrap();
    stack.run(&["provision", "--no-verify"]).expect(0);
    let page = get_json(&stack.url(8, "/"));
    assert_eq!(page["version"]["distribution"], "opensearch");
    assert_eq!(page["version"]["number"], version.as_str());
    break_it(&stack);
    lines_are_searched(&stack);
    lines_are_followed_also_late_ones(&stack);
    kinds_of_errors_that_a_deploy_brought_are_told(&stack);
}

fn break_it(stack: &Stack) {
    let fault = format!("http://127.0.0.1:{}/faults", stack.service_port());
    let body = json!({ "errors": 0.3, "latency": "600ms", "for": "10m" });
    let (status, text) = request(Method::POST, &fault, Some(body));
    assert_eq!(status, 201, "{text}");
}

fn every_dashboard_shows_something(stack: &Stack) {
    let ran = wait_for("all dashboards are fed", Duration::from_mins(1), || {
        let ran = stack.run(&["verify", "--patience", "10s", "--output", "json"]);
        let all = ["logs", "errors", "performance", "security"];
        all.iter()
            .all(|slug| proof(&ran, "log panels", slug)["status"] == "pass")
            .then_some(ran)
    });
    let said = |slug: &str| proof(&ran, "log panels", slug)["detail"].to_string();
    // No deploy was told.
    assert!(
        said("errors").contains("9 panels answered, 2 of them empty"),
        "{}",
        said("errors")
    );
    assert!(
        said("performance").contains("9 panels answered") && !said("performance").contains("empty"),
        "{}",
        said("performance")
    );
    assert!(
        said("security").contains("2 of them empty"),
        "{}",
        said("security")
    );
}

/// Waits until no more lines of before `until` arrive.
fn settled(stack: &Stack, until: &str) {
    let body = json!({ "query": { "range": { "@timestamp": { "lt": until } } } });
    let mut before = 0;
    let mut alike = 0;
    wait_for("lines have arrived", Duration::from_mins(1), || {
        let url = stack.url(8, "/logs-kai.booking-local/_count");
        let (_, text) = request(Method::POST, &url, Some(body.clone()));
        let count = serde_json::from_str::<Value>(&text).unwrap()["count"].clone();
        let count = count.as_u64().unwrap();
        alike = if count == before { alike + 1 } else { 0 };
        before = count;
        // Five seconds without one.
        (alike >= 25).then_some(())
    });
}

fn lines_are_searched(stack: &Stack) {
    wait_for("errors", Duration::from_mins(1), || {
        let ran = stack.run(&["logs", "booking", "--level", "error", "-n", "5"]);
        (ran.out.lines().count() == 5).then_some(())
    });
    let errors = stack
        .run(&["logs", "booking", "--level", "error", "-n", "5"])
        .expect(0);
    assert_eq!(errors.out.lines().count(), 5, "{}", errors.out);
    assert!(
        errors
            .out
            .lines()
            .all(|line| line.contains("  booking      error  ")),
        "{}",
        errors.out
    );
    // All of them, one JSON object a line, each once and in order.
    // Several pages of one moment, which a page's last line does not tell apart.
    let moment = std::time::SystemTime::now() - Duration::from_mins(5);
    let moment = kai_observe::clock::rfc3339(moment);
    let many: Vec<String> = (0..MANY)
        .map(|n| json!({ "@timestamp": moment, "message": format!("many {n}") }).to_string())
        .collect();
    let file = stack.place().join("data/booking/many.log");
    std::fs::write(file, many.join("\n") + "\n").unwrap();
    let until = kai_observe::clock::rfc3339(std::time::SystemTime::now());
    settled(stack, &until);
    let all = stack.run(&[
        "logs", "booking", "--since", "1h", "--until", &until, "--all", "--output", "json",
    ]);
    let all: Vec<Value> = all
        .expect(0)
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let count = get_json(&stack.url(8, "/logs-kai.booking-local/_count"))["count"]
        .as_u64()
        .unwrap();
    assert!(
        all.len() > MANY && all.len() as u64 <= count,
        "{} of {count}",
        all.len()
    );
    let ids: std::collections::BTreeSet<&str> = all
        .iter()
        .map(|line| line["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), all.len());
    let times: Vec<&str> = all
        .iter()
        .map(|line| line["document"]["@timestamp"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted());
    // By trace, by words, and by what only we judge.
    let trace = all
        .iter()
        .find_map(|line| line["document"]["trace.id"].as_str())
        .unwrap();
    let traced = stack
        .run(&[
            "logs", "--since", "1h", "--trace", trace, "--output", "json",
        ])
        .expect(0);
    assert!(traced.out.lines().all(|line| line.contains(trace)));
    let condition = "http.response.status_code >= 500 && http.route =~ \"/v1/.*\"";
    let wanted = all.iter().filter(|line| {
        let document = &line["document"];
        document["http.response.status_code"]
            .as_u64()
            .is_some_and(|code| code >= 500)
            && document["http.route"]
                .as_str()
                .is_some_and(|route| route.starts_with("/v1/"))
    });
    let judged = stack.run(&[
        "logs", "--since", "1h", "--until", &until, "--where", condition, "--all",
    ]);
    assert_eq!(judged.expect(0).out.lines().count(), wanted.count());
    let words = stack
        .run(&["logs", "--grep", "POST /v1/bookings", "-n", "3"])
        .expect(0);
    assert!(
        words
            .out
            .lines()
            .all(|line| line.contains("POST /v1/bookings")),
        "{}",
        words.out
    );
    stack
        .run(&["logs", "--grep", "never said by anybody"])
        .expect(4);
    let misspelt = stack.run(&["logs", "boking"]).expect(64);
    assert!(
        misspelt.err.contains("did you mean booking?"),
        "{}",
        misspelt.err
    );
    let wrong = stack.run(&["logs", "--where", "a ="]).expect(64);
    assert!(wrong.err.contains("column 3"), "{}", wrong.err);
}

/// A line with a time of a minute ago arrives now, while lines of now are shown.
fn lines_are_followed_also_late_ones(stack: &Stack) {
    let mut following = stack
        .command(&["logs", "--follow", "-n", "0", "--grep", "told late"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(following.stdout.take().unwrap());
    let (send, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let file = stack.place().join("data/booking/late.log");
    let write = |seconds: u64, what: &str| {
        let at = std::time::SystemTime::now() - Duration::from_secs(seconds);
        let line = json!({ "@timestamp": kai_observe::clock::rfc3339(at), "message": format!("told late: {what}") });
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file)
            .unwrap();
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
    };
    let next = || {
        lines
            .recv_timeout(Duration::from_secs(40))
            .expect("a line is shown")
    };
    // Known before it began, or shown: never neither.
    std::thread::sleep(Duration::from_secs(3));
    write(0, "one");
    assert!(next().ends_with("told late: one"));
    write(60, "two");
    assert!(next().ends_with("told late: two"));
    write(0, "three");
    assert!(next().ends_with("told late: three"));
    kill(following.id());
    let _ = following.wait();
    assert!(lines.try_recv().is_err(), "a line is shown once");
}

/// Told of by an event, or by a version's first line.
fn kinds_of_errors_that_a_deploy_brought_are_told(stack: &Stack) {
    let file = stack.place().join("data/booking/fresh.log");
    let write = |seconds: u64, what: &str| {
        let at = std::time::SystemTime::now() - Duration::from_secs(seconds);
        let line = json!({ "@timestamp": kai_observe::clock::rfc3339(at), "log.level": "error", "message": what });
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file)
            .unwrap();
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
    };
    let told = |wanted: &str, version: &str| {
        wait_for(wanted, Duration::from_mins(1), || {
            let ran = stack.run(&["logs", "booking", "--new-since-deploy", "--output", "json"]);
            let kinds: Vec<Value> = ran
                .expect(0)
                .out
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            let is_wanted = |kind: &Value| kind["pattern"] == wanted && kind["version"] == version;
            kinds.iter().any(is_wanted).then_some(kinds)
        })
    };
    // Before the first line that names a version, and after.
    write(3_600, "old trouble 17");
    write(0, "its own trouble 3");
    let kinds = told("its own trouble <n>", "0.1.0");
    assert!(kinds.iter().all(|kind| kind["deployTold"] == false));
    assert!(
        !kinds
            .iter()
            .any(|kind| kind["pattern"] == "old trouble <n>")
    );
    let many = kinds.len();
    assert!(many > 1, "the example's own errors: {kinds:?}");
    let deploy = stack.run(&[
        "event",
        "deploy",
        "--service",
        "booking",
        "--version",
        "9.9.9",
    ]);
    deploy.expect(0);
    write(0, "old trouble 18");
    write(0, "its own trouble 4");
    write(0, "new trouble 99");
    let kinds = told("new trouble <n>", "9.9.9");
    assert!(kinds.len() < many + 1, "{kinds:?}");
    for kind in &kinds {
        assert_eq!(kind["deployTold"], true);
        let pattern = kind["pattern"].as_str().unwrap();
        assert!(
            !pattern.starts_with("old") && !pattern.starts_with("its own"),
            "{pattern}"
        );
    }
    let shown = stack.run(&["logs", "--new-since-deploy"]).expect(0);
    assert!(shown.out.contains("booking 9.9.9 deployed"), "{shown:?}");
    assert!(shown.out.contains("new trouble <n>"), "{shown:?}");
    stack
        .run(&["logs", "--new-since-deploy", "--follow"])
        .expect(64);
}

fn what_was_left_out_is_counted(stack: &Stack) {
    let page = request(Method::GET, &stack.url(5, "/metrics"), None).1;
    let value = |series: &str| -> f64 {
        let line = page.lines().find(|line| line.starts_with(series));
        let line = line.unwrap_or_else(|| panic!("{series}: {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let dropped = value("kai_agent_log_events_total{outcome=\"dropped\",reason=\"rule:");
    assert!(dropped > 0.0);
    let of = |outcome: &str| {
        format!(
            "kai_agent_log_service_lines_total{{outcome=\"{outcome}\",service=\"booking\",team=\"booking\"}}"
        )
    };
    assert!(value(&of("kept")) > 100.0 && value(&of("dropped")) >= dropped);
}

fn who_wrote_how_much_is_reckoned_up(stack: &Stack) {
    let bill = stack
        .run(&["bill", "--days", "1", "--output", "json"])
        .expect(0)
        .json();
    let services = bill["services"].as_array().unwrap();
    let booking = services.iter().find(|row| row["service"] == "booking");
    let booking = booking.unwrap_or_else(|| panic!("{bill:#}"));
    assert_eq!(booking["team"], "booking");
    assert!(
        booking["kept"]["lines"].as_f64().unwrap() > 100.0,
        "{bill:#}"
    );
    assert!(
        booking["kept"]["bytes"].as_f64().unwrap() > 10_000.0,
        "{bill:#}"
    );
    assert!(
        booking["dropped"]["lines"].as_f64().unwrap() > 0.0,
        "{bill:#}"
    );
    let reasons = booking["reasons"].as_object().unwrap();
    assert!(
        reasons.keys().any(|reason| reason.starts_with("rule:")),
        "{bill:#}"
    );
    assert!(
        !booking["topErrors"].as_array().unwrap().is_empty(),
        "{bill:#}"
    );
    assert_eq!(bill["errorsMissing"], Value::Null);
    assert!(booking["series"].as_f64().unwrap() > 10.0, "{bill:#}");
    assert_eq!(bill["byDay"].as_array().unwrap().len(), 1);
    let misspelt = stack.run(&["bill", "--team", "boking"]).expect(64);
    assert!(
        misspelt.err.contains("did you mean booking?"),
        "{misspelt:?}"
    );
    stack.run(&["bill", "--days", "0"]).expect(64);
    // A page for people, and a letter to each team.
    let page = stack.folder.path().join("bill.html");
    let mailed = stack
        .run(&[
            "bill",
            "--days",
            "1",
            "--mail",
            "--html",
            page.to_str().unwrap(),
        ])
        .expect(0);
    assert!(
        mailed.out.contains("mailed") && mailed.out.contains("b@kai.example"),
        "{mailed:?}"
    );
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("<rect") && page.contains("booking"));
    let messages = stack.inbox("/api/messages?limit=100").to_string();
    assert!(
        messages.contains("Log lines of booking, 1 days"),
        "{messages}"
    );
    let nowhere = stack.folder.path().join("none/bill.html");
    let failed = stack
        .run(&["bill", "--days", "1", "--html", nowhere.to_str().unwrap()])
        .expect(1);
    assert!(failed.err.contains("cannot write"), "{failed:?}");
}
