//! `kai-agent dead-letters` beside a running agent.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::fake::{Do, Fake};
use super::runner::{Runner, numbered};
use crate::support::{binary, wait_for};

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn command(agent: &Runner, args: &[&str]) -> Said {
    command_by(&agent.path("agent.yaml"), args)
}

fn command_by(config: &Path, args: &[&str]) -> Said {
    let output = binary()
        .arg("dead-letters")
        .args(args)
        .arg("--config")
        .arg(config)
        .output()
        .unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ids(agent: &Runner) -> Vec<String> {
    let said = command(agent, &["list", "--output", "json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let value: Value = serde_json::from_str(&said.out).unwrap();
    let letters = value["letters"].as_array().unwrap().iter();
    letters
        .map(|letter| letter["id"].as_str().unwrap().to_owned())
        .collect()
}

/// A server that refuses what has `poison` in it, and three lines that have.
fn poisoned() -> (Fake, Runner) {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    fake.script(|_, _| Do::Refuse("poison", 400));
    agent.start();
    agent.append(
        "l/app.log",
        format!(
            "{}{{\"seq\":10,\"a\":\"poison\"}}\n{{\"seq\":11,\"a\":\"poison\"}}\n{{\"seq\":12,\"b\":\"poison\"}}\n",
            numbered(0..10)
        ),
    );
    wait_for("the letters", || {
        (agent.outcome("dead_lettered") == 3.0).then_some(())
    });
    (fake, agent)
}

#[test]
fn letters_are_listed_mended_sent_again_and_dropped() {
    let (fake, agent) = poisoned();
    let said = command(&agent, &["list"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.starts_with("app  3 letters  400 "), "{}", said.out);
    assert!(
        said.out.lines().all(|line| line.chars().count() <= 80),
        "{}",
        said.out
    );
    let there = ids(&agent);
    assert_eq!(there.len(), 3);
    let shown = command(&agent, &["show", &there[0]]);
    let letter: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(letter["document"]["seq"], 10);

    // Nothing has changed: refused again, and kept.
    let said = command(&agent, &["replay"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(
        said.out
            .starts_with("0 taken, 0 there already, 3 refused again\n"),
        "{}",
        said.out
    );
    assert_eq!(ids(&agent), there);
    let said = command(&agent, &["replay", "--dry-run"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "3 letters would be sent\n")
    );
    assert_eq!(fake.count(), 10);

    // One is mended by hand, under its own id.
    fs::write(
        agent.path("mended.json"),
        "{\n  \"seq\": 10,\n  \"a\": \"antidote\"\n}\n",
    )
    .unwrap();
    let mended = agent.path("mended.json").display().to_string();
    let said = command(
        &agent,
        &["replay", "--id", &there[0], "--document", &mended],
    );
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(ids(&agent), there[1..]);

    // The mapping is mended: the others are taken, and only once.
    fake.unscript();
    let said = command(&agent, &["replay", "--id", &there[1]]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let said = command(&agent, &["replay", "--id", &there[1]]);
    assert_eq!(said.code, 64, "{}", said.out);
    assert!(said.err.contains("there is no letter"), "{}", said.err);
    assert_eq!(fake.count(), 12);

    let said = command(&agent, &["drop"]);
    assert_eq!(said.code, 64);
    assert!(
        said.err
            .contains("1 letter would be lost for good; say --yes"),
        "{}",
        said.err
    );
    assert_eq!(command(&agent, &["drop", "--yes"]).code, 0);
    assert_eq!(command(&agent, &["list"]).out, "no dead letters\n");

    // The agent goes on, in the same file.
    fake.script(|_, _| Do::Refuse("poison", 400));
    agent.append("l/app.log", "{\"seq\":13,\"a\":\"poison\"}\n");
    wait_for("the next letter", || (ids(&agent).len() == 1).then_some(()));
}

#[test]
fn a_server_that_is_away_leaves_letters_as_they_are() {
    let (fake, agent) = poisoned();
    let there = ids(&agent);
    let config = fs::read_to_string(agent.path("agent.yaml")).unwrap();
    let away = format!("http://{}", crate::support::free_address());
    fs::write(agent.path("away.yaml"), config.replace(&fake.url, &away)).unwrap();
    let said = command_by(&agent.path("away.yaml"), &["replay"]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(
        said.err.contains("0 taken, then: ") && said.err.contains("try again"),
        "{}",
        said.err
    );
    assert_eq!(ids(&agent), there);
}

#[test]
fn wrong_use_is_told() {
    let (_fake, agent) = poisoned();
    let said = command(&agent, &["replay", "--document", "x.json"]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("name it by --id"), "{}", said.err);
    let id = &ids(&agent)[0];
    fs::write(agent.path("bad.json"), "[1]").unwrap();
    let bad = agent.path("bad.json").display().to_string();
    let said = command(&agent, &["replay", "--id", id, "--document", &bad]);
    assert_eq!(said.code, 65);
    assert!(
        said.err.contains("bad.json: it is no JSON object"),
        "{}",
        said.err
    );
    assert_eq!(
        command(&agent, &["list", "--kind", "none"]).out,
        "no dead letters\n"
    );
}
