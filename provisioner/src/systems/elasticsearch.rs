//! Templates and lifecycles of Elasticsearch and OpenSearch: one interface, two dialects. Which of
//! them answers, and what its build can do, is asked and never assumed ([`dialect`]); what differs
//! between them is in [`body`].

mod access;
mod body;
mod dialect;
mod indices;
mod lifecycle;
mod snapshots;

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::objects::Listed;
use super::rest::{Rest, RestError};
use super::secret;
use crate::model::Connection;
use crate::object::{Object, Server, System, id_prefix};
use crate::spec::glob;

pub use body::{carries_mark, fit, mark_of, marked, project};
pub use dialect::{has_ilm, left_out};
pub use lifecycle::is_shortened;

pub const COMPONENT_TEMPLATE: &str = "component-template";
pub const INDEX_TEMPLATE: &str = "index-template";
/// ILM of Elasticsearch or ISM of OpenSearch.
pub const LIFECYCLE: &str = "lifecycle-policy";
/// The first index that a pair of aliases names; those that follow are the server's.
pub const INDEX: &str = "index";
/// SLM of Elasticsearch or snapshot management of OpenSearch.
pub const SNAPSHOTS: &str = "snapshot-policy";
pub const ROLE: &str = "role";
pub const API_KEY: &str = "api-key";

/// Kind, name of the list in a reply, name of the body in a row of it. Index templates first: what
/// they are made of cannot go before them.
const TEMPLATES: [(&str, &str, &str); 2] = [
    (INDEX_TEMPLATE, "index_templates", "index_template"),
    (
        COMPONENT_TEMPLATE,
        "component_templates",
        "component_template",
    ),
];

/// A server that has just started may refuse to change its state for this long.
const SETTLES_WITHIN: Duration = Duration::from_secs(20);

pub struct Elasticsearch {
    rest: Rest,
    /// What [`Elasticsearch::probe`] found.
    server: tokio::sync::OnceCell<Server>,
}

impl Elasticsearch {
    pub fn new(access: &Connection) -> Result<Self, RestError> {
        Ok(Self {
            rest: Rest::new(access)?,
            server: tokio::sync::OnceCell::new(),
        })
    }

    pub async fn probe(&self) -> Result<Server, RestError> {
        self.server().await.cloned()
    }

    async fn server(&self) -> Result<&Server, RestError> {
        self.server
            .get_or_try_init(|| dialect::probe(&self.rest))
            .await
    }

    /// Where objects of this kind are.
    async fn place(&self, kind: &str) -> Result<&'static str, RestError> {
        Ok(match kind {
            COMPONENT_TEMPLATE => "/_component_template",
            INDEX_TEMPLATE => "/_index_template",
            ROLE => access::ROLES,
            API_KEY => access::KEYS,
            INDEX => "",
            SNAPSHOTS => snapshots::place(self.server().await?),
            _ if self.server().await?.has(dialect::ISM) => "/_plugins/_ism/policies",
            _ => "/_ilm/policy",
        })
    }

    pub async fn read(&self, kind: &str, id: &str) -> Result<Option<Value>, RestError> {
        if kind == LIFECYCLE && !dialect::has_policies(self.server().await?) {
            return Ok(None);
        }
        match kind {
            ROLE | API_KEY if !self.server().await?.has(dialect::SECURITY) => return Ok(None),
            SNAPSHOTS if !snapshots::can(self.server().await?) => return Ok(None),
            API_KEY => return Ok(access::keys(&self.rest, id).await?.into_iter().next()),
            INDEX => return indices::read(&self.rest, id).await,
            _ => {}
        }
        let place = self.place(kind).await?;
        let Some(reply) = self.rest.get(&format!("{place}/{id}")).await? else {
            return Ok(None);
        };
        let (name, inner) = match kind {
            COMPONENT_TEMPLATE => ("component_templates", "component_template"),
            INDEX_TEMPLATE => ("index_templates", "index_template"),
            SNAPSHOTS => return Ok(snapshots::read(id, &reply)),
            // ILM says `{"<id>": {"policy": …}}`, ISM says `{"policy": …}` itself.
            _ => return Ok(Some(reply.get(id).cloned().unwrap_or(reply))),
        };
        let found = reply[name]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["name"] == id))
            .map(|one| one[inner].clone());
        Ok(found)
    }

    pub async fn write(
        &self,
        object: &Object,
        body: &Value,
        actual: Option<&Value>,
    ) -> Result<Option<secret::Value>, RestError> {
        if object.kind == API_KEY {
            let server = self.server().await?;
            return access::write_key(&self.rest, server, &object.id, body, actual).await;
        }
        let place = self.place(object.kind).await?;
        let mut path = format!("{place}/{}", object.id);
        let mut method = Method::PUT;
        if object.kind == SNAPSHOTS && self.server().await?.has(dialect::SM) && actual.is_none() {
            method = Method::POST;
        }
        // ISM takes a change only with the numbers of what it changes.
        if let Some(numbers) = actual.and_then(|actual| {
            Some((
                actual["_seq_no"].as_u64()?,
                actual["_primary_term"].as_u64()?,
            ))
        }) {
            path.push_str(&format!(
                "?if_seq_no={}&if_primary_term={}",
                numbers.0, numbers.1
            ));
        }
        let deadline = tokio::time::Instant::now() + SETTLES_WITHIN;
        let mut body = std::borrow::Cow::Borrowed(body);
        loop {
            match self.rest.json(method.clone(), &path, Some(&body)).await {
                Ok(_) => return Ok(None),
                // A stream that nothing asks for any more keeps its template as long as it has data.
                Err(error) if error.says("no longer match a data stream template") => {
                    match actual.and_then(|actual| body::keeping(&body, actual)) {
                        Some(keeping) if *body != keeping => {
                            body = std::borrow::Cow::Owned(keeping);
                        }
                        _ => return Err(error),
                    }
                }
                // No master yet, or its state not read yet.
                Err(error)
                    if matches!(error.status(), Some(429 | 503))
                        && tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                Err(error) => return Err(explained(error)),
            }
        }
    }

    pub async fn delete(&self, kind: &str, id: &str) -> Result<(), RestError> {
        if kind == API_KEY {
            return access::invalidate(&self.rest, id).await;
        }
        let path = format!("{}/{id}", self.place(kind).await?);
        match self.rest.json(Method::DELETE, &path, None).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// In an order in which they can be deleted.
    pub async fn ours(&self, owner: &str) -> Result<Vec<Listed>, RestError> {
        let prefix = id_prefix(owner);
        let mut out = Vec::new();
        let mut take = |kind: &'static str, id: &str, body: &Value| {
            let mark = mark_of(kind, body).filter(|mark| mark.owner == owner);
            if let Some(mark) = mark.filter(|_| id.starts_with(&prefix)) {
                out.push(Listed {
                    system: System::Elasticsearch,
                    kind,
                    id: id.to_owned(),
                    address: mark.address,
                });
            }
        };
        for (kind, list, inner) in [
            (INDEX_TEMPLATE, "index_templates", "index_template"),
            (
                COMPONENT_TEMPLATE,
                "component_templates",
                "component_template",
            ),
        ] {
            let path = format!("{}/{prefix}*", self.place(kind).await?);
            let reply = self.rest.get(&path).await?.unwrap_or_default();
            for one in rows(&reply, list) {
                take(kind, one["name"].as_str().unwrap_or_default(), &one[inner]);
            }
        }
        let server = self.server().await?;
        if server.has(dialect::ILM) {
            let reply = self.rest.get("/_ilm/policy").await?.unwrap_or_default();
            for (id, policy) in reply.as_object().into_iter().flatten() {
                take(LIFECYCLE, id, policy);
            }
        } else if server.has(dialect::ISM) {
            let reply = self.rest.get("/_plugins/_ism/policies?size=1000").await?;
            for policy in reply.unwrap_or_default()["policies"]
                .as_array()
                .into_iter()
                .flatten()
            {
                take(
                    LIFECYCLE,
                    policy["_id"].as_str().unwrap_or_default(),
                    policy,
                );
            }
        }
        for (id, policy) in snapshots::all(&self.rest, server).await? {
            take(SNAPSHOTS, &id, &policy);
        }
        if server.has(dialect::SECURITY) {
            // Who may not look at them has made none.
            for (id, role) in allowed(access::roles(&self.rest).await)? {
                take(ROLE, &id, &role);
            }
            for key in allowed(access::keys(&self.rest, &format!("{prefix}*")).await)? {
                take(API_KEY, key["name"].as_str().unwrap_or_default(), &key);
            }
        }
        Ok(out)
    }

    /// Indices of these streams and aliases that a lifecycle does not get on with, and why. Nothing
    /// where no ILM runs.
    pub async fn stuck(&self, names: &[String]) -> Result<Vec<String>, RestError> {
        if !self.server().await?.has(dialect::ILM) {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        for name in names {
            let path = format!("/{name}/_ilm/explain?only_errors=true&only_managed=true");
            let reply = self.rest.get(&path).await?.unwrap_or_default();
            for (index, why) in reply["indices"].as_object().into_iter().flatten() {
                let reason = why.pointer("/step_info/reason").and_then(Value::as_str);
                let step = why["failed_step"].as_str().unwrap_or("a step");
                out.push(format!(
                    "{index}: {step} failed: {}",
                    reason.unwrap_or("it does not say why")
                ));
            }
        }
        Ok(out)
    }

    /// Health of the cluster: `green`, `yellow` or `red`, and how many shards it lacks.
    pub async fn health(&self) -> Result<(String, u64), RestError> {
        let reply = self
            .rest
            .json(Method::GET, "/_cluster/health", None)
            .await?;
        Ok((
            reply["status"].as_str().unwrap_or("unknown").to_owned(),
            reply["unassigned_shards"].as_u64().unwrap_or_default(),
        ))
    }

    /// What an index of this name would be given, and which templates also match it.
    pub async fn simulate(&self, name: &str) -> Result<Value, RestError> {
        let path = format!("/_index_template/_simulate_index/{name}");
        match self.rest.json(Method::POST, &path, None).await {
            // OpenSearch does not imagine a stream that is there; its newest index says the same.
            Err(error) if error.says("need to be unique") => {
                let path = format!("/{name}/_mapping");
                let reply = self.rest.json(Method::GET, &path, None).await?;
                let newest = reply.as_object().and_then(|all| {
                    let name = all.keys().max()?;
                    all.get(name)
                });
                Ok(serde_json::json!({ "template": newest }))
            }
            other => other,
        }
    }

    /// The hits of a query; an index that is not there has none.
    pub async fn search(&self, index: &str, query: &Value) -> Result<Value, RestError> {
        let path = format!("/{index}/_search?ignore_unavailable=true");
        self.rest.json(Method::POST, &path, Some(query)).await
    }

    /// The data streams among `streams` that are there, and everything that is not this stack's:
    /// templates, data streams and indices of others. What the product itself made (names with a
    /// dot in front, `_meta.managed`) is nobody's.
    pub async fn holds(
        &self,
        owner: &str,
        streams: &[String],
    ) -> Result<(Vec<String>, Vec<String>), RestError> {
        let ours = self.ours(owner).await?;
        let (mut data, mut foreign) = (Vec::new(), Vec::new());
        // With those that nothing asks for any more and that our template still names.
        let mut streams = streams.to_vec();
        for (kind, list, inner) in TEMPLATES {
            let reply = self.rest.get(self.place(kind).await?).await?;
            for one in rows(&reply.unwrap_or_default(), list) {
                let id = one["name"].as_str().unwrap_or_default();
                let built_in = one[inner]["_meta"]["managed"] == true || id.starts_with('.');
                if ours.iter().any(|o| o.kind == kind && o.id == id) {
                    let patterns = rows(&one[inner], "index_patterns");
                    streams.extend(patterns.filter_map(|p| Some(p.as_str()?.to_owned())));
                } else if !built_in {
                    foreign.push(format!("{kind} {id}"));
                }
            }
        }
        let reply = self
            .rest
            .get("/_resolve/index/*?expand_wildcards=open,closed")
            .await?
            .unwrap_or_default();
        for (list, word) in [("data_streams", "data stream"), ("indices", "index")] {
            for one in rows(&reply, list) {
                let id = one["name"].as_str().unwrap_or_default();
                let text = format!("{word} {id}");
                if streams.iter().any(|stream| glob::matches(stream, id)) {
                    data.push(text);
                } else if !id.starts_with('.') {
                    foreign.push(text);
                }
            }
        }
        Ok((data, foreign))
    }
}

/// Nothing where the server does not let who asks look.
fn allowed<T: Default>(answer: Result<T, RestError>) -> Result<T, RestError> {
    match answer {
        Err(error) if error.status() == Some(403) => Ok(T::default()),
        other => other,
    }
}

fn rows<'a>(reply: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    reply[list].as_array().into_iter().flatten()
}

/// A template that cannot go because there are data streams, which stay, or because one that stays
/// is made of it.
pub fn is_in_use(error: &RestError) -> bool {
    error.says("in use")
}

/// What the server says, and what to do about it.
fn explained(error: RestError) -> RestError {
    let RestError::Refused { body, .. } = &error else {
        return error;
    };
    if body.contains("same priority") {
        return RestError::Other(format!(
            "{error}\nanother template already covers these data streams: another stack uses the same service and environment names on this cluster, or somebody made a template for them by hand; rename the service or the environment, or remove that template"
        ));
    }
    error
}

#[cfg(test)]
mod tests;
