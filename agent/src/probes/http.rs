//! The HTTP probe: one request and the redirects that it leads to, each over a connection of its
//! own, so that the phases of each can be told.

use std::time::{Duration, Instant};

use hyper::header::{LAST_MODIFIED, LOCATION};
use kai_contract::agent_config::{HttpProbe, Problem};
use regex::Regex;
use reqwest::Url;

use super::report::Report;
use super::{patterns, resolve, tls};

pub(super) mod body;
pub(super) mod cookies;
pub(super) mod date;
mod exchange;
mod judge;

use cookies::Jar;
use exchange::{Answer, Exchange, Request};

const PHASES: &str = "probe_http_duration_seconds";
const PHASES_HELP: &str = "Duration of http request by phase, summed over all redirects";

/// More are not followed, as blackbox_exporter and Go.
const MOST_REDIRECTS: u32 = 10;

/// A header that must or must not match.
#[derive(Debug)]
struct HeaderRule {
    name: String,
    regex: Regex,
    allow_missing: bool,
}

#[derive(Debug)]
pub(super) struct Prepared {
    config: HttpProbe,
    /// `None` if it cannot be read, which was reported.
    url: Option<Url>,
    body_matches: Vec<Regex>,
    body_not_matches: Vec<Regex>,
    header_matches: Vec<HeaderRule>,
    header_not_matches: Vec<HeaderRule>,
}

impl Prepared {
    pub(super) fn new(config: &HttpProbe, at: &str, problems: &mut Vec<Problem>) -> Self {
        let whole = if config.url.starts_with("http://") || config.url.starts_with("https://") {
            config.url.clone()
        } else {
            format!("http://{}", config.url)
        };
        let url = Url::parse(&whole).ok();
        if url.as_ref().is_none_or(|url| url.host_str().is_none()) {
            problems.push(Problem::new(
                format!("{at}.url"),
                "the address cannot be read; write one like https://booking.kai.example/healthz",
            ));
        }
        let mut headers = |given: &[kai_contract::agent_config::HeaderMatch], key: &str| {
            let mut out = Vec::new();
            for (index, rule) in given.iter().enumerate() {
                let at = format!("{at}.{key}.{index}.regexp");
                out.extend(
                    patterns::one(&rule.regexp, &at, problems).map(|regex| HeaderRule {
                        name: rule.header.clone(),
                        regex,
                        allow_missing: rule.allow_missing,
                    }),
                );
            }
            out
        };
        let header_matches = headers(&config.fail_if_header_matches, "failIfHeaderMatches");
        let header_not_matches =
            headers(&config.fail_if_header_not_matches, "failIfHeaderNotMatches");
        let mut bodies =
            |given: &[String], key: &str| patterns::all(given, &format!("{at}.{key}"), problems);
        Self {
            body_matches: bodies(
                &config.fail_if_body_matches_regexp,
                "failIfBodyMatchesRegexp",
            ),
            body_not_matches: bodies(
                &config.fail_if_body_not_matches_regexp,
                "failIfBodyNotMatchesRegexp",
            ),
            header_matches,
            header_not_matches,
            url,
            config: config.clone(),
        }
    }

    pub(super) async fn probe(&self, report: &mut Report) -> bool {
        zero(report);
        let Some(url) = self.url.clone() else {
            return false;
        };
        let host = bare_host(&url);
        let resolved = resolve::choose(
            report,
            &host,
            self.config.preferred_ip_protocol,
            self.config.ip_protocol_fallback,
        )
        .await;
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(seconds) => {
                report.add_phase(PHASES, PHASES_HELP, "resolve", seconds);
                return false;
            }
        };
        report.add_phase(PHASES, PHASES_HELP, "resolve", resolved.seconds);
        for phase in ["connect", "tls", "processing", "transfer"] {
            report.add_phase(PHASES, PHASES_HELP, phase, 0.0);
        }
        let mut exchange = match Exchange::new(&self.config, &url, resolved.ip).await {
            Ok(exchange) => exchange,
            Err(why) => {
                report.fail(why);
                return false;
            }
        };
        let Some((answer, refused)) = self.follow(report, &mut exchange, url).await else {
            return false;
        };
        self.judge(report, answer, refused).await
    }

    /// The last answer, and whether it is a redirect that was not followed.
    async fn follow(
        &self,
        report: &mut Report,
        exchange: &mut Exchange<'_>,
        url: Url,
    ) -> Option<(Answer, bool)> {
        let mut jar = Jar::default();
        let mut request = Request::first(url, &self.config.method);
        let mut redirects = 0;
        loop {
            let answer = match exchange.ask(report, &request, &jar).await {
                Ok(answer) => answer,
                Err(why) => {
                    report.fail(why);
                    return None;
                }
            };
            jar.take(&request.url, answer.headers());
            let status = answer.status();
            let location = match status {
                301 | 302 | 303 | 307 | 308 => answer.headers().get(LOCATION),
                _ => None,
            };
            let Some(location) = location.filter(|value| !value.is_empty()) else {
                return Some((answer, false));
            };
            let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
            let next = request.url.join(&location).ok();
            // What is no address at all leads nowhere, so it is not counted.
            redirects += u32::from(next.is_some());
            set_redirects(report, redirects);
            let next = next.filter(|next| matches!(next.scheme(), "http" | "https"));
            let Some(mut next) = next else {
                report.fail(format!(
                    "status {status} leads to an address that is none of http or https"
                ));
                return None;
            };
            // Credentials of somebody else's making are neither shown nor sent.
            let _ = next.set_username("");
            let _ = next.set_password(None);
            report.note(format!("status {status} leads to {next}"));
            if !self.config.follow_redirects || redirects > MOST_REDIRECTS {
                report.note(if self.config.follow_redirects {
                    format!("more than {MOST_REDIRECTS} redirects; this one is not followed")
                } else {
                    "redirects are not followed, as configured".to_owned()
                });
                return Some((answer, true));
            }
            request = request.redirected(next, status);
        }
    }
}

fn set_redirects(report: &mut Report, redirects: u32) {
    report.set(
        "probe_http_redirects",
        "The number of redirects",
        redirects.into(),
    );
}

/// Everything that blackbox_exporter shows of a probe that has not come far.
fn zero(report: &mut Report) {
    for (name, help) in [
        (
            "probe_http_content_length",
            "Length of http content response",
        ),
        (
            "probe_http_uncompressed_body_length",
            "Length of uncompressed response body",
        ),
        (
            "probe_http_ssl",
            "Indicates if SSL was used for the final redirect",
        ),
        ("probe_http_status_code", "Response HTTP status code"),
        (
            "probe_http_version",
            "Returns the version of HTTP of the probe response",
        ),
        (
            "probe_failed_due_to_regex",
            "Indicates if probe failed due to regex",
        ),
    ] {
        report.set(name, help, 0.0);
    }
    set_redirects(report, 0);
}

/// The gauges that an answer's head gives.
fn head_gauges(report: &mut Report, answer: &Answer) {
    report.set(
        "probe_http_status_code",
        "Response HTTP status code",
        answer.status().into(),
    );
    report.set(
        "probe_http_content_length",
        "Length of http content response",
        answer.content_length(),
    );
    report.set(
        "probe_http_version",
        "Returns the version of HTTP of the probe response",
        answer.version(),
    );
    if let Some(seen) = &answer.tls {
        report.set(
            "probe_http_ssl",
            "Indicates if SSL was used for the final redirect",
            1.0,
        );
        tls::gauges(report, seen, true);
    }
    let modified = answer.headers().get(LAST_MODIFIED);
    if let Some(time) = modified
        .and_then(|value| value.to_str().ok())
        .and_then(date::parse)
    {
        report.set(
            "probe_http_last_modified_timestamp_seconds",
            "Returns the Last-Modified HTTP response header in unixtime",
            time as f64,
        );
    }
}

fn transferred(report: &mut Report, since: Instant) {
    let seconds = since.elapsed();
    add(report, "transfer", seconds);
}

fn add(report: &mut Report, phase: &str, time: Duration) {
    report.add_phase(PHASES, PHASES_HELP, phase, time.as_secs_f64());
}

/// The host without the brackets of an IPv6 address.
fn bare_host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned()
}
