//! `node_rapl_*_joules_total` from `/sys/class/powercap`. Only root may read the counters, because
//! they tell of what others compute.

use std::collections::BTreeMap;

use super::gather::{Files, Rows};
use super::{CollectError, Collector};
use crate::exposition::Page;
use crate::node::{Node, Tree};
use crate::procfs::text::trim;
use crate::settings::Settings;

const FOLDER: &str = "class/powercap";

pub struct Rapl {
    zone_label: bool,
}

impl Rapl {
    pub fn new(settings: &Settings) -> Self {
        Self {
            zone_label: settings.rapl_zone_label,
        }
    }
}

struct Zone {
    name: String,
    index: i64,
    folder: String,
}

impl Collector for Rapl {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        let result = zones(&mut files).and_then(|zones| {
            zones
                .iter()
                .try_for_each(|zone| self.read(&mut files, zone, &mut rows))
        });
        rows.write(page);
        result.map_err(|error| {
            if error.is_denied() {
                CollectError::NoData(error.to_string())
            } else {
                error
            }
        })
    }
}

fn zones(files: &mut Files<'_>) -> Result<Vec<Zone>, CollectError> {
    let mut zones = Vec::new();
    let mut used = BTreeMap::<String, i64>::new();
    let entries = files
        .entries(FOLDER)
        .map_err(CollectError::missing_is_no_data)?;
    for entry in entries {
        let folder = format!("{FOLDER}/{}", entry.name);
        // The control types, which are listed as well, have no name.
        let Ok(name) = files.whole(&format!("{folder}/name")) else {
            continue;
        };
        let name = String::from_utf8_lossy(trim(name)).into_owned();
        let (name, index) = match name.split('-').collect::<Vec<_>>()[..] {
            [name, index] if index.parse::<i64>().is_ok() => {
                (name.to_owned(), index.parse().unwrap_or_default())
            }
            _ => {
                let index = used.get(&name).copied().unwrap_or(0);
                (name, index)
            }
        };
        files
            .number(&format!("{folder}/max_energy_range_uj"))
            .map_err(CollectError::missing_is_no_data)?;
        used.insert(name.clone(), index + 1);
        zones.push(Zone {
            name,
            index,
            folder,
        });
    }
    Ok(zones)
}

impl Rapl {
    fn read(
        &self,
        files: &mut Files<'_>,
        zone: &Zone,
        rows: &mut Rows,
    ) -> Result<(), CollectError> {
        let microjoules = files.number(&format!("{}/energy_uj", zone.folder))?;
        let joules = microjoules as f64 / 1_000_000.0;
        let index = zone.index.to_string();
        let path = files.node.path(Tree::Sys, &zone.folder);
        let path = path.to_string_lossy();
        let labels: [(&str, &[u8]); 3] = [
            ("index", index.as_bytes()),
            ("path", path.as_bytes()),
            ("rapl_zone", zone.name.as_bytes()),
        ];
        if self.zone_label {
            rows.counter(
                "node_rapl_joules_total",
                "Current RAPL value in joules",
                &labels,
                joules,
            );
        } else {
            rows.counter(
                format!("node_rapl_{}_joules_total", sanitized(&zone.name)),
                format!("Current RAPL {} value in joules", zone.name),
                &labels[..2],
                joules,
            );
        }
        Ok(())
    }
}

/// The name with each run of signs that no metric's name may have, and of `_` beside them, made
/// one `_`.
pub(super) fn sanitized(name: &str) -> String {
    let is_good = |sign: char| sign.is_ascii_alphanumeric();
    let mut out = String::new();
    let mut rest = name;
    while let Some(sign) = rest.chars().next() {
        if is_good(sign) {
            out.push(sign);
            rest = &rest[sign.len_utf8()..];
            continue;
        }
        let end = rest.find(is_good).unwrap_or(rest.len());
        let run = &rest[..end];
        if run.bytes().all(|byte| byte == b'_') {
            out.push_str(run);
        } else {
            out.push('_');
        }
        rest = &rest[end..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sanitized() {
        assert_eq!(sanitized("package"), "package");
        assert_eq!(sanitized("a_b__c"), "a_b__c");
        assert_eq!(sanitized("a_-_b.c:d"), "a_b_c_d");
    }
}
