//! `node_power_supply_*` from `/sys/class/power_supply`.

use super::gather::{Files, Rows};
use super::{CollectError, Collector};
use crate::exposition::Page;
use crate::node::{EntryKind, Node, Tree};
use crate::procfs::text::{self, any_base};
use crate::settings::{Filter, Settings};

const FOLDER: &str = "class/power_supply";

/// Files in units of their own, each with the family's name if it is another.
const NUMBERS: [(&str, &str, f64); 49] = [
    ("authentic", "authentic", 1.0),
    ("calibrate", "calibrate", 1.0),
    ("capacity", "capacity", 1.0),
    ("capacity_alert_max", "capacity_alert_max", 1.0),
    ("capacity_alert_min", "capacity_alert_min", 1.0),
    ("cycle_count", "cyclecount", 1.0),
    ("online", "online", 1.0),
    ("present", "present", 1.0),
    ("time_to_empty_now", "time_to_empty_seconds", 1.0),
    ("time_to_full_now", "time_to_full_seconds", 1.0),
    ("current_boot", "current_boot", MICRO),
    ("current_max", "current_max", MICRO),
    ("current_now", "current_ampere", MICRO),
    ("energy_empty", "energy_empty", MICRO),
    ("energy_empty_design", "energy_empty_design", MICRO),
    ("energy_full", "energy_full", MICRO),
    ("energy_full_design", "energy_full_design", MICRO),
    ("energy_now", "energy_watthour", MICRO),
    ("voltage_boot", "voltage_boot", MICRO),
    ("voltage_max", "voltage_max", MICRO),
    ("voltage_max_design", "voltage_max_design", MICRO),
    ("voltage_min", "voltage_min", MICRO),
    ("voltage_min_design", "voltage_min_design", MICRO),
    ("voltage_now", "voltage_volt", MICRO),
    ("voltage_ocv", "voltage_ocv", MICRO),
    ("charge_control_limit", "charge_control_limit", MICRO),
    (
        "charge_control_limit_max",
        "charge_control_limit_max",
        MICRO,
    ),
    ("charge_counter", "charge_counter", MICRO),
    ("charge_empty", "charge_empty", MICRO),
    ("charge_empty_design", "charge_empty_design", MICRO),
    ("charge_full", "charge_full", MICRO),
    ("charge_full_design", "charge_full_design", MICRO),
    ("charge_now", "charge_ampere", MICRO),
    ("charge_term_current", "charge_term_current", MICRO),
    ("constant_charge_current", "constant_charge_current", MICRO),
    (
        "constant_charge_current_max",
        "constant_charge_current_max",
        MICRO,
    ),
    ("constant_charge_voltage", "constant_charge_voltage", MICRO),
    (
        "constant_charge_voltage_max",
        "constant_charge_voltage_max",
        MICRO,
    ),
    ("precharge_current", "precharge_current", MICRO),
    ("input_current_limit", "input_current_limit", MICRO),
    ("power_now", "power_watt", MICRO),
    ("temp", "temp_celsius", TENTH),
    ("temp_alert_max", "temp_alert_max_celsius", TENTH),
    ("temp_alert_min", "temp_alert_min_celsius", TENTH),
    ("temp_ambient", "temp_ambient_celsius", TENTH),
    ("temp_ambient_max", "temp_ambient_max_celsius", TENTH),
    ("temp_ambient_min", "temp_ambient_min_celsius", TENTH),
    ("temp_max", "temp_max_celsius", TENTH),
    ("temp_min", "temp_min_celsius", TENTH),
];

/// What node_exporter reads besides, and shows nothing if one is no number.
const UNSHOWN: [&str; 7] = [
    "charge_avg",
    "current_avg",
    "energy_avg",
    "power_avg",
    "time_to_empty_avg",
    "time_to_full_avg",
    "voltage_avg",
];

const MICRO: f64 = 1e6;
const TENTH: f64 = 10.0;

const TEXTS: [&str; 11] = [
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

pub struct PowerSupplyClass {
    filter: Filter,
}

impl PowerSupplyClass {
    pub fn new(settings: &Settings) -> Self {
        Self {
            filter: settings.powersupply_supplies.clone(),
        }
    }
}

impl Collector for PowerSupplyClass {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        let supplies = files
            .entries(FOLDER)
            .map_err(CollectError::missing_is_no_data)?;
        for supply in supplies {
            if !self.filter.ignores(supply.name.as_bytes()) {
                read(&mut files, &supply.name, &mut rows)
                    .map_err(CollectError::missing_is_no_data)?;
            }
        }
        rows.write(page);
        Ok(())
    }
}

fn read(files: &mut Files<'_>, supply: &str, rows: &mut Rows) -> Result<(), CollectError> {
    let folder = format!("{FOLDER}/{supply}");
    let mut labels = vec![("power_supply", supply.to_owned())];
    for entry in files.entries(&folder)? {
        let number = NUMBERS.iter().find(|(file, ..)| *file == entry.name);
        let label = TEXTS.iter().find(|file| **file == entry.name);
        let path = format!("{folder}/{}", entry.name);
        if entry.kind == EntryKind::File && UNSHOWN.contains(&entry.name.as_str()) {
            match files.attribute_as(&path, "a whole number", any_base) {
                Err(error) if !is_absent(&error) => return Err(error),
                _ => continue,
            }
        }
        if entry.kind != EntryKind::File || (number.is_none() && label.is_none()) {
            continue;
        }
        if let Some(label) = label {
            match files.attribute(&path) {
                Ok(b"") => {}
                Ok(value) => labels.push((label, text::valid(value))),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some((_, name, unit)) = number {
            match files.attribute_as(&path, "a whole number", any_base) {
                Ok(value) => rows.gauge(
                    format!("node_power_supply_{name}"),
                    format!("{name} value of /sys/class/power_supply/<power_supply>."),
                    &[("power_supply", supply.as_bytes())],
                    value as f64 / unit,
                ),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let labels: Vec<(&str, &[u8])> = labels
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    rows.gauge(
        "node_power_supply_info",
        "info of /sys/class/power_supply/<power_supply>.",
        &labels,
        1.0,
    );
    Ok(())
}

/// The driver does not know this property of this supply.
fn is_absent(error: &CollectError) -> bool {
    error.is_missing()
        || error.is_errno(rustix::io::Errno::OPNOTSUPP)
        || error.is_errno(rustix::io::Errno::NODEV)
}
