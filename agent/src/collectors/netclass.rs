//! `node_network_*` of each device's properties, from `/sys/class/net`.
//!
//! There are 22 files per device, so those of the first devices stay open.

use std::collections::BTreeMap;

use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{EntryKind, Kept, Node, Tree};
use crate::procfs::text::{any_base, trim};
use crate::settings::{Filter, Settings};

const FOLDER: &str = "class/net";

/// Devices whose files stay open; a host of containers has hundreds of others.
const KEPT: usize = 8;

/// A file with a number in it, its part of the family's name, and the family's type.
const NUMBERS: [(&str, &str, Kind); 17] = [
    ("addr_assign_type", "address_assign_type", Kind::Gauge),
    ("carrier", "carrier", Kind::Gauge),
    ("carrier_changes", "carrier_changes_total", Kind::Counter),
    (
        "carrier_down_count",
        "carrier_down_changes_total",
        Kind::Counter,
    ),
    (
        "carrier_up_count",
        "carrier_up_changes_total",
        Kind::Counter,
    ),
    ("dev_id", "device_id", Kind::Gauge),
    ("dormant", "dormant", Kind::Gauge),
    ("flags", "flags", Kind::Gauge),
    ("ifindex", "iface_id", Kind::Gauge),
    ("iflink", "iface_link", Kind::Gauge),
    ("link_mode", "iface_link_mode", Kind::Gauge),
    ("mtu", "mtu_bytes", Kind::Gauge),
    ("name_assign_type", "name_assign_type", Kind::Gauge),
    ("netdev_group", "net_dev_group", Kind::Gauge),
    ("type", "protocol_type", Kind::Gauge),
    ("speed", "speed_bytes", Kind::Gauge),
    ("tx_queue_len", "transmit_queue_length", Kind::Gauge),
];

const FLAGS: usize = 7;
const SPEED: usize = 15;
/// In the flags: somebody has switched the device on.
const IFF_UP: i64 = 1;

/// A file with text in it, which is a label of `node_network_info`.
const TEXTS: [&str; 5] = ["address", "broadcast", "duplex", "ifalias", "operstate"];

const OPERSTATE: usize = 4;

pub struct Netclass {
    filter: Filter,
    ignore_invalid_speed: bool,
    devices: BTreeMap<String, Device>,
    /// Family name and help text per number, made once.
    families: Vec<(String, String)>,
    buffer: Vec<u8>,
}

/// A device, as last read.
#[derive(Default)]
struct Device {
    seen: bool,
    numbers: [Option<i64>; NUMBERS.len()],
    texts: [Vec<u8>; TEXTS.len()],
    /// Of the numbers, then the texts.
    kept: Option<Box<[Kept; NUMBERS.len() + TEXTS.len()]>>,
}

impl Netclass {
    pub fn new(settings: &Settings) -> Self {
        Self {
            filter: settings.netclass_devices.clone(),
            ignore_invalid_speed: settings.netclass_ignore_invalid_speed,
            devices: BTreeMap::new(),
            families: NUMBERS
                .iter()
                .map(|(_, name, _)| {
                    (
                        format!("node_network_{name}"),
                        format!("Network device property: {name}"),
                    )
                })
                .collect(),
            buffer: Vec::new(),
        }
    }
}

impl Collector for Netclass {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let entries = node
            .entries(Tree::Sys, FOLDER)
            .map_err(|source| CollectError::Read {
                path: node.path(Tree::Sys, FOLDER),
                source,
            })
            .map_err(no_data)?;
        for device in self.devices.values_mut() {
            device.seen = false;
        }
        for entry in entries {
            // `bonding_masters` is a file among the devices.
            if entry.kind == EntryKind::File || self.filter.ignores(entry.name.as_bytes()) {
                continue;
            }
            let others = self.devices.len();
            let device = self
                .devices
                .entry(entry.name.clone())
                .or_insert_with(|| Device {
                    kept: (others < KEPT).then(Box::default),
                    ..Device::default()
                });
            device.seen = true;
            device.read(node, &entry.name, &mut self.buffer)?;
        }
        self.devices.retain(|_, device| device.seen);
        self.write(page);
        Ok(())
    }
}

fn no_data(error: CollectError) -> CollectError {
    if error.is_denied() {
        CollectError::NoData(error.to_string())
    } else {
        error.missing_is_no_data()
    }
}

impl Device {
    fn read(
        &mut self,
        node: &dyn Node,
        name: &str,
        buffer: &mut Vec<u8>,
    ) -> Result<(), CollectError> {
        let files = NUMBERS.iter().map(|(file, ..)| *file).chain(TEXTS);
        for (at, file) in files.enumerate() {
            let kept = self.kept.as_mut().map(|kept| &mut kept[at]);
            let told = attribute(node, name, file, kept, buffer)?;
            let value = trim(buffer);
            match at.checked_sub(NUMBERS.len()) {
                // What is no number is 0, as node_exporter has it.
                None => self.numbers[at] = told.then(|| any_base(value).unwrap_or_default()),
                Some(at) => {
                    self.texts[at].clear();
                    self.texts[at].extend_from_slice(value);
                }
            }
        }
        Ok(())
    }

    fn admin_state(&self) -> &'static str {
        match self.numbers[FLAGS] {
            None => "unknown",
            Some(flags) if flags & IFF_UP != 0 => "up",
            Some(_) => "down",
        }
    }
}

/// Reads a property into the buffer, and says whether the device has it.
fn attribute(
    node: &dyn Node,
    device: &str,
    file: &str,
    kept: Option<&mut Kept>,
    buffer: &mut Vec<u8>,
) -> Result<bool, CollectError> {
    let path = || [FOLDER, device, file].join("/");
    let result = match kept {
        Some(kept) if kept.is_open() => kept.attribute(|| node.path(Tree::Sys, &path()), buffer),
        kept => node.attribute(Tree::Sys, &path(), kept, buffer),
    };
    let Err(source) = result else {
        return Ok(true);
    };
    buffer.clear();
    let error = CollectError::Read {
        path: node.path(Tree::Sys, &path()),
        source,
    };
    // A device without the property, or one that is down, says so; one that is gone has none.
    if error.is_not_told() || error.is_errno(rustix::io::Errno::NODEV) {
        Ok(false)
    } else {
        Err(error)
    }
}

impl Netclass {
    fn write(&self, page: &mut Page) {
        for (at, (name, help)) in self.families.iter().enumerate() {
            let mut family = page.family(name, help, NUMBERS[at].2);
            for (device, found) in &self.devices {
                let Some(mut value) = found.numbers[at] else {
                    continue;
                };
                if at == SPEED {
                    if value < 0 && self.ignore_invalid_speed {
                        continue;
                    }
                    // Megabits; unknown is -1, of which node_exporter makes -125000.
                    value = value.wrapping_mul(1000).wrapping_mul(1000) / 8;
                }
                family.sample(&[("device", device.as_bytes())], value as f64);
            }
        }
        let mut family = page.family(
            "node_network_info",
            "Non-numeric data from /sys/class/net/<iface>, value is always 1.",
            Kind::Gauge,
        );
        for (device, found) in &self.devices {
            let [address, broadcast, duplex, alias, state] = &found.texts;
            family.sample(
                &[
                    ("address", address),
                    ("adminstate", found.admin_state().as_bytes()),
                    ("broadcast", broadcast),
                    ("device", device.as_bytes()),
                    ("duplex", duplex),
                    ("ifalias", alias),
                    ("operstate", state),
                ],
                1.0,
            );
        }
        drop(family);
        let mut family = page.family(
            "node_network_up",
            "Value is 1 if operstate is 'up', 0 otherwise.",
            Kind::Gauge,
        );
        for (device, found) in &self.devices {
            let up = found.texts[OPERSTATE] == b"up";
            family.sample(&[("device", device.as_bytes())], f64::from(u8::from(up)));
        }
    }
}
