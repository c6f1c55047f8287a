//! What outlives a run and what outlives a configuration: counters taken over, written down and shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use kai_contract::agent_config::Business;
use kai_contract::business::OTHER;

use super::{BETWEEN, Counter, Exported, FORGOTTEN_AFTER, FileEntry, Inner, Meta, Shown, Sum};
use crate::business::follow::Links;
use crate::business::record::{CounterRecord, FileRecord, Record, SeriesRecord};
use crate::business::rules::CounterId;
use crate::logs::id::Epoch;

impl Inner {
    /// Takes the counters of a configuration; those that it does not have are forgotten.
    pub(super) fn follow(&mut self, business: &Business) {
        self.max_series = business.max_series as usize;
        let mut before = std::mem::take(&mut self.counters);
        for (name, figure) in &business.metrics {
            let labels: Vec<(String, u32)> = figure
                .labels
                .iter()
                .map(|(label, most)| (label.clone(), *most))
                .collect();
            let builtin = kai_contract::business::figure(name);
            let meta = Meta {
                name: name.clone(),
                help: if figure.help.is_empty() {
                    builtin.map_or_else(|| format!("Declared as {name}"), |f| f.help.to_owned())
                } else {
                    figure.help.trim_end_matches('.').to_owned()
                },
                unit: figure.unit.clone(),
                labels,
            };
            let names = |meta: &Meta| -> Vec<String> {
                meta.labels.iter().map(|(label, _)| label.clone()).collect()
            };
            let same = before
                .iter()
                .find(|(_, old)| old.meta.name == *name && names(&old.meta) == names(&meta))
                .map(|(id, _)| *id);
            let meta = Arc::new(meta);
            match same.and_then(|id| Some((id, before.remove(&id)?))) {
                Some((id, mut counter)) => {
                    counter.meta = meta;
                    self.counters.insert(id, counter);
                }
                None => {
                    let counter = Counter::new(meta);
                    self.counters.insert(self.next, counter);
                    self.next += 1;
                }
            }
        }
        self.series = self.counters.values().map(|c| c.series.len()).sum();
    }

    /// What has no labels, and one service, is there from the start.
    pub(super) fn begin(&mut self, business: &Business) {
        for (name, figure) in business.metrics.iter().filter(|(_, f)| f.labels.is_empty()) {
            let id = self.id(name);
            let Some(counter) = self.counters.get_mut(&id) else {
                continue;
            };
            for service in figure.from.iter().filter_map(|rule| rule.service.as_ref()) {
                if !counter.series.contains_key(service.as_bytes()) {
                    counter
                        .series
                        .insert(service.as_bytes().into(), Sum::new(0.0));
                    self.series += 1;
                }
            }
        }
    }

    pub(super) fn take_over(&mut self, record: &Record) {
        *self = Self::default();
        for row in &record.counters {
            let labels = row.labels.iter().map(|label| (label.clone(), 0)).collect();
            let meta = Arc::new(Meta {
                name: row.name.clone(),
                help: String::new(),
                unit: String::new(),
                labels,
            });
            self.counters.insert(self.next, Counter::new(meta));
            self.next += 1;
        }
        for row in &record.series {
            let Some(counter) = self.counters.get_mut(&(row.counter as CounterId)) else {
                continue;
            };
            let mut key = Vec::new();
            for (index, value) in row.values.iter().enumerate() {
                if index > 0 {
                    key.push(BETWEEN);
                    if !value.is_empty()
                        && value != OTHER
                        && let Some(kept) = counter.kept.get_mut(index - 1)
                    {
                        kept.insert(value.as_bytes().into());
                    }
                }
                key.extend_from_slice(value.as_bytes());
            }
            let sum = Sum {
                value: row.value,
                created: row.created,
                born: None,
            };
            counter.series.insert(key.into(), sum);
        }
        for row in &record.files {
            let epochs = row.epochs.iter().filter_map(|text| Epoch::parse(text));
            let entry = FileEntry {
                epochs: epochs.collect(),
                counted: row.counted,
                missing: 0,
            };
            self.files.insert(self.next_file, entry);
            self.next_file += 1;
        }
        self.links = Links::of(record);
    }

    pub(super) fn forget_files(&mut self, live: &BTreeSet<String>) {
        self.files.retain(|_, file| {
            let known = file
                .epochs
                .iter()
                .any(|epoch| live.contains(&epoch.to_string()));
            file.missing = if known { 0 } else { file.missing + 1 };
            file.missing < FORGOTTEN_AFTER
        });
    }

    pub(super) fn record(&self, now: i64) -> Record {
        let mut record = Record {
            written: now,
            ..Record::default()
        };
        for (index, counter) in self.counters.values().enumerate() {
            let names = counter.meta.labels.iter().map(|(label, _)| label.clone());
            record.counters.push(CounterRecord {
                name: counter.meta.name.clone(),
                labels: names.collect(),
            });
            for (key, sum) in &counter.series {
                let values = key.split(|byte| *byte == BETWEEN);
                record.series.push(SeriesRecord {
                    counter: index,
                    values: values
                        .map(|value| String::from_utf8_lossy(value).into_owned())
                        .collect(),
                    value: sum.value,
                    created: sum.created,
                });
            }
        }
        for file in self.files.values() {
            record.files.push(FileRecord {
                epochs: file.epochs.iter().map(ToString::to_string).collect(),
                counted: file.counted,
            });
        }
        self.links.record(&mut record);
        record
    }

    pub(super) fn exported(&self, business: &Business, written: i64) -> Exported {
        let counters = self.counters.values().map(|counter| {
            let mut series: Vec<Shown> = counter
                .series
                .iter()
                .map(|(key, sum)| Shown {
                    key: Arc::clone(key),
                    value: sum.value,
                    created: sum.created,
                    born: sum.born,
                })
                .collect();
            series.sort_by(|a, b| a.key.cmp(&b.key));
            (Arc::clone(&counter.meta), series)
        });
        let mut counters: Vec<_> = counters.collect();
        counters.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        Exported {
            written,
            counters,
            teams: business.teams.clone(),
            start_at_zero_ms: business.start_at_zero_ms,
        }
    }
}
