//! The nodes that may be asked. One that refuses, hangs or answers for a server that is not there is
//! set aside, asked from time to time whether it is well, and used again when it is. Lines never
//! wait for one that is set aside while another is in use.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::logs::send::Backoff;

/// Between two questions to one that is set aside.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub struct Endpoints {
    all: Vec<Endpoint>,
    /// The one that is asked first.
    current: AtomicUsize,
}

#[derive(Debug)]
struct Endpoint {
    url: String,
    /// When it was set aside.
    aside: Mutex<Option<Instant>>,
    failures: AtomicU64,
}

impl Endpoint {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `/metrics` tells of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<'a> {
    pub url: &'a str,
    pub in_use: bool,
    pub failures: u64,
}

impl Endpoints {
    /// `first`: any number; the agents of a fleet begin at different nodes.
    pub fn new(urls: &[String], first: usize) -> Self {
        Self {
            all: urls
                .iter()
                .map(|url| Endpoint {
                    url: url.trim_end_matches('/').to_owned(),
                    aside: Mutex::new(None),
                    failures: AtomicU64::new(0),
                })
                .collect(),
            current: AtomicUsize::new(first % urls.len().max(1)),
        }
    }

    pub fn url(&self, at: usize) -> &str {
        self.all.get(at).map_or("", |endpoint| &endpoint.url)
    }

    /// In which order they are tried: those in use from the current one on; then, because a try is
    /// better than none, those that were set aside, the one longest so first.
    pub fn order(&self) -> Vec<usize> {
        let count = self.all.len();
        let first = self.current.load(Ordering::Relaxed);
        let mut order: Vec<(Option<Instant>, usize)> = (0..count)
            .map(|step| (first + step) % count)
            .map(|at| (*self.all[at].lock(), at))
            .collect();
        order.sort_by_key(|(aside, _)| *aside); // stable; none before some
        order.into_iter().map(|(_, at)| at).collect()
    }

    /// Whether one other than this is in use.
    pub fn others(&self, at: usize) -> bool {
        let mut all = self.all.iter().enumerate();
        all.any(|(other, endpoint)| other != at && endpoint.lock().is_none())
    }

    /// Uses another one from now on; whether this one was in use.
    pub fn set_aside(&self, at: usize, reason: &str) -> bool {
        let Some(endpoint) = self.all.get(at) else {
            return false;
        };
        endpoint.failures.fetch_add(1, Ordering::Relaxed);
        let was_in_use = endpoint.lock().replace(Instant::now()).is_none();
        if was_in_use {
            if let Some(next) = self.order().first() {
                self.current.store(*next, Ordering::Relaxed);
            }
            tracing::warn!(
                endpoint = %endpoint.url,
                %reason,
                others = self.others(at),
                "an endpoint of Elasticsearch is set aside; it is asked again from time to time"
            );
        }
        was_in_use
    }

    /// It answered as it should.
    pub fn back(&self, at: usize) {
        let Some(endpoint) = self.all.get(at) else {
            return;
        };
        if endpoint.lock().take().is_some() {
            tracing::info!(endpoint = %endpoint.url, "an endpoint of Elasticsearch is used again");
        }
    }

    pub fn is_aside(&self, at: usize) -> bool {
        self.all.get(at).is_some_and(|e| e.lock().is_some())
    }

    pub fn seen(&self) -> Vec<Seen<'_>> {
        self.all
            .iter()
            .map(|endpoint| Seen {
                url: &endpoint.url,
                in_use: endpoint.lock().is_none(),
                failures: endpoint.failures.load(Ordering::Relaxed),
            })
            .collect()
    }
}

/// When one that is set aside is asked.
pub fn patience() -> Backoff {
    Backoff::within(FIRST, LONGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn three(first: usize) -> Endpoints {
        let urls = ["http://a/", "http://b", "http://c"].map(str::to_owned);
        Endpoints::new(&urls, first)
    }

    #[test]
    fn those_in_use_come_first() {
        let endpoints = three(4);
        assert_eq!(endpoints.order(), [1, 2, 0]);
        assert_eq!(endpoints.url(0), "http://a");
        assert!(endpoints.set_aside(1, "x"));
        assert!(!endpoints.set_aside(1, "x"), "it was already");
        assert_eq!(endpoints.order(), [2, 0, 1]);
        assert!(endpoints.set_aside(0, "x") && endpoints.others(0) && !endpoints.others(2));
        assert!(endpoints.set_aside(2, "x"));
        // All are tried all the same, the one longest aside first.
        assert_eq!(endpoints.order(), [1, 0, 2]);
        endpoints.back(2);
        assert_eq!(endpoints.order()[0], 2);
        let failures: Vec<u64> = endpoints.seen().iter().map(|seen| seen.failures).collect();
        assert_eq!(failures, [1, 2, 1]);
    }

    proptest! {
        #[test]
        fn each_is_tried_exactly_once(first: usize, steps: Vec<(bool, u8)>) {
            let endpoints = three(first);
            for (away, at) in steps {
                let at = usize::from(at) % 4; // one of them is none
                if away { endpoints.set_aside(at, "x"); } else { endpoints.back(at); }
                let mut order = endpoints.order();
                let aside: Vec<bool> = order.iter().map(|at| endpoints.is_aside(*at)).collect();
                prop_assert!(aside.is_sorted());
                order.sort_unstable();
                prop_assert_eq!(order, [0, 1, 2]);
            }
        }
    }
}
