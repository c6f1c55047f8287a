//! A rate limit by sleeping: so many units per second, with a short burst.

use std::time::{Duration, Instant};

/// What may be caught up with at once after a pause.
const BURST: Duration = Duration::from_millis(100);

/// Hands out units no faster than a rate.
#[derive(Debug)]
pub struct Pace {
    per_second: f64,
    /// When all that was taken will have been paid for.
    paid: Instant,
}

impl Pace {
    pub fn new(per_second: u64) -> Self {
        Self {
            per_second: per_second.max(1) as f64,
            paid: Instant::now(),
        }
    }

    /// Takes units and sleeps as long as they are ahead of the rate.
    pub fn take(&mut self, units: u64) {
        let wait = self.debt(units, Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
    }

    fn debt(&mut self, units: u64, now: Instant) -> Duration {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let cost = Duration::from_secs_f64((units as f64 / self.per_second).min(60.0));
        self.paid = self.paid.max(earliest) + cost;
        self.paid.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_cost_time_and_a_pause_is_not_saved_up() {
        let mut pace = Pace::new(1_000);
        let start = Instant::now();
        pace.paid = start;
        assert_eq!(pace.debt(500, start), Duration::from_millis(500));
        // An hour later, only the burst is free.
        let later = start + Duration::from_hours(1);
        assert_eq!(pace.debt(100, later), Duration::ZERO);
        assert_eq!(pace.debt(1_000, later), Duration::from_secs(1));
    }
}
