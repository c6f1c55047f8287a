//! Walks a folder tree without following links, with one open folder per level: memory does not
//! grow with the number of files. File systems that can hang (network, FUSE, autofs) or that hold
//! no files (proc, sysfs) are told by the mount table and not touched, not even by stat(2).

use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};

use super::check::{Context, Coverage, Reason};
use super::pace::Pace;
use crate::node::{Node, Tree};
use crate::procfs::mountinfo;

/// Levels below a start; each holds a file descriptor.
const DEEPEST: usize = 200;

/// Types of file systems that are not entered. A root that is one is entered all the same: it is
/// all that there is.
const SKIPPED: [&str; 40] = [
    "9p",
    "afs",
    "autofs",
    "beegfs",
    "binfmt_misc",
    "bpf",
    "ceph",
    "cgroup",
    "cgroup2",
    "cifs",
    "coda",
    "configfs",
    "davfs",
    "debugfs",
    "devpts",
    "efivarfs",
    "fusectl",
    "gfs2",
    "glusterfs",
    "gpfs",
    "hugetlbfs",
    "lustre",
    "mqueue",
    "ncpfs",
    "nfs",
    "nfs4",
    "nsfs",
    "ocfs2",
    "orangefs",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smb3",
    "smbfs",
    "sysfs",
    "tracefs",
    "virtiofs",
];

/// What is not entered.
#[derive(Debug, Default)]
pub struct Fences {
    /// Paths of the machine.
    paths: BTreeSet<Vec<u8>>,
    /// The mount table could not be read: stay on the file system of the start.
    one_device: bool,
}

impl Fences {
    /// From the mount table and the paths that the configuration leaves out.
    pub fn new(node: &dyn Node, exclude: &[String]) -> Self {
        let mut fences = Self {
            paths: exclude
                .iter()
                .map(|path| trimmed(path.as_bytes()).to_vec())
                .collect(),
            one_device: false,
        };
        let mut text = Vec::new();
        let read = ["1/mountinfo", "self/mountinfo"]
            .iter()
            .any(|name| node.read(Tree::Proc, name, &mut text).is_ok());
        match mountinfo::parse(&text) {
            Ok(mounts) if read => {
                for mount in mounts {
                    let path = mountinfo::unescape(mount.mount_point);
                    let path = trimmed(node.strip_root(&path)).to_vec();
                    if is_skipped(mount.fs_type) && path != b"/" {
                        fences.paths.insert(path);
                    } else if !exclude.iter().any(|p| trimmed(p.as_bytes()) == path) {
                        // A later mount covers an earlier one at the same point.
                        fences.paths.remove(&path);
                    }
                }
            }
            _ => fences.one_device = true,
        }
        fences
    }

    pub fn stops(&self, path: &[u8]) -> bool {
        self.paths.contains(trimmed(path))
    }

    /// It lies below a fence, or is one.
    pub fn covers(&self, path: &[u8]) -> bool {
        let path = trimmed(path);
        self.stops(path)
            || path
                .iter()
                .enumerate()
                .any(|(at, byte)| *byte == b'/' && at > 0 && self.paths.contains(&path[..at]))
    }
}

fn trimmed(path: &[u8]) -> &[u8] {
    match path.strip_suffix(b"/") {
        Some(b"") | None => path,
        Some(shorter) => shorter,
    }
}

fn is_skipped(fs_type: &[u8]) -> bool {
    let fuse = fs_type.starts_with(b"fuse.") || fs_type == b"fuse";
    fuse || SKIPPED.iter().any(|name| name.as_bytes() == fs_type)
}

/// One thing that the walk meets.
pub struct Met<'a> {
    /// As the machine names it.
    pub path: &'a [u8],
    pub stat: Stat,
    folder: BorrowedFd<'a>,
    name: &'a CStr,
}

impl Met<'_> {
    pub fn is(&self, kind: FileType) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == kind
    }

    /// Opens it if it is still the file that was met; never a link, never waiting.
    pub fn open(&self) -> io::Result<File> {
        let file = open_file(self.folder, self.name)?;
        let now = rustix::fs::fstat(&file)?;
        if (now.st_dev, now.st_ino) != (self.stat.st_dev, self.stat.st_ino) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "another file is in its place",
            ));
        }
        Ok(file)
    }

    pub fn link_target(&self) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(self.folder, self.name, Vec::new())?.into_bytes())
    }
}

fn open_file(folder: BorrowedFd<'_>, name: &CStr) -> io::Result<File> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    // The owner (and root) can read without leaving a trace in the access time.
    let opened = rustix::fs::openat(folder, name, flags | OFlags::NOATIME, Mode::empty())
        .or_else(|_| rustix::fs::openat(folder, name, flags, Mode::empty()))?;
    Ok(File::from(opened))
}

/// What is done with what is met.
pub type Visit<'a> = dyn FnMut(&Met<'_>, &mut Coverage) + 'a;

/// Walks `start` (a path of the machine) and all below it; false if it is not there. What cannot be
/// entered is counted in `coverage`, and its path goes to `unknown`.
pub fn walk(
    context: &Context,
    start: &str,
    fences: &Fences,
    pace: &mut Pace,
    coverage: &mut Coverage,
    unknown: &mut Unknown,
    visit: &mut Visit<'_>,
) -> bool {
    if fences.covers(start.as_bytes()) {
        return true;
    }
    let mut walk = Walk {
        context,
        fences,
        pace,
        coverage,
        unknown,
        visit,
        path: Vec::new(),
    };
    walk.start(start)
}

/// Paths about which nothing is known, so that what is below them is not taken for gone.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unknown(pub Vec<String>);

impl Unknown {
    const MOST: usize = 1_000;

    pub fn add(&mut self, path: &[u8]) {
        if self.0.len() < Self::MOST {
            self.0.push(super::check::shown(path));
        } else if self.0.len() == Self::MOST {
            self.0.push(String::new()); // nothing at all is known to be gone
        }
    }
}

struct Walk<'a, 'v> {
    context: &'a Context,
    fences: &'a Fences,
    pace: &'a mut Pace,
    coverage: &'a mut Coverage,
    unknown: &'a mut Unknown,
    visit: &'a mut Visit<'v>,
    /// Of what is being looked at, as the machine names it.
    path: Vec<u8>,
}

struct Level {
    folder: OwnedFd,
    entries: Dir,
    /// Length of the folder's path.
    path: usize,
}

impl Walk<'_, '_> {
    fn start(&mut self, start: &str) -> bool {
        self.path = trimmed(start.as_bytes()).to_vec();
        let full = self.context.at(start);
        // The file system's root has no folder above it.
        if full.file_name().is_none() || self.path == b"/" {
            return self.start_at_root(&full);
        }
        let parent = full.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = match rustix::fs::openat(CWD, parent, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(error) => return self.failed(error.into()),
        };
        let name = full.file_name().unwrap_or_default();
        let Ok(name) = std::ffi::CString::new(name.as_bytes()) else {
            return false;
        };
        match self.meet(folder.as_fd(), &name) {
            Ok(Some(stat)) => {
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    match self.enter(folder.as_fd(), &name) {
                        Ok(level) => self.below(level, stat.st_dev),
                        Err(error) => {
                            self.failed(error);
                        }
                    }
                }
                true
            }
            Ok(None) => true,
            Err(error) => self.failed(error),
        }
    }

    fn start_at_root(&mut self, full: &Path) -> bool {
        self.path = b"/".to_vec();
        let Ok(name) = std::ffi::CString::new(full.as_os_str().as_bytes()) else {
            return false;
        };
        let entered = self.enter(CWD, &name).and_then(|level| {
            let stat = rustix::fs::fstat(&level.folder)?;
            Ok((level, stat))
        });
        match entered {
            Ok((mut level, stat)) => {
                level.path = 0;
                self.path.clear();
                self.below(level, stat.st_dev);
                true
            }
            Err(error) => self.failed(error),
        }
    }

    /// Something could not be looked at; false if it is just not there.
    fn failed(&mut self, error: io::Error) -> bool {
        if matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ) {
            return false;
        }
        self.coverage
            .skip(self.path.escape_ascii(), Reason::of(&error));
        self.unknown.add(&self.path);
        true
    }

    fn enter(&self, folder: BorrowedFd<'_>, name: &CStr) -> io::Result<Level> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(folder, name, flags | OFlags::NOATIME, Mode::empty())
            .or_else(|_| rustix::fs::openat(folder, name, flags, Mode::empty()))?;
        Ok(Level {
            entries: Dir::read_from(&opened)?,
            folder: opened,
            path: self.path.len(),
        })
    }

    /// Looks at what `path` names; `None` if the walk is not to enter it.
    fn meet(&mut self, folder: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Stat>> {
        self.pace.take(1);
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        self.context.progress.step();
        self.coverage.examined += 1;
        let met = Met {
            path: &self.path,
            stat,
            folder,
            name,
        };
        (self.visit)(&met, self.coverage);
        Ok(Some(stat))
    }

    fn below(&mut self, first: Level, device: u64) {
        let mut levels = vec![first];
        loop {
            let depth = levels.len();
            let Some(level) = levels.last_mut() else {
                return;
            };
            if self.context.progress.stopped() {
                return;
            }
            self.path.truncate(level.path);
            let entry = match level.entries.read() {
                None => {
                    levels.pop();
                    continue;
                }
                Some(Err(error)) => {
                    self.failed(error.into());
                    levels.pop();
                    continue;
                }
                Some(Ok(entry)) => entry,
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.path.push(b'/');
            self.path.extend_from_slice(name.to_bytes());
            if self.fences.stops(&self.path) {
                continue;
            }
            let folder = level.folder.as_fd();
            let stat = match self.meet(folder, name) {
                Ok(Some(stat)) => stat,
                Ok(None) => continue,
                Err(error) => {
                    self.failed(error); // gone since, or not to be looked at
                    continue;
                }
            };
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory
                || (self.fences.one_device && stat.st_dev != device)
            {
                continue;
            }
            if depth >= DEEPEST {
                self.coverage.skip(self.path.escape_ascii(), Reason::Limit);
                self.unknown.add(&self.path);
                continue;
            }
            match self.enter(folder, name) {
                Ok(next) => levels.push(next),
                Err(error) => {
                    self.failed(error);
                }
            }
        }
    }
}

/// Opens a file of the machine, links followed inside its root: a link to `/etc/x` in a container
/// is the machine's `/etc/x`.
pub fn open_inside(root: &Path, path: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let relative = path
        .iter()
        .position(|b| *b != b'/')
        .map_or(&b"."[..], |at| &path[at..]);
    let folder = rustix::fs::openat(
        CWD,
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&folder, relative, flags, Mode::empty(), inside) {
        Ok(file) => Ok(File::from(file)),
        // A kernel before 5.6, or a filter of system calls that does not know it.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) if root == Path::new("/") => {
            let path = OsStr::from_bytes(path);
            Ok(File::from(rustix::fs::openat(
                CWD,
                path,
                flags,
                Mode::empty(),
            )?))
        }
        Err(error) => Err(error.into()),
    }
}
