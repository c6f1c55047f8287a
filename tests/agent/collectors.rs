//! Collectors that fail or hang: the others neither fail nor wait, and the reason is told.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Agent, PATIENCE, copy_tree, fixture, roots};

/// An agent over a copy of the fixture tree that the test may have spoiled.
fn over_a_copy(timeout_ms: u64, spoil: impl FnOnce(&Path)) -> Agent {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("node");
    copy_tree(&fixture(), &tree);
    spoil(&tree);
    let config = format!("{}collectors:\n  timeoutMs: {timeout_ms}\n", roots(&tree));
    Agent::start_in(folder, &config)
}

/// A time limit that a busy machine does not reach.
const LONG: u64 = 60_000;

const ALL: [&str; 11] = [
    "cpu",
    "diskstats",
    "filefd",
    "filesystem",
    "loadavg",
    "meminfo",
    "netdev",
    "stat",
    "time",
    "uname",
    "vmstat",
];

#[test]
fn a_sound_tree_makes_all_succeed() {
    let agent = over_a_copy(LONG, |_| {});
    let metrics = agent.metrics();
    for collector in ALL {
        assert_eq!(metrics.success(collector), 1.0, "{collector}");
    }
    assert_eq!(metrics.value("node_load5"), 10.37);
    assert_eq!(
        metrics.value("node_network_receive_packets_total{device=\"eth0\"}"),
        520_993_275.0
    );
    assert_eq!(
        metrics.series["node_filefd_maximum"],
        "9.223372036854776e+18"
    );
}

/// In a container `net/dev` below the node's `/proc` shows the container's own network; the first
/// process shows the node's.
#[test]
fn the_network_is_the_first_processs() {
    let agent = over_a_copy(LONG, |tree| {
        let text = fs::read_to_string(tree.join("proc/net/dev")).unwrap();
        fs::create_dir_all(tree.join("proc/1/net")).unwrap();
        fs::write(tree.join("proc/1/net/dev"), text.replace("eth0", "eno7")).unwrap();
    });
    let metrics = agent.metrics();
    assert_eq!(
        metrics.value("node_network_receive_packets_total{device=\"eno7\"}"),
        520_993_275.0
    );
    assert!(
        !metrics
            .series
            .contains_key("node_network_receive_packets_total{device=\"eth0\"}")
    );
}

#[test]
fn corrupt_files_fail_their_collectors_only_and_name_file_and_line() {
    let enormous = vec![b'x'; (16 << 20) + 1];
    let agent = over_a_copy(LONG, |tree| {
        fs::write(tree.join("proc/loadavg"), "0.1 nonsense 0.3\n").unwrap();
        fs::write(
            tree.join("proc/meminfo"),
            b"MemTotal: 1 kB\nMemFree: \xff\xfe kB\n",
        )
        .unwrap();
        fs::write(
            tree.join("proc/diskstats"),
            "   8       0 sda 1 2 3 4 5 6 7 8 9 1",
        )
        .unwrap();
        fs::write(tree.join("proc/vmstat"), &enormous).unwrap();
        fs::remove_file(tree.join("proc/sys/fs/file-nr")).unwrap();
    });
    let metrics = agent.metrics();
    let failing = ["diskstats", "loadavg", "meminfo", "vmstat", "filefd"];
    for collector in ALL {
        let expected = if failing.contains(&collector) {
            0.0
        } else {
            1.0
        };
        assert_eq!(metrics.success(collector), expected, "{collector}");
    }
    assert!(!metrics.families.contains_key("node_load1"));
    assert!(
        !metrics.families.contains_key("node_memory_MemTotal_bytes"),
        "half of a file"
    );
    agent.logged_text("proc/loadavg: line 1: the load of 5 min is");
    agent.logged_text("proc/meminfo: line 2: MemFree is");
    agent.logged_text("proc/diskstats: line 1: sda has 10 columns");
    agent.logged_text("proc/vmstat: the file has more than 16 MiB");
    agent.logged_text("proc/sys/fs/file-nr: No such file");
}

#[test]
fn a_hung_collector_is_reported_and_the_others_go_on() {
    let mut agent = over_a_copy(3000, |tree| {
        // Opening a pipe that nobody writes to does not return, as with a stuck device.
        let file = tree.join("proc/loadavg");
        fs::remove_file(&file).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(&file)
            .status()
            .unwrap();
        assert!(made.success());
    });
    for _ in 0..5 {
        let metrics = agent.metrics();
        for collector in ALL {
            let expected = if collector == "loadavg" { 0.0 } else { 1.0 };
            assert_eq!(metrics.success(collector), expected, "{collector}");
        }
    }
    agent.logged_text("its call does not return");
    assert_eq!(
        agent.get("/ready").status,
        200,
        "one hung collector is no reason not to be ready"
    );
    // No thread per scrape is left behind.
    let threads = || {
        fs::read_dir(format!("/proc/{}/task", agent.pid()))
            .unwrap()
            .count()
    };
    let before = threads();
    for _ in 0..20 {
        agent.metrics();
    }
    assert!(
        threads() <= before + 1,
        "{} threads, {before} before",
        threads()
    );
    // It answers again when the device does…
    let fifo = agent.path("node/proc/loadavg");
    let recovered = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !recovered.load(Ordering::SeqCst) {
                // Does not wait for a reader: fails while there is none.
                let opened = fs::OpenOptions::new()
                    .write(true)
                    .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
                    .open(&fifo);
                if let Ok(mut pipe) = opened {
                    let _ = pipe.write_all(b"1.5 2.5 3.5 1/2 3\n");
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE && !recovered.load(Ordering::SeqCst) {
            recovered.store(agent.metrics().success("loadavg") == 1.0, Ordering::SeqCst);
        }
        let done = recovered.swap(true, Ordering::SeqCst);
        assert!(done, "the collector does not recover");
    });
    // …and while it hangs (as it does again), the agent ends when told to.
    agent.metrics();
    agent.signal("TERM");
    assert_eq!(agent.ended().code(), Some(0));
}

/// Files whose collectors hang when nobody writes to the pipes that they are turned into.
const PIPES: [(&str, &str); 6] = [
    ("netstat", "proc/net/snmp"),
    ("softnet", "proc/net/softnet_stat"),
    ("pressure", "proc/pressure/io"),
    ("hwmon", "sys/class/hwmon/hwmon0/temp1_input"),
    ("netclass", "sys/class/net/eth0/speed"),
    ("schedstat", "proc/schedstat"),
];

#[test]
fn many_hung_collectors_hold_up_no_other_and_pile_up_no_threads() {
    let agent = over_a_copy(3000, |tree| {
        for (_, file) in PIPES {
            let file = tree.join(file);
            fs::remove_file(&file).unwrap();
            let made = std::process::Command::new("mkfifo").arg(&file).status();
            assert!(made.unwrap().success());
        }
    });
    let threads = || {
        fs::read_dir(format!("/proc/{}/task", agent.pid()))
            .unwrap()
            .count()
    };
    let mut counts = Vec::new();
    for _ in 0..12 {
        let metrics = agent.metrics();
        for (collector, _) in PIPES {
            assert_eq!(metrics.success(collector), 0.0, "{collector}");
            let failed = format!("kai_agent_collector_failed{{collector=\"{collector}\"}}");
            assert_eq!(metrics.value(&failed), 1.0, "{collector}");
        }
        for collector in ALL.iter().chain(&["entropy", "sockstat", "thermal_zone"]) {
            assert_eq!(metrics.success(collector), 1.0, "{collector}");
        }
        counts.push(threads());
    }
    // One thread for each that hangs, and one or two that take turns.
    let last = counts[counts.len() - 1];
    assert!(last <= counts[0] + 2, "{counts:?}");
}

#[test]
fn what_a_machine_lacks_is_no_failure() {
    let agent = over_a_copy(LONG, |tree| {
        fs::remove_dir_all(tree.join("sys/class/hwmon")).unwrap();
        fs::write(tree.join("proc/net/softnet_stat"), "0 0 0\n").unwrap();
    });
    let metrics = agent.metrics();
    let failed = |collector: &str| {
        metrics.value(&format!(
            "kai_agent_collector_failed{{collector=\"{collector}\"}}"
        ))
    };
    // As node_exporter has it, neither has success.
    assert_eq!(metrics.success("hwmon"), 0.0);
    assert_eq!(metrics.success("softnet"), 0.0);
    assert_eq!(failed("hwmon"), 0.0);
    assert_eq!(failed("softnet"), 1.0);
    agent.logged_text("proc/net/softnet_stat: line 1: 3 columns, at least 9 are expected");
}
