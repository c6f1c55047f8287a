//! Who has which seat: the one place where holds, bookings, payments and refunds change it.
//! A seat belongs to at most one of them; all operations go through `&mut self`, so the caller's
//! lock is what orders them. Memory is bounded: finished things are forgotten, in order of age.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::ids::{Id, Kind};
use super::seats::{Seat, SeatMap};
use super::timetable::{Timetable, TrainIndex};
use super::words::{Channel, Outcome, TrainClass};
use crate::calendar::{Date, UnixMs};

pub use records::{Booking, BookingState, DomainError, Hold, HoldRequest, Limits, Refund, Swept};

mod expiry;
mod records;

/// The seats of one train on one day, by class in the order of [`TrainClass::ALL`].
type TrainDay = [SeatMap; 3];

#[derive(Debug)]
pub struct Inventory {
    timetable: Timetable,
    limits: Limits,
    run: u64,
    next: u64,
    /// The latest time seen: a wall clock that steps back must not revive what has expired.
    now: UnixMs,
    today: Date,
    days: HashMap<(Date, TrainIndex), TrainDay>,
    holds: BTreeMap<u64, Hold>,
    bookings: BTreeMap<u64, Booking>,
    /// Time of expiry and number, oldest first; every hold gets the same time to live.
    hold_queue: VecDeque<(UnixMs, u64)>,
    /// Time at which to look whether a booking was paid for; a payment under way moves it.
    payment_queue: BTreeSet<(UnixMs, u64)>,
    swept: Swept,
}

impl Inventory {
    /// An empty railway. `run` tells this process' identifiers from another's.
    pub fn new(timetable: Timetable, limits: Limits, run: u64) -> Self {
        Self {
            timetable,
            limits,
            run,
            next: 1,
            now: 0,
            today: Date::today_wib(0),
            days: HashMap::new(),
            holds: BTreeMap::new(),
            bookings: BTreeMap::new(),
            hold_queue: VecDeque::new(),
            payment_queue: BTreeSet::new(),
            swept: Swept::default(),
        }
    }

    pub fn timetable(&self) -> &Timetable {
        &self.timetable
    }

    /// What expired since this was last asked.
    pub fn take_swept(&mut self) -> Swept {
        std::mem::take(&mut self.swept)
    }

    /// Days in advance for which seats are sold, today included.
    pub fn check_date(&mut self, now: UnixMs, date: Date) -> Result<(), DomainError> {
        self.advance(now);
        let last = self.today.plus(self.limits.horizon_days);
        if date < self.today || date > last {
            return Err(DomainError::DateOutOfRange {
                date,
                first: self.today,
                last,
            });
        }
        Ok(())
    }

    /// Free seats of one class.
    pub fn free(&self, train: TrainIndex, date: Date, class: TrainClass) -> u16 {
        self.days.get(&(date, train)).map_or_else(
            || self.timetable.train(train).offer(class).layout.seats(),
            |day| day[class as usize].free(),
        )
    }

    /// Holds seats for [`Limits::hold_ttl_ms`].
    pub fn hold(&mut self, now: UnixMs, request: &HoldRequest) -> Result<(Id, Hold), DomainError> {
        self.check_date(now, request.date)?;
        let train_id = request.train.as_str();
        let index = self
            .timetable
            .find(train_id)
            .ok_or_else(|| DomainError::NoSuchTrain {
                train: train_id.to_owned(),
            })?;
        let train = self.timetable.train(index);
        if train.departure(request.date) <= self.now {
            return Err(DomainError::Departed {
                train: train.id.clone(),
                date: request.date,
            });
        }
        let offer = train.offer(request.class);
        let seats = request
            .seats
            .iter()
            .map(|label| {
                Seat::parse(label, request.class, offer.layout).ok_or_else(|| {
                    DomainError::NoSuchSeat {
                        seat: label.clone(),
                    }
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.make_room_for_hold()?;

        let timetable = &self.timetable;
        let map = &mut self.days.entry((request.date, index)).or_insert_with(|| {
            let train = timetable.train(index);
            [
                TrainClass::Executive,
                TrainClass::Business,
                TrainClass::Economy,
            ]
            .map(|class| SeatMap::new(train.offer(class).layout.seats()))
        })[request.class as usize];
        let seats = if seats.is_empty() {
            map.first_free(request.passengers)
                .ok_or(DomainError::SoldOut { free: map.free() })?
        } else {
            seats
        };
        map.take(&seats).map_err(|seat| DomainError::SeatTaken {
            seat: seat.label(request.class, offer.layout),
        })?;

        let id = self.new_id(Kind::Hold);
        let hold = Hold {
            train: index,
            date: request.date,
            class: request.class,
            amount: offer.fare * seats.len() as u64,
            seats,
            expires_at: self.now + self.limits.hold_ttl_ms,
            booking: None,
            expired: false,
        };
        self.hold_queue.push_back((hold.expires_at, id.number));
        self.holds.insert(id.number, hold.clone());
        Ok((id, hold))
    }

    /// Turns a live hold into a booking that waits for its payment.
    pub fn book(
        &mut self,
        now: UnixMs,
        hold_id: Id,
        channel: Channel,
    ) -> Result<(Id, Booking), DomainError> {
        self.advance(now);
        let gone = self.existed(hold_id);
        let hold = match self.holds.get(&hold_id.number) {
            Some(hold) if gone => hold,
            _ if gone => return Err(DomainError::HoldExpired),
            _ => return Err(DomainError::NoSuchHold),
        };
        if let Some(booking) = hold.booking {
            return Err(DomainError::HoldUsed { booking });
        }
        if hold.expired {
            return Err(DomainError::HoldExpired);
        }
        self.make_room_for_booking()?;

        let id = self.new_id(Kind::Booking);
        let due = self.now + self.limits.payment_window_ms;
        let Some(hold) = self.holds.get_mut(&hold_id.number) else {
            return Err(DomainError::HoldExpired);
        };
        hold.booking = Some(id);
        let booking = Booking {
            train: hold.train,
            date: hold.date,
            class: hold.class,
            seats: hold.seats.clone(),
            amount: hold.amount,
            channel,
            due,
            created: self.now,
            attempts: 0,
            state: BookingState::AwaitingPayment { in_flight: None },
        };
        self.payment_queue.insert((due, id.number));
        self.bookings.insert(id.number, booking.clone());
        Ok((id, booking))
    }

    /// What is known of a booking.
    pub fn booking(&mut self, now: UnixMs, id: Id) -> Result<&Booking, DomainError> {
        self.advance(now);
        self.booking_mut(id).map(|booking| &*booking)
    }

    /// Opens a payment: until [`Inventory::finish_payment`] or the provider's deadline nobody else
    /// can pay for this booking, and it does not expire.
    pub fn begin_payment(
        &mut self,
        now: UnixMs,
        id: Id,
        amount: u64,
    ) -> Result<(Id, Booking), DomainError> {
        self.advance(now);
        let (now, deadline_ms) = (self.now, self.limits.provider_deadline_ms);
        let payment = self.new_id(Kind::Payment);
        let max_attempts = self.limits.max_payment_attempts;
        let booking = self.booking_mut(id)?;
        match booking.state {
            BookingState::AwaitingPayment {
                in_flight: Some((_, until)),
            } if now < until => {
                return Err(DomainError::PaymentInProgress);
            }
            BookingState::AwaitingPayment { .. } => {}
            BookingState::Paid { .. } => return Err(DomainError::AlreadyPaid),
            BookingState::Refunded { .. } => return Err(DomainError::AlreadyRefunded),
            BookingState::Expired => return Err(DomainError::BookingExpired),
        }
        if amount != booking.amount {
            return Err(DomainError::WrongAmount {
                given: amount,
                due: booking.amount,
            });
        }
        if booking.attempts >= max_attempts {
            return Err(DomainError::TooManyAttempts {
                attempts: booking.attempts,
            });
        }
        booking.attempts += 1;
        booking.state = BookingState::AwaitingPayment {
            in_flight: Some((payment, now + deadline_ms)),
        };
        Ok((payment, booking.clone()))
    }

    /// Closes a payment with the provider's answer. An answer that comes after the deadline is
    /// refused: the seats may be somebody else's by then.
    pub fn finish_payment(
        &mut self,
        now: UnixMs,
        id: Id,
        payment: Id,
        outcome: Outcome,
    ) -> Result<Booking, DomainError> {
        self.advance(now);
        let now = self.now;
        let booking = self.booking_mut(id)?;
        match booking.state {
            BookingState::AwaitingPayment {
                in_flight: Some((open, until)),
            } if open == payment && now < until => {}
            _ => return Err(DomainError::PaymentTooLate),
        }
        booking.state = match outcome {
            Outcome::Settled => BookingState::Paid { payment },
            Outcome::Declined => BookingState::AwaitingPayment { in_flight: None },
        };
        let booking = booking.clone();
        if outcome == Outcome::Declined && now >= booking.due {
            self.expire_booking(id.number);
        }
        Ok(booking)
    }

    /// Gives the seats of a paid booking back, less the fee. Only before departure, only once.
    pub fn refund(&mut self, now: UnixMs, id: Id) -> Result<(Refund, Booking), DomainError> {
        self.advance(now);
        let now = self.now;
        let refund_id = self.new_id(Kind::Refund);
        let keep_percent = self.limits.refund_fee_percent;
        let booking = self.booking_mut(id)?.clone();
        match booking.state {
            BookingState::Paid { .. } => {}
            BookingState::AwaitingPayment { .. } => return Err(DomainError::NotPaid),
            BookingState::Expired => return Err(DomainError::BookingExpired),
            BookingState::Refunded { .. } => return Err(DomainError::AlreadyRefunded),
        }
        let train = self.timetable.train(booking.train);
        if train.departure(booking.date) <= now {
            return Err(DomainError::Departed {
                train: train.id.clone(),
                date: booking.date,
            });
        }
        let amount = booking.amount * (100 - keep_percent) / 100;
        let refund = Refund {
            id: refund_id,
            amount,
        };
        self.release(&booking);
        let stored = self.booking_mut(id)?;
        stored.state = BookingState::Refunded {
            refund: refund_id,
            amount,
        };
        Ok((refund, stored.clone()))
    }

    fn release(&mut self, booking: &Booking) {
        if let Some(day) = self.days.get_mut(&(booking.date, booking.train)) {
            day[booking.class as usize].release(&booking.seats);
        }
    }

    /// Whether this process gave out that identifier.
    fn existed(&self, id: Id) -> bool {
        id.is_of_run(self.run) && id.number < self.next
    }

    fn booking_mut(&mut self, id: Id) -> Result<&mut Booking, DomainError> {
        let existed = self.existed(id);
        match self.bookings.get_mut(&id.number) {
            Some(booking) if existed => Ok(booking),
            // Another kind's number is never a booking that was archived, but only this process
            // could have made such an id up.
            _ if existed => Err(DomainError::BookingArchived),
            _ => Err(DomainError::NoSuchBooking),
        }
    }

    fn new_id(&mut self, kind: Kind) -> Id {
        let id = Id::new(kind, self.run, self.next);
        self.next += 1;
        id
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.holds.len(), self.bookings.len(), self.days.len())
    }
}
