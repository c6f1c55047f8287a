//! `/probe/<name>`: runs a configured probe and answers with its page, also when it failed; that is
//! what `probe_success` is for. With `?debug=true`, what happened step by step.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use super::pages::{METRICS_TYPE, known, packed};
use super::{Reply, text};
use crate::probes;
use crate::scrape::fetch::scrape_timeout;
use crate::state::State;

pub(super) async fn page(state: &State, name: &str, request: &Request<Incoming>) -> Reply {
    let in_force = state.in_force.load_full();
    let Some(probe) = in_force.settings.probes.get(name) else {
        let body = known("probe", "probes", name, in_force.settings.probes.keys());
        return text(StatusCode::NOT_FOUND, body);
    };
    let debug = request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|part| part == "debug=true"));
    let limit = probe.limit(scrape_timeout(request.headers()));
    let (success, report) = Arc::clone(probe).run(limit).await;
    if !success {
        tracing::debug!(
            probe = name,
            reason = report.reason().unwrap_or("unknown"),
            "probe failed"
        );
    }
    if debug {
        return text(StatusCode::OK, probes::debug(&report));
    }
    packed(report.page(), METRICS_TYPE, request.headers())
}
