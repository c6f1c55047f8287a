//! What files can do while they are read: grow, move, shrink, go away.

use std::fs;
use std::io::Write;

use super::fake::Fake;
use super::runner::{Runner, append, numbered};
use crate::support::wait_for;

fn whole(fake: &Fake, count: u64) {
    wait_for("all lines", || (fake.count() as u64 >= count).then_some(()));
    assert_eq!(fake.sequence(), (0..count).collect::<Vec<_>>());
}

fn started() -> (Fake, Runner) {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    agent.start();
    (fake, agent)
}

#[test]
fn a_file_is_followed_through_every_kind_of_rotation() {
    let (fake, agent) = started();
    let log = agent.path("l/app.log");
    let mut writer = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .unwrap();
    writer.write_all(numbered(0..10).as_bytes()).unwrap();
    whole(&fake, 10);
    // Renamed out of the glob, and written to once more by the old writer.
    fs::rename(&log, agent.path("l/app.log.1")).unwrap();
    append(&log, numbered(12..20).as_bytes());
    writer.write_all(numbered(10..12).as_bytes()).unwrap();
    whole(&fake, 20);
    // Renamed within the glob.
    fs::rename(&log, agent.path("l/app-old.log")).unwrap();
    append(&log, numbered(20..30).as_bytes());
    whole(&fake, 30);
    // Emptied in place, as copytruncate does.
    fs::copy(&log, agent.path("l/app.log.2")).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&log)
        .unwrap()
        .set_len(0)
        .unwrap();
    wait_for("the truncation", || {
        agent.logged().contains("truncated").then_some(())
    });
    append(&log, numbered(30..40).as_bytes());
    whole(&fake, 40);
    // Deleted while it is open, with lines that nobody has read yet.
    let mut writer = fs::OpenOptions::new().append(true).open(&log).unwrap();
    fs::remove_file(&log).unwrap();
    writer.write_all(numbered(40..50).as_bytes()).unwrap();
    append(&log, numbered(50..60).as_bytes());
    whole(&fake, 60);
    agent.assert_balanced();
}

#[test]
fn a_file_that_was_rewritten_larger_is_read_from_its_beginning() {
    let (fake, agent) = started();
    let log = agent.path("l/app.log");
    append(&log, numbered(0..10).as_bytes());
    whole(&fake, 10);
    // Same inode, other content, and longer than what was read.
    fs::write(&log, numbered(10..100)).unwrap();
    whole(&fake, 100);
    // And just as long.
    let before = numbered(10..100);
    fs::write(&log, before.replace(":1", ":2").replace("2}", "3}")).unwrap();
    wait_for("the file's new content", || {
        (fake.count() == 190).then_some(())
    });
}

#[test]
fn a_line_is_taken_when_it_is_whole() {
    let (fake, agent) = started();
    let log = agent.path("l/app.log");
    append(&log, b"first\r\nsec");
    wait_for("the first line", || (fake.count() == 1).then_some(()));
    append(&log, b"ond\n\n  \nlast without an end");
    wait_for("the second line", || (fake.count() == 2).then_some(()));
    assert_eq!(fake.messages(), ["first", "second"]);
    // Only when nothing more can be expected is the last line one.
    fs::remove_file(&log).unwrap();
    wait_for("the last line", || (fake.count() == 3).then_some(()));
    assert_eq!(fake.messages()[1], "last without an end");
    assert_eq!(
        agent.value("lost_bytes_total{reason=\"truncated\",source=\"app\"}"),
        0.0
    );
}

#[test]
fn what_was_not_read_before_a_truncation_is_counted() {
    let (fake, agent) = started();
    let log = agent.path("l/app.log");
    append(&log, b"whole\nnever ended");
    wait_for("the line", || (fake.count() == 1).then_some(()));
    fs::OpenOptions::new()
        .write(true)
        .open(&log)
        .unwrap()
        .set_len(0)
        .unwrap();
    let lost = "lost_bytes_total{reason=\"truncated\",source=\"app\"}";
    wait_for("the count", || (agent.value(lost) == 11.0).then_some(()));
}

#[test]
fn hostile_lines_are_taken_and_bounded() {
    let (fake, agent) = started();
    let log = agent.path("l/app.log");
    let mut text = Vec::new();
    text.extend_from_slice(&[0; 5000]);
    text.extend_from_slice(b"after zeros\n");
    text.extend_from_slice(b"bad \xff\xfe bytes\n");
    text.extend_from_slice("[".repeat(100_000).as_bytes());
    text.push(b'\n');
    text.extend_from_slice(format!("{{\"deep\":{}\n", "[".repeat(100_000)).as_bytes());
    text.extend_from_slice(&vec![b'x'; 40 << 20]);
    text.extend_from_slice(b"\n{\"seq\":0}\n");
    append(&log, &text);
    wait_for("all lines", || (fake.count() == 6).then_some(()));
    let messages = fake.messages();
    assert!(messages.contains(&"after zeros".to_owned()));
    assert!(messages.contains(&"bad \u{fffd}\u{fffd} bytes".to_owned()));
    assert_eq!(messages.iter().map(String::len).max(), Some(256 << 10));
    for (flaw, count) in [
        ("truncated", 1.0),
        ("invalid_utf8", 1.0),
        ("invalid_json", 1.0),
        ("nul_bytes", 5000.0),
    ] {
        let series = format!("flaws_total{{flaw=\"{flaw}\",source=\"app\"}}");
        assert_eq!(agent.value(&series), count, "{flaw}");
    }
    let memory = agent.metrics().value("process_resident_memory_bytes");
    assert!(memory < 80e6, "{memory}");
}

#[test]
fn a_start_at_the_end_leaves_old_lines_and_takes_new_files() {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let source = format!(
        "    tail:\n      paths: ['{}']\n      dataStream: logs-kai.tail-test\n      start: end\n",
        agent.path("t/*.log").display()
    );
    fs::create_dir(agent.path("t")).unwrap();
    append(&agent.path("t/old.log"), b"old\nhalf of ");
    agent.configure(std::slice::from_ref(&fake.url), "", &source);
    agent.start();
    wait_for("the file", || {
        (agent.value("files{source=\"tail\"}") == 1.0).then_some(())
    });
    append(&agent.path("t/old.log"), b"a line\nnew\n");
    append(&agent.path("t/later.log"), b"later\n");
    wait_for("the lines", || (fake.count() == 3).then_some(()));
    assert_eq!(fake.messages(), ["half of a line", "later", "new"]);
}

#[test]
fn a_restart_finds_its_files_again_wherever_they_are() {
    let (fake, mut agent) = started();
    let log = agent.path("l/app.log");
    append(&log, numbered(0..10).as_bytes());
    append(&agent.path("l/gone.log"), b"{\"seq\":100}\n");
    wait_for("the lines", || (fake.count() == 11).then_some(()));
    agent.stop();
    // Away: one rotated out of the glob with unread lines, one deleted, a new one in its place.
    append(&log, numbered(10..20).as_bytes());
    fs::rename(&log, agent.path("l/app.log.1")).unwrap();
    append(&log, numbered(20..30).as_bytes());
    fs::remove_file(agent.path("l/gone.log")).unwrap();
    agent.start();
    wait_for("the lines", || (fake.count() == 31).then_some(()));
    let expected: Vec<u64> = (0..30).chain([100]).collect();
    assert_eq!(fake.sequence(), expected);
    // And truncated while away, growing beyond where it was.
    agent.stop();
    fs::write(&log, numbered(30..100)).unwrap();
    agent.start();
    wait_for("the lines", || (fake.count() == 101).then_some(()));
    let expected: Vec<u64> = (0..101).collect();
    assert_eq!(fake.sequence(), expected);
}
