//! The data sources, and how one leads to the other: an exemplar to its trace, a trace to its logs
//! and metrics, a log line to its trace.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{name_of, uids};
use crate::dashboards::grafana::Sources;
use crate::model::{Auth, Connection, Placement, SecretRef, Stack};
use crate::render::{duration, local};

pub struct DataSource {
    pub slug: &'static str,
    pub body: Value,
    pub secrets: BTreeMap<String, SecretRef>,
}

pub fn all(stack: &Stack) -> Vec<DataSource> {
    let uids = uids(stack);
    let systems = &stack.systems;
    let mut out = Vec::new();
    if systems.prometheus.is_some() {
        out.push(prometheus(stack, &uids));
    }
    if let Some(jaeger) = &systems.jaeger {
        let at = placed(&jaeger.placement, stack.ports.jaeger());
        out.push(jaeger_source(stack, &uids, &at));
    }
    if let Some(elasticsearch) = &systems.elasticsearch {
        let at = placed(&elasticsearch.placement, stack.ports.elasticsearch());
        out.push(elasticsearch_source(stack, &uids, &at));
    }
    out
}

fn placed(placement: &Placement, port: u16) -> Connection {
    match placement {
        Placement::External(connection) => connection.clone(),
        Placement::Managed { .. } => Connection {
            url: local(port, ""),
            auth: None,
        },
    }
}

fn prometheus(stack: &Stack, uids: &Sources) -> DataSource {
    let mut details = json!({
        "httpMethod": "POST",
        "timeInterval": duration(stack.defaults.scrape_interval),
        "prometheusType": "Prometheus",
        "manageAlerts": false,
    });
    if let Some(jaeger) = &uids.jaeger {
        details["exemplarTraceIdDestinations"] =
            json!([{ "name": "trace_id", "datasourceUid": jaeger }]);
    }
    let at = Connection {
        url: local(stack.ports.prometheus(), ""),
        auth: None,
    };
    let mut source = data_source(
        stack,
        "prometheus",
        "Prometheus",
        "prometheus",
        &at,
        details,
    );
    // In somebody else's Grafana the default is theirs to choose.
    if stack
        .systems
        .grafana
        .as_ref()
        .is_some_and(|grafana| grafana.placement.is_managed())
    {
        source.body["isDefault"] = json!(true);
    }
    source
}

fn jaeger_source(stack: &Stack, uids: &Sources, at: &Connection) -> DataSource {
    let mut details = json!({ "nodeGraph": { "enabled": true } });
    if let Some(elasticsearch) = &uids.elasticsearch {
        details["tracesToLogsV2"] = json!({
            "datasourceUid": elasticsearch,
            "spanStartTimeShift": "-5m",
            "spanEndTimeShift": "5m",
            "filterByTraceID": false,
            "filterBySpanID": false,
            "customQuery": true,
            "query": "trace.id:\"${__span.traceId}\"",
        });
    }
    if let Some(prometheus) = &uids.prometheus {
        details["tracesToMetrics"] = json!({
            "datasourceUid": prometheus,
            "spanStartTimeShift": "-5m",
            "spanEndTimeShift": "5m",
            "tags": [{ "key": "service.name", "value": "service" }],
            "queries": [
                { "name": "Requests", "query": "sum(rate(http_requests_total{$__tags}[2m]))" },
                { "name": "Failed", "query": "sum(rate(http_requests_total{$__tags, code=~\"5..\"}[2m]))" },
            ],
        });
    }
    data_source(stack, "jaeger", "Jaeger", "jaeger", at, details)
}

fn elasticsearch_source(stack: &Stack, uids: &Sources, at: &Connection) -> DataSource {
    let mut details = json!({
        "index": format!("logs-kai.*-{}", stack.environment),
        "timeField": "@timestamp",
        "maxConcurrentShardRequests": 5,
        "logMessageField": "message",
        "logLevelField": "log.level",
        "includeFrozen": false,
    });
    if let Some(jaeger) = &uids.jaeger {
        details["dataLinks"] = json!([{
            "field": "trace.id",
            "url": "${__value.raw}",
            "urlDisplayLabel": "Trace",
            "datasourceUid": jaeger,
        }]);
    }
    let (slug, name) = ("elasticsearch", "Elasticsearch");
    data_source(stack, slug, name, "elasticsearch", at, details)
}

fn data_source(
    stack: &Stack,
    slug: &'static str,
    name: &str,
    plugin: &str,
    at: &Connection,
    details: Value,
) -> DataSource {
    let mut body = json!({
        "name": format!("{name} · {}", name_of(stack)),
        "type": plugin,
        "access": "proxy",
        "url": at.url,
        "basicAuth": false,
        "jsonData": details,
    });
    let mut secrets = BTreeMap::new();
    match &at.auth {
        None => {}
        Some(Auth::Basic { username, password }) => {
            body["basicAuth"] = json!(true);
            body["basicAuthUser"] = json!(username);
            body["secureJsonFields"] = json!({ "basicAuthPassword": true });
            secrets.insert("/secureJsonData/basicAuthPassword".into(), password.clone());
        }
        Some(Auth::ApiKey(key)) => header(&mut body, &mut secrets, "ApiKey", key),
        Some(Auth::Token(token)) => header(&mut body, &mut secrets, "Bearer", token),
    }
    DataSource {
        slug,
        body,
        secrets,
    }
}

/// A header of its own; what stands after `#` is put before the secret.
fn header(
    body: &mut Value,
    secrets: &mut BTreeMap<String, SecretRef>,
    scheme: &str,
    secret: &SecretRef,
) {
    body["jsonData"]["httpHeaderName1"] = json!("Authorization");
    body["secureJsonFields"] = json!({ "httpHeaderValue1": true });
    let place = format!("/secureJsonData/httpHeaderValue1#{scheme} ");
    secrets.insert(place, secret.clone());
}
