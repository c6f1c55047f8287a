//! Collectors that fail or hang: the others neither fail nor wait, and the reason is told.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::support::{Agent, copy_tree, fixture, roots, wait_for};

/// An agent over a copy of the fixture tree that the test may have spoiled.
fn over_a_copy(spoil: impl FnOnce(&Path)) -> Agent {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("node");
    copy_tree(&fixture(), &tree);
    spoil(&tree);
    let config = format!("{}collectors:\n  timeoutMs: 300\n", roots(&tree));
    Agent::start_in(folder, &config)
}

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
    let agent = over_a_copy(|_| {});
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

#[test]
fn corrupt_files_fail_their_collectors_only_and_name_file_and_line() {
    let enormous = vec![b'x'; (16 << 20) + 1];
    let agent = over_a_copy(|tree| {
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
    let mut agent = over_a_copy(|tree| {
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
    let write = || {
        let mut writer = fs::OpenOptions::new();
        // Does not wait for a reader.
        let opened = writer
            .write(true)
            .custom_flags(rustix_nonblock())
            .open(&fifo);
        if let Ok(mut pipe) = opened {
            let _ = std::io::Write::write_all(&mut pipe, b"1.5 2.5 3.5 1/2 3\n");
        }
    };
    wait_for("the collector's recovery", || {
        write();
        let metrics = agent.metrics();
        (metrics.success("loadavg") == 1.0).then_some(())
    });
    // …and while it hangs (as it does again), the agent ends when told to.
    agent.metrics();
    agent.signal("TERM");
    assert_eq!(agent.ended().code(), Some(0));
}

fn rustix_nonblock() -> i32 {
    rustix::fs::OFlags::NONBLOCK.bits() as i32
}
