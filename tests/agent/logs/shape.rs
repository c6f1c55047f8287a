//! How lines are read: formats, wrappers, events of several lines, and what is taken out of them.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::fake::{Do, Fake};
use super::runner::{Runner, append};
use crate::support::wait_for;

/// An agent with sources of its own, each over `<name>.log` in the test's folder.
fn with(fake: &Fake, more: &str, sources: &[(&str, &str)]) -> Runner {
    let agent = Runner::new(std::slice::from_ref(&fake.url), more);
    let mut text = String::new();
    for (name, keys) in sources {
        let path = agent.path(&format!("{name}.log"));
        writeln!(
            text,
            "    {name}:\n      paths: ['{}']\n      dataStream: logs-kai.{name}-test\n{keys}",
            path.display()
        )
        .unwrap();
    }
    agent.configure(std::slice::from_ref(&fake.url), more, &text);
    agent
}

/// Waits for so many documents; each by its `message`.
fn documents(fake: &Fake, count: usize) -> Vec<Value> {
    wait_for("the documents", || (fake.count() >= count).then_some(()));
    let documents = fake.documents();
    assert_eq!(documents.len(), count, "{documents:#?}");
    documents
}

fn of<'a>(documents: &'a [Value], message: &str) -> &'a Value {
    documents
        .iter()
        .find(|document| {
            document["message"]
                .as_str()
                .is_some_and(|text| text.contains(message))
        })
        .unwrap_or_else(|| panic!("no {message} in {documents:#?}"))
}

#[test]
fn every_format_becomes_ecs_fields() {
    let fake = Fake::start();
    let mut agent = with(
        &fake,
        "",
        &[
            ("web", "      format: access"),
            (
                "settle",
                "      format: logfmt\n      timeZone: Asia/Jakarta",
            ),
            ("net", "      format: syslog"),
            (
                "old",
                "      format: pattern\n      pattern: '^(?<log.level>[A-Z]+)\\|(?<route>\\S+)'",
            ),
            ("pod", "      container: auto"),
            ("plain", "      format: plain\n      timeZone: Asia/Jakarta"),
        ],
    );
    append(
        &agent.path("web.log"),
        b"203.0.113.7 - siti [24/Nov/2026:09:06:29 +0700] \"GET /book HTTP/1.1\" 503 12 \"-\" \"curl\"\nnot one\n",
    );
    append(
        &agent.path("settle.log"),
        b"time=\"2026-11-24 09:06:29\" level=warning msg=\"no hold\" route=GMR-BD\n",
    );
    append(
        &agent.path("net.log"),
        b"<34>1 2026-11-24T02:06:29Z kai-1 su 12 - - denied\n",
    );
    append(&agent.path("old.log"), b"ERROR|GMR-BD full\n");
    append(
        &agent.path("pod.log"),
        b"2026-11-24T02:06:29.5Z stderr F {\"level\":\"error\",\"message\":\"in json\"}\n\
          {\"log\":\"by docker\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-24T02:06:29Z\"}\n",
    );
    append(
        &agent.path("plain.log"),
        b"2026-11-24 09:06:29,000 [main] ERROR k.Booking - by hand\n",
    );
    agent.start();
    let found = documents(&fake, 8);

    let web = of(&found, "GET /book");
    assert_eq!(web["@timestamp"], "2026-11-24T02:06:29.000Z");
    assert_eq!(web["http.response.status_code"], 503);
    assert_eq!(web["user.name"], "siti");
    assert_eq!(of(&found, "not one")["log.offset"], 87);
    let settle = of(&found, "no hold");
    assert_eq!(settle["@timestamp"], "2026-11-24T02:06:29.000Z");
    assert_eq!(
        (&settle["log.level"], &settle["route"]),
        (&"warn".into(), &"GMR-BD".into())
    );
    let net = of(&found, "denied");
    assert_eq!(
        (&net["log.level"], &net["process.pid"]),
        (&"critical".into(), &12.into())
    );
    let old = of(&found, "full");
    assert_eq!(
        (&old["log.level"], &old["route"]),
        (&"error".into(), &"GMR-BD".into())
    );
    let pod = of(&found, "in json");
    assert_eq!(pod["log.iostream"], "stderr");
    assert_eq!(pod["@timestamp"], "2026-11-24T02:06:29.500Z");
    assert_eq!(of(&found, "by docker")["log.iostream"], "stdout");
    let plain = of(&found, "by hand");
    assert_eq!(plain["@timestamp"], "2026-11-24T02:06:29.000Z");
    assert_eq!(plain["log.level"], "error");

    assert_eq!(
        agent.value("flaws_total{flaw=\"unparsed\",source=\"web\"}"),
        1.0
    );
    agent.assert_balanced();
}

#[test]
fn what_must_not_leave_does_not() {
    let fake = Fake::start();
    // Dead letters lie on a disk: they are clean as well.
    fake.script(|_, _| Do::Refuse("poison", 400));
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let privacy = format!(
        "  privacy:\n    redact: [pan, nik, email, phone, token]\n    pseudonymise: \
         {{ fields: [passenger.name], keyFile: '{}' }}",
        key.display()
    );
    let mut agent = with(&fake, &privacy, &[("fmt", "      format: logfmt")]);
    agent.append(
        "l/app.log",
        "{\"message\":\"paid by 4111 1111 1111 1111\",\"passenger\":{\"name\":\"Siti\"}}\n\
         {\"message\":\"poison budi@example.org\",\"password\":\"hunter2\"}\n\
         plain 4111111111111111 and 081234567890\n",
    );
    append(
        &agent.path("fmt.log"),
        b"msg=\"from siti@example.org\" token=abcdef nik=3174015708900001\n",
    );
    agent.start();
    let found = documents(&fake, 3);
    let paid = of(&found, "paid by [redacted:pan]");
    assert!(
        paid["passenger"]["name"]
            .as_str()
            .unwrap()
            .starts_with("p-")
    );
    assert!(of(&found, "plain [redacted:pan] and [redacted:phone]").is_object());
    let formatted = of(&found, "from [redacted:email]");
    assert_eq!(formatted["token"], "[redacted:token]");
    assert_eq!(formatted["nik"], "[redacted:nik]");

    let letters = wait_for("the dead letter", || {
        let folder = fs::read_dir(agent.path("state/logs/dead-letters")).ok()?;
        let texts = folder
            .flatten()
            .filter_map(|entry| fs::read_to_string(entry.path()).ok());
        Some(texts.collect::<String>()).filter(|text| text.contains("poison"))
    });
    assert!(letters.contains("[redacted:email]") && letters.contains("[redacted:token]"));
    for secret in ["4111", "budi@", "hunter2", "Siti", "0812", "siti@", "3174"] {
        let sent = serde_json::to_string(&found).unwrap();
        for text in [&sent, &letters, &agent.logged()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    let count = |kind| {
        agent.value(&format!(
            "redactions_total{{kind=\"{kind}\",source=\"app\"}}"
        ))
    };
    assert_eq!(
        (count("pan"), count("email"), count("token")),
        (2.0, 1.0, 1.0)
    );
    assert_eq!((count("phone"), count("pseudonym")), (1.0, 1.0));
}

#[test]
fn without_its_key_nothing_leaves() {
    let fake = Fake::start();
    let privacy =
        "  privacy:\n    pseudonymise: { fields: [passenger.name], keyFile: /nowhere/key }";
    let mut agent = with(&fake, privacy, &[]);
    agent.append("l/app.log", "{\"passenger\":{\"name\":\"Siti\"}}\n");
    agent.start();
    agent.logged_all(&["the log lane cannot start", "/nowhere/key"]);
    assert_eq!(fake.count(), 0);
}

#[test]
fn an_event_waits_for_its_lines() {
    let fake = Fake::start();
    let keys = "      multiline: { traces: java, pauseMs: 1500 }";
    let mut agent = with(&fake, "", &[("java", keys)]);
    let log = agent.path("java.log");
    append(
        &log,
        b"INFO first\nERROR second\njava.lang.Error: no\n\tat a.B.c(B.java:1)\n",
    );
    agent.start();
    wait_for("the first event", || (fake.count() == 1).then_some(()));
    append(&log, b"\tat d.E.f(E.java:2)\nINFO third\n");
    let found = documents(&fake, 3);
    let second = of(&found, "ERROR second");
    assert!(second["message"].as_str().unwrap().ends_with("E.java:2)"));
    assert_eq!(
        (&second["log.level"], &second["log.offset"]),
        (&"error".into(), &11.into())
    );
    assert_eq!(of(&found, "INFO third")["message"], "INFO third");
    agent.assert_balanced();
}

/// Events of parts and of several lines, in two streams, with the agent killed again and again.
#[test]
fn joined_events_are_there_once_whatever_happens() {
    const EVENTS: usize = 4000;
    let fake = Fake::start();
    let mut requests = 0;
    fake.script(move |_, _| {
        requests += 1;
        if requests % 5 == 0 {
            Do::TakeAndDrop
        } else {
            Do::Take
        }
    });
    let keys = "      container: cri\n      multiline: { begins: '^event ', pauseMs: 10000 }";
    let mut agent = with(&fake, "", &[("pod", keys)]);
    let log = agent.path("pod.log");
    let time = "2026-11-24T02:06:29.000000001Z";
    let text = move |number: usize| {
        let stream = if number.is_multiple_of(3) {
            "stderr"
        } else {
            "stdout"
        };
        format!(
            "{time} {stream} P event {number} \n{time} {stream} F and more\n{time} {stream} F  line two\n"
        )
    };
    let writer = std::thread::spawn(move || {
        for number in 0..EVENTS {
            append(&log, text(number).as_bytes());
            if number % 100 == 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        for stream in ["stdout", "stderr"] {
            append(
                &log,
                format!("{time} {stream} F event end of {stream}\n").as_bytes(),
            );
        }
    });
    agent.start();
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(150));
        agent.kill();
        agent.start();
    }
    writer.join().unwrap();
    wait_for("all events", || (fake.count() >= EVENTS).then_some(()));
    let mut seen: Vec<String> = fake
        .messages()
        .into_iter()
        .filter(|message| !message.contains("end of"))
        .collect();
    let mut expected: Vec<String> = (0..EVENTS)
        .map(|number| format!("event {number} and more\n line two"))
        .collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen.len(), expected.len());
    assert!(seen == expected);
}
