//! `node_nfsd_*`: what this machine serves as a file server, from `/proc/net/rpc/nfsd`.

use super::nfs::counter;
use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::nfs::{self, Side};
use crate::procfs::nfs_methods::{SERVER_V4, V2, V3};

const FILE: &str = "net/rpc/nfsd";

/// Methods that node_exporter does not show: nobody calls them, or they are no work.
const HIDDEN: [&str; 6] = [
    "Null",
    "Op0Unused",
    "Op1Unused",
    "Op2Future",
    "PutPubFH",
    "PutRootFH",
];

/// Name, help, type, and the counter's line and place.
const SINGLES: [(&str, &str, Kind, &str, usize); 11] = [
    (
        "node_nfsd_connections_total",
        "Total number of NFSd TCP connections.",
        Kind::Counter,
        "net",
        3,
    ),
    (
        "node_nfsd_disk_bytes_read_total",
        "Total NFSd bytes read.",
        Kind::Counter,
        "io",
        0,
    ),
    (
        "node_nfsd_disk_bytes_written_total",
        "Total NFSd bytes written.",
        Kind::Counter,
        "io",
        1,
    ),
    (
        "node_nfsd_file_handles_stale_total",
        "Total number of NFSd stale file handles",
        Kind::Counter,
        "fh",
        0,
    ),
    (
        "node_nfsd_read_ahead_cache_not_found_total",
        "Total number of NFSd read ahead cache not found.",
        Kind::Counter,
        "ra",
        11,
    ),
    (
        "node_nfsd_read_ahead_cache_size_blocks",
        "How large the read ahead cache is in blocks.",
        Kind::Gauge,
        "ra",
        0,
    ),
    (
        "node_nfsd_reply_cache_hits_total",
        "Total number of NFSd Reply Cache hits (client lost server response).",
        Kind::Counter,
        "rc",
        0,
    ),
    (
        "node_nfsd_reply_cache_misses_total",
        "Total number of NFSd Reply Cache an operation that requires caching (idempotent).",
        Kind::Counter,
        "rc",
        1,
    ),
    (
        "node_nfsd_reply_cache_nocache_total",
        "Total number of NFSd Reply Cache non-idempotent operations (rename/delete/…).",
        Kind::Counter,
        "rc",
        2,
    ),
    (
        "node_nfsd_server_rpcs_total",
        "Total number of NFSd RPCs.",
        Kind::Counter,
        "rpc",
        0,
    ),
    (
        "node_nfsd_server_threads",
        "Total number of NFSd kernel threads that are running.",
        Kind::Gauge,
        "th",
        0,
    ),
];

pub struct Nfsd {
    source: Source,
}

impl Default for Nfsd {
    fn default() -> Self {
        Self {
            source: Source::net("1/net/rpc/nfsd", FILE),
        }
    }
}

impl Collector for Nfsd {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self
            .source
            .read(node)
            .map_err(CollectError::missing_is_no_data)?;
        let found = parsed(node, Tree::Proc, FILE, nfs::parse(Side::Server, text))?;
        for (name, help, kind, label, at) in SINGLES {
            page.single(name, help, kind, counter(&found, label, at));
        }
        let mut family = page.family(
            "node_nfsd_packets_total",
            "Total NFSd network packets (sent+received) by protocol type.",
            Kind::Counter,
        );
        family.sample(&[("proto", b"tcp")], counter(&found, "net", 2));
        family.sample(&[("proto", b"udp")], counter(&found, "net", 1));
        drop(family);
        let mut family = page.family(
            "node_nfsd_rpc_errors_total",
            "Total number of NFSd RPC errors by error type.",
            Kind::Counter,
        );
        for (error, at) in [("auth", 3), ("cInt", 4), ("fmt", 2)] {
            family.sample(&[("error", error.as_bytes())], counter(&found, "rpc", at));
        }
        drop(family);
        let mut family = page.family(
            "node_nfsd_requests_total",
            "Total number NFSd Requests by method and protocol.",
            Kind::Counter,
        );
        let versions: [(&str, &str, &[&str]); 4] = [
            ("2", "proc2", &V2),
            ("3", "proc3", &V3),
            ("4", "proc4ops", &SERVER_V4),
            ("4", "wdeleg_getattr", &["WdelegGetattr"]),
        ];
        for (version, label, methods) in versions {
            for (at, method) in methods.iter().enumerate() {
                if HIDDEN.contains(method) {
                    continue;
                }
                family.sample(
                    &[("method", method.as_bytes()), ("proto", version.as_bytes())],
                    counter(&found, label, at),
                );
            }
        }
        Ok(())
    }
}
