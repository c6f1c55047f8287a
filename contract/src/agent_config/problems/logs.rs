//! What can be wrong with `logs:`.

use std::path::Path;

use super::{Problem, without_userinfo};
use crate::agent_config::{
    AgentConfig, Compress, Elasticsearch, HttpAuth, JournalProblem, Journald, LogFormat, LogSource,
    Logs, RuleSource,
};

mod intake;

/// The least memory with which lines still move in batches.
const LEAST_MEMORY: u64 = 1 << 20;
/// Fields that one source may add; what a line has is looked for under each of these names.
const MOST_FIELDS: usize = 40;

pub(super) fn check(config: &AgentConfig, found: &mut Vec<Problem>) {
    if let Some(state) = &config.state {
        absolute("state", state, found);
    }
    let Some(logs) = &config.logs else {
        return;
    };
    if config.state.is_none() {
        found.push(Problem::new(
            "logs",
            "the places reached in the files must outlive the agent; give it a folder as state",
        ));
    }
    for (name, source) in &logs.sources {
        check_source(name, source, found);
        pods(config, name, source, found);
    }
    match &logs.elasticsearch {
        Some(cluster) => elasticsearch(cluster, found),
        None => for_rules_only(config, logs, found),
    }
    intake::check(config, logs, found);
    privacy(logs, found);
    sizes(logs, found);
    if logs.gzip && !matches!(logs.compress, None | Some(Compress::Gzip)) {
        found.push(Problem::new(
            "logs.gzip",
            "gzip: true says otherwise than compress; leave gzip out",
        ));
    }
}

/// Lines that go nowhere must at least be counted.
fn for_rules_only(config: &AgentConfig, logs: &Logs, found: &mut Vec<Problem>) {
    for name in logs.sources.keys() {
        let counted = config.business.as_ref().is_some_and(|business| {
            business
                .rules(RuleSource::Log)
                .any(|(_, _, rule)| rule.service.as_ref() == Some(name))
        });
        if !counted {
            found.push(Problem::new(
                format!("logs.sources.{name}"),
                "its lines would be read for nothing: there is no logs.elasticsearch to send them \
                 to, and no business rule looks at them",
            ));
        }
    }
}

/// Labels that one source adds at most: each is a field of the index.
const MOST_LABELS: usize = 40;

fn pods(config: &AgentConfig, name: &str, source: &LogSource, found: &mut Vec<Problem>) {
    let Some(pods) = &source.pods else { return };
    let mut wrong = |key: &str, message: String| {
        found.push(Problem::new(
            format!("logs.sources.{name}.pods{key}"),
            message,
        ));
    };
    if source.is_network() || source.journald.is_some() {
        wrong(
            "",
            "pods are told by the paths of files; leave it out of other sources".to_owned(),
        );
    }
    if config.kubernetes.is_none() {
        wrong(
            "",
            "pods are known from the API server, and there is no such section; add kubernetes: {}"
                .to_owned(),
        );
    }
    if pods.wait_ms > 600_000 {
        let given = pods.wait_ms;
        wrong(
            ".waitMs",
            format!("{given} is out of range; give milliseconds from 0 to 600000"),
        );
    }
    if pods.labels.len() > MOST_LABELS {
        let given = pods.labels.len();
        wrong(
            ".labels",
            format!("{given} labels are more than the {MOST_LABELS} that are supported"),
        );
    }
}

fn absolute(at: &str, path: &Path, found: &mut Vec<Problem>) {
    if !path.is_absolute() {
        found.push(Problem::new(
            at,
            format!(
                "\"{}\" is not an absolute path; begin it with /",
                path.display()
            ),
        ));
    }
}

fn check_source(name: &str, source: &LogSource, found: &mut Vec<Problem>) {
    let at = |key: &str| format!("logs.sources.{name}.{key}");
    if name.is_empty() {
        found.push(Problem::new("logs.sources", "a source has an empty name"));
    }
    if source.paths.is_empty() && source.journald.is_none() && !source.is_network() {
        found.push(Problem::new(
            at("paths"),
            "nothing to read; give at least one path such as /var/log/booking/*.log, or journald, \
             syslog or otlp in its place",
        ));
    }
    if let Some(journal) = &source.journald {
        journald(name, source, journal, found);
    }
    for (key, globs) in [("paths", &source.paths), ("exclude", &source.exclude)] {
        for (index, glob) in globs.iter().enumerate() {
            let at = at(&format!("{key}.{index}"));
            absolute(&at, Path::new(glob), found);
        }
    }
    let name_of_stream = intake::filled(source);
    if let Some(reason) = bad_data_stream(&name_of_stream) {
        found.push(Problem::new(
            at("dataStream"),
            format!(
                "\"{}\" {reason}; write one like logs-kai.booking-production",
                source.data_stream
            ),
        ));
    }
    shape(name, source, found);
    super::super::sampling::problems(&at, &source.drop, &source.sample, found);
    if source.fields.len() > MOST_FIELDS {
        found.push(Problem::new(
            at("fields"),
            format!(
                "{} fields are more than the {MOST_FIELDS} that are supported",
                source.fields.len()
            ),
        ));
    }
    for field in source.fields.keys() {
        if field.split('.').any(str::is_empty) {
            found.push(Problem::new(
                at(&format!("fields.{field}")),
                format!("\"{field}\" is no field name; write one like service.name"),
            ));
        }
    }
}

fn journald(name: &str, source: &LogSource, journal: &Journald, found: &mut Vec<Problem>) {
    let at = |key: &str| format!("logs.sources.{name}.{key}");
    for (key, given) in [
        ("paths", !source.paths.is_empty()),
        ("exclude", !source.exclude.is_empty()),
        ("container", source.container.is_some()),
        ("multiline", source.multiline.is_some()),
    ] {
        if given {
            found.push(Problem::new(
                at(key),
                format!("{key} is for files; with journald it means nothing: leave it out"),
            ));
        }
    }
    if source.is_network() {
        found.push(Problem::new(
            at("journald"),
            "a source reads one thing: give the journal a source of its own",
        ));
    }
    for JournalProblem {
        key,
        index,
        message,
        help,
    } in journal.wrong()
    {
        found.push(Problem::new(
            at(&format!("journald.{key}.{index}")),
            format!("{message}; {help}"),
        ));
    }
    for (key, path) in [
        ("journald.directory", &journal.directory),
        ("journald.journalctl", &journal.journalctl),
    ] {
        if let Some(path) = path {
            absolute(&at(key), path, found);
        }
    }
}

/// How lines are read; expressions and zones are judged by who compiles them.
fn shape(name: &str, source: &LogSource, found: &mut Vec<Problem>) {
    let at = |key: &str| format!("logs.sources.{name}.{key}");
    match (source.format, &source.pattern) {
        (LogFormat::Pattern, None) => found.push(Problem::new(
            at("pattern"),
            "format: pattern needs a regular expression with named groups as pattern",
        )),
        (LogFormat::Pattern, Some(_)) | (_, None) => {}
        (_, Some(_)) => found.push(Problem::new(
            at("pattern"),
            "a pattern is used only with format: pattern",
        )),
    }
    let Some(lines) = &source.multiline else {
        return;
    };
    let rules = [
        lines.begins.is_some(),
        lines.continues.is_some(),
        lines.traces.is_some(),
    ];
    if rules.iter().filter(|given| **given).count() != 1 {
        found.push(Problem::new(
            at("multiline"),
            "give exactly one of begins, continues and traces",
        ));
    }
    if lines.max_lines == 0 {
        found.push(Problem::new(
            at("multiline.maxLines"),
            "an event has at least one line",
        ));
    }
    if lines.pause_ms > 60_000 {
        found.push(Problem::new(
            at("multiline.pauseMs"),
            format!("{} is more than a minute", lines.pause_ms),
        ));
    }
}

fn privacy(logs: &Logs, found: &mut Vec<Problem>) {
    let Some(pseudonymise) = logs
        .privacy
        .as_ref()
        .and_then(|privacy| privacy.pseudonymise.as_ref())
    else {
        return;
    };
    absolute(
        "logs.privacy.pseudonymise.keyFile",
        &pseudonymise.key_file,
        found,
    );
    if pseudonymise.fields.is_empty() {
        found.push(Problem::new(
            "logs.privacy.pseudonymise.fields",
            "no field to replace; name one such as passenger.nik, or leave pseudonymise out",
        ));
    }
    for (index, field) in pseudonymise.fields.iter().enumerate() {
        if field.split('.').any(str::is_empty) {
            found.push(Problem::new(
                format!("logs.privacy.pseudonymise.fields.{index}"),
                format!("\"{field}\" is no field name; write one like passenger.nik"),
            ));
        }
    }
}

/// Elasticsearch's own rules for a data stream's name.
fn bad_data_stream(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.len() > 200 {
        return Some("is longer than 200 bytes");
    }
    if name.starts_with(['-', '_', '+', '.']) {
        return Some("begins with '-', '_', '+' or '.', which Elasticsearch refuses");
    }
    if name.chars().any(char::is_uppercase) {
        return Some("has capital letters, which Elasticsearch refuses");
    }
    let refused = |c: char| "\\/*?\"<>|,#: %&{}".contains(c) || c.is_control() || !c.is_ascii();
    if name.contains(refused) {
        return Some("has a character that does not belong into a data stream's name");
    }
    None
}

fn elasticsearch(cluster: &Elasticsearch, found: &mut Vec<Problem>) {
    if cluster.endpoints.is_empty() {
        found.push(Problem::new(
            "logs.elasticsearch.endpoints",
            "no address to send to; give at least one like http://127.0.0.1:9200",
        ));
    }
    for (index, url) in cluster.endpoints.iter().enumerate() {
        let at = format!("logs.elasticsearch.endpoints.{index}");
        let rest = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        match rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default()) {
            None | Some("") => found.push(Problem::new(
                at,
                format!(
                    "\"{}\" is not an http:// or https:// address; write one like \
                     http://127.0.0.1:9200",
                    without_userinfo(url)
                ),
            )),
            Some(host) if host.contains('@') => found.push(Problem::new(
                at,
                "a user name or password in the address would show up in errors; name a file with \
                 it under auth",
            )),
            Some(_) if url.contains(['?', '#']) || url.bytes().any(|b| b <= b' ' || b == 0x7f) => {
                found.push(Problem::new(
                    at,
                    "the address has a query, a fragment or a space in it; leave it out",
                ));
            }
            Some(_) => {}
        }
    }
    let file = match &cluster.auth {
        None => None,
        Some(HttpAuth::ApiKeyFile(file)) => Some(("apiKeyFile", file)),
        Some(HttpAuth::TokenFile(file)) => Some(("tokenFile", file)),
        Some(HttpAuth::Basic { password_file, .. }) => Some(("basic.passwordFile", password_file)),
    };
    if let Some((key, file)) = file {
        absolute(&format!("logs.elasticsearch.auth.{key}"), file, found);
    }
    if let Some(file) = &cluster.ca_file {
        absolute("logs.elasticsearch.caFile", file, found);
    }
}

fn sizes(logs: &Logs, found: &mut Vec<Problem>) {
    if logs.memory_bytes < LEAST_MEMORY {
        found.push(Problem::new(
            "logs.memoryBytes",
            format!(
                "{} is too little to send lines in batches; give at least {LEAST_MEMORY}",
                logs.memory_bytes
            ),
        ));
    }
    let most = (logs.memory_bytes / 4).min(16 << 20);
    if !(1024..=most.max(1024)).contains(&logs.max_line_bytes) {
        found.push(Problem::new(
            "logs.maxLineBytes",
            format!(
                "{} is out of range; give bytes from 1024 to {}, a quarter of memoryBytes and at \
                 most 16777216",
                logs.max_line_bytes,
                most.max(1024)
            ),
        ));
    }
    if !(10..=10_000).contains(&logs.max_fields) {
        found.push(Problem::new(
            "logs.maxFields",
            format!(
                "{} is out of range; give names from 10 to 10000, fewer than the 1000 fields that an \
                 index has unless its template says otherwise",
                logs.max_fields
            ),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths_of(text: &str) -> Vec<String> {
        let config: AgentConfig = serde_yaml::from_str(text).unwrap();
        config.problems().into_iter().map(|p| p.path).collect()
    }

    #[test]
    fn a_small_lane_is_sound() {
        assert_eq!(
            paths_of(
                "version: 2\nlisten: 127.0.0.1:0\nstate: /s\nlogs:\n  elasticsearch: {endpoints: \
                 ['http://h:9200']}\n  sources: {a: {paths: ['/l/*.log'], dataStream: \
                 logs-kai.a-local}}\n"
            ),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_is_wrong_with_a_journal_is_named() {
        assert_eq!(
            paths_of(
                "version: 2\nlisten: 127.0.0.1:0\nstate: /s\nlogs:\n  elasticsearch: {endpoints: \
                 ['http://h:9200']}\n  sources: {a: {journald: {units: [a.service], matches: \
                 ['A_1=x=y']}, dataStream: logs-kai.a-local}, b: {journald: {units: ['', 'a b'], \
                 matches: [a=b, X], directory: j, journalctl: j}, paths: ['/l'], container: cri, \
                 multiline: {begins: x}, exclude: ['/x'], dataStream: logs-kai.b-local}}\n"
            ),
            [
                "logs.sources.b.paths",
                "logs.sources.b.exclude",
                "logs.sources.b.container",
                "logs.sources.b.multiline",
                "logs.sources.b.journald.units.0",
                "logs.sources.b.journald.units.1",
                "logs.sources.b.journald.matches.0",
                "logs.sources.b.journald.matches.1",
                "logs.sources.b.journald.directory",
                "logs.sources.b.journald.journalctl",
            ]
        );
    }

    #[test]
    fn everything_wrong_with_the_lane_is_reported_at_once() {
        assert_eq!(
            paths_of(
                "version: 2\nlisten: 127.0.0.1:0\nlogs:\n  memoryBytes: 5\n  maxLineBytes: 1\n  maxFields: \
                 0\n  \
                 elasticsearch: {endpoints: ['h:9200', 'http://u:p@h', 'http://h/?x'], auth: \
                 {apiKeyFile: key}, caFile: ca}\n  sources: {a: {paths: ['l/*.log'], dataStream: \
                 Logs, fields: {'a..b': x}}, b: {paths: [], dataStream: '', format: pattern, \
                 multiline: {traces: java, begins: x, maxLines: 0, pauseMs: 70000}}, c: {paths: \
                 ['/c'], dataStream: c, pattern: x}}\n  privacy: {pseudonymise: {fields: [a..b], \
                 keyFile: k}}\n"
            ),
            [
                "logs",
                "logs.sources.a.paths.0",
                "logs.sources.a.dataStream",
                "logs.sources.a.fields.a..b",
                "logs.sources.b.paths",
                "logs.sources.b.dataStream",
                "logs.sources.b.pattern",
                "logs.sources.b.multiline",
                "logs.sources.b.multiline.maxLines",
                "logs.sources.b.multiline.pauseMs",
                "logs.sources.c.pattern",
                "logs.elasticsearch.endpoints.0",
                "logs.elasticsearch.endpoints.1",
                "logs.elasticsearch.endpoints.2",
                "logs.elasticsearch.auth.apiKeyFile",
                "logs.elasticsearch.caFile",
                "logs.privacy.pseudonymise.keyFile",
                "logs.privacy.pseudonymise.fields.0",
                "logs.memoryBytes",
                "logs.maxLineBytes",
                "logs.maxFields",
            ]
        );
    }
}
