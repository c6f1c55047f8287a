//! `node_ethtool_*` and `node_network_*`: what network drivers tell of themselves, their link modes
//! and their own statistics.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;

use rustix::io::Errno;

use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{Drivers, Node, Tree};
use crate::settings::{Filter, Settings};

/// Bytes a second of a megabit a second, in which netclass has speeds, too.
const MEGABIT: f64 = 1e6 / 8.0;

const AUTONEGOTIATES: u32 = 1 << 6;
const PAUSES: u32 = 1 << 13;
const PAUSES_ASYMMETRICALLY: u32 = 1 << 14;

/// Bits of `enum ethtool_link_mode_bit_indices` by the port that they stand for.
const PORTS: [(u32, &str); 6] = [
    (7, "TP"),
    (8, "AUI"),
    (9, "MII"),
    (10, "FIBRE"),
    (11, "BNC"),
    (16, "Backplane"),
];

/// Bit, megabits a second, duplex, and what stands behind `base` in the mode's name. Modes from bit
/// 32 are not told by this call, as from node_exporter.
const SPEEDS: [(u32, u32, &str, &str); 22] = [
    (0, 10, "half", "T"),
    (1, 10, "full", "T"),
    (2, 100, "half", "T"),
    (3, 100, "full", "T"),
    (4, 1000, "half", "T"),
    (5, 1000, "full", "T"),
    (12, 10000, "full", "T"),
    (17, 1000, "full", "KX"),
    (18, 10000, "full", "KX4"),
    (19, 10000, "full", "KR"),
    (20, 10000, "full", "R_FEC"),
    (21, 20000, "full", "MLD2"),
    (22, 20000, "full", "KR2"),
    (23, 40000, "full", "KR4"),
    (24, 40000, "full", "CR4"),
    (25, 40000, "full", "SR4"),
    (26, 40000, "full", "LR4"),
    (27, 56000, "full", "KR4"),
    (28, 56000, "full", "CR4"),
    (29, 56000, "full", "SR4"),
    (30, 56000, "full", "LR4"),
    (31, 25000, "full", "CR"),
];

/// Statistics that node_exporter gives another name and help than the driver's.
const RENAMED: [(&str, &str, &str); 7] = [
    (
        "rx_bytes",
        "received_bytes_total",
        "Network interface bytes received",
    ),
    (
        "rx_dropped",
        "received_dropped_total",
        "Number of received frames dropped",
    ),
    (
        "rx_errors",
        "received_errors_total",
        "Number of received frames with errors",
    ),
    (
        "rx_packets",
        "received_packets_total",
        "Network interface packets received",
    ),
    (
        "tx_bytes",
        "transmitted_bytes_total",
        "Network interface bytes sent",
    ),
    (
        "tx_errors",
        "transmitted_errors_total",
        "Number of sent frames with errors",
    ),
    (
        "tx_packets",
        "transmitted_packets_total",
        "Network interface packets sent",
    ),
];

pub struct Ethtool {
    devices: Filter,
    statistics: Filter,
}

/// A family while its devices are asked.
struct Statistic {
    help: String,
    /// By the device.
    samples: Vec<(String, u64)>,
}

impl Ethtool {
    pub fn new(settings: &Settings) -> Self {
        Self {
            devices: settings.ethtool_devices.clone(),
            statistics: settings.ethtool_metrics.clone(),
        }
    }
}

impl Collector for Ethtool {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        const FOLDER: &str = "class/net";
        let mut devices = node.list(Tree::Sys, FOLDER).map_err(|source| {
            let error = CollectError::Read {
                path: node.path(Tree::Sys, FOLDER),
                source,
            };
            if error.is_denied() {
                CollectError::NoData(error.to_string())
            } else {
                error.missing_is_no_data()
            }
        })?;
        devices.retain(|device| {
            // Files like `bonding_masters` are no devices.
            !self.devices.ignores(device.as_bytes())
                && node.path(Tree::Sys, &format!("{FOLDER}/{device}")).is_dir()
        });
        let drivers = node.drivers().map_err(|source| CollectError::Ask {
            what: "drivers of network devices",
            source,
        })?;
        let mut failed = None;
        links(&*drivers, &devices, page, &mut failed);
        info(&*drivers, &devices, page, &mut failed);
        self.statistics(&*drivers, &devices, page, &mut failed);
        match failed {
            None => Ok(()),
            Some(error) => Err(CollectError::Part(Box::new(error))),
        }
    }
}

/// What a driver answers; not to have this is no failure, and neither is a device that has gone.
fn answered<T>(result: io::Result<T>, failed: &mut Option<CollectError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(source) => {
            let none = [Errno::OPNOTSUPP, Errno::NODEV].map(|errno| Some(errno.raw_os_error()));
            if !none.contains(&source.raw_os_error()) {
                failed.get_or_insert(CollectError::Ask {
                    what: "the driver of a network device",
                    source,
                });
            }
            None
        }
    }
}

fn links(
    drivers: &dyn Drivers,
    devices: &[String],
    page: &mut Page,
    failed: &mut Option<CollectError>,
) {
    let links: Vec<_> = devices
        .iter()
        .filter_map(|device| Some((device.as_bytes(), answered(drivers.link(device), failed)?)))
        .collect();
    let mut ports = page.family(
        "node_network_supported_port_info",
        "Type of ports or PHYs supported by network device",
        Kind::Gauge,
    );
    for (device, link) in &links {
        for (bit, name) in PORTS {
            if link.supported & 1 << bit != 0 {
                ports.sample(&[("device", device), ("type", name.as_bytes())], 1.0);
            }
        }
    }
    drop(ports);
    let supported = |link: &crate::node::Link| link.supported;
    let advertised = |link: &crate::node::Link| link.advertised;
    let mut speeds = |name: &str, help: &str, modes: fn(&crate::node::Link) -> u32| {
        let mut family = page.family(name, help, Kind::Gauge);
        for (device, link) in &links {
            for (bit, speed, duplex, physical) in SPEEDS {
                if modes(link) & 1 << bit != 0 {
                    let mode = format!("{speed}base{physical}");
                    let labels = [
                        ("device", *device),
                        ("duplex", duplex.as_bytes()),
                        ("mode", mode.as_bytes()),
                    ];
                    family.sample(&labels, f64::from(speed) * MEGABIT);
                }
            }
        }
    };
    speeds(
        "node_network_supported_speed_bytes",
        "Combination of speeds and features supported by network device",
        supported,
    );
    speeds(
        "node_network_advertised_speed_bytes",
        "Combination of speeds and features offered by network device",
        advertised,
    );
    let mut flags = |name: &str, help: &str, value: &dyn Fn(&crate::node::Link) -> u8| {
        let mut family = page.family(name, help, Kind::Gauge);
        for (device, link) in &links {
            family.sample(&[("device", device)], f64::from(value(link)));
        }
    };
    let bit = |modes: u32, bit: u32| u8::from(modes & bit != 0);
    flags(
        "node_network_autonegotiate_supported",
        "If this port device supports autonegotiate",
        &|link| bit(link.supported, AUTONEGOTIATES),
    );
    flags(
        "node_network_pause_supported",
        "If this port device supports pause frames",
        &|link| bit(link.supported, PAUSES),
    );
    flags(
        "node_network_asymmetricpause_supported",
        "If this port device supports asymmetric pause frames",
        &|link| bit(link.supported, PAUSES_ASYMMETRICALLY),
    );
    flags(
        "node_network_autonegotiate_advertised",
        "If this port device offers autonegotiate",
        &|link| bit(link.advertised, AUTONEGOTIATES),
    );
    flags(
        "node_network_pause_advertised",
        "If this port device offers pause capability",
        &|link| bit(link.advertised, PAUSES),
    );
    flags(
        "node_network_asymmetricpause_advertised",
        "If this port device offers asymmetric pause capability",
        &|link| bit(link.advertised, PAUSES_ASYMMETRICALLY),
    );
    flags(
        "node_network_autonegotiate",
        "If this port is using autonegotiate",
        &|link| link.autonegotiates,
    );
}

fn info(
    drivers: &dyn Drivers,
    devices: &[String],
    page: &mut Page,
    failed: &mut Option<CollectError>,
) {
    let mut family = page.family(
        "node_ethtool_info",
        "A metric with a constant '1' value labeled by bus_info, device, driver, \
         expansion_rom_version, firmware_version, version.",
        Kind::Gauge,
    );
    for device in devices {
        if let Some(info) = answered(drivers.info(device), failed) {
            let labels: [(&str, &[u8]); 6] = [
                ("bus_info", &info.bus),
                ("device", device.as_bytes()),
                ("driver", &info.driver),
                ("expansion_rom_version", &info.expansion_rom),
                ("firmware_version", &info.firmware),
                ("version", &info.version),
            ];
            family.sample(&labels, 1.0);
        }
    }
}

impl Ethtool {
    fn statistics(
        &self,
        drivers: &dyn Drivers,
        devices: &[String],
        page: &mut Page,
        failed: &mut Option<CollectError>,
    ) {
        let mut families = BTreeMap::<String, Statistic>::new();
        for device in devices {
            let Some(statistics) = answered(drivers.statistics(device), failed) else {
                continue;
            };
            for (name, (key, value)) in self.named(&statistics) {
                let family = families.entry(name).or_insert_with(|| Statistic {
                    help: help(&key),
                    samples: Vec::new(),
                });
                family.samples.push((device.clone(), value));
            }
        }
        for (name, family) in families {
            let mut shown = page.family(&name, &family.help, Kind::Untyped);
            for (device, value) in family.samples {
                shown.sample(&[("device", device.as_bytes())], value as f64);
            }
        }
    }

    /// A device's statistics by their families, with the name that the patterns see. Two that would
    /// be one family are left out, as by node_exporter: nobody could tell which is shown.
    fn named(&self, statistics: &[(Vec<u8>, u64)]) -> BTreeMap<String, (String, u64)> {
        let mut found = BTreeMap::<String, Option<(&[u8], String, u64)>>::new();
        for (raw, value) in statistics {
            let key = sanitized(raw);
            if raw.is_empty() || self.statistics.ignores(key.as_bytes()) {
                continue;
            }
            match found.entry(family(&key)) {
                Entry::Vacant(place) => {
                    place.insert(Some((raw, key, *value)));
                }
                Entry::Occupied(mut place) => {
                    let next = match place.get() {
                        // The driver names it twice: the last counts.
                        Some((other, ..)) if other == raw => Some((raw.as_slice(), key, *value)),
                        _ => None,
                    };
                    place.insert(next);
                }
            }
        }
        let shown = found.into_iter().filter_map(|(name, kept)| {
            let (_, key, value) = kept?;
            let renamed = RENAMED.iter().find(|(renamed, ..)| *renamed == key);
            let name = renamed.map_or(name, |(_, name, _)| format!("node_ethtool_{name}"));
            Some((name, (key, value)))
        });
        shown.collect()
    }
}

fn help(key: &str) -> String {
    let renamed = RENAMED.iter().find(|(renamed, ..)| *renamed == key);
    renamed.map_or_else(
        || format!("Network interface {key}"),
        |(_, _, help)| (*help).to_owned(),
    )
}

/// Go's `_*[^0-9A-Za-z_]+_*` replaced by one underscore: what a metric's name cannot have, with the
/// underscores beside it.
fn sanitized(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    let count = |rest: &[u8], is: fn(u8) -> bool| rest.iter().take_while(|byte| is(**byte)).count();
    while let Some(first) = rest.first() {
        if first.is_ascii_alphanumeric() {
            out.push(char::from(*first));
            rest = &rest[1..];
            continue;
        }
        let before = count(rest, |byte| byte == b'_');
        let wrong = count(&rest[before..], |byte| {
            byte != b'_' && !byte.is_ascii_alphanumeric()
        });
        if wrong == 0 {
            out.extend(std::iter::repeat_n('_', before));
            rest = &rest[before..];
            continue;
        }
        out.push('_');
        rest = &rest[before + wrong..];
        rest = &rest[count(rest, |byte| byte == b'_')..];
    }
    out
}

/// The family of a statistic: in lower case, `rx` and `tx` spelt out.
fn family(key: &str) -> String {
    let lower = key.to_ascii_lowercase();
    let name = lower.trim_start_matches('_');
    let name = spelt_out(&spelt_out(name, "rx", "received"), "tx", "transmitted");
    format!("node_ethtool_{name}")
}

/// Go's `(^|_)rx(_|$)` replaced: an underscore ends one word and cannot begin the next.
fn spelt_out(name: &str, word: &str, with: &str) -> String {
    let mut out = String::with_capacity(name.len() + 16);
    let mut rest = name;
    let mut begins = true;
    loop {
        let after = rest.strip_prefix(word);
        match after.filter(|after| begins && (after.is_empty() || after.starts_with('_'))) {
            Some(after) => {
                out.push_str(with);
                rest = after.strip_prefix('_').unwrap_or(after);
                if rest.len() < after.len() {
                    out.push('_');
                }
                begins = false;
            }
            None => {
                let Some(first) = rest.chars().next() else {
                    return out;
                };
                out.push(first);
                begins = first == '_';
                rest = &rest[first.len_utf8()..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_node_exporters() {
        for (raw, name) in [
            ("tx_packets", "node_ethtool_transmitted_packets"),
            ("port.rx_dropped", "node_ethtool_port_received_dropped"),
            ("duplicate metric", "node_ethtool_duplicate_metric"),
            ("[0]: rx_ucast", "node_ethtool_0_received_ucast"),
            ("rx_rx", "node_ethtool_received_rx"),
            ("rxq_0_tx", "node_ethtool_rxq_0_transmitted"),
            ("RX", "node_ethtool_received"),
            ("a__.__b", "node_ethtool_a_b"),
            ("a._.b", "node_ethtool_a__b"),
            ("a.\u{e9}b", "node_ethtool_a_b"),
            ("a__b", "node_ethtool_a__b"),
            ("prefix_rx", "node_ethtool_prefix_received"),
        ] {
            assert_eq!(family(&sanitized(raw.as_bytes())), name, "{raw}");
        }
    }
}
