//! `node_nvme_*` from `/sys/class/nvme`.

use super::gather::{Files, Rows};
use super::{CollectError, Collector};
use crate::exposition::Page;
use crate::node::{Node, Tree};
use crate::procfs::text;

const FOLDER: &str = "class/nvme";

#[derive(Default)]
pub struct Nvme;

impl Collector for Nvme {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        let devices = files
            .entries(FOLDER)
            .map_err(CollectError::missing_is_no_data)?;
        for device in devices {
            read(&mut files, &device.name, &mut rows).map_err(CollectError::missing_is_no_data)?;
        }
        rows.write(page);
        Ok(())
    }
}

fn read(files: &mut Files<'_>, device: &str, rows: &mut Rows) -> Result<(), CollectError> {
    let folder = format!("{FOLDER}/{device}");
    let mut label = |file: &str| files.label(&format!("{folder}/{file}"));
    let (firmware, model, serial) = (label("firmware_rev")?, label("model")?, label("serial")?);
    let (state, controller) = (label("state")?, label("cntlid")?);
    rows.gauge(
        "node_nvme_info",
        "Non-numeric data from /sys/class/nvme/<device>, value is always 1.",
        &[
            ("cntlid", controller.as_bytes()),
            ("device", device.as_bytes()),
            ("firmware_revision", firmware.as_bytes()),
            ("model", model.as_bytes()),
            ("serial", serial.as_bytes()),
            ("state", state.as_bytes()),
        ],
        1.0,
    );
    for entry in files.entries(&folder)? {
        if let Some(id) = namespace(&entry.name) {
            read_namespace(files, device, &format!("{folder}/{}", entry.name), id, rows)?;
        }
    }
    Ok(())
}

fn read_namespace(
    files: &mut Files<'_>,
    device: &str,
    folder: &str,
    id: &str,
    rows: &mut Rows,
) -> Result<(), CollectError> {
    // What is not a number counts as 0, as in node_exporter.
    let mut number = |file: &str| -> Result<u64, CollectError> {
        let value = files.attribute(&format!("{folder}/{file}"))?;
        Ok(text::number(value).unwrap_or(0))
    };
    let (used, size) = (number("nuse")?, number("size")?);
    let block = number("queue/logical_block_size")?;
    let state = files
        .label(&format!("{folder}/ana_state"))
        .unwrap_or_else(|_| "unknown".to_owned());
    let labels: [(&str, &[u8]); 2] = [("device", device.as_bytes()), ("nsid", id.as_bytes())];
    rows.gauge(
        "node_nvme_namespace_info",
        "Information about NVMe namespaces. Value is always 1",
        &[("ana_state", state.as_bytes()), labels[0], labels[1]],
        1.0,
    );
    let families = [
        (
            "node_nvme_namespace_capacity_bytes",
            "Capacity of the NVMe namespace in bytes. Computed as namespace_size * \
             namespace_logical_block_size",
            size.wrapping_mul(block),
        ),
        (
            "node_nvme_namespace_size_bytes",
            "Size of the NVMe namespace in bytes. Available in \
             /sys/class/nvme/<device>/<namespace>/size",
            size.wrapping_mul(block),
        ),
        (
            "node_nvme_namespace_used_bytes",
            "Used space of the NVMe namespace in bytes. Available in \
             /sys/class/nvme/<device>/<namespace>/nuse",
            used.wrapping_mul(block),
        ),
        (
            "node_nvme_namespace_logical_block_size_bytes",
            "Logical block size of the NVMe namespace in bytes. Usually 4Kb. Available in \
             /sys/class/nvme/<device>/<namespace>/queue/logical_block_size",
            block,
        ),
    ];
    for (name, help, value) in families {
        rows.gauge(name, help, &labels, value as f64);
    }
    Ok(())
}

/// The number of a namespace in a name like `nvme0n1`, or `nvme0c0n1` of a device that several
/// paths lead to. (node_exporter 1.11.1 knows the one or the other, by the library that it was
/// built with.)
fn namespace(name: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    // What follows a number and a letter.
    let past = |text: &'_ str, letter: char| -> Option<usize> {
        let count = digits(text);
        (count > 0 && text[count..].starts_with(letter)).then_some(count + 1)
    };
    let mut search = name;
    while let Some(at) = search.find("nvme") {
        search = &search[at + 4..];
        let rest = past(search, 'c').map_or(search, |at| &search[at..]);
        if let Some(at) = past(rest, 'n') {
            let number = &rest[at..];
            let count = digits(number);
            if count > 0 {
                return Some(&number[..count]);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_namespaces() {
        assert_eq!(namespace("nvme0c0n1"), Some("1"));
        assert_eq!(namespace("nvme10c2n31"), Some("31"));
        assert_eq!(namespace("nvme0n1"), Some("1"));
        for other in ["nvme0", "hwmon1", "nvme0c0n", "ng0n1", "nvmec0n1"] {
            assert_eq!(namespace(other), None, "{other}");
        }
    }
}
