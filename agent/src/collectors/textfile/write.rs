//! Families of several files, joined and written as client_golang does it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::exposition::{Page, escaped, float};
use crate::procfs::prom_text::{Family, Labels, Metric, Type, Value};

/// Families by name.
#[derive(Default)]
pub struct Merged<'a> {
    families: BTreeMap<&'a str, Joined<'a>>,
}

struct Joined<'a> {
    help: Option<&'a str>,
    kind: Type,
    files: Vec<&'a str>,
    metrics: Vec<&'a Metric>,
}

impl<'a> Merged<'a> {
    /// Adds a file's families. Where it contradicts an earlier file, its family is left out.
    pub fn add(&mut self, path: &'a str, families: &'a [Family], complaints: &mut Vec<String>) {
        for family in families {
            let kind = family.kind.unwrap_or(Type::Untyped);
            let joined = self.families.entry(&family.name).or_insert_with(|| Joined {
                help: family.help.as_deref(),
                kind,
                files: Vec::new(),
                metrics: Vec::new(),
            });
            let help = family.help.as_deref();
            if joined.kind != kind
                || (help.is_some() && joined.help.is_some_and(|h| Some(h) != help))
            {
                complaints.push(format!(
                    "{path}: the help text or type of {} is another than in {}",
                    family.name,
                    joined.files.first().unwrap_or(&"")
                ));
                continue;
            }
            joined.help = joined.help.or(help);
            joined.files.push(path);
            joined.metrics.extend(&family.metrics);
        }
    }

    pub fn write(&self, page: &mut Page) {
        let mut block = String::new();
        for (name, family) in &self.families {
            if family.metrics.is_empty() {
                continue;
            }
            block.clear();
            self::family(&mut block, name, family);
            page.append_encoded(name, &block);
        }
    }
}

fn family(out: &mut String, name: &str, family: &Joined<'_>) {
    let help = family.help.map_or_else(
        || format!("Metric read from {}", family.files.join(", ")),
        str::to_owned,
    );
    let kind = match family.kind {
        Type::Counter => "counter",
        Type::Gauge => "gauge",
        Type::Untyped => "untyped",
        Type::Summary => "summary",
        Type::Histogram => "histogram",
    };
    // Writing to a String does not fail.
    let _ = write!(
        out,
        "# HELP {name} {}\n# TYPE {name} {kind}\n",
        escaped(&help, false)
    );
    // Each metric has all labels that any of them has, as client_golang wants it.
    let mut names: Vec<&str> = family
        .metrics
        .iter()
        .flat_map(|metric| metric.labels.keys().map(String::as_str))
        .collect();
    names.sort_unstable();
    names.dedup();
    let values = |labels: &'_ Labels| -> Vec<String> {
        let value = |name: &&str| labels.get(*name).cloned().unwrap_or_default();
        names.iter().map(value).collect()
    };
    let mut metrics: Vec<(Vec<String>, &Value)> = family
        .metrics
        .iter()
        .map(|metric| (values(&metric.labels), &metric.value))
        .collect();
    metrics.sort_by(|a, b| a.0.cmp(&b.0));
    metrics.dedup_by(|next, kept| next.0 == kept.0);
    for (values, value) in metrics {
        let labels: Vec<(&str, &str)> = names
            .iter()
            .zip(&values)
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        match value {
            Value::Number(value) => line(out, name, "", &labels, None, *value),
            Value::Parts { count, sum, parts } => {
                self::parts(out, name, family.kind, &labels, (*count, *sum), parts);
            }
        }
    }
}

fn parts(
    out: &mut String,
    name: &str,
    kind: Type,
    labels: &[(&str, &str)],
    (count, sum): (u64, f64),
    parts: &[(f64, f64)],
) {
    let mut parts = parts.to_vec();
    parts.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Of twins the last counts.
    parts.reverse();
    parts.dedup_by(|next, kept| next.0.to_bits() == kept.0.to_bits());
    parts.reverse();
    let count = count as f64;
    if kind == Type::Histogram {
        if parts.last().is_none_or(|(bound, _)| *bound < f64::INFINITY) {
            parts.push((f64::INFINITY, count));
        }
        for (bound, value) in parts {
            // A count that is not whole is none to this library.
            let value = if value.fract() == 0.0 { value } else { 0.0 };
            line(out, name, "_bucket", labels, Some(("le", bound)), value);
        }
    } else {
        for (quantile, value) in parts {
            line(out, name, "", labels, Some(("quantile", quantile)), value);
        }
    }
    line(out, name, "_sum", labels, None, sum);
    line(out, name, "_count", labels, None, count);
}

fn line(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&str, &str)],
    last: Option<(&str, f64)>,
    value: f64,
) {
    let number = |value: f64| {
        let mut text = Vec::new();
        float::write(&mut text, value);
        String::from_utf8(text).unwrap_or_default()
    };
    let mut all: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)))
        .collect();
    all.extend(last.map(|(name, value)| format!("{name}=\"{}\"", number(value))));
    out.push_str(name);
    out.push_str(suffix);
    if !all.is_empty() {
        out.push('{');
        out.push_str(&all.join(","));
        out.push('}');
    }
    out.push(' ');
    out.push_str(&number(value));
    out.push('\n');
}
