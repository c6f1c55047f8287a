//! `node_md_*`: software RAID, from `/proc/mdstat` and `/sys/block/md*/md`.

use super::gather::{Files, Rows};
use super::{CollectError, Collector, Source, parsed};
use crate::exposition::Page;
use crate::node::{Node, Tree};
use crate::procfs::mdstat::{self, Array};
use crate::procfs::text;

const FILE: &str = "mdstat";

/// Values of the label `state` and what they stand for.
const STATES: [(&str, &str); 5] = [
    ("active", "active"),
    ("check", "checking"),
    ("inactive", "inactive"),
    ("recovering", "recovering"),
    ("resync", "resyncing"),
];

pub struct Mdadm {
    source: Source,
}

impl Default for Mdadm {
    fn default() -> Self {
        Self {
            source: Source::proc(FILE),
        }
    }
}

impl Collector for Mdadm {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self
            .source
            .read(node)
            .map_err(CollectError::missing_is_no_data)?;
        let mut rows = Rows::default();
        for array in parsed(node, Tree::Proc, FILE, mdstat::parse(text))? {
            show(&array, &mut rows);
        }
        let result = degraded(&mut Files::new(node, Tree::Sys), &mut rows);
        rows.write(page);
        result.map_err(CollectError::missing_is_no_data)
    }
}

fn show(array: &Array, rows: &mut Rows) {
    let device: (&str, &[u8]) = ("device", array.name.as_bytes());
    for (state, count) in [
        ("active", array.active),
        ("failed", array.failed),
        ("spare", array.spare),
    ] {
        rows.gauge(
            "node_md_disks",
            "Number of active/failed/spare disks of device.",
            &[device, ("state", state.as_bytes())],
            count as f64,
        );
    }
    rows.gauge(
        "node_md_disks_required",
        "Total number of disks of device.",
        &[device],
        array.required as f64,
    );
    for (label, state) in STATES {
        rows.gauge(
            "node_md_state",
            "Indicates the state of md-device.",
            &[device, ("state", label.as_bytes())],
            f64::from(u8::from(array.state == state)),
        );
    }
    rows.gauge(
        "node_md_blocks",
        "Total number of blocks on device.",
        &[device],
        array.blocks as f64,
    );
    rows.gauge(
        "node_md_blocks_synced",
        "Number of blocks synced on device.",
        &[device],
        array.synced as f64,
    );
}

/// Whether it is like `8 / 1024`, as Go's `Sscanf` reads that: blanks around the line, and anything
/// after it.
fn is_part(text: &[u8]) -> bool {
    let number = |text: &[u8]| {
        let text = text.trim_ascii_start();
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        text::number(&text[..digits]).map(|_| text[digits..].to_vec())
    };
    let blanks = |rest: Vec<u8>| {
        let count = rest.iter().take_while(|byte| **byte == b' ').count();
        (count > 0).then(|| rest[count..].to_vec())
    };
    number(text)
        .and_then(blanks)
        .and_then(|rest| rest.strip_prefix(b"/").map(<[u8]>::to_vec))
        .and_then(blanks)
        .is_some_and(|rest| number(&rest).is_some())
}

/// All arrays or none, as in node_exporter, which reads more of each than it shows.
fn degraded(files: &mut Files<'_>, rows: &mut Rows) -> Result<(), CollectError> {
    let names = files.node.list(Tree::Sys, "block").unwrap_or_default();
    let mut found = Vec::new();
    for name in names.iter().filter(|name| name.starts_with("md")) {
        let folder = format!("block/{name}/md");
        if !files.exists(&folder) {
            continue;
        }
        let level = files.label(&format!("{folder}/level"))?;
        files.attribute(&format!("{folder}/array_state"))?;
        files.attribute(&format!("{folder}/metadata_version"))?;
        let disks = files.number(&format!("{folder}/raid_disks"))?;
        files.attribute(&format!("{folder}/uuid"))?;
        for device in files.node.list(Tree::Sys, &folder).unwrap_or_default() {
            if device.starts_with("dev-") {
                files.attribute(&format!("{folder}/{device}/state"))?;
            }
        }
        if ["raid0", "raid4", "raid5", "raid6", "raid10"].contains(&level.as_str()) {
            files.number(&format!("{folder}/chunk_size"))?;
        }
        let degraded = if ["raid1", "raid4", "raid5", "raid6", "raid10"].contains(&level.as_str()) {
            let degraded = files.number(&format!("{folder}/degraded"))?;
            files.attribute(&format!("{folder}/sync_action"))?;
            files.attribute_as(
                &format!("{folder}/sync_completed"),
                "none or how much of how much",
                |text| (text == b"none" || is_part(text)).then_some(()),
            )?;
            degraded
        } else {
            0
        };
        found.push((name, disks, degraded));
    }
    for (name, disks, degraded) in found {
        let device: (&str, &[u8]) = ("device", name.as_bytes());
        rows.gauge(
            "node_md_raid_disks",
            "Number of raid disks on device.",
            &[device],
            disks as f64,
        );
        rows.gauge(
            "node_md_degraded",
            "Number of degraded disks on device.",
            &[device],
            degraded as f64,
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_is_synchronized() {
        for good in ["8 / 1024", "8  /  1024 x", "0 / 0"] {
            assert!(is_part(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "8",
            "8/1024",
            "8 /1024",
            "x / 1",
            "8 / ",
            "99999999999999999999 / 1",
        ] {
            assert!(!is_part(bad.as_bytes()), "{bad}");
        }
    }
}
