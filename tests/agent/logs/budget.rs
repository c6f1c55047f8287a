//! A team that spends its day's budget of lines: what it loses, and that nobody else loses anything.

use std::io::Write;
use std::process::{Command, Stdio};

use super::fake::Fake;
use super::runner::{Runner, append};
use crate::support::wait_for;

fn budget(bytes: u64) -> String {
    format!(
        "budgets: {{ perTeam: {{ logs: {{ bytesPerDay: {bytes}, over: [warn, sample-info], \
         keepOneIn: 5 }} }} }}\n"
    )
}

/// Sources of a team that floods, its audit, and a team that does not.
fn two_teams() -> (Fake, Runner) {
    let fake = Fake::start();
    let agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let source = |name: &str, team: &str, more: &str| {
        format!(
            "    {name}:\n      paths: ['{}']\n      dataStream: logs-kai.{name}-test\n      \
             fields: {{ service.name: {name}, kai.team: {team} }}\n{more}",
            agent.path(&format!("l/{name}.txt")).display()
        )
    };
    let sources = source("noisy", "loud", "")
        + &source("audit", "loud", "      neverSample: true\n")
        + &source("calm", "quiet", "")
        + &budget(600_000);
    agent.configure(std::slice::from_ref(&fake.url), "", &sources);
    (fake, agent)
}

/// Lines of a flood, every hundredth an error and every hundredth without a level that failed.
fn flood(agent: &Runner, range: std::ops::Range<u64>) {
    let pad = "x".repeat(300);
    let mut text = String::new();
    for n in range {
        let told = match n % 100 {
            7 => "\"level\":\"error\"",
            8 => "\"http.response.status_code\":503",
            9 => "\"level\":\"warn\"",
            10..40 => "\"level\":\"debug\"",
            _ => "\"level\":\"info\"",
        };
        text.push_str(&format!("{{{told},\"noisy\":{n},\"pad\":\"{pad}\"}}\n"));
    }
    append(&agent.path("l/noisy.txt"), text.as_bytes());
}

fn numbers(fake: &Fake, field: &str) -> Vec<u64> {
    let documents = fake.documents();
    let mut all: Vec<u64> = documents.iter().filter_map(|d| d[field].as_u64()).collect();
    all.sort_unstable();
    all
}

fn used(agent: &Runner, team: &str) -> f64 {
    agent.value(&format!("budget_used_bytes{{team=\"{team}\"}}"))
}

fn kept_share(agent: &Runner, team: &str) -> f64 {
    agent.value(&format!("budget_kept_share{{team=\"{team}\"}}"))
}

fn dropped(agent: &Runner) -> f64 {
    agent.value("events_total{outcome=\"dropped\",reason=\"budget\",source=\"noisy\"}")
}

/// Everything that was read has arrived or was left out.
fn settled(fake: &Fake, agent: &Runner, lines: u64) {
    wait_for("all lines", || {
        let arrived = numbers(fake, "noisy").len() as f64;
        (arrived + dropped(agent) >= lines as f64).then_some(())
    });
}

#[test]
fn a_flood_of_one_team_takes_nothing_from_another_nor_its_own_errors() {
    let (fake, mut agent) = two_teams();
    for (name, lines) in [("calm", 2_000_u64), ("audit", 1_000)] {
        let one = |n: u64| format!("{{\"level\":\"info\",\"{name}\":{n}}}\n");
        let text: String = (0..lines).map(one).collect::<Vec<_>>().concat();
        append(&agent.path(&format!("l/{name}.txt")), text.as_bytes());
    }
    flood(&agent, 0..10_000);
    agent.start();
    settled(&fake, &agent, 10_000);
    wait_for("the others' lines", || {
        (numbers(&fake, "calm").len() == 2_000 && numbers(&fake, "audit").len() == 1_000)
            .then_some(())
    });
    let noisy = numbers(&fake, "noisy");
    assert_eq!(noisy.len() as f64 + dropped(&agent), 10_000.0);
    let told: Vec<u64> = (0..10_000)
        .filter(|n| (7..10).contains(&(n % 100)))
        .collect();
    assert!(told.iter().all(|n| noisy.binary_search(n).is_ok()));
    agent.assert_balanced();
    // Each that was kept says of how many it is, so that they can be reckoned up.
    let documents = fake.documents();
    let of_noisy = documents.iter().filter(|d| d["noisy"].is_u64());
    let guessed: f64 = of_noisy
        .map(|d| 1.0 / d["kai.sampled"].as_f64().unwrap_or(1.0))
        .sum();
    assert!((9_000.0..11_000.0).contains(&guessed), "{guessed}");
    let quiet = documents.iter().filter(|d| !d["noisy"].is_u64());
    assert!(quiet.clone().all(|d| d.get("kai.sampled").is_none()));
    let sampled = |outcome: &str| {
        agent.value(&format!(
            "budget_sampled_lines_total{{outcome=\"{outcome}\",team=\"loud\"}}"
        ))
    };
    assert_eq!(sampled("dropped"), dropped(&agent));
    let marked = documents.iter().filter(|d| d["kai.sampled"] == 0.2).count();
    assert_eq!(sampled("kept"), marked as f64);
    assert_eq!(kept_share(&agent, "loud"), 0.2);
    assert_eq!(kept_share(&agent, "quiet"), 1.0);
    let limit = |name: &str, labels: &str| agent.value(&format!("budget_{name}{{{labels}}}"));
    let of_all = limit("bytes", "over=\"warn,sample-info\",team=\"loud\"");
    assert_eq!(of_all, 600_000.0);
    assert_eq!(limit("node_bytes", "team=\"loud\""), 600_000.0);
    let said = agent.logged().matches("has spent this node's part").count();
    assert_eq!(said, 1);
}

#[test]
fn what_was_spent_outlives_a_kill_and_ends_with_the_day() {
    let (fake, mut agent) = two_teams();
    flood(&agent, 0..4_000);
    agent.start();
    settled(&fake, &agent, 4_000);
    let file = agent.path("state/logs/budget");
    let before = used(&agent, "loud");
    wait_for("the figures on disk", || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.contains(&format!("\"bytes\":{before}")).then_some(())
    });
    agent.kill();
    agent.start();
    wait_for("the lane", || {
        (used(&agent, "loud") >= before).then_some(())
    });
    assert_eq!(kept_share(&agent, "loud"), 0.2);
    let kept = numbers(&fake, "noisy").len();
    flood(&agent, 4_000..5_000);
    wait_for("what is left out from the first line on", || {
        (dropped(&agent) > 700.0).then_some(())
    });
    wait_for("the rest", || {
        (numbers(&fake, "noisy").len() as f64 - kept as f64 + dropped(&agent) == 1_000.0)
            .then_some(())
    });
    // As if it were yesterday's.
    agent.stop();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: String = text
        .lines()
        .filter_map(|line| {
            let mut record: serde_json::Value = serde_json::from_str(line).ok()?;
            let day = record["day"].as_u64()?;
            record["day"] = (day - 1).into();
            Some(format!("{record}\n"))
        })
        .collect();
    assert!(!lines.is_empty());
    let sealed = format!("{lines}{{\"sha256\":\"{}\"}}\n", sha256(&lines));
    std::fs::write(&file, sealed).unwrap();
    agent.start();
    wait_for("a new day", || {
        (kept_share(&agent, "loud") == 1.0).then_some(())
    });
    assert_eq!(used(&agent, "loud"), 0.0);
    let kept = numbers(&fake, "noisy").len();
    flood(&agent, 5_000..5_100);
    wait_for("all of them", || {
        (numbers(&fake, "noisy").len() == kept + 100).then_some(())
    });
}

#[test]
fn what_comes_over_the_network_spends_and_is_left_out_too() {
    let fake = Fake::start();
    let agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let sources = format!(
        "    net:\n      syslog: {{ tcp: '{address}' }}\n      dataStream: logs-kai.net-test\n      \
         fields: {{ service.name: net, kai.team: loud }}\n{}",
        budget(100_000)
    );
    agent.configure(std::slice::from_ref(&fake.url), "", &sources);
    let mut agent = agent;
    agent.start();
    let mut stream = wait_for("the listener", || {
        std::net::TcpStream::connect(address).ok()
    });
    let pad = "y".repeat(200);
    let send = |stream: &mut std::net::TcpStream, severity: u8, count: u64| {
        for n in 0..count {
            let line = format!("<{}>1 - h app - - - {n} {pad}\n", 8 + severity);
            stream.write_all(line.as_bytes()).unwrap();
        }
    };
    send(&mut stream, 6, 1_000);
    wait_for("a spent budget", || {
        (kept_share(&agent, "loud") == 0.2).then_some(())
    });
    let of = |outcome: &str| {
        agent.value(&format!(
            "budget_sampled_lines_total{{outcome=\"{outcome}\",team=\"loud\"}}"
        ))
    };
    let settled = || of("kept") + of("dropped");
    wait_for("the first thousand", || {
        let read = agent.value("read_events_total{source=\"net\"}");
        (read == 1_000.0).then_some(())
    });
    let before = (settled(), of("dropped"));
    send(&mut stream, 6, 500);
    send(&mut stream, 3, 100);
    wait_for("all judged", || {
        (settled() == before.0 + 500.0).then_some(())
    });
    assert_eq!(of("dropped"), before.1 + 400.0);
    wait_for("all documents", || {
        (fake.count() as f64 == 1_600.0 - of("dropped")).then_some(())
    });
    let errors = fake.documents();
    let errors = errors.iter().filter(|d| d["log.level"] == "error");
    assert_eq!(errors.count(), 100);
    agent.assert_balanced();
    assert!(
        agent.value("service_bytes_total{outcome=\"kept\",service=\"net\",team=\"loud\"}") > 0.0
    );
}

fn sha256(text: &str) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}
