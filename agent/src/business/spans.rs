//! Spans as events. A span is counted when the trace lane has taken it over, once: a request that
//! its sender repeats, because an answer got lost, is known by the ids of its spans for a while.

use std::collections::{HashSet, VecDeque};

use kai_contract::expression::Scalar;

use super::figures::{Figures, From};
use super::rules::RuleSet;
use crate::traces::view::{Held, View};

/// Spans counted that are remembered.
const REMEMBERED: usize = 1 << 14;

/// Ids of the spans that were counted last.
#[derive(Debug, Default)]
pub struct Recent {
    known: HashSet<u64>,
    order: VecDeque<u64>,
    pub repeated: u64,
}

impl Recent {
    /// Whether it is new.
    fn take(&mut self, id: u64) -> bool {
        if !self.known.insert(id) {
            self.repeated += 1;
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// A span that rules apply to: which set, which of its rules, and its fields.
struct Hit {
    service: String,
    id: u64,
    /// Whether of the rules for everybody's spans.
    common: bool,
    rule: usize,
    fields: Vec<Option<Held>>,
}

/// The spans of a request that count, until it is known whether the lane takes it over.
#[derive(Default)]
pub struct Hits(Vec<Hit>);

impl Hits {
    /// Looks through a request that was checked already.
    pub fn of(figures: &Figures, request: &[u8]) -> Self {
        let mut out = Self::default();
        let rules = figures.rules();
        if rules.spans.is_empty() {
            return out;
        }
        crate::traces::view::each(request, |span| {
            let service = span.service();
            for (common, name) in [(true, ""), (false, service)] {
                if let Some(set) = rules.spans.get(name)
                    && (common || !name.is_empty())
                {
                    out.look(set, span, service, common);
                }
            }
        });
        out
    }

    fn look(&mut self, set: &RuleSet, span: &View<'_>, service: &str, common: bool) {
        let mut fields: Vec<Option<Held>> = Vec::new();
        for (index, rule) in set.rules.iter().enumerate() {
            if fields.is_empty() {
                fields.extend(set.fields.iter().map(|name| span.get(name)));
            }
            let get = |field: usize| fields.get(field)?.as_ref().map(Held::scalar);
            if rule.holds(&get) {
                self.0.push(Hit {
                    service: service.to_owned(),
                    id: span.id(),
                    common,
                    rule: index,
                    fields: fields.clone(),
                });
            }
        }
    }

    /// The lane has taken the request over.
    pub fn count(self, figures: &Figures) {
        if self.0.is_empty() {
            return;
        }
        let rules = figures.rules();
        figures.count(|inner| {
            let mut last: Option<(u64, bool)> = None;
            for hit in &self.0 {
                // One span may count for several rules.
                let is_new = match last {
                    Some((id, is_new)) if id == hit.id => is_new,
                    _ => inner.recent.take(hit.id),
                };
                last = Some((hit.id, is_new));
                let name = if hit.common { "" } else { hit.service.as_str() };
                let rule = rules
                    .spans
                    .get(name)
                    .and_then(|set| set.rules.get(hit.rule));
                if let Some(rule) = rule.filter(|_| is_new) {
                    let get = |field: usize| -> Option<Scalar<'_>> {
                        hit.fields.get(field)?.as_ref().map(Held::scalar)
                    };
                    inner.event(From::Span, rule, &hit.service, &get);
                }
            }
            true
        });
    }
}
