//! `node_disk_*` from `/proc/diskstats`, with what udev and sysfs know of each device.

use std::collections::BTreeMap;

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree, Version};
use crate::procfs::diskstats::{self, Disk};
use crate::procfs::text;
use crate::procfs::udev::property;
use crate::settings::{Filter, Settings};

mod rotational;

use rotational::Rotational;

const FILE: &str = "diskstats";

/// "Standard UNIX 512-byte sectors", whatever the device's own are
/// (Documentation/block/stat.rst in the kernel).
const SECTOR: f64 = 512.0;

/// The file counts milliseconds. The product with a tenth is not the same as the quotient in the
/// last digit, and node_exporter multiplies.
const MILLISECOND: f64 = 1.0 / 1000.0;

/// Family, help text, type and factor, in the columns' order.
const COLUMNS: [(&str, &str, Kind, f64); diskstats::MOST] = [
    (
        "node_disk_reads_completed_total",
        "The total number of reads completed successfully.",
        Kind::Counter,
        1.0,
    ),
    (
        "node_disk_reads_merged_total",
        "The total number of reads merged.",
        Kind::Counter,
        1.0,
    ),
    (
        "node_disk_read_bytes_total",
        "The total number of bytes read successfully.",
        Kind::Counter,
        SECTOR,
    ),
    (
        "node_disk_read_time_seconds_total",
        "The total number of seconds spent by all reads.",
        Kind::Counter,
        MILLISECOND,
    ),
    (
        "node_disk_writes_completed_total",
        "The total number of writes completed successfully.",
        Kind::Counter,
        1.0,
    ),
    (
        "node_disk_writes_merged_total",
        "The number of writes merged.",
        Kind::Counter,
        1.0,
    ),
    (
        "node_disk_written_bytes_total",
        "The total number of bytes written successfully.",
        Kind::Counter,
        SECTOR,
    ),
    (
        "node_disk_write_time_seconds_total",
        "This is the total number of seconds spent by all writes.",
        Kind::Counter,
        MILLISECOND,
    ),
    (
        "node_disk_io_now",
        "The number of I/Os currently in progress.",
        Kind::Gauge,
        1.0,
    ),
    (
        "node_disk_io_time_seconds_total",
        "Total seconds spent doing I/Os.",
        Kind::Counter,
        MILLISECOND,
    ),
    (
        "node_disk_io_time_weighted_seconds_total",
        "The weighted # of seconds spent doing I/Os.",
        Kind::Counter,
        MILLISECOND,
    ),
    (
        "node_disk_discards_completed_total",
        "The total number of discards completed successfully.",
        Kind::Counter,
        1.0,
    ),
    (
        "node_disk_discards_merged_total",
        "The total number of discards merged.",
        Kind::Counter,
        1.0,
    ),
    (
        "node_disk_discarded_sectors_total",
        "The total number of sectors discarded successfully.",
        Kind::Counter,
        1.0,
    ),
    (
        "node_disk_discard_time_seconds_total",
        "This is the total number of seconds spent by all discards.",
        Kind::Counter,
        MILLISECOND,
    ),
    (
        "node_disk_flush_requests_total",
        "The total number of flush requests completed successfully",
        Kind::Counter,
        1.0,
    ),
    (
        "node_disk_flush_requests_time_seconds_total",
        "This is the total number of seconds spent by all flush requests.",
        Kind::Counter,
        MILLISECOND,
    ),
];

/// udev property, family and help text, shown for ATA disks only.
const ATA: [(&str, &str, &str); 3] = [
    (
        "ID_ATA_ROTATION_RATE_RPM",
        "node_disk_ata_rotation_rate_rpm",
        "ATA disk rotation rate in RPMs (0 for SSDs).",
    ),
    (
        "ID_ATA_WRITE_CACHE",
        "node_disk_ata_write_cache",
        "ATA disk has a write cache.",
    ),
    (
        "ID_ATA_WRITE_CACHE_ENABLED",
        "node_disk_ata_write_cache_enabled",
        "ATA disk has its write cache enabled.",
    ),
];

pub struct Diskstats {
    filter: Filter,
    source: Source,
    disks: Vec<Disk>,
    /// By name.
    details: BTreeMap<String, Details>,
}

impl Diskstats {
    pub fn new(settings: &Settings) -> Self {
        Self {
            filter: settings.diskstats_devices.clone(),
            source: Source::proc(FILE),
            disks: Vec::new(),
            details: BTreeMap::new(),
        }
    }
}

impl Collector for Diskstats {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self.source.read(node)?;
        self.disks.clear();
        parsed(
            node,
            Tree::Proc,
            FILE,
            diskstats::parse(text, &mut self.disks),
        )?;
        self.disks
            .retain(|disk| !self.filter.ignores(disk.name.as_bytes()));
        self.look_up(node);
        let details: Vec<&Details> = self
            .disks
            .iter()
            .filter_map(|disk| self.details.get(&disk.name))
            .collect();
        info(&self.disks, &details, page);
        filesystems(&self.disks, &details, page);
        mappers(&self.disks, &details, page);
        ata(&self.disks, &details, page);
        for (column, (name, help, kind, factor)) in COLUMNS.into_iter().enumerate() {
            let mut family = page.family(name, help, kind);
            for disk in self.disks.iter().filter(|disk| disk.count > column) {
                let value = disk.stats[column] as f64 * factor;
                family.sample(&[("device", disk.name.as_bytes())], value);
            }
        }
        Ok(())
    }
}

impl Diskstats {
    /// Brings the details up to date: one set for each disk.
    fn look_up(&mut self, node: &dyn Node) {
        let disks = &self.disks;
        self.details
            .retain(|name, _| disks.iter().any(|disk| disk.name == *name));
        for disk in &self.disks {
            let number = (disk.major, disk.minor);
            let known = self
                .details
                .get_mut(&disk.name)
                .filter(|details| details.number == number);
            match known {
                Some(details) => details.refresh(node),
                None => {
                    let mut details = Details::new(disk);
                    details.refresh(node);
                    self.details.insert(disk.name.clone(), details);
                }
            }
        }
    }
}

/// What is known of a device besides its statistics.
struct Details {
    number: (u32, u32),
    /// Name of udev's file, and which version of it is in `udev`.
    udev_file: String,
    version: Option<Version>,
    udev: Vec<u8>,
    rotational: Rotational,
}

impl Details {
    fn new(disk: &Disk) -> Self {
        Self {
            number: (disk.major, disk.minor),
            udev_file: format!("b{}:{}", disk.major, disk.minor),
            version: None,
            udev: Vec::new(),
            rotational: Rotational::new(&disk.name),
        }
    }

    fn refresh(&mut self, node: &dyn Node) {
        self.rotational.refresh(node);
        // No udev (containers, many small systems) means empty labels, not a failure.
        let version = node.version(Tree::Udev, &self.udev_file).ok();
        if version.is_some() && version == self.version {
            return;
        }
        self.version = version;
        if version.is_none()
            || node
                .read(Tree::Udev, &self.udev_file, &mut self.udev)
                .is_err()
        {
            self.version = None;
            self.udev.clear();
        }
    }

    /// A property, empty if udev does not know it.
    fn udev(&self, name: &str) -> &[u8] {
        property(&self.udev, name).unwrap_or_default()
    }
}

fn info(disks: &[Disk], details: &[&Details], page: &mut Page) {
    let mut family = page.family(
        "node_disk_info",
        "Info of /sys/block/<block_device>.",
        Kind::Gauge,
    );
    for (disk, details) in disks.iter().zip(details) {
        // The first that is known: what is printed on the disk, its short form, virtio's.
        let serial = ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"]
            .iter()
            .map(|name| details.udev(name))
            .find(|serial| !serial.is_empty())
            .unwrap_or_default();
        family.sample(
            &[
                ("device", disk.name.as_bytes()),
                ("major", disk.major.to_string().as_bytes()),
                ("minor", disk.minor.to_string().as_bytes()),
                ("model", details.udev("ID_MODEL")),
                ("path", details.udev("ID_PATH")),
                ("revision", details.udev("ID_REVISION")),
                ("rotational", details.rotational.label().as_bytes()),
                ("serial", serial),
                ("wwn", details.udev("ID_WWN")),
            ],
            1.0,
        );
    }
}

fn filesystems(disks: &[Disk], details: &[&Details], page: &mut Page) {
    let mut family = page.family(
        "node_disk_filesystem_info",
        "Info about disk filesystem.",
        Kind::Gauge,
    );
    for (disk, details) in disks.iter().zip(details) {
        let kind = details.udev("ID_FS_TYPE");
        if kind.is_empty() {
            continue;
        }
        family.sample(
            &[
                ("device", disk.name.as_bytes()),
                ("type", kind),
                ("usage", details.udev("ID_FS_USAGE")),
                ("uuid", details.udev("ID_FS_UUID")),
                ("version", details.udev("ID_FS_VERSION")),
            ],
            1.0,
        );
    }
}

fn mappers(disks: &[Disk], details: &[&Details], page: &mut Page) {
    let mut family = page.family(
        "node_disk_device_mapper_info",
        "Info about disk device mapper.",
        Kind::Gauge,
    );
    for (disk, details) in disks.iter().zip(details) {
        let name = details.udev("DM_NAME");
        if name.is_empty() {
            continue;
        }
        family.sample(
            &[
                ("device", disk.name.as_bytes()),
                ("lv_layer", details.udev("DM_LV_LAYER")),
                ("lv_name", details.udev("DM_LV_NAME")),
                ("name", name),
                ("uuid", details.udev("DM_UUID")),
                ("vg_name", details.udev("DM_VG_NAME")),
            ],
            1.0,
        );
    }
}

fn ata(disks: &[Disk], details: &[&Details], page: &mut Page) {
    for (attribute, name, help) in ATA {
        let mut family = page.family(name, help, Kind::Gauge);
        for (disk, details) in disks.iter().zip(details) {
            if details.udev("ID_ATA").is_empty() {
                continue;
            }
            let value = property(&details.udev, attribute)
                .and_then(|value| text::expect_float(0, attribute, Some(value)).ok());
            if let Some(value) = value {
                family.sample(&[("device", disk.name.as_bytes())], value);
            }
        }
    }
}
