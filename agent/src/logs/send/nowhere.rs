//! In place of a sender, where lines are read for business rules only: each is done at once.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::logs::batch::{Batch, Pool};
use crate::logs::ledger::{Ledger, Outcome};
use crate::logs::places::Places;

pub struct Nowhere {
    pub pool: Arc<Pool>,
    pub places: Arc<Places>,
    pub ledger: Arc<Ledger>,
}

impl Nowhere {
    /// Takes batches until the reader is gone.
    pub async fn run(self, mut batches: mpsc::UnboundedReceiver<Batch>) {
        while let Some(batch) = batches.recv().await {
            let mut lines = vec![0_usize; batch.runs.len()];
            for item in &batch.items {
                lines[item.run as usize] += 1;
            }
            for (run, lines) in batch.runs.iter().zip(lines) {
                self.places.done(run.file, run.segment, lines);
                let source = &run.source;
                self.ledger.end(source, Outcome::Counted, lines as u64);
            }
            self.pool.give(batch);
        }
    }
}
