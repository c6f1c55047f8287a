//! `POST /v1/bookings {"hold_id","channel"}` makes a booking from a hold; `GET /v1/bookings/{id}`
//! shows one.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use tracing::{Span, info_span};

use super::error::ApiError;
use super::fields::Fields;
use crate::app::Shared;
use crate::calendar::rfc3339;
use crate::domain::ids::{Id, Kind};
use crate::domain::inventory::{Booking, BookingState, Inventory};
use crate::domain::words::Channel;
use crate::word::Word;

const FIELDS: &[&str] = &["hold_id", "channel"];

pub async fn create(
    State(app): State<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let fields = Fields::body(body, FIELDS)?;
    let hold = fields.id("hold_id", Kind::Hold)?;
    let channel = fields.word::<Channel>("channel")?;
    let span = Span::current();
    span.record("kai.hold.id", hold.to_string());
    span.record("kai.booking.channel", channel.word());

    let _scope = info_span!("bookings.create").entered();
    let (id, booking, reply) = app.railway(|railway, now| {
        let (id, booking) =
            info_span!("seats.claim").in_scope(|| railway.book(now, hold, channel))?;
        let reply = describe(railway, id, &booking);
        Ok::<_, ApiError>((id, booking, reply))
    })?;
    app.metrics.booking(booking.channel, booking.class);
    span.record("kai.booking.id", id.to_string());
    record(&span, &booking);
    Ok((StatusCode::CREATED, Json(reply)))
}

pub async fn show(
    State(app): State<Shared>,
    Path(text): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = Id::parse(Kind::Booking, &text).ok_or_else(|| {
        ApiError::new(
            404,
            "no_such_booking",
            format!("no booking {text:?} was ever given out"),
        )
        .on("booking_id")
    })?;
    Span::current().record("kai.booking.id", text.as_str());
    app.railway(|railway, now| {
        let booking = railway.booking(now, id)?.clone();
        Ok(Json(describe(railway, id, &booking)))
    })
}

fn describe(railway: &Inventory, id: Id, booking: &Booking) -> Value {
    let train = railway.timetable().train(booking.train);
    let layout = train.offer(booking.class).layout;
    let seats: Vec<String> = booking
        .seats
        .iter()
        .map(|seat| seat.label(booking.class, layout))
        .collect();
    let mut shown = json!({
        "booking_id": id.to_string(),
        "status": booking.state.word(),
        "train_id": train.id,
        "date": booking.date.to_string(),
        "train_class": booking.class.word(),
        "seats": seats,
        "channel": booking.channel.word(),
        "amount_idr": booking.amount,
        "created_at": rfc3339(booking.created),
    });
    match booking.state {
        BookingState::AwaitingPayment { .. } => {
            shown["payment_due_at"] = rfc3339(booking.due).into();
        }
        BookingState::Paid { payment } => shown["payment_id"] = payment.to_string().into(),
        BookingState::Refunded { refund, amount } => {
            shown["refund_id"] = refund.to_string().into();
            shown["refunded_idr"] = amount.into();
        }
        BookingState::Expired => {}
    }
    shown
}

/// Puts what a booking is about on the request's span and log line. Its id and channel are put
/// there by those who know them first: an attribute recorded twice is sent twice.
pub fn record(span: &Span, booking: &Booking) {
    span.record("kai.train.class", booking.class.word());
    span.record("kai.travel.date", booking.date.to_string());
    span.record("kai.passengers", booking.seats.len());
    span.record("kai.amount_idr", booking.amount);
}
