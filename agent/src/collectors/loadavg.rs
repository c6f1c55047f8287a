//! `node_load1`, `node_load5`, `node_load15` from `/proc/loadavg`.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::loadavg;

const FILE: &str = "loadavg";

pub struct Loadavg {
    source: Source,
}

impl Default for Loadavg {
    fn default() -> Self {
        Self {
            source: Source::proc(FILE),
        }
    }
}

impl Collector for Loadavg {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self.source.read(node)?;
        let [one, five, fifteen] = parsed(node, Tree::Proc, FILE, loadavg::parse(text))?;
        page.single("node_load1", "1m load average.", Kind::Gauge, one);
        page.single("node_load15", "15m load average.", Kind::Gauge, fifteen);
        page.single("node_load5", "5m load average.", Kind::Gauge, five);
        Ok(())
    }
}
