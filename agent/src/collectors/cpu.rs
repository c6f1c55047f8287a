//! `node_cpu_*`: time per CPU and mode from `/proc/stat`; throttling, isolation and online state
//! from `/sys/devices/system/cpu`.

use std::collections::BTreeMap;
use std::io;

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::{cpulist, stat};

const STAT: &str = "stat";
const FOLDER: &str = "devices/system/cpu";

/// Idle time that jumps back by this many seconds means that the CPU was unplugged and plugged
/// in again, and all its counters began anew.
const JUMP_BACK: f64 = 3.0;

mod topology;

use topology::Topology;

const IDLE: usize = 3;

/// Modes of `node_cpu_seconds_total` by column of `/proc/stat`, in the order of their names.
const MODES: [(&str, usize); 8] = [
    ("idle", IDLE),
    ("iowait", 4),
    ("irq", 5),
    ("nice", 1),
    ("softirq", 6),
    ("steal", 7),
    ("system", 2),
    ("user", 0),
];

const GUEST_MODES: [(&str, usize); 2] = [("nice", 9), ("user", 8)];

pub struct Cpu {
    source: Source,
    isolated: Source,
    topology: Topology,
    found: Vec<stat::Cpu>,
    /// Seconds per CPU and mode as last shown. A mode that the kernel lets step back (it does,
    /// for idle and iowait) keeps its value, or every rate over it would see a reset.
    shown: BTreeMap<u32, [f64; stat::MODES]>,
}

impl Default for Cpu {
    fn default() -> Self {
        Self {
            source: Source::proc(STAT),
            isolated: Source::new(Tree::Sys, format!("{FOLDER}/isolated")),
            topology: Topology::default(),
            found: Vec::new(),
            shown: BTreeMap::new(),
        }
    }
}

impl Collector for Cpu {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self.source.read(node)?;
        self.found.clear();
        parsed(node, Tree::Proc, STAT, stat::cpus(text, &mut self.found))?;
        self.advance();
        let isolated = self.isolated(node)?;
        self.topology.refresh(node);
        self.topology.throttles(node, page);
        self.seconds(page);
        self.topology.online(node, page);
        let mut family = page.family(
            "node_cpu_isolated",
            "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.",
            Kind::Gauge,
        );
        for cpu in isolated {
            family.sample(&[("cpu", cpu.to_string().as_bytes())], 1.0);
        }
        Ok(())
    }
}

impl Cpu {
    /// Moves what is shown towards what was found, never back except after a hotplug.
    fn advance(&mut self) {
        let found = &self.found;
        self.shown
            .retain(|number, _| found.iter().any(|cpu| cpu.number == *number));
        for cpu in found {
            let shown = self.shown.entry(cpu.number).or_insert([0.0; stat::MODES]);
            let seconds = cpu.ticks.map(|ticks| ticks as f64 / stat::USER_HZ);
            if shown[IDLE] - seconds[IDLE] >= JUMP_BACK {
                *shown = [0.0; stat::MODES];
            }
            for (shown, seconds) in shown.iter_mut().zip(seconds) {
                *shown = seconds.max(*shown);
            }
        }
    }

    fn seconds(&self, page: &mut Page) {
        let families = [
            (
                "node_cpu_guest_seconds_total",
                "Seconds the CPUs spent in guests (VMs) for each mode.",
                &GUEST_MODES[..],
            ),
            (
                "node_cpu_seconds_total",
                "Seconds the CPUs spent in each mode.",
                &MODES[..],
            ),
        ];
        for (name, help, modes) in families {
            let mut family = page.family(name, help, Kind::Counter);
            for (number, seconds) in &self.shown {
                let number = number.to_string();
                for (mode, column) in modes {
                    family.sample(
                        &[("cpu", number.as_bytes()), ("mode", mode.as_bytes())],
                        seconds[*column],
                    );
                }
            }
        }
    }

    fn isolated(&mut self, node: &dyn Node) -> Result<Vec<u32>, CollectError> {
        let name = self.isolated.name.clone();
        match self.isolated.try_read(node) {
            Ok(text) => parsed(node, Tree::Sys, &name, cpulist::parse(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(CollectError::Read {
                path: node.path(Tree::Sys, &name),
                source,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(collector: &mut Cpu, ticks: [u64; stat::MODES]) -> [f64; stat::MODES] {
        collector.found = vec![stat::Cpu { number: 0, ticks }];
        collector.advance();
        collector.shown[&0]
    }

    #[test]
    fn a_small_step_back_is_hidden_and_a_hotplug_is_not() {
        let mut collector = Cpu::default();
        after(&mut collector, [100, 0, 0, 1000, 500, 0, 0, 0, 0, 0]);
        let small = after(&mut collector, [101, 0, 0, 900, 400, 0, 0, 0, 0, 0]);
        assert_eq!((small[0], small[IDLE], small[4]), (1.01, 10.0, 5.0));
        let hotplug = after(&mut collector, [1, 0, 0, 700, 0, 0, 0, 0, 0, 0]);
        assert_eq!((hotplug[0], hotplug[IDLE], hotplug[4]), (0.01, 7.0, 0.0));
    }

    #[test]
    fn an_offline_cpu_is_forgotten() {
        let mut collector = Cpu::default();
        after(&mut collector, [1; stat::MODES]);
        collector.found.clear();
        collector.advance();
        assert!(collector.shown.is_empty());
    }
}
