//! The collectors, one file each, and the one list of them. A collector reads through
//! [`Node`], parses with [`crate::procfs`] and writes families into a [`Page`]; time limits,
//! concurrency and success are the [scheduler](crate::scheduler)'s alone.
//!
//! Names, help texts, types, labels and values are node_exporter 1.11.1's, with two differences,
//! both mended upstream in 1.12: `node_filesystem_readonly` is 1 for every read-only mount (1.11.1
//! says so only if `ro` is the sole option), and a mount point that is not UTF-8 is shown with
//! U+FFFD instead of failing the scrape.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::exposition::Page;
use crate::node::{Kept, Node, Tree};
use crate::procfs::ParseError;
use crate::settings::Settings;

mod arp;
mod bcache;
mod bcachefs;
mod bonding;
mod btrfs;
mod cgroups;
mod conntrack;
mod containers;
mod cpu;
mod cpufreq;
mod diskstats;
mod dmi;
mod edac;
mod entropy;
mod ethtool;
mod fibrechannel;
mod filefd;
mod filesystem;
mod gather;
mod hwmon;
mod infiniband;
mod ipvs;
mod kernel_hung;
mod loadavg;
mod logind;
mod mdadm;
mod meminfo;
mod netclass;
mod netdev;
mod netstat;
mod nfs;
mod nfsd;
mod nvme;
mod os;
mod powersupplyclass;
mod pressure;
mod processes;
mod rapl;
mod schedstat;
mod selinux;
mod sockstat;
mod softnet;
mod stat;
mod systemd;
mod tapestats;
mod tcpstat;
mod textfile;
mod thermal_zone;
mod time;
mod timex;
mod udp_queues;
mod uname;
mod vmstat;
mod watchdog;
mod xfs;
mod zfs;

/// Every collector there is, by name.
pub const ALL: [Entry; 55] = [
    Entry {
        name: "arp",
        build: |settings, _| Box::new(arp::Arp::new(settings)),
    },
    Entry {
        name: "bcache",
        build: |settings, _| Box::new(bcache::Bcache::new(settings)),
    },
    Entry {
        name: "bcachefs",
        build: |_, _| Box::<bcachefs::Bcachefs>::default(),
    },
    Entry {
        name: "bonding",
        build: |_, _| Box::<bonding::Bonding>::default(),
    },
    Entry {
        name: "btrfs",
        build: |_, _| Box::<btrfs::Btrfs>::default(),
    },
    Entry {
        name: "cgroups",
        build: |_, _| Box::<cgroups::Cgroups>::default(),
    },
    Entry {
        name: "conntrack",
        build: |_, _| Box::<conntrack::Conntrack>::default(),
    },
    Entry {
        name: "containers",
        build: |_, _| Box::<containers::Containers>::default(),
    },
    Entry {
        name: "cpu",
        build: |_, _| Box::<cpu::Cpu>::default(),
    },
    Entry {
        name: "cpufreq",
        build: |_, _| Box::<cpufreq::Cpufreq>::default(),
    },
    Entry {
        name: "diskstats",
        build: |settings, _| Box::new(diskstats::Diskstats::new(settings)),
    },
    Entry {
        name: "dmi",
        build: |_, _| Box::<dmi::Dmi>::default(),
    },
    Entry {
        name: "edac",
        build: |_, _| Box::<edac::Edac>::default(),
    },
    Entry {
        name: "entropy",
        build: |_, _| Box::<entropy::Entropy>::default(),
    },
    Entry {
        name: "ethtool",
        build: |settings, _| Box::new(ethtool::Ethtool::new(settings)),
    },
    Entry {
        name: "fibrechannel",
        build: |_, _| Box::<fibrechannel::FibreChannel>::default(),
    },
    Entry {
        name: "filefd",
        build: |_, _| Box::<filefd::Filefd>::default(),
    },
    Entry {
        name: "filesystem",
        build: |settings, node| Box::new(filesystem::Filesystem::new(settings, node)),
    },
    Entry {
        name: "hwmon",
        build: |settings, _| Box::new(hwmon::Hwmon::new(settings)),
    },
    Entry {
        name: "infiniband",
        build: |_, _| Box::<infiniband::Infiniband>::default(),
    },
    Entry {
        name: "ipvs",
        build: |settings, _| Box::new(ipvs::Ipvs::new(settings)),
    },
    Entry {
        name: "kernel_hung",
        build: |_, _| Box::<kernel_hung::KernelHung>::default(),
    },
    Entry {
        name: "loadavg",
        build: |_, _| Box::<loadavg::Loadavg>::default(),
    },
    Entry {
        name: "logind",
        build: |_, _| Box::<logind::Logind>::default(),
    },
    Entry {
        name: "mdadm",
        build: |_, _| Box::<mdadm::Mdadm>::default(),
    },
    Entry {
        name: "meminfo",
        build: |_, _| Box::<meminfo::Meminfo>::default(),
    },
    Entry {
        name: "netclass",
        build: |settings, _| Box::new(netclass::Netclass::new(settings)),
    },
    Entry {
        name: "netdev",
        build: |settings, _| Box::new(netdev::Netdev::new(settings)),
    },
    Entry {
        name: "netstat",
        build: |settings, _| Box::new(netstat::Netstat::new(settings)),
    },
    Entry {
        name: "nfs",
        build: |_, _| Box::<nfs::Nfs>::default(),
    },
    Entry {
        name: "nfsd",
        build: |_, _| Box::<nfsd::Nfsd>::default(),
    },
    Entry {
        name: "nvme",
        build: |_, _| Box::<nvme::Nvme>::default(),
    },
    Entry {
        name: "os",
        build: |_, _| Box::<os::Os>::default(),
    },
    Entry {
        name: "powersupplyclass",
        build: |settings, _| Box::new(powersupplyclass::PowerSupplyClass::new(settings)),
    },
    Entry {
        name: "pressure",
        build: |_, _| Box::<pressure::Pressure>::default(),
    },
    Entry {
        name: "processes",
        build: |_, _| Box::<processes::Processes>::default(),
    },
    Entry {
        name: "rapl",
        build: |settings, _| Box::new(rapl::Rapl::new(settings)),
    },
    Entry {
        name: "schedstat",
        build: |_, _| Box::<schedstat::Schedstat>::default(),
    },
    Entry {
        name: "selinux",
        build: |_, _| Box::<selinux::Selinux>::default(),
    },
    Entry {
        name: "sockstat",
        build: |_, _| Box::<sockstat::Sockstat>::default(),
    },
    Entry {
        name: "softnet",
        build: |_, _| Box::<softnet::Softnet>::default(),
    },
    Entry {
        name: "stat",
        build: |settings, _| Box::new(stat::Stat::new(settings)),
    },
    Entry {
        name: "systemd",
        build: |settings, _| Box::new(systemd::Systemd::new(settings)),
    },
    Entry {
        name: "tapestats",
        build: |settings, _| Box::new(tapestats::Tapestats::new(settings)),
    },
    Entry {
        name: "tcpstat",
        build: |_, _| Box::<tcpstat::Tcpstat>::default(),
    },
    Entry {
        name: "textfile",
        build: |settings, _| Box::new(textfile::Textfile::new(settings)),
    },
    Entry {
        name: "thermal_zone",
        build: |_, _| Box::<thermal_zone::ThermalZone>::default(),
    },
    Entry {
        name: "time",
        build: |_, _| Box::<time::Time>::default(),
    },
    Entry {
        name: "timex",
        build: |_, _| Box::<timex::Timex>::default(),
    },
    Entry {
        name: "udp_queues",
        build: |_, _| Box::<udp_queues::UdpQueues>::default(),
    },
    Entry {
        name: "uname",
        build: |_, _| Box::new(uname::UnameInfo),
    },
    Entry {
        name: "vmstat",
        build: |settings, _| Box::new(vmstat::Vmstat::new(settings)),
    },
    Entry {
        name: "watchdog",
        build: |_, _| Box::<watchdog::Watchdog>::default(),
    },
    Entry {
        name: "xfs",
        build: |_, _| Box::<xfs::Xfs>::default(),
    },
    Entry {
        name: "zfs",
        build: |_, _| Box::<zfs::Zfs>::default(),
    },
];

/// One line of the list.
pub struct Entry {
    pub name: &'static str,
    pub build: fn(&Settings, &Arc<dyn Node>) -> Box<dyn Collector>,
}

/// Something that can be asked for its families again and again. It may keep buffers and state
/// between calls, and may take as long as the kernel does.
pub trait Collector: Send {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError>;
}

/// Why a collector has nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot understand {}: {source}", path.display())]
    Parse { path: PathBuf, source: ParseError },
    /// There is nothing of the kind here, or the kernel does not show it to us: as in
    /// node_exporter the collector has no success then, but nobody needs to hear of it.
    #[error("no data: {0}")]
    NoData(String),
    /// A part of it cannot be had; what was written is right as far as it goes.
    #[error(transparent)]
    Part(Box<CollectError>),
    #[error("cannot ask the kernel for {what}: {source}")]
    Ask {
        what: &'static str,
        source: io::Error,
    },
}

impl CollectError {
    /// Whether a file or folder is not there.
    fn is_missing(&self) -> bool {
        self.is(io::ErrorKind::NotFound)
    }

    /// Whether we may not read it.
    fn is_denied(&self) -> bool {
        self.is(io::ErrorKind::PermissionDenied)
    }

    fn is(&self, kind: io::ErrorKind) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == kind)
    }

    /// Whether reading ended with this.
    fn is_errno(&self, errno: rustix::io::Errno) -> bool {
        matches!(self, Self::Read { source, .. } if source.raw_os_error() == Some(errno.raw_os_error()))
    }

    /// Whether a driver does not tell it, or not to us, which is no failure.
    fn is_not_told(&self) -> bool {
        self.is_missing()
            || self.is_denied()
            || self.is_errno(rustix::io::Errno::OPNOTSUPP)
            || self.is_errno(rustix::io::Errno::INVAL)
    }

    /// As node_exporter has it for what a machine need not have: what is not there is no data.
    fn missing_is_no_data(self) -> Self {
        if self.is_missing() {
            Self::NoData(self.to_string())
        } else {
            self
        }
    }
}

/// A file that is read in every scrape, with its text as last read.
#[derive(Debug)]
struct Source {
    tree: Tree,
    name: Cow<'static, str>,
    /// What is read instead if the file is not there or not shown to us.
    instead: Option<&'static str>,
    kept: Kept,
    text: Vec<u8>,
}

impl Source {
    fn new(tree: Tree, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            tree,
            name: name.into(),
            instead: None,
            kept: Kept::default(),
            text: Vec::new(),
        }
    }

    fn proc(name: &'static str) -> Self {
        Self::new(Tree::Proc, name)
    }

    /// A file about the network, as the first process sees it: in a container with a network of
    /// its own, `roots.proc` leads to the node's network there, and to the container's elsewhere.
    fn net(first: &'static str, own: &'static str) -> Self {
        Self {
            instead: Some(own),
            ..Self::proc(first)
        }
    }

    /// Reads the file anew. What is not there is for the caller to judge.
    fn try_read(&mut self, node: &dyn Node) -> io::Result<&[u8]> {
        let result = node.read_kept(self.tree, &self.name, &mut self.kept, &mut self.text);
        match (result, self.instead) {
            (Err(error), Some(own))
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                ) =>
            {
                node.read_kept(self.tree, own, &mut self.kept, &mut self.text)?;
                if self.kept.is_open() {
                    self.name = own.into();
                    self.instead = None;
                }
            }
            (result, _) => result?,
        }
        Ok(&self.text)
    }

    /// Reads anew a file that has to be there.
    fn read(&mut self, node: &dyn Node) -> Result<&[u8], CollectError> {
        if let Err(source) = self.try_read(node) {
            return Err(CollectError::Read {
                path: node.path(self.tree, self.instead.unwrap_or(&self.name)),
                source,
            });
        }
        Ok(&self.text)
    }

    /// Whether the kernel makes the text, so that no other file can take the name unnoticed.
    fn is_kernels(&self) -> bool {
        self.kept.is_open()
    }
}

/// How long it is taken for granted that a kernel's folder lists the same names, and that what was
/// not there is still not there.
const LISTED: Duration = Duration::from_mins(1);

/// Names the file in a parser's error.
fn parsed<T>(
    node: &dyn Node,
    tree: Tree,
    name: &str,
    result: Result<T, ParseError>,
) -> Result<T, CollectError> {
    result.map_err(|source| CollectError::Parse {
        path: node.path(tree, name),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_is_the_contracts() {
        let names: Vec<_> = ALL.iter().map(|entry| entry.name).collect();
        assert_eq!(names, kai_contract::agent_config::COLLECTORS);
        assert!(names.is_sorted());
    }
}
