//! Kinds of errors that a service did not have before its last deploy. Its last deploy is the newest
//! event of one; without any, the first line of the version that was seen last. Kinds are counted
//! exactly: those since then page by page, and of each page those that were there before.

use reqwest::Method;
use serde_json::{Value, json};

use crate::inbox::time::Instant;
use crate::systems::rest::{Rest, RestError};

const PAGE: usize = 500;
/// Versions of one service that are looked at.
const VERSIONS: usize = 1_000;

/// What is taken as a service's last deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    pub at: Instant,
    pub version: String,
    /// An event told of it; else it is the version's first line.
    pub told: bool,
}

/// A kind of errors that began since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    pub fingerprint: String,
    pub pattern: String,
    pub lines: u64,
    pub first_seen: Instant,
}

/// The last deploy of a service; `None` if no event tells of one and no line names a version.
pub async fn last_deploy(
    rest: &Rest,
    events: &str,
    lines: &str,
) -> Result<Option<Deployed>, RestError> {
    let newest = json!({
        "size": 1,
        "sort": [{ "@timestamp": { "order": "desc", "unmapped_type": "date" } }],
        "query": { "bool": {
            "filter": [{ "exists": { "field": "service.version" } }],
            // One that failed changed nothing that stays.
            "must_not": [{ "term": { "event.outcome": "failure" } }],
        } },
        "_source": ["service.version"],
    });
    let reply = search(rest, events, &newest).await?;
    let hit = &reply["hits"]["hits"][0];
    if let Some(at) = hit["sort"][0].as_i64() {
        let version = super::query::field(&hit["_source"], "service.version");
        return Ok(Some(Deployed {
            at: Instant(at),
            version: version
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            told: true,
        }));
    }
    let versions = json!({
        "size": 0,
        "aggs": { "versions": {
            "terms": { "field": "service.version", "size": VERSIONS },
            "aggs": { "first": { "min": { "field": "@timestamp" } } },
        } },
    });
    let reply = search(rest, lines, &versions).await?;
    Ok(newest_version(&reply))
}

/// The version whose first line is the newest. Pure.
fn newest_version(reply: &Value) -> Option<Deployed> {
    let buckets = reply["aggregations"]["versions"]["buckets"].as_array()?;
    let all = buckets.iter().filter_map(|bucket| {
        Some(Deployed {
            at: Instant(millis(&bucket["first"]["value"])?),
            version: bucket["key"].as_str()?.to_owned(),
            told: false,
        })
    });
    all.max_by_key(|deployed| deployed.at.0)
}

/// Kinds of errors with lines since `since` and none before, the newest first.
pub async fn fresh(rest: &Rest, lines: &str, since: Instant) -> Result<Vec<Fresh>, RestError> {
    let mut out = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut composite = json!({
            "size": PAGE,
            "sources": [{ "kind": { "terms": { "field": "kai.fingerprint" } } }],
        });
        if !after.is_null() {
            composite["after"] = after;
        }
        let body = json!({
            "size": 0,
            "query": { "bool": { "filter": [
                { "range": { "@timestamp": { "gte": since.0, "format": "epoch_millis" } } },
            ] } },
            "aggs": { "kinds": { "composite": composite, "aggs": {
                "first": { "min": { "field": "@timestamp" } },
                "pattern": { "terms": { "field": "kai.pattern", "size": 1 } },
            } } },
        });
        let reply = search(rest, lines, &body).await?;
        let kinds = &reply["aggregations"]["kinds"];
        let page = kinds_of(kinds);
        if page.is_empty() {
            break;
        }
        let before = known(rest, lines, since, &page).await?;
        out.extend(
            page.into_iter()
                .filter(|kind| !before.contains(&kind.fingerprint)),
        );
        after = kinds["after_key"].clone();
        if after.is_null() {
            break;
        }
    }
    out.sort_by_key(|kind| std::cmp::Reverse(kind.first_seen.0));
    Ok(out)
}

fn kinds_of(kinds: &Value) -> Vec<Fresh> {
    let buckets = kinds["buckets"].as_array().into_iter().flatten();
    buckets
        .filter_map(|bucket| {
            let pattern = bucket["pattern"]["buckets"][0]["key"].as_str();
            Some(Fresh {
                fingerprint: bucket["key"]["kind"].as_str()?.to_owned(),
                pattern: pattern.unwrap_or_default().to_owned(),
                lines: bucket["doc_count"].as_u64()?,
                first_seen: Instant(millis(&bucket["first"]["value"])?),
            })
        })
        .collect()
}

/// Which of these have lines from before.
async fn known(
    rest: &Rest,
    lines: &str,
    since: Instant,
    page: &[Fresh],
) -> Result<Vec<String>, RestError> {
    let kinds: Vec<&str> = page.iter().map(|kind| kind.fingerprint.as_str()).collect();
    let body = json!({
        "size": 0,
        "query": { "bool": { "filter": [
            { "range": { "@timestamp": { "lt": since.0, "format": "epoch_millis" } } },
            { "terms": { "kai.fingerprint": kinds } },
        ] } },
        "aggs": { "kinds": { "terms": { "field": "kai.fingerprint", "size": PAGE } } },
    });
    let reply = search(rest, lines, &body).await?;
    let buckets = reply["aggregations"]["kinds"]["buckets"].as_array();
    let keys = buckets.into_iter().flatten();
    Ok(keys
        .filter_map(|bucket| bucket["key"].as_str().map(str::to_owned))
        .collect())
}

/// A server says moments of aggregations as floating numbers.
#[expect(
    clippy::cast_possible_truncation,
    reason = "milliseconds since 1970 fit many times over"
)]
fn millis(value: &Value) -> Option<i64> {
    value.as_f64().map(|millis| millis as i64)
}

async fn search(rest: &Rest, index: &str, body: &Value) -> Result<Value, RestError> {
    let path = format!("/{index}/_search?ignore_unavailable=true&allow_no_indices=true");
    rest.json(Method::POST, &path, Some(body)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_came_last_counts_not_the_greatest() {
        let reply = json!({ "aggregations": { "versions": { "buckets": [
            { "key": "1.10.0", "doc_count": 900, "first": { "value": 1_000.0 } },
            { "key": "1.9.1", "doc_count": 2, "first": { "value": 2_000.0 } },
            { "key": "1.9.0", "doc_count": 5, "first": { "value": null } },
        ] } } });
        let deployed = newest_version(&reply).unwrap();
        assert_eq!((deployed.version.as_str(), deployed.at.0), ("1.9.1", 2_000));
        assert_eq!(newest_version(&json!({})), None);
    }

    #[test]
    fn kinds_are_read_with_what_they_say() {
        let kinds = json!({ "buckets": [
            { "key": { "kind": "a1" }, "doc_count": 3, "first": { "value": 7.0 },
              "pattern": { "buckets": [{ "key": "order <n> failed", "doc_count": 3 }] } },
            { "key": { "kind": null }, "doc_count": 3, "first": { "value": 7.0 } },
        ] });
        let read = kinds_of(&kinds);
        assert_eq!(read.len(), 1);
        assert_eq!(
            (read[0].pattern.as_str(), read[0].lines),
            ("order <n> failed", 3)
        );
    }
}
