//! Ours against a real node_exporter, side by side: on this machine and on the fixture tree.
//!
//! Runs if `KAI_NODE_EXPORTER` names a binary, or `node_exporter` or `prometheus-node-exporter`
//! is on the PATH; says so if not:
//! `KAI_NODE_EXPORTER=… cargo test -p kai-agent --test agent compare -- --nocapture`
//!
//! Ours is read before and after theirs. A value that is the same in both must be theirs; one that
//! moved must have theirs between or around it, which cannot be told for every gauge, so only
//! counters are held to it. A series that moved and came back is asked again.

mod theirs;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kai_contract::agent_config::{COLLECTORS, OPT_IN};

use crate::support::{Agent, Metrics, exchange, fixture, roots, wait_for};

/// Deviations by family: what is ours and theirs when they differ rightly, and why.
const KNOWN: [(&str, &str, &str, &str); 1] = [(
    "node_filesystem_readonly",
    "1",
    "0",
    "node_exporter before 1.12 sees \"ro\" only if it is a mount's sole option",
)];

/// Families of which theirs may lack series that ours has, and why.
const MORE: (&str, &str) = (
    "node_nvme_namespace_",
    "node_exporter 1.11.1 knows nvme0n1 or nvme0c0n1, by the library it was built with; ours both",
);

/// A family that tells of its reader as well: how far both may be apart, and why.
const OF_THE_READER: (&str, f64, &str) = (
    "node_filefd_allocated",
    64.0,
    "counts what the reader itself has open meanwhile; ours keeps a few files, theirs opens more",
);

/// How often a difference is looked at again before it counts.
const ROUNDS: usize = 8;

const MOUNT_POINTS: &str =
    "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";

/// Those that both have and that node_exporter runs by default.
fn collectors() -> impl Iterator<Item = &'static str> {
    COLLECTORS.into_iter().filter(|name| !OPT_IN.contains(name))
}

/// Opt-ins that show the same on both.
const ENABLED: [&str; 2] = ["cgroups", "processes"];

/// And those for which theirs asks this machine's kernel, whatever the roots.
const ENABLED_HERE: [&str; 4] = ["cgroups", "ethtool", "processes", "tcpstat"];

pub struct NodeExporter {
    child: Child,
    address: String,
}

impl NodeExporter {
    /// `None`, said aloud, if there is no binary.
    fn start(enabled: &[&'static str], more: &[String]) -> Option<Self> {
        let all: Vec<_> = collectors().chain(enabled.iter().copied()).collect();
        Self::start_with(&all, more, &[])
    }

    /// With these collectors only, and these variables in its environment.
    pub fn start_with(
        enabled: &[&'static str],
        more: &[String],
        environment: &[(&str, &str)],
    ) -> Option<Self> {
        let names = ["node_exporter", "prometheus-node-exporter"];
        let Some(binary) = find("KAI_NODE_EXPORTER", &names) else {
            println!("not run: no node_exporter (set KAI_NODE_EXPORTER or have it on the PATH)");
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut command = Command::new(binary);
        command
            .arg(format!("--web.listen-address={address}"))
            .args([
                "--web.disable-exporter-metrics",
                "--collector.disable-defaults",
            ])
            .args(enabled.iter().map(|name| format!("--collector.{name}")))
            .envs(environment.iter().copied())
            // Debian's package has other defaults.
            .arg(format!(
                "--collector.filesystem.mount-points-exclude={MOUNT_POINTS}"
            ))
            .arg("--collector.textfile.directory=")
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let exporter = Self {
            child: command.spawn().unwrap(),
            address,
        };
        wait_for("node_exporter", || {
            std::net::TcpStream::connect(&exporter.address).ok()
        });
        Some(exporter)
    }

    fn metrics(&self) -> Metrics {
        let stream = std::net::TcpStream::connect(&self.address).unwrap();
        // One that answers in chunks is asked in the old protocol's way: without any.
        let reply = fetch(stream);
        Metrics::parse(&reply)
    }
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// HTTP/1.0, so that the answer ends where the connection does.
pub fn fetch(mut stream: std::net::TcpStream) -> String {
    use std::io::Read;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    all.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// The program that the variable names, or the first of these names on the PATH.
fn find(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(given) = std::env::var_os(variable) {
        return Some(given.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(components(names))
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|candidate| candidate.is_file())
}

/// Folders of the component cache in which kai-observe keeps what it fetched, if it ever did.
fn components(names: &[&str]) -> Vec<PathBuf> {
    let Some(home) = std::env::var_os("HOME") else {
        return Vec::new();
    };
    let cache = Path::new(&home).join(".cache/kai-observe/components");
    // promtool comes with Prometheus.
    let versions = names
        .iter()
        .chain(&["prometheus"])
        .map(|name| cache.join(name));
    versions
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten())
        .filter_map(|version| Some(version.ok()?.path().join("usr/bin")))
        .collect()
}

fn ours(agent: &Agent) -> Metrics {
    let stream = std::net::TcpStream::connect(&agent.address).unwrap();
    Metrics::parse(&exchange(stream, "GET", "/metrics", &[], "").text())
}

fn is_shared(name: &str) -> bool {
    name.starts_with("node_") && !name.starts_with("node_exporter_")
}

/// Our configuration, of the same collectors.
fn enabled(names: &[&str], more: &str) -> String {
    format!("{more}collectors:\n  enable: [{}]\n", names.join(", "))
}

/// Compares and prints a summary; panics with all the differences.
fn compare(title: &str, agent: &Agent, exporter: &NodeExporter) {
    compare_some(title, agent, exporter, is_shared);
}

/// The same for some families only.
pub fn compare_some(
    title: &str,
    agent: &Agent,
    exporter: &NodeExporter,
    is_shared: impl Fn(&str) -> bool + Copy,
) {
    let mut differences = BTreeSet::new();
    let mut known = BTreeSet::new();
    let (mut families, mut equal, mut moved) = (0, BTreeSet::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        let before = ours(agent);
        let theirs = exporter.metrics();
        let after = ours(agent);
        differences = shapes(&after, &theirs, is_shared);
        families = after.families.keys().filter(|name| is_shared(name)).count();
        for (series, value) in theirs.series.iter().filter(|(series, _)| is_shared(series)) {
            if equal.contains(series) {
                continue;
            }
            let name = series.split('{').next().unwrap();
            let (Some(first), Some(last)) = (before.series.get(series), after.series.get(series))
            else {
                continue; // told by `shapes`
            };
            let counter = after.families[name].1 == "counter";
            if first == last && first == value {
                equal.insert(series.clone());
                moved.remove(series);
            } else if let Some(deviation) = KNOWN.iter().find(|(family, ours, theirs, _)| {
                *family == name && ours == last && theirs == value
            }) {
                known.insert(format!(
                    "{series}: ours {last}, theirs {value}: {}",
                    deviation.3
                ));
            } else if name == OF_THE_READER.0 && apart(last, value) <= OF_THE_READER.1 {
                known.insert(format!(
                    "{series}: ours {last}, theirs {value}: {}",
                    OF_THE_READER.2
                ));
            } else if first != last && (!counter || between(first, value, last)) {
                moved.insert(series.clone());
            } else if !moved.contains(series) {
                differences.insert(format!(
                    "{series}: ours {first}, then {last}; theirs {value}"
                ));
            }
        }
        if differences.is_empty() {
            println!(
                "{title}: {families} families with help and type, {} series equal in value, {} \
                 moving, {} known deviations ({} rounds)",
                equal.len(),
                moved.len(),
                known.len(),
                round + 1
            );
            for line in &known {
                println!("  known: {line}");
            }
            return;
        }
    }
    panic!(
        "{title}: {families} families, {} differences:\n{differences:#?}",
        differences.len()
    );
}

fn between(first: &str, value: &str, last: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().unwrap();
    (number(first)..=number(last)).contains(&number(value))
}

fn apart(a: &str, b: &str) -> f64 {
    let number = |text: &str| text.parse::<f64>().unwrap();
    (number(a) - number(b)).abs()
}

/// Families, help, types and series that only one side has.
fn shapes(
    ours: &Metrics,
    theirs: &Metrics,
    is_shared: impl Fn(&str) -> bool + Copy,
) -> BTreeSet<String> {
    let shared = |metrics: &Metrics| -> BTreeSet<String> {
        let families = metrics.families.iter().filter(|(name, _)| is_shared(name));
        families
            .map(|(name, (help, kind))| format!("family {name} {kind} {help}"))
            .chain(
                metrics
                    .series
                    .keys()
                    .filter(|series| is_shared(series))
                    .cloned(),
            )
            .collect()
    };
    let (ours, theirs) = (shared(ours), shared(theirs));
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>, whose: &str| -> Vec<String> {
        a.difference(b)
            .map(|item| format!("only {whose}: {item}"))
            .collect()
    };
    only(&ours, &theirs, "ours")
        .into_iter()
        .filter(|line| !line.contains(MORE.0))
        .chain(only(&theirs, &ours, "theirs"))
        .collect()
}

#[test]
fn compare_with_node_exporter_on_this_machine() {
    let Some(exporter) = NodeExporter::start(&ENABLED_HERE, &[]) else {
        return;
    };
    compare(
        "this machine",
        &Agent::start(&enabled(&ENABLED_HERE, "")),
        &exporter,
    );
}

#[test]
fn compare_with_node_exporter_on_the_fixture_tree() {
    let tree = fixture().canonicalize().unwrap();
    let below = |name: &str, folder: &str| format!("--path.{name}={}", tree.join(folder).display());
    let Some(exporter) = NodeExporter::start(
        &ENABLED,
        &[
            below("procfs", "proc"),
            below("sysfs", "sys"),
            below("rootfs", ""),
            below("udev.data", "run/udev/data"),
            "--no-collector.netdev.netlink".to_owned(),
            "--no-collector.arp.netlink".to_owned(),
        ],
    ) else {
        return;
    };
    compare(
        "fixture tree",
        &Agent::start(&enabled(&ENABLED, &roots(Path::new(&tree)))),
        &exporter,
    );
}

/// promtool's checks, if there is one (`KAI_PROMTOOL` or on the PATH). It complains about
/// node_exporter's names in camel case and entropy in bits, which are the point; about nothing else.
#[test]
fn promtool_accepts_the_page() {
    let Some(promtool) = find("KAI_PROMTOOL", &["promtool"]) else {
        println!("not run: no promtool (set KAI_PROMTOOL or have it on the PATH)");
        return;
    };
    let page = Agent::start("").get("/metrics");
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&page.body).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let expected = |line: &&str| {
        let camel = ["node_memory_", "node_netstat_"];
        camel.iter().any(|name| line.starts_with(name)) && line.contains("snake_case")
            || line.starts_with("node_entropy_") && line.contains("\"bits\"")
    };
    let unexpected: Vec<_> = said.lines().filter(|line| !expected(line)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        output.status
    );
}
