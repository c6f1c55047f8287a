//! Asking and writing objects behind an API. Each system has a file; this one chooses among them.

use serde_json::Value;

use super::elasticsearch::Elasticsearch;
use super::grafana::Grafana;
use super::kibana::Kibana;
use super::rest::RestError;
use super::secret;
use crate::model::Connection;
use crate::object::{Mark, Object, Server, System};

/// An object that a server lists as ours: its name has our prefix and its mark, if any, agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub system: System,
    pub kind: &'static str,
    pub id: String,
    /// From its mark; without one `<system>/<kind>/<id>`.
    pub address: String,
}

/// A server of one system.
pub enum Client {
    Elasticsearch(Elasticsearch),
    Grafana(Grafana),
    Kibana(Kibana),
}

macro_rules! each {
    ($client:expr, $inner:ident => $call:expr) => {
        match $client {
            Client::Elasticsearch($inner) => $call,
            Client::Grafana($inner) => $call,
            Client::Kibana($inner) => $call,
        }
    };
}

impl Client {
    /// Secrets of the connection are read here; one that is not there is an error.
    pub fn new(system: System, access: &Connection) -> Result<Self, RestError> {
        Ok(match system {
            System::Elasticsearch => Self::Elasticsearch(Elasticsearch::new(access)?),
            System::Grafana => Self::Grafana(Grafana::new(access)?),
            System::Kibana => Self::Kibana(Kibana::new(access)?),
        })
    }

    /// What it is and what it can do.
    pub async fn probe(&self) -> Result<Server, RestError> {
        each!(self, client => client.probe().await)
    }

    /// As the server has it; nothing when it is not there.
    pub async fn read(&self, kind: &str, id: &str) -> Result<Option<Value>, RestError> {
        each!(self, client => client.read(kind, id).await)
    }

    /// `body` is fitted, marked and has no secrets yet; `actual` is what was read just before. What
    /// comes back is a secret that is said only now.
    pub async fn write(
        &self,
        object: &Object,
        body: &Value,
        actual: Option<&Value>,
    ) -> Result<Option<secret::Value>, RestError> {
        match self {
            Self::Elasticsearch(client) => client.write(object, body, actual).await,
            Self::Grafana(client) => client.write(object, body, actual).await.map(|()| None),
            Self::Kibana(client) => client.write(object, body, actual).await.map(|()| None),
        }
    }

    pub async fn delete(&self, kind: &str, id: &str) -> Result<(), RestError> {
        each!(self, client => client.delete(kind, id).await)
    }

    /// Everything of ours, in an order in which it can be deleted.
    pub async fn ours(&self, owner: &str) -> Result<Vec<Listed>, RestError> {
        each!(self, client => client.ours(owner).await)
    }
}

/// What a server holds besides this stack's objects, for whoever is about to remove objects or the
/// server's data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rest {
    /// This stack's own data, which stays with the server.
    pub data: Vec<String>,
    /// What other people put there.
    pub foreign: Vec<String>,
}

impl Client {
    /// Only Elasticsearch holds data.
    pub async fn rest(&self, owner: &str, streams: &[String]) -> Result<Rest, RestError> {
        let (data, foreign) = match self {
            Self::Elasticsearch(client) => client.holds(owner, streams).await?,
            Self::Grafana(client) => (Vec::new(), client.guests(owner).await?),
            // Its objects lie in Elasticsearch.
            Self::Kibana(_) => (Vec::new(), Vec::new()),
        };
        Ok(Rest { data, foreign })
    }
}

/// The body as this server can have it; otherwise why it is left out. Pure.
pub fn fit(object: &Object, server: &Server) -> Result<Value, String> {
    match object.system {
        System::Elasticsearch => super::elasticsearch::fit(object, server),
        System::Grafana => super::grafana::fit(object, server),
        System::Kibana => super::kibana::fit(object, server),
    }
}

/// Whether others cannot do their work without an object of this kind: then a server that cannot
/// have it is an error, and not something left out. Pure.
pub fn is_required(object: &Object) -> bool {
    object.keeps.is_some() || object.kind == super::elasticsearch::ROLE
}

/// The body with the mark that says whose it is. Pure.
pub fn marked(object: &Object, body: &Value, mark: &Mark) -> Value {
    match object.system {
        System::Elasticsearch => super::elasticsearch::marked(object.kind, body, mark),
        System::Grafana => super::grafana::marked(object.kind, body, mark),
        System::Kibana => super::kibana::marked(object.kind, body, mark),
    }
}

/// Whether objects of a kind have a place for a mark. Pure.
pub fn carries_mark(system: System, kind: &str) -> bool {
    match system {
        System::Elasticsearch => super::elasticsearch::carries_mark(kind),
        System::Grafana => super::grafana::carries_mark(kind),
        System::Kibana => super::kibana::carries_mark(kind),
    }
}

/// What an object as read says of its maker. Pure.
pub fn mark_of(system: System, kind: &str, actual: &Value) -> Option<Mark> {
    match system {
        System::Elasticsearch => super::elasticsearch::mark_of(kind, actual),
        System::Grafana => super::grafana::mark_of(kind, actual),
        System::Kibana => super::kibana::mark_of(kind, actual),
    }
}

/// Whether writing `desired` makes data go sooner than `actual` does. Pure.
pub fn shortens(object: &Object, desired: &Value, actual: &Value) -> bool {
    object.system == System::Elasticsearch && super::elasticsearch::is_shortened(desired, actual)
}

/// `actual` without what the server added by itself. Pure.
pub fn project(object: &Object, desired: &Value, actual: &Value) -> Value {
    match object.system {
        System::Elasticsearch => super::elasticsearch::project(object.kind, desired, actual),
        System::Grafana => super::grafana::project(object.kind, desired, actual),
        System::Kibana => super::kibana::project(object.kind, desired, actual),
    }
}
