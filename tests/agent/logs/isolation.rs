//! One data stream whose lines are not taken, whatever the way, and others that flow all the while.

use std::time::Duration;

use super::fake::{Do, Fake};
use super::runner::{Runner, numbered};
use crate::support::wait_for;

const SLOW: &str = "logs-kai.slow-test";
const SLOWER: &str = "logs-kai.slower-test";

/// An agent with a source `app` beside `slow` and `slower`, which have data streams of their own.
fn three() -> (Fake, Runner) {
    let fake = Fake::start();
    let agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let source = |name: &str| {
        format!(
            "    {name}:\n      paths: ['{}']\n      dataStream: logs-kai.{name}-test\n",
            agent.path(&format!("l/*.{name}")).display()
        )
    };
    let sources = source("slow") + &source("slower");
    let more = "  memoryBytes: 2097152";
    agent.configure(std::slice::from_ref(&fake.url), more, &sources);
    let mut agent = agent;
    agent.start();
    (fake, agent)
}

/// More than the whole lane can hold.
fn flood(agent: &Runner, name: &str) {
    let line = format!("{{\"pad\":\"{}\"}}\n", "x".repeat(400));
    agent.append(name, line.repeat(15_000));
}

fn of(name: &str) -> String {
    format!("events_in_flight{{source=\"{name}\"}}")
}

/// Lines of `app` go through in several batches, one after another.
fn flows(fake: &Fake, agent: &Runner) {
    for part in 0..10_u64 {
        agent.append("l/app.log", numbered(part * 1000..(part + 1) * 1000));
        wait_for("the other data stream's lines", || {
            (agent.outcome("acked") == ((part + 1) * 1000) as f64).then_some(())
        });
    }
    assert_eq!(fake.sequence(), (0..10_000).collect::<Vec<_>>());
}

#[test]
fn two_data_streams_that_hang_hold_up_no_third() {
    let (fake, agent) = three();
    fake.hold_stream(SLOW, true);
    fake.hold_stream(SLOWER, true);
    flood(&agent, "l/a.slow");
    flood(&agent, "l/a.slower");
    wait_for("what they may hold", || {
        let before = (agent.value(&of("slow")), agent.value(&of("slower")));
        std::thread::sleep(Duration::from_millis(300));
        let after = (agent.value(&of("slow")), agent.value(&of("slower")));
        (before == after && before.0 > 0.0 && before.1 > 0.0).then_some(())
    });
    flows(&fake, &agent);
    assert!(agent.value(&of("slow")) > 0.0);
    assert_eq!(fake.count(), 10_000, "nothing of the two was taken");
    fake.hold_stream(SLOW, false);
    fake.hold_stream(SLOWER, false);
    wait_for("all lines", || (fake.count() == 40_000).then_some(()));
    agent.assert_balanced();
}

#[test]
fn what_is_throttled_read_only_or_closed_waits_alone() {
    let (fake, agent) = three();
    fake.script(|bulk, _| match &*bulk.stream {
        SLOW => Do::Answer(429, "{\"error\":\"too many requests\"}"),
        SLOWER => Do::RefuseAll(403, "cluster_block_exception"),
        _ => Do::Take,
    });
    flood(&agent, "l/a.slow");
    flood(&agent, "l/a.slower");
    let failing =
        |name: &str| agent.value(&format!("data_stream_failing{{data_stream=\"{name}\"}}"));
    wait_for("both failures", || {
        (failing(SLOW) + failing(SLOWER) == 2.0).then_some(())
    });
    flows(&fake, &agent);
    assert_eq!(failing("logs-kai.app-test"), 0.0);
    let log = agent.logged();
    let said = log.matches("lines are not taken by Elasticsearch").count();
    assert_eq!(
        said, 2,
        "each once, and not with every success of the other:\n{log}"
    );
    assert!(!log.contains("takes lines again"), "{log}");
    // A closed index is no fault of the documents: they wait, and none becomes a dead letter.
    fake.script(|bulk, _| match &*bulk.stream {
        SLOWER => Do::RefuseAll(400, "index_closed_exception"),
        _ => Do::Take,
    });
    wait_for("the throttled lines", || {
        (fake.count() == 25_000).then_some(())
    });
    wait_for("the good news", || (failing(SLOW) == 0.0).then_some(()));
    assert_eq!(failing(SLOWER), 1.0);
    fake.unscript();
    wait_for("all lines", || (fake.count() == 40_000).then_some(()));
    let buried = "events_total{outcome=\"dead_lettered\",reason=\"\",source=\"slower\"}";
    assert_eq!(agent.value(buried), 0.0);
}
