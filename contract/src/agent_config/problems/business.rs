//! What can be wrong with `business:`.

use std::collections::BTreeSet;

use super::Problem;
use crate::agent_config::{
    AgentConfig, Business, BusinessFigure, BusinessRule, RuleSource, nearest,
};
use crate::business::{MOST_LABELS, MOST_VALUES, judge_label, judge_name};
use crate::expression;

/// Fields that the rules on one service's lines look at: what the log lane can look for in a line
/// besides what it needs itself (`logs.sources.<name>.fields` count, too).
const MOST_FIELDS: usize = 48;
/// Series at most; a snapshot of more would take too long to write every second.
const MOST_SERIES: u32 = 100_000;

pub(super) fn check(config: &AgentConfig, found: &mut Vec<Problem>) {
    let Some(business) = &config.business else {
        return;
    };
    if config.state.is_none() {
        found.push(Problem::new(
            "business",
            "what was counted must outlive the agent; give it a folder as state",
        ));
    }
    if business.max_series == 0 || business.max_series > MOST_SERIES {
        found.push(Problem::new(
            "business.maxSeries",
            format!(
                "{} is out of range; give a number from 1 to {MOST_SERIES}",
                business.max_series
            ),
        ));
    }
    if business.start_at_zero_ms > 600_000 {
        found.push(Problem::new(
            "business.startAtZeroMs",
            format!(
                "{} is out of range; give milliseconds from 0 to 600000",
                business.start_at_zero_ms
            ),
        ));
    }
    for (name, figure) in &business.metrics {
        figure_is_whole(config, name, figure, found);
    }
    fields_fit(config, business, found);
}

fn figure_is_whole(
    config: &AgentConfig,
    name: &str,
    figure: &BusinessFigure,
    found: &mut Vec<Problem>,
) {
    let at = format!("business.metrics.{name}");
    if let Err(why) = judge_name(name) {
        found.push(Problem::new(&at, format!("\"{name}\" {why}")));
    }
    let stem = name.trim_end_matches("_total");
    if !figure.unit.is_empty() && !stem.ends_with(&format!("_{}", figure.unit)) {
        found.push(Problem::new(
            format!("{at}.unit"),
            format!(
                "with the unit \"{0}\" the name ends in _{0}_total; change one of them",
                figure.unit
            ),
        ));
    }
    if figure.labels.len() > MOST_LABELS {
        found.push(Problem::new(
            format!("{at}.labels"),
            format!("{} labels; at most {MOST_LABELS}", figure.labels.len()),
        ));
    }
    for (label, most) in &figure.labels {
        let at = format!("{at}.labels.{label}");
        if let Err(why) = judge_label(label) {
            found.push(Problem::new(&at, format!("\"{label}\" {why}")));
        }
        if !(1..=MOST_VALUES).contains(most) {
            found.push(Problem::new(
                &at,
                format!("{most} values; give a number from 1 to {MOST_VALUES}"),
            ));
        }
    }
    if figure.from.is_empty() {
        found.push(Problem::new(
            format!("{at}.from"),
            "it is counted from nothing; give a metric, a log or a span",
        ));
    }
    for (index, rule) in figure.from.iter().enumerate() {
        rule_is_whole(
            config,
            name,
            figure,
            rule,
            &format!("{at}.from.{index}"),
            found,
        );
    }
}

fn rule_is_whole(
    config: &AgentConfig,
    name: &str,
    figure: &BusinessFigure,
    rule: &BusinessRule,
    at: &str,
    found: &mut Vec<Problem>,
) {
    let mut wrong =
        |key: &str, message: String| found.push(Problem::new(format!("{at}.{key}"), message));
    match (rule.source, &rule.metric) {
        (RuleSource::Metric, None) => {
            wrong("metric", "which metric? give its name".to_owned());
        }
        (RuleSource::Metric, Some(metric)) if metric == name => wrong(
            "metric",
            format!(
                "{name} cannot be counted from itself: it would be there twice, on the service's \
                 own page and here"
            ),
        ),
        (RuleSource::Log | RuleSource::Span, Some(_)) => {
            wrong("metric", format!("a {} has no metric", rule.source.word()));
        }
        _ => {}
    }
    if let Some(text) = &rule.condition
        && let Err(error) = expression::parse(text)
    {
        wrong("where", error.shown(text));
    }
    if rule.source == RuleSource::Metric && rule.add.is_some() {
        wrong(
            "add",
            "a metric is counted by its own value; take it out".to_owned(),
        );
    }
    let declared: Vec<&str> = figure.labels.keys().map(String::as_str).collect();
    for label in rule.labels.keys() {
        if !figure.labels.contains_key(label) {
            let hint = nearest(label, &declared)
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            wrong(
                &format!("labels.{label}"),
                format!("{name} has no label \"{label}\"{hint}"),
            );
        }
    }
    if rule.source == RuleSource::Log {
        let sources = config.logs.as_ref().map(|logs| &logs.sources);
        match (&rule.service, sources) {
            (None, _) => wrong("service", "whose lines? give the log source".to_owned()),
            (Some(_), None) => wrong(
                "service",
                "no lines are read without a section logs".to_owned(),
            ),
            (Some(service), Some(sources)) if !sources.contains_key(service) => {
                let known: Vec<&str> = sources.keys().map(String::as_str).collect();
                let hint = nearest(service, &known).map_or_else(
                    || format!("the sources are {}", known.join(", ")),
                    |near| format!("did you mean \"{near}\"?"),
                );
                wrong(
                    "service",
                    format!("logs has no source \"{service}\"; {hint}"),
                );
            }
            _ => {}
        }
    }
    if rule.source == RuleSource::Span && config.traces.is_none() {
        wrong(
            "source",
            "no spans are taken without a section traces".to_owned(),
        );
    }
}

fn fields_fit(config: &AgentConfig, business: &Business, found: &mut Vec<Problem>) {
    let Some(logs) = &config.logs else { return };
    for (name, source) in &logs.sources {
        let fields: BTreeSet<String> = business
            .rules(RuleSource::Log)
            .filter(|(_, _, rule)| rule.service.as_ref() == Some(name))
            .flat_map(|(figure, _, rule)| rule.fields(&business.metrics[figure].labels))
            .collect();
        // One more is added by the agent, host.name, and what is looked for of a pod.
        let of_pods = if source.pods.is_some() { 5 } else { 0 };
        let added = source.fields.len() + 1 + of_pods;
        if !fields.is_empty() && fields.len() + added > MOST_FIELDS {
            found.push(Problem::new(
                "business.metrics",
                format!(
                    "the rules on lines of \"{name}\" look at {} fields, beside {added} that are \
                     added to each line; {MOST_FIELDS} in all are supported",
                    fields.len()
                ),
            ));
        }
    }
}
