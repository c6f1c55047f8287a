//! `node_hwmon_*`: sensors, from `/sys/class/hwmon` (the kernel's hwmon/sysfs-interface.rst).

use std::collections::BTreeMap;
use std::path::Path;

use super::gather::{Files, Rows};
use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::text::{self, float};
use crate::settings::{Filter, Settings};

mod sensor;

use sensor::{Shown, clean, explode, shown};

const FOLDER: &str = "class/hwmon";

/// What files of a chip's folder begin with, if they are a sensor's.
const KINDS: [&str; 14] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
    "freq",
];

/// The properties of each sensor, as text.
type Sensors = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

pub struct Hwmon {
    chips: Filter,
    sensors: Filter,
}

impl Hwmon {
    pub fn new(settings: &Settings) -> Self {
        Self {
            chips: settings.hwmon_chips.clone(),
            sensors: settings.hwmon_sensors.clone(),
        }
    }
}

impl Collector for Hwmon {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        let mut last = Ok(());
        let entries = files
            .entries(FOLDER)
            .map_err(CollectError::missing_is_no_data)?;
        for entry in entries {
            let folder = format!("{FOLDER}/{}", entry.name);
            if !node.path(Tree::Sys, &folder).is_dir() {
                continue;
            }
            // One chip that fails does not take the others' figures along.
            if let Err(error) = self.chip(&mut files, &folder, &mut rows) {
                last = Err(CollectError::Part(Box::new(error)));
            }
        }
        rows.write(page);
        last
    }
}

impl Hwmon {
    fn chip(
        &self,
        files: &mut Files<'_>,
        folder: &str,
        rows: &mut Rows,
    ) -> Result<(), CollectError> {
        let name = clean_name(files, folder);
        let chip = chip(files, folder, name.as_deref())?;
        if self.chips.ignores(chip.as_bytes()) {
            return Ok(());
        }
        let mut sensors = Sensors::new();
        read(files, folder, &mut sensors)?;
        let device = format!("{folder}/device");
        if files.exists(&device) {
            read(files, &device, &mut sensors)?;
        }
        if let Some(name) = name {
            rows.gauge(
                "node_hwmon_chip_names",
                "Annotation metric for human-readable chip names",
                &[("chip", chip.as_bytes()), ("chip_name", name.as_bytes())],
                1.0,
            );
        }
        for (sensor, properties) in &sensors {
            if !self.sensors.ignores(format!("{chip};{sensor}").as_bytes()) {
                show(&chip, sensor, properties, rows);
            }
        }
        Ok(())
    }
}

/// The chip's name as its driver says it.
fn clean_name(files: &mut Files<'_>, folder: &str) -> Option<String> {
    let name = files.whole(&format!("{folder}/name")).ok()?;
    Some(clean(&String::from_utf8_lossy(name))).filter(|name| !name.is_empty())
}

/// The label `chip`: bus and address of the device if it has one, or else the driver's name, or
/// the folder's.
fn chip(files: &Files<'_>, folder: &str, name: Option<&str>) -> Result<String, CollectError> {
    let path = files.node.path(Tree::Sys, folder);
    let last = |path: &Path| {
        let name = path.file_name().map(|name| clean(&name.to_string_lossy()));
        name.unwrap_or_default()
    };
    if let Ok(device) = path.join("device").canonicalize() {
        let (name, bus) = (last(&device), device.parent().map(last).unwrap_or_default());
        if !name.is_empty() {
            return Ok(if bus.is_empty() {
                name
            } else {
                format!("{bus}_{name}")
            });
        }
    }
    if let Some(name) = name {
        return Ok(name.to_owned());
    }
    let real = path
        .canonicalize()
        .map_err(|source| CollectError::Read { path, source })?;
    Some(last(&real))
        .filter(|name| !name.is_empty())
        .ok_or_else(|| files.misread(folder, 0, "no name can be made of it"))
}

/// Adds the properties of the sensors in a folder. What cannot be read is left out: many drivers
/// have files for sensors that are not connected.
fn read(files: &mut Files<'_>, folder: &str, sensors: &mut Sensors) -> Result<(), CollectError> {
    for entry in files.entries(folder)? {
        let Some((kind, number, property)) = explode(&entry.name) else {
            continue;
        };
        if !KINDS.contains(&kind) {
            continue;
        }
        if let Ok(value) = files.raw_attribute(&format!("{folder}/{}", entry.name)) {
            sensors
                .entry(format!("{kind}{number}"))
                .or_default()
                .insert(property.to_owned(), value.to_vec());
        }
    }
    Ok(())
}

fn show(chip: &str, sensor: &str, properties: &BTreeMap<String, Vec<u8>>, rows: &mut Rows) {
    let kind = explode(sensor).map_or("", |(kind, ..)| kind);
    let labels: [(&str, &[u8]); 2] = [("chip", chip.as_bytes()), ("sensor", sensor.as_bytes())];
    let label = properties.get("label");
    if let Some(label) = label {
        rows.gauge(
            "node_hwmon_sensor_label",
            "Label for given chip and sensor",
            &[
                labels[0],
                ("label", text::valid(label).as_bytes()),
                labels[1],
            ],
            1.0,
        );
    }
    let own = properties.get("").map_or(&b""[..], Vec::as_slice);
    if kind == "beep_enable" {
        let on = f64::from(u8::from(own == b"1"));
        rows.gauge(
            "node_hwmon_beep_enabled",
            "Hardware beep enabled",
            &labels,
            on,
        );
        return;
    }
    let whole = match kind {
        "vrm" => Some((
            "node_hwmon_voltage_regulator_version",
            "Hardware voltage regulator",
            1.0,
        )),
        "update_interval" => Some((
            "node_hwmon_update_interval_seconds",
            "Hardware monitor update interval",
            0.001,
        )),
        _ => None,
    };
    if let Some((family, help, unit)) = whole {
        if let Some(value) = float(own) {
            rows.gauge(family, help, &labels, value * unit);
        }
        return;
    }
    for (property, value) in properties {
        if property == "label" {
            continue;
        }
        let Some(value) = float(value) else {
            continue;
        };
        if kind == "freq" && property == "input" {
            if let Some(label) = label {
                let renamed = clean(&String::from_utf8_lossy(label));
                rows.gauge(
                    format!("{}_freq_mhz", sensor::family(kind, property, properties)),
                    "Hardware monitor for GPU frequency in MHz",
                    &[labels[0], ("sensor", renamed.as_bytes())],
                    value / 1_000_000.0,
                );
            }
            continue;
        }
        let family = sensor::family(kind, property, properties);
        let Shown {
            suffix,
            help,
            value,
            counts,
        } = shown(kind, property, value);
        let kind = if counts { Kind::Counter } else { Kind::Gauge };
        rows.add(format!("{family}{suffix}"), help, kind, &labels, value);
    }
}
