//! The rules of a configuration, made ready: conditions read, fields numbered, so that nothing is
//! looked up by name when a line, a span or a page is judged.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kai_contract::agent_config::{Business, BusinessRule, RuleSource};
use kai_contract::expression::{self, Expression, Scalar};
use sha2::{Digest, Sha256};

/// Names a counter while the agent runs, over changes of the configuration.
pub type CounterId = u32;

/// One rule of a counter.
#[derive(Debug)]
pub struct Rule {
    pub counter: CounterId,
    /// The counter's name, for what is said.
    pub name: Arc<str>,
    pub condition: Option<Expression>,
    /// Field whose number is added.
    pub add: Option<usize>,
    /// Fields of the labels, in the order of the counter's labels.
    pub labels: Vec<usize>,
    /// Tells this rule from an earlier one with another condition or other labels.
    pub digest: u64,
}

impl Rule {
    pub fn holds<'a>(&self, get: &impl Fn(usize) -> Option<Scalar<'a>>) -> bool {
        self.condition
            .as_ref()
            .is_none_or(|condition| condition.holds(get))
    }
}

/// Rules that are asked together, and the fields that they look at.
#[derive(Debug, Default)]
pub struct RuleSet {
    pub rules: Vec<Rule>,
    pub fields: Vec<String>,
}

impl RuleSet {
    fn field(&mut self, name: &str) -> usize {
        if let Some(index) = self.fields.iter().position(|known| known == name) {
            return index;
        }
        self.fields.push(name.to_owned());
        self.fields.len() - 1
    }

    fn add(&mut self, business: &Business, counter: CounterId, name: &str, index: usize) {
        let figure = &business.metrics[name];
        let rule = &figure.from[index];
        // Judged with the configuration; what cannot be read never counts.
        let condition = match rule.condition.as_deref().map(expression::parse) {
            None => None,
            Some(Ok(condition)) => Some(condition),
            Some(Err(_)) => return,
        };
        let condition = condition.map(|condition| {
            let fields: Vec<usize> = condition
                .fields()
                .iter()
                .map(|field| self.field(field))
                .collect();
            condition.renumbered(|index| fields[index])
        });
        let add = rule.add.as_deref().map(|field| self.field(field));
        let labels = figure
            .labels
            .keys()
            .map(|label| self.field(rule.field_of(label)))
            .collect();
        self.rules.push(Rule {
            counter,
            name: name.into(),
            condition,
            add,
            labels,
            digest: digest(name, rule),
        });
    }
}

/// All rules of a configuration.
#[derive(Debug, Default)]
pub struct Rules {
    /// By log source.
    pub logs: HashMap<String, Arc<RuleSet>>,
    /// By service; those of no service in particular under the empty name.
    pub spans: BTreeMap<String, RuleSet>,
    /// By the name that a page gives the series.
    pub metrics: HashMap<String, Vec<MetricRule>>,
}

/// A rule on one counter of the services' pages; its fields are labels.
#[derive(Debug)]
pub struct MetricRule {
    pub service: Option<String>,
    pub set: RuleSet,
}

impl Rules {
    pub fn new(business: &Business, id: impl Fn(&str) -> CounterId) -> Self {
        let mut out = Self::default();
        let mut logs: HashMap<String, RuleSet> = HashMap::new();
        for (name, index, rule) in business.rules(RuleSource::Log) {
            let service = rule.service.clone().unwrap_or_default();
            let set = logs.entry(service).or_default();
            set.add(business, id(name), name, index);
        }
        out.logs = logs
            .into_iter()
            .map(|(service, set)| (service, Arc::new(set)))
            .collect();
        for (name, index, rule) in business.rules(RuleSource::Span) {
            let service = rule.service.clone().unwrap_or_default();
            let set = out.spans.entry(service).or_default();
            set.add(business, id(name), name, index);
        }
        for (name, index, rule) in business.rules(RuleSource::Metric) {
            let mut set = RuleSet::default();
            set.add(business, id(name), name, index);
            let metric = rule.metric.clone().unwrap_or_default();
            out.metrics.entry(metric).or_default().push(MetricRule {
                service: rule.service.clone(),
                set,
            });
        }
        out
    }
}

/// Fifty-three bits, so that JSON's numbers hold it everywhere.
fn digest(name: &str, rule: &BusinessRule) -> u64 {
    let mut hash = Sha256::new();
    let labels = rule.labels.iter().flat_map(|(a, b)| [a, b]);
    let parts = [
        Some(name),
        Some(rule.source.word()),
        rule.metric.as_deref(),
        rule.service.as_deref(),
        rule.condition.as_deref(),
        rule.add.as_deref(),
    ];
    for part in parts
        .into_iter()
        .chain(labels.map(|text| Some(text.as_str())))
    {
        hash.update(part.unwrap_or_default());
        hash.update([0]);
    }
    let bytes = hash.finalize();
    bytes
        .iter()
        .take(7)
        .fold(0, |value, byte| (value << 8) | u64::from(*byte))
        >> 3
}
