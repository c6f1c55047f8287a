//! `/sd/applications`: what was found, as Prometheus' `http_sd_configs` reads it. Pure.

use super::ByName;
use super::file_sd::Group;

/// One group for each application. `address` is where the asking Prometheus reached this agent.
pub fn groups(found: &ByName, address: &str) -> Vec<Group> {
    found
        .values()
        .map(|found| {
            let mut labels = found.wanted.labels.clone();
            let path = format!("/metrics/app/{}", found.wanted.name);
            labels.insert("__metrics_path__".to_owned(), path);
            if let Some(interval) = &found.wanted.interval {
                labels.insert("__scrape_interval__".to_owned(), interval.clone());
            }
            Group {
                targets: vec![address.to_owned()],
                labels,
            }
        })
        .collect()
}
