//! What the log lane costs while lines are written: cores at 10,000 lines/s, memory with 1,000 files,
//! and how long a line takes from its write to its acknowledgement at half of what can be shipped at
//! most. The agent and the sink have the cores that `bench/logs/live` gives them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

mod lines;
mod process;
mod sink;

use process::Process;
use sink::Sink;

/// Writes are this far apart.
const TICK: Duration = Duration::from_millis(10);

struct Agent {
    process: Process,
    metrics: SocketAddr,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().expect("usage: live AGENT FOLDER SECONDS");
    let (agent, folder) = (next(), PathBuf::from(next()));
    let seconds: u64 = next().parse().expect("seconds");
    steady(&agent, &folder.join("steady"), seconds);
    many(&agent, &folder.join("many"), seconds);
    let most = saturation(&agent, &folder.join("most"));
    delays(&agent, &folder.join("half"), most / 2, seconds);
}

impl Agent {
    fn start(agent: &str, folder: &Path, sink: &Sink) -> Self {
        fs::create_dir_all(folder.join("logs")).unwrap();
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = folder.join("agent.yaml");
        let text = format!(
            "version: 2\nlisten: {metrics}\nstate: {state}\nlogs:\n  elasticsearch: {{ endpoints: \
             ['http://{sink}'] }}\n  privacy: {{ redact: [pan, nik, email, phone, token] }}\n  sources:\n    \
             bench:\n      paths: ['{folder}/logs/*.log']\n      dataStream: logs-kai.bench-local\n      \
             fields: {{ service.name: bench }}\n",
            state = folder.join("state").display(),
            sink = sink.address,
            folder = folder.display(),
        );
        fs::write(&config, text).unwrap();
        let words = [agent, "run", "--config", &config.display().to_string()].map(str::to_owned);
        let process = Process::start("0", &words, None, &folder.join("says")).unwrap();
        thread::sleep(Duration::from_secs(2)); // what a start costs is not the question
        Self { process, metrics }
    }

    fn page(&self) -> String {
        let mut stream = TcpStream::connect(self.metrics).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

/// Writes lines at a rate to some files in turns; how many were written.
fn write(files: &mut [File], rate: u64, seconds: u64) -> u64 {
    let begun = Instant::now();
    let (mut written, mut turn, mut text) = (0, 0, String::new());
    while begun.elapsed() < Duration::from_secs(seconds) {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        let count = files.len();
        // As an application does: what is due to one file by one write.
        let share = (due - written).div_ceil(count as u64).max(1);
        while written < due {
            text.clear();
            for _ in 0..share.min(due - written) {
                lines::line(&mut text, "json", written);
                written += 1;
            }
            files[turn % count].write_all(text.as_bytes()).unwrap();
            turn += 1;
        }
        thread::sleep(TICK);
    }
    written
}

fn files(folder: &Path, count: usize) -> Vec<File> {
    let open = |number: usize| {
        let path = folder.join(format!("logs/{number:04}.log"));
        OpenOptions::new().create(true).append(true).open(path).unwrap()
    };
    (0..count).map(open).collect()
}

fn all_there(sink: &Sink, written: u64) {
    let begun = Instant::now();
    while sink.documents() < written && begun.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(sink.documents(), written, "documents and lines");
}

fn steady(agent: &str, folder: &Path, seconds: u64) {
    let sink = Sink::start();
    let agent = Agent::start(agent, folder, &sink);
    let mut files = files(folder, 1);
    let first = write(&mut files, 10_000, 3);
    let (cpu, requests, begun) = (agent.process.cpu_seconds(), sink.requests(), Instant::now());
    let written = first + write(&mut files, 10_000, seconds);
    let cores = (agent.process.cpu_seconds() - cpu) / begun.elapsed().as_secs_f64();
    let requests = (sink.requests() - requests) as f64 / begun.elapsed().as_secs_f64();
    all_there(&sink, written);
    println!(
        "10,000 lines/s: {cores:.4} cores (goal 0.02), {requests:.1} requests/s, {:.1} MB resident at most",
        agent.process.largest_megabytes()
    );
}

fn many(agent: &str, folder: &Path, seconds: u64) {
    let sink = Sink::start();
    let agent = Agent::start(agent, folder, &sink);
    let mut files = files(folder, 1000);
    let written = write(&mut files, 10_000, seconds);
    all_there(&sink, written);
    println!(
        "1,000 files, 10,000 lines/s in all: {:.1} MB resident at most (goal 40)",
        agent.process.largest_megabytes()
    );
}

/// Lines a second that are shipped of a file that is there.
fn saturation(agent: &str, folder: &Path) -> u64 {
    const LINES: u64 = 1_000_000;
    let sink = Sink::start();
    let _agent = Agent::start(agent, folder, &sink);
    let aside = folder.join("aside");
    lines::file(&aside, "json", LINES);
    fs::rename(&aside, folder.join("logs/a.log")).unwrap();
    while sink.documents() == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    let (begun, before) = (Instant::now(), sink.documents());
    all_there(&sink, LINES);
    let rate = ((LINES - before) as f64 / begun.elapsed().as_secs_f64()) as u64;
    println!("saturation: {rate} lines/s");
    rate
}

fn delays(agent: &str, folder: &Path, rate: u64, seconds: u64) {
    let sink = Sink::start();
    let agent = Agent::start(agent, folder, &sink);
    let mut files = files(folder, 1);
    let written = write(&mut files, rate, seconds);
    all_there(&sink, written);
    thread::sleep(Duration::from_millis(500));
    let page = agent.page();
    // Cumulative counts by upper bound.
    let buckets: Vec<(String, f64)> = page
        .lines()
        .filter(|line| line.starts_with("kai_agent_log_latency_seconds_bucket"))
        .filter_map(|line| {
            let bound = line.split("le=\"").nth(1)?.split('"').next()?;
            Some((bound.to_owned(), line.rsplit(' ').next()?.parse().ok()?))
        })
        .collect();
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    let within = |share: f64| {
        let bucket = buckets.iter().find(|(_, count)| *count >= all * share);
        bucket.map_or("?", |(bound, _)| bound)
    };
    println!(
        "half of saturation, {rate} lines/s, {written} written, write to acknowledgement: half within {} s, \
         99 % within {} s (goal 1), all within {} s",
        within(0.5),
        within(0.99),
        within(1.0)
    );
}
