//! Reads `POST /faults`: which faults, how strong, for how long. Pure; every refusal names the
//! field and what would be right, and a request with one mistake switches nothing on.

use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;

use super::Kind;
use crate::nearest::nearest;
use crate::units::{parse_bytes, parse_duration, show_bytes, show_duration};
use crate::word::Word;

/// How long a fault lasts when the request does not say.
pub const DEFAULT_DURATION: Duration = Duration::from_mins(5);
pub const MAX_DURATION: Duration = Duration::from_hours(1);
const MAX_LATENCY: Duration = Duration::from_secs(30);
const MAX_LEAK: u64 = 64 << 20;
const MAX_LOG_FLOOD: u64 = 10_000;

/// A fault and its strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Share of payments declined, above 0 and at most 1.
    PaymentDecline(f64),
    /// Added to every request under `/v1`.
    Latency(Duration),
    /// Share of requests under `/v1` answered with 500.
    Errors(f64),
    /// Bytes a second.
    Leak(u64),
    /// Lines a second.
    LogFlood(u32),
    /// The process exits with 70 after that time.
    Crash(Duration),
}

impl Fault {
    pub fn kind(self) -> Kind {
        match self {
            Self::PaymentDecline(_) => Kind::PaymentDecline,
            Self::Latency(_) => Kind::Latency,
            Self::Errors(_) => Kind::Errors,
            Self::Leak(_) => Kind::Leak,
            Self::LogFlood(_) => Kind::LogFlood,
            Self::Crash(_) => Kind::Crash,
        }
    }

    /// The strength in the form in which it is asked for.
    pub fn value(self) -> Value {
        match self {
            Self::PaymentDecline(ratio) | Self::Errors(ratio) => ratio.into(),
            Self::Latency(delay) | Self::Crash(delay) => show_duration(delay).into(),
            Self::Leak(rate) => show_bytes(rate).into(),
            Self::LogFlood(rate) => rate.into(),
        }
    }
}

/// One request, all of it valid.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRequest {
    pub faults: Vec<Fault>,
    pub duration: Duration,
}

/// What is wrong with a request. `field` is empty when it is the whole body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct RequestError {
    pub field: String,
    pub message: String,
}

impl RequestError {
    fn new(field: &str, message: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

impl FaultRequest {
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        const EXAMPLE: &str = r#"{"payment_decline":0.6,"for":"5m"}"#;
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            RequestError::new(
                "",
                format!("the body is not JSON ({error}); send {EXAMPLE}"),
            )
        })?;
        let Value::Object(fields) = value else {
            return Err(RequestError::new(
                "",
                format!("the body is no object; send {EXAMPLE}"),
            ));
        };
        let faults = fields
            .iter()
            .filter(|(name, _)| *name != "for")
            .map(|(name, value)| fault(name, value))
            .collect::<Result<Vec<_>, _>>()?;
        if faults.is_empty() {
            let message = format!(
                "no fault named; one of {} is needed",
                Kind::WORDS.join(", ")
            );
            return Err(RequestError::new("", message));
        }
        let duration = how_long(&fields)?;
        if let Some(Fault::Crash(delay)) = faults.iter().find(|f| f.kind() == Kind::Crash)
            && *delay >= duration
        {
            let message = format!(
                "crash after {} never happens within \"for\" {}; give a shorter delay",
                show_duration(*delay),
                show_duration(duration)
            );
            return Err(RequestError::new("crash", message));
        }
        Ok(Self { faults, duration })
    }
}

fn fault(name: &str, value: &Value) -> Result<Fault, RequestError> {
    let Some(kind) = Kind::parse(name) else {
        let known = Kind::WORDS.iter().copied().chain(["for"]);
        let hint = nearest(name, known)
            .map_or_else(String::new, |known| format!("; did you mean {known:?}?"));
        let known = Kind::WORDS.join(", ");
        let message = format!("unknown fault {name:?}{hint} (known: {known}, and \"for\")");
        return Err(RequestError::new(name, message));
    };
    match kind {
        Kind::PaymentDecline => ratio(name, value).map(Fault::PaymentDecline),
        Kind::Errors => ratio(name, value).map(Fault::Errors),
        Kind::Latency => {
            let delay = duration(name, value, "300ms")?;
            if delay > MAX_LATENCY {
                return Err(RequestError::new(name, "latency is at most \"30s\""));
            }
            Ok(Fault::Latency(delay))
        }
        Kind::Leak => leak(name, value).map(Fault::Leak),
        Kind::LogFlood => match value.as_u64() {
            Some(rate @ 1..=MAX_LOG_FLOOD) => Ok(Fault::LogFlood(rate as u32)),
            _ => Err(RequestError::new(
                name,
                format!(
                    "log_flood is lines a second, a whole number from 1 to {MAX_LOG_FLOOD}, such as 500; got {value}"
                ),
            )),
        },
        Kind::Crash => match value {
            Value::Bool(true) => Ok(Fault::Crash(Duration::ZERO)),
            Value::String(_) => duration(name, value, "10s").map(Fault::Crash),
            _ => Err(RequestError::new(
                name,
                format!("crash is true, or a delay such as \"10s\"; got {value}"),
            )),
        },
    }
}

fn how_long(fields: &Map<String, Value>) -> Result<Duration, RequestError> {
    let Some(value) = fields.get("for") else {
        return Ok(DEFAULT_DURATION);
    };
    let asked = duration("for", value, "5m")?;
    if asked > MAX_DURATION {
        return Err(RequestError::new(
            "for",
            format!("a fault lasts at most \"1h\"; got {value}"),
        ));
    }
    Ok(asked)
}

fn ratio(name: &str, value: &Value) -> Result<f64, RequestError> {
    match value.as_f64() {
        Some(ratio) if ratio > 0.0 && ratio <= 1.0 => Ok(ratio),
        Some(percent) if percent > 1.0 && percent <= 100.0 => Err(RequestError::new(
            name,
            format!(
                "{name} is a ratio above 0 and at most 1; for {value} percent send {}",
                percent / 100.0
            ),
        )),
        _ => Err(RequestError::new(
            name,
            format!(
                "{name} is a ratio, a number above 0 and at most 1 such as 0.6; got {value}; DELETE /faults/{name} switches it off"
            ),
        )),
    }
}

fn duration(name: &str, value: &Value, example: &str) -> Result<Duration, RequestError> {
    value.as_str().and_then(parse_duration).filter(|d| !d.is_zero()).ok_or_else(|| {
        RequestError::new(
            name,
            format!("{name} is a time with its unit (ms, s, m or h), such as {example:?}; got {value}"),
        )
    })
}

fn leak(name: &str, value: &Value) -> Result<u64, RequestError> {
    let rate = |text: &str| parse_bytes(text.strip_suffix("/s").unwrap_or(text));
    match value.as_str().and_then(rate) {
        Some(rate @ 1..=MAX_LEAK) => Ok(rate),
        Some(_) => Err(RequestError::new(
            name,
            "leak is from \"1B\" to \"64MiB\" a second",
        )),
        None => Err(RequestError::new(
            name,
            format!(
                "leak is bytes a second with a unit (B, kB, KiB, MB, MiB), such as \"1MiB\"; got {value}"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(json: &str) -> Result<FaultRequest, RequestError> {
        FaultRequest::parse(json.as_bytes())
    }

    #[test]
    fn reads_several_faults() {
        let request = parse(
            r#"{"payment_decline":0.6,"latency":"300ms","errors":1,"leak":"1MiB/s",
                "log_flood":500,"crash":"10s","for":"1h"}"#,
        )
        .unwrap();
        assert_eq!(
            request.faults,
            [
                Fault::PaymentDecline(0.6),
                Fault::Latency(Duration::from_millis(300)),
                Fault::Errors(1.0),
                Fault::Leak(1 << 20),
                Fault::LogFlood(500),
                Fault::Crash(Duration::from_secs(10)),
            ]
        );
        assert_eq!(request.duration, MAX_DURATION);
        assert_eq!(
            parse(r#"{"crash":true}"#).unwrap().duration,
            DEFAULT_DURATION
        );
    }

    #[test]
    fn refusals_name_the_field_and_what_would_be_right() {
        for (json, field, hint) in [
            (
                r#"{"payment_declines":0.6}"#,
                "payment_declines",
                "payment_decline",
            ),
            (r#"{"payment_decline":60}"#, "payment_decline", "send 0.6"),
            (
                r#"{"payment_decline":"60%"}"#,
                "payment_decline",
                "such as 0.6",
            ),
            (
                r#"{"payment_decline":0}"#,
                "payment_decline",
                "DELETE /faults/payment_decline",
            ),
            (r#"{"errors":-0.1}"#, "errors", "above 0"),
            (r#"{"latency":300}"#, "latency", "300ms"),
            (r#"{"latency":"300"}"#, "latency", "unit"),
            (r#"{"latency":"0ms"}"#, "latency", "300ms"),
            (r#"{"latency":"31s"}"#, "latency", "at most"),
            (r#"{"leak":1048576}"#, "leak", "1MiB"),
            (r#"{"leak":"1GiB"}"#, "leak", "1MiB"),
            (r#"{"leak":"65MiB"}"#, "leak", "64MiB"),
            (r#"{"log_flood":0}"#, "log_flood", "from 1"),
            (r#"{"log_flood":"9"}"#, "log_flood", "whole number"),
            (r#"{"crash":false}"#, "crash", "true"),
            (r#"{"crash":"5m"}"#, "crash", "shorter"),
            (r#"{"errors":0.5,"for":"2h"}"#, "for", "1h"),
            (r#"{"errors":0.5,"for":5}"#, "for", "5m"),
            (
                r#"{"errors":0.5,"for":"99999999999999999999h"}"#,
                "for",
                "5m",
            ),
            (r#"{"errors":0.5,"fro":"5m"}"#, "fro", "for"),
            (r#"{"for":"5m"}"#, "", "payment_decline"),
            (r"{}", "", "no fault"),
            (r"[]", "", "object"),
            ("payment_decline=0.6", "", "not JSON"),
            ("", "", "not JSON"),
        ] {
            let error = parse(json).unwrap_err();
            assert_eq!(error.field, field, "{json}");
            assert!(error.message.contains(hint), "{json}: {}", error.message);
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = FaultRequest::parse(&body);
        }

        #[test]
        fn strengths_read_back(name in prop::sample::select(Kind::WORDS), n in 1u64..2_000_000) {
            let text = format!(r#"{{"{name}":"{n}kB"}}"#);
            let ms = format!(r#"{{"{name}":"{n}ms","for":"1h"}}"#);
            for json in [text, ms] {
                if let Ok(request) = parse(&json) {
                    let shown = Map::from_iter([
                        (name.to_owned(), request.faults[0].value()),
                        ("for".to_owned(), show_duration(request.duration).into()),
                    ]);
                    let again = parse(&Value::Object(shown).to_string()).unwrap();
                    prop_assert_eq!(again, request);
                }
            }
        }
    }
}
