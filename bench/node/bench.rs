//! What a scrape costs, ours and node_exporter's taking turns: CPU of all threads by
//! `/proc/<pid>/task/*/schedstat`, resident memory by `/proc/<pid>/status`. Both are asked for gzip
//! over one kept connection, as Prometheus does it.
//!
//! Needs nothing but the standard library, so that `bench/node/run` builds it with rustc alone.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Turns without a pause, and scrapes in each.
const TURNS: usize = 7;
const SCRAPES: usize = 60;

/// Scrapes with a pause before each, so that the processor's caches hold something else.
const COLD: usize = 30;
const PAUSE: Duration = Duration::from_millis(250);

struct Exporter {
    name: &'static str,
    child: Child,
    connection: BufReader<TcpStream>,
    body: usize,
}

impl Exporter {
    fn start(name: &'static str, command: &mut Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let begun = Instant::now();
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {error}"),
            }
            sleep(Duration::from_millis(20));
        };
        stream.set_nodelay(true).unwrap();
        Self { name, child, connection: BufReader::new(stream), body: 0 }
    }

    fn scrape(&mut self) {
        self.connection
            .get_mut()
            .write_all(
                b"GET /metrics HTTP/1.1\r\nHost: node\r\nAccept-Encoding: gzip\r\nAccept: \
                  text/plain;version=0.0.4\r\n\r\n",
            )
            .unwrap();
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
            if line.starts_with("http/1.1") {
                assert!(line.contains(" 200"), "{}: {line}", self.name);
            }
            if line.is_empty() {
                break;
            }
        }
        self.body = 0;
        loop {
            if chunked {
                length = usize::from_str_radix(&self.line(), 16).unwrap();
            }
            let mut part = vec![0; length];
            self.connection.read_exact(&mut part).unwrap();
            self.body += length;
            if chunked {
                self.line();
            }
            if !chunked || length == 0 {
                break;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.connection.read_line(&mut line).unwrap() > 0, "{} hung up", self.name);
        line.trim_end().to_owned()
    }

    /// Milliseconds of CPU that its threads have had.
    fn cpu(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds: u64 = tasks
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("schedstat")).ok())
            .map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        nanoseconds as f64 / 1e6
    }

    /// A row of `/proc/<pid>/status`.
    fn status(&self, key: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.split(':').next() == Some(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn memory(&self) -> f64 {
        self.status("VmRSS") / 1024.0
    }

    fn describe(&self, when: &str) {
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count();
        println!(
            "{:<14} {when}: {:.1} MiB resident ({:.1} of files, {:.1} of its own), {} threads, {files} \
             open files, {} bytes a scrape",
            self.name,
            self.memory(),
            self.status("RssFile") / 1024.0,
            self.status("RssAnon") / 1024.0,
            self.status("Threads"),
            self.body
        );
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let usage = "usage: bench AGENT NODE_EXPORTER FOLDER [SCRAPES]";
    let (agent, theirs) = (args.next().expect(usage), args.next().expect(usage));
    let folder = args.next().expect(usage);
    let more: usize = args.next().map_or(1000, |text| text.parse().expect("a number"));
    let (our_port, their_port) = (free_port(), free_port());
    let config = Path::new(&folder).join("agent.yaml");
    fs::write(&config, format!("version: 1\nlisten: 127.0.0.1:{our_port}\n")).unwrap();
    let ours = Exporter::start(
        "kai-agent",
        Command::new(&agent).args(["run", "--config"]).arg(&config),
        our_port,
    );
    let theirs = Exporter::start(
        "node_exporter",
        Command::new(&theirs).arg(format!("--web.listen-address=127.0.0.1:{their_port}")),
        their_port,
    );
    let mut both = [ours, theirs];
    for exporter in &mut both {
        for _ in 0..30 {
            exporter.scrape();
        }
    }
    let mut warm = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for (exporter, figures) in both.iter_mut().zip(&mut warm) {
            let before = exporter.cpu();
            for _ in 0..SCRAPES {
                exporter.scrape();
            }
            figures.push((exporter.cpu() - before) / SCRAPES as f64);
        }
    }
    let mut cold = [Vec::new(), Vec::new()];
    for _ in 0..COLD {
        for (exporter, figures) in both.iter_mut().zip(&mut cold) {
            sleep(PAUSE);
            let before = exporter.cpu();
            exporter.scrape();
            figures.push(exporter.cpu() - before);
        }
    }
    let mut holds = true;
    for (what, figures) in [("without a pause", warm), ("with pauses", cold)] {
        let [ours, theirs] = figures.map(median);
        holds &= ours <= theirs / 4.0;
        println!(
            "CPU a scrape {what}: kai-agent {ours:.2} ms, node_exporter {theirs:.2} ms: {:.0} %",
            ours / theirs * 100.0
        );
    }
    let before = both.each_ref().map(Exporter::memory);
    both.iter().for_each(|exporter| exporter.describe("before"));
    for exporter in &mut both {
        for _ in 0..more {
            exporter.scrape();
        }
    }
    both.iter().for_each(|exporter| exporter.describe("after"));
    let after = both.each_ref().map(Exporter::memory);
    println!(
        "memory: {:.0} % of node_exporter's before, {:.0} % after {more} scrapes more; ours grew by {:.2} MiB",
        before[0] / before[1] * 100.0,
        after[0] / after[1] * 100.0,
        after[0] - before[0]
    );
    holds &= before[0] <= before[1] / 2.0 && after[0] <= after[1] / 2.0;
    println!("at most a quarter of its CPU and half of its memory: {}", if holds { "yes" } else { "NO" });
    ExitCode::from(u8::from(!holds))
}
