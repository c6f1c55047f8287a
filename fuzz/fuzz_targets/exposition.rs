//! Whatever a label and a help text hold, the page has one line a sample.
#![no_main]

use kai_agent::exposition::{Kind, Page, merge};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (Vec<u8>, String, f64)| {
    let (label, help, value) = data;
    let mut page = Page::default();
    page.family("m", &help, Kind::Gauge).sample(&[("l", &label)], value);
    let mut out = Vec::new();
    merge([&page], &mut out);
    assert_eq!(std::str::from_utf8(&out).unwrap().lines().count(), 3);
});
