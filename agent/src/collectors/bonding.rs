//! `node_bonding_*` from `/sys/class/net/bonding_masters` and each bond's folder.

use super::gather::Files;
use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::text::{fields, trim};

const FOLDER: &str = "class/net";

#[derive(Default)]
pub struct Bonding;

struct Bond {
    name: String,
    slaves: u32,
    active: u32,
}

impl Collector for Bonding {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let bonds = read(&mut files).map_err(CollectError::missing_is_no_data)?;
        let mut family = page.family(
            "node_bonding_active",
            "Number of active slaves per bonding interface.",
            Kind::Gauge,
        );
        for bond in &bonds {
            family.sample(&[("master", bond.name.as_bytes())], f64::from(bond.active));
        }
        drop(family);
        let mut family = page.family(
            "node_bonding_slaves",
            "Number of configured slaves per bonding interface.",
            Kind::Gauge,
        );
        for bond in &bonds {
            family.sample(&[("master", bond.name.as_bytes())], f64::from(bond.slaves));
        }
        Ok(())
    }
}

fn read(files: &mut Files<'_>) -> Result<Vec<Bond>, CollectError> {
    let mut bonds = Vec::new();
    for name in words(files.whole(&format!("{FOLDER}/bonding_masters"))?) {
        let slaves = words(files.whole(&format!("{FOLDER}/{name}/bonding/slaves"))?);
        let mut active = 0;
        for slave in &slaves {
            let status =
                |kind: &str| format!("{FOLDER}/{name}/{kind}_{slave}/bonding_slave/mii_status");
            let is_up = match files
                .whole(&status("lower"))
                .map(|text| trim(text) == b"up")
            {
                // Before Linux 3.13.
                Err(error) if error.is_missing() => trim(files.whole(&status("slave"))?) == b"up",
                found => found?,
            };
            active += u32::from(is_up);
        }
        bonds.push(Bond {
            slaves: slaves.len() as u32,
            active,
            name,
        });
    }
    Ok(bonds)
}

fn words(text: &[u8]) -> Vec<String> {
    fields(text)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}
