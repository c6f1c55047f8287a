//! `node_zfs_*` from OpenZFS' kstats.

use super::gather::{Files, Rows, if_there};
use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::kstat;

const FOLDER: &str = "spl/kstat/zfs";

/// A part of the families' names and its file.
const SUBSYSTEMS: [(&str, &str); 11] = [
    ("zfs_abd", "abdstats"),
    ("zfs_arc", "arcstats"),
    ("zfs_dbuf", "dbufstats"),
    ("zfs_dmu_tx", "dmu_tx"),
    ("zfs_dnode", "dnodestats"),
    ("zfs_fm", "fm"),
    ("zfs_vdev_cache", "vdev_cache_stats"),
    ("zfs_vdev_mirror", "vdev_mirror_stats"),
    ("zfs_xuio", "xuio_stats"),
    ("zfs_zfetch", "zfetchstats"),
    ("zfs_zil", "zil"),
];

const STATES: [&str; 7] = [
    "online",
    "degraded",
    "faulted",
    "offline",
    "removed",
    "unavail",
    "suspended",
];

#[derive(Default)]
pub struct Zfs;

impl Collector for Zfs {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Proc);
        let mut rows = Rows::default();
        let pools = files
            .node
            .list(Tree::Proc, FOLDER)
            .map_err(|error| CollectError::NoData(format!("ZFS is not there: {error}")))?;
        for (subsystem, file) in SUBSYSTEMS {
            let path = format!("{FOLDER}/{file}");
            let Ok(text) = files.whole(&path) else {
                continue;
            };
            let result = kstat::parse(text, |name, value| {
                show(&mut rows, subsystem, file, name, &[], value);
            });
            files.parsed(&path, result)?;
        }
        for pool in pools {
            self::pool(&mut files, &pool, &mut rows)?;
        }
        rows.write(page);
        Ok(())
    }
}

fn pool(files: &mut Files<'_>, pool: &str, rows: &mut Rows) -> Result<(), CollectError> {
    let folder = format!("{FOLDER}/{pool}");
    let Ok(names) = files.node.list(Tree::Proc, &folder) else {
        return Ok(()); // one of the files beside the pools' folders
    };
    let zpool: (&str, &[u8]) = ("zpool", pool.as_bytes());
    for name in names {
        let path = format!("{folder}/{name}");
        if name == "io" {
            let result = kstat::pool_io(files.whole(&path)?, |field, value| {
                show(rows, "zfs_zpool", "io", field, &[zpool], value);
            });
            files.parsed(&path, result)?;
        } else if name.starts_with("objset-") {
            let mut values = Vec::new();
            let result = kstat::parse(files.whole(&path)?, |field, value| {
                values.push((field.to_vec(), value));
            });
            let dataset = files.parsed(&path, result)?.unwrap_or_default();
            for (field, value) in values {
                let labels = [("dataset", dataset.as_slice()), zpool];
                show(rows, "zfs_zpool_dataset", "objset", &field, &labels, value);
            }
        } else if name == "state" {
            let text = if_there(files.whole(&path))?.unwrap_or_default();
            let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let current = line.to_ascii_lowercase();
            for state in STATES {
                rows.gauge(
                    "node_zfs_zpool_state",
                    "kstat.zfs.misc.state",
                    &[("state", state.as_bytes()), zpool],
                    f64::from(u8::from(current == state.as_bytes())),
                );
            }
        }
    }
    Ok(())
}

/// The help text is the kernel's own name of the figure.
fn show(
    rows: &mut Rows,
    subsystem: &str,
    file: &str,
    name: &[u8],
    labels: &[(&str, &[u8])],
    value: f64,
) {
    let name = String::from_utf8_lossy(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    rows.add(
        format!("node_{subsystem}_{}", last.replace('-', "_")),
        format!("kstat.zfs.misc.{file}.{name}"),
        Kind::Untyped,
        labels,
        value,
    );
}
