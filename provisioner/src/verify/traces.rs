//! A span that is sent now is found in Jaeger with its attributes; the agent's ledger of spans
//! balances and shows no recent loss.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Proof, Status, Subject, eventually, otlp, prove as timed};
use crate::http;
use crate::render::{jaeger, local};
use crate::systems::jaeger::Jaeger;

/// How far back a loss of spans makes the proof fail.
const RECENT: &str = "15m";

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    let Some(settings) = &subject.stack.systems.jaeger else {
        return Vec::new();
    };
    if settings.placement.is_managed() && !subject.installed("jaeger") {
        return Vec::new(); // said among the components
    }
    let answers = timed(
        "traces",
        "jaeger",
        eventually(subject.patience, || answers(subject)),
    )
    .await;
    let mut out = vec![answers];
    if jaeger::otlp(subject.stack).is_none() {
        out.push(Proof {
            area: "traces",
            name: "span".to_owned(),
            status: Status::NotRun,
            detail: "systems.jaeger is external and has no `otlp`: no spans are taken".to_owned(),
            millis: 0,
        });
        return out;
    }
    // Whoever only asks sends nothing.
    if subject.routes {
        out.push(timed("traces", "span", span(subject)).await);
    }
    let ledger = eventually(subject.patience, || ledger(subject));
    out.push(timed("traces", "ledger", ledger).await);
    out
}

/// The API of the stack's Jaeger.
pub(super) fn client(subject: &Subject<'_>) -> Result<Jaeger, String> {
    let access = jaeger::access(subject.stack).ok_or("the stack has no Jaeger")?;
    Jaeger::new(&access).map_err(|error| error.to_string())
}

async fn answers(subject: &Subject<'_>) -> Result<String, String> {
    let services = client(subject)?
        .services()
        .await
        .map_err(|error| error.to_string())?;
    Ok(match services.len() {
        0 => "answers, without spans so far".to_owned(),
        count => format!("answers, with spans of {count} services"),
    })
}

/// Sends one span to the agent as any sender would, and looks for it where it should end.
async fn span(subject: &Subject<'_>) -> Result<String, String> {
    let (trace_id, span_id): (u128, u64) = (rand::random(), rand::random());
    let (trace_id, span_id) = (format!("{trace_id:032x}"), format!("{span_id:016x}"));
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": [
            text("service.name", "kai-observe"),
            text("deployment.environment.name", &subject.stack.environment),
        ] },
        "scopeSpans": [{
            "scope": { "name": "kai-observe", "version": env!("CARGO_PKG_VERSION") },
            "spans": [{
                "traceId": trace_id,
                "spanId": span_id,
                "name": "verify",
                "kind": 1,
                "startTimeUnixNano": (now - 1_000_000).to_string(),
                "endTimeUnixNano": now.to_string(),
                "attributes": [
                    text("kai.verify.id", &trace_id),
                    { "key": "kai.verify.number", "value": { "intValue": "9007199254740993" } },
                ],
            }],
        }],
    }] });
    let sent = otlp::post(subject, "/v1/traces", &body).await?;
    let jaeger = client(subject)?;
    let found = eventually(subject.patience, || async {
        let trace = jaeger.trace(&trace_id).await.map_err(|e| e.to_string())?;
        let trace = trace.ok_or_else(|| {
            format!("the agent took a span of trace {trace_id} and Jaeger does not have it")
        })?;
        let span = trace.spans.iter().find(|span| span.span_id == span_id);
        span.cloned()
            .ok_or_else(|| format!("Jaeger has trace {trace_id} without span {span_id}"))
    });
    let span = found.await?;
    let delay = sent.elapsed();
    let id = span.tag("kai.verify.id").and_then(|value| value.as_str());
    if id != Some(trace_id.as_str()) {
        return Err(format!(
            "span {span_id} came without its attribute kai.verify.id: {:?}",
            span.tags
        ));
    }
    // Jaeger gives a number that JavaScript could not hold as text.
    let number = span.tag("kai.verify.number").map(|value| {
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| value.to_string())
    });
    if number.as_deref() != Some("9007199254740993") {
        return Err(format!(
            "span {span_id} came with another kai.verify.number than 9007199254740993: {:?}",
            span.tags
        ));
    }
    Ok(format!(
        "trace {trace_id} found with its attributes after {} ms",
        delay.as_millis()
    ))
}

/// Sums of the agent's series by the label that tells them apart.
#[derive(Debug, Default, PartialEq)]
struct Sums {
    received: u64,
    acked: u64,
    dropped: BTreeMap<String, u64>,
    in_flight: u64,
}

fn sums(page: &str) -> Option<Sums> {
    let (mut sums, mut seen) = (Sums::default(), false);
    for line in page.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let Ok(value) = value.parse::<f64>() else {
            continue;
        };
        let value = value as u64;
        if series.starts_with("kai_agent_spans_received_total{") {
            seen = true;
            sums.received += value;
        } else if series == "kai_agent_spans_in_flight" {
            sums.in_flight = value;
        } else if let Some(labels) = series.strip_prefix("kai_agent_spans_total{") {
            if labels.contains("outcome=\"acked\"") {
                sums.acked += value;
            } else {
                let reason = labels.split("reason=\"").nth(1).unwrap_or_default();
                let reason = reason.split('"').next().unwrap_or_default();
                *sums.dropped.entry(reason.to_owned()).or_default() += value;
            }
        }
    }
    seen.then_some(sums)
}

async fn ledger(subject: &Subject<'_>) -> Result<String, String> {
    let url = local(subject.stack.ports.agent(), "/metrics");
    let reply = http::client(Duration::from_secs(5)).get(&url).send().await;
    let page = match reply {
        Ok(reply) => reply.text().await.unwrap_or_default(),
        Err(_) => return Err(format!("{url} does not answer")),
    };
    let sums = sums(&page).ok_or_else(|| format!("{url} has no ledger of spans"))?;
    let dropped: u64 = sums.dropped.values().sum();
    let shown = format!(
        "{} received = {} acked + {} in flight + {dropped} dropped",
        sums.received, sums.acked, sums.in_flight
    );
    if sums.received != sums.acked + sums.in_flight + dropped {
        return Err(format!("the ledger of spans does not balance: {shown}"));
    }
    if dropped > 0 && subject.has_prometheus() {
        let expr = format!("sum(increase(kai_agent_spans_total{{outcome=\"dropped\"}}[{RECENT}]))");
        let recent = subject
            .prometheus()
            .query(&expr)
            .await
            .map_err(|error| error.to_string())?;
        let recent = recent
            .first()
            .and_then(|sample| sample.value.1.parse::<f64>().ok());
        if recent.is_some_and(|lost| lost > 0.0) {
            let reasons: Vec<String> = sums
                .dropped
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(reason, count)| format!("{reason} {count}"))
                .collect();
            return Err(format!(
                "spans were dropped within {RECENT} ({}); {} says why",
                reasons.join(", "),
                subject.layout.log("agent").display()
            ));
        }
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_is_read_from_the_page() {
        let page = "# TYPE kai_agent_spans_total counter\n\
            kai_agent_spans_received_total{transport=\"grpc\"} 1e3\n\
            kai_agent_spans_received_total{transport=\"http\"} 5\n\
            kai_agent_spans_total{outcome=\"acked\",reason=\"\"} 1001\n\
            kai_agent_spans_total{outcome=\"dropped\",reason=\"rejected\"} 3\n\
            kai_agent_spans_in_flight 1\n";
        let sums = sums(page).unwrap();
        assert_eq!((sums.received, sums.acked, sums.in_flight), (1005, 1001, 1));
        assert_eq!(sums.dropped["rejected"], 3);
        assert_eq!(super::sums("up 1\n"), None);
    }
}
