//! The DNS probe: one question to one server, and what its answer must hold.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use kai_contract::agent_config::{
    DNS_CLASSES, DNS_RCODES, DNS_TYPES, DnsProbe, DnsTransport, Problem, RecordRules, dns_number,
};
use regex::Regex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::report::Report;
use super::{patterns, resolve, tcp, tls};

pub(super) mod wire;

use wire::{Message, Record};

const PHASES: &str = "probe_dns_duration_seconds";
const HELP: &str = "Duration of DNS request by phase";
const SOA: u16 = 6;

#[derive(Debug)]
pub(super) struct Prepared {
    config: DnsProbe,
    answer: Rules,
    authority: Rules,
    additional: Rules,
}

/// Patterns for the records of one section.
#[derive(Debug, Default)]
struct Rules {
    none_may: Vec<Regex>,
    not_all_may: Vec<Regex>,
    all_must: Vec<Regex>,
    one_must: Vec<Regex>,
}

impl Rules {
    fn new(given: Option<&RecordRules>, at: &str, problems: &mut Vec<Problem>) -> Self {
        let Some(given) = given else {
            return Self::default();
        };
        let mut all =
            |list: &[String], key: &str| patterns::all(list, &format!("{at}.{key}"), problems);
        Self {
            none_may: all(&given.fail_if_matches_regexp, "failIfMatchesRegexp"),
            not_all_may: all(&given.fail_if_all_match_regexp, "failIfAllMatchRegexp"),
            all_must: all(&given.fail_if_not_matches_regexp, "failIfNotMatchesRegexp"),
            one_must: all(
                &given.fail_if_none_matches_regexp,
                "failIfNoneMatchesRegexp",
            ),
        }
    }

    /// What is wrong with a section. `fail_if_all_match_regexp` is judged as blackbox_exporter does
    /// it, which is the other way round than its name says.
    fn judge(&self, records: &[Record]) -> Result<(), String> {
        if records.is_empty() && !(self.all_must.is_empty() && self.one_must.is_empty()) {
            return Err("there is no record, and one must match".to_owned());
        }
        let mut all_match = true;
        let mut any_match = false;
        for record in records {
            let text = &record.text;
            if let Some(regex) = self.none_may.iter().find(|r| r.is_match(text)) {
                return Err(format!("a record matches {regex}: {text}"));
            }
            if self.not_all_may.iter().any(|regex| !regex.is_match(text)) {
                all_match = false;
            }
            if let Some(regex) = self.all_must.iter().find(|r| !r.is_match(text)) {
                return Err(format!("a record does not match {regex}: {text}"));
            }
            if self.one_must.iter().any(|regex| regex.is_match(text)) {
                any_match = true;
            }
        }
        if !self.not_all_may.is_empty() && !all_match {
            return Err("not all records match failIfAllMatchRegexp".to_owned());
        }
        if !self.one_must.is_empty() && !any_match {
            return Err("no record matches failIfNoneMatchesRegexp".to_owned());
        }
        Ok(())
    }
}

impl Prepared {
    pub(super) fn new(config: &DnsProbe, at: &str, problems: &mut Vec<Problem>) -> Self {
        let mut rules = |given: Option<&RecordRules>, key: &str| {
            Rules::new(given, &format!("{at}.{key}"), problems)
        };
        Self {
            answer: rules(config.validate_answer_rrs.as_ref(), "validateAnswerRrs"),
            authority: rules(
                config.validate_authority_rrs.as_ref(),
                "validateAuthorityRrs",
            ),
            additional: rules(
                config.validate_additional_rrs.as_ref(),
                "validateAdditionalRrs",
            ),
            config: config.clone(),
        }
    }

    pub(super) async fn probe(&self, report: &mut Report) -> bool {
        match self.ask(report).await {
            Ok(()) => true,
            Err(why) => {
                report.fail(why);
                false
            }
        }
    }

    async fn ask(&self, report: &mut Report) -> Result<(), String> {
        for phase in ["resolve", "connect", "request"] {
            report.add_phase(PHASES, HELP, phase, 0.0);
        }
        counts(report, None);
        let config = &self.config;
        let number = |name: &str, known: &[(&str, u16)], generic: &str| {
            dns_number(name, known, generic).ok_or_else(|| format!("{name} is not known to DNS"))
        };
        let kind = number(&config.query_type, &DNS_TYPES, "TYPE")?;
        let class = number(&config.query_class, &DNS_CLASSES, "CLASS")?;
        let default_port = if config.dns_over_tls { 853 } else { 53 };
        let (host, port) =
            resolve::split(&config.server).unwrap_or((config.server.as_str(), default_port));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let resolved = resolve::choose(
            report,
            host,
            config.preferred_ip_protocol,
            config.ip_protocol_fallback,
        )
        .await;
        let Ok(resolved) = resolved else {
            return Err(format!("there is no address for the server {host}"));
        };
        report.add_phase(PHASES, HELP, "resolve", resolved.seconds);
        let to = SocketAddr::new(resolved.ip, port);
        let id = rand::random();
        let query = wire::query(
            id,
            &config.query_name,
            kind,
            class,
            config.recursion_desired,
        )?;
        report.note(format!(
            "asking {to} by {} for {} {} {}",
            match (config.transport_protocol, config.dns_over_tls) {
                (_, true) => "TLS",
                (DnsTransport::Udp, _) => "UDP",
                (DnsTransport::Tcp, _) => "TCP",
            },
            config.query_name,
            config.query_class,
            config.query_type
        ));
        let message = match config.transport_protocol {
            DnsTransport::Udp => self.by_udp(report, to, &query, id).await?,
            DnsTransport::Tcp => self.by_tcp(report, to, host, &query, id).await?,
        };
        counts(report, Some(&message));
        if kind == SOA {
            let mut serial = message.answer.iter().filter_map(|record| record.serial);
            report.set(
                "probe_dns_serial",
                "Returns the serial number of the zone",
                serial.next_back().map_or(0.0, f64::from),
            );
        }
        self.judge(report, &message)
    }

    fn judge(&self, report: &mut Report, message: &Message) -> Result<(), String> {
        let named = DNS_RCODES.iter().find(|(_, code)| *code == message.rcode);
        let name = named.map_or_else(|| message.rcode.to_string(), |(name, _)| (*name).to_owned());
        report.note(format!(
            "answer: {name}, {} answers, {} authorities, {} additional{}",
            message.answer.len(),
            message.authority.len(),
            message.additional.len(),
            if message.truncated { ", TRUNCATED" } else { "" }
        ));
        let sections = [
            ("answer", &message.answer, &self.answer),
            ("authority", &message.authority, &self.authority),
            ("additional", &message.additional, &self.additional),
        ];
        for (section, records, _) in sections {
            for record in records {
                report.note(format!("{section}: {}", record.text.replace('\t', " ")));
            }
        }
        let valid = &self.config.valid_rcodes;
        let good = if valid.is_empty() {
            message.rcode == 0
        } else {
            valid.contains(&name)
        };
        if !good {
            let valid = if valid.is_empty() {
                "NOERROR".to_owned()
            } else {
                valid.join(", ")
            };
            return Err(format!("the answer's code is {name}, valid is {valid}"));
        }
        for (section, records, rules) in sections {
            rules
                .judge(records)
                .map_err(|why| format!("{section} records: {why}"))?;
        }
        Ok(())
    }

    async fn by_udp(
        &self,
        report: &mut Report,
        to: SocketAddr,
        query: &[u8],
        id: u16,
    ) -> Result<Message, String> {
        let started = Instant::now();
        let any: IpAddr = if to.is_ipv4() {
            [0, 0, 0, 0].into()
        } else {
            [0_u16; 8].into()
        };
        let from = self.config.source_ip_address.as_ref();
        let from = from.and_then(|from| from.parse().ok()).unwrap_or(any);
        let failed = |error: std::io::Error| format!("cannot ask {to}: {error}");
        let socket = UdpSocket::bind((from, 0)).await.map_err(failed)?;
        socket.connect(to).await.map_err(failed)?;
        report.add_phase(PHASES, HELP, "connect", started.elapsed().as_secs_f64());
        let started = Instant::now();
        socket.send(query).await.map_err(failed)?;
        // Longer answers are for those who said that they take them (RFC 6891), which we do not; what
        // is longer is broken, as for blackbox_exporter.
        let mut buffer = vec![0; 512];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(failed)?;
            let answer = &buffer[..length];
            // A late answer to somebody else's question is none.
            if answer.get(..2) != Some(&id.to_be_bytes()) {
                report.note("an answer with another id, which does not count");
                continue;
            }
            report.add_phase(PHASES, HELP, "request", started.elapsed().as_secs_f64());
            return wire::parse(answer).map_err(|why| format!("the answer is broken: {why}"));
        }
    }

    async fn by_tcp(
        &self,
        report: &mut Report,
        to: SocketAddr,
        host: &str,
        query: &[u8],
        id: u16,
    ) -> Result<Message, String> {
        let started = Instant::now();
        let stream = tcp::connect(to, self.config.source_ip_address.as_deref())
            .await
            .map_err(|error| format!("cannot connect to {to}: {error}"))?;
        let connected = |report: &mut Report, started: Instant| {
            report.add_phase(PHASES, HELP, "connect", started.elapsed().as_secs_f64());
        };
        let answer = if self.config.dns_over_tls {
            let settings = tls::Tls::new(self.config.tls_config.as_ref(), &[]);
            let name = settings.server_name().unwrap_or(host).to_owned();
            let (stream, _) = settings.connect(report, stream, &name).await?;
            connected(report, started);
            exchange(report, stream, query).await
        } else {
            connected(report, started);
            exchange(report, stream, query).await
        };
        let answer = answer.map_err(|error| format!("no answer from {to}: {error}"))?;
        if answer.get(..2) != Some(&id.to_be_bytes()) {
            return Err("the answer has another id than the question".to_owned());
        }
        wire::parse(&answer).map_err(|why| format!("the answer is broken: {why}"))
    }
}

/// One question and answer, each after its length (RFC 1035, section 4.2.2).
async fn exchange(
    report: &mut Report,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    query: &[u8],
) -> std::io::Result<Vec<u8>> {
    let started = Instant::now();
    let mut framed = (query.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(query);
    stream.write_all(&framed).await?;
    stream.flush().await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    report.add_phase(PHASES, HELP, "request", started.elapsed().as_secs_f64());
    Ok(answer)
}

fn counts(report: &mut Report, message: Option<&Message>) {
    let count = |pick: fn(&Message) -> usize| message.map_or(0.0, |m| pick(m) as f64);
    report.set(
        "probe_dns_answer_rrs",
        "Returns number of entries in the answer resource record list",
        count(|m| m.answer.len()),
    );
    report.set(
        "probe_dns_authority_rrs",
        "Returns number of entries in the authority resource record list",
        count(|m| m.authority.len()),
    );
    report.set(
        "probe_dns_additional_rrs",
        "Returns number of entries in the additional resource record list",
        count(|m| m.additional.len()),
    );
    report.set(
        "probe_dns_query_succeeded",
        "Displays whether or not the query was executed successfully",
        f64::from(u8::from(message.is_some())),
    );
}
