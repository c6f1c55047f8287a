//! `/metrics/database/<name>`: looks at a server and answers with its page, also when it could not
//! be reached; that is what `pg_up` is for. With `?debug=true`, what each collector did.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use super::pages::{METRICS_TYPE, known, packed};
use super::{Reply, text};
use crate::scrape::fetch::scrape_timeout;
use crate::state::State;

pub(super) async fn page(state: &State, name: &str, request: &Request<Incoming>) -> Reply {
    let in_force = state.in_force.load_full();
    let Some(database) = in_force.settings.databases.get(name) else {
        let body = known(
            "database",
            "databases",
            name,
            in_force.settings.databases.keys(),
        );
        return text(StatusCode::NOT_FOUND, body);
    };
    let debug = request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|part| part == "debug=true"));
    let limit = database.limit(scrape_timeout(request.headers()));
    // On its own task: a client that goes away must not leave a connection in the middle of an
    // answer.
    let database = Arc::clone(database);
    let Ok(look) = tokio::spawn(async move { database.look(limit).await }).await else {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the look ended unexpectedly; the agent's log says more\n",
        );
    };
    if debug {
        return text(StatusCode::OK, look.steps);
    }
    packed(look.page, METRICS_TYPE, request.headers())
}
