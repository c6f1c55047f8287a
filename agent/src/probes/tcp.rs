//! The TCP probe: connects, and holds the conversation that the configuration writes down.

use std::net::{IpAddr, SocketAddr};

use kai_contract::agent_config::{Problem, QueryResponse, TcpProbe};
use regex::Regex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::report::Report;
use super::{patterns, resolve, tls};

/// Longest line that is waited for, as blackbox_exporter (Go's `bufio.Scanner`).
const LONGEST_LINE: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Prepared {
    config: TcpProbe,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    expect: Option<Regex>,
    config: QueryResponse,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection and what was read from it and not used yet.
struct Talk {
    stream: Box<dyn Stream>,
    held: Vec<u8>,
}

impl Prepared {
    pub(super) fn new(config: &TcpProbe, at: &str, problems: &mut Vec<Problem>) -> Self {
        let steps = config.query_response.iter().enumerate();
        let steps = steps
            .map(|(index, step)| Step {
                expect: step.expect.as_ref().and_then(|pattern| {
                    let at = format!("{at}.queryResponse.{index}.expect");
                    patterns::one(pattern, &at, problems)
                }),
                config: step.clone(),
            })
            .collect();
        Self {
            steps,
            config: config.clone(),
        }
    }

    pub(super) async fn probe(&self, report: &mut Report) -> bool {
        match self.talk(report).await {
            Ok(()) => true,
            Err(why) => {
                report.fail(why);
                false
            }
        }
    }

    async fn talk(&self, report: &mut Report) -> Result<(), String> {
        let (host, port) = resolve::split(&self.config.address)
            .ok_or_else(|| format!("\"{}\" has no port", self.config.address))?;
        let resolved = resolve::choose(
            report,
            host,
            self.config.preferred_ip_protocol,
            self.config.ip_protocol_fallback,
        )
        .await;
        let Ok(resolved) = resolved else {
            return Err(format!("there is no address for {host}"));
        };
        let to = SocketAddr::new(resolved.ip, port);
        report.note(format!("connecting to {to}"));
        let tcp = connect(to, self.config.source_ip_address.as_deref())
            .await
            .map_err(|error| format!("cannot connect to {to}: {error}"))?;
        let _ = tcp.set_nodelay(true);
        report.note("connected");
        let settings = tls::Tls::new(self.config.tls_config.as_ref(), &[]);
        let name = settings.server_name().unwrap_or(host).to_owned();
        let stream: Box<dyn Stream> = if self.config.tls {
            let (stream, seen) = settings.connect(report, tcp, &name).await?;
            failed_due_to(report, "regex", false);
            failed_due_to(report, "bytes", false);
            tls::gauges(report, &seen, false);
            Box::new(stream)
        } else {
            failed_due_to(report, "regex", false);
            failed_due_to(report, "bytes", false);
            Box::new(tcp)
        };
        let mut talk = Talk {
            stream,
            held: Vec::new(),
        };
        for (index, step) in self.steps.iter().enumerate() {
            talk = self
                .step(report, talk, step, &settings, &name)
                .await
                .map_err(|why| format!("step {index} of queryResponse: {why}"))?;
        }
        Ok(())
    }

    async fn step(
        &self,
        report: &mut Report,
        mut talk: Talk,
        step: &Step,
        settings: &tls::Tls,
        name: &str,
    ) -> Result<Talk, String> {
        let mut send = step.config.send.clone().unwrap_or_default();
        if let Some(expect) = &step.expect {
            report.note(format!("waiting for a line that matches {expect}"));
            let Some(line) = talk.until(report, expect).await? else {
                failed_due_to(report, "regex", true);
                return Err(format!(
                    "the server ended without a line that matches {expect}"
                ));
            };
            failed_due_to(report, "regex", false);
            if let Some(groups) = expect.captures(&line) {
                let fill = |template: &str| {
                    let mut text = String::new();
                    groups.expand(template, &mut text);
                    text
                };
                send = fill(&send);
                if !step.config.labels.is_empty() {
                    let labels = step.config.labels.iter();
                    report.labelled(
                        "probe_expect_info",
                        "Explicit content matched",
                        labels
                            .map(|label| (label.name.clone(), fill(&label.value)))
                            .collect(),
                        1.0,
                    );
                }
            }
        }
        if let Some(expected) = step.config.expect_bytes.as_deref()
            && !expected.is_empty()
        {
            report.note(format!("waiting for {} bytes", expected.len()));
            let found = talk.exactly(expected.len()).await?;
            if found != expected.as_bytes() {
                failed_due_to(report, "bytes", true);
                return Err(format!(
                    "expected the bytes {expected:?}, read {:?}",
                    String::from_utf8_lossy(&found)
                ));
            }
            failed_due_to(report, "bytes", false);
        }
        if !send.is_empty() {
            report.note(format!("sending {send:?}"));
            let line = format!("{send}\n");
            let sent = async {
                talk.stream.write_all(line.as_bytes()).await?;
                talk.stream.flush().await
            };
            sent.await
                .map_err(|error| format!("cannot send: {error}"))?;
        }
        if step.config.starttls {
            // What came before TLS was not protected: none of it counts afterwards.
            let (stream, seen) = settings.connect(report, talk.stream, name).await?;
            tls::gauges(report, &seen, false);
            talk = Talk {
                stream: Box::new(stream),
                held: Vec::new(),
            };
        }
        Ok(talk)
    }
}

impl Talk {
    /// Reads lines until one matches; `None` if the server ended before.
    async fn until(
        &mut self,
        report: &mut Report,
        expect: &Regex,
    ) -> Result<Option<String>, String> {
        loop {
            let Some(line) = self.line().await? else {
                return Ok(None);
            };
            let line = String::from_utf8_lossy(&line).into_owned();
            report.note(format!("read {line:?}"));
            if expect.is_match(&line) {
                return Ok(Some(line));
            }
        }
    }

    /// One line without its end (`\n` or `\r\n`); the last one needs none.
    async fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.held[searched..]) {
                let mut line: Vec<u8> = self.held.drain(..=searched + at).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            searched = self.held.len();
            if searched >= LONGEST_LINE {
                return Err(format!("a line is longer than {LONGEST_LINE} bytes"));
            }
            if self.fill().await? == 0 {
                let rest = std::mem::take(&mut self.held);
                return Ok((!rest.is_empty()).then_some(rest));
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, String> {
        while self.held.len() < length {
            if self.fill().await? == 0 {
                return Err(format!(
                    "the server ended after {} of {length} bytes",
                    self.held.len()
                ));
            }
        }
        Ok(self.held.drain(..length).collect())
    }

    async fn fill(&mut self) -> Result<usize, String> {
        let mut chunk = [0; 4096];
        let read = self.stream.read(&mut chunk).await;
        let read = read.map_err(|error| format!("cannot read: {error}"))?;
        self.held.extend_from_slice(&chunk[..read]);
        Ok(read)
    }
}

/// Connects, from an address of this machine if one is given.
pub(super) async fn connect(to: SocketAddr, from: Option<&str>) -> std::io::Result<TcpStream> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(from) = from.and_then(|from| from.parse::<IpAddr>().ok()) {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(to).await
}

fn failed_due_to(report: &mut Report, what: &str, failed: bool) {
    let (name, help) = if what == "regex" {
        (
            "probe_failed_due_to_regex",
            "Indicates if probe failed due to regex",
        )
    } else {
        (
            "probe_failed_due_to_bytes",
            "Indicates if probe failed due to bytes",
        )
    };
    report.set(name, help, f64::from(u8::from(failed)));
}
