//! Requests of strangers, as entries for the fuzzer.

use super::{base64, json, schema, view, walk};
use crate::fuzz::Entry;

pub(crate) const ENTRIES: &[Entry] = &[
    ("otlp spans", |bytes| {
        if walk::spans(bytes).is_ok() {
            view::each(bytes, |span| {
                let _ = (span.service().len(), span.id(), span.get("http.route"));
            });
        }
    }),
    ("otlp json", |bytes| {
        drop(json::to_protobuf(bytes, &schema::REQUEST));
        drop(base64::decode(bytes));
    }),
];
