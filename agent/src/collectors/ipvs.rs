//! `node_ipvs_*`: the kernel's load balancer, from `/proc/net/ip_vs_stats` and `/proc/net/ip_vs`.

use std::collections::BTreeMap;

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::ipvs::{self, Backend};
use crate::settings::Settings;

const TOTALS: &str = "net/ip_vs_stats";
const BACKENDS: &str = "net/ip_vs";

const FAMILIES: [(&str, &str); 5] = [
    (
        "node_ipvs_connections_total",
        "The total number of connections made.",
    ),
    (
        "node_ipvs_incoming_packets_total",
        "The total number of incoming packets.",
    ),
    (
        "node_ipvs_outgoing_packets_total",
        "The total number of outgoing packets.",
    ),
    (
        "node_ipvs_incoming_bytes_total",
        "The total amount of incoming data.",
    ),
    (
        "node_ipvs_outgoing_bytes_total",
        "The total amount of outgoing data.",
    ),
];

/// Of a backend, or of several that the chosen labels do not tell apart.
#[derive(Default)]
struct Sum {
    active: u64,
    inactive: u64,
    weight: u64,
}

type Column = (&'static str, &'static str, fn(&Sum) -> u64);

const COLUMNS: [Column; 3] = [
    (
        "node_ipvs_backend_connections_active",
        "The current active connections by local and remote address.",
        |sum| sum.active,
    ),
    (
        "node_ipvs_backend_connections_inactive",
        "The current inactive connections by local and remote address.",
        |sum| sum.inactive,
    ),
    (
        "node_ipvs_backend_weight",
        "The current backend weight by local and remote address.",
        |sum| sum.weight,
    ),
];

pub struct Ipvs {
    labels: Vec<&'static str>,
    totals: Source,
    backends: Source,
}

impl Ipvs {
    pub fn new(settings: &Settings) -> Self {
        let mut labels = settings.ipvs_backend_labels.clone();
        labels.sort_unstable();
        Self {
            labels,
            totals: Source::net("1/net/ip_vs_stats", TOTALS),
            backends: Source::net("1/net/ip_vs", BACKENDS),
        }
    }
}

impl Collector for Ipvs {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self
            .totals
            .read(node)
            .map_err(CollectError::missing_is_no_data)?;
        let totals = parsed(node, Tree::Proc, TOTALS, ipvs::totals(text))?;
        for ((name, help), total) in FAMILIES.into_iter().zip(totals) {
            page.single(name, help, Kind::Counter, total as f64);
        }
        let text = self.backends.read(node)?;
        let mut sums = BTreeMap::<Vec<String>, Sum>::new();
        for backend in parsed(node, Tree::Proc, BACKENDS, ipvs::backends(text))? {
            let key = self.labels.iter().map(|name| label(&backend, name));
            let sum = sums.entry(key.collect()).or_default();
            sum.active = sum.active.wrapping_add(backend.active);
            sum.inactive = sum.inactive.wrapping_add(backend.inactive);
            sum.weight = sum.weight.wrapping_add(backend.weight);
        }
        for (name, help, value) in COLUMNS {
            let mut family = page.family(name, help, Kind::Gauge);
            for (key, sum) in &sums {
                let labels: Vec<(&str, &[u8])> = self
                    .labels
                    .iter()
                    .zip(key)
                    .map(|(name, value)| (*name, value.as_bytes()))
                    .collect();
                family.sample(&labels, value(sum) as f64);
            }
        }
        Ok(())
    }
}

fn label(backend: &Backend, name: &str) -> String {
    match name {
        "local_address" => backend.local_address.clone(),
        "local_port" => backend.local_port.to_string(),
        "remote_address" => backend.remote_address.clone(),
        "remote_port" => backend.remote_port.to_string(),
        "proto" => backend.protocol.clone(),
        _ => backend.local_mark.clone(),
    }
}
