//! One round: every question of the configured checks, put at the same time.

use std::sync::Arc;
use std::time::Duration;

use kai_contract::agent_config::{Gate, GateServer, GateService, fill_in_query};
use kai_contract::signals::LABEL_SEVERITY;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::evidence::{
    AlertsCheck, Answer, Asked, Checks, Decimal, Evidence, FORMAT, HealthCheck, LogsCheck,
    Question, RatioCheck,
};
use super::judge;
use super::probe::{self, Prober, Request};

/// Between two looks at the health page.
const HEALTH_PAUSE: Duration = Duration::from_millis(500);

/// Where a document's level may stand: ECS, and what most programs write.
const LEVEL_FIELDS: [&str; 2] = ["log.level", "level"];

/// Levels that count as errors, in any case.
const ERROR_LEVELS: [&str; 9] = [
    "error",
    "err",
    "severe",
    "fatal",
    "critical",
    "crit",
    "alert",
    "emergency",
    "panic",
];

/// What is asked in every round.
#[derive(Debug, Clone)]
pub struct Subject {
    pub name: String,
    pub release: Option<String>,
    pub servers: Gate,
    /// With the command line's values in place of the file's.
    pub service: GateService,
    /// Unix milliseconds: nothing before counts.
    pub since: Option<i64>,
}

/// Puts all questions once.
pub async fn ask(subject: &Subject, prober: &Arc<Prober>) -> Evidence {
    let started_at = probe::now();
    let service = &subject.service;
    let mut answers = Vec::new();
    let mut checks = Checks::default();
    let mut tasks: JoinSet<Vec<Asked>> = JoinSet::new();

    if let Some(url) = &service.health {
        checks.health = Some(HealthCheck {
            probes: service.health_probes,
        });
        let request = plain(Question::Health, url.clone());
        let (prober, count) = (Arc::clone(prober), service.health_probes);
        tasks.spawn(async move {
            let mut answers = Vec::new();
            for index in 0..count {
                if index > 0 {
                    tokio::time::sleep(HEALTH_PAUSE).await;
                }
                answers.push(prober.ask(&request).await);
            }
            answers
        });
    }
    if let (Some(name), Some(limit), Some(servers)) = (
        &service.data_stream,
        service.max_error_logs_per_minute,
        &subject.servers.elasticsearch,
    ) {
        let window_seconds = window(service, subject.since, started_at);
        // Kept out of the configuration by its checks.
        let max_per_minute = Decimal::new(limit).unwrap_or_else(Decimal::zero);
        checks.error_logs = Some(LogsCheck {
            until: started_at,
            window_seconds,
            max_per_minute,
            require_documents: service.require_logs,
        });
        let body = search(started_at, window_seconds);
        let requests: Vec<Request> = servers
            .endpoints
            .iter()
            .map(|base| Request {
                question: Question::ErrorLogs,
                method: Method::POST,
                url: join(base, &format!("/{name}/_search")),
                parameters: Vec::new(),
                body: Some(body.clone()),
                auth: servers.auth.clone(),
                shown: Some(body.to_string()),
            })
            .collect();
        let prober = Arc::clone(prober);
        tasks.spawn(async move { first_reply(&prober, &requests).await });
    }
    if let (true, Some(server)) = (service.open_critical_alerts, &subject.servers.alertmanager) {
        checks.critical_alerts = Some(AlertsCheck {
            watchdog: service.watchdog.clone(),
        });
        let mut requests = vec![alerts(
            server,
            Question::CriticalAlerts,
            &[("service", &subject.name), (LABEL_SEVERITY, "critical")],
            false,
        )];
        if let Some(name) = &service.watchdog {
            let labels = [("alertname", name.as_str())];
            requests.push(alerts(server, Question::Watchdog, &labels, true));
        }
        for request in requests {
            let prober = Arc::clone(prober);
            tasks.spawn(async move { vec![prober.ask(&request).await] });
        }
    }
    if let (Some(errors), Some(total), Some(server)) =
        (&service.errors, &service.total, &subject.servers.prometheus)
    {
        let clock = prober
            .ask(&query(server, Question::Clock, "time()", None))
            .await;
        let local = clock.at;
        let evaluated_at = match &clock.answer {
            Answer::Reply { body, .. } => judge::sample_time(body),
            Answer::Failed { .. } => None,
        }
        .unwrap_or(local);
        answers.push(clock);
        let since = subject.since.map(|since| since + evaluated_at - local);
        let window_seconds = window(service, since, evaluated_at);
        checks.error_ratio = Some(RatioCheck {
            evaluated_at,
            window_seconds,
            min_requests: service.min_requests,
            max_error_ratio: Decimal::new(service.max_error_ratio).unwrap_or_else(Decimal::zero),
            scrape_interval_seconds: service.scrape_interval_seconds,
            up: service.up.is_some(),
        });
        let series = service.fresh_series().unwrap_or_default();
        let interval = service.scrape_interval_seconds;
        let mut queries = vec![
            (Question::Errors, errors.clone()),
            (Question::Total, total.clone()),
            (Question::Newest, format!("max(timestamp({series}))")),
            (
                Question::Coverage,
                format!("changes(max(timestamp({series}))[$window:{interval}s])"),
            ),
        ];
        if let Some(up) = &service.up {
            queries.push((Question::Up, format!("min({up})")));
        }
        for (question, text) in queries {
            let text = fill_in_query(&text, &subject.name, window_seconds);
            let request = query(server, question, &text, Some(evaluated_at));
            let prober = Arc::clone(prober);
            tasks.spawn(async move { vec![prober.ask(&request).await] });
        }
    }
    while let Some(done) = tasks.join_next().await {
        // A task that died has no answer, and a missing answer is no pass.
        answers.extend(done.unwrap_or_default());
    }
    answers.sort_by_key(|asked| (asked.question, asked.at));
    Evidence {
        format: FORMAT,
        tool: concat!("kai-agent ", env!("CARGO_PKG_VERSION")).to_owned(),
        service: subject.name.clone(),
        release: subject.release.clone(),
        started_at,
        ended_at: probe::now(),
        checks,
        answers,
    }
}

/// Seconds back from `until`: the configured window, but not beyond `since`.
fn window(service: &GateService, since: Option<i64>, until: i64) -> u64 {
    let passed = since.map_or(u64::MAX, |since| {
        u64::try_from((until - since) / 1000).unwrap_or(0)
    });
    service.window_seconds.min(passed).max(1)
}

fn join(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

fn plain(question: Question, url: String) -> Request {
    Request {
        question,
        method: Method::GET,
        url,
        parameters: Vec::new(),
        body: None,
        auth: None,
        shown: None,
    }
}

/// An instant query; without a time Prometheus takes its own clock's.
fn query(server: &GateServer, question: Question, text: &str, at: Option<i64>) -> Request {
    let mut parameters = vec![("query", text.to_owned())];
    if let Some(at) = at {
        let time = format!("{}.{:03}", at.div_euclid(1000), at.rem_euclid(1000));
        parameters.push(("time", time));
    }
    Request {
        parameters,
        auth: server.auth.clone(),
        shown: Some(text.to_owned()),
        ..plain(question, join(&server.url, "/api/v1/query"))
    }
}

fn alerts(
    server: &GateServer,
    question: Question,
    labels: &[(&str, &str)],
    also_silenced: bool,
) -> Request {
    let matchers: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{name}=\"{value}\"")
        })
        .collect();
    let mut parameters = vec![
        ("active", "true".to_owned()),
        ("unprocessed", "true".to_owned()),
        ("silenced", also_silenced.to_string()),
        ("inhibited", also_silenced.to_string()),
    ];
    parameters.extend(matchers.iter().map(|matcher| ("filter", matcher.clone())));
    Request {
        parameters,
        auth: server.auth.clone(),
        shown: Some(matchers.join(",")),
        ..plain(question, join(&server.url, "/api/v2/alerts"))
    }
}

/// Nodes of one cluster: the first that replies.
async fn first_reply(prober: &Prober, requests: &[Request]) -> Vec<Asked> {
    let mut first_failure = None;
    for request in requests {
        let asked = prober.ask(request).await;
        if matches!(asked.answer, Answer::Reply { .. }) {
            return vec![asked];
        }
        first_failure.get_or_insert(asked);
    }
    first_failure.into_iter().collect()
}

/// One search for all counts, so that they are of one moment.
fn search(until: i64, window_seconds: u64) -> Value {
    let since = until - window_seconds as i64 * 1000;
    let errors: Vec<Value> = LEVEL_FIELDS
        .iter()
        .flat_map(|field| {
            ERROR_LEVELS.iter().map(move |level| {
                json!({ "term": { *field: { "value": level, "case_insensitive": true } } })
            })
        })
        .collect();
    let leveled: Vec<Value> = LEVEL_FIELDS
        .iter()
        .map(|field| json!({ "exists": { "field": field } }))
        .collect();
    json!({
        "size": 0,
        "track_total_hits": true,
        "query": { "range": { "@timestamp": {
            "gt": since, "lte": until, "format": "epoch_millis" } } },
        "aggs": {
            "errors": { "filter": { "bool": { "should": errors } } },
            "leveled": { "filter": { "bool": { "should": leveled } } },
            "newest": { "max": { "field": "@timestamp" } },
        },
    })
}

/// Whether any address is https, for which certificates have to be loaded.
pub fn needs_tls(subject: &Subject) -> bool {
    let servers = &subject.servers;
    [&servers.prometheus, &servers.alertmanager]
        .into_iter()
        .flatten()
        .map(|server| &server.url)
        .chain(servers.elasticsearch.iter().flat_map(|es| &es.endpoints))
        .chain(&subject.service.health)
        .any(|url| url.starts_with("https://"))
}
