//! `node_filesystem_*`: every mount that the filters leave, with statfs(2).
//!
//! A file server that is gone makes statfs hang, for good and beyond any signal. So mounts of the
//! kinds that can hang are asked on a thread of their own; one that does not answer in time is
//! shown with `device_error="mountpoint timeout"`, is not asked again until it answers, and holds
//! up nothing else.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{FsStat, Node, Tree};
use crate::procfs::mountinfo;
use crate::settings::{Filter, Settings};

mod prober;

use prober::{Prober, go_message};

/// Mounts as the first process sees them, or else as we do: another user's are not shown to
/// everyone (`hidepid`, or a process that may not trace it).
const FILES: [&str; 2] = ["1/mountinfo", "self/mountinfo"];

/// A file system of these kinds answers from memory or from a local disk; any other kind may ask
/// a server or a process.
const LOCAL: [&[u8]; 17] = [
    b"bcachefs",
    b"btrfs",
    b"ecryptfs",
    b"efivarfs",
    b"exfat",
    b"ext2",
    b"ext3",
    b"ext4",
    b"f2fs",
    b"ntfs3",
    b"ramfs",
    b"reiserfs",
    b"tmpfs",
    b"vfat",
    b"xfs",
    b"zfs",
    b"rootfs",
];

pub struct Filesystem {
    mount_points: Filter,
    fs_types: Filter,
    /// [`FILES`]. The text is made anew in every scrape, although the kernel tells of new mounts:
    /// a disk that fails and turns read-only is a change of which it does not tell.
    sources: [Source; 2],
    prober: Prober,
}

impl Filesystem {
    pub fn new(settings: &Settings, node: &Arc<dyn Node>) -> Self {
        Self {
            mount_points: settings.filesystem_mount_points.clone(),
            fs_types: settings.filesystem_fs_types.clone(),
            sources: FILES.map(Source::proc),
            prober: Prober::new(node, settings.timeout),
        }
    }
}

/// A mount and what was found out about it.
struct Row<'a> {
    mount: mountinfo::Mount<'a>,
    mount_point: Vec<u8>,
    /// Usage, or what the label `device_error` says.
    stat: Result<FsStat, String>,
}

impl Collector for Filesystem {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let (file, text) = read_mounts(node, &mut self.sources)?;
        let mounts = parsed(node, Tree::Proc, file, mountinfo::parse(text))?;
        self.prober.begin();
        let mut rows = Vec::new();
        let mut seen = HashSet::new();
        // Backwards: of several mounts at one point, the last one covers the others.
        for mount in mounts.into_iter().rev() {
            let mount_point = mountinfo::label(mount.mount_point);
            let mount_point = node.strip_root(&mount_point);
            if self.mount_points.ignores(mount_point)
                || self.fs_types.ignores(mount.fs_type)
                || !seen.insert((mount.source, mount.mount_point, mount.fs_type))
            {
                continue;
            }
            let real = mountinfo::unescape(mount.mount_point);
            let real = node.strip_root(&real);
            let stat = if LOCAL.contains(&mount.fs_type) {
                node.statfs(real).map_err(|error| go_message(&error))
            } else {
                self.prober.ask(real)
            };
            rows.push(Row {
                mount,
                mount_point: mount_point.to_vec(),
                stat,
            });
        }
        write(&rows, page);
        Ok(())
    }
}

/// The file that could be read, and its text.
fn read_mounts<'a>(
    node: &dyn Node,
    sources: &'a mut [Source; 2],
) -> Result<(&'static str, &'a [u8]), CollectError> {
    let [of_first, of_own] = sources;
    let [first, own] = FILES;
    match of_first.try_read(node).map(drop) {
        Ok(()) => Ok((first, &of_first.text)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok((own, of_own.read(node)?))
        }
        Err(source) => Err(CollectError::Read {
            path: node.path(Tree::Proc, first),
            source,
        }),
    }
}

fn write(rows: &[Row<'_>], page: &mut Page) {
    type Value = fn(&FsStat) -> f64;
    let usage: [(&str, &str, Value); 6] = [
        (
            "node_filesystem_avail_bytes",
            "Filesystem space available to non-root users in bytes.",
            |stat| stat.blocks_available as f64 * stat.block_size as f64,
        ),
        (
            "node_filesystem_files",
            "Filesystem total file nodes.",
            |stat| stat.files as f64,
        ),
        (
            "node_filesystem_files_free",
            "Filesystem total free file nodes.",
            |stat| stat.files_free as f64,
        ),
        (
            "node_filesystem_free_bytes",
            "Filesystem free space in bytes.",
            |stat| stat.blocks_free as f64 * stat.block_size as f64,
        ),
        (
            "node_filesystem_purgeable_bytes",
            "Filesystem space available including purgeable space (MacOS specific).",
            |_| 0.0,
        ),
        (
            "node_filesystem_size_bytes",
            "Filesystem size in bytes.",
            |stat| stat.blocks as f64 * stat.block_size as f64,
        ),
    ];
    for (name, help, value) in usage {
        let mut family = page.family(name, help, Kind::Gauge);
        for row in rows {
            if let Ok(stat) = &row.stat {
                family.sample(&labels(row), value(stat));
            }
        }
    }
    let mut family = page.family(
        "node_filesystem_device_error",
        "Whether an error occurred while getting statistics for the given device.",
        Kind::Gauge,
    );
    for row in rows {
        family.sample(&labels(row), f64::from(u8::from(row.stat.is_err())));
    }
    drop(family);
    let mut family = page.family(
        "node_filesystem_readonly",
        "Filesystem read-only status.",
        Kind::Gauge,
    );
    for row in rows {
        family.sample(&labels(row), f64::from(u8::from(row.mount.read_only)));
    }
    drop(family);
    let mut family = page.family(
        "node_filesystem_mount_info",
        "Filesystem mount information.",
        Kind::Gauge,
    );
    for row in rows.iter().filter(|row| row.stat.is_ok()) {
        family.sample(
            &[
                ("device", row.mount.source),
                ("major", row.mount.major.to_string().as_bytes()),
                ("minor", row.mount.minor.to_string().as_bytes()),
                ("mountpoint", &row.mount_point),
            ],
            1.0,
        );
    }
}

fn labels<'a>(row: &'a Row<'_>) -> [(&'static str, &'a [u8]); 4] {
    [
        ("device", row.mount.source),
        (
            "device_error",
            row.stat
                .as_ref()
                .err()
                .map_or(b"", |error| error.as_bytes()),
        ),
        ("fstype", row.mount.fs_type),
        ("mountpoint", &row.mount_point),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A machine of which one mount does not answer until the gate opens.
    struct Stuck {
        open: std::sync::Mutex<bool>,
        opened: std::sync::Condvar,
        asked: std::sync::atomic::AtomicUsize,
    }

    const USAGE: FsStat = FsStat {
        block_size: 4096,
        blocks: 3,
        blocks_free: 2,
        blocks_available: 1,
        files: 5,
        files_free: 4,
    };

    impl Node for Stuck {
        fn path(&self, _: Tree, name: &str) -> std::path::PathBuf {
            name.into()
        }

        fn read(&self, _: Tree, name: &str, into: &mut Vec<u8>) -> io::Result<()> {
            if name != "1/mountinfo" {
                return Err(io::ErrorKind::NotFound.into());
            }
            *into = b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
                2 1 0:40 / /gone rw - nfs4 server:/gone rw\n\
                3 1 0:41 / /well rw - nfs4 server:/well rw\n"
                .to_vec();
            Ok(())
        }

        fn version(&self, _: Tree, _: &str) -> io::Result<crate::node::Version> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn list(&self, _: Tree, _: &str) -> io::Result<Vec<String>> {
            Ok(Vec::new())
        }

        fn statfs(&self, mount_point: &[u8]) -> io::Result<FsStat> {
            if mount_point == b"/gone" {
                self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let open = self.open.lock().unwrap();
                drop(self.opened.wait_while(open, |open| !*open).unwrap());
            }
            Ok(USAGE)
        }

        fn strip_root<'a>(&self, mount_point: &'a [u8]) -> &'a [u8] {
            mount_point
        }

        fn uname(&self) -> crate::node::Uname {
            crate::node::Uname {
                sysname: Vec::new(),
                release: Vec::new(),
                version: Vec::new(),
                machine: Vec::new(),
                nodename: Vec::new(),
                domainname: Vec::new(),
            }
        }

        fn now(&self) -> Duration {
            Duration::ZERO
        }

        fn zone(&self, _: Duration) -> (String, i32) {
            (String::new(), 0)
        }

        fn is_live(&self) -> bool {
            false
        }

        fn links(
            &self,
            _: &mut crate::node::LinkSocket,
            _: &mut Vec<crate::procfs::net_dev::Device>,
        ) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_mount_that_hangs_is_told_and_the_others_are_shown() {
        let stuck = Arc::new(Stuck {
            open: std::sync::Mutex::new(false),
            opened: std::sync::Condvar::new(),
            asked: std::sync::atomic::AtomicUsize::new(0),
        });
        let node: Arc<dyn Node> = stuck.clone();
        let config = "version: 1\nlisten: 127.0.0.1:1\ncollectors: {timeoutMs: 4000}\n";
        let settings = Settings::new(&serde_yaml::from_str(config).unwrap()).unwrap();
        let mut collector = Filesystem::new(&settings, &node);
        let mut collect = || {
            let mut page = Page::default();
            collector.collect(&*node, &mut page).unwrap();
            let mut out = Vec::new();
            crate::exposition::merge([&page], &mut out);
            String::from_utf8(out).unwrap()
        };
        let gone = "node_filesystem_device_error{device=\"server:/gone\",\
            device_error=\"mountpoint timeout\",fstype=\"nfs4\",mountpoint=\"/gone\"} 1\n";
        let size = |device: &str, kind: &str, at: &str| {
            format!(
                "node_filesystem_size_bytes{{device=\"{device}\",device_error=\"\",\
                 fstype=\"{kind}\",mountpoint=\"{at}\"}} 12288\n"
            )
        };
        for _ in 0..3 {
            let text = collect();
            assert!(text.contains(gone), "{text}");
            assert!(text.contains(&size("/dev/sda1", "ext4", "/")), "{text}");
            assert!(
                text.contains(&size("server:/well", "nfs4", "/well")),
                "{text}"
            );
        }
        let asked = stuck.asked.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(asked, 1, "a mount that hangs is not asked again");
        *stuck.open.lock().unwrap() = true;
        stuck.opened.notify_all();
        let back = size("server:/gone", "nfs4", "/gone");
        while !collect().contains(&back) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
