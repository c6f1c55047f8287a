//! Faults on demand: what a user can break here, for how long, and what is broken now.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::word::words;

pub use request::{Fault, FaultRequest};

pub mod crash;
pub mod driver;
pub mod flood;
pub mod leak;
pub mod request;

words! {
    /// The name of a fault, in requests, logs and the `fault` label.
    Kind {
        PaymentDecline = "payment_decline",
        Latency = "latency",
        Errors = "errors",
        Leak = "leak",
        LogFlood = "log_flood",
        Crash = "crash",
    }
}

/// One fault that is on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Active {
    pub fault: Fault,
    pub since: Instant,
    pub until: Instant,
}

/// A change that somebody should hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    On(Kind),
    Off(Kind),
}

/// Which faults are on. Faults past their time count as off at once, whether or not the sweeper
/// has come by.
#[derive(Debug, Default)]
pub struct Board {
    active: Mutex<BTreeMap<Kind, Active>>,
}

impl Board {
    /// Switches all faults of a request on; one that is on already starts anew.
    pub fn switch_on(&self, request: &FaultRequest, now: Instant) -> Vec<Change> {
        let mut active = self.lock();
        request
            .faults
            .iter()
            .map(|fault| {
                let until = now + request.duration;
                active.insert(
                    fault.kind(),
                    Active {
                        fault: *fault,
                        since: now,
                        until,
                    },
                );
                Change::On(fault.kind())
            })
            .collect()
    }

    /// Switches one fault off, or all; returns those that were on.
    pub fn switch_off(&self, kind: Option<Kind>) -> Vec<Change> {
        let mut active = self.lock();
        let off = match kind {
            Some(kind) => active.remove(&kind).map(|_| kind).into_iter().collect(),
            None => std::mem::take(&mut *active).into_keys().collect::<Vec<_>>(),
        };
        off.into_iter().map(Change::Off).collect()
    }

    /// Clears what has run its time.
    pub fn sweep(&self, now: Instant) -> Vec<Change> {
        let mut active = self.lock();
        let over: Vec<Kind> = active
            .iter()
            .filter(|(_, a)| a.until <= now)
            .map(|(k, _)| *k)
            .collect();
        for kind in &over {
            active.remove(kind);
        }
        over.into_iter().map(Change::Off).collect()
    }

    /// What is on, in the order of [`Kind::ALL`].
    pub fn list(&self, now: Instant) -> Vec<Active> {
        self.lock()
            .values()
            .filter(|a| a.until > now)
            .copied()
            .collect()
    }

    /// The fault of that kind, while it is on.
    pub fn get(&self, kind: Kind, now: Instant) -> Option<Active> {
        self.lock().get(&kind).filter(|a| a.until > now).copied()
    }

    /// Share of payments to decline beyond the normal.
    pub fn payment_decline(&self) -> Option<f64> {
        match self.get(Kind::PaymentDecline, Instant::now())?.fault {
            Fault::PaymentDecline(ratio) => Some(ratio),
            _ => None,
        }
    }

    /// Share of requests to answer with 500.
    pub fn errors(&self) -> Option<f64> {
        match self.get(Kind::Errors, Instant::now())?.fault {
            Fault::Errors(ratio) => Some(ratio),
            _ => None,
        }
    }

    /// Time to add to every request.
    pub fn latency(&self) -> Option<Duration> {
        match self.get(Kind::Latency, Instant::now())?.fault {
            Fault::Latency(delay) => Some(delay),
            _ => None,
        }
    }

    /// Bytes a second to lose.
    pub fn leak(&self) -> Option<u64> {
        match self.get(Kind::Leak, Instant::now())?.fault {
            Fault::Leak(rate) => Some(rate),
            _ => None,
        }
    }

    /// Lines a second to write.
    pub fn log_flood(&self) -> Option<u32> {
        match self.get(Kind::LogFlood, Instant::now())?.fault {
            Fault::LogFlood(rate) => Some(rate),
            _ => None,
        }
    }

    /// Since when a crash is awaited, and how long it takes.
    pub fn crash(&self) -> Option<(Instant, Duration)> {
        let active = self.get(Kind::Crash, Instant::now())?;
        match active.fault {
            Fault::Crash(delay) => Some((active.since, delay)),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> FaultRequest {
        FaultRequest::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn faults_come_and_go() {
        let board = Board::default();
        let start = Instant::now();
        board.switch_on(
            &request(r#"{"errors":0.5,"latency":"300ms","for":"60s"}"#),
            start,
        );
        board.switch_on(&request(r#"{"leak":"1MiB","for":"10s"}"#), start);
        assert_eq!(board.list(start).len(), 3);
        let later = start + Duration::from_secs(10);
        // Over at its time even before the sweep.
        assert_eq!(board.get(Kind::Leak, later), None);
        assert_eq!(board.sweep(later), [Change::Off(Kind::Leak)]);
        assert_eq!(board.sweep(later), []);
        assert_eq!(
            board.switch_off(Some(Kind::Errors)),
            [Change::Off(Kind::Errors)]
        );
        assert_eq!(board.switch_off(Some(Kind::Errors)), []);
        assert_eq!(board.switch_off(None), [Change::Off(Kind::Latency)]);
    }

    #[test]
    fn a_fault_switched_on_again_starts_anew() {
        let board = Board::default();
        let start = Instant::now();
        board.switch_on(&request(r#"{"errors":0.5,"for":"10s"}"#), start);
        let later = start + Duration::from_secs(9);
        board.switch_on(&request(r#"{"errors":0.1,"for":"10s"}"#), later);
        let active = board
            .get(Kind::Errors, later + Duration::from_secs(9))
            .unwrap();
        assert_eq!((active.fault, active.since), (Fault::Errors(0.1), later));
    }
}
