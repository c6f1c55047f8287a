//! `node_nf_conntrack_*`: flows that the kernel tracks.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::conntrack::{self, Statistics};
use crate::procfs::text::{self, ParseError};

/// Files with one number each.
const NUMBERS: [(&str, &str, &str); 2] = [
    (
        "sys/net/netfilter/nf_conntrack_count",
        "node_nf_conntrack_entries",
        "Number of currently allocated flow entries for connection tracking.",
    ),
    (
        "sys/net/netfilter/nf_conntrack_max",
        "node_nf_conntrack_entries_limit",
        "Maximum size of connection tracking table.",
    ),
];

const STATISTICS: &str = "net/stat/nf_conntrack";

type Column = (&'static str, &'static str, fn(&Statistics) -> u64);

const COLUMNS: [Column; 8] = [
    (
        "node_nf_conntrack_stat_drop",
        "Number of packets dropped due to conntrack failure.",
        |sum| sum.drop,
    ),
    (
        "node_nf_conntrack_stat_early_drop",
        "Number of dropped conntrack entries to make room for new ones, if maximum table size was \
         reached.",
        |sum| sum.early_drop,
    ),
    (
        "node_nf_conntrack_stat_found",
        "Number of searched entries which were successful.",
        |sum| sum.found,
    ),
    (
        "node_nf_conntrack_stat_ignore",
        "Number of packets seen which are already connected to a conntrack entry.",
        |sum| sum.ignore,
    ),
    (
        "node_nf_conntrack_stat_insert",
        "Number of entries inserted into the list.",
        |sum| sum.insert,
    ),
    (
        "node_nf_conntrack_stat_insert_failed",
        "Number of entries for which list insertion was attempted but failed.",
        |sum| sum.insert_failed,
    ),
    (
        "node_nf_conntrack_stat_invalid",
        "Number of packets seen which can not be tracked.",
        |sum| sum.invalid,
    ),
    (
        "node_nf_conntrack_stat_search_restart",
        "Number of conntrack table lookups which had to be restarted due to hashtable resizes.",
        |sum| sum.search_restart,
    ),
];

pub struct Conntrack {
    numbers: [Source; 2],
    statistics: Source,
}

impl Default for Conntrack {
    fn default() -> Self {
        Self {
            numbers: NUMBERS.map(|(file, ..)| Source::proc(file)),
            statistics: Source::net("1/net/stat/nf_conntrack", STATISTICS),
        }
    }
}

impl Collector for Conntrack {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        for (source, (file, name, help)) in self.numbers.iter_mut().zip(NUMBERS) {
            // The module need not be loaded.
            let text = source
                .read(node)
                .map_err(CollectError::missing_is_no_data)?;
            let number = single_number(text);
            let number = parsed(node, Tree::Proc, file, number)?;
            page.single(name, help, Kind::Gauge, number as f64);
        }
        let text = self
            .statistics
            .read(node)
            .map_err(CollectError::missing_is_no_data)?;
        let sum = parsed(node, Tree::Proc, STATISTICS, conntrack::parse(text))?;
        for (name, help, value) in COLUMNS {
            page.single(name, help, Kind::Gauge, value(&sum) as f64);
        }
        Ok(())
    }
}

/// A file with one number in it.
pub(super) fn single_number(text: &[u8]) -> Result<u64, ParseError> {
    let text = text::trim(text);
    text::number(text)
        .ok_or_else(|| ParseError::new(1, format!("{} is not a 64-bit number", text::quote(text))))
}
