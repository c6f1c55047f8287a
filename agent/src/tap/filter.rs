//! What somebody wants to see. Pure.

use std::collections::BTreeMap;

use kai_contract::agent_config::{LEVELS, Share};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filter {
    /// Names of sources; all without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// This level and those above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// A part of the document's text, capitals or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grep: Option<String>,
    /// Field → value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// How many of those that fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Share>,
}

impl Filter {
    /// What is wrong with it.
    pub fn judge(&self) -> Result<(), String> {
        match &self.level {
            Some(level) if !LEVELS.contains(&level.as_str()) => Err(format!(
                "there is no level {level:?}; there are {}",
                LEVELS.join(", ")
            )),
            _ => Ok(()),
        }
    }

    /// `number` counts the events that pass by.
    pub fn fits(&self, source: &str, document: &[u8], number: u64) -> bool {
        if !self.sources.is_empty() && !self.sources.iter().any(|name| name == source) {
            return false;
        }
        if let Some(share) = self.sample
            && !share.takes(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        {
            return false;
        }
        if let Some(text) = &self.grep
            && !contains(document, text)
        {
            return false;
        }
        if self.level.is_none() && self.fields.is_empty() {
            return true;
        }
        let Ok(document) = serde_json::from_slice::<Value>(document) else {
            return false;
        };
        if let Some(wanted) = &self.level {
            let place = |level: &str| LEVELS.iter().position(|known| *known == level);
            let level = field(&document, "log.level").and_then(Value::as_str);
            if level.and_then(place) < place(wanted) {
                return false;
            }
        }
        self.fields.iter().all(|(name, wanted)| {
            field(&document, name).is_some_and(|value| match value {
                Value::String(text) => text == wanted,
                other => wanted == &other.to_string(),
            })
        })
    }
}

fn contains(document: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(document)
        .to_lowercase()
        .contains(&text.to_lowercase())
}

/// A field, whether it is dotted, nested or both.
pub(super) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(found) = object.get(name) {
        return Some(found);
    }
    name.match_indices('.')
        .find_map(|(at, _)| field(object.get(&name[..at])?, &name[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &[u8] =
        br#"{"message":"No Seat left","log":{"level":"warn"},"http.response.status_code":409}"#;

    fn fits(filter: &str) -> bool {
        let filter: Filter = serde_json::from_str(filter).unwrap();
        filter.judge().unwrap();
        filter.fits("booking", DOCUMENT, 1)
    }

    #[test]
    fn all_that_is_asked_must_be_so() {
        for filter in [
            "{}",
            r#"{"sources":["booking","x"]}"#,
            r#"{"level":"warn"}"#,
            r#"{"level":"info","grep":"no seat"}"#,
            r#"{"fields":{"http.response.status_code":"409","log.level":"warn"}}"#,
        ] {
            assert!(fits(filter), "{filter}");
        }
        for filter in [
            r#"{"sources":["x"]}"#,
            r#"{"level":"error"}"#,
            r#"{"grep":"seats"}"#,
            r#"{"fields":{"http.response.status_code":"40"}}"#,
            r#"{"fields":{"nothing":""}}"#,
            r#"{"sample":0}"#,
        ] {
            assert!(!fits(filter), "{filter}");
        }
        let unknown = Filter {
            level: Some("loud".into()),
            ..Filter::default()
        };
        assert!(unknown.judge().unwrap_err().contains("critical"));
    }
}
