//! What shipping a file of log lines costs: ours and two peers, in turns, each on one core with the
//! same counting sink on the other. CPU seconds per million lines is the figure that moves least with
//! a machine's noise.
//!
//! Needs nothing but the standard library, so that `bench/logs/run` builds it with rustc alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

mod lines;
mod process;
mod shippers;
mod sink;

use process::Process;
use shippers::{Programs, ROWS, Shipper};
use sink::Sink;

/// What one run was.
struct Run {
    cpu: f64,
    rate: f64,
    megabytes: f64,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut path = || PathBuf::from(args.next().expect("usage: bench AGENT PEERS FOLDER LINES ROUNDS"));
    let programs = Programs { agent: path(), peers: path() };
    let folder = path();
    let mut number = || args.next().expect("LINES ROUNDS").parse().expect("a number");
    let (lines, rounds): (u64, u64) = (number(), number());
    let log = |kind: &str| folder.join(format!("{kind}.log"));
    let mut rows: Vec<Vec<Run>> = ROWS.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (shipper, runs) in ROWS.iter().zip(&mut rows) {
            let log = log(shipper.kind());
            if !log.is_file() {
                lines::file(&log, shipper.kind(), lines);
            }
            match run(*shipper, &programs, &folder, &log, lines) {
                Ok(run) => {
                    eprintln!("round {round}: {}: {:.3} CPU s per million", shipper.name(), run.cpu);
                    runs.push(run);
                }
                Err(reason) => eprintln!("round {round}: {}: not run: {reason}", shipper.name()),
            }
        }
    }
    table(&rows);
}

fn run(shipper: Shipper, programs: &Programs, folder: &Path, log: &Path, lines: u64) -> Result<Run, String> {
    let sink = Sink::start();
    let start = shipper.start(programs, folder, log, sink.address);
    let (command, libraries) = start.ok_or("the program is not there")?;
    let says = folder.join("says");
    let begun = Instant::now();
    let mut process = Process::start("0", &command, libraries.as_deref(), &says).ok_or("it does not start")?;
    let mut last = (0, Instant::now());
    while sink.documents() < lines {
        thread::sleep(Duration::from_millis(5));
        let documents = sink.documents();
        if documents > last.0 {
            last = (documents, Instant::now());
        }
        if !process.is_running() || last.1.elapsed() > Duration::from_secs(60) {
            let text = fs::read_to_string(&says).unwrap_or_default();
            let text: Vec<&str> = text.lines().take(3).collect();
            return Err(format!("{documents} of {lines} lines came: {}", text.join(" / ")));
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    thread::sleep(Duration::from_millis(1200)); // the last checkpoint is part of the work
    let run = Run {
        cpu: process.cpu_seconds() / (lines as f64 / 1e6),
        rate: lines as f64 / seconds / 1e3,
        megabytes: process.largest_megabytes(),
    };
    match sink.documents() {
        documents if documents == lines => Ok(run),
        documents => Err(format!("{documents} documents of {lines} lines")),
    }
}

fn median(runs: &[Run], of: fn(&Run) -> f64) -> f64 {
    let mut all: Vec<f64> = runs.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn table(rows: &[Vec<Run>]) {
    let ours = median(&rows[0], |run| run.cpu);
    println!("| shipper | CPU s per million lines, least/median/most | of ours, json redacted | thousand lines/s | MB resident at most |");
    println!("|---|---|---|---|---|");
    for (shipper, runs) in ROWS.iter().zip(rows) {
        let name = shipper.name();
        if runs.is_empty() {
            println!("| {name} | not run | | | |");
            continue;
        }
        let least = runs.iter().map(|run| run.cpu).fold(f64::INFINITY, f64::min);
        let most = runs.iter().map(|run| run.cpu).fold(0.0, f64::max);
        let middle = median(runs, |run| run.cpu);
        let megabytes = runs.iter().map(|run| run.megabytes).fold(0.0, f64::max);
        println!(
            "| {name} | {least:.2} / {middle:.2} / {most:.2} | {:.1} | {:.0} | {megabytes:.0} |",
            middle / ours,
            median(runs, |run| run.rate),
        );
    }
    let verdict = |what: &str, figure: f64, kept: bool| {
        let said = match (figure.is_nan(), kept) {
            (true, _) => "not measured",
            (_, true) => "kept",
            (_, false) => "missed",
        };
        println!("{what}: {figure:.2}, {said}");
    };
    println!();
    verdict("at most 0.50 CPU s per million json lines with everything on", ours, ours <= 0.5);
    let megabytes = rows[0].iter().map(|run| run.megabytes).fold(f64::NAN, f64::max);
    verdict("at most 25 MB resident", megabytes, megabytes <= 25.0);
    for (index, (shipper, goal)) in ROWS.iter().zip([0, 0, 0, 0, 0, 0, 3, 10]).enumerate() {
        if goal > 0 {
            let ratio = median(&rows[index], |run| run.cpu) / ours;
            verdict(&format!("{}: at least {goal} times ours", shipper.name()), ratio, ratio >= f64::from(goal));
        }
    }
}
