//! A data stream's name, perhaps given later: OTLP records bring the names of their services, and
//! what a lane has for each data stream is made when it starts.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

#[derive(Debug, Clone, Default)]
pub struct StreamName(Arc<OnceLock<String>>);

impl StreamName {
    pub fn new(name: &str) -> Self {
        let reserved = Self::default();
        reserved.give(name);
        reserved
    }

    /// Names what was reserved; the first name stays.
    pub fn give(&self, name: &str) {
        let _ = self.0.set(name.to_owned()); // it has one already
    }
}

impl Deref for StreamName {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.get().map_or("", String::as_str)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self)
    }
}
