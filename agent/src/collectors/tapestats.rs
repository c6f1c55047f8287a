//! `node_tape_*` from `/sys/class/scsi_tape/st*/stats`.

use super::gather::{Files, Rows};
use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::text::any_base_unsigned;
use crate::settings::{Filter, Settings};

const FOLDER: &str = "class/scsi_tape";

const NANOSECOND: f64 = 0.000_000_001;

/// A file, the family that it becomes, its type and unit.
const COUNTERS: [(&str, &str, &str, Kind, f64); 10] = [
    (
        "in_flight",
        "node_tape_io_now",
        "The number of I/Os currently outstanding to this device.",
        Kind::Gauge,
        1.0,
    ),
    (
        "io_ns",
        "node_tape_io_time_seconds_total",
        "The amount of time spent waiting for all I/O to complete (including read and write). This \
         includes tape movement commands such as seeking between file or set marks and implicit \
         tape movement such as when rewind on close tape devices are used.",
        Kind::Counter,
        NANOSECOND,
    ),
    (
        "other_cnt",
        "node_tape_io_others_total",
        "The number of I/Os issued to the tape drive other than read or write commands. The time \
         taken to complete these commands uses the following calculation \
         io_time_seconds_total-read_time_seconds_total-write_time_seconds_total",
        Kind::Counter,
        1.0,
    ),
    (
        "read_byte_cnt",
        "node_tape_read_bytes_total",
        "The number of bytes read from the tape drive.",
        Kind::Counter,
        1.0,
    ),
    (
        "read_cnt",
        "node_tape_reads_completed_total",
        "The number of read requests issued to the tape drive.",
        Kind::Counter,
        1.0,
    ),
    (
        "read_ns",
        "node_tape_read_time_seconds_total",
        "The amount of time spent waiting for read requests to complete.",
        Kind::Counter,
        NANOSECOND,
    ),
    (
        "resid_cnt",
        "node_tape_residual_total",
        "The number of times during a read or write we found the residual amount to be non-zero. \
         This should mean that a program is issuing a read larger thean the block size on tape. \
         For write not all data made it to tape.",
        Kind::Counter,
        1.0,
    ),
    (
        "write_byte_cnt",
        "node_tape_written_bytes_total",
        "The number of bytes written to the tape drive.",
        Kind::Counter,
        1.0,
    ),
    (
        "write_cnt",
        "node_tape_writes_completed_total",
        "The number of write requests issued to the tape drive.",
        Kind::Counter,
        1.0,
    ),
    (
        "write_ns",
        "node_tape_write_time_seconds_total",
        "The amount of time spent waiting for write requests to complete.",
        Kind::Counter,
        NANOSECOND,
    ),
];

pub struct Tapestats {
    filter: Filter,
}

impl Tapestats {
    pub fn new(settings: &Settings) -> Self {
        Self {
            filter: settings.tapestats_devices.clone(),
        }
    }
}

impl Collector for Tapestats {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        let entries = files
            .entries(FOLDER)
            .map_err(CollectError::missing_is_no_data)?;
        for entry in entries {
            let is_drive = entry.name.strip_prefix("st").is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            });
            if !is_drive || self.filter.ignores(entry.name.as_bytes()) {
                continue;
            }
            let folder = format!("{FOLDER}/{}/stats", entry.name);
            let there = files
                .entries(&folder)
                .map_err(CollectError::missing_is_no_data)?;
            for (file, family, help, kind, unit) in COUNTERS {
                // What the driver does not count is 0.
                let count = if there.iter().any(|entry| entry.name == file) {
                    files.attribute_as(
                        &format!("{folder}/{file}"),
                        "a 64-bit number",
                        any_base_unsigned,
                    )?
                } else {
                    0
                };
                rows.add(
                    family,
                    help,
                    kind,
                    &[("device", entry.name.as_bytes())],
                    count as f64 * unit,
                );
            }
        }
        rows.write(page);
        Ok(())
    }
}
