//! Error documents in the service's data stream. The one search counts all documents of the window
//! too, those that have a level, and the newest one's time: without them a count of 0 says nothing.

use serde::Deserialize;

use super::{Check, Evidence, Finding, Verdict, body, short};
use crate::gate::evidence::{LogsCheck, Question};

#[derive(Deserialize)]
struct Reply {
    timed_out: bool,
    #[serde(default)]
    terminated_early: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    hits: Hits,
    aggregations: Aggregations,
}

#[derive(Deserialize)]
struct Shards {
    total: u64,
    successful: u64,
    failed: u64,
}

#[derive(Deserialize)]
struct Hits {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
    relation: String,
}

#[derive(Deserialize)]
struct Aggregations {
    errors: Count,
    leveled: Count,
    newest: Newest,
}

#[derive(Deserialize)]
struct Count {
    doc_count: u64,
}

#[derive(Deserialize)]
struct Newest {
    value: Option<f64>,
}

pub(super) fn judge(check: &LogsCheck, evidence: &Evidence) -> Finding {
    let limit = check.max_per_minute.get();
    let finding = |verdict, seen: String, reasons| Finding {
        check: Check::ErrorLogs,
        verdict,
        seen,
        limit: format!("{} per minute", short(limit)),
        reasons,
    };
    let read = body(evidence, Question::ErrorLogs).and_then(read);
    let reply = match read {
        Ok(reply) => reply,
        Err(reason) => {
            return finding(Verdict::NoData, "nothing to judge by".into(), vec![reason]);
        }
    };
    let all = reply.hits.total.value;
    let errors = reply.aggregations.errors.doc_count;
    let leveled = reply.aggregations.leveled.doc_count;
    let minutes = check.window_seconds.max(1) as f64 / 60.0;
    let rate = errors as f64 / minutes;
    let seen = format!("{} per minute ({errors} of {all})", short(rate));
    if errors > leveled || leveled > all {
        let reason = format!("{errors} errors, {leveled} with a level, {all} in all contradict");
        return finding(Verdict::Inconclusive, seen, vec![reason]);
    }
    if rate > limit {
        let reason = format!(
            "{errors} error documents in {} s are more than {} per minute",
            check.window_seconds,
            short(limit)
        );
        return finding(Verdict::Fail, seen, vec![reason]);
    }
    if all == 0 {
        return if check.require_documents {
            let reason = format!(
                "there is no document at all in {} s; is the log shipped? (requireLogs: false for \
                 a service that may be silent)",
                check.window_seconds
            );
            finding(Verdict::NoData, "no documents".into(), vec![reason])
        } else {
            finding(Verdict::Pass, "no documents".into(), Vec::new())
        };
    }
    if leveled == 0 {
        let reason = "no document has a level, so errors cannot be told from others".to_owned();
        return finding(Verdict::NoData, seen, vec![reason]);
    }
    let window = check.window_seconds as f64 * 1000.0;
    let age = reply
        .aggregations
        .newest
        .value
        .map(|newest| check.until as f64 - newest);
    match age {
        Some(age) if (-1.0..=window + 1.0).contains(&age) => {
            if check.require_documents && age > window / 2.0 {
                let reason = format!(
                    "the newest document is {} s old, in a window of {} s; is the log still \
                     shipped?",
                    (age / 1000.0).round(),
                    check.window_seconds
                );
                return finding(Verdict::Inconclusive, seen, vec![reason]);
            }
        }
        _ => {
            let reason = "the newest document's time lies outside of the window".to_owned();
            return finding(Verdict::NoData, seen, vec![reason]);
        }
    }
    finding(Verdict::Pass, seen, Vec::new())
}

/// The reply, if it speaks for every shard.
fn read(body: &str) -> Result<Reply, String> {
    let reply: Reply = serde_json::from_str(body)
        .map_err(|error| format!("the answer is no search result: {error}"))?;
    let shards = &reply.shards;
    if reply.timed_out || reply.terminated_early {
        return Err("the search was ended early, so its counts are partial".to_owned());
    }
    if shards.total == 0 {
        return Err("the search found no shard: the data stream is not there".to_owned());
    }
    if shards.failed > 0 || shards.successful != shards.total {
        return Err(format!(
            "only {} of {} shards answered, so the counts are partial",
            shards.successful, shards.total
        ));
    }
    if reply.hits.total.relation != "eq" {
        return Err("the number of documents is only a lower bound".to_owned());
    }
    Ok(reply)
}
