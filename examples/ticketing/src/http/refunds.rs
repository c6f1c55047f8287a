//! `POST /v1/refunds {"booking_id"}`: gives a paid booking's seats back, less the fee.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tracing::{Span, info_span};

use super::error::ApiError;
use super::fields::Fields;
use crate::app::Shared;
use crate::domain::ids::Kind;
use crate::word::Word;

const FIELDS: &[&str] = &["booking_id"];

pub async fn create(
    State(app): State<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let id = Fields::body(body, FIELDS)?.id("booking_id", Kind::Booking)?;
    let span = Span::current();
    span.record("kai.booking.id", id.to_string());
    let (refund, booking) = info_span!("bookings.refund")
        .in_scope(|| app.railway(|railway, now| railway.refund(now, id)))?;
    app.metrics.refunds.inc();
    span.record("kai.booking.channel", booking.channel.word());
    super::bookings::record(&span, &booking);
    span.record("kai.refund.id", refund.id.to_string());
    let reply = json!({
        "refund_id": refund.id.to_string(),
        "booking_id": id.to_string(),
        "paid_idr": booking.amount,
        "refunded_idr": refund.amount,
    });
    Ok((StatusCode::CREATED, Json(reply)))
}
