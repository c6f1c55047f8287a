//! Makes the faults happen that no request triggers: the leak, the flood, the crash, and the end of
//! every fault's time.

use std::time::{Duration, Instant};

use super::flood::Flood;
use super::leak::Leak;
use super::{Board, Kind, crash};
use crate::app::Shared;
use crate::domain::inventory::Inventory;

const TICK: Duration = Duration::from_millis(100);

/// Runs until the process ends.
pub async fn drive(app: Shared) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut leak = Leak::default();
    let mut flood: Option<(Instant, Flood)> = None;
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let elapsed = now.duration_since(last);
        last = now;
        app.announce(&app.faults.sweep(now));
        // A day's load without a request still lets holds run out.
        app.railway(Inventory::advance);

        match app.faults.leak() {
            Some(rate) => leak.grow((rate as f64 * elapsed.as_secs_f64()) as u64),
            None if leak.bytes() > 0 => leak.release(),
            None => {}
        }
        write_flood(&app, &mut flood, elapsed);
        if is_crash_due(&app.faults, now) {
            tracing::error!(
                event.action = "crash",
                "crashing on request with exit code 70"
            );
            app.log.flush();
            std::process::exit(crash::EXIT_CODE);
        }
    }
}

fn write_flood(app: &Shared, flood: &mut Option<(Instant, Flood)>, elapsed: Duration) {
    let active = app.faults.get(Kind::LogFlood, Instant::now());
    let (Some(rate), Some(active)) = (app.faults.log_flood(), active) else {
        *flood = None;
        return;
    };
    // One switched on anew is a new flood.
    let current = match flood {
        Some((since, current)) if *since == active.since => current,
        _ => &mut flood.insert((active.since, Flood::default())).1,
    };
    let first = current.written();
    let due = current.due(rate, elapsed);
    for number in first..first + due {
        tracing::info!(
            event.action = "log-flood",
            event.sequence = number,
            "a log line that nobody needs, written because the fault log_flood is on"
        );
    }
}

fn is_crash_due(faults: &Board, now: Instant) -> bool {
    faults
        .crash()
        .is_some_and(|(since, delay)| now >= since + delay.max(crash::GRACE))
}
