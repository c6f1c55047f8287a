//! The seats of one train on one day: one bit each, set while somebody has the seat.

use super::words::TrainClass;

/// Seats stand in rows of four, A to D.
const LETTERS: [char; 4] = ['A', 'B', 'C', 'D'];

/// How many coaches a class has and how many rows of four a coach has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub coaches: u16,
    pub rows: u16,
}

impl Layout {
    pub fn seats(self) -> u16 {
        self.coaches * self.rows * 4
    }
}

/// A seat's place in its class, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat(pub u16);

impl Seat {
    /// `EKS2-12C`: class code and coach, row and letter.
    pub fn label(self, class: TrainClass, layout: Layout) -> String {
        let per_coach = layout.rows * 4;
        let (coach, place) = (self.0 / per_coach, self.0 % per_coach);
        let letter = LETTERS[usize::from(place % 4)];
        format!("{}{}-{}{letter}", code(class), coach + 1, place / 4 + 1)
    }

    /// Reads exactly what [`Seat::label`] writes; `None` when this class has no such seat.
    pub fn parse(text: &str, class: TrainClass, layout: Layout) -> Option<Self> {
        let (coach, place) = text.strip_prefix(code(class))?.split_once('-')?;
        let letter = place.chars().next_back()?;
        let row: u16 = place.strip_suffix(letter)?.parse().ok()?;
        let coach: u16 = coach.parse().ok()?;
        if !(1..=layout.coaches).contains(&coach) || !(1..=layout.rows).contains(&row) {
            return None;
        }
        let column = LETTERS.iter().position(|l| *l == letter)? as u16;
        let seat = Self((coach - 1) * layout.rows * 4 + (row - 1) * 4 + column);
        (seat.label(class, layout) == text).then_some(seat)
    }
}

/// KAI's own coach codes.
fn code(class: TrainClass) -> &'static str {
    match class {
        TrainClass::Executive => "EKS",
        TrainClass::Business => "BIS",
        TrainClass::Economy => "EKO",
    }
}

/// Which seats of one class are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatMap {
    words: Vec<u64>,
    seats: u16,
}

impl SeatMap {
    pub fn new(seats: u16) -> Self {
        Self {
            words: vec![0; usize::from(seats).div_ceil(64)],
            seats,
        }
    }

    pub fn free(&self) -> u16 {
        self.seats
            - self
                .words
                .iter()
                .map(|w| w.count_ones() as u16)
                .sum::<u16>()
    }

    pub fn is_taken(&self, seat: Seat) -> bool {
        self.words
            .get(usize::from(seat.0) / 64)
            .is_some_and(|word| word & (1 << (seat.0 % 64)) != 0)
    }

    /// Takes all of `seats`, or none when one is taken, named twice or not there.
    pub fn take(&mut self, seats: &[Seat]) -> Result<(), Seat> {
        for (done, seat) in seats.iter().enumerate() {
            if seat.0 >= self.seats || self.is_taken(*seat) {
                self.release(&seats[..done]);
                return Err(*seat);
            }
            self.words[usize::from(seat.0) / 64] |= 1 << (seat.0 % 64);
        }
        Ok(())
    }

    /// The first `count` free seats in order, side by side as far as that goes.
    pub fn first_free(&self, count: u16) -> Option<Vec<Seat>> {
        if self.free() < count {
            return None;
        }
        Some(
            (0..self.seats)
                .map(Seat)
                .filter(|s| !self.is_taken(*s))
                .take(count.into())
                .collect(),
        )
    }

    pub fn release(&mut self, seats: &[Seat]) {
        for seat in seats {
            if let Some(word) = self.words.get_mut(usize::from(seat.0) / 64) {
                *word &= !(1 << (seat.0 % 64));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout {
        coaches: 3,
        rows: 12,
    };

    #[test]
    fn every_label_reads_back_and_is_unique() {
        let labels: std::collections::BTreeSet<String> = (0..LAYOUT.seats())
            .map(|n| Seat(n).label(TrainClass::Business, LAYOUT))
            .collect();
        assert_eq!(labels.len(), 144);
        for n in 0..LAYOUT.seats() {
            let label = Seat(n).label(TrainClass::Business, LAYOUT);
            assert_eq!(
                Seat::parse(&label, TrainClass::Business, LAYOUT),
                Some(Seat(n))
            );
        }
        assert_eq!(Seat(49).label(TrainClass::Executive, LAYOUT), "EKS2-1B");
    }

    #[test]
    fn refuses_seats_that_are_not_there() {
        for text in [
            "EKS4-1A", "EKS0-1A", "EKS1-13A", "EKS1-0A", "EKS1-1E", "EKO1-1A", "EKS01-1A",
            "EKS1-+1A", "EKS1-1a", "EKS1", "", "EKS1-Å", "EKS1-A",
        ] {
            assert_eq!(
                Seat::parse(text, TrainClass::Executive, LAYOUT),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn takes_all_or_none() {
        let mut map = SeatMap::new(100);
        assert_eq!(map.take(&[Seat(3), Seat(99)]), Ok(()));
        assert_eq!(map.free(), 98);
        assert_eq!(map.take(&[Seat(4), Seat(99)]), Err(Seat(99)));
        assert_eq!(map.take(&[Seat(5), Seat(5)]), Err(Seat(5)));
        assert_eq!(map.take(&[Seat(100)]), Err(Seat(100)));
        assert_eq!(map.free(), 98);
        assert_eq!(
            map.first_free(4),
            Some(vec![Seat(0), Seat(1), Seat(2), Seat(4)])
        );
        assert_eq!(map.first_free(99), None);
    }
}
