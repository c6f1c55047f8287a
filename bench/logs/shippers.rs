//! The shippers and how each is told to send one file's lines to the sink: as fast as it can, with
//! what its manual has for that.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shipper {
    Ours { kind: &'static str, private: bool },
    SyslogNg,
    Rsyslog,
}

pub const ROWS: [Shipper; 8] = [
    Shipper::Ours { kind: "json", private: true },
    Shipper::Ours { kind: "json", private: false },
    Shipper::Ours { kind: "plain", private: true },
    Shipper::Ours { kind: "plain", private: false },
    Shipper::Ours { kind: "cri", private: true },
    Shipper::Ours { kind: "cri", private: false },
    Shipper::SyslogNg,
    Shipper::Rsyslog,
];

/// Where the programs are.
pub struct Programs {
    pub agent: PathBuf,
    pub peers: PathBuf,
}

/// A command, and where it looks for libraries.
pub type Start = (Vec<String>, Option<String>);

impl Shipper {
    pub fn name(self) -> String {
        match self {
            Self::Ours { kind, private: true } => format!("kai-agent, {kind}, all five kinds redacted"),
            Self::Ours { kind, .. } => format!("kai-agent, {kind}"),
            Self::SyslogNg => "syslog-ng, raw json line as the document".to_owned(),
            Self::Rsyslog => "rsyslog omelasticsearch, raw json line".to_owned(),
        }
    }

    /// Which lines it sends.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Ours { kind, .. } => kind,
            _ => "json",
        }
    }

    /// Writes its configuration; `None` if the program is not there.
    pub fn start(self, programs: &Programs, folder: &Path, log: &Path, sink: SocketAddr) -> Option<Start> {
        let state = folder.join("state");
        let _ = fs::remove_dir_all(&state);
        fs::create_dir_all(&state).unwrap();
        let config = folder.join("shipper.conf");
        let (state, log, shown) = (state.display(), log.display(), config.display().to_string());
        let root = &programs.peers;
        let libraries = || {
            let under = |path: &str| root.join(path).display().to_string();
            [under("usr/lib/x86_64-linux-gnu"), under("lib/x86_64-linux-gnu"), under("usr/lib/syslog-ng")].join(":")
        };
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (text, start) = match self {
            Self::Ours { kind, private } => {
                let container = if kind == "cri" { "      container: cri\n" } else { "" };
                let privacy = if private { "  privacy: { redact: [pan, nik, email, phone, token] }\n" } else { "" };
                let text = format!(
                    "version: 2\nlisten: 127.0.0.1:0\nstate: {state}\nlogs:\n  elasticsearch: {{ endpoints: \
                     ['http://{sink}'] }}\n  sources:\n    bench:\n      paths: ['{log}']\n      dataStream: \
                     logs-kai.bench-local\n      fields: {{ service.name: bench }}\n{container}{privacy}"
                );
                let agent = programs.agent.display().to_string();
                (text, (words(&[&agent, "run", "--config", &shown]), None))
            }
            Self::SyslogNg => {
                let program = root.join("usr/sbin/syslog-ng");
                let modules = fs::read_dir(root.join("usr/lib/syslog-ng")).ok()?.flatten();
                let modules = modules.map(|entry| entry.path()).find(|path| path.join("libhttp.so").is_file())?;
                let text = format!(
                    "@version: 3.38\noptions {{ stats-freq(0); log-fifo-size(200000); }};\n\
                     source s {{ file(\"{log}\" flags(no-parse) follow-freq(0.1) log-fetch-limit(20000) \
                     log-iw-size(100000)); }};\n\
                     destination d {{ http(url(\"http://{sink}/logs-kai.bench-local/_bulk\") method(\"POST\") \
                     headers(\"Content-Type: application/x-ndjson\") batch-lines(5000) batch-bytes(4096Kb) \
                     batch-timeout(500) workers(1) timeout(60) body-suffix(\"\\n\") delimiter(\"\\n\") \
                     body('{{\"create\":{{}}}}\n$MSG')); }};\n\
                     log {{ source(s); destination(d); flags(flow-control); }};\n"
                );
                let file = |name: &str| format!("{state}/{name}");
                let program = program.is_file().then(|| program.display().to_string())?;
                let arguments = words(&[
                    &program, "-F", "--no-caps", "-f", &shown, "-R", &file("persist"), "-p", &file("pid"), "-c",
                    &file("control"), "--module-path", &modules.display().to_string(),
                ]);
                (text, (arguments, Some(libraries())))
            }
            Self::Rsyslog => {
                let program = root.join("usr/sbin/rsyslogd");
                let (host, port) = (sink.ip(), sink.port());
                let text = format!(
                    "global(workDirectory=\"{state}\" maxMessageSize=\"64k\")\n\
                     module(load=\"imfile\")\nmodule(load=\"omelasticsearch\")\n\
                     template(name=\"raw\" type=\"string\" string=\"%msg%\")\n\
                     main_queue(queue.type=\"FixedArray\" queue.size=\"100000\" \
                     queue.dequeueBatchSize=\"4000\" queue.workerThreads=\"1\")\n\
                     input(type=\"imfile\" file=\"{log}\" tag=\"bench\" ruleset=\"send\" freshStartTail=\"off\")\n\
                     ruleset(name=\"send\") {{ action(type=\"omelasticsearch\" server=\"{host}\" \
                     serverport=\"{port}\" searchIndex=\"logs-kai.bench-local\" searchType=\"\" template=\"raw\" \
                     bulkmode=\"on\" maxbytes=\"4m\") }}\n"
                );
                let program = program.is_file().then(|| program.display().to_string())?;
                let modules = root.join("usr/lib/x86_64-linux-gnu/rsyslog").display().to_string();
                let pid = format!("{state}/pid");
                let arguments = words(&[&program, "-n", "-f", &shown, "-i", &pid, "-M", &modules]);
                (text, (arguments, Some(libraries())))
            }
        };
        fs::write(&config, text).unwrap();
        Some(start)
    }
}
