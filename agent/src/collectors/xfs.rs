//! `node_xfs_*` of each mounted XFS, from `/sys/fs/xfs`.

use super::gather::{Files, Rows};
use super::{CollectError, Collector, parsed};
use crate::exposition::Page;
use crate::node::{Node, Tree};
use crate::procfs::xfs;

mod columns;

use columns::COLUMNS;

const FOLDER: &str = "fs/xfs";

#[derive(Default)]
pub struct Xfs;

impl Collector for Xfs {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        for device in node.list(Tree::Sys, FOLDER).unwrap_or_default() {
            let file = format!("{FOLDER}/{device}/stats/stats");
            if !files.exists(&file) {
                continue;
            }
            let statistics = xfs::parse(files.whole(&file)?);
            let statistics = parsed(node, Tree::Sys, &file, statistics)?;
            for (label, at, family, help) in COLUMNS {
                // A line that the kernel does not have counts nothing.
                let line = statistics.get(label.as_bytes());
                let count = line.and_then(|line| line.get(at)).copied().unwrap_or(0);
                let labels: [(&str, &[u8]); 1] = [("device", device.as_bytes())];
                rows.counter(family, help, &labels, count as f64);
            }
        }
        rows.write(page);
        Ok(())
    }
}
