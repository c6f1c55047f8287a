//! What the log lane costs: a file of JSON lines, the agent on one core, a sink that counts bulk
//! documents and says yes on the other. Prints CPU seconds per million lines (the figure that moves
//! least with a machine's noise), lines per second and the largest resident memory.
//!
//! Needs nothing but the standard library, so that `bench/logs/run` builds it with rustc alone.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let mut args = std::env::args().skip(1);
    let agent = args.next().expect("usage: bench AGENT FOLDER [LINES] [json|plain|cri] [private]");
    let folder = args.next().expect("a folder, best on tmpfs");
    let lines: u64 = args.next().map_or(5_000_000, |text| text.parse().expect("a number"));
    let kind = args.next().unwrap_or_else(|| "json".to_owned());
    let private = args.next().is_some_and(|word| word == "private");
    let folder = Path::new(&folder);
    let log = folder.join(format!("{kind}-{lines}.log"));
    if !log.is_file() {
        generate(&log, lines, &kind);
    }
    let bytes = fs::metadata(&log).unwrap().len();
    let _ = fs::remove_dir_all(folder.join("state"));
    let counted = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sink = listener.local_addr().unwrap();
    let shared = Arc::clone(&counted);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counted = Arc::clone(&shared);
            thread::spawn(move || serve(stream, &counted));
        }
    });
    let config = folder.join("agent.yaml");
    fs::write(
        &config,
        format!(
            "version: 2\nlisten: 127.0.0.1:0\nstate: {state}\nlogs:\n  elasticsearch: {{ endpoints: \
             ['http://{sink}'] }}\n  sources:\n    bench:\n      paths: ['{log}']\n      dataStream: \
             logs-kai.bench-local\n      fields: {{ service.name: bench }}\n{container}{privacy}",
            state = folder.join("state").display(),
            log = log.display(),
            container = if kind == "cri" { "      container: cri\n" } else { "" },
            privacy = if private {
                "  privacy: { redact: [pan, nik, email, phone, token] }\n"
            } else {
                ""
            }
        ),
    )
    .unwrap();
    let begun = Instant::now();
    let mut child = Command::new("taskset")
        .args(["-c", "0", &agent, "run", "--config"])
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while counted.load(Ordering::Relaxed) < lines {
        thread::sleep(Duration::from_millis(5));
        assert!(begun.elapsed() < Duration::from_secs(600), "it does not end");
    }
    let seconds = begun.elapsed().as_secs_f64();
    thread::sleep(Duration::from_millis(1200)); // the last checkpoint is part of the work
    let cpu = cpu_seconds(child.id());
    let memory = largest_memory(child.id());
    let counted = counted.load(Ordering::Relaxed);
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let _ = child.wait();
    println!(
        "{kind}{}: {counted} lines of {:.0} bytes: {:.3} CPU s per million, {:.0} thousand lines/s, {:.1} \
         MB resident at most",
        if private { ", all kinds redacted" } else { "" },
        bytes as f64 / lines as f64,
        cpu / (lines as f64 / 1e6),
        lines as f64 / seconds / 1e3,
        memory / 1e6
    );
    assert_eq!(counted, lines, "lines sent twice");
}

fn generate(path: &Path, lines: u64, kind: &str) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    for number in 0..lines {
        let (second, milli) = (number / 1000 % 60, number % 1000);
        if kind == "cri" {
            write!(out, "2026-11-24T02:06:{second:02}.{milli:03}000000Z stdout F ").unwrap();
        }
        if kind != "plain" {
            writeln!(
                out,
                "{{\"@timestamp\":\"2026-11-24T02:06:{second:02}.{milli:03}Z\",\"log.level\":\"info\",\
                 \"message\":\"seat held\",\"trace.id\":\"{:032x}\",\"span.id\":\"{:016x}\",\
                 \"http.response.status_code\":200,\"url.path\":\"/bookings/{number}\",\"seq\":{number}}}",
                u128::from(number) * 0x9e37_79b9_7f4a_7c15,
                number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            )
        } else {
            writeln!(
                out,
                "2026-11-24T02:06:{second:02}.{milli:03}Z INFO booking::http request finished \
                 method=POST path=/bookings/{number} status=200 duration_ms=12.5 trace={:032x} \
                 span={:016x} user_agent=\"curl/8.5\"",
                u128::from(number) * 0x9e37_79b9_7f4a_7c15,
                number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            )
        }
        .unwrap();
    }
    out.flush().unwrap();
}

fn serve(stream: TcpStream, counted: &AtomicU64) {
    let mut reader = BufReader::with_capacity(1 << 20, stream.try_clone().unwrap());
    let mut writer = stream;
    let mut body = Vec::new();
    loop {
        let (mut length, mut bulk, mut first) = (0_usize, false, true);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if std::mem::take(&mut first) {
                bulk = line.contains("/_bulk");
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
        }
        body.resize(length, 0);
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let (status, text) = if bulk {
            let ends = body.iter().filter(|byte| **byte == b'\n').count() as u64;
            counted.fetch_add(ends / 2, Ordering::Relaxed);
            ("200 OK", "{\"errors\":false}")
        } else {
            ("404 Not Found", "{}")
        };
        let reply = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        if writer.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn largest_memory(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}
