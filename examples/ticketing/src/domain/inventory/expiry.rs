//! What time does to the inventory: holds and unpaid bookings expire and give their seats back, what
//! is finished is forgotten, days that are over are dropped. This is what bounds the memory.

use super::{BookingState, DomainError, Inventory};
use crate::calendar::{Date, UnixMs};

impl Inventory {
    /// Moves time on: holds and unpaid bookings expire, old records are forgotten, days that are
    /// over are dropped. Every operation does this first.
    pub fn advance(&mut self, now: UnixMs) {
        self.now = self.now.max(now);
        while let Some((_, number)) = self.hold_queue.pop_front_if(|(at, _)| *at <= self.now) {
            self.expire_hold(number);
        }
        while self
            .payment_queue
            .first()
            .is_some_and(|(at, _)| *at <= self.now)
        {
            let Some((_, number)) = self.payment_queue.pop_first() else {
                break;
            };
            let Some(booking) = self.bookings.get(&number) else {
                continue;
            };
            match booking.state {
                BookingState::AwaitingPayment {
                    in_flight: Some((_, until)),
                } if self.now < until => {
                    self.payment_queue.insert((until, number));
                }
                _ => self.expire_booking(number),
            }
        }
        let forget_holds = self.now.saturating_sub(self.limits.remember_ms);
        while self
            .holds
            .first_key_value()
            .is_some_and(|(_, h)| h.forget_before(forget_holds))
        {
            self.holds.pop_first();
        }
        while self
            .bookings
            .first_key_value()
            .is_some_and(|(_, b)| b.forget_before(forget_holds))
        {
            self.bookings.pop_first();
        }
        let today = Date::today_wib(self.now);
        if today != self.today {
            self.today = today;
            self.days.retain(|(date, _), _| *date >= today);
        }
    }

    fn expire_hold(&mut self, number: u64) {
        let Some(hold) = self.holds.get_mut(&number) else {
            return;
        };
        if hold.booking.is_some() || hold.expired {
            return;
        }
        hold.expired = true;
        self.swept.holds += 1;
        if let Some(day) = self.days.get_mut(&(hold.date, hold.train)) {
            day[hold.class as usize].release(&hold.seats);
        }
    }

    pub(super) fn expire_booking(&mut self, number: u64) {
        let Some(booking) = self.bookings.get_mut(&number) else {
            return;
        };
        if !matches!(booking.state, BookingState::AwaitingPayment { .. }) {
            return;
        }
        booking.state = BookingState::Expired;
        self.swept.bookings += 1;
        let booking = booking.clone();
        self.release(&booking);
    }

    pub(super) fn make_room_for_hold(&mut self) -> Result<(), DomainError> {
        while self.holds.len() >= self.limits.max_holds {
            match self.holds.first_key_value() {
                Some((_, hold)) if hold.is_over() => self.holds.pop_first(),
                _ => return Err(DomainError::TooBusy { what: "seat holds" }),
            };
        }
        Ok(())
    }

    pub(super) fn make_room_for_booking(&mut self) -> Result<(), DomainError> {
        while self.bookings.len() >= self.limits.max_bookings {
            match self.bookings.first_key_value() {
                Some((_, booking)) if booking.is_over() => self.bookings.pop_first(),
                _ => {
                    return Err(DomainError::TooBusy {
                        what: "unpaid bookings",
                    });
                }
            };
        }
        Ok(())
    }
}
