//! Reads the fields of a request, body or query alike. Pure; every refusal names the field, says
//! what came and what would be right.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::calendar::Date;
use crate::domain::ids::{Id, Kind};
use crate::nearest::nearest;
use crate::word::Word;

/// The fields that were sent, all of them known by name.
#[derive(Debug)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// From a JSON body of any content type; `curl -d` says form where it means JSON.
    pub fn body(
        bytes: Result<Bytes, BytesRejection>,
        known: &[&'static str],
    ) -> Result<Self, ApiError> {
        let bytes = bytes.map_err(|rejection| {
            let status = rejection.status().as_u16();
            ApiError::new(status, "unreadable_body", rejection.body_text())
        })?;
        Self::parse(&bytes, known)
    }

    pub fn parse(bytes: &[u8], known: &[&'static str]) -> Result<Self, ApiError> {
        let shape = || format!("send a JSON object with the fields {}", known.join(", "));
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Self::check_names(fields, known),
            Ok(other) => Err(ApiError::malformed(
                "",
                format!("the body is {}; {}", kind(&other), shape()),
            )),
            Err(error) => Err(ApiError::malformed(
                "",
                format!("the body is not JSON: {error}; {}", shape()),
            )),
        }
    }

    /// From the pairs of a query string; a name given twice is refused.
    pub fn query(pairs: Vec<(String, String)>, known: &[&'static str]) -> Result<Self, ApiError> {
        let mut fields = Map::new();
        for (name, value) in pairs {
            if fields.insert(name.clone(), value.into()).is_some() {
                return Err(ApiError::malformed(&name, format!("{name} is given twice")));
            }
        }
        Self::check_names(fields, known)
    }

    fn check_names(fields: Map<String, Value>, known: &[&str]) -> Result<Self, ApiError> {
        match fields.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(Self(fields)),
            Some(name) => {
                let hint = nearest(name, known.iter().copied())
                    .map_or_else(String::new, |meant| format!("; did you mean {meant:?}?"));
                let known = known.join(", ");
                let message = format!("unknown field {name:?}{hint} (known: {known})");
                Err(ApiError::malformed(name, message))
            }
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    pub fn text(&self, name: &str, example: &str) -> Result<&str, ApiError> {
        match self.0.get(name) {
            Some(Value::String(text)) => Ok(text),
            None | Some(Value::Null) => Err(ApiError::malformed(
                name,
                format!("{name} is missing; for example {example:?}"),
            )),
            Some(other) => Err(ApiError::malformed(
                name,
                format!(
                    "{name} is {}; it is a text such as {example:?}",
                    kind(other)
                ),
            )),
        }
    }

    /// One of a closed list of words.
    pub fn word<T: Word>(&self, name: &str) -> Result<T, ApiError> {
        let text = self.text(name, T::WORDS.first().copied().unwrap_or_default())?;
        T::parse(text).ok_or_else(|| {
            let words = T::WORDS.join(", ");
            ApiError::invalid(name, format!("{name} is one of {words}; got {text:?}"))
        })
    }

    /// A whole number within a range.
    pub fn whole(&self, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, ApiError> {
        let wanted = || {
            format!(
                "{name} is a whole number from {} to {}",
                range.start(),
                range.end()
            )
        };
        match self.0.get(name) {
            None | Some(Value::Null) => Err(ApiError::malformed(
                name,
                format!("{name} is missing; {}", wanted()),
            )),
            Some(Value::Number(number)) => match number.as_u64() {
                Some(whole) if range.contains(&whole) => Ok(whole),
                _ => Err(ApiError::invalid(
                    name,
                    format!("{}; got {number}", wanted()),
                )),
            },
            Some(other) => Err(ApiError::malformed(
                name,
                format!("{}; got {}", wanted(), kind(other)),
            )),
        }
    }

    /// A list of texts; empty when the field is not there.
    pub fn texts(&self, name: &str, most: usize, example: &str) -> Result<Vec<String>, ApiError> {
        let wanted = || format!("{name} is a list of at most {most} texts such as {example:?}");
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) if items.len() <= most => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| ApiError::malformed(name, wanted())),
            Some(Value::Array(_)) => Err(ApiError::invalid(name, wanted())),
            Some(_) => Err(ApiError::malformed(name, wanted())),
        }
    }

    pub fn date(&self, name: &str) -> Result<Date, ApiError> {
        let text = self.text(name, "2026-12-24")?;
        Date::parse(text).ok_or_else(|| {
            ApiError::invalid(
                name,
                format!("{name} is a day that exists, written YYYY-MM-DD; got {text:?}"),
            )
        })
    }

    /// An identifier that this service gave out. One that cannot be is reported as unknown.
    pub fn id(&self, name: &str, of: Kind) -> Result<Id, ApiError> {
        let text = self.text(name, "B-1b2c3d-2f")?;
        Id::parse(of, text).ok_or_else(|| {
            ApiError::new(
                404,
                "not_found",
                format!("no {name} {text:?} was ever given out"),
            )
            .on(name)
        })
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: &[&str] = &["train_id", "passengers", "seats", "date"];

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes(), KNOWN).unwrap()
    }

    #[test]
    fn form_is_400_and_value_is_422() {
        let wrong =
            fields(r#"{"train_id":7,"passengers":"two","seats":"EKS1-1A","date":20261224}"#);
        assert_eq!(wrong.text("train_id", "KA1").unwrap_err().status, 400);
        assert_eq!(wrong.whole("passengers", 1..=4).unwrap_err().status, 400);
        assert_eq!(wrong.texts("seats", 4, "EKS1-1A").unwrap_err().status, 400);
        assert_eq!(wrong.date("date").unwrap_err().status, 400);
        let bad = fields(r#"{"passengers":5,"seats":["a","b"],"date":"2026-02-30"}"#);
        for error in [
            bad.whole("passengers", 1..=4).unwrap_err(),
            bad.texts("seats", 1, "EKS1-1A").unwrap_err(),
            bad.date("date").unwrap_err(),
        ] {
            assert_eq!(error.status, 422, "{error:?}");
        }
        let negative = fields(r#"{"passengers":-1}"#)
            .whole("passengers", 1..=4)
            .unwrap_err();
        assert_eq!(
            (negative.status, negative.field.as_deref()),
            (422, Some("passengers"))
        );
    }

    #[test]
    fn unknown_and_doubled_names_are_refused() {
        let error = Fields::parse(br#"{"trainid":"KA1"}"#, KNOWN).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("trainid"));
        assert!(
            error.message.contains("did you mean \"train_id\""),
            "{}",
            error.message
        );
        let twice = vec![
            ("date".to_owned(), "a".to_owned()),
            ("date".to_owned(), "b".to_owned()),
        ];
        assert_eq!(
            Fields::query(twice, KNOWN).unwrap_err().field.as_deref(),
            Some("date")
        );
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Err(error) = Fields::parse(&body, KNOWN) {
                prop_assert_eq!(error.status, 400);
            }
        }
    }
}
