//! `node_thermal_zone_temp` and `node_cooling_device_*` from `/sys/class/thermal`.

use super::gather::{Files, Rows};
use super::{CollectError, Collector};
use crate::exposition::Page;
use crate::node::{Node, Tree};
use crate::procfs::text;

const FOLDER: &str = "class/thermal";

#[derive(Default)]
pub struct ThermalZone;

impl Collector for ThermalZone {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        for name in files.numbered(FOLDER, "thermal_zone") {
            match zone(&mut files, &format!("{FOLDER}/{name}")) {
                Ok((kind, temperature)) => rows.gauge(
                    "node_thermal_zone_temp",
                    "Zone temperature in Celsius",
                    &[
                        ("type", kind.as_bytes()),
                        ("zone", name.trim_start_matches("thermal_zone").as_bytes()),
                    ],
                    temperature as f64 / 1000.0,
                ),
                // A sensor that is asleep, or a zone that went.
                Err(CollectError::Read { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for name in files.numbered(FOLDER, "cooling_device") {
            match cooling_device(&mut files, &format!("{FOLDER}/{name}")) {
                Ok((kind, most, current)) => {
                    let labels: [(&str, &[u8]); 2] = [
                        ("name", name.trim_start_matches("cooling_device").as_bytes()),
                        ("type", kind.as_bytes()),
                    ];
                    rows.gauge(
                        "node_cooling_device_cur_state",
                        "Current throttle state of the cooling device",
                        &labels,
                        current as f64,
                    );
                    rows.gauge(
                        "node_cooling_device_max_state",
                        "Maximum throttle state of the cooling device",
                        &labels,
                        most as f64,
                    );
                }
                Err(error) if error.is_not_told() => {}
                Err(error) => return Err(error),
            }
        }
        rows.write(page);
        Ok(())
    }
}

/// Type and millidegrees.
fn zone(files: &mut Files<'_>, folder: &str) -> Result<(String, i64), CollectError> {
    let kind = files.label(&format!("{folder}/type"))?;
    // node_exporter leaves out a zone without one.
    files.attribute(&format!("{folder}/policy"))?;
    Ok((kind, attribute(files, &format!("{folder}/temp"))?))
}

/// Type, highest state, state.
fn cooling_device(files: &mut Files<'_>, folder: &str) -> Result<(String, i64, i64), CollectError> {
    let kind = files.label(&format!("{folder}/type"))?;
    let most = attribute(files, &format!("{folder}/max_state"))?;
    let current = attribute(files, &format!("{folder}/cur_state"))?;
    Ok((kind, most, current))
}

fn attribute(files: &mut Files<'_>, name: &str) -> Result<i64, CollectError> {
    files.attribute_as(name, "a whole number", text::signed)
}
