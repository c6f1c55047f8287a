//! A request of strangers, as an entry for the fuzzer.

use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::page;
use super::store::{Limits, Store};
use crate::fuzz::Entry;

const LIMITS: Limits = Limits {
    series: 100,
    services: 10,
    stale: Duration::from_mins(1),
};

pub(crate) const ENTRIES: &[Entry] = &[("otlp metrics", |bytes| {
    let store = Store::new(LIMITS, Ledger::default());
    let now = Instant::now();
    drop(store.take(bytes, now));
    for name in store.names(now) {
        for accept in ["", "application/openmetrics-text"] {
            let format = page::negotiate(accept);
            drop(store.with(&name, now, |service| page::write(service, format)));
        }
    }
})];
