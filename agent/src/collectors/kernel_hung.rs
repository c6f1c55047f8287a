//! `node_kernel_hung_tasks_total`: tasks that the kernel found hung (Linux 6.13 or later).

use super::conntrack::single_number;
use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};

const FILE: &str = "sys/kernel/hung_task_detect_count";

pub struct KernelHung {
    source: Source,
}

impl Default for KernelHung {
    fn default() -> Self {
        Self {
            source: Source::proc(FILE),
        }
    }
}

impl Collector for KernelHung {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self
            .source
            .read(node)
            .map_err(CollectError::missing_is_no_data)?;
        let count = parsed(node, Tree::Proc, FILE, single_number(text))?;
        page.single(
            "node_kernel_hung_tasks_total",
            "Total number of tasks that have been detected as hung since the system booted.",
            Kind::Counter,
            count as f64,
        );
        Ok(())
    }
}
