//! Counters of the services' pages, followed: what each of their series grew by is added to the
//! figure that a rule makes of it.
//!
//! The last value of each series is part of the snapshot, so what it grew by while the agent was
//! away is counted when it is seen again. A restart of the service is noticed by a value that fell,
//! by the time at which the series began (`_created`), or by `process_start_time_seconds`. What a
//! series had when it was first seen counts if it began after the rule came into force; else it is
//! where counting begins.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kai_contract::expression::Scalar;
use sha2::{Digest, Sha256};

use super::figures::{Figures, From};
use super::record::{LastRecord, LinkRecord, Record, RuleRecord};
use super::rules::Rules;
use crate::samples::{Kind, Series, Target, Value};

/// Series of all services that are followed at most; about 10 MB.
const MOST_SERIES: usize = 100_000;
/// Start times of a process that differ by less, in seconds, are the same: the kernel's clock that
/// they are told by is adjusted.
const SAME_START: f64 = 2.0;
/// A target that was not seen for so long, in milliseconds, is forgotten.
const FORGOTTEN: i64 = 30 * 86_400_000;

const PROCESS_START: &str = "process_start_time_seconds";

#[derive(Debug, Clone, Copy, PartialEq)]
struct Last {
    value: f64,
    created: Option<i64>,
}

/// What one rule last saw of one target.
#[derive(Debug, Default)]
struct Link {
    started: Option<f64>,
    seen: i64,
    series: HashMap<u128, Last>,
}

/// What the rules on metrics remember.
#[derive(Debug, Default)]
pub struct Links {
    /// When each rule came into force.
    began: BTreeMap<u64, i64>,
    all: BTreeMap<(u64, String), Link>,
    pub resets: u64,
    /// Series beyond [`MOST_SERIES`], values that no counter has, series that are no counters.
    pub crowded: u64,
    pub bad: u64,
    pub no_counter: u64,
    /// Pages that could not be read.
    pub unreadable: u64,
}

/// A series that a rule looks at.
struct Found {
    hash: u128,
    value: f64,
    created: Option<i64>,
    /// By the rule's fields.
    fields: Vec<Option<Vec<u8>>>,
}

/// A page on which rules look for their series.
pub struct Look<'a> {
    rules: &'a Rules,
    service: &'a str,
    started: Option<f64>,
    found: Vec<(&'a super::rules::MetricRule, Found)>,
    no_counter: u64,
}

impl<'a> Look<'a> {
    /// `service`: whose page it is.
    pub fn new(rules: &'a Rules, service: &'a str) -> Self {
        Self {
            rules,
            service,
            started: None,
            found: Vec::new(),
            no_counter: 0,
        }
    }

    /// Takes note of a series if a rule wants it.
    pub fn series(&mut self, series: &Series<'_>) {
        let Value::Number(value) = series.value else {
            return;
        };
        if series.name == PROCESS_START && series.labels.is_empty() {
            self.started = Some(value);
        }
        let Some(rules) = self.rules.metrics.get(series.name.as_ref()) else {
            return;
        };
        let grows = match series.family.kind {
            Kind::Counter | Kind::Unknown => true,
            Kind::Histogram | Kind::Summary => {
                series.name.ends_with("_count") || series.name.ends_with("_sum")
            }
            _ => false,
        };
        if !grows {
            self.no_counter += 1;
            return;
        }
        for rule in rules {
            if rule
                .service
                .as_deref()
                .is_some_and(|name| name != self.service)
            {
                continue;
            }
            let get = |field: usize| {
                let name = rule.set.fields.get(field)?;
                let label = series.labels.iter().find(|(label, _)| label == name)?;
                Some(Scalar::Text(label.1.as_bytes()))
            };
            if rule
                .set
                .rules
                .first()
                .is_some_and(|first| first.holds(&get))
            {
                let fields = (0..rule.set.fields.len())
                    .map(|field| Some(get(field)?.text()?.to_vec()))
                    .collect();
                let found = Found {
                    hash: hash(series),
                    value,
                    created: series.created,
                    fields,
                };
                self.found.push((rule, found));
            }
        }
    }

    /// Counts what the series grew by. `at`: milliseconds since 1970.
    pub fn count(self, figures: &Figures, target: &str, at: i64) {
        let Self {
            service,
            started,
            found,
            no_counter,
            ..
        } = self;
        if found.is_empty() && no_counter == 0 {
            return;
        }
        figures.count(|inner| {
            inner.links.no_counter += no_counter;
            let mut fresh: BTreeSet<u64> = BTreeSet::new();
            let mut any = false;
            for (metric, found) in found {
                let Some(rule) = metric.set.rules.first() else {
                    continue;
                };
                let began = inner.links.began.get(&rule.digest).copied().unwrap_or(at);
                let is_new = inner.links.meet(rule.digest, target, started, at);
                if is_new {
                    fresh.insert(rule.digest);
                }
                let born = found
                    .created
                    .or_else(|| started.map(|seconds| (seconds * 1e3) as i64));
                let in_full = !fresh.contains(&rule.digest) || born.is_some_and(|at| at >= began);
                let Some(grown) = inner.links.grown(rule.digest, target, &found, in_full) else {
                    continue;
                };
                any = true;
                let get = |field: usize| {
                    let bytes: &Option<Vec<u8>> = found.fields.get(field)?;
                    bytes.as_deref().map(Scalar::Text)
                };
                inner.add(From::Metric, rule, service, &get, grown);
            }
            any
        });
    }
}

impl Links {
    /// The target of a rule is seen; whether for the first time. A process that started anew has
    /// new counters.
    fn meet(&mut self, rule: u64, target: &str, started: Option<f64>, at: i64) -> bool {
        let key = (rule, target.to_owned());
        let Some(link) = self.all.get_mut(&key) else {
            self.all.insert(
                key,
                Link {
                    started,
                    seen: at,
                    series: HashMap::new(),
                },
            );
            return true;
        };
        if let (Some(before), Some(now)) = (link.started, started)
            && (now - before).abs() > SAME_START
        {
            self.resets += 1;
            link.series.clear();
        }
        link.started = started.or(link.started);
        link.seen = at;
        false
    }

    /// By how much a series grew; `None` if that cannot be told. `in_full`: what it has counts even
    /// if it was never seen before.
    fn grown(&mut self, rule: u64, target: &str, found: &Found, in_full: bool) -> Option<f64> {
        if !found.value.is_finite() || found.value < 0.0 {
            self.bad += 1;
            return None;
        }
        let count: usize = self.all.values().map(|link| link.series.len()).sum();
        let link = self.all.get_mut(&(rule, target.to_owned()))?;
        let now = Last {
            value: found.value,
            created: found.created,
        };
        let Some(last) = link.series.get_mut(&found.hash) else {
            if count >= MOST_SERIES {
                self.crowded += 1;
                return None;
            }
            link.series.insert(found.hash, now);
            return Some(if in_full { found.value } else { 0.0 });
        };
        let began_anew = matches!(
            (last.created, now.created), (Some(before), Some(now)) if now > before
        );
        let reset = now.value < last.value || began_anew;
        let grown = if reset {
            self.resets += 1;
            now.value
        } else {
            now.value - last.value
        };
        *last = now;
        Some(grown)
    }

    /// Keeps what the rules in force need.
    pub fn keep(&mut self, rules: &Rules, now: i64) {
        let digests: BTreeSet<u64> = rules
            .metrics
            .values()
            .flatten()
            .flat_map(|rule| &rule.set.rules)
            .map(|rule| rule.digest)
            .collect();
        self.began.retain(|digest, _| digests.contains(digest));
        for digest in &digests {
            self.began.entry(*digest).or_insert(now);
        }
        self.all
            .retain(|(digest, _), link| digests.contains(digest) && now - link.seen < FORGOTTEN);
    }

    pub fn series(&self) -> usize {
        self.all.values().map(|link| link.series.len()).sum()
    }

    pub fn of(record: &Record) -> Self {
        let mut out = Self::default();
        for row in &record.rules {
            out.began.insert(row.rule, row.began);
        }
        for row in &record.links {
            let series = row
                .series
                .iter()
                .filter_map(|LastRecord(hash, value, created)| {
                    let last = Last {
                        value: *value,
                        created: *created,
                    };
                    Some((u128::from_str_radix(hash, 16).ok()?, last))
                });
            let link = Link {
                started: row.started,
                seen: row.seen,
                series: series.collect(),
            };
            out.all.insert((row.rule, row.target.clone()), link);
        }
        out
    }

    pub fn record(&self, record: &mut Record) {
        for (rule, began) in &self.began {
            record.rules.push(RuleRecord {
                rule: *rule,
                began: *began,
            });
        }
        for ((rule, target), link) in &self.all {
            let series = link
                .series
                .iter()
                .map(|(hash, last)| LastRecord(format!("{hash:032x}"), last.value, last.created));
            record.links.push(LinkRecord {
                rule: *rule,
                target: target.clone(),
                started: link.started,
                seen: link.seen,
                series: series.collect(),
            });
        }
    }
}

/// Names a series of a page over restarts.
fn hash(series: &Series<'_>) -> u128 {
    let mut hash = Sha256::new();
    hash.update(series.name.as_bytes());
    // In whatever order a page has them.
    let mut labels: Vec<_> = series.labels.iter().collect();
    labels.sort();
    for (name, value) in labels {
        for text in [name, value] {
            hash.update([0xff]);
            hash.update(text.as_bytes());
        }
    }
    let bytes = hash.finalize();
    bytes
        .iter()
        .take(16)
        .fold(0, |value, byte| (value << 8) | u128::from(*byte))
}

/// The service that a target's series belong to.
pub fn service_of(target: &Target) -> &str {
    target
        .labels
        .iter()
        .find(|(name, _)| name == "service")
        .map_or(target.name.as_str(), |(_, value)| value)
}

#[cfg(test)]
mod tests;
