//! The metrics address: `/metrics`, `/metrics/app/<name>`, `/live`, `/ready` and an index.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY,
};
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::{Reply, json, probes, text, typed};
use crate::passthrough::scrape_timeout;
use crate::self_metrics::AppScrape;
use crate::state::State;

pub(super) const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers one request.
pub async fn handle(state: Arc<State>, request: Request<Incoming>) -> Reply {
    let path = request.uri().path();
    let app = path.strip_prefix("/metrics/app/");
    let probe = path.strip_prefix("/probe/");
    let known =
        app.is_some() || probe.is_some() || matches!(path, "/" | "/metrics" | "/live" | "/ready");
    if !known {
        let body = format!(
            "there is no page {path}; the pages are /metrics, /metrics/app/<name>, /probe/<name>, /live, /ready\n"
        );
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
    if let Some(name) = probe {
        return probes::page(&state, name, &request).await;
    }
    match (path, app) {
        (_, Some(name)) => application(&state, name, request.headers()).await,
        ("/metrics", _) => metrics(state, request.headers()).await,
        ("/live", _) => text(StatusCode::OK, "live\n"),
        ("/ready", _) => ready(&state),
        _ => index(&state),
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
    let zipped = if accepts_gzip(headers) {
        gzip(&page)
    } else {
        None
    };
    let encoded = zipped.is_some();
    let mut reply = typed(StatusCode::OK, METRICS_TYPE, zipped.unwrap_or(page));
    reply
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("accept-encoding"));
    if encoded {
        reply
            .headers_mut()
            .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

async fn application(state: &State, name: &str, headers: &HeaderMap) -> Reply {
    let in_force = state.in_force.load_full();
    let Some(application) = in_force.config.applications.get(name) else {
        let names: Vec<_> = in_force
            .config
            .applications
            .keys()
            .map(String::as_str)
            .collect();
        let known = if names.is_empty() {
            "none are configured; add one under applications:".to_owned()
        } else {
            format!("known are {}", names.join(", "))
        };
        return text(
            StatusCode::NOT_FOUND,
            format!("there is no application \"{name}\"; {known}\n"),
        );
    };
    let reply = match state.clients.fetch(application, headers).await {
        Ok(fetched) => {
            let mut reply = typed(StatusCode::OK, METRICS_TYPE, fetched.body);
            // Without the application's own type, Prometheus 3 would refuse the page.
            for (name, value) in &fetched.headers {
                reply.headers_mut().insert(name.clone(), value.clone());
            }
            if !fetched.headers.contains_key(CONTENT_TYPE) {
                tracing::debug!(app = name, "the application's page has no content type");
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

fn gzip(page: &[u8]) -> Option<Vec<u8>> {
    // The fastest level: pages shrink to a tenth at any level, and CPU is what an agent must save.
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 6), Compression::fast());
    encoder.write_all(page).ok()?;
    encoder.finish().ok()
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
