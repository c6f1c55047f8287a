//! The source of a dashboard of Kibana or OpenSearch Dashboards: what a person writes.
//!
//! ```yaml
//! title: Error tracking
//! about: What fails, since when and where.
//! time: 7d                         # shown at first, back from now
//! needs: "kai.pattern : *"         # without such a line nobody feeds it
//! panels:
//!   - { title: Errors, kind: bars, split: service.name, search: "kai.pattern : *", width: 48, height: 10 }
//!   - title: Top errors
//!     kind: table
//!     rows: [kai.pattern, service.name]
//!     values: [count as Lines, first @timestamp as First seen]
//!     width: 48
//!     height: 16
//! ```
//! A value is `count`, or one of `unique`, `average`, `median`, `p95` (any percentile), `max`, `min`,
//! `sum`, `first`, `last` and a field, perhaps with `as` and a title. Rows are ordered by the first.

use serde::Deserialize;

use super::kql;
use crate::dashboards::source::SourceError;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KibanaDashboard {
    pub title: String,
    pub about: String,
    /// Range that is shown at first, back from now.
    #[serde(default = "one_hour")]
    pub time: String,
    /// A search that finds nothing where nobody feeds this dashboard.
    #[serde(default)]
    pub needs: Option<String>,
    pub panels: Vec<KibanaPanel>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KibanaPanel {
    pub title: String,
    pub kind: KibanaKind,
    /// What is searched.
    #[serde(default)]
    pub of: Of,
    /// In KQL; all without it.
    #[serde(default)]
    pub search: String,
    /// Field whose values become colours.
    #[serde(default)]
    pub split: Option<String>,
    /// Fields of a table's rows, from the outside in.
    #[serde(default)]
    pub rows: Vec<String>,
    /// What is reckoned; the number of lines when nothing is said.
    #[serde(default)]
    pub values: Vec<Measure>,
    /// Most values of a field that are shown.
    #[serde(default = "ten")]
    pub top: u32,
    /// Marks deploys.
    #[serde(default)]
    pub deploys: bool,
    #[serde(default)]
    pub columns: Vec<String>,
    /// Why an empty answer is no fault.
    #[serde(default)]
    pub empty: Option<String>,
    /// Of 48 columns.
    pub width: u32,
    pub height: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KibanaKind {
    /// Over time, stacked.
    Bars,
    /// Over time.
    Lines,
    /// One number.
    Count,
    Table,
    /// The lines themselves.
    Documents,
}

/// Whose documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    #[default]
    Logs,
    /// What `kai-observe event deploy` told.
    Deploys,
}

/// One number over documents.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Measure {
    pub how: How,
    /// Empty with [`How::Count`].
    pub field: String,
    pub title: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Count,
    Unique,
    Average,
    Median,
    Percentile(u8),
    Max,
    Min,
    Sum,
    /// Earliest moment.
    First,
    /// Latest moment.
    Last,
}

impl Measure {
    pub fn count(title: &str) -> Self {
        Self {
            how: How::Count,
            field: String::new(),
            title: title.to_owned(),
        }
    }
}

impl TryFrom<String> for Measure {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (what, title) = match text.split_once(" as ") {
            Some((what, title)) => (what, Some(title.trim().to_owned())),
            None => (text.as_str(), None),
        };
        let mut words = what.split_whitespace();
        let word = words.next().unwrap_or_default();
        let field = words.next().unwrap_or_default().to_owned();
        let how = match word {
            "count" => How::Count,
            "unique" => How::Unique,
            "average" => How::Average,
            "median" => How::Median,
            "max" => How::Max,
            "min" => How::Min,
            "sum" => How::Sum,
            "first" => How::First,
            "last" => How::Last,
            _ => {
                let percent = word.strip_prefix('p').and_then(|n| n.parse().ok());
                let percent = percent.filter(|n| (1..=99).contains(n));
                How::Percentile(percent.ok_or_else(|| {
                    format!("`{text}` is no value; write for example count, or p95 event.duration as Slowest")
                })?)
            }
        };
        if (how == How::Count) != field.is_empty() || words.next().is_some() {
            return Err(format!(
                "`{text}` is no value: `count` has no field, all others have one"
            ));
        }
        let title = title.unwrap_or_else(|| what.trim().to_owned());
        Ok(Self { how, field, title })
    }
}

impl KibanaPanel {
    /// What is reckoned, said or not.
    pub fn measures(&self) -> Vec<Measure> {
        if self.values.is_empty() {
            return vec![Measure::count(&self.title)];
        }
        self.values.clone()
    }
}

fn one_hour() -> String {
    "1h".to_owned()
}

fn ten() -> u32 {
    10
}

pub fn read(name: &str, text: &str) -> Result<KibanaDashboard, SourceError> {
    let bad = |reason: String| SourceError {
        name: format!("{name}.kibana"),
        reason,
    };
    let source: KibanaDashboard =
        serde_yaml::from_str(text).map_err(|error| bad(error.to_string()))?;
    if let Some(needs) = &source.needs {
        kql::query(needs).map_err(|reason| bad(format!("needs: {reason}")))?;
    }
    for panel in &source.panels {
        check(panel).map_err(|reason| bad(format!("panel \"{}\": {reason}", panel.title)))?;
    }
    Ok(source)
}

fn check(panel: &KibanaPanel) -> Result<(), String> {
    let wrong = match panel.kind {
        _ if panel.width == 0 || panel.width > 48 => Some("width is 1 to 48 columns"),
        _ if panel.top == 0 || panel.top > 100 => Some("top is 1 to 100"),
        KibanaKind::Documents if panel.columns.is_empty() => Some("documents need `columns`"),
        KibanaKind::Table if panel.rows.is_empty() => Some("a table needs `rows`"),
        KibanaKind::Count if panel.measures().len() > 1 => Some("a number has one value"),
        KibanaKind::Bars | KibanaKind::Lines
            if panel.split.is_some() && panel.measures().len() > 1 =>
        {
            Some("either `split` or several values")
        }
        kind if kind != KibanaKind::Table && !panel.rows.is_empty() => {
            Some("only a table has `rows`")
        }
        kind if panel.deploys && !matches!(kind, KibanaKind::Bars | KibanaKind::Lines) => {
            Some("deploys are marked where time is shown: in bars and lines")
        }
        _ => None,
    };
    match wrong {
        Some(wrong) => Err(wrong.to_owned()),
        None => kql::query(&panel.search)
            .map(drop)
            .map_err(|reason| format!("search: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "title: T\nabout: A\npanels:\n";

    fn reason(panel: &str) -> String {
        read("t", &format!("{HEAD}  - {panel}\n"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_panel() {
        for (panel, expected) in [
            ("{ title: P, kind: bars, width: 49, height: 1 }", "48"),
            ("{ title: P, kind: table, width: 1, height: 1 }", "`rows`"),
            (
                "{ title: P, kind: count, values: [p100 a], width: 1, height: 1 }",
                "`p100 a` is no value",
            ),
            (
                "{ title: P, kind: count, values: [max], width: 1, height: 1 }",
                "all others have one",
            ),
            (
                "{ title: P, kind: count, search: \"a : (b\", width: 1, height: 1 }",
                "search:",
            ),
            (
                "{ title: P, kind: count, deploys: true, width: 1, height: 1 }",
                "where time is shown",
            ),
            ("{ title: P, kind: pie, width: 1, height: 1 }", "pie"),
        ] {
            let reason = reason(panel);
            assert!(
                reason.contains("dashboards/t.kibana.yaml") && reason.contains(expected),
                "{reason}"
            );
        }
    }

    #[test]
    fn values_are_words_fields_and_titles() {
        let read = |text: &str| Measure::try_from(text.to_owned());
        let slow = read("p95 event.duration as Slowest of 20").unwrap();
        assert_eq!(
            (slow.how, slow.field.as_str(), slow.title.as_str()),
            (How::Percentile(95), "event.duration", "Slowest of 20")
        );
        assert_eq!(read("count").unwrap(), Measure::count("count"));
        assert!(read("").is_err() && read("count x").is_err() && read("max a b").is_err());
    }
}
