//! `node_schedstat_*` from `/proc/schedstat`.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::schedstat::{self, Cpu};

const FILE: &str = "schedstat";
const NANOSECONDS: f64 = 1e9;

type Column = (&'static str, &'static str, fn(&Cpu<'_>) -> f64);

const COLUMNS: [Column; 3] = [
    (
        "node_schedstat_running_seconds_total",
        "Number of seconds CPU spent running a process.",
        |cpu| cpu.running as f64 / NANOSECONDS,
    ),
    (
        "node_schedstat_timeslices_total",
        "Number of timeslices executed by CPU.",
        |cpu| cpu.timeslices as f64,
    ),
    (
        "node_schedstat_waiting_seconds_total",
        "Number of seconds spent by processing waiting for this CPU.",
        |cpu| cpu.waiting as f64 / NANOSECONDS,
    ),
];

pub struct Schedstat {
    source: Source,
}

impl Default for Schedstat {
    fn default() -> Self {
        Self {
            source: Source::proc(FILE),
        }
    }
}

impl Collector for Schedstat {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self
            .source
            .read(node)
            .map_err(CollectError::missing_is_no_data)?;
        let cpus = parsed(node, Tree::Proc, FILE, schedstat::parse(text))?;
        for (name, help, value) in COLUMNS {
            let mut family = page.family(name, help, Kind::Counter);
            for cpu in &cpus {
                family.sample(&[("cpu", cpu.number)], value(cpu));
            }
        }
        Ok(())
    }
}
