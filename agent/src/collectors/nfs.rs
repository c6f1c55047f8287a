//! `node_nfs_*`: what this machine asks of file servers, from `/proc/net/rpc/nfs`.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::nfs::{self, Side, Statistics};
use crate::procfs::nfs_methods::{CLIENT_V4, V2, V3};

const FILE: &str = "net/rpc/nfs";

pub struct Nfs {
    source: Source,
}

impl Default for Nfs {
    fn default() -> Self {
        Self {
            source: Source::net("1/net/rpc/nfs", FILE),
        }
    }
}

/// A counter of a line; 0 if the file does not have it.
pub(super) fn counter(statistics: &Statistics<'_>, label: &str, at: usize) -> f64 {
    let line = statistics.get(label.as_bytes());
    line.and_then(|line| line.get(at)).copied().unwrap_or(0) as f64
}

impl Collector for Nfs {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self
            .source
            .read(node)
            .map_err(CollectError::missing_is_no_data)?;
        let found = parsed(node, Tree::Proc, FILE, nfs::parse(Side::Client, text))?;
        let mut family = page.family(
            "node_nfs_packets_total",
            "Total NFSd network packets (sent+received) by protocol type.",
            Kind::Counter,
        );
        family.sample(&[("protocol", b"tcp")], counter(&found, "net", 2));
        family.sample(&[("protocol", b"udp")], counter(&found, "net", 1));
        drop(family);
        for (name, help, label, at) in [
            (
                "node_nfs_connections_total",
                "Total number of NFSd TCP connections.",
                "net",
                3,
            ),
            (
                "node_nfs_rpcs_total",
                "Total number of RPCs performed.",
                "rpc",
                0,
            ),
            (
                "node_nfs_rpc_retransmissions_total",
                "Number of RPC transmissions performed.",
                "rpc",
                1,
            ),
            (
                "node_nfs_rpc_authentication_refreshes_total",
                "Number of RPC authentication refreshes performed.",
                "rpc",
                2,
            ),
        ] {
            page.single(name, help, Kind::Counter, counter(&found, label, at));
        }
        let mut family = page.family(
            "node_nfs_requests_total",
            "Number of NFS procedures invoked.",
            Kind::Counter,
        );
        let versions: [(&str, &str, &[&str]); 3] = [
            ("2", "proc2", &V2),
            ("3", "proc3", &V3),
            ("4", "proc4", &CLIENT_V4),
        ];
        for (version, label, methods) in versions {
            for (at, method) in methods.iter().enumerate() {
                family.sample(
                    &[("method", method.as_bytes()), ("proto", version.as_bytes())],
                    counter(&found, label, at),
                );
            }
        }
        Ok(())
    }
}
