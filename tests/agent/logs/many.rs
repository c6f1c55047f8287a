//! Many files: a thousand at once, and one that grows quickly among others.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::fake::{Do, Fake};
use super::runner::{Runner, append, numbered};
use crate::support::wait_for;

#[test]
fn a_thousand_files_at_once_beside_one_that_grows() {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    for file in 0..1000 {
        let text = numbered(file * 3..file * 3 + 3);
        append(&agent.path(&format!("l/quiet-{file}.log")), text.as_bytes());
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (told, loud) = (Arc::clone(&stop), agent.path("l/a-loud.log"));
    let writer = thread::spawn(move || {
        let mut written = 0;
        while !told.load(Ordering::SeqCst) {
            let from = 1_000_000 + written;
            append(&loud, numbered(from..from + 20).as_bytes());
            written += 20;
            thread::sleep(Duration::from_millis(20));
        }
        written
    });
    agent.start();
    let quiet = |fake: &Fake| {
        let all = fake.sequence();
        all.iter().filter(|seq| **seq < 3000).count()
    };
    wait_for("the thousand", || {
        (fake.count() >= 3000 && quiet(&fake) == 3000).then_some(())
    });
    let memory = agent.metrics().value("process_resident_memory_bytes");
    println!("{memory} bytes resident with 1,001 files");
    assert!(memory < 60e6, "{memory}");
    assert_eq!(agent.value("files{source=\"app\"}"), 1001.0);
    // Each of them still has its turn.
    for file in [0, 499, 999] {
        append(
            &agent.path(&format!("l/quiet-{file}.log")),
            numbered(3000 + file..3001 + file).as_bytes(),
        );
    }
    stop.store(true, Ordering::SeqCst);
    let written = writer.join().unwrap();
    wait_for("all lines", || {
        (fake.count() as u64 >= 3003 + written).then_some(())
    });
    let expected: Vec<u64> = (0..3000)
        .chain([3000, 3499, 3999])
        .chain(1_000_000..1_000_000 + written)
        .collect();
    assert_eq!(fake.sequence(), expected);
    agent.assert_balanced();
}

/// While Elasticsearch takes less than the files have, each file gets its turn.
#[test]
fn large_files_do_not_keep_a_small_one_waiting() {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "  memoryBytes: 1048576");
    let pad = "x".repeat(1000);
    for file in 0..12 {
        let mut text = String::new();
        for line in 0..300 {
            writeln!(text, "{file} {line} {pad}").unwrap();
        }
        fs::write(agent.path(&format!("l/a{file:02}.log")), text).unwrap();
    }
    append(&agent.path("l/z.log"), b"the small one\n");
    // Slow enough that all batches are out.
    let at = Arc::new(AtomicUsize::new(usize::MAX));
    let found = Arc::clone(&at);
    fake.script(move |bulk, number| {
        thread::sleep(Duration::from_millis(10));
        let mut texts = bulk.documents.iter().map(|(_, text)| text);
        if texts.any(|text| text.contains("the small one")) {
            found.store(number, Ordering::SeqCst);
        }
        Do::Take
    });
    agent.start();
    wait_for("all lines", || (fake.count() == 12 * 300 + 1).then_some(()));
    let (at, requests) = (at.load(Ordering::SeqCst), fake.bulks().len());
    println!("the small file's line is in request {at} of {requests}");
    assert!(at < requests / 2 + 1, "{at} of {requests}");
}
