//! Prometheus answers and every target of the stack is up with samples.

use super::{Proof, Subject, eventually, prove as timed};
use crate::render::{Target, targets};
use crate::systems::prometheus::Prometheus;

async fn target_up(prometheus: &Prometheus, target: &Target) -> Result<String, String> {
    let found = prometheus
        .targets()
        .await
        .map_err(|error| error.to_string())?;
    let active = found
        .iter()
        .find(|active| {
            active.labels.get("job") == Some(&target.job)
                && active.labels.get("instance") == Some(&target.instance)
        })
        .ok_or_else(|| format!("Prometheus does not know the target {}", target.instance))?;
    if active.health != "up" {
        let why = if active.last_error.is_empty() {
            "not scraped yet"
        } else {
            &active.last_error
        };
        return Err(format!("{} is {}: {why}", active.scrape_url, active.health));
    }
    // Up with an empty page is not up.
    let expr = format!(
        "scrape_samples_scraped{{job=\"{}\",instance=\"{}\"}}",
        target.job, target.instance
    );
    let samples = prometheus
        .query(&expr)
        .await
        .map_err(|error| error.to_string())?;
    let count: f64 = samples
        .first()
        .and_then(|sample| sample.value.1.parse().ok())
        .ok_or("scraped, but no samples are stored yet")?;
    if count < 1.0 {
        return Err(format!("{} answered with an empty page", active.scrape_url));
    }
    Ok(format!("{count} samples, {}", active.scrape_url))
}

async fn all_targets(subject: &Subject<'_>, prometheus: &Prometheus) -> Vec<Proof> {
    let targets = targets(subject.stack);
    let work = targets.iter().map(|target| async move {
        let work = eventually(subject.patience, || target_up(prometheus, target));
        timed("targets", target.job.clone(), work).await
    });
    futures_util::future::join_all(work).await
}

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    if !subject.has_prometheus() {
        return Vec::new();
    }
    let prometheus = subject.prometheus();
    let version = timed("metrics", "prometheus", async {
        let version = prometheus
            .version()
            .await
            .map_err(|error| error.to_string())?;
        Ok(format!("version {version} answers"))
    })
    .await;
    let mut out = vec![version];
    out.extend(all_targets(subject, &prometheus).await);
    out
}
