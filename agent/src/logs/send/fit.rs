//! The sender fits itself to what the cluster can do. Lines do not wait for that: until it is known,
//! they go as every cluster takes them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kai_contract::agent_config::Compress;

use super::{Backoff, Sender};
use crate::logs::cluster::abilities::{Abilities, Packing, Product};

/// Clusters are upgraded.
const AGAIN: Duration = Duration::from_mins(10);
/// One that does not answer is asked again after these.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_mins(1);

/// The packings that a configuration asks for, the best first.
pub fn wanted(compress: Compress) -> &'static [Packing] {
    match compress {
        Compress::None => &[],
        Compress::Gzip => &[Packing::Gzip],
        Compress::Zstd => &[Packing::Zstd],
        Compress::Auto => &[Packing::Zstd, Packing::Gzip],
    }
}

/// What is used before anything is known: every cluster unpacks gzip.
pub fn at_first(compress: Compress) -> Packing {
    match compress {
        Compress::Gzip => Packing::Gzip,
        Compress::None | Compress::Zstd | Compress::Auto => Packing::None,
    }
}

impl Sender {
    /// Asks now and then, as long as the lane runs.
    pub(super) async fn fit(self: Arc<Self>) {
        let mut known: Option<Abilities> = None;
        let mut backoff = Backoff::within(FIRST, LONGEST);
        loop {
            // What comes over the network gives its data streams their names.
            let Some(stream) = self.streams.iter().find(|one| !one.name.is_empty()) else {
                tokio::time::sleep(FIRST).await;
                continue;
            };
            match self
                .cluster
                .learn(&stream.name, wanted(self.compress))
                .await
            {
                Ok(abilities) => {
                    backoff = Backoff::within(FIRST, LONGEST);
                    self.fit_to(&abilities);
                    if known.as_ref() != Some(&abilities) {
                        self.tell(&abilities);
                        known = Some(abilities);
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the cluster cannot be asked yet what it can do");
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    fn fit_to(&self, abilities: &Abilities) {
        self.use_packing(abilities.packing);
        // Who did not say what he is may have refused it already.
        if abilities.product != Product::Unknown {
            self.require_data_stream
                .store(abilities.require_data_stream, Ordering::Relaxed);
        }
    }

    fn tell(&self, abilities: &Abilities) {
        tracing::info!(
            product = abilities.product.name(),
            version = %abilities.version,
            packing = abilities.packing.name(),
            left_out = ?abilities.left_out(),
            "the cluster was asked what it can do"
        );
        self.ledger.abilities(abilities.clone());
    }

    pub(super) fn packing(&self) -> Packing {
        match self.packing.load(Ordering::Relaxed) {
            1 => Packing::Gzip,
            2 => Packing::Zstd,
            _ => Packing::None,
        }
    }

    pub(super) fn use_packing(&self, packing: Packing) {
        self.packing.store(packing as u8, Ordering::Relaxed);
    }
}
