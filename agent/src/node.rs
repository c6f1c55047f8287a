//! The one way by which collectors see the machine: files below configurable roots and a few
//! system calls. Everything that a collector reads goes through [`Node`], so that a fixture tree
//! or a container's host mounts can stand in for the machine.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kai_contract::agent_config::Roots;

use crate::procfs::net_dev::Device;

mod links;
mod zone;

/// More than any file that a collector reads: `/proc/stat` of a machine with thousands of CPUs
/// and interrupts has a few MiB.
pub const LARGEST_FILE: usize = 16 << 20;

/// First room for a file; most fit.
const FIRST_READ: usize = 16 << 10;

/// Which tree a path is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    Proc,
    Sys,
    Udev,
}

/// What statfs(2) says of a file system, in its own units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsStat {
    pub block_size: u64,
    pub blocks: u64,
    pub blocks_free: u64,
    pub blocks_available: u64,
    pub files: u64,
    pub files_free: u64,
}

/// What uname(2) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uname {
    pub sysname: Vec<u8>,
    pub release: Vec<u8>,
    pub version: Vec<u8>,
    pub machine: Vec<u8>,
    pub nodename: Vec<u8>,
    pub domainname: Vec<u8>,
}

/// A machine, or a tree that looks like one.
pub trait Node: Send + Sync {
    /// Where a file is, for messages.
    fn path(&self, tree: Tree, name: &str) -> PathBuf;

    /// Reads a whole file into `into`, which is cleared first. A file above [`LARGEST_FILE`] is
    /// an error of kind [`io::ErrorKind::FileTooLarge`].
    fn read(&self, tree: Tree, name: &str, into: &mut Vec<u8>) -> io::Result<()>;

    /// Names in a folder, sorted by their bytes.
    fn list(&self, tree: Tree, name: &str) -> io::Result<Vec<String>>;

    /// Usage of the file system at a mount point, given as the machine itself names it.
    fn statfs(&self, mount_point: &[u8]) -> io::Result<FsStat>;

    /// The mount point as the machine itself names it, which in a container is without the
    /// folder that the machine's root is mounted at.
    fn strip_root<'a>(&self, mount_point: &'a [u8]) -> &'a [u8];

    fn uname(&self) -> Uname;

    /// Time since 1970 UTC.
    fn now(&self) -> Duration;

    /// Abbreviation of the local time zone and seconds east of UTC, at a time since 1970.
    fn zone(&self, at: Duration) -> (String, i32);

    /// Whether the proc tree is a running kernel's and not a copy.
    fn is_live(&self) -> bool;

    /// Network devices as the kernel tells them by netlink, whatever the roots.
    fn links(&self, into: &mut Vec<Device>) -> io::Result<()>;
}

/// The machine that the agent runs on.
#[derive(Debug)]
pub struct Machine {
    proc: PathBuf,
    sys: PathBuf,
    root: PathBuf,
    udev: PathBuf,
    zone: zone::Zone,
}

impl Machine {
    pub fn new(roots: &Roots) -> Self {
        Self {
            proc: roots.proc.clone(),
            sys: roots.sys.clone(),
            root: roots.root.clone(),
            udev: roots
                .udev_data
                .clone()
                .unwrap_or_else(|| roots.root.join("run/udev/data")),
            zone: zone::Zone::system(),
        }
    }
}

impl Node for Machine {
    fn path(&self, tree: Tree, name: &str) -> PathBuf {
        match tree {
            Tree::Proc => &self.proc,
            Tree::Sys => &self.sys,
            Tree::Udev => &self.udev,
        }
        .join(name)
    }

    fn read(&self, tree: Tree, name: &str, into: &mut Vec<u8>) -> io::Result<()> {
        read_whole(&self.path(tree, name), into)
    }

    fn list(&self, tree: Tree, name: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(tree, name))? {
            // A name that is not UTF-8 is none that a collector looks for.
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn statfs(&self, mount_point: &[u8]) -> io::Result<FsStat> {
        let below = Path::new(std::ffi::OsStr::from_bytes(mount_point));
        let path = self.root.join(below.strip_prefix("/").unwrap_or(below));
        let stat = rustix::fs::statfs(&path)?;
        Ok(FsStat {
            block_size: u64::try_from(stat.f_bsize).unwrap_or(0),
            blocks: stat.f_blocks,
            blocks_free: stat.f_bfree,
            blocks_available: stat.f_bavail,
            files: stat.f_files,
            files_free: stat.f_ffree,
        })
    }

    fn strip_root<'a>(&self, mount_point: &'a [u8]) -> &'a [u8] {
        let root = self.root.as_os_str().as_bytes();
        let root = root.strip_suffix(b"/").unwrap_or(root);
        match mount_point.strip_prefix(root) {
            Some(b"") => b"/",
            Some(rest) if rest.starts_with(b"/") => rest,
            _ => mount_point,
        }
    }

    fn uname(&self) -> Uname {
        let uname = rustix::system::uname();
        Uname {
            sysname: uname.sysname().to_bytes().to_vec(),
            release: uname.release().to_bytes().to_vec(),
            version: uname.version().to_bytes().to_vec(),
            machine: uname.machine().to_bytes().to_vec(),
            nodename: uname.nodename().to_bytes().to_vec(),
            domainname: uname.domainname().to_bytes().to_vec(),
        }
    }

    fn now(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }

    fn zone(&self, at: Duration) -> (String, i32) {
        self.zone.at(at)
    }

    fn is_live(&self) -> bool {
        rustix::fs::statfs(&self.proc)
            .is_ok_and(|stat| stat.f_type == rustix::fs::PROC_SUPER_MAGIC as rustix::fs::FsWord)
    }

    fn links(&self, into: &mut Vec<Device>) -> io::Result<()> {
        links::read(into)
    }
}

/// Reads a file of the kernel's. Its size is not asked for, because the kernel says 0.
fn read_whole(path: &Path, into: &mut Vec<u8>) -> io::Result<()> {
    let mut file = File::open(path)?;
    into.resize(into.capacity().max(FIRST_READ), 0);
    let mut filled = 0;
    loop {
        if filled == into.len() {
            if filled >= LARGEST_FILE {
                *into = Vec::new(); // gives the room back, too
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("the file has more than {} MiB", LARGEST_FILE >> 20),
                ));
            }
            into.resize(filled * 2, 0);
        }
        match file.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                into.clear();
                return Err(error);
            }
        }
    }
    into.truncate(filled);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(root: &str) -> Machine {
        Machine::new(&Roots {
            root: root.into(),
            ..Roots::default()
        })
    }

    #[test]
    fn the_root_is_stripped_as_a_whole_folder() {
        let container = machine("/host");
        let strip = |path: &'static str| container.strip_root(path.as_bytes());
        assert_eq!(strip("/host"), b"/");
        assert_eq!(strip("/host/media/a"), b"/media/a");
        assert_eq!(strip("/hostile"), b"/hostile");
        assert_eq!(strip("/dev/shm"), b"/dev/shm");
        assert_eq!(machine("/").strip_root(b"/media"), b"/media");
        assert_eq!(machine("/").strip_root(b"/"), b"/");
    }

    #[test]
    fn reads_a_file_larger_than_the_first_room_and_refuses_an_enormous_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        let content = vec![b'x'; FIRST_READ * 3 + 7];
        std::fs::write(&path, &content).unwrap();
        let mut buffer = b"old".to_vec();
        read_whole(&path, &mut buffer).unwrap();
        assert_eq!(buffer, content);
        File::create(&path)
            .unwrap()
            .set_len(LARGEST_FILE as u64 + 1)
            .unwrap();
        let error = read_whole(&path, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(buffer.is_empty());
    }

    #[test]
    fn this_machine_is_live_and_has_a_loopback_device() {
        let machine = machine("/");
        assert!(machine.is_live());
        let mut devices = Vec::new();
        machine.links(&mut devices).unwrap();
        assert!(
            devices.iter().any(|device| device.name == "lo"),
            "{devices:?}"
        );
        let copy = tempfile::tempdir().unwrap();
        assert!(
            !Machine::new(&Roots {
                proc: copy.path().into(),
                ..Roots::default()
            })
            .is_live()
        );
    }
}
