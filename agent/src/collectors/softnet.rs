//! `node_softnet_*` from `/proc/net/softnet_stat`.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::softnet::{self, Cpu};

const FILE: &str = "net/softnet_stat";

/// One family: name, help, type and where its value is.
type Column = (&'static str, &'static str, Kind, fn(&Cpu) -> u64);

const COLUMNS: [Column; 7] = [
    (
        "node_softnet_backlog_len",
        "Softnet backlog status",
        Kind::Gauge,
        |cpu| cpu.backlog,
    ),
    (
        "node_softnet_cpu_collision_total",
        "Number of collision occur while obtaining device lock while transmitting",
        Kind::Counter,
        |cpu| cpu.collisions,
    ),
    (
        "node_softnet_dropped_total",
        "Number of dropped packets",
        Kind::Counter,
        |cpu| cpu.dropped,
    ),
    (
        "node_softnet_flow_limit_count_total",
        "Number of times flow limit has been reached",
        Kind::Counter,
        |cpu| cpu.flow_limits,
    ),
    (
        "node_softnet_processed_total",
        "Number of processed packets",
        Kind::Counter,
        |cpu| cpu.processed,
    ),
    (
        "node_softnet_received_rps_total",
        "Number of times cpu woken up received_rps",
        Kind::Counter,
        |cpu| cpu.received_rps,
    ),
    (
        "node_softnet_times_squeezed_total",
        "Number of times processing packets ran out of quota",
        Kind::Counter,
        |cpu| cpu.times_squeezed,
    ),
];

pub struct Softnet {
    source: Source,
}

impl Default for Softnet {
    fn default() -> Self {
        Self {
            source: Source::proc(FILE),
        }
    }
}

impl Collector for Softnet {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self.source.read(node)?;
        let cpus = parsed(node, Tree::Proc, FILE, softnet::parse(text))?;
        for (name, help, kind, value) in COLUMNS {
            let mut family = page.family(name, help, kind);
            for cpu in &cpus {
                let number = cpu.number.to_string();
                family.sample(&[("cpu", number.as_bytes())], value(cpu) as f64);
            }
        }
        Ok(())
    }
}
