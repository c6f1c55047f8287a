//! The promise of a railway, tested against an independent record of who was told what: under any
//! sequence of operations and any passing of time, no seat of a train and date has two owners.

use std::collections::HashMap;

use proptest::prelude::*;

use super::ids::Id;
use super::inventory::{DomainError, HoldRequest, Inventory, Limits};
use super::seats::Layout;
use super::timetable::{Offer, Timetable, Train};
use super::words::{Channel, Outcome, TrainClass};
use crate::calendar::{Date, UnixMs};
use crate::word::Word;

/// 2026-11-23 09:00 UTC, 16:00 in Jakarta.
const START: UnixMs = 1_795_424_400_000;

/// Two trains with few seats, so that customers collide.
fn small_timetable() -> Timetable {
    let offer = |rows| Offer {
        layout: Layout { coaches: 1, rows },
        fare: 100_000,
    };
    let train = |id: &str, departs| Train {
        id: id.into(),
        name: "Test".into(),
        from: "GMR",
        to: "BD",
        departs,
        minutes: 60,
        executive: offer(1),
        business: offer(1),
        economy: offer(2),
    };
    Timetable::new(vec![train("KA1", 22 * 60), train("KA2", 8 * 60)])
}

fn limits() -> Limits {
    Limits {
        hold_ttl_ms: 10_000,
        payment_window_ms: 30_000,
        provider_deadline_ms: 5_000,
        remember_ms: 60_000,
        horizon_days: 3,
        max_holds: 12,
        max_bookings: 12,
        ..Limits::default()
    }
}

#[derive(Debug, Clone)]
enum Op {
    Hold {
        train: u8,
        day: u32,
        class: usize,
        passengers: u16,
        seats: Vec<(u16, char)>,
    },
    Book(usize),
    BeginPayment(usize),
    FinishPayment(usize, bool),
    Refund(usize),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let seat = (
        1u16..=3,
        prop::sample::select(vec!['A', 'B', 'C', 'D', 'E']),
    );
    prop_oneof![
        4 => (0u8..3, 0u32..5, 0usize..3, 1u16..=4, prop::collection::vec(seat, 0..3)).prop_map(
            |(train, day, class, passengers, seats)| Op::Hold { train, day, class, passengers, seats }
        ),
        3 => (0usize..8).prop_map(Op::Book),
        3 => (0usize..8).prop_map(Op::BeginPayment),
        3 => (0usize..8, any::<bool>()).prop_map(|(n, settled)| Op::FinishPayment(n, settled)),
        1 => (0usize..8).prop_map(Op::Refund),
        2 => prop_oneof![0u64..3_000, 4_000u64..40_000, Just(86_400_000)].prop_map(Op::Wait),
    ]
}

/// What customers were told, kept apart from the code under test.
#[derive(Default)]
struct Ledger {
    owners: Vec<Owner>,
}

#[derive(Clone)]
struct Owner {
    hold: Id,
    booking: Option<Id>,
    places: Vec<(String, Date, String)>,
    hold_until: UnixMs,
    due: UnixMs,
    /// Payment being made and the time until which it protects the booking.
    open: Option<(Id, UnixMs)>,
    paid: bool,
    refunded: bool,
}

impl Owner {
    fn owns_at(&self, now: UnixMs) -> bool {
        match self.booking {
            _ if self.refunded => false,
            None => now < self.hold_until,
            Some(_) => {
                self.paid || now < self.due || self.open.is_some_and(|(_, until)| now < until)
            }
        }
    }
}

/// The nth newest, so that small numbers find live ones.
fn newest<T>(items: &[T], n: usize) -> Option<usize> {
    items.len().checked_sub(n + 1)
}

fn run(ops: &[Op]) -> Result<(), TestCaseError> {
    let mut inventory = Inventory::new(small_timetable(), limits(), 7);
    let mut ledger = Ledger::default();
    let mut now = START;
    for op in ops {
        match op {
            Op::Wait(ms) => now += ms,
            Op::Hold {
                train,
                day,
                class,
                passengers,
                seats,
            } => {
                let class = TrainClass::ALL[*class];
                let code = ["EKS", "BIS", "EKO"][class as usize];
                let request = HoldRequest {
                    train: format!("KA{}", train + 1),
                    date: Date::today_wib(now).plus(*day),
                    class,
                    passengers: *passengers,
                    seats: seats
                        .iter()
                        .map(|(row, l)| format!("{code}1-{row}{l}"))
                        .collect(),
                };
                if let Ok((id, hold)) = inventory.hold(now, &request) {
                    let layout = inventory.timetable().train(hold.train).offer(class).layout;
                    let wanted = if seats.is_empty() {
                        usize::from(*passengers)
                    } else {
                        seats.len()
                    };
                    prop_assert_eq!(hold.seats.len(), wanted);
                    prop_assert_eq!(hold.amount, 100_000 * hold.seats.len() as u64);
                    prop_assert!(*day <= 3, "sold beyond the horizon");
                    let places = hold
                        .seats
                        .iter()
                        .map(|s| (request.train.clone(), hold.date, s.label(class, layout)))
                        .collect();
                    ledger.owners.push(Owner {
                        hold: id,
                        booking: None,
                        places,
                        hold_until: hold.expires_at,
                        due: 0,
                        open: None,
                        paid: false,
                        refunded: false,
                    });
                }
            }
            Op::Book(n) => {
                let Some(at) = newest(&ledger.owners, *n) else {
                    continue;
                };
                let owner = &mut ledger.owners[at];
                let result = inventory.book(now, owner.hold, Channel::Web);
                if let Ok((id, booking)) = result {
                    prop_assert!(owner.booking.is_none(), "one hold became two bookings");
                    prop_assert!(now < owner.hold_until, "an expired hold was booked");
                    owner.booking = Some(id);
                    owner.due = booking.due;
                } else if owner.booking.is_none() && now >= owner.hold_until {
                    prop_assert_eq!(result, Err(DomainError::HoldExpired));
                }
            }
            Op::BeginPayment(n) => {
                let Some(at) = newest(&ledger.owners, *n) else {
                    continue;
                };
                let owner = &mut ledger.owners[at];
                let Some(booking) = owner.booking else {
                    continue;
                };
                let amount = 100_000 * owner.places.len() as u64;
                prop_assert!(inventory.begin_payment(now, booking, amount + 1).is_err());
                if let Ok((payment, _)) = inventory.begin_payment(now, booking, amount) {
                    prop_assert!(!owner.paid, "paid twice");
                    prop_assert!(owner.owns_at(now), "payment for seats that were given back");
                    prop_assert!(owner.open.is_none_or(|(_, until)| now >= until));
                    owner.open = Some((payment, now + limits().provider_deadline_ms));
                }
            }
            Op::FinishPayment(n, settled) => {
                let Some(at) = newest(&ledger.owners, *n) else {
                    continue;
                };
                let owner = &mut ledger.owners[at];
                let (Some(booking), Some((payment, until))) = (owner.booking, owner.open) else {
                    continue;
                };
                let outcome = if *settled {
                    Outcome::Settled
                } else {
                    Outcome::Declined
                };
                if inventory
                    .finish_payment(now, booking, payment, outcome)
                    .is_ok()
                {
                    prop_assert!(now < until && !owner.paid);
                    owner.paid = *settled;
                }
                owner.open = None;
            }
            Op::Refund(n) => {
                let Some(at) = newest(&ledger.owners, *n) else {
                    continue;
                };
                let owner = &mut ledger.owners[at];
                let Some(booking) = owner.booking else {
                    continue;
                };
                if let Ok((refund, _)) = inventory.refund(now, booking) {
                    prop_assert!(owner.paid && !owner.refunded, "refund of what was not paid");
                    prop_assert_eq!(refund.amount, 75_000 * owner.places.len() as u64);
                    owner.refunded = true;
                }
            }
        }
        let mut seen: HashMap<&(String, Date, String), Id> = HashMap::new();
        for owner in ledger.owners.iter().filter(|o| o.owns_at(now)) {
            for place in &owner.places {
                let other = seen.insert(place, owner.hold);
                prop_assert!(
                    other.is_none(),
                    "{place:?} has two owners: {other:?} {}",
                    owner.hold
                );
            }
        }
        let (holds, bookings, days) = inventory.sizes();
        prop_assert!(holds <= 12 && bookings <= 12 && days <= 2 * 4);
    }
    // Seats are not lost either: what nobody owns can be held.
    inventory.advance(now);
    let date = Date::today_wib(now).plus(1);
    for class in TrainClass::ALL {
        for train in ["KA1", "KA2"] {
            let index = inventory
                .timetable()
                .find(train)
                .ok_or(TestCaseError::fail("train"))?;
            let all = inventory
                .timetable()
                .train(index)
                .offer(*class)
                .layout
                .seats();
            let code = ["EKS", "BIS", "EKO"][*class as usize];
            let owned: usize = ledger
                .owners
                .iter()
                .filter(|o| o.owns_at(now))
                .flat_map(|o| &o.places)
                .filter(|(t, d, s)| t == train && *d == date && s.starts_with(code))
                .count();
            prop_assert_eq!(
                usize::from(inventory.free(index, date, *class)) + owned,
                usize::from(all)
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_seat_never_has_two_owners(ops in prop::collection::vec(op(), 1..120)) {
        run(&ops)?;
    }
}

#[test]
fn the_life_of_a_booking() {
    let mut inventory = Inventory::new(small_timetable(), limits(), 7);
    let request = HoldRequest {
        train: "KA1".into(),
        date: Date::today_wib(START).plus(1),
        class: TrainClass::Executive,
        passengers: 2,
        seats: Vec::new(),
    };
    let (hold, held) = inventory.hold(START, &request).unwrap();
    let (booking, _) = inventory.book(START + 9_999, hold, Channel::Kiosk).unwrap();
    assert_eq!(
        inventory
            .book(START + 9_999, hold, Channel::Kiosk)
            .unwrap_err(),
        DomainError::HoldUsed { booking }
    );
    assert_eq!(
        inventory.refund(START, booking).unwrap_err(),
        DomainError::NotPaid
    );
    let wrong = inventory.begin_payment(START, booking, 1).unwrap_err();
    assert_eq!(
        wrong,
        DomainError::WrongAmount {
            given: 1,
            due: held.amount
        }
    );
    let (payment, _) = inventory
        .begin_payment(START, booking, held.amount)
        .unwrap();
    assert_eq!(
        inventory
            .begin_payment(START, booking, held.amount)
            .unwrap_err(),
        DomainError::PaymentInProgress
    );
    inventory
        .finish_payment(START, booking, payment, Outcome::Settled)
        .unwrap();
    let (refund, _) = inventory.refund(START, booking).unwrap();
    assert_eq!(refund.amount, 150_000);
    assert_eq!(
        inventory.refund(START, booking).unwrap_err(),
        DomainError::AlreadyRefunded
    );
    // Long after, the record is gone and says so; a made-up number was never there.
    let later = START + 200_000;
    assert_eq!(
        inventory.refund(later, booking).unwrap_err(),
        DomainError::BookingArchived
    );
    let unknown = Id::new(super::ids::Kind::Booking, 7, 999_999);
    assert_eq!(
        inventory.refund(later, unknown).unwrap_err(),
        DomainError::NoSuchBooking
    );
}

#[test]
fn an_expired_hold_frees_its_seats_and_is_counted_once() {
    let mut inventory = Inventory::new(small_timetable(), limits(), 7);
    let request = HoldRequest {
        train: "KA1".into(),
        date: Date::today_wib(START).plus(1),
        class: TrainClass::Business,
        passengers: 4,
        seats: Vec::new(),
    };
    let (hold, _) = inventory.hold(START, &request).unwrap();
    assert_eq!(
        inventory.hold(START, &request).unwrap_err(),
        DomainError::SoldOut { free: 0 }
    );
    let after = START + 10_000;
    assert_eq!(
        inventory.book(after, hold, Channel::Web).unwrap_err(),
        DomainError::HoldExpired
    );
    assert_eq!(inventory.take_swept().holds, 1);
    inventory.advance(after + 1);
    assert_eq!(inventory.take_swept().holds, 0);
    // The clock stepping back does not revive it.
    assert_eq!(
        inventory.book(START, hold, Channel::Web).unwrap_err(),
        DomainError::HoldExpired
    );
    assert!(inventory.hold(after, &request).is_ok());
}
