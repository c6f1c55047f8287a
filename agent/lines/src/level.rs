//! Levels as the many loggers spell them, in one spelling, so that `log.level: error` finds them
//! all.

/// The spelling to use for a level given as the text of a string; `None` for one that is not known,
/// which is only written in lower case.
pub fn text(given: &[u8]) -> Option<&'static str> {
    // Most lines have one of these, and spelt so.
    match given {
        b"info" => return Some("info"),
        b"debug" => return Some("debug"),
        b"warn" => return Some("warn"),
        b"error" => return Some("error"),
        _ => {}
    }
    const NAMES: [(&str, &[&str]); 10] = [
        ("trace", &["trace", "trc", "verbose", "finest", "finer"]),
        ("debug", &["debug", "dbg", "fine"]),
        (
            "info",
            &["info", "inf", "information", "informational", "default"],
        ),
        ("notice", &["notice"]),
        ("warn", &["warn", "warning", "wrn"]),
        ("error", &["error", "err", "severe"]),
        ("critical", &["critical", "crit", "dpanic"]),
        ("fatal", &["fatal", "ftl", "panic"]),
        ("alert", &["alert"]),
        ("emergency", &["emergency", "emerg"]),
    ];
    let is = |name: &&str| name.as_bytes().eq_ignore_ascii_case(given);
    NAMES
        .iter()
        .find(|(_, spellings)| spellings.iter().any(&is))
        .map(|(name, _)| *name)
}

/// Whether one of our spellings is that of an error or worse.
pub fn is_error(name: &str) -> bool {
    matches!(name, "error" | "critical" | "fatal" | "alert" | "emergency")
}

/// A level given as a number: bunyan's and pino's tens. Other scales (syslog's 0 to 7,
/// OpenTelemetry's 1 to 24) contradict each other, so they are left alone.
pub fn number(given: &[u8]) -> Option<&'static str> {
    match given {
        b"10" => Some("trace"),
        b"20" => Some("debug"),
        b"30" => Some("info"),
        b"40" => Some("warn"),
        b"50" => Some("error"),
        b"60" => Some("fatal"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_each_level() {
        for (given, expected) in [
            ("INFO", Some("info")),
            ("Warning", Some("warn")),
            ("SEVERE", Some("error")),
            ("emerg", Some("emergency")),
            ("chatty", None),
            ("", None),
        ] {
            assert_eq!(text(given.as_bytes()), expected, "{given}");
        }
        assert_eq!(number(b"50"), Some("error"));
        assert_eq!(number(b"5"), None);
    }
}
