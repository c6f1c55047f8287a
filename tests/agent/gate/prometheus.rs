//! A real Prometheus: the queries are PromQL that it takes, and a series that nobody writes any
//! more is no evidence. Not run, by name, where no Prometheus is at hand.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;

use super::{Place, verdicts};
use crate::gate::servers::{Fake, json as reply};
use crate::support::wait_for;

/// In the PATH, or where the stack's tests have put one.
pub fn program() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join("prometheus"))
            .find(|file| file.is_file())
    });
    let cache = std::env::var_os("KAI_CACHE")
        .map(PathBuf::from)
        .or_else(|| {
            let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            let base =
                base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
            Some(base.join("kai-observe"))
        })?;
    in_path.or_else(|| find(&cache.join("components/prometheus"), 5))
}

fn find(folder: &Path, depth: usize) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|e| e.path())
        .collect();
    // The package has a start script of that name, too.
    let is_program = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name == "prometheus")
            && fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF"))
    };
    entries
        .iter()
        .find(|path| is_program(path))
        .cloned()
        .or_else(|| {
            let mut folders = entries.iter().filter(|path| path.is_dir() && depth > 0);
            folders.find_map(|folder| find(folder, depth - 1))
        })
}

struct Prometheus {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(program: &Path, target: &str) -> Prometheus {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n- job_name: booking\n  \
         static_configs: [{{ targets: ['{}'], labels: {{ service: booking }} }}]\n",
        target.trim_start_matches("http://")
    );
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = Command::new(program)
        .arg(format!(
            "--config.file={}",
            folder.path().join("prometheus.yml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Prometheus {
        child,
        url: format!("http://127.0.0.1:{port}"),
        _folder: folder,
    }
}

#[test]
fn a_real_prometheus_passes_fails_goes_stale_and_stops() {
    let Some(program) = program() else {
        eprintln!(
            "not run: a_real_prometheus_passes_fails_goes_stale_and_stops: no Prometheus in the \
             PATH or the component cache; `kai-observe provision` fetches one"
        );
        return;
    };
    let (failing, answering) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(true)),
    );
    let (total, errors) = (AtomicU64::new(0), AtomicU64::new(0));
    let (fails, answers) = (Arc::clone(&failing), Arc::clone(&answering));
    let service = Fake::start(move |_| {
        if !answers.load(Ordering::SeqCst) {
            return reply(500, &json!({}));
        }
        let all = total.fetch_add(100, Ordering::SeqCst);
        let bad = errors.fetch_add(
            if fails.load(Ordering::SeqCst) { 20 } else { 0 },
            Ordering::SeqCst,
        );
        let page = format!(
            "# TYPE http_requests_total counter\nhttp_requests_total{{code=\"200\"}} {}\n\
             http_requests_total{{code=\"500\"}} {bad}\n",
            all - bad
        );
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\r\n{page}",
            page.len()
        )
    });
    let mut prometheus = start(&program, &service.url);
    let place = Place::new(
        &format!("  prometheus: {{ url: '{}' }}", prometheus.url),
        "      windowSeconds: 10\n      scrapeIntervalSeconds: 1\n      \
         errors: sum(increase(http_requests_total{service=\"$service\",code=~\"5..\"}[$window]))\n      \
         total: sum(increase(http_requests_total{service=\"$service\"}[$window]))\n      \
         up: up{service=\"$service\"}",
    );
    let until = |wanted: i32| {
        wait_for("the verdict", || {
            let (code, answer) = place.judged(&[]);
            (code == wanted).then_some(answer)
        })
    };
    until(0);
    failing.store(true, Ordering::SeqCst);
    until(2);
    failing.store(false, Ordering::SeqCst);
    until(0);
    // The service is scraped no more: its series end, though the window still holds samples.
    answering.store(false, Ordering::SeqCst);
    let answer = until(4);
    assert_eq!(
        verdicts(&answer),
        [("error-ratio".to_owned(), "no-data".to_owned())]
    );
    answering.store(true, Ordering::SeqCst);
    until(0);
    prometheus.child.kill().unwrap();
    prometheus.child.wait().unwrap();
    let answer = until(4);
    assert!(
        answer.to_string().contains("nothing listens there"),
        "{answer:#}"
    );
}
