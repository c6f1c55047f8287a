//! What can be wrong with `remoteWrite:`.

use super::{Problem, address};
use crate::agent_config::{HttpAuth, RemoteEndpoint, RemoteWrite};

/// Longest name of a receiver.
const MAX_NAME: usize = 63;

/// Headers that the protocol sets itself.
const OURS: [&str; 8] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    "x-prometheus-remote-write-version",
];

pub(super) fn check(config: &RemoteWrite, found: &mut Vec<Problem>) {
    if config.endpoints.is_empty() {
        found.push(Problem::new(
            "remoteWrite.endpoints",
            "there is nothing to write to; give at least one receiver, or leave remoteWrite out",
        ));
    }
    for (name, endpoint) in &config.endpoints {
        check_endpoint(name, endpoint, found);
    }
    for name in config.external_labels.keys() {
        let mut letters = name.bytes();
        let begins = letters
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !begins
            || !letters.all(|b| b.is_ascii_alphanumeric() || b == b'_')
            || name.starts_with("__")
        {
            found.push(Problem::new(
                format!("remoteWrite.externalLabels.{name}"),
                format!(
                    "\"{name}\" is no label name; use letters, digits and '_', beginning with a \
                     letter, and not with \"__\""
                ),
            ));
        }
    }
    let mut range = |key: &str, value: u64, least: u64, most: u64, unit: &str| {
        if !(least..=most).contains(&value) {
            found.push(Problem::new(
                format!("remoteWrite.{key}"),
                format!("{value} is out of range; give {unit} from {least} to {most}"),
            ));
        }
    };
    range(
        "memoryBytes",
        config.memory_bytes,
        1 << 20,
        1 << 34,
        "bytes",
    );
    range(
        "batchSamples",
        config.batch_samples.into(),
        1,
        100_000,
        "samples",
    );
}

fn check_endpoint(name: &str, endpoint: &RemoteEndpoint, found: &mut Vec<Problem>) {
    let at = |key: &str| format!("remoteWrite.endpoints.{name}.{key}");
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        found.push(Problem::new(
            format!("remoteWrite.endpoints.{name}"),
            format!("a receiver's name has 1 to {MAX_NAME} characters; it is a label's value"),
        ));
    }
    if let Some(message) = address(
        &endpoint.url,
        "http://127.0.0.1:9090/api/v1/write",
        "name a file with it under auth",
    ) {
        found.push(Problem::new(at("url"), message));
    }
    if !(1..=2).contains(&endpoint.protocol) {
        found.push(Problem::new(
            at("protocol"),
            format!(
                "there is no remote write {}; give 1 or 2",
                endpoint.protocol
            ),
        ));
    }
    if !(1..=600_000).contains(&endpoint.timeout_ms) {
        found.push(Problem::new(
            at("timeoutMs"),
            format!(
                "{} is out of range; give milliseconds from 1 to 600000",
                endpoint.timeout_ms
            ),
        ));
    }
    let secret = match &endpoint.auth {
        None => None,
        Some(HttpAuth::ApiKeyFile(file)) => Some(("auth.apiKeyFile", file)),
        Some(HttpAuth::TokenFile(file)) => Some(("auth.tokenFile", file)),
        Some(HttpAuth::Basic { password_file, .. }) => {
            Some(("auth.basic.passwordFile", password_file))
        }
    };
    let files = secret
        .into_iter()
        .chain(endpoint.ca_file.as_ref().map(|file| ("caFile", file)));
    for (key, file) in files {
        if !file.is_absolute() {
            found.push(Problem::new(
                at(key),
                format!(
                    "\"{}\" is not an absolute path; begin it with /",
                    file.display()
                ),
            ));
        }
    }
    for (header, value) in &endpoint.headers {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&b);
        if header.is_empty() || !header.bytes().all(token) {
            found.push(Problem::new(
                at(&format!("headers.{header}")),
                format!("\"{header}\" is no name of a header"),
            ));
        } else if OURS.contains(&header.to_ascii_lowercase().as_str()) {
            found.push(Problem::new(
                at(&format!("headers.{header}")),
                "the agent sets this header itself; who asks is told under auth",
            ));
        }
        if value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
            found.push(Problem::new(
                at(&format!("headers.{header}")),
                "the value has a control character in it, which a header cannot hold",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let config: RemoteWrite = serde_yaml::from_str(
            "endpoints: {a: {url: 'ftp://x', protocol: 3, timeoutMs: 0, caFile: x.pem, \
             auth: {tokenFile: t}, headers: {Authorization: x, 'b c': y}}, b: {url: \
             'http://u:hunter2@h/'}}\nexternalLabels: {__x: y}\nmemoryBytes: 5\nbatchSamples: 0\n",
        )
        .unwrap();
        let mut found = Vec::new();
        check(&config, &mut found);
        assert!(!format!("{found:?}").contains("hunter2"));
        let paths: Vec<_> = found.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "remoteWrite.endpoints.a.url",
                "remoteWrite.endpoints.a.protocol",
                "remoteWrite.endpoints.a.timeoutMs",
                "remoteWrite.endpoints.a.auth.tokenFile",
                "remoteWrite.endpoints.a.caFile",
                "remoteWrite.endpoints.a.headers.Authorization",
                "remoteWrite.endpoints.a.headers.b c",
                "remoteWrite.endpoints.b.url",
                "remoteWrite.externalLabels.__x",
                "remoteWrite.memoryBytes",
                "remoteWrite.batchSamples",
            ]
        );
    }
}
