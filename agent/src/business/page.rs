//! `/metrics/business`: the last durable snapshot, as Prometheus text or OpenMetrics; and what the
//! agent says of it on its own page.

use std::time::{Duration, Instant};

use super::figures::{Exported, Figures, From, values};
use crate::exposition::{Kind, Page, escaped, float};

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    OpenMetrics,
}

const WRITTEN: &str = "kai_business_snapshot_timestamp_seconds";

/// The page. Every label is there on every series of a counter, an empty one without a value.
pub fn page(exported: &Exported, form: Form) -> Vec<u8> {
    let now = Instant::now();
    let zero = Duration::from_millis(exported.start_at_zero_ms);
    let mut blocks: Vec<(&str, Vec<u8>)> = Vec::new();
    for (meta, series) in exported.counters.iter().filter(|(_, s)| !s.is_empty()) {
        let stem = meta.name.strip_suffix("_total").unwrap_or(&meta.name);
        let family = match form {
            Form::Text => meta.name.as_str(),
            Form::OpenMetrics => stem,
        };
        let created = format!("{stem}_created");
        let mut out = Vec::new();
        head(&mut out, family, "counter", &meta.help, &meta.unit, form);
        for shown in series {
            let labels = labels(exported, &meta.labels, &shown.key);
            let starts = shown
                .born
                .is_some_and(|born| now.duration_since(born) < zero);
            let value = if starts { 0.0 } else { shown.value };
            sample(&mut out, &meta.name, &labels, value);
            if form == Form::OpenMetrics {
                sample(&mut out, &created, &labels, shown.created as f64 / 1e3);
            }
        }
        blocks.push((family, out));
    }
    let mut written = Vec::new();
    let help = "Unix time of the durable snapshot that this page shows";
    head(&mut written, WRITTEN, "gauge", help, "", form);
    sample(&mut written, WRITTEN, "", exported.written as f64 / 1e3);
    blocks.push((WRITTEN, written));
    blocks.sort();
    let mut out: Vec<u8> = blocks.into_iter().flat_map(|(_, block)| block).collect();
    if form == Form::OpenMetrics {
        out.extend_from_slice(b"# EOF\n");
    }
    out
}

fn head(out: &mut Vec<u8>, family: &str, kind: &str, help: &str, unit: &str, form: Form) {
    // In OpenMetrics a quote is escaped, too.
    let help = escaped(help, form == Form::OpenMetrics);
    out.extend_from_slice(format!("# HELP {family} {help}.\n# TYPE {family} {kind}\n").as_bytes());
    if form == Form::OpenMetrics && !unit.is_empty() {
        out.extend_from_slice(format!("# UNIT {family} {unit}\n").as_bytes());
    }
}

fn sample(out: &mut Vec<u8>, name: &str, labels: &str, value: f64) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(labels.as_bytes());
    out.push(b' ');
    float::write(out, value);
    out.push(b'\n');
}

/// `{service="…",team="…",…}`
fn labels(exported: &Exported, names: &[(String, u32)], key: &[u8]) -> String {
    let mut values = values(key).map(String::from_utf8_lossy);
    let service = values.next().unwrap_or_default();
    let mut out = format!("{{service=\"{}\"", escaped(&service, true));
    if let Some(team) = exported.teams.get(service.as_ref()) {
        out.push_str(",team=\"");
        out.push_str(&escaped(team, true));
        out.push('"');
    }
    for ((name, _), value) in names.iter().zip(values) {
        out.push(',');
        out.push_str(name);
        out.push_str("=\"");
        out.push_str(&escaped(&value, true));
        out.push('"');
    }
    out.push('}');
    out
}

impl Figures {
    /// What `/metrics` says of the figures; empty when there are none.
    pub fn own_page(&self) -> Page {
        let mut page = Page::default();
        if !self.is_configured() {
            return page;
        }
        let inner = self.lock();
        let mut each = |name: &str, help: &str, kind: Kind, of: Of<'_>| {
            let mut family = page.family(name, help, kind);
            inner.each_counter(|counter, row| {
                of(&mut family, counter.name.as_bytes(), counter, row);
            });
        };
        each(
            "kai_agent_business_events_total",
            "Lines, spans and grown series that rules counted, by figure and source.",
            Kind::Counter,
            &|family, metric, _, row| {
                for (from, word) in From::ALL {
                    let labels: [(&str, &[u8]); 2] =
                        [("metric", metric), ("source", word.as_bytes())];
                    family.sample(&labels, row.events[from as usize] as f64);
                }
            },
        );
        each(
            "kai_agent_business_bad_numbers_total",
            "Events that were not counted because the field to add is no number of 0 or more.",
            Kind::Counter,
            &|family, metric, _, row| family.sample(&[("metric", metric)], row.bad as f64),
        );
        each(
            "kai_agent_business_label_overflow_total",
            "Events counted under the value \"other\" because a label had its most values already.",
            Kind::Counter,
            &|family, metric, meta, row| {
                for ((label, _), count) in meta.labels.iter().zip(row.overflow) {
                    let labels: [(&str, &[u8]); 2] =
                        [("metric", metric), ("label", label.as_bytes())];
                    family.sample(&labels, *count as f64);
                }
            },
        );
        each(
            "kai_agent_business_series",
            "Series of each figure.",
            Kind::Gauge,
            &|family, metric, _, row| family.sample(&[("metric", metric)], row.series as f64),
        );
        let mut single = |name: &str, help: &str, kind, value: u64| {
            page.single(name, help, kind, value as f64);
        };
        single(
            "kai_agent_business_series_limited_total",
            "Events counted with every label \"other\" because business.maxSeries was reached.",
            Kind::Counter,
            inner.crowded(),
        );
        let links = &inner.links;
        single(
            "kai_agent_business_source_series",
            "Series of services that rules on metrics follow.",
            Kind::Gauge,
            links.series() as u64,
        );
        single(
            "kai_agent_business_source_resets_total",
            "Times that a followed series began anew.",
            Kind::Counter,
            links.resets,
        );
        single(
            "kai_agent_business_spans_repeated_total",
            "Spans not counted because they were counted before.",
            Kind::Counter,
            inner.recent.repeated,
        );
        let ignored = [
            ("limit", links.crowded),
            ("bad_value", links.bad),
            ("not_a_counter", links.no_counter),
            ("unreadable_page", links.unreadable),
        ];
        let mut family = page.family(
            "kai_agent_business_source_ignored_total",
            "Values of followed series that were not counted, by reason.",
            Kind::Counter,
        );
        for (reason, count) in ignored {
            family.sample(&[("reason", reason.as_bytes())], count as f64);
        }
        drop(family);
        drop(inner);
        let writes = self.writes();
        let mut family = page.family(
            "kai_agent_business_snapshots_total",
            "Snapshots of the figures by whether they were written durably.",
            Kind::Counter,
        );
        for (result, count) in [("written", writes.done), ("failed", writes.failed)] {
            family.sample(&[("result", result.as_bytes())], count as f64);
        }
        drop(family);
        page
    }
}

type Of<'a> = &'a dyn Fn(
    &mut crate::exposition::Family<'_>,
    &[u8],
    &super::figures::Meta,
    &super::figures::Row<'_>,
);

#[cfg(test)]
mod tests;
