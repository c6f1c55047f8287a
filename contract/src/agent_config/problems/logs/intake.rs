//! What can be wrong with sources that come over the network, and with their spool.

use std::net::SocketAddr;

use super::{Problem, absolute, bad_data_stream};
use crate::agent_config::{AgentConfig, LogFormat, LogSource, LogStart, Logs, RuleSource, Syslog};

/// The least spool in which segments can be filled and deleted.
const LEAST_SPOOL: u64 = 1 << 20;

/// Placeholders of an OTLP source's data stream.
const PLACEHOLDERS: [&str; 2] = ["{service}", "{environment}"];

pub(super) fn check(config: &AgentConfig, logs: &Logs, found: &mut Vec<Problem>) {
    let mut taken: Vec<(String, String, bool)> =
        vec![("listen".into(), config.listen.clone(), false)];
    if let Some(traces) = &config.traces {
        for (at, address) in [("traces.grpc", &traces.grpc), ("traces.http", &traces.http)] {
            if let Some(address) = address {
                taken.push((at.into(), address.clone(), false));
            }
        }
    }
    let mut otlp: Option<&str> = None;
    for (name, source) in &logs.sources {
        if !source.is_network() {
            continue;
        }
        let at = |key: &str| format!("logs.sources.{name}.{key}");
        source_name(name, found);
        only_of_files(name, source, found);
        if let Some(syslog) = &source.syslog {
            check_syslog(&at("syslog"), syslog, &mut taken, found);
        }
        if let Some(given) = &source.otlp {
            if let Some(other) = otlp {
                found.push(Problem::new(
                    at("otlp"),
                    format!(
                        "logs.sources.{other} takes all OTLP records already; leave one of them"
                    ),
                ));
            }
            otlp = Some(name);
            if config.traces.is_none() {
                found.push(Problem::new(
                    at("otlp"),
                    "log records are taken at the addresses of traces, and there is no such \
                     section; add traces with grpc or http",
                ));
            }
            if !(1..=1000).contains(&given.max_data_streams) {
                found.push(Problem::new(
                    at("otlp.maxDataStreams"),
                    format!("{} is out of range; give 1 to 1000", given.max_data_streams),
                ));
            }
        }
        if let Some((given, stream)) = source
            .otlp
            .as_ref()
            .and_then(|given| Some((given, given.other_data_stream.as_ref()?)))
        {
            if let Some(reason) = bad_data_stream(stream) {
                found.push(Problem::new(
                    at("otlp.otherDataStream"),
                    format!("\"{stream}\" {reason}; write one like logs-kai.other-production"),
                ));
            }
            if given.services.len() >= given.max_data_streams as usize {
                found.push(Problem::new(
                    at("otlp.maxDataStreams"),
                    format!(
                        "{} is too few for {} services and the data stream of all others",
                        given.max_data_streams,
                        given.services.len()
                    ),
                ));
            }
        }
        if config.business.as_ref().is_some_and(|business| {
            business
                .rules(RuleSource::Log)
                .any(|(_, _, rule)| rule.service.as_ref() == Some(name))
        }) {
            found.push(Problem::new(
                format!("logs.sources.{name}"),
                "business rules count lines of files, not what comes over the network; count \
                 another source, or spans",
            ));
        }
    }
    if let Some(spool) = &logs.spool
        && spool.max_bytes < LEAST_SPOOL
    {
        found.push(Problem::new(
            "logs.spool.maxBytes",
            format!(
                "{} is too little to hold events; give at least {LEAST_SPOOL}",
                spool.max_bytes
            ),
        ));
    }
}

/// The name is a folder's, too.
fn source_name(name: &str, found: &mut Vec<Problem>) {
    let fits = !name.starts_with('.')
        && name.len() <= 100
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !fits {
        found.push(Problem::new(
            format!("logs.sources.{name}"),
            format!(
                "\"{name}\" names a folder of the spool as well; use letters, digits, '.', '_' and \
                 '-', at most 100, and no dot at the beginning"
            ),
        ));
    }
}

/// Keys that say how files are read.
fn only_of_files(name: &str, source: &LogSource, found: &mut Vec<Problem>) {
    let at = |key: &str| format!("logs.sources.{name}.{key}");
    let kind = if source.syslog.is_some() {
        "syslog"
    } else {
        "otlp"
    };
    if source.syslog.is_some() && source.otlp.is_some() {
        found.push(Problem::new(
            at("otlp"),
            "give either syslog or otlp, not both",
        ));
    }
    for (key, given) in [
        ("paths", !source.paths.is_empty()),
        ("exclude", !source.exclude.is_empty()),
        ("container", source.container.is_some()),
        ("multiline", source.multiline.is_some()),
        ("start", source.start != LogStart::default()),
        (
            "format",
            !matches!(source.format, LogFormat::Auto | LogFormat::Syslog)
                || (source.otlp.is_some() && source.format != LogFormat::Auto),
        ),
        (
            "timeZone",
            source.otlp.is_some() && source.time_zone.is_some(),
        ),
    ] {
        if given {
            found.push(Problem::new(
                at(key),
                format!("it says how files are read, and this source is {kind}; leave it out"),
            ));
        }
    }
}

fn check_syslog(
    at: &str,
    syslog: &Syslog,
    taken: &mut Vec<(String, String, bool)>,
    found: &mut Vec<Problem>,
) {
    if syslog.udp.is_none() && syslog.tcp.is_none() && syslog.tls.is_none() {
        found.push(Problem::new(
            at,
            "there is no address to take messages at; give udp (usually port 514), tcp (usually \
             601) or tls (usually 6514)",
        ));
    }
    let tls = syslog.tls.as_ref().map(|tls| tls.address.clone());
    for (key, address, is_udp) in [
        ("udp", &syslog.udp, true),
        ("tcp", &syslog.tcp, false),
        ("tls.address", &tls, false),
    ] {
        let Some(address) = address else { continue };
        let at = format!("{at}.{key}");
        match address.parse::<SocketAddr>() {
            Err(_) => found.push(Problem::new(
                &at,
                format!(
                    "\"{address}\" is not an address with a port; write one like 0.0.0.0:514 or \
                     [::]:514 (host names are not looked up)"
                ),
            )),
            Ok(parsed) if parsed.port() != 0 => {
                let same =
                    |(_, other, udp): &&(String, String, bool)| other == address && *udp == is_udp;
                if let Some((other, _, _)) = taken.iter().find(same) {
                    found.push(Problem::new(
                        &at,
                        format!("{address} is the address of {other} too; give each its own"),
                    ));
                }
            }
            Ok(_) => {}
        }
        taken.push((at, address.clone(), is_udp));
    }
    if let Some(tls) = &syslog.tls {
        absolute(&format!("{at}.tls.certFile"), &tls.cert_file, found);
        absolute(&format!("{at}.tls.keyFile"), &tls.key_file, found);
        if let Some(file) = &tls.client_ca_file {
            absolute(&format!("{at}.tls.clientCaFile"), file, found);
        }
    }
    if !(1..=10_000).contains(&syslog.max_connections) {
        found.push(Problem::new(
            format!("{at}.maxConnections"),
            format!(
                "{} is out of range; give 1 to 10000",
                syslog.max_connections
            ),
        ));
    }
    if syslog.idle_seconds > 604_800 {
        found.push(Problem::new(
            format!("{at}.idleSeconds"),
            format!(
                "{} is more than a week; give fewer, or 0 for never",
                syslog.idle_seconds
            ),
        ));
    }
    if !(4096..=1 << 30).contains(&syslog.receive_buffer_bytes) {
        found.push(Problem::new(
            format!("{at}.receiveBufferBytes"),
            format!(
                "{} is out of range; give bytes from 4096 to 1073741824",
                syslog.receive_buffer_bytes
            ),
        ));
    }
}

/// The data stream's name with something in the place of what an OTLP record brings.
pub(super) fn filled(source: &LogSource) -> String {
    if source.otlp.is_none() {
        return source.data_stream.clone();
    }
    PLACEHOLDERS
        .iter()
        .fold(source.data_stream.clone(), |name, placeholder| {
            name.replace(placeholder, "x")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(more: &str) -> Vec<String> {
        let text = format!(
            "version: 2\nlisten: 127.0.0.1:9180\nstate: /s\nlogs:\n  elasticsearch: {{endpoints: \
             ['http://h:9200']}}\n{more}"
        );
        let config: AgentConfig = serde_yaml::from_str(&text).unwrap();
        config.problems().into_iter().map(|p| p.path).collect()
    }

    #[test]
    fn sound_sources_from_the_network() {
        let sound = "  spool: {}\n  sources:\n    routers: {dataStream: logs-kai.routers-test, timeZone: \
                     UTC, syslog: {udp: '0.0.0.0:514', tcp: '0.0.0.0:514', tls: {address: \
                     '0.0.0.0:6514', certFile: /c, keyFile: /k}}}\n    services: {dataStream: \
                     'logs-kai.{service}-{environment}', otlp: {}}\ntraces: {grpc: '127.0.0.1:4317', \
                     endpoint: 'http://h:4317'}\n";
        assert_eq!(problems_of(sound), Vec::<String>::new());
    }

    #[test]
    fn everything_wrong_with_them_is_reported_at_once() {
        let wrong = "  spool: {maxBytes: 5}\n  sources:\n    a/b: {dataStream: l, syslog: {}, paths: \
                     [/x], multiline: {traces: java}, format: json}\n    b: {dataStream: l, syslog: \
                     {udp: here, tcp: '127.0.0.1:9180', tls: {address: '0.0.0.0:1', certFile: c, \
                     keyFile: k, clientCaFile: a}, maxConnections: 0, idleSeconds: 1000000, \
                     receiveBufferBytes: 1}, otlp: {maxDataStreams: 0}}\n    c: {dataStream: 'l-{x}', \
                     otlp: {maxDataStreams: 1, services: {a: t}, otherDataStream: 'l-{service}'}, \
                     timeZone: UTC}\n";
        let found = problems_of(wrong);
        for path in [
            "logs.sources.a/b",
            "logs.sources.a/b.paths",
            "logs.sources.a/b.multiline",
            "logs.sources.a/b.format",
            "logs.sources.a/b.syslog",
            "logs.sources.b.otlp",
            "logs.sources.b.syslog.udp",
            "logs.sources.b.syslog.tcp",
            "logs.sources.b.syslog.tls.certFile",
            "logs.sources.b.syslog.tls.keyFile",
            "logs.sources.b.syslog.tls.clientCaFile",
            "logs.sources.b.syslog.maxConnections",
            "logs.sources.b.syslog.idleSeconds",
            "logs.sources.b.syslog.receiveBufferBytes",
            "logs.sources.b.otlp.maxDataStreams",
            "logs.sources.c.dataStream",
            "logs.sources.c.otlp.otherDataStream",
            "logs.sources.c.otlp.maxDataStreams",
            "logs.sources.c.otlp",
            "logs.sources.c.timeZone",
            "logs.spool.maxBytes",
        ] {
            assert!(found.iter().any(|at| at == path), "{path}: {found:?}");
        }
    }
}
