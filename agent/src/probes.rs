//! Probes: questions to endpoints (HTTP, TCP, TLS, DNS, ICMP), asked when their page is scraped.
//! Families, labels and values are blackbox_exporter's, so that its dashboards and rules go on
//! working. Only what the configuration names is asked: the agent is no open proxy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kai_contract::agent_config::{AgentConfig, IcmpProbe, Probe, Problem};
use tokio::sync::Semaphore;

mod dns;
pub(crate) mod fuzz;
mod http;
mod icmp;
mod patterns;
mod report;
mod resolve;
mod tcp;
mod tls;

pub use report::Report;
pub use tls::client_config;

/// What Prometheus's patience is shortened by, so that the answer is there before it gives up;
/// blackbox_exporter's `--timeout-offset`.
const OFFSET: f64 = 0.5;

/// Without Prometheus's header, as blackbox_exporter.
const WITHOUT_HEADER: f64 = 120.0;

/// Every probe, its patterns compiled.
pub type Probes = BTreeMap<String, Arc<Prepared>>;

#[derive(Debug)]
pub struct Prepared {
    timeout: Option<Duration>,
    kind: Kind,
    /// A probe runs once at a time, whoever asks: each run may hold a body of its limit. Probes do not
    /// wait for each other, so that one target that hangs fails nobody else's.
    turn: Semaphore,
}

#[derive(Debug)]
enum Kind {
    Http(Box<http::Prepared>),
    Tcp(tcp::Prepared),
    Dns(Box<dns::Prepared>),
    Icmp(IcmpProbe),
}

/// Compiles the patterns of all probes; all the bad ones are reported.
pub fn prepare(config: &AgentConfig, problems: &mut Vec<Problem>) -> Probes {
    let mut out = Probes::new();
    for (name, probe) in &config.probes {
        if let Some(kind) = kind(name, probe, problems) {
            let timeout = probe.timeout_ms.map(Duration::from_millis);
            let turn = Semaphore::new(1);
            out.insert(
                name.clone(),
                Arc::new(Prepared {
                    timeout,
                    kind,
                    turn,
                }),
            );
        }
    }
    out
}

fn kind(name: &str, probe: &Probe, problems: &mut Vec<Problem>) -> Option<Kind> {
    let at = format!("probes.{name}");
    if let Some(http) = &probe.http {
        let prepared = http::Prepared::new(http, &format!("{at}.http"), problems);
        return Some(Kind::Http(Box::new(prepared)));
    }
    if let Some(tcp) = &probe.tcp {
        let prepared = tcp::Prepared::new(tcp, &format!("{at}.tcp"), problems);
        return Some(Kind::Tcp(prepared));
    }
    if let Some(dns) = &probe.dns {
        let prepared = dns::Prepared::new(dns, &format!("{at}.dns"), problems);
        return Some(Kind::Dns(Box::new(prepared)));
    }
    probe.icmp.clone().map(Kind::Icmp)
}

impl Prepared {
    /// How long the probe may take, given what Prometheus said about its own patience.
    pub fn limit(&self, patience: Option<Duration>) -> Duration {
        let patience = patience.map_or(WITHOUT_HEADER, |patience| patience.as_secs_f64()) - OFFSET;
        let own = self.timeout.map(|own| own.as_secs_f64());
        let seconds = match own {
            Some(own) if own < patience || patience < 0.0 => own,
            // Prometheus gives up before half a second; be earlier than it all the same.
            None if patience <= 0.0 => f64::midpoint(patience, OFFSET),
            _ => patience,
        };
        Duration::from_secs_f64(seconds.clamp(0.001, 600.0))
    }

    /// Asks. The report holds everything that is known at the end, also when time ran out.
    pub async fn run(&self, limit: Duration) -> (bool, Report) {
        let arrived = Instant::now();
        let turn = tokio::time::timeout(limit, self.turn.acquire()).await;
        // The wait for an earlier run is none of this one's duration.
        let mut report = Report::default();
        let started = Instant::now();
        let left = limit.saturating_sub(arrived.elapsed());
        let ended = tokio::time::timeout(left, async {
            if turn.is_err() {
                std::future::pending::<()>().await;
            }
            match &self.kind {
                Kind::Http(http) => http.probe(&mut report).await,
                Kind::Tcp(tcp) => tcp.probe(&mut report).await,
                Kind::Dns(dns) => dns.probe(&mut report).await,
                Kind::Icmp(icmp) => icmp::probe(icmp, &mut report).await,
            }
        });
        let success = match ended.await {
            Ok(success) => success,
            Err(_) => {
                let step = report
                    .last_step()
                    .unwrap_or("waiting for an earlier run of this probe to end")
                    .to_owned();
                report.fail(format!(
                    "no end within {} s; the last step was: {step}",
                    limit.as_secs_f64()
                ));
                false
            }
        };
        let seconds = started.elapsed().as_secs_f64();
        report.set(
            "probe_duration_seconds",
            "Returns how long the probe took to complete in seconds",
            seconds,
        );
        report.set(
            "probe_success",
            "Displays whether or not the probe was a success",
            f64::from(u8::from(success)),
        );
        let word = if success { "succeeded" } else { "failed" };
        report.note(format!("the probe {word} after {seconds:.3} s"));
        (success, report)
    }
}

/// A probe run for a person.
pub struct Told {
    pub success: bool,
    pub text: String,
}

/// Runs a probe outside of a running agent; `None` if there is none of that name.
pub fn run_once(
    probes: &Probes,
    name: &str,
    timeout: Option<Duration>,
) -> std::io::Result<Option<Told>> {
    let Some(probe) = probes.get(name) else {
        return Ok(None);
    };
    let limit = timeout.or(probe.timeout).unwrap_or(Duration::from_secs(10));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (success, report) = runtime.block_on(probe.run(limit));
    // A lookup that hangs must not keep the command from ending.
    runtime.shutdown_background();
    Ok(Some(Told {
        success,
        text: debug(&report),
    }))
}

/// Steps and page, as `?debug=true` and the command show them.
pub fn debug(report: &Report) -> String {
    format!(
        "Steps of the probe:\n{}\nMetrics that would have been returned:\n{}",
        report.steps(),
        String::from_utf8_lossy(&report.page())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> Arc<Prepared> {
        let text = format!("version: 2\nlisten: 127.0.0.1:0\nprobes: {{a: {text}}}\n");
        let mut problems = Vec::new();
        let probes = prepare(&serde_yaml::from_str(&text).unwrap(), &mut problems);
        assert_eq!(problems, []);
        Arc::clone(&probes["a"])
    }

    #[test]
    fn time_is_the_shorter_of_both_patiences() {
        let own = prepared("{timeoutMs: 5000, icmp: {host: h}}");
        let none = prepared("{icmp: {host: h}}");
        let limit = |probe: &Prepared, header: Option<f64>| {
            let header = header.map(Duration::from_secs_f64);
            probe.limit(header).as_millis()
        };
        assert_eq!(limit(&own, Some(10.0)), 5000);
        assert_eq!(limit(&own, Some(4.0)), 3500);
        assert_eq!(limit(&own, Some(0.2)), 5000);
        assert_eq!(limit(&own, None), 5000);
        assert_eq!(limit(&none, Some(10.0)), 9500);
        assert_eq!(limit(&none, Some(0.2)), 100);
        assert_eq!(limit(&none, None), 119_500);
    }

    #[tokio::test]
    async fn targets_that_hang_hold_up_nobody_else() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let silent =
            format!("{{tcp: {{address: '{address}', queryResponse: [{{expect: hello}}]}}}}");
        let hanging: Vec<_> = (0..40)
            .map(|_| {
                let probe = prepared(&silent);
                tokio::spawn(async move { probe.run(Duration::from_secs(20)).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let healthy = prepared(&format!("{{tcp: {{address: '{address}'}}}}"));
        let (success, report) = healthy.run(Duration::from_secs(15)).await;
        assert!(success, "{}", report.steps());
        for task in hanging {
            task.abort();
        }
    }

    #[tokio::test]
    async fn a_probe_runs_once_at_a_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let probe = prepared(&format!(
            "{{tcp: {{address: '{address}', queryResponse: [{{expect: hello}}]}}}}"
        ));
        let first = Arc::clone(&probe);
        let first = tokio::spawn(async move { first.run(Duration::from_secs(20)).await });
        let (mut connection, _) = listener.accept().await.unwrap();
        let second = Arc::clone(&probe);
        let second = tokio::spawn(async move { second.run(Duration::from_secs(20)).await });
        let early = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
        assert!(early.is_err(), "both ask at once");
        let hello = async |connection: &mut tokio::net::TcpStream| {
            tokio::io::AsyncWriteExt::write_all(connection, b"hello\n")
                .await
                .unwrap();
        };
        hello(&mut connection).await;
        assert!(first.await.unwrap().0);
        let (mut connection, _) = listener.accept().await.unwrap();
        hello(&mut connection).await;
        assert!(second.await.unwrap().0);
        let (success, report) = probe.run(Duration::ZERO).await;
        assert!(!success, "{}", report.steps());
    }
}
