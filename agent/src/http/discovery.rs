//! `/sd/applications`: what this agent found; `/sd/applications/all`: what all agents found. As
//! Prometheus' `http_sd_configs` reads it.

use hyper::{HeaderMap, StatusCode};

use super::pages::asked_at;
use super::{Reply, json, text};
use crate::discovery::targets;
use crate::state::State;

pub(super) fn own(state: &State, headers: &HeaderMap) -> Reply {
    let groups = targets::groups(&state.found.now(), &asked_at(state, headers));
    json(StatusCode::OK, &groups)
}

/// Whoever asks cannot choose whom the agent asks: the configuration names the others.
pub(super) async fn all(state: &State) -> Reply {
    let in_force = state.in_force.load_full();
    let discovery = in_force.config.discovery.as_ref();
    let Some(peers) = discovery.and_then(|discovery| discovery.peers.as_deref()) else {
        let body = "no other agents are configured; name them under discovery.peers\n";
        return text(StatusCode::NOT_FOUND, body);
    };
    match state.found.of_all(peers).await {
        Ok(groups) => json(StatusCode::OK, &groups),
        Err(reason) => text(StatusCode::BAD_GATEWAY, format!("{reason}\n")),
    }
}
