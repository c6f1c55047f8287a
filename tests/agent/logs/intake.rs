//! What comes over the network: it is delivered once, whatever happens to the agent, to the disk
//! and to Elasticsearch, or it is counted.

use std::fs;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::fake::{Do, Fake};
use super::runner::Runner;
use crate::support::{free_address, wait_for};

mod otlp;
mod senders;
mod tls;

/// An agent with a source `net` that takes syslog at an address over UDP and TCP.
struct Setup {
    fake: Fake,
    agent: Runner,
    address: String,
}

fn source(address: &str, more: &str) -> String {
    format!(
        "    net:\n      dataStream: logs-kai.net-test\n      syslog:\n        udp: {address}\n        \
         tcp: {address}\n{more}"
    )
}

fn started(lane: &str, more: &str) -> Setup {
    let fake = Fake::start();
    let address = free_address();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    agent.configure(
        std::slice::from_ref(&fake.url),
        lane,
        &source(&address, more),
    );
    agent.start();
    listening(&agent);
    Setup {
        fake,
        agent,
        address,
    }
}

fn listening(agent: &Runner) {
    agent.logged_all(&["syslog_udp", "syslog_tcp"]);
}

impl Setup {
    fn udp(&self, text: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(text.as_bytes(), &self.address).unwrap();
    }

    fn tcp(&self) -> TcpStream {
        wait_for("the listener", || TcpStream::connect(&self.address).ok())
    }

    fn value(&self, series: &str) -> f64 {
        self.agent.value(&series.replace('$', "source=\"net\""))
    }

    /// Numbers at the ends of the messages that are there.
    fn numbers(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self
            .fake
            .messages()
            .iter()
            .map(|text| text.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        all.sort_unstable();
        all
    }

    /// Waits until everything has its outcome, and the sum holds.
    fn settled(&self, read: f64) {
        wait_for("outcomes", || {
            let all = self.value("read_events_total{$}") >= read;
            (all && self.value("events_in_flight{$}") == 0.0).then_some(())
        });
        self.agent.assert_balanced();
    }

    /// Sends datagrams until one is dropped for this reason; how many.
    fn datagrams_until_a_drop(&self, reason: &str) -> u64 {
        let dropped = format!("events_total{{outcome=\"dropped\",reason=\"{reason}\",$}}");
        let mut sent = 0;
        wait_for("a drop", || {
            for number in 1_000_000 + sent..1_000_100 + sent {
                self.udp(messages(number..number + 1).trim_end());
            }
            sent += 100;
            (self.value(&dropped) > 0.0).then_some(())
        });
        assert_eq!(self.value("kernel_dropped_datagrams_total{$}"), 0.0);
        sent
    }

    /// Every message of the connection is there once, and every datagram at most once.
    fn all_but_datagrams(&self, count: u64) {
        let (first, datagrams): (Vec<u64>, Vec<u64>) = self
            .numbers()
            .into_iter()
            .partition(|number| *number < 1_000_000);
        assert_eq!(first, (0..count).collect::<Vec<_>>());
        assert!(
            datagrams.windows(2).all(|pair| pair[0] < pair[1]),
            "{datagrams:?}"
        );
    }

    fn segments(&self) -> Vec<PathBuf> {
        let folder = self.agent.path("state/spool/queues/net/logs-kai.net-test");
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn messages(range: std::ops::Range<u64>) -> String {
    use std::fmt::Write;
    range.fold(String::new(), |mut text, number| {
        let message = "<13>1 2026-11-24T02:06:29Z edge app - - - number";
        writeln!(text, "{message} {number}").unwrap();
        text
    })
}

const SPOOL: &str = "  spool: { maxBytes: 67108864 }";

#[test]
fn datagrams_and_connections_become_documents_with_their_senders_address() {
    let setup = started("", "");
    setup
        .udp("<34>1 2026-11-24T02:06:29.003Z core-1 su 12 ID47 - failed for a 4111 1111 1111 1111");
    let mut stream = setup.tcp();
    stream
        .write_all(b"34 <13>Nov 24 02:06:29 edge-2 a[9]: b<13>Nov 24 02:06:29 edge-3 c: d\nlast without an end")
        .unwrap();
    drop(stream);
    wait_for("documents", || (setup.fake.count() == 4).then_some(()));
    let documents = setup.fake.documents();
    let of = |host: &str| -> Value {
        let is = |document: &&Value| document["host.name"] == host;
        documents.iter().find(is).unwrap().clone()
    };
    let first = of("core-1");
    assert_eq!(first["log.syslog.facility.name"], "auth");
    assert_eq!(first["source.ip"], "127.0.0.1");
    assert_eq!(of("edge-2")["message"], "b");
    assert_eq!(of("edge-3")["process.name"], "c");
    assert!(
        setup
            .fake
            .messages()
            .contains(&"last without an end".to_owned())
    );
    setup.settled(4.0);
    assert_eq!(setup.value("flaws_total{flaw=\"unparsed\",$}"), 1.0);
}

#[test]
fn the_system_logger_is_understood() {
    let setup = started("", "");
    let (host, port) = setup.address.rsplit_once(':').unwrap();
    for arguments in [
        vec!["--udp", "--rfc5424"],
        vec!["--udp", "--rfc3164"],
        vec!["--tcp", "--rfc5424"],
        vec!["--tcp", "--rfc3164"],
        vec!["--tcp", "--octet-count"],
    ] {
        let sent = Command::new("logger")
            .args([
                "--server",
                host,
                "--port",
                port,
                "--tag",
                "kai",
                "--priority",
                "auth.err",
            ])
            .args(&arguments)
            .arg(format!("by {}", arguments.join("")))
            .status();
        match sent {
            Ok(status) => assert!(status.success(), "{arguments:?}"),
            Err(_) => return println!("not run: there is no logger"),
        }
    }
    wait_for("documents", || (setup.fake.count() == 5).then_some(()));
    for document in setup.fake.documents() {
        assert_eq!(document["process.name"], "kai", "{document}");
        assert_eq!(document["log.level"], "error");
        assert!(document["message"].as_str().unwrap().starts_with("by --"));
        assert!(document["host.name"].is_string());
    }
    setup.settled(5.0);
    assert_eq!(setup.value("flaws_total{flaw=\"unparsed\",$}"), 0.0);
}

#[test]
fn what_was_taken_survives_kill_9_once() {
    let mut setup = started(SPOOL, "");
    // Every document is taken, every answer is lost: what happens to it is not known.
    setup.fake.script(|_, _| Do::TakeAndDrop);
    let mut stream = setup.tcp();
    stream.write_all(messages(0..2000).as_bytes()).unwrap();
    wait_for("messages", || {
        (setup.value("read_events_total{$}") == 2000.0).then_some(())
    });
    wait_for("requests", || (setup.fake.count() > 0).then_some(()));
    setup.agent.kill();
    // A rollover between the question and the repetition would double them.
    setup.fake.roll_over("logs-kai.net-test");
    setup.fake.unscript();
    setup.agent.start();
    setup.settled(2000.0);
    assert_eq!(setup.numbers(), (0..2000).collect::<Vec<_>>());
    // Then what is new, and the spool is emptied.
    listening(&setup.agent);
    setup
        .tcp()
        .write_all(messages(2000..2100).as_bytes())
        .unwrap();
    setup.settled(2100.0);
    assert_eq!(setup.numbers(), (0..2100).collect::<Vec<_>>());
    wait_for("an empty spool", || {
        setup.segments().is_empty().then_some(())
    });
}

#[test]
fn damage_in_the_spool_is_named_counted_and_costs_what_was_damaged() {
    let mut setup = started(SPOOL, "");
    setup.fake.hold(true);
    setup.tcp().write_all(messages(0..500).as_bytes()).unwrap();
    wait_for("messages", || {
        (setup.value("read_events_total{$}") == 500.0).then_some(())
    });
    setup.agent.kill();
    let path = setup.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let at = |text: &str| {
        let found = bytes
            .windows(text.len())
            .position(|part| part == text.as_bytes());
        found.unwrap()
    };
    let (first, last) = (at("number 100\""), at("number 499\""));
    bytes[first] ^= 4;
    bytes.truncate(last); // torn in the middle of the last record
    fs::write(&path, bytes).unwrap();
    setup.fake.hold(false);
    setup.agent.start();
    setup.settled(498.0);
    let expected: Vec<u64> = (0..499).filter(|number| *number != 100).collect();
    assert_eq!(setup.numbers(), expected);
    setup.agent.logged_all(&["a part of the spool is damaged"]);
    assert!(setup.value("lost_bytes_total{reason=\"spool_damaged\",$}") > 200.0);
    assert_eq!(
        fs::read_dir(setup.agent.path("state/spool/damaged"))
            .unwrap()
            .count(),
        2
    );
    // It goes on.
    listening(&setup.agent);
    setup.udp("<13>1 2026-11-24T02:06:29Z edge app - - - number 500");
    setup.settled(499.0);
}

#[test]
fn a_full_spool_drops_datagrams_counted_and_makes_connections_wait() {
    let setup = started("  spool: { maxBytes: 1048576 }\n  memoryBytes: 1048576", "");
    setup.fake.hold(true);
    let count = 12_000;
    let mut stream = setup.tcp();
    let writer = std::thread::spawn(move || {
        stream.write_all(messages(0..count).as_bytes()).unwrap();
    });
    wait_for("a full spool", || {
        (setup.value("waits_total{reason=\"spool_full\",$}") > 0.0).then_some(())
    });
    assert!(setup.value("spool_bytes{$}") <= 1048576.0);
    let datagrams = setup.datagrams_until_a_drop("spool_full");
    setup.agent.assert_balanced();
    setup.fake.hold(false);
    writer.join().unwrap();
    setup.settled((count + datagrams) as f64);
    setup.all_but_datagrams(count);
}

#[test]
fn memory_alone_is_bounded_and_follows_the_same_rules() {
    let setup = started("  memoryBytes: 1048576", "");
    setup.fake.hold(true);
    let count = 8000;
    let mut stream = setup.tcp();
    let writer = std::thread::spawn(move || {
        stream.write_all(messages(0..count).as_bytes()).unwrap();
    });
    wait_for("a full queue", || {
        (setup.value("waits_total{reason=\"spool_full\",$}") > 0.0).then_some(())
    });
    assert!(setup.value("spool_bytes{$}") <= 1048576.0);
    setup.fake.hold(false);
    writer.join().unwrap();
    setup.settled(count as f64);
    assert_eq!(setup.numbers(), (0..count).collect::<Vec<_>>());
}

/// A file system of two megabytes; `None` where it cannot be had.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(&at)
            .output();
        mounted
            .is_ok_and(|out| out.status.success())
            .then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_waited_for() {
    let fake = Fake::start();
    let address = free_address();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let Some(_small) = Small::mount(agent.path("state")) else {
        return println!("not run: a file system cannot be mounted here");
    };
    agent.configure(
        std::slice::from_ref(&fake.url),
        SPOOL,
        &source(&address, ""),
    );
    agent.start();
    listening(&agent);
    let setup = Setup {
        fake,
        agent,
        address,
    };
    setup.fake.hold(true);
    let count = 15_000;
    let mut stream = setup.tcp();
    let writer = std::thread::spawn(move || {
        stream.write_all(messages(0..count).as_bytes()).unwrap();
    });
    wait_for("a full disk", || {
        (setup.value("waits_total{reason=\"spool_unwritable\",$}") > 0.0).then_some(())
    });
    let datagrams = setup.datagrams_until_a_drop("spool_unwritable");
    setup
        .agent
        .logged_all(&["the spool cannot be written: No space left"]);
    setup.fake.hold(false);
    writer.join().unwrap();
    setup.settled((count + datagrams) as f64);
    setup.all_but_datagrams(count);
    drop(setup);
}

#[test]
fn a_reload_of_something_else_keeps_connections_and_one_of_the_source_takes_the_socket_over() {
    let setup = started("", "");
    let urls = std::slice::from_ref(&setup.fake.url);
    let mut stream = setup.tcp();
    stream.write_all(messages(0..10).as_bytes()).unwrap();
    setup.settled(10.0);
    setup
        .agent
        .configure(urls, "  gzip: true", &source(&setup.address, ""));
    setup
        .agent
        .logged_all(&["configuration reloaded", "configuration changed"]);
    stream.write_all(messages(10..20).as_bytes()).unwrap();
    wait_for("documents", || (setup.fake.count() == 20).then_some(()));
    // Sent while the source is replaced: the socket holds it.
    let more = "        maxConnections: 5\n";
    setup
        .agent
        .configure(urls, "  gzip: true", &source(&setup.address, more));
    for number in 20..30 {
        setup.udp(messages(number..number + 1).trim_end());
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_for("documents", || (setup.fake.count() == 30).then_some(()));
    assert_eq!(setup.numbers(), (0..30).collect::<Vec<_>>());
    // What was sent before the connection was ended is there; a new one is served.
    let mut stream = setup.tcp();
    stream.write_all(messages(30..40).as_bytes()).unwrap();
    wait_for("documents", || (setup.fake.count() == 40).then_some(()));
    setup.agent.assert_balanced();
}

#[test]
fn connections_are_limited_and_idle_ones_closed() {
    use std::io::Read;
    let setup = started("", "        maxConnections: 1\n        idleSeconds: 1\n");
    let mut first = setup.tcp();
    first.write_all(b"<13>a 1\n").unwrap();
    wait_for("the connection", || {
        (setup.value("connections{$}") == 1.0).then_some(())
    });
    let mut second = setup.tcp();
    assert_eq!(second.read(&mut [0]).unwrap_or(0), 0);
    let closed = |reason: &str| format!("closed_connections_total{{reason=\"{reason}\",$}}");
    wait_for("a refusal", || {
        (setup.value(&closed("too_many")) >= 1.0).then_some(())
    });
    assert_eq!(first.read(&mut [0]).unwrap(), 0);
    wait_for("the end", || {
        (setup.value(&closed("idle")) == 1.0).then_some(())
    });
    wait_for("room", || {
        (setup.value("connections{$}") == 0.0).then_some(())
    });
}
