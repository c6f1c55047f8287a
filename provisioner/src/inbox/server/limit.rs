//! Token buckets: the vendors' rate limits, and the bound on how many refusals are kept.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

/// More senders than a machine has; the fullest buckets go first, they have lost nothing.
const MAX_KEYS: usize = 4096;

/// One bucket: so many at once, refilled evenly.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    tokens: f64,
    seen: Instant,
}

/// The size and speed of a bucket.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub burst: f64,
    pub per_second: f64,
}

impl Rate {
    pub fn per_minute(count: u32) -> Self {
        Self {
            burst: f64::from(count),
            per_second: f64::from(count) / 60.0,
        }
    }
}

impl Bucket {
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: rate.burst,
            seen: now,
        }
    }

    /// Takes one, or says how long until there is one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.tokens = (self.tokens + passed * rate.per_second).min(rate.burst);
        self.seen = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let missing = (1.0 - self.tokens) / rate.per_second.max(1e-6);
        Err(Duration::try_from_secs_f64(missing).unwrap_or(Duration::MAX))
    }
}

/// A bucket per sender.
#[derive(Debug)]
pub struct Limiter {
    rate: Option<Rate>,
    // By hash: what tells senders apart is a token, and it need not be held here as well.
    buckets: HashMap<u64, Bucket>,
}

impl Limiter {
    pub fn new(per_minute: Option<u32>) -> Self {
        Self {
            rate: per_minute.map(Rate::per_minute),
            buckets: HashMap::new(),
        }
    }

    pub fn take(&mut self, key: &str, now: Instant) -> Result<(), Duration> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let key = hasher.finish();
        if self.buckets.len() >= MAX_KEYS && !self.buckets.contains_key(&key) {
            let fullest = self
                .buckets
                .iter()
                .max_by(|a, b| a.1.tokens.total_cmp(&b.1.tokens));
            if let Some(fullest) = fullest.map(|(key, _)| *key) {
                self.buckets.remove(&fullest);
            }
        }
        self.buckets
            .entry(key)
            .or_insert_with(|| Bucket::full(rate, now))
            .take(rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sender_has_its_own_bucket_and_it_refills() {
        let mut limiter = Limiter::new(Some(2));
        let start = Instant::now();
        assert!(limiter.take("a", start).is_ok() && limiter.take("a", start).is_ok());
        let wait = limiter.take("a", start).unwrap_err();
        assert_eq!(wait.as_secs(), 30);
        assert!(limiter.take("b", start).is_ok());
        assert!(
            limiter
                .take("a", start + wait + Duration::from_millis(1))
                .is_ok()
        );
    }

    #[test]
    fn without_a_rate_nothing_is_held_back() {
        let mut limiter = Limiter::new(None);
        let now = Instant::now();
        assert!((0..10_000).all(|_| limiter.take("a", now).is_ok()));
        assert!(limiter.buckets.is_empty());
    }

    #[test]
    fn senders_are_bounded() {
        let mut limiter = Limiter::new(Some(1));
        let now = Instant::now();
        for key in 0..MAX_KEYS + 50 {
            assert!(limiter.take(&key.to_string(), now).is_ok());
        }
        assert_eq!(limiter.buckets.len(), MAX_KEYS);
    }
}
