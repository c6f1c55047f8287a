//! Pure parsers of the kernel's text and netlink formats: bytes in, values out. Reading is the
//! collectors' work, through [`crate::node::Node`].
//!
//! A parser refuses what the kernel would not write, naming the line, rather than guessing: a
//! corrupt file makes its collector fail instead of exporting a wrong number.

pub mod arp;
pub mod bcache;
pub mod bcachefs;
pub mod cgroup;
pub mod cgroups;
pub mod clocksource;
pub mod conntrack;
pub mod cpufreq;
pub mod cpulist;
pub mod diskstats;
pub mod filenr;
pub mod fuzz;
pub mod inet_diag;
pub mod ip_socket;
pub mod ipvs;
pub mod kstat;
pub mod loadavg;
pub mod mdstat;
pub mod meminfo;
pub mod mountinfo;
pub mod net_dev;
pub mod netlink;
pub mod netstat;
pub mod nfs;
pub mod nfs_methods;
pub mod os_release;
pub mod own_stat;
pub mod pid_stat;
pub mod pressure;
pub mod prom_text;
pub mod schedstat;
pub mod sockstat;
pub mod softnet;
pub mod stat;
pub mod text;
pub mod udev;
pub mod vmstat;
pub mod xfs;

pub use text::ParseError;
