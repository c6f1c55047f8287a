//! Folders, data sources and dashboards of Grafana, over its HTTP API. What is said of an object
//! here, `systems/grafana/shape.rs` compares and marks.
//!
//! Paths and bodies: <https://grafana.com/docs/grafana/latest/developers/http_api/>. Nothing is
//! ever overwritten that changed since it was read: versions go along with every update.

mod shape;

use reqwest::Method;
use serde_json::{Value, json};

use super::objects::Listed;
use super::rest::{Rest, RestError};
use super::secret;
use crate::model::Connection;
use crate::object::{Mark, Object, Server, System, id, id_prefix};
use crate::resource::Address;

pub use shape::{carries_mark, fit, mark_of, marked, project};

pub const FOLDER: &str = "folder";
pub const DATA_SOURCE: &str = "data-source";
pub const DASHBOARD: &str = "dashboard";

/// Tag of every dashboard of ours, and of the annotations that events make.
pub const TAG: &str = "kai-observe";
/// The one folder of a stack.
pub const FOLDER_SLUG: &str = "folder";

pub struct Grafana {
    rest: Rest,
}

impl Grafana {
    pub fn new(access: &Connection) -> Result<Self, RestError> {
        Ok(Self {
            rest: Rest::new(access)?,
        })
    }

    /// Its health, which needs no credentials, and then whether ours are taken.
    pub async fn probe(&self) -> Result<Server, RestError> {
        let health = self
            .rest
            .json(Method::GET, "/api/health", None)
            .await
            .map_err(not_grafana)?;
        let path = "/api/search?limit=1";
        self.rest
            .json(Method::GET, path, None)
            .await
            .map_err(|error| self.credentials(error))?;
        Ok(Server {
            product: "grafana".to_owned(),
            version: health["version"].as_str().unwrap_or_default().to_owned(),
            features: std::collections::BTreeSet::new(),
        })
    }

    pub async fn read(&self, kind: &str, id: &str) -> Result<Option<Value>, RestError> {
        let found = self
            .rest
            .get(&path_of(kind, id))
            .await
            .map_err(|error| self.credentials(error))?;
        Ok(found.map(|found| match kind {
            // Which folder it lies in is not part of the dashboard itself.
            DASHBOARD => json!({
                "folderUid": found["meta"]["folderUid"],
                "dashboard": found["dashboard"],
            }),
            _ => found,
        }))
    }

    pub async fn write(
        &self,
        object: &Object,
        body: &Value,
        actual: Option<&Value>,
    ) -> Result<(), RestError> {
        let (method, path, body) = match object.kind {
            FOLDER => folder_request(object, body, actual),
            DATA_SOURCE => data_source_request(object, body, actual),
            _ => dashboard_request(object, body, actual),
        };
        let mut body = body;
        let mut secrets = Vec::new();
        for (place, reference) in &object.secrets {
            let value = secret::resolve(reference)?;
            shape::put(&mut body, place, value.expose());
            secrets.push(value);
        }
        match self.rest.json(method, &path, Some(&body)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(hide(error, &secrets), object)),
        }
    }

    pub async fn delete(&self, kind: &str, id: &str) -> Result<(), RestError> {
        if kind == FOLDER {
            // Grafana deletes all that lies in a folder with it.
            let inside = self.inside(id).await?;
            if inside > 0 {
                return Err(RestError::Kept(format!(
                    "the folder {id} of Grafana holds {inside} things that are not of this stack; \
                     it is left alone"
                )));
            }
        }
        match self
            .rest
            .json(Method::DELETE, &path_of(kind, id), None)
            .await
        {
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => Err(self.credentials(error)),
            Ok(_) => Ok(()),
        }
    }

    /// Dashboards and data sources that have our name and our mark; the folder, which has no place
    /// for a mark, by its whole name. The folder comes last: it goes only when it is empty.
    pub async fn ours(&self, owner: &str) -> Result<Vec<Listed>, RestError> {
        let prefix = id_prefix(owner);
        let mut out = Vec::new();
        for kind in [DASHBOARD, DATA_SOURCE] {
            for uid in self.uids(kind).await? {
                if !uid.starts_with(&prefix) {
                    continue;
                }
                let Some(found) = self.read(kind, &uid).await? else {
                    continue;
                };
                if let Some(mark) = mark_of(kind, &found)
                    && mark.owner == owner
                {
                    out.push(listed(kind, uid, mark));
                }
            }
        }
        let folder = id(owner, FOLDER_SLUG);
        if self.read(FOLDER, &folder).await?.is_some() {
            let address = Address::object(System::Grafana, FOLDER, FOLDER_SLUG);
            out.push(Listed {
                system: System::Grafana,
                kind: FOLDER,
                id: folder,
                address: address.to_string(),
            });
        }
        Ok(out)
    }

    /// Dashboards, folders and data sources that people made there.
    pub async fn guests(&self, owner: &str) -> Result<Vec<String>, RestError> {
        let ours: Vec<String> = self
            .ours(owner)
            .await?
            .into_iter()
            .map(|listed| listed.id)
            .collect();
        let mut out = Vec::new();
        for (kind, path) in [
            (FOLDER, "/api/folders?limit=1000"),
            (DASHBOARD, "/api/search?type=dash-db&limit=5000"),
            (DATA_SOURCE, "/api/datasources"),
        ] {
            let found = uids_of(&self.asked(path).await?);
            let others = found.iter().filter(|uid| !ours.contains(uid));
            out.extend(others.map(|uid| format!("{kind} {uid}")));
        }
        Ok(out)
    }

    async fn uids(&self, kind: &str) -> Result<Vec<String>, RestError> {
        if kind == DATA_SOURCE {
            return Ok(uids_of(&self.asked("/api/datasources").await?));
        }
        // A person may have taken the tag away; the name stays.
        const PAGE: usize = 1000;
        let mut all = Vec::new();
        for page in 1.. {
            let path = format!("/api/search?type=dash-db&limit={PAGE}&page={page}");
            let found = uids_of(&self.asked(&path).await?);
            let last = found.len() < PAGE;
            all.extend(found);
            if last {
                break;
            }
        }
        Ok(all)
    }

    /// How many things a folder holds, of any kind.
    async fn inside(&self, folder: &str) -> Result<u64, RestError> {
        let counts = self.asked(&format!("/api/folders/{folder}/counts")).await?;
        let sum = |counts: &serde_json::Map<String, Value>| {
            counts.values().filter_map(Value::as_u64).sum::<u64>()
        };
        Ok(counts.as_object().map_or(0, sum))
    }

    /// Whether a data source reaches what it names, in Grafana's own words.
    pub async fn data_source_health(&self, uid: &str) -> Result<String, RestError> {
        let path = format!("/api/datasources/uid/{uid}/health");
        let reply = self.asked(&path).await?;
        let message = reply["message"].as_str().unwrap_or_default().to_owned();
        match reply["status"].as_str() {
            Some("OK") => Ok(message),
            _ => Err(RestError::Other(message)),
        }
    }

    async fn asked(&self, path: &str) -> Result<Value, RestError> {
        self.rest
            .json(Method::GET, path, None)
            .await
            .map_err(|error| self.credentials(error))
    }

    /// 401 and 403 in words that say what to do.
    fn credentials(&self, error: RestError) -> RestError {
        let base = self.rest.base();
        match error.status() {
            Some(401) => RestError::Other(format!(
                "Grafana at {base} does not know who asks (401): the token or password under \
                 `systems.grafana.auth` is wrong or expired; for a managed one, \
                 data/grafana/secrets was changed after its database was made"
            )),
            Some(403) => RestError::Other(format!(
                "Grafana at {base} does not allow it (403): its service account needs the role \
                 Admin for data sources, Editor for folders and dashboards; it answered: {}",
                said(&error)
            )),
            _ => error,
        }
    }

    fn explain(&self, error: RestError, object: &Object) -> RestError {
        let (kind, id) = (object.kind, &object.id);
        match error.status() {
            Some(409 | 412) if said(&error).contains("name") => RestError::Other(format!(
                "Grafana has another {kind} with the name of {id}, which is not of this stack: \
                 rename or delete it there; it answered: {}",
                said(&error)
            )),
            Some(409 | 412) => RestError::Other(format!(
                "somebody changed the {kind} {id} in Grafana at this very moment, and nothing was \
                 overwritten; run the same command again; it answered: {}",
                said(&error)
            )),
            Some(403) if said(&error).contains("read-only") => RestError::Other(format!(
                "the {kind} {id} was made by a provisioning file of Grafana itself and can only be \
                 changed there"
            )),
            _ => self.credentials(error),
        }
    }
}

fn not_grafana(error: RestError) -> RestError {
    match error {
        RestError::Refused { base, status, .. } if status == 404 || status == 405 => {
            RestError::Other(format!(
                "{base}/api/health answered {status}: that is no Grafana; look at \
                 `systems.grafana.url`"
            ))
        }
        other => other,
    }
}

fn listed(kind: &'static str, id: String, mark: Mark) -> Listed {
    Listed {
        system: System::Grafana,
        kind,
        id,
        address: mark.address,
    }
}

fn uids_of(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| item["uid"].as_str().map(ToOwned::to_owned))
        .collect()
}

fn path_of(kind: &str, id: &str) -> String {
    match kind {
        FOLDER => format!("/api/folders/{id}"),
        DATA_SOURCE => format!("/api/datasources/uid/{id}"),
        _ => format!("/api/dashboards/uid/{id}"),
    }
}

type Request = (Method, String, Value);

fn folder_request(object: &Object, body: &Value, actual: Option<&Value>) -> Request {
    let mut body = body.clone();
    match actual {
        Some(actual) => {
            body["version"] = actual["version"].clone();
            body["overwrite"] = json!(false);
            (Method::PUT, path_of(FOLDER, &object.id), body)
        }
        None => {
            body["uid"] = json!(object.id);
            (Method::POST, "/api/folders".to_owned(), body)
        }
    }
}

fn data_source_request(object: &Object, body: &Value, actual: Option<&Value>) -> Request {
    let mut body = body.clone();
    body["uid"] = json!(object.id);
    if let Value::Object(map) = &mut body {
        // Which secrets are set is an answer, never a question.
        map.remove("secureJsonFields");
    }
    let Some(actual) = actual else {
        return (Method::POST, "/api/datasources".to_owned(), body);
    };
    body["version"] = actual["version"].clone();
    if body.get("isDefault").is_none() {
        body["isDefault"] = json!(actual["isDefault"].as_bool().unwrap_or(false));
    }
    (Method::PUT, path_of(DATA_SOURCE, &object.id), body)
}

fn dashboard_request(object: &Object, body: &Value, actual: Option<&Value>) -> Request {
    let mut dashboard = body["dashboard"].clone();
    dashboard["uid"] = json!(object.id);
    dashboard["id"] = Value::Null;
    if let Some(actual) = actual {
        dashboard["id"] = actual["dashboard"]["id"].clone();
        dashboard["version"] = actual["dashboard"]["version"].clone();
    }
    let body = json!({
        "dashboard": dashboard,
        "folderUid": body["folderUid"],
        "message": "kai-observe provision",
        "overwrite": false,
    });
    (Method::POST, "/api/dashboards/db".to_owned(), body)
}

/// What the server said, without its envelope.
fn said(error: &RestError) -> String {
    let RestError::Refused { body, .. } = error else {
        return error.to_string();
    };
    serde_json::from_str::<Value>(body)
        .ok()
        .and_then(|reply| reply["message"].as_str().map(ToOwned::to_owned))
        .unwrap_or_else(|| body.clone())
}

/// A server may repeat what it refused.
fn hide(error: RestError, secrets: &[secret::Value]) -> RestError {
    match error {
        RestError::Refused {
            base,
            path,
            status,
            mut body,
        } => {
            for secret in secrets {
                body = body.replace(secret.expose(), "…");
            }
            RestError::Refused {
                base,
                path,
                status,
                body,
            }
        }
        other => other,
    }
}
