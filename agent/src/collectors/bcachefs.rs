//! `node_bcachefs_*` of each file system, from `/sys/fs/bcachefs`.

use super::gather::{Files, Rows, if_there};
use super::rapl::sanitized;
use super::{CollectError, Collector, parsed};
use crate::exposition::Page;
use crate::node::{EntryKind, Node, Tree};
use crate::procfs::bcachefs::{self, Heading};
use crate::procfs::text::{self, trim};

const FOLDER: &str = "fs/bcachefs";

#[derive(Default)]
pub struct Bcachefs;

impl Collector for Bcachefs {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        let entries = files
            .entries(FOLDER)
            .map_err(CollectError::missing_is_no_data)?;
        let mut found = 0;
        for entry in entries {
            if entry.kind == EntryKind::Folder {
                read(&mut files, &entry.name, &mut rows)?;
                found += 1;
            }
        }
        if found == 0 {
            return Err(CollectError::NoData("no bcachefs is mounted".to_owned()));
        }
        rows.write(page);
        Ok(())
    }
}

/// The file's content understood by a parser; nothing if the kernel does not have it.
fn read_as<T: Default>(
    files: &mut Files<'_>,
    path: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, crate::procfs::ParseError>,
) -> Result<T, CollectError> {
    let node = files.node;
    match if_there(files.whole(path))? {
        Some(text) => parsed(node, Tree::Sys, path, parse(text)),
        None => Ok(T::default()),
    }
}

fn read(files: &mut Files<'_>, uuid: &str, rows: &mut Rows) -> Result<(), CollectError> {
    let folder = format!("{FOLDER}/{uuid}");
    let own: (&str, &[u8]) = ("uuid", uuid.as_bytes());
    rows.gauge("node_bcachefs_info", "Filesystem information.", &[own], 1.0);
    let cache = if_there(files.value(
        &format!("{folder}/btree_cache_size"),
        "a number of bytes",
        |text| {
            if text.is_empty() {
                Some(0)
            } else {
                bcachefs::human(text)
            }
        },
    ))?;
    rows.gauge(
        "node_bcachefs_btree_cache_size_bytes",
        "Btree cache memory usage in bytes.",
        &[own],
        cache.unwrap_or(0) as f64,
    );
    let path = format!("{folder}/compression_stats");
    for (algorithm, compressed, uncompressed) in read_as(files, &path, bcachefs::compression)? {
        let labels = [("algorithm", algorithm.as_bytes()), own];
        rows.gauge(
            "node_bcachefs_compression_compressed_bytes",
            "Compressed size by algorithm.",
            &labels,
            compressed as f64,
        );
        rows.gauge(
            "node_bcachefs_compression_uncompressed_bytes",
            "Uncompressed size by algorithm.",
            &labels,
            uncompressed as f64,
        );
    }
    for (kind, count) in read_as(files, &format!("{folder}/errors"), bcachefs::errors)? {
        rows.counter(
            "node_bcachefs_errors_total",
            "Error count by error type.",
            &[("error_type", kind.as_bytes()), own],
            count as f64,
        );
    }
    for entry in if_there(files.entries(&format!("{folder}/counters")))?.unwrap_or_default() {
        if entry.kind == EntryKind::Folder {
            continue;
        }
        let path = format!("{folder}/counters/{}", entry.name);
        let count = read_as(files, &path, bcachefs::counter)?;
        rows.counter(
            format!("node_bcachefs_{}_total", sanitized(&entry.name)),
            format!("Bcachefs counter {} since filesystem creation.", entry.name),
            &[own],
            count as f64,
        );
    }
    let path = format!("{folder}/btree_write_stats");
    for (kind, count, size) in read_as(files, &path, bcachefs::writes)? {
        let labels = [("type", kind.as_bytes()), own];
        rows.counter(
            "node_bcachefs_btree_writes_total",
            "Number of btree writes by type.",
            &labels,
            count as f64,
        );
        rows.gauge(
            "node_bcachefs_btree_write_average_size_bytes",
            "Average btree write size by type.",
            &labels,
            size as f64,
        );
    }
    for entry in files.entries(&folder)? {
        if let (EntryKind::Folder, Some(device)) = (entry.kind, entry.name.strip_prefix("dev-")) {
            self::device(
                files,
                &format!("{folder}/{}", entry.name),
                device,
                own,
                rows,
            )?;
        }
    }
    Ok(())
}

fn device(
    files: &mut Files<'_>,
    folder: &str,
    device: &str,
    own: (&str, &[u8]),
    rows: &mut Rows,
) -> Result<(), CollectError> {
    let mut label = |file: &str| {
        let text = files.whole(&format!("{folder}/{file}")).map(trim);
        text.map_or_else(|_| String::new(), text::valid)
    };
    let (title, state) = (label("label"), label("state"));
    let device: (&str, &[u8]) = ("device", device.as_bytes());
    rows.gauge(
        "node_bcachefs_device_info",
        "Device information.",
        &[
            device,
            ("label", title.as_bytes()),
            ("state", state.as_bytes()),
            own,
        ],
        1.0,
    );
    for (file, family, help) in [
        (
            "bucket_size",
            "node_bcachefs_device_bucket_size_bytes",
            "Bucket size in bytes.",
        ),
        (
            "nbuckets",
            "node_bcachefs_device_buckets",
            "Total number of buckets.",
        ),
        (
            "durability",
            "node_bcachefs_device_durability",
            "Device durability setting.",
        ),
    ] {
        let path = format!("{folder}/{file}");
        let value = if file == "bucket_size" {
            // Of this one file, having none and being empty are the same.
            let text = files.whole(&path).map(trim).unwrap_or_default();
            if text.is_empty() {
                None
            } else {
                Some(files.value(&path, "a number of bytes", bcachefs::human)?)
            }
        } else {
            if_there(files.value(&path, "a number", text::number))?
        };
        rows.gauge(family, help, &[device, own], value.unwrap_or(0) as f64);
    }
    let heading = |line: &[u8]| match trim(line) {
        b"read:" => Heading::Of("read".to_owned()),
        b"write:" => Heading::Of("write".to_owned()),
        _ => Heading::No,
    };
    let path = format!("{folder}/io_done");
    let done = read_as(files, &path, |text| bcachefs::sections(text, heading))?;
    for (operation, kind, bytes) in done {
        rows.counter(
            "node_bcachefs_device_io_done_bytes_total",
            "IO bytes by operation type and data type.",
            &[
                ("data_type", kind.as_bytes()),
                device,
                ("operation", operation.as_bytes()),
                own,
            ],
            bytes as f64,
        );
    }
    let heading = |line: &[u8]| match line.strip_prefix(b"IO errors since ") {
        Some(since) if since.starts_with(b"filesystem creation") => Heading::Of(String::new()),
        Some(_) => Heading::End,
        None => Heading::No,
    };
    let path = format!("{folder}/io_errors");
    for (_, kind, count) in read_as(files, &path, |text| bcachefs::sections(text, heading))? {
        rows.counter(
            "node_bcachefs_device_io_errors_total",
            "IO errors by error type.",
            &[device, ("type", kind.as_bytes()), own],
            count as f64,
        );
    }
    Ok(())
}
