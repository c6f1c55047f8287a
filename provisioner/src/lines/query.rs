//! What is asked for, as a search, and what of it only we can judge. Pure.

use kai_contract::agent_config::LEVELS;
use kai_contract::expression::{Expression, Scalar};
use serde_json::{Value, json};

use crate::inbox::time::Instant;

/// In a page's `_source`, for people; a script gets all.
const SHOWN: [&str; 8] = [
    "@timestamp",
    "message",
    "msg",
    "log.level",
    "log.flags",
    "service.name",
    "error",
    "error.message",
];

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub id: String,
    pub index: String,
    /// Milliseconds since 1970.
    pub at: i64,
    pub source: Value,
}

impl Hit {
    /// From a reply whose first sort value is the time.
    pub fn parse(hit: &Value) -> Option<Self> {
        Some(Self {
            id: hit["_id"].as_str()?.to_owned(),
            index: hit["_index"].as_str().unwrap_or_default().to_owned(),
            at: hit["sort"][0].as_i64()?,
            source: hit["_source"].clone(),
        })
    }

    /// A field, whether the document has it dotted, nested or both.
    pub fn field(&self, name: &str) -> Option<&Value> {
        field(&self.source, name)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.field(name)?.as_str()
    }
}

/// A member, whether it is dotted, nested or both.
pub(super) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(found) = object.get(name) {
        return Some(found);
    }
    name.match_indices('.').find_map(|(at, _)| {
        let inner = object.get(&name[..at])?;
        field(inner, &name[at + 1..])
    })
}

/// What of each line is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fields {
    /// What people are shown.
    #[default]
    Shown,
    All,
    /// Its id and its time.
    None,
}

#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Data streams, or patterns of them.
    pub index: String,
    pub since: Option<Instant>,
    pub until: Option<Instant>,
    /// This level and those above.
    pub level: Option<String>,
    /// Words that follow each other.
    pub grep: Option<String>,
    pub trace: Option<String>,
    /// Judged by us; what it needs is asked of the server.
    pub condition: Option<Expression>,
    pub fields: Fields,
}

impl Query {
    /// The query.
    pub fn body(&self) -> Value {
        let mut filter = Vec::new();
        let mut range = serde_json::Map::new();
        if let Some(since) = self.since {
            range.insert("gte".to_owned(), json!(since.0));
        }
        if let Some(until) = self.until {
            range.insert("lt".to_owned(), json!(until.0));
        }
        if !range.is_empty() {
            range.insert("format".to_owned(), json!("epoch_millis"));
            filter.push(json!({ "range": { "@timestamp": range } }));
        }
        if let Some(level) = &self.level {
            let from = LEVELS.iter().position(|known| known == level).unwrap_or(0);
            filter.push(json!({ "terms": { "log.level": &LEVELS[from..] } }));
        }
        if let Some(trace) = &self.trace {
            filter.push(json!({ "term": { "trace.id": trace } }));
        }
        if let Some(words) = &self.grep {
            filter.push(json!({ "multi_match": {
                "query": words,
                "type": "phrase_prefix",
                "max_expansions": 500,
                "fields": ["message", "error.message", "error.stack_trace"],
            } }));
        }
        if let Some(condition) = &self.condition {
            for (field, text) in condition.required() {
                filter.push(match text {
                    Some(text) => json!({ "match_phrase": { field: text } }),
                    None => json!({ "exists": { "field": field } }),
                });
            }
        }
        json!({ "bool": { "filter": filter } })
    }

    /// `_source` of a search.
    pub fn source(&self) -> Value {
        match self.fields {
            Fields::All => return json!(true),
            Fields::None => return json!(false),
            Fields::Shown => {}
        }
        let condition = self.condition.as_ref();
        let fields = condition.map_or(&[][..], Expression::fields);
        let all: Vec<&str> = SHOWN
            .into_iter()
            .chain(fields.iter().map(String::as_str))
            .collect();
        json!(all)
    }

    /// What the server could not judge.
    pub fn fits(&self, hit: &Hit) -> bool {
        let Some(condition) = &self.condition else {
            return true;
        };
        // Numbers as they are written.
        let texts: Vec<Option<(Value, String)>> = condition
            .fields()
            .iter()
            .map(|name| {
                let value = hit.field(name)?.clone();
                let text = match &value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                Some((value, text))
            })
            .collect();
        condition.holds(&|index| {
            let (value, text) = texts.get(index)?.as_ref()?;
            match value {
                Value::Null => None,
                Value::Bool(value) => Some(Scalar::Bool(*value)),
                Value::Number(_) => Some(Scalar::Number(text.as_bytes())),
                Value::String(_) => Some(Scalar::Text(text.as_bytes())),
                Value::Array(_) | Value::Object(_) => Some(Scalar::Other),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use kai_contract::expression;

    use super::*;

    fn hit(source: Value) -> Hit {
        Hit {
            id: "1".into(),
            index: "i".into(),
            at: 0,
            source,
        }
    }

    #[test]
    fn fields_are_found_dotted_nested_and_both() {
        let hit = hit(json!({ "a.b": { "c": 1 }, "x": { "y.z": "t" }, "e": "plain" }));
        assert_eq!(hit.field("a.b.c"), Some(&json!(1)));
        assert_eq!(hit.text("x.y.z"), Some("t"));
        assert_eq!(hit.field("e.f"), None);
    }

    #[test]
    fn what_the_server_can_judge_is_asked_and_the_rest_judged_here() {
        let query = Query {
            level: Some("error".into()),
            since: Some(Instant(5)),
            condition: expression::parse(r#"a == "x" && n > 3 && (b == "y" || !exists(c))"#).ok(),
            ..Query::default()
        };
        let body = query.body().to_string();
        for part in [
            r#"{"range":{"@timestamp":{"gte":5,"format":"epoch_millis"}}}"#,
            r#"{"terms":{"log.level":["error","critical","fatal","alert","emergency"]}}"#,
            r#"{"match_phrase":{"a":"x"}}"#,
            r#"{"exists":{"field":"n"}}"#,
        ] {
            assert!(body.contains(part), "{part}: {body}");
        }
        assert!(!body.contains("\"b\"") && !body.contains("\"c\""), "{body}");
        assert!(query.fits(&hit(json!({ "a": "x", "n": 4 }))));
        assert!(!query.fits(&hit(json!({ "a": "x", "n": 3 }))));
        assert!(!query.fits(&hit(json!({ "a": "x", "n": 4, "c": true }))));
    }
}
