//! `node_edac_*`: memory errors that the memory controllers counted.

use super::gather::{Files, Rows};
use super::{CollectError, Collector};
use crate::exposition::Page;
use crate::node::{Node, Tree};

const FOLDER: &str = "devices/system/edac/mc";

/// What is counted of a controller: file, family and help text.
const OF_CONTROLLER: [(&str, &str, &str); 2] = [
    (
        "ce_count",
        "node_edac_correctable_errors_total",
        "Total correctable memory errors.",
    ),
    (
        "ue_count",
        "node_edac_uncorrectable_errors_total",
        "Total uncorrectable memory errors.",
    ),
];

/// What is counted of a row of chips: file, the controller's file of what belongs to no row.
const OF_ROW: [(&str, &str, &str, &str); 2] = [
    (
        "ce_count",
        "ce_noinfo_count",
        "node_edac_csrow_correctable_errors_total",
        "Total correctable memory errors for this csrow.",
    ),
    (
        "ue_count",
        "ue_noinfo_count",
        "node_edac_csrow_uncorrectable_errors_total",
        "Total uncorrectable memory errors for this csrow.",
    ),
];

#[derive(Default)]
pub struct Edac;

impl Collector for Edac {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        for name in files.numbered(FOLDER, "mc") {
            let folder = format!("{FOLDER}/{name}");
            let number = digits(&name, "mc");
            for (file, family, help) in OF_CONTROLLER {
                let count = files.number(&format!("{folder}/{file}"))?;
                let labels: [(&str, &[u8]); 1] = [("controller", number.as_bytes())];
                rows.counter(family, help, &labels, count as f64);
            }
            let mut of_row = |row: &str, path: &str, at: usize| {
                let (_, _, family, help) = OF_ROW[at];
                let count = files.number(path)?;
                let labels: [(&str, &[u8]); 2] =
                    [("controller", number.as_bytes()), ("csrow", row.as_bytes())];
                rows.counter(family, help, &labels, count as f64);
                Ok(())
            };
            for (at, (_, file, ..)) in OF_ROW.iter().enumerate() {
                of_row("unknown", &format!("{folder}/{file}"), at)?;
            }
            let found = Files::new(node, Tree::Sys).numbered(&folder, "csrow");
            for row in found {
                for (at, (file, ..)) in OF_ROW.iter().enumerate() {
                    of_row(digits(&row, "csrow"), &format!("{folder}/{row}/{file}"), at)?;
                }
            }
        }
        rows.write(page);
        Ok(())
    }
}

/// The number after the prefix.
fn digits<'a>(name: &'a str, prefix: &str) -> &'a str {
    let rest = name.strip_prefix(prefix).unwrap_or(name);
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    &rest[..count]
}
