//! The agent's collectors all succeed; every service answers on its health address.

use std::time::Duration;

use kai_contract::signals;

use super::{Proof, Subject, eventually, prove as timed};
use crate::http;
use crate::render::local;
use crate::systems::process;

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    let mut out = vec![
        timed(
            "agent",
            "collectors",
            eventually(subject.patience, || collectors(subject)),
        )
        .await,
    ];
    let client = http::client(Duration::from_secs(5));
    for service in subject.stack.services.values() {
        let Some(url) = &service.health else { continue };
        let work = eventually(subject.patience, || async {
            process::answers(&client, url)
                .await
                .map_err(|why| format!("{url}: {why}"))
        });
        let work = async { work.await.map(|()| format!("{url} answers")) };
        out.push(timed("services", service.name.clone(), work).await);
    }
    out
}

async fn collectors(subject: &Subject<'_>) -> Result<String, String> {
    let url = local(subject.stack.ports.agent(), "/metrics");
    let client = http::client(Duration::from_secs(5));
    let page = match client.get(&url).send().await {
        Ok(reply) => reply
            .text()
            .await
            .map_err(|_| format!("{url}: the connection broke"))?,
        Err(_) => return Err(format!("{url} does not answer")),
    };
    let (mut good, mut bad) = (0, Vec::new());
    for line in page.lines() {
        let Some(rest) = line.strip_prefix(signals::COLLECTOR_FAILED) else {
            continue;
        };
        let Some(name) = rest
            .strip_prefix("{collector=\"")
            .and_then(|r| r.split('"').next())
        else {
            continue;
        };
        // One whose devices this machine does not have has not failed.
        if line.ends_with(" 0") {
            good += 1;
        } else {
            bad.push(name.to_owned());
        }
    }
    match (good, bad.is_empty()) {
        (0, true) => Err(format!("{url} lists no collector")),
        (_, false) => Err(format!(
            "failed: {}; {} says why",
            bad.join(", "),
            subject.layout.log("agent").display()
        )),
        _ => Ok(format!("{good} do not fail")),
    }
}
