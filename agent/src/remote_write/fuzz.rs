//! A request that is put into the older form, as an entry for the fuzzer.

use super::transcode;
use crate::fuzz::Entry;

pub(crate) const ENTRIES: &[Entry] = &[("remote write", |bytes| {
    drop(transcode::to_one(bytes));
    // The packing hides what is inside from a fuzzer.
    if let Ok(packed) = snap::raw::Encoder::new().compress_vec(bytes) {
        drop(transcode::to_one(&packed));
    }
})];
