//! `node_cgroups_*` from `/proc/cgroups`.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::cgroups;

const FILE: &str = "cgroups";

pub struct Cgroups {
    source: Source,
}

impl Default for Cgroups {
    fn default() -> Self {
        Self {
            source: Source::proc(FILE),
        }
    }
}

impl Collector for Cgroups {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self.source.read(node)?;
        let controllers = parsed(node, Tree::Proc, FILE, cgroups::parse(text))?;
        for (name, column) in [("node_cgroups_cgroups", 0), ("node_cgroups_enabled", 1)] {
            let mut family =
                page.family(name, "Current cgroup number of the subsystem.", Kind::Gauge);
            for (controller, values) in &controllers {
                family.sample(&[("subsys_name", controller)], values[column] as f64);
            }
        }
        Ok(())
    }
}
