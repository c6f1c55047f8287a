//! Grafana's API for folders, data sources, dashboards, search and annotations, in memory. Statuses
//! and messages are those of Grafana 11 to 13.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64_of::basic;
use jsonschema::Validator;
use serde_json::{Value, json};

use super::judge::{contract, faults, validator};
use super::{Answer, Asked, StandIn};

pub const CONTRACT: &str = "grafana-api.json";

/// Who may ask.
#[derive(Clone)]
pub enum Key {
    Token(String),
    Basic(String, String),
}

#[derive(Default, Clone, serde::Serialize, serde::Deserialize)]
struct Kept {
    next: u64,
    folders: BTreeMap<String, Value>,
    data_sources: BTreeMap<String, Value>,
    /// With `folderUid` beside `dashboard`.
    dashboards: BTreeMap<String, Value>,
    annotations: Vec<Value>,
}

struct Judges {
    save_dashboard: Validator,
    add_source: Validator,
    update_source: Validator,
    create_folder: Validator,
    update_folder: Validator,
    annotation: Validator,
    replies: BTreeMap<&'static str, Validator>,
}

pub struct Grafana {
    key: Key,
    kept: Kept,
    /// Survives a restart where it is given.
    file: Option<PathBuf>,
    judges: Judges,
    /// Method and path of every request that was not a question.
    pub changes: Vec<String>,
    pub refused: Vec<String>,
    /// Somebody else saves this object between our reading and our writing.
    pub race: Option<String>,
}

impl Grafana {
    /// Nothing where the contract is not there.
    pub fn new(key: Key, file: Option<PathBuf>) -> Option<Self> {
        let document = contract(CONTRACT)?;
        let of = |name: &str| validator(&document, &document["definitions"][name]);
        let kept = file
            .as_ref()
            .and_then(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok());
        Some(Self {
            key,
            kept: kept.unwrap_or_default(),
            file,
            judges: Judges {
                save_dashboard: of("SaveDashboardCommand"),
                add_source: of("AddDataSourceCommand"),
                update_source: of("UpdateDataSourceCommand"),
                create_folder: of("CreateFolderCommand"),
                update_folder: of("UpdateFolderCommand"),
                annotation: of("PostAnnotationsCmd"),
                replies: ["DataSource", "Folder", "DashboardMeta"]
                    .into_iter()
                    .map(|name| (name, of(name)))
                    .collect(),
            },
            changes: Vec::new(),
            refused: Vec::new(),
            race: None,
        })
    }

    pub fn data_source(&mut self, uid: &str) -> &mut Value {
        self.kept.data_sources.get_mut(uid).unwrap()
    }
    pub fn dashboard(&mut self, uid: &str) -> &mut Value {
        self.kept.dashboards.get_mut(uid).unwrap()
    }
    /// Everything of which the name does not begin with `prefix`, as text.
    pub fn foreign(&self, prefix: &str) -> String {
        let all = [
            &self.kept.folders,
            &self.kept.data_sources,
            &self.kept.dashboards,
        ];
        all.into_iter()
            .flatten()
            .filter(|(uid, _)| !uid.starts_with(prefix))
            .map(|(uid, value)| format!("{uid} {value}"))
            .collect::<Vec<_>>()
            .join("\n")
    }
    pub fn uids(&self) -> Vec<String> {
        let kept = &self.kept;
        let all = [&kept.folders, &kept.data_sources, &kept.dashboards];
        all.into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }
    pub fn remove_secret(&mut self, uid: &str) {
        self.data_source(uid)["secureJsonFields"] = json!({});
    }

    fn number(&mut self) -> u64 {
        self.kept.next += 1;
        self.kept.next
    }

    fn known(&self, asked: &Asked<'_>) -> Result<(), Answer> {
        let given = asked
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let wanted = match &self.key {
            Key::Token(token) => format!("Bearer {token}"),
            Key::Basic(user, password) => format!("Basic {}", basic(user, password)),
        };
        match given {
            Some(given) if given == wanted => Ok(()),
            Some(_) if matches!(self.key, Key::Token(_)) => {
                Err(Answer::error(401, "Invalid API key"))
            }
            Some(_) => Err(Answer::error(401, "Invalid username or password")),
            None => Err(Answer::error(401, "Unauthorized")),
        }
    }

    fn route(&mut self, asked: &Asked<'_>) -> Result<Answer, Answer> {
        if asked.path == "/api/health" {
            return Ok(Answer::ok(
                &json!({ "database": "ok", "version": "13.2.2", "commit": "stand-in" }),
            ));
        }
        self.known(asked)?;
        let parts: Vec<&str> = asked.path.split('/').skip(1).collect();
        let Some((&"api", rest)) = parts.split_first() else {
            return Err(Answer::error(404, "Not found"));
        };
        match (asked.method, rest) {
            ("GET", ["search"]) => Ok(self.search(asked)),
            ("GET", ["datasources"]) => {
                let all: Vec<&Value> = self.kept.data_sources.values().collect();
                Ok(Answer::ok(&json!(all)))
            }
            ("POST", ["datasources"]) => self.add_source(asked),
            ("GET", ["datasources", "uid", uid]) => {
                let found = self.kept.data_sources.get(*uid);
                self.reply("DataSource", found, "Data source not found")
            }
            ("GET", ["datasources", "uid", uid, "health"]) => {
                if self.kept.data_sources.contains_key(*uid) {
                    let good = json!({ "status": "OK", "message": "answered" });
                    Ok(Answer::ok(&good))
                } else {
                    Err(Answer::error(404, "Data source not found"))
                }
            }
            ("PUT", ["datasources", "uid", uid]) => self.update_source(uid, asked),
            ("DELETE", ["datasources", "uid", uid]) => {
                let read_only = self
                    .kept
                    .data_sources
                    .get(*uid)
                    .is_some_and(|found| found["readOnly"] == true);
                if read_only {
                    return Err(Answer::error(403, "Cannot delete read-only data source"));
                }
                gone(self.kept.data_sources.remove(*uid), "Data source not found")
            }
            ("GET", ["folders"]) => {
                let all: Vec<&Value> = self.kept.folders.values().collect();
                Ok(Answer::ok(&json!(all)))
            }
            ("POST", ["folders"]) => self.add_folder(asked),
            ("GET", ["folders", uid]) => {
                let found = self.kept.folders.get(*uid);
                self.reply("Folder", found, "folder not found")
            }
            ("GET", ["folders", uid, "counts"]) => {
                let inside = self.inside(uid).len();
                Ok(Answer::ok(
                    &json!({ "folder": 0, "dashboard": inside, "alertrule": 0, "librarypanel": 0 }),
                ))
            }
            ("PUT", ["folders", uid]) => self.update_folder(uid, asked),
            ("DELETE", ["folders", uid]) => {
                // With all that is in it, as the vendor does.
                for inside in self.inside(uid) {
                    self.kept.dashboards.remove(&inside);
                }
                gone(self.kept.folders.remove(*uid), "folder not found")
            }
            ("POST", ["dashboards", "db"]) => self.save_dashboard(asked),
            ("GET", ["dashboards", "uid", uid]) => match self.kept.dashboards.get(*uid) {
                None => Err(Answer::error(404, "Dashboard not found")),
                Some(found) => {
                    let full = full(found);
                    // The schema's own word for a dashboard is another type of the same name.
                    self.reply("DashboardMeta", Some(&full["meta"]), "")?;
                    Ok(Answer::ok(&full))
                }
            },
            ("DELETE", ["dashboards", "uid", uid]) => {
                gone(self.kept.dashboards.remove(*uid), "Dashboard not found")
            }
            ("POST", ["annotations"]) => {
                let body = asked.json()?;
                judged(&self.judges.annotation, &body)?;
                self.kept.annotations.push(body);
                let id = self.kept.annotations.len();
                Ok(Answer::ok(
                    &json!({ "message": "Annotation added", "id": id }),
                ))
            }
            _ => Err(Answer::error(404, "Not found")),
        }
    }

    /// The stand-in's own answers keep to the schema too.
    fn reply(&self, name: &str, found: Option<&Value>, missing: &str) -> Result<Answer, Answer> {
        let Some(found) = found else {
            return Err(Answer::error(404, missing));
        };
        if let Some(faults) = faults(&self.judges.replies[name], found) {
            panic!("the stand-in answers what Grafana would not: {name}: {faults}");
        }
        Ok(Answer::ok(found))
    }

    fn search(&self, asked: &Asked<'_>) -> Answer {
        let mut hits = Vec::new();
        for (uid, dashboard) in &self.kept.dashboards {
            hits.push(json!({ "id": dashboard["dashboard"]["id"], "uid": uid,
                "title": dashboard["dashboard"]["title"], "type": "dash-db",
                "tags": dashboard["dashboard"]["tags"], "folderUid": dashboard["folderUid"] }));
        }
        if asked.parameter("type").is_none() {
            hits.extend(self.kept.folders.iter().map(|(uid, folder)| {
                json!({ "id": folder["id"], "uid": uid, "title": folder["title"], "type": "dash-folder", "tags": [] })
            }));
        }
        let number = |name: &str, default: usize| {
            asked
                .parameter(name)
                .and_then(|text| text.parse().ok())
                .unwrap_or(default)
        };
        let (limit, page) = (number("limit", 1000), number("page", 1));
        let page: Vec<Value> = hits
            .into_iter()
            .skip(limit * (page - 1))
            .take(limit)
            .collect();
        Answer::ok(&json!(page))
    }

    fn add_source(&mut self, asked: &Asked<'_>) -> Result<Answer, Answer> {
        let body = asked.json()?;
        judged(&self.judges.add_source, &body)?;
        let uid = body["uid"].as_str().unwrap_or_default().to_owned();
        valid_uid(&uid)?;
        let sources = self.kept.data_sources.values();
        for other in sources {
            if other["name"] == body["name"] {
                let text = "data source with the same name already exists";
                return Err(Answer::error(409, text));
            }
            if other["uid"] == body["uid"] {
                let text = "data source with the same uid already exists";
                return Err(Answer::error(409, text));
            }
        }
        let id = self.number();
        let stored = source(&body, &uid, id, 1);
        self.default_is(&stored);
        self.kept.data_sources.insert(uid, stored.clone());
        Ok(Answer::ok(
            &json!({ "id": id, "name": body["name"], "message": "Datasource added", "datasource": stored }),
        ))
    }

    fn update_source(&mut self, uid: &str, asked: &Asked<'_>) -> Result<Answer, Answer> {
        let body = asked.json()?;
        judged(&self.judges.update_source, &body)?;
        let Some(old) = self.kept.data_sources.get(uid).cloned() else {
            return Err(Answer::error(404, "Data source not found"));
        };
        if old["readOnly"] == true {
            return Err(Answer::error(403, "Cannot update read-only data source"));
        }
        if body["version"]
            .as_u64()
            .is_some_and(|v| v < old["version"].as_u64().unwrap())
        {
            let text =
                "Datasource has already been updated by someone else. Please reload and try again";
            return Err(Answer::error(409, text));
        }
        let version = old["version"].as_u64().unwrap() + 1;
        let mut stored = source(&body, uid, old["id"].as_u64().unwrap(), version);
        // Secrets that are not said again stay.
        if let (Some(before), Some(now)) = (
            old["secureJsonFields"].as_object(),
            stored["secureJsonFields"].as_object_mut(),
        ) {
            now.extend(before.clone());
        }
        self.default_is(&stored);
        self.kept
            .data_sources
            .insert(uid.to_owned(), stored.clone());
        Ok(Answer::ok(
            &json!({ "id": stored["id"], "name": body["name"], "message": "Datasource updated", "datasource": stored }),
        ))
    }

    /// One default per organisation: the last one wins.
    fn default_is(&mut self, stored: &Value) {
        if stored["isDefault"] == true {
            for other in self.kept.data_sources.values_mut() {
                other["isDefault"] = json!(false);
            }
        }
    }

    fn add_folder(&mut self, asked: &Asked<'_>) -> Result<Answer, Answer> {
        let body = asked.json()?;
        judged(&self.judges.create_folder, &body)?;
        let uid = body["uid"].as_str().unwrap_or_default().to_owned();
        valid_uid(&uid)?;
        if body["title"].as_str().unwrap_or_default().is_empty() {
            return Err(Answer::error(400, "folder title cannot be empty"));
        }
        if self.kept.folders.contains_key(&uid) {
            let text = "the folder has been changed by someone else";
            return Err(Answer::error(409, text));
        }
        let id = self.number();
        let folder = json!({ "id": id, "uid": uid, "orgId": 1, "title": body["title"], "version": 1,
            "url": format!("/dashboards/f/{uid}/x"), "hasAcl": false, "canSave": true, "canEdit": true,
            "canAdmin": true, "canDelete": true, "createdBy": "sa", "updatedBy": "sa",
            "created": "2026-11-24T00:00:00Z", "updated": "2026-11-24T00:00:00Z" });
        self.kept.folders.insert(uid, folder.clone());
        Ok(Answer::ok(&folder))
    }

    fn update_folder(&mut self, uid: &str, asked: &Asked<'_>) -> Result<Answer, Answer> {
        let body = asked.json()?;
        judged(&self.judges.update_folder, &body)?;
        let Some(folder) = self.kept.folders.get_mut(uid) else {
            return Err(Answer::error(404, "folder not found"));
        };
        if body["overwrite"] != true && body["version"] != folder["version"] {
            return Err(mismatch("the folder has been changed by someone else"));
        }
        folder["title"] = body["title"].clone();
        folder["version"] = json!(folder["version"].as_u64().unwrap() + 1);
        Ok(Answer::ok(folder))
    }

    fn inside(&self, folder: &str) -> Vec<String> {
        let all = self.kept.dashboards.iter();
        all.filter(|(_, dashboard)| dashboard["folderUid"] == folder)
            .map(|(uid, _)| uid.clone())
            .collect()
    }

    fn save_dashboard(&mut self, asked: &Asked<'_>) -> Result<Answer, Answer> {
        let body = asked.json()?;
        judged(&self.judges.save_dashboard, &body)?;
        let mut dashboard = body["dashboard"].clone();
        if dashboard["title"]
            .as_str()
            .unwrap_or_default()
            .trim()
            .is_empty()
        {
            return Err(Answer::error(400, "Dashboard title cannot be empty"));
        }
        let uid = dashboard["uid"].as_str().unwrap_or_default().to_owned();
        valid_uid(&uid)?;
        if dashboard.get("__inputs").is_some() || dashboard.get("__kai").is_some() {
            return Err(Answer::error(400, "bad request data"));
        }
        let folder = body["folderUid"].as_str().unwrap_or_default().to_owned();
        if !folder.is_empty() && !self.kept.folders.contains_key(&folder) {
            return Err(Answer::error(404, "folder not found"));
        }
        let old = self.kept.dashboards.get(&uid).cloned();
        let (id, version) = match &old {
            None if !dashboard["id"].is_null() => {
                return Err(Answer::error(404, "Dashboard not found"));
            }
            None => (self.number(), 1),
            Some(old) => {
                let old = &old["dashboard"];
                if body["overwrite"] != true && dashboard["version"] != old["version"] {
                    return Err(mismatch("The dashboard has been changed by someone else"));
                }
                (
                    old["id"].as_u64().unwrap(),
                    old["version"].as_u64().unwrap() + 1,
                )
            }
        };
        dashboard["id"] = json!(id);
        dashboard["version"] = json!(version);
        let stored = json!({ "folderUid": folder, "dashboard": dashboard });
        self.kept.dashboards.insert(uid.clone(), stored);
        Ok(Answer::ok(
            &json!({ "id": id, "uid": uid, "version": version, "status": "success", "title": "", "url": "" }),
        ))
    }

    /// The race that a test asked for.
    fn interfere(&mut self, asked: &Asked<'_>) {
        if !matches!(asked.method, "POST" | "PUT") {
            return;
        }
        let Some(uid) = self.race.take() else { return };
        if let Some(found) = self.kept.data_sources.get_mut(&uid) {
            found["version"] = json!(found["version"].as_u64().unwrap() + 1);
        }
        if let Some(found) = self.kept.dashboards.get_mut(&uid) {
            let version = found["dashboard"]["version"].as_u64().unwrap() + 1;
            found["dashboard"]["version"] = json!(version);
        }
    }
}

impl StandIn for Grafana {
    fn answer(&mut self, asked: &Asked<'_>) -> Answer {
        self.interfere(asked);
        let what = format!("{} {}", asked.method, asked.path);
        let answer = match self.route(asked) {
            Ok(answer) | Err(answer) => answer,
        };
        if answer.status == 404 && asked.method == "GET" {
            return answer;
        }
        if answer.status >= 400 {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            self.refused
                .push(format!("{what}: {} {text}", answer.status));
        } else if asked.method != "GET" {
            self.changes.push(what);
            if let Some(file) = &self.file {
                std::fs::write(file, serde_json::to_vec(&self.kept).unwrap()).unwrap();
            }
        }
        answer
    }
}

fn judged(judge: &Validator, body: &Value) -> Result<(), Answer> {
    match faults(judge, body) {
        None => Ok(()),
        Some(faults) => Err(Answer::error(400, &format!("bad request data: {faults}"))),
    }
}

fn gone(removed: Option<Value>, missing: &str) -> Result<Answer, Answer> {
    match removed {
        Some(_) => Ok(Answer::ok(&json!({ "message": "deleted" }))),
        None => Err(Answer::error(404, missing)),
    }
}

fn mismatch(message: &str) -> Answer {
    Answer::json(
        412,
        &json!({ "message": message, "status": "version-mismatch" }),
    )
}

fn valid_uid(uid: &str) -> Result<(), Answer> {
    if uid.len() > 40 {
        return Err(Answer::error(400, "uid too long, max 40 characters"));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if uid.is_empty() || !uid.chars().all(good) {
        return Err(Answer::error(400, "uid contains illegal characters"));
    }
    Ok(())
}

fn full(stored: &Value) -> Value {
    json!({
        "meta": { "type": "db", "canSave": true, "canEdit": true, "canAdmin": true, "canStar": true,
            "canDelete": true, "slug": "x", "url": "/d/x", "version": stored["dashboard"]["version"],
            "hasAcl": false, "isFolder": false, "folderUid": stored["folderUid"], "folderTitle": "x",
            "provisioned": false, "created": "2026-11-24T00:00:00Z", "updated": "2026-11-24T00:00:00Z" },
        "dashboard": stored["dashboard"],
    })
}

fn source(body: &Value, uid: &str, id: u64, version: u64) -> Value {
    let text = |key: &str| json!(body[key].as_str().unwrap_or_default());
    let flag = |key: &str| json!(body[key].as_bool().unwrap_or_default());
    let secrets = body["secureJsonData"].as_object().into_iter().flatten();
    let set: serde_json::Map<String, Value> =
        secrets.map(|(key, _)| (key.clone(), json!(true))).collect();
    json!({
        "id": id, "uid": uid, "orgId": 1, "version": version, "readOnly": false,
        "typeLogoUrl": "public/plugins/x/img/logo.svg",
        "name": text("name"), "type": text("type"), "access": text("access"), "url": text("url"),
        "user": text("user"), "database": text("database"), "basicAuth": flag("basicAuth"),
        "basicAuthUser": text("basicAuthUser"), "withCredentials": flag("withCredentials"),
        "isDefault": flag("isDefault"), "secureJsonFields": set,
        "jsonData": if body["jsonData"].is_null() { json!({}) } else { body["jsonData"].clone() },
    })
}

mod base64_of {
    /// `user:password` in base 64, as RFC 7617 wants it.
    pub fn basic(user: &str, password: &str) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text = format!("{user}:{password}");
        let mut out = String::new();
        for chunk in text.as_bytes().chunks(3) {
            let mut bits = 0_u32;
            for n in 0..3 {
                bits = bits << 8 | u32::from(chunk.get(n).copied().unwrap_or_default());
            }
            for n in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * n)) as usize & 63];
                out.push(if n <= chunk.len() {
                    char::from(digit)
                } else {
                    '='
                });
            }
        }
        out
    }
}
