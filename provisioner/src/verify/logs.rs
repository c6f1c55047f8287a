//! Elasticsearch is well, the templates are in force, every service's lines arrive, and a line
//! written now is found.

use std::io::Write as _;
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use super::{Proof, Status, Subject, eventually, prove as timed};
use crate::clock;
use crate::model::Placement;
use crate::object::System;
use crate::render;
use crate::render::elasticsearch::{canary_stream, log_stream, patterns, streams};
use crate::render::logs::canary_file;
use crate::systems::elasticsearch::{Elasticsearch, has_ilm, left_out};
use crate::world::Reached;

pub(super) const AREA: &str = "logs";

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    let stack = subject.stack;
    let Some(settings) = &stack.systems.elasticsearch else {
        return Vec::new();
    };
    let managed = matches!(settings.placement, Placement::Managed { .. });
    if managed && !subject.installed(settings.distribution.word()) {
        return Vec::new();
    }
    let Some(access) = render::elasticsearch_access(stack) else {
        return Vec::new();
    };
    let client = match Elasticsearch::new(&access) {
        Ok(client) => client,
        Err(error) => {
            let failed = async { Err(error.to_string()) };
            return vec![timed(AREA, "elasticsearch", failed).await];
        }
    };
    // A server answers before it has read all of its shards back.
    let work = eventually(subject.patience, || healthy(&client));
    let health = timed(AREA, "elasticsearch", work).await;
    if health.status != Status::Pass {
        return vec![health];
    }
    let services = stack.services.values().filter(|s| s.logs.is_some());
    let receive = services.map(|service| {
        let stream = log_stream(stack, &service.name);
        let client = &client;
        async move {
            let work = eventually(subject.patience, || receives(client, stream.clone()));
            timed(AREA, service.name.clone(), work).await
        }
    });
    let (templates, lifecycle, canary, receive, intake) = tokio::join!(
        timed(AREA, "templates", in_force(subject, &client)),
        carried_out(subject, &client),
        timed(AREA, "a line written now", found_again(subject, &client)),
        futures_util::future::join_all(receive),
        Box::pin(super::intake::prove(subject, &client)),
    );
    let mut out = vec![health, templates];
    out.extend(lifecycle);
    out.extend(receive);
    out.push(canary);
    out.extend(intake);
    if let Some(Reached::Up(server)) = subject.world.servers.get(&System::Elasticsearch) {
        out.extend(left_out(server).into_iter().map(|(what, why)| Proof {
            area: AREA,
            name: what.to_owned(),
            status: Status::NotRun,
            detail: why,
            millis: 0,
        }));
    }
    out
}

async fn healthy(client: &Elasticsearch) -> Result<String, String> {
    let server = client.probe().await.map_err(|error| error.to_string())?;
    let (status, missing) = client.health().await.map_err(|error| error.to_string())?;
    let what = format!("{} {}", server.product, server.version);
    match status.as_str() {
        "green" | "yellow" => Ok(format!("{what} is {status}")),
        _ => Err(format!(
            "{what} is {status}: {missing} shards have no place; `/_cluster/allocation/explain` says why"
        )),
    }
}

/// The lifecycle is stuck nowhere. Nothing where there is none that could be asked.
async fn carried_out(subject: &Subject<'_>, client: &Elasticsearch) -> Option<Proof> {
    let names = patterns(subject.stack);
    let policies = subject.world.servers.get(&System::Elasticsearch);
    if !matches!(policies, Some(Reached::Up(server)) if has_ilm(server)) {
        return None;
    }
    let work = async {
        let stuck = client
            .stuck(&names)
            .await
            .map_err(|error| error.to_string())?;
        match stuck.as_slice() {
            [] => Ok("no index is stuck".to_owned()),
            [first, ..] => Err(format!("{} indices are stuck; {first}", stuck.len())),
        }
    };
    Some(timed(AREA, "lifecycle", work).await)
}

/// A new index of every stream would be made by our templates and nobody else's.
async fn in_force(subject: &Subject<'_>, client: &Elasticsearch) -> Result<String, String> {
    let owner = subject.stack.owner.to_string();
    let (logs, events) = streams(subject.stack);
    let all: Vec<String> = logs.into_iter().chain(events).collect();
    for stream in &all {
        let reply = client
            .simulate(stream)
            .await
            .map_err(|error| error.to_string())?;
        if reply["template"]["mappings"]["_meta"]["owner"] == owner.as_str() {
            continue;
        }
        let others: Vec<&str> = reply["overlapping"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one["name"].as_str())
            .collect();
        return Err(format!(
            "an index of {stream} would not be made by this stack's template{}; `kai-observe drift` says what differs",
            match others.as_slice() {
                [] => String::new(),
                names => format!(
                    ", since another comes first (matching: {})",
                    names.join(", ")
                ),
            }
        ));
    }
    Ok(format!("in force for {} data streams", all.len()))
}

async fn receives(client: &Elasticsearch, stream: String) -> Result<String, String> {
    let query = json!({
        "size": 1,
        "track_total_hits": true,
        "sort": [{ "@timestamp": "desc" }],
        "_source": ["@timestamp"],
    });
    let reply = client
        .search(&stream, &query)
        .await
        .map_err(|error| error.to_string())?;
    match reply["hits"]["total"]["value"].as_u64() {
        Some(count) if count > 0 => Ok(format!(
            "{count} lines in {stream}, the newest of {}",
            reply["hits"]["hits"][0]["_source"]["@timestamp"]
                .as_str()
                .unwrap_or("an unknown time")
        )),
        _ => Err(format!(
            "no line has arrived in {stream}; does the service write to the files named in its `logs`?"
        )),
    }
}

/// Through the agent: written to a file that it tails, and looked for in the cluster.
async fn found_again(subject: &Subject<'_>, client: &Elasticsearch) -> Result<String, String> {
    let id = format!("{:016x}", rand::random::<u64>());
    let file = canary_file(subject.layout);
    let line = json!({
        "@timestamp": clock::rfc3339(SystemTime::now()),
        "message": "written by `kai-observe verify`, to be found again",
        "log.level": "info",
        "event.id": id,
    });
    let written = file
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| {
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&file)
        })
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    written.map_err(|error| format!("cannot write to {}: {error}", file.display()))?;
    let started = Instant::now();
    let stream = canary_stream(subject.stack);
    let query = json!({ "size": 1, "query": { "term": { "event.id": id } } });
    eventually(subject.patience, || async {
        let reply = client
            .search(&stream, &query)
            .await
            .map_err(|error| error.to_string())?;
        match reply["hits"]["total"]["value"].as_u64() {
            Some(1) => Ok(()),
            Some(count) if count > 1 => Err(format!("it is in {stream} {count} times")),
            _ => Err(format!(
                "a line written to {} is not in {stream}; the agent's log is {}",
                file.display(),
                subject.layout.log("agent").display()
            )),
        }
    })
    .await?;
    let delay: Value = json!(started.elapsed().as_millis() as u64);
    Ok(format!("found in {stream} after {delay} ms"))
}
