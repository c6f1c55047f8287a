//! What the inventory keeps and answers: holds, bookings, refunds, limits, refusals.

use thiserror::Error;

use crate::calendar::{Date, UnixMs};
use crate::domain::ids::Id;
use crate::domain::seats::Seat;
use crate::domain::timetable::TrainIndex;
use crate::domain::words::{Channel, TrainClass};

/// Times and sizes, all in milliseconds, days or counts.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a hold keeps its seats.
    pub hold_ttl_ms: u64,
    /// How long a booking waits for its payment.
    pub payment_window_ms: u64,
    /// How long a payment provider may take before the payment counts as not made.
    pub provider_deadline_ms: u64,
    /// Days in advance for which seats are sold.
    pub horizon_days: u32,
    /// How long what is finished can still be asked about.
    pub remember_ms: u64,
    /// Records kept at most; a new one displaces the oldest that is finished.
    pub max_holds: usize,
    pub max_bookings: usize,
    pub max_payment_attempts: u32,
    /// What the railway keeps of a refunded fare.
    pub refund_fee_percent: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hold_ttl_ms: 120_000,
            payment_window_ms: 600_000,
            provider_deadline_ms: 30_000,
            horizon_days: 45,
            remember_ms: 3_600_000,
            max_holds: 50_000,
            max_bookings: 50_000,
            max_payment_attempts: 10,
            refund_fee_percent: 25,
        }
    }
}

/// What a customer asks to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRequest {
    pub train: String,
    pub date: Date,
    pub class: TrainClass,
    /// How many seats. When `seats` names some, as many as it names.
    pub passengers: u16,
    /// Labels of chosen seats; empty when any will do.
    pub seats: Vec<String>,
}

/// Seats kept for a short time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub train: TrainIndex,
    pub date: Date,
    pub class: TrainClass,
    pub seats: Vec<Seat>,
    /// Rupiah for all seats.
    pub amount: u64,
    pub expires_at: UnixMs,
    /// The booking that this hold became.
    pub booking: Option<Id>,
    pub expired: bool,
}

impl Hold {
    pub fn is_over(&self) -> bool {
        self.expired || self.booking.is_some()
    }

    pub fn forget_before(&self, at: UnixMs) -> bool {
        self.is_over() && self.expires_at <= at
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookingState {
    /// With the payment that is being made and the time at which it stops counting.
    AwaitingPayment {
        in_flight: Option<(Id, UnixMs)>,
    },
    Paid {
        payment: Id,
    },
    Refunded {
        refund: Id,
        amount: u64,
    },
    Expired,
}

impl BookingState {
    pub fn word(self) -> &'static str {
        match self {
            Self::AwaitingPayment { .. } => "awaiting_payment",
            Self::Paid { .. } => "paid",
            Self::Refunded { .. } => "refunded",
            Self::Expired => "expired",
        }
    }
}

/// Seats that somebody means to travel on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    pub train: TrainIndex,
    pub date: Date,
    pub class: TrainClass,
    pub seats: Vec<Seat>,
    /// Rupiah for all seats.
    pub amount: u64,
    pub channel: Channel,
    pub created: UnixMs,
    /// When an unpaid booking gives its seats back.
    pub due: UnixMs,
    pub attempts: u32,
    pub state: BookingState,
}

impl Booking {
    /// Nothing but a refund can still happen to it.
    pub fn is_over(&self) -> bool {
        !matches!(self.state, BookingState::AwaitingPayment { .. })
    }

    pub fn forget_before(&self, at: UnixMs) -> bool {
        self.is_over() && self.due <= at
    }
}

/// Money given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refund {
    pub id: Id,
    /// Rupiah.
    pub amount: u64,
}

/// How much expired while time moved on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub holds: u64,
    pub bookings: u64,
}

/// Why the railway says no.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DomainError {
    #[error("no train {train} in the timetable; GET /v1/trains lists trains")]
    NoSuchTrain { train: String },
    #[error("{date} is outside the sale; seats are sold from {first} to {last}")]
    DateOutOfRange { date: Date, first: Date, last: Date },
    #[error("{train} of {date} has departed")]
    Departed { train: String, date: Date },
    #[error("no seat {seat:?} in this class of this train; a seat is written like EKS2-12C")]
    NoSuchSeat { seat: String },
    #[error("seat {seat} is taken, or named twice; hold another")]
    SeatTaken { seat: String },
    #[error(
        "not enough free seats together in this class: {free} left; try another train or class"
    )]
    SoldOut { free: u16 },
    #[error("no such hold; POST /v1/holds makes one")]
    NoSuchHold,
    #[error("the hold has expired and its seats are free again; hold seats anew")]
    HoldExpired,
    #[error("the hold has already become booking {booking}")]
    HoldUsed { booking: Id },
    #[error("no such booking; POST /v1/bookings makes one")]
    NoSuchBooking,
    #[error("the booking is closed and no longer kept in this service")]
    BookingArchived,
    #[error("the booking was not paid for in time and has expired; hold seats anew")]
    BookingExpired,
    #[error("{given} IDR is not what the booking costs; pay exactly {due} IDR")]
    WrongAmount { given: u64, due: u64 },
    #[error("another payment for this booking is in progress; wait for its outcome")]
    PaymentInProgress,
    #[error("the payment's answer came too late and was reversed; pay again")]
    PaymentTooLate,
    #[error("{attempts} payments for this booking were declined; no more are taken")]
    TooManyAttempts { attempts: u32 },
    #[error("the booking is already paid for")]
    AlreadyPaid,
    #[error("the booking is not paid for, so there is nothing to refund")]
    NotPaid,
    #[error("the booking is already refunded")]
    AlreadyRefunded,
    #[error("too many {what} are open; try again in a minute")]
    TooBusy { what: &'static str },
}
