//! The protobuf format: messages are copied as bytes; of those that relabelling changes, only the
//! fields that it changes are written again.

use std::ops::Range;

use super::{Collector, Filter, FilterError, renamed};
use crate::exposition::float;
use crate::samples::protobuf::{Family, Metric, Value, families};
use crate::scrape::relabel::{Labels, NAME};

mod wire;

use wire::{field, fields, put_bytes, put_double, put_text};

/// `UNTYPED` of the enumeration of types.
const UNTYPED: u64 = 3;

/// A family as it was read.
struct Read {
    /// Its message.
    message: Range<usize>,
    /// The message with its length.
    whole: Range<usize>,
    metrics: Vec<Kept>,
    /// Metrics that rules dropped.
    dropped: bool,
}

/// A metric that rules kept.
struct Kept {
    /// Its field, in the page or among the edits.
    range: Range<usize>,
    edited: bool,
    group: u32,
    /// The family that it belongs to now, if it is another one; without a type if it is a part of
    /// what was one metric.
    family: Option<(String, bool)>,
}

struct Reader<'f, 'a> {
    filter: &'f Filter<'a>,
    page: &'f [u8],
    collector: Collector<'f>,
    edits: Vec<u8>,
    families: Vec<Read>,
    error: Option<FilterError>,
}

pub(super) fn apply(filter: &Filter<'_>, page: &[u8]) -> Result<Option<Vec<u8>>, FilterError> {
    let mut reader = Reader {
        filter,
        page,
        collector: filter.collector(),
        edits: Vec::new(),
        families: Vec::new(),
        error: None,
    };
    families(page, &mut |family, metrics| {
        if reader.error.is_none() {
            reader.family(family, metrics);
        }
    })?;
    reader.finish()
}

/// One of the series that Prometheus makes of a histogram or summary.
struct Part {
    suffix: &'static str,
    /// `le` or `quantile`.
    extra: Option<(&'static str, String)>,
    /// Which bucket or quantile.
    index: Option<usize>,
    value: f64,
}

/// A series after relabelling.
struct After {
    family: String,
    /// Whether the name still has its suffix.
    whole: bool,
    name: String,
    labels: Vec<(String, String)>,
    changed: bool,
}

impl Reader<'_, '_> {
    fn family(&mut self, family: &Family<'_>, metrics: &[Metric<'_>]) {
        self.families.push(Read {
            message: family.message.clone(),
            whole: family.range.clone(),
            metrics: Vec::with_capacity(metrics.len()),
            dropped: false,
        });
        let key = self.collector.family(family.name, family.kind);
        for metric in metrics {
            if self.filter.rules.is_empty() {
                let labels = metric.labels.iter().copied();
                let group = self.collector.add(key, labels, metric.series() as u32);
                self.keep(metric.range.clone(), false, group, None);
            } else if let Value::Number { .. } = &metric.value {
                self.number(family, metric);
            } else {
                self.distribution(family, metric);
            }
            if self.collector.is_too_much() {
                self.error = Some(FilterError::TooManySeries);
            }
            if self.error.is_some() {
                return;
            }
        }
    }

    fn keep(
        &mut self,
        range: Range<usize>,
        edited: bool,
        group: u32,
        family: Option<(String, bool)>,
    ) {
        if let Some(read) = self.families.last_mut() {
            read.metrics.push(Kept {
                range,
                edited,
                group,
                family,
            });
        }
    }

    fn dropped(&mut self, series: usize) {
        self.collector.dropped += series as u64;
        if let Some(read) = self.families.last_mut() {
            read.dropped = true;
        }
    }

    /// Rules applied to one series; `None` if they drop it.
    fn relabel(
        &mut self,
        family: &str,
        suffix: &str,
        labels: &[(&str, &str)],
        extra: Option<&(&'static str, String)>,
    ) -> Option<After> {
        let name = format!("{family}{suffix}");
        let extra = extra.map(|(name, value)| (*name, value.as_str()));
        let all = labels.iter().copied().chain(extra);
        let mut after = Labels::new(std::iter::once((NAME, name.as_str())).chain(all));
        if !self.filter.rules.apply(&mut after) {
            return None;
        }
        let now = after.get(NAME).to_owned();
        if now.is_empty() {
            self.error = Some(FilterError::NoName(name));
            return None;
        }
        let (new, whole) = renamed(family, &name, &now);
        Some(After {
            family: new.to_owned(),
            whole,
            labels: after
                .iter()
                .filter(|(name, _)| *name != NAME)
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            changed: after.changed(),
            name: now,
        })
    }

    fn number(&mut self, family: &Family<'_>, metric: &Metric<'_>) {
        let Some(after) = self.relabel(family.name, "", &metric.labels, None) else {
            self.dropped(1);
            return;
        };
        let key = self.collector.family(&after.family, family.kind);
        let group = self.collector.add(key, pairs(&after.labels), 1);
        if after.changed {
            self.edit(
                family,
                metric,
                &after.family,
                &after.labels,
                group,
                &|_| true,
                true,
            );
        } else {
            self.keep(metric.range.clone(), false, group, None);
        }
    }

    fn distribution(&mut self, family: &Family<'_>, metric: &Metric<'_>) {
        let parts = parts(metric);
        let results: Vec<Option<After>> = parts
            .iter()
            .map(|part| {
                self.relabel(
                    family.name,
                    part.suffix,
                    &metric.labels,
                    part.extra.as_ref(),
                )
            })
            .collect();
        let kept = results.iter().flatten().count();
        if kept == 0 {
            self.dropped(parts.len());
            return;
        }
        let is_native = matches!(&metric.value, Value::Histogram(h) if h.native.is_some());
        let keeps_native = is_native && results[0].is_some();
        if kept == parts.len() && results.iter().flatten().all(|after| !after.changed) {
            let key = self.collector.family(family.name, family.kind);
            let labels = metric.labels.iter().copied();
            let group = self.collector.add(key, labels, kept as u32);
            self.keep(metric.range.clone(), false, group, None);
            return;
        }
        if kept < parts.len() {
            self.dropped(parts.len() - kept);
        }
        // All that is left has to be one metric still.
        let mut shared: Option<(String, Vec<(String, String)>)> = None;
        let mut uniform = true;
        for (part, after) in parts.iter().zip(&results) {
            let Some(after) = after else {
                // Of a classic histogram or summary only buckets and quantiles can be left out.
                let must_stay = part.index.is_none() && !(is_native && part.suffix.is_empty());
                uniform &= !must_stay;
                continue;
            };
            let mut labels = after.labels.clone();
            if let Some((extra, value)) = &part.extra {
                let at = labels
                    .iter()
                    .position(|(name, given)| name == extra && given == value);
                match at {
                    Some(at) => drop(labels.remove(at)),
                    None => uniform = false,
                }
            }
            labels.sort();
            uniform &= after.whole;
            match &shared {
                None => shared = Some((after.family.clone(), labels)),
                Some(first) => uniform &= first.0 == after.family && first.1 == labels,
            }
        }
        // With native buckets the series without a suffix is what counts.
        if let (true, Some((new, labels))) = (uniform || keeps_native, shared) {
            let key = self.collector.family(&new, family.kind);
            let group = self.collector.add(key, pairs(&labels), kept as u32);
            let keeps_bucket = |index: usize| {
                let part = parts.iter().position(|part| part.index == Some(index));
                part.is_none_or(|at| results[at].is_some())
            };
            let keeps_native = keeps_native || !is_native;
            self.edit(
                family,
                metric,
                &new,
                &labels,
                group,
                &keeps_bucket,
                keeps_native,
            );
            return;
        }
        let key = self.collector.family(family.name, family.kind);
        let labels = metric.labels.iter().copied();
        let group = self.collector.add(key, labels, kept as u32);
        for (part, after) in parts.iter().zip(results) {
            if let Some(after) = after {
                let start = self.edits.len();
                write_untyped(&mut self.edits, &after.labels, part.value, metric.timestamp);
                let range = start..self.edits.len();
                self.keep(range, true, group, Some((after.name, false)));
            }
        }
    }

    /// Writes a metric again with other labels and without some of its parts.
    #[expect(clippy::too_many_arguments, reason = "all that can differ, once")]
    fn edit(
        &mut self,
        family: &Family<'_>,
        metric: &Metric<'_>,
        new: &str,
        labels: &[(String, String)],
        group: u32,
        keeps_bucket: &dyn Fn(usize) -> bool,
        keeps_native: bool,
    ) {
        let mut message = Vec::with_capacity(metric.range.len() + 32);
        for (name, value) in labels {
            write_label(&mut message, name, value);
        }
        let whole = &self.page[metric.range.clone()];
        let content = field(whole).map_or(&[][..], |found| &whole[found.content]);
        for found in fields(content) {
            match found.number {
                1 => {}
                4 | 7 => {
                    let inner = &content[found.content.clone()];
                    let mut value = Vec::with_capacity(inner.len());
                    let mut index = 0;
                    for part in fields(inner) {
                        let keeps = match part.number {
                            3 => {
                                index += 1;
                                keeps_bucket(index - 1)
                            }
                            // Schema, zero bucket, spans, counts and exemplars of native buckets.
                            5..=14 | 16 => keeps_native,
                            _ => true,
                        };
                        if keeps {
                            value.extend_from_slice(&inner[part.whole]);
                        }
                    }
                    put_bytes(&mut message, found.number, &value);
                }
                _ => message.extend_from_slice(&content[found.whole]),
            }
        }
        let start = self.edits.len();
        put_bytes(&mut self.edits, 4, &message);
        let range = start..self.edits.len();
        let family = (new != family.name).then(|| (new.to_owned(), true));
        self.keep(range, true, group, family);
    }

    fn finish(self) -> Result<Option<Vec<u8>>, FilterError> {
        let Self {
            filter,
            page,
            collector,
            edits,
            families,
            error,
        } = self;
        if let Some(error) = error {
            return Err(error);
        }
        let untouched = collector.dropped == 0 && edits.is_empty();
        let groups = collector.judge(filter).groups;
        if untouched && groups.iter().all(|group| group.cut.is_none()) {
            return Ok(None);
        }
        let stays = |kept: &Kept| groups[kept.group as usize].cut.is_none();
        let mut out = Vec::with_capacity(page.len());
        for read in &families {
            let whole =
                !read.dropped && read.metrics.iter().all(|kept| !kept.edited && stays(kept));
            if whole && !read.metrics.is_empty() {
                out.extend_from_slice(&page[read.whole.clone()]);
                continue;
            }
            // Families that this one has become, its own name first.
            let mut names: Vec<Option<&(String, bool)>> = Vec::new();
            for kept in read.metrics.iter().filter(|kept| stays(kept)) {
                if !names.contains(&kept.family.as_ref()) {
                    names.push(kept.family.as_ref());
                }
            }
            for name in names {
                let mut message = Vec::new();
                write_head(&mut message, &page[read.message.clone()], name);
                for kept in read.metrics.iter().filter(|kept| stays(kept)) {
                    if kept.family.as_ref() == name {
                        let from: &[u8] = if kept.edited { &edits } else { page };
                        message.extend_from_slice(&from[kept.range.clone()]);
                    }
                }
                wire::put_varint(&mut out, message.len() as u64);
                out.extend_from_slice(&message);
            }
        }
        Ok(Some(out))
    }
}

/// A family's fields without its metrics.
fn write_head(out: &mut Vec<u8>, message: &[u8], name: Option<&(String, bool)>) {
    if let Some((name, typed)) = name {
        put_text(out, 1, name);
        if !typed {
            wire::put_number(out, 3, UNTYPED);
        }
    }
    for found in fields(message) {
        let keeps = match found.number {
            4 => false,
            1 => name.is_none(),
            2 | 3 => name.is_none_or(|(_, typed)| *typed),
            // A unit is the end of its family's name.
            5 => name.is_none(),
            _ => true,
        };
        if keeps {
            out.extend_from_slice(&message[found.whole]);
        }
    }
}

fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> + Clone {
    labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

fn write_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut label = Vec::with_capacity(name.len() + value.len() + 8);
    put_text(&mut label, 1, name);
    put_text(&mut label, 2, value);
    put_bytes(out, 1, &label);
}

fn write_untyped(
    out: &mut Vec<u8>,
    labels: &[(String, String)],
    value: f64,
    timestamp: Option<i64>,
) {
    let mut message = Vec::new();
    for (name, value) in labels {
        write_label(&mut message, name, value);
    }
    let mut untyped = Vec::new();
    put_double(&mut untyped, 1, value);
    put_bytes(&mut message, 5, &untyped);
    if let Some(millis) = timestamp {
        wire::put_number(&mut message, 6, millis as u64);
    }
    put_bytes(out, 4, &message);
}

/// The series of a histogram or summary; a native histogram's own first.
fn parts(metric: &Metric<'_>) -> Vec<Part> {
    let plain = |suffix, value| Part {
        suffix,
        extra: None,
        index: None,
        value,
    };
    let mut out = Vec::new();
    match &metric.value {
        Value::Number { .. } => {}
        Value::Summary {
            count,
            sum,
            quantiles,
            ..
        } => {
            out.push(plain("_count", *count as f64));
            out.push(plain("_sum", *sum));
            for (index, (quantile, value)) in quantiles.iter().enumerate() {
                out.push(Part {
                    suffix: "",
                    extra: Some(("quantile", bound(*quantile))),
                    index: Some(index),
                    value: *value,
                });
            }
        }
        Value::Histogram(histogram) => {
            if histogram.native.is_some() {
                out.push(plain("", histogram.sum));
                if histogram.buckets.is_empty() {
                    return out;
                }
            }
            out.push(plain("_count", histogram.count));
            out.push(plain("_sum", histogram.sum));
            let mut infinite = false;
            for (index, bucket) in histogram.buckets.iter().enumerate() {
                infinite = bucket.upper_bound == f64::INFINITY;
                out.push(Part {
                    suffix: "_bucket",
                    extra: Some(("le", bound(bucket.upper_bound))),
                    index: Some(index),
                    value: bucket.cumulative,
                });
            }
            if !infinite {
                out.push(Part {
                    suffix: "_bucket",
                    extra: Some(("le", "+Inf".to_owned())),
                    index: None,
                    value: histogram.count,
                });
            }
        }
    }
    out
}

/// As Prometheus writes the bound of a bucket that comes in this format: `1.0`, not `1`.
fn bound(value: f64) -> String {
    let mut text = Vec::new();
    float::write(&mut text, value);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}
