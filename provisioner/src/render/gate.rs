//! `gate:` of the agent's configuration: whom the deploy gate asks about each service, and the
//! limits.

use kai_contract::agent_config::{Elasticsearch, Gate, GateServer, GateService, HttpAuth};

use super::{local, rules};
use crate::model::{Auth, RuleKind, SecretRef, Service, Stack};

/// Health pages and scrapes are many and never fail in the way users do; as in `alert-rules`.
const NOT_USERS: &str = "path!~\"/metrics|/healthz|/readyz|/faults.*\"";

/// The alert that always fires.
const WATCHDOG: &str = "Watchdog";

/// The gate of every service that has anything to check. `secret_file` gives the path of the file
/// that holds a secret.
pub fn config(stack: &Stack, secret_file: &mut dyn FnMut(&SecretRef) -> String) -> Gate {
    let systems = &stack.systems;
    let server = |port: u16| GateServer {
        url: local(port, ""),
        auth: None,
    };
    let gate = Gate {
        prometheus: systems
            .prometheus
            .as_ref()
            .map(|_| server(stack.ports.prometheus())),
        alertmanager: systems
            .alertmanager
            .as_ref()
            .map(|_| server(stack.ports.alertmanager())),
        elasticsearch: elasticsearch(stack, secret_file),
        services: std::collections::BTreeMap::new(),
    };
    let services = stack
        .services
        .values()
        .filter_map(|service| Some((service.name.clone(), of_service(stack, &gate, service)?)))
        .collect();
    Gate { services, ..gate }
}

/// How the agent reaches Elasticsearch.
pub(super) fn elasticsearch(
    stack: &Stack,
    secret_file: &mut dyn FnMut(&SecretRef) -> String,
) -> Option<Elasticsearch> {
    let connection = super::elasticsearch::agents_connection(stack)?;
    Some(endpoint(connection, secret_file))
}

pub(super) fn endpoint(
    connection: crate::model::Connection,
    secret_file: &mut dyn FnMut(&SecretRef) -> String,
) -> Elasticsearch {
    let auth = connection.auth.map(|auth| match auth {
        Auth::ApiKey(key) => HttpAuth::ApiKeyFile(secret_file(&key).into()),
        Auth::Token(token) => HttpAuth::TokenFile(secret_file(&token).into()),
        Auth::Basic { username, password } => HttpAuth::Basic {
            username,
            password_file: secret_file(&password).into(),
        },
    });
    Elasticsearch {
        endpoints: vec![connection.url],
        auth,
        ca_file: None,
    }
}

/// Nothing when there is nothing to check.
fn of_service(stack: &Stack, gate: &Gate, service: &Service) -> Option<GateService> {
    let limits = &service.gate;
    let measured = gate.prometheus.is_some() && service.metrics.is_some();
    let queries = measured.then(|| queries(service));
    let logged = gate.elasticsearch.is_some() && service.logs.is_some();
    let alerted = gate.alertmanager.is_some();
    if service.health.is_none() && !measured && !logged {
        return None;
    }
    Some(GateService {
        health: service.health.clone(),
        window_seconds: limits.window.as_secs(),
        min_requests: limits.min_requests,
        errors: queries.as_ref().map(|(errors, _)| errors.clone()),
        total: queries.map(|(_, total)| total),
        up: measured.then(|| "up{service=\"$service\"}".to_owned()),
        scrape_interval_seconds: service.scrape_interval.as_millis().div_ceil(1000) as u64,
        max_error_ratio: limits.max_error_ratio,
        data_stream: logged.then(|| format!("logs-kai.{}-{}", service.name, stack.environment)),
        max_error_logs_per_minute: logged.then_some(limits.max_error_logs_per_minute),
        open_critical_alerts: alerted,
        watchdog: (alerted && has_watchdog(stack)).then(|| WATCHDOG.to_owned()),
        ..GateService::default()
    })
}

/// Failed and all requests: the spec's, or by the usual names.
fn queries(service: &Service) -> (String, String) {
    if let (Some(errors), Some(total)) = (&service.gate.errors, &service.gate.total) {
        return (errors.clone(), total.clone());
    }
    let counted = |code: &str| {
        format!(
            "sum(increase(http_requests_total{{service=\"$service\",{code}{NOT_USERS}}}[$window]))"
        )
    };
    // A service that never failed may have no series for it. That is 0 errors only if there are
    // series with a `code` at all.
    let errors = format!(
        "{} or 0 * {}",
        counted("code=~\"5..\","),
        counted("code!=\"\",")
    );
    (errors, counted(""))
}

fn has_watchdog(stack: &Stack) -> bool {
    stack
        .alerts
        .files
        .iter()
        .flat_map(|file| rules::effective_groups(stack, file))
        .flat_map(|group| group.rules)
        .any(|rule| matches!(&rule.kind, RuleKind::Alert(name) if name == WATCHDOG))
}
