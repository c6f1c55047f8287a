//! What happens to an application's page on its way through the agent: relabelling and budgets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AgentConfig, Application, Problem};

/// Series of one application, if the configuration does not say.
pub const SERIES_LIMIT: u64 = 100_000;

/// Series of one team's applications together, if the configuration does not say.
pub const TEAM_SERIES_LIMIT: u64 = 500_000;

/// What a limit may be at most; the agent refuses a page with more samples than this.
pub const MOST_SERIES: u64 = 1 << 20;

/// What a team's limit may be at most.
pub const MOST_TEAM_SERIES: u64 = 10_000_000;

/// `budgets:` of the agent's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budgets {
    /// What each team has, on this agent.
    #[serde(default)]
    pub per_team: TeamBudget,
}

/// `budgets.perTeam`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TeamBudget {
    /// Series of the team's applications together; [`TEAM_SERIES_LIMIT`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<u64>,
    /// Log lines; without it they are counted and not bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<super::LogBudget>,
}

/// What a rule does, in Prometheus' words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum RelabelAction {
    #[default]
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl RelabelAction {
    pub const ALL: [(&'static str, Self); 11] = [
        ("replace", Self::Replace),
        ("keep", Self::Keep),
        ("drop", Self::Drop),
        ("keepequal", Self::KeepEqual),
        ("dropequal", Self::DropEqual),
        ("hashmod", Self::HashMod),
        ("labelmap", Self::LabelMap),
        ("labeldrop", Self::LabelDrop),
        ("labelkeep", Self::LabelKeep),
        ("lowercase", Self::Lowercase),
        ("uppercase", Self::Uppercase),
    ];

    pub fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, action)| *action == self)
            .map_or("", |(word, _)| word)
    }
}

impl TryFrom<String> for RelabelAction {
    type Error = String;

    /// In any case of letters, as Prometheus reads it.
    fn try_from(text: String) -> Result<Self, String> {
        let lower = text.to_lowercase();
        let known = Self::ALL.iter().find(|(word, _)| *word == lower);
        known.map(|(_, action)| *action).ok_or_else(|| {
            let words = Self::ALL.map(|(word, _)| word);
            format!(
                "there is no action \"{text}\"; the actions are {}",
                words.join(", ")
            )
        })
    }
}

/// One rule with the keys, defaults and meaning of Prometheus' `metric_relabel_configs`, so that
/// rules can be moved from there to here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relabel {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_labels: Option<Vec<String>>,
    /// `;` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// `(.*)` when absent; it must match the whole text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modulus: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_label: Option<String>,
    /// `$1` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    #[serde(default)]
    pub action: RelabelAction,
}

impl Relabel {
    pub const SEPARATOR: &'static str = ";";
    pub const REGEX: &'static str = "(.*)";
    pub const REPLACEMENT: &'static str = "$1";

    pub fn sources(&self) -> &[String] {
        self.source_labels.as_deref().unwrap_or_default()
    }

    pub fn separator(&self) -> &str {
        self.separator.as_deref().unwrap_or(Self::SEPARATOR)
    }

    pub fn regex(&self) -> &str {
        self.regex.as_deref().unwrap_or(Self::REGEX)
    }

    pub fn target(&self) -> &str {
        self.target_label.as_deref().unwrap_or_default()
    }

    pub fn replacement(&self) -> &str {
        self.replacement.as_deref().unwrap_or(Self::REPLACEMENT)
    }

    /// What is wrong with the rule by itself, as key and message. Patterns are compiled elsewhere.
    pub fn wrong(&self) -> Vec<(&'static str, String)> {
        use RelabelAction as A;
        let action = self.action.word();
        let mut found = Vec::new();
        let has_target = !matches!(
            self.action,
            A::Keep | A::Drop | A::LabelMap | A::LabelDrop | A::LabelKeep
        );
        if has_target && self.target().is_empty() {
            let message = format!("{action} needs the label that it sets or compares");
            found.push(("target_label", message));
        }
        if self.action == A::HashMod && self.modulus.unwrap_or(0) == 0 {
            let message = "hashmod needs a number above 0 to divide by".to_owned();
            found.push(("modulus", message));
        }
        if self.action == A::LabelMap && self.replacement().is_empty() {
            let message = "labelmap needs the name to give the label, such as \"app_$1\"";
            found.push(("replacement", message.to_owned()));
        }
        let only = |allowed: &str| format!("{action} has only {allowed}; remove it");
        let mut unused = |key: &'static str, given: bool, allowed: &str| {
            if given {
                found.push((key, only(allowed)));
            }
        };
        let other_replacement = self.replacement() != Self::REPLACEMENT;
        match self.action {
            A::KeepEqual | A::DropEqual => {
                let allowed = "source_labels and target_label";
                unused("regex", self.regex() != Self::REGEX, allowed);
                unused("modulus", self.modulus.unwrap_or(0) != 0, allowed);
                unused("separator", self.separator() != Self::SEPARATOR, allowed);
                unused("replacement", other_replacement, allowed);
            }
            A::LabelDrop | A::LabelKeep => {
                unused("source_labels", self.source_labels.is_some(), "regex");
                unused("target_label", !self.target().is_empty(), "regex");
                unused("modulus", self.modulus.unwrap_or(0) != 0, "regex");
                unused("separator", self.separator() != Self::SEPARATOR, "regex");
                unused("replacement", other_replacement, "regex");
            }
            A::Lowercase | A::Uppercase => {
                unused(
                    "replacement",
                    other_replacement,
                    "source_labels, separator and target_label",
                );
            }
            _ => {}
        }
        found
    }
}

impl Application {
    /// A page of which nothing is cut but by the usual budget.
    pub fn new(url: String, timeout_ms: u64) -> Self {
        Self {
            url,
            timeout_ms,
            team: None,
            relabel: Vec::new(),
            series_limit: None,
            label_limits: BTreeMap::new(),
        }
    }

    pub fn series_limit(&self) -> u64 {
        self.series_limit.unwrap_or(SERIES_LIMIT)
    }

    /// What is wrong with relabelling and budgets of this application.
    pub fn scrape_problems(&self, name: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        let at = format!("applications.{name}");
        rules(&at, &self.relabel, &mut found);
        if let Some(limit) = self.series_limit
            && !(1..=MOST_SERIES).contains(&limit)
        {
            found.push(Problem::new(
                format!("applications.{name}.seriesLimit"),
                format!("{limit} is out of range; give series from 1 to {MOST_SERIES}"),
            ));
        }
        labels(&at, &self.label_limits, &mut found);
        if self.team.as_deref().is_some_and(str::is_empty) {
            found.push(Problem::new(
                format!("applications.{name}.team"),
                "a team without a name; give its name or leave the key out",
            ));
        }
        found
    }
}

impl AgentConfig {
    /// Series that each team's applications may have together.
    pub fn team_series(&self) -> u64 {
        let given = self.budgets.as_ref().and_then(|b| b.per_team.series);
        given.unwrap_or(TEAM_SERIES_LIMIT)
    }
}

/// Why the values of a label cannot be limited, if they cannot.
pub fn unlimited_label(label: &str) -> Option<String> {
    match label {
        "le" | "quantile" => Some(format!(
            "values of \"{label}\" are parts of one histogram or summary, which is kept or cut \
             whole; limit another label"
        )),
        "" => Some("a label without a name; give its name".to_owned()),
        _ => None,
    }
}

/// What is wrong with rules and limits of labels that stand at `at`.
pub(super) fn check_rules(
    at: &str,
    relabel: &[Relabel],
    limits: &BTreeMap<String, u64>,
    found: &mut Vec<Problem>,
) {
    rules(at, relabel, found);
    labels(at, limits, found);
}

fn rules(at: &str, relabel: &[Relabel], found: &mut Vec<Problem>) {
    for (index, rule) in relabel.iter().enumerate() {
        for (key, message) in rule.wrong() {
            found.push(Problem::new(format!("{at}.relabel.{index}.{key}"), message));
        }
    }
}

fn labels(at: &str, limits: &BTreeMap<String, u64>, found: &mut Vec<Problem>) {
    for (label, limit) in limits {
        let path = format!("{at}.labelLimits.{label}");
        if let Some(message) = unlimited_label(label) {
            found.push(Problem::new(&path, message));
        }
        if !(1..=MOST_SERIES).contains(limit) {
            found.push(Problem::new(
                &path,
                format!("{limit} is out of range; give values from 1 to {MOST_SERIES}"),
            ));
        }
    }
}

/// Problems of `budgets:` and of every application's relabelling and budgets.
pub(super) fn check(config: &AgentConfig, found: &mut Vec<Problem>) {
    for (name, application) in &config.applications {
        found.extend(application.scrape_problems(name));
    }
    let series = config.budgets.as_ref().and_then(|b| b.per_team.series);
    if let Some(series) = series
        && !(1..=MOST_TEAM_SERIES).contains(&series)
    {
        found.push(Problem::new(
            "budgets.perTeam.series",
            format!("{series} is out of range; give series from 1 to {MOST_TEAM_SERIES}"),
        ));
    }
    if let Some(budget) = config.log_budget() {
        super::log_budget::check(budget, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(yaml: &str) -> Vec<&'static str> {
        let rule: Relabel = serde_yaml::from_str(yaml).unwrap();
        rule.wrong().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn rules_are_judged_as_prometheus_judges_them() {
        assert_eq!(wrong("{}"), ["target_label"]);
        assert_eq!(wrong("{target_label: a}"), [""; 0]);
        assert_eq!(wrong("{action: Drop, regex: x}"), [""; 0]);
        assert_eq!(wrong("{action: lowercase}"), ["target_label"]);
        assert_eq!(wrong("{action: hashmod, target_label: a}"), ["modulus"]);
        assert_eq!(
            wrong("{action: labelmap, replacement: ''}"),
            ["replacement"]
        );
        assert_eq!(
            wrong("{action: uppercase, target_label: a, replacement: b}"),
            ["replacement"]
        );
        assert_eq!(
            wrong("{action: keepequal, target_label: a, regex: b, separator: ','}"),
            ["regex", "separator"]
        );
        assert_eq!(
            wrong("{action: labeldrop, source_labels: [], target_label: b}"),
            ["source_labels", "target_label"]
        );
        assert_eq!(wrong("{action: labelkeep, regex: b}"), [""; 0]);
    }

    #[test]
    fn an_unknown_action_is_told_with_the_known_ones() {
        let error = serde_yaml::from_str::<Relabel>("{action: remove}").unwrap_err();
        assert!(error.to_string().contains("labeldrop"), "{error}");
    }

    #[test]
    fn budgets_have_ranges() {
        let config: AgentConfig = serde_yaml::from_str(
            "{version: 2, listen: '127.0.0.1:1', budgets: {perTeam: {series: 0}}, applications: \
             {a: {url: 'http://h/', team: '', seriesLimit: 0, labelLimits: {le: 5, route: 0}, \
             relabel: [{action: keep}, {}]}}}",
        )
        .unwrap();
        let paths: Vec<_> = config.problems().into_iter().map(|p| p.path).collect();
        assert_eq!(
            paths,
            [
                "applications.a.relabel.1.target_label",
                "applications.a.seriesLimit",
                "applications.a.labelLimits.le",
                "applications.a.labelLimits.route",
                "applications.a.team",
                "budgets.perTeam.series",
            ]
        );
    }
}
