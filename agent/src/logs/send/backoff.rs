//! How long to wait before another attempt: exponential with full jitter, so that a thousand agents
//! do not come back to a cluster that has just risen at the same moment.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::within(FIRST, LONGEST)
    }
}

impl Backoff {
    pub fn within(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            attempts: 0,
        }
    }

    pub fn pause(&mut self) -> Duration {
        let ceiling = self
            .first
            .saturating_mul(1 << self.attempts.min(16))
            .min(self.longest);
        self.attempts = self.attempts.saturating_add(1);
        ceiling.mul_f64(rand::random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_a_limit() {
        let mut backoff = Backoff::default();
        for attempt in 0..100_u32 {
            let ceiling = FIRST.saturating_mul(1 << attempt.min(16)).min(LONGEST);
            assert!(backoff.pause() <= ceiling);
        }
    }
}
