//! `node_fibrechannel_*` from `/sys/class/fc_host`.

use super::gather::{Files, Rows, if_there};
use super::{CollectError, Collector};
use crate::exposition::Page;
use crate::node::{EntryKind, Node, Tree};
use crate::procfs::text::any_base_unsigned;

const FOLDER: &str = "class/fc_host";

/// A file in `statistics`, and the family that it becomes.
const COUNTERS: [(&str, &str, &str); 14] = [
    (
        "dumped_frames",
        "node_fibrechannel_dumped_frames_total",
        "Number of dumped frames",
    ),
    (
        "error_frames",
        "node_fibrechannel_error_frames_total",
        "Number of errors in frames",
    ),
    (
        "invalid_crc_count",
        "node_fibrechannel_invalid_crc_total",
        "Invalid Cyclic Redundancy Check count",
    ),
    (
        "rx_frames",
        "node_fibrechannel_rx_frames_total",
        "Number of frames received",
    ),
    (
        "rx_words",
        "node_fibrechannel_rx_words_total",
        "Number of words received by host port",
    ),
    (
        "tx_frames",
        "node_fibrechannel_tx_frames_total",
        "Number of frames transmitted by host port",
    ),
    (
        "tx_words",
        "node_fibrechannel_tx_words_total",
        "Number of words transmitted by host port",
    ),
    (
        "seconds_since_last_reset",
        "node_fibrechannel_seconds_since_last_reset_total",
        "Number of seconds since last host port reset",
    ),
    (
        "invalid_tx_word_count",
        "node_fibrechannel_invalid_tx_words_total",
        "Number of invalid words transmitted by host port",
    ),
    (
        "link_failure_count",
        "node_fibrechannel_link_failure_total",
        "Number of times the host port link has failed",
    ),
    (
        "loss_of_sync_count",
        "node_fibrechannel_loss_of_sync_total",
        "Number of failures on either bit or transmission word boundaries",
    ),
    (
        "loss_of_signal_count",
        "node_fibrechannel_loss_of_signal_total",
        "Number of times signal has been lost",
    ),
    (
        "nos_count",
        "node_fibrechannel_nos_total",
        "Number Not_Operational Primitive Sequence received by host port",
    ),
    (
        "fcp_packet_aborts",
        "node_fibrechannel_fcp_packet_aborts_total",
        "Number of aborted packets",
    ),
];

/// Labels of the info metric, which are files; some with `0x` at their beginning, which is cut.
const LABELS: [(&str, bool); 10] = [
    ("dev_loss_tmo", false),
    ("fabric_name", true),
    ("port_id", true),
    ("port_name", true),
    ("port_state", false),
    ("port_type", false),
    ("speed", false),
    ("supported_classes", false),
    ("supported_speeds", false),
    ("symbolic_name", false),
];

#[derive(Default)]
pub struct FibreChannel;

impl Collector for FibreChannel {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let mut rows = Rows::default();
        let hosts = files
            .entries(FOLDER)
            .map_err(CollectError::missing_is_no_data)?;
        for host in hosts {
            read(&mut files, &host.name, &mut rows).map_err(CollectError::missing_is_no_data)?;
        }
        rows.write(page);
        Ok(())
    }
}

fn read(files: &mut Files<'_>, host: &str, rows: &mut Rows) -> Result<(), CollectError> {
    let folder = format!("{FOLDER}/{host}");
    let mut labels = vec![("fc_host", host.to_owned())];
    for (file, is_hex) in LABELS {
        let value = if_there(files.label(&format!("{folder}/{file}")))?.unwrap_or_default();
        let value = match value.get(2..) {
            Some(rest) if is_hex && !rest.is_empty() => rest.to_owned(),
            _ => value,
        };
        labels.push((file, value));
    }
    let labels: Vec<(&str, &[u8])> = labels
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    rows.gauge(
        "node_fibrechannel_info",
        "Non-numeric data from /sys/class/fc_host/<host>, value is always 1.",
        &labels,
        1.0,
    );
    for entry in files.entries(&format!("{folder}/statistics"))? {
        let counter = COUNTERS.iter().find(|(file, ..)| *file == entry.name);
        let (Some((file, family, help)), EntryKind::File) = (counter, entry.kind) else {
            continue;
        };
        let path = format!("{folder}/statistics/{file}");
        match files.attribute_as(&path, "a 64-bit number", any_base_unsigned) {
            // All bits set: the card does not count it.
            Ok(u64::MAX) => {}
            Ok(count) => rows.counter(
                *family,
                *help,
                &[("fc_host", host.as_bytes())],
                count as f64,
            ),
            Err(error) if error.is_missing() || error.is_errno(rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
