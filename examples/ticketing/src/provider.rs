//! The payment provider: a stand-in for the bank, with a bank's delay and a bank's refusals.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::domain::words::Outcome;

/// Payments from one ordinary refusal to the next, drawn evenly from this range: 1.5 % on average.
/// Drawing the distance rather than each payment keeps ordinary refusals from clustering: among
/// 100 payments there are never more than four, so a rule at 5 % that waits for 60 payments or
/// more stays silent on a healthy day, every day.
const GAP: std::ops::RangeInclusive<u32> = 34..=100;
const DELAY_MS: std::ops::RangeInclusive<u64> = 2..=12;

/// Answers payments.
#[derive(Debug)]
pub struct PaymentProvider {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: StdRng,
    /// Payments until the next ordinary refusal.
    until_refusal: u32,
}

impl PaymentProvider {
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let until_refusal = rng.random_range(GAP);
        Self {
            state: Mutex::new(State { rng, until_refusal }),
        }
    }

    /// What the provider answers and how long it takes. `fault` is the share that it refuses
    /// beyond the ordinary.
    pub fn answer(&self, fault: Option<f64>) -> (Outcome, Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let delay = Duration::from_millis(state.rng.random_range(DELAY_MS));
        state.until_refusal -= 1;
        let mut declined = state.until_refusal == 0;
        if declined {
            state.until_refusal = state.rng.random_range(GAP);
        }
        if let Some(ratio) = fault {
            declined |= state.rng.random_bool(ratio.clamp(0.0, 1.0));
        }
        (
            if declined {
                Outcome::Declined
            } else {
                Outcome::Settled
            },
            delay,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declines(provider: &PaymentProvider, count: usize, fault: Option<f64>) -> Vec<bool> {
        (0..count)
            .map(|_| provider.answer(fault).0 == Outcome::Declined)
            .collect()
    }

    #[test]
    fn ordinary_refusals_are_few_and_never_cluster() {
        let answers = declines(&PaymentProvider::new(1), 100_000, None);
        let total = answers.iter().filter(|d| **d).count();
        assert!((1_300..=1_700).contains(&total), "{total}");
        for window in answers.windows(60) {
            assert!(window.iter().filter(|d| **d).count() <= 2);
        }
    }

    #[test]
    fn a_fault_declines_its_share() {
        let provider = PaymentProvider::new(2);
        let total = declines(&provider, 10_000, Some(0.6))
            .iter()
            .filter(|d| **d)
            .count();
        assert!((5_800..=6_300).contains(&total), "{total}");
        assert!(declines(&provider, 100, Some(1.0)).iter().all(|d| *d));
    }
}
