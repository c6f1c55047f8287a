//! What arrived, as JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::state::App;
use crate::inbox::filter::Filter;
use crate::inbox::message::Message;
use crate::inbox::store::Location;

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
const MAX_WAIT: u64 = 60;

/// The answer of `GET /api/messages`.
#[derive(Debug, Serialize)]
struct Listing {
    /// Oldest first.
    messages: Vec<Message>,
    /// Ask again with `after` set to this: nothing is missed and nothing comes twice. Lower than
    /// the `after` that was asked for, it says that the messages were deleted and the ids began anew.
    last_id: u64,
    /// There are more that match.
    more: bool,
}

#[derive(Debug, Default, Clone)]
struct Asked {
    filter: Filter,
    after: Option<u64>,
    before: Option<u64>,
    limit: Option<usize>,
    wait: u64,
    raw: bool,
}

fn asked(pairs: &[(String, String)]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    for (name, value) in pairs {
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("{name} must be a whole number"))
        };
        match name.as_str() {
            "after" => asked.after = Some(number()?),
            "before" => asked.before = Some(number()?),
            "limit" => {
                let limit = usize::try_from(number()?).unwrap_or(usize::MAX);
                if limit == 0 || limit > MAX_LIMIT {
                    return Err(format!("limit must be 1 to {MAX_LIMIT}"));
                }
                asked.limit = Some(limit);
            }
            "wait" => {
                asked.wait = number()?;
                if asked.wait > MAX_WAIT {
                    return Err(format!("wait must be at most {MAX_WAIT} seconds"));
                }
            }
            "raw" => {
                asked.raw = match value.as_str() {
                    "true" | "1" => true,
                    "false" | "0" | "" => false,
                    _ => return Err("raw must be true or false".to_owned()),
                }
            }
            name if asked.filter.set(name, value)? => {}
            name => {
                return Err(format!(
                    "unknown parameter {name}; known: after, before, limit, wait, raw, {}",
                    Filter::NAMES.join(", ")
                ));
            }
        }
    }
    if asked.after.is_some() && asked.before.is_some() {
        return Err("after and before exclude each other".to_owned());
    }
    if asked.wait > 0 && asked.after.is_none() {
        return Err("wait needs after".to_owned());
    }
    Ok(asked)
}

/// `GET /api/messages`: with `after` the oldest that follow it, otherwise the newest; `wait` holds
/// the answer until there is one.
pub async fn messages(
    State(app): State<Arc<App>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let asked = match asked(&pairs) {
        Ok(asked) => asked,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error),
    };
    let deadline = Instant::now() + Duration::from_secs(asked.wait);
    let mut newest = app.journal.newest();
    let mut stopping = app.stopping.clone();
    let mut asked_now = asked.clone();
    loop {
        newest.borrow_and_update();
        let (found, listing) = look(&app, &asked_now);
        let anew = asked.after.is_some_and(|after| listing.last_id < after);
        if !found.is_empty() || asked.wait == 0 || anew || *stopping.borrow() {
            return listed(&app, &asked, found, listing).await;
        }
        // What was looked at need not be looked at again.
        asked_now.after = Some(listing.last_id);
        tokio::select! {
            changed = newest.changed() => {
                if changed.is_err() {
                    return listed(&app, &asked, found, listing).await;
                }
            }
            _ = stopping.changed() => {}
            () = tokio::time::sleep_until(deadline) => {
                return listed(&app, &asked, found, listing).await;
            }
        }
    }
}

type Found = Vec<(Arc<Message>, Location)>;

fn look(app: &App, asked: &Asked) -> (Found, Listing) {
    let limit = asked.limit.unwrap_or(LIMIT);
    app.journal.with_index(|index| {
        let mut found: Found;
        let more;
        if let Some(after) = asked.after {
            let mut matching = index.after(after).filter(|(m, _)| asked.filter.matches(m));
            found = matching.by_ref().take(limit).cloned().collect();
            more = matching.next().is_some();
        } else {
            let before = asked.before.unwrap_or(u64::MAX);
            let mut matching = index
                .after(0)
                .rev()
                .skip_while(|(message, _)| message.id >= before)
                .filter(|(message, _)| asked.filter.matches(message));
            found = matching.by_ref().take(limit).cloned().collect();
            more = matching.next().is_some();
            found.reverse();
        }
        // Where more follow, the next question begins behind the last one given.
        let last_id = match found.last() {
            Some((message, _)) if more && asked.after.is_some() => message.id,
            _ => index.newest(),
        };
        (
            found,
            Listing {
                messages: Vec::new(),
                last_id,
                more,
            },
        )
    })
}

async fn listed(app: &App, asked: &Asked, found: Found, mut listing: Listing) -> Response {
    if asked.raw {
        let locations = found.iter().map(|(_, location)| *location).collect();
        match app.journal.load(locations).await {
            Ok(messages) => listing.messages = messages,
            Err(error) => {
                return problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
            }
        }
    } else {
        listing.messages = found
            .iter()
            .map(|(message, _)| message.as_ref().clone())
            .collect();
    }
    Json(listing).into_response()
}

async fn whole(app: &App, id: &str) -> Result<Message, Response> {
    let bad = || {
        problem(
            StatusCode::BAD_REQUEST,
            "the id of a message is a whole number",
        )
    };
    let id: u64 = id.parse().map_err(|_| bad())?;
    let missing = || {
        problem(
            StatusCode::NOT_FOUND,
            &format!("there is no message {id} (any more)"),
        )
    };
    let location = app
        .journal
        .with_index(|index| index.get(id).map(|(_, location)| *location));
    let location = location.ok_or_else(missing)?;
    match app.journal.load(vec![location]).await {
        Ok(messages) => messages.into_iter().next().ok_or_else(missing),
        Err(error) => Err(problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            &error.to_string(),
        )),
    }
}

/// `GET /api/messages/<id>`: the whole record.
pub async fn message(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match whole(&app, &id).await {
        Ok(message) => Json(message).into_response(),
        Err(response) => response,
    }
}

/// `GET /api/messages/<id>/html`: the HTML part of an e-mail, for a sandboxed frame. It is somebody
/// else's page: no script, no form, no request leaves it, and it has no origin.
pub async fn html(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    const POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";
    match whole(&app, &id)
        .await
        .map(|message| message.mail.and_then(|mail| mail.html))
    {
        Ok(Some(html)) => {
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, POLICY),
            ];
            (headers, html).into_response()
        }
        Ok(None) => problem(StatusCode::NOT_FOUND, "this message has no HTML part"),
        Err(response) => response,
    }
}

/// `GET /api/heartbeats`
pub async fn heartbeats(State(app): State<Arc<App>>) -> Response {
    let heartbeats = app.with_heartbeats(crate::inbox::heartbeat::Heartbeats::list);
    Json(json!({ "heartbeats": heartbeats, "now": crate::inbox::time::Instant::now().rfc3339() }))
        .into_response()
}

/// `GET /api/about`: what the page needs to know of its surroundings.
pub async fn about(State(app): State<Arc<App>>) -> Response {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "http": app.options.http.to_string(),
        "smtp": app.options.smtp.to_string(),
        "alertmanager": app.options.alertmanager,
        "prometheus": app.options.prometheus,
    }))
    .into_response()
}

pub async fn healthy() -> &'static str {
    "ok\n"
}

pub async fn not_found() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "no such path; vendors: /v2/enqueue /v2/change/enqueue /services/T/B/token \
         /heartbeat/<name>, readers: / /api/messages /api/heartbeats /metrics",
    )
}

fn problem(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &[(&str, &str)]) -> Result<Asked, String> {
        let pairs: Vec<_> = query
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        asked(&pairs)
    }

    #[test]
    fn questions_are_checked() {
        for (query, word) in [
            (&[("after", "x")][..], "after"),
            (&[("limit", "0")], "limit"),
            (&[("limit", "1001")], "limit"),
            (&[("wait", "61"), ("after", "0")], "wait"),
            (&[("wait", "5")], "after"),
            (&[("after", "1"), ("before", "2")], "exclude"),
            (&[("raw", "yes")], "raw"),
            (&[("channel", "fax")], "channel"),
            (&[("colour", "red")], "unknown parameter colour"),
        ] {
            let error = ask(query).unwrap_err();
            assert!(error.contains(word), "{query:?}: {error}");
        }
        let asked = ask(&[("after", "3"), ("wait", "10"), ("team", "a"), ("raw", "1")]).unwrap();
        assert_eq!((asked.after, asked.wait, asked.raw), (Some(3), 10, true));
        assert_eq!(asked.filter.team.as_deref(), Some("a"));
    }
}
