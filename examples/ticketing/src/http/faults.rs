//! `/faults`: lists, switches on and switches off what is broken on purpose. Nobody is asked for a
//! password, which is one reason why the service listens on loopback unless told otherwise.

use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::error::ApiError;
use crate::app::Shared;
use crate::faults::{FaultRequest, Kind};
use crate::nearest::nearest;
use crate::word::Word;

pub async fn list(State(app): State<Shared>) -> Json<Value> {
    Json(show(&app))
}

pub async fn switch_on(
    State(app): State<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let body = body.map_err(|rejection| {
        ApiError::new(
            rejection.status().as_u16(),
            "unreadable_body",
            rejection.body_text(),
        )
    })?;
    let request = FaultRequest::parse(&body)
        .map_err(|error| ApiError::malformed(&error.field, error.message.clone()))?;
    let changes = app.faults.switch_on(&request, Instant::now());
    app.announce(&changes);
    Ok((StatusCode::CREATED, Json(show(&app))))
}

pub async fn switch_all_off(State(app): State<Shared>) -> Json<Value> {
    app.announce(&app.faults.switch_off(None));
    Json(show(&app))
}

/// Switching off what is not on is no error: the caller has what they want.
pub async fn switch_off(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let Some(kind) = Kind::parse(&name) else {
        let hint = nearest(&name, Kind::WORDS.iter().copied())
            .map_or_else(String::new, |meant| format!("; did you mean {meant:?}?"));
        let known = Kind::WORDS.join(", ");
        let message = format!("unknown fault {name:?}{hint} (known: {known})");
        return Err(ApiError::new(404, "no_such_fault", message).on("name"));
    };
    app.announce(&app.faults.switch_off(Some(kind)));
    Ok(Json(show(&app)))
}

fn show(app: &Shared) -> Value {
    let now = Instant::now();
    let active: Vec<Value> = app
        .faults
        .list(now)
        .iter()
        .map(|active| {
            let left = active.until.saturating_duration_since(now);
            json!({
                "fault": active.fault.kind().word(),
                "value": active.fault.value(),
                "remaining_seconds": left.as_secs_f64().ceil() as u64,
            })
        })
        .collect();
    json!({ "active": active })
}
