//! What the deploy gate asks, and of whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::logs::{Elasticsearch, HttpAuth};

/// `gate:` of the agent's configuration; read by `kai-agent gate`, not by `run`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<GateServer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<GateServer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elasticsearch: Option<Elasticsearch>,
    #[serde(default)]
    pub services: BTreeMap<String, GateService>,
}

/// A server that is asked, by its address without the API's own path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateServer {
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
}

/// The evidence that one service's deploy is judged by. A check that is not given is not asked;
/// a service without any check never passes.
///
/// In queries `$window` stands for the window (`300s`) and `$service` for the service's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateService {
    /// Address that must answer 2xx, each time it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// How often it is asked in one round.
    #[serde(default = "default_health_probes")]
    pub health_probes: u32,
    /// Seconds that errors are counted over.
    #[serde(default = "default_window")]
    pub window_seconds: u64,
    /// Fewer requests than this within the window decide nothing.
    #[serde(default = "default_min_requests")]
    pub min_requests: u64,
    /// `PromQL` for the number of failed requests within the window: one series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
    /// `PromQL` for the number of all requests within the window: one series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// Selector of the series that `total` counts, which must be fresh; without it, the one before
    /// `[$window]` in `total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// Selector of `up` of the service's targets, all of which must be 1; without it not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<String>,
    /// Seconds between two scrapes of the service: series older than three of them are stale.
    #[serde(default = "default_scrape_interval")]
    pub scrape_interval_seconds: u64,
    /// Failed of all requests at most.
    #[serde(default = "default_max_error_ratio")]
    pub max_error_ratio: f64,
    /// Data stream whose documents of level error are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_stream: Option<String>,
    /// Error documents per minute at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_error_logs_per_minute: Option<f64>,
    /// Whether a window without any document is no evidence; false for a service that may be
    /// silent.
    #[serde(default = "default_true")]
    pub require_logs: bool,
    /// Any open critical alert with this label `service` fails the gate.
    #[serde(default)]
    pub open_critical_alerts: bool,
    /// Name of an alert that always fires: without it in Alertmanager, nobody feeds it and the
    /// absence of alerts says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<String>,
}

impl Default for GateService {
    fn default() -> Self {
        Self {
            health: None,
            health_probes: default_health_probes(),
            window_seconds: default_window(),
            min_requests: default_min_requests(),
            errors: None,
            total: None,
            series: None,
            up: None,
            scrape_interval_seconds: default_scrape_interval(),
            max_error_ratio: default_max_error_ratio(),
            data_stream: None,
            max_error_logs_per_minute: None,
            require_logs: true,
            open_critical_alerts: false,
            watchdog: None,
        }
    }
}

impl GateService {
    /// The selector whose samples must be fresh: given, or taken from `total`.
    pub fn fresh_series(&self) -> Option<String> {
        self.series
            .clone()
            .or_else(|| windowed_selector(self.total.as_deref()?))
    }
}

/// Fills in `$window` and `$service`. The service's name is escaped for a `PromQL` string.
pub fn fill_in(query: &str, service: &str, window_seconds: u64) -> String {
    let service = service.replace('\\', "\\\\").replace('"', "\\\"");
    query
        .replace("$window", &format!("{window_seconds}s"))
        .replace("$service", &service)
}

/// A `$name` that [`fill_in`] does not know. A `$` before anything else is a pattern's own.
pub fn unknown_placeholder(query: &str) -> Option<String> {
    query.split('$').skip(1).find_map(|rest| {
        let name: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        (begins && name != "window" && name != "service").then(|| format!("${name}"))
    })
}

/// The first selector in the query that `[$window]` follows: `name{…}`, `name` or `{…}`.
pub fn windowed_selector(query: &str) -> Option<String> {
    let bytes = query.as_bytes();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' | b'\'' | b'`' => {
                at = after_string(bytes, at);
                continue;
            }
            byte if is_name(byte) || byte == b'{' => {}
            _ => {
                at += 1;
                continue;
            }
        }
        while at < bytes.len() && is_name(bytes[at]) {
            at += 1;
        }
        let mut end = at;
        let mut next = skip_spaces(bytes, at);
        if bytes.get(next) == Some(&b'{') {
            next = after_braces(bytes, next)?;
            end = next;
            next = skip_spaces(bytes, next);
        }
        at = at.max(end);
        let range: String = query
            .get(next..)?
            .chars()
            .take_while(|c| *c != ']')
            .filter(|c| !c.is_whitespace())
            .collect();
        if range == "[$window" {
            return query.get(start..end).map(str::to_owned);
        }
    }
    None
}

fn skip_spaces(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Behind the string that begins at `at`; the end when it is not closed.
fn after_string(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let mut at = at + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quote != b'`' => at += 2,
            byte if *byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Behind the brace that closes the one at `at`.
fn after_braces(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'}' => return Some(at + 1),
            b'"' | b'\'' | b'`' => at = after_string(bytes, at),
            _ => at += 1,
        }
    }
}

fn default_health_probes() -> u32 {
    3
}

fn default_window() -> u64 {
    300
}

fn default_min_requests() -> u64 {
    100
}

fn default_scrape_interval() -> u64 {
    15
}

fn default_max_error_ratio() -> f64 {
    0.01
}

fn default_true() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_selector_is_the_one_before_the_window() {
        for (query, selector) in [
            (
                "sum(increase(http_requests_total[$window]))",
                Some("http_requests_total"),
            ),
            (
                r#"sum(increase(x_total{path!~"a[$window]}|b",service="$service"} [ $window ]))"#,
                Some(r#"x_total{path!~"a[$window]}|b",service="$service"}"#),
            ),
            (
                r#"sum(increase({__name__="x_total"}[$window]))"#,
                Some(r#"{__name__="x_total"}"#),
            ),
            (
                "rate(a[5m]) + increase(ns:b {c='d'}[$window] offset 1m)",
                Some("ns:b {c='d'}"),
            ),
            ("sum(a)", None),
            (r#"label_replace(a, "x", "[$window]", "", "")"#, None),
            (r#"sum(increase(x{a="b[$window]))"#, None),
        ] {
            assert_eq!(windowed_selector(query).as_deref(), selector, "{query}");
        }
    }

    #[test]
    fn placeholders_are_filled_in_and_unknown_ones_named() {
        assert_eq!(
            fill_in(r#"increase(x{s="$service"}[$window])"#, r#"a"b"#, 60),
            r#"increase(x{s="a\"b"}[60s])"#
        );
        assert_eq!(unknown_placeholder("x[$windw]").as_deref(), Some("$windw"));
        assert_eq!(unknown_placeholder(r#"x{a=~"b$"}[$window]"#), None);
        assert_eq!(unknown_placeholder(r#"x{a=~"(b$)",s="$service"}"#), None);
    }

    proptest! {
        #[test]
        fn any_query_is_looked_through(query in "[a-z{}\\[\\]$\"'`\\\\ ()=é]{0,40}(\\[\\$window\\])?") {
            if let Some(selector) = windowed_selector(&query) {
                prop_assert!(query.contains(&selector));
            }
        }
    }
}
