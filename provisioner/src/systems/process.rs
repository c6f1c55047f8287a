//! Local processes: started detached in a session of their own, awaited on their health address,
//! stopped politely, with all that they started. Ours is told by marks in the environment, never by a pid file.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::file::{self, FileError};
use super::java;
use super::proc::{self, Found};
use crate::components::Installed;
use crate::http;
use crate::layout::Layout;
use crate::resource::{Address, Loaded, Process, Reload, digest};

/// Output larger than this is moved aside before a start.
const MAX_LOG: u64 = 10 * 1024 * 1024;
/// Between SIGTERM and SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot start {}: {source}", program.display())]
    Start {
        program: PathBuf,
        source: std::io::Error,
    },
    #[error("{name} ended while starting ({status}); its last output in {}:\n{tail}", log.display())]
    Ended {
        name: String,
        status: String,
        log: PathBuf,
        tail: String,
    },
    #[error(
        "{name} did not answer on {url} within {} s ({last}); its last output in {}:\n{tail}",
        within.as_secs(),
        log.display()
    )]
    NotReady {
        name: String,
        url: String,
        within: Duration,
        last: String,
        log: PathBuf,
        tail: String,
    },
    #[error("{name} (pid {pid}) is still there {} s after SIGKILL", STOP_WITHIN.as_secs())]
    WouldNotStop { name: String, pid: u32 },
    #[error("{0}")]
    Prepare(String),
    #[error("{name} refused to reload: {reason}")]
    Reload { name: String, reason: String },
}

/// Digest of what a process is started with; a change means a restart. The ports are part of it: a
/// listener that is named only in a configuration file does not move by a reload.
pub fn launch(process: &Process, program_digest: &str) -> String {
    let mut text = format!("{}\n{program_digest}\n", process.component);
    for arg in &process.args {
        text.push_str(arg);
        text.push('\n');
    }
    for (name, value) in &process.env {
        text.push_str(&format!("{name}={value}\n"));
    }
    text.push_str(&format!("ports={:?}\n", process.ports));
    digest(text)[..16].to_owned()
}

/// Where the component lies: the folder above the program's `bin`. The text of a document cannot
/// name it, since it is known only once the component is there.
pub const HOME: &str = "${home}";

fn with_home(arg: &str, program: &Path) -> String {
    let folder = program.parent().unwrap_or(program);
    let home = match folder.file_name() {
        Some(name) if name == "bin" => folder.parent().unwrap_or(folder),
        _ => folder,
    };
    arg.replace(HOME, &home.display().to_string())
}

/// Variables of the caller that a component may need; nothing else is passed on, so that no secret
/// of the caller's environment ends in a component's.
const PASSED_ON: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "RUST_BACKTRACE",
];

/// Starts the process and waits until it answers.
pub async fn start(
    process: &Process,
    installed: &Installed,
    owner: &str,
    layout: &Layout,
) -> Result<Found, ProcessError> {
    let address = Address::process(&process.name);
    let launch = launch(process, &installed.digest);
    let program = installed.programs.get(&process.program).ok_or_else(|| {
        let (name, version) = (&installed.name, &installed.version);
        ProcessError::Prepare(format!(
            "{name} {version} has no program {}",
            process.program
        ))
    })?;
    for remnant in proc::remnants(owner, &layout.root, address.as_str()) {
        stop(&remnant).await?;
    }
    for folder in &process.data {
        let folder = layout.root.join(folder);
        std::fs::create_dir_all(&folder).map_err(file::failed("create the folder", &folder))?;
    }
    let prepared = match &process.java {
        Some(server) => java::prepare(server, installed, program, layout)?,
        None => java::Prepared::as_it_is(program, &layout.root),
    };
    let log = layout.log(&process.name);
    let output = open_log(&log)?;
    let from = output.metadata().map_or(0, |meta| meta.len());
    let launcher = std::env::current_exe().map_err(|source| ProcessError::Start {
        program: program.to_owned(),
        source,
    })?;
    let mut command = Command::new(launcher);
    command
        .args(crate::cli::LAUNCH)
        .args(prepared.user.map(|user| user.to_string()))
        .arg("--")
        .arg(&prepared.program)
        .args(
            process
                .args
                .iter()
                .map(|arg| with_home(arg, &prepared.program)),
        )
        .env_clear()
        .envs(
            PASSED_ON
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .envs(&process.env)
        .envs(&prepared.env)
        .env(proc::OWNER, owner)
        .env(proc::STACK, &layout.root)
        .env(proc::ADDRESS, address.as_str())
        .env(proc::LAUNCH, &launch)
        .current_dir(&prepared.folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(file::failed("open", &log))?)
        .stderr(output);
    let mut child = command.spawn().map_err(|source| ProcessError::Start {
        program: program.to_owned(),
        source,
    })?;
    await_ready(process, &mut child, &log, from).await?;
    let pid = child.id();
    // Reaps it should it end while this program still runs; it is never waited for otherwise.
    std::thread::spawn(move || drop(child.wait()));
    let started = proc::stat(pid).map_or(0, |stat| stat.started);
    Ok(Found {
        pid,
        started,
        address: address.as_str().to_owned(),
        launch,
        resident: 0,
    })
}

async fn await_ready(
    process: &Process,
    child: &mut Child,
    log: &Path,
    from: u64,
) -> Result<(), ProcessError> {
    let client = http::client(Duration::from_secs(2));
    let deadline = Instant::now() + process.ready_within;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(ProcessError::Ended {
                name: process.name.clone(),
                status: status.to_string(),
                log: log.to_owned(),
                tail: tail(log, from),
            });
        }
        let last = match answers(&client, &process.ready).await {
            Ok(()) => return Ok(()),
            Err(reason) => reason,
        };
        if Instant::now() >= deadline {
            return Err(ProcessError::NotReady {
                name: process.name.clone(),
                url: process.ready.clone(),
                within: process.ready_within,
                last,
                log: log.to_owned(),
                tail: tail(log, from),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a process that already runs answers.
pub async fn await_answer(process: &Process, layout: &Layout) -> Result<(), ProcessError> {
    let client = http::client(Duration::from_secs(2));
    let deadline = Instant::now() + process.ready_within;
    loop {
        let answer = answers(&client, &process.ready).await;
        match answer.and(reachable(&process.reload).await) {
            Ok(()) => return Ok(()),
            Err(last) if Instant::now() >= deadline => {
                let log = layout.log(&process.name);
                return Err(ProcessError::NotReady {
                    name: process.name.clone(),
                    url: process.ready.clone(),
                    within: process.ready_within,
                    last,
                    tail: tail(&log, 0),
                    log,
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// `Ok` when the address answers 2xx; otherwise why not, in a few words.
pub async fn answers(client: &reqwest::Client, url: &str) -> Result<(), String> {
    match client.get(url).send().await {
        Ok(reply) if reply.status().is_success() => Ok(()),
        Ok(reply) => Err(format!("it answered {}", reply.status())),
        Err(error) if error.is_timeout() => Err("no answer in time".to_owned()),
        Err(error) if error.is_connect() => Err("nothing listens there".to_owned()),
        Err(_) => Err("the connection broke".to_owned()),
    }
}

/// Whether the way to reload the process is open: a socket file that somebody deleted does not come
/// back before the process is started again.
pub async fn reachable(reload: &Reload) -> Result<(), String> {
    let Reload::Socket(path) = reload else {
        return Ok(());
    };
    match tokio::net::UnixStream::connect(path).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("its socket {}: {error}", path.display())),
    }
}

/// Stops a process: SIGTERM, then SIGKILL. The identity is checked again before each signal.
pub async fn stop(found: &Found) -> Result<(), ProcessError> {
    let name = found.address.clone();
    for signal in [Signal::TERM, Signal::KILL] {
        if is_gone(found) {
            return Ok(());
        }
        // What it has started is told by it to end, or ends with it; killed, it can tell nobody.
        let told = match signal {
            Signal::KILL => proc::members(found),
            _ => vec![found.clone()],
        };
        for one in told.iter().filter(|one| proc::alive(one)) {
            if let Some(pid) = Pid::from_raw(one.pid as i32) {
                // An error means that it is gone already.
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        let deadline = Instant::now() + STOP_WITHIN;
        while Instant::now() < deadline {
            if is_gone(found) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Err(ProcessError::WouldNotStop {
        name,
        pid: found.pid,
    })
}

/// It and all that it started.
fn is_gone(found: &Found) -> bool {
    !proc::alive(found) && proc::members(found).is_empty()
}

/// Asks a running process to read its configuration again, and waits for its word that it did.
pub async fn reload(process: &Process) -> Result<(), ProcessError> {
    let refused = |reason: String| ProcessError::Reload {
        name: process.name.clone(),
        reason,
    };
    let client = http::client(Duration::from_secs(30));
    let reply = match &process.reload {
        Reload::Restart => return Ok(()),
        Reload::Http(url) => client.post(url).send().await,
        Reload::Socket(path) => match http::unix_client(path, Duration::from_secs(10)) {
            Ok(client) => client.post("http://agent/reload").send().await,
            Err(error) => return Err(refused(error.to_string())),
        },
    };
    match reply {
        Ok(reply) if reply.status().is_success() => Ok(()),
        Ok(reply) => {
            let status = reply.status();
            let body = reply.text().await.unwrap_or_default();
            Err(refused(format!("{status}: {}", body.trim())))
        }
        Err(error) => Err(refused(error.to_string())),
    }
}

/// What the running process says of the configuration in force. `None`: it does not answer, or
/// does not say.
pub async fn loaded(client: &reqwest::Client, process: &Process) -> Option<String> {
    let (url, metric) = match &process.loaded {
        Loaded::AtStart => return None,
        Loaded::Timestamp { url, metric } | Loaded::Digest { url, metric, .. } => (url, *metric),
    };
    let page = client.get(url).send().await.ok()?.text().await.ok()?;
    let line = page.lines().find(|line| {
        line.strip_prefix(metric)
            .is_some_and(|rest| rest.starts_with([' ', '{']))
    })?;
    match &process.loaded {
        Loaded::Digest { label, .. } => {
            let rest = line.split_once(&format!("{label}=\""))?.1;
            Some(rest.split_once('"')?.0.to_owned())
        }
        _ => line.rsplit_once(' ').map(|(_, value)| value.to_owned()),
    }
}

fn open_log(log: &Path) -> Result<File, FileError> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder).map_err(file::failed("create the folder", folder))?;
    }
    if std::fs::metadata(log).is_ok_and(|meta| meta.len() > MAX_LOG) {
        let aside = log.with_extension("log.1");
        std::fs::rename(log, &aside).map_err(file::failed("move aside", log))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(file::failed("open", log))
}

/// The last lines written after `from`, indented.
pub fn tail(log: &Path, from: u64) -> String {
    const BYTES: u64 = 16 * 1024;
    const LINES: usize = 12;
    let mut text = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(
            from.min(length).max(length.saturating_sub(BYTES)),
        ))?;
        file.read_to_end(&mut text)
    });
    if read.is_err() || text.is_empty() {
        return "    (no output)".to_owned();
    }
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(LINES);
    lines[start..]
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
