//! `node_timex_*`: how the kernel keeps its clock, by adjtimex(2), which knows no roots.

use std::io;

use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Timex as Clock};

/// adjtimex(2)'s answer when the clock is not synchronized.
const TIME_ERROR: i32 = 5;
/// In the status: offsets are in nanoseconds.
const STA_NANO: i32 = 0x2000;
/// Frequencies are in millionths with a fraction of 16 bits.
const SCALED_PPM: f64 = 1_000_000.0 * 65_536.0;
const MICRO: f64 = 1_000_000.0;
const NANO: f64 = 1_000_000_000.0;

#[derive(Default)]
pub struct Timex;

impl Collector for Timex {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let clock = node.timex().map_err(|source| {
            if source.kind() == io::ErrorKind::PermissionDenied {
                CollectError::NoData(source.to_string())
            } else {
                CollectError::Ask {
                    what: "the state of its clock",
                    source,
                }
            }
        })?;
        for (name, help, kind, value) in figures(&clock) {
            page.single(name, help, kind, value);
        }
        Ok(())
    }
}

fn figures(clock: &Clock) -> [(&'static str, &'static str, Kind, f64); 17] {
    let unit = if clock.status & STA_NANO == 0 {
        MICRO
    } else {
        NANO
    };
    [
        (
            "node_timex_sync_status",
            "Is clock synchronized to a reliable server (1 = yes, 0 = no).",
            Kind::Gauge,
            f64::from(u8::from(clock.state != TIME_ERROR)),
        ),
        (
            "node_timex_offset_seconds",
            "Time offset in between local system and reference clock.",
            Kind::Gauge,
            clock.offset as f64 / unit,
        ),
        (
            "node_timex_frequency_adjustment_ratio",
            "Local clock frequency adjustment.",
            Kind::Gauge,
            1.0 + clock.frequency as f64 / SCALED_PPM,
        ),
        (
            "node_timex_maxerror_seconds",
            "Maximum error in seconds.",
            Kind::Gauge,
            clock.max_error as f64 / MICRO,
        ),
        (
            "node_timex_estimated_error_seconds",
            "Estimated error in seconds.",
            Kind::Gauge,
            clock.estimated_error as f64 / MICRO,
        ),
        (
            "node_timex_status",
            "Value of the status array bits.",
            Kind::Gauge,
            f64::from(clock.status),
        ),
        (
            "node_timex_loop_time_constant",
            "Phase-locked loop time constant.",
            Kind::Gauge,
            clock.constant as f64,
        ),
        (
            "node_timex_tick_seconds",
            "Seconds between clock ticks.",
            Kind::Gauge,
            clock.tick as f64 / MICRO,
        ),
        (
            "node_timex_pps_frequency_hertz",
            "Pulse per second frequency.",
            Kind::Gauge,
            clock.pps_frequency as f64 / SCALED_PPM,
        ),
        (
            "node_timex_pps_jitter_seconds",
            "Pulse per second jitter.",
            Kind::Gauge,
            clock.pps_jitter as f64 / unit,
        ),
        (
            "node_timex_pps_shift_seconds",
            "Pulse per second interval duration.",
            Kind::Gauge,
            f64::from(clock.pps_shift),
        ),
        (
            "node_timex_pps_stability_hertz",
            "Pulse per second stability, average of recent frequency changes.",
            Kind::Gauge,
            clock.pps_stability as f64 / SCALED_PPM,
        ),
        (
            "node_timex_pps_jitter_total",
            "Pulse per second count of jitter limit exceeded events.",
            Kind::Counter,
            clock.pps_jitter_count as f64,
        ),
        (
            "node_timex_pps_calibration_total",
            "Pulse per second count of calibration intervals.",
            Kind::Counter,
            clock.pps_calibration_count as f64,
        ),
        (
            "node_timex_pps_error_total",
            "Pulse per second count of calibration errors.",
            Kind::Counter,
            clock.pps_error_count as f64,
        ),
        (
            "node_timex_pps_stability_exceeded_total",
            "Pulse per second count of stability limit exceeded events.",
            Kind::Counter,
            clock.pps_stability_count as f64,
        ),
        (
            "node_timex_tai_offset_seconds",
            "International Atomic Time (TAI) offset.",
            Kind::Gauge,
            f64::from(clock.tai_offset),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_synchronized_or_not_and_its_unit_is_told() {
        let value = |clock: &Clock, name: &str| {
            let found = figures(clock).into_iter().find(|figure| figure.0 == name);
            found.unwrap().3
        };
        let mut clock = Clock {
            state: TIME_ERROR,
            offset: 2_000,
            ..Clock::default()
        };
        assert!(value(&clock, "node_timex_sync_status") < 0.5);
        assert!((value(&clock, "node_timex_offset_seconds") - 0.002).abs() < 1e-12);
        clock.state = 0;
        clock.status = STA_NANO;
        assert!(value(&clock, "node_timex_sync_status") > 0.5);
        assert!((value(&clock, "node_timex_offset_seconds") - 0.000_002).abs() < 1e-12);
    }
}
