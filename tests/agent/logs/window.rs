//! What `copytruncate` loses by its nature: lines written after the copy's end and before the
//! truncation are in neither, unless they were read in between. Each line that is missing must be
//! one of them.
//!
//! `KAI_LOG_MATRIX=window` measures several rates and prints the table of docs/reference/logs.md.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::fake::Fake;
use super::runner::Runner;
use crate::support::wait_for;

/// Rotates a file under its writer; the number names what it keeps.
type Rotator = fn(&Path, u64) -> u64;

/// Where each line began in the file, in the order of their writing.
fn write(path: &Path, rate: u64, stop: &AtomicBool) -> Vec<u64> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).append(true).open(path).unwrap();
    let mut places = Vec::new();
    let begun = Instant::now();
    let pad = "x".repeat(180);
    while !stop.load(Ordering::SeqCst) {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as usize;
        while places.len() < due {
            let line = format!("{{\"seq\":{},\"pad\":\"{pad}\"}}\n", places.len());
            places.push(file.metadata().unwrap().len());
            file.write_all(line.as_bytes()).unwrap();
        }
        thread::sleep(Duration::from_micros(500));
    }
    places
}

/// As logrotate does; how much was copied.
fn copytruncate(path: &Path, number: u64) -> u64 {
    let mut from = File::open(path).unwrap();
    let mut to = File::create(path.with_extension(format!("log.{number}"))).unwrap();
    let mut buffer = vec![0; 16 << 10];
    let mut copied = 0;
    loop {
        let count = from.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        to.write_all(&buffer[..count]).unwrap();
        copied += count as u64;
    }
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(0).unwrap();
    copied
}

/// As a script does; how much was copied.
fn by_shell(path: &Path, number: u64) -> u64 {
    let copy = path.with_extension(format!("log.{number}"));
    let script = "cp \"$0\" \"$1\" && : > \"$0\"";
    let mut shell = std::process::Command::new("sh");
    let status = shell.args(["-c", script]).arg(path).arg(&copy).status();
    assert!(status.unwrap().success());
    fs::metadata(copy).unwrap().len()
}

struct Measured {
    written: u64,
    /// Written after the copy's end.
    lost: Vec<u64>,
}

fn measure(rate: u64, rotations: u64, every: Duration, rotate: Rotator) -> Measured {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    agent.start();
    let path = agent.path("l/app.log");
    let stop = Arc::new(AtomicBool::new(false));
    let (told, written_to) = (Arc::clone(&stop), path.clone());
    let writer = thread::spawn(move || write(&written_to, rate, &told));
    let mut copied = Vec::new();
    for number in 0..rotations {
        thread::sleep(every);
        copied.push(rotate(&path, number));
    }
    thread::sleep(every);
    stop.store(true, Ordering::SeqCst);
    let places = writer.join().unwrap();
    let size = fs::metadata(&path).unwrap().len();
    wait_for("the file's end", || {
        let lag = agent.value("lag_bytes{source=\"app\"}");
        // Looking at each of them is for when there are no more to come.
        let last = || fake.sequence().last() == Some(&(places.len() as u64 - 1));
        (size > 0 && lag == 0.0 && last()).then_some(())
    });
    // What is read of copies.
    thread::sleep(Duration::from_millis(500));
    let there = fake.sequence();
    let distinct: BTreeSet<u64> = there.iter().copied().collect();
    assert_eq!(there.len(), distinct.len(), "lines are there twice");
    let mut lost = vec![0; rotations as usize];
    let (mut generation, mut before) = (0, 0);
    for (seq, place) in places.iter().enumerate() {
        if *place < before {
            generation += 1;
        }
        before = *place;
        if !distinct.contains(&(seq as u64)) {
            let window = copied.get(generation).expect("it is in the last file");
            assert!(
                *place + 200 > *window,
                "line {seq} at {place} of file {generation} was copied ({window})"
            );
            lost[generation] += 1;
        }
    }
    Measured {
        written: places.len() as u64,
        lost,
    }
}

#[test]
fn copytruncate_loses_what_is_written_after_its_copy_alone() {
    if std::env::var("KAI_LOG_MATRIX").is_ok_and(|value| value == "window") {
        println!(
            "| rotation | lines/s | rotations | lines written | lost per rotation: least, mean, most |"
        );
        println!("|---|---|---|---|---|");
        let rotators: [(&str, Rotator); 2] = [
            ("one process, as logrotate", copytruncate),
            ("`cp a b && : > a`", by_shell),
        ];
        for (name, rotate, rate) in rotators
            .into_iter()
            .flat_map(|(name, rotate)| [100, 1_000, 10_000].map(|rate| (name, rotate, rate)))
        {
            let measured = measure(rate, 20, Duration::from_millis(500), rotate);
            let sum: u64 = measured.lost.iter().sum();
            println!(
                "| {name} | {rate} | {} | {} | {}, {:.2}, {} |",
                measured.lost.len(),
                measured.written,
                measured.lost.iter().min().unwrap(),
                sum as f64 / measured.lost.len() as f64,
                measured.lost.iter().max().unwrap(),
            );
        }
        return;
    }
    let measured = measure(1_000, 3, Duration::from_millis(300), by_shell);
    println!(
        "{} written, lost per rotation: {:?}",
        measured.written, measured.lost
    );
}
