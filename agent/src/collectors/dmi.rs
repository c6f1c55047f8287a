//! `node_dmi_info`: what the machine's maker wrote into its firmware, from `/sys/class/dmi/id`. It
//! does not change while the kernel runs, so it is read once.

use super::gather::Files;
use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{EntryKind, Node, Tree};
use crate::procfs::text;

const FOLDER: &str = "class/dmi/id";

/// A label and its file.
const LABELS: [(&str, &str); 20] = [
    ("bios_date", "bios_date"),
    ("bios_release", "bios_release"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_family", "product_family"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_sku", "product_sku"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("system_vendor", "sys_vendor"),
];

#[derive(Default)]
pub struct Dmi {
    labels: Option<Vec<(&'static str, String)>>,
}

impl Collector for Dmi {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        if self.labels.is_none() {
            self.labels = Some(read(node)?);
        }
        let labels = self.labels.as_deref().unwrap_or_default();
        if labels.is_empty() {
            return Err(CollectError::NoData(
                "this machine tells nothing by DMI".to_owned(),
            ));
        }
        let labels: Vec<(&str, &[u8])> = labels
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        page.family(
            "node_dmi_info",
            "A metric with a constant '1' value labeled by bios_date, bios_release, bios_vendor, \
             bios_version, board_asset_tag, board_name, board_serial, board_vendor, board_version, \
             chassis_asset_tag, chassis_serial, chassis_vendor, chassis_version, product_family, \
             product_name, product_serial, product_sku, product_uuid, product_version, \
             system_vendor if provided by DMI.",
            Kind::Gauge,
        )
        .sample(&labels, 1.0);
        Ok(())
    }
}

/// The labels that there are; only root may read the serial numbers.
fn read(node: &dyn Node) -> Result<Vec<(&'static str, String)>, CollectError> {
    let mut files = Files::new(node, Tree::Sys);
    let entries = files
        .entries(FOLDER)
        .map_err(CollectError::missing_is_no_data)?;
    let mut labels = Vec::new();
    for (label, file) in LABELS {
        let is_file =
            |entry: &crate::node::Entry| entry.name == file && entry.kind == EntryKind::File;
        if !entries.iter().any(is_file) {
            continue;
        }
        match files.attribute(&format!("{FOLDER}/{file}")) {
            Ok(value) => labels.push((label, text::valid(value))),
            Err(error) if error.is_denied() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(labels)
}
