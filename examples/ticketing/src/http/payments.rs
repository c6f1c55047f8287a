//! `POST /v1/payments {"booking_id","method","amount_idr"}`: asks the payment provider. A refusal
//! by the provider is an outcome (201, `declined`), not an error: the booking can be paid again.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tracing::{Instrument, Span, info_span};

use super::error::ApiError;
use super::fields::Fields;
use crate::app::Shared;
use crate::domain::ids::{Id, Kind};
use crate::domain::words::{Method, Outcome};
use crate::word::Word;

const FIELDS: &[&str] = &["booking_id", "method", "amount_idr"];
/// More than any hold can cost; keeps the revenue counter from absurd values.
const MAX_AMOUNT: u64 = 1_000_000_000;

pub async fn create(
    State(app): State<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let fields = Fields::body(body, FIELDS)?;
    let booking = fields.id("booking_id", Kind::Booking)?;
    let method = fields.word::<Method>("method")?;
    let amount = fields.whole("amount_idr", 1..=MAX_AMOUNT)?;
    // On its own task: a caller who hangs up must not leave a payment half made.
    let payment = pay(app, booking, method, amount, Span::current()).in_current_span();
    tokio::spawn(payment).await.map_err(|_| {
        ApiError::new(
            500,
            "payment_failed",
            "the payment broke off; the booking is not paid for",
        )
    })?
}

async fn pay(
    app: Shared,
    booking_id: Id,
    method: Method,
    amount: u64,
    span: Span,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    span.record("kai.booking.id", booking_id.to_string());
    span.record("kai.payment.method", method.word());
    let (payment, booking) = info_span!("bookings.reserve_payment")
        .in_scope(|| app.railway(|railway, now| railway.begin_payment(now, booking_id, amount)))?;
    span.record("kai.booking.channel", booking.channel.word());
    super::bookings::record(&span, &booking);
    span.record("kai.payment.id", payment.to_string());

    let (outcome, delay) = app.provider.answer(app.faults.payment_decline());
    let authorise = info_span!(
        "payment.authorise",
        otel.kind = "client",
        peer.service = "payment-provider",
        kai.payment.outcome = outcome.word()
    );
    tokio::time::sleep(delay).instrument(authorise).await;

    info_span!("bookings.settle").in_scope(|| {
        app.railway(|railway, now| railway.finish_payment(now, booking_id, payment, outcome))
    })?;
    app.metrics
        .payment(method, outcome, booking.channel, booking.amount);
    span.record("kai.payment.outcome", outcome.word());
    if outcome == Outcome::Declined {
        tracing::warn!(
            parent: &span,
            event.action = "payment-declined",
            "payment declined by the provider"
        );
    }
    let reply = json!({
        "payment_id": payment.to_string(),
        "booking_id": booking_id.to_string(),
        "method": method.word(),
        "amount_idr": booking.amount,
        "outcome": outcome.word(),
    });
    Ok((StatusCode::CREATED, Json(reply)))
}
