//! `node_watchdog_*` from `/sys/class/watchdog`.

use super::gather::{Files, Rows, if_there};
use super::{CollectError, Collector};
use crate::exposition::Page;
use crate::node::{Node, Tree};
use crate::procfs::text::any_base;

const FOLDER: &str = "class/watchdog";

/// A file, and the family that it becomes.
const NUMBERS: [(&str, &str, &str); 7] = [
    (
        "bootstatus",
        "node_watchdog_bootstatus",
        "Value of /sys/class/watchdog/<watchdog>/bootstatus",
    ),
    (
        "fw_version",
        "node_watchdog_fw_version",
        "Value of /sys/class/watchdog/<watchdog>/fw_version",
    ),
    (
        "nowayout",
        "node_watchdog_nowayout",
        "Value of /sys/class/watchdog/<watchdog>/nowayout",
    ),
    (
        "timeleft",
        "node_watchdog_timeleft_seconds",
        "Value of /sys/class/watchdog/<watchdog>/timeleft",
    ),
    (
        "timeout",
        "node_watchdog_timeout_seconds",
        "Value of /sys/class/watchdog/<watchdog>/timeout",
    ),
    (
        "pretimeout",
        "node_watchdog_pretimeout_seconds",
        "Value of /sys/class/watchdog/<watchdog>/pretimeout",
    ),
    (
        "access_cs0",
        "node_watchdog_access_cs0",
        "Value of /sys/class/watchdog/<watchdog>/access_cs0",
    ),
];

const TEXTS: [&str; 5] = [
    "identity",
    "options",
    "pretimeout_governor",
    "state",
    "status",
];

#[derive(Default)]
pub struct Watchdog;

impl Collector for Watchdog {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        let no_data = |error: CollectError| {
            if error.is_denied() {
                CollectError::NoData(error.to_string())
            } else {
                error.missing_is_no_data()
            }
        };
        for entry in files.entries(FOLDER).map_err(no_data)? {
            read(&mut files, &entry.name, &mut rows).map_err(no_data)?;
        }
        rows.write(page);
        Ok(())
    }
}

fn read(files: &mut Files<'_>, watchdog: &str, rows: &mut Rows) -> Result<(), CollectError> {
    let name: (&str, &[u8]) = ("name", watchdog.as_bytes());
    for (file, family, help) in NUMBERS {
        let path = format!("{FOLDER}/{watchdog}/{file}");
        let value = if_there(files.attribute_as(&path, "a whole number", any_base))?;
        if let Some(value) = value {
            rows.gauge(family, help, &[name], value as f64);
        }
    }
    let mut labels = vec![("name", watchdog.to_owned())];
    for file in TEXTS {
        let value = if_there(files.label(&format!("{FOLDER}/{watchdog}/{file}")))?;
        labels.push((file, value.unwrap_or_default()));
    }
    let labels: Vec<(&str, &[u8])> = labels
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    rows.gauge(
        "node_watchdog_info",
        "Info of /sys/class/watchdog/<watchdog>",
        &labels,
        1.0,
    );
    Ok(())
}
