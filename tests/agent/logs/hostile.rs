//! What no well-behaved program writes: noise, lines without end, NULs, bytes that are no text, JSON that
//! is too deep, too wide or not quite JSON. Nothing panics, memory stays within what is configured, every
//! line is accounted for, every document is JSON, and what was cut is counted.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use serde_json::Value;

use super::elastic::Elastic;
use super::fake::Fake;
use super::runner::{Runner, append};
use crate::support::{resident, wait_for};

/// Far more than the agent takes, far less than the largest line here.
const MOST_RESIDENT: u64 = 72 << 20;
const HUGE: usize = 100 << 20;

/// Objects of which each is a line, that Elasticsearch could take for what they are not.
const ODD: &[&str] = &[
    r#"{"a":1,"a":2}"#,
    r#"{"message":"twice","message":"there"}"#,
    r#"{"log.level":"info","log":{"level":"warn"}}"#,
    r#"{"n":1e999}"#,
    r#"{"n":-1e999,"m":1e-999}"#,
    r#"{"n":123456789012345678901234567890}"#,
    r#"{"n":0.1234567890123456789012345678901234567890}"#,
    r#"{"s":"\ud800"}"#,
    r#"{"s":"\udc00\ud800"}"#,
    r#"{"\ud800":1}"#,
    r#"{"":1}"#,
    r#"{" ":1}"#,
    r#"{".":1}"#,
    r#"{"..":1}"#,
    r#"{"a.":1}"#,
    r#"{".a":1}"#,
    r#"{"a..b":1}"#,
    r#"{"a":{"":1}}"#,
    r#"{"a.b":1,"a":{"b":2}}"#,
    r#"{"a.b.c":1,"a.b":2}"#,
    r#"{"host":"x"}"#,
    r#"{"host":["x",{"name":"y"}]}"#,
    r#"{"service":5}"#,
    r#"{"log":null}"#,
    r#"{"log":"x"}"#,
    r#"{"log":[{"offset":"x"}]}"#,
    r#"{"kai":"x"}"#,
    r#"{"kai.overflow":{"x":1}}"#,
    r#"{"@timestamp":{}}"#,
    r#"{"@timestamp":[]}"#,
    r#"{"@timestamp":["2026-11-24T02:06:29Z","2026-11-24T02:06:29Z"]}"#,
    r#"{"@timestamp":1e999}"#,
    r#"{"@timestamp":"9999999-01-01T00:00:00Z"}"#,
    r#"{"@timestamp":99999999999999999999}"#,
    r#"{"@timestamp":null}"#,
    r#"{"@timestamp":true}"#,
    r#"{"message":{"a":1}}"#,
    r#"{"message":[1,[2,[3]]]}"#,
    r#"{"message":5}"#,
    r#"{"trace.id":{"a":1}}"#,
    r#"{"http.response.status_code":"none"}"#,
    r#"{"http":{"response":{"status_code":{"a":1}}}}"#,
    r#"{"source.ip":"no address"}"#,
    r#"{"tags":{"a":1}}"#,
    r#"{"_id":"x","_index":"y","_source":{"a":1},"_routing":"z"}"#,
    r#"{"level":{"a":1},"severity":[],"ts":{}}"#,
    r#"{"error":"x"}"#,
    r#"{"error":{"message":{"a":1}}}"#,
    r#"{"labels":[[[]]]}"#,
    "{}",
    "{ }",
    "{\"a\":1",
    "{\"a\":1}}",
    "{\"a\":1}{\"b\":2}",
    "{\"a\":NaN}",
    "{'a':1}",
    "[1,2,3]",
    "null",
    "\"text\"",
];

/// Bytes that are no UTF-8, each kind: a lone continuation, a start without one, too long, a surrogate,
/// beyond the last character, cut in half.
const NO_TEXT: &[&[u8]] = &[
    b"\x80",
    b"\xc3",
    b"\xc3(",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xff\xfe",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"a\x00b\x01\x02\x1b[31mred\x7f",
];

/// Lines that are no empty ones, whatever the agent thinks of them; `huge` bytes in the largest.
fn write_all(path: &std::path::Path, huge: usize) -> u64 {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    let mut lines = 0;
    let mut line = |text: &[u8]| {
        file.write_all(text).unwrap();
        file.write_all(b"\n").unwrap();
        lines += 1;
    };
    for text in ODD {
        line(text.as_bytes());
    }
    for bytes in NO_TEXT {
        line(bytes);
        line(&[b"before ", *bytes, b" after"].concat());
        line(&[b"{\"message\":\"", *bytes, b"\"}"].concat());
        line(&[b"{\"", *bytes, b"\":1}"].concat());
    }
    // One byte of each kind.
    for byte in 0..=u8::MAX {
        if byte != b'\n' {
            line(&[b'x', byte]);
        }
    }
    line(&[&[0; 5_000][..], b"after NULs"].concat());
    line(&[b"before NULs", &[0; 5_000][..]].concat());
    // Each below what a line may have, or they would only be cut.
    let deep = |open: &str, close: &str, depth| {
        format!("{{\"d\":{}1{}}}", open.repeat(depth), close.repeat(depth))
    };
    for depth in [18, 19, 20, 21, 40, 63, 64, 65, 1_000, 20_000, 100_000] {
        line(deep("[", "]", depth).as_bytes());
        line(deep("{\"d\":", "}", depth.min(40_000)).as_bytes());
        line("[".repeat(depth).as_bytes());
        line("{\"a\":".repeat(depth.min(50_000)).as_bytes());
    }
    // As many names as a line has room for, then new ones in each.
    let wide = |from: usize, count: usize| {
        let mut text = String::from("{");
        for at in from..from + count {
            write!(text, "\"key{at}\":{at},").unwrap();
        }
        text + "\"message\":\"wide\",\"level\":\"warn\"}"
    };
    line(wide(0, 10_000).as_bytes());
    for part in 0..100 {
        line(wide(10_000 + part * 100, 100).as_bytes());
    }
    let long = "k".repeat(40_000);
    line(format!("{{\"{long}\":1}}").as_bytes());
    line(format!("{{\"a\":{{\"{long}\":{{\"b\":1}}}}}}").as_bytes());
    line(format!("{{\"n\":{}}}", "9".repeat(40_000)).as_bytes());
    line(format!("{{\"s\":\"{}\"}}", "long ".repeat(40_000)).as_bytes());
    let mut random = SmallRng::seed_from_u64(7);
    let mut noise = Vec::new();
    for _ in 0..500 {
        noise.resize(random.random_range(1..4_000), 0);
        random.fill_bytes(&mut noise);
        noise.retain(|byte| *byte != b'\n');
        noise.push(b'x'); // not an empty one
        line(&noise);
    }
    // A line without end, and half of it an object.
    for begin in ["", "{\"message\":\""] {
        line(
            begin
                .as_bytes()
                .iter()
                .copied()
                .chain(std::iter::repeat_n(b'x', huge))
                .collect::<Vec<u8>>()
                .as_slice(),
        );
    }
    line(b"{\"message\":\"last\"}");
    file.into_inner().unwrap().sync_all().unwrap();
    lines
}

#[test]
fn nothing_that_is_written_harms() {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "  maxFields: 300");
    agent.start();
    let before = resident(agent.pid());
    let ready = agent.path("ready");
    let lines = write_all(&ready, HUGE);
    fs::rename(&ready, agent.path("l/hostile.log")).unwrap();
    let mut most = 0;
    wait_for("all lines", || {
        most = most.max(resident(agent.pid()));
        (agent.outcome("acked") as u64 >= lines).then_some(())
    });
    println!(
        "{lines} lines, {:.1} MB resident before, {:.1} at most",
        before as f64 / 1e6,
        most as f64 / 1e6
    );
    assert!(most < MOST_RESIDENT, "{most} bytes resident");
    agent.assert_balanced();
    let read = agent.value("read_events_total{source=\"app\"}") as u64;
    assert_eq!(read, lines, "each line once");
    assert_eq!(fake.count() as u64, lines);
    let mut documents = Vec::new();
    let mut strange = 0;
    for text in &fake.texts() {
        // Valid, whatever a reader makes of numbers and characters that it has no room for.
        let valid = serde_json::from_str::<serde::de::IgnoredAny>(text);
        valid.unwrap_or_else(|error| panic!("{error}: {text}"));
        match serde_json::from_str::<Value>(text) {
            Ok(value) => documents.push(value),
            Err(_) => strange += 1,
        }
    }
    assert!(strange < 10, "{strange}");

    let flaw = |name: &str| agent.value(&format!("flaws_total{{flaw=\"{name}\",source=\"app\"}}"));
    assert_eq!(flaw("truncated"), 2.0, "the huge lines");
    let seen = [
        "nul_bytes",
        "invalid_utf8",
        "invalid_json",
        "invalid_timestamp",
    ]
    .map(flaw);
    println!("{seen:?}");
    assert!(seen[0] >= 5_000.0 && seen[1] >= 500.0 && seen[2] >= 20.0 && seen[3] >= 5.0);
    let overflowed: Vec<&Value> = documents
        .iter()
        .filter(|it| it.get("kai.overflow").is_some())
        .collect();
    let beyond: usize = overflowed
        .iter()
        .map(|document| match &document["kai.overflow"] {
            Value::String(text) => {
                let all: Value =
                    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
                all.as_object().unwrap().len()
            }
            // Somebody's own.
            _ => 0,
        })
        .sum();
    // Of an object with two names that are alike, one is seen.
    let counted = flaw("overflow_fields") as usize;
    assert!(
        counted >= beyond && counted <= beyond + 20,
        "{counted} counted, {beyond} seen"
    );
    assert!(beyond > 10_000 + 9_500 && flaw("overflow") >= 100.0);
    agent.logged_all(&["more field names than logs.maxFields"]);

    // Of all documents: no more names than there may be, and no level more than an index has.
    let mut names = BTreeSet::new();
    for document in &documents {
        collect(document, "", &mut names);
    }
    let own = names.iter().filter(|name| {
        !kai_contract::log_fields::mapped()
            .any(|known| known == *name || known.starts_with(&format!("{name}.")))
    });
    // And what is looked for in lines, whatever an index knows of it.
    let count = own.count();
    assert!(count <= 300 + 16, "{count} names");
    assert!(names.iter().all(|name| name.split('.').count() <= 20));
    let wide = documents.iter().find(|it| it["message"] == "wide").unwrap();
    assert_eq!(
        wide["log.level"], "warn",
        "what is known is found beside what is cut"
    );
    assert!(documents.iter().any(|it| it["message"] == "last"));
    assert!(!agent.logged().contains("panick"), "{}", agent.logged());
}

/// Names as an index counts them.
fn collect(value: &Value, before: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = match before {
                    "" => name.clone(),
                    before => format!("{before}.{name}"),
                };
                collect(value, &name, all);
                all.insert(name);
            }
        }
        Value::Array(all_of) => all_of.iter().for_each(|value| collect(value, before, all)),
        _ => {}
    }
}

#[test]
fn a_real_index_takes_it_or_it_is_a_dead_letter() {
    let mut elastic = Elastic::start();
    elastic.template_of_lines();
    let mut agent = Runner::new(&[format!("http://{}", elastic.address)], "");
    let ready = agent.path("ready");
    let lines = write_all(&ready, 1 << 20);
    fs::rename(&ready, agent.path("l/hostile.log")).unwrap();
    agent.start();
    wait_for("all outcomes", || {
        (agent.outcome("acked") + agent.outcome("dead_lettered") >= lines as f64).then_some(())
    });
    agent.assert_balanced();
    let letters = letters(&agent);
    println!(
        "{lines} lines, {} dead letters: {letters:#?}",
        letters.len()
    );
    assert_eq!(
        elastic.count("logs-kai.app-test"),
        lines - letters.len() as u64
    );
    assert_eq!(letters.len() as u64, agent.outcome("dead_lettered") as u64);
    let mapping = elastic.request("GET", "/logs-kai.app-test/_mapping", &Value::Null);
    let index = mapping.as_object().unwrap().values().next().unwrap();
    let mapped = index["mappings"]["properties"].as_object().unwrap();
    println!("{} fields mapped", mapped.len());
    assert!(mapped.len() < 1_000 && mapped.contains_key("kai.overflow"));
    append(&agent.path("l/more.log"), b"{\"message\":\"after it\"}\n");
    wait_for("a line after it", || {
        (agent.outcome("acked") + agent.outcome("dead_lettered") > lines as f64).then_some(())
    });
    elastic.ready();
}

/// Why each dead letter is one.
fn letters(agent: &Runner) -> Vec<String> {
    let folder = fs::read_dir(agent.path("state/logs/dead-letters"));
    let mut found = Vec::new();
    for file in folder.into_iter().flatten().flatten() {
        if file
            .path()
            .extension()
            .is_none_or(|extension| extension != "jsonl")
        {
            continue;
        }
        for line in fs::read_to_string(file.path()).unwrap().lines() {
            let letter: Value = serde_json::from_str(line).unwrap();
            let mut document = letter["document"].to_string();
            document.truncate(document.floor_char_boundary(120));
            let mut reason = letter["reason"].as_str().unwrap_or_default().to_owned();
            reason.truncate(reason.floor_char_boundary(300));
            found.push(format!("{} {reason}: {document}", letter["kind"]));
        }
    }
    found
}
