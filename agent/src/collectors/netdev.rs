//! `node_network_*_total`: bytes, packets and errors per network device, by netlink or from
//! `/proc/net/dev`.
//!
//! Netlink ignores the roots, as it does in node_exporter. So without the setting
//! `netdevNetlink` it is used only if `roots.proc` is a running kernel's: a copied tree is then
//! shown as it was, instead of mixed with this machine's devices.
//!
//! The file is read as the first process sees it: in a container with a network of its own,
//! `roots.proc` leads to the node's devices and `net/dev` below it to the container's.

use std::io;

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{LinkSocket, Node, Tree};
use crate::procfs::net_dev::{self, Device};
use crate::settings::{Filter, Settings};

/// The node's, or else our own where the first process is not shown to us (`hidepid`).
const FILES: [&str; 2] = ["1/net/dev", "net/dev"];

/// One family: its part of the name and where its value is; `None` leaves the device out.
type Column = (&'static str, fn(&Device) -> Option<u64>);

const COLUMNS: [Column; 17] = [
    ("receive_bytes", |device| Some(device.receive_bytes)),
    ("receive_compressed", |device| {
        Some(device.receive_compressed)
    }),
    ("receive_drop", |device| Some(device.receive_drop)),
    ("receive_errs", |device| Some(device.receive_errs)),
    ("receive_fifo", |device| Some(device.receive_fifo)),
    ("receive_frame", |device| Some(device.receive_frame)),
    ("receive_multicast", |device| Some(device.receive_multicast)),
    ("receive_nohandler", |device| device.receive_nohandler),
    ("receive_packets", |device| Some(device.receive_packets)),
    ("transmit_bytes", |device| Some(device.transmit_bytes)),
    ("transmit_carrier", |device| Some(device.transmit_carrier)),
    ("transmit_colls", |device| Some(device.transmit_colls)),
    ("transmit_compressed", |device| {
        Some(device.transmit_compressed)
    }),
    ("transmit_drop", |device| Some(device.transmit_drop)),
    ("transmit_errs", |device| Some(device.transmit_errs)),
    ("transmit_fifo", |device| Some(device.transmit_fifo)),
    ("transmit_packets", |device| Some(device.transmit_packets)),
];

pub struct Netdev {
    filter: Filter,
    /// Whether to ask by netlink; found out in the first scrape unless it is set.
    netlink: Option<bool>,
    socket: LinkSocket,
    /// [`FILES`].
    sources: [Source; 2],
    devices: Vec<Device>,
    /// Family name and help text per column, made once.
    families: Vec<(String, String)>,
}

impl Netdev {
    pub fn new(settings: &Settings) -> Self {
        let families = COLUMNS
            .iter()
            .map(|(name, _)| {
                (
                    format!("node_network_{name}_total"),
                    format!("Network device statistic {name}."),
                )
            })
            .collect();
        Self {
            filter: settings.netdev_devices.clone(),
            netlink: settings.netdev_netlink,
            socket: LinkSocket::default(),
            sources: FILES.map(Source::proc),
            devices: Vec::new(),
            families,
        }
    }
}

impl Collector for Netdev {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        self.devices.clear();
        if *self.netlink.get_or_insert_with(|| node.is_live()) {
            node.links(&mut self.socket, &mut self.devices)
                .map_err(|source| CollectError::Ask {
                    what: "network devices",
                    source,
                })?;
        } else {
            let [of_first, of_own] = &mut self.sources;
            let [first, own] = FILES;
            let (file, text) = match of_first.try_read(node).map(drop) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                    ) =>
                {
                    (own, of_own.read(node)?)
                }
                // Read, or a failure that reading once more puts into words.
                Ok(()) => (first, of_first.text.as_slice()),
                Err(_) => (first, of_first.read(node)?),
            };
            let result = net_dev::parse(text, &mut self.devices);
            parsed(node, Tree::Proc, file, result)?;
        }
        self.devices
            .retain(|device| !self.filter.ignores(device.name.as_bytes()));
        // A name that stands there twice: the last line counts, as in node_exporter's map.
        self.devices.reverse();
        for ((name, help), (_, value)) in self.families.iter().zip(COLUMNS) {
            let mut family = page.family(name, help, Kind::Counter);
            for device in &self.devices {
                if let Some(value) = value(device) {
                    family.sample(&[("device", device.name.as_bytes())], value as f64);
                }
            }
        }
        Ok(())
    }
}
