//! One application as it was found, before it has a place among the others. Pure.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::file_sd::Group;

/// Longest address, path and value of a label; what is longer nobody meant.
const LONGEST: usize = 2048;

/// What asks to be scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name in `/metrics/app/<name>`: it follows from where it was found, and no two have the
    /// same.
    pub name: String,
    pub url: String,
    /// Labels of the target: `job`, `service`, `instance`, perhaps `team`, and what else is known.
    pub labels: BTreeMap<String, String>,
    /// Milliseconds to wait for the page, if it says so itself.
    pub timeout_ms: Option<u64>,
    /// Series that it wants to hand on at most, if it says so itself.
    pub series: Option<u64>,
    /// `__scrape_interval__`, which is Prometheus' to heed.
    pub interval: Option<String>,
}

impl Wanted {
    pub fn team(&self) -> Option<&str> {
        self.labels.get("team").map(String::as_str)
    }

    pub fn service(&self) -> &str {
        self.labels.get("service").map_or("", String::as_str)
    }
}

/// Everything that a group of a target file asks for. What cannot be a target is returned with the
/// reason; the others are not held up by it.
pub fn of_group(group: &Group, file_stem: &str) -> (Vec<Wanted>, Vec<String>) {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for target in &group.targets {
        match of_target(target, &group.labels, file_stem) {
            Ok(wanted) => found.push(wanted),
            Err(reason) => refused.push(format!("target \"{}\": {reason}", shown(target))),
        }
    }
    (found, refused)
}

fn of_target(
    target: &str,
    given: &BTreeMap<String, String>,
    file_stem: &str,
) -> Result<Wanted, String> {
    if let Some((name, _)) = given.iter().find(|(_, value)| value.len() > LONGEST) {
        return Err(format!(
            "its label \"{name}\" is longer than {LONGEST} bytes"
        ));
    }
    let special = |name: &str| given.get(name).filter(|value| !value.is_empty());
    let target = special("__address__").map_or(target, String::as_str);
    let scheme = special("__scheme__").map_or("http", String::as_str);
    let (host, port) = address(target, scheme)?;
    let path = special("__metrics_path__").map_or("/metrics", String::as_str);
    let query = parameters(given);
    let url = url(scheme, &host, port, path, &query)?;
    let timeout_ms = special("__scrape_timeout__")
        .map(|text| millis(text))
        .transpose()?;
    let interval = special("__scrape_interval__").cloned();
    if let Some(interval) = &interval {
        millis(interval)?;
    }
    let mut labels: BTreeMap<String, String> = given
        .iter()
        .filter(|(name, value)| !name.starts_with("__") && !value.is_empty())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let fallback = |labels: &BTreeMap<String, String>, from: &str| {
        labels
            .get(from)
            .cloned()
            .unwrap_or_else(|| file_stem.to_owned())
    };
    if !labels.contains_key("job") {
        let job = fallback(&labels, "service");
        labels.insert("job".to_owned(), job);
    }
    if !labels.contains_key("service") {
        let service = fallback(&labels, "job");
        labels.insert("service".to_owned(), service);
    }
    labels
        .entry("instance".to_owned())
        .or_insert_with(|| format!("{host}:{port}"));
    // The same page with other labels is another target, as for Prometheus.
    let mut digest = Sha256::new();
    digest.update(url.as_bytes());
    for (name, value) in &labels {
        digest.update([0]);
        digest.update(name.as_bytes());
        digest.update([1]);
        digest.update(value.as_bytes());
    }
    let digest = digest.finalize();
    let job: String = labels
        .get("job")
        .map_or(file_stem, String::as_str)
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(40)
        .collect();
    let name = format!(
        "file.{job}.{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}",
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]
    );
    Ok(Wanted {
        name,
        url,
        labels,
        timeout_ms,
        series: None,
        interval,
    })
}

/// The beginning of what somebody wrote, for a message.
pub fn shown(text: &str) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .take(80)
        .collect();
    if text.chars().count() > 80 {
        out.push('…');
    }
    // A password would stand before an `@`.
    match out.rsplit_once('@') {
        Some((_, after)) => format!("…@{after}"),
        None => out,
    }
}

/// Host and port of a target, as Prometheus understands it: without a port that of the scheme.
fn address(text: &str, scheme: &str) -> Result<(String, u16), String> {
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        other => {
            return Err(format!(
                "the scheme \"{}\" is none of http and https",
                shown(other)
            ));
        }
    };
    if text.is_empty() || text.len() > LONGEST {
        return Err("it is empty or too long; write one like 10.0.0.1:8080".to_owned());
    }
    let (host, port) = match text.rsplit_once(':') {
        // A colon of an IPv6 address without a port.
        Some((before, _)) if before.contains(':') && !before.ends_with(']') => (text, None),
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    };
    let port = match port {
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("\"{}\" is no port", shown(port)))?,
        None => usual,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok((format!("[{bare}]"), port));
    }
    let good = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if good {
        Ok((host.to_owned(), port))
    } else {
        Err("it is no host with a port; write one like 10.0.0.1:8080".to_owned())
    }
}

/// `__param_<name>` as a query.
fn parameters(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .filter_map(|(name, value)| {
            let name = name
                .strip_prefix("__param_")
                .filter(|name| !name.is_empty())?;
            Some(format!("{}={}", encoded(name, ""), encoded(value, "")))
        })
        .collect();
    pairs.join("&")
}

/// The address of a page. The path may bring a query of its own.
pub fn url(
    scheme: &str,
    host: &str,
    port: u16,
    path: &str,
    more_query: &str,
) -> Result<String, String> {
    if path.len() > LONGEST || path.bytes().any(|b| b < b' ' || b == 0x7f) {
        return Err("its path is too long or has a control character in it".to_owned());
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = encoded(path.trim_start_matches('/'), "/%:@!$&'()*+,;=~");
    let query = encoded(query, "/%:@!$&'()*+,;=~?");
    let all: Vec<&str> = [query.as_str(), more_query]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    let mark = if all.is_empty() { "" } else { "?" };
    let url = format!("{scheme}://{host}:{port}/{path}{mark}{}", all.join("&"));
    // What looks like a name may be a number that is no address: `.0`, `1.2.3.4.5`.
    match reqwest::Url::parse(&url) {
        Ok(_) => Ok(url),
        Err(reason) => Err(format!("`{host}` is no host: {reason}")),
    }
}

/// Percent-encoding of all but what is unreserved (RFC 3986) and what is in `kept`.
pub fn encoded(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || kept.as_bytes().contains(&byte)
        {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A duration as Prometheus writes it (`1m30s`, `500ms`), in milliseconds.
pub fn millis(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{}\" is no duration; write one like 10s", shown(text));
    let mut rest = text;
    let mut total: u64 = 0;
    let units = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let mut least = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = units.iter().find(|(unit, _)| *unit == &rest[..letters]);
        let (_, of) = unit.ok_or_else(wrong)?;
        // From the largest to the smallest, each once.
        if *of >= least {
            return Err(wrong());
        }
        least = *of;
        rest = &rest[letters..];
        total = number
            .checked_mul(*of)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(wrong)?;
    }
    if total == 0 { Err(wrong()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(target: &str, labels: &[(&str, &str)]) -> Result<Wanted, String> {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        of_target(target, &labels, "targets")
    }

    #[test]
    fn targets_as_prometheus_understands_them() {
        let url = |target: &str, labels: &[(&str, &str)]| wanted(target, labels).unwrap().url;
        assert_eq!(url("h:8080", &[]), "http://h:8080/metrics");
        assert_eq!(
            url("h", &[("__scheme__", "https")]),
            "https://h:443/metrics"
        );
        assert_eq!(url("[::1]:9", &[]), "http://[::1]:9/metrics");
        assert_eq!(url("::1", &[]), "http://[::1]:80/metrics");
        assert_eq!(
            url(
                "h:1",
                &[("__metrics_path__", "/a b?x=1"), ("__param_module", "a&b")]
            ),
            "http://h:1/a%20b?x=1&module=a%26b"
        );
        for (target, labels) in [
            ("", &[][..]),
            ("http://h:1/", &[]),
            ("h:0", &[]),
            ("h:port", &[]),
            ("user:pass@h:1", &[]),
            ("h:1", &[("__scheme__", "ftp")]),
            ("h:1", &[("__scrape_timeout__", "soon")]),
        ] {
            assert!(wanted(target, labels).is_err(), "{target} {labels:?}");
        }
        let reason = of_group(
            &Group {
                targets: vec!["u:hunter2@h:1".into()],
                ..Group::default()
            },
            "t",
        )
        .1;
        assert!(!reason[0].contains("hunter2"), "{reason:?}");
    }

    #[test]
    fn labels_say_whose_it_is() {
        let found = wanted(
            "h:1",
            &[("job", "booking"), ("__meta_x", "y"), ("empty", "")],
        )
        .unwrap();
        let labels: Vec<String> = found
            .labels
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        assert_eq!(labels, ["instance=h:1", "job=booking", "service=booking"]);
        assert_eq!(wanted("h:1", &[]).unwrap().service(), "targets");
        let other = wanted("h:1", &[("job", "booking"), ("shard", "2")]).unwrap();
        assert_ne!(found.name, other.name);
        assert!(found.name.starts_with("file.booking."), "{}", found.name);
        assert_eq!(
            wanted("h:1", &[("job", "b"), ("__scrape_timeout__", "1m30s")])
                .unwrap()
                .timeout_ms,
            Some(90_000)
        );
    }

    #[test]
    fn hosts_that_are_none_are_refused() {
        for target in [".0:80", "1.2.3.4.5:80", "300.1.1.1:80"] {
            let refused = wanted(target, &[]).unwrap_err();
            assert!(refused.contains("is no host"), "{refused}");
        }
    }

    #[test]
    fn durations() {
        for (text, value) in [("500ms", 500), ("1h1m", 3_660_000), ("2d", 172_800_000)] {
            assert_eq!(millis(text), Ok(value));
        }
        for text in [
            "",
            "0s",
            "5",
            "1s1m",
            "1s1s",
            "-1s",
            "1y",
            "99999999999999999999s",
        ] {
            assert!(millis(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_target_becomes_an_address_or_is_refused(
            target in "[ -~é]{0,20}", path in "[ -~é]{0,20}", scheme in "https?|[a-z]{0,4}"
        ) {
            let labels = [("__metrics_path__", path.as_str()), ("__scheme__", scheme.as_str())];
            if let Ok(found) = wanted(&target, &labels) {
                let parsed = reqwest::Url::parse(&found.url);
                prop_assert!(parsed.is_ok(), "{} {parsed:?}", found.url);
                let name = &found.name;
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
            }
        }
    }
}
