//! The rollover check. A data stream refuses an id that it has only within its current write index:
//! after a rollover the same `create` is accepted again, and the line is there twice. So before
//! anything is repeated that may have been carried out, the backing indices are listed; if there
//! are newer ones than the lines may have reached, each from that one on is asked for their ids,
//! and only what is missing is sent. The write index itself needs no question: it refuses.
//!
//! Nor is anything asked or repeated while an earlier request with the same lines is still being
//! executed, of which it is open into which index it will write: each request carries a name, and
//! Elasticsearch lists the names of what it executes.
//!
//! A rollover between the question and the repetition shows in the answer, which says in which
//! index a line was created; [`repeated`] then removes the younger of two copies.
//!
//! (If the agent does not live to do that, the next run's check finds both.)
//!
//! What remains: a request that Elasticsearch has received and not begun to execute after
//! [`SETTLE`].

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::{Failure, Sender};
use crate::logs::batch::{Batch, Since};
use crate::logs::cluster::{Answer, CallError, TASKS};
use crate::logs::ledger::Outcome;
use crate::logs::reply::Placed;

mod repeated;

/// The write index is looked at again after this time, so that fewer indices have to be asked.
const FRESH: Duration = Duration::from_secs(30);

/// Time for a request that was received to be listed as a task, on a busy server.
const SETTLE: Duration = Duration::from_secs(1);

/// Ids in one question.
const AT_ONCE: usize = 2000;

/// `_resolve/index`, which the smallest distributions have too (`_data_stream` they have not).
#[derive(Deserialize)]
struct Resolved {
    #[serde(default)]
    data_streams: Vec<DataStream>,
}

#[derive(Deserialize)]
struct DataStream {
    name: String,
    backing_indices: Vec<String>,
}

#[derive(Deserialize)]
struct Tasks {
    #[serde(default)]
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    docs: Vec<FoundDoc>,
}

#[derive(Deserialize)]
struct FoundDoc {
    found: Option<bool>,
    error: Option<Cause>,
    #[serde(rename = "_seq_no", default)]
    seq_no: u64,
    #[serde(rename = "_primary_term", default)]
    primary_term: u64,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(rename = "type")]
    kind: String,
}

/// Which of `count` ids an index has. Only a plain no is a no: an index that is still recovering
/// answers each id with an error, and what it has would be sent again.
fn found(body: &[u8], index: &str, count: usize) -> Result<Vec<Option<Placed>>, String> {
    let found: Found = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if found.docs.len() != count {
        return Err(format!("{} answers for {count} ids", found.docs.len()));
    }
    let judge = |doc: FoundDoc| match (doc.found, doc.error) {
        (Some(found), None) => Ok(found.then(|| Placed {
            index: index.to_owned(),
            seq_no: doc.seq_no,
            primary_term: doc.primary_term,
        })),
        // Deleted since it was listed: what was in it is gone, as its age wanted it.
        (None, Some(cause)) if cause.kind == "index_not_found_exception" => Ok(None),
        (_, Some(cause)) => Err(cause.kind),
        (None, None) => Err("neither found nor an error".to_owned()),
    };
    found.docs.into_iter().map(judge).collect()
}

impl Sender {
    /// The write index as it was seen not long ago.
    pub(super) async fn observed(&self, stream: usize) -> Result<Since, Failure> {
        let last = self.streams[stream]
            .observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match last {
            Some((since, at)) if at.elapsed() < FRESH => Ok(since),
            _ => Ok(self.list(stream).await?.1),
        }
    }

    /// Lists the backing indices, oldest first, and remembers the last.
    pub(super) async fn list(&self, stream: usize) -> Result<(Vec<String>, Since), Failure> {
        let name = &self.streams[stream].name;
        let path = format!("/_resolve/index/{name}");
        let answer = self.cluster.ask(&path, None).await.map_err(unanswered)?;
        let indices = match answer.status {
            200 => {
                let resolved: Resolved = read(&answer)
                    .inspect_err(|failure| self.cluster.leave(answer.endpoint, &failure.reason))?;
                let found = resolved
                    .data_streams
                    .into_iter()
                    .find(|s| *s.name == **name);
                found.map_or_else(Vec::new, |stream| stream.backing_indices)
            }
            404 => Vec::new(), // the first line makes it
            _ => return Err(refused("listing the backing indices", &answer)),
        };
        let last = indices.last().map_or("", String::as_str);
        let since = self.places.observe(stream, last);
        *self.streams[stream]
            .observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some((since.clone(), Instant::now()));
        Ok((indices, since))
    }

    /// Takes out of a batch what older backing indices have.
    pub(super) async fn check(&self, batch: &mut Batch) -> Result<Since, Failure> {
        // An attempt of this run failed just now; the last run's are as old as this run at least.
        let age = if batch.ambiguous {
            Duration::ZERO
        } else {
            self.started.elapsed()
        };
        tokio::time::sleep(SETTLE.saturating_sub(age)).await;
        self.executed(batch).await?;
        loop {
            let since = self.check_once(batch).await?;
            // Asking takes its time, in which there may have been another rollover.
            if batch.items.is_empty() || self.list(batch.stream).await?.1 == since {
                return Ok(since);
            }
        }
    }

    async fn check_once(&self, batch: &mut Batch) -> Result<Since, Failure> {
        let (indices, since) = self.list(batch.stream).await?;
        let suspects: Vec<usize> = (0..batch.items.len())
            .filter(|index| batch.suspect(*index))
            .collect();
        let position = |index: &str| indices.iter().position(|name| name == index).unwrap_or(0);
        let oldest = suspects
            .iter()
            .map(|&item| {
                let since = batch.run_of(item).since.as_ref();
                since.map_or(0, |since| position(&since.index))
            })
            .min();
        let to_ask = indices.len().saturating_sub(1); // all but the write index
        let Some(oldest) = oldest.filter(|oldest| *oldest < to_ask) else {
            self.ledger.checked("same_index");
            return Ok(since);
        };
        let mut there = vec![false; batch.items.len()];
        let mut copies = Vec::new();
        for (at, index) in indices.iter().enumerate().skip(oldest) {
            // The write index is asked only for what was found before it: it may have a copy that
            // an earlier run made and did not live to remove.
            let asked: Vec<usize> = suspects
                .iter()
                .copied()
                .filter(|item| at < to_ask || there[*item])
                .collect();
            for part in asked.chunks(AT_ONCE) {
                for (item, found) in part.iter().zip(self.lookup(index, batch, part).await?) {
                    match found {
                        Some(placed) if there[*item] => copies.push((*item, placed)),
                        Some(_) => there[*item] = true,
                        None => {}
                    }
                }
            }
        }
        self.remove(batch, &copies).await?;
        self.ledger.checked("rolled_over");
        let count = there.iter().filter(|found| **found).count();
        tracing::debug!(
            data_stream = %self.streams[batch.stream].name,
            since = %indices[oldest],
            lines = suspects.len(),
            found = count,
            "a rollover came between: older backing indices were asked for lines that may be there"
        );
        for (item, found) in there.iter().enumerate() {
            if *found {
                self.ledger.duplicates(&batch.run_of(item).source, 1);
            }
        }
        self.settle(batch, Outcome::Acked, |item| there[item]);
        batch.retain(|item| !there[item]);
        Ok(since)
    }

    /// Makes sure that no request is being executed any more that may have had these lines: one of
    /// this batch's own, or any of an earlier run.
    pub(super) async fn executed(&self, batch: &Batch) -> Result<(), Failure> {
        let answer = self.cluster.ask(TASKS, None).await.map_err(unanswered)?;
        match answer.status {
            200 => {}
            // Without the right to see tasks, and without servers that anybody sees, waiting is all
            // that can be done.
            401 | 403 | 404 | 405 | 410 => {
                tokio::time::sleep(SETTLE).await;
                return Ok(());
            }
            _ => return Err(refused("listing what is executed", &answer)),
        }
        let tasks: Tasks = read(&answer)?;
        let ours = format!("kai-agent/{}/", self.places.agent);
        let this_run = self.prefix();
        let own = (batch.serial > 0).then(|| self.name(batch.serial));
        let concerns = |name: &String| {
            name.starts_with(&ours) && (!name.starts_with(&this_run) || Some(name) == own.as_ref())
        };
        let named = |task: &Task| task.headers.values().any(concerns);
        if tasks.tasks.iter().any(named) {
            return Err(Failure {
                label: "still_executed",
                reason: "an earlier request with the same lines is still being executed".to_owned(),
            });
        }
        Ok(())
    }

    /// Which of some items an index has.
    async fn lookup(
        &self,
        index: &str,
        batch: &Batch,
        items: &[usize],
    ) -> Result<Vec<Option<Placed>>, Failure> {
        let ids: Vec<&str> = items.iter().map(|item| batch.id(*item)).collect();
        let path = format!(
            "/{index}/_mget?_source=false&filter_path=docs.found,docs.error.type,docs._seq_no,\
             docs._primary_term"
        );
        let body = json!({ "ids": ids }).to_string();
        let answer = self
            .cluster
            .ask(&path, Some(body))
            .await
            .map_err(unanswered)?;
        match answer.status {
            200 => found(&answer.body, index, items.len()).map_err(|reason| Failure {
                label: "check_failed",
                reason: format!("{index} cannot be asked for ids yet: {reason}"),
            }),
            // Deleted since it was listed: what was in it is gone, as its age wanted it.
            404 => Ok(vec![None; items.len()]),
            _ => Err(refused("asking for ids", &answer)),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body).map_err(|error| Failure {
        label: "check_failed",
        reason: format!("cannot read an answer: {error}: {}", answer.excerpt()),
    })
}

fn unanswered(error: CallError) -> Failure {
    Failure {
        label: "unreachable",
        reason: error.to_string(),
    }
}

fn refused(what: &str, answer: &Answer) -> Failure {
    Failure {
        label: "check_failed",
        reason: format!("{what}: status {}: {}", answer.status, answer.excerpt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_no_is_a_no() {
        // As Elasticsearch 9.5.3 answers, with our `filter_path`.
        let body = br#"{"docs":[{"_seq_no":7,"_primary_term":1,"found":true},{"found":false},{"error":{"type":"index_not_found_exception"}}]}"#;
        let first = Placed {
            index: "i".into(),
            seq_no: 7,
            primary_term: 1,
        };
        assert_eq!(found(body, "i", 3), Ok(vec![Some(first), None, None]));
        assert!(found(body, "i", 2).is_err());
        let body = br#"{"docs":[{"error":{"type":"no_shard_available_action_exception"}}]}"#;
        assert_eq!(
            found(body, "i", 1),
            Err("no_shard_available_action_exception".to_owned())
        );
        assert!(found(b"{}", "i", 1).is_err());
        assert!(found(br#"{"docs":[{}]}"#, "i", 1).is_err());
    }
}
