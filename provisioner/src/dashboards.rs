//! Dashboards: short YAML sources, one subject per file, compiled to what Grafana and Kibana take.
//! Pure. The sources are part of the program.

pub mod grafana;
pub mod kibana;
pub mod query;
pub mod source;

use kibana::source::KibanaDashboard;
use source::{Dashboard, SourceError};

/// Name and text of each of Grafana's, in the order in which they link to each other.
const SOURCES: [(&str, &str); 4] = [
    ("system", include_str!("../../dashboards/system.yaml")),
    (
        "application",
        include_str!("../../dashboards/application.yaml"),
    ),
    ("business", include_str!("../../dashboards/business.yaml")),
    ("security", include_str!("../../dashboards/security.yaml")),
];

const KIBANA_SOURCES: [(&str, &str); 4] = [
    ("logs", include_str!("../../dashboards/logs.kibana.yaml")),
    (
        "errors",
        include_str!("../../dashboards/errors.kibana.yaml"),
    ),
    (
        "performance",
        include_str!("../../dashboards/performance.kibana.yaml"),
    ),
    (
        "security",
        include_str!("../../dashboards/security.kibana.yaml"),
    ),
];

/// Grafana's, with their names.
pub fn sources() -> Vec<(&'static str, Result<Dashboard, SourceError>)> {
    SOURCES
        .iter()
        .map(|(name, text)| (*name, source::read(name, text)))
        .collect()
}

/// Kibana's, with their names.
pub fn kibana_sources() -> Vec<(&'static str, Result<KibanaDashboard, SourceError>)> {
    KIBANA_SOURCES
        .iter()
        .map(|(name, text)| (*name, kibana::source::read(name, text)))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_source_is_sound() {
        for (name, source) in super::sources() {
            source.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for (name, source) in super::kibana_sources() {
            source.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
