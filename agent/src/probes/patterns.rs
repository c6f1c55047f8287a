//! Patterns of probes: compiled once, when the configuration is read.

use kai_contract::agent_config::Problem;
use regex::{Regex, RegexBuilder};

/// Memory that one compiled pattern may take.
const PATTERN_MEMORY: usize = 1 << 20;

/// Compiles a list; bad ones are reported as `at.<index>`.
pub(super) fn all(given: &[String], at: &str, problems: &mut Vec<Problem>) -> Vec<Regex> {
    let mut out = Vec::with_capacity(given.len());
    for (index, pattern) in given.iter().enumerate() {
        out.extend(one(pattern, &format!("{at}.{index}"), problems));
    }
    out
}

pub(super) fn one(pattern: &str, at: &str, problems: &mut Vec<Problem>) -> Option<Regex> {
    match RegexBuilder::new(pattern)
        .size_limit(PATTERN_MEMORY)
        .build()
    {
        Ok(regex) => Some(regex),
        Err(error) => {
            // The engine draws the pattern over several lines; the last one says what is wrong.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            problems.push(Problem::new(
                at,
                format!(
                    "\"{pattern}\" is not a regular expression: {reason} (RE2 syntax, as in \
                     blackbox_exporter)"
                ),
            ));
            None
        }
    }
}
