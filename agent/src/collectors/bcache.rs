//! `node_bcache_*` of each cache set, from `/sys/fs/bcache`.

use super::gather::{Files, Rows, if_there};
use super::{CollectError, Collector, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::bcache;
use crate::procfs::text::quote;
use crate::settings::Settings;

const FOLDER: &str = "fs/bcache";

/// A file, the family that it becomes, its type and unit.
type Figure = (&'static str, &'static str, &'static str, Kind, f64);

const OF_SET: [Figure; 10] = [
    (
        "average_key_size",
        "node_bcache_average_key_size_sectors",
        "Average data per key in the btree (sectors).",
        Kind::Gauge,
        1.0,
    ),
    (
        "btree_cache_size",
        "node_bcache_btree_cache_size_bytes",
        "Amount of memory currently used by the btree cache.",
        Kind::Gauge,
        1.0,
    ),
    (
        "cache_available_percent",
        "node_bcache_cache_available_percent",
        "Percentage of cache device without dirty data, usable for writeback (may contain clean \
         cached data).",
        Kind::Gauge,
        1.0,
    ),
    (
        "congested",
        "node_bcache_congested",
        "Congestion.",
        Kind::Gauge,
        1.0,
    ),
    (
        "root_usage_percent",
        "node_bcache_root_usage_percent",
        "Percentage of the root btree node in use (tree depth increases if too high).",
        Kind::Gauge,
        1.0,
    ),
    (
        "tree_depth",
        "node_bcache_tree_depth",
        "Depth of the btree.",
        Kind::Gauge,
        1.0,
    ),
    (
        "internal/active_journal_entries",
        "node_bcache_active_journal_entries",
        "Number of journal entries that are newer than the index.",
        Kind::Gauge,
        1.0,
    ),
    (
        "internal/btree_nodes",
        "node_bcache_btree_nodes",
        "Total nodes in the btree.",
        Kind::Gauge,
        1.0,
    ),
    (
        "internal/btree_read_average_duration_us",
        "node_bcache_btree_read_average_duration_seconds",
        "Average btree read duration.",
        Kind::Gauge,
        1e-9,
    ),
    (
        "internal/cache_read_races",
        "node_bcache_cache_read_races_total",
        "Counts instances where while data was being read from the cache, the bucket was reused and \
         invalidated - i.e. where the pointer was stale after the read completed.",
        Kind::Counter,
        1.0,
    ),
];

const OF_BACKING: [Figure; 7] = [
    (
        "stats_total/bypassed",
        "node_bcache_bypassed_bytes_total",
        "Amount of IO (both reads and writes) that has bypassed the cache.",
        Kind::Counter,
        1.0,
    ),
    (
        "stats_total/cache_hits",
        "node_bcache_cache_hits_total",
        "Hits counted per individual IO as bcache sees them.",
        Kind::Counter,
        1.0,
    ),
    (
        "stats_total/cache_misses",
        "node_bcache_cache_misses_total",
        "Misses counted per individual IO as bcache sees them.",
        Kind::Counter,
        1.0,
    ),
    (
        "stats_total/cache_bypass_hits",
        "node_bcache_cache_bypass_hits_total",
        "Hits for IO intended to skip the cache.",
        Kind::Counter,
        1.0,
    ),
    (
        "stats_total/cache_bypass_misses",
        "node_bcache_cache_bypass_misses_total",
        "Misses for IO intended to skip the cache.",
        Kind::Counter,
        1.0,
    ),
    (
        "stats_total/cache_miss_collisions",
        "node_bcache_cache_miss_collisions_total",
        "Instances where data insertion from cache miss raced with write (data already present).",
        Kind::Counter,
        1.0,
    ),
    (
        "dirty_data",
        "node_bcache_dirty_data_bytes",
        "Amount of dirty data for this backing device in the cache.",
        Kind::Gauge,
        1.0,
    ),
];

const READAHEADS: &str = "stats_total/cache_readaheads";

const OF_CACHE: [Figure; 3] = [
    (
        "io_errors",
        "node_bcache_io_errors",
        "Number of errors that have occurred, decayed by io_error_halflife.",
        Kind::Gauge,
        1.0,
    ),
    (
        "metadata_written",
        "node_bcache_metadata_written_bytes_total",
        "Sum of all non data writes (btree writes and all other metadata).",
        Kind::Counter,
        1.0,
    ),
    (
        "written",
        "node_bcache_written_bytes_total",
        "Sum of all data that has been written to the cache.",
        Kind::Counter,
        1.0,
    ),
];

/// What node_exporter reads of a set besides, and shows nothing if one is no number.
const READ_OF_SET: [&str; 14] = [
    "stats_five_minute/bypassed",
    "stats_five_minute/cache_hits",
    "stats_five_minute/cache_bypass_hits",
    "stats_five_minute/cache_bypass_misses",
    "stats_five_minute/cache_miss_collisions",
    "stats_five_minute/cache_misses",
    "stats_five_minute/cache_readaheads",
    "stats_total/bypassed",
    "stats_total/cache_hits",
    "stats_total/cache_bypass_hits",
    "stats_total/cache_bypass_misses",
    "stats_total/cache_miss_collisions",
    "stats_total/cache_misses",
    READAHEADS,
];

pub struct Bcache {
    priority_stats: bool,
}

impl Bcache {
    pub fn new(settings: &Settings) -> Self {
        Self {
            priority_stats: settings.bcache_priority_stats,
        }
    }
}

impl Collector for Bcache {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        // Without the module there is no set, which is no failure.
        for uuid in node.list(Tree::Sys, FOLDER).unwrap_or_default() {
            if uuid.contains('-') {
                self.read(&mut files, &uuid, &mut rows)?;
            }
        }
        rows.write(page);
        Ok(())
    }
}

impl Bcache {
    fn read(&self, files: &mut Files<'_>, uuid: &str, rows: &mut Rows) -> Result<(), CollectError> {
        let folder = format!("{FOLDER}/{uuid}");
        let set: (&str, &[u8]) = ("uuid", uuid.as_bytes());
        figures(files, &folder, &OF_SET, &[set], rows)?;
        for file in READ_OF_SET {
            figure(files, &format!("{folder}/{file}"))?;
        }
        for device in files.numbered(&folder, "bdev") {
            let folder = format!("{folder}/{device}");
            let labels = [("backing_device", device.as_bytes()), set];
            figures(files, &folder, &OF_BACKING, &labels, rows)?;
            // The first half: what is read of a backing device besides.
            for file in &READ_OF_SET[..7] {
                figure(files, &format!("{folder}/{file}"))?;
            }
            let readaheads = figure(files, &format!("{folder}/{READAHEADS}"))?;
            if readaheads > 0 {
                rows.counter(
                    "node_bcache_cache_readaheads_total",
                    "Count of times readahead occurred.",
                    &labels,
                    readaheads as f64,
                );
            }
            writeback(files, &folder, &labels, rows)?;
        }
        for device in files.numbered(&folder, "cache") {
            let folder = format!("{folder}/{device}");
            let labels = [("cache_device", device.as_bytes()), set];
            figures(files, &folder, &OF_CACHE, &labels, rows)?;
            if self.priority_stats {
                priorities(files, &folder, &labels, rows)?;
            }
        }
        Ok(())
    }
}

fn figures(
    files: &mut Files<'_>,
    folder: &str,
    figures: &[Figure],
    labels: &[(&str, &[u8])],
    rows: &mut Rows,
) -> Result<(), CollectError> {
    for (file, family, help, kind, unit) in figures {
        let value = figure(files, &format!("{folder}/{file}"))?;
        rows.add(*family, *help, *kind, labels, value as f64 * unit);
    }
    Ok(())
}

/// The figure in a file; 0 if the kernel does not have it. The last byte is the kernel's line end,
/// which node_exporter takes away unseen; what is before it has to be the number and nothing else.
fn figure(files: &mut Files<'_>, path: &str) -> Result<u64, CollectError> {
    let Some(text) = if_there(files.whole(path))? else {
        return Ok(0);
    };
    let number = text.split_last().map_or(text, |(_, number)| number);
    match bcache::human(number) {
        Some(value) => Ok(value),
        None => {
            let message = format!("{} is not a number of bcache's", quote(number));
            Err(files.misread(path, 1, message))
        }
    }
}

fn writeback(
    files: &mut Files<'_>,
    folder: &str,
    labels: &[(&str, &[u8])],
    rows: &mut Rows,
) -> Result<(), CollectError> {
    let path = format!("{folder}/writeback_rate_debug");
    let found = bcache::writeback(files.whole(&path)?);
    let found = parsed(files.node, Tree::Sys, &path, found)?;
    for (family, help, value) in [
        (
            "node_bcache_dirty_target_bytes",
            "Current dirty data target threshold for this backing device in bytes.",
            found.target as f64,
        ),
        (
            "node_bcache_writeback_rate",
            "Current writeback rate for this backing device in bytes.",
            found.rate as f64,
        ),
        (
            "node_bcache_writeback_rate_proportional_term",
            "Current result of proportional controller, part of writeback rate",
            found.proportional as f64,
        ),
        (
            "node_bcache_writeback_rate_integral_term",
            "Current result of integral controller, part of writeback rate",
            found.integral as f64,
        ),
        (
            "node_bcache_writeback_change",
            "Last writeback rate change step for this backing device.",
            found.change as f64,
        ),
    ] {
        rows.gauge(family, help, labels, value);
    }
    Ok(())
}

fn priorities(
    files: &mut Files<'_>,
    folder: &str,
    labels: &[(&str, &[u8])],
    rows: &mut Rows,
) -> Result<(), CollectError> {
    let path = format!("{folder}/priority_stats");
    let found = bcache::priorities(files.whole(&path)?);
    let (unused, metadata) = parsed(files.node, Tree::Sys, &path, found)?;
    rows.gauge(
        "node_bcache_priority_stats_unused_percent",
        "The percentage of the cache that doesn't contain any data.",
        labels,
        unused as f64,
    );
    rows.gauge(
        "node_bcache_priority_stats_metadata_percent",
        "Bcache's metadata overhead.",
        labels,
        metadata as f64,
    );
    Ok(())
}
