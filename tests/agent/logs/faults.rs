//! What Elasticsearch, the network, the disk and the agent's own end can do to lines in flight.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fake::{Do, Fake};
use super::runner::{Runner, numbered};
use crate::support::wait_for;

const STREAM: &str = "logs-kai.app-test";

fn started(more: &str) -> (Fake, Runner) {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), more);
    agent.start();
    (fake, agent)
}

fn whole(fake: &Fake, count: u64) {
    wait_for("all lines", || (fake.count() as u64 >= count).then_some(()));
    assert_eq!(fake.sequence(), (0..count).collect::<Vec<_>>());
}

fn settled(agent: &Runner) {
    wait_for("the ledger", || {
        (agent.value("events_in_flight{source=\"app\"}") == 0.0).then_some(())
    });
    agent.assert_balanced();
}

#[test]
fn an_answer_lost_before_a_rollover_makes_no_duplicate() {
    let (fake, agent) = started("");
    agent.append("l/app.log", numbered(0..1));
    whole(&fake, 1);
    let mut dropped = false;
    fake.script(move |_, _| {
        if std::mem::replace(&mut dropped, true) {
            Do::Take
        } else {
            // The commit is in the old index, the repetition would go to the new one.
            Do::TakeRollOverAndDrop
        }
    });
    agent.append("l/app.log", numbered(1..500));
    wait_for("the outcomes", || {
        (agent.outcome("acked") == 500.0).then_some(())
    });
    settled(&agent);
    whole(&fake, 500);
    // The old index for what it has, the new one for copies of that.
    assert_eq!(
        fake.asked(),
        [
            ".ds-logs-kai.app-test-000001",
            ".ds-logs-kai.app-test-000002"
        ]
    );
    assert_eq!(agent.value("duplicate_events_total{source=\"app\"}"), 499.0);
    assert_eq!(
        agent.value("rollover_checks_total{result=\"rolled_over\"}"),
        1.0
    );
}

#[test]
fn a_request_that_is_still_executed_is_waited_for() {
    let (fake, agent) = started("");
    agent.append("l/app.log", numbered(0..1));
    whole(&fake, 1);
    let mut first = true;
    fake.script(move |_, _| {
        if std::mem::take(&mut first) {
            Do::Execute(2)
        } else {
            Do::Take
        }
    });
    agent.append("l/app.log", numbered(1..2));
    wait_for("the outcome", || {
        (agent.outcome("acked") == 2.0).then_some(())
    });
    whole(&fake, 2);
    assert!(agent.value("retried_events_total{reason=\"still_executed\"}") >= 1.0);
}

#[test]
fn a_rollover_between_the_question_and_the_repetition_is_undone() {
    let (fake, agent) = started("");
    agent.append("l/app.log", numbered(0..1));
    whole(&fake, 1);
    let mut attempt = 0;
    fake.script(move |_, _| {
        attempt += 1;
        match attempt {
            1 => Do::TakeAndDrop,
            2 => Do::RollOverAndTake,
            _ => Do::Take,
        }
    });
    agent.append("l/app.log", numbered(1..100));
    wait_for("the outcomes", || {
        (agent.outcome("acked") == 100.0).then_some(())
    });
    assert_eq!(fake.sequence(), (0..100).collect::<Vec<_>>());
    assert_eq!(
        agent.value("repeated_events_total{result=\"removed\"}"),
        99.0
    );
}

#[test]
fn a_copy_that_a_killed_agent_left_is_removed_by_the_next() {
    let (fake, mut agent) = started("");
    agent.append("l/app.log", numbered(0..1));
    whole(&fake, 1);
    let taken = Arc::new(AtomicBool::new(false));
    let (told, mut attempt) = (Arc::clone(&taken), 0);
    fake.script(move |_, _| {
        attempt += 1;
        if attempt == 1 {
            return Do::TakeAndDrop;
        }
        told.store(true, Ordering::SeqCst);
        // Created another time in the new index, and the agent does not hear of it.
        Do::RollOverTakeAndDrop
    });
    agent.append("l/app.log", numbered(1..100));
    wait_for("the repetition", || {
        taken.load(Ordering::SeqCst).then_some(())
    });
    agent.kill();
    fake.unscript();
    assert!(fake.count() > 100, "the copies are there");
    agent.start();
    wait_for("the removal", || (fake.count() == 100).then_some(()));
    settled(&agent);
    assert_eq!(fake.sequence(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_killed_agent_asks_before_it_sends_again() {
    let (fake, mut agent) = started("");
    agent.append("l/app.log", numbered(0..1));
    whole(&fake, 1);
    let taken = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&taken);
    fake.script(move |_, _| {
        told.store(true, Ordering::SeqCst);
        Do::TakeAndDrop
    });
    agent.append("l/app.log", numbered(1..300));
    wait_for("the request", || taken.load(Ordering::SeqCst).then_some(()));
    agent.kill();
    fake.unscript();
    // Two rollovers: every index since the one that the lines may have reached is asked.
    fake.roll_over(STREAM);
    fake.roll_over(STREAM);
    // An index that is still recovering has not said no.
    fake.recover(2);
    agent.append("l/app.log", numbered(300..310));
    agent.start();
    whole(&fake, 310);
    settled(&agent);
    assert!(
        fake.asked()
            .contains(&".ds-logs-kai.app-test-000001".to_owned())
    );
}

#[test]
fn without_a_rollover_nobody_is_asked() {
    let (fake, mut agent) = started("");
    let taken = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&taken);
    fake.script(move |_, _| {
        told.store(true, Ordering::SeqCst);
        Do::TakeAndDrop
    });
    agent.append("l/app.log", numbered(0..300));
    wait_for("the request", || taken.load(Ordering::SeqCst).then_some(()));
    agent.kill();
    fake.unscript();
    agent.start();
    settled(&agent);
    wait_for("the outcomes", || {
        (agent.outcome("acked") == 300.0).then_some(())
    });
    whole(&fake, 300);
    // The index itself refuses what it has.
    assert_eq!(agent.value("duplicate_events_total{source=\"app\"}"), 300.0);
    assert_eq!(fake.asked(), Vec::<String>::new());
}

#[test]
fn what_is_refused_for_a_while_is_sent_again() {
    let (fake, agent) = started("");
    fake.script(|_, number| match number {
        0 => Do::Answer(429, "{\"error\":\"busy\"}"),
        1 => Do::Answer(503, "unavailable"),
        2 => Do::Drop,
        3 => Do::Refuse("\"seq\":7", 429),
        4 => Do::Answer(200, "<html>a proxy's page</html>"),
        _ => Do::Take,
    });
    agent.append("l/app.log", numbered(0..100));
    whole(&fake, 100);
    settled(&agent);
    assert!(
        agent
            .logged()
            .contains("lines are not taken by Elasticsearch")
    );
    wait_for("the good news", || {
        agent.logged().contains("takes lines again").then_some(())
    });
}

#[test]
fn a_request_that_is_too_large_is_halved() {
    let (fake, agent) = started("");
    fake.script(|bulk, _| {
        if bulk.documents.len() > 10 {
            Do::Answer(413, "")
        } else {
            Do::Take
        }
    });
    agent.append("l/app.log", numbered(0..200));
    whole(&fake, 200);
    settled(&agent);
}

#[test]
fn refused_documents_are_kept_as_dead_letters() {
    let (fake, mut agent) = started("");
    fake.script(|_, _| Do::Refuse("poison", 400));
    agent.append(
        "l/app.log",
        "{\"seq\":0}\n{\"seq\":9,\"a\":\"poison\"}\n{\"seq\":1}\n",
    );
    wait_for("the letter", || {
        (agent.outcome("dead_lettered") == 1.0).then_some(())
    });
    whole(&fake, 2);
    settled(&agent);
    let letters = fs::read_to_string(agent.path("state/logs/dead-letters/00000001.jsonl")).unwrap();
    let letter: serde_json::Value = serde_json::from_str(letters.trim()).unwrap();
    assert_eq!(letter["dataStream"], STREAM);
    assert_eq!(letter["status"], 400);
    assert!(letter["document"].as_str().unwrap().contains("poison"));
    // It is not sent again by the next start.
    agent.stop();
    agent.start();
    agent.append("l/app.log", numbered(2..4));
    whole(&fake, 4);
    assert_eq!(agent.outcome("dead_lettered"), 0.0);
}

#[test]
fn a_request_refused_as_a_whole_is_narrowed_down() {
    let (fake, agent) = started("");
    fake.script(|bulk, _| {
        if bulk
            .documents
            .iter()
            .any(|(_, text)| text.contains("poison"))
        {
            Do::Answer(400, "{\"error\":\"malformed\"}")
        } else {
            Do::Take
        }
    });
    agent.append(
        "l/app.log",
        format!("{}{{\"a\":\"poison\"}}\n", numbered(0..50)),
    );
    wait_for("the letter", || {
        (agent.outcome("dead_lettered") == 1.0).then_some(())
    });
    whole(&fake, 50);
    settled(&agent);
}

#[test]
fn a_server_that_does_not_know_the_parameter_is_asked_without() {
    let (fake, agent) = started("");
    fake.script(|_, number| match number {
        0 => Do::Answer(
            400,
            "request [/x/_bulk] contains unrecognized parameter: [require_data_stream]",
        ),
        _ => Do::Take,
    });
    agent.append("l/app.log", numbered(0..10));
    whole(&fake, 10);
}

#[test]
fn an_id_that_is_taken_by_another_document_loses_nothing() {
    let (fake, agent) = started("");
    agent.append("l/app.log", numbered(0..5));
    whole(&fake, 5);
    let mut first = true;
    fake.script(move |_, _| {
        if std::mem::take(&mut first) {
            Do::Taken
        } else {
            Do::Take
        }
    });
    agent.append("l/app.log", numbered(5..20));
    whole(&fake, 20);
    settled(&agent);
    assert_eq!(agent.value("id_collisions_total{source=\"app\"}"), 15.0);
    assert_eq!(agent.value("duplicate_events_total{source=\"app\"}"), 0.0);
    agent.append("l/app.log", numbered(20..30));
    whole(&fake, 30);
}

#[test]
fn secrets_are_sent_and_never_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "c2VjcmV0\n").unwrap();
    let (fake, agent) = started(&format!("    auth: {{ apiKeyFile: {} }}", file.display()));
    fake.script(|bulk, number| {
        if number == 0 || bulk.authorization.as_deref() == Some("ApiKey c2VjcmV0") {
            Do::Answer(401, "{\"error\":\"unable to authenticate\"}")
        } else {
            Do::Take
        }
    });
    agent.append("l/app.log", numbered(0..10));
    wait_for("the complaint", || {
        agent.logged().contains("status 401").then_some(())
    });
    // Renewed without a restart.
    fs::write(&file, "bmV3").unwrap();
    whole(&fake, 10);
    assert_eq!(
        fake.bulks().last().unwrap().authorization.as_deref(),
        Some("ApiKey bmV3")
    );
    assert!(!agent.logged().contains("c2VjcmV0"));
}

#[test]
fn a_stalled_server_costs_no_memory_and_no_line() {
    let (fake, agent) = started("  memoryBytes: 2097152");
    fake.hold(true);
    let line = format!("{{\"seq\":0,\"pad\":\"{}\"}}\n", "x".repeat(400));
    let lines: String = (0..50_000)
        .map(|number| line.replacen("\"seq\":0", &format!("\"seq\":{number}"), 1))
        .collect();
    agent.append("l/app.log", lines);
    let in_flight = "events_in_flight{source=\"app\"}";
    let full = wait_for("a full lane", || {
        let before = agent.value(in_flight);
        std::thread::sleep(std::time::Duration::from_millis(300));
        (before > 0.0 && agent.value(in_flight) == before).then_some(before)
    });
    assert!(full * 450.0 < 4e6, "{full} lines are held");
    assert!(agent.value("lag_bytes{source=\"app\"}") > 20e6);
    fake.hold(false);
    whole(&fake, 50_000);
    settled(&agent);
}

#[test]
fn a_damaged_checkpoint_is_put_aside_and_nothing_is_twice() {
    let (fake, mut agent) = started("");
    agent.append("l/app.log", numbered(0..100));
    whole(&fake, 100);
    // The end of a run writes a generation, so there are two.
    agent.stop();
    agent.start();
    agent.stop();
    fs::write(agent.path("state/logs/places"), "{\"version\":1").unwrap();
    agent.append("l/app.log", numbered(100..110));
    agent.start();
    whole(&fake, 110);
    agent.logged_all(&["the checkpoint of the logs is damaged", "is used"]);
    settled(&agent);
}

#[test]
fn a_state_folder_that_cannot_be_written_stops_nothing_for_good() {
    let (fake, agent) = started("");
    agent.append("l/app.log", numbered(0..10));
    whole(&fake, 10);
    // The next generation cannot be made, as on a full disk.
    fs::create_dir(agent.path("state/logs/places.next")).unwrap();
    agent.append("l/other.log", numbered(10..20));
    agent.logged_all(&["cannot write the checkpoint of the logs"]);
    agent.append("l/app.log", numbered(20..30));
    wait_for("the file that is known", || {
        (fake.count() == 20).then_some(())
    });
    assert!(agent.value("checkpoint_failures_total") >= 1.0);
    fs::remove_dir(agent.path("state/logs/places.next")).unwrap();
    whole(&fake, 30);
    agent.logged_all(&["is written again"]);
}

#[test]
fn a_reload_changes_the_sources_without_loss() {
    let (fake, agent) = started("");
    agent.append("l/app.log", numbered(0..100));
    let more = format!(
        "    more:\n      paths: ['{}']\n      dataStream: logs-kai.more-test\n",
        agent.path("l/*.more").display()
    );
    agent.append("l/a.more", numbered(100..110));
    agent.configure(std::slice::from_ref(&fake.url), "", &more);
    agent.append("l/app.log", numbered(110..120));
    whole(&fake, 120);
    let streams: std::collections::BTreeSet<String> =
        fake.bulks().into_iter().map(|bulk| bulk.stream).collect();
    assert_eq!(streams.len(), 2);
    settled(&agent);
}

#[test]
fn a_flood_of_lines_does_not_delay_a_scrape() {
    let (fake, agent) = started("");
    fake.script(|_, _| Do::Answer(429, ""));
    agent.append("l/app.log", numbered(0..200_000));
    wait_for("the flood", || {
        (agent.outcome("acked") == 0.0).then_some(())
    });
    for _ in 0..5 {
        let metrics = agent.metrics();
        assert_eq!(metrics.success("cpu"), 1.0);
    }
}
