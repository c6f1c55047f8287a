//! `metrics`: the platform's own figures.

use std::collections::BTreeMap;

use kai_contract::agent_config::{BusinessRule, RuleSource};

use crate::model::BusinessFigure;
use crate::spec::view::View;

pub(super) fn metrics(spec: View<'_>) -> BTreeMap<String, BusinessFigure> {
    let figure = |(name, view): (&str, View<'_>)| {
        let labels = view.text_map("labels").into_iter();
        let figure = BusinessFigure {
            help: view.text("help").unwrap_or_default(),
            unit: view.text("unit").unwrap_or_default(),
            labels: labels
                .map(|(label, most)| (label, most.parse().unwrap_or(1)))
                .collect(),
            from: sources(view.child("from")),
        };
        (name.to_owned(), figure)
    };
    spec.children("metrics").into_iter().map(figure).collect()
}

fn sources(from: View<'_>) -> Vec<BusinessRule> {
    let rule = |view: View<'_>, source: RuleSource| BusinessRule {
        source,
        metric: None,
        service: view.text("service"),
        condition: view.text("where"),
        add: None,
        labels: view.text_map("labels"),
    };
    let mut out = Vec::new();
    if let Some(metric) = from.text("metric") {
        out.push(BusinessRule {
            metric: Some(metric),
            ..rule(from, RuleSource::Metric)
        });
    }
    for (key, source) in [("log", RuleSource::Log), ("span", RuleSource::Span)] {
        if from.given(key).is_some() {
            let view = from.child(key);
            out.push(BusinessRule {
                add: view.text("add"),
                ..rule(view, source)
            });
        }
    }
    out
}
