//! Business figures: counters made of scraped series ([`follow`]), log lines and spans, by rules
//! ([`rules`]). What was counted lives in [`figures`] and is written durably as one snapshot
//! ([`store`]); `/metrics/business` ([`page`]) shows the last durable one and nothing newer, so that
//! no crash makes a counter fall.
//!
//! Lines are counted exactly once: with the counters, and as atomically, the snapshot says up to
//! which offset each file was counted, and the log lane's own places are written only after it.
//! After a crash lines are read again from such a place, and those below the offset are passed by.
//! A series is counted exactly as long as its counter lives: its last value is in the snapshot.
//! Spans cannot be asked for again: those of the last second before a crash are lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::samples::{self, Follower, Scraped};
use crate::shutdown::ended;
use crate::state::State;

pub mod disk;
pub mod figures;
pub mod follow;
pub mod page;
pub mod record;
pub mod rules;
pub mod spans;

pub use figures::Figures;

use follow::{Look, service_of};

/// Changes of the configuration are looked for this often.
const WATCH: Duration = Duration::from_millis(250);
/// A snapshot is written this often while figures change. The log lane writes one, too, before each
/// of its checkpoints.
const EVERY: Duration = Duration::from_secs(1);

/// Loads what the last run counted, so that the first scrape sees it.
pub fn start(state: &State) {
    configure(state);
}

/// Keeps to the configuration in force and writes snapshots until `shutdown` becomes true; then a
/// last one.
pub async fn run(state: Arc<State>, mut shutdown: watch::Receiver<bool>) {
    let mut written = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            () = ended(&mut shutdown) => break,
        }
        if !state.business.follows(&state.in_force.load().config) {
            let shared = Arc::clone(&state);
            let _ = tokio::task::spawn_blocking(move || configure(&shared)).await; // it says itself
        }
        if written.elapsed() >= EVERY && state.business.is_dirty() {
            store(&state).await;
            written = Instant::now();
        }
    }
    store(&state).await;
}

/// Counts what scraped series grew by.
#[derive(Debug)]
pub struct Series(pub Arc<Figures>);

impl Follower for Series {
    fn scraped(&self, scraped: &Scraped) {
        let Ok(page) = &scraped.page else {
            return;
        };
        let rules = self.0.rules();
        let mut look = Look::new(&rules, service_of(&scraped.target));
        let read = samples::read(page.format, &page.body, &mut |series| look.series(series));
        match read {
            Ok(()) => look.count(&self.0, &scraped.target.name, scraped.at),
            Err(error) => {
                let target = &scraped.target.name;
                tracing::warn!(target, %error, "a page cannot be read for business figures");
            }
        }
    }
}

fn configure(state: &State) {
    if let Err(reason) = state.business.configure(&state.in_force.load().config) {
        state.business.trouble(&reason);
    }
}

async fn store(state: &Arc<State>) {
    let shared = Arc::clone(state);
    let stored = tokio::task::spawn_blocking(move || shared.business.store(None)).await;
    if let Ok(Err(error)) = stored {
        state.business.trouble(&format!(
            "cannot write what was counted: {error}; /metrics/business stands still until it can \
             be written: make room or mend the folder"
        ));
    }
}
