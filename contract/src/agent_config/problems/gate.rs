//! `gate:`: addresses, queries and limits; a check that could never be asked is refused here, not
//! found out at a deploy.

use super::{Problem, address};
use crate::agent_config::gate::unknown_placeholder;
use crate::agent_config::{Gate, GateService, HttpAuth};

/// Seconds: shorter than two usual scrapes says nothing, longer than a day is no deploy's window.
const WINDOW: std::ops::RangeInclusive<u64> = 10..=86_400;

impl Gate {
    /// Everything that is wrong with it, by paths that begin with `gate`.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        problems(self, &mut found);
        found
    }
}

fn problems(gate: &Gate, found: &mut Vec<Problem>) {
    for (name, server) in [
        ("prometheus", &gate.prometheus),
        ("alertmanager", &gate.alertmanager),
    ] {
        let Some(server) = server else { continue };
        base(
            &format!("gate.{name}.url"),
            &server.url,
            "http://127.0.0.1:9090",
            found,
        );
        auth(&format!("gate.{name}.auth"), server.auth.as_ref(), found);
    }
    if let Some(elasticsearch) = &gate.elasticsearch {
        if elasticsearch.endpoints.is_empty() {
            found.push(Problem::new(
                "gate.elasticsearch.endpoints",
                "there is no address; write one like http://127.0.0.1:9200",
            ));
        }
        for (index, url) in elasticsearch.endpoints.iter().enumerate() {
            let path = format!("gate.elasticsearch.endpoints.{index}");
            base(&path, url, "http://127.0.0.1:9200", found);
        }
        let path = "gate.elasticsearch.auth";
        auth(path, elasticsearch.auth.as_ref(), found);
    }
    for (name, service) in &gate.services {
        let path = format!("gate.services.{name}");
        if name.trim().is_empty() || name.contains(['/', '\n', '\r']) {
            found.push(Problem::new(
                &path,
                format!("{name:?} cannot be a service's name"),
            ));
        }
        checks(&path, gate, service, found);
        limits(&path, service, found);
    }
}

/// An address that paths are added to.
fn base(path: &str, url: &str, example: &str, found: &mut Vec<Problem>) {
    if let Some(message) = address(url, example, "give it as auth: with a file") {
        found.push(Problem::new(path, message));
    } else if url.contains(['?', '#']) {
        found.push(Problem::new(
            path,
            format!("the API's path is added to this address; write it without ? and #: {example}"),
        ));
    }
}

fn auth(path: &str, auth: Option<&HttpAuth>, found: &mut Vec<Problem>) {
    let file = match auth {
        None => return,
        Some(HttpAuth::ApiKeyFile(file) | HttpAuth::TokenFile(file)) => file,
        Some(HttpAuth::Basic { password_file, .. }) => password_file,
    };
    if !file.is_absolute() {
        found.push(Problem::new(
            path,
            format!(
                "\"{}\" is not an absolute path; begin it with /",
                file.display()
            ),
        ));
    }
}

/// What is asked must have somebody to ask.
fn checks(path: &str, gate: &Gate, service: &GateService, found: &mut Vec<Problem>) {
    let mut say = |key: &str, message: String| {
        found.push(Problem::new(format!("{path}{key}"), message));
    };
    if let Some(url) = &service.health
        && let Some(message) = address(
            url,
            "http://127.0.0.1:8080/healthz",
            "serve a health page without one",
        )
    {
        say(".health", message);
    }
    match (&service.errors, &service.total) {
        (Some(_), None) => say(
            ".errors",
            "errors without total give no ratio; add total, the number of all requests".into(),
        ),
        (None, Some(_)) => say(
            ".total",
            "total without errors gives no ratio; add errors, the number of failed requests".into(),
        ),
        (Some(_), Some(_)) => {
            if gate.prometheus.is_none() {
                say(
                    ".errors",
                    "there is no Prometheus to ask; add gate.prometheus.url".into(),
                );
            }
            if service.fresh_series().is_none() {
                say(
                    ".total",
                    "there is no selector before [$window] in it, so nothing tells whether its \
                     series are fresh; count as in sum(increase(x_total[$window]))"
                        .into(),
                );
            }
        }
        (None, None) => {}
    }
    for (key, query) in [
        (".errors", &service.errors),
        (".total", &service.total),
        (".series", &service.series),
        (".up", &service.up),
    ] {
        let Some(query) = query else { continue };
        if query.trim().is_empty() {
            say(key, "the query is empty".into());
        } else if let Some(name) = unknown_placeholder(query) {
            say(
                key,
                format!("{name} stands for nothing; known are $window and $service"),
            );
        }
    }
    match (&service.data_stream, service.max_error_logs_per_minute) {
        (Some(_), None) => say(
            ".dataStream",
            "no limit is given for its errors; add maxErrorLogsPerMinute".into(),
        ),
        (None, Some(_)) => say(
            ".maxErrorLogsPerMinute",
            "no documents to count; add dataStream, such as logs-kai.booking-prod".into(),
        ),
        (Some(name), Some(_)) => {
            if gate.elasticsearch.is_none() {
                say(
                    ".dataStream",
                    "there is no Elasticsearch to ask; add gate.elasticsearch.endpoints".into(),
                );
            }
            let good = !name.is_empty()
                && name.len() <= 255
                && !name.starts_with(['-', '_', '+', '.'])
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
            if !good {
                say(
                    ".dataStream",
                    format!(
                        "\"{name}\" names no single data stream; use lower-case letters, digits, \
                         '-', '_' and '.', without wildcards"
                    ),
                );
            }
        }
        (None, None) => {}
    }
    if service.open_critical_alerts && gate.alertmanager.is_none() {
        say(
            ".openCriticalAlerts",
            "there is no Alertmanager to ask; add gate.alertmanager.url".into(),
        );
    }
    if service.watchdog.is_some() && !service.open_critical_alerts {
        say(
            ".watchdog",
            "it vouches for openCriticalAlerts, which is not asked; set that to true".into(),
        );
    }
    if service.health.is_none()
        && service.errors.is_none()
        && service.total.is_none()
        && service.data_stream.is_none()
        && service.max_error_logs_per_minute.is_none()
        && !service.open_critical_alerts
    {
        say(
            "",
            "nothing is checked, so that no deploy could pass; give health, errors and total, \
             dataStream or openCriticalAlerts"
                .into(),
        );
    }
}

fn limits(path: &str, service: &GateService, found: &mut Vec<Problem>) {
    let mut say = |key: &str, message: String| {
        found.push(Problem::new(format!("{path}.{key}"), message));
    };
    if !WINDOW.contains(&service.window_seconds) {
        say(
            "windowSeconds",
            format!(
                "{} is out of range; give seconds from {} to {}",
                service.window_seconds,
                WINDOW.start(),
                WINDOW.end()
            ),
        );
    }
    if service.min_requests == 0 {
        say(
            "minRequests",
            "0 would let a service pass that nobody used; give at least 1".into(),
        );
    }
    if !(1..=100).contains(&service.health_probes) {
        say(
            "healthProbes",
            format!("{} is out of range; give 1 to 100", service.health_probes),
        );
    }
    if !(1..=3_600).contains(&service.scrape_interval_seconds) {
        say(
            "scrapeIntervalSeconds",
            format!(
                "{} is out of range; give seconds from 1 to 3600",
                service.scrape_interval_seconds
            ),
        );
    } else if service.errors.is_some()
        && service.scrape_interval_seconds * 2 > service.window_seconds
    {
        say(
            "windowSeconds",
            format!(
                "{} seconds hold fewer than two scrapes of every {} seconds; give at least {}",
                service.window_seconds,
                service.scrape_interval_seconds,
                service.scrape_interval_seconds * 2
            ),
        );
    }
    // At 1 everything would pass.
    if !(0.0..1.0).contains(&service.max_error_ratio) {
        say(
            "maxErrorRatio",
            format!(
                "{} is out of range; give a share from 0 to below 1, such as 0.01 for 1%",
                service.max_error_ratio
            ),
        );
    }
    if let Some(limit) = service.max_error_logs_per_minute
        && !(limit.is_finite() && limit >= 0.0)
    {
        say(
            "maxErrorLogsPerMinute",
            format!("{limit} is no limit; give a number from 0 up"),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::agent_config::AgentConfig;

    fn paths_of(gate: &str) -> Vec<String> {
        let text = format!("version: 2\nlisten: 127.0.0.1:1\ngate: {gate}\n");
        let config: AgentConfig = serde_yaml::from_str(&text).unwrap();
        config.problems().into_iter().map(|p| p.path).collect()
    }

    #[test]
    fn a_sound_gate() {
        let gate = r"
  prometheus: { url: 'http://h:1', auth: { tokenFile: /t } }
  alertmanager: { url: 'http://h:2/am' }
  elasticsearch: { endpoints: ['https://h:3'] }
  services:
    booking:
      health: http://h/healthz
      errors: sum(increase(x{code=~'5..'}[$window]))
      total: sum(increase(x[$window]))
      dataStream: logs-kai.booking-local
      maxErrorLogsPerMinute: 5
      openCriticalAlerts: true
      watchdog: Watchdog";
        assert_eq!(paths_of(gate), Vec::<String>::new());
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let gate = r"
  prometheus: { url: 'http://h:1?x', auth: { tokenFile: t } }
  elasticsearch: { endpoints: [] }
  services:
    a: {}
    b: { health: 'ftp://h', healthProbes: 0, windowSeconds: 5, minRequests: 0, maxErrorRatio: 1 }
    c: { errors: 'x[$windw]' }
    d: { total: 'x', errors: y, maxErrorLogsPerMinute: -1, watchdog: W }
    e: { openCriticalAlerts: true, dataStream: 'logs-*', maxErrorLogsPerMinute: 1 }
    f: { health: 'http://h/', errors: '1', total: 'x[$window]', scrapeIntervalSeconds: 200 }";
        assert_eq!(
            paths_of(gate),
            [
                "gate.prometheus.url",
                "gate.prometheus.auth",
                "gate.elasticsearch.endpoints",
                "gate.services.a",
                "gate.services.b.health",
                "gate.services.b.windowSeconds",
                "gate.services.b.minRequests",
                "gate.services.b.healthProbes",
                "gate.services.b.maxErrorRatio",
                "gate.services.c.errors",
                "gate.services.c.errors",
                "gate.services.d.total",
                "gate.services.d.maxErrorLogsPerMinute",
                "gate.services.d.watchdog",
                "gate.services.d.maxErrorLogsPerMinute",
                "gate.services.e.dataStream",
                "gate.services.e.openCriticalAlerts",
                "gate.services.f.windowSeconds",
            ]
        );
    }
}
