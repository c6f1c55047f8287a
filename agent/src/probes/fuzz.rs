//! What a probe reads of strangers' servers, as entries for the fuzzer.

use hyper::header::{HeaderMap, HeaderValue, SET_COOKIE};
use reqwest::Url;

use super::{dns, http, tls};
use crate::fuzz::Entry;

pub(crate) const ENTRIES: &[Entry] = &[
    ("dns answer", |bytes| {
        drop(dns::wire::parse(bytes));
    }),
    ("dns question", |bytes| {
        if let Ok(name) = std::str::from_utf8(bytes) {
            drop(dns::wire::query(1, name, 1, 1, true));
        }
    }),
    ("tls certificate", |bytes| {
        drop(tls::parse_certificate(bytes));
        drop(tls::raw_names(bytes));
    }),
    ("http date", |bytes| {
        let _ = http::date::parse(&String::from_utf8_lossy(bytes));
    }),
    ("http cookies", cookies),
    ("http body", |bytes| {
        http::body::unpack_both(bytes, 1 << 16);
    }),
];

fn cookies(bytes: &[u8]) {
    let (Ok(url), Ok(value)) = (
        Url::parse("https://booking.kai.example/a/b"),
        HeaderValue::from_bytes(bytes),
    ) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(SET_COOKIE, value);
    let mut jar = http::cookies::Jar::default();
    jar.take(&url, &headers);
    let _ = jar.header(&url);
}
