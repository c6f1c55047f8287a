//! On node_exporter's own fixtures, and on what becomes of them in odd hands: each tree is read by
//! both. `go mod download github.com/prometheus/node_exporter@v1.11.1` brings the fixtures into Go's
//! cache; `KAI_NODE_EXPORTER_SOURCE` names another folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ENABLED, NodeExporter, compare, enabled};
use crate::support::{Agent, copy_tree, roots};

/// A copy of their tree, unpacked. `None`, said aloud, if there is none.
fn tree() -> Option<tempfile::TempDir> {
    let Some(source) = source() else {
        println!(
            "not run: no source of node_exporter 1.11.1 (go mod download \
             github.com/prometheus/node_exporter@v1.11.1, or set KAI_NODE_EXPORTER_SOURCE)"
        );
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let theirs = source.join("collector/fixtures");
    copy_tree(&theirs, folder.path());
    // Theirs asks the kernel for this and has no file.
    std::fs::write(folder.path().join("proc/net/dev"), NET_DEV).unwrap();
    for archive in ["sys.ttar", "udev.ttar"] {
        unpack(&std::fs::read(theirs.join(archive)).unwrap(), folder.path());
    }
    Some(folder)
}

const NET_DEV: &str = "Inter-|   Receive                                                |  Transmit\n face \
    |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier \
    compressed\n    lo: 1664039048 1566805    1    2    3     4          5         6 1664039048 1566805    7    8    \
    9    10       11          12\nveth4B09XN: 648 8 0 0 0 0 0 0 1943284 10640 0 0 0 0 0 0\n";

/// Both over this tree.
fn both(title: &str, tree: &Path, flags: &[&str], settings: &str) {
    let below = |name: &str, folder: &str| format!("--path.{name}={}", tree.join(folder).display());
    let mut all = vec![
        below("procfs", "proc"),
        below("sysfs", "sys"),
        below("rootfs", ""),
        below("udev.data", "udev/data"),
        "--no-collector.netdev.netlink".to_owned(),
        "--no-collector.arp.netlink".to_owned(),
    ];
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let Some(exporter) = NodeExporter::start(&ENABLED, &all) else {
        return;
    };
    compare(title, &Agent::start(&config(tree, settings)), &exporter);
}

fn config(tree: &Path, settings: &str) -> String {
    let config = format!(
        "{}  udevData: {}\n",
        roots(tree),
        tree.join("udev/data").display()
    );
    enabled(&ENABLED, &config) + settings
}

#[test]
fn compare_with_node_exporter_on_its_own_fixtures() {
    let Some(folder) = tree() else {
        return;
    };
    both(
        "their fixtures",
        folder.path(),
        &["--collector.bcache.priorityStats"],
        "  bcachePriorityStats: true\n",
    );
}

/// The settings of their end-to-end test, and patterns that include and exclude.
#[test]
fn compare_with_node_exporter_under_settings() {
    let Some(folder) = tree() else {
        return;
    };
    let textfile = folder.path().join("textfile/two_metric_files");
    both(
        "their fixtures under settings",
        folder.path(),
        &[
            "--collector.arp.device-exclude=nope",
            "--collector.hwmon.chip-include=(applesmc|coretemp|hwmon4|nct6779)",
            "--collector.netclass.ignore-invalid-speed",
            "--collector.netclass.ignored-devices=(dmz|int)",
            "--collector.netdev.device-include=lo",
            "--collector.stat.softirq",
            "--collector.diskstats.device-include=^(sda|nvme).*",
            "--collector.vmstat.fields=^nr_",
            "--collector.netstat.fields=^(TcpExt_Sync.*|Ip_Forwarding)$",
            "--collector.tapestats.ignored-devices=^st0$",
            "--collector.powersupply.ignored-supplies=^AC$",
            "--collector.rapl.enable-zone-label",
            "--collector.ipvs.backend-labels=local_port,proto",
            &format!("--collector.textfile.directory={}", textfile.display()),
        ],
        &format!(
            "  arpDeviceExclude: nope\n  hwmonChipInclude: (applesmc|coretemp|hwmon4|nct6779)\n  \
             netclassIgnoreInvalidSpeed: true\n  netclassIgnoredDevices: (dmz|int)\n  \
             netdevDeviceInclude: lo\n  statSoftirq: true\n  diskstatsDeviceInclude: \
             '^(sda|nvme).*'\n  vmstatFields: '^nr_'\n  netstatFields: \
             '^(TcpExt_Sync.*|Ip_Forwarding)$'\n  tapestatsIgnoredDevices: '^st0$'\n  \
             powersupplyIgnoredSupplies: '^AC$'\n  raplEnableZoneLabel: true\n  ipvsBackendLabels: \
             [local_port, proto]\n  textfileDirectories: ['{}']\n",
            textfile.display()
        ),
    );
}

/// What a tree may look like elsewhere: what is odd, and how it becomes so.
type Odd = (&'static str, fn(&Path));

const ODD: [Odd; 12] = [
    ("an old kernel's /proc/stat", |tree| {
        change(tree, "proc/stat", |text| {
            let cut = |line: &str| match line.split_whitespace().collect::<Vec<_>>() {
                words if line.starts_with("cpu") => words[..words.len().min(8)].join(" "),
                _ => line.to_owned(),
            };
            text.lines().map(|line| cut(line) + "\n").collect()
        });
    }),
    ("disks with 14, 18 and 20 columns", |tree| {
        change(tree, "proc/diskstats", |_| {
            "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n   8      16 sdb 1 2 3 4 5 6 7 8 9 10 11 12 13 14 \
             15\n   8      32 sdc 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n"
                .to_owned()
        });
    }),
    ("very large values", |tree| {
        change(tree, "proc/diskstats", |_| {
            "   8       0 sda 18446744073709551615 2 9007199254740993 4 5 6 7 8 9 10 11\n"
                .to_owned()
        });
        change(tree, "proc/net/dev", |text| {
            format!(
                "{text}  big0: 18446744073709551615 1 2 3 4 5 6 7 9223372036854775808 1 2 3 4 5 6 7\n"
            )
        });
        change(tree, "proc/vmstat", |text| {
            text + "pgpgin_big 18446744073709551615\npgfault 9007199254740993\n"
        });
    }),
    ("odd names of devices", |tree| {
        change(tree, "proc/net/dev", |text| {
            text + "  sp\u{e4}\u{df}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  a\"b\\c: 1 2 3 4 5 6 7 8 9 10 \
                    11 12 13 14 15 16\n"
        });
        change(tree, "proc/diskstats", |text| {
            text + "   8       0 \u{1f4be} 1 2 3 4 5 6 7 8 9 10 11\n   8       0 c!d0 1 2 3 4 5 6 7 8 9 10 11\n"
        });
    }),
    ("empty files", |tree| {
        for file in ["proc/mdstat", "proc/swaps"] {
            let _ = std::fs::write(tree.join(file), "");
        }
    }),
    ("missing files", |tree| {
        for file in [
            "proc/net/softnet_stat",
            "proc/schedstat",
            "proc/pressure/io",
            "proc/net/sockstat6",
            "proc/net/udp6",
            "proc/sys/kernel/random/poolsize",
            "sys/class/thermal",
            "sys/class/net/bond0/bonding",
            "sys/fs/xfs",
        ] {
            let path = tree.join(file);
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_dir_all(&path);
        }
    }),
    ("no line end at the end", |tree| {
        for file in [
            "proc/vmstat",
            "proc/meminfo",
            "proc/stat",
            "proc/net/dev",
            "proc/loadavg",
        ] {
            change(tree, file, |text| text.trim_end().to_owned());
        }
    }),
    ("a meminfo of another kernel", |tree| {
        change(tree, "proc/meminfo", |text| {
            text + "Odd(thing):  17 kB\nNoUnit:      18\nHugePages_New:  19\n"
        });
    }),
    ("negative temperatures and currents", |tree| {
        let hwmon = tree.join("sys/class/hwmon/hwmon0");
        let folder = std::fs::canonicalize(&hwmon).unwrap_or(hwmon);
        for (file, value) in [
            ("temp1_input", "-55500\n"),
            ("curr1_input", "-1\n"),
            ("in1_input", "-2000\n"),
        ] {
            std::fs::write(folder.join(file), value).unwrap();
        }
        for zone in std::fs::read_dir(tree.join("sys/class/thermal")).unwrap() {
            let file = zone.unwrap().path().join("temp");
            if file.exists() {
                std::fs::write(file, "-40000\n").unwrap();
            }
        }
    }),
    ("link speeds and attributes that are odd", |tree| {
        let eth0 = std::fs::canonicalize(tree.join("sys/class/net/eth0")).unwrap();
        std::fs::write(eth0.join("speed"), "-1\n").unwrap();
        std::fs::write(eth0.join("duplex"), "unknown\n").unwrap();
        std::fs::write(eth0.join("ifalias"), "a \"b\" \u{e4}\n").unwrap();
    }),
    ("unknown rows", |tree| {
        change(tree, "proc/net/snmp", |text| text + "New: A B\nNew: 1 2\n");
        change(tree, "proc/net/sockstat", |text| text + "NEW: inuse 7\n");
        change(tree, "proc/stat", |text| text + "newrow 1 2 3\n");
        change(tree, "proc/vmstat", |text| text + "allocstall_new 7\n");
    }),
    ("pressure of an older kernel", |tree| {
        change(tree, "proc/pressure/cpu", |text| {
            let first = text.lines().find(|line| line.starts_with("some"));
            first.unwrap().to_owned() + "\n"
        });
        let _ = std::fs::remove_file(tree.join("proc/pressure/irq"));
    }),
];

fn change(tree: &Path, file: &str, change: impl FnOnce(String) -> String) {
    let path = tree.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(path, change(text)).unwrap();
}

#[test]
fn compare_with_node_exporter_on_odd_trees() {
    let mut failed = Vec::new();
    for (title, spoil) in ODD {
        let Some(folder) = tree() else {
            return;
        };
        spoil(folder.path());
        let compared = std::panic::catch_unwind(|| both(title, folder.path(), &[], ""));
        if compared.is_err() {
            failed.push(title);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Unpacks their archive of text: a line of what follows, for files the number of their lines, the
/// lines (the last with EOF at its end if it has no line end), and the mode, which is left out.
fn unpack(archive: &[u8], into: &Path) {
    let mut lines = archive.split(|byte| *byte == b'\n');
    let mut path = PathBuf::new();
    while let Some(line) = lines.next() {
        let line = String::from_utf8_lossy(line);
        let Some((keyword, value)) = line.split_once(": ") else {
            continue;
        };
        match keyword {
            "Path" => path = into.join(value),
            "Directory" => std::fs::create_dir_all(into.join(value)).unwrap(),
            "SymlinkTo" => std::os::unix::fs::symlink(value, &path).unwrap(),
            "Lines" => {
                let mut content = Vec::new();
                for line in lines.by_ref().take(value.parse().unwrap()) {
                    let (line, end) = match line.strip_suffix(b"EOF") {
                        Some(line) => (line, &b""[..]),
                        None => (line, &b"\n"[..]),
                    };
                    content.extend_from_slice(line);
                    content.extend_from_slice(end);
                }
                let zero = |text: Vec<u8>| {
                    // Zero bytes are spelt out.
                    let parts = String::from_utf8_lossy(&text).replace("NULLBYTE", "\0");
                    parts.into_bytes()
                };
                let has_zero = content.windows(8).any(|part| part == b"NULLBYTE");
                std::fs::write(&path, if has_zero { zero(content) } else { content }).unwrap();
            }
            _ => {}
        }
    }
}

fn source() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("KAI_NODE_EXPORTER_SOURCE") {
        return Some(given.into());
    }
    let cache = Command::new("go")
        .args(["env", "GOMODCACHE"])
        .output()
        .ok()?;
    let cache = String::from_utf8(cache.stdout).ok()?;
    let source = Path::new(cache.trim()).join("github.com/prometheus/node_exporter@v1.11.1");
    source.is_dir().then_some(source)
}
