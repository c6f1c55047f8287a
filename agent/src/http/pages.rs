//! The metrics address: `/metrics`, `/metrics/app/<name>`, `/metrics/business`, `/live`, `/ready` and an index.

use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue,
    VARY,
};
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::{Reply, databases, discovery, json, probes, text, typed};
use crate::business::page::{self, Form};
use crate::exposition::open_metrics;
use crate::otlp_metrics;
use crate::scrape::fetch::scrape_timeout;
use crate::scrape::gzip;
use crate::self_metrics::AppScrape;
use crate::state::State;

const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub(super) const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every page there is.
const PAGES: &[&str] = &[
    "/",
    "/metrics",
    "/metrics/app/<name>",
    "/metrics/business",
    "/metrics/database/<name>",
    "/metrics/otlp/<service>",
    "/probe/<name>",
    "/sd/applications",
    "/sd/applications/all",
    "/sd/otlp",
    "/live",
    "/ready",
];

/// Answers one request.
pub async fn handle(state: Arc<State>, request: Request<Incoming>) -> Reply {
    let path = request.uri().path();
    if !PAGES.iter().any(|page| is_at(page, path)) {
        let pages = PAGES[1..].join(", ");
        let body = format!("there is no page {path}; the pages are {pages}\n");
        return text(StatusCode::NOT_FOUND, body);
    }
    // hyper leaves the body out of an answer to HEAD and keeps its length.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let body = format!("{} is not possible here; use GET\n", request.method());
        let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, body);
        reply
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return reply;
    }
    let headers = request.headers();
    if let Some(name) = path.strip_prefix("/metrics/app/") {
        return application(&state, name, headers).await;
    }
    if let Some(name) = path.strip_prefix("/metrics/otlp/") {
        return pushed(&state, name, headers);
    }
    if let Some(name) = path.strip_prefix("/metrics/database/") {
        return databases::page(&state, name, &request).await;
    }
    if let Some(name) = path.strip_prefix("/probe/") {
        return probes::page(&state, name, &request).await;
    }
    match path {
        "/metrics" => metrics(state, headers).await,
        "/metrics/business" => business(&state, headers),
        "/sd/applications" => discovery::own(&state, headers),
        "/sd/applications/all" => discovery::all(&state).await,
        "/sd/otlp" => pushed_targets(&state, headers),
        "/live" => text(StatusCode::OK, "live\n"),
        "/ready" => ready(&state),
        _ => index(&state),
    }
}

/// Whether a path is one of a page, whose name may stand for any.
fn is_at(page: &str, path: &str) -> bool {
    match page.split_once('<') {
        Some((before, _)) => path.starts_with(before),
        None => path == page,
    }
}

async fn metrics(state: Arc<State>, headers: &HeaderMap) -> Reply {
    let limit = scrape_timeout(headers);
    // On its own task, so that a client that goes away does not leave a scrape half done.
    let page = tokio::spawn(async move { state.metrics_page(limit).await });
    let Ok(page) = page.await else {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the scrape ended unexpectedly; the agent's log says more\n",
        );
    };
    if wants_open_metrics(headers) {
        return packed(open_metrics::from_text(&page), OPENMETRICS_TYPE, headers);
    }
    packed(page, METRICS_TYPE, headers)
}

pub(super) fn packed(page: Vec<u8>, content_type: &'static str, headers: &HeaderMap) -> Reply {
    let zipped = if accepts_gzip(headers) {
        gzip::compress(&page)
    } else {
        None
    };
    let encoded = zipped.is_some();
    let mut reply = typed(StatusCode::OK, content_type, zipped.unwrap_or(page));
    reply
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    if encoded {
        reply
            .headers_mut()
            .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

/// The figures of the business, as the last durable snapshot has them.
fn business(state: &State, headers: &HeaderMap) -> Reply {
    let figures = &state.business;
    let Some(exported) = figures.exported() else {
        return if figures.is_configured() {
            let body = "what was counted could not be written yet; the agent's log says why\n";
            text(StatusCode::SERVICE_UNAVAILABLE, body)
        } else {
            let body = "no business figures are configured; add them under business:\n";
            text(StatusCode::NOT_FOUND, body)
        };
    };
    let (form, content_type) = if accepts_openmetrics(headers) {
        (Form::OpenMetrics, OPENMETRICS_TYPE)
    } else {
        (Form::Text, METRICS_TYPE)
    };
    packed(page::page(&exported, form), content_type, headers)
}

/// Prometheus asks for what it prefers first; everybody else gets the plain text.
fn accepts_openmetrics(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| {
            let mut words = part.split(';').map(str::trim);
            let is_it = words.next() == Some("application/openmetrics-text");
            is_it
                && words.all(|word| match word.split_once('=') {
                    Some(("q", weight)) => weight.parse().is_ok_and(|weight: f64| weight > 0.0),
                    Some(("version", version)) => version == "1.0.0",
                    _ => true,
                })
        })
}

async fn application(state: &State, name: &str, headers: &HeaderMap) -> Reply {
    let in_force = state.in_force.load_full();
    let configured = in_force.settings.applications.get(name).cloned();
    let application = configured.or_else(|| Some(Arc::clone(&state.found.get(name)?.prepared)));
    let Some(application) = application else {
        let found = state.found.now();
        let names = in_force.config.applications.keys().chain(found.keys());
        let body = known("application", "applications", name, names);
        return text(StatusCode::NOT_FOUND, body);
    };
    let gzip = accepts_gzip(headers);
    let reply = match state.scrape.answer(&application, headers, gzip).await {
        Ok(answer) => {
            let mut reply = typed(StatusCode::OK, METRICS_TYPE, answer.body);
            let own = reply.headers_mut();
            // Without the application's own type, Prometheus 3 would refuse the page.
            match answer.content_type {
                Some(given) => drop(own.insert(CONTENT_TYPE, given)),
                None => tracing::debug!(app = name, "the application's page has no content type"),
            }
            own.insert(VARY, HeaderValue::from_static("accept-encoding"));
            if answer.gzip {
                own.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            reply
        }
        Err(error) => {
            tracing::debug!(app = name, %error, "application not scraped");
            text(error.status(), format!("{error}\n"))
        }
    };
    let labels = AppScrape {
        app: name.to_owned(),
        code: reply.status().as_u16(),
    };
    state.metrics.app_scrapes.get_or_create(&labels).inc();
    reply
}

/// What to say of a name that is none, given those that there are.
pub(super) fn known<'a>(
    what: &str,
    key: &str,
    name: &str,
    names: impl Iterator<Item = &'a String>,
) -> String {
    let names: Vec<_> = names.map(String::as_str).collect();
    if names.is_empty() {
        return format!(
            "there is no {what} \"{name}\"; none are configured; add one under {key}:\n"
        );
    }
    format!(
        "there is no {what} \"{name}\"; known are {}\n",
        names.join(", ")
    )
}

/// What a service pushed by OTLP, as a page.
fn pushed(state: &State, name: &str, headers: &HeaderMap) -> Reply {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = otlp_metrics::page::negotiate(accept.unwrap_or_default());
    let body = state.otlp_metrics.as_ref().and_then(|store| {
        let name = otlp_metrics::decode_name(name)?;
        store.with(&name, Instant::now(), |service| {
            otlp_metrics::page::write(service, format)
        })
    });
    let Some(body) = body else {
        return text(
            StatusCode::NOT_FOUND,
            "no service of this name has pushed metrics of late; /sd/otlp lists those that have\n",
        );
    };
    let zipped = if accepts_gzip(headers) {
        gzip::compress(&body)
    } else {
        None
    };
    let encoded = zipped.is_some();
    let kind = otlp_metrics::page::content_type(format);
    let mut reply = typed(StatusCode::OK, kind, zipped.unwrap_or(body));
    let vary = HeaderValue::from_static("accept, accept-encoding");
    reply.headers_mut().insert(VARY, vary);
    if encoded {
        let gzip = HeaderValue::from_static("gzip");
        reply.headers_mut().insert(CONTENT_ENCODING, gzip);
    }
    reply
}

fn pushed_targets(state: &State, headers: &HeaderMap) -> Reply {
    let address = asked_at(state, headers);
    let targets = match &state.otlp_metrics {
        Some(store) => otlp_metrics::targets(store, &address),
        None => json!([]),
    };
    json(StatusCode::OK, &targets)
}

/// Prometheus asked for this page here, so it reaches the others here, too.
pub(super) fn asked_at(state: &State, headers: &HeaderMap) -> String {
    let address = headers.get(HOST).and_then(|host| host.to_str().ok());
    address
        .unwrap_or(&state.in_force.load().config.listen)
        .to_owned()
}

fn ready(state: &State) -> Reply {
    let ran = state.last_scrape.load().is_some();
    let mut reasons = Vec::new();
    if !ran {
        reasons.push("the collectors have not run yet");
    }
    let body =
        json!({ "ready": ran, "reasons": reasons, "configHash": state.in_force.load().hash });
    json(
        if ran {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        &body,
    )
}

fn index(state: &State) -> Reply {
    let in_force = state.in_force.load();
    let mut body = String::from(
        "<!doctype html><html lang=\"en\"><title>kai-agent</title><h1>kai-agent</h1><ul>\
         <li><a href=\"/metrics\">/metrics</a> of this node and the agent</li>",
    );
    // Names are letters, digits and "-_.", so they need no escaping.
    for name in in_force.config.applications.keys() {
        body.push_str(&format!(
            "<li><a href=\"/metrics/app/{name}\">/metrics/app/{name}</a></li>"
        ));
    }
    for name in state.found.now().keys() {
        body.push_str(&format!(
            "<li><a href=\"/metrics/app/{name}\">/metrics/app/{name}</a></li>"
        ));
    }
    for name in in_force.config.databases.keys() {
        body.push_str(&format!(
            "<li><a href=\"/metrics/database/{name}\">/metrics/database/{name}</a></li>"
        ));
    }
    for name in in_force.config.probes.keys() {
        body.push_str(&format!(
            "<li><a href=\"/probe/{name}?debug=true\">/probe/{name}</a></li>"
        ));
    }
    body.push_str(
        "<li><a href=\"/live\">/live</a></li><li><a href=\"/ready\">/ready</a></li></ul></html>\n",
    );
    typed(StatusCode::OK, "text/html; charset=utf-8", body)
}

/// Whether the client takes OpenMetrics and not the text format. One that takes both, as Prometheus
/// does, gets the text format, as from node_exporter, in which every type is node_exporter's.
fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let mut open_metrics = false;
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let refused = parts.any(|part| {
                part.strip_prefix("q=")
                    .is_some_and(|q| q.parse() == Ok(0.0))
            });
            match &*kind {
                "text/plain" | "text/*" | "*/*" if !refused => return false,
                "application/openmetrics-text" if !refused => open_metrics = true,
                _ => {}
            }
        }
    }
    open_metrics
}

/// Whether the client takes gzip: named, or covered by `*`, and not with `q=0` (RFC 9110).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for value in headers.get_all(ACCEPT_ENCODING) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let quality = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0));
            if name.eq_ignore_ascii_case("gzip") {
                return quality > 0.0;
            }
            if name == "*" {
                any = Some(quality > 0.0);
            }
        }
    }
    any.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_only_for_who_takes_it() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            accepts_gzip(&headers)
        };
        assert!(accepts("gzip"));
        assert!(accepts("deflate, GZIP;q=0.5"));
        assert!(accepts("*"));
        assert!(!accepts("gzip;q=0, *"));
        assert!(!accepts("identity"));
        assert!(!accepts("gzip;q=x"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
