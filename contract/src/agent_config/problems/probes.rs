//! What can be wrong with `probes:`. Patterns are judged by the agent, whose engine reads them.

use std::net::IpAddr;
use std::path::Path;

use super::{Problem, address, name_in_path};
use crate::agent_config::{
    AgentConfig, DnsProbe, DnsTransport, HttpAuth, HttpProbe, IcmpProbe, Probe, ProbeTls, TcpProbe,
    nearest,
};

/// Types of records that can be asked for, by name; any other is written `TYPE65`.
pub const DNS_TYPES: [(&str, u16); 24] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("NAPTR", 35),
    ("DNAME", 39),
    ("OPT", 41),
    ("DS", 43),
    ("SSHFP", 44),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("NSEC3", 50),
    ("TLSA", 52),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("ANY", 255),
    ("CAA", 257),
];

pub const DNS_CLASSES: [(&str, u16); 5] =
    [("IN", 1), ("CH", 3), ("HS", 4), ("NONE", 254), ("ANY", 255)];

/// Answers' codes by their numbers; the gaps are unassigned.
pub const DNS_RCODES: [(&str, u16); 11] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
];

/// The number of a name, or of `TYPE65` and `CLASS3` as RFC 3597 writes them.
pub fn dns_number(name: &str, known: &[(&str, u16)], generic: &str) -> Option<u16> {
    let found = known.iter().find(|(known, _)| *known == name);
    let number = || name.strip_prefix(generic)?.parse().ok();
    found.map(|(_, number)| *number).or_else(number)
}

pub(super) fn check(config: &AgentConfig, found: &mut Vec<Problem>) {
    for (name, probe) in &config.probes {
        let mut list = List {
            at: format!("probes.{name}"),
            found,
        };
        if let Some(message) = name_in_path(name, "/probe/<name>") {
            list.add("", message);
        }
        list.probe(probe);
    }
}

struct List<'a> {
    at: String,
    found: &'a mut Vec<Problem>,
}

impl List<'_> {
    fn add(&mut self, key: &str, message: impl Into<String>) {
        let dot = if key.is_empty() { "" } else { "." };
        self.found
            .push(Problem::new(format!("{}{dot}{key}", self.at), message));
    }

    fn probe(&mut self, probe: &Probe) {
        let kinds = [
            probe.http.is_some(),
            probe.tcp.is_some(),
            probe.dns.is_some(),
            probe.icmp.is_some(),
        ];
        match kinds.iter().filter(|given| **given).count() {
            1 => {}
            0 => self.add("", "nothing to probe; give one of http, tcp, dns and icmp"),
            _ => self.add(
                "",
                "a probe is one of http, tcp, dns and icmp; give each its own name",
            ),
        }
        if let Some(ms) = probe.timeout_ms
            && !(1..=600_000).contains(&ms)
        {
            self.add(
                "timeoutMs",
                format!("{ms} is out of range; give milliseconds from 1 to 600000"),
            );
        }
        if let Some(http) = &probe.http {
            self.http(http);
        }
        if let Some(tcp) = &probe.tcp {
            self.tcp(tcp);
        }
        if let Some(dns) = &probe.dns {
            self.dns(dns);
        }
        if let Some(icmp) = &probe.icmp {
            self.icmp(icmp);
        }
    }

    fn http(&mut self, http: &HttpProbe) {
        let url = if http.url.contains("://") {
            http.url.clone()
        } else {
            format!("http://{}", http.url)
        };
        let example = "https://booking.kai.example/healthz";
        if let Some(message) = address(&url, example, "name a file with it under auth") {
            self.add("http.url", message);
        }
        if !is_token(&http.method) {
            self.add(
                "http.method",
                format!("\"{}\" is no HTTP method; write one like GET", http.method),
            );
        }
        for (name, value) in &http.headers {
            let at = format!("http.headers.{name}");
            if !is_token(name) {
                self.add(&at, format!("\"{name}\" is no name of a header"));
            } else if ["authorization", "proxy-authorization", "cookie"]
                .iter()
                .any(|secret| name.eq_ignore_ascii_case(secret))
            {
                self.add(
                    &at,
                    "a configuration holds no secret; name a file with it under auth",
                );
            } else if value.bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f) {
                self.add(&at, "the value has a line break or control character in it");
            }
        }
        if http.body.is_some() && http.body_file.is_some() {
            self.add("http.body", "there is a bodyFile, too; keep one");
        }
        if let Some(file) = &http.body_file {
            self.absolute("http.bodyFile", file);
        }
        for (index, code) in http.valid_status_codes.iter().enumerate() {
            if !(100..=999).contains(code) {
                self.add(
                    &format!("http.validStatusCodes.{index}"),
                    format!("{code} is no status of HTTP; give one from 100 to 999"),
                );
            }
        }
        for (index, version) in http.valid_http_versions.iter().enumerate() {
            if !["HTTP/1.0", "HTTP/1.1", "HTTP/2.0"].contains(&version.as_str()) {
                self.add(
                    &format!("http.validHttpVersions.{index}"),
                    format!(
                        "\"{version}\" is none of the versions HTTP/1.0, HTTP/1.1 and HTTP/2.0"
                    ),
                );
            }
        }
        if http.fail_if_ssl && http.fail_if_not_ssl {
            self.add(
                "http.failIfSsl",
                "with failIfNotSsl as well the probe always fails; keep one",
            );
        }
        // What is held of a body at one moment; patterns need it whole.
        if !(1..=64 << 20).contains(&http.body_size_limit) {
            self.add(
                "http.bodySizeLimit",
                format!(
                    "{} is out of range; give bytes from 1 to 67108864",
                    http.body_size_limit
                ),
            );
        }
        match &http.auth {
            None => {}
            Some(HttpAuth::ApiKeyFile(file)) => self.absolute("http.auth.apiKeyFile", file),
            Some(HttpAuth::TokenFile(file)) => self.absolute("http.auth.tokenFile", file),
            Some(HttpAuth::Basic { password_file, .. }) => {
                self.absolute("http.auth.basic.passwordFile", password_file);
            }
        }
        self.tls("http.tls", http.tls.as_ref());
    }

    fn tcp(&mut self, tcp: &TcpProbe) {
        self.host_and_port("tcp.address", &tcp.address, "db.kai.example:5432");
        self.source("tcp.sourceIpAddress", tcp.source_ip_address.as_ref());
        self.tls("tcp.tlsConfig", tcp.tls_config.as_ref());
        for (index, step) in tcp.query_response.iter().enumerate() {
            let at = format!("tcp.queryResponse.{index}");
            if step.expect.is_some() && step.expect_bytes.is_some() {
                self.add(&at, "give expect or expectBytes, not both");
            }
            if !step.labels.is_empty() && step.expect.is_none() {
                self.add(
                    &format!("{at}.labels"),
                    "labels are taken from what expect matched; give expect",
                );
            }
            if step.starttls && tcp.tls {
                self.add(
                    &format!("{at}.starttls"),
                    "the connection is encrypted from its first byte (tls: true); keep one",
                );
            }
            for (number, label) in step.labels.iter().enumerate() {
                if !is_label(&label.name) {
                    self.add(
                        &format!("{at}.labels.{number}.name"),
                        format!(
                            "\"{}\" is no name of a label; use letters, digits and '_'",
                            label.name
                        ),
                    );
                }
            }
        }
    }

    fn dns(&mut self, dns: &DnsProbe) {
        if dns.server.is_empty() || dns.server.bytes().any(|b| b <= b' ') {
            self.add(
                "dns.server",
                format!("\"{}\" is no address of a server", dns.server),
            );
        }
        let labels = dns
            .query_name
            .strip_suffix('.')
            .unwrap_or(&dns.query_name)
            .split('.');
        let bad = |label: &str| label.is_empty() || label.len() > 63;
        if dns.query_name.is_empty()
            || dns.query_name.len() > 253
            || (dns.query_name != "." && labels.into_iter().any(bad))
        {
            self.add(
                "dns.queryName",
                format!("\"{}\" is no name that DNS can hold", dns.query_name),
            );
        }
        self.named("dns.queryType", &dns.query_type, &DNS_TYPES, "TYPE");
        self.named("dns.queryClass", &dns.query_class, &DNS_CLASSES, "CLASS");
        for (index, code) in dns.valid_rcodes.iter().enumerate() {
            self.named(&format!("dns.validRcodes.{index}"), code, &DNS_RCODES, "\n");
        }
        if dns.dns_over_tls && dns.transport_protocol != DnsTransport::Tcp {
            self.add(
                "dns.dnsOverTls",
                "DNS over TLS needs transportProtocol: tcp",
            );
        }
        self.source("dns.sourceIpAddress", dns.source_ip_address.as_ref());
        self.tls("dns.tlsConfig", dns.tls_config.as_ref());
    }

    fn named(&mut self, at: &str, given: &str, known: &[(&str, u16)], generic: &str) {
        if dns_number(given, known, generic).is_some() {
            return;
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let hint = nearest(given, &names).map_or_else(
            || format!("known are {}", names.join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        self.add(at, format!("\"{given}\" is not known to DNS; {hint}"));
    }

    fn icmp(&mut self, icmp: &IcmpProbe) {
        if icmp.host.is_empty() || icmp.host.bytes().any(|b| b <= b' ' || b == b'/') {
            self.add(
                "icmp.host",
                format!("\"{}\" is no name or address of a host", icmp.host),
            );
        }
        self.source("icmp.sourceIpAddress", icmp.source_ip_address.as_ref());
        // An IPv4 packet has 65535 bytes, of which 28 are headers.
        if icmp.payload_size > 65_507 {
            self.add(
                "icmp.payloadSize",
                format!(
                    "{} bytes do not fit into one packet; give at most 65507",
                    icmp.payload_size
                ),
            );
        }
        if icmp.ttl == 0 {
            self.add("icmp.ttl", "0 would never arrive; give 1 to 255");
        }
    }

    fn host_and_port(&mut self, key: &str, text: &str, example: &str) {
        let good = text.rsplit_once(':').is_some_and(|(host, port)| {
            let bare = host
                .strip_prefix('[')
                .and_then(|h| h.strip_suffix(']'))
                .unwrap_or(host);
            port.parse::<u16>().is_ok_and(|port| port > 0)
                && !bare.is_empty()
                && !bare.bytes().any(|b| b <= b' ' || b == b'/' || b == b'@')
                && (!bare.contains(':') || host.starts_with('['))
        });
        if !good {
            self.add(
                key,
                format!("\"{text}\" is no address with a port; write one like {example}"),
            );
        }
    }

    fn source(&mut self, key: &str, address: Option<&String>) {
        if let Some(address) = address
            && address.parse::<IpAddr>().is_err()
        {
            self.add(
                key,
                format!("\"{address}\" is no IP address of this machine"),
            );
        }
    }

    fn tls(&mut self, key: &str, tls: Option<&ProbeTls>) {
        let Some(tls) = tls else { return };
        for (name, file) in [
            ("caFile", &tls.ca_file),
            ("certFile", &tls.cert_file),
            ("keyFile", &tls.key_file),
        ] {
            if let Some(file) = file {
                self.absolute(&format!("{key}.{name}"), file);
            }
        }
        if tls.cert_file.is_some() != tls.key_file.is_some() {
            self.add(
                key,
                "a certificate needs its key; give certFile and keyFile together",
            );
        }
    }

    fn absolute(&mut self, key: &str, path: &Path) {
        if !path.is_absolute() {
            self.add(
                key,
                format!(
                    "\"{}\" is not an absolute path; begin it with /",
                    path.display()
                ),
            );
        }
    }
}

/// A `token` of RFC 9110.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths_of(probes: &str) -> Vec<String> {
        let text = format!("version: 2\nlisten: 127.0.0.1:0\nprobes: {probes}\n");
        let config: AgentConfig = serde_yaml::from_str(&text).unwrap();
        config.problems().into_iter().map(|p| p.path).collect()
    }

    #[test]
    fn small_probes_are_sound() {
        assert_eq!(
            paths_of(
                "{a: {http: {url: 'http://h/'}}, b: {tcp: {address: '[::1]:5'}}, c: {dns: {server: \
                 '10.0.0.1', queryName: kai.example, queryType: SOA}}, d: {icmp: {host: h}}, e: \
                 {http: {url: h}}, f: {dns: {server: h, queryName: ., queryType: TYPE999}}}"
            ),
            Vec::<String>::new()
        );
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        assert_eq!(
            paths_of(
                "{'a/b': {}, b: {timeoutMs: 0, http: {url: 'ftp://h', method: 'G T', headers: {'x \
                 y': z, Authorization: secret}, body: x, bodyFile: f, validStatusCodes: [9], \
                 validHttpVersions: [HTTP/9], failIfSsl: true, failIfNotSsl: true, bodySizeLimit: 0, \
                 auth: {tokenFile: t}, tls: {caFile: c, certFile: /x}}}, c: {tcp: {address: h, \
                 tls: true, queryResponse: [{expect: x, expectBytes: y}, {labels: [{name: '9', \
                 value: v}], starttls: true}]}}, d: {dns: {server: '', queryName: a..b, queryType: \
                 AAAAA, queryClass: X, validRcodes: [NOPE], dnsOverTls: true}}, e: {icmp: {host: '', \
                 sourceIpAddress: h, payloadSize: 65535, ttl: 0}}}"
            ),
            [
                "probes.a/b",
                "probes.a/b",
                "probes.b.timeoutMs",
                "probes.b.http.url",
                "probes.b.http.method",
                "probes.b.http.headers.Authorization",
                "probes.b.http.headers.x y",
                "probes.b.http.body",
                "probes.b.http.bodyFile",
                "probes.b.http.validStatusCodes.0",
                "probes.b.http.validHttpVersions.0",
                "probes.b.http.failIfSsl",
                "probes.b.http.bodySizeLimit",
                "probes.b.http.auth.tokenFile",
                "probes.b.http.tls.caFile",
                "probes.b.http.tls",
                "probes.c.tcp.address",
                "probes.c.tcp.queryResponse.0",
                "probes.c.tcp.queryResponse.1.labels",
                "probes.c.tcp.queryResponse.1.starttls",
                "probes.c.tcp.queryResponse.1.labels.0.name",
                "probes.d.dns.server",
                "probes.d.dns.queryName",
                "probes.d.dns.queryType",
                "probes.d.dns.queryClass",
                "probes.d.dns.validRcodes.0",
                "probes.d.dns.dnsOverTls",
                "probes.e.icmp.host",
                "probes.e.icmp.sourceIpAddress",
                "probes.e.icmp.payloadSize",
                "probes.e.icmp.ttl",
            ]
        );
    }
}
