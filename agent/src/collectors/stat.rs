//! The kernel's counters since boot, from `/proc/stat`.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::stat;
use crate::settings::Settings;

const FILE: &str = "stat";

pub struct Stat {
    source: Source,
    softirqs: bool,
}

impl Stat {
    pub fn new(settings: &Settings) -> Self {
        Self {
            source: Source::proc(FILE),
            softirqs: settings.stat_softirq,
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
        if self.softirqs {
            let counts = parsed(node, Tree::Proc, FILE, stat::softirqs(text))?;
            let mut family = page.family(
                "node_softirqs_total",
                "Number of softirq calls.",
                Kind::Counter,
            );
            for (vector, count) in stat::SOFTIRQS.iter().zip(counts) {
                family.sample(&[("vector", vector.as_bytes())], count as f64);
            }
        }
        Ok(())
    }
}
