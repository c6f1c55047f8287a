//! Dashboards: every query of every panel is answered by what it asks, and Grafana and Kibana, where
//! they are, have what was rendered and reach what it is about.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Proof, Status, Subject, eventually, prove as timed};
use crate::dashboards::query::{Times, expand};
use crate::dashboards::source::{Dashboard, Query};
use crate::object::System;
use crate::render::grafana::{sources_for, uids};
use crate::render::{accesses, duration};
use crate::systems::grafana::Grafana;
use crate::systems::objects::Client;
use crate::systems::prometheus::Prometheus;
use crate::systems::rest::Rest;

const AREA: &str = "dashboards";

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    let mut out = Vec::new();
    if subject.stack.systems.grafana.is_some() {
        let all = sources_for(subject.stack)
            .into_iter()
            .map(|(slug, source)| async move {
                match source {
                    Ok(source) => panels(subject, slug, &source).await,
                    Err(error) => {
                        timed(AREA, slug, async { Err::<String, _>(error.to_string()) }).await
                    }
                }
            });
        out.extend(futures_util::future::join_all(all).await);
        out.extend(searches(subject).await);
        out.extend(grafana(subject).await);
    }
    out.extend(kibana(subject).await);
    out
}

fn not_run(area: &'static str, name: &str, detail: String) -> Proof {
    Proof {
        area,
        name: name.to_owned(),
        status: Status::NotRun,
        detail,
        millis: 0,
    }
}

/// Asks Prometheus what the panels of one dashboard ask.
async fn panels(subject: &Subject<'_>, slug: &'static str, source: &Dashboard) -> Proof {
    if !subject.has_prometheus() {
        return not_run(AREA, slug, "there is no Prometheus to ask".to_owned());
    }
    let prometheus = subject.prometheus();
    if let Some(needs) = &source.needs {
        scraped(subject, &prometheus).await;
        let fed = prometheus.query(&format!("count({needs})")).await;
        if fed.is_ok_and(|found| found.is_empty()) {
            return not_run(AREA, slug, format!("nothing here exports {needs}"));
        }
    }
    // As Grafana chooses it: four scrapes.
    let times = Times {
        rate_interval: duration(subject.stack.defaults.scrape_interval * 4),
        range: source.time.clone(),
    };
    let ask = || ask_all(&prometheus, source, &times);
    timed(AREA, slug, eventually(subject.patience, ask)).await
}

/// Waits until every target answered once: a service that has just started may miss its first
/// scrape. That one never answers is another proof's matter.
async fn scraped(subject: &Subject<'_>, prometheus: &Prometheus) {
    let wanted = crate::render::targets(subject.stack).len();
    let _ = eventually(subject.patience, || async {
        match prometheus.query("up == 1").await {
            Ok(found) if found.len() < wanted => Err(String::new()),
            // All of them; or there is nobody to ask, which the panels will say.
            _ => Ok(()),
        }
    })
    .await;
}

async fn ask_all(
    prometheus: &Prometheus,
    source: &Dashboard,
    times: &Times,
) -> Result<String, String> {
    let all = source.rows.iter().flat_map(|row| &row.panels);
    let asked: Vec<(&str, &Query)> = all
        .flat_map(|panel| panel.queries.iter().map(|q| (panel.title.as_str(), q)))
        .collect();
    let answers = futures_util::future::join_all(asked.iter().map(|(title, query)| async move {
        let plain = expand(&query.query, times);
        match prometheus.query(&plain).await {
            Err(error) => Err(format!("panel \"{title}\": {error}")),
            Ok(found) if found.is_empty() && query.empty.is_none() => Err(format!(
                "panel \"{title}\": an empty answer to {plain}; does anything export it?"
            )),
            Ok(found) => Ok(found.is_empty()),
        }
    }))
    .await;
    let wrong: Vec<&String> = answers.iter().filter_map(|a| a.as_ref().err()).collect();
    if let Some(first) = wrong.first() {
        return Err(match wrong.len() {
            1 => (*first).clone(),
            more => format!("{first} (and {} more)", more - 1),
        });
    }
    let empty = answers.iter().filter(|a| matches!(a, Ok(true))).count();
    let note = match empty {
        0 => String::new(),
        some => format!(", {some} of them empty, which may be"),
    };
    Ok(format!("{} queries answered{note}", answers.len()))
}

/// Asks Elasticsearch what the panels about logs ask.
async fn searches(subject: &Subject<'_>) -> Option<Proof> {
    const NAME: &str = "log panels";
    let placed = subject.stack.systems.elasticsearch.as_ref()?;
    if placed.placement.is_managed() && !subject.installed("elasticsearch") {
        return Some(not_run(AREA, NAME, "Elasticsearch is not here".to_owned()));
    }
    let access = accesses(subject.stack, subject.layout).remove(&System::Elasticsearch)?;
    let searches: BTreeSet<String> = sources_for(subject.stack)
        .into_iter()
        .filter_map(|(_, source)| source.ok())
        .flat_map(|source| source.rows)
        .flat_map(|row| row.panels)
        .flat_map(|panel| panel.logs)
        .map(|log| expand(&log.search, &Times::default()).replace(".*", "*"))
        .collect();
    let index = format!("logs-kai.*-{}", subject.stack.environment);
    let path = format!("/{index}/_search?allow_no_indices=true&ignore_unavailable=true");
    let work = async {
        let rest = Rest::new(&access).map_err(|error| error.to_string())?;
        for search in &searches {
            let body = json!({ "size": 0, "query": { "query_string": { "query": search } } });
            rest.json(reqwest::Method::POST, &path, Some(&body))
                .await
                .map_err(|error| format!("the search {search}: {error}"))?;
        }
        Ok(format!("{} searches answered", searches.len()))
    };
    Some(timed(AREA, NAME, work).await)
}

async fn grafana(subject: &Subject<'_>) -> Vec<Proof> {
    const NAME: &str = "grafana";
    let placed = subject.stack.systems.grafana.as_ref();
    if placed.is_some_and(|s| s.placement.is_managed()) && !subject.installed(NAME) {
        let files = subject.layout.root.join("config/grafana/dashboards");
        let why = format!(
            "Grafana is not installed; the dashboards lie in {}, to be imported",
            files.display()
        );
        return vec![not_run(NAME, "api", why)];
    }
    let mut all = accesses(subject.stack, subject.layout);
    let Some(access) = all.remove(&System::Grafana) else {
        return Vec::new();
    };
    let client = match Grafana::new(&access) {
        Ok(client) => client,
        Err(error) => {
            return vec![timed(NAME, "api", async { Err::<String, _>(error.to_string()) }).await];
        }
    };
    let mut out = vec![
        timed(NAME, "api", async {
            let server = client.probe().await.map_err(|error| error.to_string())?;
            let ours = client
                .ours(&subject.stack.owner.to_string())
                .await
                .map_err(|error| error.to_string())?;
            if ours.is_empty() {
                return Err("it has nothing of this stack: run `kai-observe provision`".to_owned());
            }
            let (version, count) = (server.version, ours.len());
            Ok(format!("version {version}, {count} objects of this stack"))
        })
        .await,
    ];
    let uids = uids(subject.stack);
    for uid in [uids.prometheus, uids.jaeger, uids.elasticsearch]
        .into_iter()
        .flatten()
    {
        let work = async {
            client
                .data_source_health(&uid)
                .await
                .map_err(|error| format!("Grafana does not reach it: {error}"))
        };
        out.push(timed(NAME, format!("data source {uid}"), work).await);
    }
    out
}

async fn kibana(subject: &Subject<'_>) -> Option<Proof> {
    const NAME: &str = "kibana";
    let placed = subject.stack.systems.kibana.as_ref()?;
    if placed.placement.is_managed() && !subject.installed(NAME) {
        return Some(not_run(NAME, "api", "Kibana is not installed".to_owned()));
    }
    let access = accesses(subject.stack, subject.layout).remove(&System::Kibana)?;
    let work = async {
        let client = Client::new(System::Kibana, &access).map_err(|error| error.to_string())?;
        let server = client.probe().await.map_err(|error| error.to_string())?;
        let ours = client
            .ours(&subject.stack.owner.to_string())
            .await
            .map_err(|error| error.to_string())?;
        if ours.is_empty() {
            return Err("it has nothing of this stack: run `kai-observe provision`".to_owned());
        }
        let (version, count) = (server.version, ours.len());
        Ok(format!("version {version}, {count} objects of this stack"))
    };
    Some(timed(NAME, "api", work).await)
}
