//! What every request handler shares: the railway behind its lock, the counters, the faults.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::calendar::{UnixMs, now_ms};
use crate::domain::inventory::{Inventory, Limits};
use crate::domain::timetable::Timetable;
use crate::faults::{Board, Change};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::provider::PaymentProvider;
use crate::word::Word;

/// Shared by all handlers; cloning shares.
pub type Shared = Arc<App>;

#[derive(Debug)]
pub struct App {
    inventory: Mutex<Inventory>,
    pub metrics: Metrics,
    pub faults: Board,
    pub provider: PaymentProvider,
    pub log: Log,
    draining: AtomicBool,
}

impl App {
    pub fn new(metrics: Metrics, log: Log, limits: Limits, seed: u64) -> Shared {
        let run = now_ms() / 1_000;
        Arc::new(Self {
            inventory: Mutex::new(Inventory::new(Timetable::national(), limits, run)),
            metrics,
            faults: Board::default(),
            provider: PaymentProvider::new(seed),
            log,
            draining: AtomicBool::new(false),
        })
    }

    /// Does something with the railway, alone, and counts what expired meanwhile.
    pub fn railway<T>(&self, work: impl FnOnce(&mut Inventory, UnixMs) -> T) -> T {
        // A panic while the lock was held leaves seats consistent: each operation changes them last.
        let mut inventory = self
            .inventory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut inventory, now_ms());
        let swept = inventory.take_swept();
        drop(inventory);
        self.metrics.seat_holds_expired.inc_by(swept.holds);
        self.metrics.bookings_expired.inc_by(swept.bookings);
        result
    }

    /// Tells metrics and log which faults went on or off.
    pub fn announce(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::On(kind) => {
                    let now = SystemTime::now()
                        .duration_since(UNIX_EPOCH)
                        .unwrap_or_default();
                    self.metrics
                        .fault(*kind, (now.as_secs_f64() * 1e3).round() / 1e3);
                    let value = self
                        .faults
                        .get(*kind, Instant::now())
                        .map(|a| a.fault.value());
                    tracing::warn!(
                        event.action = "fault-on",
                        kai.fault.name = kind.word(),
                        kai.fault.value = value.unwrap_or_default().to_string(),
                        "fault switched on"
                    );
                }
                Change::Off(kind) => {
                    self.metrics.fault(*kind, 0.0);
                    tracing::info!(
                        event.action = "fault-off",
                        kai.fault.name = kind.word(),
                        "fault is over"
                    );
                }
            }
        }
    }

    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
