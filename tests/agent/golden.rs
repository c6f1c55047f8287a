//! The collectors over a captured tree, as one text. `KAI_BLESS=1` writes what is found instead of
//! comparing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kai_agent::collectors::{ALL, CollectError};
use kai_agent::exposition::{Page, merge};
use kai_agent::node::{
    Drivers, FsStat, Info, Link, LinkSocket, Machine, Node, Timex, Tree, Uname, Version,
};
use kai_agent::procfs::net_dev::Device;
use kai_agent::settings::Settings;
use kai_contract::agent_config::{AgentConfig, COLLECTORS, Roots};

use crate::support::fixture;

/// The tree's files, and answers that do not move in place of the system calls.
struct Captured(Machine);

impl Node for Captured {
    fn path(&self, tree: Tree, name: &str) -> PathBuf {
        self.0.path(tree, name)
    }

    fn read(&self, tree: Tree, name: &str, into: &mut Vec<u8>) -> io::Result<()> {
        self.0.read(tree, name, into)
    }

    fn version(&self, tree: Tree, name: &str) -> io::Result<Version> {
        self.0.version(tree, name)
    }

    fn list(&self, tree: Tree, name: &str) -> io::Result<Vec<String>> {
        self.0.list(tree, name)
    }

    fn statfs(&self, mount_point: &[u8]) -> io::Result<FsStat> {
        match mount_point {
            b"/mnt/gone" => Err(rustix::io::Errno::NOTCONN.into()),
            b"/mnt/share" => Err(rustix::io::Errno::STALE.into()),
            b"/run/lock" => Err(rustix::io::Errno::ACCESS.into()),
            b"/srv/with space\ttab\\slash" => Ok(FsStat {
                block_size: 4096,
                blocks: 4_611_686_018_427_387_904,
                blocks_free: 3,
                blocks_available: 2,
                files: 0,
                files_free: 0,
            }),
            _ => Ok(FsStat {
                block_size: 4096,
                blocks: 66_052_240,
                blocks_free: 60_000_001,
                blocks_available: 18_000_003,
                files: 16_777_216,
                files_free: 16_262_844,
            }),
        }
    }

    fn strip_root<'a>(&self, mount_point: &'a [u8]) -> &'a [u8] {
        mount_point
    }

    fn uname(&self) -> Uname {
        Uname {
            sysname: b"Linux".to_vec(),
            release: b"6.18.44".to_vec(),
            version: b"#1 SMP PREEMPT_DYNAMIC".to_vec(),
            machine: b"x86_64".to_vec(),
            nodename: b"booking-7".to_vec(),
            domainname: b"(none)".to_vec(),
        }
    }

    fn timex(&self) -> io::Result<Timex> {
        Ok(Timex {
            status: 0x2001,
            offset: -123_456,
            frequency: -1_212_416,
            max_error: 16_000_000,
            estimated_error: 12,
            constant: 7,
            tick: 10_000,
            tai_offset: 37,
            ..Timex::default()
        })
    }

    fn drivers(&self) -> io::Result<Box<dyn Drivers>> {
        Ok(Box::new(E1000e))
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(1_795_474_912_088_960_250)
    }

    fn zone(&self, _: Duration) -> (String, i32) {
        ("WIB".to_owned(), 25_200)
    }

    fn is_live(&self) -> bool {
        self.0.is_live()
    }

    fn links(&self, _: &mut LinkSocket, _: &mut Vec<Device>) -> io::Result<()> {
        Err(io::Error::other(
            "a copied tree must not be mixed with this machine's devices",
        ))
    }
}

/// The output of every collector, one after the other, and a line per failure.
fn output(collectors: &str) -> String {
    let config = format!("version: 1\nlisten: 127.0.0.1:1\ncollectors: {collectors}\n");
    let config: AgentConfig = serde_yaml::from_str(&config).unwrap();
    let settings = Settings::new(&config).unwrap();
    let tree = fixture();
    let node: Arc<dyn Node> = Arc::new(Captured(Machine::new(&Roots {
        proc: tree.join("proc"),
        sys: tree.join("sys"),
        root: tree,
        udev_data: None,
    })));
    let mut pages = Vec::new();
    for entry in ALL.iter().filter(|entry| settings.runs(entry.name)) {
        let mut page = Page::default();
        let mut collector = (entry.build)(&settings, &node);
        // Twice: state and buffers that are kept must not change what is written.
        for _ in 0..2 {
            page.clear();
            match collector.collect(&*node, &mut page) {
                // The tree is of one machine, which has not everything.
                Ok(()) | Err(CollectError::NoData(_)) => {}
                Err(error) => panic!("{}: {error}", entry.name),
            }
        }
        pages.push(page);
    }
    let mut out = Vec::new();
    merge(&pages, &mut out);
    // Some paths are labels; the tree is elsewhere on each machine.
    let text = String::from_utf8(out).unwrap();
    text.replace(&fixture().display().to_string(), "")
}

/// The device of node_exporter's fixtures (`collector/fixtures/ethtool/eth0`).
struct E1000e;

impl E1000e {
    fn only(device: &str) -> io::Result<()> {
        match device {
            "eth0" => Ok(()),
            _ => Err(rustix::io::Errno::OPNOTSUPP.into()),
        }
    }
}

impl Drivers for E1000e {
    fn link(&self, device: &str) -> io::Result<Link> {
        Self::only(device)?;
        Ok(Link {
            // 10, 100, 1000 and 10000 Mbit, TP and MII, autonegotiation, pause.
            supported: 0b10_1111 | 1 << 12 | 1 << 7 | 1 << 9 | 1 << 6 | 1 << 13,
            advertised: 0b10_1111 | 1 << 6 | 1 << 13,
            autonegotiates: 1,
        })
    }

    fn info(&self, device: &str) -> io::Result<Info> {
        Self::only(device)?;
        Ok(Info {
            driver: b"e1000e".to_vec(),
            version: b"5.11.0-22-generic".to_vec(),
            firmware: b"0.5-4".to_vec(),
            bus: b"0000:00:1f.6".to_vec(),
            expansion_rom: Vec::new(),
        })
    }

    fn statistics(&self, device: &str) -> io::Result<Vec<(Vec<u8>, u64)>> {
        Self::only(device)?;
        let all = [
            ("tx_packets", 961_500),
            ("rx_packets", 1_260_062),
            ("tx_errors", 0),
            ("rx_errors", 0),
            ("port.rx_dropped", 12_028),
            ("rx_missed", 401),
            ("align_errors", 0),
            ("tx_single_collisions", 0),
            ("tx_multi_collisions", 0),
            ("rx_unicast", 1_230_297),
            ("rx_broadcast", 5_792),
            ("rx_multicast", 23_973),
            ("tx_aborted", 0),
            ("tx_underrun", 0),
            ("duplicate metric", 1),
            ("duplicate_metric", 2),
        ];
        Ok(all.map(|(name, value)| (name.into(), value)).into())
    }
}

fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/agent/expected")
        .join(name);
    if std::env::var_os("KAI_BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; write it with KAI_BLESS=1", path.display()));
    let (mut ours, mut theirs) = (found.lines(), expected.lines());
    loop {
        let (found, expected) = (ours.next(), theirs.next());
        assert_eq!(
            found, expected,
            "{name} differs; if that is right, write it with KAI_BLESS=1"
        );
        if found.is_none() {
            break;
        }
    }
}

#[test]
fn the_captured_tree_is_exported_as_expected() {
    compare(
        "node.prom",
        &output("{enable: [cgroups, containers, processes, tcpstat]}"),
    );
}

/// `expected/ethtool.prom` is what node_exporter's own test expects of the same device.
#[test]
fn drivers_are_told_as_node_exporter_tells_them() {
    let others = COLLECTORS.into_iter().filter(|name| *name != "ethtool");
    let others: Vec<_> = others.collect();
    let settings = format!("{{enable: [ethtool], disable: [{}]}}", others.join(", "));
    compare("ethtool.prom", &output(&settings));
}

#[test]
fn the_filters_are_heeded() {
    compare(
        "filtered.prom",
        &output(
            "{disable: [meminfo, cpu, time], filesystemMountPointsExclude: '^/run', \
             filesystemFsTypesExclude: '', diskstatsDeviceExclude: '^(sd|nvme)', \
             netdevDeviceExclude: '^(lo|veth.*)$', vmstatFields: '^nr_free'}",
        ),
    );
}
