//! `POST /v1/holds {"train_id","date","train_class","passengers"}` or with `"seats":["EKS1-1A"]` in
//! place of `passengers`: keeps seats for a short time.

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
use crate::calendar::rfc3339;
use crate::domain::inventory::HoldRequest;
use crate::domain::words::TrainClass;
use crate::word::Word;

const FIELDS: &[&str] = &["train_id", "date", "train_class", "passengers", "seats"];
/// Seats in one hold, as KAI's own site has it.
const MAX_PASSENGERS: usize = 4;

pub async fn create(
    State(app): State<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let request = request(&Fields::body(body, FIELDS)?)?;
    let span = Span::current();
    span.record("kai.train.id", request.train.as_str());
    span.record("kai.train.class", request.class.word());
    span.record("kai.travel.date", request.date.to_string());

    let _scope = info_span!("seats.hold").entered();
    let (id, hold, labels) = app.railway(|railway, now| {
        let (id, hold) = railway.hold(now, &request)?;
        let layout = railway
            .timetable()
            .train(hold.train)
            .offer(hold.class)
            .layout;
        let labels: Vec<String> = hold
            .seats
            .iter()
            .map(|seat| seat.label(hold.class, layout))
            .collect();
        Ok::<_, ApiError>((id, hold, labels))
    })?;
    app.metrics.hold(hold.class);
    span.record("kai.hold.id", id.to_string());
    span.record("kai.passengers", hold.seats.len());
    span.record("kai.amount_idr", hold.amount);
    let reply = json!({
        "hold_id": id.to_string(),
        "train_id": request.train,
        "date": hold.date.to_string(),
        "train_class": hold.class.word(),
        "seats": labels,
        "amount_idr": hold.amount,
        "expires_at": rfc3339(hold.expires_at),
    });
    Ok((StatusCode::CREATED, Json(reply)))
}

fn request(fields: &Fields) -> Result<HoldRequest, ApiError> {
    let train = fields.text("train_id", "KA1")?.to_owned();
    let date = fields.date("date")?;
    let class = fields.word::<TrainClass>("train_class")?;
    let seats = fields.texts("seats", MAX_PASSENGERS, "EKS1-1A")?;
    let passengers = match seats.len() {
        0 => fields.whole("passengers", 1..=MAX_PASSENGERS as u64)? as u16,
        named => {
            if fields.has("passengers")
                && fields.whole("passengers", 1..=MAX_PASSENGERS as u64)? != named as u64
            {
                let message =
                    format!("passengers is the number of seats named, {named}; or leave it out");
                return Err(ApiError::invalid("passengers", message));
            }
            named as u16
        }
    };
    Ok(HoldRequest {
        train,
        date,
        class,
        passengers,
        seats,
    })
}
