//! `node_memory_*` from `/proc/meminfo`.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::meminfo;

const FILE: &str = "meminfo";

pub struct Meminfo {
    source: Source,
    /// Family name and help text per field, made once.
    families: Vec<(String, String)>,
}

impl Default for Meminfo {
    fn default() -> Self {
        let families = meminfo::FIELDS
            .iter()
            .map(|(_, name)| {
                (
                    format!("node_memory_{name}"),
                    format!("Memory information field {name}."),
                )
            })
            .collect();
        Self {
            source: Source::proc(FILE),
            families,
        }
    }
}

impl Collector for Meminfo {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self.source.read(node)?;
        let values = parsed(node, Tree::Proc, FILE, meminfo::parse(text))?;
        for ((name, help), value) in self.families.iter().zip(values) {
            if let Some(value) = value {
                page.single(name, help, Kind::Gauge, value as f64);
            }
        }
        Ok(())
    }
}
