//! One real request, followed: from its service's histogram by an exemplar to its trace, and from
//! there to its log line. Nothing is made up for it: the newest request that left an exemplar is it.

use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::json;

use super::{Proof, Status, Subject, eventually, traces};
use crate::http;
use crate::model::Service;
use crate::object::System;
use crate::render::{accesses, local};
use crate::systems::prometheus::Exemplar;
use crate::systems::rest::Rest;

/// How long a service that was just started may take for its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(5);

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    let has_jaeger = subject
        .stack
        .systems
        .jaeger
        .as_ref()
        .is_some_and(|jaeger| !jaeger.placement.is_managed() || subject.installed("jaeger"));
    if !has_jaeger || !subject.has_prometheus() {
        return Vec::new();
    }
    let candidates = || {
        let services = subject.stack.services.values();
        services.filter(|service| service.metrics.is_some())
    };
    if candidates().next().is_none() {
        return Vec::new();
    }
    let started = Instant::now();
    let patience = if subject.routes {
        subject.patience.min(FIRST_REQUEST)
    } else {
        Duration::ZERO
    };
    let service = eventually(patience, || async {
        for service in candidates() {
            if shows_exemplars(subject, service).await {
                return Ok(service);
            }
        }
        Err(String::new())
    });
    let Ok(service) = service.await else {
        return vec![not_run(
            "exemplar",
            "no service shows an exemplar with a trace_id on its page (OpenMetrics), so none of \
             its requests can be followed from the metric on",
        )];
    };
    let mut hops = Hops {
        out: Vec::new(),
        since: started,
    };
    follow(subject, service, &mut hops).await;
    hops.out
}

struct Hops {
    out: Vec<Proof>,
    since: Instant,
}

impl Hops {
    /// Notes a hop; `None` when the way ends here.
    fn add<T>(&mut self, name: &str, result: Result<(T, String), String>) -> Option<T> {
        let (status, detail, value) = match result {
            Ok((value, detail)) => (Status::Pass, detail, Some(value)),
            Err(detail) => (Status::Fail, detail, None),
        };
        self.out.push(Proof {
            area: "request",
            name: name.to_owned(),
            status,
            detail,
            millis: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        self.since = Instant::now();
        value
    }
}

fn not_run(name: &str, detail: &str) -> Proof {
    Proof {
        area: "request",
        name: name.to_owned(),
        status: Status::NotRun,
        detail: detail.to_owned(),
        millis: 0,
    }
}

async fn follow(subject: &Subject<'_>, service: &Service, hops: &mut Hops) {
    let exemplar = eventually(subject.patience, || newest(subject, service)).await;
    let exemplar = exemplar.map(|exemplar| {
        let detail = format!(
            "{} of {} has a request of {} s with trace {}",
            exemplar.metric, service.name, exemplar.value, exemplar.trace_id
        );
        (exemplar, detail)
    });
    if hops.add("exemplar", exemplar).is_none() {
        return;
    }
    // The newest each time: the request before it may have been dropped by the service's own queue.
    let trace = eventually(subject.patience, || async {
        let exemplar = newest(subject, service).await?;
        trace(subject, &exemplar.trace_id).await
    });
    let Some(trace_id) = hops.add("trace", trace.await) else {
        return;
    };
    match (subject.stack.systems.elasticsearch.is_some(), &service.logs) {
        (false, _) => hops.out.push(not_run(
            "log",
            "the stack has no Elasticsearch to look for the request's line in",
        )),
        (true, None) => hops.out.push(not_run(
            "log",
            &format!(
                "services.{}.logs is not given, so its lines are not kept",
                service.name
            ),
        )),
        (true, Some(_)) => {
            let line = eventually(subject.patience, || line(subject, service, &trace_id));
            hops.add("log", line.await);
        }
    }
}

/// Whether the service's page, asked for as Prometheus asks, has an exemplar that names a trace.
async fn shows_exemplars(subject: &Subject<'_>, service: &Service) -> bool {
    let path = format!("/metrics/app/{}", service.name);
    let request = http::client(Duration::from_secs(5))
        .get(local(subject.stack.ports.agent(), &path))
        .header(ACCEPT, "application/openmetrics-text;version=1.0.0");
    let Ok(reply) = request.send().await else {
        return false;
    };
    let page = reply.text().await.unwrap_or_default();
    page.lines().any(|line| {
        let exemplar = line.split_once(" # {").map(|(_, exemplar)| exemplar);
        exemplar.is_some_and(|labels| Exemplar::TRACE_LABELS.iter().any(|l| labels.contains(l)))
    })
}

async fn newest(subject: &Subject<'_>, service: &Service) -> Result<Exemplar, String> {
    let found = subject
        .prometheus()
        .exemplars(&format!("{{service=\"{}\"}}", service.name))
        .await
        .map_err(|error| error.to_string())?;
    found
        .into_iter()
        .max_by(|a, b| a.timestamp.total_cmp(&b.timestamp))
        .ok_or_else(|| {
            format!(
                "{} shows exemplars and Prometheus has none of it; is it started with \
                 --enable-feature=exemplar-storage?",
                service.name
            )
        })
}

async fn trace(subject: &Subject<'_>, id: &str) -> Result<(String, String), String> {
    let found = traces::client(subject)?
        .trace(id)
        .await
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("Jaeger does not have trace {id}, which an exemplar names"))?;
    let names: Vec<&str> = found
        .spans
        .iter()
        .take(3)
        .map(|span| span.operation_name.as_str())
        .collect();
    let detail = format!(
        "Jaeger has it with {} spans: {}",
        found.spans.len(),
        names.join(", ")
    );
    Ok((id.to_owned(), detail))
}

/// The request's line in the service's data stream, by its `trace.id`.
async fn line(
    subject: &Subject<'_>,
    service: &Service,
    trace_id: &str,
) -> Result<((), String), String> {
    let access = accesses(subject.stack, subject.layout)
        .remove(&System::Elasticsearch)
        .ok_or("the stack has no Elasticsearch")?;
    let stream = format!("logs-kai.{}-{}", service.name, subject.stack.environment);
    let rest = Rest::new(&access).map_err(|error| error.to_string())?;
    let query = json!({ "size": 1, "query": { "term": { "trace.id": trace_id } } });
    let answer = rest
        .json(Method::POST, &format!("/{stream}/_search"), Some(&query))
        .await
        .map_err(|error| error.to_string())?;
    let hit = answer.pointer("/hits/hits/0").ok_or_else(|| {
        format!("{stream} has no line with trace.id {trace_id}, which Jaeger has")
    })?;
    let message = ["/_source/message", "/fields/message/0"]
        .iter()
        .find_map(|path| hit.pointer(path)?.as_str())
        .unwrap_or("a line without a message");
    Ok(((), format!("{stream} has its line: {message}")))
}
