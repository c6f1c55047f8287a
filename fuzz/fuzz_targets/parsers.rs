//! Every parser of the kernel's formats; the first byte chooses which.
#![no_main]

use kai_agent::procfs::fuzz::ENTRIES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((choice, text)) = data.split_first() {
        let (_, parse) = ENTRIES[usize::from(*choice) % ENTRIES.len()];
        parse(text);
    }
});
