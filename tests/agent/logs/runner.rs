//! An agent that can be killed and started again over the same files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::{Metrics, binary, exchange, wait_for};

pub struct Runner {
    pub folder: tempfile::TempDir,
    child: Option<Child>,
    pub address: String,
    pub log: Arc<Mutex<String>>,
}

impl Runner {
    /// A folder with `l/` for log files; the agent's configuration is `logs:` with these endpoints,
    /// whatever else is given, and one source over `l/*.log`.
    pub fn new(endpoints: &[String], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("l")).unwrap();
        let runner = Self {
            folder,
            child: None,
            address: String::new(),
            log: Arc::default(),
        };
        runner.configure(endpoints, more, "");
        runner
    }

    /// Writes the configuration; `sources` come beside the one over `l/*.log`.
    pub fn configure(&self, endpoints: &[String], more: &str, sources: &str) {
        let text = format!(
            "version: 2\nlisten: 127.0.0.1:0\nstate: {state}\nlogs:\n  elasticsearch:\n    \
             endpoints: {endpoints:?}\n{more}\n  sources:\n    app:\n      paths: ['{files}']\n      \
             dataStream: logs-kai.app-test\n      fields: {{ service.name: app }}\n{sources}",
            state = self.path("state").display(),
            files = self.path("l/*.log").display(),
        );
        // Renamed over the old one, so that a reload never sees half of it.
        fs::write(self.path("next.yaml"), text).unwrap();
        fs::rename(self.path("next.yaml"), self.path("agent.yaml")).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn start(&mut self) {
        assert!(self.child.is_none());
        let mut child = binary()
            .args(["run", "--log-format", "json", "--config"])
            .arg(self.path("agent.yaml"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address = None;
        for line in lines.by_ref().map_while(Result::ok) {
            self.log.lock().unwrap().push_str(&format!("{line}\n"));
            let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(found) = value.get("address").and_then(|address| address.as_str()) {
                address = Some(found.to_owned());
                break;
            }
        }
        let log = Arc::clone(&self.log);
        // Ends with the agent, whose end of the pipe closes.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                log.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        self.child = Some(child);
        self.address = address.unwrap_or_else(|| panic!("it did not start: {}", self.logged()));
    }

    pub fn logged(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until all of these were logged.
    pub fn logged_all(&self, texts: &[&str]) {
        for text in texts {
            wait_for(text, || self.logged().contains(text).then_some(()));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = child.id().to_string();
        let status = std::process::Command::new("kill").arg(pid).status();
        assert!(status.unwrap().success());
        wait_for("the agent's end", || child.try_wait().unwrap());
    }

    pub fn metrics(&self) -> Metrics {
        let stream = TcpStream::connect(&self.address).unwrap();
        let reply = exchange(stream, "GET", "/metrics", &[], "");
        assert_eq!(reply.status, 200);
        Metrics::parse(&reply.text())
    }

    /// A series of the lane; 0 while it is not there.
    pub fn value(&self, series: &str) -> f64 {
        let series = format!("kai_agent_log_{series}");
        let metrics = self.metrics();
        metrics
            .series
            .get(&series)
            .map_or(0.0, |value| value.parse().unwrap())
    }

    pub fn outcome(&self, outcome: &str) -> f64 {
        self.value(&format!(
            "events_total{{outcome=\"{outcome}\",reason=\"\",source=\"app\"}}"
        ))
    }

    /// The ledger's sum: every line read is in exactly one place.
    pub fn assert_balanced(&self) {
        let metrics = self.metrics();
        let mut read = 0.0;
        let mut ended: BTreeMap<String, f64> = BTreeMap::new();
        for (series, value) in &metrics.series {
            let value: f64 = value.parse().unwrap();
            if series.starts_with("kai_agent_log_read_events_total{") {
                read += value;
            } else if series.starts_with("kai_agent_log_events_total{")
                || series.starts_with("kai_agent_log_events_in_flight{")
            {
                *ended.entry(series.clone()).or_default() += value;
            }
        }
        assert_eq!(read, ended.values().sum::<f64>(), "{ended:?}");
    }

    pub fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        append(&self.path(name), text.as_ref());
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.logged());
        }
    }
}

pub fn append(path: &Path, text: &[u8]) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text).unwrap();
}

/// Lines with these numbers as their `seq`.
pub fn numbered(range: std::ops::Range<u64>) -> String {
    use std::fmt::Write;
    range.fold(String::new(), |mut text, number| {
        writeln!(text, "{{\"seq\":{number}}}").unwrap();
        text
    })
}
