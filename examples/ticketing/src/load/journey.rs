//! What one customer wants and how far they go: drawn from the seed and the customer's number,
//! before the first request, so that nothing the service answers changes the draw.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::domain::catalog::LINES;
use crate::domain::words::{Channel, Method, TrainClass};

/// How far a customer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Looks only.
    Searches,
    /// Holds seats and lets them go.
    Holds,
    /// Books and does not pay.
    Books,
    Pays,
    /// Pays, and gives the ticket back.
    Refunds,
}

/// Out of a hundred customers. Nobody pays in the first three rows, so 71 of 100 do.
const ENDS: [(End, u32); 5] = [
    (End::Searches, 15),
    (End::Holds, 10),
    (End::Books, 4),
    (End::Pays, 66),
    (End::Refunds, 5),
];

/// One customer's intentions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journey {
    pub number: u64,
    pub from: &'static str,
    pub to: &'static str,
    /// From today, 1 to 40.
    pub days_ahead: u32,
    /// Extra searches before the one that counts.
    pub looks_around: u32,
    /// Which of the trains found, by remainder.
    pub train_choice: usize,
    pub class: TrainClass,
    pub passengers: u32,
    pub channel: Channel,
    pub method: Method,
    /// Tried when the first method is declined; `None` gives up.
    pub second_method: Option<Method>,
    pub end: End,
}

impl Journey {
    pub fn draw(seed: u64, number: u64) -> Self {
        // Customers of neighbouring numbers and seeds must not resemble each other: both go
        // through the generator's own seeding.
        let mut rng = StdRng::seed_from_u64(seed);
        let mixed = rng.random::<u64>() ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let rng = &mut StdRng::seed_from_u64(mixed);

        let line = &LINES[rng.random_range(0..LINES.len())];
        let direction = rng.random_range(0..2);
        Self {
            number,
            from: line.ends[direction],
            to: line.ends[1 - direction],
            days_ahead: rng.random_range(1..=40),
            looks_around: [0, 0, 0, 1, 2][rng.random_range(0..5)],
            train_choice: rng.random_range(0..1_000),
            class: pick(
                rng,
                &[
                    (TrainClass::Executive, 35),
                    (TrainClass::Business, 20),
                    (TrainClass::Economy, 45),
                ],
            ),
            passengers: pick(rng, &[(1, 60), (2, 25), (3, 9), (4, 6)]),
            channel: pick(
                rng,
                &[
                    (Channel::Mobile, 55),
                    (Channel::Web, 25),
                    (Channel::Kiosk, 12),
                    (Channel::Agent, 8),
                ],
            ),
            method: pick(
                rng,
                &[
                    (Method::Qris, 45),
                    (Method::VirtualAccount, 35),
                    (Method::Card, 20),
                ],
            ),
            second_method: pick(
                rng,
                &[
                    (None, 50),
                    (Some(Method::VirtualAccount), 25),
                    (Some(Method::Qris), 25),
                ],
            ),
            end: pick(rng, &ENDS),
        }
    }
}

/// One of several, by weight.
fn pick<T: Copy>(rng: &mut StdRng, choices: &[(T, u32)]) -> T {
    let total: u32 = choices.iter().map(|(_, weight)| weight).sum();
    let mut draw = rng.random_range(0..total);
    for (choice, weight) in choices {
        match draw.checked_sub(*weight) {
            Some(rest) => draw = rest,
            None => return *choice,
        }
    }
    choices[0].0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides() {
        let draw = |seed| (0..200).map(|n| Journey::draw(seed, n)).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        // The numbers of neighbouring seeds do not merely shift the sequence.
        let shifted = draw(1)
            .iter()
            .zip(draw(2).iter().skip(1))
            .filter(|(a, b)| a.from == b.from && a.to == b.to && a.days_ahead == b.days_ahead)
            .count();
        assert!(shifted < 10, "{shifted}");
    }

    #[test]
    fn the_mix_is_as_declared() {
        let journeys: Vec<Journey> = (0..10_000).map(|n| Journey::draw(7, n)).collect();
        for (end, percent) in ENDS {
            let share = journeys.iter().filter(|j| j.end == end).count() / 100;
            let off = share.abs_diff(percent as usize);
            assert!(off <= 2, "{end:?}: {share} percent, wanted {percent}");
        }
        assert!(
            journeys
                .iter()
                .all(|j| j.from != j.to && (1..=40).contains(&j.days_ahead))
        );
    }
}
