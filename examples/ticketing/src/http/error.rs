//! How the service says no: one JSON shape, `{"error":{"code","message","field"}}`, with the field
//! of the request that is at fault where there is one.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::domain::inventory::DomainError;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub status: u16,
    /// For programs; stays the same when the message is reworded.
    pub code: &'static str,
    pub field: Option<String>,
    pub message: String,
    allow: Option<String>,
}

impl ApiError {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            field: None,
            message: message.into(),
            allow: None,
        }
    }

    /// 400: the request has the wrong form.
    pub fn malformed(field: &str, message: impl Into<String>) -> Self {
        Self::new(400, "malformed_request", message).on(field)
    }

    /// 422: the form is right, the value is not.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::new(422, "invalid_value", message).on(field)
    }

    /// Names the field at fault.
    #[must_use]
    pub fn on(self, field: &str) -> Self {
        Self {
            field: (!field.is_empty()).then(|| field.to_owned()),
            ..self
        }
    }

    /// Sets the `Allow` header of a 405.
    #[must_use]
    pub fn allow(self, methods: String) -> Self {
        Self {
            allow: Some(methods),
            ..self
        }
    }
}

impl From<DomainError> for ApiError {
    fn from(error: DomainError) -> Self {
        use DomainError as E;
        let (status, code, field) = match &error {
            E::NoSuchTrain { .. } => (404, "no_such_train", "train_id"),
            E::DateOutOfRange { .. } => (422, "date_out_of_range", "date"),
            E::Departed { .. } => (409, "departed", ""),
            E::NoSuchSeat { .. } => (422, "no_such_seat", "seats"),
            E::SeatTaken { .. } => (409, "seat_taken", "seats"),
            E::SoldOut { .. } => (409, "sold_out", "train_class"),
            E::NoSuchHold => (404, "no_such_hold", "hold_id"),
            E::HoldExpired => (409, "hold_expired", "hold_id"),
            E::HoldUsed { .. } => (409, "hold_used", "hold_id"),
            E::NoSuchBooking => (404, "no_such_booking", "booking_id"),
            E::BookingArchived => (410, "booking_archived", "booking_id"),
            E::BookingExpired => (409, "booking_expired", "booking_id"),
            E::WrongAmount { .. } => (422, "wrong_amount", "amount_idr"),
            E::PaymentInProgress => (409, "payment_in_progress", "booking_id"),
            E::PaymentTooLate => (409, "payment_too_late", "booking_id"),
            E::TooManyAttempts { .. } => (409, "too_many_attempts", "booking_id"),
            E::AlreadyPaid => (409, "already_paid", "booking_id"),
            E::NotPaid => (409, "not_paid", "booking_id"),
            E::AlreadyRefunded => (409, "already_refunded", "booking_id"),
            E::TooBusy { .. } => (503, "too_busy", ""),
        };
        Self::new(status, code, error.to_string()).on(field)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        tracing::Span::current().record("error.code", self.code);
        tracing::Span::current().record("error.message", self.message.as_str());
        let mut error = Map::new();
        error.insert("code".into(), self.code.into());
        error.insert("message".into(), self.message.into());
        if let Some(field) = self.field {
            error.insert("field".into(), field.into());
        }
        let body = Json(Value::Object(Map::from_iter([(
            "error".to_owned(),
            error.into(),
        )])));
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, body).into_response();
        if let Some(allow) = self
            .allow
            .and_then(|methods| HeaderValue::try_from(methods).ok())
        {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}
