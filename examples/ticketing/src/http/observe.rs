//! Around every request: a span that continues the caller's trace, the faults, one log line and
//! the metrics. A caller that hangs up is counted too, with the code 499.

use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use opentelemetry::trace::TraceContextExt;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::error::ApiError;
use super::{CUSTOMER, statements};
use crate::app::Shared;
use crate::telemetry;

/// nginx's code for a caller that did not wait for the answer.
const CLIENT_CLOSED_REQUEST: u16 = 499;

pub async fn observe(
    app: Shared,
    template: &'static str,
    request: Request,
    next: Next,
) -> Response {
    let method = method_word(request.method());
    let customer = template.starts_with(CUSTOMER);
    let span = span(method, template, request.uri().path(), customer);
    let _ = span.set_parent(telemetry::extract(request.headers()));
    let mut observation = Observation {
        app: app.clone(),
        method,
        template,
        path: request.uri().path().to_owned(),
        started: Instant::now(),
        span: span.clone(),
        code: None,
    };
    let mut response = async {
        if customer && let Some(failure) = break_on_purpose(&app, method, template).await {
            return failure.into_response();
        }
        next.run(request).await
    }
    .instrument(span.clone())
    .await;
    observation.code = Some(response.status().as_u16());
    say_trace(&span, response.headers_mut());
    response
}

/// Spans of health checks and scrapes are at debug level, so that they drown nothing.
fn span(method: &'static str, template: &'static str, path: &str, customer: bool) -> Span {
    macro_rules! request_span {
        ($macro:ident) => {
            tracing::$macro!(
                "request",
                otel.name = format!("{method} {template}"),
                otel.kind = "server",
                otel.status_code = Empty,
                http.request.method = method,
                http.route = template,
                url.path = path,
                http.response.status_code = Empty,
                error.code = Empty,
                error.message = Empty,
                kai.train.id = Empty,
                kai.train.class = Empty,
                kai.travel.date = Empty,
                kai.passengers = Empty,
                kai.hold.id = Empty,
                kai.booking.id = Empty,
                kai.booking.channel = Empty,
                kai.payment.id = Empty,
                kai.payment.method = Empty,
                kai.payment.outcome = Empty,
                kai.refund.id = Empty,
                kai.amount_idr = Empty,
                kai.search.route = Empty,
                kai.search.results = Empty,
            )
        };
    }
    if customer {
        request_span!(info_span)
    } else {
        request_span!(debug_span)
    }
}

/// The faults that meet every customer's request.
async fn break_on_purpose(app: &Shared, method: &str, template: &str) -> Option<ApiError> {
    if let Some(delay) = app.faults.latency() {
        let asked = Instant::now();
        tokio::time::sleep(delay).await;
        statements::tell(method, template, asked.elapsed());
    }
    let ratio = app.faults.errors()?;
    (rand::random::<f64>() < ratio).then(|| {
        ApiError::new(
            500,
            "injected_fault",
            "this failure was switched on at POST /faults",
        )
    })
}

/// Lets a person with `curl -i` find the trace.
fn say_trace(span: &Span, headers: &mut HeaderMap) {
    let context = span.context();
    let id = context.span().span_context().trace_id();
    if context.span().span_context().is_valid()
        && let Ok(value) = HeaderValue::try_from(id.to_string())
    {
        headers.insert("x-trace-id", value);
    }
}

/// The trace of a span that is kept; those of health checks and scrapes are not.
fn kept_trace(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    (context.is_valid() && context.is_sampled()).then(|| context.trace_id().to_string())
}

/// Counts and logs when dropped, answered or not.
struct Observation {
    app: Shared,
    method: &'static str,
    template: &'static str,
    path: String,
    started: Instant,
    span: Span,
    code: Option<u16>,
}

impl Drop for Observation {
    fn drop(&mut self) {
        let elapsed: Duration = self.started.elapsed();
        let unanswered = if std::thread::panicking() {
            500
        } else {
            CLIENT_CLOSED_REQUEST
        };
        let code = self.code.unwrap_or(unanswered);
        self.app.metrics.request(
            self.method,
            self.template,
            code,
            elapsed.as_secs_f64(),
            kept_trace(&self.span),
        );
        self.span.record("http.response.status_code", code);
        if code >= 500 {
            self.span.record("otel.status_code", "ERROR");
        }
        let duration = elapsed.as_nanos() as u64;
        let (method, path) = (self.method, self.path.as_str());
        let _scope = self.span.enter();
        if !self.template.starts_with(CUSTOMER) {
            tracing::debug!(event.duration = duration, "{method} {path} {code}");
        } else if code >= 500 {
            tracing::error!(event.duration = duration, "{method} {path} {code}");
        } else {
            tracing::info!(event.duration = duration, "{method} {path} {code}");
        }
    }
}

/// The method as a label: a closed set, whatever is sent.
fn method_word(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "DELETE", "HEAD", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("OTHER")
}
