//! What is read of operators and servers, as entries for the fuzzer.

use super::{dsn, settings, short_version, value};
use crate::fuzz::Entry;

pub(crate) const ENTRIES: &[Entry] = &[
    ("database connection string", |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            drop(dsn::parse(text));
        }
    }),
    ("database settings", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.splitn(2, ' ');
        let (setting, unit) = (words.next(), words.next());
        for kind in ["bool", "integer", "real"] {
            let _ = settings::value(setting.unwrap_or_default(), unit.unwrap_or_default(), kind);
        }
    }),
    ("database values", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = (value(&text), short_version(&text));
    }),
];
