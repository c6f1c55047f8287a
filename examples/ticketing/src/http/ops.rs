//! Health, readiness and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::error::ApiError;
use crate::app::Shared;
use crate::metrics::CONTENT_TYPE;

/// The process lives and answers.
pub async fn healthz() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

/// The service takes customers: 503 once it is shutting down.
pub async fn readyz(State(app): State<Shared>) -> Result<Json<serde_json::Value>, ApiError> {
    if app.is_draining() {
        return Err(ApiError::new(
            503,
            "shutting_down",
            "the service is shutting down",
        ));
    }
    Ok(Json(json!({"status": "ready"})))
}

pub async fn metrics(State(app): State<Shared>) -> Result<Response, ApiError> {
    match app.metrics.page() {
        Ok(page) => Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response()),
        Err(_) => Err(ApiError::new(
            500,
            "metrics_failed",
            "cannot write the metrics page",
        )),
    }
}
