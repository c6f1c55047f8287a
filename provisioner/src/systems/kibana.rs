//! Data views, saved searches and dashboards of Kibana 8.10 and later, and of OpenSearch Dashboards,
//! where data views are saved objects like the others and charts are objects of their own.
//!
//! Data views have an API of their own; the others are imported and exported as saved objects,
//! which both majors take alike (the Dashboards API changed its shape in 9.4 and is a preview).
//! An import knows no versions: what was read just before is overwritten.

mod shape;

use std::collections::BTreeSet;

use reqwest::{Method, header};
use serde_json::{Value, json};

use super::objects::Listed;
use super::rest::{Rest, RestError};
use crate::dashboards::{self, kibana_sources};
use crate::model::Connection;
use crate::object::{Object, Server, System, id};
use crate::resource::Address;

pub use shape::{carries_mark, fit, mark_of, marked, project};

pub const DATA_VIEW: &str = "data-view";
/// A data view of OpenSearch Dashboards.
pub const INDEX_PATTERN: &str = "index-pattern";
pub use crate::dashboards::kibana::{DASHBOARD, SEARCH, VISUALIZATION};

/// Separates the parts of an import; no line of JSON can hold it as a line of its own.
const BOUNDARY: &str = "kai-observe-saved-objects";

pub struct Kibana {
    rest: Rest,
}

impl Kibana {
    pub fn new(access: &Connection) -> Result<Self, RestError> {
        Ok(Self {
            // Without it every change is refused.
            rest: Rest::new(access)?
                .with_header("kbn-xsrf", "kai-observe")
                .with_header("osd-xsrf", "kai-observe"),
        })
    }

    pub async fn probe(&self) -> Result<Server, RestError> {
        let status = self.asked(Method::GET, "/api/status", None).await?;
        // Who is not known gets a status without a version.
        let version = status["version"]["number"].as_str().unwrap_or_default();
        if version.is_empty() {
            // Only Kibana has it; whoever may not see a version sees this neither.
            self.asked(Method::GET, "/api/data_views", None).await?;
        }
        Ok(Server {
            product: shape::product(version).to_owned(),
            version: version.to_owned(),
            features: BTreeSet::new(),
        })
    }

    pub async fn read(&self, kind: &str, id: &str) -> Result<Option<Value>, RestError> {
        if kind == DATA_VIEW {
            let found = self
                .rest
                .get(&format!("/api/data_views/data_view/{id}"))
                .await
                .map_err(|error| self.credentials(error))?;
            return Ok(found.map(|found| found["data_view"].clone()));
        }
        let path = "/api/saved_objects/_export";
        let body = json!({
            "objects": [{ "type": kind, "id": id }],
            "excludeExportDetails": true,
            "includeReferencesDeep": false,
        });
        let request = self.rest.request(Method::POST, path)?.json(&body);
        let (status, reply) = self.rest.send(request).await?;
        if status == 400 && shape::says_not_found(&reply) {
            return Ok(None);
        }
        if status != 200 {
            return Err(self.credentials(self.rest.refused(path, status, &reply)));
        }
        match shape::first_object(&reply) {
            Ok(found) => Ok(found.map(|object| shape::unfold(&object))),
            Err(reason) => Err(self.unexpected(path, reason)),
        }
    }

    pub async fn write(
        &self,
        object: &Object,
        body: &Value,
        actual: Option<&Value>,
    ) -> Result<(), RestError> {
        if object.kind != DATA_VIEW {
            return self.import(&shape::fold(object, body)).await;
        }
        let mut view = body.clone();
        let (path, request) = match actual {
            Some(_) => (
                format!("/api/data_views/data_view/{}", object.id),
                json!({ "data_view": view, "refresh_fields": false }),
            ),
            None => {
                view["id"] = json!(object.id);
                let path = "/api/data_views/data_view".to_owned();
                (path, json!({ "data_view": view, "override": false }))
            }
        };
        match self.asked(Method::POST, &path, Some(&request)).await {
            Ok(_) => Ok(()),
            Err(RestError::Refused { body, .. }) if body.contains("Duplicate data view") => {
                Err(RestError::Other(format!(
                    "Kibana has another data view with the pattern {} or the name \"{}\", which is \
                     not of this stack: delete or rename it there",
                    view["title"].as_str().unwrap_or_default(),
                    view["name"].as_str().unwrap_or_default(),
                )))
            }
            Err(error) => Err(error),
        }
    }

    /// One saved object; every error that Kibana lists is said.
    async fn import(&self, object: &Value) -> Result<(), RestError> {
        let path = "/api/saved_objects/_import?overwrite=true";
        let body = format!(
            "--{BOUNDARY}\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"kai.ndjson\"\r\n\
             Content-Type: application/ndjson\r\n\r\n{object}\n\r\n--{BOUNDARY}--\r\n"
        );
        let request = self
            .rest
            .request(Method::POST, path)?
            .header(
                header::CONTENT_TYPE,
                format!("multipart/form-data; boundary={BOUNDARY}"),
            )
            .body(body);
        let (status, reply) = self.rest.send(request).await?;
        if status != 200 {
            return Err(self.credentials(self.rest.refused(path, status, &reply)));
        }
        let reply: Value = serde_json::from_slice(&reply)
            .map_err(|error| self.unexpected(path, error.to_string()))?;
        let errors = shape::import_errors(&reply);
        if !errors.is_empty() {
            return Err(RestError::Other(format!(
                "Kibana did not take {}: {}",
                object["attributes"]["title"],
                errors.join("; ")
            )));
        }
        // Under another id nothing would lead to it.
        let results = reply["successResults"].as_array();
        let there = results.is_none_or(|results| {
            results.iter().any(|result| {
                result["type"] == object["type"]
                    && result["id"] == object["id"]
                    && result
                        .get("destinationId")
                        .is_none_or(|id| *id == object["id"])
            })
        });
        if reply["success"] != true || reply["successCount"] != 1 || !there {
            return Err(self.unexpected(path, format!("neither success nor an error: {reply}")));
        }
        Ok(())
    }

    pub async fn delete(&self, kind: &str, id: &str) -> Result<(), RestError> {
        let path = match kind {
            DATA_VIEW => format!("/api/data_views/data_view/{id}"),
            _ => format!("/api/saved_objects/{kind}/{id}"),
        };
        match self.asked(Method::DELETE, &path, None).await {
            Err(error) if error.status() == Some(404) => Ok(()),
            done => done.map(drop),
        }
    }

    /// Asked by name: all that a stack can have here is known, and a search would need more rights.
    pub async fn ours(&self, owner: &str) -> Result<Vec<Listed>, RestError> {
        let mut names: Vec<(&'static str, String)> = Vec::new();
        for (slug, source) in kibana_sources() {
            let Ok(source) = source else { continue };
            names.extend(dashboards::kibana::names(slug, &source));
        }
        // What refers to others goes before them.
        names.sort_by_key(|(kind, _)| *kind != DASHBOARD);
        let opensearch = self.probe().await?.product == shape::OPENSEARCH;
        let view = if opensearch { INDEX_PATTERN } else { DATA_VIEW };
        names.retain(|(kind, _)| opensearch || *kind != VISUALIZATION);
        names.extend(["logs", "deploys"].map(|slug| (view, slug.to_owned())));
        let mut out = Vec::new();
        for (kind, slug) in names {
            let id = id(owner, &slug);
            let Some(found) = self.read(kind, &id).await? else {
                continue;
            };
            if carries_mark(kind) && mark_of(kind, &found).is_none_or(|mark| mark.owner != owner) {
                continue;
            }
            out.push(Listed {
                system: System::Kibana,
                kind,
                id,
                address: Address::object(System::Kibana, kind, &slug).to_string(),
            });
        }
        Ok(out)
    }

    async fn asked(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, RestError> {
        self.rest
            .json(method, path, body)
            .await
            .map_err(|error| self.credentials(error))
    }

    fn unexpected(&self, path: &str, reason: String) -> RestError {
        RestError::Unexpected {
            base: self.rest.base().to_owned(),
            path: path.to_owned(),
            reason,
        }
    }

    fn credentials(&self, error: RestError) -> RestError {
        let base = self.rest.base();
        match error.status() {
            Some(401) => RestError::Other(format!(
                "Kibana at {base} does not know who asks (401): the key or password under \
                 `systems.kibana.auth` is wrong or expired"
            )),
            Some(403) => RestError::Other(format!(
                "Kibana at {base} does not allow it (403): the key needs the Kibana privileges All \
                 for Dashboard, Discover, Data View Management and Saved Objects Management in the \
                 space"
            )),
            _ => error,
        }
    }
}
