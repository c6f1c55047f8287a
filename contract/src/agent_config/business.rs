//! Business figures: counters that the agent makes of scraped series, log lines and spans.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `business:` of the agent's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Business {
    /// The counters of `/metrics/business`, by name.
    pub metrics: BTreeMap<String, Figure>,
    /// Team of each service: the label `team` of its series.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub teams: BTreeMap<String, String>,
    /// A series that is new is shown as 0 for so many milliseconds, so that a scrape sees the step
    /// from 0 to its first value; a little more than the scrape interval.
    #[serde(default)]
    pub start_at_zero_ms: u64,
    /// Series of all counters together at most; what comes on top is counted with every label
    /// `other`.
    #[serde(default = "default_max_series")]
    pub max_series: u32,
}

/// One counter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Figure {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// OpenMetrics' unit, which the name without `_total` ends with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Labels and the most values that are kept of each; values beyond become `other`, counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, u32>,
    /// What it is counted from; all of them add to it.
    pub from: Vec<Rule>,
}

/// One source of a counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    pub source: RuleSource,
    /// Of `metric`: name of the counter on the services' pages, as it is written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Whose series, lines or spans; without it everybody's series and spans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Condition on a line's fields, a span's attributes or a series' labels.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Field whose number is added in place of 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<String>,
    /// Field, attribute or label that a label's value is taken from; without it the one of the
    /// same name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleSource {
    /// A counter that a service exports.
    Metric,
    /// Lines that the log lane reads.
    Log,
    /// Spans that the trace lane takes.
    Span,
}

impl RuleSource {
    pub fn word(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Log => "log",
            Self::Span => "span",
        }
    }
}

fn default_max_series() -> u32 {
    20_000
}

impl Business {
    /// Counters with nothing else said.
    pub fn of(metrics: BTreeMap<String, Figure>) -> Self {
        Self {
            metrics,
            max_series: default_max_series(),
            ..Self::default()
        }
    }

    /// Every rule of a source, with its counter's name and its place in the counter's list.
    pub fn rules(&self, source: RuleSource) -> impl Iterator<Item = (&str, usize, &Rule)> {
        self.metrics.iter().flat_map(move |(name, figure)| {
            figure
                .from
                .iter()
                .enumerate()
                .filter(move |(_, rule)| rule.source == source)
                .map(move |(index, rule)| (name.as_str(), index, rule))
        })
    }
}

impl Rule {
    /// Every field that it looks at; of a condition that cannot be read none.
    pub fn fields(&self, labels: &BTreeMap<String, u32>) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let condition = self.condition.as_deref();
        if let Some(Ok(condition)) = condition.map(crate::expression::parse) {
            out.extend_from_slice(condition.fields());
        }
        out.extend(self.add.clone());
        out.extend(labels.keys().map(|label| self.field_of(label).to_owned()));
        out.sort();
        out.dedup();
        out
    }

    /// The field that a label's value is taken from.
    pub fn field_of<'a>(&'a self, label: &'a str) -> &'a str {
        self.labels.get(label).map_or(label, String::as_str)
    }
}
