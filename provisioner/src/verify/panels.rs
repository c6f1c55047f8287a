//! The dashboards of Kibana and OpenSearch Dashboards, proven on the data: what each panel asks is
//! asked of Elasticsearch, and an answer with nothing in it is a fault, unless the source says why it
//! may be. So it is known that they show something also where no Kibana can be asked.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Proof, Status, Subject, eventually, prove as timed};
use crate::dashboards::kibana::request;
use crate::dashboards::kibana::source::{KibanaDashboard, KibanaPanel, Of};
use crate::dashboards::kibana_sources;
use crate::object::System;
use crate::render::accesses;
use crate::systems::rest::Rest;

const AREA: &str = "log panels";

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    let stack = subject.stack;
    let Some(placed) = &stack.systems.elasticsearch else {
        return Vec::new();
    };
    let missing = placed.placement.is_managed() && !subject.installed(placed.distribution.word());
    if stack.systems.kibana.is_none() || missing {
        return Vec::new();
    }
    let Some(access) = accesses(stack, subject.layout).remove(&System::Elasticsearch) else {
        return Vec::new();
    };
    let rest = match Rest::new(&access) {
        Ok(rest) => rest,
        Err(error) => {
            return vec![timed(AREA, "searches", async { Err(error.to_string()) }).await];
        }
    };
    let mut out = Vec::new();
    for (slug, source) in kibana_sources() {
        out.push(match source {
            Ok(source) => one(subject, &rest, slug, &source).await,
            Err(error) => timed(AREA, slug, async { Err::<String, _>(error.to_string()) }).await,
        });
    }
    out
}

async fn one(
    subject: &Subject<'_>,
    rest: &Rest,
    slug: &'static str,
    source: &KibanaDashboard,
) -> Proof {
    let environment = &subject.stack.environment;
    if let Some(needs) = &source.needs {
        match fed(rest, environment, source, needs).await {
            Ok(true) => {}
            Ok(false) => {
                return Proof {
                    area: AREA,
                    name: slug.to_owned(),
                    status: Status::NotRun,
                    detail: format!("no line of the last {} has {needs}", source.time),
                    millis: 0,
                };
            }
            Err(reason) => return timed(AREA, slug, async { Err::<String, _>(reason) }).await,
        }
    }
    let work = eventually(subject.patience, || all(rest, environment, source));
    timed(AREA, slug, work).await
}

async fn fed(
    rest: &Rest,
    environment: &str,
    source: &KibanaDashboard,
    needs: &str,
) -> Result<bool, String> {
    let body = json!({ "size": 0, "query": request::query(needs, &source.time)? });
    let reply = ask(rest, environment, Of::Logs, &body).await?;
    Ok(reply["hits"]["total"]["value"].as_u64().unwrap_or(0) > 0)
}

async fn all(rest: &Rest, environment: &str, source: &KibanaDashboard) -> Result<String, String> {
    let mut empty = 0;
    for panel in &source.panels {
        let in_panel = |reason: String| format!("panel \"{}\": {reason}", panel.title);
        let body = request::body(panel, &source.time).map_err(in_panel)?;
        let reply = ask(rest, environment, panel.of, &body)
            .await
            .map_err(in_panel)?;
        if request::is_empty(panel, &reply) {
            may_be_empty(panel).map_err(in_panel)?;
            empty += 1;
        }
    }
    let note = match empty {
        0 => String::new(),
        some => format!(", {some} of them empty, which may be"),
    };
    Ok(format!(
        "the searches of {} panels answered{note}",
        source.panels.len()
    ))
}

fn may_be_empty(panel: &KibanaPanel) -> Result<(), String> {
    match panel.empty {
        Some(_) => Ok(()),
        None => Err("an empty answer; does any line have what it shows?".to_owned()),
    }
}

async fn ask(rest: &Rest, environment: &str, of: Of, body: &Value) -> Result<Value, String> {
    let index = match of {
        Of::Logs => "logs",
        Of::Deploys => "events",
    };
    let path = format!(
        "/{index}-kai.*-{environment}/_search?allow_no_indices=true&ignore_unavailable=true"
    );
    rest.json(Method::POST, &path, Some(body))
        .await
        .map_err(|error| error.to_string())
}
