//! The trains that run every day: number, route, departure, seats and fares by class.

use std::collections::HashMap;

use super::catalog::{FARE_PER_KM, FIRST_DEPARTURE, HEADWAY, LAST_DEPARTURE, LINES, STATIONS};
use super::seats::Layout;
use super::words::TrainClass;
use crate::calendar::{Date, UnixMs};

/// A train's place in the timetable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrainIndex(u16);

/// One train of the daily timetable.
#[derive(Debug, Clone, PartialEq)]
pub struct Train {
    /// `KA7`, as printed on tickets.
    pub id: String,
    pub name: String,
    pub from: &'static str,
    pub to: &'static str,
    /// Minutes past midnight, Western Indonesian Time.
    pub departs: u32,
    pub minutes: u32,
    pub executive: Offer,
    pub business: Offer,
    pub economy: Offer,
}

/// What one class of a train offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub layout: Layout,
    /// Rupiah for one seat.
    pub fare: u64,
}

impl Train {
    pub fn offer(&self, class: TrainClass) -> Offer {
        match class {
            TrainClass::Executive => self.executive,
            TrainClass::Business => self.business,
            TrainClass::Economy => self.economy,
        }
    }

    pub fn departure(&self, date: Date) -> UnixMs {
        date.at_minute_wib(self.departs)
    }
}

/// All trains, found by id and by route.
#[derive(Debug)]
pub struct Timetable {
    trains: Vec<Train>,
    by_id: HashMap<String, TrainIndex>,
    by_route: HashMap<(&'static str, &'static str), Vec<TrainIndex>>,
}

impl Timetable {
    pub fn new(trains: Vec<Train>) -> Self {
        let mut by_id = HashMap::new();
        let mut by_route: HashMap<_, Vec<_>> = HashMap::new();
        for (n, train) in trains.iter().enumerate() {
            let index = TrainIndex(n as u16);
            by_id.insert(train.id.clone(), index);
            by_route
                .entry((train.from, train.to))
                .or_default()
                .push(index);
        }
        Self {
            trains,
            by_id,
            by_route,
        }
    }

    /// The whole railway: every line in both directions, hourly. 432 trains and some 240,000 seats
    /// a day, so that days of generated load do not sell it out.
    pub fn national() -> Self {
        let fare = |class, km: u32| {
            let per_km = FARE_PER_KM
                .iter()
                .find(|(c, _)| *c == class)
                .map_or(0, |(_, f)| *f);
            // Prices end in five thousand.
            (u64::from(km) * per_km).div_ceil(5_000) * 5_000
        };
        let mut trains = Vec::new();
        for line in &LINES {
            for (from, to) in [(line.ends[0], line.ends[1]), (line.ends[1], line.ends[0])] {
                for departs in (FIRST_DEPARTURE..=LAST_DEPARTURE).step_by(HEADWAY as usize) {
                    let offer = |class, coaches, rows| Offer {
                        layout: Layout { coaches, rows },
                        fare: fare(class, line.km),
                    };
                    trains.push(Train {
                        id: format!("KA{}", trains.len() + 1),
                        name: line.name.to_owned(),
                        from,
                        to,
                        departs,
                        minutes: line.minutes,
                        executive: offer(TrainClass::Executive, 4, 12),
                        business: offer(TrainClass::Business, 2, 16),
                        economy: offer(TrainClass::Economy, 3, 20),
                    });
                }
            }
        }
        Self::new(trains)
    }

    pub fn find(&self, id: &str) -> Option<TrainIndex> {
        self.by_id.get(id).copied()
    }

    /// The train behind an index that this timetable gave out.
    pub fn train(&self, index: TrainIndex) -> &Train {
        &self.trains[usize::from(index.0)]
    }

    /// Trains from one station to another, in order of departure.
    pub fn between(&self, from: &str, to: &str) -> &[TrainIndex] {
        let station = |code: &str| STATIONS.iter().map(|(c, _)| *c).find(|c| *c == code);
        match (station(from), station(to)) {
            (Some(from), Some(to)) => self.by_route.get(&(from, to)).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_national_timetable_is_whole() {
        let timetable = Timetable::national();
        assert_eq!(timetable.trains.len(), 12 * 2 * 18);
        assert_eq!(timetable.by_id.len(), timetable.trains.len());
        for train in &timetable.trains {
            assert!(
                STATIONS.iter().any(|(c, _)| *c == train.from),
                "{}",
                train.from
            );
            assert!(STATIONS.iter().any(|(c, _)| *c == train.to), "{}", train.to);
            assert!(train.economy.fare < train.business.fare);
            assert!(train.business.fare < train.executive.fare);
        }
        let gambir_bandung = timetable.between("GMR", "BD");
        assert_eq!(gambir_bandung.len(), 18);
        assert_eq!(timetable.train(gambir_bandung[0]).executive.fare, 150_000);
        assert!(timetable.between("GMR", "GMR").is_empty());
        assert!(timetable.between("XX", "BD").is_empty());
    }
}
