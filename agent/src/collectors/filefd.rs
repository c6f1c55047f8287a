//! `node_filefd_*` from `/proc/sys/fs/file-nr`.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::filenr;

const FILE: &str = "sys/fs/file-nr";

pub struct Filefd {
    source: Source,
}

impl Default for Filefd {
    fn default() -> Self {
        Self {
            source: Source::proc(FILE),
        }
    }
}

impl Collector for Filefd {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self.source.read(node)?;
        let found = parsed(node, Tree::Proc, FILE, filenr::parse(text))?;
        page.single(
            "node_filefd_allocated",
            "File descriptor statistics: allocated.",
            Kind::Gauge,
            found.allocated,
        );
        page.single(
            "node_filefd_maximum",
            "File descriptor statistics: maximum.",
            Kind::Gauge,
            found.maximum,
        );
        Ok(())
    }
}
