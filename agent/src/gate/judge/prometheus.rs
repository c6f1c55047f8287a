//! Reads one number out of an answer of Prometheus' `/api/v1/query`, and refuses whatever is not
//! exactly that: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use serde_json::Value;

/// The one value of an instant query that was evaluated at a time (Unix milliseconds).
pub(super) fn number(body: &str, evaluated_at: i64) -> Result<f64, String> {
    let sample = sample(body)?;
    let (at, value) = sample;
    if at != evaluated_at {
        return Err(format!(
            "the answer is for the time {at}, asked was {evaluated_at} (a cache between?)"
        ));
    }
    Ok(value)
}

/// The one sample of an answer: Unix milliseconds and a finite value.
pub(super) fn sample(body: &str) -> Result<(i64, f64), String> {
    let reply: Value =
        serde_json::from_str(body).map_err(|error| format!("the answer is no JSON: {error}"))?;
    match reply["status"].as_str() {
        Some("success") => {}
        Some("error") => {
            let error = reply["error"].as_str().unwrap_or("no reason given");
            return Err(format!("Prometheus says: {error}"));
        }
        _ => return Err("the answer has no status".to_owned()),
    }
    match &reply["warnings"] {
        Value::Null => {}
        Value::Array(warnings) if warnings.is_empty() => {}
        Value::Array(warnings) => {
            let first = warnings[0].as_str().unwrap_or("?");
            return Err(format!("the answer may be partial: {first}"));
        }
        _ => return Err("the answer's warnings are no list".to_owned()),
    }
    let data = &reply["data"];
    let pair = match data["resultType"].as_str() {
        Some("scalar") => &data["result"],
        Some("vector") => {
            let series = data["result"]
                .as_array()
                .ok_or("the answer's result is no list")?;
            match series.as_slice() {
                [] => return Err("the answer is empty: there is no such series".to_owned()),
                [one] if one["histogram"].is_null() => &one["value"],
                [_] => {
                    return Err("the answer is a histogram, not a number".to_owned());
                }
                more => {
                    return Err(format!(
                        "the answer has {} series, one is needed; put sum() around the query",
                        more.len()
                    ));
                }
            }
        }
        Some(other) => return Err(format!("the answer is a {other}, one number is needed")),
        None => return Err("the answer has no data".to_owned()),
    };
    let (at, text) = match pair.as_array().map(Vec::as_slice) {
        Some([at, Value::String(text)]) => (at.as_f64(), text),
        _ => return Err("the answer's sample is no pair of time and value".to_owned()),
    };
    let at = at
        .filter(|at| at.is_finite() && at.abs() < 1e15)
        .ok_or("the answer's sample has no time")?;
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if !value.is_finite() {
        return Err(format!("the value is {text}"));
    }
    Ok(((at * 1000.0).round() as i64, value))
}
