//! What can be wrong with a configuration that parses: a flat list of checks, all reported at
//! once, so that a file is mended in one go. Pure: patterns are compiled and sockets bound
//! elsewhere.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

mod business;
mod gate;
mod logs;
mod probes;
mod remote_write;

pub use probes::{DNS_CLASSES, DNS_RCODES, DNS_TYPES, dns_number};

use super::keys::nearest;
use super::{
    AgentConfig, COLLECTORS, IPVS_LABELS, OLDEST_VERSION, VERSION, databases, discovery, scrape,
};

/// Longest name of an application.
const MAX_NAME: usize = 63;

/// One thing that is wrong: where (`applications.booking.url`), what, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub path: String,
    pub message: String,
}

impl Problem {
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path, self.message)
    }
}

impl AgentConfig {
    /// Everything that is wrong with these values; empty when the agent can run with them, except
    /// for the patterns, which only the agent's own pattern engine can judge.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        version(self, &mut found);
        listen(self, &mut found);
        paths(self, &mut found);
        collectors(self, &mut found);
        applications(self, &mut found);
        scrape::check(self, &mut found);
        discovery::check(self, &mut found);
        rotate(self, &mut found);
        logs::check(self, &mut found);
        business::check(self, &mut found);
        if let Some(traces) = &self.traces {
            traces.problems(&self.listen, &mut found);
        }
        if let Some(otlp_metrics) = &self.otlp_metrics {
            otlp_metrics.problems(self, &mut found);
        }
        if let Some(remote_write) = &self.remote_write {
            remote_write::check(remote_write, &mut found);
        }
        if self
            .round_interval_ms
            .is_some_and(|millis| !(1000..=3_600_000).contains(&millis))
        {
            found.push(Problem::new(
                "roundIntervalMs",
                "give milliseconds from 1000 to 3600000 (an hour)",
            ));
        }
        probes::check(self, &mut found);
        databases::check(self, &mut found);
        found.extend(self.gate.iter().flat_map(super::Gate::problems));
        if let Some(security) = &self.security {
            security.problems(self.state.is_some(), &mut found);
        }
        found
    }
}

fn version(config: &AgentConfig, found: &mut Vec<Problem>) {
    if (OLDEST_VERSION..=VERSION).contains(&config.version) {
        return;
    }
    let wanted = if OLDEST_VERSION == VERSION {
        format!("version {VERSION}")
    } else {
        format!("versions {OLDEST_VERSION} and {VERSION}")
    };
    let advice = if config.version > VERSION {
        "upgrade the agent before its configuration"
    } else {
        "render the configuration again with a current kai-observe"
    };
    found.push(Problem::new(
        "version",
        format!(
            "version {} is not read by this agent, which reads {wanted}; {advice}",
            config.version
        ),
    ));
}

fn listen(config: &AgentConfig, found: &mut Vec<Problem>) {
    if config.listen.parse::<SocketAddr>().is_err() {
        found.push(Problem::new(
            "listen",
            format!(
                "\"{}\" is not an address with a port; write one like 127.0.0.1:9180, 0.0.0.0:9180 \
                 or [::1]:9180 (host names are not looked up)",
                config.listen
            ),
        ));
    }
}

fn paths(config: &AgentConfig, found: &mut Vec<Problem>) {
    let mut absolute = |path: &str, value: &Path| {
        if !value.is_absolute() {
            found.push(Problem::new(
                path,
                format!(
                    "\"{}\" is not an absolute path; begin it with /",
                    value.display()
                ),
            ));
        }
    };
    if let Some(socket) = &config.admin.socket {
        absolute("admin.socket", socket);
    }
    absolute("roots.proc", &config.roots.proc);
    absolute("roots.sys", &config.roots.sys);
    absolute("roots.root", &config.roots.root);
    if let Some(udev) = &config.roots.udev_data {
        absolute("roots.udevData", udev);
    }
    for (index, entry) in config.rotate.iter().enumerate() {
        absolute(&format!("rotate.{index}.path"), &entry.path);
    }
    // sun_path holds 108 bytes with its closing zero (unix(7)); bind would fail with less to say.
    if let Some(socket) = &config.admin.socket
        && socket.as_os_str().len() > 107
    {
        found.push(Problem::new(
            "admin.socket",
            format!(
                "the path has {} bytes, a unix socket's may have 107; put it in a shorter folder",
                socket.as_os_str().len()
            ),
        ));
    }
}

fn collectors(config: &AgentConfig, found: &mut Vec<Problem>) {
    let lists = [
        ("disable", &config.collectors.disable),
        ("enable", &config.collectors.enable),
    ];
    for (list, names) in lists {
        for (index, name) in names.iter().enumerate() {
            if COLLECTORS.contains(&name.as_str()) {
                continue;
            }
            let hint = nearest(name, &COLLECTORS).map_or_else(
                || format!("the collectors are {}", COLLECTORS.join(", ")),
                |near| format!("did you mean \"{near}\"?"),
            );
            found.push(Problem::new(
                format!("collectors.{list}.{index}"),
                format!("there is no collector \"{name}\"; {hint}"),
            ));
        }
    }
    for (index, name) in config.collectors.enable.iter().enumerate() {
        if config.collectors.disable.contains(name) {
            found.push(Problem::new(
                format!("collectors.enable.{index}"),
                format!("\"{name}\" is disabled as well; keep one"),
            ));
        }
    }
    for (index, label) in config.collectors.ipvs_backend_labels.iter().enumerate() {
        if !IPVS_LABELS.contains(&label.as_str()) {
            found.push(Problem::new(
                format!("collectors.ipvsBackendLabels.{index}"),
                format!(
                    "there is no label \"{label}\"; the labels are {}",
                    IPVS_LABELS.join(", ")
                ),
            ));
        }
    }
    if let Some(ms) = config.collectors.timeout_ms
        && !(10..=60_000).contains(&ms)
    {
        found.push(Problem::new(
            "collectors.timeoutMs",
            format!("{ms} is out of range; give milliseconds from 10 to 60000"),
        ));
    }
}

fn applications(config: &AgentConfig, found: &mut Vec<Problem>) {
    for (name, application) in &config.applications {
        if let Some(message) = name_in_path(name, "/metrics/app/<name>") {
            found.push(Problem::new(format!("applications.{name}"), message));
        }
        if let Some(message) = address(
            &application.url,
            "http://127.0.0.1:8080/metrics",
            "serve metrics without one, or on a loopback address",
        ) {
            found.push(Problem::new(format!("applications.{name}.url"), message));
        }
        if !(1..=600_000).contains(&application.timeout_ms) {
            found.push(Problem::new(
                format!("applications.{name}.timeoutMs"),
                format!(
                    "{} is out of range; give milliseconds from 1 to 600000",
                    application.timeout_ms
                ),
            ));
        }
    }
}

/// What is wrong with a name that stands in an address, if anything.
pub(super) fn name_in_path(name: &str, path: &str) -> Option<String> {
    let good = !name.is_empty()
        && name.len() <= MAX_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (!good).then(|| {
        format!(
            "\"{name}\" cannot be a name in {path}; use letters, digits, '-', '_' and '.', \
             beginning with a letter or digit, at most {MAX_NAME}"
        )
    })
}

/// What is wrong with an http address, if anything. `instead` says how else to tell who asks.
pub(super) fn address(url: &str, example: &str, instead: &str) -> Option<String> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    match host {
        None | Some("") => Some(format!(
            "\"{}\" is not an http:// or https:// address; write one like {example}",
            without_userinfo(url)
        )),
        Some(host) if host.contains('@') => Some(format!(
            "a user name or password in the address would show up in errors; {instead}"
        )),
        Some(_) if url.bytes().any(|b| b <= b' ' || b == 0x7f) => {
            Some("the address has a space or a control character in it; write it as %20".to_owned())
        }
        Some(_) => None,
    }
}

fn rotate(config: &AgentConfig, found: &mut Vec<Problem>) {
    for (index, entry) in config.rotate.iter().enumerate() {
        if entry.max_bytes == 0 {
            found.push(Problem::new(
                format!("rotate.{index}.maxBytes"),
                "0 would empty the file at every look; give the size in bytes at which it is \
                 rotated, such as 10485760",
            ));
        }
        if entry.keep > 100 {
            found.push(Problem::new(
                format!("rotate.{index}.keep"),
                format!(
                    "{} generations are more than the 100 that are supported",
                    entry.keep
                ),
            ));
        }
        if let Some(first) = config.rotate[..index]
            .iter()
            .position(|other| other.path == entry.path)
        {
            found.push(Problem::new(
                format!("rotate.{index}.path"),
                format!(
                    "\"{}\" is also rotate.{first}.path; one entry per file, or both would shift \
                     its generations",
                    entry.path.display()
                ),
            ));
        }
    }
}

/// The address without what stands before an `@`, so that a password never reaches a message.
fn without_userinfo(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> AgentConfig {
        serde_yaml::from_str(text).unwrap()
    }

    fn paths_of(text: &str) -> Vec<String> {
        parse(text)
            .problems()
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    }

    #[test]
    fn the_smallest_configuration_is_sound() {
        assert_eq!(
            paths_of("version: 1\nlisten: 127.0.0.1:9180\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let found = paths_of(
            "version: 9\nlisten: localhost\nadmin: {socket: a.sock}\nroots: {proc: proc}\n\
             collectors: {disable: [cpuu], timeoutMs: 1}\n\
             applications: {'a b': {url: 'ftp://x', timeoutMs: 0}, ok: {url: 'http://u:p@h/'}}\n\
             rotate: [{path: x.log, maxBytes: 0, keep: 101}, {path: x.log, maxBytes: 5, keep: 1}]\n",
        );
        assert_eq!(
            found,
            [
                "version",
                "listen",
                "admin.socket",
                "roots.proc",
                "rotate.0.path",
                "rotate.1.path",
                "collectors.disable.0",
                "collectors.timeoutMs",
                "applications.a b",
                "applications.a b.url",
                "applications.a b.timeoutMs",
                "applications.ok.url",
                "rotate.0.maxBytes",
                "rotate.0.keep",
                "rotate.1.path",
            ]
        );
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        let config = parse(
            "version: 1\nlisten: 127.0.0.1:1\napplications: {a: {url: 'ftp://u:hunter2@h/'}, \
             b: {url: 'http://u:hunter2@h/'}}\n",
        );
        let all = format!("{:?}", config.problems());
        assert!(!all.contains("hunter2"), "{all}");
        assert_eq!(config.problems().len(), 2);
    }
}
