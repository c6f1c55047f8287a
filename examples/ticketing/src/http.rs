//! The HTTP interface: every route in one list, each with its template, so that metrics and spans
//! carry the template and never the path as sent.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::routing::{MethodRouter, any, delete, get, post};

use crate::app::Shared;
use error::ApiError;

pub mod bookings;
pub mod error;
pub mod faults;
pub mod fields;
pub mod holds;
pub mod observe;
pub mod ops;
pub mod payments;
pub mod refunds;
pub mod search;
pub mod statements;

#[cfg(test)]
mod tests;

const MAX_BODY: usize = 64 * 1024;

/// Requests under this prefix are customers': they are logged, traced and subject to faults.
pub const CUSTOMER: &str = "/v1/";

/// Method, template and code of success of every route, for metrics that start at 0.
pub const ROUTES: [(&str, &str, u16); 13] = [
    ("GET", "/v1/trains", 200),
    ("POST", "/v1/holds", 201),
    ("POST", "/v1/bookings", 201),
    ("GET", "/v1/bookings/{id}", 200),
    ("POST", "/v1/payments", 201),
    ("POST", "/v1/refunds", 201),
    ("GET", "/faults", 200),
    ("POST", "/faults", 201),
    ("DELETE", "/faults", 200),
    ("DELETE", "/faults/{name}", 200),
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/metrics", 200),
];

/// The whole service.
pub fn router(app: Shared) -> Router {
    let routes: [(&'static str, MethodRouter<Shared>); 11] = [
        ("/v1/trains", get(search::trains)),
        ("/v1/holds", post(holds::create)),
        ("/v1/bookings", post(bookings::create)),
        ("/v1/bookings/{id}", get(bookings::show)),
        ("/v1/payments", post(payments::create)),
        ("/v1/refunds", post(refunds::create)),
        (
            "/faults",
            get(faults::list)
                .post(faults::switch_on)
                .delete(faults::switch_all_off),
        ),
        ("/faults/{name}", delete(faults::switch_off)),
        ("/healthz", get(ops::healthz)),
        ("/readyz", get(ops::readyz)),
        ("/metrics", get(ops::metrics)),
    ];
    let mut router = Router::new();
    for (template, methods) in routes {
        let methods = methods.fallback(move || async move { wrong_method(template) });
        router = router.route(template, observed(&app, template, methods));
    }
    let unmatched = observed(&app, "unmatched", any(not_found)).with_state(app.clone());
    router
        .fallback_service(unmatched)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}

fn observed(
    app: &Shared,
    template: &'static str,
    methods: MethodRouter<Shared>,
) -> MethodRouter<Shared> {
    let app = app.clone();
    let observe =
        move |request: Request, next: Next| observe::observe(app.clone(), template, request, next);
    // `layer`, not `route_layer`: a wrong method is answered inside, and so is counted too.
    methods.layer(from_fn(observe))
}

async fn not_found(request: Request) -> ApiError {
    ApiError::new(
        404,
        "not_found",
        format!(
            "nothing at {}; the routes are {}",
            request.uri().path(),
            ROUTES
                .map(|(method, path, _)| format!("{method} {path}"))
                .join(", ")
        ),
    )
}

fn wrong_method(template: &str) -> ApiError {
    let methods: Vec<&str> = ROUTES
        .iter()
        .filter(|(_, path, _)| *path == template)
        .map(|(method, ..)| *method)
        .collect();
    let methods = methods.join(", ");
    ApiError::new(
        405,
        "method_not_allowed",
        format!("{template} takes {methods}"),
    )
    .allow(methods)
}
