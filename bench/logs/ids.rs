//! What the ids of our documents cost a server: a real Elasticsearch takes the same lines with ids as
//! the agent makes them (a file's epoch and the line's offset), with ids of its own, and with random
//! ones of the same length, in turns. Its CPU time, and the bytes of each index when it is merged.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

mod lines;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Documents of one request.
const BULK: u64 = 5_000;
const WAYS: [&str; 3] = ["automatic", "ours", "random"];

struct Server {
    launcher: Child,
    pid: u32,
    port: u16,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().expect("usage: ids ELASTICSEARCH JAVA FOLDER DOCUMENTS ROUNDS");
    let (home, java, folder) = (PathBuf::from(next()), next(), PathBuf::from(next()));
    let mut number = || next().parse::<u64>().expect("a number");
    let (documents, rounds) = (number(), number());
    let server = Server::start(&home, &java, &folder);
    server.ask("PUT", "/_index_template/bench", &template());
    let mut figures = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (way, figures) in WAYS.iter().zip(&mut figures) {
            let name = format!("logs-kai.bench-{way}{round}");
            let before = server.cpu_seconds();
            server.index(&name, way, documents);
            server.ask("POST", &format!("/{name}/_flush?wait_if_ongoing=true"), "");
            let cpu = (server.cpu_seconds() - before) / (documents as f64 / 1e6);
            server.ask("POST", &format!("/{name}/_forcemerge?max_num_segments=1&flush=true"), "");
            server.ask("POST", &format!("/{name}/_refresh"), "");
            let stats = server.ask("GET", &format!("/{name}/_stats/store,docs?filter_path=_all.primaries"), "");
            assert_eq!(number_of(&stats, "\"count\":"), documents, "{stats}");
            let bytes = number_of(&stats, "\"size_in_bytes\":") as f64 / documents as f64;
            eprintln!("round {round}, {way}: {cpu:.2} CPU s per million, {bytes:.1} bytes a document");
            // The first round makes the server warm.
            if round > 0 {
                figures.push((cpu, bytes));
            }
        }
    }
    println!("| ids | server's CPU s per million documents, least/median/most | bytes a document, merged |");
    println!("|---|---|---|");
    for (way, figures) in WAYS.iter().zip(&mut figures) {
        figures.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (least, middle, most) = (figures[0].0, figures[figures.len() / 2], figures[figures.len() - 1].0);
        println!("| {way} | {least:.2} / {:.2} / {most:.2} | {:.1} |", middle.0, middle.1);
    }
}

fn template() -> String {
    r#"{"index_patterns":["logs-kai.bench-*"],"data_stream":{},"priority":500,"template":{"settings":{"number_of_replicas":0,"refresh_interval":"5s"},"mappings":{"properties":{"seq":{"type":"long"},"log.offset":{"type":"long"},"message":{"type":"text"}},"dynamic_templates":[{"words":{"match_mapping_type":"string","mapping":{"type":"keyword","ignore_above":1024}}}]}}}"#.to_owned()
}

fn number_of(text: &str, key: &str) -> u64 {
    let rest = text.split(key).nth(1).unwrap_or_default();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

/// Twenty characters: twelve of `high`, eight of `low`.
fn id(high: u128, low: u64) -> String {
    let digit = |bits: u128, place: u32| char::from(ALPHABET[(bits >> (6 * place)) as usize & 63]);
    let high = (0..12).rev().map(|place| digit(high, place));
    high.chain((0..8).rev().map(|place| digit(u128::from(low), place))).collect()
}

/// Numbers without an order.
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

impl Server {
    fn start(home: &Path, java: &str, folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let run = |program: &str, args: &[&str]| {
            assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
        };
        let path = |name: &str| folder.join(name).display().to_string();
        run("cp", &["-r", &home.join("config").display().to_string(), &path("config")]);
        let config = format!(
            "discovery.type: single-node\nxpack.security.enabled: false\nnetwork.host: 127.0.0.1\nhttp.port: \
             {port}\ntransport.port: 0\npath.data: {}\npath.logs: {}\n\
             cluster.routing.allocation.disk.threshold_enabled: false\n",
            path("data"),
            path("logs")
        );
        fs::write(folder.join("config/elasticsearch.yml"), config).unwrap();
        fs::create_dir_all(folder.join("config/jvm.options.d")).unwrap();
        fs::write(folder.join("config/jvm.options.d/heap.options"), "-Xms1g\n-Xmx1g\n").unwrap();

        let is_root = fs::read_dir("/root").is_ok();
        let program = home.join("bin/elasticsearch").display().to_string();
        let mut command = if is_root {
            // It refuses to run as root.
            run("chown", &["-R", "65534:65534", &folder.display().to_string()]);
            run("chmod", &["755", &folder.display().to_string()]);
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", &program]);
            command
        } else {
            Command::new(&program)
        };
        let launcher = command
            .args(["-p", &path("pid")])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("ES_PATH_CONF", folder.join("config"))
            .env("ES_JAVA_HOME", java)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { launcher, pid: 0, port };
        let begun = Instant::now();
        while server.try_ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=60s", "").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(300), "Elasticsearch does not start");
            thread::sleep(Duration::from_millis(200));
        }
        server.pid = fs::read_to_string(folder.join("pid")).unwrap().trim().parse().unwrap();
        server
    }

    fn index(&self, name: &str, way: &str, documents: u64) {
        let epoch = u128::from(mixed(0)) << 8;
        let (mut number, mut offset) = (0, 0);
        while number < documents {
            let mut body = String::new();
            for _ in 0..BULK.min(documents - number) {
                match way {
                    "automatic" => body.push_str("{\"create\":{}}\n"),
                    "ours" => body.push_str(&format!("{{\"create\":{{\"_id\":\"{}\"}}}}\n", id(epoch, offset))),
                    _ => {
                        let high = u128::from(mixed(number)) << 64 | u128::from(mixed(!number));
                        let id = id(high, mixed(number ^ 0x5555));
                        body.push_str(&format!("{{\"create\":{{\"_id\":\"{id}\"}}}}\n"));
                    }
                }
                let before = body.len();
                lines::line(&mut body, "json", number);
                offset += (body.len() - before) as u64;
                number += 1;
            }
            let reply = self.ask("POST", &format!("/{name}/_bulk?filter_path=errors"), &body);
            assert!(reply.contains("\"errors\":false"), "{reply}");
        }
    }

    /// Of the server itself, not its launcher.
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        self.try_ask(method, path, body).unwrap_or_else(|| panic!("{method} {path} is refused"))
    }

    /// `None` without a good answer.
    fn try_ask(&self, method: &str, path: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: \
             application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let head = if path.contains("_bulk") { head } else { head.replace("x-ndjson", "json") };
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).ok()?;
        let mut rest = String::new();
        reader.read_to_string(&mut rest).ok()?;
        if !status.split(' ').nth(1)?.starts_with('2') {
            if !path.contains("health") {
                eprintln!("{method} {path}: {}{rest}", status.trim());
            }
            return None;
        }
        Some(rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The launcher alone would leave the server behind.
        if self.pid > 0 {
            let _ = Command::new("kill").args(["-9", &self.pid.to_string()]).status();
        }
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}
