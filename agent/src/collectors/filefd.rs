//! `node_filefd_*` from `/proc/sys/fs/file-nr`.

use super::{CollectError, Collector, parsed, read};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::filenr;

const FILE: &str = "sys/fs/file-nr";

#[derive(Default)]
pub struct Filefd {
    buffer: Vec<u8>,
}

impl Collector for Filefd {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        read(node, Tree::Proc, FILE, &mut self.buffer)?;
        let found = parsed(node, Tree::Proc, FILE, filenr::parse(&self.buffer))?;
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
