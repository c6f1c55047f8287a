//! Templates, lifecycles and data streams of Elasticsearch and OpenSearch.

use serde_json::Value;

use super::objects::Listed;
use super::rest::{Rest, RestError};
use crate::model::Connection;
use crate::object::{Mark, Object, Server, shape_of};

pub struct Elasticsearch {
    rest: Rest,
}

impl Elasticsearch {
    pub fn new(access: &Connection) -> Result<Self, RestError> {
        Ok(Self {
            rest: Rest::new(access)?,
        })
    }

    pub async fn probe(&self) -> Result<Server, RestError> {
        self.rest.get("/").await?;
        Ok(Server::default())
    }

    pub async fn read(&self, _kind: &str, id: &str) -> Result<Option<Value>, RestError> {
        self.rest.get(&format!("/{id}")).await
    }

    pub async fn write(
        &self,
        _object: &Object,
        _body: &Value,
        _actual: Option<&Value>,
    ) -> Result<(), RestError> {
        Ok(())
    }

    pub async fn delete(&self, _kind: &str, _id: &str) -> Result<(), RestError> {
        Ok(())
    }

    pub async fn ours(&self, _owner: &str) -> Result<Vec<Listed>, RestError> {
        Ok(Vec::new())
    }
}

pub fn fit(object: &Object, _server: &Server) -> Result<Value, String> {
    Ok(object.body.clone())
}

pub fn marked(_kind: &str, body: &Value, _mark: &Mark) -> Value {
    body.clone()
}

pub fn mark_of(_kind: &str, _actual: &Value) -> Option<Mark> {
    None
}

pub fn project(_kind: &str, desired: &Value, actual: &Value) -> Value {
    shape_of(desired, actual)
}
