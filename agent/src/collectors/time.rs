//! `node_time_*`: the system clock, the local time zone and the kernel's clock sources.

use super::{CollectError, Collector, read};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::clocksource;

const FOLDER: &str = "devices/system/clocksource";

#[derive(Default)]
pub struct Time {
    available: Vec<u8>,
    current: Vec<u8>,
}

impl Collector for Time {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        // One device on every machine seen; the label is its place in the list, as node_exporter
        // has it, not its number.
        let devices: Vec<String> = node
            .list(Tree::Sys, FOLDER)
            .unwrap_or_default()
            .into_iter()
            .filter(|name| {
                name.strip_prefix("clocksource")
                    .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            })
            .collect();
        let mut sources = Vec::with_capacity(devices.len());
        for device in &devices {
            read(
                node,
                Tree::Sys,
                &format!("{FOLDER}/{device}/available_clocksource"),
                &mut self.available,
            )?;
            read(
                node,
                Tree::Sys,
                &format!("{FOLDER}/{device}/current_clocksource"),
                &mut self.current,
            )?;
            sources.push((self.available.clone(), self.current.clone()));
        }
        let mut family = page.family(
            "node_time_clocksource_available_info",
            "Available clocksources read from '/sys/devices/system/clocksource'.",
            Kind::Gauge,
        );
        for (index, (available, _)) in sources.iter().enumerate() {
            let device = index.to_string();
            for name in clocksource::available(available) {
                family.sample(&[("clocksource", name), ("device", device.as_bytes())], 1.0);
            }
        }
        drop(family);
        let mut family = page.family(
            "node_time_clocksource_current_info",
            "Current clocksource read from '/sys/devices/system/clocksource'.",
            Kind::Gauge,
        );
        for (index, (_, current)) in sources.iter().enumerate() {
            let device = index.to_string();
            let current = clocksource::current(current);
            family.sample(
                &[("clocksource", current), ("device", device.as_bytes())],
                1.0,
            );
        }
        drop(family);
        let now = node.now();
        let (zone, offset) = node.zone(now);
        page.single(
            "node_time_seconds",
            "System time in seconds since epoch (1970).",
            Kind::Gauge,
            now.as_nanos() as f64 / 1e9,
        );
        page.family(
            "node_time_zone_offset_seconds",
            "System time zone offset in seconds.",
            Kind::Gauge,
        )
        .sample(&[("time_zone", zone.as_bytes())], f64::from(offset));
        Ok(())
    }
}
