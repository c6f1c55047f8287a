//! Lines of every format, as entries for the fuzzer: whatever a line is, one JSON object comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kai_contract::agent_config::{LogFormat, Redact, Redacted};
use kai_lines::privacy::Redactor;

use super::document::{Form, Line, NO_OFFSET, Shaper};
use super::{FieldBudget, auth, level, time};
use crate::fuzz::Entry;

/// A moment, in milliseconds.
const NOW: i64 = 1_795_485_989_123;

pub(crate) const ENTRIES: &[Entry] = &[
    ("line auto", |bytes| line(LogFormat::Auto, bytes)),
    ("line plain", |bytes| line(LogFormat::Plain, bytes)),
    ("line logfmt", |bytes| line(LogFormat::Logfmt, bytes)),
    ("line access", |bytes| line(LogFormat::Access, bytes)),
    ("line syslog", |bytes| line(LogFormat::Syslog, bytes)),
    ("line auth", |bytes| line(LogFormat::Auth, bytes)),
    ("line time", |bytes| {
        let _ = (time::read(bytes, None, NOW), time::number(bytes));
    }),
    ("line level", |bytes| {
        let _ = (level::text(bytes), level::number(bytes));
    }),
];

/// Twice, because what the first line was is remembered for the second; and as a line that was cut.
fn line(format: LogFormat, bytes: &[u8]) {
    let mut form = Form::new(format);
    form.redactor = Redactor::new(Redacted::from(Redact::ALL.to_vec()), &[], None).map(Arc::new);
    form.auth = Some(auth::object);
    let fields = BTreeMap::from([("service.name".to_owned(), "booking".to_owned())]);
    let mut shaper = Shaper::new(form, &fields, &["message".to_owned()]);
    shaper.keep_to(Arc::new(FieldBudget::new(10)));
    let text = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    for cut in [false, false, true] {
        let mut out = Vec::new();
        let line = Line {
            text,
            cut,
            split: false,
            read_at: NOW,
            stream: None,
            offset: NO_OFFSET,
            path: b"",
            about: None,
        };
        shaper.shape(&mut out, &line);
        let object = serde_json::from_slice::<serde_json::Value>(&out);
        assert!(
            object.is_ok_and(|object| object.is_object()),
            "no object: {}",
            String::from_utf8_lossy(&out)
        );
    }
}
