//! Starts agents on free ports and talks HTTP to them. No agent outlives its test.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for something that should come; generous, because machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The agent as it was built with the tests, or another build of it where a figure is wanted.
pub fn binary() -> Command {
    let built = || env!("CARGO_BIN_EXE_kai-agent").into();
    let mut command = Command::new(std::env::var_os("KAI_TEST_AGENT").unwrap_or_else(built));
    command.env_remove("KAI_AGENT_LOG");
    command
}

/// The fixture tree of the repository.
pub fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/agent/fixtures/node")
}

/// Copies a folder, so that a test may spoil it.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_tree(&entry.path(), &target);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// An address of the loopback that nobody listens on just now.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Waits until the question is answered with something.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running agent; killed when dropped.
pub struct Agent {
    pub folder: tempfile::TempDir,
    pub address: String,
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Agent {
    /// Starts with these lines added to a configuration that has a free port and a socket.
    pub fn start(more: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), more)
    }

    pub fn start_in(folder: tempfile::TempDir, more: &str) -> Self {
        fs::write(
            folder.path().join("agent.yaml"),
            config(folder.path(), more),
        )
        .unwrap();
        let mut child = binary()
            .args(["run", "--log-format", "json", "--config"])
            .arg(folder.path().join("agent.yaml"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let sink = Arc::clone(&log);
        // Ends with the agent, whose end of the pipe closes.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                sink.lock().unwrap().push(value);
            }
        });
        let mut agent = Self {
            folder,
            address: String::new(),
            child,
            log,
        };
        agent.address = agent.logged("its address", |line| {
            Some(line.get("address")?.as_str()?.to_owned())
        });
        agent
    }

    /// A start that is expected to fail: exit code and standard error.
    pub fn refused(folder: &Path) -> (Option<i32>, String) {
        let output = binary()
            .args(["run", "--config"])
            .arg(folder.join("agent.yaml"))
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a log line of which the function makes something.
    pub fn logged<T>(&self, what: &str, pick: impl Fn(&Value) -> Option<T>) -> T {
        wait_for(what, || self.log.lock().unwrap().iter().find_map(&pick))
    }

    /// Waits for a log line that contains the text.
    pub fn logged_text(&self, text: &str) -> String {
        self.logged(text, |line| {
            // As one reads it, without JSON's escapes.
            let line = line.to_string().replace("\\\"", "\"");
            line.contains(text).then_some(line)
        })
    }

    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], "")
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        exchange(
            TcpStream::connect(&self.address).unwrap(),
            method,
            path,
            headers,
            body,
        )
    }

    pub fn admin(&self, method: &str, path: &str, body: &str) -> Reply {
        let stream = UnixStream::connect(self.path("admin.sock")).unwrap();
        exchange(stream, method, path, &[], body)
    }

    pub fn metrics(&self) -> Metrics {
        let reply = self.get("/metrics");
        assert_eq!(reply.status, 200, "{}", reply.text());
        Metrics::parse(&reply.text())
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for the process to end by itself.
    pub fn ended(&mut self) -> ExitStatus {
        wait_for("the agent's end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A whole configuration around some lines.
pub fn config(folder: &Path, more: &str) -> String {
    format!(
        "version: 1\nlisten: 127.0.0.1:0\nadmin:\n  socket: {}\n{more}",
        folder.join("admin.sock").display()
    )
}

/// The `roots:` of a configuration for a fixture tree.
pub fn roots(tree: &Path) -> String {
    format!(
        "roots:\n  proc: {0}/proc\n  sys: {0}/sys\n  root: {0}\n",
        tree.canonicalize().unwrap().display()
    )
}

/// An answer; header names in lower case.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
}

/// Sends one request and reads the answer to its end.
pub fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a complete head");
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let body = all[end + 4..].to_vec();
    if method != "HEAD" {
        assert_eq!(headers["content-length"], body.len().to_string());
    }
    Reply {
        status,
        headers,
        body,
    }
}

/// A page in the text format, taken apart; refuses what Prometheus refuses.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Help text and type by family.
    pub families: BTreeMap<String, (String, String)>,
    /// Value by series, as it is written.
    pub series: BTreeMap<String, String>,
}

impl Metrics {
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        let mut order = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                order.push(name.to_owned());
                let known = metrics
                    .families
                    .insert(name.to_owned(), (help.to_owned(), String::new()));
                assert!(known.is_none(), "family {name} is there twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let family = metrics.families.get_mut(name).expect("HELP before TYPE");
                kind.clone_into(&mut family.1);
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a sample");
                let name = series.split('{').next().unwrap();
                // Summaries' and histograms' samples have longer names than their family.
                assert!(
                    order
                        .last()
                        .is_some_and(|family| name.starts_with(family.as_str())),
                    "{line}"
                );
                assert!(value.parse::<f64>().is_ok(), "{line}");
                let known = metrics.series.insert(series.to_owned(), value.to_owned());
                assert!(known.is_none(), "series {series} is there twice");
            }
        }
        assert!(order.is_sorted(), "families are not sorted: {order:?}");
        metrics
    }

    pub fn value(&self, series: &str) -> f64 {
        let value = self
            .series
            .get(series)
            .unwrap_or_else(|| panic!("no series {series}"));
        value.parse().unwrap()
    }

    pub fn success(&self, collector: &str) -> f64 {
        self.value(&format!(
            "node_scrape_collector_success{{collector=\"{collector}\"}}"
        ))
    }
}

/// Bytes of a process that are in memory.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() * 1024
}
