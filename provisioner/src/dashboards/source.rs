//! The source of a dashboard: what a person writes. Everything else (places, ids, colours, links)
//! follows from it.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, thiserror::Error)]
#[error("dashboards/{name}.yaml: {reason}")]
pub struct SourceError {
    pub name: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Dashboard {
    pub title: String,
    pub about: String,
    /// A metric without which nobody feeds this dashboard. None: what the stack itself exports.
    #[serde(default)]
    pub needs: Option<String>,
    /// Range that is shown at first, back from now.
    #[serde(default = "one_hour")]
    pub time: String,
    /// Text that stands in queries as `%name%`.
    #[serde(default)]
    pub define: BTreeMap<String, String>,
    #[serde(default)]
    pub variables: Vec<Variable>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub name: String,
    pub label: String,
    /// `label_values(series, label)`
    pub values: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub title: String,
    pub panels: Vec<Panel>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Panel {
    pub title: String,
    #[serde(default)]
    pub about: String,
    pub kind: Kind,
    /// Grafana's own name of a unit.
    #[serde(default)]
    pub unit: Option<String>,
    #[serde(default)]
    pub decimals: Option<u8>,
    #[serde(default)]
    pub min: Option<f64>,
    #[serde(default)]
    pub max: Option<f64>,
    #[serde(default)]
    pub stacked: bool,
    /// Colour → the value from which on it is shown.
    #[serde(default)]
    pub thresholds: BTreeMap<String, f64>,
    /// Of 24 columns.
    #[serde(default)]
    pub width: Option<u32>,
    #[serde(default)]
    pub height: Option<u32>,
    /// Asked of Prometheus.
    #[serde(default)]
    pub queries: Vec<Query>,
    /// Asked of Elasticsearch.
    #[serde(default)]
    pub logs: Vec<LogQuery>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Stat,
    Timeseries,
    Bars,
    Table,
    Logs,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub query: String,
    #[serde(default)]
    pub legend: Option<String>,
    /// Dots that lead to traces.
    #[serde(default)]
    pub exemplars: bool,
    /// The last value only.
    #[serde(default)]
    pub instant: bool,
    /// Why an empty answer is no fault.
    #[serde(default)]
    pub empty: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LogQuery {
    /// In Lucene's syntax.
    pub search: String,
    /// Count per value of this field instead of showing the lines.
    #[serde(default)]
    pub count_by: Option<String>,
}

fn one_hour() -> String {
    "1h".to_owned()
}

/// Reads a source for Grafana and fills in what it defines.
pub fn read(name: &str, text: &str) -> Result<Dashboard, SourceError> {
    let bad = |reason: String| SourceError {
        name: name.to_owned(),
        reason,
    };
    let mut source: Dashboard =
        serde_yaml::from_str(text).map_err(|error| bad(error.to_string()))?;
    let define = source.define.clone();
    for panel in source.rows.iter_mut().flat_map(|row| &mut row.panels) {
        for query in &mut panel.queries {
            query.query = filled(&query.query, &define);
        }
        check(panel).map_err(|reason| bad(format!("panel \"{}\": {reason}", panel.title)))?;
    }
    Ok(source)
}

fn filled(text: &str, define: &BTreeMap<String, String>) -> String {
    define.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("%{name}%"), value)
    })
}

fn check(panel: &Panel) -> Result<(), String> {
    if panel.queries.is_empty() == panel.logs.is_empty() {
        return Err("it needs either `queries` or `logs`".to_owned());
    }
    if panel.kind == Kind::Logs && panel.logs.iter().any(|query| query.count_by.is_some()) {
        return Err("`countBy` gives numbers, which kind `logs` does not show".to_owned());
    }
    if panel.kind == Kind::Logs && panel.logs.is_empty() {
        return Err("kind `logs` needs `logs`".to_owned());
    }
    if panel.kind != Kind::Logs && panel.logs.iter().any(|query| query.count_by.is_none()) {
        return Err("log lines are shown by kind `logs`; others need `countBy`".to_owned());
    }
    if panel.width.is_some_and(|width| width == 0 || width > 24) {
        return Err("width is 1 to 24 columns".to_owned());
    }
    for query in &panel.queries {
        let plain = super::query::expand(&query.query, &super::query::Times::default());
        if crate::spec::promql::endless_duration(&plain) {
            return Err(format!(
                "query `{}`: a duration is not a number of seconds",
                query.query
            ));
        }
        promql_parser::parser::parse(&plain)
            .map_err(|error| format!("query `{}`: {error}", query.query))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "title: T\nabout: A\nneeds: up\nrows:\n  - title: R\n    panels:\n";

    fn reason(panel: &str) -> String {
        read("t", &format!("{HEAD}{panel}"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_panel() {
        let typo = reason("      - { title: P, kind: stat, unti: s, queries: [{ query: up }] }\n");
        assert!(
            typo.contains("dashboards/t.yaml") && typo.contains("unti"),
            "{typo}"
        );
        let bad = reason("      - { title: P, kind: stat, queries: [{ query: 'sum(up' }] }\n");
        assert!(
            bad.contains("panel \"P\"") && bad.contains("sum(up"),
            "{bad}"
        );
        let none = reason("      - { title: P, kind: stat }\n");
        assert!(none.contains("either `queries` or `logs`"), "{none}");
        let wide =
            reason("      - { title: P, kind: stat, width: 25, queries: [{ query: up }] }\n");
        assert!(wide.contains("24"), "{wide}");
    }
}
