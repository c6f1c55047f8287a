//! A stack of its own for each test: own folder, own ports, the real program, and nothing left
//! running whatever the test does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// First port of a range of 40 that nobody listens on.
pub fn free_ports() -> u16 {
    static NEXT: Mutex<u16> = Mutex::new(0);
    let mut next = NEXT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if *next == 0 {
        // Test programs run side by side; they start from different places, below the range from
        // which Linux takes the ports of outgoing connections.
        *next = 12_000 + (std::process::id() % 450) as u16 * 40;
    }
    loop {
        let base = *next;
        *next = if base > 32_000 { 12_000 } else { base + 40 };
        if (base..base + 40).all(|port| !kai_observe::systems::ports::is_taken(port)) {
            return base;
        }
    }
}

pub struct Stack {
    pub folder: tempfile::TempDir,
    pub base: u16,
    pub id: String,
    pub vars: Vec<(String, String)>,
    /// In place of the test's own.
    pub other_home: Option<PathBuf>,
}

/// What a command ended with.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.out,
            self.err
        );
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Stack {
    /// The example's spec with ports of its own, without the systems that take long to start.
    pub fn new() -> Self {
        let stack = Self::full();
        stack.write_spec(&stack.example());
        stack
    }

    /// The whole of the example's spec.
    pub fn full() -> Self {
        let base = free_ports();
        let stack = Self {
            folder: tempfile::Builder::new()
                .prefix("kai-")
                .tempdir()
                .expect("a folder"),
            base,
            id: format!("t{base}x{:05x}", std::process::id() & 0xf_ffff),
            vars: Vec::new(),
            other_home: None,
        };
        stack.write_spec(&stack.full_example());
        stack
    }

    /// [`Stack::full_example`] without the systems that take long to start.
    pub fn example(&self) -> String {
        let mut text = self.full_example();
        for system in ["elasticsearch", "jaeger", "grafana", "kibana"] {
            text = with_system(&text, system, "{ mode: \"off\" }");
        }
        // Without its lines nothing can be counted in them.
        let figures = text.find("metrics:  ").unwrap();
        let end = text[figures..].find("routing:").unwrap();
        text.replace_range(figures..figures + end, "");
        text.replace(
            "    logs: { paths: [\"${data}/*.log\"], format: json }\n",
            "",
        )
    }

    /// The example's text, moved to this stack's ports and identity.
    pub fn full_example(&self) -> String {
        let text = std::fs::read_to_string(root().join("examples/ticketing/observe.yaml")).unwrap();
        let rules = root().join("alert-rules").display().to_string();
        text.replace("k7m2x4qd9t", &self.id)
            .replace("base: 7070", &format!("base: {}", self.base))
            .replace("127.0.0.1:7076", &format!("127.0.0.1:{}", self.base + 6))
            // Tests are about one thing; those about traces switch it on.
            .replace(
                "  inbox: { mode: managed }\n",
                "  inbox: { mode: managed }\n  jaeger: { mode: off }\n",
            )
            .replace(
                "127.0.0.1:8080",
                &format!("127.0.0.1:{}", self.service_port()),
            )
            .replace("../../alert-rules", &rules)
    }

    pub fn service_port(&self) -> u16 {
        self.base + 35
    }
    pub fn spec(&self) -> PathBuf {
        self.folder.path().join("observe.yaml")
    }
    pub fn home(&self) -> PathBuf {
        self.other_home
            .clone()
            .unwrap_or_else(|| self.folder.path().join("home"))
    }
    /// The stack's own folder.
    pub fn place(&self) -> PathBuf {
        self.home()
            .join("stacks")
            .join(format!("{}-local", self.id))
    }
    pub fn write_spec(&self, text: &str) {
        std::fs::write(self.spec(), text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kai-observe"));
        command
            .args(args)
            .arg("--spec")
            .arg(self.spec())
            .arg("--home")
            .arg(self.home())
            .env_remove("KAI_HOME")
            .env_remove("KAI_SPEC")
            .env_remove("KAI_ENV")
            .env_remove("KAI_FAULT")
            .env("NO_COLOR", "1")
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .stdin(std::process::Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.command(args)
            .output()
            .expect("kai-observe starts")
            .into()
    }

    pub fn run_with(&self, vars: &[(&str, &str)], args: &[&str]) -> Ran {
        self.command(args)
            .envs(vars.iter().copied())
            .output()
            .expect("kai-observe starts")
            .into()
    }

    /// Process name to pid, from `status`.
    pub fn pids(&self) -> BTreeMap<String, u32> {
        let status = self.run(&["status", "--output", "json"]).json();
        let rows = status["processes"].as_array().expect("processes");
        rows.iter()
            .filter_map(|row| {
                Some((
                    row["process"].as_str()?.to_owned(),
                    row["pid"].as_u64()? as u32,
                ))
            })
            .collect()
    }

    /// Every living process with this stack's marks, whatever its name.
    pub fn living(&self) -> Vec<kai_observe::systems::proc::Found> {
        kai_observe::systems::proc::find(&format!("{}-local", self.id), &self.place())
    }

    pub fn url(&self, offset: u16, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.base + offset)
    }
    pub fn inbox(&self, path: &str) -> Value {
        get_json(&self.url(1, path))
    }
}

/// The spec with another entry for one of its systems.
pub fn with_system(spec: &str, system: &str, entry: &str) -> String {
    let without: String = spec
        .lines()
        .filter(|line| !line.starts_with(&format!("  {system}: {{")))
        .flat_map(|line| [line, "\n"])
        .collect();
    without.replacen("systems:\n", &format!("systems:\n  {system}: {entry}\n"), 1)
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.place().exists() {
            let _ = self.run(&["destroy", "--yes", "--purge"]);
        }
        // Should `destroy` itself be broken: end what carries our marks.
        for found in self.living() {
            kill(found.pid);
        }
    }
}

pub fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

pub fn request(method: reqwest::Method, url: &str, body: Option<Value>) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = kai_observe::http::client(Duration::from_secs(10));
        let mut request = client.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        match request.send().await {
            Ok(reply) => (
                reply.status().as_u16(),
                reply.text().await.unwrap_or_default(),
            ),
            Err(error) => (0, error.to_string()),
        }
    })
}

pub fn get_json(url: &str) -> Value {
    let (status, body) = request(reqwest::Method::GET, url, None);
    assert_eq!(status, 200, "{url}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{url}: {error}: {body}"))
}

/// Waits for something that takes a few evaluations; what it waited for is in the panic.
#[track_caller]
pub fn wait_for<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = ask() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
