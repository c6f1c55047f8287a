//! Elasticsearch 9 with security, as far as templates, policies, roles and API keys go, in memory.
//! What a body may hold is by Elastic's published types (elasticsearch-specification, as generated
//! for 9.5): a key, phase, action or privilege that they do not know is refused. Who asks is judged:
//! a user, or a key by the rights that it was given.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Answer, Asked, StandIn};

/// `elastic:secret`
const USER: &str = "Basic ZWxhc3RpYzpzZWNyZXQ=";
/// One that may make keys of its own and neither see others' nor make roles: `ci:secret`.
const SMALL: &str = "Basic Y2k6c2VjcmV0";

const CLUSTER: [&str; 12] = [
    "all",
    "manage",
    "manage_api_key",
    "manage_ilm",
    "manage_index_templates",
    "manage_own_api_key",
    "manage_security",
    "manage_slm",
    "monitor",
    "none",
    "read_ilm",
    "read_slm",
];
const INDEX: [&str; 13] = [
    "all",
    "auto_configure",
    "create",
    "create_doc",
    "create_index",
    "delete",
    "index",
    "maintenance",
    "manage",
    "monitor",
    "read",
    "view_index_metadata",
    "write",
];
/// Phase and what may be done in it.
const PHASES: [(&str, &[&str]); 3] = [
    (
        "hot",
        &[
            "rollover",
            "set_priority",
            "unfollow",
            "forcemerge",
            "readonly",
            "shrink",
            "searchable_snapshot",
            "downsample",
        ],
    ),
    (
        "warm",
        &[
            "allocate",
            "forcemerge",
            "migrate",
            "readonly",
            "set_priority",
            "shrink",
            "unfollow",
            "downsample",
        ],
    ),
    ("delete", &["delete", "wait_for_snapshot"]),
];
/// Action and its keys.
const ACTIONS: [(&str, &[&str]); 8] = [
    (
        "rollover",
        &[
            "max_age",
            "max_docs",
            "max_primary_shard_docs",
            "max_primary_shard_size",
            "max_size",
            "min_age",
            "min_docs",
            "min_primary_shard_docs",
            "min_primary_shard_size",
            "min_size",
        ],
    ),
    (
        "allocate",
        &[
            "exclude",
            "include",
            "number_of_replicas",
            "require",
            "total_shards_per_node",
        ],
    ),
    ("forcemerge", &["index_codec", "max_num_segments"]),
    (
        "shrink",
        &[
            "allow_write_after_shrink",
            "max_primary_shard_size",
            "number_of_shards",
        ],
    ),
    ("migrate", &["enabled"]),
    ("readonly", &[]),
    ("delete", &["delete_searchable_snapshot"]),
    ("wait_for_snapshot", &["policy"]),
];

#[derive(Default)]
pub struct Elasticsearch {
    next: u64,
    /// By path, for example `/_ilm/policy/x`.
    pub kept: BTreeMap<String, Value>,
    pub keys: Vec<Value>,
    /// Secrets of keys by their ids, as a request's header has them.
    secrets: BTreeMap<String, String>,
    /// Names of the keys that documents came with, one after the other.
    pub wrote: Vec<String>,
    pub documents: usize,
    pub refused: Vec<String>,
    /// Runs when a key is invalidated.
    pub at_end: Option<Box<dyn Fn() -> String + Send>>,
    pub seen_at_end: Vec<String>,
}

enum Who {
    User,
    Small,
    Key(Value),
}

impl Elasticsearch {
    pub fn valid(&self) -> Vec<String> {
        let valid = self.keys.iter().filter(|key| key["invalidated"] == false);
        valid
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect()
    }

    fn who(&self, asked: &Asked<'_>) -> Result<Who, Answer> {
        let given = asked
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let unknown = || Answer::error(401, "unable to authenticate user");
        match given.ok_or_else(unknown)? {
            USER => Ok(Who::User),
            SMALL => Ok(Who::Small),
            other => {
                let secret = other.strip_prefix("ApiKey ").ok_or_else(unknown)?;
                let id = self
                    .secrets
                    .iter()
                    .find(|(_, held)| *held == secret)
                    .map(|(id, _)| id);
                let key = self
                    .keys
                    .iter()
                    .find(|key| Some(key["id"].as_str().unwrap()) == id.map(String::as_str));
                let key = key.ok_or_else(unknown)?;
                if key["invalidated"] == true {
                    return Err(Answer::error(401, "api key has been invalidated"));
                }
                Ok(Who::Key(key.clone()))
            }
        }
    }

    fn route(&mut self, asked: &Asked<'_>) -> Result<Answer, Answer> {
        let who = self.who(asked)?;
        let parts: Vec<&str> = asked.path.split('/').skip(1).collect();
        if let Who::Key(key) = &who {
            return self.for_a_key(asked, &parts, &key.clone());
        }
        let small = matches!(who, Who::Small);
        match (asked.method, parts.as_slice()) {
            ("GET", [""]) => Ok(Answer::ok(&json!({ "name": "n", "cluster_name": "c",
                "version": { "number": "9.5.3", "build_flavor": "default" } }))),
            ("GET", ["_cluster", "health"]) => Ok(Answer::ok(
                &json!({ "status": "green", "unassigned_shards": 0 }),
            )),
            ("GET", ["_security", "api_key"]) => self.list_keys(asked, small),
            ("POST", ["_security", "api_key"]) => self.make_key(asked),
            ("PUT", ["_security", "api_key", id]) => self.change_key(asked, id),
            ("DELETE", ["_security", "api_key"]) => self.end_keys(asked, small),
            (_, ["_security", ..]) if small => Err(forbidden("manage_security")),
            ("GET", ["_resolve", ..]) => Ok(Answer::ok(
                &json!({ "indices": [], "aliases": [], "data_streams": [] }),
            )),
            (
                method,
                ["_ilm" | "_slm", "policy", ..]
                | ["_component_template" | "_index_template", ..]
                | ["_security", "role", ..],
            ) => self.object(method, asked, &parts),
            ("GET", ["_data_stream", _]) => Err(Answer::error(404, "no such index")),
            (_, [name]) if name.starts_with("jaeger-") => self.object(asked.method, asked, &parts),
            ("GET", ["_alias", alias]) => {
                let found: Map<String, Value> = self
                    .kept
                    .iter()
                    .filter(|(_, one)| one["aliases"].get(*alias).is_some())
                    .map(|(path, one)| (path[1..].to_owned(), one.clone()))
                    .collect();
                let status = if found.is_empty() { 404 } else { 200 };
                Ok(Answer::json(status, &Value::Object(found)))
            }
            _ => Err(Answer::error(405, "no handler found for uri")),
        }
    }

    /// What the agent does, if the key lets it.
    fn for_a_key(
        &mut self,
        asked: &Asked<'_>,
        parts: &[&str],
        key: &Value,
    ) -> Result<Answer, Answer> {
        let rights = key["role_descriptors"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap();
        let may = |stream: &str, wanted: &str| {
            rights["indices"].as_array().unwrap().iter().any(|one| {
                let has = |list: &str, word: &str| {
                    one[list].as_array().unwrap().iter().any(|w| w == word)
                };
                has("names", stream) && has("privileges", wanted)
            })
        };
        match (asked.method, parts) {
            ("GET", ["_resolve", "index", stream]) if may(stream, "view_index_metadata") => {
                Ok(Answer::ok(&json!({ "data_streams": [
                    { "name": stream, "backing_indices": [format!(".ds-{stream}-000001")] }
                ] })))
            }
            ("POST", [stream, "_bulk"]) if may(stream, "create_doc") => {
                let lines = asked.body.split(|byte| *byte == b'\n').count() / 2;
                self.documents += lines;
                self.wrote.push(key["name"].as_str().unwrap().to_owned());
                let item = json!({ "create": { "status": 201 } });
                Ok(Answer::ok(
                    &json!({ "errors": false, "items": vec![item; lines] }),
                ))
            }
            _ => Err(forbidden(asked.path)),
        }
    }

    fn object(
        &mut self,
        method: &str,
        asked: &Asked<'_>,
        parts: &[&str],
    ) -> Result<Answer, Answer> {
        let path = asked.path.to_owned();
        let name = *parts.last().unwrap();
        match method {
            "PUT" => {
                let mut body = asked.json()?;
                match parts[0] {
                    "_ilm" => judge_ilm(&body)?,
                    "_slm" => judge_slm(&body)?,
                    "_security" => {
                        keys(
                            &body,
                            &[
                                "cluster",
                                "indices",
                                "metadata",
                                "run_as",
                                "applications",
                                "description",
                            ],
                        )?;
                        judge_rights(&body)?;
                        // As a server gives it back.
                        body["applications"] = json!([]);
                        body["run_as"] = json!([]);
                        body["transient_metadata"] = json!({ "enabled": true });
                        for one in body["indices"].as_array_mut().unwrap() {
                            one["allow_restricted_indices"] = json!(false);
                        }
                    }
                    _ => {}
                }
                self.kept.insert(path, body);
                Ok(Answer::ok(&json!({ "acknowledged": true })))
            }
            "DELETE" => match self.kept.remove(&path) {
                Some(_) => Ok(Answer::ok(&json!({ "acknowledged": true }))),
                None => Err(Answer::error(404, "not there")),
            },
            _ => {
                let whole = if parts.len() == 1 || name == "policy" || name == "role" {
                    "*"
                } else {
                    name
                };
                let found: Vec<(String, Value)> = self
                    .kept
                    .iter()
                    .filter_map(|(path, one)| {
                        let (place, id) = path.rsplit_once('/')?;
                        let here = asked.path.trim_end_matches(name).trim_end_matches('/');
                        let here = if whole == "*" && parts.len() != 3 {
                            asked.path
                        } else {
                            here
                        };
                        let matches = match whole.strip_suffix('*') {
                            Some(prefix) => id.starts_with(prefix),
                            None => id == whole,
                        };
                        (place == here && matches).then(|| (id.to_owned(), one.clone()))
                    })
                    .collect();
                if found.is_empty() && !whole.ends_with('*') {
                    return Err(Answer::error(404, "not there"));
                }
                Ok(Answer::ok(&listed(parts[0], found)))
            }
        }
    }

    fn list_keys(&self, asked: &Asked<'_>, small: bool) -> Result<Answer, Answer> {
        if small && asked.parameter("owner").as_deref() != Some("true") {
            return Err(forbidden("read_security"));
        }
        let name = asked.parameter("name").unwrap_or_default();
        let found: Vec<&Value> = self
            .keys
            .iter()
            .filter(|key| {
                let held = key["name"].as_str().unwrap();
                match name.strip_suffix('*') {
                    Some(prefix) => held.starts_with(prefix),
                    None => held == name,
                }
            })
            .collect();
        Ok(Answer::ok(&json!({ "api_keys": found })))
    }

    fn make_key(&mut self, asked: &Asked<'_>) -> Result<Answer, Answer> {
        let body = asked.json()?;
        keys(
            &body,
            &["name", "role_descriptors", "metadata", "expiration"],
        )?;
        let name = body["name"]
            .as_str()
            .ok_or_else(|| Answer::error(400, "api key name is required"))?;
        if name.is_empty() || name.len() > 256 || name.starts_with('_') {
            return Err(Answer::error(
                400,
                "api key name may not begin with an underscore",
            ));
        }
        let descriptors = judge_descriptors(&body)?;
        self.next += 1;
        let id = format!("id-{}", self.next);
        let encoded = format!("c2VjcmV0LW9mLWtleS0{}", self.next);
        self.secrets.insert(id.clone(), encoded.clone());
        self.keys.push(json!({
            "id": id, "name": name, "type": "rest", "creation": 1, "invalidated": false,
            "username": "elastic", "realm": "reserved", "metadata": body["metadata"],
            "role_descriptors": descriptors,
        }));
        Ok(Answer::ok(
            &json!({ "id": id, "name": name, "api_key": "x", "encoded": encoded }),
        ))
    }

    fn change_key(&mut self, asked: &Asked<'_>, id: &str) -> Result<Answer, Answer> {
        let body = asked.json()?;
        keys(&body, &["role_descriptors", "metadata", "expiration"])?;
        let descriptors = judge_descriptors(&body)?;
        let Some(key) = self.keys.iter_mut().find(|key| key["id"] == id) else {
            return Err(Answer::error(
                404,
                "no API key owned by requesting user found",
            ));
        };
        key["role_descriptors"] = descriptors;
        key["metadata"] = body["metadata"].clone();
        Ok(Answer::ok(&json!({ "updated": true })))
    }

    fn end_keys(&mut self, asked: &Asked<'_>, small: bool) -> Result<Answer, Answer> {
        let body = asked.json()?;
        keys(
            &body,
            &["id", "ids", "name", "owner", "realm_name", "username"],
        )?;
        if small && body["owner"] != true {
            return Err(forbidden("manage_api_key"));
        }
        let ids = body["ids"].as_array().cloned().unwrap_or_default();
        for key in &mut self.keys {
            if ids.contains(&key["id"]) {
                key["invalidated"] = json!(true);
                if let Some(look) = &self.at_end {
                    self.seen_at_end.push(look());
                }
            }
        }
        Ok(Answer::ok(&json!({ "invalidated_api_keys": ids,
            "previously_invalidated_api_keys": [], "error_count": 0 })))
    }
}

impl StandIn for Elasticsearch {
    fn answer(&mut self, asked: &Asked<'_>) -> Answer {
        let answer = self.route(asked).unwrap_or_else(|refused| refused);
        if answer.status == 400 {
            let text = String::from_utf8_lossy(&answer.body);
            self.refused
                .push(format!("{} {}: {text}", asked.method, asked.path));
        }
        answer
    }
}

fn forbidden(what: &str) -> Answer {
    Answer::error(403, &format!("action is unauthorized: {what}"))
}

/// In the form of each kind's reply.
fn listed(kind: &str, found: Vec<(String, Value)>) -> Value {
    let list = |outer: &str, inner: &str| {
        let rows = found
            .iter()
            .map(|(id, one)| json!({ "name": id, inner: one }));
        json!({ outer: rows.collect::<Vec<_>>() })
    };
    match kind {
        "_component_template" => list("component_templates", "component_template"),
        "_index_template" => list("index_templates", "index_template"),
        "_slm" => Value::Object(found.iter().map(|(id, one)| {
            (id.clone(), json!({ "version": 1, "modified_date_millis": 1, "policy": one, "stats": {} }))
        }).collect()),
        "_ilm" => Value::Object(found.iter().map(|(id, one)| {
            let mut one = one.clone();
            one["version"] = json!(1);
            one["modified_date"] = json!("2026-11-30T00:00:00.000Z");
            one["in_use_by"] = json!({ "indices": [] });
            (id.clone(), one)
        }).collect()),
        _ => Value::Object(found.into_iter().collect()),
    }
}

/// No key but these.
fn keys(body: &Value, known: &[&str]) -> Result<(), Answer> {
    let map = body
        .as_object()
        .ok_or_else(|| Answer::error(400, "an object is expected"))?;
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Answer::error(400, &format!("unknown field [{key}]"))),
        None => Ok(()),
    }
}

fn judge_rights(rights: &Value) -> Result<(), Answer> {
    let words = |list: &Value, known: &[&str]| -> Result<(), Answer> {
        for word in list.as_array().into_iter().flatten() {
            if !known.contains(&word.as_str().unwrap_or_default()) {
                return Err(Answer::error(400, &format!("unknown privilege [{word}]")));
            }
        }
        Ok(())
    };
    words(&rights["cluster"], &CLUSTER)?;
    for one in rights["indices"].as_array().into_iter().flatten() {
        keys(
            one,
            &[
                "names",
                "privileges",
                "field_security",
                "query",
                "allow_restricted_indices",
            ],
        )?;
        words(&one["privileges"], &INDEX)?;
        if one["names"].as_array().is_none_or(Vec::is_empty) {
            return Err(Answer::error(400, "names are required"));
        }
    }
    Ok(())
}

/// As a server gives them back.
fn judge_descriptors(body: &Value) -> Result<Value, Answer> {
    let mut out = body["role_descriptors"].clone();
    for rights in out.as_object_mut().into_iter().flat_map(Map::values_mut) {
        keys(
            rights,
            &[
                "cluster",
                "indices",
                "metadata",
                "run_as",
                "applications",
                "description",
                "restriction",
            ],
        )?;
        judge_rights(rights)?;
        for one in rights["indices"].as_array_mut().into_iter().flatten() {
            one["allow_restricted_indices"] = json!(false);
        }
        rights["applications"] = json!([]);
        rights["run_as"] = json!([]);
        rights["metadata"] = json!({});
        rights["transient_metadata"] = json!({ "enabled": true });
    }
    Ok(out)
}

fn judge_ilm(body: &Value) -> Result<(), Answer> {
    keys(body, &["policy"])?;
    keys(&body["policy"], &["phases", "_meta"])?;
    for (phase, one) in body["policy"]["phases"].as_object().into_iter().flatten() {
        keys(one, &["min_age", "actions"])?;
        let allowed = PHASES.iter().find(|(name, _)| name == phase);
        let (_, allowed) = allowed.ok_or_else(|| Answer::error(400, "unknown phase"))?;
        keys(&one["actions"], allowed)?;
        for (action, what) in one["actions"].as_object().into_iter().flatten() {
            let known = ACTIONS.iter().find(|(name, _)| name == action).unwrap();
            keys(what, known.1)?;
        }
    }
    Ok(())
}

fn judge_slm(body: &Value) -> Result<(), Answer> {
    keys(
        body,
        &["config", "name", "repository", "retention", "schedule"],
    )?;
    keys(
        &body["config"],
        &[
            "feature_states",
            "ignore_unavailable",
            "include_global_state",
            "indices",
            "metadata",
            "partial",
        ],
    )?;
    keys(
        &body["retention"],
        &["expire_after", "max_count", "min_count"],
    )?;
    // Seconds first, and one of the two days is `?`.
    let fields: Vec<&str> = body["schedule"]
        .as_str()
        .unwrap_or_default()
        .split(' ')
        .collect();
    if fields.len() != 6 || (fields[3] == "?") == (fields[5] == "?") {
        return Err(Answer::error(400, "invalid schedule"));
    }
    if body["config"]["metadata"].to_string().len() > 1024 {
        return Err(Answer::error(
            400,
            "metadata must be smaller than 1024 bytes",
        ));
    }
    if body["repository"] != "backups" {
        return Err(Answer::error(400, "no such repository"));
    }
    Ok(())
}
