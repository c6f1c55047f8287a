//! The label `rotational` of `node_disk_info`.

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
pub fn rotational(node: &dyn Node, device: &str, buffer: &mut Vec<u8>) -> &'static str {
    let attribute = |name: &str, buffer: &mut Vec<u8>| {
        node.read(Tree::Sys, &format!("block/{device}/queue/{name}"), buffer)
            .is_ok()
    };
    let number = |name: &str, buffer: &mut Vec<u8>| {
        attribute(name, buffer)
            && text::number(
                text::trim(buffer)
                    .strip_prefix(b"-")
                    .unwrap_or(text::trim(buffer)),
            )
            .is_some()
    };
    let rotates = number("rotational", buffer) && text::trim(buffer) == b"1";
    let complete = rotates
        && QUEUE_NUMBERS.iter().all(|name| number(name, buffer))
        && QUEUE_TEXTS.iter().all(|name| attribute(name, buffer));
    if complete { "1" } else { "0" }
}
