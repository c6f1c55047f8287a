//! Live events for somebody who looks: documents as they are on their way to Elasticsearch, parsed and
//! redacted. Over the admin socket, which only the agent's own user may open.
//!
//! Nobody looking costs one load of an atomic for each part of a file that is read. Somebody looking
//! costs a copy of what fits their filter, on the reading thread, into a queue with a bound in bytes;
//! what did not fit in, since the reader is slow, is counted and said. Whoever does not come back is
//! forgotten. Reading never waits for a tap.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub mod command;
mod filter;
mod show;

pub use filter::Filter;

/// Taps at one time.
const MOST: usize = 8;
/// Bytes of events that wait for one reader.
const QUEUE_BYTES: usize = 1 << 20;
/// A reader that has not asked for so long is gone.
const FORGET: Duration = Duration::from_secs(15);
/// An answer waits so long for an event.
const WAIT: Duration = Duration::from_secs(2);

/// What a reader sends: who it is, and what it wants to see, which counts the first time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    pub id: String,
    #[serde(default)]
    pub filter: Filter,
}

#[derive(Debug, thiserror::Error)]
pub enum TapError {
    #[error("{0}")]
    Bad(String),
    #[error("{MOST} people look already; one of them has to stop")]
    TooMany,
}

#[derive(Debug, Default)]
struct Queue {
    /// Source and document.
    events: VecDeque<(Arc<str>, Box<[u8]>)>,
    bytes: usize,
    missed: u64,
    seen: u64,
    asked: Option<Instant>,
}

#[derive(Debug)]
struct Tap {
    id: String,
    filter: Filter,
    queue: Mutex<Queue>,
    some: Notify,
}

impl Tap {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_gone(&self) -> bool {
        let asked = self.queue().asked;
        asked.is_some_and(|at| at.elapsed() > FORGET)
    }

    fn offer(&self, source: &Arc<str>, document: &[u8]) {
        let mut queue = self.queue();
        queue.seen += 1;
        if !self.filter.fits(source, document, queue.seen) {
            return;
        }
        if queue.bytes + document.len() > QUEUE_BYTES && !queue.events.is_empty() {
            queue.missed += 1;
            return;
        }
        queue.bytes += document.len();
        queue
            .events
            .push_back((Arc::clone(source), document.into()));
        drop(queue);
        self.some.notify_one();
    }
}

/// All who look.
#[derive(Debug, Default)]
pub struct Hub {
    any: AtomicBool,
    taps: Mutex<Vec<Arc<Tap>>>,
}

/// Those who look while a part of a file is read.
#[derive(Debug)]
pub struct Listeners(Vec<Arc<Tap>>);

impl Listeners {
    pub fn offer(&self, source: &Arc<str>, document: &[u8]) {
        for tap in &self.0 {
            tap.offer(source, document);
        }
    }
}

impl Hub {
    fn taps(&self) -> MutexGuard<'_, Vec<Arc<Tap>>> {
        self.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` while nobody looks.
    pub fn listeners(&self) -> Option<Listeners> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let mut taps = self.taps();
        taps.retain(|tap| !tap.is_gone());
        self.any.store(!taps.is_empty(), Ordering::Relaxed);
        (!taps.is_empty()).then(|| Listeners(taps.clone()))
    }

    fn tap(&self, request: Request) -> Result<Arc<Tap>, TapError> {
        let bad = |text: String| Err(TapError::Bad(text));
        if request.id.is_empty() || request.id.len() > 64 {
            return bad("the id has 1 to 64 characters".to_owned());
        }
        let mut taps = self.taps();
        taps.retain(|tap| !tap.is_gone());
        if let Some(tap) = taps.iter().find(|tap| tap.id == request.id) {
            return Ok(Arc::clone(tap));
        }
        if let Err(reason) = request.filter.judge() {
            return bad(reason);
        }
        if taps.len() >= MOST {
            return Err(TapError::TooMany);
        }
        let tap = Arc::new(Tap {
            id: request.id,
            filter: request.filter,
            queue: Mutex::default(),
            some: Notify::new(),
        });
        tap.queue().asked = Some(Instant::now());
        taps.push(Arc::clone(&tap));
        self.any.store(true, Ordering::Relaxed);
        Ok(tap)
    }

    /// What a reader has not had yet; waits a moment when there is nothing.
    pub async fn next(&self, request: Request) -> Result<Value, TapError> {
        let tap = self.tap(request)?;
        tap.queue().asked = Some(Instant::now());
        if tap.queue().events.is_empty() {
            let _ = tokio::time::timeout(WAIT, tap.some.notified()).await;
        }
        let (events, missed, seen) = {
            let mut queue = tap.queue();
            queue.asked = Some(Instant::now());
            queue.bytes = 0;
            let events = std::mem::take(&mut queue.events);
            (events, std::mem::take(&mut queue.missed), queue.seen)
        };
        let events: Vec<Value> = events
            .iter()
            .filter_map(|(source, document)| {
                let document: Value = serde_json::from_slice(document).ok()?;
                Some(json!({ "source": &**source, "document": document }))
            })
            .collect();
        Ok(json!({ "ok": true, "events": events, "missed": missed, "seen": seen }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str) -> Request {
        Request {
            id: id.to_owned(),
            filter: Filter::default(),
        }
    }

    #[tokio::test]
    async fn what_fits_is_kept_and_what_does_not_is_counted() {
        let hub = Hub::default();
        assert!(hub.listeners().is_none(), "nobody looks");
        let source: Arc<str> = "booking".into();
        let tap = hub.tap(request("a")).unwrap();
        let large = format!("{{\"message\":\"{}\"}}", "x".repeat(QUEUE_BYTES / 4));
        for _ in 0..10 {
            hub.listeners().unwrap().offer(&source, large.as_bytes());
        }
        let reply = hub.next(request("a")).await.unwrap();
        let count = reply["events"].as_array().unwrap().len();
        assert_eq!(
            (count, reply["missed"].as_u64(), reply["seen"].as_u64()),
            (3, Some(7), Some(10))
        );
        // Told once.
        assert_eq!(tap.queue().missed, 0);
        for n in 1..MOST {
            hub.tap(request(&n.to_string())).unwrap();
        }
        assert!(matches!(hub.tap(request("more")), Err(TapError::TooMany)));
        assert!(matches!(hub.tap(request("")), Err(TapError::Bad(_))));
    }

    proptest::proptest! {
        #[test]
        fn each_event_is_had_or_missed(sizes in proptest::collection::vec(1_usize..400_000, 1..40)) {
            let hub = Hub::default();
            let tap = hub.tap(request("a")).unwrap();
            let source: Arc<str> = "s".into();
            for size in &sizes {
                hub.listeners().unwrap().offer(&source, &vec![b'x'; *size]);
                let queue = tap.queue();
                let bytes: usize = queue.events.iter().map(|(_, document)| document.len()).sum();
                proptest::prop_assert_eq!(bytes, queue.bytes);
                proptest::prop_assert!(bytes <= QUEUE_BYTES);
            }
            let queue = tap.queue();
            proptest::prop_assert_eq!(queue.events.len() as u64 + queue.missed, sizes.len() as u64);
        }
    }
}
