//! `node_time_*`: the system clock, the local time zone and the kernel's clock sources.

use std::time::Instant;

use super::{CollectError, Collector, LISTED, Source};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::clocksource;

const FOLDER: &str = "devices/system/clocksource";

#[derive(Default)]
pub struct Time {
    devices: Vec<Device>,
    listed: Option<Instant>,
}

/// A clock source device's two files.
struct Device {
    available: Source,
    current: Source,
}

impl Time {
    /// One device on every machine seen; the label is its place in the list, as node_exporter
    /// has it, not its number.
    fn list(&mut self, node: &dyn Node) {
        let fresh = self.listed.is_some_and(|at| at.elapsed() < LISTED);
        if fresh && self.devices.iter().all(|d| d.current.is_kernels()) && !self.devices.is_empty()
        {
            return;
        }
        self.listed = Some(Instant::now());
        self.devices = node
            .list(Tree::Sys, FOLDER)
            .unwrap_or_default()
            .into_iter()
            .filter(|name| {
                name.strip_prefix("clocksource")
                    .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            })
            .map(|name| {
                let file = |file| Source::new(Tree::Sys, format!("{FOLDER}/{name}/{file}"));
                Device {
                    available: file("available_clocksource"),
                    current: file("current_clocksource"),
                }
            })
            .collect();
    }
}

impl Collector for Time {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        self.list(node);
        for device in &mut self.devices {
            device.available.read(node)?;
            device.current.read(node)?;
        }
        let mut family = page.family(
            "node_time_clocksource_available_info",
            "Available clocksources read from '/sys/devices/system/clocksource'.",
            Kind::Gauge,
        );
        for (index, device) in self.devices.iter().enumerate() {
            let number = index.to_string();
            for name in clocksource::available(&device.available.text) {
                family.sample(&[("clocksource", name), ("device", number.as_bytes())], 1.0);
            }
        }
        drop(family);
        let mut family = page.family(
            "node_time_clocksource_current_info",
            "Current clocksource read from '/sys/devices/system/clocksource'.",
            Kind::Gauge,
        );
        for (index, device) in self.devices.iter().enumerate() {
            let number = index.to_string();
            let current = clocksource::current(&device.current.text);
            family.sample(
                &[("clocksource", current), ("device", number.as_bytes())],
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
