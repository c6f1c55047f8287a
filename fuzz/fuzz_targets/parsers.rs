//! Every parser; the first byte chooses which.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| kai_agent::fuzz::one(data));
