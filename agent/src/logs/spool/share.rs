//! One source's part of the spool, or of memory without one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const LARGEST_SEGMENT: u64 = 8 << 20;
const LEAST_SEGMENT: u64 = 64 << 10;

#[derive(Debug)]
pub struct Share {
    pub limit: u64,
    /// At which size a segment is full.
    pub segment_bytes: u64,
    used: AtomicU64,
    /// Held while events are written, so that those of one request count together or not at all.
    pub commit: Mutex<()>,
}

impl Share {
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            // Room comes back by whole segments.
            segment_bytes: (limit / 16).clamp(LEAST_SEGMENT, LARGEST_SEGMENT),
            used: AtomicU64::new(0),
            commit: Mutex::new(()),
        }
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub fn has_room_for(&self, bytes: u64) -> bool {
        self.used() + bytes <= self.limit
    }

    /// More than a quarter is taken: what is acknowledged goes at once.
    pub fn is_tight(&self) -> bool {
        self.used() > self.limit / 4
    }

    pub fn take(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}
