//! An application with many series, the agent in front of it, and a client that scrapes it through
//! the agent. Needs nothing but the standard library, so that `bench/scrape/run` builds it with rustc
//! alone.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut next = |what: &str| args.next().unwrap_or_else(|| panic!("{what} is missing"));
    let agent = next("the agent");
    let folder = next("a folder");
    let kind = next("text or openmetrics");
    let series: usize = next("a number of series").parse().unwrap();
    let scrapes: u32 = next("a number of scrapes").parse().unwrap();
    let page = Arc::new(page(series, &kind));
    let bytes = page.len();
    let application = serve(page, &kind);
    for limit in [series as u64 + 10, series as u64 / 2] {
        measure(&agent, Path::new(&folder), &application, (&kind, bytes, limit, scrapes));
    }
}

/// Counters and histograms as services have them, `series` in all.
fn page(series: usize, kind: &str) -> String {
    let open = kind == "openmetrics";
    let family = |name: &str| if open { name.to_owned() } else { format!("{name}_total") };
    let mut out = String::new();
    let mut left = series;
    let mut number = 0;
    while left > 0 {
        let name = format!("app_requests_{number}");
        let _ = write!(out, "# HELP {0} Requests.\n# TYPE {0} counter\n", family(&name));
        for route in 0..200.min(left) {
            let _ = writeln!(
                out,
                "{name}_total{{method=\"GET\",path=\"/v1/trains/{route}\",code=\"200\",instance_id=\"booking-7d4f\"}} {}",
                route * 31 + number
            );
        }
        left -= 200.min(left);
        number += 1;
        if left < 12 {
            continue;
        }
        let name = format!("app_duration_seconds_{number}");
        let _ = write!(out, "# HELP {name} Durations.\n# TYPE {name} histogram\n");
        for (index, bound) in ["0.005", "0.01", "0.05", "0.1", "0.3", "0.5", "1", "2.5", "5"]
            .iter()
            .chain(&["+Inf"])
            .enumerate()
        {
            let _ = writeln!(out, "{name}_bucket{{path=\"/v1/seats\",le=\"{bound}\"}} {}", index * 17);
        }
        let _ = writeln!(out, "{name}_sum{{path=\"/v1/seats\"}} 12.5\n{name}_count{{path=\"/v1/seats\"}} 153");
        left -= 12;
        number += 1;
    }
    if open {
        out.push_str("# EOF\n");
    }
    out
}

fn serve(page: Arc<String>, kind: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let kind = match kind {
        "openmetrics" => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        _ => "text/plain; version=0.0.4; charset=utf-8",
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let page = Arc::clone(&page);
            thread::spawn(move || {
                let mut stream = stream;
                while request(&mut stream) {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                        page.len()
                    );
                    if stream.write_all(head.as_bytes()).is_err()
                        || stream.write_all(page.as_bytes()).is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}/metrics")
}

fn request(stream: &mut TcpStream) -> bool {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => seen.push(byte[0]),
            _ => return false,
        }
    }
    true
}

fn measure(agent: &str, folder: &Path, application: &str, (kind, bytes, limit, scrapes): (&str, usize, u64, u32)) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap().to_string();
    drop(free);
    let config = folder.join("agent.yaml");
    fs::write(
        &config,
        format!(
            "version: 2\nlisten: {listen}\napplications:\n  app: {{ url: '{application}', timeoutMs: 20000, \
             seriesLimit: {limit} }}\n"
        ),
    )
    .unwrap();
    let mut child = Command::new(agent)
        .args(["run", "--config"])
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3";
    while TcpStream::connect(&listen).is_err() {
        thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..3 {
        get(&listen, "/metrics/app/app", accept);
    }
    let (before, cpu) = (memory(child.id()), cpu_seconds(child.id()));
    let mut lines = 0;
    for _ in 0..scrapes {
        let page = get(&listen, "/metrics/app/app", accept);
        lines = page.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"app_")).count();
    }
    let spent = (cpu_seconds(child.id()) - cpu) / f64::from(scrapes);
    let after = memory(child.id());
    let own = get(&listen, "/metrics", "text/plain");
    let own = String::from_utf8_lossy(&own);
    let cut: f64 = own
        .lines()
        .filter(|line| line.starts_with("kai_agent_scrape_series_cut_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    println!(
        "{kind}, {:.1} MB, limit {limit}: {lines} series handed on, {:.0} cut a scrape; {:.1} ms CPU a \
         scrape; {:.1} MiB resident before, {:.1} MiB after {scrapes} scrapes",
        bytes as f64 / 1e6,
        cut / f64::from(scrapes + 3),
        spent * 1e3,
        before,
        after
    );
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let _ = child.wait();
}

fn get(address: &str, path: &str, accept: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut out = Vec::new();
    stream.read_to_end(&mut out).unwrap();
    assert!(out.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&out[..200.min(out.len())]));
    out
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// MiB resident.
fn memory(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
