//! The kernel's counters since boot, from `/proc/stat`.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::stat;

const FILE: &str = "stat";

pub struct Stat {
    source: Source,
}

impl Default for Stat {
    fn default() -> Self {
        Self {
            source: Source::proc(FILE),
        }
    }
}

impl Collector for Stat {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self.source.read(node)?;
        let found = parsed(node, Tree::Proc, FILE, stat::counters(text))?;
        let families = [
            (
                "node_boot_time_seconds",
                "Node boot time, in unixtime.",
                Kind::Gauge,
                found.boot_time,
            ),
            (
                "node_context_switches_total",
                "Total number of context switches.",
                Kind::Counter,
                found.context_switches,
            ),
            (
                "node_forks_total",
                "Total number of forks.",
                Kind::Counter,
                found.forks,
            ),
            (
                "node_intr_total",
                "Total number of interrupts serviced.",
                Kind::Counter,
                found.interrupts,
            ),
            (
                "node_procs_blocked",
                "Number of processes blocked waiting for I/O to complete.",
                Kind::Gauge,
                found.procs_blocked,
            ),
            (
                "node_procs_running",
                "Number of processes in runnable state.",
                Kind::Gauge,
                found.procs_running,
            ),
        ];
        for (name, help, kind, value) in families {
            page.single(name, help, kind, value as f64);
        }
        Ok(())
    }
}
