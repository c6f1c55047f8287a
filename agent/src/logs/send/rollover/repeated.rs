//! When a rollover came between the question and the repetition, lines may be there twice: in the
//! index that was asked last, or not asked because it was the write index, and in the new one. What
//! was created in a newer index than expected is looked for in those before, and the copy that was
//! just created is deleted, by its sequence number, so that nothing else can be meant.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{AT_ONCE, Failure, read, refused, unanswered};
use crate::logs::batch::{Batch, Since};
use crate::logs::cluster::Answer;
use crate::logs::reply::{self, Placed};
use crate::logs::send::Sender;
use crate::logs::send::backoff::Backoff;

#[derive(Deserialize)]
struct Deleted {
    items: Vec<Action>,
}

#[derive(Deserialize)]
struct Action {
    delete: Status,
}

#[derive(Deserialize)]
struct Status {
    status: u16,
}

impl Sender {
    /// Looks at where suspect lines were created, `expected` being the write index when they were
    /// asked for. Tried until it succeeds: afterwards nobody would know.
    pub(in crate::logs::send) async fn undo_repeated(
        &self,
        batch: &Batch,
        answer: &Answer,
        expected: &Since,
    ) {
        let Ok(placed) = reply::placed(&answer.body, batch.items.len()) else {
            return; // not an answer; its reader says so
        };
        let mut strays: Vec<(usize, Placed)> = Vec::new();
        for (item, placed) in placed.into_iter().enumerate() {
            if let Some(placed) = placed
                && batch.suspect(item)
                && placed.index != *expected.index
            {
                strays.push((item, placed));
            }
        }
        if strays.is_empty() {
            return;
        }
        let mut backoff = Backoff::default();
        while let Err(failure) = self.undo(batch, &strays, expected).await {
            self.say(batch, &failure.reason);
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    async fn undo(
        &self,
        batch: &Batch,
        strays: &[(usize, Placed)],
        expected: &Since,
    ) -> Result<(), Failure> {
        let (indices, _) = self.list(batch.stream).await?;
        self.executed(batch).await?;
        let position = |name: &str| indices.iter().position(|index| index == name);
        let from = position(&expected.index).unwrap_or(0);
        let mut twice = vec![false; strays.len()];
        for (at, index) in indices.iter().enumerate().skip(from) {
            let later: Vec<usize> = (0..strays.len())
                .filter(|stray| position(&strays[*stray].1.index).is_some_and(|own| own > at))
                .filter(|stray| !twice[*stray])
                .collect();
            for part in later.chunks(AT_ONCE) {
                let items: Vec<usize> = part.iter().map(|stray| strays[*stray].0).collect();
                let found = self.lookup(index, batch, &items).await?;
                for (stray, found) in part.iter().zip(found) {
                    twice[*stray] = found.is_some();
                }
            }
        }
        let copies: Vec<(usize, Placed)> = strays
            .iter()
            .zip(twice)
            .filter(|(_, twice)| *twice)
            .map(|(stray, _)| stray.clone())
            .collect();
        self.remove(batch, &copies).await
    }

    /// Deletes copies of a batch's items, each just there and as it was seen.
    pub(super) async fn remove(
        &self,
        batch: &Batch,
        copies: &[(usize, Placed)],
    ) -> Result<(), Failure> {
        if copies.is_empty() {
            return Ok(());
        }
        let mut body = String::new();
        for (item, placed) in copies {
            let action = serde_json::json!({ "delete": { "_index": placed.index,
                "_id": batch.id(*item), "if_seq_no": placed.seq_no,
                "if_primary_term": placed.primary_term } });
            let _ = writeln!(body, "{action}"); // writing to a String does not fail
        }
        let path = "/_bulk?filter_path=items.*.status";
        let answer = self
            .cluster
            .ask(path, Some(body))
            .await
            .map_err(unanswered)?;
        let statuses: Vec<u16> = match answer.status {
            200 => {
                let deleted: Deleted = read(&answer)?;
                deleted
                    .items
                    .iter()
                    .map(|item| item.delete.status)
                    .collect()
            }
            status @ (401 | 403) => vec![status; copies.len()],
            _ => return Err(refused("removing lines that are there twice", &answer)),
        };
        if statuses.iter().any(|status| matches!(status, 429 | 500..)) {
            return Err(refused("removing lines that are there twice", &answer));
        }
        let refused = |status: &&u16| matches!(**status, 401 | 403);
        let left = statuses.iter().filter(refused).count();
        tracing::info!(
            data_stream = %self.streams[batch.stream].name,
            lines = copies.len(),
            left,
            "a rollover came while lines were sent again; their younger copies were removed"
        );
        self.ledger
            .repeated((copies.len() - left) as u64, left as u64);
        Ok(())
    }
}
