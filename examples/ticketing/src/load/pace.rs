//! Spaces requests evenly at a rate, over all customers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Gives out one moment per request.
#[derive(Debug)]
pub struct Pace {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub fn new(rps: f64) -> Self {
        Self {
            gap: Duration::from_secs_f64(1.0 / rps),
            next: Mutex::new(None),
        }
    }

    /// Waits for the next free moment.
    pub async fn wait(&self) {
        tokio::time::sleep_until(self.slot(Instant::now())).await;
    }

    /// A pause is not made up for: after it the rate is what it was, never more.
    fn slot(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = next.map_or(now, |next| next.max(now));
        *next = Some(slot + self.gap);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_evenly_apart_and_do_not_bunch_after_a_pause() {
        let pace = Pace::new(10.0);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(pace.slot(start), start);
        assert_eq!(pace.slot(start), at(100));
        assert_eq!(pace.slot(start), at(200));
        assert_eq!(pace.slot(at(5_000)), at(5_000));
        assert_eq!(pace.slot(at(5_000)), at(5_100));
    }
}
