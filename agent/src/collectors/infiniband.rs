//! `node_infiniband_*` from `/sys/class/infiniband`.

use super::gather::{Files, Rows, if_there};
use super::{CollectError, Collector};
use crate::exposition::Page;
use crate::node::{Node, Tree};
use crate::procfs::text::{self, any_base_unsigned, trim};

mod counters;

use counters::{COUNTERS, Counter};

const FOLDER: &str = "class/infiniband";

#[derive(Default)]
pub struct Infiniband;

impl Collector for Infiniband {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        let devices = files
            .entries(FOLDER)
            .map_err(CollectError::missing_is_no_data)?;
        for device in devices {
            read(&mut files, &device.name, &mut rows).map_err(CollectError::missing_is_no_data)?;
        }
        rows.write(page);
        Ok(())
    }
}

fn read(files: &mut Files<'_>, device: &str, rows: &mut Rows) -> Result<(), CollectError> {
    let folder = format!("{FOLDER}/{device}");
    let firmware = files.label(&format!("{folder}/fw_ver"))?;
    let board = if_there(files.label(&format!("{folder}/board_id")))?.unwrap_or_default();
    let kind = if_there(files.label(&format!("{folder}/hca_type")))?.unwrap_or_default();
    rows.gauge(
        "node_infiniband_info",
        "Non-numeric data from /sys/class/infiniband/<device>, value is always 1.",
        &[
            ("board_id", board.as_bytes()),
            ("device", device.as_bytes()),
            ("firmware_version", firmware.as_bytes()),
            ("hca_type", kind.as_bytes()),
        ],
        1.0,
    );
    let ports = format!("{folder}/ports");
    for entry in files.entries(&ports)? {
        let Some(number) = short(entry.name.as_bytes()) else {
            return Err(files.misread(&ports, 0, format!("{} is not a port", entry.name)));
        };
        let number = number.to_string();
        let labels: [(&str, &[u8]); 2] =
            [("device", device.as_bytes()), ("port", number.as_bytes())];
        port(files, &format!("{ports}/{}", entry.name), &labels, rows)?;
    }
    Ok(())
}

fn port(
    files: &mut Files<'_>,
    folder: &str,
    labels: &[(&str, &[u8])],
    rows: &mut Rows,
) -> Result<(), CollectError> {
    files.whole(&format!("{folder}/link_layer"))?;
    let state = files.value(&format!("{folder}/state"), "a number and a name", state)?;
    let physical = files.value(
        &format!("{folder}/phys_state"),
        "a number and a name",
        self::state,
    )?;
    let path = format!("{folder}/rate");
    let Some(rate) = rate(files.whole(&path)?) else {
        return Err(files.misread(&path, 1, "there is no number of gigabits"));
    };
    for (name, help, value) in [
        (
            "node_infiniband_state_id",
            "State of the InfiniBand port (0: no change, 1: down, 2: init, 3: armed, 4: active, 5: \
             act defer)",
            state,
        ),
        (
            "node_infiniband_physical_state_id",
            "Physical state of the InfiniBand port (0: no change, 1: sleep, 2: polling, 3: disable, \
             4: shift, 5: link up, 6: link error recover, 7: phytest)",
            physical,
        ),
        (
            "node_infiniband_rate_bytes_per_second",
            "Maximum signal transfer rate",
            rate,
        ),
    ] {
        rows.gauge(name, help, labels, value as f64);
    }
    if let Some(milliseconds) = count(files, folder, "hw_counters", "lifespan")? {
        rows.gauge(
            "node_infiniband_lifespan_seconds",
            "The maximum period in ms which defines the aging of the counter reads. Two consecutive \
             reads within this period might return the same values.",
            labels,
            (milliseconds / 1000) as f64,
        );
    }
    // Without `counters` node_exporter does not look for their extension either.
    let has_counters = files.exists(&format!("{folder}/counters"));
    for Counter {
        folder: kind,
        file,
        family,
        help,
        unit,
    } in &COUNTERS
    {
        if !has_counters && *kind == "counters_ext" {
            continue;
        }
        if let Some(count) = count(files, folder, kind, file)? {
            rows.counter(*family, *help, labels, count.wrapping_mul(*unit) as f64);
        }
    }
    Ok(())
}

/// A counter that the card has; not all have all.
fn count(
    files: &mut Files<'_>,
    folder: &str,
    kind: &str,
    file: &str,
) -> Result<Option<u64>, CollectError> {
    let path = format!("{folder}/{kind}/{file}");
    let value = match files.attribute(&path) {
        Ok(value) => value,
        Err(error) if error.is_not_told() || error.is_errno(rustix::io::Errno::NOTDIR) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    match any_base_unsigned(value) {
        Some(count) => Ok(Some(count)),
        // What the management agent of the port would have to tell.
        None if value.windows(12).any(|part| part == b"N/A (no PMA)") => Ok(None),
        None => {
            let message = format!("{} is not a 64-bit number", text::quote(value));
            Err(files.misread(&path, 1, message))
        }
    }
}

/// A whole number of 32 bits.
fn short(text: &[u8]) -> Option<u64> {
    text::number(text).filter(|number| u32::try_from(*number).is_ok())
}

/// The number of `4: ACTIVE`.
fn state(text: &[u8]) -> Option<u64> {
    let mut parts = text.split(|byte| *byte == b':');
    let number = short(trim(parts.next()?))?;
    (parts.count() == 1).then_some(number)
}

/// Bytes per second of `40 Gb/sec (4X QDR)`.
fn rate(text: &[u8]) -> Option<u64> {
    let blank = text.iter().position(|byte| *byte == b' ')?;
    let gigabits = text::float(trim(&text[..blank]))?;
    // As precise as node_exporter reads it.
    let short = gigabits as f32;
    (short.is_finite() || !gigabits.is_finite())
        .then(|| text::whole(f64::from(short) * 125_000_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_rates() {
        assert_eq!(state(b"4: ACTIVE"), Some(4));
        assert_eq!(state(b"ACTIVE"), None);
        assert_eq!(state(b"1: a: b"), None);
        assert_eq!(rate(b"2.5 Gb/sec (1X SDR)"), Some(312_500_000));
        assert_eq!(rate(b"fast"), None);
        assert_eq!(rate(b" 40 Gb/sec"), None);
        assert_eq!(rate(b"1e39 Gb/sec"), None);
        assert_eq!(state(b"4294967296: LINK"), None);
    }
}
