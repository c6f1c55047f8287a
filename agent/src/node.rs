//! The one way by which collectors see the machine: files below configurable roots and a few
//! system calls. Everything that a collector reads goes through [`Node`], so that a fixture tree
//! or a container's host mounts can stand in for the machine.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kai_contract::agent_config::Roots;

use crate::procfs::inet_diag::Socket;
use crate::procfs::net_dev::Device;

mod diag;
mod kept;
mod links;
mod zone;

pub use kai_kernel::ethtool::{Info, Link};
pub use kept::Kept;
pub use links::LinkSocket;

/// More than any file that a collector reads: `/proc/stat` of a machine with thousands of CPUs
/// and interrupts has a few MiB.
pub const LARGEST_FILE: usize = 16 << 20;

/// What is read of a sysfs attribute at most, as by node_exporter.
pub const ATTRIBUTE: usize = 128;

/// Which tree a path is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    Proc,
    Sys,
    Udev,
    /// The root file system: the operating system's own files.
    Root,
    /// What the agent itself sees, whatever the roots: files that a person names.
    Host,
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

/// A file as stat(2) sees it. Who replaces or rewrites the file changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    inode: u64,
    size: i64,
    modified: (i64, i64),
}

impl Version {
    /// When it was last written, in whole seconds since 1970.
    pub fn modified_seconds(&self) -> i64 {
        self.modified.0
    }
}

/// What adjtimex(2) says, in its own units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timex {
    pub state: i32,
    pub status: i32,
    pub offset: i64,
    pub frequency: i64,
    pub max_error: i64,
    pub estimated_error: i64,
    pub constant: i64,
    pub tick: i64,
    pub pps_frequency: i64,
    pub pps_jitter: i64,
    pub pps_shift: i32,
    pub pps_stability: i64,
    pub pps_jitter_count: i64,
    pub pps_calibration_count: i64,
    pub pps_error_count: i64,
    pub pps_stability_count: i64,
    pub tai_offset: i32,
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

/// In the flags of statfs(2): the mount is read-only.
const ST_RDONLY: u64 = 1;

/// A file system as statfs(2) tells its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mounted {
    /// Its magic number (`include/uapi/linux/magic.h`).
    pub kind: u64,
    pub read_only: bool,
}

/// What a name in a folder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Folder,
    Link,
    Other,
}

/// One name in a folder; a link is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub kind: EntryKind,
}

/// What is in a folder, sorted by the names' bytes. A name that is not UTF-8 is none that a
/// collector looks for.
fn entries(path: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // The file may have gone since; then what it was matters no more.
        let kind = entry.file_type().map_or(EntryKind::Other, |kind| {
            if kind.is_file() {
                EntryKind::File
            } else if kind.is_dir() {
                EntryKind::Folder
            } else if kind.is_symlink() {
                EntryKind::Link
            } else {
                EntryKind::Other
            }
        });
        entries.push(Entry { name, kind });
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// A machine, or a tree that looks like one.
pub trait Node: Send + Sync {
    /// Where a file is, for messages.
    fn path(&self, tree: Tree, name: &str) -> PathBuf;

    /// Reads a whole file into `into`, which is cleared first. A file above [`LARGEST_FILE`] is
    /// an error of kind [`io::ErrorKind::FileTooLarge`].
    fn read(&self, tree: Tree, name: &str, into: &mut Vec<u8>) -> io::Result<()>;

    /// As [`Node::read`], of a file that is read again and again and may stay open in between.
    fn read_kept(
        &self,
        tree: Tree,
        name: &str,
        _kept: &mut Kept,
        into: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.read(tree, name, into)
    }

    /// What tells whether a file is still the one that was read.
    fn version(&self, tree: Tree, name: &str) -> io::Result<Version>;

    /// Names in a folder, sorted by their bytes.
    fn list(&self, tree: Tree, name: &str) -> io::Result<Vec<String>>;

    /// What is in a folder, sorted by the names' bytes.
    fn entries(&self, tree: Tree, name: &str) -> io::Result<Vec<Entry>> {
        entries(&self.path(tree, name))
    }

    /// Reads what fits one short read, as sysfs' attributes do, without the blanks at its ends. What
    /// is longer is cut, as node_exporter does it.
    fn attribute(
        &self,
        tree: Tree,
        name: &str,
        _kept: Option<&mut Kept>,
        into: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.read(tree, name, into)?;
        into.truncate(ATTRIBUTE);
        Ok(())
    }

    /// What kind of file system a folder is in.
    fn mounted(&self, tree: Tree, name: &str) -> io::Result<Mounted> {
        let stat = rustix::fs::statfs(self.path(tree, name))?;
        Ok(Mounted {
            kind: stat.f_type as u64 & 0xffff_ffff,
            read_only: stat.f_flags as u64 & ST_RDONLY != 0,
        })
    }

    /// Usage of the file system at a mount point, given as the machine itself names it.
    fn statfs(&self, mount_point: &[u8]) -> io::Result<FsStat>;

    /// The mount point as the machine itself names it, which in a container is without the
    /// folder that the machine's root is mounted at.
    fn strip_root<'a>(&self, mount_point: &'a [u8]) -> &'a [u8];

    fn uname(&self) -> Uname;

    /// How the kernel keeps its clock.
    fn timex(&self) -> io::Result<Timex> {
        let mut asked = rtime_clock::adjtime::Timex::new();
        let state = rtime_clock::adjtime::adjtimex(&mut asked)?;
        let told = &asked.0;
        Ok(Timex {
            state,
            status: told.status,
            offset: told.offset,
            frequency: told.freq,
            max_error: told.maxerror,
            estimated_error: told.esterror,
            constant: told.constant,
            tick: told.tick,
            pps_frequency: told.ppsfreq,
            pps_jitter: told.jitter,
            pps_shift: told.shift,
            pps_stability: told.stabil,
            pps_jitter_count: told.jitcnt,
            pps_calibration_count: told.calcnt,
            pps_error_count: told.errcnt,
            pps_stability_count: told.stbcnt,
            tai_offset: told.tai,
        })
    }

    /// Time since 1970 UTC.
    fn now(&self) -> Duration;

    /// Abbreviation of the local time zone and seconds east of UTC, at a time since 1970.
    fn zone(&self, at: Duration) -> (String, i32);

    /// Whether the proc tree is a running kernel's and not a copy.
    fn is_live(&self) -> bool;

    /// Hands over the kernel's TCP sockets of an address family, whatever the roots.
    fn tcp_sockets(&self, family: u8, socket: &mut dyn FnMut(Socket)) -> io::Result<()> {
        diag::tcp_sockets(family, socket)
    }

    /// What the driver of a network device tells, whatever the roots.
    fn drivers(&self) -> io::Result<Box<dyn Drivers>> {
        Ok(Box::new(kai_kernel::ethtool::Ethtool::new()?))
    }

    /// Network devices as the kernel tells them by netlink, whatever the roots.
    fn links(&self, socket: &mut LinkSocket, into: &mut Vec<Device>) -> io::Result<()>;
}

/// Asks the drivers of network devices.
pub trait Drivers {
    fn link(&self, device: &str) -> io::Result<Link>;
    fn info(&self, device: &str) -> io::Result<Info>;
    fn statistics(&self, device: &str) -> io::Result<Vec<(Vec<u8>, u64)>>;
}

impl Drivers for kai_kernel::ethtool::Ethtool {
    fn link(&self, device: &str) -> io::Result<Link> {
        self.link(device)
    }

    fn info(&self, device: &str) -> io::Result<Info> {
        self.info(device)
    }

    fn statistics(&self, device: &str) -> io::Result<Vec<(Vec<u8>, u64)>> {
        self.statistics(device)
    }
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
            Tree::Root => &self.root,
            Tree::Host => return PathBuf::from(name),
        }
        .join(name)
    }

    fn read(&self, tree: Tree, name: &str, into: &mut Vec<u8>) -> io::Result<()> {
        kept::read_once(&self.path(tree, name), into)
    }

    fn read_kept(
        &self,
        tree: Tree,
        name: &str,
        kept: &mut Kept,
        into: &mut Vec<u8>,
    ) -> io::Result<()> {
        kept.read(|| self.path(tree, name), into)
    }

    fn attribute(
        &self,
        tree: Tree,
        name: &str,
        kept: Option<&mut Kept>,
        into: &mut Vec<u8>,
    ) -> io::Result<()> {
        let path = || self.path(tree, name);
        match kept {
            Some(kept) => kept.attribute(path, into),
            None => Kept::default().attribute(path, into),
        }
    }

    fn version(&self, tree: Tree, name: &str) -> io::Result<Version> {
        let stat = rustix::fs::stat(self.path(tree, name))?;
        Ok(Version {
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
        })
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
            _ if mount_point.is_empty() => b"/",
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

    fn links(&self, socket: &mut LinkSocket, into: &mut Vec<Device>) -> io::Result<()> {
        socket.read(into)
    }
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
    fn this_machine_is_live_and_has_a_loopback_device() {
        let machine = machine("/");
        assert!(machine.is_live());
        let mut devices = Vec::new();
        machine
            .links(&mut LinkSocket::default(), &mut devices)
            .unwrap();
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
