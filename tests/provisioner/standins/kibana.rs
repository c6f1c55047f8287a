//! Kibana's API for status, data views and saved objects (import, export, delete), in memory. An
//! imported dashboard is judged by the published schema of the Dashboards API, in whose words it is
//! put first; data views and replies follow Elastic's API pages.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::judge::{contract, faults, validator};
use super::{Answer, Asked, StandIn};

pub const CONTRACT: &str = "kibana-dashboards-api.json";

/// What a data view may say, by Elastic's "Create data view" page.
const DATA_VIEW_KEYS: [&str; 13] = [
    "id",
    "title",
    "name",
    "timeFieldName",
    "allowNoIndex",
    "fieldAttrs",
    "fieldFormats",
    "fields",
    "namespaces",
    "runtimeFieldMap",
    "sourceFilters",
    "type",
    "typeMeta",
];

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Kept {
    /// `type/id` → the object.
    objects: BTreeMap<String, Value>,
}

pub struct Kibana {
    api_key: Option<String>,
    kept: Kept,
    file: Option<PathBuf>,
    dashboard: Validator,
    pub version: String,
    /// OpenSearch Dashboards: another header, no data views' API, saved objects by its own mappings,
    /// which are strict (`dynamic: strict` in its index).
    pub opensearch: bool,
    /// `/s/<space>`, or nothing.
    pub space: String,
    pub changes: Vec<String>,
    pub refused: Vec<String>,
}

impl Kibana {
    /// Nothing where the contract is not there.
    pub fn new(api_key: Option<&str>, file: Option<PathBuf>) -> Option<Self> {
        let document = contract(CONTRACT)?;
        let post = &document["paths"]["/api/dashboards/dashboard"]["post"];
        let body = &post["requestBody"]["content"]["application/json; Elastic-Api-Version=1"];
        let schema = &body["schema"]["properties"]["data"];
        let kept = file
            .as_ref()
            .and_then(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok());
        Some(Self {
            api_key: api_key.map(ToOwned::to_owned),
            kept: kept.unwrap_or_default(),
            file,
            dashboard: validator(&document, schema),
            version: "9.5.3".into(),
            opensearch: false,
            space: String::new(),
            changes: Vec::new(),
            refused: Vec::new(),
        })
    }

    /// Everything of which the id does not begin with `prefix`, as text.
    pub fn foreign(&self, prefix: &str) -> String {
        let all = self.kept.objects.iter();
        all.filter(|(_, object)| !object["id"].as_str().unwrap().starts_with(prefix))
            .map(|(key, object)| format!("{key} {object}"))
            .collect::<Vec<_>>()
            .join("\n")
    }
    pub fn keys(&self) -> Vec<String> {
        self.kept.objects.keys().cloned().collect()
    }
    pub fn object(&mut self, key: &str) -> &mut Value {
        self.kept.objects.get_mut(key).unwrap()
    }
    pub fn put(&mut self, kind: &str, id: &str, attributes: Value) {
        let object = json!({ "type": kind, "id": id, "attributes": attributes, "references": [] });
        self.kept.objects.insert(format!("{kind}/{id}"), object);
    }

    fn route(&mut self, asked: &Asked<'_>) -> Result<Answer, Answer> {
        let Some(path) = asked.path.strip_prefix(self.space.as_str()) else {
            return Err(refusal(404, "Not Found"));
        };
        let header = |name: &str| asked.headers.get(name).and_then(|v| v.to_str().ok());
        if let Some(key) = &self.api_key {
            let wanted = format!("ApiKey {key}");
            match header("authorization") {
                Some(given) if given == wanted => {}
                None if path == "/api/status" => {
                    return Ok(Answer::ok(
                        &json!({ "status": { "overall": { "level": "available" } } }),
                    ));
                }
                _ => return Err(refusal(401, "security_exception")),
            }
        }
        let xsrf = if self.opensearch {
            "osd-xsrf"
        } else {
            "kbn-xsrf"
        };
        if asked.method != "GET" && header(xsrf).is_none() {
            return Err(refusal(
                400,
                &format!("Request must contain a {xsrf} header."),
            ));
        }
        if self.opensearch && path.starts_with("/api/data_views") {
            return Err(refusal(404, "Not Found"));
        }
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (asked.method, parts.as_slice()) {
            ("GET", ["api", "status"]) => Ok(Answer::ok(&json!({
                "name": "stand-in", "version": { "number": self.version },
                "status": { "overall": { "level": "available" } },
            }))),
            ("GET", ["api", "data_views"]) => Ok(Answer::ok(&json!({ "data_view": [] }))),
            ("POST", ["api", "data_views", "data_view"]) => self.add_view(&asked.json()?),
            ("GET", ["api", "data_views", "data_view", id]) => {
                let found = self.kept.objects.get(&format!("index-pattern/{id}"));
                found.map(view_reply).ok_or_else(|| not_found(id))
            }
            ("POST", ["api", "data_views", "data_view", id]) => {
                self.update_view(id, &asked.json()?)
            }
            ("DELETE", ["api", "data_views", "data_view", id]) => self.remove("index-pattern", id),
            ("DELETE", ["api", "saved_objects", kind, id]) => self.remove(kind, id),
            ("POST", ["api", "saved_objects", "_export"]) => self.export(&asked.json()?),
            ("POST", ["api", "saved_objects", "_import"]) => self.import(asked),
            _ => Err(refusal(404, "Not Found")),
        }
    }

    fn remove(&mut self, kind: &str, id: &str) -> Result<Answer, Answer> {
        match self.kept.objects.remove(&format!("{kind}/{id}")) {
            Some(_) => Ok(Answer::ok(&json!({}))),
            None => Err(not_found(id)),
        }
    }

    fn add_view(&mut self, body: &Value) -> Result<Answer, Answer> {
        only(body, &["data_view", "override"])?;
        let view = body["data_view"].clone();
        only(&view, &DATA_VIEW_KEYS)?;
        let Some(title) = view["title"].as_str() else {
            return Err(refusal(
                400,
                "[request body.data_view.title]: expected value of type [string]",
            ));
        };
        let double = self.kept.objects.values().any(|other| {
            other["type"] == "index-pattern"
                && (other["attributes"]["title"] == title
                    || other["attributes"]["name"] == view["name"])
        });
        if double && body["override"] != true {
            return Err(refusal(400, &format!("Duplicate data view: {title}")));
        }
        let id = view["id"].as_str().unwrap_or_default().to_owned();
        self.put("index-pattern", &id, view);
        Ok(view_reply(
            &self.kept.objects[&format!("index-pattern/{id}")],
        ))
    }

    fn update_view(&mut self, id: &str, body: &Value) -> Result<Answer, Answer> {
        only(body, &["data_view", "refresh_fields"])?;
        // The id cannot be changed.
        only(&body["data_view"], &DATA_VIEW_KEYS[1..])?;
        let Some(object) = self.kept.objects.get_mut(&format!("index-pattern/{id}")) else {
            return Err(not_found(id));
        };
        for (key, value) in body["data_view"].as_object().unwrap() {
            object["attributes"][key] = value.clone();
        }
        Ok(view_reply(object))
    }

    fn export(&self, body: &Value) -> Result<Answer, Answer> {
        only(
            body,
            &[
                "objects",
                "excludeExportDetails",
                "includeReferencesDeep",
                "type",
            ],
        )?;
        let mut lines = String::new();
        let mut missing = Vec::new();
        for wanted in body["objects"].as_array().into_iter().flatten() {
            let (kind, id) = (
                wanted["type"].as_str().unwrap(),
                wanted["id"].as_str().unwrap(),
            );
            match self.kept.objects.get(&format!("{kind}/{id}")) {
                Some(object) => {
                    let mut object = object.clone();
                    for (key, value) in [
                        ("coreMigrationVersion", json!("8.8.0")),
                        ("typeMigrationVersion", json!("10.3.0")),
                        ("updated_at", json!("2026-11-24T00:00:00.000Z")),
                        ("created_at", json!("2026-11-24T00:00:00.000Z")),
                        ("version", json!("WzEsMV0=")),
                        ("managed", json!(false)),
                    ] {
                        object[key] = value;
                    }
                    lines.push_str(&format!("{object}\n"));
                }
                None => missing.push(json!({ "id": id, "type": kind, "error": { "statusCode": 404,
                    "error": "Not Found", "message": format!("Saved object [{kind}/{id}] not found") } })),
            }
        }
        if !missing.is_empty() {
            return Err(Answer::json(
                400,
                &json!({ "statusCode": 400, "error": "Bad Request",
                "message": "Error fetching objects to export", "attributes": { "objects": missing } }),
            ));
        }
        Ok(Answer {
            status: 200,
            body: lines.into_bytes(),
        })
    }

    fn import(&mut self, asked: &Asked<'_>) -> Result<Answer, Answer> {
        let overwrite = asked.parameter("overwrite").is_some_and(|v| v == "true");
        let kind = asked.headers.get("content-type");
        let kind = kind.and_then(|v| v.to_str().ok()).unwrap_or_default();
        let Some(boundary) = kind.strip_prefix("multipart/form-data; boundary=") else {
            return Err(refusal(415, "Unsupported Media Type"));
        };
        let text = String::from_utf8_lossy(asked.body).into_owned();
        let part = text
            .strip_prefix(&format!("--{boundary}\r\n"))
            .and_then(|rest| rest.split_once(&format!("\r\n--{boundary}--")))
            .and_then(|(part, _)| part.split_once("\r\n\r\n"));
        let Some((head, file)) = part else {
            return Err(refusal(400, "Unexpected end of multipart data"));
        };
        if !head.contains("name=\"file\"") || !head.contains(".ndjson\"") {
            return Err(refusal(400, "Invalid file extension"));
        }
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for line in file.lines().filter(|line| !line.trim().is_empty()) {
            let object: Value =
                serde_json::from_str(line).map_err(|_| refusal(400, "Unexpected token in JSON"))?;
            let (kind, id) = (
                object["type"].as_str().unwrap_or_default().to_owned(),
                object["id"].as_str().unwrap_or_default().to_owned(),
            );
            let mut error = |what: Value| {
                errors.push(json!({ "type": kind, "id": id, "meta": {}, "error": what }));
            };
            let known: &[&str] = if self.opensearch {
                &["dashboard", "search", "visualization", "index-pattern"]
            } else {
                &["dashboard", "search"]
            };
            if !known.contains(&kind.as_str()) {
                error(json!({ "type": "unsupported_type" }));
                continue;
            }
            let missing: Vec<&Value> = object["references"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|reference| {
                    let key = format!(
                        "{}/{}",
                        reference["type"].as_str().unwrap_or_default(),
                        reference["id"].as_str().unwrap_or_default()
                    );
                    !self.kept.objects.contains_key(&key)
                })
                .collect();
            if !missing.is_empty() {
                error(json!({ "type": "missing_references", "references": missing }));
                continue;
            }
            let key = format!("{kind}/{id}");
            if self.kept.objects.contains_key(&key) && !overwrite {
                error(json!({ "type": "conflict" }));
                continue;
            }
            if let Some(why) = self.judge(&kind, &object) {
                error(json!({ "type": "unknown", "message": why, "statusCode": 400 }));
                continue;
            }
            results.push(json!({ "type": kind, "id": id, "meta": {} }));
            self.kept.objects.insert(key, object);
        }
        let mut reply = json!({ "success": errors.is_empty(), "successCount": results.len(),
            "warnings": [], "successResults": results });
        if !errors.is_empty() {
            reply["errors"] = json!(errors);
        }
        Ok(Answer::ok(&reply))
    }

    /// What is wrong with an object that is imported.
    fn judge(&self, kind: &str, object: &Value) -> Option<String> {
        if let Err(why) = known(object, &["type", "id", "attributes", "references"]) {
            return Some(why);
        }
        let attributes = &object["attributes"];
        if self.opensearch {
            return osd_object(kind, attributes, &object["references"]).err();
        }
        let meta = attributes["kibanaSavedObjectMeta"]["searchSourceJSON"].as_str();
        let Some(search) = meta.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
            return Some("searchSourceJSON is no JSON".into());
        };
        if kind == "search" {
            let keys = [
                "title",
                "description",
                "columns",
                "sort",
                "grid",
                "hideChart",
                "isTextBasedQuery",
                "kibanaSavedObjectMeta",
            ];
            return known(attributes, &keys).err();
        }
        let keys = [
            "title",
            "description",
            "panelsJSON",
            "optionsJSON",
            "kibanaSavedObjectMeta",
            "timeRestore",
            "timeFrom",
            "timeTo",
            "refreshInterval",
            "controlGroupInput",
            "sections",
            "version",
        ];
        if let Err(why) = known(attributes, &keys) {
            return Some(why);
        }
        match in_api_words(attributes, &search, &object["references"]) {
            Ok(data) => faults(&self.dashboard, &data),
            Err(why) => Some(why),
        }
    }
}

/// What is wrong with a saved object by the mappings of OpenSearch Dashboards, and with what stands as
/// text in it.
fn osd_object(kind: &str, attributes: &Value, references: &Value) -> Result<(), String> {
    let parsed = |key: &str| -> Result<Value, String> {
        let text = attributes[key]
            .as_str()
            .ok_or(format!("{key} is no text"))?;
        serde_json::from_str(text).map_err(|error| format!("{key}: {error}"))
    };
    let names: Vec<&str> = references
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|reference| reference["name"].as_str())
        .collect();
    if kind == "index-pattern" {
        known(
            attributes,
            &[
                "title",
                "timeFieldName",
                "fieldFormatMap",
                "fields",
                "sourceFilters",
                "type",
                "typeMeta",
            ],
        )?;
        return parsed("fieldFormatMap").map(drop);
    }
    let search = attributes["kibanaSavedObjectMeta"]["searchSourceJSON"].as_str();
    let search: Value = search
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or("searchSourceJSON is no JSON")?;
    let refers = |name: &Value| name.as_str().is_some_and(|name| names.contains(&name));
    if kind != "dashboard" && !refers(&search["indexRefName"]) {
        return Err("Could not find reference for its index".into());
    }
    match kind {
        "search" => known(
            attributes,
            &[
                "title",
                "description",
                "hits",
                "columns",
                "sort",
                "version",
                "kibanaSavedObjectMeta",
            ],
        ),
        "visualization" => {
            known(
                attributes,
                &[
                    "title",
                    "description",
                    "visState",
                    "uiStateJSON",
                    "version",
                    "kibanaSavedObjectMeta",
                ],
            )?;
            parsed("uiStateJSON")?;
            chart(&parsed("visState")?)
        }
        _ => {
            known(
                attributes,
                &[
                    "title",
                    "description",
                    "hits",
                    "panelsJSON",
                    "optionsJSON",
                    "version",
                    "timeRestore",
                    "timeFrom",
                    "timeTo",
                    "refreshInterval",
                    "kibanaSavedObjectMeta",
                ],
            )?;
            parsed("optionsJSON")?;
            for panel in parsed("panelsJSON")?.as_array().into_iter().flatten() {
                if panel["gridData"]["i"] != panel["panelIndex"] || !refers(&panel["panelRefName"])
                {
                    return Err(format!(
                        "Could not find reference for {}",
                        panel["panelRefName"]
                    ));
                }
            }
            Ok(())
        }
    }
}

/// A chart's type, and that its aggregations are told apart and ordered by one that is there.
fn chart(state: &Value) -> Result<(), String> {
    known(state, &["title", "type", "params", "aggs"])?;
    let kind = state["type"].as_str().unwrap_or_default();
    if !["histogram", "line", "metric", "table"].contains(&kind) {
        return Err(format!("Invalid type: {kind}"));
    }
    let aggs = state["aggs"].as_array().ok_or("no aggs")?;
    let ids: Vec<&str> = aggs.iter().filter_map(|agg| agg["id"].as_str()).collect();
    for (n, agg) in aggs.iter().enumerate() {
        known(agg, &["id", "enabled", "type", "schema", "params"])?;
        if ids.iter().filter(|id| **id == ids[n]).count() != 1 {
            return Err(format!("the id {} stands twice", ids[n]));
        }
        if let Some(by) = agg["params"]["orderBy"].as_str()
            && !ids.contains(&by.split('.').next().unwrap_or(by))
        {
            return Err(format!("ordered by {by}, which is not there"));
        }
        let schema = agg["schema"].as_str().unwrap_or_default();
        let fits = match kind {
            "metric" => schema == "metric",
            "table" => ["metric", "bucket"].contains(&schema),
            _ => ["metric", "segment", "group"].contains(&schema),
        };
        if !fits {
            return Err(format!("a {kind} has no {schema}"));
        }
    }
    Ok(())
}

/// A stored dashboard in the words of the Dashboards API.
fn in_api_words(attributes: &Value, search: &Value, references: &Value) -> Result<Value, String> {
    let parsed = |key: &str| -> Result<Value, String> {
        let text = attributes[key]
            .as_str()
            .ok_or(format!("{key} is no text"))?;
        serde_json::from_str(text).map_err(|error| format!("{key}: {error}"))
    };
    let mut panels = Vec::new();
    for panel in parsed("panelsJSON")?.as_array().into_iter().flatten() {
        known(
            panel,
            &[
                "type",
                "panelIndex",
                "gridData",
                "embeddableConfig",
                "panelRefName",
                "title",
                "version",
            ],
        )?;
        if panel["gridData"]["i"] != panel["panelIndex"] {
            return Err("gridData.i is not the panelIndex".into());
        }
        let mut config = panel["embeddableConfig"].clone();
        config["title"] = panel["title"].clone();
        let mut grid = panel["gridData"].clone();
        grid.as_object_mut().unwrap().remove("i");
        panels.push(json!({ "config": config, "type": panel["type"], "grid": grid, "uid": panel["panelIndex"] }));
    }
    Ok(json!({
        "title": attributes["title"],
        "description": attributes["description"],
        "panels": panels,
        "options": parsed("optionsJSON")?,
        "query": search["query"],
        "filters": search["filter"],
        "references": references,
        "refreshInterval": attributes["refreshInterval"],
        "timeRange": { "from": attributes["timeFrom"], "to": attributes["timeTo"] },
    }))
}

impl StandIn for Kibana {
    fn answer(&mut self, asked: &Asked<'_>) -> Answer {
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
        } else if asked.method != "GET" && !asked.path.ends_with("_export") {
            self.changes.push(what);
            if let Some(file) = &self.file {
                std::fs::write(file, serde_json::to_vec(&self.kept).unwrap()).unwrap();
            }
        }
        answer
    }
}

fn view_reply(object: &Value) -> Answer {
    let mut view = object["attributes"].clone();
    for (key, value) in [
        ("version", json!("WzEsMV0=")),
        ("sourceFilters", json!([])),
        ("fields", json!({ "@timestamp": { "type": "date" } })),
        ("typeMeta", json!({})),
        ("fieldFormats", json!({})),
        ("runtimeFieldMap", json!({})),
        ("fieldAttrs", json!({})),
        ("namespaces", json!(["default"])),
    ] {
        if view.get(key).is_none() {
            view[key] = value;
        }
    }
    Answer::ok(&json!({ "data_view": view }))
}

fn refusal(status: u16, message: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "statusCode": status, "error": "Refused", "message": message }),
    )
}

fn not_found(id: &str) -> Answer {
    refusal(404, &format!("Saved object [{id}] not found"))
}

fn known(value: &Value, keys: &[&str]) -> Result<(), String> {
    let Some(map) = value.as_object() else {
        return Err("expected a plain object value".into());
    };
    match map.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(format!("[{key}]: definition for this key is missing")),
        None => Ok(()),
    }
}

fn only(value: &Value, keys: &[&str]) -> Result<(), Answer> {
    known(value, keys).map_err(|why| refusal(400, &format!("[request body]: {why}")))
}
