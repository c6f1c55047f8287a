//! Every series of a page, whatever its format.

use std::borrow::Cow;
use std::collections::HashMap;

use super::protobuf::{self, Histogram, Metric};
use super::text::{self, Item};
use super::{Exemplar, Family, Format, Kind, Label, ReadError, Series, Value};

/// Tells every series of a page in order, histograms and summaries as the series that Prometheus
/// makes of them; a native histogram is one more.
pub fn read(
    format: Format,
    body: &[u8],
    each: &mut dyn FnMut(&Series<'_>),
) -> Result<(), ReadError> {
    match format {
        Format::Text | Format::OpenMetrics => text_page(format, body, each),
        Format::Protobuf => protobuf::families(body, &mut |family, metrics| {
            let head = Family {
                name: family.name.into(),
                kind: family.kind,
                help: family.help.into(),
                unit: family.unit.into(),
            };
            for metric in metrics {
                protobuf_metric(&head, metric, each);
            }
        }),
    }
}

type Families = HashMap<String, Family<'static>>;

fn text_page(
    format: Format,
    body: &[u8],
    each: &mut dyn FnMut(&Series<'_>),
) -> Result<(), ReadError> {
    // A sample may stand before its family's head: Prometheus takes them in any order.
    let mut families: Families = HashMap::new();
    let mut created: HashMap<u64, i64> = HashMap::new();
    let open = format == Format::OpenMetrics;
    text::items(format, body, &mut |item| match item {
        Item::Type { family, kind, .. } => head(&mut families, &family).kind = kind,
        Item::Help { family, text, .. } => {
            head(&mut families, &family).help = text.into_owned().into();
        }
        Item::Unit { family, unit, .. } => {
            head(&mut families, &family).unit = unit.into_owned().into();
        }
        Item::Sample {
            name,
            labels,
            value,
            ..
        } if open && name.ends_with("_created") => {
            let family = &name[..name.len() - "_created".len()];
            created.insert(identity(family, labels), (value * 1000.0) as i64);
        }
        _ => {}
    })?;
    let mut unnamed = Family {
        name: Cow::Borrowed(""),
        kind: Kind::Unknown,
        help: Cow::Borrowed(""),
        unit: Cow::Borrowed(""),
    };
    text::items(format, body, &mut |item| {
        let Item::Sample {
            name,
            labels,
            value,
            timestamp,
            exemplar,
            ..
        } = item
        else {
            return;
        };
        let family = match family_of(&families, &name, open) {
            Some(family) => family,
            None => {
                unnamed.name = Cow::Owned(name.to_string());
                &unnamed
            }
        };
        let created = if created.is_empty() {
            None
        } else {
            created.get(&identity(&family.name, labels)).copied()
        };
        let exemplars: Vec<Exemplar<'_>> = exemplar.into_iter().collect();
        let normal = normalised(family.kind, labels);
        each(&Series {
            family,
            name: Cow::Borrowed(&name),
            labels: normal.as_deref().unwrap_or(labels),
            value: Value::Number(value),
            timestamp,
            created,
            exemplars: &exemplars,
        });
    })
}

/// `le="1"` and `le="1.0"` are one bucket: as Prometheus 3 does, bounds get one spelling. `None` if
/// nothing changes.
fn normalised<'a>(kind: Kind, labels: &[Label<'a>]) -> Option<Vec<Label<'a>>> {
    let wanted = match kind {
        Kind::Histogram | Kind::GaugeHistogram => "le",
        Kind::Summary => "quantile",
        _ => return None,
    };
    let at = labels.iter().position(|(name, _)| name == wanted)?;
    let spelt = bound(labels[at].1.parse().ok()?);
    if spelt == labels[at].1 {
        return None;
    }
    let mut labels = labels.to_vec();
    labels[at].1 = spelt.into();
    Some(labels)
}

fn head<'a>(families: &'a mut Families, name: &str) -> &'a mut Family<'static> {
    families.entry(name.to_owned()).or_insert_with(|| Family {
        name: Cow::Owned(name.to_owned()),
        kind: Kind::Unknown,
        help: Cow::Borrowed(""),
        unit: Cow::Borrowed(""),
    })
}

/// The family that a sample belongs to: its own name's, or the one whose type has its ending.
fn family_of<'a>(families: &'a Families, name: &str, open: bool) -> Option<&'a Family<'static>> {
    const ENDINGS: [(&str, &[Kind]); 8] = [
        ("_bucket", &[Kind::Histogram, Kind::GaugeHistogram]),
        ("_sum", &[Kind::Histogram, Kind::Summary]),
        ("_count", &[Kind::Histogram, Kind::Summary]),
        ("_total", &[Kind::Counter]),
        ("_created", &[Kind::Counter, Kind::Histogram, Kind::Summary]),
        ("_info", &[Kind::Info]),
        ("_gsum", &[Kind::GaugeHistogram]),
        ("_gcount", &[Kind::GaugeHistogram]),
    ];
    if let Some(family) = families.get(name) {
        return Some(family);
    }
    ENDINGS
        .iter()
        // The text format has no ending but histograms' and summaries'.
        .take(if open { ENDINGS.len() } else { 3 })
        .find_map(|(ending, kinds)| {
            let family = families.get(name.strip_suffix(ending)?)?;
            kinds.contains(&family.kind).then_some(family)
        })
}

/// A family's name and labels but those that tell its parts apart.
fn identity(family: &str, labels: &[Label<'_>]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut whole = DefaultHasher::new();
    family.hash(&mut whole);
    // In any order.
    let sum = labels
        .iter()
        .filter(|(name, _)| name != "le" && name != "quantile")
        .map(|label| {
            let mut hasher = DefaultHasher::new();
            label.hash(&mut hasher);
            hasher.finish()
        })
        .fold(0_u64, u64::wrapping_add);
    sum.hash(&mut whole);
    whole.finish()
}

fn protobuf_metric(family: &Family<'_>, metric: &Metric<'_>, each: &mut dyn FnMut(&Series<'_>)) {
    let mut labels: Vec<Label<'_>> = metric
        .labels
        .iter()
        .map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)))
        .collect();
    let mut tell = |suffix: &str,
                    labels: &[Label<'_>],
                    value: Value,
                    created: Option<i64>,
                    exemplars: &[Exemplar<'_>]| {
        each(&Series {
            family,
            name: if suffix.is_empty() {
                Cow::Borrowed(&*family.name)
            } else {
                Cow::Owned(format!("{}{suffix}", family.name))
            },
            labels,
            value,
            timestamp: metric.timestamp,
            created,
            exemplars,
        });
    };
    match &metric.value {
        protobuf::Value::Number {
            value,
            created,
            exemplar,
        } => {
            let exemplars: Vec<_> = exemplar.iter().map(converted).collect();
            tell("", &labels, Value::Number(*value), *created, &exemplars);
        }
        protobuf::Value::Summary {
            count,
            sum,
            quantiles,
            created,
        } => {
            for (quantile, value) in quantiles {
                labels.push(("quantile".into(), bound(*quantile).into()));
                tell("", &labels, Value::Number(*value), *created, &[]);
                labels.pop();
            }
            tell("_sum", &labels, Value::Number(*sum), *created, &[]);
            tell(
                "_count",
                &labels,
                Value::Number(*count as f64),
                *created,
                &[],
            );
        }
        protobuf::Value::Histogram(histogram) => {
            if let Some(native) = &histogram.native {
                let exemplars: Vec<_> = histogram.exemplars.iter().map(converted).collect();
                let value = Value::Native(Box::new(native.clone()));
                tell("", &labels, value, histogram.created, &exemplars);
            }
            if histogram.native.is_none() || !histogram.buckets.is_empty() {
                classic(histogram, &mut labels, &mut tell);
            }
        }
    }
}

type Tell<'a> = dyn FnMut(&str, &[Label<'_>], Value, Option<i64>, &[Exemplar<'_>]) + 'a;

fn classic(histogram: &Histogram<'_>, labels: &mut Vec<Label<'_>>, tell: &mut Tell<'_>) {
    let created = histogram.created;
    let mut infinite = false;
    for bucket in &histogram.buckets {
        infinite |= bucket.upper_bound == f64::INFINITY;
        let exemplars: Vec<_> = bucket.exemplar.iter().map(converted).collect();
        labels.push(("le".into(), bound(bucket.upper_bound).into()));
        let value = Value::Number(bucket.cumulative);
        tell("_bucket", labels, value, created, &exemplars);
        labels.pop();
    }
    if !infinite {
        labels.push(("le".into(), "+Inf".into()));
        tell(
            "_bucket",
            labels,
            Value::Number(histogram.count),
            created,
            &[],
        );
        labels.pop();
    }
    tell("_sum", labels, Value::Number(histogram.sum), created, &[]);
    tell(
        "_count",
        labels,
        Value::Number(histogram.count),
        created,
        &[],
    );
}

fn converted<'a>(exemplar: &protobuf::Exemplar<'a>) -> Exemplar<'a> {
    Exemplar {
        labels: exemplar
            .labels
            .iter()
            .map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)))
            .collect(),
        value: exemplar.value,
        timestamp: exemplar.timestamp,
    }
}

/// A bound as Prometheus writes it: always with a fraction or an exponent (`1.0`).
fn bound(value: f64) -> String {
    let mut out = Vec::new();
    crate::exposition::float::write(&mut out, value);
    let mut text = String::from_utf8_lossy(&out).into_owned();
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests;
