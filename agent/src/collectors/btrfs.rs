//! `node_btrfs_*` of each file system, from `/sys/fs/btrfs`. What node_exporter asks the mounted
//! file system itself for (a device's UUID, unused bytes and errors) is not here.

use super::gather::{Files, Rows, if_there};
use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{EntryKind, Node, Tree};
use crate::procfs::text::{self, fields, lines, trim};

const FOLDER: &str = "fs/btrfs";

const SECTOR: u64 = 512;

/// A line of `commit_stats`, its family, type and unit.
const COMMITS: [(&str, &str, &str, Kind, f64); 4] = [
    (
        "commits",
        "node_btrfs_commits_total",
        "The total number of commits that have occurred.",
        Kind::Counter,
        1.0,
    ),
    (
        "last_commit_ms",
        "node_btrfs_last_commit_seconds",
        "Duration of the most recent commit, in seconds.",
        Kind::Gauge,
        1000.0,
    ),
    (
        "max_commit_ms",
        "node_btrfs_max_commit_seconds",
        "Duration of the slowest commit, in seconds.",
        Kind::Gauge,
        1000.0,
    ),
    (
        "total_commit_ms",
        "node_btrfs_commit_seconds_total",
        "Sum of the duration of all commits, in seconds.",
        Kind::Counter,
        1000.0,
    ),
];

#[derive(Default)]
pub struct Btrfs;

impl Collector for Btrfs {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        // Without the module there is no file system, which is no failure.
        for name in node.list(Tree::Sys, FOLDER).unwrap_or_default() {
            if name.contains('-') {
                read(&mut files, &name, &mut rows)?;
            }
        }
        rows.write(page);
        Ok(())
    }
}

fn read(files: &mut Files<'_>, name: &str, rows: &mut Rows) -> Result<(), CollectError> {
    let folder = format!("{FOLDER}/{name}");
    let mut label = |file: &str| -> Result<String, CollectError> {
        Ok(if_there(files.label(&format!("{folder}/{file}")))?.unwrap_or_default())
    };
    // node_exporter forgets an error once it has read an allocation: what is not there is shown as 0.
    let mut is_whole = true;
    let title = label("label")?;
    let uuid = Some(label("metadata_uuid")?)
        .filter(|uuid| !uuid.is_empty())
        .unwrap_or_else(|| name.to_owned());
    let uuid: (&str, &[u8]) = ("uuid", uuid.as_bytes());
    rows.gauge(
        "node_btrfs_info",
        "Filesystem information",
        &[("label", title.as_bytes()), uuid],
        1.0,
    );
    let mut names = |kind: &str| {
        let names = files.entries(&format!("{folder}/{kind}"));
        is_whole &= names.is_ok();
        names.unwrap_or_default()
    };
    let devices = names("devices");
    names("features");
    for device in &devices {
        let sectors = figure(files, &format!("{folder}/devices/{}/size", device.name))?;
        rows.gauge(
            "node_btrfs_device_size_bytes",
            "Size of a device that is part of the filesystem.",
            &[("device", device.name.as_bytes()), uuid],
            sectors.wrapping_mul(SECTOR) as f64,
        );
    }
    rows.gauge(
        "node_btrfs_global_rsv_size_bytes",
        "Size of global reserve.",
        &[uuid],
        match figure(files, &format!("{folder}/allocation/global_rsv_size"))? {
            size if is_whole => size as f64,
            _ => 0.0,
        },
    );
    commits(files, &format!("{folder}/commit_stats"), uuid, rows)?;
    for kind in ["data", "metadata", "system"] {
        let folder = format!("{folder}/allocation/{kind}");
        let result = allocation(files, &folder, kind, devices.len(), uuid, rows);
        if kind == "system" {
            result?;
        }
    }
    Ok(())
}

/// A number; 0 if the kernel does not have it or says something else; what does not fit is the most
/// that does.
fn figure(files: &mut Files<'_>, path: &str) -> Result<u64, CollectError> {
    let text = if_there(files.attribute(path).map(text::number_or_most))?;
    Ok(text.flatten().unwrap_or(0))
}

fn commits(
    files: &mut Files<'_>,
    path: &str,
    uuid: (&str, &[u8]),
    rows: &mut Rows,
) -> Result<(), CollectError> {
    let content = if_there(files.whole(path))?.unwrap_or_default().to_vec();
    let mut values = [0; COMMITS.len()];
    for (line, words) in lines(&content) {
        let pair: Vec<&[u8]> = fields(words).collect();
        let value = match pair[..] {
            [_, value] => text::number(value),
            _ => None,
        };
        let Some(value) = value else {
            let message = format!("{} is not a name and a number", text::quote(trim(words)));
            return Err(files.misread(path, line, message));
        };
        let known = COMMITS
            .iter()
            .position(|(name, ..)| name.as_bytes() == pair[0]);
        if let Some(at) = known {
            values[at] = value;
        }
    }
    for ((_, family, help, kind, unit), value) in COMMITS.into_iter().zip(values) {
        rows.add(family, help, kind, &[uuid], value as f64 / unit);
    }
    Ok(())
}

fn allocation(
    files: &mut Files<'_>,
    folder: &str,
    kind: &str,
    devices: usize,
    uuid: (&str, &[u8]),
    rows: &mut Rows,
) -> Result<(), CollectError> {
    let kind: (&str, &[u8]) = ("block_group_type", kind.as_bytes());
    rows.gauge(
        "node_btrfs_reserved_bytes",
        "Amount of space reserved for a data type",
        &[kind, uuid],
        figure(files, &format!("{folder}/bytes_reserved"))? as f64,
    );
    for layout in files.entries(folder)? {
        if layout.kind != EntryKind::Folder {
            continue;
        }
        let labels = [kind, ("mode", layout.name.as_bytes()), uuid];
        let path = |file: &str| format!("{folder}/{}/{file}", layout.name);
        rows.gauge(
            "node_btrfs_used_bytes",
            "Amount of used space by a layout/data type",
            &labels,
            figure(files, &path("used_bytes"))? as f64,
        );
        rows.gauge(
            "node_btrfs_size_bytes",
            "Amount of space allocated for a layout/data type",
            &labels,
            figure(files, &path("total_bytes"))? as f64,
        );
        rows.gauge(
            "node_btrfs_allocation_ratio",
            "Data allocation ratio for a layout/data type",
            &labels,
            ratio(&layout.name, devices as f64),
        );
    }
    Ok(())
}

/// How much space a byte takes.
fn ratio(layout: &str, devices: f64) -> f64 {
    match layout {
        "single" | "raid0" => 1.0,
        "dup" | "raid1" | "raid10" => 2.0,
        "raid1c3" => 3.0,
        "raid1c4" => 4.0,
        "raid5" => devices / (devices - 1.0),
        "raid6" => devices / (devices - 2.0),
        _ => 0.0,
    }
}
