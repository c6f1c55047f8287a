//! Applies rules and budgets to a page without converting it: what is kept is copied byte for byte,
//! exemplars, time stamps and native histograms included. A page of which nothing is changed is not
//! written again at all.

use std::hash::{BuildHasher as _, RandomState};

use kai_contract::agent_config::MOST_SERIES;

use super::budget::{Budgets, ByHash, Group, Groups, Limits};
use super::relabel::Rules;
use crate::samples::{Format, Kind, ReadError};

mod protobuf;
mod text;

/// What is done to one application's pages.
pub struct Filter<'a> {
    pub app: &'a str,
    pub rules: &'a Rules,
    pub limits: &'a Limits,
    pub budgets: &'a Budgets,
    pub hasher: &'a RandomState,
}

/// Why a page was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("it has more than {MOST_SERIES} series")]
    TooManySeries,
    #[error("relabelling took the name of {0}")]
    NoName(String),
}

impl Filter<'_> {
    /// The page as it is handed on; `None` if that is as it came.
    pub fn apply(&self, format: Format, body: &[u8]) -> Result<Option<Vec<u8>>, FilterError> {
        match format {
            Format::Text | Format::OpenMetrics => text::apply(self, format, body),
            Format::Protobuf => protobuf::apply(self, body),
        }
    }

    fn collector(&self) -> Collector<'_> {
        Collector {
            limits: self.limits,
            hasher: self.hasher,
            groups: Groups::default(),
            by_key: ByHash::default(),
            series: 0,
            dropped: 0,
        }
    }
}

/// Puts a page's series into groups.
struct Collector<'a> {
    limits: &'a Limits,
    hasher: &'a RandomState,
    groups: Groups,
    by_key: ByHash<u32>,
    series: u64,
    /// By rules.
    dropped: u64,
}

impl Collector<'_> {
    /// Hash of a family that does not depend on the format that it was written in: OpenMetrics
    /// names a counter without its `_total`.
    fn family(&self, name: &str, kind: Kind) -> u64 {
        let name = match kind {
            Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        self.hasher.hash_one(name)
    }

    /// The group of `series` more series; labels that tell its parts apart are not among `labels`.
    fn add<'l>(
        &mut self,
        family: u64,
        labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
        series: u32,
    ) -> u32 {
        // A sum, so that the order of labels does not matter.
        let mut key = family;
        for label in labels.clone().filter(|(_, value)| !value.is_empty()) {
            key = key.wrapping_add(self.hasher.hash_one(label));
        }
        self.series += u64::from(series);
        // The series of a histogram follow each other.
        if let Some(last) = self.groups.groups.last_mut()
            && last.key == key
        {
            last.series += series;
            return (self.groups.groups.len() - 1) as u32;
        }
        if let Some(index) = self.by_key.get(&key) {
            self.groups.groups[*index as usize].series += series;
            return *index;
        }
        let start = self.groups.values.len() as u32;
        for (index, (limited, _)) in self.limits.labels.iter().enumerate() {
            let found = labels.clone().find(|(name, _)| name == limited);
            if let Some((_, value)) = found.filter(|(_, value)| !value.is_empty()) {
                let value = self.hasher.hash_one(value);
                self.groups.values.push((index as u16, value));
            }
        }
        let index = self.groups.groups.len() as u32;
        self.by_key.insert(key, index);
        self.groups.groups.push(Group {
            key,
            series,
            values: start..self.groups.values.len() as u32,
            cut: None,
        });
        index
    }

    fn is_too_much(&self) -> bool {
        self.series + self.dropped > MOST_SERIES
    }

    /// Whether each group is kept.
    fn judge(mut self, filter: &Filter<'_>) -> Groups {
        filter
            .budgets
            .admit(filter.app, filter.limits, &mut self.groups, self.dropped);
        self.groups
    }
}

/// The family that a series belongs to after relabelling gave it a new name: what it had after its
/// family's name (`_bucket`, `_sum`) it has to have still; otherwise it is a family of its own.
fn renamed<'n>(family: &str, before: &str, now: &'n str) -> (&'n str, bool) {
    match before.strip_prefix(family) {
        Some(suffix) => match now.strip_suffix(suffix) {
            Some(name) if !name.is_empty() => (name, true),
            _ => (now, false),
        },
        None => (now, false),
    }
}

#[cfg(test)]
mod tests;
