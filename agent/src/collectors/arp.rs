//! `node_arp_entries` per device, from `/proc/net/arp`. node_exporter asks by netlink unless told
//! not to, and then leaves out what this file does not have anyway.

use std::collections::BTreeMap;

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::arp;
use crate::settings::{Filter, Settings};

const FILE: &str = "net/arp";

pub struct Arp {
    filter: Filter,
    source: Source,
}

impl Arp {
    pub fn new(settings: &Settings) -> Self {
        Self {
            filter: settings.arp_devices.clone(),
            source: Source::net("1/net/arp", FILE),
        }
    }
}

impl Collector for Arp {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self.source.read(node)?;
        let mut entries = BTreeMap::<&[u8], u32>::new();
        for device in parsed(node, Tree::Proc, FILE, arp::devices(text))? {
            *entries.entry(device).or_default() += 1;
        }
        let mut family = page.family("node_arp_entries", "ARP entries by device", Kind::Gauge);
        for (device, count) in entries {
            if !self.filter.ignores(device) {
                family.sample(&[("device", device)], f64::from(count));
            }
        }
        Ok(())
    }
}
