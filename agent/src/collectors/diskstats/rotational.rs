//! The label `rotational` of `node_disk_info`.

use std::time::Instant;

use crate::collectors::{LISTED, Source};
use crate::node::{Node, Tree};
use crate::procfs::text;

/// What node_exporter 1.11.1 reads below `/sys/block/<device>/queue` with a number in it, the
/// ones that are most often missing or unreadable first.
const QUEUE_NUMBERS: [&str; 30] = [
    "io_timeout",
    "wbt_lat_usec",
    "io_poll_delay",
    "write_same_max_bytes",
    "max_discard_segments",
    "fua",
    "dax",
    "chunk_sectors",
    "nr_zones",
    "add_random",
    "discard_granularity",
    "discard_max_hw_bytes",
    "discard_max_bytes",
    "hw_sector_size",
    "io_poll",
    "iostats",
    "logical_block_size",
    "max_hw_sectors_kb",
    "max_integrity_segments",
    "max_sectors_kb",
    "max_segments",
    "max_segment_size",
    "minimum_io_size",
    "nomerges",
    "nr_requests",
    "optimal_io_size",
    "physical_block_size",
    "read_ahead_kb",
    "rq_affinity",
    "write_zeroes_max_bytes",
];

/// What it reads there with text in it.
const QUEUE_TEXTS: [&str; 3] = ["write_cache", "zoned", "scheduler"];

/// The label `rotational` as node_exporter 1.11.1 has it: `1` only if the kernel says so *and*
/// every other file that it reads beside it is readable. That is its accident (virtio disks, which
/// claim to rotate, have no `io_timeout`, so they show `0`), but dashboards match on the label.
pub struct Rotational {
    source: Source,
    rotates: bool,
    /// Whether the other files were readable, and when. 33 files of a disk tell next to nothing
    /// new from one scrape to the next.
    complete: Option<(Instant, bool)>,
}

impl Rotational {
    pub fn new(device: &str) -> Self {
        Self {
            source: Source::new(Tree::Sys, format!("block/{device}/queue/rotational")),
            rotates: false,
            complete: None,
        }
    }

    pub fn refresh(&mut self, node: &dyn Node) {
        self.rotates = self
            .source
            .try_read(node)
            .is_ok_and(|text| text::trim(text) == b"1");
        let known = self
            .complete
            .is_some_and(|(at, _)| at.elapsed() < LISTED && self.source.is_kernels());
        if self.rotates && !known {
            let complete = is_complete(node, self.source.name.trim_end_matches("rotational"));
            self.complete = Some((Instant::now(), complete));
        }
    }

    pub fn label(&self) -> &'static str {
        match self.complete {
            Some((_, true)) if self.rotates => "1",
            _ => "0",
        }
    }
}

/// Whether all the files in this folder can be read as what they are.
fn is_complete(node: &dyn Node, folder: &str) -> bool {
    let mut buffer = Vec::new();
    let mut attribute = |name: &str, is_number: bool| {
        node.read(Tree::Sys, &format!("{folder}{name}"), &mut buffer)
            .is_ok()
            && (!is_number || {
                let text = text::trim(&buffer);
                text::number(text.strip_prefix(b"-").unwrap_or(text)).is_some()
            })
    };
    QUEUE_NUMBERS.iter().all(|name| attribute(name, true))
        && QUEUE_TEXTS.iter().all(|name| attribute(name, false))
}
