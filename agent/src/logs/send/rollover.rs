//! The rollover check. A data stream refuses an id that it has only within its current write index:
//! after a rollover the same `create` is accepted again, and the line is there twice. So before
//! anything is repeated that may have been carried out, the backing indices are listed; if there
//! are newer ones than the lines may have reached, each from that one on is asked for their ids,
//! and only what is missing is sent. The write index itself needs no question: it refuses.
//!
//! What remains: a request that Elasticsearch is still executing, or a rollover, in the moment
//! between the question and the repetition.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::{Failure, Sender};
use crate::logs::batch::{Batch, Since};
use crate::logs::cluster::{Answer, CallError};
use crate::logs::ledger::Outcome;

/// The write index is looked at again after this time, so that fewer indices have to be asked.
const FRESH: Duration = Duration::from_secs(30);

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
struct Found {
    #[serde(default)]
    docs: Vec<FoundDoc>,
}

#[derive(Deserialize)]
struct FoundDoc {
    #[serde(default)]
    found: bool,
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
    async fn list(&self, stream: usize) -> Result<(Vec<String>, Since), Failure> {
        let name = &self.streams[stream].name;
        let path = format!("/_resolve/index/{name}");
        let answer = self.cluster.ask(&path, None).await.map_err(unanswered)?;
        let indices = match answer.status {
            200 => {
                let resolved: Resolved = read(&answer)?;
                let found = resolved.data_streams.into_iter().find(|s| s.name == *name);
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
        for index in &indices[oldest..to_ask] {
            let missing: Vec<usize> = suspects.iter().copied().filter(|i| !there[*i]).collect();
            for part in missing.chunks(AT_ONCE) {
                for (item, found) in part.iter().zip(self.lookup(index, batch, part).await?) {
                    there[*item] = found;
                }
            }
        }
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

    /// Which of some items an index has.
    async fn lookup(
        &self,
        index: &str,
        batch: &Batch,
        items: &[usize],
    ) -> Result<Vec<bool>, Failure> {
        let ids: Vec<&str> = items.iter().map(|item| batch.id(*item)).collect();
        let path = format!("/{index}/_mget?_source=false&filter_path=docs.found,docs.error.type");
        let body = json!({ "ids": ids }).to_string();
        let answer = self
            .cluster
            .ask(&path, Some(body))
            .await
            .map_err(unanswered)?;
        match answer.status {
            200 => {
                let found: Found = read(&answer)?;
                if found.docs.len() != items.len() {
                    return Err(refused("asking for ids", &answer));
                }
                Ok(found.docs.into_iter().map(|doc| doc.found).collect())
            }
            // Deleted since it was listed: what was in it is gone, as its age wanted it.
            404 => Ok(vec![false; items.len()]),
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
